"""Part of the GPU day: chapter 12's `colab` preset, and when it is better than counting.

Kneser–Ney's tables of chapter 01 are fitted and scored on the same text by the book's rule.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from gpu_job import Job
from gpu_text import one_text

from gpt2_tutorial import scoreboard, simple
from gpt2_tutorial.ngram import KneserNey
from gpt2_tutorial.text import CharTokenizer, split

CHARACTERS = 1_115_394  # as many as tiny Shakespeare has
TINY = dict(block_size=16, n_layer=2, n_head=2, n_embd=32, batch_size=8, steps=12, eval_every=4)
TINY |= dict(eval_windows=8, warmup_steps=2)
ORDER, WINDOW = 5, 64  # of the tables; chapter 01's


def kneser_ney(ids: torch.Tensor, vocab_size: int) -> float:
    """Nats for each character of the whole validation text; the tables learn from the rest."""
    learn, _ = split(ids)
    tables = KneserNey(ORDER).fit(learn, vocab_size=vocab_size)
    first = len(learn)  # the character before the text is the first input
    return scoreboard.score(tables, ids[first - 1 : -1], ids[first:], WINDOW)


def rounded(row: dict) -> dict:
    """A row of the curve as the log shows it."""
    exact = ("step", "tokens")
    return {key: row[key] if key in exact else round(row[key], 4)
            for key in (*exact, "seconds", "train", "val")}  # fmt: skip


def seconds_to(goal: float, curve: list[dict]) -> float | None:
    """When the validation loss was first below it."""
    return next((round(row["seconds"], 1) for row in curve if row["val"] < goal), None)


def measure(job: Job) -> None:
    """Count, then train, and look at the clock at every evaluation."""
    what, text = one_text(20_000 if job.tiny else CHARACTERS)
    letters = CharTokenizer(text)
    ids = torch.tensor(letters.encode(text))
    preset = simple.PRESETS["colab"]
    if job.tiny:
        preset = replace(preset, **TINY)
    about = {"what": what, "characters": len(text), "letters": letters.vocab_size}
    job.keep(preset="colab", text=about)
    counted = kneser_ney(ids, letters.vocab_size)
    job.keep(kneser_ney=round(counted, 4))
    ended = []

    def look(history: list[dict]) -> None:
        curve = [rounded(row) for row in history]
        best = min(curve, key=lambda row: row["val"])
        known = {"seconds_to_kneser_ney": seconds_to(counted, curve)}
        known |= {"best": {key: best[key] for key in ("step", "seconds", "val", "train")}}
        job.keep(**known, curve=curve, stopped="it was still training")
        pace = curve[-1]["seconds"] - curve[-2]["seconds"] if len(curve) > 1 else 0
        if job.left() < 2 + 1.5 * pace and curve[-1]["step"] < preset.steps:
            ended.append(f"at step {curve[-1]['step']} of {preset.steps}, for want of time")
            raise KeyboardInterrupt  # `fit` takes that as a person who has seen enough

    trained = simple.fit(
        *split(ids), letters.vocab_size, preset,
        device=job.device, progress=False, on_eval=look,
    )  # fmt: skip
    parameters = sum(p.numel() for p in trained.model.parameters())
    stopped = ended[0] if ended else trained.stopped
    job.keep(precision=trained.precision, parameters=parameters, stopped=stopped)
