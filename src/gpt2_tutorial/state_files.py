"""Nested dictionaries of tensors and numbers, as safetensors and JSON."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

STATE = "state.json"


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write each part's tensors into a file of its own, and all else into one.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_state(folder, {"model": {"w": torch.ones(2)}, "run": {"step": 7}})
    >>> sorted(file.name for file in folder.iterdir())
    ['model.safetensors', 'state.json']
    """
    described = {}
    for part, tree in state.items():
        if not re.fullmatch(r"[a-z_]+", part):
            raise ValueError(f"a part's name is lower-case letters, not {part!r}")
        tensors: dict[str, torch.Tensor] = {}
        described[part] = _pack(tree, tensors, "")
        if tensors:
            save_file(tensors, file := folder / f"{part}.safetensors")
            file.chmod(0o644)  # its library makes it its owner's alone
    text = json.dumps(described, indent=1) + "\n"
    (folder / STATE).write_text(text, encoding="utf-8")


def read_state(folder: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read back what `write_state` wrote; what others wrote raises what it raises.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_state(folder, {"model": {"w": torch.ones(2)}, "run": {"step": 7}})
    >>> read_state(folder)
    {'model': {'w': tensor([1., 1.])}, 'run': {'step': 7}}
    """
    described = json.loads((folder / STATE).read_text(encoding="utf-8"))
    state = {}
    for part, tree in described.items():
        file = folder / f"{part}.safetensors"
        tensors = load_file(file, device=str(device)) if file.is_file() else {}
        state[part] = _unpack(tree, tensors)
    return state


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
        parts = [[k, _pack(v, tensors, f"{name}.{k}".lstrip("."))] for k, v in tree.items()]
        return {"dict": parts}
    if isinstance(tree, list | tuple):
        parts = [_pack(v, tensors, f"{name}.{i}") for i, v in enumerate(tree)]
        return {type(tree).__name__: parts}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise ValueError(f"a checkpoint cannot hold {name} = {tree!r}")


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
