"""Every registered exercise: its stub, its solution, its mutants and its spec."""

import audit
import pytest

from gpt2_tutorial.checks import load_all


@pytest.mark.parametrize("exercise", load_all(), ids=lambda exercise: exercise.id)
@pytest.mark.parametrize("complaints", audit.CHECKS, ids=lambda check: check.__name__)
def test_exercise(exercise, complaints):
    assert complaints(exercise) == []


def test_the_sixteen_causes_are_those_of_the_log_in_the_order_of_their_letters():
    """The notebook sorts by the names read backwards, and so must the solution."""
    from gpt2_tutorial.checks.chapter16 import CAUSES
    from gpt2_tutorial.ledger import logged

    assert list(CAUSES) == sorted(logged("broken_runs")["broken"], key=lambda name: name[::-1])
