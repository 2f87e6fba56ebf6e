"""The exercises of chapter 06: merge, encode, decode, a wrong repair, GPT-2's letters."""

import codecs
import re
import unicodedata
from collections import Counter, UserDict
from functools import reduce  # noqa: F401 — a wrong answer in the table uses it
from itertools import pairwise

import regex

from gpt2_tutorial.bpe import GPT2_PATTERN, bytes_to_unicode  # noqa: F401 — a wrong answer
from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


def merge_by_loops(ids, pair, new):
    merged, waits = [], False  # waits: the last one of `merged` could begin the pair
    for one in ids:
        if waits and one == pair[1]:
            merged[-1], waits = new, False
        else:
            merged.append(one)
            waits = one == pair[0]
    return merged


def rows_and_pairs(rng: Dice):
    """Rows of few different ids, so that pairs stand side by side and overlap."""
    yield [97, 97, 97], (97, 97), 256
    yield [97, 98, 97], (97, 98), 256
    yield [98, 97, 98, 97, 97, 98], (97, 98), 256
    yield [1, 2, 1, 2, 1, 3], (1, 2), 256
    yield [], (1, 2), 256
    for size in range(1, 21):
        pair = rng.choice([1, 2, 256]), rng.choice([1, 2])
        yield rng.choices([1, 2, 256], k=size), pair, 257


@exercise("06.1", hints={"raised": 2}, subgoal="merge", spec=merge_by_loops, inputs=rows_and_pairs)
def merge(ids, pair, new):
    # [1, 2, 1, 2, 3], (1, 2), 256 → [256, 256, 3]; a new list
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def encode_by_loops(ids, merges):
    for pair in sorted(merges.data, key=merges.get):  # there or not; `data`: nobody takes note
        ids = merge_by_loops(ids, pair, merges[pair])
    return ids


class Merges(UserDict):
    """Merges that note whether somebody goes through them, instead of looking one up."""

    gone_through = False

    def __iter__(self):
        self.gone_through = True
        return super().__iter__()


def encoded(encode, ids, merges):
    """The ids, and a remark where nothing can be merged and all merges were tried."""
    merges = Merges(merges)
    made = encode(ids, merges)
    return (made, "every merge tried") if merges.gone_through and made == ids else made


def learned(row: list[int], wanted: int) -> dict[tuple[int, int], int]:
    """Merges of a short row, as training would find them."""
    merges = {}
    for new in range(256, 256 + wanted):
        counts = Counter(pairwise(row))
        if not counts:
            break
        pair = max(counts, key=lambda p: (counts[p], p))
        row, merges[pair] = merge(row, pair, new), new
    return merges


def rows_and_merges(rng: Dice):
    """Small cases where order matters, then merges learned from rows of four letters.

    The ids of the word “here” are those of the chapter: they do not run 256, 257, 258.
    """
    here = {(104, 101): 257, (114, 101): 264, (32, 257): 292, (257, 114): 335, (292, 114): 410}
    yield list(b" here"), here
    yield list(b"abc"), {(98, 99): 256, (97, 98): 257}
    yield list(b"abc"), {(98, 99): 256, (97, 256): 257, (97, 98): 258}
    yield list(b"x"), here
    yield [], here
    for size in range(4, 26):
        yield rng.choices(b"abcd", k=size), learned(rng.choices(b"abcd", k=4 * size), 10)


@exercise(
    "06.2", subgoal="encode", spec=encode_by_loops, inputs=rows_and_merges, observe=encoded,
    hints={"raised": 2},
)  # fmt: skip
def encode(ids, merges):
    # ids: a list of bytes; merges: {(left, right): new}, oldest first
    # → a list of ids in which no pair is left that has a merge
    ids = list(ids)
    while True:
        found = [pair for pair in pairwise(ids) if pair in merges]
        if not found:
            return ids
        pair = min(found, key=merges.get)  # the one learned first
        i = list(pairwise(ids)).index(pair)
        ids[i : i + 2] = [merges[pair]]


def decode_by_loops(ids, tokens):
    decoder, text = codecs.getincrementaldecoder("utf-8")("replace"), ""
    for i in ids:
        for byte in tokens[i]:  # one at a time; the decoder waits for whole characters
            text += decoder.decode(bytes([byte]))
    return text + decoder.decode(b"", final=True)


