"""The pictures of chapter 08."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import badge, frame, panel, say, sheet
from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    SMALL,
    VERMILLION,
    Picture,
    arrow,
    bare,
    box,
    tint,
    visible,
)

HEADS = (SKY, ORANGE)  # the colours of head 0 and head 1
HUES = (SKY, ORANGE, GREEN, PURPLE)  # of more heads, over and over
ROW_HIGH, ACROSS_ROW = 18, 178  # a token in the picture of the way through the heads


def memory_strip(ways: Mapping[str, torch.Tensor]) -> Picture:
    """The same numbers in memory, read as (H, T, D) in several ways; H is at most 2."""

    def draw(ax):
        bare(ax)
        for i, (name, tensor) in enumerate(ways.items()):
            _one_way(ax, -4.6 * i, name, tensor)
        first = next(iter(ways.values()))
        ax.set_xlim(-0.6, first.numel() + 4.9)
        ax.set_ylim(-4.6 * (len(ways) - 1) - 1.9, 2.5)

    return Picture(draw, height=2.44 * len(ways))


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
        ax.text(place, y - 0.75, f"h{h}", ha="center", va="center", fontsize=SMALL)
    hops = sorted([(token, "next token", BLUE), (head, "next head", VERMILLION)])
    places = (0.1, y + 1.22), (hops[1][0] + 0.1, y + 0.92)  # of the labels
    for (step, what, color), place in zip(hops, places, strict=True):
        _hop(ax, y + 0.5, step, f"{what} +{step}", place, color)
    ax.text(n / 2 - 0.5, y - 1.35, f"memory; next number: +{number}", ha="center", fontsize=SMALL)
    for h, rows in enumerate(tensor.tolist()):
        x = n + 0.6 + 2.5 * h
        ax.text(x + 0.5, y + 1.05, f"head {h}", ha="center", va="center", fontsize=SMALL)
        for t, row in enumerate(rows):
            for d, value in enumerate(row):
                _cell(ax, x + d, y + 0.1 - t, value, h)


def _cell(ax, x: float, y: float, value: int, head: int) -> None:
    look = {"facecolor": HEADS[head], "edgecolor": "white", "linewidth": 1}
    ax.add_patch(Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, **look))
    ax.text(x, y, f"{value}", ha="center", va="center")


def _hop(ax, y: float, step: int, label: str, at: tuple, color: str) -> None:
    """An arc over the strip from place 0 to place `step`."""
    look = {"arrowstyle": "-|>", "color": color, "shrinkA": 0, "shrinkB": 0,
            "connectionstyle": f"arc3,rad={-0.9 / step}"}  # fmt: skip
    ax.annotate("", xy=(step, y), xytext=(0, y), arrowprops=look)
    ax.text(*at, label, va="center", fontsize=SMALL, color=color)


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
                ax.text(left - 1.1, top - i, name, ha="center", va="center", fontsize=SMALL)
                ax.text(left + i, top + 0.95, name, ha="center", va="center", fontsize=SMALL)
                best = max(range(size), key=lambda j: grid[i][j])
                ax.plot(left + best, top - i, "o", color=VERMILLION, markersize=3.5, mec="white")
        rows = -(-len(weights) // across)
        ax.set_xlim(-1.8, across * step - 1.8)
        ax.set_ylim(-rows * (step + 1.2) + 3.0, 3.3)

    return Picture(draw, height=7.69 * (-(-len(weights) // across)) / 2)


def heads_and_back(B: int, T: int, H: int, D: int) -> Picture:
    """The way of T tokens through H heads and back, in six frames with their shapes.

    A row is a token, a colour is a head. In the end every number holds something of all heads.
    """
    hues, step = [HUES[h % len(HUES)] for h in range(H)], ROW_HIGH + 4
    steps = (
        ("project", "(B, T, C)", (B, T, H * D), "a row is a token"),
        ("view: cut rows", "(B, T, H, D)", (B, T, H, D), "each row in H pieces"),
        ("transpose", "(B, H, T, D)", (B, H, T, D), "a colour is a head"),
        ("attend alone", "(B, H, T, D)", (B, H, T, D), "a head mixes rows so far"),
        ("merge", "(B, T, C)", (B, T, H * D), "side by side again"),
        ("mix: output map", "(B, T, C)", (B, T, H * D), "all heads in each number"),
    )
    high = 130 + step * T

    def draw(ax):
        for i, (name, letters, sizes, says) in enumerate(steps):
            x, y = 239 * (i % 3), (high + 14) * (i // 3)
            panel(ax, x, y, 226, high)
            badge(ax, x + 22, y + 22, i + 1)
            say(ax, x + 42, y + 23, name, ha="left", fontweight="bold")
            say(ax, x + 12, y + 51, f"{letters} = {sizes}", ha="left", size=SMALL)
            say(ax, x + 12, y + 73, says, ha="left", size=SMALL)
            for row in range(T):
                _row(ax, x + 36, y + 96 + step * row, hues, i, row)
            _span(ax, (x + 28, y + 96), (x + 28, y + 92 + step * T), f"T = {T}", (-10, 0))
            below = y + 102 + step * T
            if i == 1:
                left, right = _sides(0, H, i)
                _span(ax, (x + 36 + left, below), (x + 36 + right, below), f"D = {D}", (4, 14))
            elif i in (2, 3):
                for h in range(H):
                    middle = x + 36 + sum(_sides(h, H, i)) / 2
                    say(ax, middle, below + 8, f"h{h}", size=SMALL)
            else:
                _span(ax, (x + 36, below), (x + 36 + ACROSS_ROW, below), f"C = {H * D}", (0, 14))

    return sheet(draw, height=2 * high + 14)


def _sides(head: int, heads: int, step: int) -> tuple[float, float]:
    """Where a head's piece of a row begins and ends in one of the six frames."""
    piece, gap = ACROSS_ROW / heads, (0, 3, 12, 12, 0, 0)[step]
    return head * piece + gap / 2, (head + 1) * piece - gap / 2


