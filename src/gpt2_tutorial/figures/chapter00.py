"""The pictures of chapter 00."""

import math
from collections.abc import Mapping, Sequence

from gpt2_tutorial.figures.style import (
    BARS,
    BLACK,
    ORANGE,
    SKY,
    SMALL,
    VERMILLION,
    Picture,
    bare,
    box,
    visible,
)


def prefix_tree(counts: Mapping[str, int]) -> Picture:
    """A few words as a tree of letters; each end carries how often the word was seen."""
    leaves = sorted(counts)
    prefixes = {word[:n] for word in leaves for n in range(1, len(word) + 1)}

    def height(prefix):
        below = [i for i, word in enumerate(leaves) if word.startswith(prefix)]
        return -sum(below) / len(below)

    def draw(ax):
        bare(ax)
        for prefix in prefixes:
            x, y = len(prefix), height(prefix)
            if len(prefix) > 1:
                ax.plot([x - 1, x], [height(prefix[:-1]), y], color=BLACK, linewidth=1, zorder=0)
            box(ax, x, y, prefix[-1], face=SKY if prefix in counts else "white")
            if prefix in counts:
                ax.text(x + 0.3, y, f"{prefix} ×{counts[prefix]:,}", va="center")
        longest = max(map(len, leaves))
        ax.set_xlim(0.6, longest + 1.9)
        ax.set_ylim(-len(leaves) + 0.4, 0.6)

    return Picture(draw, height=0.73 + 0.61 * len(leaves))


def price_of_a_guess(probs: Sequence[float] = (1, 0.5, 0.25, 0.1, 0.01)) -> Picture:
    """Bars of −ln p: what a guess costs when the truth was given probability p."""

    def draw(ax):
        paid = [-math.log(p) + 0.0 for p in probs]
        bars = ax.bar(range(len(probs)), paid, color=VERMILLION, edgecolor="white")
        ax.bar_label(bars, labels=[f"{nats:.2f}" for nats in paid], padding=2)
        ax.set_xticks(range(len(probs)), [f"{p:g}" for p in probs])
        ax.set_xlabel("probability you gave to what really came")
        ax.set_ylabel("you pay (nats)")

    return Picture(draw, height=3.42)


def letter_frequencies(symbols: Sequence[str], shares: Sequence[float], top: int = 20) -> Picture:
    """Bars of the commonest characters and their share of the text."""
    ranked = sorted(zip(map(float, shares), symbols, strict=True), reverse=True)[:top]

    def draw(ax):
        ax.bar(range(top), [100 * share for share, _ in ranked], **BARS)
        ax.set_xticks(range(top), [visible(symbol) for _, symbol in ranked], fontsize=14)
        ax.set_ylabel("% of the training text")

    return Picture(draw, height=3.17)


def train_val_strip(train: int, val: int) -> Picture:
    """The text as one strip, cut once: a long part to learn from, a short one to be judged on."""

    def draw(ax):
        bare(ax)
        whole = train + val
        ax.barh(0, train / whole, height=0.5, color=SKY, edgecolor=BLACK)
        ax.barh(0, val / whole, left=train / whole, height=0.5, color=ORANGE,
                edgecolor=BLACK)  # fmt: skip
        ax.text(train / whole / 2, 0, f"training: {train:,} characters", ha="center", va="center")
        ax.text(1, 0.32, f"validation: {val:,}", ha="right", va="bottom")
        ax.text(0, -0.32, "“First Citizen: …”", ha="left", va="top", fontsize=SMALL)
        ax.text(1, -0.32, "reading order →", ha="right", va="top", fontsize=SMALL)
        ax.set_ylim(-0.7, 0.7)

    return Picture(draw, height=1.71)
