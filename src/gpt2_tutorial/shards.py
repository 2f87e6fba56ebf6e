"""Shards: more tokens than memory holds, and who reads which (chapter 15)."""

import hashlib
import json
import os
import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from operator import index
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer

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
    chance, held, size = Random(seed), [], 0

    def take():
        i = int(chance.random() * len(held))
        held[i], held[-1] = held[-1], held[i]
        return held.pop()

    for document in documents:
        held.append(document)
        size += len(document[1])
        while size > characters:
            yield (taken := take())
            size -= len(taken[1])
    while held:
        yield take()


class _Split:
    """Gathers the tokens of one split, and writes a shard whenever one is full."""

    def __init__(self, folder, name, job):
        self.folder, self.name, self.job = folder, name, job
        self.held, self.size, self.shards = [], 0, []
        self.document = self.offset = 0
        while (header := self.finished()) is not None:
            self.remember(header)

    def path(self):
        return self.folder / f"{self.name}_{len(self.shards):06d}.bin"

    def finished(self):
        """Read the header of a full shard that an earlier call has left here."""
        if not self.path().exists():
            return None
        header = read_header(self.path())
        if header.job != _fingerprint(self.job):
            raise ShardError(
                f"{self.path()} was written from another source, with another "
                "tokenizer or other settings: take another folder"
            )
        return header if header.tokens == self.job["shard_tokens"] else None

    def remember(self, header):
        entry = {"file": self.path().name, "tokens": header.tokens}
        self.shards.append(entry | {"sha256": header.checksum.hex()})
        self.document, self.offset = header.document, header.offset

    def add(self, document, ids):
        """Take in a document, or what an earlier call has not written of it."""
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
        tokens = np.concatenate(self.held)
        sizes = len(tokens), self.job["vocab_size"]
        vocabulary = bytes.fromhex(self.job["vocabulary"])
        sums = vocabulary, hashlib.sha256(tokens).digest(), _fingerprint(self.job)
        header = Header(MAGIC, VERSION, DTYPE, *sizes, *sums, document, offset)
        _write(self.path(), HEADER.pack(*header), tokens)
        self.remember(header)
        self.held, self.size = [], 0


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
    job = {"source": source, "shard_tokens": shard_tokens, "val_every": val_every}
    job |= {"shuffle": shuffle, "seed": seed} | _vocabulary(tokenizer, end_of_text)
    folder = _checked_folder(folder, documents, job)
    if (folder / INDEX).is_file() and read_index(folder)["job"] == job:
        return _counts(read_index(folder))  # it has all been written
    splits = {name: _Split(folder, name, job) for name in SPLITS}
    _leave_tokenizer(tokenizer, folder)

    def wanted():
        """Yield what is not on the disk yet: split and place, and the text."""
        mixed = shuffled(_numbered(documents), shuffle, seed)
        for place, (position, text) in enumerate(mixed):
            name = SPLITS[in_validation(position, val_every, seed)]
            if place >= splits[name].document:
                yield (name, place), text

    encode = encode or (lambda pairs: ((k, tokenizer.encode(t)) for k, t in pairs))
    place = 0
    for (name, place), ids in tqdm(encode(wanted()), disable=not progress):
        splits[name].add(place, _with_end(ids, place, job))
    for split in splits.values():
        if split.size:
            split.write(place + 1, 0)
    content = {"job": job} | {name: one.shards for name, one in splits.items()}
    if not any(_counts(content).values()):
        raise ShardError(f"there is no text to write to {folder}: no document came")
    _write(folder / INDEX, json.dumps(content, indent=1).encode())
    return _counts(content)


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


def check_shards(folder: str | os.PathLike[str]) -> dict[str, int]:
    """Read every byte of all shards; refuse one that is not as it was written.

    >>> check_shards("a/folder/that/does/not/exist")
    Traceback (most recent call last):
    gpt2_tutorial.shards.ShardError: a/folder/that/does/not/exist holds no ...
    """
    files = [pair for split in SPLITS for pair in _files(folder, split)]
    for path, header in files:
        tokens = _map(path)
        if hashlib.sha256(tokens).digest() != header.checksum:
            raise ShardError(
                f"{path} has changed since it was written: copy it anew"
            )
        if tokens.max() >= header.vocab_size:
            found = f"id {tokens.max()}, not below {header.vocab_size}"
            raise ShardError(f"{path} holds {found}: prepare the data again")
    return _counts(read_index(folder))


