"""One part of the GPU day: its log, which is whole at every moment, and its clock.

Imports nothing but the standard library, so that the day itself needs no torch and no GPU.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKED = ROOT / "data" / "gpu_day"  # what `gpu_day.py --pack` leaves; git does not see it
AT_WORK = "it had not come to its end when this was written"


@dataclass
class Job:
    """What a part is told, and what it has found so far."""

    part: str
    out: Path  # the folder of the logs
    scratch: Path  # for shards, checkpoints and compiled kernels; gone at the end of the day
    device: str  # cuda or cpu
    tiny: bool
    ends: float  # by time.monotonic(): from then on it may be killed
    about: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def file(self) -> Path:
        return self.out / f"gpu_{self.part}.json"

    def left(self) -> float:
        """Seconds that are left; a part that plans with them is not killed."""
        return self.ends - time.monotonic()

    def keep(self, **found: Any) -> None:
        """Write what is known so far, marked as not complete: the process may die any moment."""
        self.log |= found
        self._write({"failed": AT_WORK})

    def finish(self) -> None:
        """Write the complete log."""
        self._write({})

    def fail(self, sentence: str, said: str = "") -> None:
        """Write what was measured before, and a sentence."""
        self._write({"failed": sentence} | ({"said": said} if said else {}))

    def _write(self, mark: dict[str, str]) -> None:
        about = self.about | {"part": self.part}
        about["seconds"] = round(time.monotonic() - self.began, 1)
        write_log(self.file, {"about": about} | self.log | mark)


def about_here(command: str, device: str, tiny: bool) -> dict[str, Any]:
    """What every log begins with; `part` and `seconds` come when it is written."""
    about = {"command": command, "part": "", "device": device}
    about |= {"machine": f"{device}, {os.cpu_count()} cores", "date": date.today().isoformat()}
    about["python"] = platform.python_version()
    for package in ("torch", "transformers"):
        try:
            about[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            about[package] = None
    return about | {"seconds": 0.0, "tiny": tiny}


def write_log(file: Path, log: dict[str, Any]) -> None:
    """Write aside, then rename: whoever is killed here leaves the old log or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    text = json.dumps(log, indent=1, ensure_ascii=False) + "\n"
    with aside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(file)


def last_lines(text: str, size: int = 2000) -> str:
    """The end of what a process said: there the reason stands."""
    return text[-size:].strip()
