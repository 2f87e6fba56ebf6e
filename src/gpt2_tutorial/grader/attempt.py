"""Run one exercise cell of a student's notebook and tell what its answer does.

`grade` starts this file as a process of its own, so that nothing a cell does can end the grading:
an endless loop, `sys.exit()`, `os._exit()`, a full memory. This process says what the answer gave
on each case; whether that is right, `grade` finds in a process where no student's code runs.
"""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import sys

import torch

from gpt2_tutorial import checks
from gpt2_tutorial.checks.calls import error_text, own_rng
from gpt2_tutorial.checks.diagnose import account_of
from gpt2_tutorial.checks.registry import PACKAGE
from gpt2_tutorial.grader.letter import NothingToCheck, nothing, sealed
from gpt2_tutorial.grader.magics import plain_python
from gpt2_tutorial.grader.needed import needed

MEMORY = 4 * 2**30  # bytes; without a limit one cell could take the machine down
NOTHING = object()


def attempt(id: str, cell: str, earlier: list[str], seed: int = 0) -> object:
    """Run a cell, and what it needs of earlier cells, and tell of the answer that it hands over.

    That is a value, or a function's account; NothingToCheck says why there is none.

    >>> attempt("00.1", 'answer = math.log(2)\\ncheck("00.1", answer)', [])
    0.6931471805599453
    """
    names, handed = {"__name__": "__main__", "torch": torch, "math": math}, {}
    found = next(found for found in checks.load(id[:2]) if found.id == id)
    listening = checks.check
    # the cell's check(...) hands the answer over; it is judged elsewhere, with our seed
    checks.check = lambda id, answer, **_: handed.update({id: answer})
    try:
        trouble = _run_earlier(needed(cell, earlier), names)
        names["check"] = checks.check
        error = _run(plain_python(cell), names)
    finally:
        checks.check = listening
    answer = handed.get(id, names.get(found.name, NOTHING))
    if answer is NOTHING and error:
        raise NothingToCheck(f"The cell raised {error}{trouble}")
    if answer is NOTHING:
        name = repr(found.name)
        raise NothingToCheck(f"The cell neither defines {name} nor hands anything to check.")
    if found.is_value:
        return answer
    if str(getattr(answer, "__module__", "")).startswith(PACKAGE):
        raise NothingToCheck("The cell hands over the book's own answer. Write one of your own.")
    with own_rng():
        return account_of(found, answer, seed)


def _run(code: str | ast.Module, names: dict) -> str:
    """Run code and describe what it raised; "" where all went well."""
    try:
        exec(compile(code, "<cell>", "exec", dont_inherit=True), names)
    except MemoryError:
        names.clear()  # room to say so
        return "MemoryError: it asked for more than 4 GiB"
    except BaseException as error:
        return f"{type(error).__name__}: {error_text(error)}".rstrip(": ")
    return ""


def _run_earlier(nodes: list[ast.stmt], names: dict) -> str:
    """Run earlier statements, each on its own; tell of the first that failed."""
    errors = [_run(ast.Module([node], []), names) for node in nodes]
    first = next(filter(None, errors), "")
    return f" (a cell above it raised {first})" if first else ""


def reply(id: str, cell: str, earlier: list[str], seed: int = 0) -> str:
    """Make an attempt and write its letter, whatever comes of it.

    >>> reply("00.1", "1 / 0", [])
    '["nothing", "The cell raised ZeroDivisionError: division by zero"]'
    """
    try:
        return sealed(attempt(id, cell, earlier, seed))
    except NothingToCheck as reason:
        return nothing(str(reason))
    except BaseException as error:  # an answer that raises KeyboardInterrupt, for one
        return nothing(f"The answer ended with {type(error).__name__}.")


def main() -> None:
    """Read the job from the standard input, write the letter to the output, and leave at once."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # Windows has none

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    job = json.loads(sys.stdin.buffer.read())
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the cell prints is not the reply
    letter = reply(**job)
    with os.fdopen(out, "wb") as file:
        file.write(letter.encode())
    os._exit(0)  # threads that the cell left behind do not hold us


if __name__ == "__main__":
    main()
