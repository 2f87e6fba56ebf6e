"""The pictures of chapter 13."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.style import (
    BARS,
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    SKY,
    SMALL,
    VERMILLION,
    Picture,
    bare,
    level,
    visible,
)

TEMPERATURES = (BLUE, SKY, ORANGE)


def temperatures(names: Sequence[str], probs: Mapping[str, Sequence[float]]) -> Picture:
    """Bars of the same bets at three temperatures, one panel each, side by side."""

    def draw(ax):
        gap = len(names) + 1.2
        for i, (title, bets) in enumerate(probs.items()):
            color = TEMPERATURES[i % len(TEMPERATURES)]
            places = [gap * i + j for j in range(len(names))]
            bars = ax.bar(places, bets, color=color, edgecolor=BLACK, linewidth=0.6)
            ax.bar_label(bars, labels=[f"{p:.2f}" for p in bets], padding=2, fontsize=SMALL)
            ax.text(gap * i + (len(names) - 1) / 2, 1.12, title, ha="center")
        every = [gap * i + j for i in range(len(probs)) for j in range(len(names))]
        ax.set_xticks(every, list(names) * len(probs))
        ax.set_ylim(0, 1.22)
        ax.set_yticks([0, 0.5, 1])
        ax.set_ylabel("probability")

    return Picture(draw, height=3.29)


def positions_computed(length: int, without: int, with_cache: int) -> Picture:
    """What a model works out while it writes: a triangle without a cache, a line with one.

    `length` rows are drawn; the two totals are written above.
    """

    def draw(ax):
        bare(ax)
        ax.set_aspect("equal")
        step = length + 4.0
        for i, (name, total, keep) in enumerate(
            (("without a cache", without, False), ("with a cache", with_cache, True))
        ):
            left = i * step
            ax.text(left + length / 2 - 0.5, 2.3, name, ha="center", fontweight="bold")
            ax.text(left + length / 2 - 0.5, 1.1, f"{total:,} positions", ha="center")
            for t in range(length):
                for place in range(t + 1):
                    _work(ax, left + place, -t, new=place == t, kept=keep)
        ax.text(-1.1, -(length - 1) / 2, "step →", rotation=-90, ha="center", va="center")
        ax.text(length / 2 - 0.5, -length - 0.3, "position →", ha="center", va="center")
        ax.text(step + length / 2 - 0.5, -length - 0.3, "dots: looked up", ha="center", va="center")
        ax.set_xlim(-1.8, 2 * step - 3.6)
        ax.set_ylim(-length - 0.9, 3.2)

    return Picture(draw, height=4.03)


def _work(ax, x: float, y: float, *, new: bool, kept: bool) -> None:
    """One position in one step: worked out for the first time, again, or looked up."""
    if kept and not new:
        ax.plot(x, y, ".", color=BLACK, markersize=3)
        return
    look = {"facecolor": BLUE if new else ORANGE}
    square = Rectangle((x - 0.42, y - 0.42), 0.84, 0.84, edgecolor="white", **look)
    ax.add_patch(square)


def accuracies(found: Mapping[str, tuple[float, float]], chance: float) -> Picture:
    """Share of items answered rightly, with an error bar of two standard errors each, and chance.

    `found` maps a name to (accuracy, standard error).
    """

    def draw(ax):
        for x, (accuracy, error) in enumerate(found.values()):
            look = BARS | {"width": 0.6}
            ax.bar(x, accuracy, **look)
            ax.errorbar(x, accuracy, yerr=2 * error, color=BLACK, capsize=5, linewidth=1.5)
            ax.annotate(f"{100 * accuracy:.0f} ± {200 * error:.0f} %", (x, accuracy + 2 * error),
                        (0, 4), textcoords="offset points", ha="center")  # fmt: skip
        level(ax, chance, "chance", color=VERMILLION)
        ax.set_xticks(range(len(found)), list(found))
        ax.set_xlim(-0.6, len(found) - 0.1)
        top = max(accuracy + 2 * error for accuracy, error in found.values())
        ax.set_ylim(0, min(1.0, top) + 0.12)
        ax.set_ylabel("share right")

    return Picture(draw, height=3.66)


def head_maps(weights: torch.Tensor, notes: Sequence[str]) -> Picture:
    """A small map (T, T) for each head of each block, (L, H, T, T), with a note under each."""
    L, H, T, _ = weights.shape

    def draw(ax):
        bare(ax)
        ax.set_aspect("equal")
        wide, high = T * 1.18, T * 1.42
        for number, grid in enumerate(weights.flatten(0, 1).tolist()):
            left, top = (number % H) * wide, -(number // H) * high
            ax.imshow(grid, cmap="Blues", vmin=0, vmax=0.7, extent=(left, left + T, top - T, top))
            frame = {"fill": False, "edgecolor": BLACK, "linewidth": 0.8}
            ax.add_patch(Rectangle((left, top - T), T, T, **frame))
            ax.text(left + T / 2, top - 1.13 * T, notes[number], ha="center", va="center",
                    fontsize=SMALL)  # fmt: skip
        for block in range(L):
            ax.text(-0.12 * T, -block * high - T / 2, f"block {block}", ha="center", va="center",
                    rotation=90)  # fmt: skip
        for head in range(H):
            ax.text(head * wide + T / 2, 0.13 * T, f"head {head}", ha="center", va="center")
        ax.set_xlim(-0.3 * T, H * wide)
        ax.set_ylim(-L * high + 0.1 * T, 0.3 * T)

    return Picture(draw, height=7.32 * (L * 1.73 + 0.24) / (H * 1.44 + 0.37))


def logit_lens(
    text: Sequence[str], tops: Sequence[Sequence[str]], probs: Sequence[Sequence[float]]
) -> Picture:
    """What each block would bet on if it were the last: rows from the embedding up, best guess.

    A frame marks a guess that is the next character of `text`.
    """

    def draw(ax):
        ax.imshow(probs, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
        for row, (guesses, chances) in enumerate(zip(tops, probs, strict=True)):
            for t, (guess, p) in enumerate(zip(guesses, chances, strict=True)):
                right = t + 1 < len(text) and text[t + 1] == guess
                weight = "bold" if right else "normal"
                ink = "white" if p > 0.75 else BLACK
                ax.text(t, row, visible(guess), ha="center", va="center", color=ink,
                        fontweight=weight)  # fmt: skip
                if right:
                    box = {"fill": False, "edgecolor": GREEN, "linewidth": 2}
                    ax.add_patch(Rectangle((t - 0.45, row - 0.42), 0.9, 0.84, **box))
        ax.set_xticks(range(len(tops[0])), [visible(c) for c in text[: len(tops[0])]])
        names = ["vectors", *[f"block {b}" for b in range(len(tops) - 1)]]
        ax.set_yticks(range(len(tops)), [f"after {name}" for name in names])
        ax.set_xlabel("character read; framed guesses are the next one")
        ax.tick_params(length=0)

    return Picture(draw, height=1.1 + 0.51 * len(tops))
