"""The book's links to itself: chapters, exercises, words of the glossary, names of the package."""

from __future__ import annotations

import copy
import re
from urllib.parse import urldefrag

import links
import pytest
import yaml
from docutils import nodes
from playwright.sync_api import expect
from serving import ROOT, parsed, toc_pages
from test_api import ENTRIES

from drift import glossary_order, plan

PAGES = toc_pages()
CHAPTERS = [name for name in PAGES if name.startswith("notebooks/")]
GLOSSARY = links.GLOSSARY
NO_TEXT = "a, button, code, form, h1, h2, h3, h4, h5, h6, label, math, pre, script, style"
NO_TEXT += ", summary, svg, textarea, .stage"
MOST_BYTES = 150_000


def shown(to: str, words: str) -> str:
    return f"[{words}]({to})"


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("chapter 07", "[chapter 07](07)"),
        ("Chapter\n07’s", "[Chapter\n07](07)’s"),
        ("chapters 03 and 04", "chapters [03](03) and [04](04)"),
        ("Chapters 00 to 05 are", "Chapters [00](00) to [05](05) are"),
        ("chapters 01, 04, and 05, too", "chapters [01](01), [04](04), and [05](05), too"),
        ("chapters 11–13", "chapters [11](11)–[13](13)"),
        ("exercise 16.8.", "[exercise 16.8](16.8)."),
        ("chapter 7, 07, chapter 1234, subchapter 07", None),
        ("<code>chapter 07</code><pre>chapter <b>0</b> chapter 07</pre>", None),
        ('<a href="x">chapter 07</a><h3>chapter 07</h3><img alt="chapter 07">', None),
        ('<div class="stage"><div>x</div>chapter 07</div><!-- chapter 07 -->', None),
        ("<details><summary>chapter 07</summary></details>", None),
        ("<p>a) chapter 07 · b) <code>x</code> chapter 08</p>", None),
        ("<li><p>a) chapter 07</p></li>", "<li><p>a) [chapter 07](07)</p></li>"),
        ("<p>a) one</p><p>chapter 07</p>", "<p>a) one</p><p>[chapter 07](07)</p>"),
    ],
)
def test_numbers_become_links_where_they_may(text, linked):
    assert links.numbers_linked(text, shown) == (linked or text)


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("<p>Batches of a batch.</p>", "<p>[Batches](b) of a batch.</p>"),
        ("<p>a loss curve, a loss</p>", "<p>a [loss curve](lc), a [loss](l)</p>"),
        ("<p><b>loss\ncurve</b>s</p>", "<p><b>[loss\ncurve](lc)</b>s</p>"),
        ("<h1>batch</h1><p>batch</p><h2>batch</h2>", None),
        ("<p>lossless, mini-batch, <code>batch</code>, <a>loss</a></p>", None),
    ],
)
def test_a_term_is_linked_at_its_first_use_below_the_card(text, linked):
    entries = {"batch": "b", "loss": "l", "loss curve": "lc"}
    assert links.terms_linked(text, entries, shown) == (linked or text)


def test_cutting_a_page_loses_nothing():
    page = '<p>a <b>c</b><br><img src="x"/> &lt; <!-- <p> --></p> end'
    assert "".join(piece for piece, _ in links.texts(page)) == page


def test_the_cards_links_lead_to_the_public_pages():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert f"{config['html']['baseurl']}notebooks/" == plan.PAGE_LINK


def article(site, name):
    return parsed(site / f"{name}.html").select_one("article.bd-article")


def running_text(site, name) -> str:
    """What a reader reads, without code, headings, links and what becomes a button."""
    page = copy.copy(article(site, name))
    for summary in page.find_all("summary", string=re.compile("^Answers to")):
        summary.parent.find_previous_sibling("p").decompose()
    for element in page.select(NO_TEXT):
        element.decompose()
    return page.get_text()


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_no_chapter_and_no_exercise_is_named_without_a_link(site, name):
    own = name.removeprefix("notebooks/")[:2]
    plain = re.findall(r"(?i)\b(?:chapters?|exercise)\s+\d\d?\b[\d.]*", running_text(site, name))
    assert [words for words in plain if words[-2:] != own] == []


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_link_leads_to_what_its_words_name(site, name):
    for link in article(site, name).select("a[href]"):
        words = link.get_text()
        if chapter := re.fullmatch(r"(?i)chapter\s+(\d\d)", words):
            assert f"{chapter[1]}_" in link["href"], words
        if exercise := re.fullmatch(r"(?i)exercise (\d+)\.(\d+)", words):
            assert f"#exercise-{exercise[1]}-{exercise[2]}-" in link["href"], words
        assert link.find_parent(["a", "button", "code", "pre"]) is None, words


@pytest.mark.browser
@pytest.mark.parametrize("name", CHAPTERS)
def test_every_new_word_of_a_chapter_leads_to_its_entry(site, name):
    meant = {
        term["id"]: term.find_next_sibling("dd").get_text().strip()
        for term in article(site, GLOSSARY).select(".glossary dt")
    }
    found = article(site, name).select("a.term")
    anchors = [urldefrag(link["href"])[1] for link in found]
    assert len(set(anchors)) == len(anchors), "a word is linked twice"
    for link, anchor in zip(found, anchors, strict=True):
        assert link["title"] == meant[anchor]
        assert link.find_parent(re.compile("h[1-6]")) is None
    chapter = name.removeprefix("notebooks/")[:2]
    new = [term.name for term in glossary_order.read(ROOT)[0] if term.chapter == chapter]
    to_papers = {bold.get_text() for bold in article(site, name).select("a.external strong")}
    for term in set(new) - to_papers:  # what leads to its source leads nowhere else
        assert nodes.make_id(f"term-{term}") in anchors, term


@pytest.mark.browser
def test_the_glossary_holds_every_word_once_and_in_order(site):
    terms = article(site, GLOSSARY).select(".glossary dt")
    names = [term.name for term in glossary_order.read(ROOT)[0]]
    assert [re.split(r" \(also | chapter \d", t.get_text(" ", strip=True))[0] for t in terms] == (
        names
    )
    assert len({term["id"] for term in terms}) == len(names)


@pytest.mark.browser
@pytest.mark.parametrize("words", ["ablation", "bf16", "world size"])
def test_the_search_finds_a_word_of_the_glossary(page, address, words):
    page.goto(f"{address}search.html?q={words.replace(' ', '+')}")
    page.wait_for_selector("#search-results li a")
    expect(page.locator("#search-results a[href*='glossary.html#term-']").first).to_be_attached()


@pytest.mark.browser
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_has_no_link_to_itself_on_its_card(site, name):
    card = article(site, name).select_one("h1").find_next_sibling("p").find_next_sibling("p")
    assert "Colab" in card.get_text() and "pictures" not in card.get_text()
    assert not card.get_text().rstrip().endswith("·")


@pytest.mark.browser
def test_old_links_to_the_one_large_page_of_names_still_arrive(site):
    page = article(site, "book/api")
    for name in ENTRIES:
        place = page.select_one(f'[id="gpt2_tutorial.{name}"]')
        assert place is not None and place["href"].endswith(f"#gpt2_tutorial.{name}"), name


@pytest.mark.browser
@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("book/api")])
def test_no_page_of_names_is_large(site, name):
    assert (site / f"{name}.html").stat().st_size <= MOST_BYTES
