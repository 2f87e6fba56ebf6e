"""A chapter has one name, its title: in the menu, on the landing page, in the README."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from serving import ROOT, parsed, toc_pages

pytestmark = pytest.mark.browser  # most of these places are on the built pages

CHAPTERS = [name for name in toc_pages() if name.startswith("notebooks/")]
LINK = re.compile(r"\[(\d\d · [^\]]+)\]\((?:\.\./)?(notebooks/\d\d_\w+)\.ipynb\)")


def title(chapter: str) -> str:
    cells = json.loads(Path(ROOT, f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).split("\n")[0].removeprefix("# ")


@pytest.mark.parametrize("page", ["README.md", "book/index.md"])
def test_readme_and_landing_page_name_every_chapter_by_its_title(page):
    named = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert {chapter for _, chapter in named} == set(CHAPTERS)
    for name, chapter in named:
        assert name == title(chapter)


@pytest.mark.parametrize("name", [*toc_pages(), "index", "search", "genindex", "404"])
def test_every_page_names_every_chapter_by_its_title(site, name):
    page = parsed(site / f"{name}.html")
    titles = {Path(chapter).name: title(chapter) for chapter in CHAPTERS}
    links = page.select("#menu a[href], .neighbours a[href], link[rel=next], link[rel=prev]")
    seen = set()
    for link in links:
        own = name if link["href"] == "#" else link["href"]
        chapter = Path(own.split("#")[0]).name.removesuffix(".html")
        if chapter not in titles:
            continue
        words = [text for text in link.strings if not text.find_parent("small")]  # its question
        said = link.get("title") if link.name == "link" else "".join(words).strip()
        assert said == titles[chapter], f"{name} calls {chapter} {said!r}"
        seen.add(chapter)
    assert seen == set(titles)
    if name in CHAPTERS:
        own = titles[Path(name).name]
        assert page.title.get_text() == f"{own} · GPT-2 from scratch"
        assert page.select_one("h1").get_text().removesuffix("#") == own
