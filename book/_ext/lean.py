"""Keep pages light: a page gets the scripts it uses, and none of another host."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup
from sphinx.application import Sphinx

__all__ = ["is_needed", "setup", "without_icon_script"]

FOREIGN = re.compile(r"(?:https?:)?//[\w-]+\.", re.IGNORECASE)

# sphinx-thebe also writes two scripts at the end of every page's text.
THEBE_BODY = re.compile(
    r'<script type="text/x-thebe.*?</script>\s*<script>kernelName.*?</script>', re.S
)

# What a file's name (or an inline script) mentions, and the markup that needs it.
NEEDED_FOR = {
    "clipboard": 'class="highlight',
    "copybutton": 'class="highlight',
    "design-tabs": "sd-tab-set",
    "sphinx-design": 'class="sd-',
    "toggle": 'class="toggle',
}


def is_needed(asset: str, body: str) -> bool:
    """Tell whether a page with this body needs a script or stylesheet.

    >>> is_needed("_static/sphinx-thebe.js", "<p>text</p>")
    False
    >>> is_needed("_static/copybutton.js", '<div class="highlight-python">')
    True
    """
    if "thebe" in asset.lower() or FOREIGN.search(asset):
        return False
    uses = [markup for name, markup in NEEDED_FOR.items() if name in asset]
    return not uses or any(markup in body for markup in uses)


def without_icon_script(head: str) -> Markup:
    """Drop Font Awesome's 1.5 MB script, since its stylesheet already draws every icon.

    >>> without_icon_script('<b></b><script src="fontawesome/js/all.min.js"></script>')
    Markup('<b></b>')
    """
    script = r"\s*<script [^>]*fontawesome/[^>]*></script>"
    unused_font = r"\s*<link [^>]*fa-regular-400[^>]*>"
    return Markup(re.sub(f"{script}|{unused_font}", "", str(head)))


def _describe(asset: Any) -> str:
    body = (getattr(asset, "attributes", None) or {}).get("body") or ""
    return f"{getattr(asset, 'filename', asset) or ''} {body}"


def _slim(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    body = context["body"] = THEBE_BODY.sub("", context.get("body") or "")
    for kind in ("script_files", "css_files"):
        kept = [asset for asset in context.get(kind, []) if is_needed(_describe(asset), body)]
        context[kind] = kept
    context["lean"] = without_icon_script


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after every other extension has added its scripts."""
    app.connect("html-page-context", _slim, priority=950)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
