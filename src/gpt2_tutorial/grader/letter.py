"""Write what an answer did as JSON, to be judged in another process than the one it ran in.

JSON, because reading it runs nothing: whatever an answer writes in its place, it is only data.
"""

from __future__ import annotations

import json
import sys

import torch

from gpt2_tutorial.checks.calls import CallResult, Raised, is_large
from gpt2_tutorial.checks.diagnose import Account
from gpt2_tutorial.checks.show import Stranger, describe, is_array, or_else, short

NO_LETTER = "It wrote something else where its answer belongs."
LISTS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "bytes": bytes}


class NothingToCheck(Exception):
    """A cell gave nothing to check; the text says why."""


def nothing(reason: str) -> str:
    """Write that there is nothing to check."""
    return json.dumps(["nothing", reason])


def sealed(told: object) -> str:
    """Write a value, or the account of a function, as one line of JSON.

    >>> opened(sealed((1, [torch.ones(2)], {"a": None})))
    (1, [tensor([1., 1.])], {'a': None})
    """
    if not isinstance(told, Account):
        plain = ["stranger", describe(told), describe(told)] if is_large(told) else _written(told)
        return json.dumps(["value", plain])
    got = [
        [_written(one.value), one.error and [one.error.kinds, one.error.text], one.changed,
         one.printed]
        for one in told.got
    ]  # fmt: skip
    return json.dumps(
        ["account", told.described, told.is_function, told.untouched, got, told.borrowed]
    )


def opened(text: str) -> object:
    """Read what `sealed` wrote; NothingToCheck where it is `nothing`, or no letter at all."""
    try:
        kind, *parts = json.loads(text)
        if kind == "nothing":
            raise NothingToCheck(str(parts[0]))
        if kind == "value":
            return _read(*parts)
        described, is_function, untouched, outcomes, borrowed = parts
        got = [
            CallResult(_read(value), error and Raised(tuple(error[0]), str(error[1])), *side)
            for value, error, *side in outcomes
        ]
        return Account(str(described), is_function, untouched, tuple(got), tuple(borrowed))
    except NothingToCheck:
        raise
    except Exception:
        raise NothingToCheck(NO_LETTER) from None


def _written(value: object) -> object:
    return or_else(None, _parts, value) or ["stranger", describe(value), short(value)]


def _parts(value: object) -> object:
    if isinstance(value, torch.Tensor) or is_array(value):
        kind, name = "array" if is_array(value) else "tensor", str(value.dtype).split(".")[-1]
        made = [kind, name, list(value.shape), value.reshape(-1).tolist()]
        return made if or_else(None, _read, json.loads(json.dumps(made))) is not None else None
    for plain in (bool, str, int, float):
        if isinstance(value, plain):
            return ["is", json.loads(json.dumps(plain(value)))]
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    for name, kind in LISTS.items():
        if isinstance(value, kind):
            return [name, *map(_written, value)]
    if isinstance(value, dict):
        return ["dict", *([_written(key), _written(item)] for key, item in value.items())]
    return ["is", None] if value is None else None


def _read(data: list) -> object:
    kind, *parts = data
    if kind in ("tensor", "array"):
        name, shape, numbers = parts
        if kind == "tensor":
            return torch.tensor(numbers, dtype=getattr(torch, name)).reshape(shape)
        numpy = sys.modules["numpy"]  # where the answer had it, torch has brought it along
        if numpy.dtype(name).kind not in "biuf":
            raise ValueError(name)
        return numpy.asarray(numbers, dtype=name).reshape(shape)
    if kind in LISTS:
        return LISTS[kind](_read(part) for part in parts)
    if kind == "dict":
        return {_read(key): _read(item) for key, item in parts}
    return {"is": lambda one: one, "complex": complex, "stranger": Stranger}[kind](*parts)
