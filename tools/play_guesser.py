"""Deal the passages of the guessing game: `python tools/play_guesser.py`; `--check` compares.

For each letter to guess, the price that three guessers of the book paid for it: the bigram table
and Kneser–Ney of chapter 01, and the model of chapter 12. All of it is text they never saw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from gpt2_tutorial.assets import model_folder
from gpt2_tutorial.ngram import KneserNey, NGram
from gpt2_tutorial.pretrained import load_gpt2
from gpt2_tutorial.text import CharTokenizer, load_shakespeare, split

FILE = Path(__file__).resolve().parents[1] / "book" / "play" / "data" / "guesser.json"
PASSAGES, BEFORE, LETTERS = 24, 90, 20
TOLERANCE = 0.002  # what the scoreboard allows the model of chapter 12


def places(val: str) -> list[int]:
    """Find, evenly over the text, places inside a line of speech, before the start of a word."""
    found = []
    for near in range(2_000, len(val) - 2_000, (len(val) - 4_000) // PASSAGES):
        at = near
        while val[at - 1] != " " or "\n" in val[at - 12 : at + LETTERS] or ":" in val[at - 40 : at]:
            at += 1
        found.append(at)
    return found[:PASSAGES]


def computed() -> dict[str, list]:
    """Give every passage: what stands before, what is to be guessed, and three rows of nats."""
    text = load_shakespeare()
    tokenizer = CharTokenizer(text)
    train, val = split(torch.tensor(tokenizer.encode(text)))
    size = tokenizer.vocab_size
    model = load_gpt2(model_folder("simple-gpt"))
    guessers = {
        "bigram": NGram(1).fit(train, vocab_size=size),
        "kneser_ney": KneserNey(5).fit(train, vocab_size=size),
        "gpt": lambda ids: model(ids)[0].log_softmax(-1),
    }
    passages = []
    for at in places(tokenizer.decode(val.tolist())):
        row: dict = {"before": tokenizer.decode(val[at - BEFORE : at].tolist())}
        row["letters"] = tokenizer.decode(val[at : at + LETTERS].tolist())
        for name, guesser in guessers.items():
            row[name] = []
            for place in range(at, at + LETTERS):
                window = val[place - model.config.block_size : place][None]
                with torch.no_grad():
                    bets = guesser(window)[0, -1]
                row[name].append(round(-bets[val[place]].item(), 3))
        passages.append(row)
    return {"passages": passages}


def far(old: dict, new: dict) -> bool:
    """Tell whether a price, or any letter, differs by more than the tolerance."""
    for a, b in zip(old["passages"], new["passages"], strict=True):
        if (a["before"], a["letters"]) != (b["before"], b["letters"]):
            return True
        pairs = [pair for name in list(a)[2:] for pair in zip(a[name], b[name], strict=True)]
        if any(abs(x - y) > TOLERANCE * max(1, y) for x, y in pairs):
            return True
    return False


def main(words: list[str]) -> int:
    """Write the file, or say that it is old."""
    new = computed()
    if "--check" in words:
        if old := far(json.loads(FILE.read_text(encoding="utf-8")), new):
            print(f"✗ {FILE.name} is old: run python tools/play_guesser.py")
        return int(old)
    FILE.parent.mkdir(exist_ok=True)
    rows = ",\n ".join(json.dumps(row, ensure_ascii=False) for row in new["passages"])
    FILE.write_text(f'{{"passages": [\n {rows}\n]}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
