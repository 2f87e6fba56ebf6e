"""The exercises of chapter 08: axes, another text with padding, and heads that are one head."""

import math
import random

import torch
import torch.nn as nn

from gpt2_tutorial.attention import Head
from gpt2_tutorial.checks.engine import exercise, value_exercise


def split_by_loops(x, n_head):
    T, B, C = x.shape
    D = C // n_head
    heads = torch.zeros(B, n_head, T, D, dtype=x.dtype)
    for t in range(T):
        for b in range(B):
            for h in range(n_head):
                for d in range(D):
                    heads[b, h, t, d] = x[t, b, h * D + d]
    return heads


def texts_time_first(rng: random.Random):
    """The numbers 0–7 as in the text, then larger ones; every number occurs once."""
    yield torch.arange(8).view(2, 1, 4), 2
    yield torch.arange(16).view(2, 2, 4), 2
    for _ in range(20):
        T, B, H, D = (rng.randint(1, 4) for _ in range(4))
        yield torch.arange(T * B * H * D).view(T, B, H * D), H
    yield torch.arange(3 * 4 * 6).view(3, 4, 6), 2


@exercise("08.1", subgoal="project", spec=split_by_loops, inputs=texts_time_first)
def split_time_first(x, n_head):
    # x (T, B, C): the tokens come before the texts → (B, H, T, D)
    T, B, C = x.shape
    x = x.view(T, B, n_head, C // n_head)  # (T, B, H, D)
    return x.permute(1, 2, 0, 3)  # (B, H, T, D)


def read_by_loops(x, context, lengths, w_q, w_k, w_v):
    B, T, D = len(x), x.size(1), w_q.size(1)
    out = torch.zeros(B, T, D)
    for b in range(B):
        real = range(int(lengths[b]))
        for i in range(T):
            q = (x[b, i] @ w_q).tolist()
            keys = [(context[b, j] @ w_k).tolist() for j in real]
            dots = [sum(m * n for m, n in zip(q, k, strict=True)) for k in keys]
            powers = [math.exp((dot - max(dots)) / math.sqrt(D)) for dot in dots]
            for j in real:
                out[b, i] += powers[j] / sum(powers) * (context[b, j] @ w_v)
    return out


def two_texts(rng: random.Random):
    """Two texts of different length and three maps; last, a real token with the lowest score."""
    sizes = [(1, 1, 2, 2, 2), (1, 2, 2, 4, 2), (2, 3, 3, 4, 3)]
    sizes += [tuple(rng.randint(2, 5) for _ in range(5)) for _ in range(20)]
    for B, T, S, C, D in sizes:
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        lengths = torch.tensor([rng.randint(1, S) for _ in range(B)])
        lengths[0] = S if rng.random() < 0.5 else max(1, S - 1)
        maps = [torch.randn(C, D, generator=dice) for _ in range(3)]
        texts = (torch.randn(B, size, C, generator=dice) for size in (T, S))
        yield (*texts, lengths, *maps)
    one = torch.ones(1, 1)
    lowest = torch.finfo(torch.float32).min / 2.0**64 * one
    yield one[None], torch.tensor([[[1.0], [0.0]]]), torch.tensor([1]), 2.0**64 * one, lowest, one


@exercise("08.2", subgoal="mask", spec=read_by_loops, inputs=two_texts)
def read_context(x, context, lengths, w_q, w_k, w_v):
    # x (B, T, C), context (B, S, C); only the first lengths[b] tokens of
    # context b are real. The maps are (C, D), used as x @ w. → (B, T, D)
    q = x @ w_q  # 1 project: (B, T, D)
    k, v = context @ w_k, context @ w_v  # (B, S, D)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # 2 score, 3 scale
    padding = torch.arange(context.size(1)) >= lengths[:, None]  # (B, S)
    scores = scores.masked_fill(padding[:, None], -math.inf)  # 4 mask: (B, T, S)
    return scores.softmax(-1) @ v  # 5 weigh, 6 mix: (B, T, D)


def make_heads_by_loop(n_embd, n_head):
    heads = nn.ModuleList()
    for _ in range(n_head):
        heads.append(Head(n_embd, n_embd // n_head))
    return heads


def widths(rng: random.Random):
    """Widths and numbers of heads, the smallest first."""
    yield 4, 2
    yield 32, 4
    for _ in range(20):
        n_head = rng.randint(1, 6)
        yield n_head * rng.randint(1, 4), n_head


def facts(make, n_embd, n_head):
    """What matters about a list of heads: how many there are, and how many are different."""
    heads = make(n_embd, n_head)
    x = torch.randn(2, 5, n_embd)
    outs = [head(x) for head in heads]
    different = [out for i, out in enumerate(outs) if not any(_equal(out, o) for o in outs[:i])]
    learned = sum(p.numel() for p in heads.parameters()) if isinstance(heads, nn.Module) else 0
    return {
        "heads": len(outs),
        "different heads": len(different),
        "numbers to learn": learned,
        "width of each": {out.size(-1) for out in outs},
    }


def _equal(a, b):
    return a.shape == b.shape and torch.equal(a, b)


@exercise("08.3", subgoal="project", spec=make_heads_by_loop, inputs=widths, observe=facts)
def make_heads(n_embd, n_head):
    size = n_embd // n_head
    return nn.ModuleList(Head(n_embd, size) for _ in range(n_head))


value_exercise(
    "08.4", __name__, subgoal="project", stub="answer = None  # for example [[0, 1], [4, 5]]",
    solution="answer = [[2, 3], [6, 7], [10, 11]]",
)  # fmt: skip


value_exercise(
    "08.5", __name__, subgoal="count", stub="answer = None  # a whole number, such as 4224",
    solution="answer = 4 * 768**2 + 4 * 768  # 2,362,368",
)  # fmt: skip


value_exercise(
    "08.6", __name__, subgoal="compare", stub='answer = None  # for example "an error"',
    solution='answer = "100 %"',
)  # fmt: skip
