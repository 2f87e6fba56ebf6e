"""The exercises of chapter 01: normalise, sample, smooth."""

import random

import torch

from gpt2_tutorial.checks.engine import exercise


def normalise_rows(counts):
    return counts / counts.sum(1, keepdim=True)


def normalise_by_loops(counts):
    rows = []
    for row in counts.tolist():
        rows.append([count / sum(row) for count in row])
    return torch.tensor(rows)


def random_counts(rng: random.Random, size: int, least: int) -> torch.Tensor:
    """A square table of small counts, (V, V)."""
    return torch.tensor([[rng.randint(least, 9) for _ in range(size)] for _ in range(size)])


def square_tables(rng: random.Random):
    """Tables with no empty row, beginning with the chapter's own 2 × 2."""
    yield (torch.tensor([[1, 3], [1, 1]]),)
    for size in range(2, 25):
        yield (random_counts(rng, size, least=1),)


@exercise("01.1", subgoal="normalise")
class NormaliseRows:
    stub = "def normalise_rows(counts):\n    # counts (V, V) → bets (V, V)\n    ..."
    solution = normalise_rows
    spec = normalise_by_loops
    inputs = square_tables
    mutants = {
        "columns": (
            lambda counts: counts / counts.sum(0, keepdim=True),
            "Your columns sum to 1, not your rows: the sum ran down the columns (axis 0).",
        ),
        "no keepdim": (
            lambda counts: counts / counts.sum(1),
            "You summed along the rows, but lost the column shape: (V,) is repeated as a row. "
            "Keep it as (V, 1).",
        ),
        "total": (
            lambda counts: counts / counts.sum(),
            "The whole table sums to 1. Every row must, on its own.",
        ),
        "softmax": (
            lambda counts: counts.float().softmax(1),
            "Softmax makes rows that sum to 1, but from e to the power of the counts: 2 against 1 "
            "would become 2.7 to 1. Shares need a plain division.",
        ),
        "smoothed": (
            lambda counts: (counts + 1) / (counts + 1).sum(1, keepdim=True),
            "You smoothed as well. That is step 5; here no row is empty and nothing is added.",
        ),
        "logarithms": (
            lambda counts: (counts / counts.sum(1, keepdim=True)).log(),
            "You went on to the logarithm. Return the bets themselves; the price comes later.",
        ),
        "largest": (
            lambda counts: counts / counts.amax(1, keepdim=True),
            "You divided by the largest count of each row. Divide by the sum.",
        ),
    }
    hints = {"no keepdim": 2}


def sample_next(counts, last, u):
    row = counts[last]  # (V,)
    return int((row.cumsum(0) <= u * row.sum()).sum())


def sample_by_loops(counts, last, u):
    total, running = sum(counts[last].tolist()), 0
    for i, count in enumerate(counts[last].tolist()):
        running += count
        if running > u * total:
            return i


def first_above(sums, u, total=None):
    """The first place whose number is above the mark; None when there is none."""
    mark = u * (sum(sums) if total is None else total)
    return next((i for i, number in enumerate(sums) if number > mark), None)


def draws(rng: random.Random):
    """Tables, a last character and a number between 0 and 1, the hand example first."""
    hand = torch.tensor([[2, 1, 1], [1, 0, 5], [0, 3, 1]])
    yield hand, 0, 0.6
    yield hand, 1, 0.0
    yield hand, 2, 0.0  # an empty first cell: the running sum has to be above, not at, the mark
    for size in range(3, 33):
        yield (
            random_counts(rng, size, least=0) + torch.eye(size).long(),
            rng.randrange(size),
            (rng.random()),
        )


@exercise("01.2", subgoal="sample")
class SampleNext:
    stub = (
        "def sample_next(counts, last, u):\n"
        "    # counts (V, V), last an id, 0 ≤ u < 1 → the next id\n"
        "    ..."
    )
    solution = sample_next
    spec = sample_by_loops
    inputs = draws
    mutants = {
        "largest": (
            lambda counts, last, u: int(counts[last].argmax()),
            "You always take the largest bet and never look at u. That is not drawing.",
        ),
        "column": (
            lambda counts, last, u: sample_next(counts.T, last, u),
            "You walked down the column of the last character: what came before it, not after.",
        ),
        "one too far": (
            lambda counts, last, u: sample_next(counts, last, u) + 1,
            "Every answer is one too high. Count the running sums that are not above the mark.",
        ),
        "raw counts": (
            lambda counts, last, u: int((counts[last].cumsum(0) <= u).sum()),
            "You compared counts with u. u is a share: multiply it by the sum of the row.",
        ),
        "at the mark": (
            lambda counts, last, u: int((counts[last].cumsum(0) < u * counts[last].sum()).sum()),
            "You stop when the running sum is at the mark; it has to be above. With u = 0 you "
            "would draw a character that never came.",
        ),
        "single counts": (
            lambda counts, last, u: first_above(counts[last].tolist(), u),
            "You compare each count with the mark. Compare the running sum of the counts.",
        ),
        "tests first": (
            lambda counts, last, u: first_above(
                [0, *counts[last].cumsum(0).tolist()[:-1]], u, total=counts[last].sum().item()
            ),
            "You test before you add the count: every character is passed over once too often.",
        ),
        "other dice": (
            lambda counts, last, u: torch.multinomial(counts[last].float(), 1).item(),
            "You threw dice of your own. The number u is the throw: use it.",
        ),
        "all rows": (
            lambda counts, last, u: int((counts.sum(0).cumsum(0) <= u * counts.sum()).sum()),
            "You drew by the letter frequencies of the whole table. Only the row of `last` counts.",
        ),
    }
    hints = {"raw counts": 2, "one too far": 2}