class TokenRing:
    """The tokens of all shards as one ring: behind the last stands the first.

    >>> TokenRing([np.array([0, 1, 2]), np.array([3, 4])]).read(1, size=6).tolist()
    [1, 2, 3, 4, 0, 1]
    """

    def __init__(self, shards: list[np.ndarray]):
        self.shards, self.size = shards, sum(map(len, shards))
        self.starts = [0, *np.cumsum([len(shard) for shard in shards]).tolist()]

    def read(self, start: int, size: int) -> np.ndarray:
        """Copy tokens out of one shard, or out of several where they meet."""
        tokens, filled = np.empty(size, np.uint16), 0
        while filled < size:
            place = (start + filled) % self.size
            number = bisect_right(self.starts, place) - 1
            begin = place - self.starts[number]
            part = self.shards[number][begin : begin + size - filled]
            tokens[filled : filled + len(part)] = part
            filled += len(part)
        return tokens


def epoch_order(sequences: int, seed: int, epoch: int) -> np.ndarray:
    """Shuffle the numbers of all sequences: another order for another epoch.

    >>> epoch_order(4, seed=0, epoch=0), epoch_order(4, seed=0, epoch=1)
    (array([0, 2, 3, 1]), array([1, 2, 0, 3]))
    """
    return np.random.RandomState([seed, epoch]).permutation(sequences)


class Sequences:
    """All epochs as one endless row of sequences: a number names T tokens.

    >>> row = Sequences(TokenRing([np.arange(9)]), T=2, seed=0)
    >>> [row.read(number).tolist() for number in range(3)]
    [[0, 1, 2], [4, 5, 6], [6, 7, 8]]
    """

    def __init__(self, ring: TokenRing, T: int, seed: int):
        self.ring, self.T, self.seed = ring, T, seed
        self.in_epoch = ring.size // T
        self._order = (-1, None)

    def read(self, number: int) -> np.ndarray:
        """Copy T tokens, and the one behind them: the last target."""
        epoch, place = divmod(number, self.in_epoch)
        if self._order[0] != epoch:
            self._order = epoch, epoch_order(self.in_epoch, self.seed, epoch)
        nth = epoch * self.in_epoch + int(self._order[1][place])
        return self.ring.read(nth * self.T, self.T + 1)


class Bookmark:
    """Where all readers stand, and in which data: what a checkpoint must hold.

    >>> Bookmark(data="5d41", T=4, seed=0).state_dict()
    {'position': 0, 'data': '5d41', 'seed': 0, 'T': 4}
    """

    def __init__(self, data: str, T: int, seed: int):
        self.data, self.T, self.seed = data, T, seed
        self.position = 0  # how many sequences all ranks together have had

    def state_dict(self) -> dict[str, Any]:
        """Return what another loader needs to go on from here."""
        state = {"position": self.position, "data": self.data}
        return state | {"seed": self.seed, "T": self.T}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, with as many ranks as there are now."""
        for name, mine in self.state_dict().items():
            theirs = state.get(name)
            if theirs is None or (theirs != mine and name != "position"):
                raise ValueError(
                    f"this is no state of this loader: {name} is {theirs} there "
                    f"and {mine} here"
                )
        self.position = state["position"]


class ShardLoader(Bookmark):
    """Hands out batches in an order that depends on the seed, not on the ranks.

    >>> import tempfile
    >>> from gpt2_tutorial.text import CharTokenizer
    >>> folder, tokenizer = tempfile.mkdtemp(), CharTokenizer("ab.")
    >>> _ = write_shards(["ab", "ba"], tokenizer, folder, end_of_text=0)
    >>> ShardLoader(folder, "train", B=1, T=4).next_batch()
    (tensor([[2, 1, 0, 1]]), tensor([[1, 0, 1, 2]]))
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        split: str,
        B: int,
        T: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        *,
        tokenizer: Any = None,
        prefetch: bool = False,
    ):
        _check_sizes(B, T, rank, world_size, seed)
        self.ring, self.vocab_size, data = _open(folder, split, tokenizer)
        _check_enough(self.ring, T, B, world_size, f"{split} in {folder}")
        super().__init__(data, T, seed)
        self.row = Sequences(self.ring, T, seed)
        self.sequences = self.row.in_epoch
        self.B, self.rank, self.world_size = B, rank, world_size
        self._ahead = _Ahead(self._read) if prefetch else None

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x, and y = x moved on by one; all ranks move on together."""
        here, there = self.position, self.position + self.B * self.world_size
        batch = self._ahead(here, there) if self._ahead else self._read(here)
        self.position = there
        return batch

    def _read(self, position):
        first = position + self.rank * self.B
        rows = np.stack([self.row.read(first + i) for i in range(self.B)])
        _check_ids(rows, self.vocab_size)
        x, y = rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64)  # (B, T)
        return torch.from_numpy(x), torch.from_numpy(y)


class _Ahead:
    """Reads the batch that comes next in a thread, while the model computes."""

    def __init__(self, read):
        self.read, self.thread = read, ThreadPoolExecutor(1)
        self.place = self.batch = None

    def __call__(self, here, there):
        if self.place != here:  # at the beginning, or the bookmark has moved
            self.batch = self.thread.submit(self.read, here)
        batch, self.place = self.batch.result(), there
        self.batch = self.thread.submit(self.read, there)
        return batch


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


def _checked_folder(folder, documents, job):
    if isinstance(documents, str):
        raise TypeError("put a text into a list to make it one document")
    least = {"shard_tokens": 1, "val_every": 2, "shuffle": 0, "seed": 0}
    for name, lowest in least.items():
        if index(job[name]) < lowest:
            raise ValueError(f"{name} must be {lowest} or more, not {job[name]}")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for left in Path(folder).glob(".*.part"):  # by a call that was killed
            left.unlink()
    except OSError as error:
        raise ShardError(
            f"{folder} cannot be written to ({error.strerror})"
        ) from None
    return Path(folder)


def _fingerprint(job):
    return hashlib.sha256(json.dumps(job).encode()).digest()[:16]


def _counts(content):
    return {split: sum(e["tokens"] for e in content[split]) for split in SPLITS}


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


def _leave_tokenizer(tokenizer, folder):
    """Leave beside the shards what reads them again; GPT-2's needs no file."""
    if hasattr(tokenizer, "characters"):
        path = folder / "characters.json"
        _write(path, json.dumps(tokenizer.characters).encode())
    ours = isinstance(tokenizer, BPETokenizer)
    if ours and not isinstance(tokenizer, GPT2Tokenizer):
        with _refusals(path := folder / "bpe.json"):
            tokenizer.save(path)


