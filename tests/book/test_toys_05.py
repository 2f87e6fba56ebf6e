"""The toys of chapter 05 against PyTorch, and their data against training."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

import play_letter_map

pytestmark = pytest.mark.browser


def test_dot_product_shadow_and_cosine(ask):
    dice = torch.Generator().manual_seed(0)
    pairs = torch.randn(20, 2, 2, generator=dice, dtype=torch.float64).tolist()
    pairs += [[[2, 1], [3, 1]], [[2, 1], [-1, 2]], [[1, 1], [-1, -1]], [[1e150, 0], [0, 1e150]]]
    for left, right in pairs:
        a, b = torch.tensor([left, right], dtype=torch.float64)
        got = ask("two-vectors", "compared", left, right)
        assert got["dot"] == pytest.approx((a @ b).item(), rel=1e-12, abs=1e-12)
        assert got["lengths"] == pytest.approx([a.norm().item(), b.norm().item()])
        cosine = F.cosine_similarity(a, b, dim=0).item()
        assert got["cosine"] == pytest.approx(cosine, abs=1e-12)
        assert got["shadow"] == pytest.approx(cosine * b.norm().item(), rel=1e-9, abs=1e-12)
    for left, right in ([[0, 0], [3, 1]], [[3, 1], [0, 0]], [[0, 0], [0, 0]]):
        got = ask("two-vectors", "compared", left, right)
        assert (got["dot"], got["shadow"], got["cosine"]) == (0, 0, 0)


def test_the_letter_maps_data_is_what_training_gives():
    kept = json.loads(play_letter_map.FILE.read_text(encoding="utf-8"))
    assert play_letter_map.FILE.stat().st_size <= 12_000
    assert [frame["step"] for frame in kept["frames"]] == play_letter_map.FRAMES
    again = play_letter_map.trained(until=20)  # --check trains to the end
    assert play_letter_map.far_apart(again, {"frames": kept["frames"][:5]}) == []
    moved = json.loads(json.dumps(again))
    moved["frames"][3]["points"][7] += 0.1
    assert play_letter_map.far_apart(again, moved) == ["step 15: 0.10 apart"]


def test_the_nearest_on_the_map(ask):
    dice = torch.Generator().manual_seed(0)
    points = torch.randn(30, 2, generator=dice, dtype=torch.float64)
    for one in (0, 7, 29):
        near = torch.cdist(points[one][None], points)[0].topk(6, largest=False).indices.tolist()
        assert ask("letter-map", "neighbours", points.flatten().tolist(), one, 5) == near[1:]
    assert ask("letter-map", "neighbours", [3, 4], 0, 5) == []
