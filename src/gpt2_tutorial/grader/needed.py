"""Pick, of a notebook's earlier statements, those that a piece of code stands on.

A student's answer may call a function, or use a number, from any cell above it. To run the whole
notebook for that would take minutes; to run nothing would fail a right answer.
"""

from __future__ import annotations

import ast
import symtable
from dataclasses import dataclass

from gpt2_tutorial.grader.magics import plain_python

SURE = (ast.Assign, ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Step:
    """One top-level statement: the names it makes or changes, and the names it uses."""

    node: ast.stmt
    makes: frozenset[str]
    uses: frozenset[str]


def needed(code: str, earlier: list[str]) -> list[ast.stmt]:
    """List the statements of `earlier` cells that `code` needs, directly or not, in their order.

    >>> cells = ["import re; import os", "def half(x): return x / n", "n = 2; m = 3"]
    >>> [ast.unparse(node).split("(")[0] for node in needed("half(1)", cells)]
    ['def half', 'n = 2']
    """
    steps = _without_calls_of_modules([step for cell in earlier for step in steps_of(cell)])
    wanted: set[str] = set()
    made: set[str] = set()
    for step in steps_of(code):
        wanted |= step.uses - made
        made |= step.makes if isinstance(step.node, SURE) else set()
    chosen: set[int] = set()
    while True:
        new = {i for i, step in enumerate(steps) if i not in chosen and step.makes & wanted}
        if not new:
            return [steps[i].node for i in sorted(chosen)]
        chosen |= new
        wanted = wanted.union(*(steps[i].uses for i in new))


def _without_calls_of_modules(steps: list[Step]) -> list[Step]:
    """Forget that `torch.manual_seed(0)` may change torch: else most cells need all others."""
    imports = [step for step in steps if isinstance(step.node, (ast.Import, ast.ImportFrom))]
    modules = frozenset().union(*(step.makes for step in imports))
    return [
        step if step in imports else Step(step.node, step.makes - (modules - _set(step)), step.uses)
        for step in steps
    ]


def _set(step: Step) -> set[str]:
    names = [part for part in ast.walk(step.node) if isinstance(part, ast.Name)]
    return {name.id for name in names if not isinstance(name.ctx, ast.Load)}


def steps_of(cell: str) -> list[Step]:
    """Split a cell into its statements; a cell that is not Python has none."""
    try:
        nodes = ast.parse(plain_python(cell)).body
        return [_step(node) for node in nodes]
    except (SyntaxError, ValueError, RecursionError):
        return []


def _step(node: ast.stmt) -> Step:
    table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
    symbols = table.get_symbols()
    makes = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    uses = {s.get_name() for s in symbols if s.is_referenced()} | _globals_inside(table)
    if isinstance(node, ast.AugAssign):  # `n += 1` needs the n before it
        uses |= makes
    changed = {root for part in ast.walk(node) if (root := _changed_root(part))}
    return Step(node, frozenset(makes | changed), frozenset(uses))


def _globals_inside(table: symtable.SymbolTable) -> set[str]:
    """Name what the functions and classes of a statement take from the notebook."""
    found = set()
    for inner in table.get_children():
        found |= {s.get_name() for s in inner.get_symbols() if s.is_global()}
        found |= _globals_inside(inner)
    return found


def _changed_root(part: ast.AST) -> str | None:
    """Name the variable that `x[i] = 1`, `x.y = 1` and `x.append(1)` change."""
    if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
        part = part.value.func
    elif not isinstance(getattr(part, "ctx", None), (ast.Store, ast.Del)):
        return None
    inside = False
    while isinstance(part, (ast.Attribute, ast.Subscript)):
        part, inside = part.value, True
    return part.id if inside and isinstance(part, ast.Name) else None
