"""The toy of chapter 10 against a twin in PyTorch that has the same weights."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace as Config

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.attention import CausalSelfAttention
from gpt2_tutorial.block import MLP

pytestmark = pytest.mark.browser

T, C = 8, 16
DRAWN = """async (depth) => {
  const { x, blame, maps } = (await import("./_static/play/toys/road.js")).drawn(depth, true);
  return { x: [...x], blame: [...blame], maps: maps.map((pair) => pair.map((map) => [...map])) };
}"""


def level(x):
    return F.layer_norm(x, x.shape[-1:])


def twin(dice, skip, norm, depth, weight):
    """The same road from the package's own parts, in 64 bits."""
    config = Config(n_embd=C, n_head=1, block_size=T, dropout=0.0, bias=False)
    x = torch.tensor(dice["x"], dtype=torch.float64).view(1, T, C)
    streams = [x := x.requires_grad_()]
    for maps in dice["maps"][:depth]:
        for part in (CausalSelfAttention(config), MLP(config)):
            linears = [one for one in part.modules() if isinstance(one, nn.Linear)]
            part.double()
            for one, numbers in zip(linears, maps[:2], strict=True):
                drawn = torch.tensor(numbers, dtype=torch.float64).view_as(one.weight)
                one.weight.data = weight * math.sqrt(768 / C) * drawn
            y = part(level(x) if norm == "pre" else x)
            x = x + y if skip else y
            x = level(x) if norm == "post" else x
            maps = maps[2:]
        x.retain_grad()
        streams.append(x)
    blame = torch.tensor(dice["blame"], dtype=torch.float64).view(1, T, C)
    x.backward(blame)
    return {
        "up": [stream.std(correction=0).item() for stream in streams],
        "down": [(stream.grad.norm() / blame.norm()).item() for stream in streams],
    }


@pytest.fixture
def road(ask, bare_page):
    """Ask for a walk, and for what PyTorch says to it."""
    ask("road", "drawn", 0, True)
    dice = bare_page.evaluate(DRAWN, 3)
    return lambda *setting: (
        ask("road", "walk", dict(zip(("skip", "norm", "depth", "weight"), setting, strict=True))),
        lambda: twin(dice, *setting),
    )


def test_stream_and_blame_are_those_of_pytorch(road):
    for skip in (True, False):
        for norm in ("none", "pre", "post"):
            for depth, weight in [(1, 0.02), (3, 0.02), (3, 0.06), (2, 0.0)]:
                told, theirs = road(skip, norm, depth, weight)
                theirs = theirs()
                assert len(told["up"]) == depth + 1
                for line in ("up", "down"):
                    assert told[line] == pytest.approx(theirs[line], rel=1e-9, abs=1e-15)


def test_what_the_chapter_says_is_seen(road):
    def ends(*setting):
        told, _ = road(*setting)
        return told["up"], told["down"][0]

    bare, calm, on_road = (ends(True, norm, 48, 0.02) for norm in ("none", "pre", "post"))
    by_dozens = bare[0][::12]
    assert all(after > 2 * before for before, after in pairwise(by_dozens))
    assert by_dozens[-1] > 100  # the chapter's bound
    assert calm[0][-1] < 5
    assert ends(True, "pre", 48, 0.06)[0][-1] < 50
    assert on_road[0][1:] == pytest.approx([1] * 48, abs=1e-3)
    assert calm[1] > 0.5 and ends(False, "none", 12, 0.02)[1] < 1e-6
