"""A page with some toys and nothing else, so that a toy can be tried without building the book."""

from __future__ import annotations

from pathlib import Path

from lean import minified
from play import PLAY, copied, figure
from serving import ROOT

TOYS = sorted(file.stem for file in (PLAY / "toys").glob("*.js"))
FRAME = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>toys</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><script>{head}</script><style>{styles}</style>
<script type="module" src="_static/play/start.js"></script></head>
<body style="display: flow-root"><main id="main"><h1>Toys</h1>{body}</main></body></html>
"""


def small_site(home: Path, names: list[str]) -> Path:
    """Write `home`/toys.html, with each of these toys as the book's pages show it."""
    sheets = sorted((ROOT / "book" / "_styles").glob("*.css"))
    styles = minified("".join(sheet.read_text(encoding="utf-8") for sheet in sheets))
    head = (ROOT / "book" / "_scripts" / "head.js").read_text(encoding="utf-8")
    body = "\n".join(figure(name) for name in names)
    copied(home / "_static")
    page = FRAME.format(head=head, styles=styles, body=body)
    (home / "toys.html").write_text(page, encoding="utf-8")
    return home
