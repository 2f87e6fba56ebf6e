"""Every picture of the book: one function each, named for what it shows."""

from gpt2_tutorial.figures.chapter00 import (
    letter_frequencies,
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
    from_token_to_bet,
    look_back,
    near_and_far,
    score_spread,
    spiky_weights,
)
from gpt2_tutorial.figures.chapter08 import (
    cross_map,
    head_grids,
    heads_and_back,
    memory_strip,
    self_and_cross,
)
from gpt2_tutorial.figures.chapter09 import (
    loss_by_place,
    memory_by_length,
    online_frames,
    score_tiles,
)
from gpt2_tutorial.figures.chapter10 import bends, road, rungs, spread_by_depth
from gpt2_tutorial.figures.chapter11 import (
    company_kept,
    layer_gaps,
    model_zoom,
    parameter_map,
)
from gpt2_tutorial.figures.chapter12 import (
    curve_by_seconds,
    loss_by_compute,
    scaling_law,
    side_by_side,
    training_curve,
)
from gpt2_tutorial.figures.chapter13 import (
    accuracies,
    head_maps,
    logit_lens,
    positions_computed,
    temperatures,
)
from gpt2_tutorial.figures.chapter14 import bit_layouts, gradient_lengths, micro_steps
from gpt2_tutorial.figures.chapter15 import moments_of_a_save, shard_bytes, two_runs
from gpt2_tutorial.figures.chapter16 import (
    curve_sheet,
    dealt_strip,
    overlap,
    rank_map,
    ring_frames,
    two_distances,
)
from gpt2_tutorial.figures.chapter17 import first_losses, script_calls, two_endings
from gpt2_tutorial.figures.chapter18 import (
    gains,
    shared_heads,
    singular_values,
    turning_arrows,
)
from gpt2_tutorial.figures.shared import next_bets, scoreboard
from gpt2_tutorial.figures.style import Picture

__all__ = [
    "Picture",
    "accuracies",
    "attention_frames",
    "attention_grid",
    "before_and_after",
    "bends",
    "bit_layouts",
    "borders",
    "byte_map",
    "character_map",
    "company_kept",
    "compression",
    "count_grid",
    "cross_map",
    "curve_by_seconds",
    "curve_sheet",
    "dealt_strip",
    "difference_grid",
    "first_losses",
    "formula_graph",
    "from_token_to_bet",
    "gains",
    "girl_or_boy",
    "gradient_lengths",
    "head_grids",
    "head_maps",
    "heads_and_back",
    "layer_gaps",
    "learned_by_heart",
    "letter_frequencies",
    "logit_lens",
    "look_back",
    "loss_by_compute",
    "loss_by_order",
    "loss_by_place",
    "loss_by_rate",
    "loss_by_width",
    "loss_curve",
    "memory_by_length",
    "memory_strip",
    "merge_tree",
    "micro_steps",
    "model_zoom",
    "moments_of_a_save",
    "near_and_far",
    "next_bets",
    "number_grid",
    "one_vector",
    "online_frames",
    "overlap",
    "parameter_map",
    "positions_computed",
    "prefix_tree",
    "price_of_a_guess",
    "rank_map",
    "ring_frames",
    "road",
    "rungs",
    "scaling_law",
    "schedule",
    "score_spread",
    "score_tiles",
    "scoreboard",
    "script_calls",
    "self_and_cross",
    "shape_flow",
    "shard_bytes",
    "shared_heads",
    "side_by_side",
    "singular_values",
    "slope",
    "spiky_weights",
    "spread_by_depth",
    "step_sizes",
    "temperatures",
    "token_strips",
    "train_val_strip",
    "training_curve",
    "turning_arrows",
    "two_distances",
    "two_endings",
    "two_nudges",
    "two_runs",
    "two_units",
    "unseen_contexts",
    "valley",
]
