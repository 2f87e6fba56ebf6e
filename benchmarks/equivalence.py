"""Two ways to the same numbers: how far apart are they really?

    .venv/bin/python benchmarks/equivalence.py

Needs transformers, a C++ compiler (for `torch.compile`) and 8 GB of memory; a few minutes on two
cores, longer when they have other work. Writes results/runs/equivalence.json. Every row gives the
largest difference of any loss and of any weight (or gradient). A row beyond its tolerance is
refused, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
import torch.multiprocessing as mp
from ablation_ladder import cpu
from safetensors.torch import load_file
from torch.nn.parallel import DistributedDataParallel

from gpt2_tutorial.distributed import HandmadeDDP, mean_over_ranks, setup, teardown
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.ladder import TOLERANCES
from gpt2_tutorial.optim import clip_grad_norm, param_groups
from gpt2_tutorial.precision import choose_precision
from gpt2_tutorial.step import LossModel, chunked_loss, train_step
from gpt2_tutorial.text import CharTokenizer, load_shakespeare

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "runs" / "equivalence.json"
CONFIG = GPTConfig(block_size=32, vocab_size=65, n_layer=2, n_head=4, n_embd=32)
STEPS, ROWS, RATE = 10, 16, 1e-3
DTYPES = {"float64": torch.float64, "float32": torch.float32}
# AdamW divides by the gradient's size: where that is all rounding, a step may differ as a whole.
AFTER_STEPS = {"float64": 1e-9, "float32": STEPS * RATE}


@dataclass(frozen=True)
class Way:
    """One way to take the same ten steps."""

    processes: int = 1
    pieces: int = 1  # in each process
    share: str = "torch"  # whose DDP, where there are several processes
    compile: bool = False


WAYS = [Way(1, 4), Way(2, 1), Way(2, 4), Way(4, 1), Way(4, 4)]


def batches(steps: int = STEPS) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The same rows of real text for every way."""
    text = load_shakespeare()
    ids = torch.tensor(CharTokenizer(text).encode(text))
    starts = torch.randint(len(ids) - 33, (steps, ROWS), generator=torch.Generator().manual_seed(0))
    rows = ids[starts[..., None] + torch.arange(33)]  # (steps, B, T + 1)
    return [(x[:, :-1].contiguous(), x[:, 1:].contiguous()) for x in rows]


