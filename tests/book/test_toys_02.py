"""The toy of chapter 02 against PyTorch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("truth", [0, 1, 2])
@pytest.mark.parametrize("logits", [[1, 0, -1], [300, 0, 0.5], [-5, -5, -5], [101.0, 100, 99]])
def test_bets_price_and_gradient(ask, logits, truth):
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    price = F.cross_entropy(z, torch.tensor(truth))
    price.backward()
    got = ask("logits", "priced", logits, truth)
    assert got["bets"] == pytest.approx(z.softmax(0).tolist(), abs=1e-15)
    assert got["price"] == pytest.approx(price.item(), abs=1e-12)
    assert got["gradient"] == pytest.approx(z.grad.tolist(), abs=1e-15)
