"""Diagnose an answer that is a value: a number, a word, an order of lines.

The right value is never shown here, because the reader is still looking for it. Words may be
written with other capitals, spaces and marks; single characters may not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gpt2_tutorial.checks.calls import is_large
from gpt2_tutorial.checks.compare import as_tensor, difference, same
from gpt2_tutorial.checks.diagnose import NOT_TRIED, Diagnosis
from gpt2_tutorial.checks.registry import Exercise
from gpt2_tutorial.checks.show import describe, or_else, short
from gpt2_tutorial.checks.stubs import stub_value


def diagnose_value(exercise: Exercise, answer: object) -> Diagnosis:
    """Give the diagnosis of a value.

    >>> toy = Exercise("99.1", stub="answer = None", solution=0.5)
    >>> diagnose_value(toy, 0.75).sentence
    'Your number is too large.'
    """
    if _is_blank(answer) or or_else(False, _is_shipped, exercise.stub, answer):
        return NOT_TRIED
    if is_large(answer):
        much = f"Your answer is {describe(answer)}, and holds far more than any right one."
        return Diagnosis("wrong", "type", much)
    known = _recognised(exercise, answer, lambda right: answer)
    known = known or _recognised(exercise, answer, lambda right: _tidied(right, answer))
    if known:
        return known
    found = difference(exercise.solution, answer, exercise.atol)
    if found.kind == "value":
        advice = or_else("", _advice, exercise, answer) or "That is not it yet."
        return Diagnosis("wrong", "second" if _first_wrong(exercise, answer) else "value", advice)
    advice = or_else("", _type_advice, exercise.solution, answer) if found.kind == "type" else ""
    return Diagnosis("wrong", found.kind, advice or found.sentence)


def _recognised(
    exercise: Exercise, answer: object, tidy: Callable[[object], object]
) -> Diagnosis | None:
    def fits(value: object) -> bool:
        return same(value, or_else(answer, tidy, value), exercise.atol)

    if fits(exercise.solution):
        return Diagnosis("passed", "passed")
    for name, mutant in exercise.mutants.items():
        if fits(mutant.answer):
            return Diagnosis("wrong", "mutant", mutant.sentence, mutant=name)
    return None


def _tidied(right: object, answer: object) -> object:
    """Forgive capitals, spaces and marks in words; a single character has to be exact."""
    if isinstance(right, str) and isinstance(answer, (str, list, tuple)):
        written = answer if isinstance(answer, str) else or_else("", "".join, answer)  # ["A", "C"]
        if len(right.strip()) == 1:
            return right if right.isalnum() and right == written.strip(" .,()") else answer
        return right if _letters(right) == _letters(written) != "" else answer
    if isinstance(right, (list, tuple)) and isinstance(answer, (list, tuple)):
        pairs = zip(right, answer, strict=False)
        return [_tidied(a, b) for a, b in pairs] + list(answer[len(right) :])
    if isinstance(right, dict) and isinstance(answer, dict):
        return {key: _tidied(right.get(key), value) for key, value in answer.items()}
    return answer


def _letters(text: str) -> str:
    return "".join(mark for mark in text.casefold() if mark.isalnum())


def _is_blank(answer: object, depth: int = 0) -> bool:
    """Say whether nothing was filled in: None, `...`, or a list or dict of nothing else."""
    if answer is None or answer is Ellipsis:
        return True
    if type(answer) not in (list, tuple, dict) or not answer or depth > 3:
        return False
    items = answer.values() if type(answer) is dict else answer
    return all(_is_blank(item, depth + 1) for item in items)


def _is_shipped(stub: str, answer: object) -> bool:
    shipped = stub_value(stub)
    return shipped is not None and type(shipped) is type(answer) and shipped == answer


def _type_advice(solution: object, answer: object) -> str:
    if isinstance(answer, str) and as_tensor(solution) is not None:
        return "Your answer is text; write the number without quotation marks."
    if callable(answer) and not callable(solution):
        return f"Your answer is a function; this exercise wants its result, {describe(solution)}."
    return ""


def _advice(exercise: Exercise, answer: object) -> str:
    right = exercise.solution
    if isinstance(right, str):
        if right.casefold() == answer.casefold():
            return "A capital letter and a small one are two characters."
        return _choices(exercise)
    if isinstance(right, dict):
        tidy, names = _tidied(right, answer), [_letters(str(name)) for name in right.values()]
        wrong = [k for k in right if not same(right[k], tidy.get(k), exercise.atol)]
        extra = [k for k in answer if k not in right]
        for k in wrong:  # a word from elsewhere, where one of a list is asked
            given = answer.get(k)
            if isinstance(right[k], str) and given and _letters(str(given)) not in names:
                return f"{short(given)}, at {short(k)}, is no name of the list: copy one."
        return f"Look again at {', '.join(map(short, [*wrong, *extra][:4]))}."
    if isinstance(right, (list, tuple)):
        return _next_one(exercise, answer, _first_wrong(exercise, answer))
    return _direction(float(right), float(answer), exercise.atol)


def _first_wrong(exercise: Exercise, answer: object) -> int:
    """Say where a list goes wrong; 0 where the answer is no such list."""
    right = exercise.solution
    if not isinstance(right, (list, tuple)) or not isinstance(answer, (list, tuple)):
        return 0
    tidy = _tidied(right, answer)
    pairs = enumerate(zip(right, tidy, strict=False))
    return next((i for i, (a, b) in pairs if not same(a, b, exercise.atol)), 0)


def _next_one(exercise: Exercise, answer: list | tuple, first: int) -> str:
    """Advise on the first item that is wrong: its form, its digits, or only its place."""
    right, given = exercise.solution[first], answer[first]
    if or_else(False, _is_close, right, given, exercise.atol):
        return f"Number {first + 1} is close. {_more_decimals(exercise.atol)}"
    so_far = f"The first {first} of {len(answer)} are" if first > 1 else "The first one is"
    lists = [exercise.solution, *(mutant.answer for mutant in exercise.mutants.values())]
    texts = {or_else(None, lambda values: values[first], values) for values in lists}
    if isinstance(right, str) and given not in texts and len(texts) > 1:
        choices = ", ".join(sorted(repr(text) for text in texts if isinstance(text, str)))
        return f"{so_far} right. The next one is one of {choices}." if first else ""
    return f"{so_far} right; look at the next one." if first else ""


def _choices(exercise: Exercise) -> str:
    """List the texts to choose from; none where the example of the stub is not among them."""
    wrong = [mutant.answer for mutant in exercise.mutants.values()]
    if exercise.solution.isupper() or not all(isinstance(text, str) for text in wrong):
        return ""
    texts = ", ".join(map(repr, sorted([exercise.solution, *wrong], key=str.casefold)))
    shown = any(f'for example "{text}"' in exercise.stub for text in wrong)
    return f"Answer with one of the texts {texts}." if shown else ""


def _direction(right: float, given: float, atol: float) -> str:
    if _is_close(right, given, atol):
        return f"Close. {_more_decimals(atol)}"
    return "Your number is too large." if given > right else "Your number is too small."


def _is_close(right: float, given: float, atol: float) -> bool:
    """Say whether a number is the right one, but for some digits that were cut or rounded off."""
    if float(right).is_integer() and atol < 0.01:
        return False
    if abs(given - right) <= 0.01 * abs(right):
        return True
    digits = len(repr(float(given)).partition(".")[2])
    cut = math.trunc(right * 10**digits) / 10**digits if digits > 1 else 0
    return given != 0 and given in (round(right, digits), cut)


def _more_decimals(atol: float) -> str:
    margin = f"{atol:.10f}".rstrip("0")
    return f"Give more decimals: your number may be off by at most {margin}."
