"""Check the checkers: each function returns a list of complaints about one exercise.

An empty list is praise. The tests call these on every registered exercise, and on broken ones to
see that each complaint really comes.
"""

from __future__ import annotations

import random
import string
import sys
from collections.abc import Callable
from functools import cache
from itertools import combinations, count

import torch

from gpt2_tutorial.checks.calls import CallResult, alike, own_rng
from gpt2_tutorial.checks.compare import same
from gpt2_tutorial.checks.engine import examine
from gpt2_tutorial.checks.registry import Exercise, Mutant

CASES = 20
RANDOM_INPUTS = 200


class Remembered(Exercise):
    """An exercise that calls no answer twice on the same case: every mutant asks for it again."""

    def __init__(self, exercise: Exercise):
        super().__init__(**vars(exercise))
        self.cases = cache(super().cases)  # one seed: the very same cases
        self._outcomes: dict[tuple, tuple] = {}

    def _call(self, answer: Callable, case: tuple) -> CallResult:
        """Call an answer on one case, or tell what came of it the first time."""
        key = id(answer), id(case)
        if key not in self._outcomes:  # kept beside it, so that no other takes over its id
            self._outcomes[key] = answer, case, super()._call(answer, case)
        return self._outcomes[key][-1]


def unsolved(exercise: Exercise) -> list[str]:
    """Complain unless the stub, as the notebook ships it, counts as not tried and is not right."""
    stub = executed(exercise, exercise.stub)
    result = examine(exercise, stub)
    if result.status != "not tried":
        return [f"the stub is not ○ but: {result.message}"]
    if not exercise.is_value and all(_as_the_spec(exercise, stub, c) for c in exercise.cases()):
        return ["the stub gives the right answers already"]
    return []


def _as_the_spec(exercise: Exercise, answer: Callable, case: tuple) -> bool:
    with own_rng():
        want, got = (exercise._call(each, case) for each in (exercise.spec, answer))
    return alike(want, got, exercise.atol)


def solved(exercise: Exercise) -> list[str]:
    """Complain unless the solution passes, and so does its text where a notebook runs it."""
    answers = {
        "the solution": exercise.solution,
        "the solution's text": executed(exercise, exercise.solution_source),
    }
    results = [(name, examine(exercise, answer)) for name, answer in answers.items()]
    return [f"{name} does not pass: {r.message}" for name, r in results if r.status != "passed"]


def mutants(exercise: Exercise, seed: int = 0) -> list[str]:
    """Complain unless each mutant is wrong, in its own way, and gets its own sentence."""
    found = []
    for (a, one), (b, two) in combinations(exercise.mutants.items(), 2):
        if one.sentence == two.sentence:
            found.append(f"mutants {a!r} and {b!r} share one sentence")
    for name, mutant in exercise.mutants.items():
        found += _own_sentence(exercise, name, mutant, seed)
    return found


def _own_sentence(exercise: Exercise, name: str, mutant: Mutant, seed: int) -> list[str]:
    result = examine(exercise, mutant.answer, seed)
    if result.status != "wrong":
        return [f"mutant {name!r} is {result.status} (seed {seed})"]
    if result.mutant in exercise.mutants and result.mutant != name:
        # a mutant is compared with all that stand before it, so a twin is found here
        other = f"{result.mutant!r}: they give the same answers"
        return [f"mutant {name!r} gets the sentence of {other} (seed {seed})"]
    if result.mutant != name:
        return [f"mutant {name!r} gets the general {result.kind!r} (seed {seed})"]
    parts = [text for text, *_ in string.Formatter().parse(mutant.sentence)]
    if not all(part in result.message for part in parts):
        return [f"mutant {name!r} is known, but its sentence is not shown"]
    return []


def spec(exercise: Exercise) -> list[str]:
    """Complain unless the solution does what the plain loops do, on 200 inputs or more."""
    if exercise.is_value:
        return []
    tried = 0
    with own_rng():
        for seed in count():
            for case in exercise.cases(seed):
                want = exercise._call(exercise.spec, case)
                got = exercise._call(exercise.solution, case)
                if not alike(want, got, exercise.atol):
                    return [f"on {case} the spec gives {want.text()}, the solution {got.text()}"]
                tried += 1
            if tried >= RANDOM_INPUTS or not tried:
                return [] if tried else ["inputs gives no cases"]


def inputs(exercise: Exercise) -> list[str]:
    """Complain about too few cases, and about cases that do not follow from the seed alone."""
    if exercise.is_value:
        return []
    with own_rng():
        first, again, other = exercise.cases(0), _elsewhere(exercise), exercise.cases(1)
    found = []
    if len(first) < CASES:
        found.append(f"{len(first)} cases are too few; give at least {CASES}")
    if not same(_plain(first), _plain(again)):
        found.append("one seed gives different cases on another day; draw them from rng alone")
    if same(_plain(first), _plain(other)):
        found.append("every seed gives the same cases; draw them from rng")
    return found


def _elsewhere(exercise: Exercise) -> list[tuple]:
    """Make the cases of seed 0 again, with every other source of chance moved on."""
    random.seed(1)
    torch.default_generator.manual_seed(1)
    return Exercise.cases(exercise, 0)  # anew, also where they are remembered


def _plain(cases: list[tuple]) -> list:
    """Make generators comparable: by their state."""
    return [
        tuple(a.get_state() if isinstance(a, torch.Generator) else a for a in case)
        for case in cases
    ]


def executed(exercise: Exercise, source: str) -> object:
    """Run a piece of source beside the exercise's module and give what it defines."""
    modules = (exercise.module, getattr(exercise.solution, "__module__", ""))
    names = {}
    for module in modules:
        names.update(vars(sys.modules[module]) if module in sys.modules else {})
    exec(compile(source, f"<{exercise.id}>", "exec", dont_inherit=True), names)
    return names[exercise.name]


CHECKS: tuple[Callable[[Exercise], list[str]], ...] = (unsolved, solved, mutants, spec, inputs)
PRAISE = {check.__name__: [] for check in CHECKS}
