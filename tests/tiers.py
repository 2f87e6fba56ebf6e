"""Which cases `make test` runs, and which wait for `make soak`."""

from collections.abc import Iterable

import pytest


def tiered(cases: Iterable, stay: Iterable) -> list:
    """All cases as parameters; only those in `stay` are not marked `soak`."""
    cases, stay = list(cases), list(stay)
    unknown = [case for case in stay if case not in cases]
    if unknown:
        raise ValueError(f"no such cases: {unknown}")
    return [case if case in stay else _soaked(case) for case in cases]


def _soaked(case: object) -> object:
    values = getattr(case, "values", (case,))  # those of a pytest.param, which has an id as well
    values = (case,) if callable(values) else values
    return pytest.param(*values, marks=pytest.mark.soak, id=getattr(case, "id", None))
