"""What a contributor finds: templates, promises, hooks, a container, new versions by themselves."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from test_makefile import GOALS

import notebooks

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
HOOKS = ROOT / ".pre-commit-config.yaml"
PROMISES = ("SECURITY.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md")


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").iterdir() if path.stem != "config")


def test_there_is_a_form_for_each_kind_of_issue():
    assert [path.name for path in FORMS] == ["code.yml", "mistake.yml", "question.yml"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_what_the_host_demands_of_it(path):
    form = read(path)
    assert all(form[key] for key in ("name", "description", "title", "labels", "body"))
    fields = form["body"]
    assert all(field["type"] in {"input", "textarea", "dropdown"} for field in fields)
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[\w-]+", name) for name in ids)
    assert any(field.get("validations", {}).get("required") for field in fields)
    for field in fields:
        assert (field["type"] == "dropdown") == ("options" in field["attributes"])


def test_an_empty_issue_stays_possible_for_the_link_at_the_foot_of_every_page():
    layout = (ROOT / "book" / "_templates" / "layout.html").read_text(encoding="utf-8")
    assert "/issues/new?title=" in layout and "template=" not in layout
    assert read(GITHUB / "ISSUE_TEMPLATE" / "config.yml")["blank_issues_enabled"] is True


@pytest.mark.parametrize("name", PROMISES)
def test_every_file_that_a_page_for_people_links_to_is_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_new_versions_are_looked_for_wherever_versions_are_pinned():
    watched = {(one["package-ecosystem"], one["directory"]) for one in updates()}
    pinned = {
        ("pip", path.parent)
        for place in (ROOT, ROOT / "launch", *GITHUB.iterdir())
        for path in place.glob("requirements*.txt")
    }
    pinned |= {("docker", path.parent) for path in (ROOT / "launch").glob("Dockerfile")}
    pinned |= {("npm", path.parent) for path in GITHUB.glob("*/package.json")}
    pinned |= {("github-actions", ROOT)}
    assert watched == {(kind, f"/{path.relative_to(ROOT)}".rstrip(".")) for kind, path in pinned}


def updates() -> list[dict]:
    return read(GITHUB / "dependabot.yml")["updates"]


def pins(file: str) -> dict[str, str]:
    """The pinned packages of a file, by the name that pip goes by."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.findall(r"(?m)^([\w.-]+)==([^\s;\\]+)", text)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_what_holds_a_package_where_it_is_holds_a_package_that_is_pinned():
    held = {one["dependency-name"] for update in updates() for one in update.get("ignore", [])}
    assert held - {"python"} <= {*pins("requirements.txt"), *pins("requirements-data.txt")}


def test_the_lock_has_every_pin_in_its_version():
    wanted = pins("requirements.txt") | pins("requirements-data.txt")
    del wanted["torch"]  # tools/setup.py takes the build for the machine
    locked = pins("requirements.lock")
    assert {name: locked.get(name) for name in wanted} == wanted, "run `make lock`"


def hooks() -> list[dict]:
    return [hook for repo in read(HOOKS)["repos"] for hook in repo["hooks"]]


def test_the_hooks_are_ours_and_fetch_nothing():
    assert {repo["repo"] for repo in read(HOOKS)["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks()} == {"system"}
    for hook in hooks():
        program, *words = shlex.split(hook["entry"])
        assert words[-1] in GOALS if program == "make" else (ROOT / words[0]).is_file()


def test_the_hooks_see_the_files_that_their_checks_read():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    files = files.split() or ["notebooks/01_bigram.ipynb", "src/gpt2_tutorial/text.py"]  # no git
    for hook in hooks():
        assert any(re.search(hook["files"], name) for name in files), hook["id"]


def test_a_notebook_with_an_output_does_not_pass(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["notebooks.py", "clean"])
    assert notebooks.main() == 0
    content = json.loads((ROOT / "notebooks" / "01_bigram.ipynb").read_text(encoding="utf-8"))
    cell = next(cell for cell in content["cells"] if cell["cell_type"] == "code")
    cell["execution_count"] = 7
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_bigram.ipynb").write_text(json.dumps(content), "utf-8")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    assert notebooks.main() == 1
    assert f"cell {cell['id']}: execution_count is set" in capsys.readouterr().out


def test_the_container_has_a_python_of_the_lock_and_sets_itself_up():
    told = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert re.search(r"python:1-3\.1[123]-", told["image"])
    assert told["postCreateCommand"] == "make setup" and "setup" in GOALS


def test_types_are_a_report_with_its_own_version():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"(?m)^types: setup ; -\$\(BIN\)/mypy", makefile)  # `-`: never fails
    assert "mypy" in pins("requirements.txt")
