"""The exercises of chapter 06: merge, encode, decode, a wrong repair, GPT-2's letters."""

import codecs
import random
import re
import unicodedata
from collections import Counter
from itertools import pairwise

import regex

from gpt2_tutorial.bpe import GPT2_PATTERN, bytes_to_unicode
from gpt2_tutorial.checks.engine import exercise


def merge(ids, pair, new):
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merge_by_loops(ids, pair, new):
    merged, waits = [], False  # waits: the last one of `merged` could begin the pair
    for one in ids:
        if waits and one == pair[1]:
            merged[-1], waits = new, False
        else:
            merged.append(one)
            waits = one == pair[0]
    return merged


def rows_and_pairs(rng: random.Random):
    """Rows of few different ids, so that pairs stand side by side and overlap."""
    yield [97, 97, 97], (97, 97), 256
    yield [97, 98, 97], (97, 98), 256
    yield [98, 97, 98, 97, 97, 98], (97, 98), 256
    yield [1, 2, 1, 2, 1, 3], (1, 2), 256
    yield [], (1, 2), 256
    for size in range(1, 21):
        ids = [rng.choice([1, 2, 256]) for _ in range(size)]
        yield ids, (rng.choice([1, 2, 256]), rng.choice([1, 2])), 257


def merge_with_steps(ids, pair, new, after_pair=2, limit=0):
    """The loop of merge with another step after a pair, or an end that comes too early."""
    merged, i = [], 0
    while i < len(ids) - limit:
        found = tuple(ids[i : i + 2]) == pair
        merged.append(new if found else ids[i])
        i += after_pair if found else 1
    return merged


def merge_in_place(ids, pair, new):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new]
        i += 1
    return ids


def merge_once(ids, pair, new):
    for i, found in enumerate(pairwise(ids)):
        if found == pair:
            return [*ids[:i], new, *ids[i + 2 :]]
    return list(ids)


