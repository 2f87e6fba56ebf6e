"""The built pages, read as text: links, pictures, headings, scripts."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from bs4 import BeautifulSoup
from serving import toc_pages

pytestmark = pytest.mark.browser  # they need the built site, as the browser does

PAGES = toc_pages()
NOTEBOOKS = [name for name in PAGES if name.startswith("notebooks/")]
COLAB = "https://colab.research.google.com/github/x-jesse/GPT-2/blob/main/"


def article(soups: dict[str, BeautifulSoup], name: str) -> BeautifulSoup:
    return soups[name].select_one("article.bd-article")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_a_title_and_text(soups, name):
    text = article(soups, name)
    assert text is not None and len(text.select("h1")) == 1
    assert len(text.get_text()) > 500


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_chapter_opens_in_colab(soups, name):
    buttons = soups[name].select(".article-header-buttons a[href]")
    assert f"{COLAB}{name}.ipynb" in [button["href"] for button in buttons]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_chapter_was_executed(soups, name):
    assert article(soups, name).select(".cell_output")


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_says_what_it_shows(soups, name):
    for image in article(soups, name).select("img"):
        alt = image.get("alt", "").strip()
        file_name = Path(urlsplit(image["src"]).path).name
        assert alt, f"{file_name} has no alt text"
        assert " " in alt, f"the alt text {alt!r} of {file_name} is a name, not a sentence"
        assert Path(file_name).stem not in alt, f"the alt text {alt!r} is a file's name"


@pytest.mark.parametrize("name", PAGES)
def test_headings_never_skip_a_level(soups, name):
    level = 0
    for heading in article(soups, name).select("h1, h2, h3, h4, h5, h6"):
        deeper = int(heading.name[1])
        assert deeper <= level + 1, f"{heading.get_text()!r} is h{deeper} after h{level}"
        level = deeper


@pytest.mark.parametrize("name", PAGES)
def test_no_script_names_another_host(soups, name):
    for script in soups[name].select("script"):
        source = f"{script.get('src') or ''} {script.string or ''}"
        assert "//" not in source, f"a script of {name} names a host: {source[:120]}"
        assert "thebe" not in str(script)


@pytest.mark.parametrize("name", PAGES)
def test_no_style_or_picture_comes_from_another_host(soups, name):
    for element in soups[name].select("link[rel~=stylesheet], link[rel~=preload], img, iframe"):
        address = element.get("href") or element.get("src") or ""
        assert not urlsplit(address).netloc, f"{name} loads {address}"


@pytest.mark.parametrize("name", PAGES)
def test_maths_was_rendered_while_building(soups, name):
    for formula in article(soups, name).select(".math"):
        assert formula.select_one("math"), f"{formula.get_text()!r} is still LaTeX"


@pytest.mark.parametrize("name", PAGES)
def test_every_link_inside_the_site_arrives(site, soups, name):
    for link in soups[name].select("a[href]"):
        path, anchor = urldefrag(link["href"])
        if urlsplit(path).scheme or urlsplit(path).netloc:
            continue
        target = (site / f"{name}.html").parent / unquote(path) if path else site / f"{name}.html"
        target = target.resolve()
        assert target.is_relative_to(site), f"{link['href']} leaves the site"
        assert target.is_file(), f"{link['href']} on {name} leads nowhere"
        if anchor and target.suffix == ".html":
            assert unquote(anchor) in _anchors(target), f"{link['href']} has no such place"


def _anchors(file: Path) -> set[str]:
    if file not in _SEEN:
        soup = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        _SEEN[file] = {element["id"] for element in soup.select("[id]")}
    return _SEEN[file]


_SEEN: dict[Path, set[str]] = {}
