"""The definitions at the top level of a piece of Python, with their exact text.

A cell may show a class in part: a comment `# … encode: below` between its methods stands for those
that are left out. Such a class is held against the module item by item.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache

CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
LEFT_OUT = re.compile(r"(?m)^ +# … ")


@dataclass(frozen=True)
class Definition:
    """A function, class or constant: its text is what a reader sees, comments included."""

    name: str
    text: str
    uses: frozenset[str]
    items: tuple["Definition", ...] = ()  # of a class: its docstring, methods and attributes

    @property
    def is_part(self) -> bool:
        """Whether this is a class of which a cell shows some items only."""
        return bool(self.items and LEFT_OUT.search(self.text))

    @property
    def head(self) -> str:
        """What stands above the first item: decorators, and the line with the name."""
        first = next((item.text for item in self.items), "")
        above = self.text[: self.text.index(first)] if first else self.text
        return re.sub(LEFT_OUT.pattern + ".*", "", above).rstrip()


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


def text_of(node: ast.stmt, lines: list[str]) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    return "\n".join(lines[first - 1 : last_line(node, lines)])


def uses_of(node: ast.stmt) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def items(owner: ast.stmt, lines: list[str]) -> tuple[Definition, ...]:
    """What stands in a class: `Table.__doc__`, `Table.total`, `Table.text`; else nothing."""
    found = []
    for place, node in enumerate(owner.body if isinstance(owner, ast.ClassDef) else []):
        is_docstring = place == 0 and ast.get_docstring(owner, clean=False) is not None
        names = ["__doc__"] if is_docstring else attributes(node)
        full = [f"{owner.name}.{name}" for name in names]
        found += [Definition(name, text_of(node, lines), uses_of(node)) for name in full]
    return tuple(found)


def attributes(node: ast.stmt) -> list[str]:
    """Names that a statement gives to its class, in capitals or not."""
    if isinstance(node, ast.Assign):
        return [name for target in node.targets for name in assigned(target)]
    return defined(node)


@cache
def definitions(source: str, tree: ast.Module | None = None) -> tuple[Definition, ...]:
    """All definitions in order; `tree` where `source` holds magics that Python cannot parse.

    >>> [d.name for d in definitions("A = 1\\nb = 2\\ndef c(): return A")]
    ['A', 'c']
    """
    lines, found = source.splitlines(), []
    for node in (tree or ast.parse(source)).body:
        text, uses = text_of(node, lines), uses_of(node)
        found += [Definition(name, text, uses, items(node, lines)) for name in defined(node)]
    return tuple(found)
