"""The runner behind make: its goals, its commands, and the workflows that call them."""

import inspect
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import steps
import yaml

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def make_goals() -> set[str]:
    return set(re.findall(r"(?m)^([a-z]+):", MAKEFILE))


def test_make_and_the_runner_have_the_same_goals():
    assert make_goals() == set(steps.GOALS)
    for goal in steps.GOALS:
        assert re.search(rf"(?m)^{goal}: .*tools/steps\.py {goal} +# \S", MAKEFILE), goal
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE)
    assert set(phony.split()) == set(steps.GOALS)


def test_the_help_names_every_goal_that_a_person_types():
    named = set(re.findall(r"tools/steps\.py (\w+) ", steps.__doc__))
    assert named == set(steps.GOALS) - {"setup"}


@pytest.mark.parametrize("words", [[], ["books"], ["book", "test"]], ids=str)
def test_bad_usage_shows_the_help(words):
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "steps.py"), *words], capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert "tools/steps.py book" in ran.stdout


def test_a_step_that_fails_says_how_to_run_it_alone(capsys):
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(steps.Failed) as failed:
        steps.run("trial", *command, SOME_WORD="two words")
    assert "step “trial” failed (3)" in str(failed.value)
    assert "SOME_WORD='two words' " in str(failed.value)


def test_the_first_failure_ends_the_goal(monkeypatch, capsys):
    done = []

    def fail():
        raise steps.Failed("no luck")

    monkeypatch.setitem(steps.GOALS, "book", [lambda: done.append(1), fail, lambda: done.append(2)])
    monkeypatch.setattr(sys, "argv", ["steps.py", "book"])
    monkeypatch.setattr(steps.GOALS["book"][0], "__name__", "first")
    assert steps.main() == 1
    assert done == [1]
    assert "✗ no luck" in capsys.readouterr().err


def test_the_cost_of_a_step_is_what_its_process_worked():
    burnt = steps.run("work", sys.executable, "-c", "sum(i for i in range(3_000_000))")
    slept = steps.run("sleep", sys.executable, "-S", "-c", "import time; time.sleep(0.2)")
    assert burnt > slept >= 0


def test_a_step_beside_others_costs_what_it_worked_and_says_its_words_at_once(capfd):
    work = (
        "import sys; sum(i for i in range(3_000_000)); print('done'); print('!', file=sys.stderr)"
    )
    with ThreadPoolExecutor(2) as two:
        costs = list(two.map(lambda code: steps.run_aside("work", sys.executable, "-c", code),
                             [work, "import time; time.sleep(0.2)"]))  # fmt: skip
    assert costs[0] > costs[1] >= 0
    assert "done" in capfd.readouterr().out
    with pytest.raises(steps.Failed, match=r"step “work” failed \(3\)"):
        steps.run_aside("work", sys.executable, "-c", "raise SystemExit(3)")


