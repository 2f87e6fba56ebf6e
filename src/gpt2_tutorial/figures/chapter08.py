"""The pictures of chapter 08."""

from collections.abc import Mapping, Sequence

import torch
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
    box,
    visible,
)

HEADS = ((SKY, ""), (ORANGE, "//"))  # colour and hatch of head 0, head 1


def memory_strip(ways: Mapping[str, torch.Tensor]) -> Picture:
    """The same numbers in memory, read as (H, T, D) in several ways; H is at most 2."""

    def draw(ax):
        bare(ax)
        for i, (name, tensor) in enumerate(ways.items()):
            _one_way(ax, -4.6 * i, name, tensor)
        first = next(iter(ways.values()))
        ax.set_xlim(-0.6, first.numel() + 4.9)
        ax.set_ylim(-4.6 * (len(ways) - 1) - 1.9, 2.5)

    return Picture(draw, height=2.0 * len(ways))


def _one_way(ax, y: float, name: str, tensor: torch.Tensor) -> None:
    """One strip with the steps of its axes, and beside it the heads that come of it."""
    n, (head, token, number) = tensor.numel(), tensor.stride()
    flat = torch.as_strided(tensor, (n,), (1,)).tolist()  # in the order of memory
    owner = torch.as_strided(torch.zeros(n).long(), tensor.shape, tensor.stride())
    owner[:] = torch.arange(len(tensor))[:, None, None]
    owners = torch.as_strided(owner, (n,), (1,)).tolist()
    ax.text(-0.5, y + 2.0, f"{name}: shape {tuple(tensor.shape)}, strides {tensor.stride()}",
            va="center")  # fmt: skip
    for place, (value, h) in enumerate(zip(flat, owners, strict=True)):
        _cell(ax, place, y, value, h)
        ax.text(place, y - 0.75, f"h{h}", ha="center", va="center", fontsize=9.5)
    hops = sorted([(token, "next token", BLUE), (head, "next head", VERMILLION)])
    places = (0.1, y + 1.22), (hops[1][0] + 0.1, y + 0.92)  # of the labels
    for (step, what, color), place in zip(hops, places, strict=True):
        _hop(ax, y + 0.5, step, f"{what} +{step}", place, color)
    ax.text(n / 2 - 0.5, y - 1.35, f"memory; next number: +{number}", ha="center", fontsize=9.5)
    for h, rows in enumerate(tensor.tolist()):
        x = n + 0.6 + 2.5 * h
        ax.text(x + 0.5, y + 1.05, f"head {h}", ha="center", va="center", fontsize=10)
        for t, row in enumerate(rows):
            for d, value in enumerate(row):
                _cell(ax, x + d, y + 0.1 - t, value, h)


def _cell(ax, x: float, y: float, value: int, head: int) -> None:
    color, hatch = HEADS[head]
    look = {"facecolor": color, "edgecolor": "white", "hatch": hatch, "linewidth": 1}
    ax.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, **look))
    pad = {"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": "none"}
    ax.text(x, y, f"{value}", ha="center", va="center", bbox=pad)


def _hop(ax, y: float, step: int, label: str, at: tuple, color: str) -> None:
    """An arc over the strip from place 0 to place `step`."""
    look = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0,
            "connectionstyle": f"arc3,rad={-0.9 / step}"}  # fmt: skip
    ax.annotate("", xy=(step, y), xytext=(0, y), arrowprops=look)
    ax.text(*at, label, va="center", fontsize=9.5, color=color)


def head_grids(weights: torch.Tensor, symbols: Sequence[str]) -> Picture:
    """One grid of weights (T, T) for each head, side by side; a dot marks each row's largest."""
    names, size = [visible(symbol) for symbol in symbols], len(symbols)
    across = 2

    def draw(ax):
        bare(ax)
        ax.set_aspect("equal")
        step = size + 2.6
        for h, grid in enumerate(weights.tolist()):
            left, top = (h % across) * step, -(h // across) * (step + 1.2)
            edges = (left - 0.5, left + size - 0.5, top - size + 0.5, top + 0.5)
            ax.imshow(grid, cmap="Blues", vmin=0, vmax=1.3, extent=edges)
            frame = {"fill": False, "edgecolor": BLACK, "linewidth": 0.8}
            ax.add_patch(Rectangle((left - 0.5, top - size + 0.5), size, size, **frame))
            ax.text(left + (size - 1) / 2, top + 2.5, f"head {h}", ha="center", va="center")
            for i, name in enumerate(names):
                ax.text(left - 1.1, top - i, name, ha="center", va="center", fontsize=9)
                ax.text(left + i, top + 0.95, name, ha="center", va="center", fontsize=9)
                best = max(range(size), key=lambda j: grid[i][j])
                ax.plot(left + best, top - i, "o", color=VERMILLION, markersize=3.5, mec="white")
        rows = -(-len(weights) // across)
        ax.set_xlim(-1.8, across * step - 1.8)
        ax.set_ylim(-rows * (step + 1.2) + 3.0, 3.3)

    return Picture(draw, height=6.3 * (-(-len(weights) // across)) / 2)


def self_and_cross() -> Picture:
    """Where Q, K and V come from: all from one text, or Q from one and K, V from another."""

    def draw(ax):
        bare(ax)
        ax.set_xlim(-0.2, 10.2)
        ax.set_ylim(-0.6, 3.9)
        for left, name, text, sources, mask in (
            (1.0, "self-attention", "x", (1.4, 1.4, 1.4), "the future is hidden"),
            (6.6, "cross-attention", "x", (0.35, 2.1, 2.1), "nothing is hidden"),
        ):
            ax.text(left + 1.3, 3.6, name, ha="center", fontweight="bold")
            box(ax, left + sources[0], 0.0, text, face=PALE)
            if sources[1] != sources[0]:
                box(ax, left + sources[1], 0.0, "context", face="white")
            letters = (("Q", 0.35, BLUE), ("K", 1.4, ORANGE), ("V", 2.45, GREEN))
            for (letter, x, color), source in zip(letters, sources, strict=True):
                arrow(ax, (left + source, 0.42), (left + x, 1.08))
                ax.text(left + x, 1.4, letter, ha="center", va="center", fontweight="bold",
                        bbox={"boxstyle": "round,pad=0.4", "facecolor": "white",
                              "edgecolor": color, "linewidth": 2.5})  # fmt: skip
                arrow(ax, (left + x, 1.75), (left + 0.8 + 0.45 * x, 2.4))
            box(ax, left + 1.4, 2.75, f"attention: {mask}", fontsize=10)

    return Picture(draw, height=2.9)


def cross_map(weights: torch.Tensor, asks: Sequence[str], answers: Sequence[str]) -> Picture:
    """A grid of weights (T, S) with its numbers: row i of `asks` looks at column j of `answers`."""
    grid = weights.tolist()

    def draw(ax):
        ax.imshow(grid, cmap="Blues", vmin=0, vmax=1.6)
        for i, row in enumerate(grid):
            for j, value in enumerate(row):
                bold = "bold" if value == max(row) else "normal"
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9.5,
                        fontweight=bold)  # fmt: skip
        ax.set_xticks(range(len(answers)), answers, fontsize=12)
        ax.set_yticks(range(len(asks)), asks, fontsize=12)
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set_xlabel("the context: digits to be reversed")
        ax.set_ylabel("to be written, in this order")

    return Picture(draw, height=4.2)
