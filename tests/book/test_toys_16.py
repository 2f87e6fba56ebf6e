"""The toys of chapter 16 against the chapter's own cells, the package and its log."""

from __future__ import annotations

import json

import pytest
import torch
from serving import ROOT

pytestmark = pytest.mark.browser


def chapter_cell(words: str) -> str:
    """The text of the one code cell of chapter 16 in which these words stand."""
    cells = json.loads((ROOT / "notebooks" / "16_ddp.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    [text] = [text for text in texts if words in text]
    return text


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_the_ring_is_that_of_the_chapter_and_every_worker_ends_with_the_sums(ask, n):
    torch.manual_seed(n)
    vectors = torch.randint(-1000, 1000, (n, n)).tolist()
    frames, names = ask("ring", "ring", vectors), {}
    exec(chapter_cell("def ring(vectors)"), names)
    assert [frame["have"] for frame in frames] == names["ring"](vectors)
    assert frames[-1]["have"] == [torch.tensor(vectors).sum(0).tolist()] * n
    for worker in range(n):  # each piece is one n-th of a gradient
        pieces = sum(sent["from"] == worker for frame in frames for sent in frame["sent"])
        assert pieces / n == 2 * (n - 1) / n
    assert n != 3 or names["frames"][0] == ask("ring", "brought", 3), "the chapter's example"
