"""The appendix's question: what is each change since GPT-2 worth at the size of a laptop?

    .venv/bin/python benchmarks/beyond_gpt2.py

Needs nothing but the package; about an hour on one core. Writes
results/runs/beyond_gpt2.json, from which the appendix takes its numbers, after each row.

Every row is GPT-2's small copy with one change, or all of them: the same text, batches and steps.
Its learning rate is the best of three, judged on the last tenth of the training text; then it is
trained once for every seed and scored on the whole validation text by the scoreboard's rule. What
a change costs is timed apart, in turns with GPT-2, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from pathlib import Path

import torch
from ablation_ladder import clean, cpu, spread

from gpt2_tutorial.modern import MODERN, ModernConfig, ModernGPT
from gpt2_tutorial.muon import Muon, Together, split_params
from gpt2_tutorial.optim import AdamW, param_groups
from gpt2_tutorial.scoreboard import Scoreboard, score
from gpt2_tutorial.text import get_batch, split

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "beyond_gpt2.json"
SEEDS, SHORT = (0, 1, 2), float(os.environ.get("SHORT", "1"))  # a share of the steps, to try it
SHAPE = {"block_size": 64, "vocab_size": 65, "n_layer": 3, "n_head": 4, "n_embd": 64}
BATCH, STEPS, WARMUP, COOL = 16, 600, 0.05, 0.5
RATES = (0.002, 0.004, 0.008)  # AdamW's; Muon's own is ten times as large
PAIRS, AT_ONCE = 7, 20  # timings of each row in turns with GPT-2, steps in each
MUON = {"optimizer": "Muon"}
ALL = MODERN | {"mlp": "relu2", "n_kv_head": 2, "ngram_rows": 4801}
ROWS: dict[str, tuple[str, dict]] = {
    "gpt2": ("GPT-2", {}),
    "rotary": ("rotary positions", {"rotary": True}),
    "rms": ("RMSNorm", {"norm": "rms"}),
    "qk_norm": ("QK-norm", {"qk_norm": True}),
    "swiglu": ("SwiGLU", {"mlp": "swiglu"}),
    "relu2": ("ReLU²", {"mlp": "relu2"}),
    "grouped": ("2 heads of keys for 4 of queries", {"n_kv_head": 2}),
    "untied": ("a head of its own", {"tied": False}),
    "zero_init": ("projections that begin at 0", {"zero_init": True}),
    "soft_cap": ("logits capped at 30", {"soft_cap": 30.0}),
    "ngrams": ("tables of pairs and triples", {"ngram_rows": 4801}),
    "muon": ("Muon", MUON),
    "all": ("all of them", ALL | MUON),
    "all_without_ngrams": ("all but the tables", ALL | MUON | {"ngram_rows": 0}),
    "all_without_muon": ("all but Muon", ALL),
}


def built(key: str, rate: float) -> tuple[ModernGPT, AdamW | Together]:
    """The model of a row, and what steps it: AdamW, or Muon for matrices and AdamW for the rest."""
    switches = {name: value for name, value in ROWS[key][1].items() if name != "optimizer"}
    model = ModernGPT(ModernConfig(**SHAPE, **switches))
    if "optimizer" not in ROWS[key][1]:
        return model, AdamW(param_groups(model, 0.1), lr=rate, betas=(0.9, 0.95))
    matrices, rest = split_params(model)
    adamw = AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
    return model, Together(Muon(matrices, lr=10 * rate), adamw)


def share(done: float) -> float:
    """The share of the highest rate: up at once, then level, then down to nothing.

    >>> [round(share(done), 2) for done in (0.0, 0.025, 0.3, 0.75, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return min(1.0, done / WARMUP, (1 - done) / COOL)


def trained(key: str, ids: torch.Tensor, rate: float, seed: int) -> ModernGPT:
    """Train one row on its seed's batches."""
    torch.manual_seed(seed)
    model, optimizer = built(key, rate)
    rng, steps = torch.Generator().manual_seed(seed), int(STEPS * SHORT)
    highest = [group["lr"] for group in optimizer.param_groups]
    for step in range(steps):
        for group, top in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = top * share((step + 1) / (steps + 1))
        one_step(model, optimizer, ids, rng)
    return model.eval()


def one_step(
    model: ModernGPT, optimizer: AdamW | Together, ids: torch.Tensor, rng: torch.Generator
) -> None:
    """One batch downhill."""
    _, loss = model(*get_batch(ids, BATCH, SHAPE["block_size"], rng))
    model.zero_grad()
    loss.backward()
    optimizer.step()


def seconds(key: str, ids: torch.Tensor) -> float:
    """CPU-seconds of a few steps."""
    model, optimizer = built(key, RATES[0])
    rng = torch.Generator().manual_seed(0)
    one_step(model, optimizer, ids, rng)  # the first one makes the optimizer's memory
    begun = time.process_time()
    for _ in range(max(1, int(AT_ONCE * SHORT))):
        one_step(model, optimizer, ids, rng)
    return time.process_time() - begun


def cost(key: str, ids: torch.Tensor) -> dict:
    """A step's time as a multiple of GPT-2's, timed in turns, and what must be kept in memory."""
    ratios = sorted(seconds(key, ids) / seconds("gpt2", ids) for _ in range(PAIRS))
    model, optimizer = built(key, RATES[0])
    one_step(model, optimizer, ids, torch.Generator().manual_seed(0))
    each = optimizer.optimizers if isinstance(optimizer, Together) else [optimizer]
    states = [state for one in each for state in one.state.values()]
    memory = sum(x.numel() for s in states for x in s.values() if isinstance(x, torch.Tensor))
    config = model.config
    head = config.n_embd // config.n_head
    cache = 2 * config.n_layer * (config.n_kv_head or config.n_head) * head
    return {
        "time": round(statistics.median(ratios), 3),
        "time_pairs": [round(ratio, 3) for ratio in ratios],
        "parameters": sum(p.numel() for p in model.parameters()),
        "optimizer_numbers": memory,
        "cache_numbers_per_token": cache,
    }


def row(key: str, board: Scoreboard) -> dict:
    """Choose a row's rate, train it for every seed, and time it."""
    begun, text = time.process_time(), board.ids[: board.first]
    learn, judge = split(text)
    T = SHAPE["block_size"]
    tuned = {
        rate: score(trained(key, learn, rate, 100), judge[:30_000], judge[1:30_001], T)
        for rate in RATES
    }
    rate = min(tuned, key=lambda rate: math.inf if math.isnan(tuned[rate]) else tuned[rate])
    models = [trained(key, text, rate, seed) for seed in SEEDS]
    losses = [round(board.score(model, T), 4) for model in models]
    found = {"name": ROWS[key][0], "rate": rate, "val": spread(losses)}
    found |= {"tuning": {str(r): clean(nats) for r, nats in tuned.items()}} | cost(key, text)
    return found | {"cpu_seconds": round(time.process_time() - begun, 1)}


def main() -> None:
    """Try every row that the log does not have yet, and keep each."""
    torch.set_num_threads(1)
    board, rows = Scoreboard("12"), {}
    if OUT.is_file():  # a run that was stopped goes on
        rows = json.loads(OUT.read_text(encoding="utf-8"))["rows"]
    about = {"command": "python benchmarks/beyond_gpt2.py", "threads": 1, "cpu": cpu()}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    recipe = SHAPE | {"batch": BATCH, "steps": int(STEPS * SHORT), "seeds": list(SEEDS)}
    recipe |= {"rates": list(RATES), "warmup": WARMUP, "cool": COOL}
    for key in ROWS:
        if key not in rows:
            rows[key] = row(key, board)
            print(key, json.dumps(rows[key], ensure_ascii=False), flush=True)
        both = (rows[name]["val"]["per_seed"] for name in (key, "gpt2"))
        gap = [mine - its for mine, its in zip(*both, strict=True)]
        rows[key]["minus_gpt2"] = spread([round(g, 4) for g in gap])
        log = {"about": about, "recipe": recipe, "rows": rows}
        OUT.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
