"""Pictures that many chapters use."""

from collections.abc import Sequence

from gpt2_tutorial.figures.style import (
    BARS,
    BLUE,
    GREEN,
    HALO,
    LARGE,
    SMALL,
    VERMILLION,
    Picture,
    visible,
)


def next_bets(symbols: Sequence[str], probs: Sequence[float], after: str, top: int = 8) -> Picture:
    """Bars of what a model bets on next, the largest bet first."""
    ranked = sorted(zip(probs, symbols, strict=True), reverse=True)[:top]

    def draw(ax):
        names = [visible(symbol) for _, symbol in ranked]
        bars = ax.bar(range(len(ranked)), [float(p) for p, _ in ranked], **BARS)
        ax.bar_label(bars, labels=[f"{float(p):.2f}" for p, _ in ranked], padding=2)
        ax.set_xticks(range(len(ranked)), names, fontsize=LARGE)
        ax.margins(y=0.15)
        ax.set_title(f"what comes after “{''.join(map(visible, after))}”?")
        ax.set_ylabel("probability")

    return Picture(draw, height=3.42)


def scoreboard(rows: Sequence[dict], new: str = "", beat: float | None = None) -> Picture:
    """All models so far, best at the top; `new` marks a chapter's rows, `beat` a loss to beat."""
    ranked = sorted(rows, key=lambda row: -row["val"])

    def draw(ax):
        for y, row in enumerate(ranked):
            fresh = row["chapter"] == new
            color, mark = (VERMILLION, "D") if fresh else (BLUE, "o")
            ax.plot(row["val"], y, mark, color=color, markersize=7)
            ax.annotate(
                f"{row['val']:.3f}",
                (row["val"], y),
                (8, -4),
                textcoords="offset points",
                size=SMALL,
                bbox=HALO,
            )
        ax.set_yticks(range(len(ranked)), [row["name"] for row in ranked])
        ax.set_xlim(1.0, 4.9)
        ax.set_ylim(-0.6, len(ranked) - 0.4)
        if beat is not None:
            ax.axvline(beat, color=GREEN, linewidth=1, linestyle="--")
            ax.annotate("to beat", (beat, -0.5), (3, 0), textcoords="offset points", color=GREEN)
        ax.grid(axis="y", linewidth=0.4)
        ax.set_xlabel("nats per character, validation (lower is better)")

    return Picture(draw, height=1.22 + 0.37 * len(ranked))
