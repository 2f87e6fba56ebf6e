"""Edit a notebook as text and put it back valid: no outputs, fixed ids, nothing left over.

python tools/notebooks.py text 01            writes 01_bigram.md beside you
python tools/notebooks.py store 01_bigram.md puts it back as notebooks/01_bigram.ipynb
python tools/notebooks.py clean              says where a run left something behind
"""

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat

from drift.form import stored_clean

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def store(text: str, chapter: str) -> nbformat.NotebookNode:
    """Turn MyST text into a notebook that is the same however often it is stored."""
    notebook = jupytext.reads(text, fmt="md:myst")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"c{chapter}-{number:03d}"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("task", choices=["text", "store", "clean"])
    parser.add_argument("what", nargs="?", help="a chapter's number, or the text file to store")
    asked = parser.parse_args()
    if asked.task == "clean":
        said = stored_clean(NOTEBOOKS.parent)
        print("\n".join(said) if said else "every notebook is stored without traces of a run")
        return int(bool(said))
    if asked.what is None:
        parser.error(f"say what to {asked.task}: a chapter's number, or a text file")
    if asked.task == "text":
        found = sorted(NOTEBOOKS.glob(f"{asked.what}_*.ipynb"))
        if not found:
            print(f"no notebook of notebooks/ begins with {asked.what}_", file=sys.stderr)
            return 1
        text = jupytext.writes(nbformat.read(found[0], as_version=4), fmt="md:myst")
        Path(found[0].stem + ".md").write_text(text, encoding="utf-8")
        print(f"wrote {found[0].stem}.md")
        return 0
    source = Path(asked.what)
    if not source.exists():
        print(f"there is no file {source}", file=sys.stderr)
        return 1
    notebook = store(source.read_text(encoding="utf-8"), source.stem[:2])
    nbformat.write(notebook, NOTEBOOKS / f"{source.stem}.ipynb")
    print(f"stored notebooks/{source.stem}.ipynb, {len(notebook.cells)} cells")
    return 0


if __name__ == "__main__":
    sys.exit(main())
