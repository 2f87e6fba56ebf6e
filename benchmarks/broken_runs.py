"""One correct run and sixteen that are broken on purpose: which bug is it?

    .venv/bin/python benchmarks/broken_runs.py

Needs nothing but the package; about four minutes on one core. Writes results/runs/broken_runs.json:
the exercise of chapter 16 shows the runs, and `gpt2 doctor` is tested on them.

A GPT of 107,000 weights reads tiny Shakespeare, 300 steps of 1,024 characters: two ranks, four
pieces of two sequences each. Both ranks live in this one process, as two models whose gradients are
averaged, or not. Where the bug leaves them alike, one model stands for both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from ablation_ladder import cpu

from gpt2_tutorial.attention import merge_heads, split_heads
from gpt2_tutorial.generate import generate
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.optim import clip_grad_norm, cosine_with_warmup, param_groups
from gpt2_tutorial.text import CharTokenizer, load_shakespeare, split

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "broken_runs.json"
STEPS, WARMUP, MAX_LR, LOOK_EVERY, LOG_EVERY = 300, 20, 5e-3, 25, 5
RANKS, PIECES, B, T = 2, 4, 4, 32
SHARE = PIECES * B  # sequences of one rank in one step
VAL_BATCHES, VAL_B = 8, 32
SEEDS = range(5)
CONFIG = GPTConfig(block_size=T, vocab_size=65, n_layer=2, n_head=4, n_embd=64)


@dataclass(frozen=True)
class Recipe:
    """A run; as given, the correct one."""

    title: str
    what: str = ""  # what is wrong, in a sentence
    test: str = ""  # the line that shows it
    told_by: str = ""  # where to look: loss, norm, gap (val against train), sample, apart, nothing
    talk: str = "every step"  # "never"; "too early": only the first piece is shared
    same_shard: bool = False
    gradient_times: float = 1.0
    masked: bool = True
    shift: int = 1  # how many places further the targets stand
    forgets: bool = True  # zero_grad before a step
    lr_times: float = 1.0
    positions: bool = True
    table_std: float = 0.02
    restart_every: int = STEPS  # steps after which the loader begins again at 0
    half: bool = False
    decay: float = 0.1


CORRECT = Recipe("correct")
BROKEN = {
    "late_sync": replace(
        CORRECT,
        title="no_sync is set after the forward",
        what="DDP had decided when the forward began: the first piece is shared between the ranks, "
        "the other three are not.",
        test="assert max(model.p - other_rank.p) == 0 for every weight p, after any step",
        told_by="apart",
        talk="too early",
    ),
    "dropped_wrapper": replace(
        CORRECT,
        title="model = model.module",
        what="The wrapper is thrown away, so no gradient is ever shared: two runs on half the text "
        "each.",
        test="assert max(model.p - other_rank.p) == 0 for every weight p, after any step",
        told_by="apart",
        talk="never",
    ),
    "same_shard": replace(
        CORRECT,
        title="both ranks read the same text",
        what="The rank is missing from the loader's offset: every step is made of half as much "
        "text, twice.",
        test="assert all_gather(x[0, :8]) differs from rank to rank",
        told_by="nothing",
        same_shard=True,
    ),
    "no_division": replace(
        CORRECT,
        title="the loss is not divided by the pieces",
        what="Four pieces are added up where their mean was meant: the gradient is four times too "
        "long. AdamW and clipping hide it from the loss.",
        test="the norm with 4 pieces must equal the norm of the same batch in 1 piece",
        told_by="norm",
        gradient_times=PIECES,
    ),
    "no_mask": replace(
        CORRECT,
        title="the causal mask is missing",
        what="Every place sees the next character, which is the answer. Nobody can when it writes.",
        test="change the last token: no logits before it may move",
        told_by="loss",
        masked=False,
    ),
    "shifted_two": replace(
        CORRECT,
        title="targets are shifted by two",
        what="The model learns to name the character after the next one.",
        test="assert (y[:, :-1] == x[:, 1:]).all()",
        told_by="loss",
        shift=2,
    ),
    "same_as_input": replace(
        CORRECT,
        title="targets are the inputs (y = x)",
        what="The answer stands in the question: the model learns to repeat what it is handed.",
        test="assert (y[:, :-1] == x[:, 1:]).all()",
        told_by="loss",
        shift=0,
    ),
    "no_zero_grad": replace(
        CORRECT,
        title="zero_grad is forgotten",
        what="Every step adds its gradient to all that came before.",
        test="assert all(p.grad is None for p in model.parameters()) when a step begins",
        told_by="loss",
        forgets=False,
    ),
    "lr_times_30": replace(
        CORRECT,
        title="the learning rate is 30 times too high",
        what="Steps overshoot; what is left are the frequencies of the characters.",
        test="print(optimizer.param_groups[0]['lr']) and run 100 steps with a tenth of it",
        told_by="loss",
        lr_times=30,
    ),
    "lr_over_30": replace(
        CORRECT,
        title="the learning rate is 30 times too low",
        what="Everything is right and slow.",
        test="print(optimizer.param_groups[0]['lr']) and run 100 steps with ten times as much",
        told_by="loss",
        lr_times=1 / 30,
    ),
    "no_positions": replace(
        CORRECT,
        title="the position table is never added",
        what="Attention sees which characters came before, and hardly in which order.",
        test="swap two early tokens: the logits at the end must move",
        told_by="nothing",
        positions=False,
    ),
    "std_1": replace(
        CORRECT,
        title="the tables begin with std 1",
        what="PyTorch's own first weights for nn.Embedding, used as the head too: bold bets before "
        "the first step.",
        test="the first loss must be near ln(vocabulary) = 4.17",
        told_by="loss",
        table_std=1.0,
    ),
    "same_batch": replace(
        CORRECT,
        title="the same batch again and again",
        what="The loader is made anew for every step and starts at 0 each time.",
        test="assert not torch.equal(x, x_of_the_step_before)",
        told_by="gap",
        restart_every=1,
    ),
    "loader_restarts": replace(
        CORRECT,
        title="the loader restarts at 0 after every resume",
        what="The run is stopped and resumed every 15 steps, and its loader's position is not in "
        "the checkpoint: it reads the same 15 batches twenty times.",
        test="assert loader.state_dict() is the same before the stop and after",
        told_by="gap",
        restart_every=15,
    ),
    "all_half": replace(
        CORRECT,
        title="model.half(), and no scaler",
        what="Squares of small gradients become 0 in fp16, and AdamW divides by them.",
        test="assert next(model.parameters()).dtype == torch.float32",
        told_by="loss",
        half=True,
    ),
    "decay_too_large": replace(
        CORRECT,
        title="weight decay 30 instead of 0.1",
        what="Every step pulls the weights towards 0 harder than the gradient can hold them.",
        test="print(lr * weight_decay): the share of every weight that a step takes away",
        told_by="loss",
        decay=30.0,
    ),
}


def unmasked(self: Any, x: torch.Tensor) -> torch.Tensor:
    """CausalSelfAttention.forward without `is_causal`."""
    q, k, v = (split_heads(part, self.n_head) for part in self.c_attn(x).chunk(3, dim=-1))
    return self.c_proj(merge_heads(F.scaled_dot_product_attention(q, k, v)))


def built(recipe: Recipe) -> GPT:
    """The model, with what is wrong in it."""
    model = GPT(CONFIG)
    parts = model.transformer
    if recipe.table_std != 0.02:
        for table in (parts.wte, parts.wpe):
            torch.nn.init.normal_(table.weight, std=recipe.table_std)
    if not recipe.positions:
        torch.nn.init.zeros_(parts.wpe.weight)
        parts.wpe.weight.requires_grad_(False)
    if not recipe.masked:
        for block in parts.h:
            block.attn.forward = MethodType(unmasked, block.attn)
    return model.half() if recipe.half else model


class Windows:
    """Pieces of text in an order drawn once, as chapter 15's loader hands them out."""

    def __init__(self, ids: torch.Tensor, seed: int):
        self.ids = ids
        count = (len(ids) - 2) // T  # two more characters, for targets shifted by two
        self.order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))

    def batch(self, first: int, count: int, shift: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`count` windows from the `first` on, and their targets."""
        starts = self.order[first : first + count, None] * T + torch.arange(T)  # (count, T)
        return self.ids[starts], self.ids[starts + shift]


class Ranks:
    """Two ranks in one process; one model is enough where nothing makes them differ."""

    def __init__(self, recipe: Recipe, seed: int):
        self.recipe = recipe
        torch.manual_seed(seed)
        first = built(recipe)
        self.models = [first]
        if recipe.talk != "every step":
            self.models.append(built(recipe))
            self.models[1].load_state_dict(first.state_dict())
        rate = MAX_LR * recipe.lr_times
        self.optimizers = [
            torch.optim.AdamW(param_groups(m, recipe.decay), lr=rate, betas=(0.9, 0.95))
            for m in self.models
        ]

    def gradients(self, windows: Windows, at: int) -> float:
        """Collect the step's gradients on each rank; return the mean loss."""
        recipe, losses = self.recipe, []
        if len(self.models) == 1:  # one model: all pieces of both ranks at once
            count = SHARE if recipe.same_shard else RANKS * SHARE
            x, y = windows.batch(at, count, recipe.shift)
            loss = self.models[0](x, y)[1]
            (loss * recipe.gradient_times).backward()
            return loss.item()
        for piece in range(PIECES):
            for rank, model in enumerate(self.models):
                x, y = windows.batch(at + rank * SHARE + piece * B, B, recipe.shift)
                loss = model(x, y)[1]
                (loss / PIECES).backward()
                losses.append(loss.item())
            if piece == 0 and recipe.talk == "too early":
                self.share()
        return sum(losses) / len(losses)

    def share(self) -> None:
        """What DDP's hooks do: every rank gets the mean."""
        for one, two in zip(*(m.parameters() for m in self.models), strict=True):
            mean = (one.grad + two.grad) / 2
            one.grad.copy_(mean), two.grad.copy_(mean)

    def step(self, lr: float) -> float:
        """Clip and walk on every rank; return rank 0's norm."""
        norms = []
        for model, optimizer in zip(self.models, self.optimizers, strict=True):
            norms.append(clip_grad_norm(model.parameters(), 1.0).item())
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            if self.recipe.forgets:
                optimizer.zero_grad()
        return norms[0]

    def apart(self) -> float:
        """How far the same weight is away from itself on the other rank, at most."""
        if len(self.models) == 1:
            return 0.0
        pairs = zip(*(m.parameters() for m in self.models), strict=True)
        return max((one - two).abs().max().item() for one, two in pairs)

    @torch.no_grad()
    def val(self, windows: Windows) -> float:
        """The mean over the same validation windows every time, shared by the ranks."""
        total = 0.0
        for i in range(VAL_BATCHES):
            model = self.models[i % len(self.models)]
            total += model(*windows.batch(i * VAL_B, VAL_B, self.recipe.shift))[1].item()
        return total / VAL_BATCHES

    def sample(self, tokenizer: CharTokenizer, length: int) -> str:
        """What rank 0 writes after a new line."""
        start = torch.tensor([tokenizer.encode("\n")])
        dice = torch.Generator().manual_seed(0)
        try:
            ids = generate(
                self.models[0], start, length, temperature=0.8, cache=False, generator=dice
            )
        except (ValueError, RuntimeError):  # no bets can be drawn from what is no number
            return ""
        return tokenizer.decode(ids[0, 1:].tolist())


def trained(recipe: Recipe, seed: int = 0) -> dict[str, Any]:
    """Train one run and return its curves."""
    text = load_shakespeare()
    tokenizer = CharTokenizer(text)
    train, val = split(torch.tensor(tokenizer.encode(text)))
    windows = Windows(train, seed)
    looked = Windows(val, 0)
    ranks = Ranks(recipe, seed)
    peak = MAX_LR * recipe.lr_times
    plan = dict(max_lr=peak, min_lr=peak / 10, warmup_steps=WARMUP, max_steps=STEPS)
    rows: dict[str, list] = {"step": [], "loss": [], "norm": [], "lr": []}
    looks: dict[str, list] = {"step": [], "val": [], "apart": []}
    began = time.process_time()
    for step in range(STEPS + 1):
        if step % LOOK_EVERY == 0:
            found = (step, number(ranks.val(looked)), number(ranks.apart()))
            for column, value in zip(looks.values(), found, strict=True):
                column.append(value)
            if step == STEPS or found[1] is None:  # nothing can come after what is no number
                break
        lr = cosine_with_warmup(step, **plan)
        at = step % recipe.restart_every * (SHARE if recipe.same_shard else RANKS * SHARE)
        loss = ranks.gradients(windows, at)
        norm = ranks.step(lr)
        if step < 20 or (step + 1) % LOG_EVERY == 0:
            row = (step + 1, number(loss), number(norm), number(lr))
            for column, value in zip(rows.values(), row, strict=True):
                column.append(value)
    seconds = round(time.process_time() - began, 1)
    sample = ranks.sample(tokenizer, 160)
    return {"seed": seed, "cpu_seconds": seconds, "train": rows, "looks": looks, "sample": sample}


def number(value: float) -> float | None:
    """Four digits that count; what is no number becomes null."""
    return float(f"{value:.4g}") if abs(value) < float("inf") else None


def main() -> None:
    """Train all of them and write the log."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", nargs="*", choices=["correct", *BROKEN], help="print, not write")
    only = parser.parse_args().only
    alone()
    if only is not None:
        for name in only:
            run = trained({"correct": CORRECT, **BROKEN}[name])
            show(name, run)
        return
    with ProcessPoolExecutor(2, initializer=alone) as pool:
        correct = [pool.submit(trained, CORRECT, seed) for seed in SEEDS]
        broken = {name: pool.submit(trained, recipe) for name, recipe in BROKEN.items()}
        for seed, run in zip(SEEDS, correct, strict=True):
            show(f"correct, seed {seed}", run.result())
        for name, run in broken.items():
            show(name, run.result())
    said = ("title", "what", "test", "told_by")
    runs = {"correct": [run.result() for run in correct]}
    runs["broken"] = {
        name: {key: getattr(BROKEN[name], key) for key in said} | run.result()
        for name, run in broken.items()
    }
    seconds = sum(run["cpu_seconds"] for run in (*runs["correct"], *runs["broken"].values()))
    about = {"command": "python benchmarks/broken_runs.py", "threads": 1}
    about |= {"cores": os.cpu_count(), "cpu": cpu()}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    about |= {"cpu_seconds": round(seconds, 1)}
    made = {"steps": STEPS, "warmup_steps": WARMUP, "max_lr": MAX_LR, "ranks": RANKS}
    made |= {"pieces": PIECES, "micro_batch": B, "block_size": T, "vocab_size": 65}
    made |= {"batch_tokens": RANKS * SHARE * T, "n_layer": 2, "n_head": 4, "n_embd": 64}
    made |= {"parameters": sum(p.numel() for p in GPT(CONFIG).parameters())}
    made |= {"weight_decay": 0.1, "max_norm": 1.0, "val_tokens": VAL_BATCHES * VAL_B * T}
    log = {"about": about, "recipe": made, **runs}
    write(log)


def write(log: dict[str, Any]) -> None:
    """Write the log with a line for each run's curves."""
    text = json.dumps(log, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace('"seed":', '\n"seed":').replace('"cpu_seconds":', '\n"cpu_seconds":')
    text = text.replace('"title":', '\n"title":').replace('"train":', '\n"train":')
    OUT.write_text(text.replace('"looks":', '\n"looks":') + "\n", encoding="utf-8")


def alone() -> None:
    """One thread, and the same bits every time."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def show(name: str, run: dict[str, Any]) -> None:
    """A line for whoever watches."""
    train, looks = run["train"], run["looks"]
    print(f"{name:18} {run['cpu_seconds']:5.1f} s  loss {train['loss'][0]} {train['loss'][-1]}  "
          f"norm {train['norm'][0]} {train['norm'][-1]}  val {looks['val'][-1]}  "
          f"apart {looks['apart'][-1]}  {run['sample'][:60]!r}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
