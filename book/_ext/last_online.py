"""What the weekly run with a network found, said on the page; or that it has not run yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PLACE = "[[online:install]]"


def said(file: Path) -> str:
    """Say what `file`, the weekly run's results/online.json, holds about installing on Colab.

    >>> said(Path("nowhere.json"))
    'nobody has timed it yet'
    """
    if not file.exists():
        return "nobody has timed it yet"
    found = json.loads(file.read_text(encoding="utf-8"))
    install = found["install"]
    if not install["works"]:
        return f"on {found['date']} it failed, and we are on it"
    return f"on {found['date']} it took {install['seconds']:.0f} seconds"


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill the place in while pages are read."""

    def fill(app: Sphinx, page: str, source: list[str]) -> None:
        if PLACE in source[0]:
            file = Path(app.srcdir) / "results" / "online.json"
            source[0] = source[0].replace(PLACE, said(file))

    app.connect("source-read", fill)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
