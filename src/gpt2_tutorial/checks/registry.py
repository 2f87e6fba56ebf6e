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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from gpt2_tutorial.checks import edits
from gpt2_tutorial.checks.calls import CallResult, call
from gpt2_tutorial.checks.stubs import bound_name

PACKAGE = "gpt2_tutorial.checks"
PLACEHOLDERS = {"case", "got", "expected"}
OPTIONAL = ("spec", "inputs", "hints", "atol", "observe", "solution_text")
REQUIRED = ("stub", "solution", "mutants")
GENERIC = (
    "not callable", "raised", "no return", "in place", "frozen",
    "type", "shape", "dtype", "nan", "value",
)  # fmt: skip


@dataclass
class Mutant:
    """A mistake that somebody really made, and the sentence that names it."""

    answer: object
    sentence: str


class Edited(Mutant):
    """A mistake that stands in a chapter's table; it is compiled when it is first asked for."""

    def __init__(self, make: Callable[[], object], mistake: edits.Mistake):
        self._make, self._where, self.sentence = make, mistake.where, mistake.sentence

    @cached_property
    def answer(self) -> object:
        """The wrong answer; ValueError says where the one stands that does not even compile."""
        try:
            return self._make()
        except Exception as error:
            raise ValueError(f"{self._where}: {type(error).__name__}: {error}") from error


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

    def _call(self, answer: Callable, case: tuple) -> CallResult:
        """Call an answer on one case, and look at it as this exercise does."""
        return call(answer, case, self.observe)


EXERCISES: dict[str, Exercise] = {}


class NoExercises(ValueError):
    """A chapter that has no exercises, or does not exist."""


def exercise(
    id: str,
    *,
    subgoal: str = "",
    spec: Callable | None = None,
    inputs: Callable[[random.Random], Iterable] | None = None,
    observe: Callable | None = None,
    atol: float = 1e-5,
    hints: Mapping[str, int] | None = None,
    mistakes: str | None = None,
) -> Callable:
    """Register a function as the solution of exercise `id`; ValueError says what is missing.

    The wrong answers stand in the Markdown file beside its module, or in `mistakes`.

    >>> table = '''
    ... ## 99.1
    ... - a sum: `x * x` → `x + x`
    ...   That is twice the number.
    ... - a cube: `x * x` → `x * x * x`
    ...   That is one factor too many.
    ... - the number: `x * x` → `x`
    ...   Multiply it by itself.'''
    >>> @exercise("99.1", spec=lambda x: x**2, inputs=lambda rng: range(9), mistakes=table)
    ... def square(x):
    ...     # x: any number
    ...     return x * x
    >>> EXERCISES["99.1"].mutants["a cube"].answer(2)
    8
    >>> print(EXERCISES.pop("99.1").stub)
    def square(x):
        # x: any number
        ...
    """

    def register(given: Callable) -> Callable:
        if isinstance(given, type):
            return _registered(_read(id, subgoal, given), given)
        source, written = edits.source_of(given), _written(id, given.__module__, mistakes)
        stub = written.pop("stub", None)
        found = Exercise(
            id, stub=edits.function_text(source, stub) if stub else source.stub, solution=given,
            mutants={m.name: _wrong_function(given, source, id, m) for m in written.values()},
            subgoal=subgoal, spec=spec, inputs=inputs, hints=_hints(written, hints), atol=atol,
            observe=observe, solution_text=source.text, module=given.__module__,
        )  # fmt: skip
        return _registered(found, given)

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
    mistakes: str | None = None,
) -> None:
    """Register an exercise whose answer is a value; stub and solution are lines of Python.

    They are run beside `module`, which is the `__name__` of the chapter.

    >>> table = '''
    ... ## 99.1
    ... - base 2: 1.0
    ...   That is the logarithm to base 2.
    ... - sign: -0.693
    ...   A loss is never negative here.
    ... - chance: 1 / 2
    ...   That is the chance, not its surprise.'''
    >>> toy = {"stub": "answer = None", "solution": "answer = 0.693"}
    >>> value_exercise("99.1", __name__, subgoal="score", mistakes=table, **toy)
    >>> found = EXERCISES.pop("99.1")
    >>> found.solution, found.mutants["chance"].answer
    (0.693, 0.5)
    """
    names, written = vars(sys.modules[module]), _written(id, module, mistakes)
    try:
        value = edits.compiled(solution, bound_name(solution), f"{id} solution", names)
    except Exception as error:
        raise ValueError(
            f"Exercise {id!r}: its solution raises {type(error).__name__}: {error}."
        ) from error
    found = Exercise(
        id, stub=stub, solution=value,
        mutants={m.name: _wrong_value(names, id, m) for m in written.values()},
        subgoal=subgoal, hints=_hints(written, hints), atol=atol, solution_text=solution,
        module=module,
    )  # fmt: skip
    _registered(found, None)


