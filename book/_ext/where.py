"""Where am I: part, place among the chapters, station on the way, what the next one asks."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

__all__ = ["parts_of", "setup", "stations_of"]

# From a text to better numbers, and round again. Every notebook says in one line where it is.
WAY = ("text", "tokens", "vectors", "attention", "block", "logits", "loss", "update")
BEGINS, ENDS = " → ".join(WAY[:2]), " → and again."


def parts_of(toc: dict) -> dict[str, tuple[str, str]]:
    """Say of every chapter in which part it stands and which one it is.

    >>> chapters = [{"file": "notebooks/00_a"}, {"file": "notebooks/01_b"}]
    >>> parts_of({"parts": [{"caption": "A · Guessing", "chapters": chapters}]})["notebooks/01_b"]
    ('A · Guessing', '2 of 2')
    """
    found = [
        (chapter["file"], part["caption"])
        for part in toc["parts"]
        for chapter in part["chapters"]
        if chapter["file"].startswith("notebooks/")
    ]
    return {file: (part, f"{i} of {len(found)}") for i, (file, part) in enumerate(found, 1)}


def stations_of(line: nodes.paragraph) -> list[tuple[str, bool]]:
    """Read a notebook's line “text → **tokens** → … → and again.”: stations, and who is bold.

    >>> text, strong = nodes.Text, nodes.strong
    >>> line = nodes.paragraph("", "", strong("", "text"))
    >>> line += [text(" → "), text(" → ".join(WAY[1:])), text(" → and again.")]
    >>> stations_of(line)[:2]
    [('text', True), ('tokens', False)]
    """
    said = line.astext()
    here = {bold.astext() for bold in line.findall(nodes.strong)}
    names = said.removesuffix(ENDS).split(" → ")
    if tuple(names) != WAY or not here <= set(WAY) or not here:
        wanted = " → ".join(WAY) + ENDS
        raise ExtensionError(f"{said!r} is not {wanted!r} with the chapter's stations in bold")
    return [(name, name in here) for name in names]


def _begin(app: Sphinx) -> None:
    toc = Path(app.confdir, "_toc.yml").read_text(encoding="utf-8")
    # No text counts the figures. Jupyter Book's LaTeX extension switches this on, whatever
    # _config.yml says.
    app.config.numfig = False
    app.config.add("chapter_places", parts_of(yaml.safe_load(toc)), "", dict)


def _ask(app: Sphinx, doctree: nodes.document) -> None:
    """Remember a chapter's question: the first bold sentence under its title."""
    page = app.env.docname
    bold = next(doctree.findall(nodes.strong), None)
    if page.startswith("notebooks/") and bold is not None:
        app.env.metadata[page]["question"] = bold.astext()


def _find(app: Sphinx, doctree: nodes.document) -> None:
    """Take the line of stations out of a chapter: it stands at the head of the page."""
    page = app.env.docname
    if not page.startswith("notebooks/"):
        return
    lines = [p for p in doctree.findall(nodes.paragraph) if p.astext().startswith(BEGINS)]
    if len(lines) != 1:
        raise ExtensionError(f"{page} has {len(lines)} lines that begin with {BEGINS!r}, not one")
    app.env.metadata[page]["stations"] = stations_of(lines[0])
    lines[0].parent.remove(lines[0])


def _tell(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["part"], context["place"] = app.config.chapter_places.get(page, ("", ""))
    context["stations"] = app.env.metadata.get(page, {}).get("stations", [])
    link = (context.get("next") or {}).get("link", "")  # from this page's folder
    following = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    about = app.env.metadata.get(following.removesuffix(".html"), {})
    context["next_question"] = about.get("question", "") if link else ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", _begin)
    app.connect("doctree-read", _ask)
    app.connect("doctree-read", _find)
    app.connect("html-page-context", _tell, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
