"""The file of a shard, the list of all shards, and how damage is found."""

import errno
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

from gpt2_tutorial.files import open_regular, read_small

MAGIC, VERSION, DTYPE = b"GPT2SHRD", 2, b"<u2\0"  # u2: two bytes, the low one first
HEADER = struct.Struct("<8s I 4s Q Q 32s 32s 8s Q Q 8s")  # 128 bytes
INDEX, SPLITS = "shards.json", ("train", "val")
MOST_SHARDS = 100_000  # of a split; few systems let a process open as many files
_INDEX_BYTES = 2 * MOST_SHARDS * 300  # a line of it for each, with room to spare


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
    seal: bytes = b""  # sha256 of the 120 bytes before it, its first eight


def vocabulary_hash(tokenizer: Any) -> bytes:
    """Return 32 bytes that change when an id of the tokenizer means another text.

    >>> from gpt2_tutorial.text import CharTokenizer
    >>> vocabulary_hash(CharTokenizer("ab")).hex()[:8]
    '66c1b488'
    """
    tokens = getattr(tokenizer, "tokens", None)  # bytes of each, in a BPETokenizer
    if tokens is None:
        letters = tokenizer.characters
        tokens = [letter.encode(errors="surrogatepass") for letter in letters]
    sizes = (len(token).to_bytes(4, "little") for token in tokens)
    return hashlib.sha256(b"".join([*sizes, *tokens])).digest()


def job_hash(job: dict[str, Any]) -> bytes:
    """Return 8 bytes that change when a setting of the job is another one.

    >>> job_hash({"seed": 0}) == job_hash({"seed": 1})
    False
    """
    return hashlib.sha256(json.dumps(job).encode()).digest()[:8]


def pack_header(header: Header) -> bytes:
    """Return the 128 bytes of a header, with a seal of what stands in it now.

    >>> len(pack_header(Header(MAGIC, VERSION, DTYPE, 8, 65, b"", b"", b"", 1, 2)))
    128
    """
    return _sealed(HEADER.pack(*header))


def _sealed(start: bytes) -> bytes:
    return start[:-8] + hashlib.sha256(start[:-8]).digest()[:8]


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the first 128 bytes of a shard; refuse a file that contradicts them."""
    try:
        with open_regular(path) as file:
            start, size = file.read(HEADER.size), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({_reason(error)})") from None
    header = Header(*HEADER.unpack(start.ljust(HEADER.size, b"\0")))
    if header.magic != MAGIC:
        problem = f"a shard begins with {MAGIC}, not with {header.magic}"
    elif header.version not in (1, VERSION) or header.dtype != DTYPE:
        problem = f"version {header.version} with {header.dtype} is unknown here"
    elif size != HEADER.size + 2 * header.tokens or header.tokens == 0:
        promised = f"{HEADER.size} bytes and {header.tokens:,} tokens of 2"
        problem = f"it promises {promised}, and has {size:,} bytes"
    elif header.version > 1 and start != _sealed(start):  # version 1 had no seal
        problem = "its header has changed since it was written"
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
        content = json.loads(read_small(path, _INDEX_BYTES))
        bytes.fromhex(content["job"]["vocabulary"])
        index(content.get("documents", 0))
        for split in SPLITS:
            for entry in content[split]:
                _check_entry(entry)
    except OSError as error:
        raise ShardError(
            f"{folder} holds no {INDEX} to read ({error.strerror}): write the "
            "shards (`gpt2 prepare` does), or do the same again if that was stopped"
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


def entry_of(path: Path, header: Header) -> dict[str, Any]:
    """Return what shards.json says about a shard.

    >>> header = Header(MAGIC, VERSION, DTYPE, 8, 65, b"", b"\1\2", b"", 1, 2)
    >>> entry_of(Path("train_000000.bin"), header)
    {'file': 'train_000000.bin', 'tokens': 8, 'sha256': '0102'}
    """
    entry = {"file": path.name, "tokens": header.tokens}
    return entry | {"sha256": header.checksum.hex()}


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
    job, expected = content["job"], content["job"]["vocabulary"]
    if tokenizer is not None and vocabulary_hash(tokenizer).hex() != expected:
        raise ShardError(f"{folder} was written with the ids of another tokenizer")
    settings = job_hash(job), job.get("vocab_size")
    for number, entry in enumerate(content[split]):
        path = shard_path(folder, split, number)
        if entry["file"] != path.name:
            raise ShardError(
                f"{INDEX} names {entry['file']} where {path} belongs: copy {INDEX} "
                "anew"
            )
        header = read_header(path)
        if header.vocabulary.hex() != expected:
            raise ShardError(f"{path} holds the ids of another tokenizer")
        if entry != entry_of(path, header):
            raise ShardError(f"{path} is not the shard that {INDEX} names")
        if (header.job, header.vocab_size) != settings:
            raise ShardError(
                f"{path} was not written with the settings that {INDEX} names: "
                f"copy {INDEX} anew"
            )
        yield path, header
    _refuse_more(shard_path(folder, split, len(content[split])), settings[0])


def _refuse_more(path: Path, job: bytes) -> None:
    """Refuse a shard of this job that shards.json has lost; leave others alone."""
    try:
        lost = path.exists() and read_header(path).job == job
    except ShardError:
        return
    if lost:
        raise ShardError(f"{INDEX} does not name {path}: copy {INDEX} anew")


def shard_path(folder: str | os.PathLike[str], split: str, number: int) -> Path:
    """Return the name of a shard.

    >>> shard_path("data", "val", 3).name
    'val_000003.bin'
    """
    return Path(folder, f"{split}_{number:06d}.bin")


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
        cure = why_empty(read_index(folder), split)
        raise ShardError(f"{folder} holds no {split} tokens: {cure}")
    checksums = b"".join(header.checksum for _, header in files)
    data = hashlib.sha256(checksums).hexdigest()
    try:
        shards = [map_tokens(path) for path, _ in files]
    except OSError as error:
        reason = _reason(error)
        raise ShardError(
            f"the {len(files):,} shards of {folder} cannot be open at once "
            f"({reason})"
        ) from None
    return OpenSplit(shards, files[0][1].vocab_size, data)


_FINER = "cut the text into more (--documents paragraph), or add documents"


def why_empty(content: dict[str, Any], split: str, finer: str = _FINER) -> str:
    """Say why no document fell to a split, and what to do.

    >>> why_empty({"documents": 9, "job": {"val_every": 100}}, "val")
    'of 9 documents none fell to it: take a val_every (--val-every) from 2 to 9'
    """
    documents = content.get("documents")  # version 1 has not counted them
    if documents == 1:
        return f"one document cannot be both learned from and judged by: {finer}"
    if documents is None or split == "train":
        return "add documents"
    few = f"of {documents:,} documents none fell to it"
    return f"{few}: take a val_every (--val-every) from 2 to {documents}"


def _reason(error: OSError) -> str:
    """Put what to do behind the two refusals that come from too many open files."""
    if error.errno in (errno.EMFILE, errno.ENOMEM):  # ENOMEM: too many maps of them
        return (
            f"{error.strerror}: prepare the data again with a larger shard_tokens "
            "(--shard-tokens), or raise `ulimit -n`"
        )
    return error.strerror
