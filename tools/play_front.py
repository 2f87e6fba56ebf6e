"""Ask chapter 12's model for the bets of the front door: `python tools/play_front.py`; `--check`.

With them a visitor sees what the model thinks before anything is loaded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from gpt2_tutorial.assets import model_folder
from gpt2_tutorial.pretrained import load_gpt2
from gpt2_tutorial.text import CharTokenizer, load_shakespeare

FILE = Path(__file__).resolve().parents[1] / "book" / "play" / "data" / "front.json"
STARTS = ("To be, or not t", "ROMEO:\n", "The meaning of life is ")
SHOWN = 6
TOLERANCE = 0.002  # the weights are stored in 16 bits, and sums round as the processor does


def computed() -> list[dict]:
    """Give every beginning, with its most likely next letters and what the model bets on them."""
    tokenizer = CharTokenizer(load_shakespeare())
    model = load_gpt2(model_folder("simple-gpt")).float().eval()
    starts = []
    for text in STARTS:
        with torch.no_grad():
            bets = model(torch.tensor([tokenizer.encode(text)]))[0][0, -1].softmax(-1)
        best = bets.topk(SHOWN)
        letters = tokenizer.decode(best.indices)
        pairs = zip(letters, best.values.tolist(), strict=True)
        starts.append({"text": text, "bets": [[letter, round(p, 4)] for letter, p in pairs]})
    return starts


def far(old: list[dict], new: list[dict]) -> bool:
    """Tell whether a letter, or any bet by more than the tolerance, is another.

    >>> far([{"text": "a", "bets": [["b", 0.5]]}], [{"text": "a", "bets": [["b", 0.51]]}])
    True
    """
    if [start["text"] for start in old] != [start["text"] for start in new]:
        return True
    before, now = ([bet for start in starts for bet in start["bets"]] for starts in (old, new))
    pairs = zip(before, now, strict=True)
    return any(a[0] != b[0] or abs(a[1] - b[1]) > TOLERANCE for a, b in pairs)


def main(words: list[str]) -> int:
    """Write the file, or say that it is old."""
    new = computed()
    if "--check" in words:
        if old := far(json.loads(FILE.read_text(encoding="utf-8"))["starts"], new):
            print(f"✗ {FILE.name} is old: run python tools/play_front.py")
        return int(old)
    rows = ",\n ".join(json.dumps(start, ensure_ascii=False) for start in new)
    FILE.write_text(f'{{"starts": [\n {rows}\n]}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
