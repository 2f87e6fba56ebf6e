"""Answers that readers of chapters 06 to 10 really gave: what the checkers make of each.

An answer is a whole function, or edits of the solution as in the tables of mistakes, or a value.
"""

import importlib

import pytest
import torch

from gpt2_tutorial.checks import load, run
from gpt2_tutorial.checks.edits import Mistake, Source, compiled, edited, source_of

REPLAY = "def encode(ids, merges):\n    for pair, new in merges.items():\n"
REPLAY += "        ids = merge(ids, pair, new)\n    return ids"
MOST_COMMON = """def encode(ids, merges):
    ids = list(ids)
    while True:
        counts = Counter(pair for pair in pairwise(ids) if pair in merges)
        if not counts:
            return ids
        pair = counts.most_common(1)[0][0]
        ids = merge(ids, pair, merges[pair])"""
MIN_OVER_ALL = """def encode(ids, merges):
    ids = list(ids)
    while len(ids) > 1:
        pair = min(pairwise(ids), key=merges.get)
        if pair not in merges:
            break
        ids = merge(ids, pair, merges[pair])
    return ids"""
BY_KEYS = """def encode(ids, merges):
    ids = list(ids)
    while common := merges.keys() & set(pairwise(ids)):
        pair = min(common, key=merges.get)
        ids = merge(ids, pair, merges[pair])
    return ids"""
ROWS = "def mean_of_last(x, width):\n    rows = range(len(x))\n"
ROWS += "    return torch.stack([x[max(0, t - width + 1) : t + 1].mean(0) for t in rows])"
NORMALIZED = "    return torch.nn.functional.layer_norm(x, x.shape[-1:], gain, shift, eps)"
NORMALIZED = f"def layer_norm(x, gain, shift, eps=1e-5):\n{NORMALIZED}"
CARDS = "def leaks(attend, q, k, v):\n    cards = torch.eye(q.size(-2)).expand(*q.shape[:-1], -1)\n"
CARDS += "    return bool(attend(q, k, cards).triu(1).abs().max() > 1e-6)"
GRADIENTS = """def leaks(attend, q, k, v):
    k, v = k.requires_grad_(), v.requires_grad_()
    out = attend(q, k, v)
    for t in range(q.size(-2) - 1):
        row = out[..., t, :].sum()
        for g in torch.autograd.grad(row, (k, v), retain_graph=True, allow_unused=True):
            if g is not None and g[..., t + 1 :, :].abs().max() > 1e-6:
                return True
    return False"""
NOT_CLOSE = "not torch.allclose(after[..., :t, :], before[..., :t, :])"
MOVED = "(after[..., :t, :] - before[..., :t, :]).abs().max()"
TO_X = "`context @ w_k, context @ w_v` → `x @ w_k, x @ w_v`"
UNMASKED = "`scores.masked_fill(padding[:, None], -math.inf)` → `scores`"

