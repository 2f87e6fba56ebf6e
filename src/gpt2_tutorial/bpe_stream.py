"""A text that comes in chunks, encoded as if it were whole, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gpt2_tutorial.bpe_input import special_pattern, whole_characters

AT_ONCE = 65_536  # characters


def encode_stream(
    chunks: Iterable[str],
    encode: Callable[[str], list[int]],
    splitter: Any,
    names: list[str],
) -> Iterator[int]:
    """Yield the ids that `encode` would give for all the chunks joined.

    `splitter` cuts as `encode` does; `names` are the special tokens that it allows.

    >>> list(encode_stream(["a", "b"], lambda text: [*text.encode()], None, []))
    [97, 98]
    """
    held, fresh, size = "", [], 0
    for chunk in chunks:
        fresh.append(chunk)
        size += len(chunk)
        if size >= max(len(held), AT_ONCE):  # what is held doubles at least
            text, half = without_half("".join([held, *fresh]))
            cut = safe_cut(text, splitter, names)
            yield from encode(text[:cut])
            held, fresh, size = text[cut:] + half, [], 0
    yield from encode("".join([held, *fresh]))


def without_half(text: str) -> tuple[str, str]:
    """Take the first half of a character off the end, if there is one.

    >>> without_half("a\\ud83d")
    ('a', '\\ud83d')
    """
    end = len(text) - ("\ud800" <= text[-1:] <= "\udbff")
    return whole_characters(text[:end]), text[end:]


def safe_cut(text: str, splitter: Any, names: list[str]) -> int:
    """Find a place where text can be cut, whatever comes after it.

    A piece that has not ended is held back whole: `encode` needs it whole as well.
    With another pattern than GPT-2's no rule says where a piece must end, so that
    only a special token makes the text before it safe.

    >>> from types import SimpleNamespace
    >>> safe_cut("one<end>two", SimpleNamespace(is_gpt2=False), ["<end>"])
    8
    """
    # A special token may begin in the last characters and end after them: what
    # begins before `sure` is decided, and cannot be a longer special token.
    start, sure = 0, len(text) + 1 - max(map(len, names), default=1)
    for special in special_pattern(names).finditer(text) if names else ():
        if special.start() < sure:
            start = special.end()
    if not splitter.is_gpt2:
        return start
    # Behind the last special token the text is cut into blocks and those into
    # pieces. A cut is safe if the text before it, encoded alone, and the whole text,
    # whatever follows, have the same pieces there. GPT-2's pattern never looks back,
    # so that what comes after the cut needs no proof. It looks ahead three times:
    # - ' may be 's or 're: three characters decide, and two more pieces hold two;
    # - letters, digits or signs go on as far as they can: the next piece ends them;
    # - white space leaves its last character to what follows, but at the end of a
    #   text keeps it: a cut behind it would change it, a cut before it does not.
    # Where a block begins the cut is safe as well: it takes that last space along.
    *_, block = "", *splitter.blocks(text[start:sure])
    decided = splitter.pieces(block)[:-2]
    while decided and decided[-1].isspace():
        decided.pop()
    return max(start, sure - len(block) + sum(map(len, decided)))
