"""The ladder of chapter 14: how fast is one step of GPT-2 124M, one change at a time?

    python benchmarks/gpu_ladder.py            # one GPU, under ten minutes

Writes results/runs/gpu_ladder.json: for every rung tokens/s (median of STEPS steps, device
synchronised), MFU, peak memory, and the losses of its first steps beside those of the first rung,
which trained on the same tokens from the same weights. Every rung has all the changes above it.
The last rung is measured first, so that a run that is cut has the fast ones; the log keeps the
ladder's order. `gpu_day.py` runs it as one of its parts, with fewer steps.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from gpu_job import ROOT, Job, about_here
from gpu_text import shards
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.optim import AdamW, param_groups
from gpt2_tutorial.precision import choose_precision
from gpt2_tutorial.runs.hardware import peak_of
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.step import (
    ChunkedLoss,
    flops_per_token,
    hidden_states,
    train_step,
)

PARITY_STEPS = 5
SHAPE = dict(layers=12, heads=12, width=768, block=1024, vocab=50257)
TINY = dict(layers=1, heads=2, width=16, block=8, vocab=300)
NOT_RUN = "not run: no time was left"


@dataclass(frozen=True)
class Rung:
    """Everything that a rung may differ in; the first has nothing."""

    name: str = "float32, as written"
    tf32: bool = False
    bf16: bool = False
    compile: bool = False
    flash: bool = False
    padded: bool = False
    fused: bool = False
    chunk: int = 10**9  # all logits at once
    micro_batch: int = 16


def ladder(largest: int) -> list[Rung]:
    """Order the rungs as build-nanogpt's video does, then what the book adds."""
    changes = [
        ("TF32", dict(tf32=True)),
        ("bf16 autocast", dict(bf16=True)),
        ("torch.compile", dict(compile=True)),
        ("flash attention", dict(flash=True)),
        ("vocabulary padded", dict(padded=True)),
        ("AdamW in one kernel", dict(fused=True)),
        ("loss in chunks of 4,096", dict(chunk=4096)),
        (f"{largest} sequences at a time", dict(micro_batch=largest)),
    ]
    rungs = [Rung()]
    for name, change in changes:
        rungs.append(replace(rungs[-1], name=name, **change))
    return rungs


