"""Draw README's moving picture: `python tools/moving_picture.py`; `--check` only compares.

On the left the small model writes, on the right a wrong answer is told by name. Both are what the
command and the checker really say, but for the tensors that the checker shows between its sentence
and its hint: there stands “…”. It plays once; whoever wants no motion sees its last frame.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout
from html import escape
from pathlib import Path
from typing import NamedTuple

from gpt2_tutorial.checks import load, run
from gpt2_tutorial.commands.cli import main as gpt2
from kept import keep

FOLDER = Path(__file__).resolve().parents[1] / "book" / "_pictures"
COMMAND = 'gpt2 sample --model simple-gpt --tokens 151 \\\n    --seed 1 --prompt "ROMEO:"'
EXERCISE, MISTAKE = "00.2", "log of the mean"
COLUMNS, ROWS = 48, 9
HALF, GAP, PAD, LINE, BAR = 404, 12, 16, 20, 30  # pixels
HEIGHT = BAR + ROWS * LINE + PAD
START = 0.4  # seconds
STYLE = """\
text{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
fill:#d9dfe6;white-space:pre}
.quiet{fill:#9ea9b5}
.typed{fill:#79b8ff}
.wrong{fill:#f0b072;font-weight:700}
rect{fill:#161b22;stroke:#3a424b}
@media (prefers-reduced-motion:no-preference){tspan{animation:come 1ms both}}
@keyframes come{from{fill-opacity:0}}
"""


class Line(NamedTuple):
    """A line of a half: its words, how they look, when they begin, and the wait at each letter."""

    words: str
    kind: str
    begin: float
    each: float = 0.0


def said_by_the_model() -> str:
    """Run the command as a reader would, and give what it prints."""
    page = io.StringIO()
    with redirect_stdout(page):
        gpt2(shlex.split(COMMAND.replace("\\\n", ""))[1:])
    return page.getvalue()


def said_by_the_checker() -> tuple[str, str]:
    """Give the wrong answer, without its comments, and how the checker begins and ends."""
    (found,) = (one for one in load(EXERCISE[:2]) if one.id == EXERCISE)
    mistake = found.mutants[MISTAKE]
    result = run(EXERCISE, mistake.answer)
    if result.mutant != MISTAKE:
        raise ValueError(f"The checker calls {MISTAKE!r} of {EXERCISE} {result.mutant!r}.")
    source = re.sub(r"\s+#.*", "", mistake.make.args[0]).strip()
    sentence, *_, hint = result.message.split("\n")
    return f'{source}\n\ncheck("{EXERCISE}", {found.name})', f"{sentence}\n  …\n{hint}"


def lines() -> tuple[list[Line], list[Line]]:
    """Lay out both halves in time; they begin together."""
    left, right, now = [], [], START
    texts = [(f"$ {COMMAND}", "typed", 0.03), (said_by_the_model(), "", 0.035)]
    code, message = said_by_the_checker()
    for text, kind, each in texts:
        for words in text.rstrip().split("\n"):
            left.append(Line(words, kind, now, each))
            now += each * len(words) + 0.1
    now = START
    for words in code.split("\n"):
        right.append(Line(words, "typed", now, 0.03))
        now += 0.03 * len(words) + 0.1
    now += 0.6
    for i, words in enumerate(message.split("\n")):
        for piece in textwrap.wrap(words, COLUMNS, subsequent_indent="  ", drop_whitespace=True):
            right.append(Line(piece, "" if i else "wrong", now))
        now += 0.3
    return left, right


def drawn(line: Line, x: float, y: float) -> str:
    """Write one line, in pieces that come at their time."""
    pieces = re.findall(r"\s*\S", line.words) if line.each else [line.words]
    shown, at = "", 0
    for piece in pieces:
        at += len(piece)
        delay = line.begin + line.each * at
        shown += f'<tspan style="animation-delay:{delay:.2f}s">{escape(piece, quote=False)}</tspan>'
    kind = f' class="{line.kind}"' if line.kind else ""
    return f'<text x="{x:g}" y="{y:g}"{kind} xml:space="preserve">{shown}</text>'


def halves(left: list[Line], right: list[Line], across: bool) -> Iterator[str]:
    """Draw a window for each half, side by side or one below the other."""
    titles = ("The model that you train in chapter 12", f"Exercise {EXERCISE}, answered wrongly")
    for i, (title, half) in enumerate(zip(titles, (left, right), strict=True)):
        if len(half) > ROWS or max(len(line.words) for line in half) > COLUMNS:
            raise ValueError(f"{title}: it does not fit {ROWS} lines of {COLUMNS} letters.")
        x, y = (i * (HALF + GAP), 0) if across else (0, i * (HEIGHT + GAP))
        yield f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{HALF - 1}" height="{HEIGHT}" rx="8"/>'
        yield f'<text x="{x + PAD}" y="{y + 22}" class="quiet">{title}</text>'
        for row, line in enumerate(half):
            if line.words:
                yield drawn(line, x + PAD, y + BAR + 20 + row * LINE)


def written() -> dict[str, str]:
    """Draw both forms, by the name of their file: for a wide page, and for a phone."""
    left, right = lines()
    words = "\n".join(line.words for line in [*left, *right])
    title = f"<title>{escape(words, quote=False)}</title>"
    sizes = {"wide": (2 * HALF + GAP, HEIGHT + 1), "tall": (HALF, 2 * HEIGHT + GAP + 1)}
    files = {}
    for name, (width, height) in sizes.items():
        size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        body = [head, title, f"<style>\n{STYLE}</style>", *halves(left, right, name == "wide")]
        files[f"moving-{name}.svg"] = "\n".join([*body, "</svg>", ""])
    return files


def main(words: list[str]) -> int:
    """Write the pictures, or say which ones are old."""
    return keep(FOLDER, written(), "moving_picture", check="--check" in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
