"""Every picture of the book: one function each, named for what it shows."""

from gpt2_tutorial.figures.chapter00 import (
    letter_frequencies,
    pipeline,
    prefix_tree,
    price_of_a_guess,
    train_val_strip,
)
from gpt2_tutorial.figures.chapter01 import (
    count_grid,
    girl_or_boy,
    loss_by_order,
    number_grid,
    unseen_contexts,
)
from gpt2_tutorial.figures.chapter02 import (
    before_and_after,
    difference_grid,
    loss_curve,
    slope,
)
from gpt2_tutorial.figures.shared import next_bets, scoreboard
from gpt2_tutorial.figures.style import Picture

__all__ = [
    "Picture",
    "before_and_after",
    "count_grid",
    "difference_grid",
    "girl_or_boy",
    "letter_frequencies",
    "loss_by_order",
    "loss_curve",
    "next_bets",
    "number_grid",
    "pipeline",
    "prefix_tree",
    "price_of_a_guess",
    "scoreboard",
    "slope",
    "train_val_strip",
    "unseen_contexts",
]
