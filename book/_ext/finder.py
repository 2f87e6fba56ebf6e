"""What the search page says about a page that it found: the page's own description."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from sphinx.application import Sphinx

__all__ = ["described", "setup"]


def described(metatags: str) -> str:
    """Take a page's description out of its tags.

    >>> described('<meta name="description" content="One &amp; all.">')
    'One & all.'
    """
    found = re.search(r'<meta name="description" content="([^"]*)">', metatags)
    return unescape(found[1]) if found else ""


def _tell(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    if page in app.env.found_docs:
        app.page_descriptions[page] = described(context.get("metatags", ""))
    context["about"] = app.page_descriptions  # the search page is the last but one to be written


def _begin(app: Sphinx) -> None:
    app.page_descriptions = {}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after every page has its tags."""
    app.connect("builder-inited", _begin)
    app.connect("html-page-context", _tell, priority=920)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": False}
