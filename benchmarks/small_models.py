"""What do more steps buy the small models? The bigram of chapter 02, the network of chapter 05.

    .venv/bin/python benchmarks/small_models.py

Needs nothing but the package; about seven minutes on one core. Writes
results/runs/small_models.json, which chapter 12 draws beside the curve of its GPT.

Every point is a run of its own: AdamW, warm-up, a learning rate that falls in half a wave over just
these steps, batches of 16 × 64 characters, seed 0. Scored on the whole validation text by the
scoreboard's rule. CPU-seconds are those of the steps alone.
"""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

import torch
import torch.nn as nn
from ablation_ladder import cpu

from gpt2_tutorial.bigram import BigramLM
from gpt2_tutorial.mlp import MLPLM
from gpt2_tutorial.optim import cosine_with_warmup
from gpt2_tutorial.scoreboard import Scoreboard
from gpt2_tutorial.text import get_batch

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "small_models.json"
B, T, V = 16, 64, 65
MODELS = {  # name, how to make it, its context, its highest learning rate, its numbers of steps
    "bigram": ("bigram, learned", BigramLM, 1, 0.1, (250, 1000, 4000, 16000)),
    "mlp": ("MLP, 8 characters", MLPLM, 8, 0.01, (500, 2000, 8000, 32000)),
}


def trained(model: nn.Module, ids: torch.Tensor, rate: float, steps: int) -> float:
    """Train in place and return the CPU-seconds."""
    dice, began = torch.Generator().manual_seed(0), time.process_time()
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    plan = dict(max_lr=rate, min_lr=rate / 10, warmup_steps=100, max_steps=steps)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = cosine_with_warmup(step, **plan)
        _, loss = model(*get_batch(ids, B, T, dice))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.process_time() - began


def main() -> None:
    """Train, score, write."""
    torch.set_num_threads(1)
    started, board, log = time.process_time(), Scoreboard("00"), {}
    trained(BigramLM(V), board.ids, rate=0.1, steps=100)  # the first steps pay for starting up
    for key, (name, make, context, rate, lengths) in MODELS.items():
        points = []
        for steps in lengths:
            torch.manual_seed(0)
            model = make(V)
            seconds = trained(model, board.ids[: board.first], rate, steps)
            val = board.score(model.eval(), context)
            points.append(dict(steps=steps, tokens=steps * B * T, cpu_seconds=round(seconds, 1),
                               val=round(val, 4)))  # fmt: skip
            print(name, points[-1], flush=True)
        parameters = sum(p.numel() for p in model.parameters())
        log[key] = dict(name=name, parameters=parameters, max_lr=rate, points=points)
    about = {
        "command": "python benchmarks/small_models.py",
        "machine": f"{cpu()}, {os.cpu_count()} cores",
        "threads": 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_seconds": round(time.process_time() - started, 1),
    }
    log = {"about": about} | log
    OUT.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
