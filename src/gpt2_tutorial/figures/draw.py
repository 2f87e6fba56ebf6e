"""The words of the drawn pictures: chip, vector, matrix, arrow, road. All places are in pixels.

A sheet is as wide as the page's column, 704 pixels; y runs downwards, as on a page.
"""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from gpt2_tutorial.figures.style import (
    BLACK,
    PALE,
    SMALL,
    TEXT,
    WIDTH,
    Picture,
    ink,
    tint,
)

ACROSS = round(WIDTH * 96)
INK = {"linewidth": 1.2, "edgecolor": BLACK}


def sheet(draw: Callable[[Axes], None], height: float) -> Picture:
    """An empty sheet, `height` pixels high, on which `draw` draws.

    >>> sheet(lambda ax: say(ax, 352, 20, "Hi"), height=40).collisions
    []
    """

    def on(ax: Axes) -> None:
        ax.set_axis_off()
        ax.set_position((0, 0, 1, 1))
        ax.set_xlim(0, ACROSS)
        ax.set_ylim(height, 0)
        draw(ax)

    return Picture(on, height=height / 96)


def say(ax: Axes, x: float, y: float, text: str, *, size: float = TEXT, **kwargs) -> None:
    """Write `text` in the middle of (x, y); `color` is darkened until it can be read."""
    # One line stands on its base, so that neighbours with and without tails are level.
    look = {"va": "center" if "\n" in text else "center_baseline", "linespacing": 1.25}
    look |= {"ha": "center"} | kwargs
    if "color" in look:
        look["color"] = ink(look["color"])
    ax.text(x, y, text, fontsize=size, **look)


def chip(
    ax: Axes, x: float, y: float, text: str, *, wide: float = 62, high: float = 32,
    face: str = "white", edge: str = BLACK, size: float = TEXT, **kwargs,
) -> None:  # fmt: skip
    """A token, or any named thing: a text in a rounded box around (x, y)."""
    shape = "round,pad=0,rounding_size=7"
    corner = (x - wide / 2, y - high / 2)
    look = INK | {"facecolor": face, "edgecolor": edge}
    ax.add_patch(FancyBboxPatch(corner, wide, high, boxstyle=shape, **look))
    say(ax, x, y, text, size=size, **kwargs)


def cells(
    ax: Axes, x: float, y: float, rows: Sequence[Sequence[float]], *, color: str,
    form: Callable[[float], str] | None = None, wide: float = 44, high: float = 30,
    most: float = 0.0, size: float = SMALL,
) -> None:  # fmt: skip
    """A matrix from its upper left corner: the larger a number, the more of `color`.

    A single row is a vector. `form` writes the numbers; without it the cells stay empty.
    """
    most = most or max((abs(value) for row in rows for value in row), default=0) or 1
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            corner = (x + j * wide, y + i * high)
            look = {"facecolor": tint(color, 0.06 + 0.5 * min(abs(value) / most, 1))}
            ax.add_patch(Rectangle(corner, wide, high, edgecolor="white", linewidth=1.5, **look))
            if form is not None:
                middle = (corner[0] + wide / 2, corner[1] + high / 2)
                say(ax, *middle, form(value), size=size)
    frame(ax, x, y, wide * len(rows[0]), high * len(rows), edge=color)


def frame(
    ax: Axes, x: float, y: float, wide: float, high: float, *, edge: str = BLACK, width: float = 1.6
) -> None:
    """A frame from its upper left corner, empty inside."""
    look = {"fill": False, "edgecolor": edge, "linewidth": width}
    ax.add_patch(Rectangle((x, y), wide, high, **look))


def panel(
    ax: Axes, x: float, y: float, wide: float, high: float, title: str = "", face: str = PALE
) -> None:
    """A pale sheet from its upper left corner, with a title, that holds other things."""
    shape = "round,pad=0,rounding_size=10"
    look = {"facecolor": face, "edgecolor": "none"}
    ax.add_patch(FancyBboxPatch((x, y), wide, high, boxstyle=shape, zorder=0, **look))
    if title:
        say(ax, x + 12, y + 19, title, ha="left", fontweight="bold")


def go(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], label: str = "", *,
    color: str = BLACK, bend: float = 0.0, width: float = 1.6, line: str = "-",
    beside: tuple[float, float] = (0, -13), **kwargs,
) -> None:  # fmt: skip
    """An arrow; its label stands `beside` its middle. A `bend` above 0 turns left."""
    arrow = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=13, shrinkA=0, shrinkB=0, color=color,
        linewidth=width, linestyle=line, connectionstyle=f"arc3,rad={bend}",
    )  # fmt: skip
    ax.add_artist(arrow)
    if label:
        x, y = (start[0] + end[0]) / 2 + beside[0], (start[1] + end[1]) / 2 + beside[1]
        say(ax, x, y, label, size=SMALL, color=color, **kwargs)


def road(ax: Axes, places: Sequence[tuple[float, float]]) -> None:
    """A thick road through `places`, with an arrow's head at its end."""
    xs, ys = zip(*places, strict=True)
    ax.plot(xs, ys, color=BLACK, linewidth=7, solid_capstyle="butt", zorder=1)
    (x0, y0), (x1, y1) = places[-2:]
    long = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    ahead = (x1 + 12 * (x1 - x0) / long, y1 + 12 * (y1 - y0) / long)
    tip = FancyArrowPatch(
        places[-1], ahead, arrowstyle="-|>", mutation_scale=28, color=BLACK,
        linewidth=0, shrinkA=0, shrinkB=0,
    )  # fmt: skip
    ax.add_artist(tip)


def plus(ax: Axes, x: float, y: float) -> None:
    """A place where two things are added."""
    ax.add_patch(Circle((x, y), 15, facecolor="white", edgecolor=BLACK, linewidth=1.8, zorder=2))
    ax.text(x, y, "+", ha="center", va="center_baseline", fontsize=17, fontweight="bold")


def badge(ax: Axes, x: float, y: float, number: int) -> None:
    """A numbered dot: the order in which a picture is read."""
    ax.add_patch(Circle((x, y), 12, facecolor=BLACK, zorder=2))
    ax.text(x, y, str(number), ha="center", va="center_baseline", color="white", fontsize=SMALL,
            fontweight="bold")  # fmt: skip


def short(value: float) -> str:
    """Write a number with at most two decimals and a real minus.

    >>> short(0.5), short(-1.25), short(3.0)
    ('0.5', '−1.25', '3')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-", "−")
