"""The pictures of chapter 17."""

from collections.abc import Mapping, Sequence

from matplotlib.patches import Rectangle

from gpt2_tutorial.figures.draw import INK, go, say, sheet
from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    HALO,
    ORANGE,
    PALE,
    SKY,
    SMALL,
    VERMILLION,
    YELLOW,
    Picture,
    tint,
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
    indent, letter, high = 24, 9.65, 29  # pixels; a letter of DejaVu Sans Mono in SMALL

    def draw(ax):
        above: list[float] = []  # where the last name of each depth stands
        for row, (depth, name, purpose, place) in enumerate(calls):
            x, y, wide = 6 + indent * depth, 18 + high * row, letter * len(name) + 14
            if depth:
                left = x - indent + 10
                ax.plot([left, left, x], [above[depth - 1] + 12, y, y], color=BLACK,
                        linewidth=1.2, zorder=0)  # fmt: skip
            above[depth:] = [y]
            face = INK | {"facecolor": FACES.get(place, SKY)}
            ax.add_patch(Rectangle((x, y - 12), wide, 24, **face))
            say(ax, x + 7, y, name, size=SMALL, ha="left", family="DejaVu Sans Mono")
            where = f"chapter {place}" if place.isdigit() else f"{place}/"
            more = "" if place == "17" else f" ({where})"
            say(ax, x + wide + 8, y, purpose + more, size=SMALL, ha="left")

    return sheet(draw, high * len(calls) + 8)


def two_endings(finished: int, save_every: int, after: int = 4) -> Picture:
    """Time lines of a run that ends in the step after `finished`: asked to stop, and killed.

    Arrows mark the saves; `after` steps are drawn of how each goes on.
    """
    wide, high, aside = 39, 36, 8
    saves = list(range(save_every, finished + 1, save_every))
    lines = {"asked to stop": sorted({*saves, finished}), "killed": saves}

    def step(ax, x, y, number, face, edge=BLACK):
        ax.add_patch(Rectangle((x, y), wide, high, **INK | {"facecolor": face, "edgecolor": edge}))
        say(ax, x + wide / 2, y + high / 2, str(number))

    def draw(ax):
        for y, (title, saved) in zip((34, 172), lines.items(), strict=True):
            say(ax, aside, y - 16, title, ha="left", fontweight="bold")
            for number in range(1, finished + 1):
                step(ax, aside + wide * (number - 1), y, number, PALE)
            broken = aside + wide * finished
            step(ax, broken, y, "×", tint(VERMILLION, 0.45))
            for number in saved:
                x = aside + wide * number
                go(ax, (x, y + high + 26), (x, y + high + 1))
                say(ax, x, y + high + 38, "saved", size=SMALL)
            start = broken + 2 * wide
            say(ax, start, y - 16, "goes on", ha="left")
            for i, number in enumerate(range(saved[-1] + 1, saved[-1] + 1 + after)):
                face = tint(ORANGE, 0.6) if number <= finished else PALE
                step(ax, start + wide * i, y, number, face)
            again = (finished - saved[-1]) * wide
            if again:
                say(ax, start + again / 2, y + high + 14, "again", size=SMALL)

    return sheet(draw, 262)


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
            ax.annotate("val", (places[0][-1], places[1][-1]), (0, 8), ha="right", bbox=HALO,
                        textcoords="offset points", color=VERMILLION)  # fmt: skip
        if "killed_at" in log:
            ax.axvline(log["killed_at"], color=BLACK, linewidth=1, linestyle=(0, (4, 3)))
            back = f",\nback to step {log['resumed_at']}" if "resumed_at" in log else ""
            ax.annotate(f"killed in step {log['killed_at']}{back}", (log["killed_at"], max(losses)),
                        (4, 0), textcoords="offset points", va="top", fontsize=SMALL)  # fmt: skip
        ax.set_xlabel(f"step on one {log['about']['device']}")
        ax.set_ylabel("nats per token")

    return Picture(draw, height=3.66)
