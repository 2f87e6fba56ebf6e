"""Where am I: a page's part, its place among the chapters, and what the next one asks."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["parts_of", "setup"]


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


def _begin(app: Sphinx) -> None:
    toc = Path(app.confdir, "_toc.yml").read_text(encoding="utf-8")
    app.config.add("chapter_places", parts_of(yaml.safe_load(toc)), "", dict)


def _ask(app: Sphinx, doctree: nodes.document) -> None:
    """Remember a chapter's question: the first bold sentence under its title."""
    page = app.env.docname
    bold = next(doctree.findall(nodes.strong), None)
    if page.startswith("notebooks/") and bold is not None:
        app.env.metadata[page]["question"] = bold.astext()


def _tell(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["part"], context["place"] = app.config.chapter_places.get(page, ("", ""))
    link = (context.get("next") or {}).get("link", "")  # from this page's folder
    following = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    about = app.env.metadata.get(following.removesuffix(".html"), {})
    context["next_question"] = about.get("question", "") if link else ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", _begin)
    app.connect("doctree-read", _ask)
    app.connect("html-page-context", _tell, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
