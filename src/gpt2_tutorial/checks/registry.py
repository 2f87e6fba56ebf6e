"""What an exercise is, and the one place where all of them are registered.

A chapter's exercises live in `gpt2_tutorial.checks.chapterNN`, and their wrong answers in the
Markdown file beside it. Both are read when the first of them is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import torch

from gpt2_tutorial.checks import edits
from gpt2_tutorial.checks.calls import CallResult, call
from gpt2_tutorial.checks.stubs import bound_name

PACKAGE = "gpt2_tutorial.checks"
GENERIC = (
    "not callable", "raised", "no return", "in place", "frozen",
    "type", "shape", "dtype", "nan", "value", "second", "borrowed",
)  # fmt: skip


class Dice(random.Random):
    """Python's own dice, which draw tensors as well; what they draw follows from their seed.

    >>> Dice(0).randn(2, 3).shape
    torch.Size([2, 3])
    """

    def rand(self, *shape: int) -> torch.Tensor:
        """Draw numbers between 0 and 1."""
        return torch.rand(shape, generator=self._generator())

    def randn(self, *shape: int) -> torch.Tensor:
        """Draw numbers around 0."""
        return torch.randn(shape, generator=self._generator())

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.randrange(2**31))


@dataclass
class Mutant:
    """A mistake that somebody really made: the sentence that names it, and its wrong answer."""

    sentence: str
    make: Callable[[], object]

    @cached_property
    def answer(self) -> object:
        """The wrong answer, made when it is first asked for; ValueError where it is no Python."""
        return self.make()


@dataclass
class Exercise:
    """One exercise: what the notebook ships, what is right, and which mistakes are known.

    >>> toy = Exercise("99.1", stub="answer = None", solution=0.5)
    >>> toy.name, toy.is_value
    ('answer', True)
    """

    id: str
    stub: str
    solution: object
    solution_source: str = ""
    mutants: dict[str, Mutant] = field(default_factory=dict)
    subgoal: str = ""
    spec: Callable | None = None
    inputs: Callable[[Dice], Iterable] | None = None
    hints: dict[str, int] = field(default_factory=dict)
    atol: float = 1e-5
    observe: Callable | None = None
    without: tuple[str, ...] = ()
    module: str = ""

    @property
    def name(self) -> str:
        """The name that the stub defines: the function's, or the variable's."""
        return bound_name(self.stub)

    @property
    def is_value(self) -> bool:
        """True where the answer is a value, not a function."""
        return self.spec is None

    def cases(self, seed: int = 0) -> list[tuple]:
        """List the inputs of one seed; an input that is no tuple is taken as the one argument."""
        if self.inputs is None:
            return []
        made = self.inputs(Dice(seed))
        return [case if isinstance(case, tuple) else (case,) for case in made]

    def _call(self, answer: Callable, case: tuple) -> CallResult:
        """Call an answer on one case, and look at it as this exercise does."""
        return call(answer, case, self.observe)


EXERCISES: dict[str, Exercise] = {}


class NoExercises(ValueError):
    """A chapter that has no exercises, or does not exist.

    >>> NoExercises("There are no exercises for chapter '77'.")
    NoExercises("There are no exercises for chapter '77'.")
    """


def exercise(
    id: str,
    *,
    spec: Callable,
    inputs: Callable[[Dice], Iterable],
    subgoal: str = "",
    observe: Callable | None = None,
    without: Iterable[str] = (),
    atol: float = 1e-5,
    hints: Mapping[str, int] | None = None,
) -> Callable:
    """Register a function as the solution of exercise `id`; ValueError says what is wrong with it.

    Its wrong answers stand below `## id` in the Markdown file beside its module. `without` names
    the functions of PyTorch that the task forbids; "loop" forbids loops.

    >>> from gpt2_tutorial.checks.chapter00 import decode  # it stands below @exercise("00.4", …)
    >>> EXERCISES["00.4"].solution is decode
    True
    >>> EXERCISES["00.4"].mutants["spaces"].answer([1, 0], ["o", "g"])
    'g o'
    """

    def register(solution: Callable) -> Callable:
        source = edits.source_of(solution)
        made = Exercise(
            id, stub=source.stub, solution=solution, solution_source=source.text,
            module=solution.__module__, spec=spec, inputs=inputs, subgoal=subgoal,
            observe=observe, without=tuple(without), atol=atol, hints=dict(hints or {}),
        )  # fmt: skip
        _register(made, solution.__globals__, source)
        return solution

    return register


def value_exercise(
    id: str,
    module: str,
    *,
    stub: str,
    solution: str,
    subgoal: str = "",
    atol: float = 1e-5,
    hints: Mapping[str, int] | None = None,
) -> None:
    """Register an exercise whose answer is a value; stub and solution are lines of Python.

    They are run beside `module`, which is the `__name__` of the chapter.

    >>> found = load("00")[0]  # value_exercise("00.1", …, solution="answer = math.log(2)  # …")
    >>> round(found.solution, 4), found.mutants["base 2"].answer
    (0.6931, 1.0)
    """
    names = vars(sys.modules[module])
    value = edits.compiled(solution, f"solution of {id}", names)
    made = Exercise(
        id, stub=stub, solution=value, solution_source=solution, module=module,
        subgoal=subgoal, atol=atol, hints=dict(hints or {}),
    )  # fmt: skip
    _register(made, names)


def _register(made: Exercise, names: dict, source: edits.Source | None = None) -> None:
    """Add what is written about an exercise; `names` stand around its solution."""
    file, table = _table(made.module)
    if made.id not in table:
        raise ValueError(f"{file} is missing or has no “## {made.id}”; write its mistakes there.")
    for mistake in table[made.id]:
        text = edits.text_of(mistake, source)  # now, so that no table is loaded that does not fit
        if mistake.name == "stub":
            made.stub = text
            continue
        make = partial(edits.compiled, text, mistake.where, names)
        made.mutants[mistake.name] = Mutant(mistake.sentence, make)
        if mistake.hint is not None:
            made.hints.setdefault(mistake.name, mistake.hint)
    for complaint in _complaints(made):
        raise ValueError(f"Exercise {made.id!r}: {complaint}")
    EXERCISES[made.id] = made


def _table(module: str) -> tuple[str, Mapping[str, tuple[edits.Mistake, ...]]]:
    """Give the name of a chapter's table, and what it says of every exercise."""
    path = Path(sys.modules[module].__file__).with_suffix(".md")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return path.name, edits.parse(text, path.name)


