"""The toolbox: every line on the page is run, and prints what the page says it prints."""

from __future__ import annotations

import doctest
import re

import pytest
from serving import ROOT

PAGE = (ROOT / "book" / "toolbox.md").read_text(encoding="utf-8")
SETUP, *BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def examples(block: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(block)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][4:44])
def test_a_line_prints_what_stands_below_it(block):
    names: dict[str, object] = {}
    exec(SETUP, names)
    test = doctest.DocTest(examples(block), names, "toolbox", "toolbox.md", 0, block)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert said == [], "".join(said)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][4:44])
def test_each_is_one_line_with_something_to_see(block):
    (example,) = examples(block)
    assert example.want.strip()
    assert "\n" not in example.source.strip()


def test_a_wrong_output_would_be_found():
    test = doctest.DocTest(examples(">>> 1 + 1\n3\n"), {}, "wrong", None, 0, None)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 1
