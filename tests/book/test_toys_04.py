"""The toy of chapter 04 against PyTorch's own optimizers."""

from __future__ import annotations

from functools import partial

import pytest
import torch

pytestmark = pytest.mark.browser


def walked(make_optimizer, start, steps):
    """Walk as the chapter does, in doubles."""
    place = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer, places = make_optimizer([place]), [start]
    for _ in range(steps):
        optimizer.zero_grad()
        (place[0] ** 2 + 25 * place[1] ** 2).backward()
        optimizer.step()
        places.append(place.tolist())
    return places


def made(kind, rate, beta):
    if kind == "adam":
        return partial(torch.optim.Adam, lr=rate, betas=(beta, 0.999))
    return partial(torch.optim.SGD, lr=rate, momentum=beta if kind == "momentum" else 0)


CASES = [
    ("sgd", 0.035, 0.0),
    ("sgd", 0.041, 0.0),
    ("momentum", 0.035, 0.7),
    ("momentum", 1.0, 0.99),
    # Not Adam with a rate of 1: there a step multiplies a tiny y by 1 − √t, and rounding by 10¹⁰.
    ("adam", 0.3, 0.9),
    ("adam", 0.3, 0.0),
    ("adam", 0.01, 0.99),
]


@pytest.mark.parametrize("start", [[-4.0, 1.0], [0.0, 0.0], [1e150, -1e-150]])
def test_each_walk_is_the_optimizers_own(ask, start):
    for kind, rate, beta in CASES:
        ours = ask("valley", "walk", kind, rate, beta, 30, start)
        theirs = walked(made(kind, rate, beta), start, 30)
        for here, there in zip(ours, theirs, strict=True):
            assert here == pytest.approx(there, rel=1e-9, abs=1e-12), (kind, rate, beta)


@pytest.mark.parametrize(("kind", "beta"), [("sgd", 0), ("momentum", 0.7), ("momentum", 0.5)])
def test_beyond_the_border_y_grows_and_within_it_shrinks(ask, kind, beta):
    border = ask("valley", "border", kind, beta)
    for factor, grows in ((0.97, False), (1.03, True)):
        places = walked(made(kind, factor * border, beta), [0.0, 1.0], 300)
        assert (abs(places[-1][1]) > 1) is grows
