"""The pictures of chapter 11."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import chip, go, panel, plus, road, say, sheet
from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    HALO,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    SMALL,
    VERMILLION,
    Picture,
    bare,
    tint,
)

CURVES = ((BLUE, "o", "-"), (VERMILLION, "s", "--"), (GREEN, "^", ":"), (PURPLE, "D", "-."))
LOWEST = 1e-16  # where a gap of 0 is drawn, since a logarithm has no 0


def model_zoom(config) -> Picture:
    """GPT-2 in three columns: the model, one of its blocks, the attention of that block.

    `config` has the sizes of a GPTConfig; every box says how many numbers it holds, every arrow
    which shape leaves it.
    """
    V, T, C = config.vocab_size, config.block_size, config.n_embd
    L, H, D = config.n_layer, config.n_head, C // config.n_head
    norm = 2 * C
    attention = (C * 3 * C + 3 * C) + (C * C + C)
    mlp = (C * 4 * C + 4 * C) + (4 * C * C + C)
    block = 2 * norm + attention + mlp

    def draw(ax):
        for x, title, numbers, marked in (
            (0, "GPT-2", V * C + T * C + L * block + norm, PALE),
            (240, f"one of its {L} blocks", block, tint(SKY, 0.3)),
            (480, "its attention", attention, tint(ORANGE, 0.25)),
        ):
            panel(ax, x, 0, 224, 640, face=marked)
            say(ax, x + 112, 22, title, fontweight="bold")
            say(ax, x + 112, 46, f"{numbers:,} numbers", size=SMALL)
        _model(ax, (V, T, C, L), block, norm)
        _block(ax, (T, C), (norm, attention, mlp))
        _attention(ax, (T, C, H, D))
        _zoom(ax, 204, 302, 240)
        _zoom(ax, 450, 246, 480)

    return sheet(draw, height=642)


def _part(ax, x: float, y: float, name: str, numbers: int | str, face: str = "white") -> None:
    """A part of the model in a box: its name, and how many numbers it holds."""
    chip(ax, x, y, "", wide=184, high=44, face=face)
    say(ax, x, y - 11, name, fontweight="bold")
    say(ax, x, y + 9, f"{numbers:,}" if isinstance(numbers, int) else numbers, size=SMALL)


def _flow(ax, x: float, y: float, end: float, shape: str = "") -> None:
    """An arrow down, with the shape of what runs along it."""
    at = x - 78 if shape else x
    go(ax, (at, y), (at, end))
    say(ax, at + 12, (y + end) / 2 - 2, shape, size=SMALL, ha="left")


def _model(ax, sizes: tuple[int, int, int, int], block: int, norm: int) -> None:
    V, T, C, L = sizes
    x = 112
    say(ax, x, 78, "ids", fontweight="bold")
    _flow(ax, x, 90, 118, f"(B, {T})")
    _part(ax, x, 142, "wte: tokens", V * C, tint(GREEN, 0.25))
    plus(ax, x, 180)
    _part(ax, x, 218, "wpe: places", T * C, tint(GREEN, 0.25))
    _flow(ax, x, 241, 278, f"(B, {T}, {C})")
    for back in (12, 6, 0):  # a pile of blocks
        chip(ax, x + back, 302 + back, "", wide=184, high=44, face=tint(SKY, 0.5))
    say(ax, x, 291, f"h.0 … h.{L - 1}", fontweight="bold")
    say(ax, x, 311, f"{L} × {block:,}", size=SMALL)
    _flow(ax, x, 338, 376, f"(B, {T}, {C})")
    _part(ax, x, 400, "ln_f", norm)
    _flow(ax, x, 423, 460, f"(B, {T}, {C})")
    _part(ax, x, 484, "lm_head", "wte once more", tint(GREEN, 0.25))
    _flow(ax, x, 507, 546, f"(B, {T}, {V})")
    say(ax, x, 560, "logits", fontweight="bold")
    say(ax, x, 600, f"B texts at a time,\n{T} tokens each", size=SMALL)


def _block(ax, sizes: tuple[int, int], numbers: tuple[int, int, int]) -> None:
    T, C = sizes
    norm, attention, mlp = numbers
    x = 358
    say(ax, x, 78, "x", fontweight="bold")
    _flow(ax, x, 90, 146, f"(B, {T}, {C})")
    for top, name, amount, face in (
        (170, "attn", attention, tint(ORANGE, 0.45)),
        (400, "mlp", mlp, PALE),
    ):
        _part(ax, x, top, "ln_1" if name == "attn" else "ln_2", norm)
        _flow(ax, x, top + 23, top + 52)
        _part(ax, x, top + 76, name, amount, face)
        _flow(ax, x, top + 99, top + 124)
        plus(ax, x, top + 140)
        way = [(x - 78, top - 46), (252, top - 46), (252, top + 140), (x - 30, top + 140)]
        road(ax, way, width=2.5)  # around the part
    _flow(ax, x, 325, 376, f"(B, {T}, {C})")
    _flow(ax, x, 555, 590, f"(B, {T}, {C})")
    say(ax, x, 606, "the next block", size=SMALL)


def _attention(ax, sizes: tuple[int, int, int, int]) -> None:
    T, C, H, D = sizes
    x = 592
    _flow(ax, x, 66, 90)
    _part(ax, x, 114, "c_attn", C * 3 * C + 3 * C, tint(ORANGE, 0.45))
    _flow(ax, x, 137, 172, f"(B, {T}, {3 * C})")
    for left, letter, color in ((-62, "q", BLUE), (0, "k", ORANGE), (62, "v", GREEN)):
        chip(ax, x + left, 190, letter, wide=50, edge=color, fontweight="bold")
    _flow(ax, x, 208, 250, f"(B, {H}, {T}, {D})")
    chip(ax, x, 268, f"q · kᵀ / √{D}", wide=184)
    _flow(ax, x, 286, 322, f"(B, {H}, {T}, {T})")
    chip(ax, x, 340, "mask the future", wide=184)
    _flow(ax, x, 358, 384)
    chip(ax, x, 402, "softmax", wide=184)
    _flow(ax, x, 420, 446)
    chip(ax, x, 464, "weights · v", wide=184)
    _flow(ax, x, 482, 522, f"(B, {H}, {T}, {D})")
    _part(ax, x, 546, "merge, c_proj", C * C + C, tint(ORANGE, 0.45))
    _flow(ax, x, 569, 606, f"(B, {T}, {C})")


def _zoom(ax, start: float, y: float, end: float) -> None:
    """A pale wedge from one box to the panel that shows it larger."""
    corners = [(start, y - 22), (end, 0), (end, 640), (start, y + 22)]
    ax.fill(*zip(*corners, strict=True), facecolor=BLACK, alpha=0.05, linewidth=0, zorder=-1)


def parameter_map(table: int, places: int, attention: int, mlp: int, blocks: int) -> Picture:
    """All numbers of a model as areas: its two tables, and attention and MLP of each block."""
    total = table + places + blocks * (attention + mlp)

    def area(ax, corner, width, height, face):
        look = {"facecolor": face, "edgecolor": BLACK, "linewidth": 0.8}
        ax.add_patch(Rectangle(corner, width, height, **look))

    def named(ax, x, y, text):
        ax.text(x, y, text, ha="center", va="center", fontsize=SMALL, bbox=HALO)

    def draw(ax):
        bare(ax)
        ax.set_xlim(0, 1.17)
        ax.set_ylim(-0.09, 1.1)
        left, row = (table + places) / total, 1 / blocks
        wide = (1 - left) * attention / (attention + mlp)
        low = places / (table + places)
        area(ax, (0, low), left, 1 - low, SKY)
        area(ax, (0, 0), left, low, ORANGE)
        named(ax, left / 2, 0.5, f"wte\n{table / total:.1%}")
        ax.text(left / 2, -0.02, f"wpe {places / total:.1%}", ha="center", va="top", fontsize=SMALL)
        for i in range(blocks):
            y = 1 - row * (i + 1)
            area(ax, (left, y), wide, row, tint(ORANGE, 0.35))
            area(ax, (left + wide, y), 1 - left - wide, row, PALE)
            ax.text(1.01, y + row / 2, f"h.{i}", va="center", fontsize=SMALL)
        ax.text(left + wide / 2, 1.02, "attention", ha="center", va="bottom", fontsize=SMALL)
        ax.text((1 + left + wide) / 2, 1.02, "MLP", ha="center", va="bottom", fontsize=SMALL)
        named(ax, left + wide / 2, 0.5, f"{blocks * attention / total:.1%}")
        named(ax, (1 + left + wide) / 2, 0.5, f"{blocks * mlp / total:.1%}")

    return Picture(draw, height=4.64)


def layer_gaps(runs: Mapping[str, Sequence[tuple[str, float]]]) -> Picture:
    """Largest difference of two models at every place, in the order of computation."""

    def draw(ax):
        for (name, found), (color, marker, line) in zip(runs.items(), CURVES, strict=False):
            ys = [max(gap, LOWEST) for _, gap in found]
            ax.plot(ys, line, marker=marker, color=color, linewidth=1.3, markersize=4, label=name)
        names = [name for name, _ in next(iter(runs.values()))]
        ax.set_yscale("log")
        ax.set_ylim(LOWEST / 3, 1e4)
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=SMALL)
        ax.legend(loc="upper left", ncols=2, fontsize=SMALL)
        ax.grid(axis="y", linewidth=0.4)
        ax.set_ylabel("largest difference")

    return Picture(draw, height=4.51)


def company_kept(curves: Mapping[str, Sequence[float]]) -> Picture:
    """Cosine of one word's two vectors: in the table, with their places, behind each block."""

    def draw(ax):
        for (name, values), (color, marker, line) in zip(curves.items(), CURVES, strict=False):
            ax.plot(values, line, marker=marker, color=color, linewidth=1.5, markersize=5)
            ax.annotate(name, (len(values) - 1, values[-1]), (8, -4),
                        textcoords="offset points", color=color)  # fmt: skip
        blocks = max(map(len, curves.values())) - 2
        ax.set_xticks(range(blocks + 2), ["table", "+ place", *map(str, range(1, blocks + 1))])
        ax.set_xlim(-0.3, 1.35 * (blocks + 1.4))
        lowest = min(min(values) for values in curves.values())
        ax.set_ylim(min(0, lowest) - 0.05, 1.08)
        ax.axhline(0, color=BLACK, linewidth=0.6)
        ax.set_xlabel("behind the table, the places, block 1, block 2, …")
        ax.set_ylabel("cosine of the two moles")

    return Picture(draw, height=3.54)
