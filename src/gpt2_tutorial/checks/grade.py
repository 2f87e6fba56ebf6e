"""Grade a student's notebook: every exercise in a process of its own, with fresh random cases.

The student's code is run as it stands. That is no sandbox: grade strangers' notebooks where you
would run strangers' programs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpt2_tutorial.checks.attempt import wrong
from gpt2_tutorial.checks.engine import EXERCISES, Result, load

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
CALL = re.compile(r"\bcheck\(\s*['\"](\d\d\.\d+)['\"]")
SECONDS = 60.0
AT_ONCE = min(4, os.cpu_count() or 1)
BEST_FIRST = ("passed", "wrong", "not tried")


class CannotGrade(Exception):
    """There is nothing here to grade; the text says why and what to do."""


def grade(notebook: str | Path, seed: int = 0, seconds: float = SECONDS) -> dict:
    """Check every exercise of a notebook; CannotGrade where it is none, or holds none.

    Returns the notebook's name, the seed, the exercises in order (id, status, mutant, message),
    and the totals. `seconds` is what one exercise may take, PyTorch's start included.
    """
    cells = read_code(notebook)
    places = {id: where for id, where in find_exercises(cells).items() if _is_known(id)}
    if not places:
        raise CannotGrade(
            f'{notebook} has no exercise: no cell is tagged exercise:… or calls check("…"). '
            "Is it a chapter of this book, and the installed package as new as it?"
        )
    chapters = {id[:2] for id in places}
    wanted = sorted(id for id in EXERCISES if id[:2] in chapters)

    def best(id: str) -> Result:
        tries = [_in_own_process(id, cells, at, seed, seconds) for at in places.get(id, [])]
        absent = Result("not tried", f"○ {id} is not in this notebook")
        return min(tries, key=lambda result: BEST_FIRST.index(result.status), default=absent)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return _report(notebook, seed, dict(zip(wanted, pool.map(best, wanted), strict=True)))


def _report(notebook: str | Path, seed: int, results: dict[str, Result]) -> dict:
    said = [result.status for result in results.values()]
    exercises = [
        {"id": id, "status": r.status, "mutant": r.mutant, "message": r.message}
        for id, r in results.items()
    ]
    totals = {status: said.count(status) for status in BEST_FIRST} | {"all": len(said)}
    return {
        "notebook": Path(notebook).name,
        "seed": seed,
        "exercises": exercises,
        "totals": totals,
    }


def read_code(notebook: str | Path) -> list[tuple[str, list[str]]]:
    """Read the code cells of a notebook, each as (source, tags)."""
    try:
        raw = json.loads(Path(notebook).read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CannotGrade(f"{notebook} cannot be read ({reason}).") from None
    except (ValueError, RecursionError):
        raise CannotGrade(
            f"{notebook} is not a notebook: it does not hold JSON. Give the .ipynb file itself."
        ) from None
    try:
        return [_cell(cell) for cell in raw["cells"] if cell["cell_type"] == "code"]
    except (KeyError, TypeError, AttributeError):
        raise CannotGrade(
            f"{notebook} holds JSON, but not the cells of a notebook (format 4). "
            "Open it in Jupyter or Colab and save it again."
        ) from None


def _cell(cell: dict) -> tuple[str, list[str]]:
    return "".join(cell["source"]), list(cell.get("metadata", {}).get("tags") or [])


def find_exercises(cells: list[tuple[str, list[str]]]) -> dict[str, list[int]]:
    """Say in which cells each exercise stands: by its tag, or by its call of check.

    >>> find_exercises([("x = 1", []), ('check("01.2", f)', []), ("f = 1", ["exercise:01.1"])])
    {'01.2': [1], '01.1': [2]}
    """
    found: dict[str, list[int]] = {}
    for place, (source, tags) in enumerate(cells):
        tagged = [tag.removeprefix("exercise:") for tag in tags if tag.startswith("exercise:")]
        for id in dict.fromkeys([*tagged, *CALL.findall(source)]):
            found.setdefault(id, []).append(place)
    return found


def _is_known(id: str) -> bool:
    with contextlib.suppress(ValueError):
        load(id[:2])
    return id in EXERCISES


def _in_own_process(id: str, cells: list, place: int, seed: int, seconds: float) -> Result:
    earlier = [source for source, _ in cells[:place]]
    job = {"id": id, "cell": cells[place][0], "earlier": earlier, "seed": seed}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        asked, answered = Path(folder, "job.json"), Path(folder, "result.json")
        asked.write_text(json.dumps(job), encoding="utf-8")
        with _process([str(asked), str(answered)], folder) as process:
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                late = f"It was still running after {seconds:g} seconds. Is there an endless loop?"
                return wrong(id, late)
        if answered.exists():
            return Result(**json.loads(answered.read_text(encoding="utf-8")))
    return wrong(id, f"It ended Python itself (exit code {code}), so nothing could be checked.")


@contextlib.contextmanager
def _process(arguments: list[str], folder: str) -> Iterator[subprocess.Popen]:
    """Start an attempt, and end it with everything that it started."""
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    variables.pop("GPT2_TUTORIAL_LEDGER", None)  # an answer is no measurement of ours
    process = subprocess.Popen(
        [sys.executable, "-m", "gpt2_tutorial.checks.attempt", *arguments],
        cwd=folder, env=variables, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
        process.wait()
