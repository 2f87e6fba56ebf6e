"""Say the number that this very build measured, wherever a text names a measurement.

The notebooks keep the committed number, as `3.35<!-- m:00.letters_val -->`; another processor may
give another last digit, and a page must not contradict the output that stands on it.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from html import escape, unescape
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from gpt2_tutorial.scoreboard import cells_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from drift.markers import IN_HTML, NUMBER, Number, is_claim, sources_in
from drift.sources import Sources

__all__ = ["alt_texts", "as_written", "boards", "refreshed", "setup"]

ROW = re.compile(r"<tr><td>([^<]*)</td>(?:<td[^>]*>[^<]*</td>)+</tr>")
BOARD = re.compile(r'<table class="scoreboard">.*?</table>', re.S)
ALT = re.compile(r'(?<= alt=")[^"]+(?=")')


def as_written(value: float, text: str) -> str:
    """Write a value with the digits, the signs and the commas of a number in a text.

    >>> as_written(2.2871, "2.31"), as_written(-1234.4, "\u22121,230"), as_written(4e-7, "3.1e-07")
    ('2.29', '\u22121,234', '4.0e-07')
    """
    digits, e, _ = text.partition("e")
    places = len(digits.partition(".")[2])
    sign, comma = ("+" if text[0] == "+" else ""), ("," if "," in text else "")
    number = f"{value:{sign}{comma}.{places}{'e' if e else 'f'}}"
    if digits.lstrip("+-\u2212").startswith("."):
        number = re.sub(r"(?<!\d)0(?=\.)", "", number)
    return number.replace("-", "\u2212", 1) if "\u2212" in text else number


def _now(text: str, markers: str, sources: Sources) -> str:
    """Give the number of a text as this build measured it; what agrees stays as it was written."""
    for source in sources_in(markers):
        kind, _, name = source.partition(":")
        if kind in ("m", "="):
            value = float(sources.value(kind, name))  # type: ignore[arg-type]
            agrees = Number(text, (), 0).agrees_with(value)
            return text if agrees else as_written(value, text)
    return text


def refreshed(body: str, sources: Sources) -> str:
    """Put the fresh number before every marker of a page."""

    def fresh(match: re.Match[str]) -> str:
        number = _now(match["number"], match["markers"], sources)
        return f"{number}{match['tail']}{match['markers']}"

    return IN_HTML.sub(fresh, body)


def boards(body: str, rows: dict[str, dict[str, Any]]) -> str:
    """Put what this build measured into each board: later chapters began with committed rows."""

    def fresh(match: re.Match[str]) -> str:
        row = rows.get(unescape(match[1]))
        return f"<tr>{cells_of(row)}</tr>" if row else match[0]

    return BOARD.sub(lambda board: ROW.sub(fresh, board[0]), body)


def alt_texts(notebook: dict[str, Any], sources: Sources) -> dict[str, str]:
    """Give the alt texts of a notebook that have another number in this build, old to fresh."""
    changed = {}
    for cell in notebook["cells"]:
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        names, claims = cell["metadata"].get("numbers", []), filter(is_claim, NUMBER.finditer(alt))
        now = alt
        for match, name in [*zip(claims, names, strict=True)][::-1]:  # the ends stay where they are
            number = _now(match["number"], f"<!--{name}-->", sources)
            now = now[: match.start("number")] + number + now[match.end("number") :]
        if now != alt:
            changed[alt] = now
    return changed


@cache
def _fresh(folder: Path, root: Path) -> Sources:
    return Sources(root, folder)


@cache
def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    files = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
    return {row["name"]: row for file in files for row in file.get("scoreboard", [])}


def _say(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    root, folder = Path(app.srcdir), Path(app.outdir).parent / "measured"
    if "body" not in context or not folder.is_dir():
        return
    sources = _fresh(folder, root)
    try:
        context["body"] = boards(refreshed(context["body"], sources), _rows(folder))
        source = root / f"{page}.ipynb"
        if source.is_file():
            changed = alt_texts(json.loads(source.read_text(encoding="utf-8")), sources)
            context["body"] = ALT.sub(
                lambda found: escape(changed.get(text := unescape(found[0]), text)),
                context["body"],
            )
    except (ValueError, TypeError) as problem:
        logging.getLogger(__name__).warning("%s: a measured number: %s", page, problem)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx: pages are written when every notebook has run."""
    app.connect("html-page-context", _say, priority=700)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
