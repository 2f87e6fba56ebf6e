"""The toy of chapter 09 against PyTorch's softmax and the package's own tiles."""

from __future__ import annotations

import math

import pytest
import torch

from gpt2_tutorial.attention import take_block

pytestmark = pytest.mark.browser

LINES = [
    ([1, 3, 2, 5], 2),
    ([1, 3, 2, 5], 1),
    ([5, 2, 3, 1, 4], 3),  # the last tile is shorter
    ([0, 0, 0, 0], 2),
    ([-1000, 1000, 999.5, -1e300], 2),
    ([7], 4),
]


@pytest.mark.parametrize(("scores", "size"), LINES)
def test_tiles_give_the_softmax_of_all_scores_and_the_kept_numbers_of_the_package(
    ask, scores, size
):
    z = torch.tensor(scores, dtype=torch.float64)
    v = 10 * torch.arange(1, len(z) + 1, dtype=torch.float64)
    right = (z.softmax(0) @ v).item()
    assert ask("tiles", "atOnce", scores, v.tolist()) == pytest.approx(right, abs=1e-12)
    frames = ask("tiles", "tiled", scores, v.tolist(), size, False)
    assert frames[-1]["mixed"] / frames[-1]["sum"] == pytest.approx(right, abs=1e-12)

    nothing = torch.zeros(1, dtype=torch.float64)
    state = nothing - math.inf, nothing, nothing
    for frame, tile, part in zip(frames, z.split(size), v.split(size), strict=True):
        state = take_block(state, tile, part[:, None])
        kept = [frame[name] for name in ("largest", "sum", "mixed")]
        assert kept == pytest.approx([number.item() for number in state], abs=1e-12)


def test_without_the_shrinking_only_equal_maxima_are_right(ask):
    values = [10, 20, 30, 40]
    for last in range(9):
        scores = [1, 3, 2, last]
        got = ask("tiles", "tiled", scores, values, 2, True)[-1]
        harmless = math.isclose(got["mixed"] / got["sum"], ask("tiles", "atOnce", scores, values))
        assert harmless is (last == 3)
