"""The stub and the solution in a notebook are the ones that the checkers know."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from drift.prose import headings
from drift.reading import Cell, Notebook, notebooks

PYTHON_BLOCK = re.compile(r"(?ms)^```python\n(.*?)^```[ \t]*$")


class Exercise(Protocol):
    """What we need of an exercise of `gpt2_tutorial.checks`."""

    stub: str
    solution_source: str


def known_exercises() -> Mapping[str, Exercise]:
    """All exercises of the package, by id."""
    from gpt2_tutorial import checks  # imports torch, so only where it is needed

    checks.load_all()
    return checks.EXERCISES


def public_name(number: str) -> str:
    """How the reader sees an id.

    >>> public_name("01.2"), public_name("10.1")
    ('Exercise 1.2', 'Exercise 10.1')
    """
    chapter, _, rest = number.partition(".")
    return f"Exercise {int(chapter)}.{rest}"


def stub_complaints(cell: Cell, number: str, exercise: Exercise) -> list[str]:
    stub = exercise.stub.strip("\n")
    if not cell.source.startswith(f"{stub}\n"):
        return [f"{cell.where}: not the stub of {number} in gpt2_tutorial.checks: copy that."]
    rest = cell.source[len(stub) :]
    call = re.fullmatch(rf'\n{{2,3}}check\("{re.escape(number)}", (\w+)\)\n?', rest)
    if not call or not re.search(rf"(?m)^(?:def |class )?{call[1]}\b", stub):
        return [
            f'{cell.where}: end with a blank line and check("{number}", NAME), '
            "NAME being what the stub defines."
        ]
    return []


def solution_complaints(cell: Cell, number: str, exercise: Exercise) -> list[str]:
    last_fold = cell.source.rpartition("<details")[2]
    blocks = PYTHON_BLOCK.findall(last_fold)
    if not blocks:
        return [f"{cell.where}: the last <details> needs a ```python block with the solution."]
    if blocks[-1].strip("\n") != exercise.solution_source.strip("\n"):
        return [f"{cell.where}: not the solution of {number} in gpt2_tutorial.checks: copy that."]
    return []


def task_complaints(cell: Cell, number: str) -> list[str]:
    """The task stands in the Markdown cell above its exercise."""
    levels = [level for level, _ in headings(cell.source)] if cell.kind == "markdown" else []
    if 3 in levels and public_name(number) in cell.source:
        return []
    return [f"{cell.where}: should be the task: a ### heading and {public_name(number)!r}."]


def exercise_complaints(notebook: Notebook, place: int, known: Mapping[str, Exercise]) -> list[str]:
    cell, number = notebook.cells[place], notebook.cells[place].tagged("exercise:")
    if number not in known:
        return [f"{cell.where}: gpt2_tutorial.checks has no exercise {number!r}: add it there."]
    complaints = stub_complaints(cell, number, known[number])
    if place:
        complaints += task_complaints(notebook.cells[place - 1], number)
    following = notebook.cells[place + 1 : place + 2]
    if not following or following[0].tagged("solution:") != number:
        return [*complaints, f"{cell.where}: the next cell must be tagged solution:{number}."]
    return complaints + solution_complaints(following[0], number, known[number])


def count_complaints(notebook: Notebook, known: Mapping[str, Exercise]) -> list[str]:
    complaints = []
    for number in (n for n in known if n.startswith(f"{notebook.chapter}.")):
        for kind in ("exercise", "solution"):
            times = sum(f"{kind}:{number}" in cell.tags for cell in notebook.cells)
            if times != 1:
                complaints.append(
                    f"{notebook.file}: {times} cells are tagged {kind}:{number}: make it one."
                )
    return complaints


def agree(root: Path) -> list[str]:
    """Every exercise stands once in its notebook, with the checkers' stub and solution."""
    known, complaints = known_exercises(), []
    for notebook in notebooks(root):
        complaints += count_complaints(notebook, known)
        for place, cell in enumerate(notebook.cells):
            if cell.tagged("exercise:"):
                complaints += exercise_complaints(notebook, place, known)
    return complaints
