"""The pictures of chapter 18."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.patches import Circle

from gpt2_tutorial.figures.draw import chip, go, panel, say, sheet
from gpt2_tutorial.figures.style import (
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
    VERMILLION,
    Picture,
    tint,
)

LINES = ((VERMILLION, "o", "-"), (BLUE, "s", "--"), (GREEN, "^", ":"))


def turning_arrows(speeds: Mapping[str, float], places: int = 8) -> Picture:
    """One dial for each place of a text, a row of them for each pair of numbers.

    `speeds` has the radians that a pair turns from one place to the next, under its name.
    """
    left, step, radius = 168, 528 / places, 24

    def draw(ax):
        for t in range(places):
            say(ax, left + step * (t + 0.5), 24, str(t), size=SMALL)
        say(ax, 20, 24, "place", ha="left", size=SMALL)
        for row, (name, speed) in enumerate(speeds.items()):
            y = 72 + 68 * row
            say(ax, 20, y, name, ha="left")
            for t in range(places):
                x, angle = left + step * (t + 0.5), t * speed
                ax.add_patch(Circle((x, y), radius, facecolor=PALE, edgecolor=GREY, linewidth=1))
                tip = (x + radius * math.cos(angle), y - radius * math.sin(angle))
                go(ax, (x, y), tip, color=BLUE, width=2.2)

    return sheet(draw, height=52 + 68 * len(speeds))


def shared_heads(n_head: int, shares: Sequence[int]) -> Picture:
    """Which head of queries reads which head of keys and values, for each number of the latter."""
    wide, gap = 704 / len(shares), 12

    def draw(ax):
        for i, K in enumerate(shares):
            left, inside = wide * i + gap / 2, wide - gap
            panel(ax, left, 8, inside, 196, title=f"H = {n_head}, K = {K}")
            queries = [left + inside * (h + 0.5) / n_head for h in range(n_head)]
            keys = [left + inside * (k + 0.5) / K for k in range(K)]
            for h, x in enumerate(queries):
                go(ax, (x, 92), (keys[h * K // n_head], 150), width=1.4)
                chip(ax, x, 76, f"q{h}", wide=38, face=tint(BLUE, 0.25))
            for k, x in enumerate(keys):
                chip(ax, x, 168, f"kv{k}", wide=42, face=tint(ORANGE, 0.55))

    return sheet(draw, height=212)


def singular_values(found: Mapping[str, Sequence[float]]) -> Picture:
    """Singular values of several matrices, sorted, each as a share of its largest."""

    def draw(ax):
        for (name, values), (color, mark, line) in zip(found.items(), LINES, strict=False):
            shares = [value / max(values) for value in sorted(values, reverse=True)]
            every = max(1, len(shares) // 12)
            ax.plot(range(1, len(shares) + 1), shares, line, marker=mark, markevery=every,
                    color=color, label=name)  # fmt: skip
        ax.set_yscale("log")
        ax.legend(loc="lower left")
        ax.set_xlabel("direction, the most stretched first")
        ax.set_ylabel("stretch, of the largest")

    return Picture(draw, height=3.54)


def gains(rows: Sequence[Mapping]) -> Picture:
    """What each change does to the loss: seed by seed against GPT-2, mean ± one deviation.

    Behind each stands how long its step takes, in steps of GPT-2.
    """

    def draw(ax):
        top = max(max(row["minus_gpt2"]["per_seed"]) for row in rows)
        low = min(min(row["minus_gpt2"]["per_seed"]) for row in rows)
        for y, row in enumerate(reversed(rows)):
            gap = row["minus_gpt2"]
            dots = gap["per_seed"]
            ax.plot(dots, [y] * len(dots), "o", color=PURPLE, markersize=3.5)
            ax.errorbar(gap["mean"], y, xerr=gap["sd"], fmt="D", color=BLUE, markersize=6,
                        ecolor=BLACK, capsize=4, linewidth=1.5)  # fmt: skip
            said = f"{gap['mean']:+.3f}".replace("-", "−")
            end = max(*dots, gap["mean"] + gap["sd"])
            ax.annotate(said, (end, y), (9, -4), textcoords="offset points", size=SMALL, bbox=HALO)
            ax.annotate(f"{row['time']:.2f}", (1.02, y), (0, -4), size=SMALL, color=BLACK,
                        xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
        ax.annotate("time", (1.02, len(rows) - 0.4), (0, 0), size=SMALL,
                    xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
        ax.axvline(0, color=SKY, linewidth=2, zorder=0)
        ax.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)])
        ax.set_ylim(-0.7, len(rows) - 0.3)
        ax.set_xlim(low - 0.03, top + 0.3 * (top - low) + 0.05)
        ax.set_xlabel("nats per character against GPT-2; left is better")

    return Picture(draw, height=1.2 + 0.37 * len(rows))
