"""Prose, notebooks and package agree: every drift check is silent on this repository."""

from pathlib import Path

import pytest

from drift import every
from drift.fresh import fresh_numbers

ROOT = Path(__file__).resolve().parents[2]


def listed(complaints: list[str]) -> str:
    return "\n".join(["", *complaints])


@pytest.mark.parametrize("check", every.CHECKS, ids=every.name)
def test_nothing_has_drifted(check):
    complaints = check(ROOT)
    assert complaints == [], listed(complaints)


@pytest.mark.fresh
def test_committed_numbers_are_those_of_a_fresh_run():
    fresh = ROOT / "_build" / "measured"
    assert any(fresh.glob("*.json")), (
        f"{fresh} holds no measurements: execute the notebooks first, with `make book`."
    )
    complaints = fresh_numbers(ROOT / "results" / "measured", fresh)
    assert complaints == [], listed(complaints)
