"""The toy of chapter 00 against PyTorch."""

from __future__ import annotations

import math

import pytest
import torch

pytestmark = pytest.mark.browser


def test_prices_add_where_chances_multiply(ask):
    for first, second in [(0.5, 0.25), (1, 1), (1, 0.001), (0.001, 0.001), (5e-324, 0.5)]:
        both = torch.tensor([first, second], dtype=torch.float64)
        nats = [*(-both.log()).tolist(), -both.log().sum().item()]
        got = ask("surprise", "paid", first, second)
        assert got["chance"] == both.prod().item()
        assert got["nats"] == pytest.approx(nats, rel=1e-14)
        assert got["coins"] == pytest.approx([*(-both.log2()).tolist(), nats[2] / math.log(2)])
    assert ask("surprise", "paid", 0.5, 0.25)["coins"] == pytest.approx([1, 2, 3], rel=1e-14)
