"""Each drift check sees its own fault, in a miniature book and in a copy of this one."""

import json
import shutil
from pathlib import Path

import pytest

from drift import every, exercises, not_shown, plan, small_book, traceability
from drift.arithmetic import evaluate
from drift.faults import FAULTS, Fault
from drift.fresh import fresh_numbers
from drift.markers import numbers_in, stray_markers
from drift.prose import prose
from tiers import tiered

ROOT = Path(__file__).resolve().parents[2]
CHECKS = {every.name(check): check for check in every.CHECKS}
CASES = [
    pytest.param(check, fault, id=f"{check}: {fault.name}")
    for check, faults in FAULTS.items()
    for fault in faults
]
REAL_CASES = [case for case in CASES if case.values[1].in_real_book]
ONE_EACH = {case.values[0]: case for case in reversed(REAL_CASES)}.values()


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """The miniature book, with its own exercises and exceptions."""
    for exceptions in ("PARTS_LEFT_OUT", "LONG_CELLS", "EARLY_USE"):
        monkeypatch.setattr(plan, exceptions, {})
    monkeypatch.setattr(not_shown, "NOT_SHOWN", small_book.NOT_SHOWN)
    monkeypatch.setattr(plan, "BACK_ROOMS", small_book.BACK_ROOMS)
    for table in ("CONCEPTS", "NOT_ASKED", "ASKED_AS", "NO_EXERCISE"):
        monkeypatch.setattr(traceability, table, getattr(small_book, table))
    monkeypatch.setattr(exercises, "known_exercises", lambda: small_book.EXERCISES)
    return small_book.build(tmp_path)


@pytest.fixture
def real(tmp_path) -> Path:
    """A copy of what the checks read of this repository."""
    for name in ("book", "notebooks", "results", "src"):
        no_caches = shutil.ignore_patterns("__pycache__", "_build", ".*")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=no_caches)
    shutil.copy(ROOT / "README.md", tmp_path / "README.md")
    return tmp_path


def all_complaints(root: Path) -> dict[str, list[str]]:
    found = {name: check(root) for name, check in CHECKS.items()}
    return {name: complaints for name, complaints in found.items() if complaints}


def test_every_check_has_a_fault_that_it_catches():
    assert set(FAULTS) == set(CHECKS)


def test_the_miniature_book_is_free_of_complaints(small):
    assert all_complaints(small) == {}


@pytest.mark.parametrize(("check", "fault"), CASES)
def test_one_fault_gives_one_complaint(small, check: str, fault: Fault):
    fault.breaks(small)
    complaints = all_complaints(small)
    assert list(complaints) == [check]
    assert len(complaints[check]) == 1
    assert fault.words in complaints[check][0]


@pytest.mark.skipif(
    len(list((ROOT / "notebooks").glob("*.ipynb"))) < 2, reason="two notebooks are needed"
)
@pytest.mark.parametrize(("check", "fault"), tiered(REAL_CASES, ONE_EACH))
def test_the_real_book_is_guarded_too(real, check: str, fault: Fault):
    before = CHECKS[check](real)
    fault.breaks(real)
    new = [complaint for complaint in CHECKS[check](real) if complaint not in before]
    assert any(fault.words in complaint for complaint in new), new


# --- exceptions that nobody needs any more


@pytest.mark.parametrize(
    ("table", "key", "check", "words"),
    [
        ("PARTS_LEFT_OUT", ("00", "wrong"), "parts.in_order", "has 'wrong' after all"),
        ("LONG_CELLS", ("00", "c00-001"), "form.short_cells", "is not too long"),
        ("EARLY_USE", ("00", "count table"), "glossary_order.in_order", "does not use"),
        ("EARLY_USE", ("00", "zebra"), "glossary_order.in_order", "the glossary has no 'zebra'"),
    ],
)
def test_an_exception_without_need_is_a_complaint(small, monkeypatch, table, key, check, words):
    monkeypatch.setattr(plan, table, {key: "a reason"})
    (complaint,) = CHECKS[check](small)
    assert words in complaint