def test_the_site_is_built_from_answers_in_a_copy_that_runs_nothing(monkeypatch, tmp_path):
    root, build = tmp_path / "root", tmp_path / "root" / "_build"
    for name, text in {
        "_config.yml": "execute:\n  execute_notebooks: force  # afresh\n",
        "book/index.md": "words",
        "notebooks/00_small.ipynb": "empty",
        "_build/executed/00_small.ipynb": "answered",
        "_build/html/old.html": "old",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    called = []
    monkeypatch.setattr(steps, "ROOT", root)
    monkeypatch.setattr(steps, "BUILD", build)
    monkeypatch.setattr(steps, "EXECUTED", build / "executed")
    monkeypatch.setattr(steps, "run", lambda *words, **env: called.append(words))
    steps.site_of_answers()
    ((_, *command),) = called
    source = Path(command[2])
    assert "off  # afresh" in (source / "_config.yml").read_text()
    assert (source / "notebooks" / "00_small.ipynb").read_text() == "answered"
    assert (source / "book" / "index.md").read_text() == "words"
    assert not (build / "html").exists() and not (source / "_build").exists()
    assert command[-2:] == ["--path-output", str(root)]


def set_aside(monkeypatch, tmp_path):
    """Keep this checkout's own build out of it."""
    for name in ("BUILD", "MEASURED", "EXECUTED"):
        monkeypatch.setattr(steps, name, tmp_path / "_build" / name.lower())
    monkeypatch.setattr(steps, "wheel", lambda: tmp_path / "site")
    monkeypatch.setattr(steps, "yardstick", lambda: steps.YARDSTICK / 2)  # a fast machine


def test_a_notebook_that_costs_too_much_fails(monkeypatch, tmp_path):
    (tmp_path / "00_dear.ipynb").write_text(json.dumps({"cells": []}))
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    set_aside(monkeypatch, tmp_path)
    monkeypatch.setattr(steps, "run_aside", lambda *command, **env: steps.NOTEBOOK_BUDGET + 1.0)
    with pytest.raises(steps.Failed, match=r"00_dear took 91 CPU-seconds of 90"):
        steps.notebooks(tmp_path)
    monkeypatch.setattr(steps, "run_aside", lambda *command, **env: 1.0)
    steps.notebooks(tmp_path)
    monkeypatch.setattr(steps, "BOOK_BUDGET", 0.5)
    with pytest.raises(steps.Failed, match="all notebooks took 1 CPU-seconds of 0"):
        steps.notebooks(tmp_path)


def test_a_slow_processor_gets_more_for_the_notebooks_and_a_fast_one_no_less(monkeypatch, tmp_path):
    (tmp_path / "00_dear.ipynb").write_text(json.dumps({"cells": []}))
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    set_aside(monkeypatch, tmp_path)
    monkeypatch.setattr(steps, "run_aside", lambda *command, **env: 100.0)
    monkeypatch.setattr(steps, "yardstick", lambda: 1.2 * steps.YARDSTICK)
    steps.notebooks(tmp_path)
    monkeypatch.setattr(steps, "yardstick", lambda: 1.1 * steps.YARDSTICK)
    with pytest.raises(steps.Failed, match="took 100 CPU-seconds of 99"):
        steps.notebooks(tmp_path)


@pytest.mark.slow
def test_the_yardstick_is_a_number_of_seconds():
    assert 0.1 < steps.yardstick() < 60


def test_notebooks_run_with_the_guard_and_the_wheel(monkeypatch, tmp_path):
    (tmp_path / "00_small.ipynb").write_text(json.dumps({"cells": []}))
    seen = {}
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    set_aside(monkeypatch, tmp_path)

    def run(*words, **env):
        seen.update(env, words=words)
        return 0.0

    monkeypatch.setattr(steps, "run_aside", run)
    steps.notebooks(tmp_path)
    guard, site = seen["PYTHONPATH"].split(":")
    assert (Path(guard) / "sitecustomize.py").is_file()
    assert site == str(tmp_path / "site")
    assert "torch" in seen["COLAB_HAS"].split(",")
    assert seen["KEEP_OUTPUTS"] == str(steps.EXECUTED)
    assert seen["GPT2_TUTORIAL_LEDGER"] == str(steps.MEASURED)
    copy = Path(seen["words"][-1])
    assert [path.name for path in copy.parent.iterdir()] == ["00_small.ipynb"]


def test_the_oldest_versions_are_those_that_the_package_promises():
    promised = steps.promised()
    assert "torch>=2.11" in promised
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", wanted) for wanted in promised)


def test_every_processor_has_its_turn_also_after_one_that_fails(monkeypatch):
    asked = []

    def fail(step, *words, **settings):
        left_out = [word.removeprefix("--ignore=") for word in words if "--ignore=" in word]
        assert left_out and all((ROOT / path).exists() for path in left_out)
        asked.append(settings)
        raise steps.Failed(step)

    monkeypatch.setattr(steps, "python", fail)
    with pytest.raises(steps.Failed) as failed:
        steps.processors()
    assert asked == list(steps.PROCESSORS.values())
    assert all(f"unit tests, {name}" in str(failed.value) for name in steps.PROCESSORS)


def test_torch_does_as_it_is_told_about_instructions():
    settings = steps.PROCESSORS["no vector instructions"]
    asks = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    ran = subprocess.run(
        [sys.executable, "-c", asks], env=os.environ | settings, capture_output=True, text=True
    )
    assert ran.stdout == "DEFAULT\n"


# --- the workflows


def read(path: Path) -> dict:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # "on" stays a word


def every_step(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_workflows():
    assert [path.stem for path in WORKFLOWS] == ["pages", "scheduled", "tests"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestWorkflow:
    def test_it_parses_and_has_its_parts(self, path):
        workflow = read(path)
        assert {"name", "on", "permissions", "concurrency", "jobs"} <= set(workflow)
        assert workflow["permissions"] == {"contents": "read"}
        assert all(int(job["timeout-minutes"]) <= 60 for job in workflow["jobs"].values())

    def test_it_calls_only_goals_that_exist(self, path):
        scripts = "\n".join(step.get("run", "") for step in every_step(read(path)))
        called = set(re.findall(r"(?m)^make +(\S+)", scripts))
        assert called <= make_goals()
        assert called or "bash .ci/run" in scripts

    def test_its_tools_are_githubs_own_and_pinned_to_a_version(self, path):
        used = [step["uses"] for step in every_step(read(path)) if "uses" in step]
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used), used

    def test_nothing_from_outside_is_pasted_into_a_command(self, path):
        assert not any("${{" in step.get("run", "") for step in every_step(read(path)))

    def test_it_sets_up_the_torch_that_is_tested(self, path):
        pinned = re.findall(r"(?m)^torch==\S+", (ROOT / "requirements.txt").read_text("utf-8"))
        scripts = "\n".join(step.get("run", "") for step in every_step(read(path)))
        assert set(re.findall(r"(?<=cpu )torch==\S+", scripts)) <= set(pinned)
        assert f'pip("{pinned[0]}")' in inspect.getsource(steps.setup)


def test_only_two_jobs_may_write_and_none_of_them_runs_our_code():
    writers = {}
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            if granted := job.get("permissions"):
                writers[name] = sorted(granted)
                scripts = " ".join(step.get("run", "") for step in job["steps"])
                assert not re.search(r"\b(make|python|pip|bash)\b", scripts)
    assert writers == {"deploy": ["id-token", "pages"], "keep": ["contents"]}


def test_the_public_test_is_the_one_that_everybody_runs():
    assert re.search(r"(?m)^exec make test$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    jobs = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    assert any(step.get("run") == "bash .ci/run" for step in jobs["everything"]["steps"])
