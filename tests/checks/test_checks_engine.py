"""The checking engine: every diagnosis, hostile answers, and the audit of the checkers."""

import inspect
import random
from dataclasses import replace

import audit
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gpt2_tutorial.checks import check, engine, registry
from gpt2_tutorial.checks.calls import call, copied
from gpt2_tutorial.checks.compare import difference, same
from gpt2_tutorial.checks.engine import examine, run
from gpt2_tutorial.checks.registry import EXERCISES, Exercise, Mutant
from gpt2_tutorial.checks.show import short
from gpt2_tutorial.checks.stubs import untouched

STUB = '''def share(counts):
    """Turn each row of counts into shares that sum to 1."""
    ...  # one line
'''


def share(counts):
    """Turn each row of counts into shares that sum to 1."""
    return counts / counts.sum(1, keepdim=True)


def share_by_loops(counts):
    return torch.stack([row / sum(row) for row in counts])


def counts_of(rng):
    yield (torch.tensor([[1.0, 3.0]]),)
    yield (torch.tensor([[1.0, 2.0], [3.0, 4.0]]),)
    for _ in range(22):
        size = rng.randint(2, 5)
        yield (torch.tensor([[float(rng.randint(1, 9)) for _ in range(size)] for _ in "ab"]),)


SHARE_MUTANTS = {
    "columns": (lambda counts: counts / counts.sum(0), "You divided by the column totals."),
    "all": (lambda counts: counts / counts.sum(), "You divided by the total {case}."),
    "ones": (lambda counts: counts / counts.shape[1], "You made {got}, not {expected}."),
}


def mutant(answer, sentence):
    return Mutant(sentence, lambda: answer)


def toy(**changes):
    """One function exercise that no registry knows."""
    made = Exercise(
        "99.1", stub=STUB, solution=share, solution_source=inspect.getsource(share),
        spec=share_by_loops, inputs=counts_of, module=__name__,
        mutants={name: mutant(*pair) for name, pair in SHARE_MUTANTS.items()},
    )  # fmt: skip
    return replace(made, **changes)


