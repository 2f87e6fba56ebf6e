"""The exercises of chapter 05: rows of a table, contexts, vectors side by side, a first loss."""

import math
import random

import torch
import torch.nn.functional as F

from gpt2_tutorial.checks.engine import exercise


@exercise("05.1", subgoal="look up")
class PencilLookup:
    stub = "answer = None  # for example [0, 0, 1, 1, 2, 2]"
    solution = [9, 9, 3, -1, 1, 0]
    solution_text = "answer = [9, 9, 3, -1, 1, 0]"
    mutants = {
        "no padding": (
            [3, -1, 1, 0],
            "Only two characters are there, but three places: what stands in the first?",
        ),
        "padding right": (
            [3, -1, 1, 0, 9, 9],
            "The newest character stands last, so the padding goes to the left.",
        ),
        "newest first": (
            [1, 0, 3, -1, 9, 9],
            "These are the right rows from the newest to the oldest. Old comes first.",
        ),
        "middle": (
            [3, -1, 9, 9, 1, 0],
            "Padding stands before all characters, not between them.",
        ),
        "places swapped": (
            [9, 9, 1, 0, 3, -1],
            "The padding is right. Then the older character comes first: id 2, then id 0.",
        ),
        "counted from 1": (
            [9, 9, 0, 2, 9, 9],
            "Rows are counted from 0: id 2 is the third row, id 0 the first.",
        ),
        "added": ([13, 8], "You added the vectors. Side by side they make six numbers."),
        "nested": (
            [[9, 9], [3, -1], [1, 0]],
            "The right rows. Now take the inner brackets away: one row of six numbers.",
        ),
        "column by column": (
            [9, 3, 1, 9, -1, 0],
            "First all first numbers, then all second ones? Whole vectors stand side by side.",
        ),
        "ids": ([3, 2, 0], "These are the ids. Each of them stands for a row of the table."),
        "zeros": (
            [0, 0, 3, -1, 1, 0],
            "Padding has a row of its own here, the last one. It is learned like the others.",
        ),
    }


def look_up(ids, weight):
    rows = F.one_hot(ids, len(weight)).float()  # (N, V)
    return rows @ weight  # (N, C)


def look_up_by_loops(ids, weight):
    return torch.tensor([list(weight[i].tolist()) for i in ids.tolist()])


def ids_and_tables(rng: random.Random):
    """Ids and a table; some ids repeat, and the last row is often asked for by nobody."""
    yield torch.tensor([1]), torch.tensor([[0.5, 2.0], [1.5, -1.0], [0.25, 3.0]])
    yield torch.tensor([2, 0]), torch.tensor([[0.5, 2.0], [1.5, -1.0], [0.25, 3.0]])
    yield torch.tensor([0, 1, 0]), torch.tensor([[0.5, 2.0], [1.5, -1.0]])
    # all sides equal, so that `*` runs here and only here
    yield torch.tensor([1, 0]), torch.tensor([[0.5, 2.0], [1.5, -1.0]])
    for size in range(3, 25):
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        width = size if size % 4 == 0 else rng.randint(2, 6)
        weight = torch.randn(size + 2, width, generator=generator)
        top = size + 2 if size % 3 == 0 else size
        ids = [rng.randrange(top) for _ in range(size)]
        ids[0] = top - 1
        yield torch.tensor(ids), weight


@exercise("05.2", subgoal="look up")
class OneHotProduct:
    stub = (
        "def look_up(ids, weight):\n"
        "    # ids (N,), weight (V, C) → (N, C), by a matrix product\n"
        "    ..."
    )
    solution = look_up
    spec = look_up_by_loops
    inputs = ids_and_tables
    mutants = {
        "table first": (
            lambda ids, weight: weight @ F.one_hot(ids, len(weight)).float(),
            "You multiplied table × one-hot. The one-hot rows come first: each row of the left "
            "one chooses among the rows of the right one.",
        ),
        "whole numbers": (
            lambda ids, weight: F.one_hot(ids, len(weight)) @ weight,
            "`F.one_hot` gives whole numbers, and the table holds fractions: @ wants one kind. "
            "Turn the one-hot rows into .float().",
        ),
        "star": (
            lambda ids, weight: F.one_hot(ids, len(weight)) * weight,
            "`*` multiplies number by number, place by place. The matrix product is written @.",
        ),
        "table cut": (
            lambda ids, weight: F.one_hot(ids, len(weight)) @ weight.long(),
            "You turned the table into whole numbers, so everything behind the point is lost. "
            "Turn the one-hot rows into .float() instead.",
        ),
        "own width": (
            lambda ids, weight: F.one_hot(ids).float() @ weight,
            "Without a second argument a one-hot row is as wide as the largest id needs. It has to "
            "be as wide as the table is long, len(weight).",
        ),
        "width of a vector": (
            lambda ids, weight: F.one_hot(ids, weight.shape[1]).float() @ weight,
            "Your one-hot rows are as wide as a vector, C. They choose among V rows, so they "
            "need V places.",
        ),
        "turned": (
            lambda ids, weight: weight.T @ F.one_hot(ids, len(weight)).float().T,
            "The right numbers, lying on their side: (C, N). Put the one-hot rows on the left and "
            "turn nothing.",
        ),
        "one for all": (
            lambda ids, weight: F.one_hot(ids, len(weight)).float().sum(0) @ weight,
            "You added the one-hot rows up, so all vectors come out as one sum. Every id keeps "
            "its own row.",
        ),
        "one-hot alone": (
            lambda ids, weight: F.one_hot(ids, len(weight)).float(),
            "These are the one-hot rows. Multiply them by the table.",
        ),
    }
    hints = {"whole numbers": 2, "own width": 2}


