"""The pictures of chapter 11."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import chip, go, panel, plus, say, sheet
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
ZOOM = 704  # pixels: the height of the three columns
LOWEST = 1e-16  # where a gap of 0 is drawn, since a logarithm has no 0


def model_zoom(config) -> Picture:
    """GPT-2 in three columns: the model, one of its blocks, the attention of that block.

    `config` has the sizes of a GPTConfig. A box says what it is, its name in the code and how
    many numbers it holds, an arrow which shape runs along it.
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
            panel(ax, x, 0, 224, ZOOM, face=marked)
            say(ax, x + 112, 22, title, fontweight="bold")
            say(ax, x + 112, 46, f"{numbers:,} numbers", size=SMALL)
        _model(ax, (V, T, C, L), block, norm)
        _block(ax, (T, C), (norm, attention, mlp))
        _attention(ax, (T, C, H, D))
        _zoom(ax, 204, 346, 240)
        _zoom(ax, 458, 212, 480)

    return sheet(draw, height=ZOOM + 2)


def _part(
    ax, x: float, y: float, title: str, *names: str, face: str = "white", wide: float = 184
) -> None:
    """A part of the model in a box: what it is, its name in the code and its numbers."""
    high = 24 + 20 * len(names)
    chip(ax, x, y, "", wide=wide, high=high, face=face)
    say(ax, x, y - high / 2 + 11, title, fontweight="bold")
    for i, name in enumerate(names):
        say(ax, x, y - high / 2 + 31 + 20 * i, name, size=SMALL)


def _flow(ax, x: float, y: float, end: float, shape: str = "") -> None:
    """An arrow down, with the shape of what runs along it."""
    go(ax, (x, y), (x, end))
    say(ax, x + 12, (y + end) / 2 - 2, shape, size=SMALL, ha="left")


def _model(ax, sizes: tuple[int, int, int, int], block: int, norm: int) -> None:
    V, T, C, L = sizes
    x, left, right, table = 112, 58, 166, tint(GREEN, 0.25)
    say(ax, left, 78, "ids", fontweight="bold")
    say(ax, left, 98, f"(B, {T})", size=SMALL)
    say(ax, right, 78, "places", fontweight="bold")
    say(ax, right, 98, f"0 … {T - 1}", size=SMALL)
    for middle, title, name, rows in ((left, "tokens", "wte", V), (right, "places", "wpe", T)):
        _flow(ax, middle, 110, 134)
        _part(ax, middle, 168, title, name, f"{rows * C:,}", face=table, wide=104)
    _flow(ax, left, 201, 235)
    plus(ax, left, 252)
    ax.plot([right, right], [201, 252], color=BLACK, linewidth=1.6)
    go(ax, (right, 252), (left + 16, 252))
    _flow(ax, left, 268, 312, f"(B, {T}, {C})")
    for back in (12, 6, 0):  # a pile of blocks
        chip(ax, x + back, 346 + back, "", wide=184, high=64, face=tint(SKY, 0.5))
    say(ax, x, 326, f"{L} blocks", fontweight="bold")
    say(ax, x, 346, f"h.0 … h.{L - 1}", size=SMALL)
    say(ax, x, 366, f"{L} × {block:,}", size=SMALL)
    _flow(ax, left, 392, 436, f"(B, {T}, {C})")
    _part(ax, x, 459, "last LayerNorm", f"ln_f · {norm:,}")
    _flow(ax, left, 482, 526, f"(B, {T}, {C})")
    _part(ax, x, 549, "output layer", "lm_head · wte again", face=table)
    _flow(ax, left, 572, 616, f"(B, {T}, {V})")
    say(ax, left, 632, "logits", fontweight="bold")
    say(ax, x, 672, f"B texts at a time,\n{T} tokens each", size=SMALL)


def _block(ax, sizes: tuple[int, int], numbers: tuple[int, int, int]) -> None:
    T, C = sizes
    norm, attention, mlp = numbers
    stream, x = 268, 384
    say(ax, stream, 78, "x", fontweight="bold")
    say(ax, stream + 12, 78, f"(B, {T}, {C})", size=SMALL, ha="left")
    for start, top, number, title, name, face in (
        (94, 96, 1, "attention", f"attn · {attention:,}", tint(ORANGE, 0.45)),
        (320, 366, 2, "MLP", f"mlp · {mlp:,}", PALE),
    ):
        go(ax, (stream, start), (stream, top + 191), width=2.5)
        go(ax, (stream, top + 44), (310, top + 44))
        _part(ax, x, top + 44, "LayerNorm", f"ln_{number} · {norm:,}", wide=148)
        _flow(ax, x, top + 67, top + 92)
        _part(ax, x, top + 115, title, name, face=face, wide=148)
        ax.plot([x, x], [top + 138, top + 208], color=BLACK, linewidth=1.6)
        go(ax, (x, top + 208), (stream + 16, top + 208))
        plus(ax, stream, top + 208)
    for y in (342, 612):
        say(ax, stream + 12, y, f"(B, {T}, {C})", size=SMALL, ha="left")
    go(ax, (stream, 590), (stream, 632), width=2.5)
    say(ax, 252, 650, "to the next block", size=SMALL, ha="left")


def _attention(ax, sizes: tuple[int, int, int, int]) -> None:
    T, C, H, D = sizes
    x, left, wide, map_ = 592, 516, 172, tint(ORANGE, 0.45)
    _flow(ax, left, 64, 98, f"(B, {T}, {C})")
    _part(ax, x, 121, "to q, k and v", f"c_attn · {C * 3 * C + 3 * C:,}", face=map_, wide=wide)
    _flow(ax, left, 144, 180, f"(B, {T}, {3 * C})")
    for aside, letter, color in ((-60, "q", BLUE), (0, "k", ORANGE), (60, "v", GREEN)):
        chip(ax, x + aside, 198, letter, wide=48, edge=color, fontweight="bold")
    ax.plot([x, x, left], [215, 221, 221], color=BLACK, linewidth=1.6)  # k joins q
    _flow(ax, left, 215, 254, f"(B, {H}, {T}, {D})")
    _part(ax, x, 277, "scores", f"q · kᵀ / √{D}", wide=wide)
    _flow(ax, left, 300, 336, f"(B, {H}, {T}, {T})")
    chip(ax, x, 354, "mask the future", wide=wide)
    _flow(ax, left, 371, 392)
    _part(ax, x, 415, "weights", "softmax", wide=wide)
    _flow(ax, left, 438, 460)
    _part(ax, x, 483, "mixture", "weights · v", wide=wide)
    ax.plot([x + 84, 693, 693], [198, 198, 483], color=GREEN, linewidth=1.6)
    go(ax, (693, 483), (x + wide / 2 + 1, 483), color=GREEN)
    _flow(ax, left, 506, 542, f"(B, {H}, {T}, {D})")
    chip(ax, x, 560, "merge the heads", wide=wide)
    _flow(ax, left, 577, 598)
    _part(ax, x, 621, "output map", f"c_proj · {C * C + C:,}", face=map_, wide=wide)
    _flow(ax, left, 644, 680, f"(B, {T}, {C})")


def _zoom(ax, start: float, y: float, end: float) -> None:
    """A pale wedge from one box to the panel that shows it larger."""
    corners = [(start, y - 22), (end, 0), (end, ZOOM), (start, y + 22)]
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
