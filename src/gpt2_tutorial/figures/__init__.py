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
from gpt2_tutorial.figures.chapter03 import borders, formula_graph, two_nudges
from gpt2_tutorial.figures.chapter04 import loss_by_rate, schedule, step_sizes, valley
from gpt2_tutorial.figures.chapter05 import (
    character_map,
    learned_by_heart,
    loss_by_width,
    one_vector,
    shape_flow,
)
from gpt2_tutorial.figures.chapter06 import (
    byte_map,
    compression,
    merge_tree,
    token_strips,
    two_units,
)
from gpt2_tutorial.figures.chapter07 import (
    attention_frames,
    attention_grid,
    look_back,
    near_and_far,
    score_spread,
    spiky_weights,
)
from gpt2_tutorial.figures.chapter08 import cross_map, head_grids, memory_strip, self_and_cross
from gpt2_tutorial.figures.chapter09 import (
    loss_by_place,
    memory_by_length,
    online_frames,
    score_tiles,
)
from gpt2_tutorial.figures.chapter10 import bends, road, rungs, spread_by_depth
from gpt2_tutorial.figures.shared import next_bets, scoreboard
from gpt2_tutorial.figures.style import Picture

__all__ = [
    "Picture",
    "attention_frames",
    "attention_grid",
    "before_and_after",
    "bends",
    "borders",
    "byte_map",
    "character_map",
    "compression",
    "count_grid",
    "cross_map",
    "difference_grid",
    "formula_graph",
    "girl_or_boy",
    "head_grids",
    "learned_by_heart",
    "letter_frequencies",
    "look_back",
    "loss_by_order",
    "loss_by_place",
    "loss_by_rate",
    "loss_by_width",
    "loss_curve",
    "memory_by_length",
    "memory_strip",
    "merge_tree",
    "near_and_far",
    "next_bets",
    "number_grid",
    "one_vector",
    "online_frames",
    "pipeline",
    "prefix_tree",
    "price_of_a_guess",
    "road",
    "rungs",
    "schedule",
    "score_spread",
    "score_tiles",
    "scoreboard",
    "self_and_cross",
    "shape_flow",
    "slope",
    "spiky_weights",
    "spread_by_depth",
    "step_sizes",
    "token_strips",
    "train_val_strip",
    "two_nudges",
    "two_units",
    "unseen_contexts",
    "valley",
]
