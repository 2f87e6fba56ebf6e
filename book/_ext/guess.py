"""Guess first, on the page: a field stands where a notebook asks for a guess, before the answer.

A cell says `reveal("00.p1", guess, measured, low=…, high=…)`, an earlier one `guess = None`. The
field goes before the earlier one; what follows it in its section waits until a guess is in. On a
page without scripts nothing waits, and nobody is told to guess next time.
"""

from __future__ import annotations

import ast
import re
from html import escape
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

__all__ = ["Question", "field", "questions", "setup"]

# What `gpt2_tutorial.ledger.reveal` says to somebody who did not guess.
WATCHED = re.compile(r"Measured (-?[\d.]+|nan|inf)\.( \(Next time put your guess in first[^)]*\))")


class Question(NamedTuple):
    """What a call of `reveal` asks: its name, the guess's variable, and why people are off."""

    name: str
    variable: str
    low: str
    high: str


def questions(source: str) -> list[Question]:
    """Find the calls of `reveal` in a cell; a cell that is no plain Python has none.

    >>> questions('reveal("00.p1", guess, 2.5, low="More.", high="Less.")')
    [Question(name='00.p1', variable='guess', low='More.', high='Less.')]
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [call for call in calls if getattr(call.func, "id", "") == "reveal"]
    return [
        Question(call.args[0].value, call.args[1].id, _text(call, "low"), _text(call, "high"))
        for call in calls
    ]


def _text(call: ast.Call, side: str) -> str:
    [word] = [word for word in call.keywords if word.arg == side]
    try:
        return ast.literal_eval(word.value)
    except ValueError as problem:
        name = ast.unparse(call.args[0])
        said = f"reveal({name}): write {side}= as a text, not a variable."
        raise ExtensionError(said) from problem


def field(question: Question, measured: str, hint: str) -> str:
    """Write the form of one question; book/_static/guess.js makes it work.

    >>> "data-measured" in field(Question("00.p1", "guess", "", ""), "2.48", "in nats")
    True
    """
    name, low, high = (escape(text) for text in (question.name, question.low, question.high))
    return (
        f'<form class="guess" data-name="{name}" data-measured="{measured}" '
        f'data-low="{low}" data-high="{high}">\n'
        f"<label>Your guess <small>{escape(hint)}</small>"
        '<input type="text" inputmode="decimal" autocomplete="off" maxlength="24"></label>\n'
        '<button class="press">Look</button> '
        '<button type="button" class="press show">Just show me</button>\n'
        '<p role="status"></p>\n</form>'
    )


def _part(cell: nodes.Element, kind: str) -> str:
    parts = [n for n in cell.findall(nodes.container) if n.get("nb_element") == kind]
    return "\n".join(part.astext() for part in parts)


def _ask(app: Sphinx, doctree: nodes.document, page: str) -> None:
    begun: dict[str, tuple[nodes.Element, str]] = {}  # by variable: where it is set, and the hint
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") != "cell_code":
            continue
        source = _part(cell, "cell_code_source")
        for variable, hint in re.findall(r"^(\w+) = None  # (.*)$", source, re.MULTILINE):
            begun[variable] = cell, hint
        for question in questions(source):
            said = WATCHED.search(_part(cell, "cell_code_output"))
            if said and question.variable in begun:
                place, hint = begun[question.variable]
                hint = re.sub(r"[;(] ?(or )?leave None.*", "", hint).strip(" ;")
                form = nodes.raw("", field(question, said[1], hint), format="html")
                place.parent.insert(place.parent.index(place), form)
    for text in list(doctree.findall(nodes.Text)):
        if WATCHED.search(text):
            shorter = WATCHED.sub(lambda found: found[0].removesuffix(found[2]), text)
            text.parent.replace(text, nodes.Text(shorter))
    for block in doctree.findall(nodes.literal_block):  # Sphinx colours it if both texts agree
        block.rawsource = WATCHED.sub(lambda f: f[0].removesuffix(f[2]), block.rawsource)


def _tell(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["has_guesses"] = '<form class="guess"' in context.get("body", "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after the cells have become text and pictures."""
    app.connect("doctree-resolved", _ask, priority=900)
    app.connect("html-page-context", _tell, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
