"""The pictures of chapter 16."""

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
    YELLOW,
    Picture,
    bare,
)

DEALT = ((SKY, ""), (ORANGE, "//"), (GREEN, ".."), (YELLOW, "xx"), (PURPLE, "\\\\"))


def rank_map(machines: int, gpus: int) -> Picture:
    """Machines with their GPUs; in each box the rank, below it the local rank."""

    def draw(ax):
        bare(ax)
        ax.set_xlim(-2.6, gpus - 0.3)
        ax.set_ylim(-1.75 * machines + 0.5, 0.8)
        for machine in range(machines):
            y = -1.75 * machine
            ax.text(-0.75, y, f"machine {machine}", ha="right", va="center")
            for gpu in range(gpus):
                rank = machine * gpus + gpu
                look = {"facecolor": ORANGE if rank == 0 else PALE, "edgecolor": BLACK}
                ax.add_patch(Rectangle((gpu - 0.42, y - 0.42), 0.84, 0.84, **look))
                weight = "bold" if rank == 0 else "normal"
                ax.text(gpu, y, str(rank), ha="center", va="center", fontsize=12, fontweight=weight)
                ax.text(gpu, y - 0.66, str(gpu), ha="center", va="center", fontsize=9.5, color=BLUE)
            ax.text(
                -0.75, y - 0.66, "local rank", ha="right", va="center", fontsize=9.5, color=BLUE
            )
        ax.text(0, 0.62, "rank 0 speaks", ha="center", va="center", fontsize=9.5)

    return Picture(draw, height=0.35 + 0.82 * machines)


def ring_frames(frames: Sequence[Sequence[Sequence[int]]]) -> Picture:
    """What each worker of a ring holds, round by round; finished sums are green and bold."""
    finished = frames[-1][0]
    workers = len(finished)

    def draw(ax):
        bare(ax)
        wide = workers + 0.9
        ax.set_xlim(-1.5, wide * len(frames) - 1.2)
        ax.set_ylim(-workers + 0.2, 1.5)
        for number, frame in enumerate(frames):
            left = wide * number
            title = "at first" if number == 0 else f"round {number}"
            ax.text(left + (workers - 1) / 2, 1.15, title, ha="center", va="center")
            for worker, pieces in enumerate(frame):
                for piece, value in enumerate(pieces):
                    done = value == finished[piece]
                    look = {"facecolor": GREEN if done else "white", "edgecolor": BLACK}
                    ax.add_patch(Rectangle((left + piece - 0.5, -worker - 0.4), 1, 0.8, **look))
                    ax.text(left + piece, -worker, str(value), ha="center", va="center",
                            fontsize=9, fontweight="bold" if done else "normal")  # fmt: skip
        for worker in range(workers):
            ax.text(-0.7, -worker, f"w{worker}", ha="right", va="center", fontsize=10)

    return Picture(draw, height=1.9)


def overlap(layers: Sequence[str]) -> Picture:
    """Time lines: one message after backward, or a bucket as soon as its layers are done."""
    n = len(layers)

    def bar(ax, start, length, y, text, face, hatch=""):
        look = {"facecolor": face, "edgecolor": BLACK, "hatch": hatch}
        ax.add_patch(Rectangle((start, y - 0.36), length, 0.72, **look))
        ax.text(start + length / 2, y, text, ha="center", va="center", fontsize=9,
                bbox={"facecolor": face, "edgecolor": "none", "pad": 1})  # fmt: skip

    def draw(ax):
        bare(ax)
        ax.set_xlim(-1.75, 2 * n + 0.15)
        ax.set_ylim(-4.2, 1.1)
        for top, title in ((0, "one message"), (-2.3, "buckets")):
            ax.text(-1.7, top + 0.75, title, va="center", fontweight="bold")
            ax.text(-0.1, top, "backward: blocks", ha="right", va="center", fontsize=9.5)
            ax.text(-0.1, top - 0.85, "sums: buckets", ha="right", va="center", fontsize=9.5)
            for i, layer in enumerate(layers):
                bar(ax, i, 1, top, layer, PALE)
        bar(ax, n, 0.8 * n, -0.85, "all of them", ORANGE, "//")
        for i in range(n):
            bar(ax, i + 1, 0.8, -3.15, str(i), ORANGE, "//")
        for end, y in ((n + 0.8 * n, -0.85), (n + 0.8, -3.15)):
            ax.text(end + 0.1, y, "done", va="center", fontsize=9.5)
        ax.annotate("", xy=(2 * n, -3.9), xytext=(0, -3.9),
                    arrowprops={"arrowstyle": "-|>", "color": BLACK})  # fmt: skip
        ax.text(n, -4.1, "time", ha="center", va="top", fontsize=9.5)

    return Picture(draw, height=2.6)


def two_distances(found: Mapping[str, tuple[float, float]]) -> Picture:
    """For each way to train: how far ranks are from each other, and from one process."""

    def draw(ax):
        for y, (between, from_one) in enumerate(reversed(found.values())):
            for shift, value, face, hatch in (
                (0.19, between, VERMILLION, ""),
                (-0.19, from_one, SKY, "//"),
            ):
                look = {"color": face, "edgecolor": BLACK, "hatch": hatch, "height": 0.36}
                ax.barh(y + shift, value, **look)
                ax.annotate(f"{value:.2f}" if value > 1e-3 else "0", (value, y + shift), (4, -4),
                            textcoords="offset points", fontsize=9.5)  # fmt: skip
        ax.set_yticks(range(len(found)), list(reversed(found)))
        ax.set_xlim(0, 1.25 * max(max(pair) for pair in found.values()))
        ax.set_xlabel("largest difference of a weight: upper bars between ranks,\n"
                      "lower, hatched bars from one process")  # fmt: skip

    return Picture(draw, height=0.9 + 0.48 * len(found))


def dealt_strip(pieces: int, ranks: int, at_once: int) -> Picture:
    """Numbered rows of text in one long order, each marked with the rank that gets it."""

    def draw(ax):
        bare(ax)
        a_round = ranks * at_once
        ax.set_xlim(-0.7, pieces - 0.3)
        ax.set_ylim(-1.9, 1.7)
        for piece in range(pieces):
            rank = piece // at_once % ranks
            face, hatch = DEALT[rank % len(DEALT)]
            look = {"facecolor": face, "edgecolor": BLACK, "hatch": hatch}
            ax.add_patch(Rectangle((piece - 0.5, -0.5), 1, 1, **look))
            ax.text(piece, 0, str(piece), ha="center", va="center", fontsize=9,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
        for start in range(0, pieces, at_once):
            rank = start // at_once % ranks
            ax.text(start + at_once / 2 - 0.5, -0.95, f"rank {rank}", ha="center", fontsize=9,
                    va="center")  # fmt: skip
        for number, start in enumerate(range(0, pieces, a_round)):
            end = min(start + a_round, pieces)
            ax.plot([start - 0.4, end - 0.6], [0.85, 0.85], color=BLACK, linewidth=1)
            ax.text((start + end) / 2 - 0.5, 1.25, f"round {number}", ha="center", va="center")

    return Picture(draw, height=1.5)


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
            small.text(0.95, 0.93, name, ha="right", va="top", fontweight="bold", fontsize=12,
                       transform=small.transAxes)  # fmt: skip
            small.tick_params(labelsize=9, length=2, pad=1,
                              labelleft=left == 0, labelbottom=top == rows - 1)  # fmt: skip

    return Picture(draw, height=7.0)


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
