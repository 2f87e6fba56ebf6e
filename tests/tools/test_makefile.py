"""The goals of `make`: what they do to a small house, and how they fail."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

import setup

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
GOALS = set(re.findall(r"(?m)^([a-z-]+)(?= [a-z ]+:|:(?!=))", MAKEFILE)) | {"newest"}


def make(*words: str, root: Path = ROOT) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *words], cwd=root, env=env, capture_output=True, text=True)


def test_make_lists_what_a_person_types_and_finds_a_rule_for_everything():
    named = set(re.findall(r"(?m)^  make (\w+) +\S", make().stdout))
    assert {"book", "test", "check", "soak", "sync"} <= named <= GOALS
    ran = make("--dry-run", *sorted(GOALS))
    assert ran.returncode == 0, ran.stderr


def test_the_first_failure_ends_the_goal_and_is_named(tmp_path):
    (tmp_path / "Makefile").write_text(MAKEFILE)
    ran = make("check", "PYTHON=false", root=tmp_path)
    assert ran.returncode == 2 and re.search(r"\*\*\* .*\bsetup\b.*Error 1", ran.stderr)
    assert "ruff" not in ran.stdout


def test_the_site_is_built_from_answers_in_a_copy_that_runs_nothing(tmp_path):
    house = tmp_path / "a house"  # a path with a space
    for name, text in {
        "Makefile": MAKEFILE,
        "_config.yml": "execute:\n  execute_notebooks: force  # afresh\n",
        "notebooks/00_small.ipynb": "empty",
        "_build/executed/00_small.ipynb": "answered",
    }.items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(text)
    ran, source = make("pages", "SITE=echo built", root=house), house / "_build" / "source"
    assert "built _build/source --path-output ." in ran.stdout, ran.stderr
    assert "off  # afresh" in (source / "_config.yml").read_text()
    assert (source / "notebooks" / "00_small.ipynb").read_text() == "answered"


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 6), (3, 14, 0)])
def test_a_python_that_will_not_do_is_told_so(version, monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", version)
    with pytest.raises(SystemExit, match=rf"this is {version[0]}\.{version[1]}\. Install .*PYTHON"):
        setup.main()
    ast.parse(Path(setup.__file__).read_text(), feature_version=(3, 6))  # what an old one can read


@pytest.mark.parametrize("goal", ["no-vectors", "avx2"])
def test_each_processor_has_its_settings(goal):
    settings = {"no-vectors": "ATEN_CPU_CAPABILITY=default", "avx2": "MKL_CBWR=AVX2"}
    assert settings[goal] in make("-s", "-o", "setup", goal, "TEST=env #").stdout.split()
