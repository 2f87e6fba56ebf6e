"""Answers that readers of chapters 00–05 gave: each is told what it is, in one way only."""

import math

import pytest
import torch
import torch.nn.functional as F

from gpt2_tutorial.checks import run

# (exercise, answer, what is expected: the name of a known mistake, a general kind, or "passed")
ANSWERS = [
    ("00.1", "0.69", "passed"),
    ("00.1", "0.7", "value"),
    ("00.2", "lambda p, t: F.cross_entropy(p, t)", "cross entropy"),
    ("00.2", "lambda p, t: F.nll_loss(p, t)", "no logarithm"),
    ("00.2", "lambda p, t: -p[t, torch.arange(len(t))].log().mean()", "indices swapped"),
    ("00.2", "lambda p, t: F.nll_loss(p.log(), t)", "passed"),
    ("00.3", "lambda i: (i[: len(i) * 9 // 10].sort().values, i[len(i) * 9 // 10 :])", "value"),
    ("00.5", '(3.66, "no.")', "passed"),
    ("00.5", '(3.66, "nope")', "second"),
    ("00.5", '(3.66, "yes")', "better"),
    ("00.5", '(5.29, "no")', "base 2"),
    ("00.5", '(0.51, "yes")', "saving, better"),
    ("01.1", "lambda c: c.softmax(1)", "softmax of whole numbers"),
    ("01.1", "lambda c: torch.softmax(c.float(), 1)", "softmax"),
    ("01.2", "lambda c, last, u: int((c[last].softmax(0).cumsum(0) <= u).sum())", "softmax"),
    ("01.3", "lambda c, a: (c / c.sum(1, keepdim=True)).nan_to_num() + a", "nan hidden"),
    ("01.3", "lambda c, a: (c + a / len(c)) / (c.sum(1, keepdim=True) + a)", "a share of alpha"),
    ("01.3", "lambda c, a: (c + a) / (c.sum(1, keepdim=True) + len(c))", "V for alpha V"),
    ("01.4", '"E,B,C,D,A,F"', "passed"),
    ("01.4", 'list("EBCDAF")', "passed"),
    ("01.4", '"E, C, B, D, A, F"', "bets once"),
    ("01.5", '(0.003, "yes")', "training, as good"),
    ("01.5", '(0.03, "No.")', "passed"),
    ("02.1", "lambda z: shares(z - z.mean(1, keepdim=True))", "mean"),
    ("02.1", "lambda z: shares(z - z.amin(1, keepdim=True))", "smallest"),
    ("02.1", "lambda z: shares(z - z[:, :1])", "first"),
    ("02.1", "lambda z: shares(z - z[:, -1:])", "last"),
    ("02.1", "lambda z: shares(z - z.median(1, keepdim=True).values)", "median"),
    ("02.1", "lambda z: shares(z - z.abs().amax(1, keepdim=True))", "size"),
    ("02.1", "lambda z: shares((z - z.amax(1, keepdim=True)) * math.log(2.718))", "rounded e"),
    ("02.1", "lambda z: 2.718**z / (2.718**z).sum(1, keepdim=True)", "rounded e, overflow"),
    ("02.1", "lambda z: (z - z.amax(1, True)).exp() / z.exp().sum(0)", "nan"),
    ("02.1", "lambda z: by_columns((z - z.amax(1, True)).exp())", "column sums"),
    ("02.1", "lambda z: z.softmax(1)", "borrowed"),
    ("02.1", "lambda z: F.log_softmax(z, 1).exp()", "borrowed"),
    ("02.1", "lambda z: (z - z.logsumexp(1, keepdim=True)).exp()", "passed"),
    ("02.2", "lambda z, y: F.cross_entropy(z, y)", "borrowed"),
    ("02.2", "lambda z, y: torch.nn.CrossEntropyLoss()(z, y)", "borrowed"),
    ("02.2", "lambda z, y: F.cross_entropy(z.long(), y)", "raised"),
    ("02.2", "lambda z, y: -z.log_softmax(1)[y].mean()", "rows by target"),
    ("02.2", "lambda z, y: -z.log_softmax(1).log()[torch.arange(len(y)), y].mean()", "nan"),
    ("02.2", "lambda z, y: -z.softmax(1)[torch.arange(len(y)), y].mean().log()", "log of the mean"),
    ("02.3", "loop('table.grad = 0; loss.backward(); step()')", "a number"),
    ("02.3", "loop('table.grad.zero_(); loss.backward(); step()')", "zero too early"),
    ("02.3", "loop('step(); loss.backward()')", "gone too late"),
    ("02.3", "loop('loss.backward(); table.grad = None; step()')", "gone too late"),
    ("02.4", "[0.3, -0.7, 0.3]", "value"),
    ("02.5", '"one-ahead"', "passed"),
    ("03.2", "blame('a.grad += b.data * out; b.grad += a.data * out')", "out itself"),
    ("03.2", "blame('a += b.data * out.grad; b += a.data * out.grad')", "a itself"),
    ("03.2", "blame('a.grad += b * out.grad; b.grad += a * out.grad')", "node"),
    ("03.2", "blame('a.grad = b.data * out.grad; b.grad += a.data * out.grad')", "first assigned"),
    ("03.2", "blame('a.grad += b.data * out.grad; b.grad = a.data * out.grad')", "second assigned"),
    (
        "03.2",
        "blame('a.data += b.data * out.grad; b.data += a.data * out.grad')",
        "numbers changed",
    ),
    ("03.2", "blame('a.grad += b.data*out.grad; b.grad += a.data*out.grad; a.data = 0')", "value"),
    ("03.3", "lambda a, out: setattr(a, 'grad', a.grad + 2.718**a.data * out.grad)", "rounded e"),
    ("03.4", "lambda parts, last: 'abc' if last == 'c' else []", "value"),
    ("03.5", '"c d b a"', "passed"),
    ("03.5", '"D, C, B, A"', "habit"),
    ("04.5", '"crawl"', "value"),
    ("05.2", "lambda ids, w: F.one_hot(ids, 65).float() @ w", "width 65"),
    ("05.2", "lambda ids, w: F.one_hot(ids, len(w)).double() @ w", "raised"),
    ("05.3", "lambda ids, n, pad: torch.tensor(rows(ids, n, pad))", "first id lost"),
    ("05.6", "lambda v, c: torch.randn(v, c) * 1.0", "unmended"),
    ("05.6", "lambda v, c: torch.eye(v, c)", "identity"),
    ("05.6", "lambda v, c: torch.randn(v, c) / 1e8", "almost zero"),
    ("05.6", "lambda v, c: F.softmax(torch.randn(v, c), -1)", "shares"),
    ("05.6", "lambda v, c: 0.02 * torch.rand(v, c)", "shares"),
    ("05.6", "lambda v, c: torch.nn.init.normal_(torch.empty(v, c), 0, 0.02)", "passed"),
]


