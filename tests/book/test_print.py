"""Every page on paper: white whatever the theme, folds open, nothing short broken in two."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from serving import of_each_kind, toc_pages

from tiers import tiered

pytestmark = pytest.mark.browser

PAGES = toc_pages()

ON_PAPER = """() => {
  const style = (one) => getComputedStyle(one);
  const all = (selector) => [...document.querySelectorAll(`main ${selector}`)];
  const ink = style(document.body).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  return {
    scheme: style(document.documentElement).colorScheme,
    ink: Math.max(...ink),
    filters: [...new Set(all("img").map((one) => style(one).filter))],
    grounds: [...new Set(all("pre").map((one) => style(one.parentElement).colorScheme))],
    alone: all("h1, h2, h3, h4").filter((one) => style(one).breakAfter !== "avoid").length,
    broken: all("img, figure, div.highlight, .cell_output > div")
      .filter((one) => style(one).breakInside !== "avoid").length,
    shut: all("details > :not(summary)").filter((one) => !one.checkVisibility()
      && style(one).display !== "none" && !one.closest(".stage")).length,
    pressed: all("button:not(.option), input[type=range], .where a")
      .filter((one) => one.checkVisibility()).length,
    cut: all("pre")
      .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).length,
  };
}"""
GOOD = {"scheme": "light", "alone": 0, "broken": 0, "shut": 0, "pressed": 0, "cut": 0}


@pytest.mark.parametrize("name", tiered(PAGES, of_each_kind(PAGES)))
def test_paper_is_white_whole_and_open(page, address, name):
    page.add_init_script("localStorage.setItem('mode', 'dark')")
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 between its margins
    page.goto(f"{address}{name}.html")
    expect(page.locator("html[data-theme=dark]")).to_be_attached()
    page.emulate_media(media="print", color_scheme="dark")
    seen = page.evaluate(ON_PAPER)
    assert {key: seen[key] for key in GOOD} == GOOD
    assert seen["ink"] < 80
    assert seen["filters"] in ([], ["none"])
    assert seen["grounds"] in ([], ["light"])


def test_in_the_dark_the_screen_stays_dark(page, address):
    page.add_init_script("localStorage.setItem('mode', 'dark')")
    page.goto(f"{address}{PAGES[0]}.html")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    fold = page.locator("main details:not([open])").first
    if fold.count():
        assert not fold.evaluate("one => one.lastElementChild.checkVisibility()")
