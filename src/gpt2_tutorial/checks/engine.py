"""Check an answer and say one helpful thing about it; nothing here ever raises.

>>> run("00.1", 1.0).mutant
'base 2'
>>> check("00.1", 0.6931)
✓ 00.1 passed
"""

from __future__ import annotations

import re
import string
import textwrap
from contextlib import suppress
from dataclasses import dataclass

from gpt2_tutorial.checks.calls import CallResult, own_rng
from gpt2_tutorial.checks.diagnose import Diagnosis, Trial, account_of, diagnose_function
from gpt2_tutorial.checks.registry import EXERCISES, Exercise, NoExercises, load
from gpt2_tutorial.checks.show import describe, or_else, short
from gpt2_tutorial.checks.values import diagnose_value

PLAIN = ("not callable", "no return", "type", "borrowed")


@dataclass(frozen=True)
class Result:
    """What came of one check: status is "passed", "not tried" or "wrong"."""

    status: str
    message: str
    mutant: str | None = None
    kind: str = ""


def check(id: str, answer: object, *, seed: int = 0) -> None:
    """Print what the checker has to say about an answer.

    >>> check("99.9", 3)
    ✗ 99.9 There is no exercise '99.9'. Exercises are named like "01.2".
    """
    message = "\n".join(_wrapped(line) for line in run(id, answer, seed).message.split("\n"))
    try:
        print(message)
    except UnicodeEncodeError:  # an old Windows console
        print(message.encode("ascii", "replace").decode())


def _wrapped(line: str) -> str:
    return line if len(line) <= 100 else textwrap.fill(line, 88, subsequent_indent="  ")


def run(id: str, answer: object, seed: int = 0) -> Result:
    """Check an answer and return the result; unknown exercises and odd answers are results too.

    >>> run("chapter one", 3).status
    'wrong'
    """
    try:
        return examine(_find(id), answer, seed)
    except KeyboardInterrupt:
        raise
    except _Unknown as error:
        return Result("wrong", f"✗ {short(id).strip(chr(39))} {error}", kind="unknown")
    except BaseException as error:
        sentence = (
            f"This could not be checked: {type(error).__name__} while looking at "
            f"{describe(answer)}. Run the cells above again, then this one."
        )
        return Result("wrong", f"✗ {short(id).strip(chr(39))} {sentence}", kind="error")


class _Unknown(Exception):
    """An id that belongs to no exercise."""


def _find(id: object) -> Exercise:
    if id in EXERCISES:
        return EXERCISES[id]
    if isinstance(id, str) and re.fullmatch(r"\d\d\.\d+", id):
        with suppress(NoExercises):
            known = {found.id: found for found in load(id[:2])}
            if id in known:
                return known[id]
            names = ", ".join(known)
            raise _Unknown(f"There is no exercise {id!r}. Chapter {id[:2]} has {names}.")
    raise _Unknown(f'There is no exercise {short(id)}. Exercises are named like "01.2".')


def examine(found: Exercise, answer: object, seed: int = 0) -> Result:
    """Check an answer against an exercise that need not be registered."""
    with own_rng():
        told = answer if found.is_value else account_of(found, answer, seed)
        return judge(found, told, seed)


def judge(found: Exercise, told: object, seed: int = 0) -> Result:
    """Judge a value, or a function by its account; nothing of the answer is called here."""
    with own_rng():
        if found.is_value:
            return _value_result(found, diagnose_value(found, told), told)
        return _function_result(found, *diagnose_function(found, told, seed))


def _value_result(found: Exercise, diagnosis: Diagnosis, answer: object) -> Result:
    if diagnosis.status != "wrong":
        return _good(found, diagnosis, "")
    shown = {"case": "", "got": short(answer, digits=6), "expected": short(found.solution)}
    lines = [] if "got" in _placeholders(diagnosis) else [f"  your answer  {shown['got']}"]
    return _bad(found, diagnosis, shown, lines)


def _function_result(found: Exercise, diagnosis: Diagnosis, trial: Trial | None) -> Result:
    if diagnosis.status != "wrong":
        return _good(found, diagnosis, f" ({len(trial.cases)} cases)" if trial else "")
    if diagnosis.index is None:
        return _bad(found, diagnosis, {}, [])
    case, want, got = (part[diagnosis.index] for part in (trial.cases, trial.expected, trial.got))
    shown = _shown(found, case, want, got)
    used = _placeholders(diagnosis)
    if diagnosis.kind == "raised":
        used = {"got"}
    if diagnosis.kind == "in place":
        used = {"got", "expected"}
    labels = {"case": "  ", "expected": "  expected  ", "got": "  got       "}
    lines = [label + shown[name] for name, label in labels.items() if name not in used]
    return _bad(found, diagnosis, shown, lines)


def _placeholders(diagnosis: Diagnosis) -> set[str]:
    """List what a known mistake's own sentence shows, so that it is not shown twice."""
    parts = string.Formatter().parse(diagnosis.sentence) if diagnosis.mutant else ()
    return {name for _, name, _, _ in parts if name}


def _shown(found: Exercise, case: tuple, want: CallResult, got: CallResult) -> dict[str, str]:
    arguments = ", ".join(short(argument, 60) for argument in case)
    texts = want.text(), got.text()
    if texts[0] == texts[1]:  # they differ beyond the fourth digit: show more of them
        texts = want.text(9), got.text(9)
    call = f"{found.name}({arguments})"
    return {"case": call if len(call) <= 120 else call[:119] + "…", "expected": texts[0],
            "got": texts[1]}  # fmt: skip


def _good(found: Exercise, diagnosis: Diagnosis, count: str) -> Result:
    if diagnosis.status == "passed":
        return Result("passed", f"✓ {found.id} passed{count}", kind="passed")
    return Result("not tried", f"○ {found.id} not tried yet", kind="not tried")


def _bad(found: Exercise, diagnosis: Diagnosis, shown: dict, lines: list[str]) -> Result:
    sentence = diagnosis.sentence
    if diagnosis.mutant:
        sentence = or_else(sentence, lambda: sentence.format(**shown))
    # The hints are about the idea; they do not help with plain Python.
    hint = found.hints.get(diagnosis.mutant or diagnosis.kind, 0 if diagnosis.kind in PLAIN else 1)
    where = [f"  See hint {hint}."] if hint else []
    message = "\n".join([f"✗ {found.id} {sentence}", *lines, *where])
    return Result("wrong", message, diagnosis.mutant, diagnosis.kind)
