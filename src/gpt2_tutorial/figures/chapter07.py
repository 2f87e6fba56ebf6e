"""The pictures of chapter 07."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.style import (
    BARS,
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    SKY,
    VERMILLION,
    Picture,
)

HIDDEN = {"facecolor": "#F4F4F4", "edgecolor": "#888888", "hatch": "////", "linewidth": 0}


def _number(value: float) -> str:
    if math.isinf(value):
        return "−∞"
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-", "−")


def _pair(vector) -> str:
    return f"({', '.join(_number(float(value)) for value in vector)})"


def _cells(ax, values, rows, columns, size: float, *, hide: bool, form=_number) -> None:
    """A grid with its number in every cell; `hide` hatches the future."""
    shown = [[float(value) for value in row] for row in values]
    ax.imshow(
        [[max(value, 0.0) for value in row] for row in shown],
        cmap="Blues", vmin=0, vmax=1.8 * max(map(max, shown)),  # pale enough for black numbers
    )  # fmt: skip
    for i, row in enumerate(shown):
        for j, value in enumerate(row):
            if hide and j > i:
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **HIDDEN))
            if not hide or j <= i:
                ax.text(j, i, form(value), ha="center", va="center", fontsize=size)
            elif math.isinf(value):
                back = {"facecolor": "white", "edgecolor": "none", "pad": 1}
                ax.text(j, i, form(value), ha="center", va="center", fontsize=size, bbox=back)
    _names(ax, rows, columns, size)


def _vectors(ax, columns, rows, names) -> None:
    """Vectors written out, one column for each pair (colour, vectors)."""
    for j, (color, vectors) in enumerate(columns):
        for i, vector in enumerate(vectors):
            tint = 0.08 if color == BLACK else 0.25
            look = {"color": color, "alpha": tint, "linewidth": 0}
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **look))
            ax.text(j, i, _pair(vector), ha="center", va="center", fontsize=9.5)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    _names(ax, rows, names, 9.5)


def _names(ax, rows, columns, size: float) -> None:
    ax.set_xticks(range(len(columns)), columns, fontsize=size)
    ax.set_yticks(range(len(rows)), rows, fontsize=size)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def attention_frames(q, k, v, tokens: Sequence[str]) -> Picture:
    """The six steps of attention on a few tokens, one frame each, with all their numbers."""
    scores = q @ k.T
    scaled = scores / math.sqrt(q.size(-1))
    masked = scaled.masked_fill(scaled.new_ones(scaled.shape).triu(1).bool(), -math.inf)
    weights = masked.softmax(-1)
    grids = ((scores, False), (scaled, False), (masked, True), (weights, True))
    names = ("1 project", "2 score", "3 scale", "4 mask", "5 weigh", "6 mix")

    def draw(ax):
        figure = ax.figure
        ax.remove()
        frames = figure.subplots(2, 3).flatten()
        projected = list(zip((BLUE, ORANGE, GREEN), (q, k, v), strict=True))
        _vectors(frames[0], projected, tokens, ["q", "k", "v"])
        for frame, (values, hide) in zip(frames[1:5], grids, strict=True):
            rows, columns = [f"q{t}" for t in tokens], [f"k{t}" for t in tokens]
            _cells(frame, values, rows, columns, 9.5, hide=hide)
        _vectors(frames[5], [(BLACK, weights @ v)], tokens, ["out"])
        for frame, name in zip(frames, names, strict=True):
            frame.set_title(name, fontsize=11)

    return Picture(draw, height=4.2)


def attention_grid(weights, tokens: Sequence[str], call_out: int | None = None) -> Picture:
    """Attention weights as a number grid: each row is a token, each column one it looks at."""

    def draw(ax):
        _cells(ax, weights, tokens, tokens, 10.5, hide=True, form="{:.2f}".format)
        ax.set_aspect("auto")
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set_xlabel("looks at (column)")
        ax.set_ylabel("this word (row)")
        if call_out is not None:
            frame = {"fill": False, "edgecolor": VERMILLION, "linewidth": 2}
            ax.add_patch(Rectangle((-0.5, call_out - 0.5), call_out + 1, 1, **frame))
        ax.set_xlim(-0.52, len(tokens) - 0.48)
        ax.set_ylim(len(tokens) - 0.48, -0.52)

    return Picture(draw, height=1.2 + 0.42 * len(tokens), width=5.6)


def score_spread(spreads: Mapping[int, float]) -> Picture:
    """The spread of raw scores against the numbers per vector, with √d and with the scaled ones."""

    def draw(ax):
        sizes = sorted(spreads)
        ax.plot(sizes, [math.sqrt(d) for d in sizes], "--", color=BLACK, linewidth=1)
        ax.plot(sizes, [spreads[d] for d in sizes], "o", color=VERMILLION)
        ax.plot(sizes, [spreads[d] / math.sqrt(d) for d in sizes], "s-", color=BLUE, linewidth=1)
        for d in sizes:
            ax.annotate(
                f"{spreads[d]:.1f}", (d, spreads[d]), (-2, 7), textcoords="offset points",
                ha="right", fontsize=10,
            )  # fmt: skip
        end = sizes[-1]
        for y, name, color in (
            (math.sqrt(end), "raw scores,\nbeside √d", VERMILLION),
            (1.0, "divided by √d", BLUE),
        ):
            ax.annotate(
                name, (end, y), (10, 0), textcoords="offset points", va="center", color=color
            )
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [str(d) for d in sizes])
        ax.set_xlim(sizes[0] / 1.5, end * 6)
        ax.set_ylim(0, math.sqrt(end) * 1.15)
        ax.set_xlabel("numbers per vector, d")
        ax.set_ylabel("spread of the scores")

    return Picture(draw, height=3.0)


def spiky_weights(cases: Mapping[str, Sequence[float]]) -> Picture:
    """The weights of one token over several keys, one panel for each way to scale its scores."""

    def draw(ax):
        figure = ax.figure
        ax.remove()
        panels = figure.subplots(1, len(cases), sharey=True)
        for panel, (name, weights) in zip(panels, cases.items(), strict=True):
            heights = [float(weight) for weight in weights]
            panel.bar(range(1, len(heights) + 1), heights, **BARS)
            top = max(range(len(heights)), key=lambda i: heights[i])
            panel.annotate(
                f"{heights[top]:.2f}", (top + 1, heights[top]), (0, 3),
                textcoords="offset points", ha="center", fontsize=10,
            )  # fmt: skip
            panel.set_title(name)
            panel.set_xticks(range(1, len(heights) + 1))
            panel.tick_params(labelsize=9.5)
            panel.set_xlabel("key", fontsize=10)
        panels[0].set_ylim(0, 1.12)
        panels[0].set_ylabel("weight")

    return Picture(draw, height=2.5)


def near_and_far(results: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Picture:
    """Percent right near and far, one row for each model, one mark for each seed."""

    def draw(ax):
        for y, (near, far) in enumerate(reversed(results.values())):
            ax.plot(near, [y + 0.14] * len(near), "o", color=BLUE, markersize=8, alpha=0.75)
            ax.plot(far, [y - 0.14] * len(far), "D", color=VERMILLION, markersize=7, alpha=0.75)
            for marks, shift, name, color in (
                (near, 0.14, "near", BLUE),
                (far, -0.14, "far", VERMILLION),
            ):
                ax.annotate(
                    f"{name}: {_span(marks)}", (max(*marks, 50), y + shift), (9, 0),
                    textcoords="offset points", va="center", fontsize=10, color=color,
                )  # fmt: skip
            ax.axhline(y - 0.5, color="#CCCCCC", linewidth=0.5)
        ax.axvline(50, color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate("a coin", (50, -0.47), (4, 1), textcoords="offset points", fontsize=10)
        ax.set_yticks(range(len(results)), list(reversed(results)))
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(38, 122)
        ax.set_xticks([40, 50, 60, 70, 80, 90, 100])
        ax.set_ylim(-0.5, len(results) - 0.5)
        ax.set_xlabel("right answers (%), three seeds")

    return Picture(draw, height=0.9 + 0.6 * len(results))


def _span(marks: Sequence[float]) -> str:
    low, high = f"{min(marks):.1f}", f"{max(marks):.1f}"
    return low if low == high else f"{low}–{high}"


def look_back(shares: Sequence[float]) -> Picture:
    """How much of its attention a head gives to each distance, itself first."""

    def draw(ax):
        look = BARS | {"color": SKY}
        bars = ax.bar(range(len(shares)), [float(share) for share in shares], **look)
        ax.bar_label(bars, labels=[f"{float(share):.2f}" for share in shares], padding=2, size=10)
        names = ["itself", "1 back", *[str(d) for d in range(2, len(shares))]]
        ax.set_xticks(range(len(shares)), names)
        ax.margins(y=0.15)
        ax.set_xlabel("how many characters back")
        ax.set_ylabel("mean attention weight")

    return Picture(draw, height=2.8)
