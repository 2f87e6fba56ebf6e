"""The pictures of chapter 17."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    ORANGE,
    PALE,
    SKY,
    VERMILLION,
    YELLOW,
    Picture,
    bare,
)

# Who calls whom: how deep, the name, what it is for, and where it is explained or lies.
# Tests hold it against the code: each name is used by the nearest one above it that is less deep.
CALLS = (
    (0, "main", "reads the command line", "17"),
    (1, "run", "one training, and how it ends", "17"),
    (2, "Stop", "hears Ctrl-C and signals", "runs"),
    (2, "RunFolder", "holds the folder, writes the log", "runs"),
    (2, "setup", "joins the other processes", "16"),
    (2, "trained", "builds, trains, writes the model", "17"),
    (3, "prepared", "finds or writes the shards", "17"),
    (3, "built", "what this rank needs", "17"),
    (4, "configured", "preset and command line", "17"),
    (4, "loaders", "this rank's share of the text", "17"),
    (4, "GPT", "the model", "11"),
    (4, "logger", "one rank holds the pen", "17"),
    (4, "Watch", "samples and HellaSwag", "runs"),
    (3, "share_newest", "says where the run goes on", "runs"),
    (3, "run_class", "whole, or cut over the ranks", "runs"),
    (3, "fit", "the training itself", "17"),
    (4, "Run", "model, wrapper, optimizer", "17"),
    (4, "resume", "puts a checkpoint back", "17"),
    (4, "training_loop", "evaluate, save, step, tell", "17"),
    (5, "evaluate_and_keep_best", "the validation loss", "17"),
    (5, "save", "a checkpoint, by rank 0", "17"),
    (5, "take_step", "one step of all ranks", "17"),
    (6, "train_step", "pieces, clipping, AdamW", "14"),
    (4, "rewind", "forgets a broken-off step", "17"),
    (3, "write_model", "for everybody's programs", "commands"),
    (2, "say", "the ending, in words and as code", "runs"),
    (2, "teardown", "leaves the others", "16"),
)
FACES = {"17": YELLOW, "runs": PALE, "commands": PALE}  # all others: earlier chapters


def script_calls(calls: Sequence[tuple[int, str, str, str]] = CALLS) -> Picture:
    """Who calls whom in the script, as a tree; each name with its purpose and its place."""
    indent, letter, wide = 0.19, 0.0875, 4.5  # inches, and what the margins take

    def draw(ax):
        bare(ax)
        ax.set_xlim(-0.02, wide)
        ax.set_ylim(-len(calls) + 0.4, 0.6)
        above: list[int] = []  # the row of the last name at each depth
        for row, (depth, name, purpose, place) in enumerate(calls):
            x, width = indent * depth, letter * len(name) + 0.14
            if depth:
                left = x - indent + 0.07
                ax.plot([left, left, x], [-above[depth - 1] - 0.4, -row, -row], color=BLACK,
                        linewidth=0.9, zorder=0)  # fmt: skip
            above[depth:] = [row]
            look = {"facecolor": FACES.get(place, SKY), "edgecolor": BLACK, "linewidth": 0.9}
            ax.add_patch(Rectangle((x, -row - 0.4), width, 0.8, **look))
            ax.text(x + 0.07, -row, name, va="center", fontsize=9.5, family="DejaVu Sans Mono")
            where = f"chapter {place}" if place.isdigit() else f"{place}/"
            more = "" if place == "17" else f" ({where})"
            ax.text(x + width + 0.07, -row, purpose + more, va="center", fontsize=9.5)

    return Picture(draw, height=0.235 * len(calls) + 0.1, width=wide + 0.1)


def two_endings(finished: int, save_every: int, after: int = 4) -> Picture:
    """Time lines of a run that ends in the step after `finished`: asked to stop, and killed.

    Below them stand the saves; `after` steps are drawn of how each goes on.
    """
    saves = list(range(save_every, finished + 1, save_every))
    lines = {"asked to stop": sorted({*saves, finished}), "killed": saves}

    def step(ax, x, y, number, face, hatch=""):
        look = {"facecolor": face, "edgecolor": BLACK, "linewidth": 0.9, "hatch": hatch}
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **look))
        ax.text(x, y, str(number), ha="center", va="center", fontsize=9.5,
                bbox={"facecolor": face, "edgecolor": "none", "pad": 1.2})  # fmt: skip

    def draw(ax):
        bare(ax)
        ax.set_xlim(0.4, finished + after + 3.6)
        ax.set_ylim(-5.1, 1.5)
        for y, (title, saved) in zip((0, -3.2), lines.items(), strict=True):
            ax.text(0.5, y + 1.0, title, va="center", fontweight="bold")
            for number in range(1, finished + 1):
                step(ax, number, y, number, PALE)
            step(ax, finished + 1, y, finished + 1, VERMILLION, "xx")
            for number in saved:
                ax.annotate("", (number + 0.5, y - 0.5), (number + 0.5, y - 1.15),
                            arrowprops={"arrowstyle": "-|>", "color": BLACK})  # fmt: skip
                ax.text(number + 0.5, y - 1.25, "saved", ha="center", va="top", fontsize=9.5)
            start = finished + 3
            ax.text(start - 0.5, y + 1.0, "goes on", va="center", fontsize=10)
            for i, number in enumerate(range(saved[-1] + 1, saved[-1] + 1 + after)):
                again = number <= finished
                step(ax, start + i, y, number, ORANGE if again else PALE, "//" if again else "")
            if saved[-1] < finished:
                ax.text(start - 0.5, y - 0.75, "hatched: again", va="top", fontsize=9.5)

    return Picture(draw, height=2.7)


def first_losses(log: Mapping) -> Picture | None:
    """The first losses of the script on a GPU, and where it was killed; None without them.

    `log` is what benchmarks/gpu_day.py writes about the script.
    """
    losses = log.get("losses", [])
    if len(losses) < 2:
        return None

    def draw(ax):
        ax.plot(range(1, len(losses) + 1), losses, color=BLUE, linewidth=1.4)
        ax.annotate("training loss", (2, losses[1]), (8, 0), textcoords="offset points",
                    color=BLUE, va="center")  # fmt: skip
        looks = log.get("val", [])
        if looks:
            places = [look["step"] for look in looks], [look["val"] for look in looks]
            ax.plot(*places, "o", color=VERMILLION, markersize=6)
            ax.annotate("val", (places[0][-1], places[1][-1]), (0, 8), ha="right",
                        textcoords="offset points", color=VERMILLION)  # fmt: skip
        if "killed_at" in log:
            ax.axvline(log["killed_at"], color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
            back = f",\nback to step {log['resumed_at']}" if "resumed_at" in log else ""
            ax.annotate(f"killed in step {log['killed_at']}{back}", (log["killed_at"], max(losses)),
                        (4, 0), textcoords="offset points", va="top", fontsize=10)  # fmt: skip
        ax.set_xlabel(f"step on one {log['about']['device']}")
        ax.set_ylabel("nats per token")

    return Picture(draw, height=3.0)