def _span(ax, start: tuple, end: tuple, text: str, beside: tuple) -> None:
    """A line along one side, with how many things lie along it."""
    ax.plot(*zip(start, end, strict=True), color=BLACK, linewidth=1.2)
    flat = start[1] == end[1]
    for x, y in (start, end):
        tick = ([x, x], [y - 4, y + 4]) if flat else ([x - 4, x + 4], [y, y])
        ax.plot(*tick, color=BLACK, linewidth=1.2)
    middle = (start[0] + end[0]) / 2 + beside[0], (start[1] + end[1]) / 2 + beside[1]
    say(ax, *middle, text, size=SMALL, rotation=0 if flat else 90)


def _row(ax, x: float, y: float, hues: Sequence[str], step: int, row: int) -> None:
    """One token's numbers in one of the six frames."""
    for h, hue in enumerate(hues):
        left, right = _sides(h, len(hues), step)
        left, wide = x + left, right - left
        if step == 3:  # what the head has gathered: this row and those above it
            for part in range(row + 1):
                shade = tint(hue, 0.35 + 0.5 * (part + 1) / (row + 1))
                _band(ax, left + wide * part / (row + 1), y, wide / (row + 1), shade)
        elif step == 5:  # a bit of every head in every number
            for part, other in enumerate(hues):
                share = wide / len(hues)
                _band(ax, left + share * part, y, share, tint(other, 0.75))
        else:
            _band(ax, left, y, wide, tint(hue, 0.75))
        if step in (1, 2, 3):
            frame(ax, left, y, wide, ROW_HIGH, width=1)
    if step in (0, 4, 5):
        frame(ax, x, y, ACROSS_ROW, ROW_HIGH, width=1)


def _band(ax, x: float, y: float, wide: float, face: str) -> None:
    ax.add_patch(Rectangle((x, y), wide, ROW_HIGH, facecolor=face, linewidth=0))


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
            box(ax, left + 1.4, 2.75, f"attention: {mask}", fontsize=SMALL)

    return Picture(draw, height=3.54)


def cross_map(weights: torch.Tensor, asks: Sequence[str], answers: Sequence[str]) -> Picture:
    """A grid of weights (T, S) with its numbers: row i of `asks` looks at column j of `answers`."""
    grid = weights.tolist()

    def draw(ax):
        ax.imshow(grid, cmap="Blues", vmin=0, vmax=1.6)
        for i, row in enumerate(grid):
            for j, value in enumerate(row):
                bold = "bold" if value == max(row) else "normal"
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=SMALL,
                        fontweight=bold)  # fmt: skip
        ax.set_xticks(range(len(answers)), answers, fontsize=14)
        ax.set_yticks(range(len(asks)), asks, fontsize=14)
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set_xlabel("the context: digits to be reversed")
        ax.set_ylabel("to be written, in this order")

    return Picture(draw, height=5.12)
