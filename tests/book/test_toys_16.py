"""The toys of chapter 16 against the chapter's own cells, the package and its log."""

from __future__ import annotations

import json

import pytest
import torch
from serving import ROOT

import play_broken_runs
from gpt2_tutorial.distributed import make_buckets
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.ledger import logged

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


def test_the_evidence_is_that_of_the_log_and_each_run_is_asked_with_its_cause(ask):
    assert play_broken_runs.main(["--check"]) == 0
    evidence = json.loads(play_broken_runs.FILE.read_text(encoding="utf-8"))
    log = logged("broken_runs")["broken"]
    assert {run["name"]: run["title"] for run in evidence["runs"]} == {
        name: run["title"] for name, run in log.items()
    }
    places = set()
    for index, run in enumerate(evidence["runs"]):
        names = ask("broken-runs", "options", evidence, index)
        assert len(set(names)) == 4 and set(names) <= log.keys()
        places.add(names.index(run["name"]))
        for one, other, sentence in evidence["pairs"]:
            if run["name"] in (one, other):
                [wrong] = {one, other} - {run["name"]}
                assert wrong in names
                assert ask("broken-runs", "apart", evidence, run["name"], wrong) == sentence
    assert places == {0, 1, 2, 3}, "the true one always stands elsewhere"
    assert ask("broken-runs", "apart", evidence, "std_1", "no_mask") == ""


def test_a_curve_breaks_where_it_is_no_number_or_above_the_picture(ask):
    values = [None, 44.7, 6, 5, None, 6.01, 3, None]
    told = ask("broken-runs", "pieces", list(range(8)), values)
    assert told == [[[2, 6], [3, 5]], [[6, 3]]]
    assert ask("broken-runs", "pieces", [], []) == []


def test_the_buckets_are_those_of_the_package(ask):
    model = GPT(GPTConfig(16, vocab_size=65, n_layer=2, n_head=2, n_embd=32))
    known = ask("buckets", "parameters")
    named = {name.removeprefix("transformer."): p for name, p in model.named_parameters()}
    assert [tuple(one) for one in known] == [(name, p.numel()) for name, p in named.items()]
    for mb in (1e-9, 0.005, 0.02, 0.05, 25):
        theirs = [bucket.parameters for bucket in make_buckets(model, mb)]
        told = ask("buckets", "filled", known, mb)
        for bucket, parameters in zip(told, theirs, strict=True):
            assert all(named[name] is p for (name, _), p in zip(bucket, parameters, strict=True))


@pytest.mark.parametrize("came", [0, 1, 9, 27, 28])
def test_a_bucket_is_full_when_the_package_finds_none_missing(ask, came):
    buckets = make_buckets(GPT(GPTConfig(16, vocab_size=65, n_layer=2, n_head=2, n_embd=32)), 0.02)
    waiting = [bucket for bucket in buckets for _ in bucket.parameters]
    for bucket in waiting[:came]:
        bucket.one_more()
    sizes = [len(bucket.parameters) for bucket in buckets]
    told = ask("buckets", "there", sizes, came)
    missing = [size - mine for size, mine in zip(sizes, told, strict=True)]
    assert missing == [bucket.missing for bucket in buckets]
