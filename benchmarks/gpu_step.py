"""Part of the GPU day: a training step of GPT-2 124M, ours against transformers', in turn.

Both compute in bf16 with flash or fused attention, compiled, with AdamW in one kernel, TF32 and
clipping, from the same weights on the same batches. transformers runs in two ways, and the faster
one counts: compiled block by block, where it needs no mask and takes flash attention; and compiled
as a whole, as its documentation says, where it builds a mask that keeps flash attention away.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from gpu_job import Job
from gpu_text import shards
from train_step import their_model

from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.optim import param_groups
from gpt2_tutorial.precision import choose_precision
from gpt2_tutorial.runs.hardware import peak_of
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.simple import Preset
from gpt2_tutorial.step import LossModel, flops_per_token, train_step
from gpt2_tutorial.train import fast_kernels

VOCABULARY, TINY_VOCABULARY = 50257, 300
FULL = Preset(block_size=1024, n_layer=12, n_head=12, n_embd=768, batch_size=32, max_lr=3e-4)
TINY = Preset(block_size=16, n_layer=2, n_head=2, n_embd=32, batch_size=4, max_lr=3e-4)
BETAS, MAX_NORM = (0.9, 0.95), 1.0
FIRST, PAIRS, IN_HALF = 5, 6, 4  # steps side by side; pairs; steps in each half of a pair
Batch = tuple[torch.Tensor, torch.Tensor]
Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass
class Side:
    """One way to take a step, and what was measured of it."""

    way: str
    step: Step
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of one step, a number for each half
    memory: float | None = None  # GB

    def report(self, tokens: int, flops: int, peak: float | None) -> dict:
        found = {"way": self.way, "losses": self.losses, "memory_gb": self.memory}
        if self.seconds:
            speed = tokens / statistics.median(self.seconds)
            found |= {"tokens_per_s": round(speed)}
            found |= {"mfu": round(speed * flops / peak, 4) if peak else None}
        return found


def our_step(model: GPT, preset: Preset, compiled: bool) -> Step:
    """What `train.fit` does with one piece, without its log and its checkpoints."""
    device = next(model.parameters()).device
    precision = choose_precision(device, "bf16")
    groups = param_groups(model, preset.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=preset.max_lr, betas=BETAS, fused=True)
    losses = torch.compile(LossModel(model)) if compiled else LossModel(model)
    how = dict(precision=precision, max_norm=MAX_NORM)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with fast_kernels(device, precision):
            return train_step(losses, [(x, y)], 1, optimizer, **how).loss

    return step


def their_step(model: GPT, preset: Preset, compiled: str) -> Step:
    """The same by transformers; `compiled` is "whole", "blocks" or "no"."""
    device = next(model.parameters()).device
    theirs = their_model(preset, model).to(device)
    theirs.loss_type = (
        "ForCausalLM"  # the one it takes; unnamed, it warns, and compiling breaks off
    )
    groups = param_groups(theirs, preset.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=preset.max_lr, betas=BETAS, fused=True)
    forward = torch.compile(theirs) if compiled == "whole" else theirs
    if compiled == "blocks":
        for block in theirs.transformer.h:
            block.compile()

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            loss = forward(input_ids=x, labels=y, shift_labels=y, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), MAX_NORM)
        optimizer.step()
        return loss.detach()

    return step


def fresh_model(preset: Preset, device: torch.device, vocabulary: int = VOCABULARY) -> GPT:
    """The same weights at every call."""
    torch.manual_seed(0)
    return GPT(preset.config(vocabulary)).to(device)


def now(device: torch.device) -> float:
    """The time at which all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def batches(job: Job, preset: Preset, device: torch.device, vocabulary: int) -> Iterator[Batch]:
    """Real tokens, the same ones at every call, on the device already."""
    folder, _ = shards(job)
    loader = ShardLoader(folder, "train", preset.batch_size, preset.block_size)
    while True:
        x, y = (part % vocabulary for part in loader.next_batch())
        yield x.to(device), y.to(device)


def begun(way: str, make: Callable[[], Step], some: list[Batch], device: torch.device) -> Side:
    """The first steps: they compile, show the losses, and say how much memory is needed."""
    cuda, before = device.type == "cuda", 0
    if cuda:
        before = torch.cuda.memory_allocated()  # the other side's, while this one works
    side = Side(way, make())
    for number, (x, y) in enumerate(some):
        if cuda and number == 1:  # the first one may measure kernels while it compiles
            torch.cuda.reset_peak_memory_stats()
        side.losses.append(round(side.step(x, y).item(), 4))
    if cuda:
        side.memory = round((torch.cuda.max_memory_allocated() - before) / 1e9, 2)
    return side