def _registered(found: Exercise, given: object) -> object:
    for complaint in _complaints(found):
        raise ValueError(f"Exercise {found.id!r}: {complaint}")
    EXERCISES[found.id] = found
    return given


def _table_file(module: str) -> Path:
    return Path(sys.modules[module].__file__).with_suffix(".md")


def _written(id: str, module: str, mistakes: str | None) -> dict[str, edits.Mistake]:
    """Read what is written about one exercise, by name."""
    file, text = "mistakes", mistakes
    if text is None:
        path = _table_file(module)
        file = path.name
        if not path.exists():
            raise ValueError(f"Exercise {id!r}: {file} is missing; write its mistakes there.")
        text = path.read_text(encoding="utf-8")
    table = edits.parse(text, file)
    if id not in table:
        raise ValueError(f"{file}: there is no table “## {id}” of the mistakes of exercise {id!r}.")
    return {mistake.name: mistake for mistake in table[id]}


def _hints(written: dict[str, edits.Mistake], others: Mapping[str, int] | None) -> dict[str, int]:
    found = {name: mistake.hint for name, mistake in written.items() if mistake.hint is not None}
    return found | dict(others or {})


def _wrong_function(
    solution: Callable, source: edits.Source, id: str, mistake: edits.Mistake
) -> Edited:
    names, title = solution.__globals__, f"{id} {mistake.name}"
    if mistake.change.startswith("= "):
        return _wrong_value(names, id, mistake, mistake.change[2:])
    text = edits.function_text(source, mistake)  # now, so that no table is loaded that does not fit
    return Edited(lambda: edits.compiled(text, solution.__name__, title, names), mistake)


def _wrong_value(names: dict, id: str, mistake: edits.Mistake, text: str = "") -> Edited:
    text, title = text or mistake.change, f"{id} {mistake.name}"
    if not text or mistake.block:
        raise ValueError(f"{mistake.where}: write the wrong answer behind the colon.")
    return Edited(lambda: edits.compiled(f"answer = {text}", "answer", title, names), mistake)


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
    for name, mutant in found.mutants.items():
        sentence = mutant.sentence
        if not isinstance(sentence, str) or not sentence.strip():
            yield f"mutant {name!r} has no sentence."
            continue
        if not (found.is_value or isinstance(mutant, Edited) or callable(mutant.answer)):
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
    """Import one chapter's exercises and list them; NoExercises where it has none.

    >>> load("77")
    Traceback (most recent call last):
    gpt2_tutorial.checks.registry.NoExercises: There are no exercises for chapter '77'.
    """
    module = f"{PACKAGE}.chapter{chapter}"
    try:
        importlib.import_module(module)
        _tables_are_used(module)
    except ModuleNotFoundError as error:
        _forget(chapter, module)
        if error.name != module:
            raise
        raise NoExercises(f"There are no exercises for chapter {chapter!r}.") from None
    except BaseException:
        _forget(chapter, module)
        raise
    return [EXERCISES[id] for id in sorted(EXERCISES) if id.startswith(f"{chapter}.")]


def _tables_are_used(module: str) -> None:
    """Refuse a table of mistakes that belongs to no exercise."""
    file = _table_file(module)
    written = edits.parse(file.read_text(encoding="utf-8"), file.name) if file.exists() else {}
    for id, mistakes in written.items():
        if id not in EXERCISES:
            raise ValueError(f"{mistakes[0].where}: {file.stem}.py has no exercise {id!r}.")


def _forget(chapter: str, module: str) -> None:
    """Drop what a broken chapter registered, so that the next try tells the real fault."""
    sys.modules.pop(module, None)
    for id, found in list(EXERCISES.items()):
        if id.startswith(f"{chapter}.") and found.module == module:
            del EXERCISES[id]


def load_all() -> list[Exercise]:
    """Import every chapter that has exercises and list them all, in order."""
    folders = sys.modules[PACKAGE].__path__
    names = sorted(found.name for found in pkgutil.iter_modules(folders))
    chapters = [name[-2:] for name in names if re.fullmatch(r"chapter\d\d", name)]
    return [found for chapter in chapters for found in load(chapter)]
