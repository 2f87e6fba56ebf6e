"""The counters of the style report, against examples counted by hand."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import readability
import style_report
from drift.glossary_order import Term
from drift.reading import Cell, Notebook

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One two three.", 3),
        ("It's 1,115,394 letters, or 3.35 nats", 6),
        ("a two-way street – and back", 5),
        ("Σ and α are words, → is none", 7),
        ("snake_case counts twice", 4),
    ],
)
def test_words(text, count):
    assert len(readability.words(text)) == count


# as a dictionary divides them
SYLLABLES = {
    1: "the cat guess made walked bets loss train worse called through 65",
    2: "table letter needed counting even happy again model wanted question nation little",
    3: "idea important however probable diagram beginning",
    4: "vocabulary dictionary population ability",
}


@pytest.mark.parametrize("count", SYLLABLES)
def test_syllables(count):
    words = SYLLABLES[count].split()
    found = {word: readability.syllables(word) for word in words}
    if count == 4:  # voc-ab-u-lar-y has five
        found["vocabulary"] -= 1
    assert found == dict.fromkeys(words, count)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 3.35 nats. That is much.", ["It costs 3.35 nats.", "That is much."]),
        ("See e.g. this one.", ["See e.g. this one."]),
        ("He said “no.” Then he left.", ["He said “no.", "Then he left."]),
        ("Two lines\nare one.", ["Two lines are one."]),
        ("… !", []),
    ],
)
def test_sentences(text, parts):
    assert readability.sentences(text) == parts


def test_the_grade_is_the_formula():
    # 10 words, 2 sentences, 14 syllables: guess-ing let-ters is fun | a ta-ble counts them all-so
    text = ["Guessing letters is fun.", "A table counts pairs happily, often."]
    syllables = 2 + 2 + 1 + 1 + 1 + 2 + 1 + 1 + 3 + 2
    expected = 0.39 * 10 / 2 + 11.8 * syllables / 10 - 15.59
    assert readability.grade(text) == pytest.approx(expected)
    assert readability.mean_length(text) == 5


def test_longer_sentences_and_words_raise_the_grade():
    plain = ["We count pairs.", "Then we bet."]
    joined = ["We count pairs then we bet."]
    learned = ["We enumerate combinations.", "Subsequently we speculate."]
    assert readability.grade(plain) < readability.grade(joined) < readability.grade(learned)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Just count.", ["just"]),
        (
            "It is easy, clearly, and of\ncourse trivial.",
            ["easy", "clearly", "of course", "trivial"],
        ),
        ("As we all know, simply basically obviously easily", 5),
        ("justice, adjust, uneasy, simple, easier", []),
        ("“just a really big game” is quoted", []),
        ('he said "simply so" and left', []),
        ("> just a quotation\n\nbut this is just ours", ["just"]),
        ("“open just", ["just"]),
    ],
)
def test_words_to_avoid(text, found):
    words = [word for word, _ in readability.to_avoid(text)]
    assert (len(words) if isinstance(found, int) else words) == found


def test_prose_without_code_and_tables():
    blocks = [
        "# Title",
        "First `code` here. *Second* [link](https://example.org/just).",
        "```python\nx = 1\n```",
        "| a | b |\n|---|---|",
        "1. one\n2. two",
        "<details><summary>Why?</summary>",
        "Because 3.5<!-- m:a --> is.",
        "</details>",
    ]
    found = style_report.paragraphs("\n\n".join(blocks))
    assert found == ["First here. Second link .", "one", "two", "Because 3.5 is."]


def cell(id: str, source: str, kind: str = "markdown", *tags: str, **metadata) -> Cell:
    return Cell("00.ipynb", id, kind, source, tags, metadata)


SMALL = Notebook(
    "00",
    "00.ipynb",
    (
        cell(
            "a",
            "# Four words stand here\n\nFive more words stand here.",
            "markdown",
            "section:card",
        ),
        cell("b", "Three words more, it is just so."),
        cell("c", "x = 1\n\ny = 2\n", "code"),
        cell("d", "One two.\n\n```text\nnot counted\n```\n\nThree four five."),
        cell("e", "figures.bars(1)", "code", mystnb={"image": {"alt": "bars"}}),
        cell("f", 'reveal("00.p1", guess, 1, low="", high="")', "code"),
        cell("g", "\n".join(["z = 3"] * 30), "code", "src:text"),
        cell("h", "## Exercises\n\nThese are not counted at all.", "markdown", "section:exercises"),
        cell("i", "answer = None", "code", "exercise:00.1"),
        cell("j", "## Recap\n\nSix. Seven.", "markdown", "section:recap"),
    ),
    {},
)


def test_a_small_notebook_counted_by_hand():
    terms = [Term("loss", "00", ("loss",)), Term("table", "01", ("table",))]
    found = style_report.measure(SMALL, terms)
    counted = {key: found[key] for key in style_report.ROWS}
    assert counted == {
        "words": 4 + 5 + 7 + 2 + 3 + 1 + 2,
        "code_cells": 5,
        "mean_lines": (2 + 1 + 1 + 30 + 1) / 5,
        "most_lines": 2,
        "run": 4 + 5 + 7,
        "sentence": (5 + 7 + 2 + 3 + 1 + 1) / 6,
        "grade": pytest.approx(found["grade"]),
        "terms": 1,
        "predictions": 1,
        "figures": 1,
        "avoid": 1,
    }
    assert found["runs"] == [(16, "a"), (3, "j"), (3, "d")]
    assert found["places"] == [("b", "just", "Three words more, it is just so.")]


@pytest.mark.parametrize(
    ("value", "sign"), [(1799, "·"), (1800, ""), (2600, ""), (2601, "·"), (3200, "·"), (3201, "▲")]
)
def test_the_table_marks_what_is_off(value, sign):
    assert style_report.ROWS["words"].verdict(value) == sign


def test_the_targets_are_those_of_the_standard():
    shown = {key: (row.target(), row.mark) for key, row in style_report.ROWS.items()}
    assert shown["words"] == ("1,800–2,600", 3200)
    assert shown["grade"] == ("≤ 8.5", 9.5)
    assert shown["sentence"] == ("≤ 17.0", 20)
    assert shown["code_cells"] == ("25–40", 50)


@pytest.mark.parametrize("module", [readability, style_report], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


def test_the_report_never_fails_and_stores_nothing():
    before = sorted(ROOT.glob("*"))
    ran = subprocess.run(
        [sys.executable, "-B", str(ROOT / "tools" / "style_report.py")],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Flesch–Kincaid grade" in ran.stdout
    assert sorted(ROOT.glob("*")) == before
