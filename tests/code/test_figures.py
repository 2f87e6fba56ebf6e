"""figures: every picture draws, the same each time, with letters that a page can show."""

import inspect
import math
import xml.etree.ElementTree as ET

import pytest
import torch
from matplotlib.figure import Figure

from gpt2_tutorial import figures
from gpt2_tutorial.autograd import Node
from gpt2_tutorial.figures.collisions import collisions
from gpt2_tutorial.gpt import GPT, GPTConfig
from tiers import tiered

ROWS = [
    {"name": "uniform", "val": 4.174, "chapter": "00"},
    {"name": "Kneser–Ney", "val": 1.539, "chapter": "01"},
]
RUNG = {"name": "a", "val": {"per_seed": [2.0, 2.1, 2.2], "mean": 2.1, "sd": 0.1}}
GAIN = {"name": "a", "time": 1.25}
GAIN |= {"minus_gpt2": {"per_seed": [-0.3, -0.2, -0.1], "mean": -0.2, "sd": 0.1}}
BROKEN = {
    "train": {"step": [1, 2, 3], "loss": [4.2, 3.0, None]},
    "looks": {"step": [0, 3], "val": [4.2, None]},
}
HISTORY = [dict(tokens=1000 * n, train=3 - n / 4, val=3 - n / 4.2) for n in range(5)]
DAY = {"about": {"device": "Some GPU"}}
SECONDS = [dict(seconds=30 * n, val=3 - n / 3) for n in range(6)]
COLAB = DAY | {"curve": SECONDS, "kneser_ney": 1.539, "seconds_to_kneser_ney": 131.0}
LOOKS = [{"step": 0, "val": 10.97}, {"step": 3, "val": 8.0}]
SCRIPT = DAY | {"losses": [10.9, 9.5, 8.1], "val": LOOKS, "killed_at": 3, "resumed_at": 2}
EXAMPLES = {
    "attention_frames": lambda f: f(*torch.eye(2).expand(3, 2, 2), tokens=["a", "b"]),
    "attention_grid": lambda f: f(torch.eye(3), ["Bobby", "is", "a"], call_out=2),
    "before_and_after": lambda f: f([0.2, 0.8], [0.1, 0.9], target=1),
    "character_map": lambda f: f({"a": (0.1, 1.0), "b": (1.0, 0.2), "\n": (0.0, 0.0)}),
    "company_kept": lambda f: f({"fresh": [1.0, 0.5, 0.5], "by heart": [1.0, 0.9, -0.1]}),
    "compression": lambda f: f({0: 1.0, 64: 1.5}, other=3.3, name="GPT-2"),
    "bends": lambda f: f({"tanh": math.tanh, "straight": lambda x: x}, low=-1, high=1),
    "borders": lambda f: f([(1, 2), (1, -2)], [1, -1], {"line": lambda x, y: y - x / 9}),
    "byte_map": lambda f: f({b: chr(b if b > 32 else 256 + b) for b in range(126)}),
    "cross_map": lambda f: f(torch.eye(3).flip(1), list("321"), list("123")),
    "count_grid": lambda f: f(torch.arange(64).view(8, 8), list("\n abquyz")),
    "curve_by_seconds": lambda f: f(COLAB),
    "curve_sheet": lambda f: f({"A": BROKEN, "B": BROKEN}, BROKEN),
    "dealt_strip": lambda f: f(list(range(24))[::-1], ranks=3, at_once=2, shards=5),
    "difference_grid": lambda f: f(torch.eye(8) / 10, list("\n abquyz")),
    "first_losses": lambda f: f(SCRIPT),
    "from_token_to_bet": lambda f: f(
        ["a", "b"],
        torch.eye(2),
        torch.ones(2),
        torch.eye(2),
        torch.eye(2),
        torch.tensor([0.9, 0.1]),
        {"x": 0.7, "y": 0.3},
    ),
    "formula_graph": lambda f: f(doubled(3), backward=True, twice="a"),
    "gains": lambda f: f([GAIN, GAIN | {"name": "b", "time": 0.9}]),
    "girl_or_boy": lambda f: f({1: 0.5, 2: 0.6}),
    "heads_and_back": lambda f: f(B=2, T=5, H=4, D=8),
    "head_grids": lambda f: f(torch.eye(3).repeat(4, 1, 1), list("a b")),
    "layer_gaps": lambda f: f({"a": [("wte", 0.0), ("h.0", 1e-15)], "b": [("wte", 1.0)]}),
    "learned_by_heart": lambda f: f([1, 2, 3], [3.0, 2.0, 1.0], [3.0, 2.5, 2.8]),
    "letter_frequencies": lambda f: f(list(" e\nt"), [0.4, 0.3, 0.2, 0.1], top=4),
    "look_back": lambda f: f([0.7, 0.2, 0.1]),
    "loss_by_compute": lambda f: f({"a": ([1, 9], [2.0, 1.5])}, {"table": 1.8}, (4, 1.8)),
    "loss_by_order": lambda f: f({1: 2.4, 2: 1.9}, {1: 2.5, 2: 2.0}, best=2.0),
    "loss_by_place": lambda f: f({"a": [3.0, *[2.0] * 19], "b": [*[0.0] * 19, 3.0]}),
    "loss_by_width": lambda f: f({1: 3.0, 2: 2.5, 4: 2.4}, table=2.3, letters=3.3),
    "loss_by_rate": lambda f: f({"SGD": {1: 3.0, 10: 2.5, 100: 9.0}, "AdamW": {0.1: 2.4, 1: 4.2}}),
    "loss_curve": lambda f: f({"a": [3.0, 2.0], "b": [3.0, 4.0]}, counted=2.0),
    "merge_tree": lambda f: f([["h", "u", "g"], ["h", "ug"], ["hug"]], ["", "u + g", "h + ug"]),
    "memory_by_length": lambda f: f({"a": {256: 1.0, 512: 4.0}, "b": {256: 0.1, 512: 0.2}}),
    "memory_strip": lambda f: f({"direct view": torch.arange(8).view(2, 2, 2)}),
    "model_zoom": lambda f: f(GPTConfig()),
    "moments_of_a_save": lambda f: f([("mkdir", 1), ("rename", 1), ("open", 2)], old=1, new=2),
    "near_and_far": lambda f: f({"MLP": ([99.0, 100.0], [48.0, 51.0]), "head": ([100.0], [100.0])}),
    "next_bets": lambda f: f(list("ab\n"), [0.5, 0.3, 0.2], after="q "),
    "number_grid": lambda f: f([[0, 2], [1, 0]], ["a", " "]),
    "online_frames": lambda f: f([1, 3, 2, 5], [10, 20, 30, 40], [(3, 1.1, 21.4), (5, 1.2, 44.4)]),
    "one_vector": lambda f: f(["a mole", "one mole of gas"], "mole", [0.5, -1.0]),
    "overlap": lambda f: f(["block 1", "block 0"]),
    "parameter_map": lambda f: f(40, 1, attention=3, mlp=6, blocks=2),
    "prefix_tree": lambda f: f({"king": 9, "kiss": 2, "kind": 4}),
    "price_of_a_guess": lambda f: f(),
    "rank_map": lambda f: f(machines=2, gpus=4),
    "ring_frames": lambda f: f([[[1, 2], [3, 4]], [[4, 2], [3, 6]], [[4, 6], [4, 6]]]),
    "road": lambda f: f([("ln_1", "attn"), ("ln_2", "mlp")], norm_on_road=True),
    "rungs": lambda f: f([RUNG, RUNG | {"name": "+ b"}]),
    "scaling_law": lambda f: f([(1e9, 2.2, "a"), (1e10, 2.0, "b")], (5.3, -0.04), floor=1.5),
    "schedule": lambda f: f([0.5, 1.0, *[0.8] * 8, *[0.5] * 5, *[0.1] * 9], warmup_steps=2),
    "score_spread": lambda f: f({1: 1.0, 4: 2.0, 64: 8.0}),
    "score_tiles": lambda f: f(4, row=2, column=1),
    "script_calls": lambda f: f(),
    "scoreboard": lambda f: f(ROWS, new="01", beat=1.75),
    "self_and_cross": lambda f: f(),
    "shape_flow": lambda f: f([("(B, 8)", "ids"), ("(B, 65)", "bets")]),
    "shard_bytes": lambda f: f([("magic", 8), ("V", 8), ("sum", 32)], [5, 6, 7]),
    "shared_heads": lambda f: f(4, [4, 2, 1]),
    "side_by_side": lambda f: f({"T = 1": "To be, or not to be, that is\n\nso", "T = 2": "x"}),
    "singular_values": lambda f: f({"a": [3.0, 1.0, 0.1], "b": [1.0, 0.9, 0.8]}),
    "slope": lambda f: f(lambda value: value**2, at=1.0),
    "spiky_weights": lambda f: f({"raw": [0.9, 0.1], "divided by √d": [0.6, 0.4]}),
    "spread_by_depth": lambda f: f([1, 6], {"a": [0.4, 1.0], "b": [0.3, 0.3]}, high=2),
    "step_sizes": lambda f: f([1.0] * 20, [3.0, 5.0, *[6.0] * 18]),
    "token_strips": lambda f: f([[("a", 64), (" mole", 9411)], [("m\n", 76)]], mark=9411),
    "accuracies": lambda f: f({"a": (0.3, 0.03), "b": (0.9, 0.01)}, chance=0.25),
    "bit_layouts": lambda f: f({"float32": (8, 23), "bfloat16": (8, 7)}),
    "gradient_lengths": lambda f: f({"a": [2.0, 0.5, 0.7], "b": [8.0, 2.0, 3.0]}, 1.0),
    "head_maps": lambda f: f(torch.eye(3).repeat(2, 2, 1, 1), ["1 back", "2 back", "a", "b"]),
    "logit_lens": lambda f: f("ab c", ["aa", "b "], [[0.5, 0.9], [0.8, 0.1]]),
    "micro_steps": lambda f: f(4),
    "positions_computed": lambda f: f(4, 10, 4),
    "temperatures": lambda f: f(list("abc"), {"T = 1": [0.7, 0.2, 0.1], "T = 2": [0.5, 0.3, 0.2]}),
    "train_val_strip": lambda f: f(900, 100),
    "training_curve": lambda f: f(HISTORY, {"uniform": 4.17, "a": 1.85, "b": 1.75}),
    "turning_arrows": lambda f: f({"fast": 1.0, "slow": 0.1}),
    "two_distances": lambda f: f({"a": (0.0, 0.0), "b": (0.2, 0.1)}),
    "two_endings": lambda f: f(finished=11, save_every=4),
    "two_nudges": lambda f: f(lambda x: x**2, at=1, nudge=1),
    "two_runs": lambda f: f({0: 3.0, 1: 2.0}, [{0: 3.0}, {1: 2.0}], {1: 2.5}),
    "two_units": lambda f: f({256: 2.5, 512: 3.6}, {256: 2.5, 512: 1.9}),
    "unseen_contexts": lambda f: f({1: 0.0, 2: 0.3}),
    "valley": lambda f: f({"a": [(-4, 1), (-2, 0)], "b": [(-4, 1), (0, 0.5)]}),
}


