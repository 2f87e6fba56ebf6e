"""Which cases `make test` runs, which wait for `make soak`, and which not every machine can run."""

import shutil
from collections.abc import Iterable

import pytest
import torch

compiles = pytest.mark.skipif(
    shutil.which("c++") is None or " " in torch.__file__,
    reason="torch.compile needs a C++ compiler, and PyTorch in a path without a space",
)

PARAMETERS = type(pytest.param())


def tiered(cases: Iterable, stay: Iterable) -> list:
    """All cases as parameters; only those in `stay` are not marked `soak`."""
    cases, stay = list(cases), list(stay)
    unknown = [case for case in stay if case not in cases]
    if unknown:
        raise ValueError(f"no such cases: {unknown}")
    return [case if case in stay else _soaked(case) for case in cases]


def _soaked(case: object) -> object:
    if isinstance(case, PARAMETERS):
        return pytest.param(*case.values, marks=pytest.mark.soak, id=case.id)
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.soak)
