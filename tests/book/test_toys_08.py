"""The toys of chapter 08 against PyTorch's strides, and against loops over all texts."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
import torch

pytestmark = pytest.mark.browser

SHAPES = [[2, 4], [2, 2, 2], [4, 2], [8], [1, 8], [2, 1, 4], [8, 1, 1]]


def walk(rng, steps):
    """A tensor, and what PyTorch makes of it step by step; None where it refuses."""
    x = torch.arange(8).view(2, 4)
    for _ in range(steps):
        kind = rng.choice(["view", "view", "view", "transpose", "transpose", "contiguous"])
        if kind == "view":
            values = [rng.choice(SHAPES)]
        else:
            values = rng.choices(range(x.dim()), k=2) if kind == "transpose" else []
        before = x
        try:
            x = {"view": x.view, "transpose": x.transpose, "contiguous": x.contiguous}[kind](
                *values
            )
            yield before, kind, values, x
        except RuntimeError:
            yield before, kind, values, None


def as_toy(x):
    memory = torch.as_strided(x, (8,), (1,)).tolist()
    return {"memory": memory, "shape": list(x.shape), "strides": list(x.stride())}


def test_views_and_strides_are_pytorchs(ask):
    rng, refused = random.Random(0), 0
    for before, kind, values, after in walk(rng, 150):
        got = ask("strip", kind, as_toy(before), *values)
        refused += after is None
        if after is None:
            assert got is None
            continue
        # The stride of an axis of one element says nothing, and PyTorch chooses it by taste.
        assert got["shape"] == list(after.shape)
        assert got["memory"] == as_toy(after)["memory"]
        for size, mine, theirs in zip(after.shape, got["strides"], after.stride(), strict=True):
            assert size == 1 or mine == theirs
        assert ask("strip", "isContiguous", got) == after.is_contiguous()
        where = [
            ask("strip", "place", got, index) for index in ask("strip", "indices", got["shape"])
        ]
        assert [got["memory"][i] for i in where] == after.flatten().tolist()
    assert refused > 5


@pytest.mark.parametrize(
    "share", [Fraction(1, 2), Fraction(3, 5), Fraction(2, 3), Fraction(10, 11), 1]
)
def test_texts_that_a_blend_cannot_tell_apart(ask, share):
    for text in ([7, 2], [2, 7], [0, 0], [9, 9]):
        own = share * text[0] + (1 - share) * text[1]
        every = [[a, b] for a in range(10) for b in range(10)]
        same = [t for t in every if abs(share * t[0] + (1 - share) * t[1] - own) < Fraction(1, 20)]
        assert ask("blend", "alike", text, float(share)) == same
        assert ask("blend", "blend", text, float(share)) == pytest.approx(float(own), abs=1e-12)
