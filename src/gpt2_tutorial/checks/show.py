"""Show any value in a few words, whatever it is and however badly it behaves."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

WIDTH = 72


def or_else(fallback: object, work: Callable, *args: object) -> object:
    """Run `work(*args)`; give `fallback` where it raises anything but a keyboard interrupt.

    >>> or_else("no answer", int, "seven")
    'no answer'
    """
    try:
        return work(*args)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return fallback


@dataclass(frozen=True)
class Stranger:
    """Stands for a value that stayed in another process, by what is to be said of it."""

    described: str
    shown: str


def is_array(value: object) -> bool:
    """Say whether the value is a numpy array or a numpy scalar, without needing numpy.

    >>> is_array([1, 2])
    False
    """
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic))


def short(value: object, width: int = WIDTH, digits: int = 4) -> str:
    """Show a value on one line of at most `width` characters.

    >>> short(torch.tensor([[1.0, 0.33333333]]))
    'tensor([[1.0, 0.3333]])'
    >>> short(torch.zeros(65, 65))
    'tensor of shape (65, 65): 0.0, 0.0, 0.0, 0.0, …'
    """
    text = or_else(f"<{type(value).__name__}>", _text, value, digits, 0)
    line = " ".join(text.split("\n"))
    return line if len(line) <= width else line[: width - 1] + "…"


def _text(value: object, digits: int, depth: int) -> str:
    if is_array(value) and not value.shape:
        return _text(value.item(), digits, depth)
    if isinstance(value, torch.Tensor) or is_array(value):
        return _tensor(value, digits)
    if isinstance(value, float):
        return _number(float(value), digits)
    if isinstance(value, str):
        text = str.__str__(value)
        return repr(text if len(text) <= 60 else text[:59] + "…")
    if isinstance(value, (list, tuple, set, frozenset)):
        return _items(value, digits, depth)
    if isinstance(value, dict):
        pairs = [
            f"{_text(key, digits, depth + 1)}: {_text(item, digits, depth + 1)}"
            for key, item in list(value.items())[:6]
        ]
        return "{" + ", ".join(pairs) + (", …}" if len(value) > 6 else "}")
    if isinstance(value, torch.Generator):
        return "generator"
    if isinstance(value, Stranger):
        return value.shown
    if type(value).__repr__ is object.__repr__ or callable(value):
        return getattr(value, "__name__", None) or f"<{type(value).__name__}>"
    return str(repr(value))


def _items(value: list | tuple | set | frozenset, digits: int, depth: int) -> str:
    left, right = {list: "[]", tuple: "()"}.get(type(value), "{}")
    if depth >= 3:
        return f"{left}…{right}"
    items = [_text(item, digits, depth + 1) for item in list(value)[:8]]
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return left + ", ".join(items) + (", …" if len(value) > 8 else comma) + right


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    return text if any(mark in text for mark in ".enf") else text + ".0"


def _tensor(value: object, digits: int) -> str:
    tensor = value.detach().cpu() if isinstance(value, torch.Tensor) else value
    if isinstance(tensor, torch.Tensor) and tensor.dim() > 3:
        return f"tensor of shape {tuple(tensor.shape)}"
    word = "tensor" if isinstance(value, torch.Tensor) else "array"
    if math.prod(tensor.shape) <= 16:
        return f"{word}({_nested(tensor.tolist(), digits)})"
    first = ", ".join(_nested(item, digits) for item in tensor.reshape(-1)[:4].tolist())
    return f"{word} of shape {tuple(tensor.shape)}: {first}, …"


def _nested(value: object, digits: int) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_nested(item, digits) for item in value) + "]"
    return _number(value, digits) if isinstance(value, float) else str(value)


def describe(value: object) -> str:
    """Name what kind of thing a value is, as a reader would.

    >>> describe(None), describe(0.5), describe(torch.zeros(2, 3))
    ('nothing (None)', 'a number', 'a tensor of shape (2, 3)')
    """
    return or_else(f"a {type(value).__name__}", _describe, value)


def _describe(value: object) -> str:
    if value is None:
        return "nothing (None)"
    if value is Ellipsis:
        return "`...`, the blank of the stub"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}" if value.dim() else "a number"
    if is_array(value):
        return f"an array of shape {tuple(value.shape)}" if value.shape else "a number"
    if isinstance(value, Stranger):
        return value.described
    for kind, words in _WORDS:
        if isinstance(value, kind):
            return words
    if callable(value):
        return "a function"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


_WORDS = (
    (bool, "True or False"),
    ((int, float, complex), "a number"),
    (str, "text"),
    (bytes, "bytes"),
    (list, "a list"),
    (tuple, "a tuple"),
    (dict, "a dictionary"),
    ((set, frozenset), "a set"),
)
