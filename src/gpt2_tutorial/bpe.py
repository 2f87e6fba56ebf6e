"""Byte-pair encoding: learn tokens from a text, cut text into them (chapter 06)."""

import heapq
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, pairwise, repeat
from operator import index
from pathlib import Path

import regex

from gpt2_tutorial import assets, files
from gpt2_tutorial.bpe_input import (
    all_tokens,
    allowed_names,
    file_parts,
    file_text,
    special_names,
    split_specials,
    whole_characters,
)
from gpt2_tutorial.bpe_stream import encode_stream

GPT2_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d"
    r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
_ASCII_PATTERN = (  # the same where all is ASCII; Python's own re does it faster
    r" [A-Za-z]++|[A-Za-z]++|'(?:[sdmt]|re|ve|ll)|[^\sA-Za-z0-9]++"
    r"| [^\sA-Za-z0-9]++|[0-9]++| [0-9]++|\s+(?!\S)|\s+"
)
# Before a space that a letter or a sign follows, GPT-2's pattern always cuts.
_BLOCKS = re.compile(r"(?s).{4000}.*?(?= \S)|.+")
_BYTES = bytes(range(256))
_WALL = -1  # stands between two pieces, where an id would stand
_GONE = -2  # stands where an id was that has been merged
_NEVER = 1 << 60  # the rank of a pair that is never merged
_LONG_PIECE = 200  # bytes


def bytes_to_unicode() -> dict[int, str]:
    """Give every byte a letter that can be seen, in the order of GPT-2's ids.

    >>> letter = bytes_to_unicode()
    >>> letter[ord("A")], letter[ord(" ")], letter[ord("\\n")]
    ('A', 'Ġ', 'Ċ')
    """
    kept = [b for b in _BYTES if chr(b).isprintable() and chr(b) != " "]
    moved = [b for b in _BYTES if b not in kept]
    letters = {b: chr(b) for b in kept}
    return letters | {b: chr(256 + i) for i, b in enumerate(moved)}


