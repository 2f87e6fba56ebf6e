"""Wrong answers as edits: reading the table, editing the solution, loading a chapter."""

import inspect
import sys
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2_tutorial import checks
from gpt2_tutorial.checks import edits, load, registry, run
from gpt2_tutorial.checks.registry import EXERCISES

GOOD = """## 98.1

- a sum: `a * b` → `a + b`
  You add. Multiply
  the two.
- squares (hint 2): every `a` → `b`
  That is the square
  of the second.
- doubled:
  ```diff
  -    return a * b
  +    product = a * b
  +    return 2 * product
  ```
  Twice as much.
- nothing:
  ```python
  if a:
      return a

  return b
  ```
  That is one side.
- taken: = min
  That is the smaller side.
"""
CHAPTER = '''"""A chapter of one exercise."""

from gpt2_tutorial.checks.registry import exercise


def area_by_steps(a, b):
    return sum(a for _ in range(b))


def sides(rng):
    for _ in range(20):
        yield rng.randint(2, 99), rng.randint(2, 99)


@exercise("98.1", subgoal="measure", spec=area_by_steps, inputs=sides, hints={"raised": 3})
def area(a, b):
    # a and b: the sides
    return a * b
'''


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """Write chapter 98 beside the real ones: its Python and its table."""
    monkeypatch.setattr(checks, "__path__", [*checks.__path__, str(tmp_path)])

    def write(table=GOOD, python=CHAPTER):
        (tmp_path / "chapter98.py").write_text(python, encoding="utf-8")
        if table is not None:
            (tmp_path / "chapter98.md").write_text(table, encoding="utf-8")

    yield write
    registry._forget("gpt2_tutorial.checks.chapter98")


def test_a_chapter_tells_each_mistake_by_its_name(chapter):
    chapter()
    (found,) = load("98")
    assert found.stub == "def area(a, b):\n    # a and b: the sides\n    ..."
    assert found.solution_source == "def area(a, b):\n    return a * b"
    assert (found.subgoal, found.hints) == ("measure", {"squares": 2, "raised": 3})
    assert found.mutants["a sum"].sentence == "You add. Multiply the two."
    answers = {
        "a sum": lambda a, b: a + b,
        "squares": lambda a, b: b * b,
        "doubled": lambda a, b: 2 * a * b,
        "nothing": lambda a, b: a,
        "taken": min,
    }
    assert {name: run("98.1", answer).mutant for name, answer in answers.items()} == {
        name: name for name in answers
    }
    assert "hint 2" in run("98.1", answers["squares"]).message
    assert "hint 3" in run("98.1", lambda a, b: 1 / 0).message


def test_a_right_answer_compiles_no_wrong_one(chapter):
    chapter()
    (found,) = load("98")
    assert run("98.1", lambda a, b: b * a).status == "passed"
    assert [name for name, mutant in found.mutants.items() if "answer" in vars(mutant)] == []
    run("98.1", lambda a, b: a + b)
    assert [name for name, mutant in found.mutants.items() if "answer" in vars(mutant)] == ["a sum"]


def test_a_traceback_shows_the_edited_line(chapter):
    chapter(GOOD.replace("`a + b`", "`a / (b - b)`"))
    wrong = load("98")[0].mutants["a sum"].answer
    assert inspect.getsource(wrong) == "def area(a, b):\n    return a / (b - b)"
    with pytest.raises(ZeroDivisionError) as caught:
        wrong(1, 2)
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "<chapter98.md, line 3>", line 2, in area\n    return a / (b - b)' in text


RECURSIVE = CHAPTER.replace("return a * b", "return a + area(a, b - 1) if b else 0")


