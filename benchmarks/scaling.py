"""A small scaling law for chapter 12: how large a model is best for which compute?

    .venv/bin/python benchmarks/scaling.py

Needs nothing but the package; about seven minutes on one core. Four sizes of GPT-2 are trained on
tiny Shakespeare by `simple.train`, each with the best of three learning rates, judged on the last
tenth of the training text. The fifth and largest size is the `laptop` preset, which has its own
log (`simple_gpt.py`); bigram and MLP have theirs (`small_models.py`). Writes
results/runs/scaling.json: for every size the curve in tokens, FLOPs and CPU-seconds, and the loss
on the whole validation text by the scoreboard's rule.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from pathlib import Path

import torch
from ablation_ladder import cpu

from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.scoreboard import Scoreboard, score
from gpt2_tutorial.simple import PRESETS, Preset, train
from gpt2_tutorial.text import split

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "scaling.json"
V = 65
SHORTER = 6  # tuning takes a run's steps divided by this
POINTS = 10
SIZES = {  # the sizes of the model, its steps, and the learning rates that are tried
    "16 wide, 2 blocks": (dict(n_layer=2, n_head=2, n_embd=16), 3000, (0.01, 0.02, 0.04)),
    "32 wide, 2 blocks": (dict(n_layer=2, n_head=2, n_embd=32), 2500, (0.006, 0.012, 0.024)),
    "64 wide, 2 blocks": (dict(n_layer=2, n_head=2, n_embd=64), 2400, (0.004, 0.008, 0.016)),
    "96 wide, 3 blocks": (dict(n_layer=3, n_head=3, n_embd=96), 2000, (0.003, 0.006, 0.012)),
}


def flops(preset: Preset) -> int:
    """Operations a token, forward and backward: 6 for each weight of a product, and attention."""
    C, L, T = preset.n_embd, preset.n_layer, preset.block_size
    return 6 * (12 * L * C * C + V * C) + 12 * L * C * T


def run(ids: torch.Tensor, val: torch.Tensor, preset: Preset) -> tuple[GPT, list[dict]]:
    """Train one model from seed 0 and return it with its curve."""
    torch.manual_seed(0)
    model, dice = GPT(preset.config(V)), torch.Generator().manual_seed(0)
    texts = {"train": ids, "val": val}
    curve = list(train(model, texts, preset, rng=dice, progress=False))
    return model.eval(), curve


def tuned(ids: torch.Tensor, preset: Preset, rates: tuple[float, ...]) -> dict[float, float]:
    """What each learning rate reaches in a short run on the last tenth of the training text."""
    learn, aside = split(ids)
    found = {}
    for rate in rates:
        steps = preset.steps // SHORTER
        short = dataclasses.replace(preset, max_lr=rate, steps=steps, eval_every=steps)
        model, _ = run(learn, aside, short)
        found[rate] = round(score(model, aside[:30_000], aside[1:30_001], preset.block_size), 4)
    return found


def measured(sizes: dict, steps: int, rates: tuple[float, ...], board: Scoreboard) -> dict:
    """Choose the learning rate of one size, train it, and write down its curve."""
    ids, val = board.ids[: board.first], board.ids[board.first :]
    # Everything else is as in the laptop preset: windows, batch, schedule, optimizer.
    preset = dataclasses.replace(PRESETS["laptop"], **sizes, steps=steps, eval_windows=256)
    preset = dataclasses.replace(preset, eval_every=steps // POINTS, min_lr=1e-4)
    tuning = tuned(ids, preset, rates)
    preset = dataclasses.replace(preset, max_lr=min(tuning, key=tuning.get))
    model, curve = run(ids, val, preset)
    for row in curve:
        row["flops"] = row["tokens"] * flops(preset)
        row |= {key: round(row[key], 4) for key in ("train", "val")}
        row |= {key: round(row[key], 1) for key in ("seconds", "cpu_seconds")}
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "flops_a_token": flops(preset),
        "tuning": {f"{rate:g}": nats for rate, nats in tuning.items()},
        "settings": dataclasses.asdict(preset),
        "curve": curve,
        "val": round(board.score(model, preset.block_size), 4),
    }


def main() -> None:
    """Measure all sizes and write the log after each."""
    torch.set_num_threads(1)
    board, sizes = Scoreboard("00"), {}
    for name, (shape, steps, rates) in SIZES.items():
        sizes[name] = measured(shape, steps, rates, board)
        last = sizes[name]["curve"][-1]
        print(f"{name}: val {sizes[name]['val']}, {last['cpu_seconds']} CPU-s", flush=True)
        about = {"command": "python benchmarks/scaling.py", "threads": 1}
        about |= {"cores": os.cpu_count(), "cpu": cpu()}
        about |= {"python": platform.python_version(), "torch": torch.__version__}
        about |= {"cpu_seconds": round(time.process_time(), 1)}
        laptop = {"log": "simple_laptop", "flops_a_token": flops(PRESETS["laptop"])}
        log = {"about": about, "sizes": sizes, "largest": laptop}
        OUT.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
