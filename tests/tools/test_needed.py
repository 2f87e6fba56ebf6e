"""What the notebooks import: all of it is in the package, and what an old one lacks is named."""

from pathlib import Path

import needed
from drift import small_book
from drift.reading import notebooks

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_has_everything_that_the_notebooks_import():
    wanted = needed.imported(notebooks(ROOT))
    assert {("gpt2_tutorial", "figures"), ("gpt2_tutorial.checks", "check")} <= wanted
    assert needed.lacking(ROOT / "src", wanted) == []


def test_what_an_older_package_lacks_is_named(tmp_path):
    small_book.build(tmp_path)
    package = tmp_path / "src" / "gpt2_tutorial"
    wanted = {("gpt2_tutorial", "text"), ("gpt2_tutorial.later", "x"), ("gpt2_tutorial.old", "b")}
    (package / "old.py").write_text("from math import pi as π\nA = 1\n\n\ndef a():\n    pass\n")
    assert needed.lacking(tmp_path / "src", wanted) == [
        "gpt2_tutorial.later.x",
        "gpt2_tutorial.old.b",
    ]
    there = {("gpt2_tutorial.old", name) for name in ("π", "A", "a")}
    assert needed.lacking(tmp_path / "src", there) == []
