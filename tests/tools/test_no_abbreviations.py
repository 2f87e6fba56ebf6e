"""No command guesses: an option that is cut short is refused, everywhere."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("src", "launch", "tools", "benchmarks")
MAKERS = ("ArgumentParser", "Parser", "add_parser")


def parsers(tree):
    """Every call that makes a parser."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in MAKERS:
                yield node


def guesses(call):
    said = {one.arg: ast.unparse(one.value) for one in call.keywords}
    return said.get("allow_abbrev") != "False"


@pytest.mark.parametrize("place", PLACES)
def test_every_parser_wants_options_in_full(place):
    found = [
        f"{file.relative_to(ROOT)}:{call.lineno}"
        for file in sorted((ROOT / place).rglob("*.py"))
        for call in parsers(ast.parse(file.read_text(encoding="utf-8")))
        if guesses(call)
    ]
    assert found == []


def test_a_parser_that_guesses_would_be_found():
    calls = list(parsers(ast.parse("a = ArgumentParser(x)\nb.add_parser('n', allow_abbrev=False)")))
    assert [guesses(call) for call in calls] == [True, False]
