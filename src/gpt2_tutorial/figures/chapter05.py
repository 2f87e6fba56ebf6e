"""The pictures of chapter 05."""

from collections.abc import Mapping, Sequence

import numpy as np

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    HALO,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    VERMILLION,
    Picture,
    arrow,
    bare,
    box,
    level,
    visible,
)

KINDS = (  # name, which characters, marker, colour
    ("vowels", lambda c: c in "aeiou", "^", VERMILLION),
    ("other small letters", str.islower, "o", BLUE),
    ("space and punctuation", lambda c: not c.isalnum(), "s", GREEN),
)


def character_map(points: Mapping[str, Sequence[float]]) -> Picture:
    """Characters as points in the plane, named beside their marks; vowels are triangles."""

    def draw(ax):
        left = dict(points)
        for name, belongs, marker, color in KINDS:
            mine = {c: left.pop(c) for c in list(left) if belongs(c)}
            where = list(zip(*mine.values(), strict=True)) or [(), ()]
            look = {"color": color, "markersize": 6, "label": name, "linestyle": ""}
            ax.plot(where[0], where[1], marker, **look)
        for character, place, name_at in _named(points):
            ax.plot(*zip(place, name_at, strict=True), color=GREY, linewidth=0.7, zorder=0)
            ax.text(*name_at, visible(character), ha="center", va="center", bbox=HALO, zorder=1)
        ax.margins(0.08)
        ax.set_xlabel("first number")
        ax.set_ylabel("second number")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)

    return Picture(draw, height=6.6)


def _named(
    points: Mapping[str, Sequence[float]], wide: float = 560, high: float = 480, room: float = 21
) -> list[tuple[str, Sequence[float], Sequence[float]]]:
    """Each character, its place, and a place for its name: `room` pixels from every other one."""
    places = np.array(list(points.values()), dtype=float)
    scale = np.array([wide, high]) / (np.ptp(places, axis=0) + 1e-9)
    marks = places * scale
    turns = np.arange(len(marks)) * 2.4  # names begin on all sides of their marks
    names = marks + 14 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    for _ in range(400):
        push = np.zeros_like(names)
        for others, least in ((names, room), (marks, 0.7 * room)):
            apart = names[:, None] - others[None]
            far = np.hypot(*apart.transpose(2, 0, 1)) + 1e-9
            close = np.clip(least - far, 0, None) * (far > 1e-6)
            push += (apart / far[..., None] * close[..., None]).sum(1)
        names += 0.3 * push + 0.02 * (marks - names)  # and not too far from its mark
    return list(zip(points, places.tolist(), (names / scale).tolist(), strict=True))


def loss_by_width(losses: Mapping[int, float], table: float, letters: float) -> Picture:
    """Loss against the numbers per character, between letter frequencies and the full table."""

    def draw(ax):
        widths = sorted(losses)
        ax.plot(widths, [losses[r] for r in widths], "o-", color=VERMILLION)
        for r in widths:
            ax.annotate(
                f"{losses[r]:.2f}", (r, losses[r]), (0, 8), textcoords="offset points",
                ha="center", fontsize=SMALL, bbox=HALO,
            )  # fmt: skip
        level(ax, letters, f"letter frequencies: {letters:.2f}")
        ax.axhline(table, color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
        ax.annotate(
            f"the full table: {table:.2f}", (1, table), (-8, -4), textcoords="offset points",
            va="top", fontsize=SMALL,
        )  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_xticks(widths, [str(r) for r in widths])
        ax.set_ylim(table - 0.18, letters + 0.15)
        ax.set_xlabel("numbers per character, r")
        ax.set_ylabel("loss (nats), validation")

    return Picture(draw, height=3.9)


def shape_flow(stages: Sequence[tuple[str, str]]) -> Picture:
    """Boxes with shapes in them, left to right and down; each arrow says what is done."""

    def draw(ax):
        bare(ax)
        ax.set_xlim(-0.45, len(stages) - 0.55)
        ax.set_ylim(-0.42, 0.42)
        for i, (shape, label) in enumerate(stages):
            box(
                ax,
                i,
                0.2,
                shape,
                face=SKY if i in (0, len(stages) - 1) else "white",
                fontsize=SMALL,
            )
            ax.text(i, -0.2, label, ha="center", va="top", fontsize=SMALL)
            if i:
                arrow(ax, (i - 0.58, 0.2), (i - 0.4, 0.2))

    return Picture(draw, height=1.06)


def learned_by_heart(
    steps: Sequence[int], seen: Sequence[float], unseen: Sequence[float]
) -> Picture:
    """Two curves over training: the text that was learned from, and text that was not."""

    def draw(ax):
        for losses, look in (
            (seen, {"color": BLUE, "marker": "o"}),
            (unseen, {"color": VERMILLION, "marker": "s", "linestyle": "--"}),
        ):
            ax.plot(steps, losses, **look)
        middle, best = len(steps) // 2, min(range(len(steps)), key=lambda i: unseen[i])
        for losses, name, shift, look in (
            (seen, "the text it learns from", (-6, -14), {"color": BLUE, "ha": "right"}),
            (unseen, "text kept back", (4, -20), {"color": VERMILLION}),
        ):
            at = (steps[middle], losses[middle])
            ax.annotate(name, at, shift, textcoords="offset points", **look)
        ax.annotate(
            f"best: {unseen[best]:.2f}", (steps[best], unseen[best]), (0, 26), ha="center",
            textcoords="offset points", arrowprops={"arrowstyle": "-|>", "color": BLACK},
        )  # fmt: skip
        ax.set_xlabel("step")
        ax.set_ylabel("loss (nats)")
        ax.margins(y=0.15)

    return Picture(draw, height=3.66)


def one_vector(sentences: Sequence[str], word: str, vector: Sequence[float]) -> Picture:
    """Sentences that share a word, with arrows from that word into the one vector it has."""

    def draw(ax):
        bare(ax)
        top = len(sentences) - 1
        ax.set_xlim(0, 10)
        ax.set_ylim(-0.4, max(top + 0.4, top / 2 + 0.8))
        for i, sentence in enumerate(sentences):
            before, _, after = sentence.partition(word)
            parts = (("right", 2.85, before), ("center", 3.4, word), ("left", 3.95, after))
            for side, x, text in parts:
                bold = {"fontweight": "bold"} if text == word else {}
                ax.text(x, top - i, text.strip(), ha=side, va="center", **bold)
            arrow(ax, (6.3 if after else 4.1, top - i), (7.35, top / 2), color=PURPLE)
        numbers = ", ".join(f"{value:.1f}".replace("-", "−") for value in vector)
        box(ax, 8.65, top / 2, f"({numbers})", face=ORANGE)
        ax.text(8.65, top / 2 + 0.5, f"the row of “{word}”", ha="center", fontsize=SMALL)

    return Picture(draw, height=0.46 + 0.61 * len(sentences))
