"""Every chapter has its parts, in the order in which readers expect them."""

from pathlib import Path

from drift import plan
from drift.reading import Notebook, notebooks


def starts(notebook: Notebook) -> list[tuple[str, str]]:
    """(part, where) for every cell that starts a part."""
    tagged = ((cell.tagged("section:"), cell.where) for cell in notebook.cells)
    return [(part, where) for part, where in tagged if part is not None]


def unknown(notebook: Notebook) -> list[str]:
    known = (*plan.PARTS, *plan.FLOATING_PARTS)
    complaints = [
        f"{where}: there is no part called {part!r}: use one of {', '.join(known)}."
        for part, where in starts(notebook)
        if part not in known
    ]
    in_code = (cell for cell in notebook.code() if cell.tagged("section:"))
    return complaints + [f"{cell.where}: tag a Markdown cell instead." for cell in in_code]


def missing(notebook: Notebook) -> list[str]:
    present = {part for part, _ in starts(notebook)}
    complaints = []
    for part in (*plan.PARTS, *plan.FLOATING_PARTS):
        reason = plan.PARTS_LEFT_OUT.get((notebook.chapter, part))
        if part not in present and not reason:
            complaints.append(
                f"{notebook.file}: no cell is tagged section:{part}: write the part, or give a "
                "reason in PARTS_LEFT_OUT of tools/drift/plan.py."
            )
        if part in present and reason:
            complaints.append(f"{notebook.file}: has {part!r} after all: correct PARTS_LEFT_OUT.")
    return complaints


def out_of_order(notebook: Notebook) -> list[str]:
    complaints, reached = [], -1
    between = range(plan.PARTS.index("problem"), plan.PARTS.index("recap"))
    for part, where in starts(notebook):
        if part in plan.PARTS:
            place = plan.PARTS.index(part)
            if place <= reached:
                before = plan.PARTS[reached]
                complaints.append(f"{where}: {part!r} comes after {before!r}: move it.")
            reached = max(reached, place)
        elif part in plan.FLOATING_PARTS and reached not in between:
            complaints.append(f"{where}: {part!r} belongs between problem and recap: move it.")
    return complaints


def in_order(root: Path) -> list[str]:
    """All parts are there, known by name and in order."""
    checks = (unknown, missing, out_of_order)
    return [c for notebook in notebooks(root) for check in checks for c in check(notebook)]


def card_links(root: Path) -> list[str]:
    """The title card opens this very notebook in Colab, and its page."""
    complaints = []
    for notebook in notebooks(root):
        card = "\n".join(cell.source for part, cell in notebook.sections() if part == "card")
        file = Path(notebook.file)
        for link in (plan.COLAB_LINK + file.name, f"{plan.PAGE_LINK}{file.stem}.html"):
            if f"({link})" not in card:
                complaints.append(f"{notebook.file}: the card needs a text link to {link}.")
        if "colab-badge" in card:
            complaints.append(f"{notebook.file}: the card shows a foreign badge: use a text link.")
    return complaints