def value_toy(**changes):
    mutants = {"base 2": mutant(1.0, "Base 2."), "sign": mutant(-0.693, "Sign; not {got}.")}
    made = Exercise(
        "99.2", stub="answer = None", solution=0.693, solution_source="answer = 0.693", atol=0.001,
        mutants={**mutants, "chance": mutant(0.5, "Chance.")},
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def registered():
    EXERCISES["99.1"], EXERCISES["99.2"] = toy(), value_toy()
    yield
    for id in [id for id in EXERCISES if id.startswith("99.")]:
        del EXERCISES[id]


def defined(source, **names):
    """Define a function as a notebook does: compiled from text, no file behind it."""
    names.update(torch=torch)
    exec(compile(source, "<cell>", "exec", dont_inherit=True), names)
    return next(value for value in reversed(names.values()) if callable(value))


# --- passing, not trying ---------------------------------------------------------------------


def test_the_solution_passes():
    assert examine(toy(), share).message == "✓ 99.1 passed (24 cases)"


@pytest.mark.parametrize(
    "source",
    [
        STUB,
        "\n\n\n" + STUB.replace("one line", "I will think about it"),
        "def share(counts): pass",
        "def share(values):\n    '''Mine.'''\n    return None",
        "def share(counts): return ...",
        "def share(counts): raise NotImplementedError('later')",
    ],
)
def test_an_empty_function_is_not_tried(source):
    assert examine(toy(), defined(source)).message == "○ 99.1 not tried yet"


def test_pytorchs_own_refusal_is_no_empty_stub():
    """PyTorch raises NotImplementedError too: for softmax of whole numbers, for one."""
    result = run("01.1", lambda counts: counts.softmax(1))
    assert result.status == "wrong" and "softmax" in result.message


def test_a_mistake_is_not_told_by_the_type_of_its_error_alone():
    """A known mistake raises a TypeError; another TypeError is not that mistake."""

    def known(counts):
        return counts + "1"

    exercise = toy(mutants={"text": Mutant("You add a text.", lambda: known)})
    assert examine(exercise, lambda counts: counts + "1").mutant == "text"
    assert examine(exercise, lambda counts: None + counts).kind == "raised"


@pytest.mark.parametrize(
    "answer",
    [
        lambda z: z.softmax(1),
        lambda z: F.softmax(z, -1),
        lambda z: torch.log_softmax(z, 1).exp(),
        lambda z: torch.nn.Softmax(1)(z),
    ],
)
def test_a_right_answer_by_what_the_task_forbids_is_told_so(answer):
    result = run("02.1", answer)
    assert result.kind == "borrowed" and "softmax` does the work" in result.message


BUGGY = "def split(text, part=0.5):\n    cut = len(text)\n    return text[:cut], text[cut:]\n"


@pytest.mark.parametrize(
    ("source", "is_stub"),
    [
        (BUGGY, True),
        (BUGGY.replace("\n    cut", "\n\n    # look here\n    cut"), True),
        (BUGGY.replace(":\n", ":\n    'A docstring.'\n", 1), True),
        (BUGGY.replace("len(text)", "len(text) // 2"), False),
        (BUGGY.replace("0.5", "0.9"), False),
        (BUGGY.replace("len(text)", "len(text) + 1"), False),
        (BUGGY.replace("len(text)", "int(text)"), False),
        (BUGGY.replace("text[:cut], ", "text[:-cut], "), False),
    ],
)
def test_a_buggy_stub_is_known_by_its_code(source, is_stub):
    assert untouched(BUGGY, defined(source)) is is_stub


def test_stubs_differ_where_only_a_constant_or_an_inner_function_does():
    one = "def f(x):\n    return [y + 1 for y in x if (lambda z: z > 1)(y)]"
    assert untouched(one, defined(one))
    for old, new in (("y + 1", "y + 1.0"), ("z > 1", "z > 2"), ("y + 1", "y + True")):
        assert not untouched(one, defined(one.replace(old, new)))


def test_a_stub_is_compiled_as_a_notebook_compiles_it():
    source = "def f(x):\n    def g(y: int): return y\n    return g(x)"
    assert untouched(source, defined(source))


LOOP = """
def total(numbers):
    kept = 0
    for number in numbers:
        if number > 2:
            kept += number
        print(kept)
    return kept
"""


@pytest.mark.parametrize(
    ("old", "new", "is_stub"),
    [
        ("kept = 0", "pass\n    kept = 0", True),
        ("        print", "            print", False),
        ("        print", "    print", False),
        ("    return", "        return", False),
        ("> 2", ">= 2", False),
    ],
)
def test_an_indent_is_a_change_and_a_pass_is_none(old, new, is_stub):
    assert untouched(LOOP, defined(LOOP.replace(old, new))) is is_stub


@pytest.mark.parametrize("answer", [None, ...])
def test_no_answer_is_not_tried(answer):
    assert examine(toy(), answer).status == "not tried"
    assert examine(value_toy(), answer).status == "not tried"


# --- the diagnoses of functions --------------------------------------------------------------


@pytest.mark.parametrize("name", SHARE_MUTANTS)
def test_a_known_mistake_gets_its_sentence(name):
    found = examine(toy(), SHARE_MUTANTS[name][0])
    assert (found.status, found.mutant, found.kind) == ("wrong", name, "mutant")


def test_a_sentence_may_show_the_case():
    message = examine(toy(), SHARE_MUTANTS["ones"][0]).message
    first = "✗ 99.1 You made tensor([[0.5, 1.5]]), not tensor([[0.25, 0.75]])."
    assert message.split("\n") == [first, "  share(tensor([[1.0, 3.0]]))", "  See hint 1."]


def test_a_mistake_on_some_cases_only_is_not_the_mutant():
    def mixed(counts):
        return counts / counts.sum() if len(counts) > 1 else counts

    assert examine(toy(), mixed).kind == "value"


def test_a_mutant_within_the_margin_names_no_mistake():
    slightly = mutant(lambda counts: share(counts) + 0.6, "Slightly off.")
    found = toy(mutants={"slightly": slightly}, atol=1.0)
    assert examine(found, lambda counts: share(counts) + 1.5).kind == "value"


def wrong_on_the_second(counts):
    return share(counts) + (0.5 if counts.shape == (2, 2) else 0.0)


def in_place(counts):
    return counts.div_(counts.sum(1, keepdim=True))


def partly(counts):
    if len(counts) == 1:
        return share(counts)


GENERAL = {
    "not callable": (torch.ones(2), "Hand over the function itself"),
    "raised": (lambda counts: counts / counts.sum(1)[9], "IndexError"),
    "raised, blank": (lambda counts: counts / ..., "A `...` of the stub is still in it"),
    "raised, arguments": (lambda: 3, "TypeError"),
    "no return": (lambda counts: [][:0].clear(), "`return` is missing"),
    "no return, printed": (lambda counts: print("here"), "prints its answer"),
    "in place": (in_place, "changes its argument in place"),
    "frozen": (lambda counts: torch.ones(2, 2), "same answer for every input"),
    "type": (lambda counts: counts.tolist(), "is a list; it should be a tensor of shape (1, 2)"),
    "type, none": (partly, "one path has no `return`"),
    "shape": (lambda counts: share(counts).T, "has the shape (2, 1); it should be (1, 2)"),
    "dtype": (lambda counts: share(counts).long(), "type int64; they should be float32"),
    "nan": (lambda counts: share(counts) * 0 / 0, "contains nan"),
    "nan, inf": (lambda counts: share(counts) / 0, "contains inf"),
    "value": (wrong_on_the_second, "cases are right. Here is the first that is not."),
}


@pytest.mark.parametrize("name", GENERAL)
def test_general_diagnosis(name):
    answer, words = GENERAL[name]
    found = examine(toy(), answer)
    assert (found.status, found.kind, found.mutant) == ("wrong", name.split(",")[0], None)
    assert words in found.message
    assert found.message.count("\n") < 12
    plain_python = found.kind in ("not callable", "no return", "type")  # no hint is about these
    assert found.message.endswith("See hint 1.") is not plain_python


def test_the_smallest_failing_case_is_shown():
    lines = examine(toy(), wrong_on_the_second).message.split("\n")
    assert lines[1:] == [
        "  share(tensor([[1.0, 2.0], [3.0, 4.0]]))",
        "  expected  tensor([[0.3333, 0.6667], [0.4286, 0.5714]])",
        "  got       tensor([[0.8333, 1.167], [0.9286, 1.071]])",
        "  See hint 1.",
    ]


def test_a_mutant_that_raises_is_known_by_its_error():
    crash = mutant(lambda counts: {}[0], "You looked it up in an empty dictionary.")
    found = toy(mutants={"crash": crash, **toy().mutants})
    assert examine(found, lambda counts: dict()[0]).mutant == "crash"
    assert examine(found, lambda counts: {}[1]).mutant is None  # KeyError too, of another key
    assert examine(found, lambda counts: [][1]).kind == "raised"


def test_a_mutant_that_changes_its_input_is_known_before_the_general_sentence():
    found = toy(mutants={"in place": mutant(in_place, "You used div_."), **toy().mutants})
    assert examine(found, in_place).mutant == "in place"


def test_right_values_with_a_changed_input_are_not_a_pure_mutant():
    def columns_in_place(counts):
        return counts.div_(counts.sum(0))

    assert examine(toy(), columns_in_place).kind == "in place"


def test_an_expected_error_has_to_come():
    def refuse(text):
        if not text:
            raise ValueError("empty")
        return len(text)

    found = Exercise(
        "99.3", stub="def refuse(text): ...", solution=refuse, spec=refuse,
        inputs=lambda rng: [("",), ("ab",), ("abc",)],
    )  # fmt: skip
    assert examine(found, refuse).status == "passed"
    assert "refuse this input with a ValueError" in examine(found, len).message


def test_an_exercise_may_change_its_argument_where_the_spec_does():
    def push(items):
        items.append(1)
        return items

    found = Exercise(
        "99.3", stub="def push(items): ...", solution=push, spec=push,
        inputs=lambda rng: [[1], [1, 2]],
    )  # fmt: skip
    assert found.cases() == [([1],), ([1, 2],)]
    assert examine(found, push).status == "passed"


def test_observe_turns_a_function_into_what_is_compared():
    found = toy(observe=lambda fn, counts: fn(counts).shape[0])
    assert examine(found, lambda counts: counts * 0).status == "passed"
    assert examine(found, lambda counts: counts.T).kind == "value"


def test_hints_may_be_chosen():
    found = toy(hints={"columns": 2, "shape": 3})
    assert examine(found, SHARE_MUTANTS["columns"][0]).message.endswith("See hint 2.")
    assert examine(found, lambda counts: share(counts).T).message.endswith("See hint 3.")


def test_chance_is_the_same_for_every_call_and_the_notebook_keeps_its_own():
    def draw(weights):
        return torch.multinomial(weights, 1).item() + random.random() + np.random.rand()

    found = Exercise(
        "99.3", stub="def draw(weights): ...", solution=draw, spec=draw,
        inputs=lambda rng: [torch.ones(50), torch.ones(9)],
    )  # fmt: skip
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    expected = torch.rand(1).item(), random.random(), np.random.rand()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    assert examine(found, draw).status == "passed"
    assert (torch.rand(1).item(), random.random(), np.random.rand()) == expected


def test_a_generator_among_the_arguments_starts_anew_for_each_call():
    def draw(weights, generator):
        return torch.multinomial(weights, 1, generator=generator).item()

    def inputs(rng):
        for _ in range(3):
            generator = torch.Generator().manual_seed(rng.randrange(99))
            yield torch.ones(1000), generator

    found = Exercise(
        "99.3", stub="def draw(weights, generator): ...", solution=draw, spec=draw,
        inputs=inputs,
    )  # fmt: skip
    assert examine(found, draw).status == "passed"


def test_copies_are_deep_and_survive_cycles():
    loop = [torch.ones(1)]
    loop.append(loop)
    made = copied(loop)
    assert made[1] is made and made[0] is not loop[0]


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [0.693, 0.6931, torch.tensor(0.693), np.float32(0.693), torch.tensor(0.693).double()]
)
def test_a_number_may_come_in_any_dress(answer):
    assert examine(value_toy(), answer).message == "✓ 99.2 passed"


