"""The pictures of chapter 14."""

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
    Picture,
    arrow,
    bare,
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
                face, hatch = {"s": (ORANGE, "xx"), "e": (SKY, "//"), "m": (PALE, "")}[kind]
                ax.add_patch(Rectangle((place, y), 1, 0.8, facecolor=face, hatch=hatch,
                                       edgecolor=BLACK, linewidth=0.6))  # fmt: skip
            said = f"{exponent}", f"{mantissa}"
            for text, middle in zip(said, (1 + exponent / 2, 1 + exponent + mantissa / 2),
                                    strict=True):  # fmt: skip
                ax.text(middle, y + 0.4, text, ha="center", va="center", fontweight="bold",
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip
        ax.text(0.9, 0.15, "sign", ha="right", fontsize=9)
        ax.text(1.4, 0.15, "exponent: how large", ha="left", fontsize=9)
        ax.text(20, 0.15, "mantissa: how exact", ha="center", fontsize=9)

    return Picture(draw, height=0.5 + 0.45 * len(formats))


def micro_steps(pieces: int) -> Picture:
    """One step along the time: forward and backward for each piece, the gradient grows, one step.

    The lower row shows how much of the mean has been gathered in `.grad`.
    """

    def draw(ax):
        bare(ax)
        ends = [("zero", 0.7, PALE), ("clip", 0.75, ORANGE), ("step", 0.8, GREEN)]
        x = 0.0

        def block(name, wide, face, hatch=""):
            nonlocal x
            ax.add_patch(Rectangle((x, 1), wide, 0.7, facecolor=face, hatch=hatch,
                                   edgecolor=BLACK, linewidth=0.8))  # fmt: skip
            ax.text(x + wide / 2, 1.35, name, ha="center", va="center", fontsize=9,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
            x += wide

        block(*ends[0])
        for piece in range(pieces):
            start = x
            block("F", 0.6, SKY, "//")
            block("B", 1.1, PALE, "..")
            ax.text((start + x) / 2, 1.95, f"piece {piece + 1}", ha="center", fontsize=9)
            high = 0.75 * (piece + 1) / pieces
            ax.add_patch(Rectangle((x - 0.3, -0.1), 0.5, high, facecolor=BLUE, hatch="//",
                                   edgecolor="white"))  # fmt: skip
            ax.text(x - 0.05, -0.2, f"{piece + 1}/{pieces}", ha="center", va="top", fontsize=10)
            arrow(ax, (x - 0.05, 0.97), (x - 0.05, -0.1 + high + 0.03))
        for end in ends[1:]:
            block(*end)
        ax.text(0.0, 0.2, ".grad", va="center", family="DejaVu Sans Mono", fontsize=10)
        ax.set_xlim(-0.05, x + 0.05)
        ax.set_ylim(-0.6, 2.3)

    return Picture(draw, height=1.9)


def gradient_lengths(runs: Mapping[str, Sequence[float]], limit: float) -> Picture:
    """The gradient's length at every step of each run, and the limit that clips it."""

    def draw(ax):
        looks = ((BLUE, "-"), (VERMILLION, "--"))
        for (name, lengths), (color, line) in zip(runs.items(), looks, strict=False):
            ax.plot(range(len(lengths)), lengths, line, color=color, linewidth=1.4)
            ax.annotate(name, (len(lengths) - 1, lengths[-1]), (6, 0), color=color, va="center",
                        textcoords="offset points", annotation_clip=False)  # fmt: skip
        ax.axhline(limit, color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate(f"clipped above {limit:g}", (0, limit), (0, -4), va="top",
                    textcoords="offset points", fontsize=10)  # fmt: skip
        ax.set_yscale("log")
        ax.set_yticks([0.5, 1, 2, 5, 10, 50, 100], ["0.5", "1", "2", "5", "10", "50", "100"])
        ax.set_yticks([], minor=True)
        low = min(min(lengths) for lengths in runs.values())
        ax.set_ylim(bottom=0.7 * low)
        ax.set_xlabel("step")
        ax.set_ylabel("length of the gradient")

    return Picture(draw, height=3.0)