def doubled(number):
    a = Node(number)
    end = Node(2 * number, [(a, 1), (a, 1)])
    end.backward()
    return {"a": a, "a + a": end}


def test_every_figure_has_an_example_here():
    functions = {n for n in figures.__all__ if inspect.isfunction(getattr(figures, n))}
    assert set(EXAMPLES) == functions


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_figure_is_valid_svg_with_all_its_letters(name, recwarn):
    picture = EXAMPLES[name](getattr(figures, name))
    root = ET.fromstring(picture.svg)
    assert root.tag.endswith("svg")
    width = float(root.get("width").removesuffix("pt"))
    assert width <= 704 * 3 / 4, "wider than the page's column: letters would shrink"
    assert picture.collisions == [], "letters that nobody can read"
    assert "<pattern" not in picture.svg, "a hatch: letters on it are hard to read"
    assert not [w for w in recwarn if "missing from" in str(w.message)]


# One class writes them all, and none draws chance: every sixth now, all in the soak.
@pytest.mark.parametrize("name", tiered(EXAMPLES, [*EXAMPLES][::6]))
def test_a_figure_is_the_same_each_time(name):
    first, second = (EXAMPLES[name](getattr(figures, name)) for _ in range(2))
    assert first.svg == second.svg


@pytest.mark.parametrize("draw", [figures.curve_by_seconds, figures.first_losses])
def test_a_picture_of_a_gpu_is_none_without_its_log(draw):
    assert draw({}) is None
    assert draw(DAY | {"failed": "out of memory", "curve": [], "losses": [10.9]}) is None


