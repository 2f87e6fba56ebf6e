"""The pictures of chapter 09."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    VERMILLION,
    Picture,
    arrow,
    bare,
)

LOOKS = ((VERMILLION, "o", "-"), (BLUE, "s", "--"), (GREEN, "^", ":"))


def score_tiles(blocks: int, row: int, column: int) -> Picture:
    """The causal score matrix cut into tiles, and what fast memory holds at tile (row, column)."""

    def draw(ax):
        bare(ax)
        ax.set_aspect("equal")
        for i in range(blocks):
            for j in range(blocks):
                _tile(ax, j, -i, "future" if j > i else "half" if j == i else "past",
                      now=(i, j) == (row, column))  # fmt: skip
        middle = (blocks - 1) / 2
        ax.text(middle, 1.45, "all scores: T × T", ha="center", fontweight="bold")
        ax.text(middle, 0.85, "K, V: blocks of keys", ha="center", color=ORANGE)
        ax.text(-0.85, -middle, "Q: blocks of queries", ha="center", va="center", rotation=90,
                color=BLUE)  # fmt: skip
        ax.text(middle, -blocks - 0.05, "×: future, never computed", ha="center", va="center")
        left = blocks + 2.6
        frame = {"fill": False, "edgecolor": BLACK, "linewidth": 1.2, "linestyle": "--"}
        ax.add_patch(Rectangle((left - 1.2, -blocks + 0.5), 5.0, blocks + 0.2, **frame))
        ax.text(left + 1.3, 1.45, "fast memory, small", ha="center", fontweight="bold")
        for x, y, letter, color in ((0, -1.3, "Q", BLUE), (1.3, 0, "K", ORANGE),
                                    (2.6, 0, "V", GREEN)):  # fmt: skip
            look = {"facecolor": "white", "edgecolor": color, "linewidth": 2.5}
            ax.add_patch(Rectangle((left + x - 0.45, y - 0.45), 0.9, 0.9, **look))
            ax.text(left + x, y, letter, ha="center", va="center", fontweight="bold")
        _tile(ax, left + 1.3, -1.3, "past", now=True)
        ax.text(left + 1.95, -1.3, "one tile\nof scores", ha="left", va="center", fontsize=10)
        kept = "kept for each query:\nlargest, sum, mixed"
        ax.text(left + 1.3, -2.65, kept, ha="center", va="center", fontsize=10)
        ax.text(left + 1.3, -blocks - 0.05, "Q, K, V themselves: slow memory", ha="center",
                va="center", fontsize=10)  # fmt: skip
        arrow(ax, (blocks - 0.25, -1.3), (left - 1.3, -1.3))
        ax.set_xlim(-1.3, left + 4.2)
        ax.set_ylim(-blocks - 0.4, 2.0)

    return Picture(draw, height=3.1)


def _tile(ax, x: float, y: float, kind: str, *, now: bool = False) -> None:
    """One tile of scores: all past, on the diagonal, or all future."""
    face = ORANGE if now else {"past": PALE, "half": PALE, "future": "white"}[kind]
    look = {"facecolor": face, "edgecolor": BLACK, "linewidth": 2.5 if now else 0.8}
    ax.add_patch(Rectangle((x - 0.45, y - 0.45), 0.9, 0.9, **look))
    if kind == "half":
        corners = [(x - 0.45, y + 0.45), (x + 0.45, y + 0.45), (x + 0.45, y - 0.45)]
        ax.fill(*zip(*corners, strict=True), facecolor="white", edgecolor=BLACK, linewidth=0.8)
    word = {"past": "now" if now else "", "half": "", "future": "×"}[kind]
    ax.text(x, y, word, ha="center", va="center", fontsize=10)


def online_frames(
    scores: Sequence[float],
    values: Sequence[float],
    states: Sequence[tuple[float, float, float]],
) -> Picture:
    """One row of scores in blocks, from left to right; a state is (largest, sum, mixed)."""
    block = len(scores) // len(states)

    def draw(ax):
        bare(ax)
        for frame, (largest, total, mixed) in enumerate(states):
            y = -1.75 * frame
            ax.text(-0.75, y, f"block {frame + 1}", ha="right", va="center")
            for i, (score, value) in enumerate(zip(scores, values, strict=True)):
                now, done = i // block == frame, i // block < frame
                look = {"facecolor": ORANGE if now else PALE if done else "white",
                        "hatch": "//" if done else "", "edgecolor": "grey" if done else BLACK,
                        "linewidth": 2.2 if now else 0.8}  # fmt: skip
                ax.add_patch(Rectangle((i - 0.46, y - 0.5), 0.92, 1.0, **look))
                if not done:
                    ax.text(i, y, f"{score:g}\n{value:g}", ha="center", va="center", fontsize=10)
            says = f"largest {largest:g}   sum {total:.4f}   mixed {mixed:.3f}"
            arrow(ax, (len(scores) - 0.4, y), (len(scores) + 0.15, y))
            ax.text(len(scores) + 0.3, y + 0.22, says, va="center", fontsize=10)
            ax.text(len(scores) + 0.3, y - 0.3, f"mixed / sum = {mixed / total:.3f}",
                    va="center", fontsize=10, fontweight="bold")  # fmt: skip
        ax.text(-0.75, 0.85, "score\nvalue", ha="right", va="center", fontsize=10)
        ax.text((len(scores) - 1) / 2, 0.85, "orange: being read", ha="center", va="center",
                fontsize=10)  # fmt: skip
        ax.set_xlim(-2.1, len(scores) + 5.6)
        ax.set_ylim(-1.75 * (len(states) - 1) - 0.8, 1.4)

    return Picture(draw, height=0.7 + 0.9 * len(states))


def memory_by_length(megabytes: Mapping[str, Mapping[int, float]]) -> Picture:
    """The largest tensor against the number of tokens, both axes logarithmic."""

    def draw(ax):
        for (name, line), (color, mark, dashes) in zip(megabytes.items(), LOOKS, strict=False):
            ax.plot(list(line), list(line.values()), mark, linestyle=dashes, color=color)
            end, size = max(line), line[max(line)]
            ax.annotate(f"{name}\n{size:.1f} MB", (end, size), (8, 0), color=color,
                        textcoords="offset points", va="center", fontsize=10)  # fmt: skip
        lengths = sorted({length for line in megabytes.values() for length in line})
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks(lengths, [f"{length:,}" for length in lengths])
        ax.minorticks_off()
        ax.set_xlim(lengths[0] * 0.85, lengths[-1] * 4)
        ax.set_xlabel("T, number of tokens")
        ax.set_ylabel("largest tensor, MB")

    return Picture(draw, height=3.1)


def loss_by_place(losses: Mapping[str, Sequence[float]]) -> Picture:
    """What a model pays at each place of its window, first to last."""

    def draw(ax):
        for (name, line), (color, mark, dashes) in zip(losses.items(), LOOKS, strict=False):
            ax.plot(range(len(line)), line, mark, linestyle=dashes, color=color, markersize=4)
            middle = len(line) // 2
            above = max(line[max(middle - 5, 0) : middle + 6])
            ax.annotate(name, (middle, above), (0, 6), color=color, ha="center",
                        textcoords="offset points")  # fmt: skip
        last = len(line) - 1
        ax.set_xticks([0, *range(7, last, 8), last])
        ax.set_ylim(-0.15, 1.1 * max(max(line) for line in losses.values()))
        ax.set_xlabel("place in the window")
        ax.set_ylabel("nats per character")

    return Picture(draw, height=2.9)
