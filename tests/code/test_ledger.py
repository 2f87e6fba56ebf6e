"""ledger: measured numbers are kept only when a run asks for it, whole or not at all."""

import json

import pytest

from gpt2_tutorial import ledger

ROW = {"chapter": "01", "name": "bigram", "val": 2.482}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GPT2_TUTORIAL_LEDGER", str(tmp_path / "measured"))
    return tmp_path / "measured"


def test_a_measure_is_written_under_its_chapter_and_handed_back(folder):
    assert ledger.measure("01.val_order_1", 2.482, tol=0.005, unit="nats") == 2.482
    ledger.measure("01.cells", 1380)
    ledger.measure("00.symbols", 65)
    pages = json.loads((folder / "01.json").read_text())
    assert pages["values"]["01.val_order_1"] == {"value": 2.482, "tol": 0.005, "unit": "nats"}
    assert pages["values"]["01.cells"]["tol"] == 0
    assert sorted(file.name for file in folder.iterdir()) == ["00.json", "01.json"]


def test_measuring_again_replaces_the_value(folder):
    ledger.measure("00.a", 1)
    ledger.measure("00.a", 2)
    assert json.loads((folder / "00.json").read_text())["values"]["00.a"]["value"] == 2


def test_rows_of_the_scoreboard_are_kept_by_name(folder):
    ledger.record_row(ROW | {"val": 9.9})
    ledger.record_row(ROW)
    assert json.loads((folder / "01.json").read_text())["scoreboard"] == [ROW]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("GPT2_TUTORIAL_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)
    ledger.measure("00.a", 1)
    assert list(tmp_path.iterdir()) == []


def test_committed_values_are_those_of_the_repository():
    assert ledger.committed("00")["values"]["00.symbols"]["value"] == 65


def test_logs_of_long_runs_are_those_of_the_repository():
    assert ledger.logged("ablation_ladder")["about"]["threads"] == 1
    with pytest.raises(ValueError, match="no run is called 'nothing'"):
        ledger.logged("nothing")


@pytest.mark.parametrize(
    ("log", "counts"),
    [
        ({"about": {"device": "NVIDIA H200", "tiny": False}, "mfu": 0.4}, True),
        ({"about": {"device": "NVIDIA H200", "tiny": True}, "mfu": 0.4}, False),
        ({"about": {"device": "CPU", "tiny": False}}, False),
        ({"device": "NVIDIA H200", "rungs": []}, True),  # of gpu_ladder.py alone
        ({"device": "CPU", "rungs": []}, False),
    ],
)
def test_a_log_of_a_gpu_counts_and_a_trial_does_not(tmp_path, monkeypatch, log, counts):
    (tmp_path / "gpu_script.json").write_text(json.dumps(log))
    assert ledger.gpu_log("gpu_script", tmp_path) == (log if counts else {})
    monkeypatch.setattr(ledger, "_results", lambda kind: tmp_path)
    assert ledger.gpu_log("gpu_script") == (log if counts else {})
    assert ledger.gpu_log("gpu_step") == {}


@pytest.mark.parametrize(
    ("guess", "said"),
    [
        (3.0, "0.520 too high. why high"),
        (2.0, "0.480 too low. why low"),
        (2.5, "as good as measuring it"),
        (None, "put your guess in first"),
        ("2.5", "put your guess in first"),
    ],
)
def test_reveal_answers_every_kind_of_guess(capsys, guess, said):
    ledger.reveal("01.p1", guess, 2.48, low="why low", high="why high")
    printed = capsys.readouterr().out
    assert "Measured 2.480." in printed and said in printed
