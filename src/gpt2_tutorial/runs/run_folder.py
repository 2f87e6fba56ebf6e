"""The folder of one run: one owner, metrics that go on, and a status that launchers read."""

import contextlib
import errno
import io
import json
import os
import shutil
import socket
import warnings
from pathlib import Path
from typing import Any, Self

import torch.nn as nn

from gpt2_tutorial.checkpoint import Checkpoint
from gpt2_tutorial.files import read_small, write_whole
from gpt2_tutorial.runs.same_run import Asked
from gpt2_tutorial.runs.sentence import sentence

# What a process ends with. Behind torchrun they are lost, so STATUS says the same.
DONE, LOST, BAD_DATA, NON_FINITE, NO_DISK, STOPPED, BAD_CONFIG = 0, 1, 65, 70, 74, 75, 78
WORDS = {DONE: "done", BAD_DATA: "bad data", NON_FINITE: "non-finite", NO_DISK: "no disk"}
WORDS |= {STOPPED: "stopped", BAD_CONFIG: "bad configuration", LOST: "lost"}
LOCK, STATUS, FINISHED, METRICS = "lock", "status.json", "DONE", "metrics.jsonl"
DATA = "data"  # where a run without other data writes its own
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LONGEST = 1 << 20  # bytes of a status


class FolderError(RuntimeError):
    """The folder cannot be written to; the message says what to do."""


