"""What the notebooks import from the package, and what an installed package lacks of it.

Once the first cell names a release, the notebooks of `main` run with that one. So a name that came
after it needs a new release, and the weekly run with a network says so. Nothing is imported here.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

from drift.reading import Notebook, python

PACKAGE = "gpt2_tutorial"


def imported(books: Iterable[Notebook]) -> set[tuple[str, str]]:
    """Collect (module, name) for every `from gpt2_tutorial… import name` in some notebooks."""
    trees = (python(cell) for book in books for cell in book.code())
    found = (node for tree in trees if tree for node in ast.walk(tree))
    return {
        (node.module, alias.name)
        for node in found
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE
        for alias in node.names
    }


def has(site: Path, module: str, name: str) -> bool:
    """Tell whether a package that lies in `site` defines a name, or has a module called so."""
    home = site.joinpath(*module.split("."))
    if (home / f"{name}.py").is_file() or (home / name).is_dir():
        return True
    file = next((f for f in (home.with_suffix(".py"), home / "__init__.py") if f.is_file()), None)
    if file is None:
        return False
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=known) | ast.ClassDef(name=known) if known == name:
                return True
            case ast.Name(id=known, ctx=ast.Store()) if known == name:
                return True
            case ast.alias(name=known, asname=other) if (other or known) == name:
                return True
    return False


def lacking(site: Path, wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Name what is wanted of a package that lies in `site`, and is not there."""
    return sorted(f"{module}.{name}" for module, name in wanted if not has(site, module, name))