class Losses(torch.nn.Module):
    """`step.chunked_loss` with the chunk and the padding that a rung asks for."""

    def __init__(self, model: GPT, rung: Rung):
        super().__init__()
        self.model, self.rung = model, rung

    def forward(self, idx: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        kind, table = idx.device.type, self.model.lm_head.weight
        x = hidden_states(self.model, idx).flatten(0, 1)
        if self.rung.chunk >= 10**9 and not self.rung.padded:
            return self.model_loss(x, targets)
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        padded = -(-len(table) // 128) * 128 if self.rung.padded else len(table)
        return ChunkedLoss.apply(x, table, targets.flatten(), self.rung.chunk, low, padded)

    def model_loss(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.model.lm_head(x), targets.flatten())


def batches(data: Path, rung: Rung, shape: dict, device: torch.device) -> Iterator[tuple]:
    """Micro-batches of real tokens for ever, the same for every rung of the same size."""
    loader = ShardLoader(data, "train", rung.micro_batch, shape["block"])
    while True:
        x, y = (part % shape["vocab"] for part in loader.next_batch())
        yield x.to(device), y.to(device)


def config_of(shape: dict) -> GPTConfig:
    names = ("block", "vocab", "layers", "heads", "width")
    return GPTConfig(*(shape[name] for name in names))


def step_of(rung: Rung, shape: dict, device: torch.device) -> Callable:
    """One step in the rung's way, from fresh weights: a pair of ids → a loss."""
    cuda = device.type == "cuda"
    torch.set_float32_matmul_precision("high" if rung.tf32 else "highest")
    torch.manual_seed(0)
    losses = Losses(GPT(config_of(shape)).to(device), rung)
    groups, settings = param_groups(losses.model, 0.1), dict(lr=3e-4, betas=(0.9, 0.95))
    kind = torch.optim.AdamW if rung.fused else AdamW  # ours until then: one kernel an operation
    optimizer = kind(groups, **settings, **({"fused": True} if rung.fused else {}))
    forward = torch.compile(losses) if rung.compile and cuda else losses
    precision = choose_precision(device, "bf16" if rung.bf16 else "fp32")
    kernels = [SDPBackend.FLASH_ATTENTION if rung.flash and rung.bf16 else SDPBackend.MATH]

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with sdpa_kernel(kernels) if cuda else contextlib.nullcontext():
            return train_step(forward, [(x, y)], 1, optimizer, precision=precision).loss

    return step


def measured(
    rung: Rung,
    shape: dict,
    data: Path,
    device: torch.device,
    steps: int,
    enough: Callable[[], bool],
) -> dict:
    """Train a few steps in one rung's way and say how fast they were."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    step, seen, times = step_of(rung, shape, device), [], []
    endless = batches(data, rung, shape, device)
    for number in range(PARITY_STEPS + steps):
        batch = next(endless)
        start = _now(device)
        loss = step(*batch)
        times.append(_now(device) - start)
        if number < PARITY_STEPS:
            seen.append(round(loss.item(), 4))
        elif number > PARITY_STEPS and enough():
            break
    each = statistics.median(times[PARITY_STEPS:])
    speed = rung.micro_batch * shape["block"] / each
    row = asdict(rung) | {"tokens_per_s": round(speed), "step_ms": round(1000 * each, 2)}
    row |= {"steps": len(times) - PARITY_STEPS, "first_step_s": round(times[0], 1)}
    row |= {"losses": seen, "fastest_ms": round(1000 * min(times[PARITY_STEPS:]), 2)}
    peak = peak_of(torch.cuda.get_device_name()) if cuda else None
    flops = flops_per_token(config_of(shape))
    row["mfu"] = round(speed * flops / peak, 4) if peak else None
    row["memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2) if cuda else None
    return row


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def tried(rung: Rung, least: int, run: Callable[[Rung], dict]) -> dict:
    """Run a rung; with less where memory or the compiler ends; or say why it failed."""
    notes = []
    while True:
        torch.compiler.reset()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            return run(rung) | ({"notes": notes} if notes else {})
        except torch.OutOfMemoryError:
            if rung.micro_batch <= least:
                return asdict(rung) | {"failed": "out of memory"}
            notes.append(f"{rung.micro_batch} sequences at a time do not fit into its memory")
            half = rung.micro_batch // 2
            rung = replace(rung, name=f"{half} sequences at a time", micro_batch=half)
        except Exception as error:
            said = (str(error).strip().splitlines() or [""])[0]
            said = f"{type(error).__name__}: {said}"[:300]
            if not rung.compile:
                return asdict(rung) | {"failed": said}
            notes.append(f"without torch.compile, which failed: {said}")
            rung = replace(rung, compile=False)


def climb(job: Job, shape: dict, largest: int, steps: int, seconds: float) -> None:
    """Measure the last rung first; what there was no time for stays in its place and says so."""
    device, rungs = torch.device(job.device), ladder(largest)
    data, _ = shards(job)
    rows = [asdict(rung) | {"failed": NOT_RUN} for rung in rungs]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    head = {"command": "python benchmarks/gpu_ladder.py", "device": name}
    head |= {"python": platform.python_version(), "torch": torch.__version__}
    job.keep(**head | {"shape": shape, "rungs": rows})
    for place in reversed(range(len(rungs))):
        if job.left() < 5:
            break
        began = time.monotonic()

        def enough(began: float = began) -> bool:
            return time.monotonic() - began > seconds or job.left() < 5

        def run(rung: Rung, enough: Callable[[], bool] = enough) -> dict:
            return measured(rung, shape, data, device, steps, enough)

        rows[place] = tried(rungs[place], Rung().micro_batch, run)
        job.keep(rungs=rows)
        print(json.dumps(rows[place]), flush=True)


def measure(job: Job) -> None:
    """The ladder as a part of the GPU day."""
    if job.tiny:
        climb(job, TINY, largest=32, steps=2, seconds=5)
    else:
        climb(job, SHAPE, largest=64, steps=10, seconds=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    for name, default in SHAPE.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--largest", type=int, default=64, help="sequences in the last rung")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=45, help="at most, for one rung")
    runs = ROOT / "results" / "runs"
    parser.add_argument("--out", type=Path, default=runs, help="folder for gpu_ladder.json")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = {name: getattr(args, name) for name in SHAPE}
    with tempfile.TemporaryDirectory() as scratch:
        forever = time.monotonic() + 1e6
        name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
        about = about_here("python benchmarks/gpu_ladder.py", name, shape != SHAPE)
        job = Job("ladder", args.out, Path(scratch), device, about["tiny"], forever, about)
        climb(job, shape, args.largest, args.steps, args.seconds)
        job.finish()


if __name__ == "__main__":
    main()