SIGNS = "牛😉éaz ,"
BYTES = [bytes([b]) for b in sorted(set(SIGNS.encode()))]


def ids_and_tokens(rng: Dice):
    """Ids of short texts; some tokens end inside a character, and some texts break off."""
    tokens = [*BYTES, *["牛".encode()[:2], "😉".encode()[2:], b"az", "é".encode()]]
    longest_first = b"|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))

    def ids_of(data):
        return [tokens.index(part) for part in re.findall(longest_first, data)]

    yield ids_of(b"az, a"), tokens
    yield ids_of("牛".encode()), tokens
    yield ids_of("牛".encode())[:1], tokens
    yield [], tokens
    for size in range(1, 21):
        ids = ids_of("".join(rng.choices(SIGNS, k=size)).encode())
        yield ids[: -1 if size % 4 == 0 else None], tokens


@exercise("06.3", subgoal="decode", spec=decode_by_loops, inputs=ids_and_tokens)
def decode(ids, tokens):
    # tokens[i] holds the bytes of id i; returns a str, with � for broken bytes
    data = b"".join(tokens[i] for i in ids)
    return data.decode("utf-8", errors="replace")


def kind(character: str) -> str:
    """Letter, number, space or other, by the first letter of its Unicode category."""
    if character.isspace():
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(character)[0], "other")


def pieces_by_loops(text):
    cut, i = [], 0
    while i < len(text):
        begin = i
        if text[i] == " " and i + 1 < len(text) and kind(text[i + 1]) != "space":
            i += 1
        run = kind(text[i])
        while i < len(text) and kind(text[i]) == run:
            i += 1
        cut.append(text[begin:i])
    return cut


WORDS = ("café", "naïve", "牛", "Ωmega", "it's", "x²", "½", "2024", "...", "--", "\n", "snake_case")
WORDS += ("über", "R2D2", "¿qué?", "day", "night", "Straße", "٣", "=")
WORDS += ("l'été", "(é)", "!½", "(2)", "a牛b", "नमस्ते")  # punctuation, then a letter or number


def texts_of_the_world(rng: Dice):
    """Short texts with letters and numbers from far beyond a to z and 0 to 9."""
    yield from ("to be", "café", "Ωmega ½ x² snake_case ٣!", "2½!")
    yield from ("l'été", "!½", "(2)", "a牛b नमस्ते", "")
    for size in range(1, 21):
        yield rng.choice(["", " "]) + rng.choice([" ", "  "]).join(rng.choices(WORDS, k=size))


@exercise("06.4", subgoal="split", spec=pieces_by_loops, inputs=texts_of_the_world)
def pieces(text):
    # re said “bad escape \p”, so somebody wrote a-zA-Z for \p{L}
    return regex.findall(r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", text)


value_exercise(
    "06.5", __name__, subgoal="choose", stub='answer = None  # for example ["ne", "new"]',
    solution='answer = ["st", "est"]',
)  # fmt: skip


def to_bytes_by_loops(spelled):
    table, found = bytes_to_unicode(), []
    for letter in spelled:
        for byte in range(256):
            if table[byte] == letter:
                found.append(byte)
    return bytes(found)


def spelled_tokens(rng: Dice):
    """Tokens in GPT-2's letters: a word, ’ and 牛 in pieces, then random bytes."""
    letters = list(bytes_to_unicode().values())
    yield from ("mole", "Ġmole", "ĊĊ", "âĢĻ", "çīĽ", "")
    for size in range(1, 20):
        yield "".join(rng.choices(letters, k=size))


@exercise("06.6", subgoal="letters", spec=to_bytes_by_loops, inputs=spelled_tokens)
def to_bytes(spelled):
    # "Ġmole" → b" mole": from GPT-2's letters back to bytes
    byte_of = {letter: byte for byte, letter in bytes_to_unicode().items()}
    return bytes(byte_of[letter] for letter in spelled)


value_exercise(
    "06.7", __name__, subgoal="order", stub='answer = None  # for example "ABCDEF"',
    solution='answer = "DAFCEB"',
)  # fmt: skip
