"""The exercises of chapter 11: counting, a wider table, places, three maps, first losses."""

import torch
import torch.nn as nn

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "11.1", __name__, subgoal="count", stub="answer = None  # for example 62_219_904",
    solution="answer = 81_912_576",
)  # fmt: skip


def make_room_by_loops(old, rows):
    V, C = old.shape
    shared = nn.Parameter(torch.tensor(old.tolist() + [[0.0] * C] * (rows - V)))
    table, head = nn.Embedding(rows, C), nn.Linear(C, rows, bias=False)
    table.weight = head.weight = shared
    return table, head


def tables_to_widen(rng: Dice):
    """The numbers of a table, and how many rows the new one shall have."""
    for i in range(22):
        V, C = rng.randint(2, 5), rng.randint(2, 4)
        yield rng.randn(V, C), V + rng.randint(0 if i > 2 else 1, 3)


def what_was_made(make, old, rows):
    """What is wrong with two modules, in words so that it can be seen, and their numbers."""
    made = make(old, rows)
    if not isinstance(made, (tuple, list)) or len(made) != 2:
        return made
    entrance, way_out = (module.weight for module in made)
    goes = tuple(getattr(made[1], name, None) for name in ("in_features", "out_features"))
    faults = {
        "the head comes first": isinstance(made[1], nn.Embedding),
        f"the head goes from {goes[0]} to {goes[1]}": goes
        not in ((old.shape[1], rows), (None, None)),
        "the head has a bias": getattr(made[1], "bias", None) is not None,
        "they are two parameters": way_out is not entrance,
        "the table is frozen": not entrance.requires_grad,
        "the table is the caller's memory": entrance.data_ptr() == old.data_ptr(),
    }
    found = [words for words, is_so in faults.items() if is_so]
    return {"faults": found, "table": entrance.detach(), "head": way_out.detach()}


@exercise(
    "11.2", subgoal="assemble", spec=make_room_by_loops, inputs=tables_to_widen,
    observe=what_was_made,
)  # fmt: skip
def make_room(old, rows):
    # old (V, C), rows ≥ V → nn.Embedding and nn.Linear with `rows` rows, tied
    V, C = old.shape
    table = nn.Embedding(rows, C)
    head = nn.Linear(C, rows, bias=False)
    with torch.no_grad():
        table.weight.zero_()
        table.weight[:V] = old
    head.weight = table.weight
    return table, head


def places_by_loops(real):
    # as many as stand before it: padding has only padding on its left
    return torch.tensor([[sum(row[:t]) for t in range(len(row))] for row in real.tolist()])


def padded_prompts(rng: Dice):
    """Which places of a batch hold real tokens: padding on the left, one row at least with some."""
    yield torch.tensor([[False, False, True, True], [True, True, True, True]])
    for _ in range(22):
        B, T = rng.randint(2, 4), rng.randint(3, 6)
        lengths = [rng.randint(1, T - 2), T - 1, *(rng.randint(1, T) for _ in range(B - 2))]
        yield torch.tensor([[t >= T - n for t in range(T)] for n in lengths])


class NotWhole(TypeError):
    """Places that no table can be indexed with."""


def usable_places(make, real):
    """The places, if nn.Embedding would take them."""
    places = make(real)
    if isinstance(places, torch.Tensor) and places.is_floating_point():
        raise NotWhole(f"places of {places.dtype}")
    return places


@exercise(
    "11.3", subgoal="assemble", spec=places_by_loops, inputs=padded_prompts, observe=usable_places
)
def places_of(real):
    # real (B, T): True for a token, False for padding on its left → places (B, T)
    return (real.cumsum(1) - 1).clamp(min=0)


def three_maps_by_loops(weight, bias):
    C, found = len(weight), []
    for begin in (0, C, 2 * C):
        rows = [[weight[i, begin + out].item() for i in range(C)] for out in range(C)]
        found.append((torch.tensor(rows), bias[begin : begin + C]))
    return found


def stored_maps(rng: Dice):
    """The weight (C, 3C) and the bias (3C,) of a c_attn, as OpenAI stores them."""
    for i in range(22):
        C = 3 if i < 2 else rng.choice([2, 3, 4, 6])
        yield rng.randn(C, 3 * C), rng.randn(3 * C)


@exercise("11.4", subgoal="load", spec=three_maps_by_loops, inputs=stored_maps)
def three_maps(weight, bias):
    # (C, 3C) and (3C,) → [(weight (C, C), bias (C,)) for q, for k, for v]
    weights, biases = weight.chunk(3, 1), bias.chunk(3)
    return [(part.T, shift) for part, shift in zip(weights, biases, strict=True)]


value_exercise(
    "11.5", __name__, subgoal="begin",
    stub="answer = None  # for A, B, C, D, such as [11, 11, 117, 740]",
    solution="answer = [11, 740, 117, 11]",
)  # fmt: skip
