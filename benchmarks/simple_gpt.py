"""Train a preset of chapter 12 on tiny Shakespeare, score it, and keep the log and the model.

    .venv/bin/python benchmarks/simple_gpt.py --preset laptop --model results/models/simple-gpt
    .venv/bin/python benchmarks/simple_gpt.py --preset colab --minutes 20 \
        --out results/runs/simple_colab_cpu.json

The first needs about 20 CPU-minutes (10 minutes on two cores). `--minutes` shortens a preset that
needs more: a few steps are timed, and the schedule gets as many steps as fit. The best checkpoint
is chosen on fixed windows of the validation text; then it is scored on the whole of it by the
scoreboard's rule. Writes the log, and with `--model` the folder that `gpt2 sample` reads.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from ablation_ladder import cpu

from gpt2_tutorial import simple
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.ledger import committed
from gpt2_tutorial.pretrained import load_gpt2, save_gpt2
from gpt2_tutorial.scoreboard import Scoreboard
from gpt2_tutorial.text import CharTokenizer, load_shakespeare

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "results" / "runs"
TRIED = 4  # steps that are timed before a preset is shortened
POINTS = 6  # of a shortened preset's curve, besides the first and the last


def shortened(preset: simple.Preset, ids: torch.Tensor, minutes: float) -> simple.Preset:
    """Give the preset as many steps as fit into `minutes` of CPU time, evaluations included."""
    trial = dataclasses.replace(preset, steps=TRIED, warmup_steps=0, eval_every=TRIED)
    started = time.process_time()
    rows = simple.fit(ids, ids, 65, trial, progress=False).history
    one = rows[1]["cpu_seconds"] - rows[0]["cpu_seconds"]  # the first evaluation and the steps
    evaluation = time.process_time() - started - one  # the second one
    step = (one - evaluation) / TRIED
    seconds = 60 * minutes - (POINTS + 2) * evaluation
    steps = min(preset.steps, max(POINTS, int(seconds / step)))
    return dataclasses.replace(
        preset, steps=steps, warmup_steps=min(100, steps // 10), eval_every=steps // POINTS
    )


def about(started: float) -> dict:
    """Where and how this log was made."""
    command = "python benchmarks/simple_gpt.py " + " ".join(sys.argv[1:])
    return {
        "command": command.strip(),
        "machine": f"{cpu()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpt2_tutorial": version("gpt2-tutorial"),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def show(history: list[dict]) -> None:
    """One line for each evaluation."""
    row = history[-1]
    print(
        f"step {row['step']:6,}  {row['cpu_seconds']:7.1f} CPU-s  "
        f"train {row['train']:.4f}  val {row['val']:.4f}",
        flush=True,
    )


def rounded(row: dict) -> dict:
    """Four digits for losses, one for seconds."""
    digits = {"seconds": 1, "cpu_seconds": 1, "train": 4, "val": 4}
    return {
        key: round(value, digits[key]) if key in digits else value for key, value in row.items()
    }


def log_of(name: str, preset: simple.Preset, out: simple.TrainedModel, board: Scoreboard) -> dict:
    """Everything that is known of a run, but where it was made."""
    model, block_size = out.model, preset.block_size
    tokens = out.history[-1]["tokens"]
    return {
        "preset": name,
        "settings": dataclasses.asdict(preset),
        "seed": 0,
        "device": out.device,
        "precision": out.precision,
        "optimizer": out.optimizer,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": tokens,
        "training_characters": board.first,
        "stopped": out.stopped,
        "best": rounded(out.best),
        "curve": [rounded(row) for row in out.history],
        "val": round(board.score(model.cpu(), block_size), 4),
    }


def keep(model: GPT, folder: Path, log: dict, board: Scoreboard) -> None:
    """Write the folder: weights in half precision, characters, card; and score what lies there."""
    save_gpt2(model, folder, dtype=torch.float16)
    characters = CharTokenizer(load_shakespeare()).characters
    text = json.dumps(characters, ensure_ascii=False) + "\n"
    (folder / "characters.json").write_text(text, encoding="utf-8")
    log["val_half"] = round(board.score(load_gpt2(folder), model.config.block_size), 4)
    size = (folder / "model.safetensors").stat().st_size
    (folder / "README.md").write_text(card(log, size), encoding="utf-8")


def card(log: dict, size: int) -> str:
    """The model card, from the log alone."""
    s, a, best = log["settings"], log["about"], log["best"]
    epochs = log["tokens"] / log["training_characters"]
    counted = committed("01")["values"]
    return f"""# simple-gpt

