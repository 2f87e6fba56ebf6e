"""Part of the GPU day: launch/train_gpt2.py as people start it, killed once and started again.

Everything is read from the lines that the run itself writes (metrics.jsonl). The preset is 1xh100
with a smaller batch, so that a hundred steps fit into the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from gpu_job import ROOT, Job, last_lines
from gpu_text import shards

SCRIPT, PRESET = ROOT / "launch" / "train_gpt2.py", "1xh100"
STEPS, SAVE_EVERY, KILL_AFTER = 100, 25, 5  # killed that many steps after the first save
FULL = "--batch-tokens 65536 --warmup-steps 20 --eval-batches 4 --keep 1"
TINY = "--device cpu --no-compile --precision fp32 --n-layer 1 --n-embd 16 --n-head 2"
TINY += (
    " --block-size 16 --batch-tokens 128 --micro-batch 2 --warmup-steps 2 --eval-batches 1 --keep 1"
)
WARM_UP = 3  # steps of each start that are not counted
SPARE = 3.0  # seconds to write the log in


class Script:
    """The script in a process of its own, and the lines that it has logged."""

    def __init__(self, data: Path, folder: Path, options: list[str]):
        self.folder, self.said = folder, folder.with_suffix(".txt")
        folder.mkdir(parents=True, exist_ok=True)
        words = ["--preset", PRESET, "--data", str(data), "--out", str(folder), *options]
        path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        env = {"PYTHONPATH": path.rstrip(os.pathsep)}
        if compiled := os.environ.get("TORCHINDUCTOR_CACHE_DIR"):
            env["TORCHINDUCTOR_CACHE_DIR"] = compiled + "_script"  # its first step finds nothing
        with self.said.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), *words],
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def rows(self) -> list[dict]:
        """What stands in metrics.jsonl; a line that is being written, or was when it was killed, is
        left out."""
        rows = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / "metrics.jsonl").read_text(encoding="utf-8").split("\n"):
                with contextlib.suppress(ValueError):
                    rows.append(json.loads(line))
        return rows

    def kill(self) -> None:
        """What a machine does that is taken away: no time to say anything."""
        self.process.kill()
        self.process.wait()

    def reason(self) -> str:
        """Why it ended, in its own words: a sentence first, then what it said last."""
        try:
            status = json.loads((self.folder / "status.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            status = {}
        said = last_lines(self.said.read_text(encoding="utf-8", errors="replace"))
        last = said.rpartition("\n")[2]
        return f"{status.get('reason') or last}\n{said}"


def of_steps(rows: list[dict]) -> list[dict]:
    return [row for row in rows if "loss" in row]


def followed(script: Script, job: Job, until: int, seen) -> str:
    """Watch the run until it is at a step ("there"), has ended ("ended") or time is over."""
    while True:
        ended = script.process.poll() is not None  # before the rows: none may come after
        rows = script.rows()
        seen(rows)
        if of_steps(rows) and of_steps(rows)[-1]["step"] >= until:
            return "there"
        if ended:
            return "ended"
        if job.left() < SPARE:
            script.kill()
            return "no time"
        time.sleep(0.01 if job.tiny else 0.1)


def measured(starts: list[list[dict]]) -> dict:
    """The log's numbers, from the rows of each start that are its own."""
    everything: dict[int, dict] = {}
    for rows in starts:  # a step that was taken again counts as the second time
        everything |= {row["step"]: row for row in of_steps(rows)}
    counted = [row for rows in starts for row in of_steps(rows)[WARM_UP:]]
    found = {"steps": max(everything, default=0)}
    found["losses"] = [round(everything[step]["loss"], 4) for step in sorted(everything)][:100]
    found["val"] = [
        {"step": row["step"], "val": round(row["val"], 4)}
        for rows in starts for row in rows if "val" in row
    ]  # fmt: skip
    for key, name, digits in (("tokens_per_s", "tokens_per_s", 0), ("mfu", "mfu", 4)):
        values = [row[key] for row in counted if key in row]
        found[name] = round(statistics.median(values), digits or None) if values else None
    peaks = [row["memory_gb"] for rows in starts for row in rows if "memory_gb" in row]
    found["memory_gb"] = round(max(peaks), 2) if peaks else None
    firsts = [round(of_steps(rows)[0]["seconds"], 1) for rows in starts if of_steps(rows)]
    found["first_step_s"] = firsts[0] if firsts else None
    if len(firsts) > 1:
        found["first_step_again_s"] = firsts[1]
    return found


