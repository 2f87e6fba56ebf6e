"""Compute the losses of chapter 01's toy: `python tools/play_orders.py`; `--check` compares.

The package's own table is fitted on the training text and scored on both texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from gpt2_tutorial.ngram import NGram
from gpt2_tutorial.text import CharTokenizer, load_shakespeare, split

FILE = Path(__file__).resolve().parents[1] / "book" / "play" / "data" / "orders.json"
ORDERS = range(8)
ALPHAS = [0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0]
TOLERANCE = 0.002  # what the chapter allows its own measurements of these losses


def computed(orders: range = ORDERS, alphas: list[float] = ALPHAS) -> dict[str, list]:
    """Give the mean nats of every table on both texts, one row for each order."""
    tokenizer = CharTokenizer(load_shakespeare())
    train, val = split(torch.tensor(tokenizer.encode(load_shakespeare())))
    found: dict[str, list] = {"alphas": alphas, "cells": [], "train": [], "val": []}
    for order in orders:
        table = NGram(order).fit(train, vocab_size=tokenizer.vocab_size)
        found["cells"].append(int((table.counts > 0).sum()))
        for name, ids in (("train", train), ("val", val)):
            row = []
            for table.alpha in alphas:  # the counts stay, only the smoothing changes
                row.append(round(table.loss(ids), 3))
            found[name].append(row)
    return found


def main(words: list[str]) -> int:
    """Write the file, or say by how much it is off."""
    found = computed()
    if "--check" not in words:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(found) + "\n", encoding="utf-8")
        print(f"book/play/data/orders.json: written, {FILE.stat().st_size:,} bytes")
        return 0
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    off = max(
        float((torch.tensor(kept[name]) - torch.tensor(found[name])).abs().max())
        for name in ("train", "val")
    )
    same = kept["alphas"] == found["alphas"] and kept["cells"] == found["cells"]
    if same and off <= TOLERANCE:
        return 0
    print(f"✗ orders.json is off by {off:.3f} nats: run python tools/play_orders.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
