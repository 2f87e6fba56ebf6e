"""Compare two values the way a patient teacher would: same number, same answer.

A Python float, a 0-d tensor and a numpy float of one value are the same answer, and so are
int32 and int64, float32 and float64. Where two values differ, the difference has a kind
("type", "shape", "dtype", "nan" or "value") and a sentence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from gpt2_tutorial.checks.show import describe, is_array, or_else, short

KINDS = ("type", "shape", "dtype", "nan", "value")
RELATIVE = 1e-5


class Difference(NamedTuple):
    """How an answer differs: its kind, and a sentence that says so."""

    kind: str
    sentence: str


def difference(
    expected: object,
    got: object,
    atol: float = 1e-5,
    *,
    strict: bool = False,
    where: str = "Your answer",
) -> Difference | None:
    """Say how `got` differs from `expected`; None where they are the same answer.

    `strict` also asks two tensors for the same kind of numbers.

    >>> difference(0.5, torch.tensor(0.5)) is None
    True
    >>> difference(torch.zeros(2, 3), torch.zeros(3, 2)).sentence
    'Your answer has the shape (3, 2); it should be (2, 3).'
    """
    found = or_else(Ellipsis, _difference, expected, got, atol, strict, where)
    if found is Ellipsis:
        return Difference("type", f"{where} is {describe(got)}, which cannot be compared.")
    return found


def same(expected: object, got: object, atol: float = 1e-5, *, strict: bool = False) -> bool:
    """Say whether two values are the same answer.

    >>> same([1, 2], (1, 2)), same("a", "A"), same(float("nan"), float("nan"))
    (True, False, True)
    """
    return difference(expected, got, atol, strict=strict) is None


def kind_of(tensor: torch.Tensor) -> str:
    """Name the kind of a tensor's numbers: bool, int, float or complex.

    >>> kind_of(torch.zeros(2)), kind_of(torch.tensor([1, 2]))
    ('float', 'int')
    """
    if tensor.dtype == torch.bool:
        return "bool"
    if tensor.is_complex():
        return "complex"
    return "float" if tensor.is_floating_point() else "int"


def as_tensor(value: object) -> torch.Tensor | None:
    """Turn a number, an array or a tensor into a tensor on the CPU; None for anything else.

    >>> as_tensor(2), as_tensor("two")
    (tensor(2), None)
    """
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if is_array(value):
        return or_else(None, lambda: torch.as_tensor(value.tolist(), dtype=_dtype(value)))
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**63):
        return torch.tensor(float(value), dtype=torch.float64)
    return torch.tensor(value) if isinstance(value, (int, complex)) else None


def _dtype(array: object) -> torch.dtype:
    kinds = {"b": torch.bool, "i": torch.int64, "u": torch.int64, "f": torch.float64}
    return {**kinds, "c": torch.complex128}[array.dtype.kind]


def _difference(
    expected: object, got: object, atol: float, strict: bool, where: str
) -> Difference | None:
    plain = type(expected) is type(got) and type(got) in (bool, int, float, str)
    if plain and (expected == got or (expected != expected and got != got)):  # nan is not nan
        return None  # long lists of equal numbers need no tensors
    wanted = as_tensor(expected)
    if wanted is not None:
        return _numbers(expected, wanted, got, atol, strict, where)
    if isinstance(expected, (list, tuple)):
        return _sequences(expected, got, atol, strict, where)
    if isinstance(expected, dict) and isinstance(got, dict):
        return _dicts(expected, got, atol, strict, where)
    for kind in (str, bytes, (set, frozenset)):
        if isinstance(expected, kind) and isinstance(got, kind):
            return None if expected == got else _value(expected, got, where)
    if type(expected) is not type(got):
        return _type(expected, got, where)
    return None if expected is got or bool(expected == got) else _value(expected, got, where)


def _type(expected: object, got: object, where: str) -> Difference:
    return Difference("type", f"{where} is {describe(got)}; it should be {describe(expected)}.")


def _value(expected: object, got: object, where: str) -> Difference:
    return Difference("value", f"{where} should be {short(expected)}, and it is {short(got)}.")


def _numbers(
    expected: object, wanted: torch.Tensor, got: object, atol: float, strict: bool, where: str
) -> Difference | None:
    given = as_tensor(got)
    tensors = isinstance(expected, torch.Tensor) and isinstance(got, torch.Tensor)
    scalar_for_tensor = wanted.dim() and not (tensors or is_array(got) or is_array(expected))
    if given is None or (scalar_for_tensor and given.dim() == 0):
        return _type(expected, got, where)
    if wanted.shape != given.shape:
        has, needs = tuple(given.shape), tuple(wanted.shape)
        return Difference("shape", f"{where} has the shape {has}; it should be {needs}.")
    if wanted.dtype == given.dtype and torch.equal(wanted, given):
        return None  # as most are, and nothing is faster to say
    wrong = ~_close(wanted, given, atol)
    kinds = kind_of(wanted), kind_of(given)
    # whole numbers may come as floats of the same value; the other way round, halves get lost
    needs_kind = strict or kinds[0] != "int" or bool(wrong.any())
    if tensors and kinds[0] != kinds[1] and needs_kind:
        has, needs = (str(tensor.dtype).removeprefix("torch.") for tensor in (given, wanted))
        return Difference("dtype", f"{where} has numbers of type {has}; they should be {needs}.")
    return _first_wrong(wanted, given, wrong, where) if wrong.any() else None


def _close(wanted: torch.Tensor, given: torch.Tensor, atol: float) -> torch.Tensor:
    if not any(t.is_floating_point() or t.is_complex() for t in (wanted, given)):
        return wanted == given
    wide = torch.complex128 if wanted.is_complex() or given.is_complex() else torch.float64
    relative = RELATIVE if atol and kind_of(wanted) != "int" else 0.0
    # relative to what is wanted, and so that comes second
    return torch.isclose(given.to(wide), wanted.to(wide), relative, atol, equal_nan=True)


def _first_wrong(
    wanted: torch.Tensor, given: torch.Tensor, wrong: torch.Tensor, where: str
) -> Difference:
    lost = ~torch.isfinite(given) & torch.isfinite(wanted) & wrong
    if lost.any():
        name = "nan (not a number)" if torch.isnan(given[lost]).any() else "inf (infinity)"
        return Difference("nan", f"{where} contains {name}; every number should be finite.")
    spot = wrong.nonzero()[0].tolist()
    a, b = wanted[tuple(spot)].item(), given[tuple(spot)].item()
    place = f"{where} at {spot}" if spot else where
    return Difference("value", f"{place} should be {short(a, digits=6)}, not {short(b, digits=6)}.")


def _sequences(
    expected: list | tuple, got: object, atol: float, strict: bool, where: str
) -> Difference | None:
    given = as_tensor(got)
    if given is not None and given.dim():
        wanted = or_else(None, torch.tensor, expected)
        if wanted is not None:
            return _numbers(expected, wanted, given, atol, False, where)
    if not isinstance(got, (list, tuple)):
        return _type(expected, got, where)
    if len(expected) != len(got):
        return Difference(
            "shape", f"{where} has {_items(len(got))}; it should have {_items(len(expected))}."
        )
    inside = where[0].lower() + where[1:]
    for i, (a, b) in enumerate(zip(expected, got, strict=True)):
        if found := difference(a, b, atol, strict=strict, where=f"Item {i} of {inside}"):
            return found
    return None


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _dicts(expected: dict, got: dict, atol: float, strict: bool, where: str) -> Difference | None:
    missing = [key for key in expected if key not in got]
    if missing:
        return Difference("value", f"{where} has no entry for {short(missing[0])}.")
    extra = [key for key in got if key not in expected]
    if extra:
        return Difference("value", f"{where} has an entry too many: {short(extra[0])}.")
    inside = where[0].lower() + where[1:]
    for key, value in expected.items():
        place = f"The entry for {short(key)} in {inside}"
        if found := difference(value, got[key], atol, strict=strict, where=place):
            return found
    return None