A small GPT-2 that writes in the manner of Shakespeare's plays, letter by letter. It belongs to
the book “GPT-2 from scratch”, chapter 12, and was trained there with the `{log["preset"]}` preset.

## What it is

GPT-2's architecture with {log["parameters"]:,} parameters: {s["n_layer"]} blocks,
{s["n_head"]} heads, {s["n_embd"]} numbers for each token, a context of {s["block_size"]} tokens.
A token is one of the 65 characters of `characters.json`. `model.safetensors` holds
the weights in half precision ({size:,} bytes).

```python
from gpt2_tutorial import assets
from gpt2_tutorial.pretrained import load_gpt2

model = load_gpt2(assets.model_folder("simple-gpt"))
```

## Data

Tiny Shakespeare, 1,115,394 characters of plays by William Shakespeare (in the public domain), as
Andrej Karpathy put them together. The first nine tenths were learned from, the last tenth judged.

## How it was made

    {a["command"]}

| | |
|---|---|
| steps | {log["curve"][-1]["step"]:,} of {s["batch_size"]} × {s["block_size"]} characters |
| characters read | {log["tokens"]:,}: the training text {epochs:.1f} times |
| optimizer | {log["optimizer"]}; weight decay {s["weight_decay"]:g}, dropout {s["dropout"]:g} |
| learning rate | {s["max_lr"]:g}, falling to {s["min_lr"]:g} |
| seed | {log["seed"]} |
| time | {log["curve"][-1]["cpu_seconds"]:,.0f} CPU-seconds, evaluations included |
| machine | {a["threads"]} thread of {a["machine"]}; {log["precision"]}; torch {a["torch"]} |

The weights are those of step {best["step"]:,}, the best of {len(log["curve"])} evaluations on fixed
windows of the validation text. The curve is in `results/runs/simple_{log["preset"]}.json`.

## Numbers

Mean loss in nats for each character of the whole validation text (111,540 characters), by the
book's scoring rule:

| | loss |
|---|---|
| this model, as trained | {log["val"]:.4f} |
| this model, from the file in half precision | {log["val_half"]:.4f} |
| count table, four letters of context | {counted["01.val_order_4"]["value"]:.3f} |
| Kneser–Ney counts, five letters of context | {counted["01.kneser_ney"]["value"]:.3f} |

The settings were tuned on the last tenth of the training text. The validation text chose the
checkpoint, so the loss is a little kinder than one on a text that nobody looked at.

## Limits

It knows spelling, names and the layout of a play, and no meaning: its sentences do not hold
together. It knows 65 characters and no others. What it writes may repeat words of the plays,
with the views of their time. It is for learning how such models are made, and for nothing else.

## Licence

MIT, like the book. The text it learned from is in the public domain.
"""


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--preset", choices=simple.PRESETS, default="laptop")
    parser.add_argument("--minutes", type=float, help="CPU-minutes; shortens a longer preset")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="the log (results/runs/simple_PRESET.json)")
    parser.add_argument("--model", type=Path, help="a folder for the model and its card")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    started, board, preset = time.process_time(), Scoreboard("00"), simple.PRESETS[args.preset]
    train_ids, val_ids = board.ids[: board.first], board.ids[board.first :]
    if args.minutes is not None:
        preset = shortened(preset, train_ids, args.minutes)
    out = simple.fit(train_ids, val_ids, 65, preset, progress=False, on_eval=show)
    log = {"about": about(started)} | log_of(args.preset, preset, out, board)
    if args.model is not None:
        keep(out.model, args.model, log, board)
    file = args.out or RUNS / f"simple_{args.preset}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"whole validation text: {log['val']:.4f}; the log is in {file.name}")


if __name__ == "__main__":
    main()
