"""Nested dictionaries of tensors and numbers, as safetensors and JSON: what comes back is equal."""

import json
import re
import reprlib
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import load_file, save_file

STATE = "state.json"
KINDS = {kind.__name__: kind for kind in (dict, OrderedDict, list, tuple)}
NUMBERS = (torch.bool, torch.float16, torch.bfloat16, torch.float32, torch.float64)
NUMBERS += (torch.uint8, torch.uint16, torch.uint32, torch.uint64)
NUMBERS += (torch.int8, torch.int16, torch.int32, torch.int64)
NUMBERS += (torch.float8_e4m3fn, torch.float8_e5m2)
DEEPEST = 100  # far below what Python's own readers and writers can take
LONGEST = 2048  # bits of a whole number: in any setting Python reads 640 digits, and these are 617


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write each part's tensors into a file of its own, and all else into one.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_state(folder, {"model": {"w": torch.ones(2)}, "run": {"step": 7}})
    >>> sorted(file.name for file in folder.iterdir())
    ['model.safetensors', 'state.json']
    """
    if type(state) is not dict:
        raise ValueError(f"a state is a dictionary of parts, not {reprlib.repr(state)}")
    described = {}
    for part, tree in state.items():
        if type(part) is not str or not re.fullmatch(r"[a-z_]+", part):
            raise ValueError(f"a part's name is lower-case letters, not {reprlib.repr(part)}")
        packed = _Part(part)
        described[part] = packed.pack(tree, "")
        if packed.tensors:
            save_file(packed.tensors, folder / f"{part}.safetensors")
    text = json.dumps(described, indent=1) + "\n"
    (folder / STATE).write_text(text, encoding="utf-8")
    for part in folder.glob("*.safetensors"):  # their library makes them their owner's alone
        shutil.copymode(folder / STATE, part)


def read_state(folder: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read back what `write_state` wrote; what others wrote raises what it raises.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_state(folder, {"model": {"w": torch.ones(2)}, "run": {"step": 7}})
    >>> read_state(folder)
    {'model': {'w': tensor([1., 1.])}, 'run': {'step': 7}}
    """
    state = {}
    for part, tree in _described(folder).items():
        file, tensors = folder / f"{part}.safetensors", {}
        if _holds_tensors(tree):  # else a file of that name is not ours
            tensors = load_file(file, device=str(device))
        state[part] = _unpack(tree, tensors)
    return state


def read_part(folder: Path, part: str) -> Any:
    """Read one part that holds no tensors, and nothing else.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_state(folder, {"model": {"w": torch.ones(2)}, "run": {"step": 7}})
    >>> read_part(folder, "run")
    {'step': 7}
    """
    return _unpack(_described(folder)[part], {})


def state_names(folder: Path) -> set[str]:
    """Name the files that `read_state` reads there.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_state(folder, {"model": {"w": torch.ones(2)}, "run": {"step": 7}})
    >>> sorted(state_names(folder))
    ['model.safetensors', 'state.json']
    """
    parts = _described(folder).items()
    return {STATE} | {f"{part}.safetensors" for part, tree in parts if _holds_tensors(tree)}


class _Part:
    """Takes the tensors out of one part of a state; what stays can be JSON."""

    def __init__(self, name: str):
        self.name, self.tensors = name, {}
        self.names: dict[tuple, str] = {}  # of each tensor that was met
        self.storages: set[int] = set()

    def pack(self, tree: Any, name: str, depth: int = 0) -> Any:
        if depth > DEEPEST:
            self.refuse(name, tree, f"it is nested more than {DEEPEST} deep")
        kind = type(tree)
        if kind is torch.Tensor:
            return {"tensor": self.take(tree, name)}
        if kind in (dict, OrderedDict):
            parts = [
                [self.plain(k, name), self.pack(v, f"{name}.{k}".lstrip("."), depth + 1)]
                for k, v in tree.items()
            ]
            return {kind.__name__: parts}
        if kind in (list, tuple):
            parts = [self.pack(v, f"{name}.{i}".lstrip("."), depth + 1) for i, v in enumerate(tree)]
            return {kind.__name__: parts}
        return self.plain(tree, name)

    def plain(self, value: Any, name: str) -> Any:
        """Let through what JSON gives back as it was: no subclass of a number or text is."""
        kind = type(value)
        if value is not None and kind not in (bool, int, float, str):
            self.refuse(name, value, f"no {kind.__name__} comes back as one")
        if kind is int and value.bit_length() > LONGEST:
            self.refuse(name, hex(value), f"it has more than {LONGEST:,} bits")
        if kind is str and not _is_whole(value):
            self.refuse(name, value, "it holds half a character")
        return value

    def take(self, tensor: torch.Tensor, name: str) -> str:
        dense = tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta
        if not dense or tensor.dtype not in NUMBERS:
            self.refuse(name, tensor, "it is no plain tensor of numbers")
        storage = tensor.untyped_storage().data_ptr()
        which = (tensor.data_ptr(), tensor.dtype, tensor.device, tensor.shape, tensor.stride())
        which += (tensor.is_neg(),)  # of a complex number's conjugate
        if tensor.numel() > 0 and which in self.names:
            return self.names[which]  # a tied table is written once
        while name in self.tensors or name == "__metadata__":  # safetensors' own word
            name += "'"
        whole = tensor.detach().resolve_neg().contiguous()
        if storage in self.storages:  # safetensors takes no two views of one memory
            whole = whole.clone()
        self.storages.add(storage)
        self.tensors[name] = whole
        self.names[which] = name
        return name

    def refuse(self, name: str, value: Any, why: str) -> NoReturn:
        where = f"{self.name}.{name}".rstrip(".")
        shown = " ".join(reprlib.repr(value).split())
        raise ValueError(
            f"a checkpoint cannot hold {where} = {shown}: {why}. Take tensors, numbers, texts, "
            "and lists, tuples and dictionaries of them."
        )


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(folder: Path) -> dict[str, Any]:
    return json.loads((folder / STATE).read_text(encoding="utf-8"))


def _holds_tensors(tree: Any) -> bool:
    if not isinstance(tree, dict):
        return False
    ((kind, parts),) = tree.items()
    if kind in ("list", "tuple"):
        return any(map(_holds_tensors, parts))
    return kind == "tensor" or any(_holds_tensors(part) for _, part in parts)


def _unpack(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, parts),) = tree.items()
    if kind == "tensor":
        return tensors[parts]
    if kind in ("list", "tuple"):
        return KINDS[kind](_unpack(part, tensors) for part in parts)
    return KINDS[kind]((key, _unpack(part, tensors)) for key, part in parts)
