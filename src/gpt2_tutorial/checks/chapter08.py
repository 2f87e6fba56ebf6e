"""The exercises of chapter 08: many heads, another text, and heads that are one head."""

import math
from functools import partial

import torch
import torch.nn as nn

from gpt2_tutorial.attention import Head, causal_attention
from gpt2_tutorial.checks.judges import attention_by_loops, judged
from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


def multi_head_by_loops(x, n_head, w_q, w_k, w_v, w_o):
    D, found = x.size(-1) // n_head, []
    for h in range(n_head):
        q, k, v = (x @ w[:, h * D : (h + 1) * D] for w in (w_q, w_k, w_v))
        found.append(attention_by_loops(q, k, v))
    return torch.cat(found, -1) @ w_o


def texts_and_maps(rng: Dice):
    """The numbers 0–7 through maps that change nothing, then any texts and maps."""
    yield torch.arange(8.0).view(1, 2, 4), 2, *(torch.eye(4) for _ in range(4))
    for n in range(19):
        B, T, H, D = 1 + n % 2, 2 + n // 2 % 2, 2 + n % 2, 2 + n // 4 % 2
        yield rng.randn(B, T, H * D), H, *rng.randn(4, H * D, H * D) / 2


@exercise(
    "08.1", subgoal="project", spec=multi_head_by_loops, inputs=texts_and_maps,
    observe=partial(judged, multi_head_by_loops),
)  # fmt: skip
def multi_head(x, n_head, w_q, w_k, w_v, w_o):
    # x (B, T, C), four maps (C, C), used as x @ w → (B, T, C)
    B, T, C = x.shape
    cut = B, T, n_head, C // n_head
    q = (x @ w_q).view(cut).transpose(1, 2)  # 1 project, split: (B, H, T, D)
    k = (x @ w_k).view(cut).transpose(1, 2)
    v = (x @ w_v).view(cut).transpose(1, 2)
    found = causal_attention(q, k, v)  # 2 to 6: (B, H, T, D)
    merged = found.transpose(1, 2).contiguous().view(B, T, C)
    return merged @ w_o  # the output projection


def read_by_loops(x, context, lengths, w_q, w_k, w_v):
    rows = []
    for b, length in enumerate(lengths.tolist()):
        real = context[b, :length]  # without padding, so there is no mask
        for token in x[b]:
            scores = (real @ w_k) @ (token @ w_q) / math.sqrt(w_q.size(1))
            rows.append(scores.softmax(0) @ (real @ w_v))
    return torch.stack(rows).view(*x.shape[:2], -1)


def two_texts(rng: Dice):
    """Two texts of different length and three maps; last, a real token with the lowest score."""
    sizes = [(1, 1, 2, 2, 2), (1, 2, 2, 4, 2), (2, 3, 3, 4, 3)]
    sizes += [tuple(rng.randint(2, 5) for _ in range(5)) for _ in range(20)]
    for B, T, S, C, D in sizes:
        lengths = [rng.choice([S, max(1, S - 1)]), *(rng.randint(1, S) for _ in range(B - 1))]
        texts = rng.randn(B, T, C), rng.randn(B, S, C)
        yield *texts, torch.tensor(lengths), *rng.randn(3, C, D)
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


def widths(rng: Dice):
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
    different = [out for i, out in enumerate(outs) if not any(out.equal(o) for o in outs[:i])]
    learned = sum(p.numel() for p in heads.parameters()) if isinstance(heads, nn.Module) else 0
    return {
        "heads": len(outs),
        "different heads": len(different),
        "numbers to learn": learned,
        "width of each": {out.size(-1) for out in outs},
    }


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
