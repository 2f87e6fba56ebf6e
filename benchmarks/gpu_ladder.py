"""The ladder of chapter 14: how fast is one step of GPT-2 124M, one change at a time?

    python benchmarks/gpu_ladder.py            # one GPU, under ten minutes

Writes results/runs/gpu_ladder.json: for every rung tokens/s (median of STEPS steps, device
synchronised), MFU, peak memory, and the losses of its first steps beside those of the first rung,
which trained on the same tokens from the same weights. Every rung has all the changes above it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_tutorial.bpe import GPT2Tokenizer
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.optim import AdamW, param_groups
from gpt2_tutorial.step import (
    ChunkedLoss,
    choose_precision,
    flops_per_token,
    hidden_states,
    train_step,
)
from gpt2_tutorial.text import load_shakespeare

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "gpu_ladder.json"
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "4090": 165e12, "T4": 65e12}
PARITY_STEPS = 5


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


def batches(args: argparse.Namespace, device: torch.device):
    """Yield micro-batches of real tokens for ever, the same for every rung."""
    ids = torch.tensor(GPT2Tokenizer().encode(load_shakespeare())) % args.vocab
    at = 0

    def take(rows: int):
        nonlocal at
        size = rows * args.block
        at = 0 if at + size + 1 > len(ids) else at
        cut = ids[at : at + size + 1].to(device)
        at += size
        return cut[:-1].view(rows, -1), cut[1:].view(rows, -1)

    return take


def measured(rung: Rung, args: argparse.Namespace, device: torch.device) -> dict:
    """Train a few steps in one rung's way and say how fast they were."""
    cuda = device.type == "cuda"
    torch.set_float32_matmul_precision("high" if rung.tf32 else "highest")
    torch.manual_seed(0)
    config = GPTConfig(args.block, args.vocab, args.layers, args.heads, args.width)
    losses = Losses(GPT(config).to(device), rung)
    groups, settings = param_groups(losses.model, 0.1), dict(lr=3e-4, betas=(0.9, 0.95))
    kind = torch.optim.AdamW if rung.fused else AdamW  # ours until then: one kernel an operation
    optimizer = kind(groups, **settings, **({"fused": True} if rung.fused else {}))
    forward = torch.compile(losses) if rung.compile and cuda else losses
    precision = choose_precision(device, "bf16" if rung.bf16 else "fp32")
    slow = contextlib.nullcontext() if not cuda else sdpa_kernel(SDPBackend.MATH)
    fast = contextlib.nullcontext() if not cuda else sdpa_kernel(SDPBackend.FLASH_ATTENTION)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    take, seen, times = batches(args, device), [], []
    began = time.perf_counter()
    with fast if rung.flash and rung.bf16 else slow:
        for step in range(PARITY_STEPS + args.steps):
            start = _now(device)
            pieces = [take(rung.micro_batch)]
            report = train_step(forward, pieces, 1, optimizer, precision=precision)
            times.append(_now(device) - start)
            if step < PARITY_STEPS:
                seen.append(round(report.loss.item(), 4))
            if time.perf_counter() - began > args.seconds and step > PARITY_STEPS + 1:
                break
    each = statistics.median(times[PARITY_STEPS:])
    speed = rung.micro_batch * args.block / each
    row = asdict(rung) | {"tokens_per_s": round(speed), "step_ms": round(1000 * each, 2)}
    row |= {"steps": len(times) - PARITY_STEPS, "first_step_s": round(times[0], 1)}
    row |= {"losses": seen, "fastest_ms": round(1000 * min(times[PARITY_STEPS:]), 2)}
    row["mfu"] = round(speed * flops_per_token(config) / args.peak, 4) if args.peak else None
    row["memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2) if cuda else None
    return row


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in dict(layers=12, heads=12, width=768, block=1024, vocab=50257).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--largest", type=int, default=64, help="sequences in the last rung")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=45, help="at most, for one rung")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    args.peak = next((peak for word, peak in PEAKS.items() if word in name), None)
    log = {"command": "python benchmarks/gpu_ladder.py", "device": name, "rungs": [], "shares": {}}
    log |= {"python": platform.python_version(), "torch": torch.__version__}
    log["shape"] = {k: getattr(args, k) for k in ("layers", "heads", "width", "block", "vocab")}
    for rung in ladder(args.largest):
        torch.compiler.reset()
        try:
            log["rungs"].append(measured(rung, args, device))
        except torch.cuda.OutOfMemoryError:
            log["rungs"].append(asdict(rung) | {"failed": "out of memory"})
        print(json.dumps(log["rungs"][-1]), flush=True)
        if "H100" in name and log["rungs"][-1].get("mfu"):
            log["shares"]["1xh100"] = log["rungs"][-1]["mfu"]
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
