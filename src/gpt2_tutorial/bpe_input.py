"""What a tokenizer can be given: texts, special tokens, merges, files. The rest is refused.

Files are those of `BPETokenizer.save`, and of Hugging Face where they cut a text as we do.
"""

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
END_OF_TEXT = "<|endoftext|>"
# What a tokenizer.json may say of its model without cutting a text in another way than we do.
_PLAIN = {
    "dropout": (None, 0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "fuse_unk": (None, False),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}


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


def end_of_text(tokenizer: Any) -> int | None:
    """Find the id that ends a text: by its name, or the only special token; else None.

    >>> from types import SimpleNamespace
    >>> end_of_text(SimpleNamespace(special_tokens={"<|user|>": 298, "<|endoftext|>": 299}))
    299
    """
    special = getattr(tokenizer, "special_tokens", {})
    only = next(iter(special.values())) if len(special) == 1 else None
    return special.get(END_OF_TEXT, only)


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


def file_parts(text: bytes, letters: dict[int, str], pattern: str) -> dict[str, Any]:
    """Take the parts of a tokenizer out of a file's text; refuse all else.

    `letters` spell the bytes, and `pattern` cuts, where Hugging Face's file means GPT-2's.

    >>> content = {"format": _FORMAT, "pattern": ".", "merges": [[97, 98]]}
    >>> content |= {"byte_order": [], "special_tokens": []}
    >>> file_parts(json.dumps(content).encode(), {}, "")["merges"]
    [[97, 98]]
    """
    content = json.loads(text.decode("utf-8-sig"))
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        return hugging_face_parts(content, letters, pattern)
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


def hugging_face_parts(
    content: dict[str, Any], letters: dict[int, str], pattern: str
) -> dict[str, Any]:
    """Take them out of a tokenizer.json of Hugging Face; refuse one that cuts otherwise.

    >>> hugging_face_parts({"model": {"type": "WordPiece"}}, {}, "")
    Traceback (most recent call last):
    ValueError: its model is 'WordPiece', and only BPE is read here
    """
    model = content["model"]
    if model.get("type", "BPE") != "BPE":
        raise ValueError(f"its model is {model['type']!r:.40}, and only BPE is read here")
    for name, plain in _PLAIN.items():
        if model.get(name) not in plain:
            raise ValueError(f"its {name} is {model[name]!r:.40}, which is not done here")
    if content.get("normalizer") is not None:
        raise ValueError("it changes the text with a normalizer, which is not done here")
    for name in ("post_processor", "decoder"):
        part = content.get(name)
        if part is not None and _type(part) != "ByteLevel" and not _adds_nothing(part):
            raise ValueError(f"its {name} is {_type(content[name])}, which is not done here")
    pattern = _pattern_of(content.get("pre_tokenizer"), pattern)
    added = content.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise ValueError("its added_tokens are no list of tokens")
    names = {token.get("content"): token.get("id") for token in added}
    parts = spelled_parts(model.get("vocab"), model.get("merges"), names, letters)
    if unmade := [name for name in parts["special_tokens"] if name not in names]:
        raise ValueError(f"no merge makes its token {unmade[0]!r:.40}")
    return parts | {"pattern": tried_pattern(pattern)}


def spelled_parts(
    vocabulary: Any, merges: Any, added: dict[Any, Any], letters: dict[int, str]
) -> dict[str, Any]:
    """Find bytes, merges and special tokens in a vocabulary that is spelled in letters.

    >>> letters = {b: chr(256 + b) for b in range(256)}
    >>> words = [letters[b] for b in range(256)] + [letters[104] + letters[105], "<end>"]
    >>> vocabulary = {word: i for i, word in enumerate(words)}
    >>> parts = spelled_parts(vocabulary, [words[104] + " " + words[105]], {}, letters)
    >>> parts["merges"], parts["special_tokens"]
    ([(104, 105)], ['<end>'])
    """
    if not isinstance(vocabulary, dict) or not isinstance(merges, list):
        raise ValueError("it must have a vocabulary {…} and a list of merges")
    id_of = dict(vocabulary)
    for name, i in added.items():
        if id_of.setdefault(name, i) != i:
            raise ValueError(f"{name!r:.40} has the ids {id_of[name]!r:.20} and {i!r:.20}")
    word = {i: name for name, i in id_of.items() if type(i) is int}
    if len(word) != len(id_of) or sorted(word) != list(range(len(word))):
        raise ValueError("its ids are not the numbers from 0 up, each once")
    byte_of = {letter: b for b, letter in letters.items()}
    if not all(word.get(i) in byte_of for i in range(256)):
        raise ValueError("its first 256 tokens are not the bytes, as they are here")
    pairs = []
    for new, merge in enumerate(merges, 256):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or len(pair) != 2 or not all(p in id_of for p in pair):
            raise ValueError(f"the merge {merge!r:.40} is not a pair of tokens")
        if word.get(new) != pair[0] + pair[1]:
            raise ValueError(
                f"its token {new} is {word.get(new)!r:.40} and not {pair[0] + pair[1]!r:.40}: "
                "its ids stand in another order than those of its merges"
            )
        pairs.append((id_of[pair[0]], id_of[pair[1]]))
    rest = [word[i] for i in range(256 + len(pairs), len(word))]
    order = bytes(byte_of[word[i]] for i in range(256))
    return {"merges": pairs, "special_tokens": rest, "byte_order": order}


def _type(part: Any) -> str:
    return f"{part.get('type')!r:.40}".strip("'") if isinstance(part, dict) else "no object"


def _adds_nothing(part: Any) -> bool:
    """Whether it is a template of the text alone, as transformers writes it."""
    if _type(part) != "TemplateProcessing" or not isinstance(single := part.get("single"), list):
        return False
    return [list(step) for step in single] == [["Sequence"]]


def _pattern_of(cut: Any, gpt2: str) -> str:
    """The pattern by which a tokenizer.json cuts a text into pieces."""
    steps = cut.get("pretokenizers") if _type(cut) == "Sequence" else [cut]
    steps = steps if isinstance(steps, list) else [None]
    kinds = [_type(step) for step in steps]
    if kinds[-1:] == ["ByteLevel"] and not steps[-1].get("add_prefix_space", True):
        own = steps[-1].get("use_regex", True)
        if kinds == ["ByteLevel"] and own:
            return gpt2
        isolated = ("Isolated", False)  # what the pattern finds, and what is left: pieces all
        if kinds == ["Split", "ByteLevel"] and not own:
            split = steps[0]
            regex = split.get("pattern")
            regex = regex.get("Regex") if isinstance(regex, dict) else None
            if isinstance(regex, str) and (split.get("behavior"), split.get("invert")) == isolated:
                return regex
    raise ValueError(f"its pre_tokenizer {cut!r:.60} is none of those that are read here")
