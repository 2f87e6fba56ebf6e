"""Documents become shards; after a kill, the same call goes on (chapter 15)."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import numpy as np
from tqdm import tqdm

from gpt2_tutorial.files import write_whole
from gpt2_tutorial.shard_folder import (
    check_job,
    files_beside,
    made,
    refuse_other_job,
    refuse_unknown,
)
from gpt2_tutorial.shard_format import (
    DTYPE,
    INDEX,
    MAGIC,
    MOST_SHARDS,
    SPLITS,
    VERSION,
    Header,
    ShardError,
    count_tokens,
    entry_of,
    job_hash,
    pack_header,
    read_header,
    read_index,
    shard_path,
    vocabulary_hash,
)


def in_validation(position: int, val_every: int, seed: int) -> bool:
    """Draw one of every `val_every` neighbours, a whole document, to judge by.

    >>> [position for position in range(12) if in_validation(position, 4, seed=0)]
    [1, 4, 8]
    """
    group, place = divmod(position, val_every)
    return place == int(Random(f"{seed} {group}").random() * val_every)


def shuffled(
    documents: Iterable[tuple[int, str]], characters: int, seed: int
) -> Iterator[tuple[int, str]]:
    """Hold about that many characters of text, and let go of documents at random.

    >>> [i for i, _ in shuffled(enumerate(["aa", "bb", "cc", "dd"]), 4, seed=1)]
    [0, 3, 1, 2]
    """
    rng, held, size = Random(seed), [], 0

    def take():
        i = int(rng.random() * len(held))
        held[i], held[-1] = held[-1], held[i]  # the last can be taken at once
        return held.pop()

    for document in documents:
        held.append(document)
        size += len(document[1])
        while size > characters:
            yield (taken := take())
            size -= len(taken[1])
    while held:
        yield take()


def documents_hash(documents: Iterable[str]) -> str:
    """Read all documents; return a sha256 that changes when one of them does.

    >>> documents_hash(["ab", "c"])[:8], documents_hash(["a", "bc"])[:8]
    ('43ee6555', '9a8acca1')
    """
    total = hashlib.sha256()
    for position, text in _numbered(documents):
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            half = f"{text[error.start]!a}, half a character: take it out"
            raise ValueError(f"document {position} holds {half}") from None
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def write_shards(
    documents: Iterable[str],
    tokenizer: Any,
    folder: str | os.PathLike[str],
    shard_tokens: int = 100_000_000,
    *,
    end_of_text: int | None = None,
    val_every: int = 100,
    shuffle: int = 100_000_000,
    seed: int = 0,
    source: str = "",
    encode: Callable[[Iterable], Iterable] | None = None,
    progress: bool = False,
) -> dict[str, int]:
    """Write documents as shards; after a kill, the same call again goes on.

    >>> import tempfile
    >>> from gpt2_tutorial.text import CharTokenizer
    >>> texts, tokenizer = ["abcd", "bcda", "cdab"], CharTokenizer("abcd.")
    >>> write_shards(texts, tokenizer, tempfile.mkdtemp(), 8, end_of_text=0)
    {'train': 15, 'val': 0}
    """
    job = {"version": VERSION, "source": source, "shard_tokens": shard_tokens}
    job |= {"val_every": val_every, "shuffle": shuffle, "seed": seed}
    job |= _vocabulary(tokenizer, end_of_text)
    check_job(documents, job)
    if not source and iter(documents) is not documents:  # it can be read twice
        job["source"] = documents_hash(documents)
    existed, folder = os.path.isdir(folder), made(folder)
    if (folder / INDEX).is_file():
        content = read_index(folder)
        refuse_other_job(folder, content["job"], job)
        return count_tokens(content)  # it has all been written
    splits = {name: _SplitWriter(folder, name, job) for name in SPLITS}
    if any(split.shards for split in splits.values()):
        refuse_unknown(folder, job)
    beside = files_beside(tokenizer, folder)
    seen = 0

    def wanted():
        """Yield what is not on the disk yet: split and place, and the text."""
        nonlocal seen
        # One seed, one order: after a kill a place names the same document again.
        mixed = shuffled(_numbered(documents), shuffle, seed)
        for place, (position, text) in enumerate(mixed):
            name, seen = SPLITS[in_validation(position, val_every, seed)], place + 1
            if place >= splits[name].document:
                yield (name, place), text

    encode = encode or (lambda pairs: ((k, tokenizer.encode(t)) for k, t in pairs))
    for (name, place), ids in tqdm(encode(wanted()), disable=not progress):
        splits[name].add(place, _with_end(ids, place, job))
    for split in splits.values():
        if split.size:
            split.write(seen, 0)
    content = {"job": job, "documents": seen}
    content |= {name: split.shards for name, split in splits.items()}
    if not any(count_tokens(content).values()):
        if not existed:  # an empty folder would be all that this call leaves
            folder.rmdir()
        raise ShardError(f"there is no text to write to {folder}: no document came")
    for path, data in beside.items():
        _write(path, data)
    _write(folder / INDEX, json.dumps(content, indent=1).encode())
    return count_tokens(content)


class _SplitWriter:
    """Gathers the tokens of one split, and writes a shard whenever one is full."""

    def __init__(self, folder, name, job):
        self.folder, self.name, self.job = folder, name, job
        self.held, self.size, self.shards = [], 0, []
        self.document = self.offset = 0
        while (header := self.finished()) is not None:
            self.remember(header)

    def path(self):
        return shard_path(self.folder, self.name, len(self.shards))

    def finished(self):
        """Read the header of a full shard that an earlier call has left here."""
        if not self.path().exists():
            return None
        header = read_header(self.path())
        if header.version != VERSION or header.job != job_hash(self.job):
            raise ShardError(
                f"{self.path()} was written from another text, with another "
                "tokenizer or other settings: take another folder"
            )
        return header if header.tokens == self.job["shard_tokens"] else None

    def remember(self, header):
        self.shards.append(entry_of(self.path(), header))
        self.document, self.offset = header.document, header.offset

    def add(self, document, ids):
        """Take in a document, or what an earlier call has not written of it."""
        # Only the document in which the last whole shard ended is half written.
        start = self.offset if document == self.document else 0
        while (room := self.job["shard_tokens"] - self.size) <= len(ids) - start:
            self.hold(ids[start : start + room])
            start += room
            self.write(document, start)
        self.hold(ids[start:])

    def hold(self, ids):
        self.held.append(ids)
        self.size += len(ids)

    def write(self, document, offset):
        self.finished()  # refuses to write over a file that is not of this job
        if len(self.shards) == MOST_SHARDS:
            raise ShardError(
                f"{self.folder} would hold more than {MOST_SHARDS:,} shards of "
                f"{self.name}: take another folder and a larger shard_tokens"
            )
        tokens = np.concatenate(self.held)
        sizes = len(tokens), self.job["vocab_size"]
        vocabulary = bytes.fromhex(self.job["vocabulary"])
        sums = vocabulary, hashlib.sha256(tokens).digest(), job_hash(self.job)
        header = Header(MAGIC, VERSION, DTYPE, *sizes, *sums, document, offset)
        _write(self.path(), pack_header(header), tokens)
        self.remember(header)
        self.held, self.size = [], 0


def _vocabulary(tokenizer, end_of_text):
    """Describe the vocabulary of a job; refuse one that does not fit two bytes."""
    size = tokenizer.vocab_size
    if size > 65_536:
        raise ValueError(f"two bytes tell 65,536 ids apart, not {size:,}")
    if end_of_text is None:
        special = getattr(tokenizer, "special_tokens", {})
        end_of_text = special.get("<|endoftext|>", -1)
    if not 0 <= end_of_text < size:
        raise ValueError(
            "which id stands behind a document? Say end_of_text, an id from 0 to "
            f"{size - 1}, not {end_of_text}"
        )
    names = {"vocab_size": size, "end_of_text": end_of_text}
    return names | {"vocabulary": vocabulary_hash(tokenizer).hex()}


def _numbered(documents):
    for position, text in enumerate(documents):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise TypeError(f"document {position} must be a str, not {kind}")
        if text:
            yield position, text


def _with_end(ids, document, job):
    """Put end-of-text behind a document; refuse ids outside the vocabulary."""
    ids, size = np.asarray(ids), job["vocab_size"]
    if not len(ids):
        return np.empty(0, "<u2")
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= size:
        wrong = next((i for i in ids.tolist() if i not in range(size)), "none")
        raise ValueError(
            f"document {document} has id {wrong}, not one below {size}"
        )
    return np.append(ids, job["end_of_text"]).astype("<u2")


def _write(path, *parts):
    with _refusals(path):
        write_whole(path, *parts)


@contextmanager
def _refusals(path):
    try:
        yield
    except OSError as error:
        raise ShardError(
            f"{path} could not be written ({error.strerror}); the shards before it "
            "are whole. Make room, then do the same again to go on"
        ) from None
