"""The race: the best loss on tiny Shakespeare in a minute, or in twenty, of one processor core.

    .venv/bin/python benchmarks/race.py --seconds 60 --recipe modern --seed 0

Rules: at most 810,000 numbers in the model; one thread; tiny Shakespeare's training text and
nothing else. The clock counts CPU-seconds of everything from the first number drawn to the last
step: not the imports, and not the score. The score is the scoreboard's: nats per character on the
whole validation text. With `--keep` the row goes into results/runs/race.json, from which the
results page takes its board.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from pathlib import Path

import torch
from ablation_ladder import cpu, spread

from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.modern import ModernConfig, ModernGPT
from gpt2_tutorial.muon import Muon, Together, split_params
from gpt2_tutorial.optim import clip_grad_norm, cosine_with_warmup, param_groups
from gpt2_tutorial.scoreboard import Scoreboard
from gpt2_tutorial.text import get_batch

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "race.json"
MOST = 810_000  # numbers in a model
V, T = 65, 64


class Faithful:
    """GPT-2 with AdamW, a cosine and clipping, as chapters 11, 12 and 14 have them."""

    def __init__(self, seconds: float):
        long = seconds > 300
        shape = {"n_layer": 4, "n_embd": 128} if long else {"n_layer": 3, "n_embd": 96}
        self.batch, self.max_lr = 16, 3e-3
        self.model = GPT(GPTConfig(block_size=T, vocab_size=V, n_head=4, **shape))
        groups = param_groups(self.model, weight_decay=0.1)
        self.adamw = torch.optim.AdamW(groups, lr=self.max_lr, betas=(0.9, 0.95), fused=True)

    def step(self, done: float) -> None:
        """Go downhill; `done` is the share of the time that is over."""
        plan = {"max_lr": self.max_lr, "min_lr": self.max_lr / 30, "warmup_steps": 20}
        lr = cosine_with_warmup(int(1000 * done), max_steps=1000, **plan)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        clip_grad_norm(self.model.parameters(), 1.0)
        self.adamw.step()


class Modern:
    """Everything of chapter 18 that helps at this size, with Muon for the blocks' matrices."""

    def __init__(self, seconds: float):
        long = seconds > 300
        shape = {"n_layer": 4, "n_embd": 128} if long else {"n_layer": 3, "n_embd": 96}
        # In twenty minutes the text is read 7 to 10 times; tables learn it by heart, as do weights
        # that nothing shrinks. Without the decay, at AdamW's higher rate, seed 0 ended at 1.527.
        rows, self.rates, decay = (0, (0.02, 0.005), 0.1) if long else (4801, (0.02, 0.02), 0.0)
        switches = {"rotary": True, "norm": "rms", "qk_norm": True, "mlp": "relu2", "tied": False}
        switches |= {"zero_init": True, "soft_cap": 15.0, "ngram_rows": rows, "bias": False}
        heads = shape["n_embd"] // 32
        config = ModernConfig(block_size=T, vocab_size=V, n_head=heads, **shape, **switches)
        self.batch, self.model = 16, ModernGPT(config)
        # Blocks read what a norm made about 1 in size, and answer so: a table of 0.02 would drown.
        torch.nn.init.normal_(self.model.transformer.wte.weight)
        torch.nn.init.zeros_(self.model.lm_head.weight)
        matrices, rest = split_params(self.model)
        adamw = torch.optim.AdamW(rest, betas=(0.9, 0.95), weight_decay=decay, fused=True)
        self.optimizer = Together(Muon(matrices, weight_decay=decay), adamw)

    def step(self, done: float) -> None:
        """Up in a moment, level, and down to nothing over the last three fifths of the time."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * min(1.0, done / 0.02, (1 - done) / 0.6)
        self.optimizer.step()


RECIPES = {"gpt2": Faithful, "modern": Modern}


def race(recipe: str, seconds: float, seed: int) -> dict:
    """Train until the time is over, and score."""
    torch.set_num_threads(1)
    board, rng = Scoreboard("00"), torch.Generator().manual_seed(seed)
    begun, learn, steps = time.process_time(), board.ids[: board.first], 0
    torch.manual_seed(seed)
    runner = RECIPES[recipe](seconds)
    size = sum(p.numel() for p in runner.model.parameters())
    if size > MOST:
        raise SystemExit(f"the model has {size:,} numbers, more than the {MOST:,} of the rules")
    while (used := time.process_time() - begun) < seconds:
        _, loss = runner.model(*get_batch(learn, runner.batch, T, rng))
        runner.model.zero_grad()
        loss.backward()
        runner.step(used / seconds)
        steps += 1
        if steps % 100 == 0 or math.isnan(loss.item()):
            print(f"{used:7.1f} CPU-seconds: loss {loss.item():.3f}", flush=True)
    used = time.process_time() - begun
    val = board.score(runner.model, T)
    return {
        "recipe": recipe,
        "seconds": seconds,
        "seed": seed,
        "val": round(val, 4),
        "parameters": size,
        "steps": steps,
        "tokens": steps * runner.batch * T,
        "cpu_seconds": round(used, 1),
        "cpu": cpu(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def main() -> None:
    """Run one row."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=60, help="CPU-seconds of training")
    parser.add_argument("--recipe", choices=RECIPES, default="modern")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help=f"put the row into {OUT.name}")
    args = parser.parse_args()
    if not 1 <= args.seconds <= 86_400:
        parser.error(f"--seconds must be from 1 to 86,400, not {args.seconds:g}")
    row = race(args.recipe, args.seconds, args.seed)
    print(json.dumps(row, indent=1))
    if args.keep:
        keep(row)


def keep(row: dict) -> None:
    """Put a row into the log, in place of an older one of the same recipe, time and seed."""
    rows = json.loads(OUT.read_text(encoding="utf-8"))["rows"] if OUT.is_file() else []
    key = ("seconds", "recipe", "seed")
    rows = [old for old in rows if any(old[k] != row[k] for k in key)] + [row]
    rows.sort(key=lambda row: [row[k] for k in key])
    log = {"about": {"command": "python benchmarks/race.py", "threads": 1}, "board": board_of(rows)}
    for name in ("cpu", "torch", "python"):
        log["about"][name] = ", ".join(dict.fromkeys(old[name] for old in rows))
    OUT.write_text(json.dumps(log | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


def board_of(rows: list[dict]) -> list[dict]:
    """One line for each recipe and time: the spread over its seeds.

    >>> row = {"recipe": "gpt2", "seconds": 60.0, "parameters": 9, "tokens": 1024}
    >>> board_of([row | {"seed": seed, "val": seed + 1.5} for seed in (0, 1)])[0]["val"]["mean"]
    2.0
    """
    lines = []
    for seconds, recipe in dict.fromkeys((row["seconds"], row["recipe"]) for row in rows):
        same = [row for row in rows if (row["seconds"], row["recipe"]) == (seconds, recipe)]
        line = {"seconds": seconds, "recipe": recipe, "parameters": same[0]["parameters"]}
        line |= {"seeds": [row["seed"] for row in same]}
        line |= {"tokens": round(statistics.mean(row["tokens"] for row in same))}
        several = len(same) > 1
        line["val"] = spread([row["val"] for row in same]) if several else same[0]["val"]
        lines.append(line)
    return lines


if __name__ == "__main__":
    main()
