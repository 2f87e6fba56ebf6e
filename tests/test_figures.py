"""figures: every picture draws, the same each time, with letters that a page can show."""

import inspect
import xml.etree.ElementTree as ET

import pytest
import torch

from gpt2_tutorial import figures

ROWS = [
    {"name": "uniform", "val": 4.174, "chapter": "00"},
    {"name": "Kneser–Ney", "val": 1.539, "chapter": "01"},
]
EXAMPLES = {
    "before_and_after": lambda f: f([0.2, 0.8], [0.1, 0.9], target=1),
    "count_grid": lambda f: f(torch.arange(64).view(8, 8), list("\n abquyz")),
    "difference_grid": lambda f: f(torch.eye(8) / 10, list("\n abquyz")),
    "girl_or_boy": lambda f: f({1: 0.5, 2: 0.6}),
    "letter_frequencies": lambda f: f(list(" e\nt"), [0.4, 0.3, 0.2, 0.1], top=4),
    "loss_by_order": lambda f: f({1: 2.4, 2: 1.9}, {1: 2.5, 2: 2.0}, best=2.0),
    "loss_curve": lambda f: f({"a": [3.0, 2.0], "b": [3.0, 4.0]}, counted=2.0),
    "next_bets": lambda f: f(list("ab\n"), [0.5, 0.3, 0.2], after="q "),
    "number_grid": lambda f: f([[0, 2], [1, 0]], ["a", " "]),
    "pipeline": lambda f: f(here=["loss"]),
    "prefix_tree": lambda f: f({"king": 9, "kiss": 2, "kind": 4}),
    "price_of_a_guess": lambda f: f(),
    "scoreboard": lambda f: f(ROWS, new="01", beat=1.75),
    "slope": lambda f: f(lambda value: value**2, at=1.0),
    "train_val_strip": lambda f: f(900, 100),
    "unseen_contexts": lambda f: f({1: 0.0, 2: 0.3}),
}


def test_every_figure_has_an_example_here():
    functions = {n for n in figures.__all__ if inspect.isfunction(getattr(figures, n))}
    assert set(EXAMPLES) == functions


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_figure_is_valid_svg_and_the_same_each_time(name):
    first, second = (EXAMPLES[name](getattr(figures, name)) for _ in range(2))
    assert first.svg == second.svg
    root = ET.fromstring(first.svg)
    assert root.tag.endswith("svg")
    width = float(root.get("width").removesuffix("pt"))
    assert width <= 6.0 * 72, "wider than the page's column: letters would shrink"


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_letter_is_missing_from_the_font(name, recwarn):
    EXAMPLES[name](getattr(figures, name))
    assert not [w for w in recwarn if "missing from" in str(w.message)]