def trained(way: Way, dtype: torch.dtype, rank: int = 0) -> tuple[list[float], torch.Tensor]:
    """Take the steps in one way; return the losses and all weights behind one another."""
    torch.manual_seed(0)
    model = GPT(CONFIG).to(dtype)
    losses = LossModel(model)
    wrapped = torch.compile(losses) if way.compile else losses
    if way.processes > 1:
        wrapped = (HandmadeDDP if way.share == "by hand" else DistributedDataParallel)(wrapped)
    optimizer = torch.optim.AdamW(param_groups(model, 0.1), lr=RATE, betas=(0.9, 0.95))
    mine, seen = slice(rank * ROWS // way.processes, (rank + 1) * ROWS // way.processes), []
    for x, y in batches():
        pieces = list(zip(x[mine].chunk(way.pieces), y[mine].chunk(way.pieces), strict=True))
        step = by_hand if way.share == "by hand" else by_the_book
        seen.append(mean_over_ranks(step(wrapped, pieces, optimizer)).item())
    return seen, torch.cat([p.detach().flatten() for p in model.parameters()])


def by_the_book(model, pieces, optimizer) -> torch.Tensor:
    """The step of chapter 14."""
    fp32 = choose_precision("cpu", "fp32")  # computes in what the weights are
    return train_step(model, pieces, len(pieces), optimizer, precision=fp32).loss


def by_hand(model, pieces, optimizer) -> torch.Tensor:
    """The same with the DDP of chapter 16, which has to be told when to wait."""
    optimizer.zero_grad()
    total = 0
    for number, (x, y) in enumerate(pieces, start=1):
        with nullcontext() if number == len(pieces) else model.no_sync():
            loss = model(x, y) / len(pieces)
            loss.backward()
        total = total + loss.detach()
    model.finish()
    clip_grad_norm(model.parameters(), 1.0)
    optimizer.step()
    return total


def worker(rank: int, way: Way, dtype: torch.dtype, port: int, out: str) -> None:
    """One of several processes; the first writes down what came out."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(way.processes)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = setup("cpu", timeout_s=120)
    found = trained(way, dtype, rank)
    if ranks.is_first:
        torch.save(found, out)
    teardown()


def taken(way: Way, dtype: torch.dtype) -> tuple[list[float], torch.Tensor]:
    """`trained`, in as many processes as the way asks for."""
    if way.processes == 1:
        return trained(way, dtype)
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        out = f"{folder}/found.pt"
        mp.spawn(worker, (way, dtype, port, out), way.processes)
        return torch.load(out)


def largest(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, in float64."""
    return (one.double() - other.double()).abs().max().item()


def row(name: str, against: str, dtype: str, what: str, found, other, tol: float) -> dict:
    """Compare losses and weights (or gradients) of two ways; refuse what is too far."""
    losses = (torch.tensor(way[0], dtype=torch.float64) for way in (found, other))
    gaps = {"losses": largest(*losses)}
    gaps[what] = largest(found[1], other[1])
    if not max(gaps.values()) <= tol:  # nan is refused as well
        raise SystemExit(f"{name!r} in {dtype} is {gaps} away from {against!r}, beyond {tol}")
    gaps = {key: float(f"{gap:.0e}") for key, gap in gaps.items()}  # the rest is noise
    said = {"name": name, "against": against, "dtype": dtype, "compared": what} | gaps
    print(json.dumps(said), flush=True)
    return said | {"tol": tol}


def processes_and_pieces(dtype: str) -> list[dict]:
    """1, 2 and 4 processes with 1 and 4 pieces, then the handmade DDP, against one and one."""
    tol, rows = AFTER_STEPS[dtype], []
    alone = taken(Way(), DTYPES[dtype])
    for way in WAYS:
        name = f"{way.processes} process{'es' * (way.processes > 1)} × {way.pieces} "
        name += f"piece{'s' * (way.pieces > 1)}"
        found = taken(way, DTYPES[dtype])
        rows.append(row(name, "1 process × 1 piece", dtype, "weights", found, alone, tol))
        if way == Way(2, 4):
            of_two = found
    by_hand = taken(Way(2, 4, "by hand"), DTYPES[dtype])
    rows.append(row("our DDP", "torch's DDP", dtype, "weights", by_hand, of_two, tol))
    compiled = taken(Way(compile=True), DTYPES[dtype])
    return [*rows, row("compiled", "as written", dtype, "weights", compiled, alone, tol)]


def slopes(model: torch.nn.Module, loss: Callable) -> tuple[list[float], torch.Tensor]:
    """One loss and all its gradients."""
    model.zero_grad()
    said = loss()
    said.backward()
    return [said.item()], torch.cat([p.grad.flatten() for p in model.parameters()])


def in_chunks(dtype: str) -> dict:
    """The loss in chunks of 100 tokens against all logits at once, with GPT-2's vocabulary."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=128, n_layer=2, n_head=4, n_embd=64)).to(DTYPES[dtype])
    ids = torch.randint(50257, (2, 4, 128), generator=torch.Generator().manual_seed(0))
    found = slopes(model, lambda: chunked_loss(model, *ids, chunk=100))
    other = slopes(model, lambda: model(*ids)[1])
    tol = TOLERANCES[DTYPES[dtype]]
    return row("loss in chunks", "all logits at once", dtype, "gradients", found, other, tol)


def against_transformers(dtype: str) -> dict:
    """GPT-2's 124M with random weights against transformers' with the same ones."""
    import transformers

    torch.manual_seed(0)
    ours = GPT(GPTConfig()).to(DTYPES[dtype]).eval()
    ids = torch.randint(50257, (2, 1, 64), generator=torch.Generator().manual_seed(0))
    found = slopes(ours, lambda: ours(*ids)[1])
    names = [name for name, _ in ours.named_parameters()]
    config = transformers.GPT2Config(attn_implementation="eager")
    theirs = transformers.GPT2LMHeadModel(config).to(DTYPES[dtype]).eval()
    theirs.load_state_dict(transposed(ours.state_dict()))
    logits = theirs(ids[0]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[1].flatten())
    loss.backward()
    gradients = transposed({name: p.grad for name, p in theirs.named_parameters()})
    other = [loss.item()], torch.cat([gradients[name].flatten() for name in names])
    tol = TOLERANCES[DTYPES[dtype]]
    return row("our GPT-2, 124M", "transformers'", dtype, "gradients", found, other, tol)


def transposed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Turn the four matrices that OpenAI stored the other way round."""
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return {name: w.T if name.endswith(turned) else w for name, w in state.items()}


SCRIPT_SETTINGS = "--n-layer 2 --n-embd 32 --n-head 2 --block-size 32 --batch-tokens 1024"
SCRIPT_SETTINGS += " --dropout 0.1 --max-steps 60 --warmup-steps 5 --eval-every 20"
SCRIPT_SETTINGS += " --eval-batches 2 --save-every 10"


def launched(folder: Path, kill_at: int | None) -> list[dict]:
    """Run the real script in two processes; kill -9 all of it at a step, or let it finish."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = [str(ROOT / "launch" / "train_gpt2.py"), "--preset", "cpu", "--device", "cpu"]
    command = [*torchrun, *script, "--out", str(folder), *SCRIPT_SETTINGS.split()]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    went = subprocess.Popen(
        command, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, **quiet
    )
    while kill_at and went.poll() is None and reached(folder) < kill_at:
        time.sleep(0.01)
    if kill_at:
        kill_all(went.pid)
    said = went.communicate(timeout=240)[1]
    if not kill_at and went.returncode:
        raise SystemExit(f"the script ended with {went.returncode}:\n{said}")
    return read_rows(folder)


def kill_all(parent: int) -> None:
    """Kill torchrun and the workers, which are in sessions of their own."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    for pid in [parent, *(pid for pid, of in pairs if of == parent)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def read_rows(folder: Path) -> list[dict]:
    """The rows of metrics so far, but for a last line that is still being written."""
    file = folder / "metrics.jsonl"
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines if line]


