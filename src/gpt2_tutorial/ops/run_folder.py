"""The folder of one run: one owner, metrics that go on, and a status that launchers read."""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

# What a process ends with. Behind torchrun they are lost, so STATUS says the same.
DONE, BAD_DATA, NON_FINITE, NO_DISK, STOPPED, BAD_CONFIG = 0, 65, 70, 74, 75, 78
WORDS = {DONE: "done", BAD_DATA: "bad data", NON_FINITE: "non-finite", NO_DISK: "no disk"}
WORDS |= {STOPPED: "stopped", BAD_CONFIG: "bad configuration"}
LOCK, STATUS, FINISHED, METRICS = "lock", "status.json", "DONE", "metrics.jsonl"


class InUse(RuntimeError):
    """Another process is writing to the folder."""


class RunFolder:
    """A run's folder, held by one process (rank 0) as long as the `with` lasts.

    >>> import tempfile
    >>> with RunFolder(tempfile.mkdtemp()) as run:
    ...     run.log({"step": 1, "loss": 4.2})
    ...     run.end(STOPPED, "asked to stop", step=1)
    >>> run.status()["state"], run.rows()
    ('stopped', [{'step': 1, 'loss': 4.2}])
    """

    def __init__(self, path: str | Path, also: Callable[[dict[str, Any]], None] | None = None):
        self.path, self.also = Path(path), also
        self._lock = self._metrics = None

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path / LOCK)
        self._metrics = (self.path / METRICS).open("a", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        self._metrics.close()
        self._lock.close()  # the lock goes with it, also when the process is killed

    def forget_after(self, step: int) -> None:
        """Drop rows of steps that will be taken again, so that none stands there twice."""
        kept = [row for row in self.rows() if row["step"] <= step]
        self._metrics.close()
        _write_whole(self.path / METRICS, "".join(json.dumps(row) + "\n" for row in kept))
        self._metrics = (self.path / METRICS).open("a", encoding="utf-8")

    def log(self, row: dict[str, Any]) -> None:
        """Append one row, at once: a kill loses at most the line being written."""
        self._metrics.write(json.dumps(row) + "\n")
        self._metrics.flush()
        if self.also is not None:
            self.also(row)

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows so far; a last line that a kill cut off is left out."""
        with contextlib.suppress(FileNotFoundError):
            return _parsed((self.path / METRICS).read_text(encoding="utf-8"))
        return []

    def begin(self) -> None:
        """Say that the run is under way."""
        _write_whole(self.path / STATUS, json.dumps({"state": "running", "pid": os.getpid()}))

    def end(self, code: int, reason: str, step: int) -> None:
        """Say how it ended; launchers read this, since torchrun swallows exit codes."""
        status = {"state": WORDS[code], "code": code, "reason": reason, "step": step}
        status["pid"] = os.getpid()  # so that launchers can tell it from an older word
        _write_whole(self.path / STATUS, json.dumps(status, ensure_ascii=False))
        if code == DONE:
            (self.path / FINISHED).touch()

    def status(self) -> dict[str, Any]:
        """Return what was said last ({} before the first word)."""
        try:
            return json.loads((self.path / STATUS).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}


def _parsed(text: str) -> list[dict[str, Any]]:
    rows = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def _locked(path: Path):
    """Hold the file, or say who does. The system lets go of it when a process dies."""
    file = path.open("a+", encoding="utf-8")
    try:
        _take(file)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise InUse(
            f"{path.parent} is in use by {owner}: wait for it, stop it, or choose another folder"
        ) from None
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def _take(file) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write_whole(file: Path, text: str) -> None:
    aside = file.with_name(f".{file.name}.part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, file)
