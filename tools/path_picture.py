"""Draw the path through the book: `python tools/path_picture.py`; `--check` only compares.

The losses come from what the chapters measured (results/measured), and places and words from here.
Written are a wide and a tall picture, light and dark, for README.md, and both for the front door,
where they take the page's colours.
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

from kept import keep

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "book" / "_pictures"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
THEMES = {
    "light": {"text": "#1f2328", "muted": "#57606a", "page": "#ffffff", "surface": "#f0f3f6"},
    "dark": {"text": "#d9dfe6", "muted": "#9ea9b5", "page": "#0d1117", "surface": "#1b2128"},
}
THEMES["light"] |= {"a": "#0b5cad", "b": "#a2520a", "c": "#0a653a"}
THEMES["dark"] |= {"a": "#79b8ff", "b": "#f0b072", "c": "#8fd19e"}
PAGE = {name: f"var(--{name})" for name in THEMES["light"]}
LOOK = """\
.path text{{font-size:14px;font-family:{font};fill:{text}}}
.path .quiet{{fill:{muted}}}
.path .strong{{font-weight:700}}
.path .band{{fill:{surface}}}
.path .road{{fill:none;stroke:{a};stroke-width:3;stroke-linejoin:round}}
.path .on{{stroke-dasharray:2 7;stroke-linecap:round}}
.path .dot{{fill:{page};stroke:{a};stroke-width:3}}
.path .paid{{fill:{a}}}
.path .best{{fill:{c};stroke:{c}}}
.path .wall{{fill:none;stroke:{b};stroke-width:2;stroke-dasharray:7 4}}
.path .counted{{fill:{b}}}
.path .gpu{{fill:{c}}}
"""


class Part(NamedTuple):
    """A part of the book: its letter, its name, its first and its last chapter."""

    letter: str
    name: str
    first: int
    last: int


class Stop(NamedTuple):
    """A model on the road: its chapter, its row on the board, its words, where they stand."""

    chapter: str
    row: str
    words: str
    x: float = 0
    y: float = 0
    anchor: str = "middle"


PARTS = (
    Part("A", "Guessing", 0, 2),
    Part("B", "Learning", 3, 5),
    Part("C", "Tokens", 6, 6),
    Part("D", "Attention", 7, 9),
    Part("E", "GPT-2", 10, 13),
    Part("F", "Training for real", 14, 17),
)
ROAD = (
    Stop("00", "uniform guess", "a blind guess", 12, 5, "start"),
    Stop("00", "letter frequencies", "counted letters", 18, -10, "start"),
    Stop("01", "bigram counts", "pairs of letters", 8, -40, "start"),
    Stop("02", "bigram, learned", "the same, learned", -6, 21),
    Stop("05", "MLP, 8 characters", "a small network", 4, -46),
    Stop("07", "one head, 32 characters", "one head", 0, -30),
    Stop("08", "four heads, 32 characters", "four heads", 10, -26, "start"),
    Stop("10", "three GPT-2 blocks", "GPT-2’s blocks", 10, -26, "start"),
    Stop("12", "Simple-GPT, laptop", "your own GPT", 0, 22),
)
WALL = Stop("01", "Kneser–Ney, 5 characters", "the best that counting can do")
UNIT = "the loss, in nats a letter: lower is better"
LATER = {"06": "GPT-2’s tokens", "11": "GPT-2 itself: 124M numbers", "17": "eight GPUs"}


def losses(folder: Path = ROOT / "results" / "measured") -> dict[str, float]:
    """Read what each model of the board paid, by its name."""
    rows = []
    for file in sorted(folder.glob("*.json")):
        rows += json.loads(file.read_text(encoding="utf-8"))["scoreboard"]
    return {row["name"]: row["val"] for row in rows}


def said(paid: dict[str, float]) -> str:
    """Say the picture in a sentence, for those who do not see it."""
    stops = ", ".join(f"{stop.words} {paid[stop.row]:.2f}" for stop in ROAD)
    return (
        f"The path from chapter 00 to chapter 17 and the price in nats a letter: {stops}. "
        f"{WALL.words.capitalize()} is {paid[WALL.row]:.2f}. "
        f"Then GPT-2 itself, with 124 million numbers, and its training on eight GPUs."
    )


def element(name: str, inside: str = "", **attributes: object) -> str:
    """Write one element; `class_` is its class.

    >>> element("text", "a & b", x=1.25, class_="quiet")
    '<text x="1.2" class="quiet">a &amp; b</text>'
    """
    shown = {
        key.rstrip("_").replace("_", "-"): f"{value:.1f}".removesuffix(".0")
        if isinstance(value, float)
        else value
        for key, value in attributes.items()
    }
    words = "".join(f' {key}="{value}"' for key, value in shown.items())
    text = escape(inside, quote=False) if name == "text" else inside
    return f"<{name}{words}>{text}</{name}>" if text else f"<{name}{words}/>"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    extra = {"class_": kind} if kind else {}
    return element("text", words, x=float(x), y=float(y), text_anchor=anchor, **extra)


def rect(x: float, y: float, width: float, height: float, kind: str, rx: int = 2) -> str:
    size = {"width": float(width), "height": float(height)}
    return element("rect", x=float(x), y=float(y), **size, rx=rx, class_=kind)


def line(points: list[tuple[float, float]], kind: str) -> str:
    shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=shown, class_=kind)


def framed(body: list[str], size: tuple[int, int], name: str, label: str, style: str) -> str:
    """Put a drawing into its SVG."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="path path-{name}" '
        f'viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}" '
        f'role="img" aria-label="{escape(label)}">'
    )
    return "\n".join([head, f"<style>\n{style}</style>", *body, "</svg>"]) + "\n"


