"""The grammar of numbers in prose: `3.35<!-- m:00.letters_val -->`."""

import re
from dataclasses import dataclass
from decimal import Decimal

from drift import plan
from drift.prose import HEADING, line_of, with_comments

SPACE = "(?:[ \u00a0\u202f\u2009]|&nbsp;)"
MARKER = r"<!--\s*(?:m|log|plan|ref|=):[\s\S]*?-->"


def _with_markers(closing: str) -> re.Pattern[str]:
    return re.compile(
        r"(?<![^\W_])(?<!\d\.)"  # not inside a word, not the tail of a version
        r"(?P<number>[-+\u2212]?(?:\d+(?:,\d{3})*(?:\.\d+)?|(?<!\.)\.\d+)(?:e[-+]?\d+)?)"
        r"(?!\d|\.\d|,\d{3})"  # not the head of a version
        rf"(?P<tail>(?P<percent>{SPACE}?(?:%|per ?cent\b))?{closing})"
        rf"(?P<markers>(?:{SPACE}?{MARKER})*)"
    )


NUMBER = _with_markers("[*_]*")
IN_HTML = _with_markers(r"(?:</\w+>)*")  # where the stars have become tags
LABELLED = re.compile(rf"(?:(?<![A-Za-z])(?:{plan.LABELS})[ \u00a0]?(?:[<>=~≥≤]+[ \u00a0]?)?|==)$")


@dataclass(frozen=True)
class Number:
    """A number as the prose has it, with the sources that stand behind it."""

    text: str
    sources: tuple[str, ...]
    line: int
    in_heading: bool = False

    def agrees_with(self, value: float) -> bool:
        """Whether `value`, rounded to the digits of the prose, is this number.

        >>> Number("3.35", (), 1).agrees_with(3.3512), Number("3.36", (), 1).agrees_with(3.3512)
        (True, False)
        """
        written = Decimal(self.text.replace(",", "").replace("\u2212", "-"))
        half_a_digit = Decimal(5).scaleb(written.as_tuple().exponent - 1)
        gap = abs(Decimal(repr(float(value))) - written)
        return gap <= half_a_digit


def sources_in(comments: str) -> tuple[str, ...]:
    found = re.findall(r"<!--([\s\S]*?)-->", comments)
    return tuple(" ".join(comment.split()) for comment in found)


def is_claim(match: re.Match[str]) -> bool:
    """A decimal or a percentage that is no version, no label; or anything with a marker."""
    before = match.string[: match.start("number")]
    if before.rfind("<!--") > before.rfind("-->"):  # inside a comment
        return False
    if match["markers"]:
        return True
    if "." not in match["number"] and not match["percent"]:
        return False
    return not LABELLED.search(match.string, max(0, match.start() - 40), match.start())


def numbers_in(markdown: str) -> list[Number]:
    """Every number that needs a source or has one.

    >>> [n.text for n in numbers_in("On Python 3.11: 51 % of 1,000, so 0.5<!-- m:00.a -->.")]
    ['51', '0.5']
    """
    text = with_comments(markdown)
    heading_lines = {line_of(text, match.start(1)) for match in HEADING.finditer(text)}
    found = []
    for match in filter(is_claim, NUMBER.finditer(text)):
        line = line_of(text, match.start("number"))
        sources = sources_in(match["markers"])
        found.append(Number(match["number"], sources, line, line in heading_lines))
    return found


def stray_markers(markdown: str) -> list[tuple[str, int]]:
    """Markers that stand behind no number, with their lines."""
    text = with_comments(markdown)
    used = [match.span("markers") for match in NUMBER.finditer(text) if match["markers"]]
    return [
        (sources_in(match[0])[0], line_of(text, match.start()))
        for match in re.finditer(MARKER, text)
        if not any(start <= match.start() < end for start, end in used)
    ]