def _complaints(made: Exercise) -> Iterable[str]:
    if not re.fullmatch(r"\d\d\.\d+", made.id):
        yield 'an id is two digits, a dot and a number, such as "01.2".'
    if made.id in EXERCISES:
        yield "this id is taken; give every exercise its own."
    try:
        name, own = made.name, bound_name(made.solution_source)
    except (SyntaxError, ValueError) as error:
        yield f"the stub does not compile ({error})."
        return
    if name != own:
        yield f"the stub defines {name!r} and the solution {own!r}; give both one name."
    if callable(made.solution) and not (callable(made.spec) and callable(made.inputs)):
        yield "its solution is a function, so it needs a 'spec' and 'inputs'."
    if len(made.mutants) < 3:
        yield f"it has {len(made.mutants)} mistakes; give at least 3, each a real one."
    first = {}
    for name, mutant in made.mutants.items():
        if (other := first.setdefault(mutant.sentence, name)) != name:
            yield f"mistakes {other!r} and {name!r} share one sentence."
        try:
            mutant.sentence.format(case="", got="", expected="")
        except (KeyError, IndexError, ValueError):
            yield f"the sentence of {name!r} may use only {{case}}, {{got}} and {{expected}}."
    for name in made.hints.keys() - made.mutants.keys() - set(GENERIC):
        yield f"hints name {name!r}, which is neither a mistake nor one of {', '.join(GENERIC)}."


def load(chapter: str) -> list[Exercise]:
    """Import one chapter's exercises and list them; NoExercises where it has none.

    >>> load("77")
    Traceback (most recent call last):
    gpt2_tutorial.checks.registry.NoExercises: There are no exercises for chapter '77'.
    """
    module = f"{PACKAGE}.chapter{chapter}"
    try:
        if module not in sys.modules:  # a broken one is forgotten, so this one is whole
            importlib.import_module(module)
            _, table = _table(module)
            for id in (id for id in table if id not in EXERCISES):
                where = table[id][0].where
                raise ValueError(f"{where}: there is no exercise {id!r} in its chapter.")
    except BaseException as error:
        _forget(module)
        if isinstance(error, ModuleNotFoundError) and error.name == module:
            raise NoExercises(f"There are no exercises for chapter {chapter!r}.") from None
        raise
    return [EXERCISES[id] for id in sorted(EXERCISES) if id.startswith(f"{chapter}.")]


def _forget(module: str) -> None:
    """Drop what a broken chapter registered, so that the next try tells the real fault."""
    sys.modules.pop(module, None)
    for id in [id for id, found in EXERCISES.items() if found.module == module]:
        del EXERCISES[id]


def load_all() -> list[Exercise]:
    """Import every chapter that has exercises and list them all, in order."""
    names = (found.name for found in pkgutil.iter_modules(sys.modules[PACKAGE].__path__))
    chapters = sorted(name[-2:] for name in names if re.fullmatch(r"chapter\d\d", name))
    return [found for chapter in chapters for found in load(chapter)]