def timed(side: Side, some: list[Batch], device: torch.device) -> float:
    """Seconds of one step."""
    start = now(device)
    for x, y in some:
        side.step(x, y)
    side.seconds.append((now(device) - start) / len(some))
    return side.seconds[-1]


def first_that_works(ways: list[tuple[str, Callable[[], Step]]], some, device, notes) -> Side:
    """Compile; where that is impossible, say so and go on without."""
    for number, (way, make) in enumerate(ways):
        try:
            return begun(way, make, some, device)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if number + 1 == len(ways):
                raise
            first = (str(error).strip().splitlines() or [""])[0]
            notes.append(f"{way}: {type(error).__name__}: {first}"[:300])
            torch.compiler.reset()
    raise RuntimeError("there is no way to take a step")


def compare(job: Job, preset: Preset, compiles: bool) -> None:
    """Both sides take their first steps, then they are timed in turn."""
    device, vocabulary = torch.device(job.device), TINY_VOCABULARY if job.tiny else VOCABULARY
    endless = batches(job, preset, device, vocabulary)
    some = [next(endless) for _ in range(FIRST)]
    tokens = preset.batch_size * preset.block_size
    peak = peak_of(torch.cuda.get_device_name()) if device.type == "cuda" else None
    known = (tokens, flops_per_token(preset.config(vocabulary)), peak)
    notes: list[str] = job.log.get("notes", [])
    job.keep(sequences=preset.batch_size, notes=notes)

    def copy() -> GPT:
        return fresh_model(preset, device, vocabulary)

    ways = [("not compiled", lambda: our_step(copy(), preset, False))]
    if compiles:
        ways.insert(0, ("compiled, flash attention", lambda: our_step(copy(), preset, True)))
    ours = first_that_works(ways, some, device, notes)
    job.keep(ours=timed_alone(ours, some, device).report(*known), notes=notes)
    names = ("blocks", "compiled block by block"), ("whole", "compiled as a whole")
    tried: list[dict] = []
    for how, name in names if compiles else [("no", "not compiled")]:
        if tried and job.left() < 20:
            notes.append(f"{name}: no time was left to try it")
            continue
        ways = [(name, lambda how=how: their_step(copy(), preset, how))]
        if compiles:
            ways.append(("not compiled", lambda: their_step(copy(), preset, "no")))
        try:
            theirs = timed_alone(first_that_works(ways, some, device, notes), some, device)
        except torch.OutOfMemoryError:
            if not tried:
                raise  # with fewer sequences, then
            notes.append(f"{name}: it does not fit into this GPU's memory")
            continue
        tried.append({})
        for ratio in in_turn(ours, theirs, endless, device, lambda: job.left() < 4):
            both = {"ours": ours.report(*known), "theirs": theirs.report(*known)}
            tried[-1] = both | {"ratio": ratio}
            fastest = min(tried, key=lambda one: one["ratio"]["median"])
            job.keep(**fastest, their_ways=[one["theirs"] for one in tried], notes=notes)


def timed_alone(side: Side, some: list[Batch], device: torch.device) -> Side:
    """A first speed, whatever comes."""
    for _ in range(2):
        timed(side, some[:IN_HALF], device)
    return side


def in_turn(
    ours: Side, theirs: Side, endless: Iterator[Batch], device: torch.device, late
) -> Iterator[dict]:
    """Time both on the same batches, again and again; after each pair, the ratio so far."""
    ratios: list[float] = []
    for side in (ours, theirs):
        side.seconds.clear()
    while len(ratios) < PAIRS and not (ratios and late()):
        some = [next(endless) for _ in range(IN_HALF)]
        mine = timed(ours, some, device)
        ratios.append(timed(theirs, some, device) / mine)
        low, high = round(min(ratios), 3), round(max(ratios), 3)
        median = round(statistics.median(ratios), 3)
        yield {"median": median, "min_max": [low, high], "pairs": len(ratios)}


def measure(job: Job) -> None:
    """Compare with as many sequences as fit, at most 32."""
    torch.set_float32_matmul_precision("high")  # TF32 for what is not bf16
    preset, compiles = (TINY, False) if job.tiny else (FULL, True)
    while True:
        try:
            return compare(job, preset, compiles)
        except torch.OutOfMemoryError:
            if preset.batch_size == 1:
                raise
            said = f"{preset.batch_size} sequences do not fit into this GPU's memory"
        gc.collect()
        torch.cuda.empty_cache()
        torch.compiler.reset()
        job.log = {"notes": [*job.log.get("notes", []), said]}
        preset = replace(preset, batch_size=preset.batch_size // 2)
