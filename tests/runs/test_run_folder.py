"""run_folder: damaged files, odd names and other runs are a sentence, and nothing is lost."""

import json
import os
import random
import warnings
from pathlib import Path

import pytest
import torch.nn as nn

from gpt2_tutorial.checkpoint import Checkpoint
from gpt2_tutorial.config import ConfigChanged, TrainConfig
from gpt2_tutorial.runs.run_folder import FINISHED, FolderError, InUse, RunFolder
from gpt2_tutorial.runs.same_run import Asked

ASKED = Asked(TrainConfig(precision="fp32"), "data/a", "5d8d81ac")
MODEL, FOUND = nn.Linear(1, 1), Checkpoint(Path("step_00000001"))
GOOD = [b'{"step": 1, "loss": 4.0}', b'{"step": 2, "loss": 3.0}']
DAMAGED = [b"null", b"5", b"{}", b"[]", b"\xff", b'{"step": "1"}', b'{"step": true}']
DAMAGED += [b'{"step": 2.0}', b'{"step": 3, "lo', b"[" * 100_000, b"", b"\x00"]
DAMAGED += [b'{"step": ' + b"9" * 5_000 + b"}"]


@pytest.mark.parametrize("line", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_line_of_the_metrics_is_dropped_and_said(tmp_path, line):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"\n".join([GOOD[0], line, GOOD[1]]) + b"\n")
    with RunFolder(tmp_path) as run:
        assert [row["step"] for row in run.rows()] == [1, 2]
        with pytest.warns(UserWarning, match="metrics.jsonl has damaged lines, .* dropped: 2$"):
            run.forget_after(1)
        run.log({"step": 2, "loss": 2.5})
        assert [row["loss"] for row in run.rows()] == [4.0, 2.5]


def test_metrics_with_any_flipped_bit_stop_no_run(tmp_path):
    whole, rng = b"".join(line + b"\n" for line in GOOD * 3), random.Random(0)
    for _ in range(60):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        (tmp_path / "metrics.jsonl").write_bytes(damaged)
        with RunFolder(tmp_path) as run, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run.forget_after(10**9)
            assert len(run.rows()) >= 4


@pytest.mark.parametrize("word", [b"", b"5", b"null", b"[]", b"\xff", b"[" * 100_000, b'{"code'])
def test_a_damaged_status_or_lock_is_as_good_as_none(tmp_path, word):
    for name in ("status.json", "lock", FINISHED):
        (tmp_path / name).write_bytes(word)
    with RunFolder(tmp_path) as run:
        assert run.status() == {} and run.finished() == {}
        with pytest.raises(InUse, match="is in use by process"), RunFolder(tmp_path):
            pass
        run.ready(ASKED, None, MODEL)
        assert run.finished() is None  # of which run it spoke is not known
        run.end(0, "all steps are done", step=3)
    assert run.finished() == ASKED.settings() and run.status()["state"] == "done"


def done(folder, asked=ASKED):
    with RunFolder(folder) as run:
        run.ready(asked, None, MODEL)
        run.log({"step": 0, "precision": "fp32"})
        run.end(0, "all steps are done", step=3)
    return run


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(TrainConfig(precision="fp32", max_steps=9_999), "data/a", "5d8d81ac"), "max_steps"),
        (Asked(TrainConfig(precision="bf16"), "data/a", "5d8d81ac"), "precision was 'fp32'"),
        (Asked(TrainConfig(precision="fp32"), "data/b", "54b770f7"), "data/b is not the data"),
    ],
)
def test_a_folder_where_another_run_was_finished_is_refused_and_stays(tmp_path, asked, said):
    run = done(tmp_path)
    before = (tmp_path / FINISHED).read_bytes()
    with run, pytest.raises(ValueError, match=said):
        run.ready(asked, None, MODEL)
    assert (tmp_path / FINISHED).read_bytes() == before


def test_the_same_run_may_change_what_does_not_matter(tmp_path):
    run = done(tmp_path, Asked(TrainConfig(), "data/a", "5d8d81ac"))
    assert run.finished()["precision"] == "fp32"  # which "auto" was
    for config in (TrainConfig(keep=3), TrainConfig(precision="fp32"), TrainConfig(eval_every=9)):
        with run:
            run.ready(Asked(config, "elsewhere/a", "5d8d81ac"), None, MODEL)
        assert run.finished()["precision"] == "fp32"