def test_a_picture_of_a_gpu_shows_what_a_log_that_stopped_early_has():
    assert "<svg" in figures.curve_by_seconds(DAY | {"curve": SECONDS}).svg
    assert "<svg" in figures.curve_by_seconds(COLAB | {"seconds_to_kneser_ney": None}).svg
    assert "<svg" in figures.first_losses(DAY | {"losses": [10.9, 9.5], "killed_at": 2}).svg


CHALK = {"fontsize": 13}
UNREADABLE = {
    "'one' touches 'two'": lambda f: (f.text(0.5, 0.5, "one", **CHALK), f.text(0.51, 0.5, "two")),
    "'name' is cut off": lambda f: f.text(0.98, 0.5, "name", **CHALK),
    "'fine' has letters of 8 points": lambda f: f.text(0.5, 0.5, "fine", fontsize=8),
    "'label' is crossed by a line": lambda f: (
        f.add_subplot().plot([0, 1], [0, 1]), f.axes[0].text(0.4, 0.42, "label", **CHALK),
    ),
    "'wide label' is crossed by an edge": lambda f: (
        f.add_subplot(xlim=(-1, 1)).bar(0, 1, 0.1),
        f.axes[0].text(-0.1, 0.5, "wide label", **CHALK),
    ),
    "'low' is crossed by an axis": lambda f: f.add_subplot().text(0.5, -0.02, "low", **CHALK),
}  # fmt: skip