@pytest.mark.parametrize(
    ("table", "entry", "check", "words"),
    [
        ("NOT_ASKED", {"loss": "a reason"}, "asked_twice", "'loss' is asked: take it out"),
        ("NOT_ASKED", {"zebra": "a reason"}, "asked_twice", "no term is 'zebra'"),
        ("ASKED_AS", {"zebra": ("stripes",)}, "asked_twice", "no term is 'zebra'"),
        ("NO_EXERCISE", {"much": "a reason"}, "bugs_are_whole", "no bug begins 'much'"),
    ],
)
def test_a_reason_without_need_is_a_complaint(small, monkeypatch, table, entry, check, words):
    monkeypatch.setattr(traceability, table, getattr(small_book, table) | entry)
    (complaint,) = CHECKS[f"traceability.{check}"](small)
    assert words in complaint


def test_an_exception_silences_its_complaint(small, monkeypatch):
    early = next(fault for fault in FAULTS["glossary_order.in_order"] if fault.name == "early")
    early.breaks(small)
    monkeypatch.setattr(plan, "EARLY_USE", {("00", "count table"): "a reason"})
    assert CHECKS["glossary_order.in_order"](small) == []


# --- a fresh run


def measured(folder: Path, change=lambda files: None) -> Path:
    files = json.loads(json.dumps(small_book.MEASURED))
    change(files)
    folder.mkdir()
    for chapter, content in files.items():
        (folder / f"{chapter}.json").write_text(json.dumps(content))
    return folder


def value(name: str, number: float):
    return lambda files: files[name[:2]]["values"][name].update(value=number)


def row(**values):
    return lambda files: files["01"]["scoreboard"][0].update(values)


def rung(**values):
    return lambda files: files["01"]["ladder"][0].update(values)


FRESH_FAULTS = {
    "out of tolerance": (value("00.val", 3.3613), "further apart than its tolerance 0.01"),
    "not a number": (value("00.val", float("nan")), "further apart"),
    "exact and off": (value("01.share", 50.65), "tolerance 0"),
    "a name is gone": (lambda f: f["00"]["values"].pop("00.val"), "no value '00.val'"),
    "a name is new": (lambda f: f["00"]["values"].update(new={}), "value 'new' is not committed"),
    "a file is gone": (lambda f: f.pop("01"), "no file '01.json'"),
    "a tolerance": (lambda f: f["00"]["values"]["00.val"].update(tol=1), "the tolerance of"),
    "a row's loss": (row(val=2.50), "val is 2.48, the fresh run has 2.5"),
    "a row's parameters": (row(parameters=4226), "parameters is 4225"),
    "a row is gone": (lambda f: f["01"]["scoreboard"].clear(), "no scoreboard row 'table'"),
    "a rung's gap": (rung(gradients=1e-4), "gradients is 1e-06, the fresh run has 0.0001"),
    "a rung's tolerance": (rung(tol=1e-3), "ladder row 'matrix, loop, float32': tol"),
    "a rung without gradients": (rung(gradients=None), "has None"),
    "a rung is gone": (lambda f: f["01"].pop("ladder"), "no ladder row 'matrix, loop, float32'"),
}


@pytest.mark.parametrize(("change", "words"), FRESH_FAULTS.values(), ids=FRESH_FAULTS)
def test_a_fresh_run_that_differs_is_a_complaint(tmp_path, change, words):
    old, new = measured(tmp_path / "old"), measured(tmp_path / "new", change)
    (complaint,) = fresh_numbers(old, new)
    assert words in complaint


@pytest.mark.parametrize(
    "change",
    [
        value("00.val", 3.3605),
        value("00.seconds", 99),
        row(cpu_seconds=9, train=2.455),
        rung(values=9e-7),
    ],
)
def test_a_fresh_run_within_tolerance_is_silent(tmp_path, change):
    assert fresh_numbers(measured(tmp_path / "old"), measured(tmp_path / "new", change)) == []


