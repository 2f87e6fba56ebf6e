"""Where else the metrics can go: TensorBoard, Weights & Biases, or trackio.

The file metrics.jsonl is written in any case. A tracker is for looking on from elsewhere.
"""

import importlib
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpt2_tutorial.runs.output import say
from gpt2_tutorial.runs.sentence import sentence

TRACKERS = ("tensorboard", "wandb", "trackio")  # the names of their packages, too
PROJECT, IDENTITY = "gpt2", "tracker_id"


def tracker(
    name: str | None, folder: str | Path, settings: dict[str, Any]
) -> Callable[[dict[str, Any]], None]:
    """Return what is to be called with every row; a run that goes on adds to what is there.

    Raises ImportError, with the command that helps, when the tracker is not installed.

    >>> tracker(None, ".", {})({"step": 1, "loss": 4.2})
    """
    if name is None:
        return _nowhere
    if name not in TRACKERS:
        raise ValueError(f"a tracker is one of {', '.join(TRACKERS)}, not {name!r}")
    try:
        library = importlib.import_module(name)
    except ImportError:
        raise ImportError(
            f"--tracker {name} needs a package that is not installed: pip install {name}"
        ) from None
    folder = Path(folder)
    if name == "tensorboard":
        return _optional(name, lambda: _tensorboard(folder, settings))
    return _optional(name, lambda: _hosted(library, name, folder, settings))


def _nowhere(row: dict[str, Any]) -> None:
    """Where the rows of a run without a tracker go."""


def _optional(name: str, opened: Callable[[], Callable]) -> Callable[[dict[str, Any]], None]:
    """A tracker that fails (its network is gone, the disk is full) ends no run of days.

    It is opened for the first row: a run that is refused before has written nothing.
    """
    failed, told = False, None

    def tried(row: dict[str, Any]) -> None:
        nonlocal failed, told
        try:
            if told is None:
                told = _nowhere  # if it does not open: to try again may take a minute each time
                told = opened()
            told(row)
        except Exception as error:
            if not failed:
                why = sentence(error)
                say(f"{name} failed ({why}): metrics.jsonl goes on without it", sys.stderr)
            failed = True

    return tried


def _tensorboard(folder: Path, settings: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"), flush_secs=10)
    writer.add_text("settings", f"`{json.dumps(settings)}`", 0)

    def told(row: dict[str, Any]) -> None:
        for key, value in numbers(row).items():
            writer.add_scalar(key, value, row["step"])
        if "sample" in row:
            writer.add_text("sample", f"`{row['sample']!r}`", row["step"])
            writer.flush()

    return told


def _hosted(
    library: Any, name: str, folder: Path, settings: dict[str, Any]
) -> Callable[[dict[str, Any]], None]:
    who = _identity(folder)
    if name == "wandb":
        place = {"id": who, "dir": str(folder)}
        run = library.init(project=PROJECT, config=settings, resume="allow", **place)
    else:
        run = library.init(project=PROJECT, config=settings, resume="allow", name=who)

    def told(row: dict[str, Any]) -> None:
        run.log(numbers(row), step=row["step"])

    return told


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """Return what of a row can be drawn.

    >>> numbers({"step": 1, "loss": 4.2, "sample": "To be"})
    {'loss': 4.2}
    """
    drawn = {key: value for key, value in row.items() if isinstance(value, int | float)}
    return {key: value for key, value in drawn.items() if key != "step"}


def _identity(folder: Path) -> str:
    """Return the run's name at the tracker: made once, so that a restart goes on there."""
    file, known = folder / IDENTITY, ""
    if file.exists():
        known = file.read_text(encoding="utf-8", errors="replace").strip()
    if not known or "\ufffd" in known:  # damaged: no tracker would find it again
        folder.mkdir(parents=True, exist_ok=True)
        name = folder.resolve().name.encode(errors="replace").decode()
        known = f"{name}-{uuid.uuid4().hex[:8]}"
        file.write_text(known, encoding="utf-8")
    return known