def smooth(counts, alpha):
    return (counts + alpha) / (counts + alpha).sum(1, keepdim=True)


def smooth_by_loops(counts, alpha):
    rows = []
    for row in counts.tolist():
        raised = [count + alpha for count in row]
        rows.append([count / sum(raised) for count in raised])
    return torch.tensor(rows)


def tables_with_gaps(rng: random.Random):
    """Tables that hold an empty row, and an α."""
    yield torch.tensor([[2, 1], [0, 0]]), 1.0
    for size in range(2, 25):
        counts = random_counts(rng, size, least=0)
        counts[rng.randrange(size)] = 0
        yield counts, rng.choice([0.01, 0.1, 0.5, 1.0])


@exercise("01.3", subgoal="smooth")
class SmoothBug:
    stub = (
        "def smooth(counts, alpha):\n"
        "    probs = counts / counts.sum(1, keepdim=True)\n"
        "    return probs + alpha"
    )
    solution = smooth
    spec = smooth_by_loops
    inputs = tables_with_gaps
    mutants = {
        "old sum": (
            lambda counts, alpha: (counts + alpha) / counts.sum(1, keepdim=True),
            "The counts are raised, but you divide by their old sum: the rows sum to more than 1.",
        ),
        "smoothed bets": (
            lambda counts, alpha: (
                (counts / counts.sum(1, keepdim=True) + alpha) / (1 + alpha * counts.shape[1])
            ),
            "Your rows sum to 1, but you smooth bets instead of counts: a row seen twice is "
            "smoothed as much as one seen two thousand times, and the empty row is still nan.",
        ),
        "no keepdim": (
            lambda counts, alpha: (counts + alpha) / (counts + alpha).sum(1),
            "The sums lost their column shape, so they are repeated along the rows: keepdim=True.",
        ),
        "nan made zero": (
            lambda counts, alpha: normalise_rows(
                (counts / counts.sum(1, keepdim=True)).nan_to_num(0) + alpha
            ),
            "You hid the nan and made the rows sum to 1 again. But α was still added to bets, not "
            "to counts, and a rare row is smoothed no more than a common one.",
        ),
        "only zeros": (
            lambda counts, alpha: normalise_rows(torch.where(counts == 0, alpha, counts)),
            "You raised only the zeros. Every cell gets α, or a pair seen once would gain nothing.",
        ),
        "one alpha a row": (
            lambda counts, alpha: (counts + alpha) / (counts.sum(1, keepdim=True) + alpha),
            "The sum of a row grows by α for each of its cells, so by αV, not by α.",
        ),
        "columns": (
            lambda counts, alpha: (counts + alpha) / (counts + alpha).sum(0, keepdim=True),
            "Your columns sum to 1 instead of your rows.",
        ),
    }
    hints = {"smoothed bets": 2}


@exercise("01.4", subgoal="sample")
class GenerateLoop:
    stub = 'order = None  # for example "ABCDEF"'
    solution = "EBCDAF"
    solution_text = 'order = "EBCDAF"'
    mutants = {
        "bets once": (
            "ECBDAF",
            "The bets are looked up once, before the loop: every draw is from the first row.",
        ),
        "starts over": (
            "BECDAF",
            "ids begins anew in every round, so the text never grows past two characters.",
        ),
        "returns early": (
            "EBCDFA",
            "The function returns before it has put the first draw at the end.",
        ),
        "draws first": (
            "EBDCAF",
            "You draw before you have looked the bets up.",
        ),
        "appends first": (
            "EBACDF",
            "You append next_id before you look anything up, and before it is drawn.",
        ),
        "appends undrawn": (
            "EBCADF",
            "You append next_id one line before you draw it.",
        ),
        "draws once": (
            "ECDBAF",
            "Bets and draw stand before the loop: it appends the same character every time.",
        ),
    }


@exercise("01.5", subgoal="smooth")
class ChooseAlpha:
    stub = 'answer = None  # for example (0.5, "yes")'
    solution = (0.03, "no")
    solution_text = 'answer = (0.03, "no")'
    mutants = {
        "as good": (
            (0.03, "yes"),
            "The α is right. But print the losses on `practice`: which α wins there, and why?",
        ),
        "training": (
            (0.003, "no"),
            "That α wins on the text the table has counted. Score it on `tune`.",
        ),
        "heavy": (
            (1.0, "no"),
            "α = 1 was fine for pairs. With four characters most rows are thin, and 65 pretended "
            "characters drown what was seen.",
        ),
        "neighbour": (
            (0.1, "no"),
            "Close. Is the loss on `tune` lower to the left or to the right of it?",
        ),
        "other side": (
            (0.01, "no"),
            "Close, but a little more smoothing is better still on `tune`.",
        ),
    }
    atol = 1e-6