def contexts(ids, context, padding):
    padded = [padding] * context + ids.tolist()
    rows = [padded[t : t + context] for t in range(len(ids))]
    return torch.tensor(rows)  # (N, context)


def contexts_by_loops(ids, context, padding):
    rows = []
    for t in range(len(ids)):
        row = []
        for back in range(context, 0, -1):
            row.append(ids[t - back].item() if t >= back else padding)
        rows.append(row)
    return torch.tensor(rows)


def texts_to_cut(rng: random.Random):
    """Ids, a context and an id for padding; some texts are shorter than the context."""
    yield torch.tensor([5, 6, 7]), 2, 9
    yield torch.tensor([4]), 3, 7
    for size in range(2, 24):
        ids = torch.tensor([rng.randrange(1, 60) for _ in range(size)])
        yield ids, rng.randint(2, 9), 65


def cut(pad_left: int, rows: int = 0):
    """Contexts from a text with `pad_left` more (or fewer) padding places than are right."""

    def contexts(ids, context, padding):
        padded = [padding] * (context + pad_left) + ids.tolist() + [padding]
        return torch.tensor([padded[t : t + context] for t in range(len(ids) + rows)])

    return contexts


def padded_right(ids, context, padding):
    rows = [ids[max(t - context, 0) : t].tolist() for t in range(len(ids))]
    return torch.tensor([row + [padding] * (context - len(row)) for row in rows])


def only_whole(ids, context, padding):
    rows = [ids[t - context : t].tolist() for t in range(context, len(ids))]
    return torch.tensor(rows)


@exercise("05.3", subgoal="look back")
class Contexts:
    stub = (
        "def contexts(ids, context, padding):\n"
        "    # ids (N,) → (N, context): row t holds the ids *before* place t\n"
        "    ..."
    )
    solution = contexts
    spec = contexts_by_loops
    inputs = texts_to_cut
    mutants = {
        "leak": (
            cut(pad_left=-1),
            "Row t ends with the id of place t itself. That is the answer standing in the "
            "question: row t ends one place earlier.",
        ),
        "one too old": (
            cut(pad_left=1),
            "Your rows end two places back: the character right before place t is missing.",
        ),
        "padded right": (
            padded_right,
            "The padding stands on the right. The newest id has to be last in every row, or a "
            "place would mean something else at the start of a text.",
        ),
        "newest first": (
            lambda ids, context, padding: contexts(ids, context, padding).flip(1),
            "Right ids, wrong way round: the newest stands last, as in reading.",
        ),
        "zeros": (
            lambda ids, context, padding: contexts(ids, context, 0),
            "You padded with 0, and 0 is a character of its own. Use `padding`.",
        ),
        "no start": (
            only_whole,
            "You left out the places that have too few ids before them. They get padding instead: "
            "N rows for N ids.",
        ),
        "round the corner": (
            lambda ids, context, padding: torch.tensor(
                [[ids[t - back].item() for back in range(context, 0, -1)] for t in range(len(ids))]
            ),
            "In Python an index of −1 is the last id, so the first rows hold the end of the text. "
            "Before the text there is only padding.",
        ),
        "one row too many": (
            cut(pad_left=0, rows=1),
            "You have a row for a place after the last id. There is nothing to guess there.",
        ),
    }
    hints = {"leak": 2, "one too old": 2}


def concat(vectors):
    return torch.cat(list(vectors), 1)


def concat_by_loops(vectors):
    places, sequences, _ = vectors.shape
    rows = []
    for b in range(sequences):
        row = []
        for place in range(places):
            row += vectors[place, b].tolist()
        rows.append(row)
    return torch.tensor(rows)


def stacks_of_vectors(rng: random.Random):
    """Vectors (n, B, C): place first, then sequence."""
    yield (torch.arange(12.0).view(2, 3, 2),)
    for _ in range(23):
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        shape = [rng.randint(2, 6) for _ in range(3)]
        yield (torch.randn(*shape, generator=generator),)


