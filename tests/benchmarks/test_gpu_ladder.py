"""benchmarks/gpu_ladder.py: without a GPU and tiny, every rung trains, and trains the same."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
TINY = "--layers 1 --heads 2 --width 16 --block 8 --vocab 300 --largest 16 --steps 2"


@pytest.fixture(scope="module")
def ladder():
    """The script, which finds the modules beside it, as when it is started by its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("gpu_ladder")
        for name in ("gpu_ladder", "gpu_text", "gpu_job"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def log(ladder, tmp_path_factory):
    out = tmp_path_factory.mktemp("ladder") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(sys, "argv", ["gpu_ladder.py", *TINY.split(), "--out", str(out)])
        before = torch.get_float32_matmul_precision()
        try:
            ladder.main()
        finally:
            torch.set_float32_matmul_precision(before)
    return json.loads((out / "gpu_ladder.json").read_text(encoding="utf-8"))


def test_every_rung_is_there_and_keeps_the_changes_above_it(ladder, log):
    assert [rung["name"] for rung in log["rungs"]] == [r.name for r in ladder.ladder(16)]
    switches = ("tf32", "bf16", "compile", "flash", "padded", "fused")
    counts = [sum(rung[name] for name in switches) for rung in log["rungs"]]
    assert counts == [0, 1, 2, 3, 4, 5, 6, 6, 6]
    assert [rung["chunk"] for rung in log["rungs"]] == [10**9] * 7 + [4096] * 2


def test_the_first_losses_agree_between_rungs(ladder, log):
    first, *others = (rung["losses"] for rung in log["rungs"])
    assert len(first) == ladder.PARITY_STEPS and first[0] == pytest.approx(5.7, abs=0.2)
    for rung, losses in zip(log["rungs"][1:], others, strict=True):
        assert losses == pytest.approx(first, abs=0.02 if rung["bf16"] else 1e-3), rung["name"]


def test_on_a_cpu_it_claims_no_share_of_a_peak_and_no_gpu_memory(log):
    assert log["device"] == log["about"]["device"] == "CPU" and log["about"]["tiny"]
    assert "failed" not in log and "shares" not in log
    for rung in log["rungs"]:
        assert rung["tokens_per_s"] > 0 and rung["steps"] == 2
        assert rung["mfu"] is None and rung["memory_gb"] is None


def test_a_larger_last_rung_reads_more_at_a_time(ladder):
    assert [rung.micro_batch for rung in ladder.ladder(64)] == [16] * 8 + [64]
