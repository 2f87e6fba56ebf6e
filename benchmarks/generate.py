"""Writing with a model of GPT-2's size: ours against transformers, both with their caches.

    .venv/bin/python benchmarks/generate.py

Greedy, one row, a prompt of 32 tokens and 128 new ones, the same random weights (124M). Checks
first that the tokens are the same. Then times all in turn, A B C D A B C D, in CPU-seconds of one
thread, and reports medians, and the ratio of each pair with its smallest and largest. Says what
int8 costs in loss: on random weights as a gap between logits, and on real text where
results/models/simple-gpt is present. Writes results/runs/generate.json. Takes about four minutes.
Compiling, where there is a C++ compiler, happens before the clock starts.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_tutorial.generate import generate
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.int8 import by_columns, quantize_int8

ROOT = Path(__file__).resolve().parents[1]
PAIRS = int(os.environ.get("PAIRS", "5"))
PROMPT, NEW = 32, 128
BASE = "transformers fp32"
TURNED = ("attn.c_attn.weight", "c_proj.weight", "mlp.c_fc.weight")


def twins(config: GPTConfig, seed: int = 0) -> tuple[GPT, GPT2LMHeadModel]:
    """The same random weights in our model and in transformers'."""
    torch.manual_seed(seed)
    ours = GPT(config).eval()
    theirs = GPT2LMHeadModel(
        GPT2Config(
            n_positions=config.block_size,
            vocab_size=config.vocab_size,
            n_embd=config.n_embd,
            n_layer=config.n_layer,
            n_head=config.n_head,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
        )
    ).eval()
    state = ours.state_dict()
    theirs.load_state_dict({k: v.t() if k.endswith(TURNED) else v for k, v in state.items()})
    return ours, theirs


def writers(
    config: GPTConfig, prompt: torch.Tensor, new: int, compiled: bool = False
) -> dict[str, Callable]:
    """Every way to write, each a function that returns the ids."""
    ours, theirs = twins(config)

    def other() -> torch.Tensor:
        mask = torch.ones_like(prompt)
        return theirs.generate(
            prompt, attention_mask=mask, max_new_tokens=new, do_sample=False, use_cache=True
        )

    models = {
        "ours fp32": ours,
        "ours fp32 by columns": by_columns(ours),
        "ours bf16": copy.deepcopy(ours).bfloat16(),
        "ours int8": quantize_int8(ours),
    }
    if compiled:
        models["ours int8 compiled"] = quantize_int8(ours, compiled=True)
    rows: dict[str, Callable] = {BASE: other}
    for name, model in models.items():
        rows[name] = lambda model=model: generate(model, prompt, new, temperature=0)
    return rows


def check(rows: dict[str, Callable]) -> dict[str, dict]:
    """Refuse to time anything if the float32 tokens differ; say how far the others agree."""
    truth, found = rows[BASE](), {}
    for name, write in rows.items():
        ids = write()
        same = (ids == truth)[0].tolist()
        found[name] = {
            "same_tokens": all(same),
            "first_difference": None if all(same) else same.index(False) - PROMPT,
        }
        if "fp32" in name and not all(same):
            raise RuntimeError(f"{name} writes other tokens than {BASE}")
    return found


def seconds(action: Callable[[], object]) -> float:
    """CPU-seconds of this process."""
    start = time.process_time()
    action()
    return time.process_time() - start


def timing(rows: dict[str, Callable], pairs: int, new: int) -> dict[str, dict]:
    """Time all in turn; a speed above 1 means more tokens a second than transformers."""
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(pairs):
        for name, write in rows.items():
            times[name].append(seconds(write))
    report = {}
    for name, mine in times.items():
        speeds = [other / own for other, own in zip(times[BASE], mine, strict=True)]
        report[name] = {
            "seconds": round(statistics.median(mine), 3),
            "tokens_per_second": round(new / statistics.median(mine), 2),
            "speed": round(statistics.median(speeds), 3),
            "speed_min_max": [round(min(speeds), 3), round(max(speeds), 3)],
            "pairs": pairs,
        }
        print(name, report[name], flush=True)
    return report


@torch.no_grad()
def logit_gap(config: GPTConfig) -> dict[str, float]:
    """What int8 and bf16 change in the logits of the random model."""
    model, _ = twins(config)
    idx = torch.randint(config.vocab_size, (4, 64), generator=torch.Generator().manual_seed(1))
    want, loss = model(idx[:, :-1], idx[:, 1:])
    report = {}
    for name, other in (
        ("int8", quantize_int8(model)),
        ("bf16", copy.deepcopy(model).bfloat16()),
    ):
        got = other(idx[:, :-1])[0].float()
        report[f"{name}_relative_gap"] = round(((got - want).norm() / want.norm()).item(), 5)
        change = F.cross_entropy(got.flatten(0, 1), idx[:, 1:].flatten()) - loss
        report[f"{name}_loss_change"] = round(change.item(), 5)
    return report


@torch.no_grad()
def text_loss() -> dict[str, float] | None:
    """What int8 costs the small trained model on all of the validation text, where it is there."""
    folder = ROOT / "results" / "models" / "simple-gpt"
    if not (folder / "model.safetensors").exists():
        return None
    from gpt2_tutorial.pretrained import load_gpt2
    from gpt2_tutorial.text import load_shakespeare

    letters = json.loads((folder / "characters.json").read_text(encoding="utf-8"))
    number = {letter: i for i, letter in enumerate(letters)}
    ids = torch.tensor([number[letter] for letter in load_shakespeare()])
    ids, model = ids[int(0.9 * len(ids)) :], load_gpt2(folder)
    T = model.config.block_size
    windows = len(ids[:-1]) // T
    x, y = (part[: windows * T].view(windows, T) for part in (ids[:-1], ids[1:]))
    found = {"characters": windows * T}
    for name, reader in (("float32", model.eval()), ("int8", quantize_int8(model))):
        sums = [
            reader(a, b)[1].item() * a.numel()
            for a, b in zip(x.split(16), y.split(16), strict=True)
        ]
        found[name] = round(sum(sums) / (windows * T), 5)
    found["change"] = round(found["int8"] - found["float32"], 5)
    return found


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Measure everything and write the report."""
    torch.set_num_threads(1)
    load, config = os.getloadavg()[0], GPTConfig()
    g = torch.Generator().manual_seed(0)
    prompt = torch.randint(config.vocab_size, (1, PROMPT), generator=g)
    about = {
        "command": "python benchmarks/generate.py",
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores, one thread used",
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers")},
        "what": f"GPT-2 124M, random weights, batch 1, {PROMPT} + {NEW} tokens, greedy",
        "unit": "CPU-seconds; speed = theirs / ours, median of the pairs",
    }
    rows = writers(config, prompt, NEW, compiled=shutil.which("c++") is not None)
    same = check(rows)
    times = timing(rows, PAIRS, NEW)
    report = {"about": about, "writers": {name: same[name] | times[name] for name in rows}}
    report["random_weights"] = logit_gap(config)
    report["small_trained_model_nats_per_character"] = text_loss()
    print(report["random_weights"], report["small_trained_model_nats_per_character"])
    about |= {"load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1)}
    out = ROOT / "results" / "runs" / "generate.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
