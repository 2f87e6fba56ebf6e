"""Everything on the built pages by keyboard: reached with Tab, seen, and worked with Enter."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from serving import of_each_kind, toc_pages

from tiers import tiered

pytestmark = pytest.mark.browser

PAGES = toc_pages()
SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1400, "height": 900}}

# What a mouse can work, and what scrolls: each gets a number, and Tab has to visit them all.
NUMBER = """() => {
  const works = "a[href], button, summary, input, select, textarea, [onclick], [tabindex='0']";
  const other = "[type=radio]:not(:checked), :disabled"; // of a group, Tab visits one
  const scrolls = [...document.querySelectorAll("pre, div")].filter(
    (box) => box.scrollWidth > box.clientWidth + 1
      && ["auto", "scroll"].includes(getComputedStyle(box).overflowX));
  const wanted = [...new Set([...document.querySelectorAll(works), ...scrolls])]
    .filter((part) => part.checkVisibility({ visibilityProperty: true }) && !part.matches(other));
  wanted.forEach((part, number) => { part.dataset.number = number; });
  return wanted.length;
}"""
# Each stop of Tab, kept in the page: to ask for it from here takes longer than to go there.
WATCH = """() => {
  window.stops = [];
  document.addEventListener("focusin", ({ target }) => {
    const style = getComputedStyle(target);
    const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const number = target.dataset.number ?? null;
    window.stops.push({ number, seen, html: target.outerHTML.slice(0, 120) });
  });
}"""


def visited(page: Page, wanted: int) -> list[dict]:
    """Press Tab until all that is wanted was visited, or long after, and say where it stopped."""
    page.evaluate(WATCH)
    for presses in (wanted, 20):
        for _ in range(presses):
            page.keyboard.press("Tab")
        stops = page.evaluate("window.stops")
        if len({stop["number"] for stop in stops} - {None}) == wanted:
            break
    return stops


def with_every_toy_open(page: Page) -> None:
    """Come near each toy until its script has drawn it, and go back to the top."""
    for toy in page.locator("figure.play").all():
        toy.scroll_into_view_if_needed()
        expect(toy).to_have_attribute("data-ready", "")
    page.evaluate("scrollTo(0, 0)")


# Every kind of page, with chapters of each length; all others in `make soak`. Each toy is worked by
# keyboard in test_toys.py.
EVERYWHERE = [(name, size) for name in (*PAGES, "search", "404") for size in SIZES]
FEW = [name for name in of_each_kind([*PAGES, "search", "404"]) if "notebooks/" not in name]
CHAPTERS = [name for name in PAGES if re.search("notebooks/(00|07|12|13|16)", name)]
NOW = [(name, size) for name in FEW for size in SIZES]
NOW += [(name, "desk") for name in CHAPTERS] + [(CHAPTERS[-1], "phone")]


@pytest.mark.parametrize(("name", "size"), tiered(EVERYWHERE, NOW))
def test_tab_reaches_everything_and_shows_where_it_is(page, address, name, size):
    page.set_viewport_size(SIZES[size])
    page.goto(f"{address}{name}.html", wait_until="load")
    with_every_toy_open(page)
    page.wait_for_timeout(100)  # the observers of wide boxes report with the next frame
    wanted = page.evaluate(NUMBER)
    stops = visited(page, wanted)
    reached = {int(stop["number"]) for stop in stops if stop["number"] is not None}
    missed = [
        page.locator(f"[data-number='{number}']").evaluate("part => part.outerHTML.slice(0, 120)")
        for number in sorted(set(range(wanted)) - reached)
    ]
    assert wanted > 5 and missed == []
    assert [stop["html"] for stop in stops if not stop["seen"]] == []


def test_enter_opens_and_closes_a_fold(page, address, soups):
    name = next((n for n in PAGES if soups[n].select("article details > summary")), None)
    assert name is not None, "no chapter has a fold"
    page.goto(f"{address}{name}.html")
    fold = page.locator("article details").first
    fold.locator("summary").first.focus()
    for expected in (True, False):
        page.keyboard.press("Enter")
        assert fold.evaluate("fold => fold.open") is expected


def test_a_drawer_opens_with_enter_and_closes_with_escape(page, address):
    page.set_viewport_size(SIZES["phone"])
    page.goto(f"{address}{PAGES[0]}.html")
    page.locator("[popovertarget=menu]").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#menu') !== null")
    page.keyboard.press("Escape")
    assert not page.locator("#menu").is_visible()
    assert page.evaluate("document.activeElement.getAttribute('popovertarget')") == "menu"


def test_the_first_tab_offers_to_skip_the_menu(page, address):
    page.goto(f"{address}{PAGES[0]}.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_a_wide_box_scrolls_with_the_arrow_keys(page, address, soups):
    name = next(n for n in PAGES if soups[n].select(".cell_input pre"))
    page.set_viewport_size(SIZES["phone"])
    page.goto(f"{address}{name}.html")
    box = page.locator("pre[tabindex='0']").first
    box.focus()
    page.keyboard.press("ArrowRight")
    for _ in range(100):  # the pages' policy lets no text be evaluated inside them, as a wait would
        if page.evaluate("document.activeElement.scrollLeft > 0"):
            return
        page.wait_for_timeout(20)
    pytest.fail("the box does not scroll")


def test_the_theme_button_says_what_it_is(page, address):
    page.goto(f"{address}{PAGES[0]}.html")
    names = set()
    for _ in range(3):
        page.locator(".theme-switch-button").focus()
        page.keyboard.press("Enter")
        names.add(page.locator(".theme-switch-button").inner_text().strip())
    assert names == {"Theme: as the system", "Theme: light", "Theme: dark"}
