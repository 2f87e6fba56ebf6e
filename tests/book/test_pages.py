"""The built pages, read as text: links, pictures, headings, scripts."""

from __future__ import annotations

import gzip
import re
from copy import copy
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from serving import parsed, toc_pages

pytestmark = pytest.mark.browser  # they need the built site, as the browser does

PAGES = toc_pages()
NOTEBOOKS = [name for name in PAGES if name.startswith("notebooks/")]
EVERY = [*PAGES, "index", "search", "genindex", "404"]
HOME = "https://x-jesse.github.io/GPT-2/"
SEARCH = {"doctools.js", "documentation_options.js", "language_data.js", "searchindex.js"}
SEARCH |= {"searchtools.js", "sphinx_highlight.js"}

# An address of another host. The name of SVG looks like one, and nobody goes there.
HOST = re.compile(r"""(?:https?:|["'`(])//(?!www\.w3\.org/)[\w-]+\.[^\s"']*""")
LEFT = re.compile(r".{0,20}(?:`|\*\*\S[^*\n]*\*\*|\\\$|\]\(|\[\[[a-z]+:|<!--|\{ref\}).{0,20}")
MOST_WORDS = 45_000  # a page's text and styles, without pictures, toys and scripts
MOST_BYTES = 100_000  # a quarter of what the book allows itself
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


@pytest.mark.parametrize("name", EVERY)
def test_no_script_names_another_host(site, name):
    for script in parsed(site / f"{name}.html").select("script"):
        text = script.string or ""
        if script.get("src"):
            file = (site / f"{name}.html").parent / urlsplit(script["src"]).path
            text = f"{script['src']}\n{file.resolve().read_text(encoding='utf-8')}"
        assert text.strip(), f"an empty script on {name}"
        assert HOST.findall(text) == [], f"a script of {name} names a host"
        assert "thebe" not in text


@pytest.mark.parametrize("text", ["fetch('https://x.org/a')", 'src = "//cdn.x.org/b.js"'])
def test_a_host_in_a_script_would_be_found(text):
    assert HOST.findall(text)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_that_a_page_loads_comes_from_another_host(site, name):
    page = parsed(site / f"{name}.html")
    loads = "link[rel~=stylesheet], link[rel~=preload], link[rel~=icon], img, iframe, script, form"
    for element in page.select(loads):
        for address in (element.get(key, "") for key in ("href", "src", "action")):
            assert not urlsplit(address).netloc, f"{name} loads {address}"
    for style in page.select("style"):
        assert "url(" not in style.get_text() and "@import" not in style.get_text()


@pytest.mark.parametrize("name", EVERY)
def test_a_page_loads_only_what_it_uses(site, name):
    page = parsed(site / f"{name}.html")
    loaded = {Path(urlsplit(script["src"]).path).name for script in page.select("script[src]")}
    needs = {
        "copy.js": "div.highlight",
        "guess.js": "form.guess",
        "board.js": "table.scoreboard",
        "start.js": "figure.play",
    }
    wanted = {"book.js", "where.js"}
    wanted |= {script for script, markup in needs.items() if page.select(markup)}
    wanted |= {"quiz.js"} if name.startswith("notebooks/") else set()
    wanted |= {*SEARCH, "search.js"} if name == "search" else set()
    assert loaded == wanted
    assert not page.select("link[rel=stylesheet]"), "no page here uses cards or tabs"


@pytest.mark.parametrize("name", EVERY)
def test_a_page_weighs_little_before_its_pictures(site, name):
    page = parsed(site / f"{name}.html")
    sources = [urlsplit(script["src"]).path for script in page.select("script[src]")]
    files = [site / f"{name}.html", *((site / f"{name}.html").parent / one for one in sources)]
    compressed = sum(len(gzip.compress(file.read_bytes())) for file in files)
    assert compressed < MOST_BYTES, f"{name} weighs {compressed:,} bytes"
    text = files[0].read_text(encoding="utf-8")
    text = re.sub(r'<figure class="play.*?</figure>', "", text, flags=re.S)  # a toy comes later
    words = len(gzip.compress(text.encode()))
    assert words < MOST_WORDS, f"{name} itself weighs {words:,} bytes without its toys"


