"""Every registered exercise: its stub, its solution, its mutants and its spec."""

import audit
import pytest

from gpt2_tutorial.checks import load_all
from tiers import tiered

ALL = load_all()
FUNCTIONS = [exercise for exercise in ALL if not exercise.is_value]


def named(value):
    return getattr(value, "id", value)


@pytest.mark.parametrize("exercise", ALL, ids=named)
def test_exercise(exercise):
    exercise = audit.Remembered(exercise)  # all checks ask for the same calls
    assert {check.__name__: check(exercise) for check in audit.CHECKS} == audit.PRAISE


# Readers have seed 0, as every exercise above. Teachers choose one: some of each part of the book.
@pytest.mark.parametrize(
    ("exercise", "seed"),
    tiered(
        [(exercise, seed) for exercise in FUNCTIONS for seed in (1, 2)],
        [(exercise, 1) for exercise in FUNCTIONS[::7]],
    ),
    ids=named,
)
def test_mutants_under_another_seed(exercise, seed):
    assert audit.mutants(audit.Remembered(exercise), seed) == []


def test_the_sixteen_causes_are_those_of_the_log_in_the_order_of_their_letters():
    """The notebook sorts by the names read backwards, and so must the solution."""
    from gpt2_tutorial.checks.chapter16 import CAUSE_OF
    from gpt2_tutorial.ledger import logged

    assert list(CAUSE_OF.values()) == sorted(
        logged("broken_runs")["broken"], key=lambda name: name[::-1]
    )
