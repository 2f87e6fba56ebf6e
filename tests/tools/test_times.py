"""How long a chapter takes is worked out from its words, lines and exercises."""

import doctest
import json

import pytest

import times
from drift.reading import Notebook, load_notebook


@pytest.fixture
def chapter(tmp_path):
    """Make a chapter of these cells: text is Markdown, a pair is code with its tags."""

    def make(*sources: str | tuple[str, list[str]]) -> Notebook:
        cells = []
        for number, source in enumerate(sources):
            text, tags = source if isinstance(source, tuple) else (source, [])
            kind = "code" if isinstance(source, tuple) else "markdown"
            cell = {"cell_type": kind, "id": f"c{number}", "metadata": {"tags": tags}}
            cells.append(cell | {"source": text})
        path = tmp_path / "00_small.ipynb"
        path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
        return load_notebook(tmp_path, path)

    return make


def test_words_and_lines_and_labels_add_up(chapter):
    text, code = "word " * 2400, ("x = 1\n" * 100, [])  # 20 minutes and 15
    assert times.minutes(chapter(text)) == (20, 20)
    assert times.minutes(chapter(text, code)) == (40, 40)
    exercise = "### Exercise 0.1 · Count\n\n*Trace · difficulty 2/5 · about 25 min · checks: all*"
    assert times.minutes(chapter(text, code, exercise)) == (60, 60)


def test_what_is_optional_is_taken_out_with_its_code(chapter):
    boss = "### The boss (optional)\n\n" + "word " * 1200
    cells = ("word " * 2400, boss, ("x = 1\n" * 133, []), "## Recap\n\n" + "word " * 1200)
    assert times.minutes(chapter(*cells)) == (60, 30)


def test_answers_in_folds_and_folded_code_count_for_nothing(chapter):
    fold = f"<details><summary>Answer</summary>\n\n{'word ' * 5000}\n\n</details>"
    assert times.minutes(chapter("word " * 1200, fold, ("x = 1\n" * 500, ["hide-input"]))) == (
        10,
        10,
    )


def test_the_first_cell_says_it(chapter):
    first = "# 00 · Small\n\n**Why?**\n\n*About 5 minutes · runs without a GPU · [Colab](x)*"
    notebook = chapter(first, "word " * 9600, "## Boss (optional)\n\n" + "word " * 7200)
    assert "*About 2 h 20, or 1 h 20 without what is optional · runs" in times.with_time(
        first, notebook
    )
    short = chapter(first, "word " * 9600)
    assert "*About 1 h 20 · runs without a GPU · [Colab](x)*" in times.with_time(first, short)


def test_examples():
    assert doctest.testmod(times).attempted > 0 and doctest.testmod(times).failed == 0
