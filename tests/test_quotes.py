"""What the text quotes from a model is what that model writes."""

import json
from pathlib import Path

import torch

from gpt2_tutorial.ngram import KneserNey, sample
from gpt2_tutorial.text import CharTokenizer, load_shakespeare, split

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "00_guessing_game.ipynb"


def test_the_opening_lines_are_the_counting_tables_own():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (quote,) = (c for c in cells if "quote:opening" in c["metadata"].get("tags", []))
    lines = [line.removeprefix(">").strip() for line in "".join(quote["source"]).splitlines()]
    text = load_shakespeare()
    tokenizer = CharTokenizer(text)
    train, _ = split(torch.tensor(tokenizer.encode(text)))
    model = KneserNey(5).fit(train)
    dice = torch.Generator().manual_seed(1)
    written = tokenizer.decode(sample(model, tokenizer.encode("\n"), 200, dice))
    assert written.lstrip().startswith("\n".join(lines))
