"""Turn text into shards of tokens, from files of this machine or from the hub.

A run that was cut off goes on with the same command; no half shard ever has a whole one's name.
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from gpt2_tutorial import assets
from gpt2_tutorial.files import write_whole
from gpt2_tutorial.runs.encode import END_OF_TEXT, EncodeError, ParallelEncoder, load_tokenizer
from gpt2_tutorial.shard_format import ShardError, check_shards
from gpt2_tutorial.shard_writer import write_shards

KINDS = (".txt", ".md", ".jsonl", ".jsonl.gz", ".parquet")
SPEECHES = 5_000  # characters of Shakespeare that make a document
HUB = {  # name: (repository, configuration, branch)
    "fineweb-edu": ("HuggingFaceFW/fineweb-edu", "sample-10BT", "main"),
    "openwebtext": ("Skylion007/openwebtext", None, "refs/convert/parquet"),
}


class PrepareError(RuntimeError):
    """The text could not be had; the message says what to do."""


@dataclass
class Source:
    """Documents that can be read again from the beginning, and what they are."""

    about: str
    documents: Any  # called for a fresh iterator of str
    replaced: list[str] = field(default_factory=list)


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
    text.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help=", ".join(KINDS))
    text.add_argument(
        "--field", default="text", metavar="NAME",
        help="which field of jsonl, column of parquet (default: %(default)s)",
    )  # fmt: skip
    text.add_argument(
        "--documents", choices=("file", "paragraph", "line"), default="file",
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
            _tell(args.folder, check_shards(args.folder))
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
    if args.limit is not None and args.limit < 1:
        raise ValueError(f"--limit must be 1 or more, not {args.limit}")
    out = args.out or Path("data", args.source)
    source = _source(args, out)
    kind, value = _tokenizer(args, source)
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
            val_every=args.val_every or (10 if args.source == "shakespeare" else 100),
            shuffle=args.shuffle,
            seed=args.seed,
            source=f"{source.about}, limit {args.limit}",
            encode=encode,
        )
        seconds = time.perf_counter() - begin
    done = f"; {encode.tokens:,} made in {seconds:.1f} s"
    _tell(out, counts, done if encode.tokens else "; all were there before")
    if source.replaced:
        first = f"{len(source.replaced)} files hold bytes that are no UTF-8, each now a �"
        print(f"note: {first}; the first is {source.replaced[0]}")


def _tell(folder: Path, counts: dict[str, int], more: str = "") -> None:
    parts = ", ".join(f"{count:,} tokens for {split}" for split, count in counts.items())
    print(f"{folder}: {parts}{more}")
    if not counts["val"]:
        print("note: no document fell to validation; a smaller --val-every would change that")


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
    characters = {c for text in islice(source.documents(), args.limit) for c in set(text)}
    if END_OF_TEXT in characters:
        raise PrepareError(
            f"the text holds {END_OF_TEXT!r}, which stands between documents here: take it out"
        )
    return "characters", "".join(sorted(characters | {END_OF_TEXT}))


def _existing(path: str) -> str:
    if not Path(path).is_file():
        raise PrepareError(f"there is no tokenizer {path}: say gpt2, characters, or a file")
    return path


# --- text on this machine


def text_source(paths: Iterable[Path], name: str = "text", cut: str = "file") -> Source:
    """Read documents from files, and from folders with everything below them."""
    files = find_files(paths)
    sizes = "\n".join(f"{file.name} {file.stat().st_size}" for file in files)
    summary = hashlib.sha256(sizes.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    replaced: list[str] = []

    def documents() -> Iterator[str]:
        replaced.clear()
        for file in files:
            yield from _read(file, name, cut, replaced)

    about = f"text: {len(files)} files {summary}, field {name}, each {cut}"
    return Source(about, documents, replaced)


def find_files(paths: Iterable[Path]) -> list[Path]:
    """List the files that are meant, those of a folder in the order of their names."""
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.name.endswith(KINDS))
            seen = (p for p in inside if not _is_hidden(p.relative_to(path)) and p.is_file())
            found = sorted(seen, key=lambda p: p.relative_to(path).parts)
            if not found:
                raise PrepareError(f"{path} holds no {', '.join(KINDS)}")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise PrepareError(f"there is no file or folder {path}")
    return files


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read(file: Path, name: str, cut: str, replaced: list[str]) -> Iterator[str]:
    try:
        if file.name.endswith(".parquet"):
            yield from _parquet(file, name)
        elif file.name.endswith((".jsonl", ".jsonl.gz")):
            yield from _jsonl(file, name)
        else:
            yield from _text(file, cut, replaced)
    except OSError as error:
        raise PrepareError(f"{file} cannot be read ({error.strerror or error})") from None


def _text(file: Path, cut: str, replaced: list[str]) -> Iterator[str]:
    with file.open("rb") as stream:
        wide = stream.read(2) in (b"\xff\xfe", b"\xfe\xff")
    encoding = "utf-16" if wide else "utf-8-sig"
    with file.open(encoding=encoding, errors="replace", newline="") as stream:
        pieces = {"file": _whole, "paragraph": _paragraphs, "line": iter}[cut](stream)
        for piece in pieces:
            if "�" in piece and (not replaced or replaced[-1] != str(file)):
                replaced.append(str(file))
            if piece := piece if cut == "file" else piece.strip("\r\n"):
                yield piece


def _whole(stream: Iterable[str]) -> Iterator[str]:
    yield "".join(stream)


def _paragraphs(stream: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for line in stream:
        if line.strip():
            held.append(line)
        elif held:
            yield "".join(held)
            held = []
    yield "".join(held)


def _jsonl(file: Path, name: str) -> Iterator[str]:
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
        try:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _field(line, name, f"{file}, line {number}")
        except EOFError:
            raise PrepareError(f"{file} ends too early: copy it anew") from None


def _field(line: bytes, name: str, where: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise PrepareError(f"{where}: this is no JSON: {line[:40]!r}") from None
    text = row.get(name) if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise PrepareError(f"{where}: there is no text in the field {name!r}: choose with --field")
    return text


def _parquet(file: Path, name: str) -> Iterator[str]:
    try:
        import pyarrow.lib
        import pyarrow.parquet
    except ImportError:
        raise PrepareError(f"{file} needs pyarrow: run `pip install pyarrow`") from None
    try:
        table = pyarrow.parquet.ParquetFile(file)
        if name not in table.schema_arrow.names:
            there = ", ".join(table.schema_arrow.names)
            raise PrepareError(f"{file} has no column {name!r}: choose from {there} by --field")
        for batch in table.iter_batches(batch_size=1_000, columns=[name]):
            for row, text in enumerate(batch.column(0).to_pylist()):
                if not isinstance(text, str):
                    raise PrepareError(f"{file}: the column {name!r} holds {text!r} in row {row}")
                yield text
    except pyarrow.lib.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise PrepareError(f"{file} cannot be read as parquet ({reason})") from None


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
        if note.is_file():
            try:
                known = json.loads(note.read_text(encoding="utf-8"))
                if known["repository"] == repository:
                    return known["version"]
            except (ValueError, KeyError, TypeError):
                pass
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
