"""What the text quotes from a model is what that model writes."""

import json
from pathlib import Path

import torch

from gpt2_tutorial import assets
from gpt2_tutorial.pretrained import load_gpt2

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_guessing_game.ipynb"
SEED, TEMPERATURE = 25, 0.8


def quoted() -> str:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (quote,) = (c for c in cells if "quote:opening" in c["metadata"].get("tags", []))
    lines = [line.removeprefix(">").strip() for line in "".join(quote["source"]).splitlines()]
    return "\n" + "\n".join(lines)  # it began with an empty line


@torch.no_grad()
def misses(lines: str) -> list[float]:
    """How far each draw lies from the share of the quoted character; 0 where it falls into it.

    One random number between 0 and 1 is drawn for each character, and the model's bets, laid end
    to end, say whose it is. Another machine rounds the bets a little differently, and a number
    close to a border would then fall to the neighbour, and all that follows would change. So the
    model reads the quoted lines, not its own, and each draw is held against them alone.
    """
    folder = assets.model_folder("simple-gpt")
    model = load_gpt2(folder)
    characters = json.loads((folder / "characters.json").read_text(encoding="utf-8"))
    ids = [characters.index(character) for character in f"\n{lines}"]
    dice, found = torch.Generator().manual_seed(SEED), []
    for place in range(1, len(ids)):
        context = torch.tensor([ids[:place][-model.config.block_size :]])
        logits, _ = model(context, last_only=True)
        ends = (logits[0, -1].double() / TEMPERATURE).softmax(-1).cumsum(-1)
        low, high = (ends[i].item() if i >= 0 else 0.0 for i in (ids[place] - 1, ids[place]))
        drawn = torch.rand(1, generator=dice, dtype=torch.float64).item()
        found.append(max(low - drawn, drawn - high, 0.0))
    return found


def test_the_opening_lines_are_the_trained_models_own():
    lines = quoted()
    assert len(lines) > 60
    assert max(misses(lines)) < 1e-4  # rounding moves a border by 1e-6 or so


def test_a_touched_up_quote_is_noticed():
    assert max(misses(quoted().replace("a queen", "my queen"))) > 1e-2