def test_a_recursive_mistake_calls_itself_and_the_solution_stays(chapter):
    table = GOOD.replace("`a * b` → `a + b`", "`a + area` → `1 + area`")
    table = table[: table.index("- squares")] + (
        "- one less: `if b` → `if b > 1`\n  It ends too early.\n"
        "- twice: = lambda a, b: 2 * area(a, b)\n  The solution, twice.\n"
    )
    chapter(table, RECURSIVE)
    mutants = load("98")[0].mutants
    assert mutants["a sum"].answer(5, 3) == 3  # with the solution's area below it, 1 + 10
    assert mutants["twice"].answer(5, 3) == 30
    assert sys.modules["gpt2_tutorial.checks.chapter98"].area(5, 3) == 15


def test_a_stub_may_hold_the_bug(chapter):
    chapter("## 98.1\n- stub: `a * b` → `a - b`\n" + GOOD.removeprefix("## 98.1"))
    (found,) = load("98")
    assert found.stub == "def area(a, b):\n    # a and b: the sides\n    return a - b"
    assert "stub" not in found.mutants
    assert run("98.1", lambda a, b: a - b).status == "not tried"


def with_first(item):
    """The good table, with something else as its first mistake."""
    return "## 98.1\n\n" + item + GOOD[GOOD.index("- squares") - 1 :]


