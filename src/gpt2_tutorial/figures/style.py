"""How a picture of the book looks: size, type, colours that everyone can tell apart."""

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette; each colour also goes with a mark, so that none is needed to read.
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE, BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
PALE = "#E8EDF2"
BARS = {"color": BLUE, "edgecolor": "white", "hatch": "//"}

WIDTH = 6.0  # inches: the width of the page's column
STYLE = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    # Outlines instead of letters: the same picture whatever fonts the reader has.
    "svg.fonttype": "path",
    "svg.hashsalt": "gpt2_tutorial",
}


class Picture:
    """A finished drawing that a notebook shows as SVG.

    >>> Picture(draw=lambda ax: ax.plot([1, 2]))._repr_mimebundle_()["image/svg+xml"][:5]
    '<?xml'
    """

    def __init__(self, draw, height: float = 3.2, width: float = WIDTH):
        with rc_context(STYLE):
            # Not pyplot: it would keep the figure and let the notebook show it a second time.
            figure = Figure(figsize=(width, height), facecolor="white")
            draw(figure.add_subplot())
            page = io.StringIO()
            figure.savefig(page, format="svg", metadata={"Date": None})
        self.svg = page.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"image/svg+xml": self.svg, "text/plain": "<a picture>"}


def bare(ax: Axes) -> None:
    """Take away the axes: what is drawn is a diagram, not a plot."""
    ax.set_axis_off()


def box(ax: Axes, x: float, y: float, text: str, *, face: str = PALE, **kwargs) -> None:
    """Write `text` in a rounded box around (x, y)."""
    style = {"boxstyle": "round,pad=0.4", "facecolor": face, "edgecolor": BLACK, "linewidth": 1}
    ax.text(x, y, text, ha="center", va="center", bbox=style, **kwargs)


def arrow(ax: Axes, start: tuple, end: tuple, **kwargs) -> None:
    """Draw an arrow from `start` to `end`."""
    look = {"arrowstyle": "-|>", "color": BLACK, "shrinkA": 0, "shrinkB": 0, "linewidth": 1}
    ax.annotate("", xy=end, xytext=start, arrowprops=look | kwargs)


def level(ax: Axes, value: float, label: str, *, color: str = BLACK) -> None:
    """Draw a labelled horizontal line: something to beat."""
    ax.axhline(value, color=color, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate(
        label,
        (1, value),
        (0, 2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=10,
        color=color,
    )


def visible(character: str) -> str:
    """Name a character that the eye cannot see."""
    return {"\n": "↵", " ": "␣"}.get(character, character)
