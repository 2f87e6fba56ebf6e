"""The pictures of chapter 07."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import badge, cells, chip, frame, go, panel, say, sheet, short
from gpt2_tutorial.figures.style import (
    BARS,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HALO,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    SMALL,
    TEXT,
    VERMILLION,
    Picture,
    tint,
)


def attention_frames(q, k, v, tokens: Sequence[str]) -> Picture:
    """The six steps of attention on a few tokens, one frame each, with all their numbers.

    The last token is framed in every step: what it asks, its row of the grid, what it gets.
    """
    root = math.sqrt(q.size(-1))
    scores = q @ k.T
    masked = (scores / root).masked_fill(scores.new_ones(scores.shape).triu(1).bool(), -math.inf)
    weights = masked.softmax(-1)
    wide, high = 226, 134 + 34 * len(tokens)
    last, below = tokens[-1], 62 + 34 * len(tokens)  # the last token, and the top of its row

    def draw(ax):
        row = f"the row of {last}"
        steps = (
            ("project", "three vectors a token", None, f"what {last} asks"),
            ("score", "every q times every k", scores, row),
            ("scale", f"divided by √{q.size(-1)} = {root:.2f}", scores / root, row),
            ("mask", "−∞ hides what is to come", masked, row),
            ("weigh", "softmax: a row sums to 1", weights, row),
            ("mix", "weights times v", None, f"what {last} gets"),
        )
        for i, (name, says, grid, framed) in enumerate(steps):
            x, y = 239 * (i % 3), (high + 14) * (i // 3)
            panel(ax, x, y, wide, high)
            badge(ax, x + 22, y + 22, i + 1)
            say(ax, x + 42, y + 23, name, ha="left", fontweight="bold")
            say(ax, x + 12, y + 51, says, ha="left", size=SMALL)
            if grid is not None:
                _followed(ax, x + 12, y + 72, grid, tokens)
            say(ax, x + 12, y + high - 18, f"framed: {framed}", ha="left", size=SMALL)
        groups = (("q", q, BLUE), ("k", k, ORANGE), ("v", v, GREEN))
        _vectors(ax, 12, 72, groups, tokens, 60)
        frame(ax, 42, below, 52, 30, width=2.4)
        _vectors(ax, 478 + 12, high + 14 + 72, [("out", weights @ v, PURPLE)], tokens, 110)
        frame(ax, 478 + 42, high + 14 + below, 102, 30, width=2.4)

    return sheet(draw, height=2 * high + 14)


def _vectors(ax, x: float, y: float, groups, tokens: Sequence[str], room: float) -> None:
    """A row for each token, a vector for each group (name, vectors, colour), `room` pixels wide."""
    for i, token in enumerate(tokens):
        say(ax, x + 10, y + 39 + 34 * i, token, fontweight="bold")
    for j, (name, vectors, color) in enumerate(groups):
        left, most = x + 30 + j * room, float(vectors.abs().max())
        say(ax, left + room / 2 - 4, y + 9, name, color=color, fontweight="bold")
        for i, vector in enumerate(vectors.tolist()):
            place = (left, y + 24 + 34 * i)
            cells(ax, *place, [vector], color=color, form=short, wide=(room - 8) / len(vector),
                  most=most, size=TEXT)  # fmt: skip


def _followed(ax, x: float, y: float, grid, tokens: Sequence[str]) -> None:
    """A grid q × k with its numbers; the future is empty, the last row is framed."""
    n, wide = len(tokens), 174 / len(tokens)
    for j, token in enumerate(tokens):
        say(ax, x + 30 + (j + 0.5) * wide, y + 9, f"k{token}", size=SMALL, color=ORANGE)
        say(ax, x + 12, y + 39 + 34 * j, f"q{token}", size=SMALL, color=BLUE)
    rows = grid.tolist()
    known = [[0.0 if math.isinf(value) else value for value in row] for row in rows]
    cells(ax, x + 30, y + 24, known, color=SKY, wide=wide, high=34)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            ahead = {"color": GREY} if j > i and value <= 0 else {}
            text = "−∞" if math.isinf(value) else short(value)
            say(ax, x + 30 + (j + 0.5) * wide, y + 41 + 34 * i, text, **ahead)
    frame(ax, x + 30, y + 24 + 34 * (n - 1), 174, 34, width=2.4)


def from_token_to_bet(
    tokens: Sequence[str], vectors, q, k, v, weights, bets: Mapping[str, float]
) -> Picture:
    """The way of one bet: tokens, vectors, one query that asks all keys, a mixture, bets.

    `q` and `weights` belong to the last token; a strip shows the numbers of a vector, dark for
    large ones.
    """
    n, wide = len(tokens), 590 / len(tokens)
    long = wide - 14  # of a strip
    mixed = weights @ v

    def strip(ax, middle, y, vector, color):
        low, high = float(vector.min()), float(vector.max())
        shades = [(value - low) / ((high - low) or 1) for value in vector.tolist()]
        cells(ax, middle - long / 2, y, [shades], color=color, wide=long / len(shades), high=24)

    def draw(ax):
        middles = [114 + wide * (i + 0.5) for i in range(n)]
        names = (("token", 26), ("vector", 84), ("query", 142), ("keys", 200), ("weights", 262),
                 ("values", 330), ("mixture", 404), ("bet", 466))  # fmt: skip
        for number, (name, y) in enumerate(names, 1):
            badge(ax, 14, y, number)
            say(ax, 32, y + 1, name, ha="left", size=SMALL)
        last = middles[-1]
        for i, (token, x) in enumerate(zip(tokens, middles, strict=True)):
            chip(ax, x, 26, token, wide=long)
            go(ax, (x, 44), (x, 70))
            strip(ax, x, 72, vectors[i], GREY)
            share = float(weights[i])
            if x != last:
                ax.plot([x, x], [98, 184], color=GREY, linewidth=1, zorder=0)
            strip(ax, x, 188, k[i], ORANGE)
            face = tint(BLUE, 0.06 + 0.5 * share)
            chip(ax, x, 262, f"{share:.2f}", wide=64, high=30, face=face, edge=BLUE,
                 fontweight="bold")  # fmt: skip
            go(ax, (x, 214), (x, 244), color=BLUE, width=1)
            strip(ax, x, 318, v[i], GREEN)
            say(ax, x, 298, "×", color=GREEN)
            ax.plot([x, last], [344, 390], color=GREEN, linewidth=0.6 + 7 * share, zorder=0)
        go(ax, (last, 98), (last, 128), color=BLUE)
        strip(ax, last, 130, q, BLUE)
        ax.plot([middles[0], last], [171, 171], color=BLUE, linewidth=1.6)
        for x in middles:
            go(ax, (x, 171), (x, 186), color=BLUE)
        ax.plot([last, last], [156, 171], color=BLUE, linewidth=1.6)
        asks = f"“{tokens[-1]}” asks every key: q · k, then softmax"
        say(ax, last - long / 2 - 14, 142, asks, ha="right", size=SMALL, color=BLUE,
            bbox=HALO)  # fmt: skip
        strip(ax, last, 392, mixed, PURPLE)
        go(ax, (last, 418), (last, 448), color=PURPLE)
        _bets(ax, last + long / 2, 466, bets)

    return sheet(draw, height=492)


def _bets(ax, right: float, y: float, bets: Mapping[str, float]) -> None:
    """Bets side by side, the largest at the right: a name, and a bar that its share fills."""
    for i, (name, share) in enumerate(sorted(bets.items(), key=lambda bet: -bet[1])):
        x = right - 170 - 200 * i
        ax.add_patch(Rectangle((x, y - 15), 170 * float(share), 30, facecolor=tint(PURPLE, 0.5)))
        frame(ax, x, y - 15, 170, 30, edge=PURPLE)
        say(ax, x + 85, y, f"{name} {float(share):.2f}", fontweight="normal" if i else "bold")


def attention_grid(weights, tokens: Sequence[str], call_out: int | None = None) -> Picture:
    """Attention weights as a number grid: each row is a token, each column one it looks at."""
    n = len(tokens)

    def draw(ax):
        ax.imshow(weights.tolist(), cmap="Blues", vmin=0, vmax=1.8, aspect="auto")
        for i, row in enumerate(weights.tolist()):
            for j, value in enumerate(row):
                if j > i:  # the future
                    ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=PALE))
                else:
                    ax.text(j, i, f"{value:.2f}", ha="center", va="center")
        ax.set_xticks(range(n), tokens, fontsize=TEXT)
        ax.set_yticks(range(n), tokens, fontsize=TEXT)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set_xlabel("looks at (column)")
        ax.set_ylabel("this word (row)")
        if call_out is not None:
            look = {"fill": False, "edgecolor": VERMILLION, "linewidth": 2}
            ax.add_patch(Rectangle((-0.5, call_out - 0.5), call_out + 1, 1, **look))
        ax.set_xlim(-0.52, n - 0.48)
        ax.set_ylim(n - 0.48, -0.52)

    return Picture(draw, height=1.46 + 0.51 * n)


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
                ha="right", fontsize=SMALL,
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

    return Picture(draw, height=3.66)


def spiky_weights(cases: Mapping[str, Sequence[float]]) -> Picture:
    """The weights of one token over several keys, one panel for each way to scale its scores."""

    def draw(ax):
        figure = ax.figure
        ax.remove()
        columns = figure.subplots(1, len(cases), sharey=True)
        for column, (name, weights) in zip(columns, cases.items(), strict=True):
            heights = [float(weight) for weight in weights]
            column.bar(range(1, len(heights) + 1), heights, **BARS)
            top = max(range(len(heights)), key=lambda i: heights[i])
            column.annotate(
                f"{heights[top]:.2f}", (top + 1, heights[top]), (0, 3),
                textcoords="offset points", ha="center", fontsize=SMALL,
            )  # fmt: skip
            column.set_title(name)
            column.set_xticks(range(1, len(heights) + 1))
            column.set_xlabel("key", fontsize=SMALL)
        columns[0].set_ylim(0, 1.12)
        columns[0].set_ylabel("weight")

    return Picture(draw, height=3.05)


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
                    textcoords="offset points", va="center", fontsize=SMALL, color=color,
                )  # fmt: skip
            ax.axhline(y - 0.5, color="#CCCCCC", linewidth=0.5)
        ax.axvline(50, color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate("a coin", (50, -0.8), (5, 3), textcoords="offset points", fontsize=SMALL)
        ax.set_yticks(range(len(results)), list(reversed(results)))
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(38, 122)
        ax.set_xticks([40, 50, 60, 70, 80, 90, 100])
        ax.set_ylim(-0.8, len(results) - 0.5)
        ax.set_xlabel("right answers (%), three seeds")

    return Picture(draw, height=1.1 + 0.73 * len(results))


def _span(marks: Sequence[float]) -> str:
    low, high = f"{min(marks):.1f}", f"{max(marks):.1f}"
    return low if low == high else f"{low}–{high}"


def look_back(shares: Sequence[float]) -> Picture:
    """How much of its attention a head gives to each distance, itself first."""

    def draw(ax):
        look = BARS | {"color": SKY}
        bars = ax.bar(range(len(shares)), [float(share) for share in shares], **look)
        ax.bar_label(
            bars, labels=[f"{float(share):.2f}" for share in shares], padding=2, size=SMALL
        )
        names = ["itself", "1 back", *[str(d) for d in range(2, len(shares))]]
        ax.set_xticks(range(len(shares)), names)
        ax.margins(y=0.15)
        ax.set_xlabel("how many characters back")
        ax.set_ylabel("mean attention weight")

    return Picture(draw, height=3.42)
