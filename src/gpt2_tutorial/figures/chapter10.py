"""The pictures of chapter 10."""

from collections.abc import Callable, Mapping, Sequence

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    arrow,
    bare,
    box,
)

BENDS = ((BLUE, "--"), (VERMILLION, "-"), (GREEN, ":"))
STREAMS = ((VERMILLION, "o", "-"), (BLUE, "s", "--"), (GREEN, "^", ":"))


def bends(curves: Mapping[str, Callable[[float], float]], low: float, high: float) -> Picture:
    """Curves that bend, each named at its right end."""

    def draw(ax):
        xs = [low + (high - low) * i / 200 for i in range(201)]
        ax.axhline(0, color=BLACK, linewidth=0.6)
        ax.axvline(0, color=BLACK, linewidth=0.6)
        for (name, curve), (color, line) in zip(curves.items(), BENDS, strict=False):
            ys = [curve(x) for x in xs]
            ax.plot(xs, ys, line, color=color, linewidth=2, label=name)
        ax.legend(frameon=False, loc="upper left")
        ax.set_xlabel("number that goes in")
        ax.set_ylabel("number that comes out")

    return Picture(draw, height=2.9)


def road(parts: Sequence[tuple[str, str]], norm_on_road: bool = False) -> Picture:
    """The residual stream as a road: each part reads it and joins it again at a plus.

    `parts` are pairs (norm, part). With `norm_on_road` the norm stands behind the plus.
    """

    def draw(ax):
        bare(ax)
        step = 4.6
        ax.set_xlim(-0.9, step * len(parts) + 0.9)
        ax.set_ylim(-0.75, 2.75)
        end = step * len(parts) + 0.2
        ax.annotate("", xy=(end + 0.5, 0), xytext=(-0.35, 0),
                    arrowprops={"arrowstyle": "-|>", "color": BLACK, "linewidth": 5})  # fmt: skip
        ax.text(-0.45, 0, "x", ha="right", va="center", fontsize=14, fontweight="bold")
        for i, (norm, part) in enumerate(parts):
            _ramp(ax, step * i, norm, part, norm_on_road)
        ax.text(end / 2, -0.62, "residual stream: the road, (B, T, C) all the way",
                ha="center", va="center", fontsize=10.5)  # fmt: skip

    return Picture(draw, height=2.5)


def _ramp(ax, left: float, norm: str, part: str, norm_on_road: bool) -> None:
    """One way off the road, through a part, and on again."""
    face = SKY if "attn" in part else ORANGE
    plus = left + (3.2 if norm_on_road else 3.9)
    look = {"color": BLACK, "linewidth": 1.5}
    ax.plot([left + 0.4, left + 0.4], [0, 1.9], **look)
    if norm_on_road:
        arrow(ax, (left + 0.4, 1.9), (left + 1.05, 1.9), linewidth=1.5)
        box(ax, left + 1.8, 1.9, part, face=face)
        box(ax, left + 4.15, 0, norm, face="white")
    else:
        arrow(ax, (left + 0.4, 1.9), (left + 0.75, 1.9), linewidth=1.5)
        box(ax, left + 1.3, 1.9, norm, face="white")
        arrow(ax, (left + 1.85, 1.9), (left + 2.25, 1.9), linewidth=1.5)
        box(ax, left + 2.9, 1.9, part, face=face)
    ax.plot([left + (2.55 if norm_on_road else 3.55), plus], [1.9, 1.9], **look)
    arrow(ax, (plus, 1.9), (plus, 0.3), linewidth=1.5)
    circle = {"boxstyle": "circle,pad=0.15", "facecolor": PALE, "edgecolor": BLACK}
    ax.text(plus, 0, "+", ha="center", va="center", fontsize=13, bbox=circle)


def spread_by_depth(
    blocks: Sequence[int], spreads: Mapping[str, Sequence[float]], high: float
) -> Picture:
    """Spread of the stream after so many blocks, one line for each way to begin."""

    def draw(ax):
        for (name, values), (color, marker, line) in zip(spreads.items(), STREAMS, strict=False):
            ax.plot(blocks, values, line, marker=marker, color=color, linewidth=1.5)
            ax.annotate(f"{name}: {values[-1]:.2f}", (blocks[-1], values[-1]), (-4, 8),
                        textcoords="offset points", ha="right", color=color)  # fmt: skip
        ax.set_xticks(blocks, [str(L) for L in blocks])
        ax.set_ylim(0, high)
        ax.set_xlabel("blocks in the model, L")
        ax.set_ylabel("spread behind the last")

    return Picture(draw, height=2.9)


def rungs(found: Sequence[Mapping]) -> Picture:
    """One bar for each rung, mean loss with ± one standard deviation, a dot for each seed."""

    def draw(ax):
        for y, rung in enumerate(reversed(found)):
            val = rung["val"]
            look = {"color": PALE, "edgecolor": BLUE, "hatch": "//", "height": 0.62}
            ax.barh(y, val["mean"], **look)
            ax.errorbar(val["mean"], y, xerr=val["sd"], color=BLACK, capsize=4, linewidth=1.5)
            dots = val["per_seed"]
            ax.plot(dots, [y - 0.18] * len(dots), "o", color=PURPLE, markersize=3.5)
            ax.annotate(f"{val['mean']:.3f} ± {val['sd']:.3f}", (max(dots), y), (10, -4),
                        textcoords="offset points")  # fmt: skip
        ax.set_yticks(range(len(found)), [rung["name"] for rung in reversed(found)])
        lowest = min(rung["val"]["mean"] for rung in found)
        highest = max(rung["val"]["mean"] for rung in found)
        ax.set_xlim(lowest - 0.35, highest + 0.55)
        ax.set_xlabel("nats per character; the axis does not begin at 0")

    return Picture(draw, height=0.9 + 0.45 * len(found))
