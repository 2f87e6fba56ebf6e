"""The search page with a query: its width, what it fetches, what a result says, the keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

QUERIES = ["attention", "Exercise 7", "CausalSelfAttention"]  # a word, a heading, a name


def look_for(page: Page, address: str, words: str) -> None:
    page.goto(f"{address}search.html?q={words}")
    page.locator(".search-summary", has_text="Places").wait_for()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("words", QUERIES)
def test_results_never_scroll_sideways(page, address, words, width):
    page.set_viewport_size({"width": width, "height": 900})
    look_for(page, address, words)
    assert page.locator("ul.search > li").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    lefts = page.locator("ul.search > li").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1  # one below the other


@pytest.mark.parametrize("words", QUERIES)
def test_a_query_fetches_the_index_and_no_page(page, address, words):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    look_for(page, address, words)
    page.wait_for_load_state("networkidle")
    pages = [url for url in asked if ".html" in url]
    assert pages == [f"{address}search.html?q={words.replace(' ', '%20')}"]
    assert sum("searchindex.js" in url for url in asked) == 1


def test_a_result_says_chapter_and_part(page, address):
    look_for(page, address, "attention")
    results = page.locator("ul.search > li")
    said = results.evaluate_all("all => all.map((one) => one.innerText)")
    chapter = next(text for text in said if text.startswith("07 · Attention"))
    assert "\nD\nAttention\n" in chapter.replace(" ", "\n") + "\n"
    assert len(chapter) > 80, f"{chapter!r} has no sentence about the page"
    sections = [text for text in said if "notebooks" in text or "08 · Many heads" in text]
    assert sections, said
    places = results.locator("small").all_inner_texts()
    assert len(places) == len(said) and all(places), said
    assert not any(" > " in text for text in said)
    names = [place for place in places if place.startswith(("function · ", "class · "))]
    assert names and all("API" in place for place in names), "a name says what it is and where"
    assert "attention weight\nGlossary" in said


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_among_results(page, address, axe, scheme):
    page.emulate_media(color_scheme=scheme)
    look_for(page, address, "attention")
    assert axe(page) == []


def test_the_keyboard_goes_through_the_results(page, address):
    look_for(page, address, "attention")
    page.locator("main input[type=search]").focus()
    active = "document.activeElement.href ?? document.activeElement.name"
    links = page.locator("ul.search a").evaluate_all("all => all.map((link) => link.href)")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(active) == links[1]
    page.keyboard.press("ArrowUp")
    assert page.evaluate(active) == links[0]
    page.keyboard.press("ArrowUp")
    assert page.evaluate(active) == "q"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url.split("?")[0].split("#")[0] == links[0].split("#")[0])


def test_nothing_found_is_said_with_a_way_on(page, address):
    page.goto(f"{address}search.html?q=zzzyx")
    page.locator(".search-summary[role=status]", has_text="Nothing found. Try one word").wait_for()
    assert page.locator("ul.search > li").count() == 0