class InUse(FolderError):
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

    def __init__(self, path: str | Path, other_data: str | Path | None = None):
        self.path, self.other_data = Path(path), other_data
        self._lock = self._metrics = None
        self._asked: dict[str, Any] = {}
        self._began = False  # before that, all that was made can be taken back

    def __enter__(self) -> Self:
        with _explained(self.path):
            self._note_what_is_there()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path / LOCK)
            self._metrics = _appended(self.path / METRICS)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, *trace: object) -> None:
        if isinstance(error, Exception):  # nobody foresaw it: launchers may try again
            self._say({"state": "failed", "reason": f"{kind.__name__}: {sentence(error)}"})
        for file in (self._metrics, self._lock):  # a kill lets go of the lock as well
            with contextlib.suppress(OSError):  # what a full disk did not take was told before
                file.close()

    def _note_what_is_there(self) -> None:
        makes = [METRICS, STATUS, LOCK] if self.other_data else [DATA, METRICS, STATUS, LOCK]
        self._new = [name for name in makes if not os.path.lexists(self.path / name)]
        self._new_folders = [one for one in (self.path, *self.path.parents) if not one.exists()]
        self._word = None if STATUS in self._new else read_small(self.path / STATUS, _LONGEST)

    def take_back(self) -> bool:
        """Leave the folder as it was found, unless the run has begun; say whether it was done."""
        if self._lock is None or self._began:
            return False
        if self._word is not None:
            self._write_status(self._word)
        with contextlib.suppress(OSError):  # nothing that fails here is news
            self._metrics.close()
            if os.name == "nt":  # it removes no file that is open
                self._lock.close()
            for name in self._new:  # the lock at the end: until then nobody else comes in
                _remove(self.path / name)
            for folder in self._new_folders:  # unless somebody has put something there
                folder.rmdir()
        return True

    def forget_after(self, step: int) -> None:
        """Drop rows of steps that will be taken again, so that none stands there twice."""
        rows, damaged = self._read()
        kept = [row for row in rows if row["step"] <= step]
        if damaged:
            first = ", ".join(map(str, damaged[:5])) + (", …" if len(damaged) > 5 else "")
            warnings.warn(
                f"{self.path / METRICS} has damaged lines, which are dropped: {first}", stacklevel=2
            )
        with _explained(self.path):
            self._metrics.close()
            rows = "".join(json.dumps(row) + "\n" for row in kept)
            write_whole(self.path / METRICS, rows)
            self._metrics = _appended(self.path / METRICS)

    def log(self, row: dict[str, Any]) -> None:
        """Append one row, at once: a kill loses at most the line being written."""
        self._began = True
        with _explained(self.path):
            self._metrics.write(json.dumps(row) + "\n")
            self._metrics.flush()

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows so far; lines that are damaged or cut off are left out."""
        return self._read()[0]

    def _read(self) -> tuple[list[dict[str, Any]], list[int]]:
        try:
            lines = (self.path / METRICS).read_bytes().splitlines()
        except FileNotFoundError:
            return [], []
        rows = [_row(line) for line in lines]
        damaged = [number for number, row in enumerate(rows, 1) if row is None]
        return [row for row in rows if row is not None], damaged

    def check_room(self, parameters: int, keep: int) -> None:
        """Refuse a disk that will be full before the run has kept what it is to keep."""
        count = keep + 2  # the best one as well, and the one that is being written
        needed = count * 12 * parameters  # float32: weights and AdamW's two averages
        there = sum(f.stat().st_size for f in self.path.glob("checkpoints/step_*/*"))
        disk = shutil.disk_usage(self.path)
        if disk.total and disk.free + there < needed:  # what is mounted from afar may say 0
            raise FolderError(
                f"{self.path} will need {needed / 1e9:.3g} GB for {count} checkpoints, and its "
                f"disk has {(disk.free + there) / 1e9:.3g} GB: make room, choose another folder, "
                "or lower --keep"
            )

    def ready(self, asked: Asked, newest: Checkpoint | None, model: nn.Module) -> None:
        """Note which run goes on from where; refuse a folder that cannot take it."""
        if began := self.finished():
            asked.check(began)
        self.check_room(sum(p.numel() for p in model.parameters()), asked.config.keep)
        with _explained(self.path):
            if began == {}:  # of which run it speaks is not known
                (self.path / FINISHED).unlink()
        self._asked, self._began = asked.settings(), newest is not None
        self.forget_after(newest.step if newest else -1)

    def finished(self) -> dict[str, Any] | None:
        """Return the settings of the run that was finished here ({}: not told), or None."""
        if not (self.path / FINISHED).exists():
            return None
        return _dictionary(self.path / FINISHED)

    def begin(self) -> None:
        """Say that the run is under way."""
        with _explained(self.path):
            running = {"state": "running", "pid": os.getpid()}
            write_whole(self.path / STATUS, json.dumps(running))

    def end(self, code: int, reason: str, step: int) -> None:
        """Say how it ended; launchers read this, since torchrun swallows exit codes."""
        if code == DONE:
            settings = dict(self._asked)
            for row in self.rows():  # "auto" was asked for, as a rule, and this was chosen
                settings |= {"precision": row.get("precision") or settings.get("precision")}
            with contextlib.suppress(OSError):  # without it a launcher starts the run once more
                write_whole(self.path / FINISHED, json.dumps(settings))
        self._say({"state": WORDS[code], "code": code, "reason": reason, "step": step})

    def _say(self, status: dict[str, Any]) -> None:
        status["pid"] = os.getpid()  # so that launchers can tell it from an older word
        self._write_status(json.dumps(status, ensure_ascii=False).encode(errors="replace"))

    def _write_status(self, text: bytes) -> None:
        try:
            write_whole(self.path / STATUS, text)
        except OSError:  # a full disk, as a rule: no new file, but the old one has some room
            _write_over(self.path / STATUS, text)

    def status(self) -> dict[str, Any]:
        """Return what was said last ({} before the first word)."""
        return _dictionary(self.path / STATUS)


def _dictionary(file: Path) -> dict[str, Any]:
    """What a file says, or {} where it is missing or damaged."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _row(line: bytes) -> dict[str, Any] | None:
    """A line of the metrics, or None where it is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("step")) is int else None


def _locked(path: Path):
    """Hold the file, or say who does. The system lets go of it when a process dies."""
    file = path.open("a+", encoding="utf-8", errors="replace")
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


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take(file) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _appended(path: Path):
    """Open the file at its end, behind a line that a kill may have cut off."""
    file = path.open("ab+")
    if file.tell() > 0:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return io.TextIOWrapper(file, encoding="utf-8")


@contextlib.contextmanager
def _explained(folder: Path):
    try:
        yield
    except OSError as error:
        cure = "make room" if error.errno in FULL else "mend that"
        whole = os.path.isdir(folder / "checkpoints")
        more = "; the checkpoints in it are as they were" if whole else ""
        raise FolderError(
            f"{folder} cannot be written to ({error.strerror}): {cure} or choose another folder"
            f"{more}"
        ) from None


def _write_over(file: Path, text: bytes) -> None:
    with contextlib.suppress(OSError), file.open("r+b") as status:
        status.write(text)
        status.truncate()