def test_what_nobody_foresaw_is_said_to_have_failed(tmp_path):
    with pytest.raises(KeyError), RunFolder(tmp_path) as run:
        run.begin()
        raise KeyError("what?")
    status = run.status()
    assert status["state"] == "failed" and status["reason"] == "KeyError: 'what?'"
    assert "code" not in status  # no word against trying again


@pytest.mark.skipif(os.name == "nt", reason="such names are Unix's")
@pytest.mark.parametrize("name", ["z\udcff", "a b\n", "Ünïcødé", "-x", "😉", "x" * 200])
def test_a_folder_of_any_name_says_how_it_ended(tmp_path, name):
    with RunFolder(tmp_path / name) as run:
        run.begin()
        run.ready(ASKED, None, MODEL)
        run.end(74, f"{run.path} cannot be written to", step=3)
    assert run.status()["state"] == "no disk" and run.status()["code"] == 74


def test_what_has_begun_is_not_taken_back(tmp_path):
    for begin in (lambda run: run.log({"step": 1}), lambda run: run.ready(ASKED, FOUND, MODEL)):
        with RunFolder(tmp_path / "run") as run:
            run.begin()
            begin(run)
            assert not run.take_back() and run.status()["state"] == "running"


def test_only_what_this_call_made_is_taken_back(tmp_path):
    with RunFolder(tmp_path / "a" / "run") as run:
        run.begin()
        (run.path / "notes.txt").touch()  # somebody else's
        assert run.take_back()
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]
    with RunFolder(run.path, run.path / "data") as run:  # of somebody else, who has just come
        (run.path / "data").mkdir()
        assert run.take_back()
    assert sorted(path.name for path in run.path.iterdir()) == ["data", "notes.txt"]


def test_the_word_of_the_run_before_comes_back(tmp_path):
    done(tmp_path)
    before = (tmp_path / "status.json").read_bytes()
    with RunFolder(tmp_path) as run:
        run.begin()
        assert run.status()["state"] == "running" and run.take_back()
    assert (tmp_path / "status.json").read_bytes() == before


def test_a_folder_that_was_never_held_is_not_taken_back(tmp_path):
    assert not RunFolder(tmp_path).take_back() and tmp_path.exists()


def test_a_disk_without_room_is_told_before_a_row_is_forgotten(tmp_path):
    with RunFolder(tmp_path) as run:
        run.log({"step": 1, "loss": 4.0})
        with pytest.raises(FolderError, match="make room, choose another folder, or lower --keep"):
            run.ready(Asked(TrainConfig(keep=10**15), "data/a", "5d8d81ac"), None, MODEL)
        assert len(run.rows()) == 1


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    from gpt2_tutorial import checkpoint

    others = [{"model": {"a": 1}}, {"run": {"step": 7}}, {"run": 7, "loader": {"data": 1}}]
    others += [{"run": {"config": {}}}, {"run": {"config": 7}, "loader": {"data": "5d8d81ac"}}]
    for step, state in enumerate(others):
        found = Checkpoint(checkpoint.save(tmp_path, step, state))
        with pytest.raises(ValueError, match=f"step_0000000{step} holds no run of this script"):
            ASKED.check_found(found)


def test_a_checkpoint_of_the_run_is_taken_and_one_of_another_is_named(tmp_path):
    from gpt2_tutorial import checkpoint

    settings = {k: v for k, v in ASKED.settings().items() if k != "data"}
    state = {"run": {"config": settings}, "loader": {"data": "5d8d81ac"}}
    found = Checkpoint(checkpoint.save(tmp_path, 1, state))
    ASKED.check_found(found)
    with pytest.raises(ValueError, match=r"^dB is not the data this run began with: take that"):
        Asked(ASKED.config, Path("dB"), "54b770f7").check_found(found)
    with pytest.raises(ConfigChanged, match="seed was 1337 and is 1"):
        Asked(TrainConfig(precision="fp32", seed=1), "data/a", "5d8d81ac").check_found(found)


def test_json_of_the_settings_is_complete(tmp_path):
    done(tmp_path)
    assert json.loads((tmp_path / FINISHED).read_text()) == ASKED.settings()
