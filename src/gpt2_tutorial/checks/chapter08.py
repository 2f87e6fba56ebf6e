"""The exercises of chapter 08: axes, another text with padding, and heads that are one head."""

import copy
import math
import random

import torch
import torch.nn as nn

from gpt2_tutorial.attention import Head
from gpt2_tutorial.checks.engine import exercise


def split_time_first(x, n_head):
    T, B, C = x.shape
    x = x.view(T, B, n_head, C // n_head)  # (T, B, H, D)
    return x.permute(1, 2, 0, 3)  # (B, H, T, D)


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


def _cut(x, n_head):
    """(T, B, H, D): the cut that all but a few get right."""
    return x.view(*x.shape[:2], n_head, x.size(2) // n_head)


def _direct(x, n_head):
    T, B, C = x.shape
    return x.reshape(B, n_head, T, C // n_head)


def _relabelled(x, n_head):
    T, B, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(1, 2)


def _interleaved(x, n_head):
    T, B, C = x.shape
    return x.view(T, B, C // n_head, n_head).permute(1, 3, 0, 2)


@exercise("08.1", subgoal="project")
class SplitTimeFirst:
    stub = (
        "def split_time_first(x, n_head):\n"
        "    # x (T, B, C): the tokens come before the texts → (B, H, T, D)\n"
        "    ..."
    )
    solution = split_time_first
    spec = split_by_loops
    inputs = texts_time_first
    mutants = {
        "direct view": (
            _direct,
            "You asked for (B, H, T, D) in one view. That reads memory in the order in which it "
            "lies, so a head gets neighbouring numbers of one token instead of its own of all.",
        ),
        "relabelled": (
            _relabelled,
            "You called the axes (B, T) while the numbers lie as (T, B). A view moves nothing: "
            "tokens of different texts are mixed now. Swap the axes, do not rename them.",
        ),
        "batch first": (
            lambda x, n_head: _cut(x, n_head).transpose(1, 2),
            "That is `split_heads`, made for (B, T, C). Here the tokens come first, so what you "
            "return is (T, H, B, D).",
        ),
        "wrong pair": (
            lambda x, n_head: _cut(x, n_head).transpose(0, 1).transpose(1, 3),
            "You swapped axis 1 with axis 3, so the D numbers of a head stand where the heads "
            "should be. Axes 1 and 2 are the pair: T and H.",
        ),
        "heads stay": (
            lambda x, n_head: _cut(x, n_head).transpose(0, 1),
            "This is (B, T, H, D). One more swap, and every head has its tokens together.",
        ),
        "texts stay": (
            lambda x, n_head: _cut(x, n_head).permute(2, 1, 0, 3),
            "This is (H, B, T, D). The texts come first, then the heads.",
        ),
        "interleaved": (
            _interleaved,
            "You cut a token into D groups of H, so head 0 gets numbers 0, 2, 4, … A head's D "
            "numbers lie side by side: cut into (H, D).",
        ),
    }
    hints = {"direct view": 2, "relabelled": 2}


def read_context(x, context, lengths, w_q, w_k, w_v):
    q = x @ w_q  # 1 project: (B, T, D)
    k, v = context @ w_k, context @ w_v  # (B, S, D)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # 2 score, 3 scale
    padding = torch.arange(context.size(1)) >= lengths[:, None]  # (B, S)
    scores = scores.masked_fill(padding[:, None], -math.inf)  # 4 mask: (B, T, S)
    return scores.softmax(-1) @ v  # 5 weigh, 6 mix: (B, T, D)


def read_by_loops(x, context, lengths, w_q, w_k, w_v):
    B, T, D = len(x), x.size(1), w_q.size(1)
    out = torch.zeros(B, T, D)
    for b in range(B):
        real = range(int(lengths[b]))
        for i in range(T):
            q = (x[b, i] @ w_q).tolist()
            keys = [(context[b, j] @ w_k).tolist() for j in real]
            dots = [sum(m * n for m, n in zip(q, k, strict=True)) for k in keys]
            powers = [math.exp(dot / math.sqrt(D)) for dot in dots]
            for j in real:
                out[b, i] += powers[j] / sum(powers) * (context[b, j] @ w_v)
    return out


def two_texts(rng: random.Random):
    """Two texts of different length and three maps; the shortest texts first."""
    sizes = [(1, 1, 2, 2, 2), (1, 2, 2, 4, 2), (2, 3, 3, 4, 3)]
    sizes += [tuple(rng.randint(2, 5) for _ in range(5)) for _ in range(20)]
    for B, T, S, C, D in sizes:
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        lengths = torch.tensor([rng.randint(1, S) for _ in range(B)])
        lengths[0] = S if rng.random() < 0.5 else max(1, S - 1)
        maps = [torch.randn(C, D, generator=dice) for _ in range(3)]
        texts = (torch.randn(B, size, C, generator=dice) for size in (T, S))
        yield (*texts, lengths, *maps)


def reader(
    asks="x", keys="context", values="context", mask="padding", axis=-1, root="D", when="before"
):
    """`read_context` with one thing changed."""

    def read(x, context, lengths, w_q, w_k, w_v):
        texts = {"x": x, "context": context}
        q, k, v = texts[asks] @ w_q, texts[keys] @ w_k, texts[values] @ w_v
        scores = q @ k.transpose(-2, -1)
        scores = scores / math.sqrt({"D": q.size(-1), "C": x.size(-1), "none": 1}[root])
        T, S = scores.shape[-2:]
        places = torch.arange(S)
        hidden = torch.zeros(len(x), T, S, dtype=torch.bool)
        if mask in ("padding", "both"):
            hidden |= (places >= lengths[:, None])[:, None]
        if mask in ("causal", "both"):
            hidden |= torch.ones(T, S, dtype=torch.bool).triu(1)
        if mask == "one late":
            hidden |= (places > lengths[:, None])[:, None]
        if mask == "turned round":
            hidden |= (places < lengths[:, None])[:, None]
        if when == "after":
            return scores.softmax(axis).masked_fill(hidden, 0.0) @ v
        if when == "zeros":
            return scores.masked_fill(hidden, 0.0).softmax(axis) @ v
        return scores.masked_fill(hidden, -math.inf).softmax(axis) @ v

    return read


@exercise("08.2", subgoal="mask")
class ReadContext:
    stub = (
        "def read_context(x, context, lengths, w_q, w_k, w_v):\n"
        "    # x (B, T, C), context (B, S, C); only the first lengths[b] tokens of\n"
        "    # context b are real. The maps are (C, D), used as x @ w. → (B, T, D)\n"
        "    ..."
    )
    solution = read_context
    spec = read_by_loops
    inputs = two_texts
    mutants = {
        "no mask": (
            reader(mask="none"),
            "The padding is read along with the rest. Mask the tokens of context b from place "
            "lengths[b] on.",
        ),
        "keys from x": (
            reader(keys="x"),
            "Your keys come from x, the text that asks. Keys and values both come from the "
            "context. (If the two texts are equally long, no error warns you.)",
        ),
        "values from x": (
            reader(values="x"),
            "Your values come from x, so it finds the right place in the context and takes "
            "nothing from it. Keys and values both come from the context.",
        ),
        "all from context": (
            reader(asks="context"),
            "The context asks itself here: that is self-attention. The queries come from x.",
        ),
        "roles swapped": (
            reader(asks="context", keys="x", values="x"),
            "The two texts have changed roles: the context asks and x answers.",
        ),
        "causal mask left on": (
            reader(mask="causal"),
            "The causal mask is still on, and the padding is not hidden. All of another text "
            "may be read: token 0 of x may look at its last real token.",
        ),
        "both masks": (
            reader(mask="both"),
            "The padding is hidden, but so is the future, and another text has no future. Leave "
            "the causal mask away.",
        ),
        "softmax over queries": (
            reader(axis=-2),
            "Your softmax runs down the queries. Each *row* is one query, and its weights over "
            "the context sum to 1: axis -1.",
        ),
        "one late": (
            reader(mask="one late"),
            "One token of padding is still read. Places count from 0, so the first hidden place "
            "is lengths[b] itself.",
        ),
        "turned round": (
            reader(mask="turned round"),
            "You hid the real tokens and kept the padding. True means hidden.",
        ),
        "masked afterwards": (
            reader(when="after"),
            "You hid the padding after the softmax, when it had taken its share: the rows no "
            "longer sum to 1. −∞ first, softmax then.",
        ),
        "zeros": (
            reader(when="zeros"),
            "A score of 0 hides nothing: e to the 0 is 1. The score of padding must be −∞.",
        ),
        "no root": (reader(root="none"), "The scale is missing: divide the scores by √D."),
        "root of C": (
            reader(root="C"),
            "You divided by √C. The dot product has D terms, the width of a query: √D.",
        ),
    }
    hints = {"no mask": 2, "one late": 2, "masked afterwards": 2}


def make_heads(n_embd, n_head):
    size = n_embd // n_head
    return nn.ModuleList(Head(n_embd, size) for _ in range(n_head))


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


def one_head_often(n_embd, n_head):
    head = Head(n_embd, n_embd // n_head)
    return nn.ModuleList([head] * n_head)


def copied_heads(n_embd, n_head):
    head = Head(n_embd, n_embd // n_head)
    return nn.ModuleList(copy.deepcopy(head) for _ in range(n_head))


def plain_list(n_embd, n_head):
    return [Head(n_embd, n_embd // n_head) for _ in range(n_head)]


@exercise("08.3", subgoal="project")
class OneHeadOften:
    stub = (
        "def make_heads(n_embd, n_head):\n"
        "    size = n_embd // n_head\n"
        "    return nn.ModuleList([Head(n_embd, size)] * n_head)"
    )
    solution = make_heads
    spec = make_heads_by_loop
    inputs = widths
    observe = facts
    mutants = {
        "still shared": (
            one_head_often,
            "It is still one head under several names, so all heads give the same and learn the "
            "same. `Head(…)` has to be called once for each.",
        ),
        "copies": (
            copied_heads,
            "Now every head has numbers of its own, and they all start equal. Heads should begin "
            "different: make new ones instead of copies.",
        ),
        "plain list": (
            plain_list,
            "The heads are different now. But a plain list hides them from `parameters()`, so no "
            "optimizer will ever move them. Keep the `nn.ModuleList`.",
        ),
        "too wide": (
            lambda n_embd, n_head: nn.ModuleList(Head(n_embd, n_embd) for _ in range(n_head)),
            "Each head gives all C numbers. Side by side they must be C numbers together: D = "
            "C / H for each.",
        ),
        "one too few": (
            lambda n_embd, n_head: nn.ModuleList(
                Head(n_embd, n_embd // n_head) for _ in range(1, n_head)
            ),
            "One head is missing: range(1, H) counts only to H − 1 heads.",
        ),
    }
    hints = {"copies": 2}


@exercise("08.4", subgoal="project")
class WhichNumbers:
    stub = "answer = None  # for example [[0, 1], [4, 5]]"
    solution = [[2, 3], [6, 7], [10, 11]]
    solution_text = "answer = [[2, 3], [6, 7], [10, 11]]"
    mutants = {
        "direct view": (
            [[6, 7], [8, 9], [10, 11]],
            "That is what a direct view would give: the second half of memory, with token 2 whole "
            "and half of token 1.",
        ),
        "head 0": (
            [[0, 1], [4, 5], [8, 9]],
            "That is head 0. Heads count from 0, so head 1 is the second one.",
        ),
        "one token": ([[4, 5], [6, 7]], "That is token 1 with both its heads, not head 1."),
        "interleaved": (
            [[1, 3], [5, 7], [9, 11]],
            "You took every second number. The two numbers of a head lie side by side.",
        ),
        "lying down": (
            [[2, 6, 10], [3, 7, 11]],
            "The right numbers, but as (D, T). A head is (T, D): one row for each token.",
        ),
    }


@exercise("08.5", subgoal="count")
class CountGPT2:
    stub = "answer = None  # a whole number, such as 4224"
    solution = 2_362_368
    solution_text = "answer = 4 * 768**2 + 4 * 768  # 2,362,368"
    mutants = {
        "no biases": (2_359_296, "The four matrices are all there. Each map has a bias too."),
        "no output map": (
            1_771_776,
            "That is queries, keys and values. The output projection is a fourth map.",
        ),
        "heads alone": (
            1_769_472,
            "Those are twelve heads without biases. Add the biases, and the output projection.",
        ),
        "twelve times": (
            28_348_416,
            "You counted every head at full width. The twelve heads *share* the 768: 64 each.",
        ),
        "one head": (
            16_640,
            "You took the width of one head on both sides. Each head reads all 768 numbers.",
        ),
        "one map": (590_592, "That is one map of the four."),
    }


@exercise("08.6", subgoal="compare")
class KeysFromX:
    stub = 'answer = None  # for example "an error"'
    solution = "100 %"
    solution_text = 'answer = "100 %"'
    mutants = {
        "chance": (
            "10 %",
            "Chance would need values from x. They still come from the digits. Run it.",
        ),
        "half": ("55 %", "That is the causal mask left on. Here it is off. Run it."),
        "error": (
            "an error",
            "Both texts have eight tokens here, so every shape fits. Run it.",
        ),
    }
