"""The pictures of chapter 14."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import ACROSS, chip, go, panel, say, sheet
from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    ORANGE,
    PALE,
    SKY,
    SMALL,
    VERMILLION,
    Picture,
    bare,
    tint,
)


def bit_layouts(formats: Mapping[str, tuple[int, int]]) -> Picture:
    """Rows of bits, one for each format: sign, exponent, mantissa. `formats` has their widths."""

    def draw(ax):
        bare(ax)
        ax.set_xlim(-7.5, 32.5)
        ax.set_ylim(-1.25 * len(formats) - 0.2, 0.7)
        for row, (name, (exponent, mantissa)) in enumerate(formats.items()):
            y = -1.25 * (row + 1)
            ax.text(-0.6, y + 0.4, name, ha="right", va="center")
            kinds = "s" + exponent * "e" + mantissa * "m"
            for place, kind in enumerate(kinds):
                face = {"s": ORANGE, "e": SKY, "m": PALE}[kind]
                ax.add_patch(Rectangle((place, y), 1, 0.8, facecolor=face,
                                       edgecolor=BLACK, linewidth=0.6))  # fmt: skip
            said = f"{exponent}", f"{mantissa}"
            for text, middle in zip(said, (1 + exponent / 2, 1 + exponent + mantissa / 2),
                                    strict=True):  # fmt: skip
                ax.text(middle, y + 0.4, text, ha="center", va="center", fontweight="bold",
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip
        ax.text(0.9, 0.15, "sign", ha="right", fontsize=SMALL)
        ax.text(1.4, 0.15, "exponent: how large", ha="left", fontsize=SMALL)
        ax.text(20, 0.15, "mantissa: how exact", ha="center", fontsize=SMALL)

    return Picture(draw, height=0.61 + 0.55 * len(formats))


def micro_steps(pieces: int) -> Picture:
    """One training step along the time: each piece runs forward and back, the gradient grows.

    The bars show how much of the mean has been gathered in `.grad`.
    """
    left, right = 84, 200  # room for “zero”, and for “clip” and “step”
    wide = (ACROSS - left - right) / pieces

    def draw(ax):
        once = tint(ORANGE, 0.55)
        panel(ax, left - 4, 0, wide * pieces, 330)
        say(ax, left + wide * pieces / 2, 22, f"{pieces} times, one piece of the batch each",
            fontweight="bold")  # fmt: skip
        chip(ax, 38, 188, "zero", wide=66, high=40, face=once)
        for piece in range(pieces):
            x, share = left + wide * (piece + 0.5) - 4, (piece + 1) / pieces
            chip(ax, x, 62, f"piece {piece + 1}", wide=wide - 16, face="white", size=SMALL)
            go(ax, (x, 79), (x, 102))
            chip(ax, x, 122, "forward", wide=wide - 16, high=38, face=tint(SKY, 0.6), size=SMALL)
            go(ax, (x - wide / 2 + 20, 142), (x - wide / 2 + 20, 168), color=VERMILLION)
            if wide > 90:
                say(ax, x + 8, 154, f"loss ÷ {pieces}", size=SMALL, color=VERMILLION)
            chip(ax, x, 188, "backward", wide=wide - 16, high=38, face=tint(VERMILLION, 0.3),
                 size=SMALL)  # fmt: skip
            go(ax, (x, 208), (x, 232))
            _gathered(ax, x, 234, 60, share, f"{piece + 1}/{pieces}")
        say(ax, 38, 264, ".grad", family="DejaVu Sans Mono")
        go(ax, (38, 209), (38, 252))
        end = left + wide * pieces
        go(ax, (end, 264), (end + 22, 264))
        chip(ax, end + 58, 264, "clip", wide=66, high=40, face=once)
        go(ax, (end + 92, 264), (end + 116, 264))
        chip(ax, end + 152, 264, "step", wide=66, high=40, face=once)
        go(ax, (end + 152, 242), (end + 152, 168), "weights\nmove", beside=(-10, 0), ha="right")
        chip(ax, end + 136, 148, "new model", wide=122, high=38, face=tint(SKY, 0.6))
        go(ax, (22, 356), (ACROSS - 10, 356), width=1.2)
        say(ax, 22, 338, "time", ha="left", size=SMALL)

    return sheet(draw, height=368)


def _gathered(ax, x: float, top: float, high: float, share: float, text: str) -> None:
    """A vessel that is filled up to `share`."""
    place = (x - 17, top + high * (1 - share))
    ax.add_patch(Rectangle(place, 34, high * share, facecolor=BLUE, linewidth=0))
    ax.add_patch(Rectangle((x - 17, top), 34, high, fill=False, edgecolor=BLACK, linewidth=1.5))
    say(ax, x, top + high + 16, text, fontweight="bold")


def gradient_lengths(runs: Mapping[str, Sequence[float]], limit: float) -> Picture:
    """The gradient's length at every step of each run, and the limit that clips it."""

    def draw(ax):
        looks = ((BLUE, "-"), (VERMILLION, "--"))
        for (name, lengths), (color, line) in zip(runs.items(), looks, strict=False):
            ax.plot(range(len(lengths)), lengths, line, color=color, linewidth=1.4)
            ax.annotate(name, (len(lengths) - 1, lengths[-1]), (6, 0), color=color, va="center",
                        textcoords="offset points", annotation_clip=False)  # fmt: skip
        ax.axhline(limit, color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
        ax.text(0.01, 0.02, f"broken line: clipped above {limit:g}", transform=ax.transAxes,
                va="bottom", fontsize=SMALL)  # fmt: skip
        ax.set_yscale("log")
        ax.set_yticks([0.5, 1, 2, 5, 10, 50, 100], ["0.5", "1", "2", "5", "10", "50", "100"])
        ax.set_yticks([], minor=True)
        low = min(min(lengths) for lengths in runs.values())
        ax.set_ylim(bottom=0.5 * low)
        ax.set_xlabel("step")
        ax.set_ylabel("length of the gradient")

    return Picture(draw, height=3.66)
