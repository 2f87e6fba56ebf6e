"""The exercises of chapter 01: normalise, sample, smooth."""

import torch

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


def normalise_by_loops(counts):
    rows = []
    for row in counts.tolist():
        rows.append([count / sum(row) for count in row])
    return torch.tensor(rows)


def random_counts(rng: Dice, size: int, least: int) -> torch.Tensor:
    """A square table of small counts, (V, V)."""
    return torch.tensor([[rng.randint(least, 9) for _ in range(size)] for _ in range(size)])


def square_tables(rng: Dice):
    """Tables with no empty row, beginning with the chapter's own 2 × 2."""
    yield (torch.tensor([[1, 3], [1, 1]]),)
    for size in range(2, 25):
        yield (random_counts(rng, size, least=1),)


@exercise("01.1", subgoal="normalise", spec=normalise_by_loops, inputs=square_tables)
def normalise_rows(counts):
    # counts (V, V) → bets (V, V)
    return counts / counts.sum(1, keepdim=True)


def sample_by_loops(counts, last, u):
    total, running = sum(counts[last].tolist()), 0
    for i, count in enumerate(counts[last].tolist()):
        running += count
        if running > u * total:
            return i


def draws(rng: Dice):
    """Tables, a last character and a number between 0 and 1, the hand example first."""
    hand = torch.tensor([[2, 1, 1], [1, 0, 5], [0, 3, 1]])
    yield hand, 0, 0.6
    yield hand, 1, 0.0
    yield hand, 2, 0.0  # an empty first cell: the running sum has to be above, not at, the mark
    for size in range(3, 33):
        counts = random_counts(rng, size, least=0) + torch.eye(size).long()
        yield counts, rng.randrange(size), rng.random()


@exercise("01.2", subgoal="sample", spec=sample_by_loops, inputs=draws)
def sample_next(counts, last, u):
    # counts (V, V), last an id, 0 ≤ u < 1 → the next id
    row = counts[last]  # (V,)
    return int((row.cumsum(0) <= u * row.sum()).sum())


def smooth_by_loops(counts, alpha):
    return normalise_by_loops(counts + alpha)


def tables_with_gaps(rng: Dice):
    """Tables that hold an empty row, and an α."""
    yield torch.tensor([[2, 1], [0, 0]]), 1.0
    for size in range(2, 25):
        counts = random_counts(rng, size, least=0)
        counts[rng.randrange(size)] = 0
        yield counts, rng.choice([0.01, 0.1, 0.5, 1.0])


@exercise("01.3", subgoal="smooth", spec=smooth_by_loops, inputs=tables_with_gaps)
def smooth(counts, alpha):
    return (counts + alpha) / (counts + alpha).sum(1, keepdim=True)


value_exercise(
    "01.4", __name__, subgoal="sample", stub='order = None  # for example "ABCDEF"',
    solution='order = "EBCDAF"',
)  # fmt: skip


value_exercise(
    "01.5", __name__, subgoal="smooth", atol=1e-6, hints={"second": 2},
    stub='answer = None  # for example (0.5, "yes")',
    solution='answer = (0.03, "no")',
)  # fmt: skip
