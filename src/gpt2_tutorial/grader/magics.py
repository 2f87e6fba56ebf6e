"""Turn a cell of a notebook into plain Python: without `%magics`, `!commands` and `help?`."""

from __future__ import annotations

import ast
import re

RUN_PYTHON = ("capture", "memit", "prun", "time", "timeit")  # %%time runs its cell, %%bash does not
COMMAND = re.compile(r"(?m)^([ \t]*)(?:[%!?].*|[\w.]+\?+[ \t]*)$")


def plain_python(cell: str) -> str:
    """Take the notebook's own commands out of a cell, and leave the Python that they run.

    >>> plain_python("%%time\\nx = 1")
    'x = 1'
    >>> plain_python("%time x = 1\\nx?")
    'x = 1\\nNone'
    """
    first, _, body = cell.lstrip().partition("\n")
    if first.startswith("%%"):
        return plain_python(body) if first[2:].split(" ")[0].strip() in RUN_PYTHON else ""
    if _tree(cell):
        return cell
    text = _by_ipython(cell)
    tree = _tree(text)
    return ast.unparse(_NoCommands().visit(tree)) if tree else text


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _by_ipython(cell: str) -> str:
    """Let IPython find its commands: a line of a text may begin with % or ! and is none."""
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(cell)
    except (ImportError, SyntaxError):
        return COMMAND.sub(r"\1pass", cell)


class _NoCommands(ast.NodeTransformer):
    """Puts something else where IPython wrote `get_ipython().…(…)` for a command."""

    def visit_Expr(self, node: ast.Expr) -> object:
        return _instead(node.value) if _is_command(node.value) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> object:
        return _instead(node)[0].value if _is_command(node) else self.generic_visit(node)


def _is_command(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and ast.unparse(called.value) == "get_ipython()"


def _instead(command: ast.Call) -> list[ast.stmt]:
    """Give what a command leaves: `%time x = f()` its statement, any other one None."""
    words = [part.value for part in command.args if isinstance(part, ast.Constant)]
    timed = _tree(words[1]) if words[:1] == ["time"] and len(words) == 2 else None
    return timed.body if timed and timed.body else ast.parse("None").body
