"""Write what must be equal elsewhere: finished code, stubs, solutions, links, the list of modules.

    python tools/sync.py            writes; says what changed
    python tools/sync.py --check    writes nothing; ends with 1 if something would change

The package is the truth. A cell tagged `src:MODULE` shows definitions of that module as they stand
there; a public one that no cell shows yet, and no list excuses, gets a cell behind the one that
shows its neighbour above. A class may be told in several cells: where a comment `# … encode: below`
stands between its methods, only the methods that the cell has are written. `exercise:NN.N` begins
with the checkers' stub, and the last fold of `solution:NN.N` holds their solution. The title card
says how long the chapter takes, and ends with links to Colab and to the notebook's page, which has
the outputs that are not stored. Where the list of modules goes, one_list.py tells, and
first_cell.py what each notebook begins with.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import first_cell
import one_list
import times
from drift import not_shown, plan
from drift.definitions import Definition, definitions
from drift.exercises import PYTHON_BLOCK, known_exercises
from drift.reading import Cell, Notebook, load_notebook, python
from drift.same_code import shown, source_of

ROOT = Path(__file__).resolve().parents[1]
CARD_LINKS = re.compile(r"\[open this chapter in Colab\]\(.*\)\*$", re.MULTILINE)
CHECK_CALL = re.compile(r"\n+check\([^\n]*\)\n?\Z")


def with_source(cell: Cell, source: dict[str, Definition]) -> str:
    """The cell with every definition as its module has it; its own words around them stay."""
    text = cell.source
    for old in definitions(text, python(cell)):
        if old.name in source:
            for before, after in changes(old, source[old.name]):
                text = text.replace(before, after, 1)
    return text


def changes(old: Definition, new: Definition) -> list[tuple[str, str]]:
    """What to replace: a definition whole, or of a class in part the items that are shown."""
    if not old.is_part:
        return [(old.text, new.text)]
    texts = {item.name: item.text for item in new.items}
    pairs = [(item.text, texts[item.name]) for item in old.items if item.name in texts]
    return [(old.head, new.head), *pairs]


def with_stub(cell: Cell, stub: str) -> str:
    """The stub, and the call of `check` that stands below it."""
    call = CHECK_CALL.search(cell.source)
    return stub.strip("\n") + call[0] if call else cell.source


def with_solution(cell: Cell, solution: str) -> str:
    """The last block of code in the last fold, replaced by the solution."""
    start = cell.source.rfind("<details")
    blocks = list(PYTHON_BLOCK.finditer(cell.source, max(start, 0)))
    if start < 0 or not blocks:
        return cell.source
    first, last = blocks[-1].span(1)
    return cell.source[:first] + solution.strip("\n") + "\n" + cell.source[last:]


def with_links(cell: Cell) -> str:
    """The card, whose last line ends with the links of its notebook."""
    stem = Path(cell.file).stem
    colab = f"[open this chapter in Colab]({plan.COLAB_LINK}{stem}.ipynb)"
    page = f"[read it with its pictures]({plan.PAGE_LINK}{stem}.html)"
    return CARD_LINKS.sub(lambda _: f"{colab} · {page}*", cell.source)


def synced(root: Path, notebook: Notebook, cell: Cell) -> str:
    """What the cell should say."""
    if cell.tagged("section:") == "card":
        return times.with_time(with_links(cell), notebook)
    if "setup" in cell.tags and (root / "CHANGELOG.md").exists():  # a miniature book has none
        return first_cell.source(root)
    if module := cell.tagged("src:"):
        return with_source(cell, source_of(root, module))
    for prefix, write, part in (
        ("exercise:", with_stub, "stub"),
        ("solution:", with_solution, "solution_source"),
    ):
        known = known_exercises().get(cell.tagged(prefix) or "")
        if known is not None:
            return write(cell, getattr(known, part))
    return cell.source


def unshown(root: Path, chapter: str) -> list[tuple[str, Definition, str]]:
    """Public definitions that no cell shows: module, definition, the name that stands above it."""
    found = []
    for module in plan.CHAPTERS[chapter][1]:
        seen, above = shown(root, module).keys(), ""
        excused = not_shown.NOT_SHOWN.get(module, {}).keys()
        for name, definition in source_of(root, module).items():
            public = not name.startswith("_")
            if public and name not in seen | excused:
                found.append((module, definition, above))
            if name in seen or (public and name not in excused):
                above = name
    return found


def new_cells(root: Path, notebook: Notebook) -> list[str]:
    """Give each definition that nobody shows a cell, in `notebook.raw`; return what was done."""
    said = []
    for module, definition, above in unshown(root, notebook.chapter):
        place = next(
            (
                place
                for place, cell in enumerate(notebook.raw["cells"])
                if f"src:{module}" in cell["metadata"].get("tags", ())
                and above in (d.name for d in definitions("".join(cell["source"])))
            ),
            None,
        )
        if place is None:
            continue  # another chapter shows its neighbour, or it is the first of its module
        cell = {"cell_type": "code", "execution_count": None}
        cell |= {"id": f"c{notebook.chapter}-{definition.name}".replace("_", "-")[:64]}
        cell |= {"metadata": {"tags": [f"src:{module}"]}, "outputs": []}
        cell |= {"source": definition.text.splitlines(keepends=True)}
        notebook.raw["cells"].insert(place + 1, cell)
        said.append(f"{notebook.file}: a new cell shows {module}.{definition.name}")
    return said


def sync(root: Path, *, write: bool) -> list[str]:
    """Bring everything up to date; return one line for each cell or file that was not."""
    said = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = load_notebook(root, path)
        before = len(said)
        for cell, raw in zip(notebook.cells, notebook.raw["cells"], strict=True):
            if (text := synced(root, notebook, cell)) != cell.source:
                raw["source"] = text.splitlines(keepends=True)
                said.append(f"{cell.where}: {', '.join(cell.tags)}")
        said += new_cells(root, notebook)
        if write and len(said) > before:
            text = json.dumps(notebook.raw, indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")
    for path, text in one_list.written(root).items():
        if text != path.read_text(encoding="utf-8"):
            said.append(f"{path.relative_to(root)}: the list of modules")
            if write:
                path.write_text(text, encoding="utf-8")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing, only complain")
    asked = parser.parse_args()
    said = sync(ROOT, write=not asked.check)
    print(
        "\n".join(said)
        if said
        else "every notebook shows what the package has, every list the same modules"
    )
    if said and asked.check:
        print("✗ bring them up to date with: make sync", file=sys.stderr)
    return int(bool(said) and asked.check)


if __name__ == "__main__":
    sys.exit(main())
