"""Notebooks and pages as light objects that know where they stand."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Cell:
    """One cell: `cell.where` is how a complaint names it."""

    file: str
    id: str
    kind: str
    source: str
    tags: tuple[str, ...] = ()
    metadata: dict = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.file}, cell {self.id}"

    def tagged(self, prefix: str) -> str | None:
        """The rest of the first tag that starts with `prefix`: tagged("src:") -> "text"."""
        return next((t[len(prefix) :] for t in self.tags if t.startswith(prefix)), None)


@dataclass(frozen=True)
class Notebook:
    """One notebook: its chapter ("01"), its file, its cells, and the JSON it came from."""

    chapter: str
    file: str
    cells: tuple[Cell, ...]
    raw: dict

    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code"]

    def sections(self) -> Iterator[tuple[str | None, Cell]]:
        """Every cell with the part it belongs to; a part lasts until the next one starts."""
        part = None
        for cell in self.cells:
            part = cell.tagged("section:") or part
            yield part, cell


@dataclass(frozen=True)
class Text:
    """A piece of Markdown, a cell or a whole page, and how a complaint names it."""

    where: str
    text: str


def joined(source: str | list[str]) -> str:
    """nbformat allows a string or a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def load_cell(file: str, number: int, raw: dict) -> Cell:
    metadata = raw.get("metadata", {})
    return Cell(
        file=file,
        id=raw.get("id", f"number {number}"),
        kind=raw["cell_type"],
        source=joined(raw["source"]),
        tags=tuple(metadata.get("tags", ())),
        metadata=metadata,
    )


def load_notebook(root: Path, path: Path) -> Notebook:
    file = path.relative_to(root).as_posix()
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as problem:
        raise ValueError(f"{file} is not valid JSON ({problem}): restore or re-save it.") from None
    cells = tuple(load_cell(file, i, cell) for i, cell in enumerate(raw["cells"]))
    return Notebook(path.name[:2], file, cells, raw)


def notebooks(root: Path) -> list[Notebook]:
    """All notebooks in reading order."""
    return [load_notebook(root, p) for p in sorted((root / "notebooks").glob("*.ipynb"))]


def pages(root: Path) -> list[Text]:
    """README.md and the pages of the book that are not notebooks."""
    paths = [root / "README.md", *sorted((root / "book").glob("*.md"))]
    return [
        Text(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in paths
        if path.exists()
    ]


def markdown_cells(root: Path) -> list[Text]:
    cells = (cell for book in notebooks(root) for cell in book.cells)
    return [Text(cell.where, cell.source) for cell in cells if cell.kind == "markdown"]


def module_path(root: Path, module: str) -> Path:
    return root / "src" / "gpt2_tutorial" / f"{module}.py"


def modules(root: Path) -> list[str]:
    """Names of the modules and subpackages that exist in src/gpt2_tutorial."""
    folder = root / "src" / "gpt2_tutorial"
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    return sorted([path.stem for path in folder.glob("*.py")] + packages)


def python(cell: Cell) -> ast.Module | None:
    """The cell as a syntax tree (None if it does not parse), notebook magics left out."""
    return parsed(cell.source)


@cache  # many checks read the same cells
def parsed(source: str) -> ast.Module | None:
    """A cell's text as a syntax tree, as `python` gives it; nobody may change it.

    >>> type(parsed("%cd there").body[0]).__name__
    'Pass'
    """
    if source.startswith("%%"):
        return ast.Module(body=[], type_ignores=[])
    try:
        return ast.parse(re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", source))
    except SyntaxError:
        return None
