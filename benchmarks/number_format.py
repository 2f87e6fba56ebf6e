"""Which number format does a CPU train fastest in, and does the race of chapter 12 know it?

    .venv/bin/python benchmarks/number_format.py

For each shape: whole training steps in float32 and in bfloat16, in turn, on one thread, in
CPU-seconds of this process; beside them what `precision.race` says of one block, and what
`choose_precision` chooses. `lost` is how much longer a step takes in the chosen format than
in the better one: 0.03 is the most that it may be. Writes results/runs/number_format.json. A minute
where bfloat16 is in hardware; ten where it is only imitated: there a step of 124M takes three.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from datetime import date
from pathlib import Path

import torch
from ablation_ladder import cpu
from shapes import SHAPES

from gpt2_tutorial import simple
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.precision import choose_precision, race

OUT = Path(__file__).resolve().parents[1] / "results" / "runs" / "number_format.json"
FORMATS = (torch.float32, torch.bfloat16)
CLEAR = 3  # one format takes so many times as long as the other: no second pair is needed


def seconds(model: GPT, preset: simple.Preset, precision: torch.dtype) -> float:
    """CPU-seconds of one training step on random ids, whose time is that of any others."""
    optimizer = simple.make_optimizer(model, preset)
    ids = torch.randint(model.config.vocab_size, (preset.batch_size, preset.block_size + 1))
    start = time.process_time()
    extras = dict(max_norm=preset.max_norm, precision=precision)
    simple.train_step(model, optimizer, ids[:, :-1], ids[:, 1:], **extras)
    return time.process_time() - start


def compare(preset: simple.Preset, vocab_size: int, pairs: int) -> dict:
    """Time both formats in turn, and hold the race's word against it."""
    torch.manual_seed(0)
    model = GPT(preset.config(vocab_size))
    start = time.perf_counter()
    raced = race(model.config)
    row = {"race_ms": {str(p)[6:]: round(1000 * s, 2) for p, s in raced.items()}}
    row["race_took_s"] = round(time.perf_counter() - start, 3)
    row["race_gain"] = round(raced[torch.float32] / raced[torch.bfloat16], 3)
    chosen = choose_precision("cpu", config=model.config)
    row |= {"chosen": str(chosen.dtype)[6:], "because": chosen.reason}
    taken = {precision: [seconds(model, preset, precision)] for precision in FORMATS}
    (quick,), (slow,) = sorted(taken.values())
    if slow < CLEAR * quick:
        for times in taken.values():
            times.clear()  # that was the warm-up
        for _ in range(pairs):
            for precision, times in taken.items():
                times.append(seconds(model, preset, precision))
    gains = [a / b for a, b in zip(*taken.values(), strict=True)]
    row |= {"step_s": {str(p)[6:]: round(statistics.median(t), 4) for p, t in taken.items()}}
    row |= {"step_gain": round(statistics.median(gains), 3), "pairs": len(gains)}
    row["step_gain_min_max"] = [round(min(gains), 3), round(max(gains), 3)]
    gain = row["step_gain"] if chosen.dtype == torch.float32 else 1 / row["step_gain"]
    row["lost"] = round(max(gain - 1, 0.0), 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--shape", choices=SHAPES, nargs="*", default=list(SHAPES))
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    about = {"command": "python benchmarks/number_format.py", "threads": 1, "cpu": cpu()}
    about |= {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    about |= {"python": platform.python_version(), "torch": torch.__version__}
    able = getattr(torch.cpu, "get_capabilities", dict)()
    names = [name for name, there in able.items() if there is True and name[:3] in ("avx", "amx")]
    about |= {"instructions": sorted(names), "date": str(date.today())}
    log = {"about": about, "shapes": {}}
    for name in args.shape:
        log["shapes"][name] = compare(*SHAPES[name], args.pairs)
        print(name, json.dumps(log["shapes"][name]), flush=True)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
