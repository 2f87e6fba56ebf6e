"""One training step of `simple` against transformers' GPT-2: same weights, same tokens, in turn.

    .venv/bin/python benchmarks/train_step.py

Needs transformers. Both sides take AdamW steps on the same batches, A B A B, on one thread, in
CPU-seconds of this process. Ours is `simple.train_step` as `simple.fit` calls it. Theirs is
GPT2LMHeadModel with torch.optim.AdamW and clipping as its users write it, in float32 and under
bfloat16 autocast. Writes results/runs/train_step.json. About three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from ablation_ladder import cpu
from shapes import SHAPES
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_tutorial import simple
from gpt2_tutorial.bpe import GPT2Tokenizer
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.optim import param_groups
from gpt2_tutorial.precision import choose_precision
from gpt2_tutorial.text import CharTokenizer, get_batch, load_shakespeare

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "train_step.json"
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
STEPS = {"6 layers, 384 wide": 2, "GPT-2 124M": 1}  # in each of a pair's two halves


def their_model(preset: simple.Preset, model: GPT) -> GPT2LMHeadModel:
    """GPT2LMHeadModel with our weights; what nobody sets keeps their default, but no dropout."""
    sizes = dict(n_positions=preset.block_size, n_embd=preset.n_embd, n_layer=preset.n_layer)
    sizes |= dict(n_head=preset.n_head, vocab_size=model.config.vocab_size)
    sizes |= dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    theirs = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    weights = {
        name: weight.t() if name.endswith(TRANSPOSED) else weight
        for name, weight in model.state_dict().items()
    }
    theirs.load_state_dict(weights)
    return theirs.train()


def their_step(preset: simple.Preset, model: GPT, precision: torch.dtype) -> Callable:
    """One step as a user of transformers writes it."""
    theirs = their_model(preset, model)
    groups = param_groups(theirs, preset.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=preset.max_lr, betas=(0.9, preset.beta2))

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            loss = theirs(input_ids=x, labels=y, shift_labels=y.contiguous()).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), preset.max_norm)
        optimizer.step()
        return loss.detach()

    return step


def our_step(preset: simple.Preset, model: GPT) -> Callable:
    """`simple.train_step` with all that `simple.train` chooses on this machine."""
    optimizer = simple.make_optimizer(model, preset)
    chosen = choose_precision("cpu", config=model.config)
    extras = dict(max_norm=preset.max_norm, precision=chosen.dtype)
    return lambda x, y: simple.train_step(model, optimizer, x, y, **extras)


def seconds(step: Callable, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple:
    """CPU-seconds of one step, and the last loss."""
    start = time.process_time()
    for x, y in batches:
        loss = step(x, y)
    return (time.process_time() - start) / len(batches), loss.item()


def compare(name: str, pairs: int) -> dict:
    """Time ours against both of theirs, in turn, and set the losses side by side."""
    (preset, vocab_size), steps = SHAPES[name], STEPS[name]
    torch.manual_seed(0)
    model = GPT(preset.config(vocab_size))
    sides = {
        "theirs_float32": their_step(preset, model, torch.float32),
        "theirs_bfloat16": their_step(preset, model, torch.bfloat16),
    }
    sides["ours"] = our_step(preset, model)  # last: it trains the model that they copied
    shakespeare = load_shakespeare()[:300_000]
    tokenizer = CharTokenizer(shakespeare) if vocab_size < 100 else GPT2Tokenizer()
    ids = torch.tensor(tokenizer.encode(shakespeare))
    dice = torch.Generator().manual_seed(2)
    rows = []
    for _ in range(pairs + 1):  # the first pair warms up and is not counted
        cut = [get_batch(ids, preset.batch_size, preset.block_size, dice) for _ in range(steps)]
        rows.append({side: seconds(step, cut) for side, step in sides.items()})
        print(name, {side: f"{s:.3f} s, loss {loss:.4f}" for side, (s, loss) in rows[-1].items()})
    tokens = preset.batch_size * preset.block_size
    out = {"tokens_a_step": tokens, "parameters": sum(p.numel() for p in model.parameters())}
    out["losses"] = {side: [round(row[side][1], 4) for row in rows] for side in sides}
    rows = rows[1:]
    for side in sides:
        out[side] = {"seconds": round(statistics.median(row[side][0] for row in rows), 4)}
        out[side]["tokens_per_second"] = round(tokens / out[side]["seconds"])
    for side in ("theirs_float32", "theirs_bfloat16"):
        ratios = [row[side][0] / row["ours"][0] for row in rows]
        out[f"times_{side}"] = {
            "ratio": round(statistics.median(ratios), 2),
            "min_max": [round(min(ratios), 2), round(max(ratios), 2)],
            "pairs": len(ratios),
        }
    return out


def main() -> None:
    """Compare at both shapes and write the log."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--shape", choices=STEPS, nargs="*", default=list(STEPS))
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    shapes = {name: compare(name, args.pairs) for name in args.shape}
    about = {"command": "python benchmarks/train_step.py", "threads": 1}
    about |= {"cores": os.cpu_count(), "cpu": cpu(), "load": round(os.getloadavg()[0], 1)}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    about |= {"transformers": version("transformers")}
    about |= {"cpu_seconds": round(time.process_time(), 1)}
    log = {"about": about, "shapes": shapes}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
