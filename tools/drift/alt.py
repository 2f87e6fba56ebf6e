"""Every figure can be heard: its alt text says kind, takeaway and key numbers."""

import ast
from pathlib import Path

from drift import plan
from drift.reading import Cell, notebooks, python


def called(node: ast.AST, owner: str) -> bool:
    """Whether this is a call `owner.something(...)`."""
    match node:
        case ast.Call(ast.Attribute(ast.Name(name))):
            return name == owner
    return False


def calls(tree: ast.Module, owner: str) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if called(node, owner)]


def alt_of(cell: Cell) -> str:
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


def figure_complaints(cell: Cell) -> list[str]:
    """A cell draws at most one figure, as its last expression, with our own functions."""
    tree = python(cell) or ast.Module(body=[], type_ignores=[])
    complaints, figures = [], calls(tree, "figures")
    if len(figures) > 1:
        complaints.append(f"{cell.where}: {len(figures)} figures: give each a cell of its own.")
    elif figures and not (isinstance(tree.body[-1], ast.Expr) and tree.body[-1].value in figures):
        complaints.append(f"{cell.where}: let figures.…(…) be the last line, bare.")
    if calls(tree, "plt") and not cell.tagged("src:"):  # a module's own code stands as it is
        complaints.append(f"{cell.where}: draws with plt: move it to gpt2_tutorial.figures.")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "gpt2_tutorial.figures":
            complaints.append(f"{cell.where}: write `from gpt2_tutorial import figures`.")
    return complaints


def text_complaints(cell: Cell) -> list[str]:
    alt, words = alt_of(cell), len(alt_of(cell).split())
    low, high = plan.ALT_WORDS
    if not alt.strip():
        return [f"{cell.where}: no alt text: say kind, takeaway and key numbers of the figure."]
    complaints = []
    if not low <= words <= high:
        complaints.append(f"{cell.where}: the alt text has {words} words: use {low} to {high}.")
    if alt.lower().startswith("image of"):
        complaints.append(f"{cell.where}: the alt text starts with 'Image of': name the kind.")
    return complaints


def texts(root: Path) -> list[str]:
    """Every figure has an alt text of its own, and only figures have one."""
    complaints, seen = [], {}
    for cell in (cell for notebook in notebooks(root) for cell in notebook.code()):
        complaints += figure_complaints(cell)
        tree, alt = python(cell), alt_of(cell)
        if tree and calls(tree, "figures"):
            complaints += text_complaints(cell)
            if alt.strip() and alt in seen:
                complaints.append(f"{cell.where}: same alt text as {seen[alt]}: write another.")
            seen.setdefault(alt, cell.where)
        elif alt or cell.metadata.get("numbers"):
            complaints.append(f"{cell.where}: alt text or numbers without a figure: take it out.")
    return complaints
