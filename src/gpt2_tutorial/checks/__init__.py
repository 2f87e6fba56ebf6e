"""The exercise checkers: `check("01.2", my_function)` says one helpful thing and never raises."""

from gpt2_tutorial.checks.engine import Result, check, run
from gpt2_tutorial.checks.registry import (
    EXERCISES,
    Exercise,
    Mutant,
    NoExercises,
    exercise,
    load,
    load_all,
    value_exercise,
)

__all__ = [
    "EXERCISES", "Exercise", "Mutant", "NoExercises", "Result",
    "check", "exercise", "load", "load_all", "run", "value_exercise",
]  # fmt: skip
