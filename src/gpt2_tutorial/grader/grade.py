"""Grade a student's notebook: every exercise in a process of its own, with fresh random cases.

The student's code is run as it stands, and only tells what its answer gave; what is right is
decided here. That is no sandbox: an answer may call the book's own solution, and it may do to your
files and programs what you may. Grade strangers' notebooks where you would run their programs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO
from unicodedata import category

from gpt2_tutorial.checks.engine import EXERCISES, NoExercises, Result, judge, load
from gpt2_tutorial.grader.letter import NO_LETTER, NothingToCheck, nothing, opened

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
CALL = re.compile(r"\bcheck\(\s*['\"](\d\d\.\d+)['\"]")
SECONDS = 60.0
LONGEST = 2**24  # bytes of a reply; the longest that an attempt writes is far below
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # control, format and line characters
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

    tries = [(id, place) for id in wanted for place in places.get(id, [])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = list(pool.map(lambda one: _in_own_process(cells, *one, seed, seconds), tries))
    pairs = zip(tries, replies, strict=True)
    results = [(id, judged(id, reply, seed)) for (id, _), reply in pairs]
    absent = {id: Result("not tried", f"○ {id} is not in this notebook") for id in wanted}
    results.sort(key=lambda one: BEST_FIRST.index(one[1].status), reverse=True)
    return _report(notebook, seed, absent | dict(results))


def _report(notebook: str | Path, seed: int, results: dict[str, Result]) -> dict:
    said = [result.status for result in results.values()]
    exercises = [
        {"id": id, "status": r.status, "mutant": r.mutant, "message": escaped(r.message)}
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
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return "".join(cell["source"]), texts


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
    if not re.fullmatch(r"\d\d\.\d+", id, re.ASCII):
        return False
    with contextlib.suppress(NoExercises):
        load(id[:2])
    return id in EXERCISES


def judged(id: str, reply: str, seed: int = 0) -> Result:
    """Judge what an attempt told; a reply that no attempt writes is wrong, and no more.

    >>> judged("00.1", '["value", ["is", 0.6931]]').status, judged("00.1", "passed!").status
    ('passed', 'wrong')
    """
    try:
        return judge(EXERCISES[id], opened(reply), seed)
    except NothingToCheck as reason:
        sentence = str(reason)
    except Exception:
        sentence = NO_LETTER
    return Result("wrong", f"✗ {id} {sentence}", kind="cell")


def _in_own_process(cells: list, id: str, place: int, seed: int, seconds: float) -> str:
    """Run an attempt and give its reply."""
    earlier = [source for source, _ in cells[:place]]
    job = {"id": id, "cell": cells[place][0], "earlier": earlier, "seed": seed}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        # files without a name: nobody finds them by one, or waits for them
        asked, answered = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        asked.write(json.dumps(job).encode())
        asked.seek(0)
        with _process(folder, asked, answered) as process:
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                late = f"It was still running after {seconds:g} seconds. Is there an endless loop?"
                return nothing(late)
        answered.seek(0)
        reply = answered.read(LONGEST).decode(errors="replace")
    ended = f"It ended Python itself (exit code {code}), so nothing could be checked."
    return reply or nothing(ended)


@contextlib.contextmanager
def _process(folder: str, asked: BinaryIO, answered: BinaryIO) -> Iterator[subprocess.Popen]:
    """Start an attempt, and end it with everything that it started."""
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    mark = f"GPT2_TUTORIAL_ATTEMPT={secrets.token_hex(16)}"
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    variables |= [mark.split("=")]
    variables.pop("GPT2_TUTORIAL_LEDGER", None)  # an answer is no measurement of ours
    process = subprocess.Popen(
        [sys.executable, "-m", "gpt2_tutorial.grader.attempt"],
        cwd=folder, env=variables, start_new_session=True,
        stdin=asked, stdout=answered, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
        process.wait()
        for _ in range(10):  # one that is ended here may have started another meanwhile
            for pid in _marked(mark):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def _marked(mark: str) -> list[int]:
    """List the processes that an attempt left in a session of their own; Linux alone tells."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark.encode() in file.read_bytes().split(b"\0"):
                found.append(int(file.parent.name))
    return found


def escaped(text: str) -> str:
    """Show characters that a terminal would obey, such as escape codes, instead of sending them.

    >>> print(escaped("red: " + chr(27) + "[31m"))
    red: \\x1b[31m
    """
    return "".join(
        ascii(mark)[1:-1] if category(mark) in HIDDEN and mark != "\n" else mark for mark in text
    )
