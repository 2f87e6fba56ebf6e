"""Put the toys into the pages: `<!-- play: logits -->` in a text becomes a picture to play with."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from gpt2_tutorial import assets
from gpt2_tutorial.text import load_shakespeare, split

__all__ = ["PLAY", "copied", "figure", "setup", "with_toys"]

PLAY = Path(__file__).resolve().parents[1] / "play"
MODEL = PLAY.parents[1] / "results" / "models" / "simple-gpt"
NOT_LOADED = shutil.ignore_patterns("*.html", "stills", "jsconfig.json")
PLACE = re.compile(r"<!-- play: ([\w-]+) -->")


def figure(name: str) -> str:
    """Give a toy's markup: its caption, its still picture, and the same in words.

    The script draws over the still. Without scripts, and on paper, still and words remain.

    >>> "<figcaption>" in figure("logits") and 'data-play="logits"' in figure("logits")
    True
    """
    text, still = PLAY / "toys" / f"{name}.html", PLAY / "stills" / f"{name}.html"
    if not text.is_file():
        known = ", ".join(sorted(file.stem for file in text.parent.glob("*.html")))
        raise ExtensionError(f"There is no toy named {name} in book/play/toys, only: {known}.")
    caption, _, words = text.read_text(encoding="utf-8").partition("</figcaption>\n")
    drawn = still.read_text(encoding="utf-8").strip() if still.is_file() else ""
    return (
        f'<figure class="play" id="play-{name}" data-play="{name}">\n{caption}</figcaption>\n'
        f'<div class="stage">{drawn}</div>\n'
        f"<details><summary>The same in words</summary>\n{words.strip()}\n</details>\n</figure>"
    )


def with_toys(body: str) -> str:
    """Replace each comment that names a toy by the toy.

    >>> with_toys("<p>text</p>")
    '<p>text</p>'
    """
    return PLACE.sub(lambda found: figure(found[1]), body)


def copied(static: Path) -> None:
    """Copy what the pages load later: modules, data, chapter 12's model, GPT-2's merges."""
    home = static / "play"
    shutil.copytree(PLAY, home, ignore=NOT_LOADED, dirs_exist_ok=True)
    (home / "model").mkdir(exist_ok=True)
    seen, _ = split(load_shakespeare())  # what the count table of chapter 01 counted
    (home / "shakespeare.txt").write_text(seen, encoding="utf-8")
    for name in ("config.json", "characters.json", "model.safetensors"):
        shutil.copy(MODEL / name, home / "model")
    (home / "gpt2").mkdir(exist_ok=True)
    (home / "gpt2" / "merges.txt").write_bytes(assets.path("vocab.bpe").read_bytes())


def _place(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["body"] = with_toys(context.get("body", ""))
    context["has_toys"] = 'class="play"' in context["body"]


def _copy(app: Sphinx, error: Exception | None) -> None:
    if not error and app.builder.format == "html":
        copied(Path(app.outdir, "_static"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, before the pages are made light."""
    app.connect("html-page-context", _place, priority=900)
    app.connect("build-finished", _copy, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
