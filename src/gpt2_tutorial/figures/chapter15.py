"""The pictures of chapter 15."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    SKY,
    VERMILLION,
    YELLOW,
    Picture,
    bare,
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

    return Picture(draw, height=0.36 * rows + 0.4)


def moments_of_a_save(tried: Sequence[tuple[str, int]], old: int, new: int) -> Picture:
    """A time line of one save: before each touch of the disk a kill, and what was found after it.

    `tried` holds (what was about to happen, the step that was found) in order.
    """

    def draw(ax):
        bare(ax)
        last = len(tried) - 1
        ax.annotate("", (last + 0.8, 0), (-0.8, 0), arrowprops={"arrowstyle": "-|>"})
        for i, (what, found) in enumerate(tried):
            is_new = found == new
            ax.plot([i, i], [0, 0.35], color=BLACK, linewidth=0.8)
            look = {"color": GREEN if is_new else BLUE, "markersize": 9}
            ax.plot(i, 0.55, "s" if is_new else "o", **look)
            ax.plot(i, 0, "x", color=VERMILLION, markersize=7, markeredgewidth=2)
            ax.text(i, -0.3, what, rotation=90, ha="center", va="top", fontsize=9.5)
        change = next((i for i, (_, found) in enumerate(tried) if found == new), last + 1)
        ax.text((change - 1) / 2, 1.0, f"● step {old} is found, whole", ha="center", color=BLUE)
        if change <= last:
            ax.plot([change - 0.5] * 2, [-0.15, 1.5], color=BLACK, linestyle=(0, (4, 3)))
            place = (change + last) / 2
            ax.text(place, 1.55, f"■ step {new}", ha="center", color=GREEN)
        ax.text(-0.8, 1.55, "× kill just before", color=VERMILLION)
        ax.set_xlim(-1.0, last + 1.6)
        ax.set_ylim(-2.9, 2.0)

    return Picture(draw, height=2.7)


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
            ax.text(0.99, 0.97 - 0.09 * line, text, color=color, ha="right", va="top",
                    transform=ax.transAxes)  # fmt: skip
        ax.set_xlabel("step")
        ax.set_ylabel("loss in nats")

    return Picture(draw, height=3.3)
