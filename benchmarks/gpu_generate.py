"""Part of the GPU day: GPT-2 124M writes 128 tokens, ours against transformers', in turn.

Greedy, in float32, from the same random weights, so that both must write the same tokens.
transformers has the cache of fixed size that it can compile; where that fails, its usual one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from generate import twins
from gpu_job import Job
from gpu_step import now

from gpt2_tutorial.generate import generate
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.int8 import by_columns, quantize_int8

PROMPT, NEW, PAIRS = 32, 128, 5
TINY = GPTConfig(block_size=64, vocab_size=300, n_layer=2, n_head=2, n_embd=32)
Writer = Callable[[], torch.Tensor]


def our_writer(model: GPT, prompt: torch.Tensor, new: int) -> Writer:
    return lambda: generate(model, prompt, new, temperature=0)


def their_writer(theirs, prompt: torch.Tensor, new: int, static: bool) -> Writer:
    """Their greedy loop; with a static cache on a GPU it compiles its step by itself."""
    how = dict(max_new_tokens=new, do_sample=False, use_cache=True)
    if static:
        how["cache_implementation"] = "static"
    mask = torch.ones_like(prompt)
    return lambda: theirs.generate(prompt, attention_mask=mask, **how)


def warmed(theirs, prompt: torch.Tensor, new: int, notes: list[str]) -> tuple[str, Writer]:
    """Their faster way, after the calls in which it compiles and records."""
    cuda = prompt.device.type == "cuda"
    try:
        write = their_writer(theirs, prompt, new, static=True)
        for _ in range(3 if cuda else 1):
            write()
        return "static cache, compiled" if cuda else "static cache", write
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0]
        notes.append(f"static cache: {type(error).__name__}: {said}"[:300])
    write = their_writer(theirs, prompt, new, static=False)
    write()
    return "its usual cache, not compiled", write


def timed(write: Writer, device: torch.device) -> float:
    start = now(device)
    write()
    return now(device) - start


def models(job: Job, config: GPTConfig, new: int) -> tuple:
    """Ours, theirs, and a prompt, on the device."""
    device = torch.device(job.device)
    ours, theirs = (model.to(device) for model in twins(config))
    dice = torch.Generator().manual_seed(0)
    prompt = torch.randint(config.vocab_size, (1, PROMPT), generator=dice).to(device)
    return ours, theirs, prompt


def measure(job: Job) -> None:
    """Write the same tokens with both, then time them in turn."""
    config, new = (TINY, 16) if job.tiny else (GPTConfig(), NEW)
    device, notes = torch.device(job.device), []
    ours, theirs, prompt = models(job, config, new)
    our_way, write = "cache, by columns", our_writer(by_columns(ours), prompt, new)
    mine = write()
    job.keep(prompt=PROMPT, new_tokens=new, dtype="float32")
    job.keep(ours={"tokens_per_s": round(new / timed(write, device), 1), "way": our_way})
    their_way, other = warmed(theirs, prompt, new, notes)
    job.keep(same_tokens=bool((other() == mine).all()), notes=notes)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(PAIRS):
        if job.left() < 4 and seconds["ours"]:
            break
        seconds["ours"].append(timed(write, device))
        seconds["theirs"].append(timed(other, device))
        ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
        ratio = {"median": round(statistics.median(ratios), 3), "pairs": len(ratios)}
        ratio["min_max"] = [round(min(ratios), 3), round(max(ratios), 3)]
        speeds = {side: round(new / statistics.median(s), 1) for side, s in seconds.items()}
        job.keep(ours={"tokens_per_s": speeds["ours"], "way": our_way})
        job.keep(theirs={"tokens_per_s": speeds["theirs"], "way": their_way}, ratio=ratio)
    if not job.tiny and job.left() > 15:
        job.keep(also={"int8, compiled": int8_speed(ours, prompt, new, device, notes)})


def int8_speed(ours: GPT, prompt: torch.Tensor, new: int, device, notes) -> float | None:
    """The one way that generate.py compiles; other tokens, since it rounds the weights."""
    try:
        write = our_writer(quantize_int8(ours, compiled=True), prompt, new)
        write()
        return round(new / timed(write, device), 1)
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0]
        notes.append(f"int8, compiled: {type(error).__name__}: {said}"[:300])
        return None