def eight(x: float, y: float) -> list[str]:
    """Draw eight GPUs in two rows, from the upper left corner on."""
    return [rect(x + 17 * (i % 4), y + 17 * (i // 4), 13, 13, "gpu") for i in range(8)]


def wide(paid: dict[str, float]) -> tuple[list[str], tuple[int, int]]:
    """Draw chapters from left to right, and the loss downwards."""
    width, top, bottom, step = 820, 44, 330, 43.3
    highest, lowest = max(paid[s.row] for s in ROAD), min(paid[s.row] for s in ROAD)

    def at(stop: Stop) -> tuple[float, float]:
        fallen = (highest - paid[stop.row]) / (highest - lowest)
        return across(int(stop.chapter)), top + 22 + fallen * (bottom - top - 72)

    def across(chapter: float) -> float:
        return 42 + step * chapter

    body = []
    for part in PARTS:
        left, right = across(part.first - 0.46), across(part.last + 0.46)
        body.append(rect(left, top - 14, right - left, bottom - top + 14, "band", 6))
        middle = (left + right) / 2
        body.append(text(middle, bottom + 20, part.letter, "strong", "middle"))
        body.append(text(middle, bottom + 38, part.name, "quiet", "middle"))
    body.append(text(across(-0.46), 18, UNIT, "quiet"))
    (left, height), end = at(WALL), across(13.4)
    body.append(line([(left, height), (end, height)], "wall"))
    body.append(text(across(2.6), height + 18, f"{WALL.words}: {paid[WALL.row]:.2f}", "counted"))
    points = [at(stop) for stop in ROAD]
    last = points[-1]
    body.append(line(points, "road"))
    body.append(line([last, (across(17) - 68, last[1])], "road on"))
    for stop, (x, y) in zip(ROAD, points, strict=True):
        kind = "dot best" if stop is ROAD[-1] else "dot"
        body.append(element("circle", cx=x, cy=y, r=5, class_=kind))
        place = x + stop.x, y + stop.y
        body.append(text(*place, f"{paid[stop.row]:.2f}", "strong", stop.anchor))
        body.append(text(place[0], place[1] + 16, stop.words, "", stop.anchor))
    body += eight(across(17) - 58, last[1] - 15)
    body.append(text(across(17) - 26, last[1] + 38, LATER["17"], "strong", "middle"))
    body.append(text(across(11.5), top + 30, "GPT-2 itself:", "strong", "middle"))
    body.append(text(across(11.5), top + 47, "124 million numbers", "", "middle"))
    return body, (width, bottom + 50)


def tall(paid: dict[str, float]) -> tuple[list[str], tuple[int, int]]:
    """Draw the same for a phone: one row for each model, with the loss as a bar."""
    left, right, y = 150, 318, 40
    scale = (right - left) / max(paid[stop.row] for stop in ROAD)
    wall = left + scale * paid[WALL.row]
    body = [text(0, 14, UNIT, "quiet")]
    for part in PARTS:
        body.append(text(0, y + 12, f"{part.letter} · {part.name}", "strong"))
        y += 24
        for number in range(part.first, part.last + 1):
            for stop in (stop for stop in ROAD if int(stop.chapter) == number):
                length = scale * paid[stop.row]
                kind = "paid best" if stop is ROAD[-1] else "paid"
                body.append(text(12, y + 12, stop.words))
                body.append(rect(left, y, length, 16, kind))
                body.append(text(left + length + 6, y + 13, f"{paid[stop.row]:.2f}", "strong"))
                y += 24
            if (name := f"{number:02d}") in LATER:
                body.append(text(12, y + 12, LATER[name]))
                y += 24
        y += 6
    body += eight(left - 40, y - 36)
    body.append(line([(wall, 34), (wall, y - 6.0)], "wall"))
    body.append(text(0, y + 14, f"{WALL.words}: {paid[WALL.row]:.2f}", "counted"))
    return body, (360, y + 24)


def written(paid: dict[str, float]) -> dict[str, str]:
    """Draw every picture, by the name of its file."""
    label, files, page = said(paid), {}, []
    for name, draw in (("wide", wide), ("tall", tall)):
        body, size = draw(paid)
        for theme, colours in THEMES.items():
            style = LOOK.format(font=FONT, **colours)
            files[f"path-{name}-{theme}.svg"] = framed(body, size, name, label, style)
        page.append(framed(body, size, name, label, LOOK.format(font="inherit", **PAGE)))
    return files | {"path.html": "".join(page)}


def main(words: list[str]) -> int:
    """Write the pictures, or say which ones are old."""
    return keep(FOLDER, written(losses()), "path_picture", check="--check" in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
