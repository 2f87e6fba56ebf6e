"""The built site in a real browser, under the prefix it has on the public host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

import pytest
from lean import fitting, minified
from PIL import Image, ImageStat
from playwright.sync_api import Page, expect
from serving import PREFIX, ROOT, new_page, of_each_kind, toc_pages

from tiers import tiered

pytestmark = pytest.mark.browser

PAGES = toc_pages()
EVERY = [*PAGES, "index", "search", "genindex", "404"]
PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1280, "height": 800}
DESK = {"width": 1400, "height": 900}
NIGHT = "html[data-theme=dark]"  # a selector: the pages' own rules forbid to wait for a script


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


# Of words in the same kind of box one stays in its box, the others become plain text: axe would
# judge each of thousands, and of what looks alike it says the same.
ONE_OF_A_KIND = """() => {
  const seen = new Set();
  for (const part of [...document.querySelectorAll("span, code, em, strong")].reverse()) {
    if (part.children.length || [...part.attributes].some((one) => one.name !== "class")) continue;
    let kind = "";
    for (let at = part; at; at = at.parentElement) kind += `${at.tagName}.${at.className} `;
    if (seen.has(kind)) part.replaceWith(part.textContent);
    seen.add(kind);
  }
}"""


class Seen(NamedTuple):
    """What one look at a page has found."""

    status: int
    complaints: list[str]
    foreign: list[str]
    wide: list[str]  # code that does not fit a laptop's page
    phone: int  # how wide the page is on a phone
    page: Page  # on a laptop again


@pytest.fixture(scope="module", params=EVERY)
def seen(request, browser, address) -> Iterator[Seen]:
    """Each page is loaded once, with every fold open: on a laptop and on a phone, then by night."""
    complaints: list[str] = []
    foreign: list[str] = []
    context = browser.new_context(viewport=LAPTOP, color_scheme="light")
    page = new_page(context)
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on("request", lambda r: None if r.url.startswith(address) else foreign.append(r.url))
    answer = page.goto(f"{address}{request.param}.html", wait_until="load")
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_load_state("networkidle")
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    wide = page.locator(".cell_input pre").evaluate_all(
        "all => all.filter(box => box.scrollWidth > box.clientWidth).map(box => box.textContent)"
    )
    page.set_viewport_size(PHONE)
    phone = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size(LAPTOP)
    heard = list(complaints)  # what a script misses from now on, we have taken away
    yield Seen(answer.status if answer else 0, heard, foreign, wide, phone, page)
    context.close()


def test_a_page_loads_without_a_complaint(seen):
    assert seen.status == 200
    assert seen.complaints == []
    assert [url for url in seen.foreign if not url.startswith("data:")] == []


def test_a_phone_never_scrolls_sideways(seen):
    assert seen.phone <= PHONE["width"]


def test_code_fits_the_page_of_a_laptop(seen):
    assert seen.wide == []


@pytest.mark.parametrize("seen", tiered(EVERY, of_each_kind(EVERY)), indirect=True)
def test_axe_finds_no_violation(seen, axe):
    seen.page.evaluate(ONE_OF_A_KIND)
    assert axe(seen.page) == []


@pytest.mark.parametrize("name", ["notebooks/00_guessing_game", "book/launch"])
def test_a_page_is_laid_out_in_parts_and_soon_whole(page, address, name):
    page.add_init_script(
        "addEventListener('DOMContentLoaded', () => { window.first = document.documentElement"
        ".classList.contains('in-parts'); })"
    )
    page.goto(f"{address}{name}.html")
    assert page.evaluate("window.first")
    hidden = (
        "all => all.filter(one => getComputedStyle(one).contentVisibility !== 'visible').length"
    )
    assert page.locator("article section").evaluate_all(hidden) == 0
    page.reload()
    assert not page.evaluate("window.first")  # or the place on the page would not be found again
    last = page.locator("article section").last.get_attribute("id")
    page.goto("about:blank")
    page.goto(f"{address}{name}.html#{last}")
    assert not page.evaluate("window.first")


# Every kind of page by night; the others, of the same colours, in `make soak`.
BY_NIGHT = [name for name in of_each_kind(EVERY) if not re.search("notebooks/(?!00|16)", name)]


@pytest.mark.parametrize("seen", tiered(EVERY, BY_NIGHT), indirect=True)
def test_axe_can_tell_the_colours_apart_in_the_dark(seen, axe):
    seen.page.emulate_media(color_scheme="dark")
    seen.page.locator(NIGHT).wait_for(state="attached")
    seen.page.evaluate(ONE_OF_A_KIND)
    assert axe(seen.page, "color-contrast") == []


@pytest.mark.parametrize("drawer", ["menu", "contents"])
def test_axe_finds_no_violation_in_an_open_drawer(page, address, axe, drawer):
    page.set_viewport_size(PHONE)
    page.goto(f"{address}{PAGES[0]}.html")
    page.locator(f"[popovertarget={drawer}]").click()
    assert page.locator(f"#{drawer}").is_visible()
    assert axe(page) == []


def test_axe_would_find_a_violation(page, address, axe):
    page.goto(f"{address}{PAGES[0]}.html")
    page.evaluate("document.querySelector('article').append(document.createElement('img'))")
    assert [fault["id"] for fault in axe(page)] == ["image-alt"]
    page.add_style_tag(content="article p { color: #999; background: #eee }")
    assert [fault["id"] for fault in axe(page, "color-contrast")] == ["color-contrast"]


def test_axe_would_find_one_letter_of_a_kind(page, address, axe):
    page.goto(f"{address}notebooks/01_bigram.html")
    page.add_style_tag(content=".highlight .mi, .highlight .mf { color: #999; background: #eee }")
    before = page.locator(".highlight span").count()
    page.evaluate(ONE_OF_A_KIND)
    left = page.locator(".highlight span").count()
    page.evaluate(ONE_OF_A_KIND)  # once is enough: each kind stands there once
    assert page.locator(".highlight span").count() == left < before / 2
    assert [fault["id"] for fault in axe(page, "color-contrast")] == ["color-contrast"]


def test_the_front_door_is_the_first_page(page, address):
    page.goto(address)
    assert page.url == address
    page.locator("article a", has_text="chapter 00").first.click()
    page.wait_for_url(f"{address}notebooks/00_*")


def test_a_lost_reader_is_led_back_from_any_depth(page, address):
    answer = page.goto(f"{address}no/such/place/at/all.html")
    assert answer is not None and answer.status == 404
    links = page.locator("a[href]").evaluate_all("all => all.map(link => link.href)")
    inside = [link for link in links if link.startswith(address)]
    assert len(inside) > len(PAGES)
    host = address.removesuffix(PREFIX)
    assert not [link for link in links if link.startswith(host) and link not in inside]
    assert {page.request.get(link).status for link in set(inside)} == {200}
    assert page.evaluate("getComputedStyle(document.querySelector('.top')).position") == "sticky"


def test_search_finds_a_word_of_chapter_01(page, address):
    page.set_viewport_size(DESK)
    page.goto(f"{address}{PAGES[0]}.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("bigram")
    page.keyboard.press("Enter")
    # the findings come one after the other, so the first of them says nothing yet
    expect(page.locator("#search-results li a[href*='01_bigram.html']").first).to_be_attached()


def test_dark_mode_is_dark_and_stays(page, address):
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}{PAGES[0]}.html")
    light = brightness(page, "article.bd-article p")
    go_dark(page)
    page.locator(NIGHT).wait_for(state="attached")
    assert light > 200
    assert brightness(page, "article.bd-article p") < 80
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("never", ["requestAnimationFrame", "requestIdleCallback"])
def test_a_page_is_whole_where_nobody_draws_it_or_nothing_is_ever_idle(browser, address, never):
    context = browser.new_context(viewport=LAPTOP)
    page = context.new_page()
    page.add_init_script(f"window.{never} = () => 0")
    page.goto(f"{address}{PAGES[1]}.html")
    expect(page.locator("html")).not_to_contain_class("in-parts", timeout=8_000)
    context.close()


def test_figures_follow_into_the_dark(page, address, soups):
    name = next((n for n in PAGES if soups[n].select(".cell_output img")), None)
    assert name is not None, "no chapter shows a figure"
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}{name}.html")
    assert brightness(page, ".cell_output img") > 180
    page.emulate_media(color_scheme="dark")
    page.locator(NIGHT).wait_for(state="attached")
    assert brightness(page, ".cell_output img") < 100


def test_a_page_can_be_read_without_scripts(browser, address, soups):
    name = next(n for n in PAGES if soups[n].select(".cell_output img"))
    context = browser.new_context(java_script_enabled=False, color_scheme="dark", viewport=DESK)
    page = new_page(context)
    page.goto(f"{address}{name}.html")
    assert page.locator("#menu a").first.is_visible()
    assert brightness(page, "article.bd-article p") < 80
    context.close()


def test_nothing_jumps_when_the_pictures_arrive(page, address, soups):
    name = next(n for n in PAGES if soups[n].select(".cell_output img"))
    page.goto(f"{address}{name}.html", wait_until="domcontentloaded")
    before = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    pictures = page.evaluate("document.images.length")
    moved = abs(page.evaluate("document.documentElement.scrollHeight") - before)
    assert moved <= pictures, f"{pictures} pictures, each with whole pixels, moved it by {moved}"


def test_styles_mean_the_same_when_they_are_short(page, address):
    """The browser reads the same rules out of the short sheet and out of the files it is made of.

    A page has those of them that can mean anything there.
    """
    sheets = sorted((ROOT / "book" / "_styles").glob("*.css"))
    source = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    # The text of a variable is kept as it was written, spaces after commas included.
    read = """css => new CSSStyleSheet().replace(css).then(
      (sheet) => [...sheet.cssRules].map((rule) => rule.cssText.replace(/,\\s+/g, ",")))"""
    page.goto(f"{address}{PAGES[0]}.html")
    inside = page.locator("head style").first.evaluate("style => style.textContent")
    rules, short = page.evaluate(read, source), minified(source)
    assert len(rules) > 100
    assert page.evaluate(read, short) == rules
    assert inside == fitting(short, page.locator("body").inner_html())