def write_whole(path: Path, *parts: Any) -> None:
    """Write aside, wait for the disk, rename: `path` is whole or not there.

    >>> import tempfile
    >>> write_whole(path := Path(tempfile.mkdtemp(), "a"), b"one ", b"two")
    >>> path.read_bytes()
    b'one two'
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink()
    if os.name != "nt":  # Windows cannot open a folder
        names = os.open(path.parent, os.O_RDONLY)
        os.fsync(names)
        os.close(names)


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


def read_index(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read shards.json, which is written last: the settings, and all shards."""
    path = Path(folder, INDEX)
    damaged = f"{path} is damaged: copy it anew"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        bytes.fromhex(content["job"]["vocabulary"])
        for entry in (entry for split in SPLITS for entry in content[split]):
            if not re.fullmatch(r"(train|val)_\d{6}\.bin", entry["file"]):
                raise ShardError(damaged)
            index(entry["tokens"]), bytes.fromhex(entry["sha256"])
    except OSError as error:
        raise ShardError(
            f"{folder} holds no {INDEX} to read ({error.strerror}): write the "
            "shards, or do the same again if that was stopped"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ShardError(damaged) from None
    return content


def _files(folder, split, tokenizer=None):
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


def _map(path):
    """Look at the tokens of a shard without reading them into memory."""
    return np.memmap(path, "<u2", "r", offset=HEADER.size).view(np.ndarray)


def _open(folder, split, tokenizer):
    files = list(_files(folder, split, tokenizer))
    if not files:
        raise ShardError(
            f"{folder} holds no {split} tokens: write more documents, or take a "
            "smaller val_every"
        )
    checksums = b"".join(header.checksum for _, header in files)
    ring = TokenRing([_map(path) for path, _ in files])
    return ring, files[0][1].vocab_size, hashlib.sha256(checksums).hexdigest()


def _check_sizes(B, T, rank, world_size, seed):
    B, T, rank, world_size, seed = map(index, (B, T, rank, world_size, seed))
    if min(B, T) < 1 or not 0 <= rank < world_size or not 0 <= seed < 2**32:
        raise ValueError(
            "a loader needs B ≥ 1, T ≥ 1, 0 ≤ rank < world_size, 0 ≤ seed < 2³², "
            f"not B = {B}, T = {T}, rank {rank} of {world_size}, seed {seed}"
        )


def _check_ids(rows, vocab_size):
    if rows.max() >= vocab_size:
        found = f"id {rows.max()} is not below {vocab_size}"
        raise ShardError(f"{found}: `gpt2 prepare check` finds the shard")


def _check_enough(ring, T, B, world_size, name):
    there = ring.size // T
    if there < B * world_size:
        raise ShardError(
            f"the {ring.size:,} tokens of {name} are {there:,} sequences of {T}, "
            f"and {world_size} ranks want {B} each: lower the ranks, B or T"
        )
