"""The code a notebook shows is the code that runs."""

from pathlib import Path

from drift import not_shown, plan
from drift.definitions import Definition, definitions
from drift.reading import Cell, Notebook, module_path, modules, notebooks, python


def source_of(root: Path, module: str) -> dict[str, Definition]:
    path = module_path(root, module)
    if not path.exists():
        return {}
    return {d.name: d for d in definitions(path.read_text(encoding="utf-8"))}


def shown_cells(notebook: Notebook) -> list[tuple[str, Cell]]:
    """(module, cell) for every code cell tagged `src:module`."""
    pairs = ((cell.tagged("src:"), cell) for cell in notebook.code())
    return [(module, cell) for module, cell in pairs if module is not None]


def shown(root: Path, module: str) -> dict[str, list[Cell]]:
    """Where each name of a module is shown, the items of a class among them."""
    places: dict[str, list[Cell]] = {}
    for notebook in notebooks(root):
        for tag, cell in shown_cells(notebook):
            if tag == module:
                for definition in definitions(cell.source, python(cell)):
                    for one in (definition, *definition.items):
                        places.setdefault(one.name, []).append(cell)
    return places


def first_difference(cell_text: str, source_text: str) -> str:
    pairs = zip(cell_text.split("\n"), source_text.split("\n"), strict=False)
    for notebook_line, source_line in pairs:
        if notebook_line != source_line:
            return f"the cell has {notebook_line.strip()!r}, the module {source_line.strip()!r}"
    return "one of the two goes on where the other ends"


def differences(name: str, cell_text: str, source_text: str) -> list[str]:
    """One sentence, or none where the two are equal."""
    if cell_text == source_text:
        return []
    return [f"{name} differs: {first_difference(cell_text, source_text)}. Copy it anew."]


def part_complaints(module: str, part: Definition, whole: Definition) -> list[str]:
    """What is wrong with the items that a cell shows of a class."""
    source = {item.name: item.text for item in whole.items}
    complaints = differences(f"{module}.{part.name}", part.head, whole.head)
    for item in part.items:
        if item.name not in source:
            complaints.append(f"{module}.py has no {item.name!r}: add or rename it.")
        else:
            complaints += differences(f"{module}.{item.name}", item.text, source[item.name])
    return complaints


def cell_complaints(chapter: str, module: str, cell: Cell, source: dict[str, Definition]) -> list:
    if module not in (*plan.CHAPTERS.get(chapter, ("", ()))[1], *plan.BACK_ROOMS):
        return [f"{cell.where}: chapter {chapter} does not finish {module!r}: change the tag."]
    shown_here = definitions(cell.source, python(cell))
    if not shown_here:
        return [f"{cell.where}: tagged src:{module} but defines nothing: take the tag away."]
    complaints = []
    for definition in shown_here:
        name = definition.name
        if name not in source:
            found = [f"{module}.py has no {name!r}: add or rename it."]
        elif definition.is_part:
            found = part_complaints(module, definition, source[name])
        else:
            found = differences(f"{module}.{name}", definition.text, source[name].text)
        complaints += [f"{cell.where}: {complaint}" for complaint in found]
    return complaints


def shown_is_source(root: Path) -> list[str]:
    """Every definition in a `src:` cell is character for character the module's."""
    complaints = []
    for notebook in notebooks(root):
        for module, cell in shown_cells(notebook):
            source = source_of(root, module)
            complaints += cell_complaints(notebook.chapter, module, cell, source)
    return complaints


def taught_now(root: Path) -> list[str]:
    """Taught modules of which at least one notebook exists."""
    here = {notebook.chapter for notebook in notebooks(root)}
    rows = ((c, modules) for c, (_, modules) in plan.CHAPTERS.items() if c in here)
    return list(dict.fromkeys(module for _, modules in rows for module in modules))


def shown_twice(module: str, places: dict[str, list[Cell]]) -> list[str]:
    """A class told in several cells counts by its items, and none of them stands in two."""
    complaints = []
    for name, cells in places.items():
        told_by_items = any(other.startswith(f"{name}.") for other in places)
        if len(cells) > 1 and not told_by_items:
            both = " and ".join(cell.where for cell in cells)
            complaints.append(f"{module}.{name} is shown twice, in {both}: untag one of them.")
    return complaints


def to_be_shown(source: dict[str, Definition], places: dict[str, list[Cell]]) -> list[str]:
    """The public names of a module, and all items of the classes that a cell shows."""
    names = []
    for name, definition in source.items():
        if not name.startswith("_"):
            names.append(name)
        if name in places:
            names += [item.name for item in definition.items]
    return names


def shown_once(root: Path) -> list[str]:
    """Every public name is shown in exactly one cell, or listed with a reason."""
    complaints = []
    for module in taught_now(root):
        places, listed = shown(root, module), not_shown.NOT_SHOWN.get(module, {})
        complaints += shown_twice(module, places)
        for name in to_be_shown(source_of(root, module), places):
            if name not in places and name not in listed:
                complaints.append(
                    f"src/gpt2_tutorial/{module}.py: no notebook shows {name!r}: show it in a "
                    f"cell tagged src:{module} or give a reason in tools/drift/not_shown.py."
                )
    return complaints


def helpers_shown(root: Path) -> list[str]:
    """A private name that shown code uses is shown as well, or listed."""
    complaints = []
    for module in taught_now(root):
        source, places = source_of(root, module), shown(root, module)
        known = places.keys() | not_shown.NOT_SHOWN.get(module, {}).keys()
        for name in places.keys() & source.keys():
            for helper in sorted(source[name].uses & source.keys() - known):
                if helper.startswith("_"):
                    complaints.append(
                        f"{places[name][0].where}: {name} uses {helper}, which nobody sees: show "
                        f"it in a cell tagged src:{module} or list it in tools/drift/not_shown.py."
                    )
    return complaints


def not_shown_is_current(root: Path) -> list[str]:
    """Every entry of the list of names not shown is still true and has a reason."""
    complaints = []
    for module, entries in not_shown.NOT_SHOWN.items():
        source, places = source_of(root, module), shown(root, module)
        there = {one.name for whole in source.values() for one in (whole, *whole.items)}
        for name, reason in entries.items():
            entry = f"tools/drift/not_shown.py lists {module}.{name}"
            if name not in there:
                complaints.append(f"{entry}, which does not exist: take the entry out.")
            elif name in places:
                where = places[name][0].where
                complaints.append(f"{entry}, but {where} shows it: take the entry out.")
            elif not reason.strip():
                complaints.append(f"{entry} without a reason: write one.")
    return complaints


def modules_have_a_place(root: Path) -> list[str]:
    """Every module of the package is taught by a notebook that exists, or on another list."""
    complaints, taught = [], taught_now(root)
    known = (*plan.TAUGHT, *plan.BACK_ROOMS, *plan.SUPPORT, *plan.BEHIND_THE_SCENES)
    for module in modules(root):
        where = f"src/gpt2_tutorial/{module}"
        if module in plan.TAUGHT and module not in taught:
            complaints.append(f"{where}: its notebook does not exist yet: write it first.")
        elif module not in known:
            complaints.append(f"{where}: stands in no list of tools/drift/plan.py: add it to one.")
    return complaints
