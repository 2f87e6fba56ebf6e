"""Small tools that break one thing in a copy of a book, to see whether a check notices."""

import json
import re
from collections.abc import Callable
from pathlib import Path

Change = Callable[[dict], None]  # changes a notebook, or one of its cells, in place
Break = Callable[[Path], None]  # breaks something below a root


def change_file(path: str, old: str, new: str) -> Break:
    def breaks(root: Path) -> None:
        text = (root / path).read_text(encoding="utf-8")
        assert old in text, f"{path} has no {old!r} to change"
        (root / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return breaks


def grow(module: str, code: str) -> Break:
    """Add code to the end of a module, which may be a new one."""

    def breaks(root: Path) -> None:
        path = root / "src" / "gpt2_tutorial" / f"{module}.py"
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(f"{old}\n\n{code}\n", encoding="utf-8")

    return breaks


def in_notebook(change: Change, number: int = 0) -> Break:
    def breaks(root: Path) -> None:
        path = sorted((root / "notebooks").glob("*.ipynb"))[number]
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
        change(notebook)
        path.write_text(json.dumps(notebook), encoding="utf-8")

    return breaks


def find(notebook: dict, tag: str = "", text: str = "", kind: str = "") -> dict:
    """The first cell with a tag that begins so, a text that matches, of that kind."""
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", []) if tag else [""]
        tagged = any(each.startswith(tag) for each in tags)
        if tagged and cell["cell_type"].startswith(kind) and re.search(text, cell["source"]):
            return cell
    raise AssertionError(f"no {kind} cell has tag {tag!r} and text {text!r}")


def in_cell(change: Change, number: int = 0, **wanted: str) -> Break:
    """Change the first fitting cell of a notebook."""
    return in_notebook(lambda notebook: change(find(notebook, **wanted)), number)


def insert(kind: str, source: str, *tags: str) -> Break:
    """A new cell behind the setup cell of the first notebook."""

    def change(notebook: dict) -> None:
        cell = {"id": "new", "cell_type": kind, "source": source, "metadata": {"tags": list(tags)}}
        if kind == "code":
            cell |= {"outputs": [], "execution_count": None}
        place = notebook["cells"].index(find(notebook, tag="setup"))
        notebook["cells"].insert(place + 1, cell)

    return in_notebook(change)


def add(text: str) -> Change:
    def change(cell: dict) -> None:
        cell["source"] += f"\n\n{text}"

    return change


def substitute(pattern: str, new: str | Callable[[re.Match], str]) -> Change:
    def change(cell: dict) -> None:
        cell["source"], times = re.subn(pattern, new, cell["source"], count=1)
        assert times, f"nothing matches {pattern}"

    return change


def put(**values: object) -> Change:
    """Set keys of a cell or a notebook."""
    return lambda place: place.update(values)


def put_metadata(**values: object) -> Change:
    return lambda place: place["metadata"].update(values)


def alt(text: str, *numbers: str) -> Change:
    def change(place: dict) -> None:
        place["metadata"].setdefault("mystnb", {})["image"] = {"alt": text}
        place["metadata"]["numbers"] = list(numbers)

    return change


def caption(text: str) -> Change:
    return lambda place: place["metadata"].setdefault("mystnb", {}).update(figure={"caption": text})
