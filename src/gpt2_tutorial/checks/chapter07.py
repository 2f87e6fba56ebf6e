"""The exercises of chapter 07: averages, attention itself, masks, a softmax along a wrong axis."""

import math

import torch

from gpt2_tutorial.checks.judges import attention_by_loops, judged
from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


def mean_of_last_by_loops(x, width):
    rows = []
    for t in range(len(x)):
        rows.append(x[max(t - width + 1, 0) : t + 1].mean(0))
    return torch.stack(rows)


def rows_and_widths(rng: Dice):
    """A few rows of numbers, and how many of them count: one, some, all, more than there are."""
    yield torch.tensor([[2.0], [4.0], [6.0], [8.0]]), 2
    yield torch.tensor([[2.0, 1.0], [4.0, 5.0]]), 1
    yield torch.tensor([[2.0, 1.0], [4.0, 5.0], [0.0, 3.0]]), 9
    for size in range(3, 24):
        yield rng.randn(size, 1 + size % 4), rng.randint(1, size + 1)


@exercise(
    "07.1", subgoal="weigh", spec=mean_of_last_by_loops, inputs=rows_and_widths, without=("loop",)
)
def mean_of_last(x, width):
    # x (T, C) → (T, C): row t is the mean of rows t − width + 1 … t
    ones = torch.ones(len(x), len(x))
    band = ones.tril() - ones.tril(-width)  # (T, T): itself and width − 1 before it
    return band / band.sum(1, keepdim=True) @ x  # (T, C)


def on_ladder_and_probe(attend, q, k, v):
    """What the chapter asks of attention: the loops' numbers and gradients, and no leak."""
    return judged(attention_by_loops, attend, q, k, v, probed=(lambda x: attend(x, x, x), v))


def tokens_that_ask(rng: Dice):
    """The chapter's three words, scores that tempt or lie low, then any; v is as wide as it is."""
    cards = torch.eye(3)[None]
    words = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    yield words, words, words
    column = torch.tensor([[[-20.0], [0.0], [20.0]]])
    yield torch.full_like(column, 20.0), column, cards  # the future is very tempting
    yield torch.full_like(column, 1e5), torch.tensor([[[-2e4], [-3e4], [0.0]]]), cards
    lowest = torch.finfo(torch.float32).min
    low = torch.tensor([[[lowest / 2.0**64], [0.0], [1.0]]])
    yield torch.full_like(low, 2.0**64), low, cards  # a true score as low as numbers go
    for n in range(16):
        B, T, D = 1 + n % 3, 2 + n % 5, 2 + n % 3
        yield tuple(rng.randn(3, B, T, D))


@exercise(
    "07.2", subgoal="mix", spec=attention_by_loops, inputs=tokens_that_ask,
    observe=on_ladder_and_probe, without=("scaled_dot_product_attention",),
)  # fmt: skip
def causal_attention(q, k, v):
    # q, k and v (B, T, D) → (B, T, D), steps 2 to 6
    T, D = q.shape[-2:]
    scores = q @ k.transpose(-2, -1)  # 2 score: (B, T, T)
    scores = scores / math.sqrt(D)  # 3 scale
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    scores = scores.masked_fill(future, -math.inf)  # 4 mask
    return scores.softmax(-1) @ v  # 5 weigh, 6 mix


def weights_within_by_loops(scores, sentence):
    weights = torch.zeros_like(scores)
    for i in range(len(scores)):
        open_to = [j for j in range(i + 1) if sentence[j] == sentence[i]]
        weights[i, open_to] = scores[i, open_to].softmax(0)
    return weights


def scores_and_sentences(rng: Dice):
    """Ordinary scores first; some lie below −10,000, as in a real bug report, or as low as any."""
    yield torch.zeros(3, 3), torch.tensor([0, 0, 0])
    yield torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0]]), torch.tensor([0, 0, 1])
    for size in range(2, 23):
        scores = rng.randn(size, size) - {4: 20_000, 0: 2e9}.get(size % 5, 0)
        if size % 5 == 2:  # the future is very tempting
            scores = scores + torch.full_like(scores, 300.0).triu(1)
        ids = [n for n in range(size) for _ in range(rng.randint(1, 4))]
        yield scores, torch.tensor(ids[:size])
    lowest = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    yield torch.finfo(torch.float32).min * lowest, torch.tensor([0, 1, 1])  # where it is open


@exercise("07.3", subgoal="mask", spec=weights_within_by_loops, inputs=scores_and_sentences)
def weights_within(scores, sentence):
    # scores (T, T), sentence (T,) → weights (T, T), every row sums to 1
    T = len(scores)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    elsewhere = sentence[:, None] != sentence[None, :]  # (T, T)
    return scores.masked_fill(future | elsewhere, -math.inf).softmax(-1)


@exercise("07.4", subgoal="weigh", spec=attention_by_loops, inputs=tokens_that_ask)
def attend(q, k, v):
    scores = q @ k.transpose(1, 2) / math.sqrt(q.size(-1))  # 2 score, 3 scale
    future = torch.ones(q.size(1), q.size(1), dtype=torch.bool).triu(1)
    scores = scores.masked_fill(future, -math.inf)  # 4 mask
    weights = scores.softmax(2)  # 5 weigh
    return weights @ v  # 6 mix


value_exercise(
    "07.5", __name__, subgoal="mix", atol=0.01, stub="answer = None  # for example [0.5, 0.5]",
    solution="answer = [0.8, 0.6]",
)  # fmt: skip


value_exercise(
    "07.6", __name__, subgoal="mask", stub="answer = None  # a list of places, for example [2, 3]",
    solution="answer = [0, 1]",
)  # fmt: skip


value_exercise(
    "07.7", __name__, subgoal="compare", stub='answer = None  # for example "always 100 %"',
    solution='answer = "sometimes stuck"',
)  # fmt: skip