def shares(z):
    return z.exp() / z.exp().sum(1, keepdim=True)


def by_columns(powers):
    return powers / powers.sum(0)


def loop(lines):
    """Train a table by these lines."""
    body = "\n".join(f"        {line.strip()}" for line in lines.split(";"))
    source = (
        "def train(start, batches, lr):\n    table = start.clone().requires_grad_()\n"
        "    for x, y in batches:\n        loss = F.cross_entropy(table[x], y)\n"
        f"{body.replace('step()', 'table.data -= lr * table.grad')}\n    return table.detach()"
    )
    return defined(source)


def blame(lines):
    """Hand back through a product by these lines."""
    return defined(f"def times(a, b, out):\n    {lines}")


def defined(source):
    names = {"F": F, "torch": torch}
    exec(compile(source, "<cell>", "exec", dont_inherit=True), names)
    return list(names.values())[-1]


def rows(ids, n, pad):
    ids = ids.tolist()
    places = range(len(ids))
    return [[ids[t - d] if t - d > 0 else pad for d in range(n, 0, -1)] for t in places]


@pytest.mark.parametrize(("id", "answer", "kind"), ANSWERS, ids=lambda part: str(part)[:40])
def test_a_readers_answer(id, answer, kind):
    given = {"F": F, "torch": torch, "math": math, "shares": shares, "loop": loop, "rows": rows}
    given |= {"blame": blame, "by_columns": by_columns}
    result = run(id, eval(answer, given))
    assert (result.mutant or result.kind) == kind, result.message


@pytest.mark.parametrize(
    ("id", "answer", "words"),
    [
        ("00.5", (3.66, "nope"), "The next one is one of 'no', 'yes'.\n"),
        ("00.5", (3.66, "yes"), "See hint 2."),
        ("01.5", (0.03, "yes"), "See hint 2."),
        ("01.5", (1.0, "no"), "See hint 1."),
        ("02.4", [0.33, -0.7, 0.3], "Number 2 is close. Give more decimals"),
        ("10.1", [0.447, -1.342, -0.4, 1.342], "Number 3 is close."),
        ("00.1", [0] * 10**6, "far more than any right one"),
        ("01.1", lambda counts: [0] * 10**6, "a list that holds far more than any right answer"),
        ("01.1", lambda counts: counts.div_(counts.sum(1, keepdim=True)), "a = a / b"),
        ("02.1", lambda z: z / z.amax(1), "keepdim=True keeps it"),
        ("02.2", lambda z, y: (z.sum() * 0).log().log() + z.sum() * math.nan, "contains nan"),
    ],
)
def test_what_is_said_to_a_readers_answer(id, answer, words):
    assert words in run(id, answer).message
