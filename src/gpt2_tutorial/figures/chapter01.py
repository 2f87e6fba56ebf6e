"""The pictures of chapter 01."""

from collections.abc import Mapping, Sequence

from matplotlib.colors import LogNorm

from gpt2_tutorial.figures.style import (
    BARS,
    BLACK,
    BLUE,
    HALO,
    LARGE,
    SMALL,
    VERMILLION,
    Picture,
    level,
    visible,
)


def number_grid(values, symbols: Sequence[str], form: str = "{:g}") -> Picture:
    """A small table as a heat map with its number printed in every cell."""
    values = [[float(v) for v in row] for row in values]
    top = max(max(row) for row in values)

    def draw(ax):
        ax.imshow(values, cmap="Blues", vmin=0, vmax=1.6 * top)  # pale enough for black numbers
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                ax.text(j, i, form.format(value), ha="center", va="center", fontsize=LARGE)
        names = [visible(symbol) for symbol in symbols]
        ax.set_xticks(range(len(names)), names, fontsize=LARGE)
        ax.set_yticks(range(len(names)), names, fontsize=LARGE)
        ax.set_xlabel("to: what came next")
        ax.set_ylabel("from: what we see")

    return Picture(draw, height=3.9, width=4.4)


def count_grid(counts, symbols: Sequence[str], call_out: Sequence[str] = "qu\n") -> Picture:
    """The whole bigram table, colour on a log scale, with a few rows named and the rest empty."""
    names = [visible(symbol) for symbol in symbols]

    def draw(ax):
        shown = counts.float().numpy()  # a copy: counts are whole numbers
        shown[shown == 0] = float("nan")
        image = ax.imshow(shown, cmap="viridis", norm=LogNorm())
        ticks = range(0, len(names), 4)
        ax.set_xticks(ticks, names[::4], fontsize=SMALL)
        ax.set_yticks(ticks, names[::4], fontsize=SMALL)
        for symbol in call_out:
            row = symbols.index(symbol)
            ax.annotate(
                f"row {visible(symbol)}", (len(names) - 0.5, row), (6, 0),
                textcoords="offset points", va="center", annotation_clip=False,
                bbox={"facecolor": "white", "edgecolor": BLACK, "pad": 1.5},
            )  # fmt: skip
            ax.axhline(row - 0.5, color=VERMILLION, linewidth=0.8)
            ax.axhline(row + 0.5, color=VERMILLION, linewidth=0.8)
        ax.set_xlabel("next character")
        ax.set_ylabel("this character")
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.13)
        bar.set_label("times seen (blank: never)")

    return Picture(draw, height=5.98)


def loss_by_order(train: Mapping[int, float], val: Mapping[int, float], best: float) -> Picture:
    """Training and validation loss against how many characters the table remembers."""

    def draw(ax):
        for losses, color, mark, name, side in (
            (val, VERMILLION, "D", "validation", 10),
            (train, BLUE, "o", "training", -16),
        ):
            ax.plot(list(losses), list(losses.values()), mark + "-", color=color)
            for order, loss in losses.items():
                ax.annotate(f"{loss:.2f}", (order, loss), (0, side), textcoords="offset points",
                            ha="center", fontsize=SMALL, bbox=HALO)  # fmt: skip
            last = max(losses)
            ax.annotate(name, (last, losses[last]), (10, 0), textcoords="offset points",
                        va="center", color=color, bbox=HALO)  # fmt: skip
        level(ax, best, f"best table: {best:.3f}")
        ax.set_xlim(min(val) - 0.4, max(val) + 1.9)
        ax.set_ylim(min(train.values()) - 0.35, max(val.values()) + 0.4)
        ax.set_xlabel("characters remembered")
        ax.set_ylabel("nats per character")

    return Picture(draw, height=4.39)


def unseen_contexts(shares: Mapping[int, float]) -> Picture:
    """Bars: how much of the validation text starts from a history the table never saw."""

    def draw(ax):
        bars = ax.bar(list(shares), [100 * s for s in shares.values()], **BARS)
        ax.bar_label(bars, labels=[f"{100 * s:.1f} %" for s in shares.values()], padding=2)
        ax.set_xticks(list(shares))
        ax.set_xlabel("characters remembered")
        ax.set_ylabel("never seen (%)")

    return Picture(draw, height=3.17)


def girl_or_boy(accuracy: Mapping[int, float]) -> Picture:
    """Bars: share of right answers to “… is a ___” against how many words the table remembers."""

    def draw(ax):
        bars = ax.bar(list(accuracy), [100 * a for a in accuracy.values()], **BARS)
        ax.bar_label(bars, labels=[f"{100 * a:.1f}" for a in accuracy.values()], padding=2)
        level(ax, 50, "a coin: 50 %", color=VERMILLION)
        ax.set_xticks(list(accuracy))
        ax.set_ylim(0, 109)
        ax.set_xlim(0.4, max(accuracy) + 1.6)
        ax.set_xlabel("words remembered")
        ax.set_ylabel("right answers (%)")

    return Picture(draw, height=3.42)
