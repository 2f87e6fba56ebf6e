"""How a picture of the book looks: size, type, colours that everyone can tell apart."""

import io
from urllib.parse import quote

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gpt2_tutorial.figures.collisions import collisions

# The book's own palette, from dark to light: each is a step of grey of its own, and no two look
# alike to eyes without red, green or blue (tests/code/test_palette.py). Each also goes with a
# mark or a label, so that none is needed to read.
BLACK, BLUE, VERMILLION, PURPLE = "#1D2530", "#23548B", "#BC452A", "#A87092"
GREEN, ORANGE, SKY, YELLOW, PALE = "#43A083", "#DFA03A", "#A6CCE6", "#EFDF98", "#EDF1F5"
GREY = "#8A94A0"  # frames and what is over
BARS = {"color": SKY, "edgecolor": BLUE, "linewidth": 1}
HALO = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}  # behind a label

WIDTH = 704 / 96  # inches: the width of the page's column
SMALL, TEXT, LARGE = 12, 13, 15.5  # points; a phone shows a little more than half of them
STYLE = {
    "font.size": TEXT,
    "font.family": "DejaVu Sans",
    "text.color": BLACK,
    "axes.edgecolor": BLACK,
    "axes.labelcolor": BLACK,
    "xtick.color": BLACK,
    "ytick.color": BLACK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.borderpad": 0.2,
    "lines.linewidth": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": TEXT,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    # Outlines instead of letters: the same picture whatever fonts the reader has.
    "svg.fonttype": "path",
    "svg.hashsalt": "gpt2_tutorial",
}

# On a dark page of JupyterLab, Colab or VS Code the white paper turns black and then goes away.
DARK = """<style>
:is([data-jp-theme-light="false"], html[theme="dark"], .vscode-dark) .book-picture {
  filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen;
}
</style>"""


class Picture:
    """A finished drawing that a notebook shows as SVG; `collisions` says which letters touch.

    >>> picture = Picture(draw=lambda ax: ax.plot([1, 2]))
    >>> picture._repr_mimebundle_()["image/svg+xml"][:5], picture.collisions
    ('<?xml', [])
    """

    def __init__(self, draw, height: float = 3.9, width: float = WIDTH):
        with rc_context(STYLE):
            # Not pyplot: it would keep the figure and let the notebook show it a second time.
            # As SVG is drawn: where a label stands is remembered in dots.
            figure = Figure(figsize=(width, height), dpi=72, facecolor="white")
            draw(figure.add_subplot())
            page = io.StringIO()
            figure.savefig(page, format="svg", metadata={"Date": None})
            self.collisions = collisions(figure)
        self.svg = page.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        image = f'<img class="book-picture" src="data:image/svg+xml,{quote(self.svg)}">'
        said = "; ".join(["<a picture>", *self.collisions])
        return {"image/svg+xml": self.svg, "text/html": DARK + image, "text/plain": said}


def tint(color: str, share: float) -> str:
    """Mix `color` with white: share 1 is the colour itself, 0 is white.

    >>> tint("#000000", 0.2)
    '#cccccc'
    """
    return to_hex([1 - share * (1 - part) for part in to_rgb(color)])


def ink(color: str) -> str:
    """Darken a colour of the palette, so that letters of it can be read on white.

    >>> ink(ORANGE)
    '#8e6c36'
    """
    return to_hex([0.58 * a + 0.42 * b for a, b in zip(to_rgb(color), to_rgb(BLACK), strict=True)])


def bare(ax: Axes) -> None:
    """Take away the axes: what is drawn is a diagram, not a plot."""
    ax.set_axis_off()


def box(ax: Axes, x: float, y: float, text: str, *, face: str = PALE, **kwargs) -> FancyBboxPatch:
    """Write `text` in a rounded box around (x, y), and hand back the box."""
    style = {"boxstyle": "round,pad=0.4", "facecolor": face, "edgecolor": BLACK, "linewidth": 1}
    return ax.text(x, y, text, ha="center", va="center", bbox=style, **kwargs).get_bbox_patch()


def arrow(ax: Axes, start: tuple, end: tuple, **kwargs) -> None:
    """Draw an arrow from `start` to `end`."""
    look = {"arrowstyle": "-|>", "color": BLACK, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.2}
    ax.annotate("", xy=end, xytext=start, arrowprops=look | kwargs)


def level(ax: Axes, value: float, label: str, *, color: str = BLACK) -> None:
    """Draw a labelled horizontal line: something to beat."""
    ax.axhline(value, color=color, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate(
        label,
        (1, value),
        (0, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=SMALL,
        color=color,
        bbox=HALO,
    )


def visible(character: str) -> str:
    """Name a character that the eye cannot see."""
    return {"\n": "↵", " ": "␣"}.get(character, character)