@exercise("05.4", subgoal="side by side")
class SideBySide:
    stub = "def concat(vectors):\n    # vectors (n, B, C), the place first → (B, n · C)\n    ..."
    solution = concat
    spec = concat_by_loops
    inputs = stacks_of_vectors
    mutants = {
        "cut anew": (
            lambda vectors: vectors.reshape(vectors.shape[1], -1),
            "The right shape with the wrong numbers. You cut the long row of all numbers anew, "
            "and that row runs through the whole batch of place 0 first: sequences are mixed.",
        ),
        "flattened": (
            lambda vectors: vectors.flatten(1),
            "You joined the last two axes, so all sequences of one place lie in one row. Each "
            "sequence needs a row of its own.",
        ),
        "not in one piece": (
            lambda vectors: vectors.transpose(0, 1).view(vectors.shape[1], -1),
            "The idea is right: swap the first two axes, then join. But view wants its numbers in "
            "one piece, and after a swap they are not: use flatten(1), or torch.cat.",
        ),
        "below each other": (
            lambda vectors: torch.cat(list(vectors), 0),
            "Axis 0 puts the places below each other. Side by side is axis 1.",
        ),
        "added": (
            lambda vectors: vectors.sum(0),
            "You added the vectors of all places. Then nobody knows any more which stood where.",
        ),
        "newest first": (
            lambda vectors: torch.cat(list(vectors.flip(0)), 1),
            "The places stand in reverse. Place 0 comes first in the row.",
        ),
        "numbers first": (
            lambda vectors: vectors.permute(1, 2, 0).flatten(1),
            "First all first numbers, then all second ones: the vectors are taken apart. Whole "
            "vectors stand side by side.",
        ),
        "last place": (
            lambda vectors: vectors[-1],
            "That is the newest place alone. The others are its memory.",
        ),
    }
    hints = {"cut anew": 2, "flattened": 2}


@exercise("05.5", subgoal="compare")
class AddedUp:
    stub = 'answer = None  # for example "as good as side by side"'
    solution = "worse than a bigram"
    solution_text = 'answer = "worse than a bigram"'
    mutants = {
        "as good": (
            "as good as side by side",
            "A sum does not know what stood where: *tea* and *eat* give the same one. Run it.",
        ),
        "between": (
            "in between",
            "A bigram knows for certain which character is the newest. Does a sum? Run it.",
        ),
        "nothing": (
            "no better than ln 65",
            "Something is left: which characters are near, only not where. Run it.",
        ),
    }


def start_table(vocab_size, n_embd):
    return 0.02 * torch.randn(vocab_size, n_embd)


def start_table_by_loops(vocab_size, n_embd):
    return torch.tensor([[random.gauss(0, 0.02) for _ in range(n_embd)] for _ in range(vocab_size)])


def first_look(make, vocab_size, n_embd):
    """What the first loss of a tied model shows: chance decides the numbers, not this."""
    table = make(vocab_size, n_embd)
    shape = tuple(table.shape)
    logits = table @ table.T  # every id's own vector, against every row
    excess = (-logits.log_softmax(1).mean() - math.log(len(table))).item()
    rows = "differ" if (table != table[0]).any() else "all equal" if table.any() else "all 0"
    above = 0.0 if excess < 0.5 else round(excess, 1)
    return {"shape": shape, "nats above ln V": above, "rows": rows}


def table_sizes(rng: random.Random):
    """Sizes of tables, wide enough for the bug to show."""
    for width in range(24, 48):
        yield rng.randint(50, 100), width


@exercise("05.6", subgoal="begin")
class TiedTable:
    stub = "def start_table(vocab_size, n_embd):\n    return torch.randn(vocab_size, n_embd)"
    solution = start_table
    spec = start_table_by_loops
    inputs = table_sizes
    observe = first_look
    mutants = {
        "zeros": (
            lambda vocab_size, n_embd: torch.zeros(vocab_size, n_embd),
            "The first loss is ln V now, and it stays there: with every number 0, every slope is "
            "0 too. It needs small numbers that differ.",
        ),
        "equal rows": (
            lambda vocab_size, n_embd: torch.full((vocab_size, n_embd), 0.02),
            "All rows are equal, so all tokens look alike. Every row needs numbers of its own.",
        ),
        "larger": (
            lambda vocab_size, n_embd: torch.randn(vocab_size, n_embd) * n_embd**0.5,
            "That goes the wrong way: you multiplied by √C, and the logits grew by C. Make the "
            "numbers smaller.",
        ),
        "half": (
            lambda vocab_size, n_embd: 0.5 * torch.randn(vocab_size, n_embd),
            "Better, and not enough: a vector's dot product with itself adds up C squares. GPT-2 "
            "uses 0.02.",
        ),
        "on its side": (
            lambda vocab_size, n_embd: 0.02 * torch.randn(n_embd, vocab_size),
            "Small enough, but on its side: one row for each character, so (V, C).",
        ),
    }
    hints = {"larger": 2, "half": 2}
