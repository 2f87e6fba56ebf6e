"""distributed: the handmade DDP does what torch's does, in two real processes."""

import contextlib
import json

import pytest
import torch
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel

from gpt2_tutorial import distributed
from gpt2_tutorial.distributed import (
    HandmadeDDP,
    Ranks,
    make_buckets,
    mean_over_ranks,
    setup,
)
from team import team


def work(out):
    """What each of two processes does: train by hand and with torch's, and compare."""
    ranks = setup("cpu", timeout_s=60)

    def net(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()

    def vector(model):
        return nn.utils.parameters_to_vector(model.parameters()).detach()

    torch.manual_seed(9)
    everything = torch.randn(3, 4, 5, dtype=torch.float64)

    def trained(wrap, rows, pieces=2):
        model = wrap(net(seed=ranks.rank))  # other weights on every rank, until wrapped
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in everything:
            sgd.zero_grad()
            for i, piece in enumerate(x[rows].chunk(pieces)):
                with contextlib.nullcontext() if i == pieces - 1 else model.no_sync():
                    (model(piece).square().mean() / pieces).backward()
            if hasattr(model, "finish"):
                model.finish()
            sgd.step()
        return vector(model)

    mine = slice(2 * ranks.rank, 2 * ranks.rank + 2)
    said = {"rank": ranks.rank, "device": str(ranks.device), "first": ranks.is_first}
    by_hand = trained(lambda m: HandmadeDDP(m, bucket_mb=1e-4), mine)  # several buckets
    said["from torch"] = (by_hand - trained(DistributedDataParallel, mine)).abs().max().item()

    alone = net(seed=0)
    sgd = torch.optim.SGD(alone.parameters(), lr=0.1)
    for x in everything:
        sgd.zero_grad()
        alone(x).square().mean().backward()
        sgd.step()
    said["from one process"] = (by_hand - vector(alone)).abs().max().item()
    said["between ranks"] = (by_hand - mean_over_ranks(by_hand)).abs().max().item()
    same_rows = trained(HandmadeDDP, slice(0, 2))  # the wrong way: both read the same
    said["same rows"] = (same_rows - vector(alone)).abs().max().item()
    said["mean"] = mean_over_ranks(torch.tensor(float(ranks.rank))).item()
    half = HandmadeDDP(nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)]), bucket_mb=1e-9)
    half.module[0](torch.ones(1, 1)).sum().backward()
    try:
        half.finish()
    except RuntimeError as error:
        said["unused"] = str(error)
    (out / f"{ranks.rank}.json").write_text(json.dumps(said))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    assert team(2, work, folder) == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_find_each_other(two):
    assert [said["rank"] for said in two] == [0, 1]
    assert [said["first"] for said in two] == [True, False]
    assert {said["mean"] for said in two} == {0.5} and {said["device"] for said in two} == {"cpu"}


@pytest.mark.slow
def test_the_handmade_ddp_takes_the_steps_of_torchs_and_of_one_process(two):
    for said in two:
        assert said["from torch"] <= 1e-12
        assert said["from one process"] <= 1e-12
        assert said["between ranks"] == 0.0


@pytest.mark.slow
def test_the_same_rows_on_both_ranks_is_another_training(two):
    assert all(said["same rows"] > 1e-3 for said in two)


@pytest.mark.slow
def test_a_parameter_that_nothing_reaches_is_told(two):
    assert all("0 gradients came for a bucket of 1" in said["unused"] for said in two)


def test_buckets_hold_every_parameter_once_from_the_last_to_the_first():
    net = nn.Sequential(*(nn.Linear(8, 8) for _ in range(6)))
    net[2].weight.requires_grad_(False)
    buckets = make_buckets(net, bucket_mb=600 / 2**20)
    together = [p for bucket in buckets for p in bucket.parameters]
    expected = [p for p in reversed(list(net.parameters())) if p.requires_grad]
    assert [id(p) for p in together] == [id(p) for p in expected]
    assert len(buckets) > 2 and all(b.size >= 600 for b in buckets[:-1])


def test_alone_everything_stays_as_it_is():
    model = HandmadeDDP(nn.Linear(3, 2))
    with model.no_sync():
        model(torch.ones(1, 3)).sum().backward()
    model(torch.ones(1, 3)).sum().backward()
    model.finish()
    assert model.module.weight.grad.eq(2).all()
    assert mean_over_ranks(torch.tensor(2.5)) == 2.5


def test_alone_means_rank_0_of_1(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert setup("cpu") == Ranks(0, 0, 1, torch.device("cpu"))


@pytest.mark.parametrize(
    "said", [("0", None, "2"), ("x", "0", "2"), ("-1", "0", "2"), ("", "", "")]
)
def test_half_an_environment_is_refused(monkeypatch, said):
    for name, value in zip(("RANK", "LOCAL_RANK", "WORLD_SIZE"), said, strict=True):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="Start the script with torchrun"):
        setup("cpu")


def test_more_processes_than_gpus_is_a_sentence(monkeypatch):
    monkeypatch.setattr(distributed, "_from_environment", lambda: (3, 3, 4))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="process 3 of this machine has no GPU: it has 2"):
        setup("cuda")


def test_bucket_size_must_be_something():
    with pytest.raises(ValueError, match="not 0"):
        make_buckets(nn.Linear(1, 1), 0)
