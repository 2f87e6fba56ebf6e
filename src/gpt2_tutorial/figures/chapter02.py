"""The pictures of chapter 02."""

from collections.abc import Callable, Mapping, Sequence

from gpt2_tutorial.figures.style import (
    BARS,
    BLACK,
    BLUE,
    HALO,
    ORANGE,
    SMALL,
    VERMILLION,
    Picture,
    visible,
)


def slope(loss_at: Callable[[float], float], at: float, reach: float = 3.0) -> Picture:
    """The loss as one logit is turned, with the straight line of its slope at one place."""

    def draw(ax):
        places = [at + reach * (i / 40 - 1) for i in range(81)]
        ax.plot(places, [loss_at(place) for place in places], color=VERMILLION)
        rise = (loss_at(at + 1e-2) - loss_at(at - 1e-2)) / 2e-2
        ends = [at - 1.3, at + 1.3]
        ax.plot(ends, [loss_at(at) + rise * (e - at) for e in ends], "--", color=BLACK)
        ax.plot(at, loss_at(at), "o", color=BLACK)
        ax.annotate(
            f"slope {rise:.2f}".replace("-", "−"),
            (at, loss_at(at)),
            (16, 18),
            textcoords="offset points",
            bbox=HALO,
        )
        ax.set_xlabel("the third logit")
        ax.set_ylabel("loss (nats)")

    return Picture(draw, height=3.42)


def before_and_after(before: Sequence, after: Sequence, target: int) -> Picture:
    """Bars of the bets before and after one step downhill; the target is named."""

    def draw(ax):
        places = range(len(before))
        for bets, shift, look, name in (
            (before, -0.2, {"color": ORANGE}, "before"),
            (after, 0.2, BARS, "after"),
        ):
            bars = ax.bar([p + shift for p in places], [float(b) for b in bets], 0.38, **look)
            ax.bar_label(bars, labels=[f"{name}\n{float(b):.2f}" for b in bets], padding=2)
        names = [f"token {p}" + (" (it came)" if p == target else "") for p in places]
        ax.set_xticks(places, names)
        ax.set_ylim(0, 1)
        ax.set_ylabel("probability")

    return Picture(draw, height=3.42)


def loss_curve(runs: Mapping[str, Sequence[float]], counted: float) -> Picture:
    """Loss against steps, one line for each run, with the counted table as a line to reach."""

    def draw(ax):
        looks = ((BLUE, "-"), (VERMILLION, "--"))
        for (name, losses), (color, dashes) in zip(runs.items(), looks, strict=False):
            ax.plot(range(1, len(losses) + 1), losses, dashes, color=color, linewidth=1.2)
            at = len(losses) if len(runs) > 1 else len(losses) // 50
            ax.annotate(name, (at, losses[at - 1]), (6, 6), textcoords="offset points", color=color)
        steps = max(map(len, runs.values()))
        ax.axhline(counted, color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
        every = [counted, *(loss for losses in runs.values() for loss in losses)]
        low, high = min(every), max(every)
        ax.set_ylim(low - 0.2 * (high - low), high + 0.05 * (high - low))
        ax.text(0.99, 0.02, f"broken line: counted, {counted:.2f}", transform=ax.transAxes,
                ha="right", va="bottom", fontsize=SMALL)  # fmt: skip
        ax.set_xlim(0, steps * (1.04 if len(runs) == 1 else 1.33))
        ax.set_xlabel("step")
        ax.set_ylabel("loss (nats)")

    return Picture(draw, height=3.66)


def difference_grid(off, symbols: Sequence[str]) -> Picture:
    """How far two tables of bets lie apart, cell by cell; pale is close."""

    def draw(ax):
        image = ax.imshow(off.numpy(), cmap="Blues", vmin=0, vmax=0.1)
        names, ticks = [visible(symbol) for symbol in symbols], range(0, len(symbols), 4)
        ax.set_xticks(ticks, names[::4], fontsize=SMALL)
        ax.set_yticks(ticks, names[::4], fontsize=SMALL)
        ax.set_xlabel("next character")
        ax.set_ylabel("this character")
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, extend="max")
        bar.set_label("bets differ by")

    return Picture(draw, height=5.37)
