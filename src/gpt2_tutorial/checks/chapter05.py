"""The exercises of chapter 05: rows of a table, contexts, vectors side by side, a first loss."""

import math
import random

import torch
import torch.nn.functional as F

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "05.1", __name__, subgoal="look up", stub="answer = None  # for example [0, 0, 1, 1, 2, 2]",
    solution="answer = [9, 9, 3, -1, 1, 0]",
)  # fmt: skip


def look_up_by_loops(ids, weight):
    return torch.tensor([list(weight[i].tolist()) for i in ids.tolist()])


def ids_and_tables(rng: Dice):
    """Ids and a table; some ids repeat, and the last row is often asked for by nobody."""
    yield torch.tensor([1]), torch.tensor([[0.5, 2.0], [1.5, -1.0], [0.25, 3.0]])
    yield torch.tensor([2, 0]), torch.tensor([[0.5, 2.0], [1.5, -1.0], [0.25, 3.0]])
    yield torch.tensor([0, 1, 0]), torch.tensor([[0.5, 2.0], [1.5, -1.0]])
    # all sides equal, so that `*` runs here and only here
    yield torch.tensor([1, 0]), torch.tensor([[0.5, 2.0], [1.5, -1.0]])
    for size in range(3, 25):
        width = size if size % 4 == 0 else rng.randint(2, 6)
        weight = rng.randn(size + 2, width)
        top = size + 2 if size % 3 == 0 else size
        yield torch.tensor([top - 1, *rng.choices(range(top), k=size - 1)]), weight


@exercise("05.2", subgoal="look up", spec=look_up_by_loops, inputs=ids_and_tables)
def look_up(ids, weight):
    # ids (N,), weight (V, C) → (N, C), by a matrix product
    rows = F.one_hot(ids, len(weight)).float()  # (N, V)
    return rows @ weight  # (N, C)


def contexts_by_loops(ids, context, padding):
    rows = []
    for t in range(len(ids)):
        before = range(t - context, t)
        rows.append([ids[place].item() if place >= 0 else padding for place in before])
    return torch.tensor(rows)


def texts_to_cut(rng: Dice):
    """Ids, a context and an id for padding; some texts are shorter than the context."""
    yield torch.tensor([5, 6, 7]), 2, 9
    yield torch.tensor([4]), 3, 7
    for size in range(2, 24):
        yield torch.tensor(rng.choices(range(1, 60), k=size)), rng.randint(2, 9), 65


@exercise("05.3", subgoal="look back", spec=contexts_by_loops, inputs=texts_to_cut)
def contexts(ids, context, padding):
    # ids (N,) → (N, context): row t holds the ids *before* place t
    padded = [padding] * context + ids.tolist()
    rows = [padded[t : t + context] for t in range(len(ids))]
    return torch.tensor(rows)  # (N, context)


def concat_by_loops(vectors):
    rows = [[] for _ in range(vectors.size(1))]
    for place in vectors.tolist():
        for row, vector in zip(rows, place, strict=True):
            row += vector
    return torch.tensor(rows)


def stacks_of_vectors(rng: Dice):
    """Vectors (n, B, C): place first, then sequence."""
    yield (torch.arange(12.0).view(2, 3, 2),)
    for _ in range(23):
        yield (rng.randn(*(rng.randint(2, 6) for _ in range(3))),)


@exercise("05.4", subgoal="side by side", spec=concat_by_loops, inputs=stacks_of_vectors)
def concat(vectors):
    # vectors (n, B, C), the place first → (B, n · C)
    return torch.cat(list(vectors), 1)


value_exercise(
    "05.5", __name__, subgoal="compare",
    stub='answer = None  # for example "as good as side by side"',
    solution='answer = "worse than a bigram"',
)  # fmt: skip


def start_table_by_loops(vocab_size, n_embd):
    return torch.tensor([[random.gauss(0, 0.02) for _ in range(n_embd)] for _ in range(vocab_size)])


def first_look(make, vocab_size, n_embd):
    """What the first loss of a tied model shows: chance decides the numbers, not this."""
    table = make(vocab_size, n_embd)
    shape = tuple(table.shape)
    logits = table @ table.T  # every id's own vector, against every row
    excess = (-logits.log_softmax(1).mean() - math.log(len(table))).item()
    kinds = len(table.unique(dim=0))
    rows = "differ" if kinds == len(table) else "some equal" if kinds > 1 else "all equal"
    below = "both sides of 0" if table.min() < 0 < table.max() else "one side of 0"
    size = table.abs().max()  # slopes are as small as these numbers
    numbers = "all 0" if size == 0 else "all about 0" if size < 1e-4 else below
    above = 0.0 if excess < 0.5 else round(excess, 1)
    return {"shape": shape, "nats above ln V": above, "rows": rows, "numbers": numbers}


def table_sizes(rng: Dice):
    """Sizes of tables, wide enough for the bug to show."""
    for width in range(24, 48):
        yield rng.randint(50, 100), width


@exercise(
    "05.6", subgoal="begin", spec=start_table_by_loops, inputs=table_sizes, observe=first_look
)
def start_table(vocab_size, n_embd):
    return 0.02 * torch.randn(vocab_size, n_embd)
