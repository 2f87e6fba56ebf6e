"""Two questions of chapter 10: what does dropout buy, and what does unscaled depth cost?

    .venv/bin/python benchmarks/dropout_and_depth.py

Needs nothing but the package; about half an hour on one core. Writes
results/runs/dropout_and_depth.json, from which chapter 10 takes its numbers.

Dropout: a small GPT-2 reads a twentieth of the training text over and over, once for each chance
and seed, and is judged on the last tenth of the training text. Depth: 24 blocks begin with and
without the smaller weights on the road. Their maps begin as wide in spread as GPT-2's own, 0.02 at
768 numbers, so that a part answers as loudly as one of GPT-2's; the rate is the best of three.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from pathlib import Path

import torch
import torch.nn as nn
from ablation_ladder import clean, cpu, spread

from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.loop import fit
from gpt2_tutorial.optim import AdamW
from gpt2_tutorial.scoreboard import Scoreboard, score
from gpt2_tutorial.text import get_batch, split

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "dropout_and_depth.json"
SEEDS = (0, 1, 2)
SHORT = float(os.environ.get("SHORT", "1"))  # a share of all steps, to try the script
V, T, BATCH = 65, 32, 16
CHANCES, LOOKS, STEPS, RATE = (0.0, 0.1, 0.2), 15, 1500, 0.003
BLOCKS, DEEP_STEPS, RATES = 24, 300, (0.001, 0.003, 0.01)


def dropout(chance: float, seed: int, learn: torch.Tensor, judge: torch.Tensor) -> dict:
    """Train on little text and look at both losses as it learns it by heart."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    shape = {"n_layer": 3, "n_head": 4, "n_embd": 64, "block_size": T, "vocab_size": V}
    model = GPT(GPTConfig(**shape, dropout=chance))
    optimizer = AdamW(model.parameters(), lr=RATE)
    curve = []
    for _ in range(LOOKS):
        model.train()
        fit(model, lambda: get_batch(learn, BATCH, T, rng), optimizer, int(STEPS * SHORT) // LOOKS)
        model.eval()
        curve.append(
            [clean(score(model, ids[:-1], ids[1:], T)) for ids in (learn[:20_000], judge[:20_000])]
        )
    best = min(val for _, val in curve)
    return {"curve": curve, "best": best, "last_train": curve[-1][0], "last_val": curve[-1][1]}


def deep(scaled: bool, rate: float, seed: int, learn: torch.Tensor, judge: torch.Tensor) -> float:
    """Train 24 blocks for a short time and give the loss."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    shape = {"n_layer": BLOCKS, "n_head": 4, "n_embd": 64, "block_size": T, "vocab_size": V}
    model = GPT(GPTConfig(**shape))
    louder = math.sqrt(768 / 64)
    with torch.no_grad():
        for name, part in model.named_modules():
            if isinstance(part, nn.Linear) and name != "lm_head":
                smaller = math.sqrt(2 * BLOCKS) if name.endswith("c_proj") and not scaled else 1
                part.weight.mul_(louder * smaller)
    optimizer = AdamW(model.parameters(), lr=rate)
    fit(model, lambda: get_batch(learn, BATCH, T, rng), optimizer, int(DEEP_STEPS * SHORT))
    return score(model.eval(), judge[:20_000], judge[1:20_001], T)


def main() -> None:
    """Ask both questions and write the log."""
    torch.set_num_threads(1)
    board, begun = Scoreboard("10"), time.process_time()
    learn, judge = split(board.ids[: board.first])
    found: dict[str, dict] = {"dropout": {}, "depth": {}}

    def keep() -> None:  # after each part, so that a run that is stopped has not run for nothing
        about = {"cpu": cpu(), "torch": torch.__version__, "python": platform.python_version()}
        about["cpu_seconds"] = round(time.process_time() - begun, 1)
        about["date"] = time.strftime("%Y-%m-%d")
        OUT.write_text(json.dumps({"about": about, **found}, indent=1) + "\n", encoding="utf-8")

    for chance in CHANCES:
        runs = [dropout(chance, seed, learn[: len(learn) // 20], judge) for seed in SEEDS]
        row = {
            key: spread([run[key] for run in runs]) for key in ("best", "last_train", "last_val")
        }
        found["dropout"][f"{chance:.0%}"] = row | {"curves": [run["curve"] for run in runs]}
        print(chance, json.dumps(row), flush=True)
        keep()
    for name, scaled in (("scaled", True), ("unscaled", False)):
        tuned = {rate: deep(scaled, rate, 100, learn, judge) for rate in RATES}
        rate = min(tuned, key=lambda rate: math.inf if math.isnan(tuned[rate]) else tuned[rate])
        losses = [round(deep(scaled, rate, seed, learn, judge), 4) for seed in SEEDS]
        tuning = {str(r): clean(nats) for r, nats in tuned.items()}
        found["depth"][name] = {"rate": rate, "tuning": tuning, "val": spread(losses)}
        print(name, json.dumps(found["depth"][name]), flush=True)
        keep()


if __name__ == "__main__":
    main()
