"""The definitions at the top level of a piece of Python, with their exact text."""

import ast
import re
from dataclasses import dataclass

CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


@dataclass(frozen=True)
class Definition:
    """A function, class or constant: its text is what a reader sees, comments included."""

    name: str
    text: str
    uses: frozenset[str]


def assigned(target: ast.expr) -> list[str]:
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    return [part.id for part in parts if isinstance(part, ast.Name)]


def defined(node: ast.stmt) -> list[str]:
    """Names that count as definitions: def, class, UPPER_CASE = ..., name: type = ...

    >>> defined(ast.parse("LIMIT = 3").body[0]), defined(ast.parse("x = 3").body[0])
    (['LIMIT'], [])
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign):
        return assigned(node.target)
    if isinstance(node, ast.Assign):
        names = [name for target in node.targets for name in assigned(target)]
        return [name for name in names if CONSTANT.fullmatch(name)]
    return []


def last_line(node: ast.stmt, lines: list[str]) -> int:
    """Python's own end of a body leaves out a comment after the last statement; we keep it."""
    end = node.end_lineno
    for number in range(end, len(lines)):
        line = lines[number]
        if not line.strip():
            continue
        if not re.match(rf"\s{{{node.col_offset + 1},}}#", line):
            break
        end = number + 1
    return end


def definitions(source: str, tree: ast.Module | None = None) -> list[Definition]:
    """All definitions in order; `tree` where `source` holds magics that Python cannot parse.

    >>> [d.name for d in definitions("A = 1\\nb = 2\\ndef c(): return A")]
    ['A', 'c']
    """
    lines, found = source.splitlines(), []
    for node in (tree or ast.parse(source)).body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        text = "\n".join(lines[first - 1 : last_line(node, lines)])
        uses = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
        found += [Definition(name, text, uses) for name in defined(node)]
    return found
