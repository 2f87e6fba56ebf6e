"""The workflows of the public repository: what they run, with which rights."""

import re
from pathlib import Path

import pytest
import yaml
from test_makefile import GOALS

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # "on" stays a word


def every_step(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_are_workflows():
    assert [path.stem for path in WORKFLOWS] == ["pages", "release", "scheduled", "tests"]


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
        assert called <= GOALS
        assert called or "bash .ci/run" in scripts

    def test_its_tools_are_githubs_own_and_pinned_to_a_version(self, path):
        used = [step["uses"] for step in every_step(read(path)) if "uses" in step]
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used), used

    def test_nothing_from_outside_is_pasted_into_a_command(self, path):
        assert not any("${{" in step.get("run", "") for step in every_step(read(path)))


def test_only_five_jobs_may_write_and_none_of_them_runs_our_code():
    writers = {}
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            if granted := job.get("permissions"):
                writers[name] = sorted(granted)
                scripts = " ".join(step.get("run", "") for step in job["steps"])
                assert not re.search(r"\b(make|python|pip|bash)\b", scripts)
    assert writers == {
        "deploy": ["id-token", "pages"],
        "keep": ["contents"],
        "pypi": ["id-token"],
        "notes": ["contents"],
        "site": ["actions"],
    }


def test_a_release_is_tested_first_and_each_job_waits_for_the_one_before():
    workflow = read(ROOT / ".github" / "workflows" / "release.yml")
    assert workflow["on"] == {"push": {"tags": ["v*"]}}
    jobs = workflow["jobs"]
    assert [job.get("needs") for job in jobs.values()] == [None, *list(jobs)[:-1]]
    scripts = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert scripts[0] == "bash .ci/run" and "tools/release.py" in scripts[1]
    assert not any("cache" in step.get("with", {}) for step in jobs["build"]["steps"])
    secrets = re.findall(r"\$\{\{(.*?)\}\}", (ROOT / ".github/workflows/release.yml").read_text())
    assert {word.strip() for word in secrets} == {"github.token"}  # and so no password


def test_what_a_workflow_fetches_by_name_has_the_version_that_is_pinned():
    texts = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    fetched = re.findall(r"pipx run --spec (\S+==\S+)", texts)
    places = (ROOT / "requirements.txt", *(ROOT / ".github").glob("*/requirements.txt"))
    pins = [word for path in places for word in path.read_text(encoding="utf-8").split()]
    assert fetched and set(fetched) <= set(pins)
    assert "npx " not in texts  # npm ci takes what Dependabot sees


def test_the_public_test_is_the_one_that_everybody_runs():
    assert re.search(r"(?m)^exec make test$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    jobs = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    assert any(step.get("run") == "bash .ci/run" for step in jobs["everything"]["steps"])
