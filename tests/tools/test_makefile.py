"""The goals of `make`: what they do to a small house, and how they fail."""

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


def test_make_alone_lists_the_goals_that_a_person_types():
    said = make().stdout
    named = set(re.findall(r"(?m)^  make (\w+) +\S", said))
    assert {"book", "test", "check", "soak", "sync"} <= named <= GOALS


def test_every_goal_can_be_worked_out():
    """A dry run finds a rule for everything that a goal needs."""
    for goal in sorted(GOALS):
        ran = make("--dry-run", goal)
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
        "book/index.md": "words",
        "notebooks/00_small.ipynb": "empty",
        "_build/executed/00_small.ipynb": "answered",
        "_build/html/old.html": "old",
    }.items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(text)
    ran = make("pages", "SITE=echo built", root=house)
    assert "built _build/source --path-output ." in ran.stdout, ran.stderr
    source = house / "_build" / "source"
    assert "off  # afresh" in (source / "_config.yml").read_text()
    assert (source / "notebooks" / "00_small.ipynb").read_text() == "answered"
    assert (source / "book" / "index.md").read_text() == "words"
    assert not (house / "_build" / "html").exists() and not (source / "_build").exists()


@pytest.mark.parametrize("version", [(3, 9, 6), (3, 10, 0), (3, 14, 0), (2, 7, 18)])
def test_a_python_that_will_not_do_is_told_so(version):
    said = setup.refusal(version)
    assert f"this is {version[0]}.{version[1]}." in said and "PYTHON=" in said


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9), (3, 13, 1)])
def test_these_pythons_will_do(version):
    assert setup.refusal(version) == ""


def test_setup_can_be_read_by_the_pythons_that_it_refuses():
    """No word of it is newer than Python 3.6, so that an old one gets as far as the sentence."""
    compile_old = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 6))"
    subprocess.run(["python3", "-c", compile_old, str(ROOT / "tools" / "setup.py")], check=True)


@pytest.mark.parametrize(
    ("goal", "setting"), [("no-vectors", "ATEN_CPU_CAPABILITY=default"), ("avx2", "MKL_CBWR=AVX2")]
)
def test_each_processor_has_its_settings(goal, setting):
    assert setting in make("-s", "-o", "setup", goal, "TEST=env #").stdout.split()