BLOCK = "\n  ```diff\n{}\n  ```\n  A sentence.\n"
FAULTS = {
    "no table": (None, "chapter98.md is missing"),
    "empty table": ("", "has no “## 98.1”"),
    "unknown exercise": (GOOD + "\n## 98.7\n\n- a: `a` → `b`\n  B.\n", "no exercise '98.7'"),
    "words above": ("Mistakes:\n" + GOOD, "line 1: 'Mistakes:' stands above"),
    "words below the heading": (GOOD.replace("\n\n- a", "\nMistakes:\n- a"), "line 2: 'Mistakes:'"),
    "no mistake": ("## 98.1\n", "line 1: no mistake stands below '## 98.1'"),
    "two tables": (GOOD + GOOD, "line 26: '98.1' has a table already"),
    "two of a name": (with_first("- doubled: `a` → `b`\n  B.\n"), "two mistakes named 'doubled'"),
    "no colon": (with_first("- a sum `a * b` → `a + b`\n  You add.\n"), "line 3: .* is no mistake"),
    "no name": (with_first("- : `a * b` → `a + b`\n  You add.\n"), "line 3: .* is no mistake"),
    "no sentence": (with_first("- a sum: `a * b` → `a + b`\n"), "line 3: 'a sum' has no sentence"),
    "two stubs": (with_first("- stub: `*` → `-`\n- stub: `*` → `+`\n"), "mistakes named 'stub'"),
    "a stub with words": (with_first("- stub: `*` → `-`\n  You.\n"), "drop 'You.'"),
    "not indented": (with_first("- a sum: `*` → `+`\nYou add.\n"), "line 4: .* needs two spaces"),
    "no backticks": (with_first("- a sum: a * b → a + b\n  You add.\n"), "line 3: write `old`"),
    "no arrow": (with_first("- a sum: `a * b` -> `a + b`\n  You add.\n"), "line 3: write `old`"),
    "a comma for and": (with_first("- a sum: `*` → `+`, `a` → `b`\n  B.\n"), "line 3: write `old`"),
    "nothing": (with_first("- a sum:\n  You add.\n"), "line 3: write `old`"),
    "not in the solution": (with_first("- a: `a ** b` → `a`\n  A.\n"), r"\*\* b' stands 0 times"),
    "not in the comment": (with_first("- a: `sides` → `a`\n  A.\n"), "'sides' stands 0 times"),
    "not in the signature": (with_first("- a: `a, b` → `a`\n  A.\n"), "'a, b' stands 0 times"),
    "too often": (with_first("- a: ` ` → `b`\n  A.\n"), "' ' stands 7 times .*“every”"),
    "no change": (with_first("- a: `a * b` → `a * b`\n  A.\n"), "'a' changes nothing"),
    "open block": (with_first("- a:\n  ```diff\n  -    return\n  A.\n"), "line 4: .* not closed"),
    "another language": (with_first("- a:\n  ```c\n  a;\n  ```\n  A.\n"), "right below the name"),
    "a late block": (
        with_first("- a:\n  A.\n  ```python\n  return a\n  ```\n"), "right below the name",
    ),
    "an edited body": (
        with_first("- a: `a` → `b`\n  ```python\n  return a\n  ```\n  A.\n"), "the whole body",
    ),
    "a block below a name": (
        with_first("- a: = min\n  ```python\n  return a\n  ```\n  A.\n"), "behind the colon",
    ),
    "a diff without signs": (with_first("- a:" + BLOCK.format("  return a")), "neither a space"),
    "a diff without a place": (with_first("- a:" + BLOCK.format("  +    b = a")), "stand 0 times"),
    "a diff of another line": (with_first("- a:" + BLOCK.format("  -    a = b")), "stand 0 times"),
    "a diff of half a line": (with_first("- a:" + BLOCK.format("  -    retur")), "stand 0 times"),
    "one sentence for two": (with_first("- a: `*` → `+`\n  Twice as much.\n"), "one sentence"),
    "a strange placeholder": (with_first("- a: `*` → `+`\n  Your {std} is off.\n"), "may use only"),
    "a stub that is no Python": (with_first("- stub: `*` → `**/`\n"), "stub does not compile"),
    "too few": (GOOD[: GOOD.index("- doubled")], "has 2 mistakes; give at least 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_table_is_refused_with_a_sentence_whenever_it_is_asked_for(chapter, name):
    table, words = FAULTS[name]
    chapter(table)
    for _ in range(2):
        with pytest.raises(ValueError, match=words) as caught:
            load("98")
        assert "chapter98.md" in str(caught.value) or "98.1" in str(caught.value)
        assert "98.1" not in EXERCISES
    message = run("98.1", None).message
    assert "could not be checked" in message  # not “there is no exercise 98.1”


TWICE = CHAPTER[CHAPTER.index("@exercise") :]
DECORATED = {
    "another form of id": ('exercise("98.1"', 'exercise("98.1b"', "two digits, a dot"),
    "an id of two": ("return a * b\n", f"return a * b\n\n\n{TWICE}", "this id is taken"),
    "no spec": ("spec=area_by_steps, ", "", "argument: 'spec'"),
    "no inputs": ("inputs=sides, ", "", "argument: 'inputs'"),
    "a spec that is none": ("spec=area_by_steps", "spec=None", "needs a 'spec' and 'inputs'"),
    "inputs that are none": ("inputs=sides", "inputs=[(1, 2)]", "needs a 'spec' and 'inputs'"),
    "a hint about nothing": ('"raised": 3', '"raises": 3', "neither a mistake nor one of"),
}


@pytest.mark.parametrize("name", DECORATED)
def test_a_faulty_decorator_is_refused_with_a_sentence(chapter, name):
    old, new, words = DECORATED[name]
    table = GOOD.replace("## 98.1", "## 98.1b") if "98.1b" in new else GOOD
    chapter(table, CHAPTER.replace(old, new))
    with pytest.raises((ValueError, TypeError), match=words):
        load("98")
    assert not any(id.startswith("98.") for id in EXERCISES)


def test_a_table_that_was_mended_is_read_again(chapter):
    chapter("## 98.1\n")
    with pytest.raises(ValueError, match="no mistake"):
        load("98")
    chapter()
    assert run("98.1", lambda a, b: a * b).status == "passed"


def test_a_mistake_that_does_not_compile_says_where_it_stands(chapter):
    chapter(GOOD.replace("`a + b`", "`a +`"))
    (found,) = load("98")
    with pytest.raises(ValueError, match=r"chapter98\.md, line 3: SyntaxError"):
        _ = found.mutants["a sum"].answer
    assert run("98.1", lambda a, b: a * b).status == "passed"


VALUE = """from gpt2_tutorial.checks.registry import value_exercise

BASE = 10

value_exercise(
    "98.1", __name__, stub="answer = None", solution="answer = BASE + 2  # twelve", atol=0.01
)
"""
VALUES = """## 98.1
- base: BASE
  Add two.
- two (hint 0): {"a": 2}
  Add ten.
- text: "a: b"
  A number, please.
"""


def test_the_values_of_a_table_are_evaluated_beside_the_chapter(chapter):
    chapter(VALUES, VALUE)
    (found,) = load("98")
    assert found.solution_source == "answer = BASE + 2  # twelve" and found.solution == 12
    assert found.hints == {"two": 0} and found.atol == 0.01 and found.is_value
    assert [m.answer for m in found.mutants.values()] == [10, {"a": 2}, "a: b"]
    assert [run("98.1", x).status for x in (12, None, 10)] == ["passed", "not tried", "wrong"]
    assert run("98.1", 10).mutant == "base"


@pytest.mark.parametrize("line", ["- base:", "- stub: BASE"])
def test_a_value_without_an_expression_or_a_name_of_its_own_is_refused(chapter, line):
    table = VALUES.replace("- base: BASE", line)
    chapter(table.replace("  Add two.\n", "") if "stub" in line else table, VALUE)
    with pytest.raises(ValueError, match="line 2: write the wrong answer"):
        load("98")


LINES = {
    "a solution that is no Python": ("BASE + 2", "BASE +", "solution of 98.1: SyntaxError"),
    "a solution that raises": ("BASE + 2", "BASE / 0", "solution of 98.1: ZeroDivisionError"),
    "a solution without a name": ('"answer = BASE + 2', '"BASE + 2', "solution of 98.1: KeyError"),
    "a function": ("BASE + 2", "len", "needs a 'spec' and 'inputs'"),
    "a stub that is no Python": ("answer = None", "answer =", "stub does not compile"),
    "a stub without a name": ("answer = None", "1 + 1", "give both one name"),
    "a stub of another name": ("answer = None", "other = None", "give both one name"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_faulty_value_exercise_is_refused_with_a_sentence(chapter, name):
    old, new, words = LINES[name]
    chapter(VALUES, VALUE.replace(old, new))
    with pytest.raises(ValueError, match=words) as caught:
        load("98")
    assert "98.1" in str(caught.value) and "98.1" not in EXERCISES


def test_an_empty_line_of_a_diff_is_one_that_stays():
    block = ("-    a += 1", "+    a += 2", "", "+    a += 3", "     return a")
    wrong = edits.Mistake("two", "", "Two.", "t, line 1", language="diff", block=block)
    assert edits.edited("    a += 1\n\n    return a", wrong) == (
        "    a += 2\n\n    a += 3\n    return a"
    )


PIECES = st.sampled_from(
    ["## 98.1", "- a: ", "- stub: ", "`a`", " → ", " and ", "every ", "  ", "\n", "```diff", "```",
     "```python", "(hint 2)", "(hint x)", ":", "= ", "{}", "@@", "+", "-", "\r\n", "\x00", "é", " "]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_hostile_text_is_read_or_refused_with_file_and_line(text):
    try:
        table = edits.parse(text, "some.md")
    except ValueError as error:
        assert str(error).startswith("some.md, line ")
        return
    for mistakes in table.values():
        for mistake in mistakes:
            try:
                edited = edits.edited("    return a", mistake)
            except ValueError as error:
                assert str(error).startswith("some.md, line ")
            else:
                assert edited != "    return a"


def test_the_package_offers_both_ways_of_registering():
    assert {"exercise", "value_exercise"} <= set(checks.__all__)


def test_a_function_without_a_file_is_refused():
    names = {}
    exec("def area(a, b):\n    return a * b", names)
    with pytest.raises(ValueError, match="area has no source"):
        registry.exercise("98.1", spec=min, inputs=list)(names["area"])