class _Splitter:
    """Cuts a text into pieces, block by block, and leaves nothing out."""

    def __init__(self, pattern):
        try:
            self.slow = self.fast = regex.compile(pattern)
        except (regex.error, ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{pattern!r} is no pattern: {error}") from None
        if self.slow.groups:
            raise ValueError(f"write (?:…) instead of (…) in {pattern!r}")
        self.is_gpt2 = pattern == GPT2_PATTERN
        if self.is_gpt2:
            self.fast = re.compile(_ASCII_PATTERN, re.ASCII)

    def __call__(self, text):
        return chain.from_iterable(map(self.pieces, self.blocks(text)))

    def blocks(self, text):
        return _BLOCKS.findall(text) if self.is_gpt2 else [text]

    def pieces(self, block):
        found = (self.fast if block.isascii() else self.slow).findall(block)
        if not self.is_gpt2 and "".join(found) != block:
            pattern = self.slow.pattern
            raise ValueError(f"{pattern!r} leaves out a part of {block[:40]!r}")
        return found


class _Row:
    """Pieces in one row with walls between, and for every pair where it stands."""

    def __init__(self, pieces):
        self.ids, self.times = [_WALL], [0]
        for piece, times in pieces.items():
            self.ids += [*piece, _WALL]
            self.times += [times] * (len(piece) + 1)
        # Nothing ever moves up: each place knows the next one that still counts.
        places = list(range(len(self.ids)))
        self.after, self.before = [*places[1:], 0], [0, *places[:-1]]
        self.places, self.counts = defaultdict(list), defaultdict(int)
        for place, pair in enumerate(pairwise(self.ids)):
            if _WALL not in pair:
                self.note(pair, place)

    def note(self, pair, place):
        self.places[pair].append(place)
        self.counts[pair] += self.times[place]

    def merge(self, pair, new):
        """Write `new` wherever the pair stands; return the pairs that this made."""
        (left, right), ids, made = pair, self.ids, set()
        for i in sorted(self.places.pop(pair)):  # from the left: aaa becomes (aa)a
            j = self.after[i]
            if ids[i] != left or ids[j] != right:
                continue  # the note is old: another merge has taken one of the two
            h, k = self.before[i], self.after[j]  # h i j k become h i k
            ids[i], ids[j] = new, _GONE
            self.after[i], self.before[k] = k, i
            # The pairs (h, left) and (right, k) are gone, (h, new) and (new, k) are
            # here. Old notes of their places stay: the line above passes over them.
            if ids[h] != _WALL:
                self.counts[ids[h], left] -= self.times[i]
                self.note((ids[h], new), h)
                made.add((ids[h], new))
            if ids[k] != _WALL:
                self.counts[right, ids[k]] -= self.times[i]
                self.note((new, ids[k]), i)
                made.add((new, ids[k]))
        del self.counts[pair]
        return made


def _learn_merges(pieces, wanted):
    """Merge the most frequent pair, `wanted` times or until no pair is left."""
    row, merges = _Row(pieces), []
    # A heap hands out the smallest, so all in it is negative. The 1 that ends a
    # token makes the longer of two that begin alike the greater one.
    token = [(-b, 1) for b in _BYTES]

    def entry(pair):
        return -row.counts[pair], token[pair[0]], token[pair[1]], pair

    heap = [entry(pair) for pair in row.counts]
    heapq.heapify(heap)
    while heap and len(merges) < wanted:
        count, _, _, pair = heapq.heappop(heap)
        if -count == row.counts[pair]:
            made = row.merge(pair, new=256 + len(merges))
            merges.append(pair)
            token.append(token[pair[0]][:-1] + token[pair[1]])
        else:
            made = {pair}  # it grew rarer since it was put in: put it in anew
        for one in made:
            if row.counts[one]:
                heapq.heappush(heap, entry(one))
    return merges


def _merge_short(ids, rank):
    """Merge the pair of the lowest rank, again and again, until none has a rank."""
    row, rank_of = [_WALL, *ids, _WALL], rank.get
    ranks = list(map(rank_of, pairwise(row), repeat(_NEVER)))
    while (lowest := min(ranks)) != _NEVER:
        i = ranks.index(lowest)
        row[i] = lowest
        del row[i + 1], ranks[i]  # so on both sides there are other pairs now
        ranks[i - 1] = rank_of((row[i - 1], lowest), _NEVER)
        ranks[i] = rank_of((lowest, row[i + 1]), _NEVER)
    return row[1:-1]


def _merge_long(ids, rank):
    """Do the same without looking at every pair again after every merge."""
    row = _Row({ids: 1})
    waiting = [(rank[pair], pair) for pair in row.counts if pair in rank]
    heapq.heapify(waiting)
    while waiting:
        new, pair = heapq.heappop(waiting)
        for made in row.merge(pair, new):
            if made in rank:
                heapq.heappush(waiting, (rank[made], made))
    return [i for i in row.ids if i >= 0]


class _Pieces(dict):
    """The ids of each piece; what is not in there yet is worked out."""

    def __init__(self, merges, byte_order):
        self.rank = {pair: new for new, pair in enumerate(merges, 256)}
        self.byte_id = bytes(byte_order.index(b) for b in _BYTES)
        self.whole = {}

    def __missing__(self, piece):
        data = piece.encode()
        token = self.whole.get(data)
        ids = self.merged(data) if token is None else (token,)
        if len(piece) + len(ids) <= 48:  # so that a full one stays below 50 MB
            if len(self) >= 65_536:
                self.clear()
            self[piece] = ids
        return ids

    def merged(self, data):
        merge = _merge_short if len(data) <= _LONG_PIECE else _merge_long
        return tuple(merge(data.translate(self.byte_id), self.rank))


class BPETokenizer:
    """Text to ids and back, with tokens that were learned from a text.

    >>> tokenizer = BPETokenizer.train("hugs hug pug pun bun", vocab_size=258)
    >>> tokenizer.encode("hugs"), tokenizer.decode([104, 256])
    ([104, 256, 115], 'hug')
    """

    def __init__(
        self,
        merges: Iterable[tuple[int, int]],
        special_tokens: Iterable[str] = (),
        pattern: str = GPT2_PATTERN,
        byte_order: bytes = _BYTES,
    ):
        self.pattern, self.byte_order = pattern, bytes(byte_order)
        self.merges = [(index(left), index(right)) for left, right in merges]
        self.tokens = all_tokens(self.byte_order, self.merges)
        names = enumerate(special_names(special_tokens), len(self.tokens))
        self.special_tokens = {name: i for i, name in names}
        self.tokens += [name.encode() for name in self.special_tokens]
        self.vocab_size = len(self.tokens)
        self._split = _Splitter(self.pattern)
        self._pieces = _Pieces(self.merges, self.byte_order)

    def _look_up_whole_pieces(self):
        """Skip the merges of a piece that is a token: learned merges lead there."""
        tokens = self.tokens[: 256 + len(self.merges)]
        self._pieces.whole = {token: i for i, token in enumerate(tokens)}

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        special_tokens: Iterable[str] = (),
        pattern: str = GPT2_PATTERN,
    ) -> "BPETokenizer":
        """Merge the most frequent pair until there are `vocab_size` tokens."""
        names, split = special_names(special_tokens), _Splitter(pattern)
        wanted = index(vocab_size) - 256 - len(names)
        if wanted < 0:
            need = f"256 bytes and {len(names)} special tokens"
            raise ValueError(f"vocab_size {vocab_size} is too small for {need}")
        counted = Counter()
        for part in split_specials(whole_characters(text), names)[::2]:
            counted.update(split(part))
        pieces = {piece.encode(): times for piece, times in counted.items()}
        tokenizer = BPETokenizer(_learn_merges(pieces, wanted), names, pattern)
        tokenizer._look_up_whole_pieces()
        return tokenizer

    def encode(self, text: str, allowed_special: Iterable[str] = ()) -> list[int]:
        """Cut text into tokens; special tokens are ordinary text unless allowed."""
        ids, names = [], allowed_names(allowed_special, self.special_tokens)
        parts = split_specials(whole_characters(text), names)
        for place, part in enumerate(parts):
            if place % 2:
                ids.append(self.special_tokens[part])
            else:
                pieces = map(self._pieces.__getitem__, self._split(part))
                ids.extend(chain.from_iterable(pieces))
        return ids

    def encode_iterable(
        self, chunks: Iterable[str], allowed_special: Iterable[str] = ()
    ) -> Iterator[int]:
        """Yield the ids that `encode` would give for all the chunks joined."""
        names = allowed_names(allowed_special, self.special_tokens)
        encode = partial(self.encode, allowed_special=names)
        yield from encode_stream(chunks, encode, self._split, names)

    def decode(self, ids: Iterable[int]) -> str:
        """Join the bytes of the ids; bytes that are no whole character become �."""
        ids, size = [index(i) for i in ids], self.vocab_size
        wrong = [i for i in ids if not 0 <= i < size]
        if wrong:
            raise ValueError(f"id {wrong[0]} is not between 0 and {size - 1}")
        return b"".join(map(self.tokens.__getitem__, ids)).decode(errors="replace")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer as JSON; the file is there whole or not at all."""
        files.write_whole(Path(path), file_text(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "BPETokenizer":
        """Read what `save` wrote, or a tokenizer.json that cuts as we do."""
        try:
            text, letters = Path(path).read_bytes(), bytes_to_unicode()
            return BPETokenizer(**file_parts(text, letters, GPT2_PATTERN))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is no tokenizer to load: {error}") from None


class GPT2Tokenizer(BPETokenizer):
    """GPT-2's own tokenizer: 256 bytes, 50,000 merges and one special token.

    >>> GPT2Tokenizer().encode("Hello world")
    [15496, 995]
    """

    def __init__(self):
        letter = bytes_to_unicode()
        id_of = {spelled: i for i, spelled in enumerate(letter.values())}
        merges = []
        for line in assets.read_text("vocab.bpe").split("\n")[1:-1]:
            left, right = line.split(" ")
            merges.append((id_of[left], id_of[right]))
            id_of[left + right] = len(id_of)
        super().__init__(merges, ["<|endoftext|>"], byte_order=bytes(letter))
        self._look_up_whole_pieces()