ANSWERS = [  # exercise, answer, and its known mistake or else the kind of result
    ("06.1", "`i += 2` → `i += 1` and `len(ids)` → `len(ids) - 1`", "one step and one short"),
    (
        "06.1",
        "`len(ids)` → `len(ids) - 1` and `return merged` → `return merged + ids[-1:]`",
        "last id twice",
    ),
    ("06.1", "`== pair` → `in (pair, pair[::-1])`", "either order"),
    ("06.2", REPLAY, "every merge tried"),
    ("06.2", BY_KEYS, "passed"),
    ("06.2", MOST_COMMON, "most frequent first, everywhere"),
    ("06.2", "`min(found, key=merges.get)` → `max(found, key=found.count)`", "most frequent first"),
    ("06.2", "`min(found, key=merges.get)` → `min(found)`", "smallest pair"),
    ("06.2", MIN_OVER_ALL, "pairs without a merge"),
    ("06.4", r"`[^\s\p{L}\p{N}]` → `[^\sa-zA-Z0-9]`", "third part as it was"),
    ("06.4", r"`[^\s\p{L}\p{N}]` → `[^\s\p{L}]`", "third part without numbers"),
    (
        "06.4",
        r"`\p{N}+|` → `[0-9]+|` and `[^\s\p{L}\p{N}]` → `[^\sa-zA-Z0-9]`",
        "only the first part",
    ),
    ("06.4", r"`\p{L}+|` → `[\p{L}\p{M}]+|`", "marks as letters"),
    ("06.5", ["es", "st"], "counts of the start"),
    ("06.5", ["ne", "new"], "six times"),
    ("07.1", "`sum(1, keepdim=True)` → `sum(1)`", "no keepdim"),
    ("07.1", ROWS, "borrowed"),
    ("07.3", "`-math.inf` → `-1e30`", "enormous number"),
    ("07.3", "`-math.inf` → `torch.finfo(torch.float32).min`", "lowest number"),
    ("07.3", "`-math.inf` → `(scores.min() - 1e4).item()`", "lowest number"),
    ("07.4", "`-math.inf` → `-1e4`", "a number"),
    ("07.4", "`-math.inf` → `-1e9`", "a number"),
    ("07.4", "`-math.inf` → `torch.finfo(torch.float32).min`", "value"),
    ("07.4", "`softmax(2)` → `softmax(0)`", "batch"),
    (
        "07.4",
        "`scores.masked_fill(future, -math.inf)` → `scores` and "
        "`scores.softmax(2)` → `scores.softmax(2) * ~future`",
        "masked afterwards",
    ),
    ("08.2", TO_X, "self-attention, mask of the context"),
    ("08.2", f"{TO_X} and `context.size(1)` → `k.size(1)`", "self-attention"),
    ("08.2", "`math.sqrt(q.size(-1))` → `q.size(-1)`", "by D"),
    ("08.2", "`x @ w_q` → `x @ w_k` and `context @ w_k` → `context @ w_q`", "maps exchanged"),
    (
        "08.2",
        "`k, v` → `kept = (torch.arange(context.size(1)) < lengths[:, None])[..., None]; "
        f"context = context * kept; k, v` and {UNMASKED}",
        "padding zeroed",
    ),
    ("08.2", "`-math.inf` → `-1e4`", "a number"),
    ("08.2", "`-math.inf` → `torch.finfo(torch.float32).min`", "lowest number"),
    (
        "08.3",
        "`Head(n_embd, size) for` → `nn.ModuleList([Head(n_embd, size)]) for`",
        "list in a list",
    ),
    ("08.4", [[8, 9], [10, 11]], "last token"),
    ("08.4", [2, 3, 6, 7, 10, 11], "flat"),
    ("09.3", f"`{NOT_CLOSE}` → `{MOVED} > 0.1`", "high bound"),
    ("09.3", f"`{NOT_CLOSE}` → `{MOVED} > 0.001`", "passed"),
    ("09.3", f"`{NOT_CLOSE}` → `{MOVED} > 1e-6`", "passed"),
    ("09.3", f"`{NOT_CLOSE}` → `{MOVED} > 0`", "bound of zero"),
    ("09.3", CARDS, "values alone"),
    ("09.3", GRADIENTS, "passed"),
    ("10.2", NORMALIZED, "borrowed"),
    (
        "10.2",
        "`torch.sqrt(variance + eps)` → `(x.std(-1, keepdim=True) + eps)`",
        "n minus 1, eps outside",
    ),
    (
        "10.2",
        "every `.mean(-1, keepdim=True)` → `.mean()`",
        "one mean for all",
    ),
    (
        "10.2",
        "`x.mean(-1, keepdim=True)` → `x.sum() / len(x)` and "
        "`((x - mean) ** 2).mean(-1, keepdim=True)` → `((x - mean) ** 2).sum() / len(x)`",
        "level_token as it was",
    ),
    ("10.2", "`variance + eps` → `variance + 1e-5`", "eps of its own"),
    ("10.3", "`attn(ln_1(x))` → `attn(ln_2(x))` and `c_fc(ln_2(` → `c_fc(ln_1(`",
     "norms exchanged"),
    ("10.3", "`attn(ln_1(x))` → `ln_1(attn(x))` and `c_fc(ln_2(x))` → `c_fc(x)` and "
     "`return x + c_proj(wider)` → `return x + ln_2(c_proj(wider))`", "norm behind"),
    ("10.4", "`chance >= p` → `chance > p`", "border"),
    ("10.4", "`/ (1 - p)` → `* len(x) / (chance >= p).sum()`", "share that stayed"),
    ("10.5", "`std * torch.randn(shape)` → `torch.zeros(shape)`", "zeros"),
    ("10.5", "`std / math.sqrt` → `std * math.sqrt`", "multiplied"),
    ("10.5", "`torch.randn` → `torch.rand`", "rand"),
    ("10.5", "`return std` → `return std**0.5`", "as a variance"),
]  # fmt: skip


def given(id: str, answer: object) -> object:
    if not isinstance(answer, str):
        return answer
    module = importlib.import_module(f"gpt2_tutorial.checks.chapter{id[:2]}")
    names, text = {"torch": torch, **vars(module)}, answer
    if not answer.startswith("def "):
        solution = next(exercise for exercise in load(id[:2]) if exercise.id == id).solution
        source = source_of(solution)
        body = edited(source.body, Mistake("an answer", answer, "", id))
        text = Source(source.signature, "", body).text
    return compiled(text, f"an answer to {id}", names)


@pytest.mark.parametrize(("id", "answer", "found"), ANSWERS)
def test_what_a_reader_wrote_is_told_for_what_it_is(id, answer, found):
    result = run(id, given(id, answer))
    assert (result.mutant or result.kind) == found, result.message
