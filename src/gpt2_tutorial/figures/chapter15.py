"""The pictures of chapter 15."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import ACROSS, chip, go, panel, say, sheet
from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    HALO,
    ORANGE,
    PALE,
    SKY,
    SMALL,
    VERMILLION,
    YELLOW,
    Picture,
    bare,
    tint,
)

FIELDS = (PALE, SKY, YELLOW, GREEN, ORANGE, PALE, SKY, PALE, YELLOW, SKY, GREEN)
ROW = 16  # bytes


def shard_bytes(fields: Sequence[tuple[str, int]], tokens: Sequence[int]) -> Picture:
    """The bytes of a shard in rows of 16: named fields of the header, then two bytes a token."""
    header = sum(size for _, size in fields)
    rows = header // ROW + -(-2 * len(tokens) // ROW)

    def block(ax, start, size, text, face):
        for offset in range(start, start + size, ROW):  # a long field goes on in the next row
            wide = min(size, ROW)
            x, y = offset % ROW, -(offset // ROW)
            ax.add_patch(Rectangle((x, y - 1), wide, 1, facecolor=face, edgecolor=BLACK))
            label = text if offset == start else "…"
            ax.text(x + wide / 2, y - 0.5, label, ha="center", va="center")

    def draw(ax):
        bare(ax)
        start = 0
        for (name, size), face in zip(fields, FIELDS, strict=False):
            block(ax, start, size, name, face)
            start += size
        for i, token in enumerate(tokens):
            block(ax, header + 2 * i, 2, str(token), "white")
        for row in range(rows):
            ax.text(-0.3, -row - 0.5, str(row * ROW), ha="right", va="center")
        ax.text(-0.3, 0.45, "byte", ha="right", va="center")
        middle = header // ROW
        ax.text(ROW + 0.3, -middle / 2, "header", rotation=-90, ha="left", va="center")
        ax.text(ROW + 0.3, -middle - 0.5, "tokens", ha="left", va="center")
        ax.set_xlim(-1.6, ROW + 2.6)
        ax.set_ylim(-rows - 0.1, 0.9)

    return Picture(draw, height=0.44 * rows + 0.49)


def moments_of_a_save(tried: Sequence[tuple[str, int]], old: int, new: int) -> Picture:
    """A save from top to bottom: before each touch of the disk a kill, and what was found then.

    `tried` holds (what was about to happen, the step that was found) in order.
    """
    change = next((i for i, (_, found) in enumerate(tried) if found == new), len(tried))

    def draw(ax):
        say(ax, 66, 18, "killed just before", ha="left", fontweight="bold")
        say(ax, 420, 18, "found after the kill", fontweight="bold")
        for rows, said, color in (
            (range(change), f"step {old} stands\nwhile step {new}\nis written", SKY),
            (range(change, len(tried)), f"step {new} stands", GREEN),
        ):
            if rows:
                top = 34 + 30 * rows[0]
                panel(ax, 0, top + 1, ACROSS, 30 * len(rows) - 2, face=tint(color, 0.22))
                fits = len(rows) > said.count("\n")
                say(ax, 610, top + 15 * len(rows), said if fits else said.split("\n")[0])
        go(ax, (26, 36), (26, 32 + 30 * len(tried)), width=1.2)
        say(ax, 26, 18, "time", size=SMALL)
        for i, (what, found) in enumerate(tried):
            y = 34 + 30 * i + 15
            ax.plot(44, y, "x", color=VERMILLION, markersize=9, markeredgewidth=2.5)
            say(ax, 66, y, what, ha="left")
            go(ax, (290, y), (356, y), width=1)
            is_new = found == new
            look = {"edge": GREEN if is_new else BLUE, "fontweight": "bold" if is_new else "normal"}
            chip(ax, 420, y, f"step {found}", wide=104, high=25, **look)

    return sheet(draw, height=38 + 30 * len(tried))


def two_runs(
    whole: Mapping[int, float], parts: Sequence[Mapping[int, float]], other: Mapping[int, float]
) -> Picture:
    """The losses of a run, of the same run in parts, and of one that forgot something."""

    def draw(ax):
        ax.plot(list(whole), list(whole.values()), color=SKY, linewidth=6, solid_capstyle="butt")
        for part, mark in zip(parts, "ov^s", strict=False):
            ax.plot(list(part), list(part.values()), mark, color=BLACK, markersize=2.5)
        ax.plot(list(other), list(other.values()), color=VERMILLION, linestyle="--", linewidth=1.3)
        for part in parts[:-1]:
            end = max(part) + 0.5
            ax.axvline(end, color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
            ax.annotate("killed", (end, 0), (4, 4), xycoords=("data", "axes fraction"),
                        textcoords="offset points")  # fmt: skip
        for line, (text, color) in enumerate(
            (
                ("wide band: never killed", "#2B7FB0"),
                ("black marks: killed and resumed", BLACK),
                ("dashes: resumed with the weights alone", VERMILLION),
            )
        ):
            ax.text(0.99, 0.97 - 0.09 * line, text, color=color, ha="right", va="top", bbox=HALO,
                    transform=ax.transAxes)  # fmt: skip
        ax.set_xlabel("step")
        ax.set_ylabel("loss in nats")

    return Picture(draw, height=4.03)