def reached(folder: Path) -> int:
    return max((row["step"] for row in read_rows(folder)), default=0)


def killed_and_not() -> dict:
    """The script killed twice and started again, against the script left alone."""
    with tempfile.TemporaryDirectory() as place:
        whole, broken = Path(place) / "whole", Path(place) / "broken"
        for folder, kills in ((whole, (None,)), (broken, (15, 37, None))):
            for kill_at in kills:
                rows = launched(folder, kill_at)
                if kill_at and not kill_at <= reached(folder) < 60:
                    raise SystemExit(f"the run was not killed at step {kill_at}")
            losses = {row["step"]: row["loss"] for row in rows if "loss" in row}
            weights = load_file(folder / "model" / "model.safetensors")
            flat = torch.cat([weights[name].flatten() for name in sorted(weights)])
            found = [losses[step] for step in range(1, 61)], flat
            if folder == whole:
                left_alone = found
    return row("killed twice", "left alone", "float32", "weights", found, left_alone, 0.0)


def main() -> None:
    """Measure every row and write the log."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", choices=["float32", "float64", "script"])
    args = parser.parse_args()
    began, rows = time.perf_counter(), []
    torch.set_num_threads(1)
    for dtype in DTYPES if args.only in (None, *DTYPES) else ():
        if args.only in (None, dtype):
            rows += [*processes_and_pieces(dtype), in_chunks(dtype), against_transformers(dtype)]
    if args.only in (None, "script"):
        rows.append(killed_and_not())
    about = {"command": "python benchmarks/equivalence.py", "date": date.today().isoformat()}
    about |= {"cpu": cpu(), "cores": os.cpu_count(), "threads": 1}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    about |= {"seconds": math.ceil(time.perf_counter() - began)}
    recipe = {"steps": STEPS, "rows": ROWS, "rate": RATE, "block_size": CONFIG.block_size}
    recipe |= {"parameters": sum(p.numel() for p in GPT(CONFIG).parameters())}
    recipe |= {"kills": 2, "script_steps": 60}
    log = {"about": about, "recipe": recipe, "rows": rows}
    if args.only is None:
        args.out.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
