"""The pictures of chapter 09."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import chip, go, panel, say, sheet
from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HALO,
    ORANGE,
    PALE,
    SKY,
    SMALL,
    VERMILLION,
    YELLOW,
    Picture,
    arrow,
    bare,
    tint,
)

KEPT = {
    "largest": "highest score so far",
    "sum": "weights, added up",
    "mixed": "weight times V, added up",
}
LOOKS = ((VERMILLION, "o", "-"), (BLUE, "s", "--"), (GREEN, "^", ":"))


def score_tiles(blocks: int, row: int, column: int) -> Picture:
    """The causal score matrix cut into tiles, and what fast memory holds at tile (row, column).

    The numbers say in which order the tiles are worked through; the future is never computed.
    """
    tile = 240 / blocks
    order = {}
    for i in range(blocks):
        for j in range(i + 1):
            order[i, j] = len(order) + 1

    def draw(ax):
        panel(ax, 0, 0, 372, 400, "slow memory, large")
        say(ax, 216, 46, "K and V, in blocks", size=SMALL)
        say(ax, 34, 216, "Q, in blocks", size=SMALL, color=BLUE, rotation=90)
        for b in range(blocks):
            _block(ax, 96 + tile * b, 58, tile, 18, ORANGE, b == column)
            _block(ax, 96 + tile * b, 76, tile, 18, GREEN, b == column)
            _block(ax, 54, 96 + tile * b, 24, tile, BLUE, b == row)
        for i in range(blocks):
            for j in range(blocks):
                _tile(ax, 96 + tile * j, 96 + tile * i, tile, order.get((i, j)), order[row, column])
        say(ax, 216 + 240 * 0.22, 96 + 240 * 0.2, "the future", size=SMALL, bbox=HALO)
        for x, face, thick, said in (
            (98, SKY, 1, "done"),
            (176, tint(VERMILLION, 0.5), 2.4, "now"),
            (250, "white", 1, "to come"),
        ):
            look = {"facecolor": face, "edgecolor": BLACK, "linewidth": thick}
            ax.add_patch(Rectangle((x, 356), 18, 18, **look))
            say(ax, x + 25, 365, said, ha="left", size=SMALL)
        panel(ax, 444, 0, 260, 400, "fast memory, tiny", tint(YELLOW, 0.45))
        _block(ax, 470, 106, 60, 60, BLUE, True, "Q")
        _block(ax, 546, 46, 60, 44, ORANGE, True, "K")
        _block(ax, 622, 46, 60, 44, GREEN, True, "V")
        _tile(ax, 546, 106, 60, order[row, column], order[row, column])
        say(ax, 618, 136, "one tile\nof scores", ha="left", size=SMALL)
        say(ax, 574, 190, "kept for each query:", size=SMALL)
        for i, (name, formula) in enumerate(KEPT.items()):
            chip(ax, 574, 228 + 54 * i, "", wide=236, high=48, face="white")
            say(ax, 574, 216 + 54 * i, name, fontweight="bold")
            say(ax, 574, 237 + 54 * i, formula, size=SMALL)
        say(ax, 574, 381, "weight: e^(score − largest)", size=SMALL)
        go(ax, (374, 110), (442, 110), "load", width=2)
        go(ax, (442, 302), (374, 302), width=2)
        say(ax, 408, 276, "mixed\n÷ sum", size=SMALL)
        say(ax, 408, 318, "answer", size=SMALL)

    return sheet(draw, height=402)


def _block(
    ax, x: float, y: float, wide: float, high: float, color: str, now: bool, letter: str = ""
) -> None:
    """A block of Q, K or V; the one that is in fast memory is filled."""
    look = {"facecolor": tint(color, 0.6 if now else 0.12), "edgecolor": color, "linewidth": 1.5}
    ax.add_patch(Rectangle((x + 2, y + 2), wide - 4, high - 4, **look))
    if letter:
        say(ax, x + wide / 2, y + high / 2, letter, fontweight="bold")


def _tile(ax, x: float, y: float, size: float, number: int | None, now: int) -> None:
    """One tile of scores with its number; without a number it lies in the future."""
    if number is None:
        look = {"facecolor": "none", "edgecolor": GREY, "linestyle": ":", "linewidth": 1}
    else:
        face = tint(VERMILLION, 0.5) if number == now else SKY if number < now else "white"
        look = {"facecolor": face, "edgecolor": BLACK, "linewidth": 2.4 if number == now else 1}
    ax.add_patch(Rectangle((x + 2, y + 2), size - 4, size - 4, **look))
    if number is not None:
        bold = "bold" if number == now else "normal"
        say(ax, x + size / 2, y + size / 2, str(number), fontweight=bold)


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
                        "edgecolor": GREY if done else BLACK,
                        "linewidth": 2.2 if now else 0.8}  # fmt: skip
                ax.add_patch(Rectangle((i - 0.46, y - 0.5), 0.92, 1.0, **look))
                if not done:
                    ax.text(i, y, f"{score:g}\n{value:g}", ha="center", va="center", fontsize=SMALL)
            says = f"largest {largest:g}   sum {total:.4f}   mixed {mixed:.3f}"
            arrow(ax, (len(scores) - 0.4, y), (len(scores) + 0.15, y))
            ax.text(len(scores) + 0.3, y + 0.22, says, va="center", fontsize=SMALL)
            ax.text(len(scores) + 0.3, y - 0.3, f"mixed / sum = {mixed / total:.3f}",
                    va="center", fontsize=SMALL, fontweight="bold")  # fmt: skip
        ax.text(-0.75, 0.85, "score\nvalue", ha="right", va="center", fontsize=SMALL)
        ax.text((len(scores) - 1) / 2, 0.85, "orange: being read", ha="center", va="center",
                fontsize=SMALL)  # fmt: skip
        ax.set_xlim(-2.1, len(scores) + 5.6)
        ax.set_ylim(-1.75 * (len(states) - 1) - 0.8, 1.4)

    return Picture(draw, height=0.85 + 1.1 * len(states))


def memory_by_length(megabytes: Mapping[str, Mapping[int, float]]) -> Picture:
    """The largest tensor against the number of tokens, both axes logarithmic."""

    def draw(ax):
        for (name, line), (color, mark, dashes) in zip(megabytes.items(), LOOKS, strict=False):
            ax.plot(list(line), list(line.values()), mark, linestyle=dashes, color=color)
            end, size = max(line), line[max(line)]
            ax.annotate(f"{name}\n{size:.1f} MB", (end, size), (8, 0), color=color,
                        textcoords="offset points", va="center", fontsize=SMALL)  # fmt: skip
        lengths = sorted({length for line in megabytes.values() for length in line})
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks(lengths, [f"{length:,}" for length in lengths])
        ax.minorticks_off()
        ax.set_xlim(lengths[0] * 0.85, lengths[-1] * 4)
        ax.set_xlabel("T, number of tokens")
        ax.set_ylabel("largest tensor, MB")

    return Picture(draw, height=3.78)


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

    return Picture(draw, height=3.54)