# --- the grammar of numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3.35 nats, 51 %, 50.6% or 50 percent of 1,115,394", ["3.35", "51", "50.6", "50"]),
        ("on average 2.7M, ×1.5, _0.5_, **0.25**, .5", ["2.7", "1.5", "0.5", "0.25", ".5"]),
        ("from 0.7\u20130.86 or 0.7-0.9", ["0.7", "0.86", "0.7", "0.9"]),
        ("1,000.5 and \u22120.3", ["1,000.5", "\u22120.3"]),
        ("Python 3.11, torch 2.13.0, torch ≥ 2.11, v1.2, x==1.5, CC BY 4.0, Jupyter Book 1.0", []),
        ("Exercise 1.3 · difficulty 2/5, 1. first, chapter 12.", []),
        ("`0.5` and $x = 0.5$ and $$\n0.5\n$$ <!-- 0.5 --> [a](b0.5.png) https://a.b/0.5", []),
        ("```python\n0.5\n```\n~~~\n0.5\n~~~\n<img alt='0.5'>", []),
        ("```{note}\n0.5\n```\n:::{code}\n0.25\n:::\n", ["0.5"]),
        ("it costs $8, then 0.5 or $9", ["0.5"]),
        ("12<!-- m:a --> but not 13", ["12"]),
    ],
)
def test_which_numbers_need_a_source(text, numbers):
    assert [number.text for number in numbers_in(text)] == numbers


@pytest.mark.parametrize(
    "text",
    [
        "3.35<!-- m:a -->",
        "3.35 <!-- m:a -->",
        "**50.6 %**<!-- m:a -->",
        "*3*<!-- m:a -->",
        "50.6\u202f%<!--m:a-->",
        "| 2.7<!-- m:a -->M |",
    ],
)
def test_where_a_marker_may_stand(text):
    (number,) = numbers_in(text)
    assert number.sources == ("m:a",)
    assert stray_markers(text) == []


@pytest.mark.parametrize("text", ["half<!-- m:a -->", "3.35 nats<!-- m:a -->"])
def test_a_marker_far_from_its_number_is_stray(text):
    assert stray_markers(text) == [("m:a", 1)]


@pytest.mark.parametrize(
    ("text", "value", "agrees"),
    [
        ("3.35", 3.3512, True),
        ("3.36", 3.3512, False),
        ("3.4", 3.35, True),
        ("51", 50.64, True),
        ("50", 50.64, False),
        ("1,115,394", 1115394, True),
        ("\u22120.3", -0.3, True),
        ("1.5e-3", 0.00153, True),
        ("3.350", 3.3512, False),
    ],
)
def test_prose_is_the_value_rounded(text, value, agrees):
    (number,) = numbers_in(f"{text}<!-- m:a -->")
    assert number.agrees_with(value) == agrees


def test_prose_keeps_every_line_in_its_place():
    text = "a\n```\nb\n```\n$$\nc\n$$\n<!-- d\ne -->\nf"
    assert prose(text).split("\n") == ["a", *prose(text).split("\n")[1:-1], "f"]
    assert prose(text).split() == ["a", "f"]


def test_expressions_calculate():
    assert evaluate("ln(65)", {}) == pytest.approx(4.174387)
    assert evaluate("exp({01.val}) / 2 ** 2", {"01.val": 0.0}) == 0.25
    assert evaluate("log2(8) + sqrt(9) - -1", {}) == 7


@pytest.mark.parametrize(
    "expression",
    ["{a}", "open('x')", "().x", "1 +", "ln(0)", "1 / 0", "9**9**9**9", "(-1)**0.5", "exp", "True"],
)
def test_other_expressions_are_refused_with_a_sentence(expression):
    with pytest.raises(ValueError, match=r"no measured value|not allowed|worked out|its result"):
        evaluate(expression, {})
