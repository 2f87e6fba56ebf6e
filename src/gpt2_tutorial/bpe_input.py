"""What a tokenizer can be given: texts, special tokens, merges, files. The rest is refused."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import regex

_FORMAT = "gpt2_tutorial.bpe 1"
_LISTS = ("merges", "byte_order", "special_tokens")
_ALL_TOKENS = 1 << 26  # bytes; a short file could describe tokens without end
_LONGEST_PATTERN = 2_000  # characters; those of published tokenizers have 200
_MOST_REPEATS = 10_000  # a{100} within (…){100}: each becomes a node in memory
# What begins with a backslash is one sign: \(, \p{L}. The rest may be more than it seems.
_ESCAPED = re.compile(r"(?s)\\(?:[pPNLgxuU]\{[^}]*\}|.)")
_CALL = re.compile(r"\(\?(?:R|[+-]?[0-9]|&|P>)")  # (?R): the whole pattern again, in itself
_FUZZY = re.compile(r"\{[^}]*[eids][^}]*\}")  # {e<=3}: with three mistakes
_COUNT = re.compile(r"\{[^}]*?([0-9]+)\s*\}|\{\s*([0-9]+)\s*,\s*\}")
_SAMPLE = "a" * 200 + " \n" * 100 + "".join(map(chr, range(32, 592))) + "'ll 1" * 40


def whole_characters(text: str) -> str:
    """Join characters that came in two halves; half a character becomes �.

    >>> whole_characters("a\\ud83d\\ude09 b\\ud83d")
    'a😉 b�'
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def special_names(special_tokens: Iterable[str]) -> list[str]:
    """List the special tokens; refuse what could not be found in a text.

    >>> special_names(("<|endoftext|>",))
    ['<|endoftext|>']
    """
    if isinstance(special_tokens, str):
        raise TypeError(f"put {special_tokens!r} into a list of special tokens")
    names = list(special_tokens)
    for name in names:
        if not isinstance(name, str) or not name or whole_characters(name) != name:
            raise ValueError(f"{name!r} cannot be a special token")
    if len(set(names)) < len(names):
        raise ValueError(f"a special token is there twice: {names}")
    return names


def allowed_names(names: Iterable[str], special_tokens: dict[str, int]) -> list[str]:
    """List the special tokens that a text may hold; refuse those that nobody knows.

    >>> allowed_names(["<end>"], {"<end>": 256})
    ['<end>']
    """
    names = list(names)
    for name in names:
        if name not in special_tokens:
            raise ValueError(f"{name!r} is no special token of this tokenizer")
    return names


def special_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Look for special tokens; of two that begin alike the longer one counts.

    >>> special_pattern(["<a>", "<a><b>"]).findall("<a><b><a>")
    ['<a><b>', '<a>']
    """
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


def split_specials(text: str, names: list[str]) -> list[str]:
    """Cut special tokens out of a text: they get the odd places of the list.

    >>> split_specials("one<end>two", ["<end>"])
    ['one', '<end>', 'two']
    """
    return special_pattern(names).split(text) if names else [text]


def all_tokens(byte_order: bytes, merges: list[tuple[int, int]]) -> list[bytes]:
    """Write out the bytes of every id; refuse merges that make no sense.

    >>> all_tokens(bytes(range(256)), [(104, 105), (256, 33)])[256:]
    [b'hi', b'hi!']
    """
    if sorted(byte_order) != list(range(256)):
        raise ValueError("byte_order must hold each of the 256 bytes once")
    tokens, size = [bytes([b]) for b in byte_order], 0
    for new, (left, right) in enumerate(merges, 256):
        if not (0 <= left < new and 0 <= right < new):
            raise ValueError(f"the merge {left}, {right} must join ids below {new}")
        size += len(tokens[left]) + len(tokens[right])
        if size > _ALL_TOKENS:
            raise ValueError(f"all tokens together exceed {_ALL_TOKENS} bytes")
        tokens.append(tokens[left] + tokens[right])
    if len(set(tokens)) < len(tokens):
        raise ValueError("two merges make the same token")
    return tokens


def tried_pattern(pattern: str) -> str:
    """Refuse a pattern of a file that may take all memory or time; try the rest.

    >>> tried_pattern(r"(?R)")
    Traceback (most recent call last):
    ValueError: the pattern '(?R)' calls itself
    """
    shown, plain = ascii(pattern[:60]), _ESCAPED.sub("", pattern)
    repeats = math.prod(int(a or b) or 1 for a, b in _COUNT.findall(plain))
    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(f"the pattern has more than {_LONGEST_PATTERN:,} characters")
    if _CALL.search(plain):
        raise ValueError(f"the pattern {shown} calls itself")
    if _FUZZY.search(plain):
        raise ValueError(f"the pattern {shown} finds what only resembles it")
    if repeats > _MOST_REPEATS:
        raise ValueError(f"the pattern {shown} repeats more than {_MOST_REPEATS:,} times")
    try:
        regex.compile(pattern).findall(_SAMPLE, timeout=2)
    except (TimeoutError, MemoryError, regex.error, OverflowError) as error:
        raise ValueError(f"the pattern {shown} cannot be used: {error}") from None
    return pattern


def file_text(tokenizer: Any) -> str:
    """Write what `file_parts` reads.

    >>> from types import SimpleNamespace
    >>> parts = {"pattern": ".", "merges": [], "byte_order": b"", "special_tokens": {}}
    >>> file_text(SimpleNamespace(**parts))[:50]
    '{"format": "gpt2_tutorial.bpe 1", "pattern": ".", '
    """
    content = {"format": _FORMAT, "pattern": tried_pattern(tokenizer.pattern)}
    content |= {part: list(getattr(tokenizer, part)) for part in _LISTS}
    return json.dumps(content)


def file_parts(text: bytes) -> dict[str, Any]:
    """Take the parts of a tokenizer out of a file's text; refuse all else.

    >>> content = {"format": _FORMAT, "pattern": ".", "merges": [[97, 98]]}
    >>> content |= {"byte_order": [], "special_tokens": []}
    >>> file_parts(json.dumps(content).encode())["merges"]
    [[97, 98]]
    """
    content = json.loads(text.decode())
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise ValueError("save did not write it")
    kinds = {"pattern": str} | dict.fromkeys(_LISTS, list)
    if {part: type(value) for part, value in content.items()} != kinds:
        raise ValueError(f"it must have {', '.join(kinds)} and nothing else")
    tried_pattern(content["pattern"])
    for pair in content["merges"]:
        if not isinstance(pair, list) or [type(i) for i in pair] != [int, int]:
            raise ValueError(f"the merge {str(pair)[:40]} is not a pair of ids")
    return content