def repeated(first: list[dict], second: list[dict]) -> float | None:
    """How far the losses of the steps that were taken twice are apart at most."""
    before = {row["step"]: row["loss"] for row in of_steps(first)}
    twice = [row for row in of_steps(second) if row["step"] in before]
    return max((abs(row["loss"] - before[row["step"]]) for row in twice), default=None)


def lived(job: Job, data: Path, options: list[str], name: str) -> None:
    """Two lives of one run: killed in the first, finished in the second."""
    folder, starts = job.scratch / name, [[]]
    save_every = int(options[options.index("--save-every") + 1])

    def seen(rows: list[dict]) -> None:
        began = job.log.get("resumed_at", 0)
        mine = [row for row in rows if len(starts) == 1 or row["step"] > began]
        if len(mine) != len(starts[-1]):
            starts[-1] = mine
            job.keep(**measured(starts))

    script = Script(data, folder, options)
    end = followed(script, job, save_every + KILL_AFTER, seen)
    if end == "ended":
        raise RuntimeError(f"the script ended with code {script.process.returncode}: "
                           f"{script.reason()}")  # fmt: skip
    if end == "no time":
        job.keep(stopped="the time of this part was over before the run could be killed")
        return
    script.kill()
    seen(script.rows())
    job.keep(killed_at=of_steps(starts[0])[-1]["step"])
    saved = sorted(folder.glob("checkpoints/step_*"))
    job.keep(resumed_at=int(saved[-1].name.removeprefix("step_")))
    starts.append([])
    script = Script(data, folder, options)
    steps = int(options[options.index("--max-steps") + 1])
    end = followed(script, job, steps + 1, seen)  # to its own end: no such step comes
    job.keep(gap_of_repeated_steps=repeated(*starts))
    if end == "no time":
        job.keep(stopped="the time of this part was over")
    elif script.process.returncode != 0:
        raise RuntimeError(
            f"started again, it ended with code {script.process.returncode}: {script.reason()}"
        )
    else:
        job.keep(stopped="all steps are done", model=(folder / "model").is_dir())


def gentler(options: list[str], error: RuntimeError) -> tuple[list[str], str]:
    """What to try next, and why: half as much at a time, or no compiler; else the error again."""
    halved = less_memory(options) if "lower --micro-batch" in str(error) else None
    if halved:
        return halved, f"with less at a time, because {first_line(error)}"
    if "--no-compile" not in options and without_compiler(str(error)):
        return [*options, "--no-compile"], f"without torch.compile, because {first_line(error)}"
    raise error


def measure(job: Job) -> None:
    """Make shards, launch, kill, launch again; with less memory or no compiler if it must be."""
    data, text = shards(job)
    options = (TINY if job.tiny or job.device == "cpu" else FULL).split()
    steps, save_every = (16, 4) if job.tiny else (STEPS, SAVE_EVERY)
    options += f"--max-steps {steps} --eval-every {steps} --save-every {save_every}".split()
    job.keep(preset=PRESET, options=options, text=text)
    notes = []
    for attempt in range(4):
        try:
            lived(job, data, options, f"run{attempt}")
            return
        except RuntimeError as error:
            shutil.rmtree(job.scratch / f"run{attempt}", ignore_errors=True)
            options, note = gentler(options, error)
            notes.append(note)
            job.log = {}
            job.keep(preset=PRESET, options=options, text=text, notes=notes)


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def less_memory(options: list[str]) -> list[str] | None:
    """The same options with half of the sequences at a time (the preset has 64)."""
    if "--micro-batch" not in options:
        return [*options, "--micro-batch", "32"]
    at = options.index("--micro-batch") + 1
    half = int(options[at]) // 2
    return [*options[:at], str(half), *options[at + 1 :]] if half else None


def without_compiler(said: str) -> bool:
    """Is it torch.compile that failed? Either the script says so, or a traceback does."""
    return any(word in said for word in ("torch.compile", "torch._inductor", "triton", "dynamo"))
