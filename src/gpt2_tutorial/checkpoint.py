"""Checkpoints: a kill at any moment costs the steps since the last (chapter 15)."""

import hashlib
import json
import os
import re
import shutil
import uuid
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

FORMAT = 1  # a later reader must know what it reads
MANIFEST, STATE = "manifest.json", "state.json"
_STRANGE = (ValueError, KeyError, TypeError, AttributeError)  # JSON of other people


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or read; the message says what to do.

    >>> CheckpointError("no space left")
    CheckpointError('no space left')
    """


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
    aside = folder / f".{final.name}.{uuid.uuid4().hex}.part"
    try:
        for stump in folder.glob(".step_*.part"):  # what a kill left half-written
            shutil.rmtree(stump)
        aside.mkdir(parents=True)
        sums = _write_parts(aside, state) | more(aside)
        manifest = {"format": FORMAT, "step": step, "sha256": sums}
        _write_text(aside / MANIFEST, json.dumps(manifest, indent=1))  # last of all
        sync(aside)
        if final.exists():
            shutil.rmtree(final)  # damaged: see above
        aside.rename(final)  # now it counts, and not a moment before
        sync(folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"step {step} could not be saved in {folder} ({error}); earlier "
            "checkpoints are whole. Free some space or choose another folder."
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    prune(folder, keep, keep_also)
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
        for name, expected in {STATE: "", **manifest["sha256"]}.items():
            if fingerprint(path / name) != expected:
                return f"{name} is not what was written"
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    except _STRANGE:
        return f"{MANIFEST} is damaged"
    return None


def latest(folder: str | Path) -> Path | None:
    """Return the newest checkpoint that is whole, with a warning for each other.

    >>> latest("a/folder/that/does/not/exist") is None
    True
    """
    for path in reversed(_steps(Path(folder))):
        if (problem := flaw(path)) is None:
            return path
        warnings.warn(f"{path} is skipped: {problem}", stacklevel=2)
    return None


def load(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read back what `save` wrote: the same dictionaries, tensors and numbers.

    >>> import tempfile
    >>> load(save(tempfile.mkdtemp(), 7, {"model": {"w": torch.ones(2)}, "lr": 1}))
    {'model': {'w': tensor([1., 1.])}, 'lr': 1}
    """
    path = Path(path)
    if problem := flaw(path):
        raise CheckpointError(
            f"{path} cannot be used: {problem}. Take an earlier checkpoint."
        )
    try:
        described = json.loads((path / STATE).read_text(encoding="utf-8"))
        return {
            part: _read_part(path, part, tree, device)
            for part, tree in described.items()
        }
    except (OSError, SafetensorError, *_STRANGE):
        raise CheckpointError(
            f"{path} was not written by `checkpoint.save`"
        ) from None


def prune(folder: str | Path, keep: int, keep_also: Collection[int] = ()) -> None:
    """Delete all checkpoints but the newest `keep` and the steps in `keep_also`.

    >>> prune("a/folder/that/does/not/exist", keep=2)
    """
    for path in _steps(Path(folder))[:-keep]:
        if int(path.name.removeprefix("step_")) not in keep_also:
            shutil.rmtree(path, ignore_errors=True)  # one that stays does no harm


def fingerprint(file: Path) -> str:
    """Return the sha256 of a file: change one bit of it, and this changes.

    >>> import tempfile
    >>> fingerprint(Path(tempfile.mkstemp()[1]))[:16]  # of nothing at all
    'e3b0c44298fc1c14'
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk itself.

    >>> sync(Path("."))
    """
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder; its rename is on the disk already
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_parts(folder: Path, state: dict[str, Any]) -> dict[str, str]:
    described = {}
    for part, tree in state.items():
        if not re.fullmatch(r"[a-z_]+", part):
            raise ValueError(f"a part's name is lower-case letters, not {part!r}")
        tensors: dict[str, torch.Tensor] = {}
        described[part] = _pack(tree, tensors, "")
        if tensors:
            save_file(tensors, folder / f"{part}.safetensors")
    _write_text(folder / STATE, json.dumps(described, indent=1))
    sums = {}
    for file in sorted(folder.iterdir()):
        file.chmod(0o644)  # written aside by its library, it is its owner's alone
        sync(file)
        sums[file.name] = fingerprint(file)
    return sums


def _write_text(file: Path, text: str) -> None:
    file.write_text(text + "\n", encoding="utf-8")
    sync(file)


def _steps(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if re.fullmatch(r"step_\d{8,}", p.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step_")))


def _pack(tree: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """Move the tensors of `tree` into `tensors`; what stays can be JSON."""
    if isinstance(tree, torch.Tensor):
        for known, other in tensors.items():
            if _is_same(tree, other):
                return {"tensor": known}  # a tied table is written once
        while name in tensors:
            name += "'"
        tensors[name] = tree.detach().contiguous()
        return {"tensor": name}
    if isinstance(tree, dict):
        parts = [
            [k, _pack(v, tensors, f"{name}.{k}".lstrip("."))]
            for k, v in tree.items()
        ]
        return {"dict": parts}
    if isinstance(tree, list | tuple):
        parts = [_pack(v, tensors, f"{name}.{i}") for i, v in enumerate(tree)]
        return {type(tree).__name__: parts}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise ValueError(f"a checkpoint cannot hold {name} = {tree!r}")


def _read_part(
    folder: Path, part: str, tree: Any, device: str | torch.device
) -> Any:
    file = folder / f"{part}.safetensors"
    tensors = load_file(file, device=str(device)) if file.is_file() else {}
    return _unpack(tree, tensors)


def _unpack(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, parts),) = tree.items()
    if kind == "tensor":
        return tensors[parts]
    if kind == "dict":
        return {key: _unpack(part, tensors) for key, part in parts}
    return {"list": list, "tuple": tuple}[kind](_unpack(p, tensors) for p in parts)


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    same = one.data_ptr() == other.data_ptr() and one.numel() > 0
    return same and one.shape == other.shape and one.stride() == other.stride()
