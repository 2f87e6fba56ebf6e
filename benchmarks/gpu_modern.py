"""Part of the GPU day: GPT-2's 124M against the recipe modern, on the same tokens.

Both are launch/train_gpt2.py as people start it, with the rates that it has by itself. The text is
read once at most, so a step's loss is that of text that the model has never seen. Seconds are those
of the steps: the first ones, which compile, count as much as the later ones.
"""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

from gpu_job import Job
from gpu_script import (
    SPARE,
    WARM_UP,
    Script,
    followed,
    gentler,
    of_steps,
)
from gpu_text import shards

RECIPES = ("gpt2", "modern")
MOST = 200  # steps of each
FULL = "--batch-tokens 32768 --micro-batch 32 --eval-batches 8 --keep 1"
TINY = "--device cpu --no-compile --precision fp32 --n-layer 2 --n-embd 16 --n-head 2"
TINY += " --block-size 16 --batch-tokens 256 --micro-batch 4 --eval-batches 1 --keep 1"
SMOOTH = 0.1  # of the steps so far: the last tenth is what a loss is the mean of


def steps_for(tokens: int, batch: int, tiny: bool) -> int:
    """How many steps read the training text once (nine tenths of all), and are not too many.

    >>> steps_for(4_000_000, 32768, tiny=False), steps_for(40_000, 256, tiny=True)
    (109, 20)
    """
    return max(1, min(20 if tiny else MOST, int(0.9 * tokens) // batch))


def curve(rows: list[dict]) -> list[dict]:
    """Every step: what was read so far, and the seconds of the steps up to here."""
    steps = of_steps(rows)
    usual = statistics.median(row["seconds"] for row in steps[WARM_UP:] or steps)
    told, seconds = [], 0.0
    for number, row in enumerate(steps):
        seconds += usual if number < WARM_UP else row["seconds"]
        told.append({"step": row["step"], "tokens": row["tokens"], "seconds": round(seconds, 4)})
        told[-1] |= {"loss": round(row["loss"], 4), "norm": round(row["norm"], 4), "lr": row["lr"]}
    return told


def found_in(rows: list[dict]) -> dict:
    """What the log keeps of one recipe."""
    steps = of_steps(rows)
    told = {"steps": len(steps)}
    told["precision"] = next((row["precision"] for row in rows if "precision" in row), None)
    told["val"] = [{"step": r["step"], "val": round(r["val"], 4)} for r in rows if "val" in r]
    if not steps:
        return told
    counted = steps[WARM_UP:] or steps
    told["first_step_s"] = round(steps[0]["seconds"], 1)
    told["tokens_per_s"] = round(statistics.median(row["tokens_per_s"] for row in counted))
    peaks = [row["memory_gb"] for row in steps if "memory_gb" in row]
    told["memory_gb"] = round(max(peaks), 2) if peaks else None
    return told | {"curve": curve(rows)}


def smoothed(points: list[dict]) -> list[dict]:
    """The curve with each loss the mean of the last steps: one batch says little.

    >>> [point["loss"] for point in smoothed([{"loss": x} for x in (4.0, 3.0, 2.0)])]
    [4.0, 3.0, 2.0]
    """
    out = []
    for number, point in enumerate(points, start=1):
        last = points[number - max(1, round(SMOOTH * number)) : number]
        out.append(point | {"loss": statistics.fmean(one["loss"] for one in last)})
    return out


def compared(found: dict[str, dict]) -> dict:
    """Both at the last step that both took, and when modern was as good as GPT-2 is there."""
    curves = {name: smoothed(one["curve"]) for name, one in found.items() if one.get("curve")}
    if len(curves) < len(RECIPES):
        return {}
    last = min(len(points) for points in curves.values()) - 1
    ours, theirs = curves["modern"][: last + 1], curves["gpt2"][last]
    told = {"step": theirs["step"], "tokens": theirs["tokens"]}
    for name, points in curves.items():
        told[name] = {"loss": round(points[last]["loss"], 4), "seconds": points[last]["seconds"]}
    there = next((point for point in ours if point["loss"] <= theirs["loss"]), None)
    for key in ("tokens", "seconds"):
        share = round(there[key] / theirs[key], 3) if there else None
        told[f"share_of_{key}"] = share  # 0.5: modern needs half of what GPT-2 took
    return told


def table(found: dict[str, dict]) -> list[dict]:
    """Some ten rows: the tokens, then loss and seconds of each recipe that came so far."""
    curves = {name: smoothed(one["curve"]) for name, one in found.items() if one.get("curve")}
    longest = max((len(points) for points in curves.values()), default=0)
    rows = []
    for number in sorted({*range(0, longest, max(1, longest // 10)), longest - 1} - {-1}):
        there = {name: points[number] for name, points in curves.items() if number < len(points)}
        row = {"tokens": next(iter(there.values()))["tokens"]}
        for name, point in there.items():
            row[name] = {"loss": round(point["loss"], 4), "seconds": round(point["seconds"], 2)}
        rows.append(row)
    return rows


def trained(job: Job, data: Path, options: list[str], recipe: str, limit: float) -> dict:
    """One recipe from its first step to its last, or as far as its time goes."""
    found = {"stopped": "it was still training"}
    ends = time.monotonic() + limit

    def seen(rows: list[dict], end: bool = False) -> None:
        if not end and len(of_steps(rows)) == found.get("steps"):
            return
        found.update(found_in(rows))
        told = job.log.get("recipes", {}) | {recipe: found}
        job.keep(recipes=told, compared=compared(told), table=table(told))

    folder = job.scratch / f"modern_{recipe}"
    shutil.rmtree(folder, ignore_errors=True)
    script = Script(data, folder, [*options, "--recipe", recipe])
    steps = int(options[options.index("--max-steps") + 1])
    clock = SimpleNamespace(tiny=job.tiny, left=lambda: min(job.left(), ends - time.monotonic()))
    end = followed(script, clock, steps + 1, seen)  # to its own end: no such step comes
    if end == "no time":
        found["stopped"] = "its time was over"
    elif script.process.returncode != 0:
        raise RuntimeError(
            f"{recipe} ended with code {script.process.returncode}: {script.reason()}"
        )
    else:
        found["stopped"] = "all steps are done"
    seen(script.rows(), end=True)
    shutil.rmtree(folder, ignore_errors=True)  # gigabytes of checkpoints
    return found


def measure(job: Job) -> None:
    """Train both, each in half of the time; with less memory or no compiler if it must be."""
    data, text = shards(job)
    options = (TINY if job.tiny or job.device == "cpu" else FULL).split()
    batch = int(options[options.index("--batch-tokens") + 1])
    steps = steps_for(text["tokens"], batch, job.tiny)
    options += f"--max-steps {steps} --warmup-steps {steps // 10}".split()
    options += f"--eval-every {steps} --save-every {steps}".split()
    notes: list[str] = []
    for _ in range(4):
        job.log = {}
        job.keep(text=text, options=options, **({"notes": notes} if notes else {}))
        try:
            for number, recipe in enumerate(RECIPES):
                trained(job, data, options, recipe, (job.left() - SPARE) / (2 - number))
            break
        except RuntimeError as error:
            options, note = gentler(options, error)
            notes.append(note)
