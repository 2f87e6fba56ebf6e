"""Under every figure stands what it finds, in a sentence that is not its alt text."""

from pathlib import Path

from drift import plan
from drift.alt import alt_of, calls
from drift.numbers import text_complaints
from drift.prose import prose
from drift.reading import Cell, Text, notebooks, python
from drift.sources import Sources


def caption_of(cell: Cell) -> str:
    return cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")


def complaint(cell: Cell) -> str | None:
    caption = caption_of(cell).strip()
    words, (low, high) = len(prose(caption).split()), plan.CAPTION_WORDS
    if not caption:
        return "no caption: say in a sentence what the figure finds."
    if not low <= words <= high:
        return f"the caption has {words} words: use {low} to {high}."
    if not caption.endswith((".", "?", ".*")):
        return "the caption is no sentence: end it with a full stop."
    if caption == alt_of(cell).strip():
        return "the caption is the alt text: that describes, a caption says the finding."
    return None


def texts(root: Path) -> list[str]:
    """Every figure has a caption of its own, and only figures have one."""
    complaints, seen = [], {}
    for cell in (cell for notebook in notebooks(root) for cell in notebook.code()):
        tree, caption = python(cell), caption_of(cell)
        if tree and calls(tree, "figures"):
            if problem := complaint(cell):
                complaints.append(f"{cell.where}: {problem}")
            elif caption in seen:
                complaints.append(f"{cell.where}: same caption as {seen[caption]}: write another.")
            seen.setdefault(caption, cell.where)
        elif caption:
            complaints.append(f"{cell.where}: a caption without a figure: take it out.")
    return complaints


def numbers(root: Path) -> list[str]:
    """Numbers in captions, which are Markdown: their markers stand behind them."""
    sources, complaints = Sources(root), []
    for cell in (cell for notebook in notebooks(root) for cell in notebook.code()):
        complaints += text_complaints(Text(f"{cell.where}, caption", caption_of(cell)), sources)
    return complaints
