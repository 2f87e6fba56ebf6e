"""The edition for a class: no solution is left in it, and all the rest is."""

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import editions
from gpt2_tutorial.checks import EXERCISES, load_all

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def text_of(notebook: dict) -> str:
    return "\n".join("".join(cell["source"]) for cell in notebook["cells"])


def plain(code: str) -> str:
    return re.sub(r"\s+", " ", code)


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def pair(request) -> tuple[dict, dict]:
    """A notebook as we ship it, and its edition without solutions."""
    shipped = json.loads(request.param.read_text(encoding="utf-8"))
    return shipped, editions.without_solutions(shipped)


def exercises_of(notebook: dict) -> list[str]:
    load_all()
    tags = (editions.tagged(cell, "exercise:") for cell in notebook["cells"])
    return [id for id in tags if id]


def test_no_solution_is_left(pair):
    shipped, student = pair
    for id in exercises_of(shipped):
        solution = EXERCISES[id].solution_source
        assert plain(solution) in plain(text_of(shipped)), f"{id} was not there to begin with"
        assert plain(solution) not in plain(text_of(student))


def test_no_sentence_of_a_solution_is_left(pair):
    shipped, student = pair
    for cell in shipped["cells"]:
        if editions.tagged(cell, "solution:"):
            last = "".join(cell["source"]).rpartition("<details")[2]
            prose = re.sub(r"(?s)```.*?```|<.*?>", "", last)
            sentences = [line for line in prose.splitlines() if len(line.split()) > 5]
            assert sentences, cell["id"]
            assert not any(sentence in text_of(student) for sentence in sentences)


def test_everything_else_is_left(pair):
    shipped, student = pair
    kept = {cell["id"]: cell for cell in student["cells"]}
    for cell in shipped["cells"]:
        if not editions.tagged(cell, "solution:"):
            assert kept[cell["id"]] == cell
    assert text_of(student).count("<details") == text_of(shipped).count("<details") - len(
        exercises_of(shipped)
    )
    assert text_of(student).count("Hint 1") == text_of(shipped).count("Hint 1") > 0


def test_it_is_a_valid_notebook(pair):
    nbformat.validate(nbformat.from_dict(pair[1]))


def fold(*words: str) -> str:
    inner = "\n".join(words)
    return f"<details><summary>x</summary>\n\n{inner}\n\n</details>\n\n"


def cell(source: str, *tags: str) -> dict:
    return {"id": "a", "cell_type": "markdown", "metadata": {"tags": [*tags]}, "source": source}


@pytest.mark.parametrize(
    ("source", "left"),
    [
        (fold("hint") + fold("answer"), fold("hint").rstrip()),
        (fold("hint") + fold("answer\n\n```python\nx = 1\n```"), fold("hint").rstrip()),
        ([*fold("hint").partition("x"), fold("answer")], fold("hint").rstrip()),
    ],
    ids=["two folds", "with code", "stored as lines"],
)
def test_the_last_fold_goes_and_the_tag_stays_true(source, left):
    (kept,) = editions.without_solutions({"cells": [cell(source, "solution:01.1")]})["cells"]
    assert kept["source"] == left
    assert kept["metadata"]["tags"] == ["hints:01.1"]


def test_a_cell_with_nothing_but_the_solution_goes():
    notebook = {"cells": [cell(fold("answer"), "solution:01.1"), cell("text")]}
    assert editions.without_solutions(notebook)["cells"] == [cell("text")]


def test_a_solution_outside_a_fold_is_an_error_and_nothing_is_written(tmp_path):
    for number, source in enumerate((fold("hint") + fold("answer"), "answer: 42")):
        notebook = {"cells": [cell(source, "solution:01.1")]}
        (tmp_path / f"{number}.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(ValueError, match=r"solution of 01\.1 does not end with a <details> fold"):
        editions.write(editions.without_solutions, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_writing_replaces_what_was_there(tmp_path):
    (tmp_path / "01_old.ipynb").write_text("gone soon")
    made = editions.write(editions.without_solutions, ROOT / "notebooks", tmp_path)
    assert [path.name for path in made] == [path.name for path in NOTEBOOKS]
    assert sorted(tmp_path.iterdir()) == made


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(editions).failed == 0 < doctest.testmod(editions).attempted


def test_the_command_says_how_to_use_it():
    command = [sys.executable, str(ROOT / "tools" / "editions.py"), "teacher"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "editions.py student" in ran.stdout
