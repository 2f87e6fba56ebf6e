"""runs.progress: shares of the peak, hours and dollars against sums done by hand."""

import pytest
import torch

from gpt2_tutorial.config import PRESETS
from gpt2_tutorial.distributed import ALONE
from gpt2_tutorial.runs import progress
from gpt2_tutorial.runs.hardware import MACHINES, PEAKS, peak_of
from gpt2_tutorial.runs.progress import Progress, line


def clock_of(*times):
    return iter(times).__next__


def test_hours_and_dollars_are_the_mean_pace_times_what_is_left():
    config = PRESETS["8xh100"]  # 19,073 steps
    told = Progress(config, "8xh100", ALONE, 24.0, clock_of(0, 4, 6, 12))
    rows = [told({"step": step, "loss": 3.0}) for step in (1000, 1001, 1002, 1003)]
    assert "hours_left" not in rows[0]  # the first step may have compiled
    left = [4 * 18_072, 3 * 18_071, 4 * 18_070]  # seconds
    assert [row["hours_left"] for row in rows[1:]] == pytest.approx([s / 3600 for s in left])
    assert rows[-1]["dollars_left"] == pytest.approx(left[-1] / 3600 * 24)


def test_the_price_is_the_plans_unless_it_is_given():
    config, name = PRESETS["8xa100"], "8xa100"
    rows = []
    for dollars in (None, 1.0):
        told = Progress(config, name, ALONE, dollars, clock_of(0, 3600))
        told({"step": 0, "loss": 3.0})
        rows.append(told({"step": config.max_steps - 1, "loss": 3.0})["dollars_left"])
    assert rows == [MACHINES[name].dollars, 1.0]


def test_a_pause_between_two_starts_does_not_count():
    """A run that goes on has a new Progress: the night in between is nobody's pace."""
    told = Progress(PRESETS["cpu"], "cpu", ALONE, 0.0, clock_of(1e6, 1e6 + 1))
    assert "hours_left" not in told({"step": 500, "loss": 3.0})
    row = told({"step": 501, "loss": 3.0})
    assert row["hours_left"] == pytest.approx(499 / 3600)
    assert "dollars_left" not in row  # a laptop costs nothing an hour


def test_the_share_of_the_peak_is_of_all_gpus_together(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 41.2e9)
    ranks = ALONE._replace(world_size=8, device=torch.device("cuda:0"))
    told = Progress(PRESETS["8xh100"], "8xh100", ranks)
    row = told({"step": 1, "loss": 3.0, "flops_per_s": 8 * 989e12 / 2})
    assert row["mfu"] == pytest.approx(0.5)


def test_a_gpu_tells_the_most_memory_that_was_in_use_on_it(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a loom")
    monkeypatch.setattr(
        torch.cuda, "max_memory_allocated", lambda device: asked.append(device) or 41.2e9
    )
    ranks = ALONE._replace(device=torch.device("cuda:3"))
    row = Progress(PRESETS["1xh100"], "1xh100", ranks)({"step": 1, "loss": 3.0})
    assert row["memory_gb"] == 41.2 and asked == [torch.device("cuda:3")]
    assert "41.2 GB" in line(row)


def test_a_machine_without_a_known_peak_has_no_share():
    told = Progress(PRESETS["cpu"], "cpu", ALONE)
    row = told({"step": 1, "loss": 3.0, "flops_per_s": 1e9})
    assert "mfu" not in row and "memory_gb" not in row


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA A10", 125e12),
        ("Tesla T4", 65e12),
        ("Tesla V100-SXM2-16GB", 125e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
    ],
)
def test_gpus_are_known_by_what_they_call_themselves(name, peak):
    assert peak_of(name) == peak


def test_no_name_is_hidden_behind_a_shorter_one():
    names = list(PEAKS)
    for i, name in enumerate(names):
        assert not any(shorter in name for shorter in names[:i]), name


@pytest.mark.parametrize("preset", ["t4", "4090", "1xh100", "8xh100", "8xa100", "2x8xh100"])
def test_plan_and_log_speak_of_the_same_peaks(preset):
    words = MACHINES[preset].words
    named = [peak for name, peak in PEAKS.items() if name.split()[-1] in words]
    assert MACHINES[preset].peak in named, words


def test_rows_of_an_evaluation_pass_unchanged():
    told = Progress(PRESETS["cpu"], "cpu", ALONE, clock=clock_of())  # which is never asked
    assert told({"step": 100, "val": 2.0}) == {"step": 100, "val": 2.0}


def test_a_line_shows_what_there_is_and_nothing_a_terminal_would_obey():
    row = {"step": 7, "val": 2.5, "hellaswag": 0.2946, "apart": 0.0, "sample": "\x1b[2J\nTo be"}
    said = line(row)
    assert said.startswith("step      7 · val 2.5000 · HellaSwag 29.5%")
    assert "\x1b" not in said and said.endswith(r"writes '\x1b[2J\nTo be'")
    assert "nan" in line({"step": 1, "loss": float("nan")})


def test_every_form_can_show_its_number():
    row = {"step": 1} | {name: 0.5 for name in progress.FORMS}
    assert line(row).count("·") == len(progress.FORMS)
