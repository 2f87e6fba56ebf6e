"""Bookkeeping out of the way: a cell's imports and `measure(…)` lines stand back on a page.

The notebooks stay as they are. What only writes a number down, checks one or fetches a name is
small and grey on the page, so that a reader sees at once which lines the text is about.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

from sphinx.application import Sphinx

__all__ = ["dimmed", "kept_lines", "setup"]

CODE = re.compile(r'(<div class="cell_input .*?<pre>)(.*?)(</pre>)', re.S)
FEW = 3  # so many imports may stand among the code: there they belong to the story


def kept_lines(source: str) -> list[tuple[int, int]]:
    """Find the bookkeeping of a cell: first and last line of each run, counted from 1.

    >>> kept_lines("x = 2\\nmeasure('a', x)\\nassert x\\nprint(x)")
    [(2, 3)]
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a line for IPython
        return []
    imports = [one for one in body if isinstance(one, (ast.Import, ast.ImportFrom))]
    quiet = list(_kept(body)) + (imports if len(imports) > FEW else [])
    runs: list[tuple[int, int]] = []
    for one in sorted(quiet, key=lambda one: one.lineno):
        after = runs and not "".join(source.splitlines()[runs[-1][1] : one.lineno - 1]).strip()
        if after:
            runs[-1] = runs[-1][0], one.end_lineno
        else:
            runs.append((one.lineno, one.end_lineno))
    return runs


def _kept(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements that keep books, also those in loops; what a function does is code."""
    for one in body:
        inner = one.body if isinstance(one, (ast.For, ast.With)) else []
        found = list(_kept(inner))
        if _keeps_books(one) or (inner and found == inner):
            yield one
        else:
            yield from found


def _keeps_books(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    called = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
    return isinstance(statement, ast.Assert) or called in ("measure", "reveal")


def dimmed(body: str) -> str:
    """Mark the bookkeeping in every cell of a page.

    >>> cell = '<div class="cell_input docutils container"><pre>x = 2\\nassert x\\n</pre>'
    >>> dimmed(cell).endswith('<pre>x = 2\\n<span class="kept">assert x\\n</span></pre>')
    True
    """

    def marked(found: re.Match[str]) -> str:
        lines = found[2].splitlines(keepends=True)
        for first, last in kept_lines(unescape(re.sub(r"<[^>]+>", "", found[2]))):
            lines[first - 1] = f'<span class="kept">{lines[first - 1]}'
            lines[last - 1] += "</span>"
        return f"{found[1]}{''.join(lines)}{found[3]}"

    return CODE.sub(marked, body)


def _tell(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["body"] = dimmed(context.get("body", ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, when the code has its colours."""
    app.connect("html-page-context", _tell, priority=910)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
