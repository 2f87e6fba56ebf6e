"""The file of a shard, the list of all shards, and how damage is found."""

import hashlib
import json
import os
import re
import struct
from collections.abc import Iterator
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MAGIC, VERSION, DTYPE = b"GPT2SHRD", 1, b"<u2\0"  # u2: two bytes, the low one first
HEADER = struct.Struct("<8s I 4s Q Q 32s 32s 16s Q Q")  # 128 bytes
INDEX, SPLITS = "shards.json", ("train", "val")


class ShardError(RuntimeError):
    """A shard could not be written or read; the message says what to do.

    >>> ShardError("no space left")
    ShardError('no space left')
    """


class Header(NamedTuple):
    """The first 128 bytes of a shard, field by field.

    >>> Header(MAGIC, VERSION, DTYPE, 8, 65, b"", b"", b"", document=1, offset=2)[3]
    8
    """

    magic: bytes
    version: int
    dtype: bytes
    tokens: int
    vocab_size: int
    vocabulary: bytes  # sha256 of what the ids stand for
    checksum: bytes  # sha256 of the tokens
    job: bytes  # of all settings: shards of one job belong together
    document: int  # where the next shard begins: in this document,
    offset: int  # after this many of its tokens


def vocabulary_hash(tokenizer: Any) -> bytes:
    """Return 32 bytes that change when an id of the tokenizer means another text.

    >>> from gpt2_tutorial.text import CharTokenizer
    >>> vocabulary_hash(CharTokenizer("ab")).hex()[:8]
    '66c1b488'
    """
    tokens = getattr(tokenizer, "tokens", None)  # bytes of each, in a BPETokenizer
    if tokens is None:
        tokens = [character.encode() for character in tokenizer.characters]
    sizes = (len(token).to_bytes(4, "little") for token in tokens)
    return hashlib.sha256(b"".join([*sizes, *tokens])).digest()


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the first 128 bytes of a shard; refuse a file that contradicts them."""
    try:
        with open(path, "rb") as file:
            start, size = file.read(HEADER.size), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({error.strerror})") from None
    header = Header(*HEADER.unpack(start.ljust(HEADER.size, b"\0")))
    if header.magic != MAGIC:
        problem = f"a shard begins with {MAGIC}, not with {header.magic}"
    elif (header.version, header.dtype) != (VERSION, DTYPE):
        problem = f"version {header.version} with {header.dtype} is unknown here"
    elif size != HEADER.size + 2 * header.tokens or header.tokens == 0:
        promised = f"{HEADER.size} bytes and {header.tokens:,} tokens of 2"
        problem = f"it promises {promised}, and has {size:,} bytes"
    else:
        return header
    raise ShardError(
        f"{path} is no whole shard: {problem}. Copy it anew, or delete it and "
        f"{INDEX} and prepare the data again"
    )


def read_index(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read shards.json, which is written last: the settings, and all shards."""
    path = Path(folder, INDEX)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        bytes.fromhex(content["job"]["vocabulary"])
        for split in SPLITS:
            for entry in content[split]:
                _check_entry(entry)
    except OSError as error:
        raise ShardError(
            f"{folder} holds no {INDEX} to read ({error.strerror}): write the "
            "shards, or do the same again if that was stopped"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ShardError(f"{path} is damaged: copy it anew") from None
    return content


def _check_entry(entry: Any) -> None:
    """Let a ValueError, KeyError or TypeError out if it names no shard of ours."""
    if not re.fullmatch(r"(train|val)_\d{6}\.bin", entry["file"]):
        raise ValueError(f"no shard has the name {entry['file']!r}")
    index(entry["tokens"])  # refuses what is no whole number
    bytes.fromhex(entry["sha256"])  # refuses what is no hexadecimal number


def count_tokens(content: dict[str, Any]) -> dict[str, int]:
    """Add up the tokens of each split, as shards.json names them.

    >>> count_tokens({"train": [{"tokens": 8}, {"tokens": 7}], "val": []})
    {'train': 15, 'val': 0}
    """
    return {split: sum(e["tokens"] for e in content[split]) for split in SPLITS}


def check_shards(folder: str | os.PathLike[str]) -> dict[str, int]:
    """Read every byte of all shards; refuse one that is not as it was written.

    >>> check_shards("a/folder/that/does/not/exist")
    Traceback (most recent call last):
    gpt2_tutorial.shard_format.ShardError: a/folder/that/does/not/exist holds no ...
    """
    files = [pair for split in SPLITS for pair in shard_files(folder, split)]
    for path, header in files:
        tokens = map_tokens(path)
        if hashlib.sha256(tokens).digest() != header.checksum:
            raise ShardError(
                f"{path} has changed since it was written: copy it anew"
            )
        if tokens.max() >= header.vocab_size:
            found = f"id {tokens.max()}, not below {header.vocab_size}"
            raise ShardError(f"{path} holds {found}: prepare the data again")
    return count_tokens(read_index(folder))


def shard_files(
    folder: str | os.PathLike[str], split: str, tokenizer: Any = None
) -> Iterator[tuple[Path, Header]]:
    """List the shards of a split; refuse what is not the shard that was written."""
    if split not in SPLITS:
        raise ValueError(f"split must be train or val, not {split!r}")
    content = read_index(folder)
    expected = content["job"]["vocabulary"]
    if tokenizer is not None and vocabulary_hash(tokenizer).hex() != expected:
        raise ShardError(f"{folder} was written with the ids of another tokenizer")
    for entry in content[split]:
        path = Path(folder, entry["file"])
        header = read_header(path)
        if header.vocabulary.hex() != expected:
            raise ShardError(f"{path} holds the ids of another tokenizer")
        if header.checksum.hex() != entry["sha256"]:
            raise ShardError(f"{path} is not the shard that {INDEX} names")
        yield path, header


def map_tokens(path: Path) -> np.ndarray:
    """Look at the tokens of a shard without reading them into memory."""
    return np.memmap(path, "<u2", "r", offset=HEADER.size).view(np.ndarray)


class OpenSplit(NamedTuple):
    """A split that is ready to be read; nothing of it is in memory yet.

    >>> OpenSplit([], 65, "5d41").vocab_size
    65
    """

    shards: list[np.ndarray]
    vocab_size: int
    data: str  # a sha256 of the checksums of all shards: these data and no others


def open_split(
    folder: str | os.PathLike[str], split: str, tokenizer: Any = None
) -> OpenSplit:
    """Open all shards of a split; refuse missing, damaged and foreign ones."""
    files = list(shard_files(folder, split, tokenizer))
    if not files:
        raise ShardError(
            f"{folder} holds no {split} tokens: write more documents, or take a "
            "smaller val_every"
        )
    checksums = b"".join(header.checksum for _, header in files)
    data = hashlib.sha256(checksums).hexdigest()
    shards = [map_tokens(path) for path, _ in files]
    return OpenSplit(shards, files[0][1].vocab_size, data)
