"""runs.trackers: TensorBoard's own reader finds the metrics; the hosted ones get what they ask."""

import math
import sys
import types

import pytest

from gpt2_tutorial.runs.trackers import numbers, tracker

ROWS = [
    {"step": 1, "loss": 4.25, "tokens": 2048, "apart": 0.0},
    {"step": 2, "loss": 4.0, "tokens": 4096},
    {"step": 2, "val": 4.125, "sample": "<script>alert(1)</script>\n"},
]


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_itself_reads_what_was_told(tmp_path):
    told = tracker("tensorboard", tmp_path, {"seed": 1})
    for row in ROWS:
        told(row)
    found = read(tmp_path)
    assert found["loss"] == [(1, 4.25), (2, 4.0)] and found["val"] == [(2, 4.125)]
    assert found.keys() == {"loss", "tokens", "apart", "val"}


class Hosted(types.ModuleType):
    """Stands in for wandb and trackio, of which both have init(…, resume=…) and log(…, step=…)."""

    def __init__(self, name):
        super().__init__(name)
        self.began, self.rows = [], []

    def init(self, **how):
        self.began.append(how)
        return self

    def log(self, row, step):
        self.rows.append((step, row))


@pytest.mark.parametrize(("name", "key"), [("wandb", "id"), ("trackio", "name")])
def test_a_run_that_goes_on_keeps_its_name_at_the_tracker(tmp_path, monkeypatch, name, key):
    hosted = Hosted(name)
    monkeypatch.setitem(sys.modules, name, hosted)
    for rows in (ROWS[:1], ROWS[1:]):  # stopped in between
        told = tracker(name, tmp_path / "run", {"seed": 1})
        for row in rows:
            told(row)
    first, second = hosted.began
    assert first[key] == second[key] and first[key].startswith("run-")
    assert first["resume"] == "allow" and first["config"] == {"seed": 1}
    assert hosted.rows[0] == (1, {"loss": 4.25, "tokens": 2048, "apart": 0.0})
    assert hosted.rows[2] == (2, {"val": 4.125})
    tracker(name, tmp_path / "other", {})(ROWS[0])
    assert hosted.began[2][key] != first[key]


@pytest.mark.parametrize("name", ["wandb", "trackio", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_named_with_what_helps(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not there
    with pytest.raises(ImportError, match=f"--tracker {name} needs .* pip install {name}$"):
        tracker(name, tmp_path, {})


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(ValueError, match="tensorboard, wandb, trackio, not 'paper'"):
        tracker("paper", tmp_path, {})


def test_without_a_tracker_nothing_is_written(tmp_path):
    tracker(None, tmp_path, {})(ROWS[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_before_the_first_row_nothing_is_written(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "wandb", Hosted("wandb"))
    tracker(name, tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_a_tracker_that_does_not_open_is_tried_once(tmp_path, monkeypatch, capsys):
    hosted, tries = Hosted("wandb"), []
    hosted.init = lambda **how: tries.append(how) or 1 / 0
    monkeypatch.setitem(sys.modules, "wandb", hosted)
    told = tracker("wandb", tmp_path, {})
    for row in ROWS:
        told(row)
    assert len(tries) == 1
    assert capsys.readouterr().err.count("wandb failed (division by zero)") == 1


def test_numbers_are_all_that_can_be_drawn():
    assert numbers({"step": 3, "loss": math.inf, "sample": "a", "n": 7, "x": None}) == {
        "loss": math.inf,
        "n": 7,
    }


def test_a_tracker_that_fails_is_told_once_and_ends_nothing(tmp_path, monkeypatch, capsys):
    hosted = Hosted("wandb")
    hosted.log = lambda row, step: 1 / 0
    monkeypatch.setitem(sys.modules, "wandb", hosted)
    told = tracker("wandb", tmp_path, {})
    for row in ROWS:
        told(row)
    assert capsys.readouterr().err.count("wandb failed (division by zero)") == 1
