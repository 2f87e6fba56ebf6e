"""The built site in a real browser, under the prefix it has on the public host."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image, ImageStat
from playwright.sync_api import Page
from serving import toc_pages

pytestmark = pytest.mark.browser

PAGES = toc_pages()
PHONE = {"width": 390, "height": 844}


def brightness(page: Page, selector: str) -> float:
    """Give the mean grey of what stands on the screen there: 0 is black, 255 is white."""
    shot = page.locator(selector).first.screenshot()
    return ImageStat.Stat(Image.open(BytesIO(shot)).convert("L")).mean[0]


def go_dark(page: Page) -> None:
    """Press the theme button until the page says that it is dark (auto, light, dark)."""
    for _ in range(3):
        page.locator(".theme-switch-button:visible").first.click()
        if page.evaluate("document.documentElement.dataset.mode") == "dark":
            return


@pytest.mark.parametrize("name", [*PAGES, "search", "genindex"])
def test_a_page_loads_without_a_complaint(page, address, name):
    complaints: list[str] = []
    foreign: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("request", lambda r: None if r.url.startswith(address) else foreign.append(r.url))
    answer = page.goto(f"{address}{name}.html", wait_until="load")
    page.wait_for_load_state("networkidle")
    assert answer is not None and answer.status == 200
    assert complaints == []
    assert [url for url in foreign if not url.startswith("data:")] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_never_scrolls_sideways(page, address, name):
    page.set_viewport_size(PHONE)
    page.goto(f"{address}{name}.html")
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"], f"{name} is {width} pixels wide on a phone"


def test_the_front_door_leads_to_the_first_page(page, address):
    page.goto(address)
    page.wait_for_url(f"{address}{PAGES[0]}.html")
    assert page.locator("article h1").first.is_visible()


def test_search_finds_a_word_of_chapter_01(page, address):
    page.goto(f"{address}search.html?q=bigram")
    page.wait_for_selector("#search-results li a")
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any("01_bigram.html" in link for link in links), links


def test_dark_mode_is_dark_and_stays(page, address):
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}{PAGES[0]}.html")
    light = brightness(page, "article.bd-article p")
    go_dark(page)
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert light > 200
    assert brightness(page, "article.bd-article p") < 80
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_figures_follow_into_the_dark(page, address, soups):
    name = next((n for n in PAGES if soups[n].select(".cell_output img")), None)
    assert name is not None, "no chapter shows a figure"
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}{name}.html")
    assert brightness(page, ".cell_output img") > 180
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert brightness(page, ".cell_output img") < 100


def test_folds_open_with_the_keyboard(page, address, soups):
    name = next((n for n in PAGES if soups[n].select("article details > summary")), None)
    assert name is not None, "no chapter has a fold"
    page.goto(f"{address}{name}.html")
    fold = page.locator("article details").first
    before = fold.evaluate("fold => fold.open")
    fold.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("fold => fold.open") != before
