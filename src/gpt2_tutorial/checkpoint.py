"""Checkpoints: a kill at any moment costs the steps since the last (chapter 15)."""

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from gpt2_tutorial.files import fingerprint, write_folder
from gpt2_tutorial.state_files import read_state, state_names, write_state

FORMAT = 1  # a later reader must know what it reads
MANIFEST = "manifest.json"
_STRANGE = (ValueError, KeyError, TypeError, AttributeError)  # JSON of other people
_STRANGE += (RecursionError,)


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or read; the message says what to do.

    >>> CheckpointError("no space left")
    CheckpointError('no space left')
    """


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of which every byte is as written: `load` need not look again.

    >>> Checkpoint(Path("run/step_00000100")).step
    100
    """

    path: Path

    @property
    def step(self) -> int:
        """After how many steps it was saved."""
        return int(self.path.name.removeprefix("step_"))

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def save(
    folder: str | Path,
    step: int,
    state: dict[str, Any],
    *,
    keep: int = 2,
    keep_also: Collection[int] = (),
    more: Callable[[Path], dict[str, str]] = lambda aside: {},
) -> Path:
    """Write `state` as folder/step_00000100, whole or not at all; drop old ones.

    `more` may add files of its own, and returns their sums.

    >>> import tempfile
    >>> save(tempfile.mkdtemp(), 100, {"model": {"w": torch.ones(2)}}).name
    'step_00000100'
    """
    if step < 0 or keep < 1:
        raise ValueError(f"need step ≥ 0 and keep ≥ 1, not {step} and {keep}")
    folder = Path(folder)
    final = folder / f"step_{step:08d}"
    if flaw(final) is None:
        return final  # the same run at the same step: the same bits
    try:
        for stump in folder.glob(".step_*.part"):  # what a kill left half-written
            shutil.rmtree(stump)
        with write_folder(final) as aside:  # one that is damaged is replaced
            aside.mkdir(parents=True)
            write_state(aside, state)
            sums = {f.name: fingerprint(f) for f in sorted(aside.iterdir())}
            sums |= more(aside)
            manifest = {"format": FORMAT, "step": step, "sha256": sums}
            text = json.dumps(manifest, indent=1) + "\n"
            (aside / MANIFEST).write_text(text, encoding="utf-8")  # last of all
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"step {step} could not be saved in {folder} ({error}); earlier "
            "checkpoints are whole. Free some space or choose another folder."
        ) from None
    prune(folder, keep, {*keep_also, step})  # newer ones may be damaged
    return final


def flaw(path: str | Path) -> str | None:
    """Say what is wrong with a checkpoint, or None when every byte is as written.

    >>> flaw("step_00000100")
    'there is no manifest.json'
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        return f"there is no {MANIFEST}"
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            return (
                f"its format is {manifest['format']}, and this code reads {FORMAT}"
            )
        step, sums = manifest["step"], manifest["sha256"]
        if path.name.startswith("step_") and path.name != f"step_{step:08d}":
            return f"its {MANIFEST} is that of step {step}"
        for name, expected in sums.items():
            if fingerprint(path / Path(name).name) != expected:
                return f"{name} is not what was written"
        if unlisted := state_names(path) - sums.keys():
            return f"its {MANIFEST} does not list {min(unlisted)}"
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    except _STRANGE:
        return f"{MANIFEST} is damaged, or was not written by `checkpoint.save`"
    return None


def verify(path: str | Path) -> Checkpoint:
    """Read every byte once; refuse a checkpoint that is not as it was written.

    >>> import tempfile
    >>> verify(save(tempfile.mkdtemp(), 100, {"lr": 1})).step
    100
    """
    if problem := flaw(path):
        raise CheckpointError(
            f"{path} cannot be used: {problem}. Take an earlier checkpoint."
        )
    return Checkpoint(Path(path))


def latest(folder: str | Path) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, with a warning for each other.

    >>> latest("a/folder/that/does/not/exist") is None
    True
    """
    for path in reversed(_steps(Path(folder))):
        if (problem := flaw(path)) is None:
            return Checkpoint(path)
        warnings.warn(f"{path} is skipped: {problem}", stacklevel=2)
    return None


def load(
    found: Checkpoint | str | Path, device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """Read back what `save` wrote: the same dictionaries, tensors and numbers.

    >>> import tempfile
    >>> load(save(tempfile.mkdtemp(), 7, {"model": {"w": torch.ones(2)}, "lr": 1}))
    {'model': {'w': tensor([1., 1.])}, 'lr': 1}
    """
    if not isinstance(found, Checkpoint):
        found = verify(found)
    try:
        return read_state(found.path, device)
    except (OSError, SafetensorError, *_STRANGE):
        raise CheckpointError(
            f"{found.path} was not written by `checkpoint.save`"
        ) from None


def prune(folder: str | Path, keep: int, keep_also: Collection[int] = ()) -> None:
    """Delete all checkpoints but the newest `keep` and the steps in `keep_also`.

    >>> prune("a/folder/that/does/not/exist", keep=2)
    """
    for path in _steps(Path(folder))[:-keep]:
        if int(path.name.removeprefix("step_")) not in keep_also:
            shutil.rmtree(path, ignore_errors=True)  # one that stays does no harm


def _steps(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if re.fullmatch(r"step_[0-9]{8,}", p.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step_")))
