"""Every registered exercise: its stub, its solution, its mutants and its spec."""

import pytest

from gpt2_tutorial.checks import audit, load_all


@pytest.mark.parametrize("exercise", load_all(), ids=lambda exercise: exercise.id)
@pytest.mark.parametrize("complaints", audit.CHECKS, ids=lambda check: check.__name__)
def test_exercise(exercise, complaints):
    assert complaints(exercise) == []
