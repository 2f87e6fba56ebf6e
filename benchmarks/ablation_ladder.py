"""The ladder of chapter 10: what does each part of a block buy? Every rung with several seeds.

    .venv/bin/python benchmarks/ablation_ladder.py

Needs nothing but the package; about ten minutes on one core. Writes
results/runs/ablation_ladder.json, from which chapter 10 draws its bars.

Every rung gets the same text, batches, steps and width. Its learning rate is the best of four,
judged on the last tenth of the training text. Then it is trained once for every seed and scored on
the whole validation text by the scoreboard's rule.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Config

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.attention import CausalSelfAttention
from gpt2_tutorial.block import MLP, Block
from gpt2_tutorial.loop import fit
from gpt2_tutorial.optim import AdamW
from gpt2_tutorial.scoreboard import Scoreboard, score
from gpt2_tutorial.text import get_batch, split

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "ablation_ladder.json"
SEEDS = tuple(range(5))
STEPS = int(os.environ.get("STEPS", "1500"))
RATES = (0.001, 0.003, 0.01, 0.03)
BATCH = 16
V, C, T = 65, 32, 32
config = Config(n_embd=C, n_head=4, block_size=T, dropout=0.0, bias=True)


# The next two classes stand in the notebook of chapter 10 as well; a test holds them equal.
class Added(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return x + self.part(x)


class CharModel(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.token = nn.Embedding(V, C)
        self.position = nn.Embedding(T, C)
        self.parts = nn.Sequential(*parts)
        self.bets = nn.Linear(C, V)

    def forward(self, idx, targets=None):
        x = self.token(idx) + self.position.weight[: idx.shape[1]]  # (B, T, C)
        logits = self.bets(self.parts(x))  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def pairs(wrap: Callable = lambda part: part) -> list[nn.Module]:
    """Three times attention and MLP, each as `wrap` wants it."""
    both = (CausalSelfAttention, MLP)
    return [wrap(part(config)) for _ in range(3) for part in both]


RUNGS: dict[str, tuple[str, Callable[[], list[nn.Module]]]] = {
    "heads": ("4 heads", lambda: [CausalSelfAttention(config)]),
    "mlp": ("+ MLP", lambda: [CausalSelfAttention(config), MLP(config)]),
    "no_skip": ("three of both, no skip", pairs),
    "skip": ("+ skip", lambda: pairs(Added)),
    "norm": ("+ LayerNorm", lambda: [Block(config) for _ in range(3)]),
}


def train(rung: str, ids: torch.Tensor, rate: float, seed: int) -> CharModel:
    """Train one rung: three quarters of the steps at `rate`, the rest at a tenth of it."""
    torch.manual_seed(seed)
    model, dice = CharModel(*RUNGS[rung][1]()), torch.Generator().manual_seed(seed)
    for learning_rate, steps in ((rate, STEPS * 3 // 4), (rate / 10, STEPS // 4)):
        optimizer = AdamW(model.parameters(), lr=learning_rate)
        fit(model, lambda: get_batch(ids, BATCH, T, dice), optimizer, steps)
    return model.eval()


def spread(values: list[float]) -> dict:
    """Mean and standard deviation (n − 1) of one number for each seed."""
    mean, sd = statistics.mean(values), statistics.stdev(values)
    return {"per_seed": values, "mean": round(mean, 4), "sd": round(sd, 4)}


def clean(nats: float) -> float | None:
    """Four digits; None (null in the log) for a run that broke off into nan."""
    return None if math.isnan(nats) else round(nats, 4)


def climb(rung: str, board: Scoreboard, seed_of_tuning: int = 100) -> dict:
    """Choose a rung's learning rate, then train and score it for every seed."""
    begun = time.process_time()
    text = board.ids[: board.first]
    learn, judge = split(text)
    tuned = {
        rate: score(train(rung, learn, rate, seed_of_tuning), judge[:-1], judge[1:], T)
        for rate in RATES
    }
    rate = min(tuned, key=lambda rate: math.inf if math.isnan(tuned[rate]) else tuned[rate])
    models = [train(rung, text, rate, seed) for seed in SEEDS]
    found = {"name": RUNGS[rung][0], "parameters": sum(p.numel() for p in models[0].parameters())}
    found |= {"rate": rate, "tuning": {str(r): clean(nats) for r, nats in tuned.items()}}
    found |= {"val": spread([round(board.score(model, T), 4) for model in models])}
    return found | {"cpu_seconds": round(time.process_time() - begun, 1)}


def cpu() -> str:
    """The processor's name, or what Python knows of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Climb all rungs and write the log."""
    torch.set_num_threads(1)
    board, rungs = Scoreboard("10"), {}
    for rung in RUNGS:
        rungs[rung] = climb(rung, board)
        print(rung, json.dumps(rungs[rung]), flush=True)
    gaps = {}
    for new, old in zip(list(RUNGS)[1:], RUNGS, strict=False):
        losses = zip(rungs[new]["val"]["per_seed"], rungs[old]["val"]["per_seed"], strict=True)
        gaps[f"{new}_minus_{old}"] = spread([round(a - b, 4) for a, b in losses])
    about = {"command": "python benchmarks/ablation_ladder.py", "threads": 1}
    about |= {"cores": os.cpu_count(), "cpu": cpu()}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    about |= {"cpu_seconds": round(time.process_time(), 1)}
    recipe = {"steps": STEPS, "batch": BATCH, "n_embd": C, "block_size": T, "n_head": 4}
    recipe |= {"optimizer": "AdamW, weight decay 0.01", "seeds": list(SEEDS), "rates": list(RATES)}
    log = {"about": about, "recipe": recipe, "rungs": rungs, "gaps": gaps}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
