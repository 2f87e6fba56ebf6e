"""The exercises of chapter 09: merging two parts of a row, tiles and their masks, a guard."""

import math
from dataclasses import dataclass

import torch

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


def merge_by_one_row(left, right):
    """Each part as a single score with a single value, and one safe softmax over the two."""
    highest = max(left[0], right[0])
    total = mixed = 0.0
    for largest, part, weighed in (left, right):
        if part > 0:
            weight = math.exp(math.log(part) + largest - highest)
            total += weight
            mixed += weight * (weighed / part)
    return highest, total, mixed


def part_of_a_row(rng: Dice, shift: float):
    """The three numbers of one to four scores, drawn around `shift`."""
    scores = [shift + rng.randint(-30, 30) / 10 for _ in range(rng.randint(1, 4))]
    weights = [math.exp(score - max(scores)) for score in scores]
    return max(scores), sum(weights), sum(weight * rng.randint(1, 9) for weight in weights)


def pairs_of_parts(rng: Dice):
    """The two blocks of the chapter, an empty part, then random ones; some scores are huge."""
    yield (3.0, 1.1353353, 21.353353), (5.0, 1.0497871, 41.493612)
    yield (-math.inf, 0.0, 0.0), (2.0, 1.5, 12.0)
    for i in range(24):
        shift = 1000.0 if i % 6 == 5 else 0.0
        yield part_of_a_row(rng, shift), part_of_a_row(rng, shift)


@exercise("09.1", subgoal="weigh", spec=merge_by_one_row, inputs=pairs_of_parts)
def merge(left, right):
    # left and right: (largest, total, mixed) of two parts of one row of scores
    # → the same three numbers for the whole row
    (m1, s1, mixed1), (m2, s2, mixed2) = left, right
    m = max(m1, m2)
    a, b = math.exp(m1 - m), math.exp(m2 - m)  # how much each part shrinks
    return m, a * s1 + b * s2, a * mixed1 + b * mixed2


def tile_by_loops(T, R, S, i, j):
    answer = []
    for row in range(i * R, min((i + 1) * R, T)):
        answer.append([key <= row for key in range(j * S, min((j + 1) * S, T))])
    return torch.tensor(answer)


def tiles(rng: Dice):
    """Tiles of all kinds: square and not, of past and future, cut short by the end of the text."""
    yield 8, 4, 4, 1, 1
    yield 8, 4, 2, 0, 1
    yield 8, 2, 4, 1, 0
    yield 7, 4, 4, 1, 0
    yield 7, 4, 4, 1, 1
    yield 6, 2, 2, 0, 2
    for _ in range(30):
        T, R, S = rng.randint(2, 12), rng.randint(1, 5), rng.randint(1, 5)
        yield T, R, S, rng.randrange(-(-T // R)), rng.randrange(-(-T // S))


@exercise("09.2", subgoal="mask", spec=tile_by_loops, inputs=tiles)
def tile(T, R, S, i, j):
    # R queries in a block, S keys in a block, T tokens; tile (i, j)
    # → (rows, keys) of bool: may this query look at this key?
    rows = torch.arange(T)[i * R : (i + 1) * R]
    keys = torch.arange(T)[j * S : (j + 1) * S]
    return keys <= rows[:, None]


@dataclass(frozen=True)
class Suspect:
    """An attention function with a name, and with or without a hole in its mask."""

    name: str

    def __call__(self, q, k, v):
        return SUSPECTS[self.name](q, k, v)


def weigh(q, k, hidden=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.softmax(-1)


def future(q, distance=1):
    return torch.ones(q.size(-2), q.size(-2), dtype=torch.bool).triu(distance)


def open_at(row, key):
    """Causal, but for one hole: this row looks at this later key, and at none between."""

    def attend(q, k, v):
        hidden = future(q)
        hidden[row : row + 1, key : key + 1] = False  # a text may end before either
        return weigh(q, k, hidden) @ v

    return attend


def token_before(q, k, v):
    """Each token gets the value of the one before it; honest, and deaf to itself."""
    return torch.cat([torch.zeros_like(v[..., :1, :]), v[..., :-1, :]], dim=-2)


def mean_added(q, k, v):
    # v may be of another width than q: identity cards are
    return weigh(q, k, future(q)) @ v + (q.mean(-1, keepdim=True) + v).mean(-2, keepdim=True)


def second_head_open(q, k, v):
    return torch.stack([weigh(q, k, future(q))[:, 0], weigh(q, k)[:, 1]], 1) @ v


def scaled_and_back(q, k, v):
    """Honest; but with other values, later ones too, it rounds the last digit differently."""
    scale = v.detach().norm()
    return weigh(q, k, future(q)) @ v / scale * scale


SUSPECTS = {
    "causal": lambda q, k, v: weigh(q, k, future(q)) @ v,
    "no mask": lambda q, k, v: weigh(q, k) @ v,
    "one too far": lambda q, k, v: weigh(q, k, future(q, 2)) @ v,
    "masked after softmax": lambda q, k, v: weigh(q, k).masked_fill(future(q), 0.0) @ v,
    "open at the start": open_at(0, 1),
    "open in the middle": open_at(2, 3),
    "open far away": open_at(0, 3),
    "second head open": second_head_open,
    "a little open": lambda q, k, v: (0.97 * weigh(q, k, future(q)) + 0.03 * weigh(q, k)) @ v,
    "scaled and back": scaled_and_back,
    "average of the past": lambda q, k, v: weigh(0 * q, k, future(q)) @ v,
    "token before": token_before,
    "mean of all added": mean_added,
}


def leaks_by_cutting(attend, q, k, v):
    """An early token must get the same answer when the text ends with it."""
    whole = attend(q, k, v)
    for t in range(1, q.size(-2)):
        cut = attend(q[..., :t, :], k[..., :t, :], v[..., :t, :])
        if (cut - whole[..., :t, :]).abs().max() > 1e-5:
            return True
    return False


def suspects(rng: Dice):
    """Each suspect three times, with texts of four to seven tokens and two heads."""
    for name in 3 * list(SUSPECTS):
        yield Suspect(name), *rng.randn(3, 1, 2, rng.randint(4, 7), 4)


@exercise("09.3", subgoal="mask", spec=leaks_by_cutting, inputs=suspects)
def leaks(attend, q, k, v):
    # attend(q, k, v) → (B, H, T, D), perhaps with a hole in its mask
    # → True if what a token gets depends on any later token, otherwise False
    before = attend(q, k, v)
    for t in range(1, q.size(-2)):
        other_k, other_v = k.clone(), v.clone()
        other_k[..., t, :] += 1
        other_v[..., t, :] += 1
        after = attend(q, other_k, other_v)
        if not torch.allclose(after[..., :t, :], before[..., :t, :]):
            return True
    return False


value_exercise(
    "09.4", __name__, subgoal="weigh", atol=0.01,
    stub="answer = None  # [sum, mixed, mixed / sum], for example [4, 90, 22.5]",
    solution="answer = [2.5, 100, 40]",
)  # fmt: skip


value_exercise(
    "09.5", __name__, subgoal="score", atol=0.5, stub="answer = None  # in MB, for example 50.3",
    solution="answer = 12 * 4096**2 * 4 / 1e6",
)  # fmt: skip


value_exercise(
    "09.6", __name__, subgoal="weigh",
    stub='answer = None  # the letters in the order of the alphabet, for example "BD"',
    solution='answer = "AC"',
)  # fmt: skip
