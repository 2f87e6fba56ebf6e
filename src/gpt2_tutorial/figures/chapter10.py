"""The pictures of chapter 10."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import chip, go, plus, say, sheet
from gpt2_tutorial.figures.draw import road as along_the_road
from gpt2_tutorial.figures.style import (
    BARS,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LARGE,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    VERMILLION,
    Picture,
    tint,
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
        ax.legend(loc="upper left")
        ax.set_xlabel("number that goes in")
        ax.set_ylabel("number that comes out")

    return Picture(draw, height=3.54)


def road(parts: Sequence[tuple[str, str]], norm_on_road: bool = False) -> Picture:
    """The residual stream as a road: each part reads it and joins it again at a plus.

    `parts` are pairs (norm, part). With `norm_on_road` the norm stands behind the plus. Below
    the road: what it carries, one layer of colour for everything that was added.
    """
    step = 560 / len(parts)

    def draw(ax):
        carried = [GREY]
        along_the_road(ax, [(46, 170), (680, 170)])
        say(ax, 26, 170, "x", size=LARGE, fontweight="bold")
        _load(ax, 70, carried)
        for i, (norm, part) in enumerate(parts):
            left, color = 90 + step * i, SKY if "attn" in part else ORANGE
            joins = left + step * (0.62 if norm_on_road else 0.8)
            _ramp(ax, left, joins, [part] if norm_on_road else [norm, part], color)
            carried = [*carried, color]
            if norm_on_road:
                chip(ax, joins + 62, 170, norm, wide=58)
                _load(ax, joins, carried)
                _load(ax, joins + 62, carried, levelled=True)
            else:
                _load(ax, joins + 24, carried)
        say(ax, 46, 302, "what the road carries: (B, T, C) all the way", ha="left", size=SMALL)

    return sheet(draw, height=322)


def _ramp(ax, left: float, joins: float, boxes: Sequence[str], color: str) -> None:
    """One way off the road, through some boxes, and on again at a plus."""
    look = {"color": BLACK, "linewidth": 2.5, "solid_joinstyle": "round", "zorder": 0}
    ax.plot([left, left, joins, joins], [170, 46, 46, 154], **look)
    places = [left + (joins - left) * (i + 1) / (len(boxes) + 1) for i in range(len(boxes))]
    for x, name in zip(places, boxes, strict=True):
        face = "white" if name.startswith("ln") else tint(color, 0.75)
        chip(ax, x, 46, name, wide=66, high=38, face=face)
    go(ax, (left, 110), (left, 84), width=2.5)
    say(ax, left + 12, 112, "reads", ha="left", size=SMALL)
    go(ax, (joins, 126), (joins, 152), width=2.5)
    say(ax, joins - 12, 112, "adds", ha="right", size=SMALL)
    plus(ax, joins, 170)


def _load(ax, x: float, layers: Sequence[str], *, levelled: bool = False) -> None:
    """What the road carries at x: a layer for the entrance and for each part that has added."""
    high = 24 if not levelled else 24 / len(layers)
    for i, color in enumerate(layers):
        place = (x - 16, 284 - high * (i + 1))
        look = {"facecolor": tint(color, 0.75), "edgecolor": BLACK, "linewidth": 1}
        ax.add_patch(Rectangle(place, 32, high, **look))
    ax.plot([x, x], [180, 282 - high * len(layers)], color=GREY, linewidth=1, zorder=0)


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

    return Picture(draw, height=3.54)


def rungs(found: Sequence[Mapping]) -> Picture:
    """One bar for each rung, mean loss with ± one standard deviation, a dot for each seed."""

    def draw(ax):
        for y, rung in enumerate(reversed(found)):
            val = rung["val"]
            look = BARS | {"height": 0.62}
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

    return Picture(draw, height=1.1 + 0.55 * len(found))