VALUES = {
    "too large": (0.75, "too large."),
    "too small": (0.1, "too small."),
    "close": (0.69, "may be off by at most 0.001."),
    "text": ("0.693", "without quotation marks"),
    "function": (lambda: 0.693, "is a function"),
    "list": ([0.693], "is a list; it should be a number"),
    "nan": (float("nan"), "contains nan"),
    "shape": (torch.tensor([0.693]), "has the shape (1,)"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_wrong_value_gets_advice_but_not_the_answer(name):
    answer, words = VALUES[name]
    found = examine(value_toy(solution=0.69314), answer)
    assert found.status == "wrong" and found.mutant is None
    assert words in found.message and "0.69314" not in found.message


def test_a_wrong_value_that_is_known():
    assert examine(value_toy(), 1.0).message.split("\n") == [
        "✗ 99.2 Base 2.", "  your answer  1.0", "  See hint 1.",
    ]  # fmt: skip
    assert examine(value_toy(), -0.693).message.split("\n")[0] == "✗ 99.2 Sign; not -0.693."
    assert examine(value_toy(), np.float64(0.5)).mutant == "chance"


def test_an_order_of_lines():
    found = value_toy(stub='order = ["b", "a", "c"]', solution=["a", "b", "c"], mutants={})
    assert examine(found, ["b", "a", "c"]).status == "not tried"
    assert examine(found, ("a", "b", "c")).status == "passed"
    assert "The first one is right; look" in examine(found, ["a", "c", "b"]).message
    longer = replace(found, solution=["a", "b", "c", "d"])
    assert "The first 2 of 4 are right; look" in examine(longer, ["a", "b", "d", "c"]).message
    assert "That is not it yet." in examine(longer, ["d", "b", "c", "a"]).message
    assert "has 2 items; it should have 3" in examine(found, ["a", "c"]).message


def test_a_dictionary_of_answers():
    stub = 'answer = {"loss": None, "cells": None}'
    found = value_toy(stub=stub, solution={"loss": 0.5, "cells": 65}, mutants={})
    assert examine(found, {"loss": None, "cells": None}).status == "not tried"
    assert examine(found, {"cells": 65.0, "loss": 0.5}).status == "passed"
    assert "Look again at 'loss'." in examine(found, {"loss": 9, "cells": 65}).message
    assert "Look again at 'cells'." in examine(found, {"loss": 0.5}).message


def test_a_word_may_have_other_capitals_a_character_may_not():
    found = value_toy(solution=(0.5, "No"), mutants={"yes": mutant((0.5, "yes"), "Yes?")})
    assert examine(found, (0.5, " no")).status == "passed"
    assert examine(found, [0.5, "YES"]).mutant == "yes"
    assert "The first one is right" in examine(found, (0.5, "maybe")).message
    letter = value_toy(solution="Q", mutants={"small": mutant("z", "Z?")})
    assert "A capital letter and a small one" in examine(letter, "q").message
    assert "not it yet" in examine(letter, "a").message


@pytest.mark.parametrize("answer", ["", "it", "slower", "crawl", "it crawls along"])
def test_a_choice_of_texts_is_listed_in_an_order_that_tells_nothing(answer):
    mutants = {"up": mutant("uphill", "Up?"), "same": mutant("no change", "Same?")}
    stub = 'answer = None  # for example "uphill"'
    found = value_toy(stub=stub, solution="crawls", mutants=mutants)
    words = "Answer with one of the texts 'crawls', 'no change', 'uphill'."
    assert examine(found, answer).message.startswith(f"✗ 99.2 {words}")


@pytest.mark.parametrize("answer", ["A", "ABC", "CD", ""])
def test_neither_the_length_nor_the_letters_of_an_order_are_told(answer):
    found = value_toy(solution="AC", mutants={"both": mutant("AB", "B is right.")})
    message = examine(found, answer).message
    assert "That is not it yet." in message and "AC" not in message and "AB'" not in message
    assert not any(words in message for words in ("characters", "wanted", "texts"))


@pytest.mark.parametrize("wrong", ["walks", 0.5])
def test_a_free_text_is_no_choice_of_texts(wrong):
    found = value_toy(solution="crawls", mutants={"wrong": mutant(wrong, "Wrong.")})
    message = examine(found, "run").message
    assert "That is not it yet." in message and "crawls" not in message


def test_capitals_count_where_a_known_mistake_says_so():
    found = value_toy(solution="Sky", mutants={"small": mutant("sky", "Write it large.")})
    assert examine(found, "sky").mutant == "small"


# --- comparing -------------------------------------------------------------------------------

ONE = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("expected", "got", "kind"),
    [
        (2, 2.0, None),
        (2.0, np.int32(2), None),
        (2.0, torch.tensor(2), None),
        (ONE, ONE.double(), None),
        (ONE.long(), ONE.int(), None),
        (ONE.long(), ONE, None),
        (ONE, ONE.long(), "dtype"),
        (ONE.long(), ONE + 0.5, "dtype"),
        (ONE > 1, ONE.long() - 1, "dtype"),
        (ONE, ONE + 1e-6, None),
        (ONE, ONE + 1e-3, "value"),
        (ONE.long(), ONE.long() + 1, "value"),
        (1_000_000, 1_000_001, "value"),
        (2**70, 2**70, None),
        (ONE, np.array([1.0, 2.0]), None),
        (ONE, [1.0, 2.0], "type"),
        (ONE, 1.0, "type"),
        (ONE, "text", "type"),
        ([1.0, 2.0], ONE, None),
        ([1, 2], (1, 2), None),
        ([1, 2], [1, 2, 3], "shape"),
        ([[1, 2], [3]], [[1, 2], [4]], "value"),
        ((ONE, 3), (ONE, 3), None),
        ((ONE, 3), (ONE.long(), 3), "dtype"),
        (float("inf"), float("inf"), None),
        (float("inf"), 3.0, "value"),
        (float("nan"), float("nan"), None),
        (1.0, float("nan"), "nan"),
        ({"a": 1}, {"a": 1.0}, None),
        ({"a": 1}, {"b": 1}, "value"),
        ({1, 2}, frozenset({2, 1}), None),
        ("a", "b", "value"),
        (None, None, None),
        (None, 0, "type"),
        (True, np.bool_(True), None),
    ],
)
def test_what_counts_as_the_same(expected, got, kind):
    found = difference(expected, got)
    assert (found.kind if found else None) == kind


def test_strict_comparison_asks_for_the_kind_of_numbers():
    assert same(ONE.long(), ONE) and not same(ONE.long(), ONE, strict=True)


def test_everything_is_shown_shortly():
    values = [torch.rand(50, 50), "x" * 999, list(range(999)), {i: i for i in range(99)}, ONE]
    assert all(len(short(value)) <= 72 and "\n" not in short(value) for value in values)


# --- hostile answers -------------------------------------------------------------------------


class Spiteful:
    """Fails at whatever is asked of it."""

    def _no(self, *args):
        raise SystemExit("no")

    __eq__ = __repr__ = __str__ = __len__ = __iter__ = __bool__ = __float__ = _no
    __class__ = property(_no)
    __hash__ = None


class Text(str):
    """A text whose own methods fail."""

    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = str.__hash__
    __repr__ = __str__ = __eq__


class Agreeable:
    def __eq__(self, other):
        return True

    __hash__ = None


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no")


def leave(*args):
    raise SystemExit(3)


def forever(*args):
    return forever(*args)


def unspeakable(*args):
    raise Unspeakable


def tangled(*args):
    knot = []
    knot.extend([knot, knot])
    return knot


async def later(*args):
    return 1


HOSTILE = [
    leave, forever, unspeakable, tangled, later, Spiteful, Spiteful(), Text("a"), Agreeable(),
    Agreeable, lambda *args: Spiteful(), lambda *args: Text("a"), lambda *args: Agreeable(),
    lambda *args: [Spiteful()] * 2, lambda *args: (x for x in args), lambda *args: torch,
    lambda *args: torch.empty(3, device="meta"), lambda *args: torch.eye(2).to_sparse(),
    torch.nn.Linear(2, 2), object(), [Spiteful()], {"a": Spiteful()}, tangled(), type, dict.get,
    b"bytes", 10**400, 1j, np.array(["a"]), np.zeros((2, 0)), float("inf"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("id", ["99.1", "99.2"])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_answer_makes_the_check_raise(registered, capsys, id, number):
    assert check(id, HOSTILE[number]) is None
    out = capsys.readouterr().out
    assert out.startswith(f"✗ {id} ") and "could not be checked" not in out
    assert out.count("\n") <= 12


IDS = ["98.1", "99.77", "1.2", "", None, 1.2, [], Spiteful(), Text("a")]


@pytest.mark.parametrize("number", range(len(IDS)))
def test_no_id_makes_the_check_raise(registered, capsys, number):
    assert check(IDS[number], share) is None
    assert capsys.readouterr().out.startswith("✗ ")


def test_only_a_keyboard_interrupt_passes(registered):
    def interrupted(*args):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("99.1", interrupted)


def test_prints_of_the_answer_stay_away(registered, capsys):
    check("99.1", lambda counts: print("debug") or share(counts))
    assert capsys.readouterr().out == "✓ 99.1 passed (24 cases)\n"


def test_an_unknown_number_names_the_known_ones(registered, monkeypatch):
    monkeypatch.setattr(engine, "load", lambda chapter: [EXERCISES["99.1"], EXERCISES["99.2"]])
    assert run("99.7", 1).message.endswith("Chapter 99 has 99.1, 99.2.")


def test_a_broken_exercise_is_a_message(registered):
    EXERCISES["99.1"] = toy(inputs=lambda rng: 1 / 0)
    assert "could not be checked: ZeroDivisionError" in run("99.1", share).message


def test_an_error_keeps_no_frames_alive():
    assert call(leave, ()).error.kinds[0] == "builtins.SystemExit"


# --- loading ---------------------------------------------------------------------------------


def test_a_chapter_that_breaks_half_way_leaves_nothing(registered, monkeypatch):
    def broken(name):
        EXERCISES["97.1"] = toy(id="97.1", module=name)
        raise SyntaxError("here")

    monkeypatch.setattr(registry.importlib, "import_module", broken)
    for _ in range(2):
        assert "SyntaxError" in run("97.1", share).message
    assert "97.1" not in EXERCISES


# --- the audit: tests of the tests -----------------------------------------------------------


def test_the_audit_praises_good_exercises():
    for found in (toy(), value_toy()):
        assert [complaint for ask in audit.CHECKS for complaint in ask(found)] == []


def with_mutant(name, answer, sentence):
    return toy(mutants={**toy().mutants, name: mutant(answer, sentence)})


def same_cases(rng):
    return counts_of(random.Random(0))


def cases_by_chance(rng):
    return counts_of(random.Random(random.random()))


FAULTS = {
    "unsolved, right": (
        toy(stub="def share(counts): return (counts.T / counts.sum(1)).T"),
        "the stub gives the right answers",
    ),
    "unsolved, value": (value_toy(stub="answer = float('nan')"), "stub is not ○"),
    "solved, wrong": (toy(solution=SHARE_MUTANTS["all"][0], solution_source=STUB), "solution does"),
    "solved, text": (toy(solution_source="def share(counts): return 1"), "solution's text does"),
    "mutants, correct": (with_mutant("columns", share, "Right!"), "mutant 'columns' is passed"),
    "mutants, one sentence": (
        with_mutant("ones", lambda c: c * 0, SHARE_MUTANTS["all"][1]),
        "'all' and 'ones' share one sentence",
    ),
    "mutants, twins": (
        with_mutant("twin", lambda c: c / c.sum(dim=0), "A twin."),
        "mutant 'twin' gets the sentence of 'columns': they give the same answers",
    ),
    "mutants, no function": (with_mutant("three", 3, "Three."), "the general 'not callable'"),
    "mutants, stub": (with_mutant("empty", lambda c: None, "Empty."), "'empty' is not tried"),
    "spec, differs": (toy(spec=lambda counts: counts / counts.sum(0)), "the spec gives"),
    "spec, rarely": (
        toy(spec=lambda c: share(c) + float(c[0, 0] == 9 and c[-1, -1] == 9)),
        "the spec gives",
    ),
    "inputs, few": (toy(inputs=lambda rng: [torch.ones(2, rng.randint(1, 99))]), "too few"),
    "inputs, same": (toy(inputs=same_cases), "every seed gives the same"),
    "inputs, chance": (toy(inputs=cases_by_chance), "another day"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_audit_finds_each_fault_for_its_own_reason(name):
    found, words = FAULTS[name]
    complaints = getattr(audit, name.split(",")[0])(found)
    assert any(words in complaint for complaint in complaints), complaints


@pytest.mark.parametrize("name", ["mutants, correct", "mutants, one sentence", "mutants, twins"])
def test_a_bad_mutant_spoils_no_other_check(name):
    found = FAULTS[name][0]
    others = [ask for ask in audit.CHECKS if ask is not audit.mutants]
    assert [complaint for ask in others for complaint in ask(found)] == []


def test_the_audit_finds_a_mutant_value_that_is_right():
    found = value_toy(mutants={"right": mutant(0.6931, "Right."), "blank": mutant(None, "Blank.")})
    complaints = audit.mutants(found)
    assert "mutant 'right' is passed (seed 0)" in complaints
    assert "mutant 'blank' is not tried (seed 0)" in complaints
