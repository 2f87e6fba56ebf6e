"""The pictures of chapter 04."""

from collections.abc import Mapping, Sequence

import numpy as np

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    HALO,
    ORANGE,
    PURPLE,
    SMALL,
    VERMILLION,
    Picture,
)

LOOKS = ((VERMILLION, "o", "-"), (BLUE, "s", "-"), (GREEN, "D", "-"), (PURPLE, "^", "-"))


def valley(paths: Mapping[str, Sequence[Sequence[float]]]) -> Picture:
    """The valley x² + 25y² from above, one strip for each walk through it."""

    def draw(ax):
        x, y = np.linspace(-4.6, 1.8, 120), np.linspace(-1.35, 1.35, 80)
        height = x[None, :] ** 2 + 25 * y[:, None] ** 2  # (80, 120)
        page = ax.figure
        ax.remove()
        strips = page.subplots(len(paths), 1, sharex=True, squeeze=False)[:, 0]
        for strip, (name, path), look in zip(strips, paths.items(), LOOKS, strict=False):
            color, mark, line = look
            levels = [0.3, 2, 6, 12, 20, 30, 41]
            strip.contour(x, y, height, levels, colors="#8A94A0", linewidths=0.7)
            strip.plot(*zip(*path, strict=True), line, color=color, linewidth=1.2)
            strip.plot(*zip(*path, strict=True), mark, color=color, markersize=3.5)
            strip.plot(0, 0, "*", color=BLACK, markersize=11)
            strip.set_title(name, color=color)
            strip.set_xlim(-4.6, 1.8)
            strip.set_ylim(-1.35, 1.35)
            strip.set_yticks([-1, 0, 1])
            strip.set_ylabel("y")
        strips[-1].set_xlabel("x (the star is the bottom)")

    return Picture(draw, height=0.73 + 1.89 * len(paths))


def step_sizes(with_correction: Sequence[float], without: Sequence[float]) -> Picture:
    """How many learning rates long each of the first steps is, with the gradient held still."""

    def draw(ax):
        steps = range(1, len(without) + 1)
        ax.plot(steps, without, "--", color=VERMILLION)
        ax.plot(steps, with_correction, "-", color=BLUE)
        top = max(range(len(without)), key=lambda i: without[i])
        ax.plot(top + 1, without[top], "o", color=VERMILLION)
        said = f"without: up to {without[top]:.1f}"
        ax.annotate(said, (top + 1, without[top]), (12, 6), textcoords="offset points",
                    color=VERMILLION, bbox=HALO)  # fmt: skip
        ax.annotate(f"{without[0]:.1f}", (1, without[0]), (-6, 16), textcoords="offset points",
                    color=VERMILLION, bbox=HALO)  # fmt: skip
        ax.annotate("with: always 1", (1, 1), (2, -16), textcoords="offset points", color=BLUE)
        ax.set_xscale("log")
        ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
        ax.set_ylim(0, 7.5)
        ax.set_xlabel("step")
        ax.set_ylabel("step size (learning rates)")

    return Picture(draw, height=3.54)


def loss_by_rate(sweeps: Mapping[str, Mapping[float, float]], top: float = 4.3) -> Picture:
    """Loss after training against the learning rate, one U for each optimizer."""

    def draw(ax):
        dashes = ("-", "--", ":", "-.")
        for (name, losses), look, dash in zip(sweeps.items(), LOOKS, dashes, strict=False):
            color, mark, _ = look
            rates = sorted(losses)
            ax.plot(rates, [losses[r] for r in rates], dash, marker=mark, color=color)
            best = min(rates, key=losses.get)
            ax.plot(best, losses[best], mark, color=color, markersize=10, fillstyle="none")
            ax.annotate(f"{best:g}", (best, losses[best]), (0, -22), ha="center",
                        textcoords="offset points", color=color)  # fmt: skip
            ax.annotate(name, (rates[0], losses[rates[0]]), (0, 9), color=color,
                        textcoords="offset points", ha="center", bbox=HALO)  # fmt: skip
            for rate in (r for r in rates if losses[r] > top):
                ax.annotate(f"↑ {losses[rate]:.0f}", (rate, top), (0, -12), color=color,
                            textcoords="offset points", ha="right", fontsize=SMALL)  # fmt: skip
        ax.set_xscale("log")
        ax.set_ylim(2.2, top)
        ax.margins(x=0.08)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss (nats)")

    return Picture(draw, height=4.39)


def schedule(rates: Sequence[float], warmup_steps: int) -> Picture:
    """The learning rate of every step: up in a straight line, down in half a wave."""

    def draw(ax):
        ax.plot(range(len(rates)), rates, color=BLUE)
        ax.axvspan(0, warmup_steps, color=ORANGE, alpha=0.2, linewidth=0)
        top = max(rates)
        ax.annotate("warm-up", (warmup_steps, top * 0.12), (6, 0), textcoords="offset points")
        where = (warmup_steps + len(rates)) // 2
        ax.annotate("half a wave down", (where, rates[where]), (10, 10), textcoords="offset points")
        ax.annotate("min_lr", (len(rates) - 1, rates[-1]), (0, 6),
                    textcoords="offset points", ha="right")  # fmt: skip
        ax.set_ylim(0, top * 1.08)
        ax.set_xlim(0, len(rates) - 1)
        ax.set_xlabel("step")
        ax.set_ylabel("learning rate")

    return Picture(draw, height=3.29)
