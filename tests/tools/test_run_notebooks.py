"""Notebooks run two at a time, within limits of CPU time that grow on a slow processor only."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import run_notebooks

FAST, SLOW = [run_notebooks.YARDSTICK / 2], [1.2 * run_notebooks.YARDSTICK]


def test_a_notebook_costs_what_it_worked_and_says_its_words_at_once(capfd):
    work = "sum(i for i in range(3_000_000)); print('done')"
    commands = [[sys.executable, "-c", code] for code in (work, "import time; time.sleep(0.2)")]
    with ThreadPoolExecutor(2) as two:
        (burnt, _), (slept, fault) = two.map(lambda c: run_notebooks.cost("00", c, {}), commands)
    assert burnt > slept >= 0 and fault == ""
    assert "── notebook 00\ndone" in capfd.readouterr().out


def test_a_notebook_that_fails_is_named():
    _, fault = run_notebooks.cost("00_bad", [sys.executable, "-c", "raise SystemExit(3)"], {})
    assert fault.startswith("notebook 00_bad failed (3)")


@pytest.mark.parametrize(
    ("spent", "paces", "complaints"),
    [
        ({"00_dear": 91.0}, FAST, ["00_dear took 91 CPU-seconds of 90"]),
        ({"00_dear": 89.0}, FAST, []),
        ({"00_dear": 107.0}, SLOW, []),
        ({"00_dear": 109.0}, SLOW, ["00_dear took 109 CPU-seconds of 108"]),
        (dict.fromkeys("abcdefg", 70.0), FAST, ["all notebooks took 490 CPU-seconds of 480"]),
        (dict.fromkeys("abcdefg", 70.0), SLOW, []),
    ],
    ids=str,
)
def test_limits_grow_on_a_slow_processor_and_never_shrink(spent, paces, complaints):
    assert run_notebooks.too_long(spent, paces) == complaints


@pytest.mark.soak
def test_the_yardstick_is_a_number_of_seconds():
    assert 0.1 < run_notebooks.yardstick() < 60


def test_notebooks_run_with_the_guard_and_the_wheel(monkeypatch, tmp_path):
    path = tmp_path / "00_small.ipynb"
    path.write_text(json.dumps({"cells": []}))
    seen = {}
    monkeypatch.setattr(run_notebooks, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(run_notebooks, "wheel", lambda folder: folder / "site")
    monkeypatch.setattr(run_notebooks, "yardstick", lambda: 1.0)

    def cost(name, command, env):
        seen.update(env, name=name, words=command)
        return 2.0, ""

    monkeypatch.setattr(run_notebooks, "cost", cost)
    assert run_notebooks.run([path]) == ({"00_small": 2.0}, [1.0], [])
    guard, site = seen["PYTHONPATH"].split(":")
    assert (Path(guard) / "sitecustomize.py").is_file()
    assert site == str(tmp_path / "_build" / "colab" / "site")
    assert "torch" in seen["COLAB_HAS"].split(",")
    assert seen["KEEP_OUTPUTS"] == str(tmp_path / "_build" / "executed")
    assert seen["GPT2_TUTORIAL_LEDGER"] == str(tmp_path / "_build" / "measured")
    copy = Path(seen["words"][-1])
    assert [file.name for file in copy.parent.iterdir()] == ["00_small.ipynb"]


def test_a_folder_without_notebooks_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["run_notebooks.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="holds no notebooks"):
        run_notebooks.main()
