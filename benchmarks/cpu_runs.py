"""The script that people launch, on a CPU: what it reaches, with several seeds.

    .venv/bin/python benchmarks/cpu_runs.py

Needs nothing but the package; a few minutes a seed on two cores. Runs

    torchrun --standalone --nproc_per_node=2 launch/train_gpt2.py --preset cpu --seed N

once for every seed, in a folder of its own, and keeps of its metrics what the results page needs.
Writes results/runs/cpu_runs.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import torch
from ablation_ladder import cpu

from gpt2_tutorial.config import PRESETS

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "runs" / "cpu_runs.json"
PROCESSES = 2
COMMAND = f"torchrun --standalone --nproc_per_node={PROCESSES} launch/train_gpt2.py --preset cpu"


def launched(seed: int, folder: Path, more: list[str]) -> tuple[float, float]:
    """Run the script as a reader does; return the seconds and the CPU-seconds it took."""
    words = shlex.split(f"{COMMAND} --device cpu --seed {seed} --out {folder}") + more
    words[:1] = [sys.executable, "-m", "torch.distributed.run"]  # torchrun, wherever it lies
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"seed {seed} ended with {done.returncode}:\n{done.stderr}")
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, worked


def kept(seed: int, folder: Path, seconds: float, cpu_seconds: float) -> dict:
    """What the page needs of one run's metrics."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    steps = {row["step"]: row for row in rows if "loss" in row}
    looks = {row["step"]: row for row in rows if "val" in row}
    last = max(looks)
    curve = [{"step": step, "val": round(looks[step]["val"], 4)} for step in sorted(looks)]
    for point in curve[1:]:  # the mean of the last ten steps: one is as noisy as its batch
        near = [steps[step]["loss"] for step in range(point["step"] - 9, point["step"] + 1)]
        point["train"] = round(statistics.mean(near), 4)
    run = {"seed": seed, "val": curve[-1]["val"], "tokens": steps[last]["tokens"]}
    run |= {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}
    run |= {"step_ms": round(1000 * statistics.median(row["seconds"] for row in steps.values()), 1)}
    run |= {"tokens_per_s": round(statistics.median(r["tokens_per_s"] for r in steps.values()))}
    run |= {"apart": max(row["apart"] for row in looks.values())}
    return run | {"sample": looks[last]["sample"], "curve": curve}


def spread(values: list[float], digits: int | None) -> dict:
    """Mean and standard deviation (n − 1) over the seeds."""
    mean, sd = statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None
    return {"mean": round(mean, digits), "sd": sd if sd is None else round(sd, digits)}


def mean_curve(curves: list[list[dict]]) -> list[dict]:
    """What a run should look like on the way: mean and spread of every look."""
    points = []
    for looks in zip(*curves, strict=True):
        point = {"step": looks[0]["step"], "val": spread([look["val"] for look in looks], 4)}
        if "train" in looks[0]:
            point["train"] = spread([look["train"] for look in looks], 4)
        points.append(point)
    return points


def described() -> dict:
    """The preset, in the numbers that a reader wants to know."""
    config = PRESETS["cpu"]
    names = ("n_layer", "n_head", "n_embd", "block_size", "batch_tokens", "max_steps", "max_lr")
    said = {name: getattr(config, name) for name in names}
    at_a_look = config.eval_batches * config.micro_batch * config.block_size * PROCESSES
    return said | {"processes": PROCESSES, "val_tokens": at_a_look}


def parameters(model: Path) -> int:
    """How many numbers the exported model has, counted in its file."""
    with (model / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return sum(torch.Size(shape).numel() for shape in shapes)


def main() -> None:
    """Run every seed and write the log."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--with", dest="more", default="", help="further words for the script")
    parser.add_argument("--add", action="store_true", help="to the runs that the log has already")
    args = parser.parse_args()
    runs = json.loads(args.out.read_text(encoding="utf-8"))["runs"] if args.add else []
    for seed in args.seeds:
        load = {"load_before": round(os.getloadavg()[0], 1)}
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "run"
            took = launched(seed, folder, shlex.split(args.more))
            runs = [run for run in runs if run["seed"] != seed]
            runs.append(kept(seed, folder, *took) | load)
            count = parameters(folder / "model")
        print(json.dumps({k: v for k, v in runs[-1].items() if k != "curve"}), flush=True)
    runs.sort(key=lambda run: run["seed"])
    about = {"command": "python benchmarks/cpu_runs.py", "date": date.today().isoformat()}
    about |= {"each": f"{COMMAND} --seed N", "cpu": cpu(), "cores": os.cpu_count()}
    about |= {"threads": "1 a process"}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    log = {"about": about, "recipe": described() | {"parameters": count, "seeds": len(runs)}}
    for name, digits in (("val", 4), ("seconds", 1), ("cpu_seconds", 1), ("tokens_per_s", None)):
        log[name] = spread([run[name] for run in runs], digits)
    log["curve"] = mean_curve([run["curve"] for run in runs])
    args.out.write_text(as_text(log | {"runs": runs}), encoding="utf-8")


def as_text(log: dict) -> str:
    """JSON with one line for every point of a curve.

    >>> print(as_text({"curve": [{"step": 0, "val": 4.2}]}), end="")
    {
     "curve": [
      {"step": 0, "val": 4.2}
     ]
    }
    """
    text = json.dumps(log, indent=1, ensure_ascii=False) + "\n"
    small = re.compile(r'\{\s+("(?:step|mean)"[^{}]*?)\s+\}')
    return small.sub(lambda match: "{" + " ".join(match[1].split()) + "}", text)


if __name__ == "__main__":
    main()
