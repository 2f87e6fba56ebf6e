"""Find the one sentence that helps most: what is wrong with a function, in a fixed order.

Known mistakes come first, compared on everything that a call does (its value, its error, and
what it changed on the side); then the general ones, from "it raised" to the smallest wrong case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from gpt2_tutorial.checks.calls import CallResult, TooLarge, alike
from gpt2_tutorial.checks.compare import KINDS, difference
from gpt2_tutorial.checks.operations import LOOP, has_loop, operations_of
from gpt2_tutorial.checks.registry import Exercise, Mutant
from gpt2_tutorial.checks.show import describe, or_else, short
from gpt2_tutorial.checks.stubs import untouched


@dataclass(frozen=True)
class Diagnosis:
    """What was found: a status, a kind, a sentence, and the case that shows it."""

    status: str
    kind: str
    sentence: str = ""
    index: int | None = None
    mutant: str | None = None


@dataclass(frozen=True)
class Trial:
    """One answer on all cases, beside what was expected."""

    exercise: Exercise
    cases: list[tuple]
    expected: list[CallResult]
    got: tuple[CallResult, ...]

    @cached_property
    def wrong(self) -> list[int]:
        """Numbers of the cases whose answer is not the expected one."""
        pairs = enumerate(zip(self.expected, self.got, strict=True))
        return [i for i, (want, got) in pairs if not alike(want, got, self.exercise.atol)]

    @cached_property
    def changed(self) -> list[int]:
        """Numbers of the cases whose arguments were changed although the spec leaves them."""
        pairs = enumerate(zip(self.expected, self.got, strict=True))
        return [i for i, (a, b) in pairs if a.changed is None and b.changed is not None]


@dataclass(frozen=True)
class Account:
    """What an answer is and did: all that it is judged by, so that it need not be there."""

    described: str
    is_function: bool = False
    untouched: bool = False
    got: tuple[CallResult, ...] = ()
    borrowed: tuple[str, ...] = ()


TOO_LARGE = f"{TooLarge.__module__}.{TooLarge.__name__}"
PYTORCH = {  # a part of what PyTorch says → the same for beginners
    "can't be cast to the desired output type": "Whole numbers cannot become fractions in place: "
    "write a = a / b, not a /= b.",
    "not implemented for 'Long'": "It needs fractions: turn the whole numbers into .float() first.",
    "Input dtype must be either a floating point": "It needs fractions: call .float() first.",
    "to have the same dtype": "@ wants one kind of number on both sides: call .float() on both.",
    "expected scalar type": "Both need one kind of number: call .float() on both.",
    "at non-singleton dimension": "Two shapes do not fit. Did a sum or a maximum lose its axis? "
    "keepdim=True keeps it.",
    "shapes cannot be multiplied": "In a @ b, a must have as many columns as b has rows.",
    "used as indices must be": "An index has to be whole numbers: call .long() on it.",
    "Boolean value of Tensor": "`if` wants one True or False, and this tensor holds many.",
    "leaf Variable that requires grad": "Change the table inside `with torch.no_grad():`.",
    "cannot access local variable": "Give this name its first value above the loop.",
    "must be Tensor, not": "Functions of torch take tensors. For a plain number use those of math.",
}
NOT_TRIED = Diagnosis("not tried", "not tried")


def account_of(exercise: Exercise, answer: object, seed: int = 0) -> Account:
    """Call an answer on every case of one seed, and note what it did."""
    described = describe(answer)
    if answer is None or answer is Ellipsis or untouched(exercise.stub, answer):
        return Account(described, untouched=True)
    if not callable(answer):
        return Account(described)
    cases = exercise.cases(seed)
    got = tuple(exercise._call(answer, case) for case in cases)
    return Account(described, True, False, got, tuple(_borrowed(exercise, answer, cases[0])))


def _borrowed(exercise: Exercise, answer: Callable, case: tuple) -> list[str]:
    """Name what works in an answer although the task asks to do without it."""
    names = [name for name in exercise.without if name != LOOP]
    used = operations_of(answer, case, exercise.observe).intersection(names) if names else ()
    loop = ["a loop over single items"] if LOOP in exercise.without and has_loop(answer) else []
    return [f"PyTorch's own `{name}`" for name in sorted(used)] + loop


def diagnose_function(exercise: Exercise, account: Account, seed: int = 0) -> tuple:
    """Give the diagnosis of a function, and its trial (None where it was never called)."""
    if account.untouched:
        return NOT_TRIED, None
    if not account.is_function:
        sentence = (
            f"Your answer is {account.described}. Hand over the function itself, without calling "
            f'it: check("{exercise.id}", {exercise.name}).'
        )
        return Diagnosis("wrong", "not callable", sentence), None
    cases = exercise.cases(seed)
    expected = [exercise._call(exercise.spec, case) for case in cases]
    trial = Trial(exercise, cases, expected, account.got)
    if not trial.wrong and not trial.changed:
        if not account.borrowed:
            return Diagnosis("passed", "passed"), trial
        sentence = (
            f"Your answers are right. But {account.borrowed[0]} does the work here, and the task "
            "asks you to do without: write it by hand, this once."
        )
        return Diagnosis("wrong", "borrowed", sentence), trial
    found = (step(trial) for step in LADDER)
    return next(diagnosis for diagnosis in found if diagnosis), trial


def _known_mistake(trial: Trial) -> Diagnosis | None:
    first = (trial.wrong or trial.changed)[0]
    for name, mutant in trial.exercise.mutants.items():
        if behaves_like(trial, mutant):
            return Diagnosis("wrong", "mutant", mutant.sentence, first, name)
    return None


def behaves_like(trial: Trial, mutant: Mutant) -> bool:
    """Say whether the answer did on every case what the mutant does, and the mutant is wrong."""
    exercise, proven_wrong = trial.exercise, False
    order = sorted(range(len(trial.cases)), key=lambda i: i not in trial.wrong)
    for i in order:
        got, want = trial.got[i], trial.expected[i]
        made = exercise._call(mutant.answer, trial.cases[i])
        if not alike(made, got, exercise.atol, strict=True) or made.changed != got.changed:
            return False
        as_asked = alike(want, made, exercise.atol) and made.changed == want.changed
        proven_wrong = proven_wrong or not as_asked
    return proven_wrong


def _raised(trial: Trial) -> Diagnosis | None:
    where = [i for i in trial.wrong if trial.got[i].error is not None]
    if not where:
        return None
    text, error = trial.got[where[0]].text(), trial.got[where[0]].error
    if error.kinds[0] == TOO_LARGE:
        return Diagnosis("wrong", "raised", f"Your function returns {error.text}.", where[0])
    advice = next((f" {words}" for part, words in PYTORCH.items() if part in text), "")
    if "ellipsis" in text.lower():
        advice = " A `...` of the stub is still in it: put your code there."
    count = "" if len(where) == len(trial.cases) else f" ({len(where)} of {len(trial.cases)} cases)"
    return Diagnosis("wrong", "raised", f"Your function raised {text}{count}.{advice}", where[0])


def _no_return(trial: Trial) -> Diagnosis | None:
    values = [outcome.value for outcome in trial.got]
    if all(value is Ellipsis for value in values):
        return Diagnosis("wrong", "no return", "Your function still returns `...`.", trial.wrong[0])
    if not trial.wrong or any(value is not None for value in values):
        return None
    sentence = "Your function returns nothing: the line with `return` is missing."
    if any(outcome.printed for outcome in trial.got):
        sentence = "Your function prints its answer and returns nothing: use `return`."
    return Diagnosis("wrong", "no return", sentence, trial.wrong[0])


def _in_place(trial: Trial) -> Diagnosis | None:
    if not trial.changed:
        return None
    first = trial.changed[0]
    place = trial.got[first].changed
    which = "its argument" if len(trial.cases[first]) == 1 else f"its argument {place + 1}"
    sentence = (
        f"Your function changes {which} in place, so the caller's data is lost. "
        "Make a new value instead."
    )
    return Diagnosis("wrong", "in place", sentence, first)


def _frozen(trial: Trial) -> Diagnosis | None:
    def constant(outcomes: list[CallResult]) -> bool:
        return all(alike(outcomes[0], other, 0.0, strict=True) for other in outcomes[1:])

    if len(trial.cases) < 2 or not constant(trial.got) or constant(trial.expected):
        return None
    if _compared(trial, trial.wrong[0])[0] == "nan":  # that says more
        return None
    sentence = "Your function gives the same answer for every input. Does it use its arguments?"
    return Diagnosis("wrong", "frozen", sentence, trial.wrong[0])


def _smallest(trial: Trial) -> Diagnosis | None:
    found = {i: _compared(trial, i) for i in trial.wrong}
    index = min(found, key=lambda i: KINDS.index(found[i][0]))
    return Diagnosis("wrong", *found[index], index)


def _compared(trial: Trial, index: int) -> tuple[str, str]:
    want, got = trial.expected[index], trial.got[index]
    if want.error is not None:
        name = want.error.kinds[0].split(".")[-1]
        return "value", f"Your function should refuse this input with a {name}."
    kind, sentence = difference(want.value, got.value, trial.exercise.atol)
    if got.value is None:
        sentence = "On this input your function returns nothing: one path has no `return`."
    if kind == "value" and not or_else(False, _is_large, want.value):
        total, wrong = len(trial.cases), len(trial.wrong)
        sentence = f"{total - wrong} of {total} cases are right. Here is the first that is not."
    return kind, sentence


def _is_large(value: object) -> bool:
    """A tensor too large to be shown whole; there the sentence says where the fault is."""
    return isinstance(value, torch.Tensor) and value.numel() > 1 and " of shape " in short(value)


LADDER = (_known_mistake, _raised, _no_return, _in_place, _frozen, _smallest)