def test_the_index_knows_which_chapters_are_there(soups):
    path = soups[PAGES[0]].select_one("section#the-path")
    linked = {link["href"] for link in path.select("a[href*=notebooks]")}
    assert linked == {f"../{name}.html" for name in NOTEBOOKS}
    for line in path.select("li"):
        waiting = "being written" in line.get_text()
        assert waiting == (line.select_one("a") is None), line.get_text()


def test_nothing_lies_in_the_site_that_no_page_loads(site):
    """A page names a file of its own, or a toy; what toys load, a module names by its address."""
    pages = "".join(p.read_text(encoding="utf-8") for p in site.rglob("*.html"))
    play = site / "_static" / "play"
    asked: set[Path] = set()
    for module in play.rglob("*.js"):
        text = module.read_text(encoding="utf-8")
        beside = re.findall(r'(?:from |URL\()"([./\w-]+)"', text)
        asked |= {(module.parent / name).resolve() for name in beside}
        asked |= {play / name for name in re.findall(r'fetched\("(.+?)"', text)}
    toys = set(re.findall(r'data-play="([\w-]+)"', pages))
    for file in (site / "_static").rglob("*"):
        named = file.relative_to(site).as_posix() in pages or file.resolve() in asked
        placed = file.parent == play / "toys" and file.stem in toys
        assert file.is_dir() or named or placed, f"no page loads {file}"


@pytest.mark.parametrize("name", [*PAGES, "index"])
def test_a_link_to_a_page_shows_what_it_is(site, name):
    page = parsed(site / f"{name}.html")
    said = {m.get("name") or m.get("property"): m["content"] for m in page.select("meta[content]")}
    assert 50 <= len(said["description"]) <= 210 and "<" not in said["description"]
    assert said["og:title"] and said["og:site_name"] == "GPT-2 from scratch"
    assert said["og:image"].startswith(HOME)
    assert (site / said["og:image"].removeprefix(HOME)).is_file()
    home = name in ("index", PAGES[0])
    canonical = page.select_one("link[rel=canonical]")["href"]
    assert canonical == (HOME if home else f"{HOME}{name}.html")


def test_descriptions_tell_pages_apart(soups):
    said = [soup.select_one("meta[name=description]")["content"] for soup in soups.values()]
    assert len(set(said)) == len(said)


def test_the_sitemap_names_every_page_once(site):
    tree = ElementTree.parse(site / "sitemap.xml")
    found = [place.text for place in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert sorted(found) == sorted([HOME, *(f"{HOME}{name}.html" for name in PAGES[1:])])
    assert f"Sitemap: {HOME}sitemap.xml" in (site / "robots.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_maths_was_rendered_while_building(soups, name):
    for formula in article(soups, name).select(".math"):
        assert formula.select_one("math"), f"{formula.get_text()!r} is still LaTeX"


@pytest.mark.parametrize("name", PAGES)
def test_no_markup_is_left_in_the_text(site, name):
    """A fold's title, for one, is HTML: a backtick in it stays one."""
    # a copy: other tests read the same tree
    text = copy(article({name: parsed(site / f"{name}.html")}, name))
    for code in text.select("pre, code, dt.sig, math, script, style"):
        code.extract()
    assert LEFT.findall(text.get_text()) == []


@pytest.mark.parametrize("name", EVERY)
def test_every_link_inside_the_site_arrives(site, name):
    for link in parsed(site / f"{name}.html").select("a[href]"):
        path, anchor = urldefrag(link["href"])
        if urlsplit(path).scheme or urlsplit(path).netloc:
            continue
        target = (site / f"{name}.html").parent / unquote(path) if path else site / f"{name}.html"
        target = target.resolve()
        assert target.is_relative_to(site), f"{link['href']} leaves the site"
        assert target.is_file(), f"{link['href']} on {name} leads nowhere"
        if anchor and target.suffix == ".html":
            assert unquote(anchor) in _anchors(target), f"{link['href']} has no such place"


@cache
def _anchors(file: Path) -> set[str]:
    return {element["id"] for element in parsed(file).select("[id]")}