def merge_past_the_end(ids, pair, new, looks_first=False):
    """Ask for the right neighbour of the last id, always or only behind a left half."""
    merged, i = [], 0
    while i < len(ids):
        if (not looks_first or ids[i] == pair[0]) and (ids[i], ids[i + 1]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def merge_every_overlap(ids, pair, new):
    found = [p == pair for p in pairwise(ids)]
    merged = []
    for i, one in enumerate(ids):
        if i < len(found) and found[i]:
            merged.append(new)
        elif not (i and found[i - 1]):
            merged.append(one)
    return merged


@exercise("06.1", subgoal="merge")
class Merge:
    stub = (
        "def merge(ids, pair, new):\n"
        "    # [1, 2, 1, 2, 3], (1, 2), 256 → [256, 256, 3]; a new list\n"
        "    ..."
    )
    solution = merge
    spec = merge_by_loops
    inputs = rows_and_pairs
    mutants = {
        "overlapping": (
            merge_every_overlap,
            "In aaa you found the pair aa twice, but the middle a can be used once only. After a "
            "merge, go on behind both.",
        ),
        "right half stays": (
            lambda ids, pair, new: merge_with_steps(ids, pair, new, after_pair=1),
            "The right half of the pair is still there, behind the new id. After a merge, step "
            "over two places.",
        ),
        "skips the last": (
            lambda ids, pair, new: merge_with_steps(ids, pair, new, limit=1),
            "The last id gets lost when it is no part of a pair. Your loop stops one place early.",
        ),
        "in place": (
            merge_in_place,
            "The result is right, but you changed the list that was handed in. The caller still "
            "needs it: build a new one.",
        ),
        "only the first": (
            merge_once,
            "You merged the first place and stopped. The pair may stand in many places.",
        ),
        "from the right": (
            lambda ids, pair, new: merge_by_loops(ids[::-1], pair[::-1], new)[::-1],
            "You merged from the right, so aaa became a + aa. The rule is from the left: aa + a.",
        ),
        "either order": (
            lambda ids, pair, new: [
                one
                for i, one in enumerate(merge_by_loops(ids, pair, new))
                if one == new or not i or one != pair[1]
            ],
            "You dropped right halves that stand alone. An id goes only when its left half stood "
            "before it.",
        ),
        "list and tuple": (
            lambda ids, pair, new: list(ids),
            "Nothing was merged. A slice such as ids[i : i + 2] is a list, pair is a tuple, and a "
            "list never equals a tuple: write tuple(...) around the slice.",
        ),
        "past the end": (
            merge_past_the_end,
            "The last id has no right neighbour, so ids[i + 1] fails there. A slice, "
            "ids[i : i + 2], does not mind.",
        ),
        "past the end behind a left half": (
            lambda ids, pair, new: merge_past_the_end(ids, pair, new, looks_first=True),
            "Where the last id is a left half, you ask for its neighbour, and there is none. A "
            "slice, ids[i : i + 2], does not mind.",
        ),
    }
    hints = {"overlapping": 2, "right half stays": 2, "raised": 2}
    hints |= {"list and tuple": 2, "past the end": 2, "past the end behind a left half": 2}


def encode(ids, merges):
    ids = list(ids)
    while True:
        found = [pair for pair in pairwise(ids) if pair in merges]
        if not found:
            return ids
        pair = min(found, key=merges.get)  # the one learned first
        i = list(pairwise(ids)).index(pair)
        ids[i : i + 2] = [merges[pair]]


def encode_by_loops(ids, merges):
    for pair, new in merges.items():  # in the order in which they were learned
        ids = merge_by_loops(ids, pair, new)
    return ids


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


def rows_and_merges(rng: random.Random):
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
        row = [rng.choice(b"abcd") for _ in range(4 * size)]
        yield [rng.choice(b"abcd") for _ in range(size)], learned(row, 10)


def first_found(ids, merges, choose):
    """Encode with another rule for which pair comes next."""
    ids = list(ids)
    while found := [pair for pair in pairwise(ids) if pair in merges]:
        pair = choose(found, merges)
        i = list(pairwise(ids)).index(pair)
        ids[i : i + 2] = [merges[pair]]
    return ids


def spelled_out(id, merges):
    """The bytes of an id, as a tuple."""
    pair = {new: pair for pair, new in merges.items()}.get(id)
    return sum((spelled_out(half, merges) for half in pair), ()) if pair else (id,)


def first_found_everywhere(ids, merges):
    """Merge the first pair from the left that has a merge, in all its places."""
    while pair := next((pair for pair in pairwise(ids) if pair in merges), None):
        ids = merge(ids, pair, merges[pair])
    return list(ids)


def pass_after_pass(ids, merges):
    """Go from the left, merge whatever has a merge, and begin again until nothing changes."""
    made, before = list(ids), None
    while made != before:
        before, made, i = made, [], 0
        while i < len(before):
            new = merges.get(tuple(before[i : i + 2]))
            made.append(before[i] if new is None else new)
            i += 1 if new is None else 2
    return made


def replay(ids, merges):
    row = "".join(map(chr, ids))
    for new, (left, right) in enumerate(merges, 256):
        row = row.replace(chr(left) + chr(right), chr(new))
    return [ord(one) for one in row]


def never_empty(ids, merges):
    """Ask for the lowest pair without asking whether there is one."""
    ids = list(ids)
    while True:
        pair = min((pair for pair in pairwise(ids) if pair in merges), key=merges.get)
        i = list(pairwise(ids)).index(pair)
        ids[i : i + 2] = [merges[pair]]


def longest_first(ids, merges):
    token = {spelled_out(new, merges): new for new in merges.values()}
    made, rest = [], tuple(ids)
    while rest:
        size = next((n for n in range(len(rest), 1, -1) if rest[:n] in token), 1)
        made.append(token.get(rest[:size], rest[0]))
        rest = rest[size:]
    return made


def pairs_of_the_start(ids, merges):
    for pair in sorted(set(pairwise(ids)) & set(merges), key=merges.get):
        ids = merge(ids, pair, merges[pair])
    return list(ids)


def left_to_right_once(ids, merges):
    made = []
    for one in ids:
        if made and (made[-1], one) in merges:
            made[-1] = merges[made[-1], one]
        else:
            made.append(one)
    return made


@exercise("06.2", subgoal="encode")
class Encode:
    stub = (
        "def encode(ids, merges):\n"
        "    # ids: a list of bytes; merges: {(left, right): new}, oldest first\n"
        "    # → a list of ids in which no pair is left that has a merge\n"
        "    ..."
    )
    solution = encode
    spec = encode_by_loops
    inputs = rows_and_merges
    mutants = {
        "any order": (
            lambda ids, merges: first_found(ids, merges, lambda found, _: found[0]),
            "You took the first pair from the left; take the one with the lowest new id.",
        ),
        "most frequent first": (
            lambda ids, merges: first_found(
                ids, merges, lambda found, m: max(found, key=lambda p: (found.count(p), -m[p]))
            ),
            "You merged the pair that is most frequent in *this* text. That rule is for training; "
            "here the merges have an order already.",
        ),
        "longest match": (
            longest_first,
            "You took the longest token that fits, from the left. These are tokens too, but not "
            "those that the merges lead to.",
        ),
        "newest first": (
            lambda ids, merges: first_found(ids, merges, lambda found, m: max(found, key=m.get)),
            "You took the merge that was learned last. It is the lowest new id that goes first.",
        ),
        "pairs of the start": (
            pairs_of_the_start,
            "You looked once which pairs are there. A merge makes new pairs: look again each time.",
        ),
        "one pass": (
            left_to_right_once,
            "You went through the row once and merged with the neighbour on the left. An older "
            "merge further right may have a claim on the same id.",
        ),
        "any order, everywhere": (
            first_found_everywhere,
            "You took the first pair from the left and merged it everywhere. Of the pairs that are "
            "there, the one with the lowest new id goes first.",
        ),
        "pass after pass": (
            pass_after_pass,
            "You went from the left again and again, and merged whatever has a merge. One merge at "
            "a time: the lowest new id in the whole row.",
        ),
        "replay": (
            replay,
            "You replayed, and counted the new ids from 256. Their ids stand in `merges`: take "
            "merges[pair], and look only at pairs that are there.",
        ),
        "min of nothing": (
            never_empty,
            "min() of nothing is an error. When no pair is left that has a merge, return the ids.",
        ),
    }
    hints = dict.fromkeys(["any order", "any order, everywhere", "pass after pass"], 2)
    hints |= dict.fromkeys(["longest match", "replay", "min of nothing", "raised"], 2)


def decode(ids, tokens):
    data = b"".join(tokens[i] for i in ids)
    return data.decode("utf-8", errors="replace")


def decode_by_loops(ids, tokens):
    decoder, text = codecs.getincrementaldecoder("utf-8")("replace"), ""
    for i in ids:
        for byte in tokens[i]:  # one at a time; the decoder waits for whole characters
            text += decoder.decode(bytes([byte]))
    return text + decoder.decode(b"", final=True)


SIGNS = "牛😉éaz ,"
BYTES = [bytes([b]) for b in sorted(set(SIGNS.encode()))]


def ids_and_tokens(rng: random.Random):
    """Ids of short texts; some tokens end inside a character, and some texts break off."""
    tokens = [*BYTES, *["牛".encode()[:2], "😉".encode()[2:], b"az", "é".encode()]]
    whole = {token: i for i, token in enumerate(tokens)}

    def ids_of(data):
        ids = []
        while data:
            size = next(n for n in (3, 2, 1) if data[:n] in whole)
            ids.append(whole[data[:size]])
            data = data[size:]
        return ids

    yield ids_of(b"az, a"), tokens
    yield ids_of("牛".encode()), tokens
    yield ids_of("牛".encode())[:1], tokens
    yield [], tokens
    for size in range(1, 21):
        data = "".join(rng.choices(SIGNS, k=size)).encode()
        ids = ids_of(data)
        yield ids[: -1 if size % 4 == 0 else None], tokens


@exercise("06.3", subgoal="decode")
class Decode:
    stub = (
        "def decode(ids, tokens):\n"
        "    # tokens[i] holds the bytes of id i; returns a str, with � for broken bytes\n"
        "    ..."
    )
    solution = decode
    spec = decode_by_loops
    inputs = ids_and_tokens
    mutants = {
        "each on its own": (
            lambda ids, tokens: "".join(tokens[i].decode("utf-8", errors="replace") for i in ids),
            "You decoded each token by itself, so a character that two tokens share becomes �. "
            "Join the bytes first, then decode once.",
        ),
        "ignores errors": (
            lambda ids, tokens: b"".join(tokens[i] for i in ids).decode("utf-8", errors="ignore"),
            "Broken bytes vanish without a trace. Put a � where something is missing: "
            'errors="replace".',
        ),
        "each on its own, ignoring": (
            lambda ids, tokens: "".join(tokens[i].decode("utf-8", errors="ignore") for i in ids),
            "Each token was decoded by itself and what did not fit was dropped: whole characters "
            "are gone. Join first, then decode.",
        ),
        "strict": (
            lambda ids, tokens: b"".join(tokens[i] for i in ids).decode("utf-8"),
            "Right until a text breaks off in the middle of a character; then it raises. A model "
            "may stop anywhere, so ask for � instead.",
        ),
        "a letter for each byte": (
            lambda ids, tokens: b"".join(tokens[i] for i in ids).decode("latin-1"),
            "You turned every byte into a letter of its own. That is right for English only; "
            "UTF-8 uses up to four bytes for one character.",
        ),
        "spaces between": (
            lambda ids, tokens: b" ".join(tokens[i] for i in ids).decode("utf-8", errors="replace"),
            "There are spaces between your tokens. The tokens bring their own.",
        ),
    }
    hints = {"each on its own": 2}


def pieces(text):
    return regex.findall(r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", text)


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


def texts_of_the_world(rng: random.Random):
    """Short texts with letters and numbers from far beyond a to z and 0 to 9."""
    yield ("to be",)
    yield ("café",)
    yield ("Ωmega ½ x² snake_case ٣!",)
    yield ("2½!",)
    yield ("",)
    for size in range(1, 21):
        yield (rng.choice(["", " "]) + rng.choice([" ", "  "]).join(rng.choices(WORDS, k=size)),)


@exercise("06.4", subgoal="split")
class WrongRepair:
    stub = (
        "def pieces(text):\n"
        "    # re said “bad escape \\p”, so somebody wrote a-zA-Z for \\p{L}\n"
        '    return re.findall(r" ?[a-zA-Z]+| ?[0-9]+| ?[^\\sa-zA-Z0-9]+|\\s+", text)'
    )
    solution = pieces
    spec = pieces_by_loops
    inputs = texts_of_the_world
    mutants = {
        "still a to z": (
            lambda text: re.findall(r" ?[a-zA-Z]+| ?[0-9]+| ?[^\sa-zA-Z0-9]+|\s+", text),
            "An é is still no letter here: café falls apart into caf and é. The package `regex` "
            "knows \\p{{L}}, every letter there is.",
        ),
        "Western letters": (
            lambda text: re.findall(r" ?[a-zA-ZÀ-ÿ]+| ?[0-9]+| ?[^\sa-zA-ZÀ-ÿ0-9]+|\s+", text),
            "You added the letters of Western Europe. Ω and 牛 are letters as well; no list of "
            "yours will be complete.",
        ),
        "word characters": (
            lambda text: re.findall(r" ?\w+| ?[^\s\w]+|\s+", text),
            "\\w takes letters, digits and _ together, so R2D2 stays one piece. Letters and "
            "numbers should part.",
        ),
        "minus digits": (
            lambda text: re.findall(r" ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+", text),
            "[^\\W\\d_] is a good trick, but it takes ½ and ² for letters: they are numbers "
            "without being digits.",
        ),
        "no space in front": (
            lambda text: regex.findall(r"\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+|\s+", text),
            "The space before a word stands alone. The ` ?` in front of each part takes it along.",
        ),
        "leaves out": (
            lambda text: regex.findall(r" ?\p{L}+| ?\p{N}+|\s+", text),
            "Punctuation is gone: findall leaves out what no part matches. Joined, the pieces must "
            "be the whole text.",
        ),
        "digits": (
            lambda text: regex.findall(r" ?\p{L}+| ?\d+| ?[^\s\p{L}\d]+|\s+", text),
            "The letters are right. But \\d knows digits only, so 2½! falls into 2 and ½!. "
            "\\p{{N}} takes every number.",
        ),
        "only the letters": (
            lambda text: regex.findall(r" ?\p{L}+| ?[0-9]+| ?[^\s\p{L}0-9]+|\s+", text),
            "The letters are right. But 0-9 is the same mistake once more: ½ and ٣ are numbers as "
            "well, and \\p{{N}} takes them all.",
        ),
        "GPT-2's own": (
            lambda text: regex.findall(GPT2_PATTERN, text),
            "That is GPT-2's whole pattern. Here there is no 's, and one rule for blanks.",
        ),
        "word characters of regex": (
            lambda text: regex.findall(r" ?\w+| ?[^\s\w]+|\s+", text),
            "The right package, but \\w takes letters, digits and _ together. Write \\p{{L}} for "
            "the letters and \\p{{N}} for the numbers.",
        ),
        "word characters for letters": (
            lambda text: regex.findall(r" ?\w+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+", text),
            "\\w stands where \\p{{L}} should: it takes digits and _ before \\p{{N}} has its turn.",
        ),
    }
    hints = dict.fromkeys(["still a to z", "digits", "only the letters"], 2)
    hints |= dict.fromkeys(["word characters of regex", "word characters for letters"], 2)


@exercise("06.5", subgoal="choose")
class NextMerge:
    stub = 'answer = None  # for example ["ne", "new"]'
    solution = ["st", "est"]
    solution_text = 'answer = ["st", "est"]'
    mutants = {
        "tie the other way": (
            ["es", "est"],
            "es and st both come 9 times. Our tie rule takes the pair that is later in the "
            "dictionary: s comes after e.",
        ),
        "forgot the merge": (
            ["st", "es"],
            "The first is right. But after it there is no es left: the e stands before st now.",
        ),
        "forgot the counts": (
            ["ow", "low"],
            "You counted each word once. A pair counts as often as its words do.",
        ),
        "next word": (
            ["st", "we"],
            "The first is right. we has 8; look for a pair that has more, with st in it.",
        ),
        "we first": (
            ["we", "st"],
            "we comes 2 + 6 = 8 times. Two pairs come more often: look in newest and in widest.",
        ),
        "the other order": (
            ["est", "st"],
            "These two it is, but a merge joins two neighbours: est needs a part that is made "
            "before it.",
        ),
        "whole words": (
            ["new", "newest"],
            "A merge joins two neighbours. Nothing has three letters yet.",
        ),
        "first letters": (
            ["lo", "low"],
            "lo comes 7 times. Count es and st, in the newest and the widest.",
        ),
    }


def to_bytes(spelled):
    byte_of = {letter: byte for byte, letter in bytes_to_unicode().items()}
    return bytes(byte_of[letter] for letter in spelled)


def to_bytes_by_loops(spelled):
    table, found = bytes_to_unicode(), []
    for letter in spelled:
        for byte in range(256):
            if table[byte] == letter:
                found.append(byte)
    return bytes(found)


def spelled_tokens(rng: random.Random):
    """Tokens in GPT-2's letters: a word, ’ and 牛 in pieces, then random bytes."""
    letters = list(bytes_to_unicode().values())
    for known in ("mole", "Ġmole", "ĊĊ", "âĢĻ", "çīĽ", ""):
        yield (known,)
    for size in range(1, 20):
        yield ("".join(rng.choices(letters, k=size)),)


@exercise("06.6", subgoal="letters")
class Letters:
    stub = (
        "def to_bytes(spelled):\n"
        '    # "Ġmole" → b" mole": from GPT-2\'s letters back to bytes\n'
        "    ..."
    )
    solution = to_bytes
    spec = to_bytes_by_loops
    inputs = spelled_tokens
    mutants = {
        "only Ġ": (
            lambda spelled: spelled.replace("Ġ", " ").replace("Ċ", "\n").encode(),
            "You put back the space and the line end. The other letters are spellings as well: â "
            "stands for byte 226, not for the two bytes of â.",
        ),
        "as text": (
            lambda spelled: spelled.encode(),
            "You encoded the letters as if they were text. Each of them stands for one byte.",
        ),
        "minus 256": (
            lambda spelled: bytes(ord(letter) % 256 for letter in spelled),
            "256 less is right for Ġ, because all bytes before the space have moved. It is wrong "
            "from byte 127 on.",
        ),
        "upside down": (
            lambda spelled: bytes(list(bytes_to_unicode().values()).index(x) for x in spelled),
            "That is the *place* of the letter in the table, GPT-2's id of it. The table's order "
            "is not the order of the bytes.",
        ),
    }


@exercise("06.7", subgoal="order")
class TrainingOrder:
    stub = 'answer = None  # for example "ABCDEF"'
    solution = "DAFCEB"
    solution_text = 'answer = "DAFCEB"'
    mutants = {
        "counts once": (
            "DACFEB",
            "You count once, before the loop. Every merge changes the counts, so count in each "
            "round.",
        ),
        "starts over": (
            "DFACEB",
            "With A inside the loop every round begins with bytes again, and the merges so far are "
            "lost.",
        ),
        "cuts in the loop": (
            "FDACEB",
            "With D and A inside the loop every round cuts the text anew, and the merges so far "
            "are lost.",
        ),
        "chooses once": (
            "DACEFB",
            "You choose once, before the loop, so every round merges the same pair. Count and "
            "choose in each round.",
        ),
        "merges first": ("DAFBCE", "B merges a pair that has not been chosen yet."),
        "chooses first": ("DAFECB", "E chooses by the counts, and C makes them."),
        "bytes first": (
            "ADFCEB",
            "A needs the pieces that D makes. Text is cut while it still is text.",
        ),
    }
