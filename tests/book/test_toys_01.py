"""The toys of chapter 01 against PyTorch, the package's table and the book's own measurements."""

from __future__ import annotations

import json

import pytest
import torch
from serving import ROOT

import play_orders
from gpt2_tutorial.ngram import NGram
from gpt2_tutorial.text import CharTokenizer, load_shakespeare, split

pytestmark = pytest.mark.browser

ROUNDED = 0.0006  # the file keeps three digits: half of the last one, and float32 noise
TABLES = [
    [[1, 3], [1, 1]],
    [[1, 3, 1], [1, 1, 1]],
    [[5]],
    [[1, 2, 3]],
    [[2], [6]],
    [[0, 0], [0, 1]],
    [[1e300, 1], [1e-300, 1]],
]


@pytest.fixture(scope="module")
def orders():
    return json.loads(play_orders.FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("keepdim", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
def test_division_by_sums_is_that_of_pytorch(ask, axis, keepdim):
    for rows in TABLES:
        table = torch.tensor(rows, dtype=torch.float64)
        sums = table.sum(axis, keepdim=keepdim)
        got = ask("sums", "divided", rows, axis, keepdim)
        assert got["sums"] == pytest.approx(sums.flatten().tolist())
        assert got["shape"] == list(sums.shape)
        try:
            bets = table / sums
        except RuntimeError:
            assert got["bets"] is None
            continue
        if bets.shape != table.shape:  # (2, 1) / (2,) grows to (2, 2); the toy has no such table
            assert got["bets"] is None
            continue
        assert torch.tensor(got["bets"]).double().numpy() == pytest.approx(
            bets.numpy(), rel=1e-6, nan_ok=True
        )
        assert got["rowSums"] == pytest.approx(bets.sum(1).tolist(), nan_ok=True)
        copies = torch.arange(sums.numel()).view(sums.shape).expand(table.shape)
        assert got["spread"] == copies.tolist()


def test_the_curves_are_rows_of_the_file_and_best_is_the_lowest(ask, orders):
    for alpha in (0.001, 0.03, 10.0):
        got = ask("orders", "curves", orders, alpha)
        at = orders["alphas"].index(alpha)
        assert got["train"] == [row[at] for row in orders["train"]]
        assert got["val"] == [row[at] for row in orders["val"]]
        assert got["best"] == min(range(8), key=got["val"].__getitem__)


def test_the_file_holds_what_the_package_computes(orders):
    tokenizer = CharTokenizer(load_shakespeare())
    train, val = split(torch.tensor(tokenizer.encode(load_shakespeare())))
    for order in (0, 1, 3):
        table = NGram(order).fit(train, vocab_size=65)
        assert orders["cells"][order] == int((table.counts > 0).sum())
        for at in (0, 3, 9):
            table.alpha = orders["alphas"][at]
            assert orders["train"][order][at] == pytest.approx(table.loss(train), abs=ROUNDED)
            assert orders["val"][order][at] == pytest.approx(table.loss(val), abs=ROUNDED)


def test_the_file_holds_what_the_chapter_measured(orders):
    text = (ROOT / "results" / "measured" / "01.json").read_text(encoding="utf-8")
    measured = json.loads(text)["values"]
    for order in range(1, 8):
        chapter = [measured[f"01.{kind}_order_{order}"]["value"] for kind in ("train", "val")]
        pairs = zip(orders["train"][order], orders["val"][order], strict=True)
        assert any(pair == pytest.approx(chapter, abs=0.002) for pair in pairs), order
