"""The pictures of chapter 16."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import ACROSS, chip, go, panel, say, sheet
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
    YELLOW,
    Picture,
    bare,
    tint,
)

DEALT = (SKY, ORANGE, GREEN, YELLOW, PURPLE)  # of rank 0, 1, …, over and over


def rank_map(machines: int, gpus: int) -> Picture:
    """Machines with their GPUs; in each box the rank, below it the local rank."""
    wide = (ACROSS - 140) / gpus

    def draw(ax):
        say(ax, 140 + wide / 2, 14, "speaks", size=SMALL)
        for machine in range(machines):
            y = 34 + 94 * machine
            panel(ax, 0, y, ACROSS, 84)
            say(ax, 12, y + 28, f"machine {machine}", ha="left", fontweight="bold")
            say(ax, 12, y + 65, "local rank", ha="left", size=SMALL, color=BLUE)
            for gpu in range(gpus):
                rank, x = machine * gpus + gpu, 140 + wide * (gpu + 0.5)
                chip(ax, x, y + 28, str(rank), wide=wide - 12, high=40,
                     face=ORANGE if rank == 0 else "white",
                     fontweight="bold" if rank == 0 else "normal")  # fmt: skip
                say(ax, x, y + 65, str(gpu), size=SMALL, color=BLUE)

    return sheet(draw, height=34 + 94 * machines)


def ring_frames(frames: Sequence[Sequence[Sequence[int]]]) -> Picture:
    """What each worker of a ring holds, round by round; arrows show which pieces have come.

    A finished sum is bold, on green.
    """
    finished, workers = frames[-1][0], len(frames[0])
    wide = (ACROSS - 40) / len(frames)  # of a frame
    cell = (wide - 20) / workers

    def draw(ax):
        for worker in range(workers):
            say(ax, 18, 78 + 62 * worker, f"w{worker}", fontweight="bold")
        for number, held in enumerate(frames):
            left = 40 + wide * number
            say(ax, left + cell * workers / 2, 18, f"round {number}" if number else "at first",
                fontweight="bold")  # fmt: skip
            for worker, pieces in enumerate(held):
                for piece, value in enumerate(pieces):
                    middle, y = left + cell * (piece + 0.5), 78 + 62 * worker
                    _piece(ax, middle, y, cell, value, done=value == finished[piece])
                    if number and value != frames[number - 1][worker][piece]:
                        go(ax, (middle, y - 42), (middle, y - 18), color=VERMILLION, width=2)

        say(ax, 40, 68 + 62 * workers,
            f"Arrows: from the worker above; into w0 from w{workers - 1}, the ring is closed.",
            ha="left", size=SMALL)  # fmt: skip

    return sheet(draw, height=86 + 62 * workers)


def _piece(ax, x: float, y: float, wide: float, value: int, *, done: bool) -> None:
    face = tint(GREEN, 0.55) if done else "white"
    place = (x - wide / 2 + 1, y - 16)
    ax.add_patch(Rectangle(place, wide - 2, 32, facecolor=face, edgecolor=BLACK))
    say(ax, x, y, str(value), size=SMALL, fontweight="bold" if done else "normal")


def overlap(layers: Sequence[str]) -> Picture:
    """Time lines: one message after backward, or a bucket as soon as its layers are done.

    A block of backward and the sum of its bucket are taken to last 1 and 0.8 of a unit.
    """
    n, start = len(layers), 132
    unit = (ACROSS - start - 70) / (1.8 * n)
    ready = [i + 1 for i in range(n)]

    def bar(ax, at, long, y, text, face):
        place = (start + unit * at, y - 18)
        ax.add_patch(Rectangle(place, unit * long, 36, facecolor=face, edgecolor=BLACK))
        say(ax, place[0] + unit * long / 2, y, text, size=SMALL)

    def draw(ax):
        for top, title in ((0, "one message at the end"), (198, "buckets that set out early")):
            panel(ax, 0, top, ACROSS, 184, title)
            say(ax, 12, top + 66, "backward,\nblocks", ha="left", size=SMALL)
            say(ax, 12, top + 138, "sums over\nall workers", ha="left", size=SMALL)
            for i, layer in enumerate(layers):
                bar(ax, i, 1, top + 66, layer, tint(SKY, 0.6))
        bar(ax, n, 0.8 * n, 138, "all gradients", tint(ORANGE, 0.6))
        go(ax, (start + unit * n, 85), (start + unit * n, 118), width=2)
        for i, at in enumerate(ready):
            bar(ax, at, 0.8, 336, f"bucket {i}" if unit > 90 else str(i), tint(ORANGE, 0.6))
            go(ax, (start + unit * at, 283), (start + unit * at, 316), width=2)
        for end, y in ((1.8 * n, 138), (n + 0.8, 336)):
            say(ax, start + unit * end + 10, y, "done", ha="left", fontweight="bold")
        finish = [start + unit * (n + 0.8), start + unit * 1.8 * n]
        for end, top, foot in ((finish[0], 158, 316), (finish[1], 158, 282)):
            ax.plot([end] * 2, [top, foot], color=GREEN, linewidth=1.5, linestyle=(0, (4, 3)),
                    zorder=0.5)  # fmt: skip
        go(ax, (finish[1], 270), (finish[0] + 2, 270), "time won", color=GREEN, width=2)
        go(ax, (start, 396), (ACROSS - 10, 396), width=1.2)
        say(ax, 12, 396, "time", ha="left", size=SMALL)

    return sheet(draw, height=410)


def two_distances(found: Mapping[str, tuple[float, float]]) -> Picture:
    """For each way to train: how far ranks are from each other, and from one process."""

    def draw(ax):
        for y, (between, from_one) in enumerate(reversed(found.values())):
            for shift, value, face in (
                (0.19, between, VERMILLION),
                (-0.19, from_one, SKY),
            ):
                look = {"color": face, "edgecolor": BLACK, "height": 0.36}
                ax.barh(y + shift, value, **look)
                ax.annotate(f"{value:.2f}" if value > 1e-3 else "0", (value, y + shift), (4, -4),
                            textcoords="offset points", fontsize=SMALL)  # fmt: skip
        ax.set_yticks(range(len(found)), list(reversed(found)))
        ax.set_xlim(0, 1.25 * max(max(pair) for pair in found.values()))
        ax.set_xlabel("largest difference of a weight:\n"
                      "upper bars between ranks, lower bars from one process")  # fmt: skip

    return Picture(draw, height=1.1 + 0.59 * len(found))


def dealt_strip(order: Sequence[int], ranks: int, at_once: int, shards: int = 1) -> Picture:
    """From files to batches: shards end to end, cut into rows, shuffled, dealt to the ranks.

    `order` holds the numbers of the rows as they are drawn. A colour is a rank.
    """
    rows, a_round = len(order), ranks * at_once
    rounds = -(-rows // a_round)
    left, across = 104, ACROSS - 106
    wide, lane = across / rows, across / rounds  # of a row, and of a round in a rank's lane
    shard = across / shards

    def strip(ax, y, numbers, faces):
        for i, (number, face) in enumerate(zip(numbers, faces, strict=True)):
            look = {"facecolor": face, "edgecolor": BLACK, "linewidth": 1}
            ax.add_patch(Rectangle((left + wide * i, y), wide, 32, **look))
            say(ax, left + wide * (i + 0.5), y + 16, str(number), size=SMALL)

    def draw(ax):
        ranked = [tint(DEALT[i // at_once % ranks % len(DEALT)], 0.7) for i in range(rows)]
        for i in range(shards):
            look = {"facecolor": PALE, "edgecolor": BLACK, "linewidth": 2.4}
            ax.add_patch(Rectangle((left + shard * i, 8), shard, 34, **look))
            say(ax, left + shard * (i + 0.5), 25, f"shard {i}", size=SMALL)
        say(ax, 0, 25, "on disk", ha="left", size=SMALL)
        say(ax, 0, 58, "cut in rows", ha="left", size=SMALL)
        strip(ax, 42, range(rows), ["white"] * rows)
        go(ax, (left + across / 2, 76), (left + across / 2, 104), width=1.2)
        say(ax, left + across / 2 + 14, 89, "shuffled by the seed", ha="left", size=SMALL)
        say(ax, 0, 122, "one order", ha="left", size=SMALL)
        strip(ax, 106, order, ranked)
        for number in range(rounds):
            first, end = a_round * number, min(a_round * (number + 1), rows)
            edges = [left + wide * first, left + wide * end]
            ax.plot([edges[0] + 5, edges[1] - 5], [144, 144], color=BLACK, linewidth=2)
            middle = left + lane * (number + 0.5)
            go(ax, (sum(edges) / 2, 144), (middle, 174), width=1.2)
            say(ax, middle, 188, f"round {number}", size=SMALL)
        for rank in range(ranks):
            y = 224 + 46 * rank
            say(ax, 0, y, f"rank {rank}", ha="left", fontweight="bold")
            for number in range(rounds):
                first = number * a_round + rank * at_once
                batch = order[first : first + at_once]
                _batch(ax, left + lane * (number + 0.5), y, batch, DEALT[rank % len(DEALT)])

    return sheet(draw, height=210 + 46 * ranks)


def _batch(ax, middle: float, y: float, rows: Sequence[int], color: str) -> None:
    """The rows that one rank reads in one round, side by side in a frame."""
    left = middle - 34 * len(rows) / 2
    for i, row in enumerate(rows):
        look = {"facecolor": tint(color, 0.7), "edgecolor": BLACK}
        ax.add_patch(Rectangle((left + 34 * i, y - 17), 34, 34, **look))
        say(ax, left + 34 * i + 17, y, str(row), size=SMALL)


def curve_sheet(
    runs: Mapping[str, Mapping], correct: Mapping, low: float = 0.0, high: float = 6.0
) -> Picture:
    """A small picture for each run: its training loss, validation loss, and a correct run's."""
    columns = 4

    def draw(ax):
        bare(ax)
        rows = -(-len(runs) // columns)
        for number, (name, run) in enumerate(runs.items()):
            left, top = number % columns, number // columns
            width, height = 1 / columns, 1 / rows
            place = [left * width + 0.035, 1 - (top + 1) * height + 0.028, width - 0.04]
            small = ax.inset_axes([*place, height - 0.045])
            _curves(small, run, correct, (low, high))
            small.text(0.95, 0.93, name, ha="right", va="top", fontweight="bold", fontsize=14,
                       transform=small.transAxes)  # fmt: skip
            small.tick_params(labelsize=SMALL, length=2, pad=1,
                              labelleft=left == 0, labelbottom=top == rows - 1)  # fmt: skip

    return Picture(draw, height=8.54)


def _curves(ax, run: Mapping, correct: Mapping, limits: tuple[float, float]) -> None:
    def known(values):
        return [float("nan") if value is None else value for value in values]

    sure = correct["train"]
    ax.plot(sure["step"], known(sure["loss"]), color="#BBBBBB", linewidth=3)
    ax.plot(run["train"]["step"], known(run["train"]["loss"]), color=BLUE, linewidth=1)
    looks = run["looks"]
    ax.plot(looks["step"], known(looks["val"]), "o", color=VERMILLION, markersize=2.5)
    ax.set_xlim(-8, max(sure["step"]) + 8)
    ax.set_ylim(*limits)
