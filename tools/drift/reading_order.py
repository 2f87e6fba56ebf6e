"""Nothing is imported before it has been taught."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from drift import not_shown, plan
from drift.definitions import definitions
from drift.reading import Cell, Notebook, module_path, notebooks, python
from drift.same_code import shown_cells

PACKAGE = "gpt2_tutorial"
Import = tuple[str, str | None]  # (module, name taken from it)


def imports(tree: ast.AST) -> Iterator[Import]:
    """Every import, with our own written as ("gpt2_tutorial.text", "split").

    >>> list(imports(ast.parse("from .text import split; import torch.nn as nn")))
    [('gpt2_tutorial.text', 'split'), ('torch.nn', None)]
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = [PACKAGE] * bool(node.level) + [node.module] * bool(node.module)
            module = ".".join(parts)
            for alias in node.names:
                if module == PACKAGE:
                    yield f"{PACKAGE}.{alias.name}", None
                else:
                    yield module, alias.name


def ours(module: str) -> str | None:
    """The module of our package that an import reaches: "gpt2_tutorial.text" -> "text"."""
    top, _, rest = module.partition(".")
    return rest.partition(".")[0] if top == PACKAGE else None


def chapters_of(module: str) -> list[str]:
    return [chapter for chapter, (_, modules) in plan.CHAPTERS.items() if module in modules]


def taught_complaint(
    chapter: str, seen: set[tuple[str, str]], module: str, name: str | None
) -> str | None:
    """Why chapter may not import this yet, or None. `seen` holds (module, name) shown so far."""
    chapters = chapters_of(module)
    if chapters[0] > chapter:
        return f"{module} is taught in chapter {chapters[0]}: use it from there on only"
    if chapters[-1] < chapter or (module, name) in seen:
        return None
    if name in not_shown.NOT_SHOWN.get(module, {}):
        return None
    if name is None or name == "*":
        return f"{module} is not finished here: import the names shown so far, one by one"
    return f"no src:{module} cell above shows {name}: show it first"


def foreign_complaint(module: str) -> str | None:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in plan.COLAB_HAS:
        return None
    return f"{top} is not installed on Colab: do without it"


def import_complaint(chapter: str, seen: set[tuple[str, str]], found: Import) -> str | None:
    module, name = found
    own = ours(module)
    if own is None:
        return foreign_complaint(module)
    if own == "" or own in (*plan.SUPPORT, *plan.BACK_ROOMS):
        return None
    if own not in plan.TAUGHT:
        return f"{own} is no module that notebooks may use: take the import out"
    return taught_complaint(chapter, seen, own, name)


def cell_complaints(chapter: str, seen: set[tuple[str, str]], cell: Cell) -> list[str]:
    tree = python(cell) or ast.Module(body=[], type_ignores=[])  # form.stored reports the fault
    free = plan.EXPORTED_MAY_ALSO_IMPORT if "export" in cell.tags else ()
    wanted = (found for found in imports(tree) if ours(found[0]) not in free)
    problems = (import_complaint(chapter, seen, found) for found in wanted)
    return [f"{cell.where}: {problem}." for problem in problems if problem]


def shown_names(notebook: Notebook, cell: Cell) -> set[tuple[str, str]]:
    pairs = [(module, c) for module, c in shown_cells(notebook) if c.id == cell.id]
    return {(m, d.name) for m, c in pairs for d in definitions(c.source, python(c))}


def in_notebooks(root: Path) -> list[str]:
    """A notebook imports what was shown above, back rooms, our support and what Colab has."""
    seen: set[tuple[str, str]] = set()
    complaints = []
    for notebook in notebooks(root):
        for cell in notebook.code():
            complaints += cell_complaints(notebook.chapter, seen, cell)
            seen |= shown_names(notebook, cell)
    return complaints


def in_modules(root: Path) -> list[str]:
    """A taught module imports only the taught modules above it, back rooms and `assets`."""
    complaints = []
    for place, module in enumerate(plan.TAUGHT):
        path = module_path(root, module)
        if not path.exists():
            continue
        allowed = (*plan.TAUGHT[:place], *plan.BACK_ROOMS, *plan.TAUGHT_MAY_ALSO_IMPORT)
        for found, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if ours(found) and ours(found) not in allowed:
                complaints.append(
                    f"src/gpt2_tutorial/{module}.py imports {ours(found)}, which does not stand "
                    f"above it in the table of chapters: move the code to where both are known."
                )
    return complaints


def imported_by_taught(root: Path) -> set[str]:
    """Modules of ours that the taught modules import, and what those import in turn."""
    found, waiting = set(), list(plan.TAUGHT)
    while waiting:
        path = module_path(root, waiting.pop())
        tree = ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")
        new = {ours(module) for module, _ in imports(tree)} - found
        found |= new
        waiting += [module for module in new if module]
    return found


def back_rooms_are_current(root: Path) -> list[str]:
    """Every back room has a reason, and a taught module that needs it."""
    complaints, needed = [], imported_by_taught(root)
    for room, reason in plan.BACK_ROOMS.items():
        entry = f"tools/drift/plan.py lists the back room {room!r}"
        if room in plan.TAUGHT or room not in needed:
            complaints.append(f"{entry}, which no taught module imports: take the entry out.")
        elif not reason.strip():
            complaints.append(f"{entry} without a reason: write one.")
    return complaints
