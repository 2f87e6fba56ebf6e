"""Turn text into shards of tokens, from files of this machine or from the hub.

A run that was cut off goes on with the same command; no half shard ever has a whole one's name.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tqdm.auto import tqdm

from gpt2_tutorial import assets
from gpt2_tutorial.commands.documents import CUTS, KINDS, Source, text_source
from gpt2_tutorial.commands.text_files import PrepareError
from gpt2_tutorial.files import read_small, write_whole
from gpt2_tutorial.runs.encode import END_OF_TEXT, EncodeError, ParallelEncoder, load_tokenizer
from gpt2_tutorial.shard_format import ShardError, check_shards, read_index, why_empty
from gpt2_tutorial.shard_writer import documents_hash, write_shards

SPEECHES = 5_000  # characters of Shakespeare that make a document
HUB = {  # name: (repository, configuration, branch)
    "fineweb-edu": ("HuggingFaceFW/fineweb-edu", "sample-10BT", "main"),
    "openwebtext": ("Skylion007/openwebtext", None, "refs/convert/parquet"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sources and their options to the parser of `gpt2 prepare`."""
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    shared.add_argument("--out", type=Path, help="folder for the shards (default: data/SOURCE)")
    shared.add_argument(
        "--tokenizer",
        default="gpt2",
        help="gpt2, characters, or a file that BPETokenizer.save wrote (default: gpt2)",
    )
    shared.add_argument(
        "--shard-tokens", type=int, default=100_000_000, metavar="N",
        help="how many tokens a shard holds, two bytes each (default: %(default)s)",
    )  # fmt: skip
    shared.add_argument(
        "--val-every", type=int, metavar="N",
        help="one document in N is for validation (default: 100, of Shakespeare 10)",
    )  # fmt: skip
    shared.add_argument(
        "--shuffle", type=int, default=100_000_000, metavar="N",
        help="characters of text that are held to be shuffled; 0 keeps the order "
        "(default: %(default)s)",
    )  # fmt: skip
    shared.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="another one shuffles otherwise, and judges by other documents (default: %(default)s)",
    )  # fmt: skip
    shared.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, metavar="N",
        help="how many tokenize at once (default: all cores)",
    )  # fmt: skip
    shared.add_argument(
        "--limit", type=int, metavar="N", help="stop after N documents (default: take all)"
    )
    shared.add_argument("--quiet", action="store_true", help="no progress bar (default: a bar)")

    text = sources.add_parser(
        "text", parents=[shared], allow_abbrev=False, help="files or folders of this machine"
    )
    text.add_argument(
        "paths", nargs="+", type=Path, metavar="FOLDER",
        help=f"or a file; read are {', '.join(KINDS)}, also packed as .gz, .bz2 or .xz",
    )  # fmt: skip
    text.add_argument(
        "--field", default="text", metavar="NAME",
        help="which field of jsonl, column of parquet (default: %(default)s)",
    )  # fmt: skip
    text.add_argument(
        "--documents", choices=CUTS, default="file",
        help="what a document is in a text file; a paragraph ends at an empty line "
        "(default: %(default)s)",
    )  # fmt: skip
    sources.add_parser(
        "shakespeare", parents=[shared], allow_abbrev=False, help="tiny Shakespeare, for small runs"
    )
    for name, (repository, usual, _) in HUB.items():
        hub = sources.add_parser(
            name, parents=[shared], allow_abbrev=False, help=f"{repository}, streamed"
        )
        hub.add_argument(
            "--name", help=f"which configuration of the data set (default: {usual or 'its own'})"
        )
    check = sources.add_parser(
        "check", allow_abbrev=False, help="read every byte of shards that are there"
    )
    check.add_argument("folder", type=Path, help="the folder of the shards")


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks; return its exit code: 0, 1, or 130 after Ctrl-C."""
    try:
        if args.source == "check":
            counts = check_shards(args.folder)
            _tell(args.folder, counts)
        else:
            _prepare(args)
        return 0
    except (PrepareError, ShardError, EncodeError, assets.AssetError, ValueError) as error:
        print(f"gpt2 prepare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gpt2 prepare: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _prepare(args: argparse.Namespace) -> None:
    val_every = {"shakespeare": 10}.get(args.source, 100)
    val_every = val_every if args.val_every is None else args.val_every
    for name, number, least in (
        ("--limit", args.limit, 1),
        ("--val-every", val_every, 2),
        ("--shard-tokens", args.shard_tokens, 1),
        ("--shuffle", args.shuffle, 0),
        ("--seed", args.seed, 0),
    ):
        if number is not None and number < least:
            raise ValueError(f"{name} must be {least} or more, not {number}")
    out = args.out or Path("data", args.source)
    source = _source(args, out)
    kind, value = _tokenizer(args, source)
    about = source.about
    if kind == "characters" or not about:
        content, characters = _read_through(args, source, kind == "characters")
        about, value = about or f"text, sha256 {content}", value or characters
    tokenizer = load_tokenizer(kind, value)
    end = tokenizer.id_of[END_OF_TEXT] if kind == "characters" else None
    begin = time.perf_counter()
    with (
        ParallelEncoder(kind, value, args.processes) as encode,
        tqdm(unit=" tokens", unit_scale=True, disable=args.quiet) as bar,
    ):
        encode.on_tokens = bar.update
        counts = write_shards(
            islice(source.documents(), args.limit),
            tokenizer,
            out,
            args.shard_tokens,
            end_of_text=end,
            val_every=val_every,
            shuffle=args.shuffle,
            seed=args.seed,
            source=f"{about}, limit {args.limit}",
            encode=encode,
        )
        seconds = time.perf_counter() - begin
    done = f"; {encode.tokens:,} made in {seconds:.1f} s"
    more = done if encode.tokens else "; all were there before"
    _tell(out, counts, more, finer=source.finer)
    for sentence in source.notes.sentences():
        print(f"note: {sentence}")


def _tell(folder: Path, counts: dict[str, int], more: str = "", **cure: str) -> None:
    parts = ", ".join(f"{count:,} tokens for {split}" for split, count in counts.items())
    print(f"{folder}: {parts}{more}")
    for split, purpose in {"train": "training", "val": "validation"}.items():
        if not counts[split]:
            reason = why_empty(read_index(folder), split, **cure)
            print(f"note: no document fell to {purpose}; {reason}")


def _read_through(
    args: argparse.Namespace, source: Source, want_characters: bool
) -> tuple[str, str]:
    """Read all of the text before anything is written: its sha256, and its characters."""
    characters: set[str] = set()

    def texts() -> Iterator[str]:
        every = islice(source.documents(), args.limit)
        for text in tqdm(every, "reading", unit=" documents", leave=False, disable=args.quiet):
            if want_characters:
                characters.update(text)
            yield text

    content = documents_hash(texts())
    if END_OF_TEXT in characters:
        raise PrepareError(
            f"the text holds {END_OF_TEXT!r}, which stands between documents here: take it out"
        )
    return content, "".join(sorted(characters | {END_OF_TEXT}))


def _source(args: argparse.Namespace, out: Path) -> Source:
    if args.source == "text":
        return text_source(args.paths, args.field, args.documents)
    if args.source == "shakespeare":
        return Source("tiny Shakespeare", _speeches)
    return hub_source(args.source, args.name, out)


def _tokenizer(args: argparse.Namespace, source: Source) -> tuple[str, str]:
    """Say in two strings what the tokenizer is; write_shards leaves it beside the shards."""
    if args.tokenizer == "gpt2":
        return "gpt2", ""
    if args.tokenizer != "characters":
        tokenizer = load_tokenizer("file", _existing(args.tokenizer))
        if "<|endoftext|>" not in tokenizer.special_tokens:
            raise PrepareError(
                f"{args.tokenizer} has no special token <|endoftext|> to stand between "
                "documents: train it with special_tokens=['<|endoftext|>']"
            )
        return "file", args.tokenizer
    if args.source in HUB:
        raise PrepareError(
            "--tokenizer characters reads all of the text twice, so it needs text on this machine"
        )
    return "characters", ""  # which ones, the text says


def _existing(path: str) -> str:
    if not Path(path).exists():
        raise PrepareError(f"there is no tokenizer {path}: say gpt2, characters, or a file")
    return path


def _speeches() -> Iterator[str]:
    """Cut tiny Shakespeare where a speech ends, about every 5,000 characters."""
    text = assets.read_text("tinyshakespeare.txt")
    return (match[0] for match in re.finditer(rf"(?s).{{1,{SPEECHES}}}.*?(?:\n\n|\Z)", text))


# --- text on the hub


def hub_source(name: str, configuration: str | None, out: Path) -> Source:
    """Stream a data set of the hub, always the same version of it for one folder."""
    repository, usual, branch = HUB[name]
    configuration = configuration or usual
    try:
        import datasets
        import huggingface_hub
    except ImportError as error:
        raise PrepareError(
            f"{repository} needs {error.name}: run `pip install datasets`, or use "
            "`gpt2 prepare text` with files of your own"
        ) from None

    def unreachable(error: Exception) -> PrepareError:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return PrepareError(
            f"{repository} cannot be streamed ({reason}): look at the connection, then the "
            "same command goes on; without one, use `gpt2 prepare text`"
        )

    def version() -> str:
        note = out / "source.json"  # other text must not follow after a stop
        if note.exists():
            try:
                known = json.loads(read_small(note, 10_000))
                if known["repository"] == repository:
                    return known["version"]
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                pass
            raise PrepareError(f"{note} is of something else: take another folder")
        try:
            found = huggingface_hub.HfApi().dataset_info(repository, revision=branch).sha
        except Exception as error:  # whatever the network does
            raise unreachable(error) from None
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(note, json.dumps({"repository": repository, "version": found}))
        except OSError as error:
            raise PrepareError(f"{note} could not be written ({error.strerror})") from None
        return found

    revision = version()

    def documents() -> Iterator[str]:
        try:
            rows = datasets.load_dataset(
                repository, name=configuration, split="train", streaming=True, revision=revision
            )
            for row in rows.select_columns(["text"]):
                yield row["text"]
        except Exception as error:  # whatever the network does
            raise unreachable(error) from None

    return Source(f"{repository} {configuration} {revision}", documents)
