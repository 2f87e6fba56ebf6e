"""The picture that stands beside a link to the book: 1200 by 630 pixels, drawn while building."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure

from gpt2_tutorial.ngram import NGram
from gpt2_tutorial.text import CharTokenizer, load_shakespeare

__all__ = ["bets", "draw"]

LINE, ORDER, SHOWN = "to be or not to ", 5, 5
GROUND, INK, QUIET, BAR = "#121417", "#ffffff", "#9ea9b5", "#e69f00"


def bets() -> dict[str, float]:
    """Give what the counts of chapter 01 bet on after "to be or not to ", the best first.

    >>> list(bets())[0]
    't'
    """
    text = load_shakespeare()
    tokenizer = CharTokenizer(text)
    table = NGram(ORDER, alpha=1e-6).fit(torch.tensor(tokenizer.encode(text)))
    chances = table(torch.tensor([tokenizer.encode(LINE)]))[0, -1].exp()  # (V,)
    best = chances.topk(SHOWN)
    return dict(zip(tokenizer.decode(best.indices), best.values.tolist(), strict=True))


def draw(file: Path) -> None:
    """Write the card to a PNG file."""
    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor=GROUND)
    figure.text(0.06, 0.80, "GPT-2 from scratch", color=INK, fontsize=50, weight="bold")
    figure.text(0.06, 0.69, "from “guess the next letter” to eight GPUs", color=QUIET, fontsize=25)
    figure.text(0.06, 0.40, f"{LINE}…", color=INK, fontsize=30, family="monospace")
    figure.text(0.06, 0.30, "what Shakespeare’s letters bet on next", color=QUIET, fontsize=18)
    chances = bets()
    bars = figure.add_axes((0.60, 0.08, 0.34, 0.50))
    drawn = bars.barh(list(chances), list(chances.values()), color=BAR)
    bars.bar_label(drawn, fmt=lambda p: f"{p:.0%}", color=INK, fontsize=18, padding=6)
    bars.set_xlim(0, 1.25 * max(chances.values()))
    bars.invert_yaxis()
    bars.set_facecolor(GROUND)
    bars.tick_params(length=0, labelsize=24, labelcolor=INK)
    bars.xaxis.set_visible(False)
    bars.spines[:].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, facecolor=GROUND)
