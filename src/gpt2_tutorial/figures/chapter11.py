"""The pictures of chapter 11."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    arrow,
    bare,
    box,
)

MODEL = ("ids", "wte + wpe", "h.0", "h.1", "⋮", "ln_f", "lm_head", "logits")
BLOCK = ("x", "ln_1", "attn", "+", "ln_2", "mlp", "+")
HEAD = ("c_attn", "q · kᵀ / √d", "mask", "softmax", "· v", "c_proj")
CURVES = ((BLUE, "o", "-"), (VERMILLION, "s", "--"), (GREEN, "^", ":"), (PURPLE, "D", "-."))
LOWEST = 1e-16  # where a gap of 0 is drawn, since a logarithm has no 0


def model_zoom() -> Picture:
    """GPT-2 in three columns: the model, one of its blocks, the attention of that block."""

    def column(ax, x, title, parts, marked):
        low, high = -0.5, 7.5
        step = (high - low) / len(parts)
        heights = []
        ax.text(x, 8.25, title, ha="center", va="center", fontweight="bold")
        for i, part in enumerate(parts):
            y = high - step * (i + 0.5)
            heights.append(y)
            face = ORANGE if part == marked else PALE
            if part in ("⋮", "ids", "logits", "x", "+"):
                ax.text(x, y, part, ha="center", va="center")
            else:
                box(ax, x, y, part, face=face, fontsize=10)
            if i:
                arrow(ax, (x, y + step / 2 + 0.1), (x, y + step / 2 - 0.16))
        return heights

    def zoom(ax, x, y):
        for end in (-0.7, 7.7):
            ax.plot([x + 0.62, x + 1.3], [y, end], color=BLACK, linewidth=0.7, linestyle=":")
        ax.plot([x + 1.3] * 2, [-0.7, 7.7], color=BLACK, linewidth=0.7, linestyle=":")

    def skip(ax, x, start, end):
        start, end = start - 0.13, end + 0.13  # so that the two do not look like one
        ax.plot([x - 0.12, x - 0.45, x - 0.45], [start, start, end], color=BLACK, linewidth=1)
        arrow(ax, (x - 0.45, end), (x - 0.1, end))

    def draw(ax):
        bare(ax)
        ax.set_xlim(-0.8, 5.2)
        ax.set_ylim(-1.5, 8.6)
        model = column(ax, 0, "GPT-2", MODEL, "h.1")
        block = column(ax, 2.2, "a block", BLOCK, "attn")
        column(ax, 4.4, "its attention", HEAD, "")
        zoom(ax, 0, model[MODEL.index("h.1")])
        zoom(ax, 2.2, block[BLOCK.index("attn")])
        for start, end in ((0, 3), (3, 6)):  # the two ways around
            skip(ax, 2.2, block[start], block[end])
        ax.text(0, -1.15, "12 blocks", ha="center", fontsize=10)
        ax.text(2.2, -1.15, "2 additions", ha="center", fontsize=10)
        ax.text(4.4, -1.15, "12 heads at once", ha="center", fontsize=10)

    return Picture(draw, height=4.3)


def parameter_map(table: int, places: int, attention: int, mlp: int, blocks: int) -> Picture:
    """All numbers of a model as areas: its two tables, and attention and MLP of each block."""
    total = table + places + blocks * (attention + mlp)

    def area(ax, corner, width, height, face, hatch):
        look = {"facecolor": face, "edgecolor": BLACK, "linewidth": 0.8, "hatch": hatch}
        ax.add_patch(Rectangle(corner, width, height, **look))

    def named(ax, x, y, text):
        plain = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        ax.text(x, y, text, ha="center", va="center", fontsize=10, bbox=plain)

    def draw(ax):
        bare(ax)
        ax.set_xlim(0, 1.17)
        ax.set_ylim(-0.09, 1.1)
        left, row = (table + places) / total, 1 / blocks
        wide = (1 - left) * attention / (attention + mlp)
        low = places / (table + places)
        area(ax, (0, low), left, 1 - low, SKY, "//")
        area(ax, (0, 0), left, low, ORANGE, "")
        named(ax, left / 2, 0.5, f"wte\n{table / total:.1%}")
        ax.text(left / 2, -0.02, f"wpe {places / total:.1%}", ha="center", va="top", fontsize=10)
        for i in range(blocks):
            y = 1 - row * (i + 1)
            area(ax, (left, y), wide, row, PALE, "")
            area(ax, (left + wide, y), 1 - left - wide, row, "white", "..")
            ax.text(1.01, y + row / 2, f"h.{i}", va="center", fontsize=10)
        ax.text(left + wide / 2, 1.02, "attention", ha="center", va="bottom", fontsize=10)
        ax.text((1 + left + wide) / 2, 1.02, "MLP", ha="center", va="bottom", fontsize=10)
        named(ax, left + wide / 2, 0.5, f"{blocks * attention / total:.1%}")
        named(ax, (1 + left + wide) / 2, 0.5, f"{blocks * mlp / total:.1%}")

    return Picture(draw, height=3.8)


def layer_gaps(runs: Mapping[str, Sequence[tuple[str, float]]]) -> Picture:
    """Largest difference of two models at every place, in the order of computation."""

    def draw(ax):
        for (name, found), (color, marker, line) in zip(runs.items(), CURVES, strict=False):
            ys = [max(gap, LOWEST) for _, gap in found]
            ax.plot(ys, line, marker=marker, color=color, linewidth=1.3, markersize=4, label=name)
        names = [name for name, _ in next(iter(runs.values()))]
        ax.set_yscale("log")
        ax.set_ylim(LOWEST / 3, 1e4)
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
        ax.legend(frameon=False, loc="upper left", ncols=2, fontsize=10)
        ax.grid(axis="y", linewidth=0.4)
        ax.set_ylabel("largest difference")

    return Picture(draw, height=3.7)


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

    return Picture(draw, height=2.9)
