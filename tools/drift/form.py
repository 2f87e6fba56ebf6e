"""How notebooks are stored: clean, valid, alike, and readable everywhere."""

import re
from pathlib import Path

import nbformat

from drift import plan
from drift.prose import CODE_SPAN, blank, headings, without_fences
from drift.reading import Cell, Notebook, Text, markdown_cells, notebooks, pages, python

NOT_PORTABLE = {
    "a MyST directive": r"(?m)^[ >\t]*(?:`{3,}|~{3,})\s*\{",
    "a MyST directive (:::)": r"(?m)^[ >\t]*:{3,}",
    "a MyST role": r"\{[a-z][a-z:-]*\}\0",
    "a MyST target": r"(?m)^\([\w-]+\)=\s*$",
}


def run_traces(notebook: Notebook) -> list[str]:
    """Outputs, counters and attachments that a run or a paste left behind."""
    complaints = []
    for cell, raw in zip(notebook.cells, notebook.raw["cells"], strict=True):
        if raw.get("outputs"):
            complaints.append(f"{cell.where}: an output is stored: clear all outputs.")
        if raw.get("execution_count") is not None:
            complaints.append(f"{cell.where}: execution_count is set: clear all outputs.")
        if raw.get("attachments"):
            complaints.append(f"{cell.where}: a file is attached: draw the figure with code.")
    return complaints


def metadata_complaints(notebook: Notebook) -> list[str]:
    complaints = []
    metadata = notebook.raw.get("metadata", {})
    for key in metadata.keys() | plan.NOTEBOOK_METADATA.keys():
        if metadata.get(key) != plan.NOTEBOOK_METADATA.get(key):
            wanted = plan.NOTEBOOK_METADATA.get(key, "absent")
            complaints.append(f"{notebook.file}: metadata {key!r} must be {wanted}.")
    for cell in notebook.cells:
        for key in cell.metadata.keys() - set(plan.CELL_METADATA):
            complaints.append(f"{cell.where}: metadata {key!r} is left over: take it out.")
    return sorted(complaints)


def validity(notebook: Notebook) -> list[str]:
    for cell, raw in zip(notebook.cells, notebook.raw["cells"], strict=True):
        if "id" not in raw:
            return [f"{cell.where}: has no id: save the notebook anew with Jupyter."]
    ids = [cell.id for cell in notebook.cells]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        return [f"{notebook.file}: cell id {i} is used twice: give one a new id." for i in twice]
    try:
        nbformat.validate(notebook.raw)
    except nbformat.ValidationError as problem:
        reason = str(problem).split("\n")[0]
        return [f"{notebook.file}: not a valid notebook ({reason}): save it anew with Jupyter."]
    if (notebook.raw["nbformat"], notebook.raw["nbformat_minor"]) != (4, 5):
        return [f"{notebook.file}: the format must be 4.5: save it anew with Jupyter."]
    broken = (cell for cell in notebook.code() if python(cell) is None)
    return [f"{cell.where}: this is not valid Python: correct it." for cell in broken]


def stored_clean(root: Path) -> list[str]:
    """No outputs, no counters, no left-over metadata; valid; a name from the plan."""
    complaints = []
    for notebook in notebooks(root):
        slug = plan.CHAPTERS.get(notebook.chapter, ("?",))[0]
        if notebook.file != f"notebooks/{notebook.chapter}_{slug}.ipynb":
            complaints.append(f"{notebook.file}: tools/drift/plan.py has no such chapter: rename.")
        for check in (run_traces, metadata_complaints, validity):
            complaints += check(notebook)
    return complaints


def same_first_cell(root: Path) -> list[str]:
    """The first code cell is the setup cell, the same text in every notebook."""
    complaints, text = [], None
    for notebook in notebooks(root):
        setups = [cell for cell in notebook.cells if "setup" in cell.tags]
        if setups != notebook.code()[:1]:
            complaints.append(f"{notebook.file}: tag the first code cell, and only it, `setup`.")
            continue
        text = text or setups[0].source
        if setups[0].source != text:
            complaints.append(
                f"{setups[0].where}: differs from the setup cell of the first notebook: copy that."
            )
    return complaints


def limit(cell: Cell) -> int:
    return plan.MAX_SRC_LINES if cell.tagged("src:") else plan.MAX_LINES


def short_cells(root: Path) -> list[str]:
    """No code cell is longer than a reader can hold in mind, or it is listed with a reason."""
    complaints, needed = [], set()
    for notebook in notebooks(root):
        for cell in notebook.code():
            lines = sum(bool(line.strip()) for line in cell.source.splitlines())
            if lines <= limit(cell):
                continue
            needed.add((notebook.chapter, cell.id))
            if not plan.LONG_CELLS.get((notebook.chapter, cell.id)):
                complaints.append(
                    f"{cell.where}: {lines} lines, more than {limit(cell)}: split it, or give a "
                    "reason in LONG_CELLS of tools/drift/plan.py."
                )
    stale = plan.LONG_CELLS.keys() - needed
    return complaints + [f"plan.LONG_CELLS: {key} is not too long: take it out." for key in stale]


def portable(root: Path) -> list[str]:
    """Notebooks hold no MyST: Colab, JupyterLab and the code host show it as raw text."""
    complaints = []
    for cell in markdown_cells(root):
        outside_code = CODE_SPAN.sub("\0", without_fences(cell.text))
        for what, pattern in NOT_PORTABLE.items():
            text = cell.text if "directive" in what else outside_code
            if re.search(pattern, text):
                complaints.append(f"{cell.where}: {what}: write it in plain Markdown or HTML.")
    return complaints


def heading_levels(root: Path) -> list[str]:
    """One title per notebook, and no heading level is left out on the way down."""
    complaints = []
    for notebook in notebooks(root):
        last = titles = 0
        for cell in (cell for cell in notebook.cells if cell.kind == "markdown"):
            for level, title in headings(cell.source):
                titles += level == 1
                if level > last + 1:
                    complaints.append(
                        f"{cell.where}: heading {title!r} has level {level} under level {last}: "
                        f"give it level {last + 1}."
                    )
                last = level
        if titles != 1:
            complaints.append(f"{notebook.file}: has {titles} level-1 headings: keep exactly one.")
    return complaints


def fold_complaints(text: Text) -> list[str]:
    """Faults of the folded parts of one text."""
    visible = blank(CODE_SPAN, without_fences(text.text))
    complaints = []
    if visible.count("<details") != visible.count("</details>"):
        complaints.append(f"{text.where}: a <details> is not closed: add </details>.")
    if re.search(r"</summary>(?![ \t]*\n[ \t]*(?:\n|\Z))", visible):
        complaints.append(f"{text.where}: put a blank line behind </summary>.")
    for match in re.finditer(r"(?s)<details.*?</details>", visible):
        if headings(match[0]) or re.search(r"<h[1-6]", match[0]):
            complaints.append(f"{text.where}: a heading inside <details>: use bold text.")
    return complaints


def folds(root: Path) -> list[str]:
    """A blank line behind every <summary>, no heading inside <details>."""
    texts = markdown_cells(root) + pages(root)
    return [complaint for text in texts for complaint in fold_complaints(text)]
