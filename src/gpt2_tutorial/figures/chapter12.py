"""The pictures of chapter 12."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SMALL,
    VERMILLION,
    Picture,
    bare,
    level,
)

LINES = ((ORANGE, "^", "--"), (GREEN, "s", "-."), (VERMILLION, "o", "-"), (BLUE, "D", ":"))


def training_curve(history: Sequence[Mapping], baselines: Mapping[str, float]) -> Picture:
    """Both losses over the characters read, and the scores of other models as lines.

    `history` has the rows that `simple.fit` keeps: tokens, train, val.
    """

    def draw(ax):
        read = [row["tokens"] / 1e6 for row in history]
        for name, color, line in (("train", BLUE, "--"), ("val", VERMILLION, "-")):
            ax.plot(read, [row[name] for row in history], line, color=color, label=name)
        _levels(ax, baselines)
        best = min(history, key=lambda row: row["val"])
        ax.plot(best["tokens"] / 1e6, best["val"], "o", color=VERMILLION, markersize=6)
        ax.annotate(f"best: {best['val']:.2f}", (best["tokens"] / 1e6, best["val"]),
                    (best["tokens"] / 1e6, _free(best["val"], list(baselines.values()))),
                    ha="right", va="center", color=VERMILLION,
                    arrowprops={"arrowstyle": "-", "linewidth": 0.6})  # fmt: skip
        ax.set_xlim(0, read[-1] * 1.02)
        ax.set_xlabel("millions of characters read")
        ax.set_ylabel("nats per character")
        ax.legend(loc="upper right", bbox_to_anchor=(1, 0.75))

    return Picture(draw, height=5.12)


def curve_by_seconds(log: Mapping) -> Picture | None:
    """The validation loss over a GPU's seconds, and what counting pays; None without a curve.

    `log` is what benchmarks/gpu_day.py writes about the preset `colab`.
    """
    curve, floor = log.get("curve", []), log.get("kneser_ney")
    passed = log.get("seconds_to_kneser_ney")
    if len(curve) < 2:
        return None

    def draw(ax):
        ax.plot([row["seconds"] for row in curve], [row["val"] for row in curve], "-",
                marker="o", markersize=3, color=VERMILLION)  # fmt: skip
        if floor is not None:
            level(ax, floor, f"Kneser–Ney: {floor:.2f}", color=GREEN)
            if passed is not None:
                ax.plot(passed, floor, "o", color=BLACK, markersize=13, fillstyle="none")
                ax.annotate(f"after {passed:,.0f} s", (passed, floor), (14, 22), va="bottom",
                            textcoords="offset points",
                            arrowprops={"arrowstyle": "-", "linewidth": 0.6})  # fmt: skip
        ax.set_xlim(left=0)
        ax.set_xlabel(f"seconds on one {log['about']['device']}")
        ax.set_ylabel("nats per character, val")

    return Picture(draw, height=3.66)


def _free(value: float, levels: Sequence[float]) -> float:
    """A height above `value` that is not close to any of the levels."""
    above = sorted([value, *(level for level in levels if level > value), value + 2])
    low, high = next(pair for pair in pairwise(above) if pair[1] - pair[0] > 0.4)
    return (low + high) / 2


def _levels(ax, baselines: Mapping[str, float], gap: float = 0.16) -> None:
    """Labelled lines; where two lie close together, their labels stand beside the axes."""
    ends = sorted(baselines.items(), key=lambda item: item[1])
    places = [ends[0][1]]
    for _, value in ends[1:]:
        places.append(max(value, places[-1] + gap))
    for (name, value), place in zip(ends, places, strict=True):
        ax.axhline(value, color=BLACK, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.annotate(f"{name}: {value:.2f}", (1, value), (1.03, place), ha="left", va="center",
                    xycoords=("axes fraction", "data"), textcoords=("axes fraction", "data"),
                    fontsize=SMALL, annotation_clip=False,
                    arrowprops={"arrowstyle": "-", "linewidth": 0.6})  # fmt: skip


def side_by_side(texts: Mapping[str, str], width: int = 22, lines: int = 12) -> Picture:
    """Texts in columns, letter for letter; ⏎ marks a line that was broken to fit."""

    def draw(ax):
        bare(ax)
        ax.set_xlim(0, len(texts))
        ax.set_ylim(-lines - 0.3, 1.2)
        for i, (name, text) in enumerate(texts.items()):
            ax.text(i + 0.02, 0.6, name, fontweight="bold", va="center")
            for y, line in enumerate(_broken(text, width)[:lines]):
                ax.text(i + 0.02, -y - 0.5, line, family="DejaVu Sans Mono", fontsize=SMALL,
                        va="center")  # fmt: skip
            if i:
                ax.axvline(i - 0.02, color=BLACK, linewidth=0.8)

    return Picture(draw, height=0.73 + 0.24 * lines)


def _broken(text: str, width: int) -> list[str]:
    """Lines of at most `width`; a line that goes on says so."""
    out = []
    for line in text.split("\n"):
        parts = textwrap.wrap(line, width - 1) or [""]
        out += [f"{part}⏎" for part in parts[:-1]] + parts[-1:]
    return out


def loss_by_compute(
    runs: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    baselines: Mapping[str, float],
    crossing: tuple[float, float] | None = None,
) -> Picture:
    """Loss against CPU-seconds, one line for each model; a ring marks where lines cross."""

    def draw(ax):
        for (name, (xs, ys)), (color, marker, line) in zip(runs.items(), LINES, strict=False):
            few = len(xs) < 12
            ax.plot(xs, ys, line, marker=marker if few else "", color=color, linewidth=1.8)
            at = 0 if few else len(xs) // 6
            ax.annotate(name, (xs[at], ys[at]), (8, 4), textcoords="offset points", color=color)
        if crossing is not None:
            ax.plot(*crossing, "o", color=BLACK, markersize=13, fillstyle="none")
            ax.annotate(f"crosses after {crossing[0]:,.0f} s", crossing, (-14, -30),
                        textcoords="offset points", ha="right",
                        arrowprops={"arrowstyle": "-", "linewidth": 0.6})  # fmt: skip
        _levels(ax, baselines, gap=0.09)
        ax.set_xscale("log")
        ax.set_ylim(min([*baselines.values(), *(min(ys) for _, ys in runs.values())]) - 0.12, 2.75)
        ax.set_xlabel("CPU-seconds of training, each mark ten times the one before")
        ax.set_ylabel("nats per character, val")

    return Picture(draw, height=4.64)


def scaling_law(
    points: Sequence[tuple[float, float, str]], law: tuple[float, float], floor: float | None = None
) -> Picture:
    """Loss against compute, both in steps that multiply; the straight line is factor · C^power.

    `points` are (compute, loss, label); `law` is (factor, power).
    """
    factor, power = law

    def draw(ax):
        xs = [x for x, _, _ in points]
        ends = [min(xs) / 2, max(xs) * 2]
        ax.plot(ends, [factor * x**power for x in ends], "--", color=BLACK, linewidth=1)
        ax.plot(xs, [y for _, y, _ in points], "o", color=PURPLE, markersize=7)
        for x, y, label in points:
            above = y > factor * x**power
            ax.annotate(label, (x, y), (7, 6) if above else (-5, -14), fontsize=SMALL,
                        textcoords="offset points", ha="left" if above else "right")  # fmt: skip
        if floor is not None:
            ax.axhline(floor, color=GREEN, linewidth=1, linestyle=":")
            ax.annotate(f"Kneser–Ney: {floor:.2f}", (ends[0], floor), (2, 4),
                        textcoords="offset points", color=GREEN)  # fmt: skip
        ax.set_xscale("log")
        ax.set_yscale("log")
        values = [y for _, y, _ in points] + ([floor] if floor is not None else [])
        low, high = min(values) * 0.95, max(values) * 1.06
        ticks = [t / 10 for t in range(math.ceil(low * 10), math.floor(high * 10) + 1)]
        ax.set_yticks(ticks, [f"{t:.1f}" for t in ticks])
        ax.set_yticks([], minor=True)
        ax.set_ylim(low, high)
        ax.set_xlabel("additions and multiplications in training")
        ax.set_ylabel("nats per character, val")

    return Picture(draw, height=4.15)
