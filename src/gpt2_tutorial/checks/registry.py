"""What an exercise is, and the one place where all of them are registered.

A chapter's exercises live in `gpt2_tutorial.checks.chapterNN` and are imported when the first
of them is asked for.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import random
import re
import string
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from gpt2_tutorial.checks.outcomes import Outcome, call
from gpt2_tutorial.checks.stubs import bound_name

PACKAGE = "gpt2_tutorial.checks"
PLACEHOLDERS = {"case", "got", "expected"}
OPTIONAL = ("spec", "inputs", "hints", "atol", "observe", "solution_text")
REQUIRED = ("stub", "solution", "mutants")
GENERIC = (
    "not callable", "raised", "no return", "in place", "frozen",
    "type", "shape", "dtype", "nan", "value",
)  # fmt: skip


class Mutant(NamedTuple):
    """A mistake that somebody really made, and the sentence that names it."""

    answer: object
    sentence: str


@dataclass
class Exercise:
    """One exercise: what the notebook ships, what is right, and which mistakes are known.

    >>> toy = Exercise("99.1", stub="answer = None", solution=0.5, mutants={})
    >>> toy.name, toy.is_value, toy.solution_source
    ('answer', True, 'answer = 0.5')
    """

    id: str
    stub: str
    solution: object
    mutants: dict[str, Mutant]
    subgoal: str = ""
    spec: Callable | None = None
    inputs: Callable[[random.Random], Iterable] | None = None
    hints: dict[str, int] = field(default_factory=dict)
    atol: float = 1e-5
    observe: Callable | None = None
    solution_text: str | None = None
    module: str = ""

    @property
    def name(self) -> str:
        """The name that the stub defines: the function's, or the variable's."""
        return bound_name(self.stub)

    @property
    def is_value(self) -> bool:
        """True where the answer is a value, not a function."""
        return self.spec is None

    @property
    def solution_source(self) -> str:
        """The text of the solution, as the notebook folds it away."""
        if self.solution_text is not None:
            return self.solution_text
        if self.is_value:
            return f"{self.name} = {self.solution!r}"
        return textwrap.dedent(inspect.getsource(self.solution)).rstrip("\n")

    def cases(self, seed: int = 0) -> list[tuple]:
        """List the inputs of one seed; an input that is no tuple is taken as the one argument."""
        if self.inputs is None:
            return []
        made = self.inputs(random.Random(seed))
        return [case if isinstance(case, tuple) else (case,) for case in made]

    def _call(self, answer: Callable, case: tuple) -> Outcome:
        """Call an answer on one case, and look at it as this exercise does."""
        return call(answer, case, self.observe)


EXERCISES: dict[str, Exercise] = {}


def exercise(id: str, *, subgoal: str = "") -> Callable[[type], type]:
    """Register a class as exercise `id`; ValueError says what is missing from it.

    >>> @exercise("99.1", subgoal="score")
    ... class CoinFlip:
    ...     stub = "answer = None"
    ...     solution = 0.693
    ...     mutants = {
    ...         "base 2": (1.0, "That is the logarithm to base 2."),
    ...         "sign": (-0.693, "A loss is never negative here."),
    ...         "chance": (0.5, "That is the chance, not its surprise."),
    ...     }
    >>> EXERCISES.pop("99.1").subgoal
    'score'
    """

    def register(cls: type) -> type:
        found = _read(id, subgoal, cls)
        for complaint in _complaints(found):
            raise ValueError(f"Exercise {id!r}: {complaint}")
        EXERCISES[id] = found
        return cls

    return register


def _read(id: str, subgoal: str, cls: type) -> Exercise:
    for name in vars(cls):
        near = get_close_matches(name, (*REQUIRED, *OPTIONAL), n=1, cutoff=0.8)
        if near and name not in (*REQUIRED, *OPTIONAL):
            raise ValueError(f"Exercise {id!r}: {name!r} is unknown; did you mean {near[0]!r}?")
    fields = {}
    for name in (*REQUIRED, *OPTIONAL):
        value = inspect.getattr_static(cls, name, None)
        fields[name] = _plain(value)
        if name in REQUIRED and value is None:
            raise ValueError(f"Exercise {id!r}: it has no {name!r}; give it one.")
        if value is None:
            del fields[name]
    try:
        pairs = {name: (_plain(answer), text) for name, (answer, text) in fields["mutants"].items()}
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"Exercise {id!r}: mutants should be a dict of name: (answer, sentence)."
        ) from None
    fields["mutants"] = {name: Mutant(*pair) for name, pair in pairs.items()}
    return Exercise(id, subgoal=subgoal, module=cls.__module__, **fields)


def _plain(value: object) -> object:
    return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value


def _complaints(found: Exercise) -> Iterable[str]:
    if not re.fullmatch(r"\d\d\.\d+", found.id):
        yield 'an id is two digits, a dot and a number, such as "01.2".'
    if found.id in EXERCISES:
        yield "this id is taken; give every exercise its own."
    yield from _stub_complaints(found)
    yield from _mutant_complaints(found)


def _stub_complaints(found: Exercise) -> Iterable[str]:
    try:
        name = found.name
    except (SyntaxError, TypeError, ValueError) as error:
        yield f"the stub does not compile ({error})."
        return
    if not name:
        yield "the stub defines no function and no variable; let it define one."
    if found.spec is None and callable(found.solution):
        yield "its solution is a function, so it needs a 'spec' and 'inputs'."
    if found.spec is not None and not (callable(found.solution) and callable(found.inputs)):
        yield "it has a 'spec', so it needs 'inputs' and a solution that is a function."
    own = getattr(found.solution, "__name__", "") if found.solution_text is None else None
    if own is None:
        try:
            own = bound_name(found.solution_text)
        except SyntaxError as error:
            yield f"the solution_text does not compile ({error})."
    if own and own != name and (callable(found.solution) or found.solution_text):
        yield f"the stub defines {name!r} and the solution {own!r}; give both one name."


def _mutant_complaints(found: Exercise) -> Iterable[str]:
    if len(found.mutants) < 3:
        yield f"it has {len(found.mutants)} mutants; give at least 3, each a real mistake."
    seen = {}
    for name, (answer, sentence) in found.mutants.items():
        if not isinstance(sentence, str) or not sentence.strip():
            yield f"mutant {name!r} has no sentence."
            continue
        if not found.is_value and not callable(answer):
            yield f"mutant {name!r} should be a function."
        if sentence in seen:
            yield f"mutants {seen[sentence]!r} and {name!r} share one sentence."
        seen[sentence] = name
        try:
            sentence.format(**dict.fromkeys(PLACEHOLDERS, ""))
        except (KeyError, IndexError, ValueError):
            yield f"the sentence of {name!r} may use only {{case}}, {{got}} and {{expected}}."
    for name in found.hints.keys() - found.mutants.keys() - set(GENERIC):
        yield f"hints name {name!r}, which is neither a mutant nor one of {', '.join(GENERIC)}."


def placeholders(sentence: str) -> set[str]:
    """List the placeholders that a sentence uses.

    >>> placeholders("You gave {got}.")
    {'got'}
    """
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def load(chapter: str) -> list[Exercise]:
    """Import one chapter's exercises and list them; ValueError where it has none.

    >>> load("77")
    Traceback (most recent call last):
    ValueError: There are no exercises for chapter '77'.
    """
    module = f"{PACKAGE}.chapter{chapter}"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        _forget(chapter, module)
        if error.name != module:
            raise
        raise ValueError(f"There are no exercises for chapter {chapter!r}.") from None
    except BaseException:
        _forget(chapter, module)
        raise
    return [EXERCISES[id] for id in sorted(EXERCISES) if id.startswith(f"{chapter}.")]


def _forget(chapter: str, module: str) -> None:
    """Drop what a broken chapter registered, so that the next try tells the real fault."""
    for id, found in list(EXERCISES.items()):
        if id.startswith(f"{chapter}.") and found.module == module:
            del EXERCISES[id]


def load_all() -> list[Exercise]:
    """Import every chapter that has exercises and list them all, in order."""
    folders = sys.modules[PACKAGE].__path__
    names = sorted(found.name for found in pkgutil.iter_modules(folders))
    chapters = [name[-2:] for name in names if re.fullmatch(r"chapter\d\d", name)]
    return [found for chapter in chapters for found in load(chapter)]
