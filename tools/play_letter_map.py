"""Train chapter 05's bigram of two numbers a character, and keep its map step by step.

`python tools/play_letter_map.py` writes book/play/data/letter-map.json; `--check` trains again and
compares. About ten seconds of one core.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from gpt2_tutorial.loop import fit
from gpt2_tutorial.optim import AdamW
from gpt2_tutorial.text import CharTokenizer, get_batch, load_shakespeare, split

FILE = Path(__file__).resolve().parents[1] / "book" / "play" / "data" / "letter-map.json"
SHOWN = "\n abcdefghijklmnopqrstuvwxyz.,;:!?-'"  # those of the chapter's picture
FRAMES = [0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 600]


class Squeezed(nn.Module):
    """The chapter's model: each character is a point, and a linear layer makes its bets.

    >>> Squeezed(65, 2)(torch.zeros(1, 4, dtype=torch.long))[0].shape
    torch.Size([1, 4, 65])
    """

    def __init__(self, V: int, r: int):
        super().__init__()
        self.embed = nn.Embedding(V, r)
        self.out = nn.Linear(r, V)

    def forward(
        self, idx: torch.Tensor, targets: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Bet on the next character, and with targets say the loss."""
        logits = self.out(self.embed(idx))  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def trained(until: int = 600) -> dict:
    """Train as the chapter does, and give each frame's step, loss and points, rounded.

    >>> frame = trained(until=0)["frames"][0]
    >>> frame["step"], len(frame["points"]) == 2 * len(SHOWN)
    (0, True)
    """
    text = load_shakespeare()
    tokenizer = CharTokenizer(text)
    train, val = split(torch.tensor(tokenizer.encode(text)))
    rows = tokenizer.encode(SHOWN)
    torch.manual_seed(0)
    model, dice = Squeezed(tokenizer.vocab_size, 2), torch.Generator().manual_seed(0)
    frames, done = [], 0

    def keep() -> None:
        with torch.no_grad():
            loss = model(val[None, :-1], val[None, 1:])[1].item()
        points = [round(number, 2) for number in model.embed.weight[rows].flatten().tolist()]
        frames.append({"step": done, "loss": round(loss, 3), "points": points})

    keep()
    for rate, end in [(0.03, 400), (0.003, 600)]:
        optimizer = AdamW(model.parameters(), lr=rate)
        for step in [step for step in FRAMES if done < step <= min(end, until)]:
            fit(model, lambda: get_batch(train, 32, 64, dice), optimizer, step - done)
            done = step
            keep()
    return {"characters": SHOWN, "frames": frames}


def far_apart(ours: dict, theirs: dict) -> list[str]:
    """Say which frames differ by more than rounding and another processor explain.

    >>> far_apart(trained(until=0), trained(until=0))
    []
    """
    if [f["step"] for f in ours["frames"]] != [f["step"] for f in theirs["frames"]]:
        return ["other steps"]
    wrong = []
    for one, other in zip(ours["frames"], theirs["frames"], strict=True):
        gaps = [abs(a - b) for a, b in zip(one["points"], other["points"], strict=True)]
        # Two decimals are kept. Rounding of sums may grow over 600 steps, to a few hundredths.
        if max(gaps) > 0.05 or abs(one["loss"] - other["loss"]) > 0.005:
            wrong.append(f"step {one['step']}: {max(gaps):.2f} apart")
    return wrong


def main(words: list[str]) -> int:
    """Write the map, or say that the one there is old."""
    made = trained()
    if "--check" in words:
        wrong = far_apart(made, json.loads(FILE.read_text(encoding="utf-8")))
        print("\n".join(f"✗ {line}" for line in wrong) or f"✓ {FILE.name} is what training gives")
        return bool(wrong)
    FILE.parent.mkdir(exist_ok=True)
    text = json.dumps(made, separators=(",", ":"))
    FILE.write_text(text + "\n", encoding="utf-8")
    print(f"{FILE.name}: {len(text):,} bytes, at the end {made['frames'][-1]['loss']} nats")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
