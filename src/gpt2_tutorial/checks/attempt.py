"""Run one exercise cell of a student's notebook and check what it hands over.

`grade` starts this file as a process of its own, so that nothing a cell does can end the grading:
an endless loop, `sys.exit()`, `os._exit()`, a full memory.
"""

from __future__ import annotations

import ast
import contextlib
import json
import math
import os
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from gpt2_tutorial import checks
from gpt2_tutorial.checks.calls import error_text
from gpt2_tutorial.checks.engine import Result
from gpt2_tutorial.checks.needed import needed, plain_python

MEMORY = 4 * 2**30  # bytes; without a limit one cell could take the machine down
NOTHING = object()


def attempt(id: str, cell: str, earlier: list[str], seed: int = 0) -> Result:
    """Run a cell, and what it needs of earlier cells, and check the answer that it hands over.

    >>> attempt("00.1", 'answer = math.log(2)\\ncheck("00.1", answer)', []).status
    'passed'
    """
    names, handed = {"__name__": "__main__", "torch": torch, "math": math}, {}
    checks.load(id[:2])
    listening = checks.check
    # the cell's check(...) hands the answer over; it is looked at below, with our seed
    checks.check = lambda id, answer, **_: handed.update({id: answer})
    try:
        trouble = _run_earlier(needed(cell, earlier), names)
        names["check"] = checks.check
        error = _run(plain_python(cell), names)
    finally:
        checks.check = listening
    name = checks.EXERCISES[id].name
    answer = handed.get(id, names.get(name, NOTHING))
    if answer is not NOTHING:
        return checks.run(id, answer, seed)
    if error:
        return wrong(id, f"The cell raised {error}{trouble}")
    return wrong(id, f"The cell neither defines {name!r} nor hands anything to check.")


def wrong(id: str, sentence: str) -> Result:
    """Make the result of a cell that gave nothing to check."""
    return Result("wrong", f"✗ {id} {sentence}", kind="cell")


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


def main(job: str, result: str) -> None:
    """Read the job from one file, write its result to the other, and leave at once."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # Windows has none

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    asked = json.loads(Path(job).read_text(encoding="utf-8"))
    try:
        made = attempt(**asked)
    except BaseException as error:  # an answer that raises KeyboardInterrupt, for one
        made = wrong(asked["id"], f"The answer ended with {type(error).__name__}.")
    aside = Path(f"{result}.part")
    aside.write_text(json.dumps(asdict(made)), encoding="utf-8")
    aside.replace(result)
    os._exit(0)  # threads that the cell left behind do not hold us


if __name__ == "__main__":
    main(*sys.argv[1:])