@pytest.mark.parametrize("said", UNREADABLE)
def test_letters_that_nobody_can_read_are_found(said):
    figure = Figure()
    UNREADABLE[said](figure)
    figure.draw_without_rendering()
    assert said in collisions(figure)


@pytest.mark.parametrize("angle", [0, 90])
def test_letters_that_stand_apart_are_not(angle):
    figure = Figure()
    axes = figure.add_subplot(ylim=(0, 1))
    axes.plot([0, 1], [0, 0.2])
    axes.text(0.5, 0.6, "high above", rotation=angle, **CHALK)
    axes.text(0.5, 0.1, "on the line", bbox={"facecolor": "white"}, **CHALK)
    axes.set_xlabel("a name", **CHALK)
    axes.tick_params(labelsize=12)
    figure.draw_without_rendering()
    assert collisions(figure) == []


def test_a_picture_tells_a_notebook_of_letters_that_nobody_can_read():
    fine = figures.Picture(lambda ax: ax.text(0.5, 0.5, "a"))
    poor = figures.Picture(lambda ax: (ax.text(0.5, 0.5, "a"), ax.text(0.5, 0.5, "b")))
    assert fine._repr_mimebundle_()["text/plain"] == "<a picture>"
    assert poor._repr_mimebundle_()["text/plain"] == "<a picture>; 'a' touches 'b'"


@pytest.mark.parametrize(
    "config", [GPTConfig(), GPTConfig(n_layer=2, n_head=4, n_embd=64, block_size=32)]
)
def test_the_numbers_in_the_picture_of_gpt2_are_those_of_the_model(config):
    with torch.device("meta"):
        model = GPT(config)
    block, said = model.transformer.h[0], figures.model_zoom(config).svg
    for part in (model, block, block.attn, block.mlp):
        assert f"{sum(p.numel() for p in part.parameters()):,}" in said
