"""What must not be cut, broken or hidden: tables, powers of ten, outputs, the copy button.

On paper: white whatever the theme, folds open, nothing short broken in two, no sheet half empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from serving import new_page, of_each_kind, toc_pages

from tiers import tiered

pytestmark = pytest.mark.browser

PAGES = toc_pages()
# The narrowest page of each of its shapes (see the styles' @media); others in `make soak`.
NARROW = [390, 481, 609, 705, 768, 1012, 1216]
WIDTHS = [*NARROW, 480, 576, 577, 600, 736, 900, 960, 1024, 1100, 1200, 1280, 1440, 1600]
PHONE = {"width": 390, "height": 844}

CUT = """selector => [...document.querySelectorAll(selector)]
  .filter((box) => box.checkVisibility() && box.scrollWidth > box.clientWidth)
  .map((box) => `${box.scrollWidth} in ${box.clientWidth}: ${box.textContent.slice(0, 60)}`)"""

# A power of ten, GPT-2, (1, 0), an option, a number with a point: on how many lines each stands.
BROKEN = r"""() => {
  const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  const broken = [];
  for (let text = walk.nextNode(); text; text = walk.nextNode()) {
    if (text.parentElement.closest("pre, details:not([open])")) continue;
    const one = new RegExp([/(\d[\s·]+)?10[⁻⁰¹²³⁴-⁹]+/, /GPT-\d/, /(?<!\w)\(−?[\w½¼], −?[\w½¼]\)/,
      /--[a-z]\S*/, /(?<![\w:./])\d+\.\d+(?![\w.])/].map((kind) => kind.source).join("|"), "g");
    for (const found of text.data.matchAll(one)) {
      const range = document.createRange();
      range.setStart(text, found.index);
      range.setEnd(text, found.index + found[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.bottom)));
      if (lines.size > 1) broken.push(found[0]);
    }
    const [whole] = /(\d[\s·]+)?10$/.exec(text.data) ?? [];
    if (!whole || text.nextSibling?.nodeName !== "SUP") continue;
    const range = document.createRange();
    range.setStart(text, text.data.length - whole.length);
    range.setEnd(text, text.data.length);
    const all = [...range.getClientRects()], above = text.nextSibling.getBoundingClientRect();
    const lines = new Set(all.map((box) => Math.round(box.bottom)));
    const low = Math.max(...all.map((box) => box.bottom));
    if (lines.size > 1 || above.top > low) broken.push(`${whole}^${text.nextSibling.textContent}`);
  }
  return broken;
}"""


SHRUNK = """() => [...document.querySelectorAll(".cell_output figure img")]
  .filter((one) => one.checkVisibility() && one.clientWidth < one.getAttribute("width"))
  .map((one) => `${one.clientWidth} of ${one.getAttribute("width")}: ${one.alt}`)"""


# Words of a table that stand on three lines or more: a column too narrow for them.
CRUMBLED = r"""() => [...document.querySelectorAll("main :is(td, th)")].flatMap((cell) => {
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
  for (let text = walk.nextNode(); text; text = walk.nextNode()) {
    if (text.parentElement.closest("details:not([open])")) continue;
    for (const word of text.data.matchAll(/\S+/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.bottom)));
      if (lines.size > 2) found.push(word[0]);
    }
  }
  return found;
})"""
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
    broken: all("img, figure:not(.play), .stage, tr, .ask")
      .concat(all(".cell_output > div:not(:has(pre, table))"))
      .filter((one) => style(one).breakInside !== "avoid").length,
    halves: all("pre").filter((one) => style(one).orphans < 10 || style(one).widows < 10).length,
    empty: all("pre, div.highlight, .play, .think, .wrong, .cell_output > div:has(table)")
      .filter((one) => style(one).breakInside === "avoid").length,
    shut: all("details > :not(summary)").filter((one) => !one.checkVisibility()
      && style(one).display !== "none" && !one.closest(".stage")).length,
    pressed: all("button:not(.option), input[type=range], .where a")
      .filter((one) => one.checkVisibility()).length,
    cut: all("pre")
      .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).length,
  };
}"""
GOOD = {"scheme": "light", "alone": 0, "broken": 0, "halves": 0, "empty": 0}
GOOD |= {"shut": 0, "pressed": 0, "cut": 0}


@pytest.fixture(scope="module")
def opened(request, browser, address) -> Iterator[Page]:
    """Each page is loaded once, in the dark and with nothing veiled, for paper and all widths."""
    context = browser.new_context()
    context.add_init_script("localStorage.setItem('veil', 'false')")
    context.add_init_script("localStorage.setItem('mode', 'dark')")
    page = new_page(context)
    page.goto(f"{address}{request.param}.html")
    yield page
    context.close()


@pytest.mark.parametrize("opened", tiered(PAGES, of_each_kind(PAGES)), indirect=True)
def test_paper_is_white_whole_and_open(opened):
    opened.set_viewport_size({"width": 718, "height": 1000})  # A4 between its margins
    expect(opened.locator("html[data-theme=dark]")).to_be_attached()
    opened.emulate_media(media="print", color_scheme="dark")
    seen = opened.evaluate(ON_PAPER)
    assert {key: seen[key] for key in GOOD} == GOOD
    assert seen["ink"] < 80
    assert seen["filters"] in ([], ["none"])
    assert seen["grounds"] in ([], ["light"])


@pytest.mark.parametrize("widths", tiered([NARROW, WIDTHS], [NARROW]), ids=len)
@pytest.mark.parametrize("opened", tiered(PAGES, of_each_kind(PAGES)), indirect=True)
def test_no_table_is_cut_and_no_power_or_name_broken_at_any_width(opened, widths):
    """Tables and formulas fit everywhere; those of the results may scroll on a phone."""
    opened.emulate_media(media="screen")
    opened.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    for width in widths:
        opened.set_viewport_size({"width": width, "height": 900})
        assert opened.evaluate(CUT, ".cell_output .text_html, div.math") == [], f"at {width} px"
        assert opened.evaluate(BROKEN) == [], f"at {width} px"
        assert opened.evaluate(CRUMBLED) == [], f"at {width} px"
        # drawn with letters of 9 pt or more (test_figures.py), so none may be made smaller
        assert opened.evaluate(SHRUNK) == [], f"at {width} px"
        if width >= 768 or "/results" not in opened.url:
            assert opened.evaluate(CUT, ".pst-scrollable-table-container") == [], f"at {width} px"


def test_in_the_dark_the_screen_stays_dark(page, address):
    page.add_init_script("localStorage.setItem('mode', 'dark')")
    page.goto(f"{address}{PAGES[0]}.html")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    fold = page.locator("main details:not([open])").first
    if fold.count():
        assert not fold.evaluate("one => one.lastElementChild.checkVisibility()")


def test_a_cut_table_and_a_broken_power_would_be_found(page, address):
    page.goto(f"{address}notebooks/07_attention.html")
    page.set_viewport_size(PHONE)
    page.evaluate("""() => { document.querySelector("main").innerHTML =
      '<div class="cell_output"><div class="text_html"><table><tr><td style="min-width: 900px">' +
      'perplexity</td></tr></table></div></div><p style="width: 3ch">2 · 10⁻¹⁶</p>' +
      '<p style="width: 3ch">3 · 10<sup>−7</sup></p>'; }""")
    assert len(page.evaluate(CUT, ".cell_output .text_html")) == 1
    assert page.evaluate(BROKEN) == ["2 · 10⁻¹⁶", "3 · 10^−7"]


# A folder of some machine; a fraction is none, nor “…/run”, which a cell has shortened.
PATH = re.compile(r"(?<![\w.:/~…])/(?:[\w.-]+/){1,}[\w.-]+|\b[A-Z]:\\\\\w")


@pytest.mark.parametrize("name", PAGES)
def test_no_output_shows_a_path_of_somebodys_disk(soups, name):
    for output in soups[name].select(".cell_output"):
        assert PATH.findall(output.get_text()) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("/home/me/site-packages/tqdm/auto.py:21: TqdmWarning", True),
        ("Writing /tmp/tmpab12/toy.py", True),
        ("C:\\\\Users", True),
        ("2/3 and a/b, https://example.org/a/b", False),
    ],
)
def test_a_path_would_be_found(said, found):
    assert bool(PATH.findall(said)) == found


@pytest.mark.parametrize("name", PAGES)
def test_no_output_shows_markdown_that_nobody_rendered(soups, name):
    for output in soups[name].select(".cell_output"):
        text = output.get_text()
        assert not re.search(r"^\|[ :|-]*-{2,}[ :|-]*\|", text, re.MULTILINE), text[:200]
        assert not re.search(r"^#{1,4} [A-Z]", text, re.MULTILINE), text[:200]


@pytest.fixture
def touched(browser) -> Page:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    yield new_page(context)
    context.close()


# One style shows them everywhere: some chapters and all other kinds of page now.
SOME = [name for name in of_each_kind(PAGES) if not re.search("notebooks/(?!00|08|16)", name)]


@pytest.mark.parametrize("names", [SOME, pytest.param(PAGES, marks=pytest.mark.soak)], ids=len)
def test_a_finger_sees_every_copy_button(touched, address, soups, names):
    for name in names:
        if not soups[name].select(".highlight"):
            continue
        touched.goto(f"{address}{name}.html", wait_until="domcontentloaded")
        shown = touched.locator(".copy").evaluate_all(
            "all => all.map((button) => getComputedStyle(button).opacity)"
        )
        assert set(shown) == {"1"}, name
    over = touched.locator(".highlight:has(> .copy)").first.evaluate("""box => {
      const range = document.createRange();
      range.selectNodeContents(box.querySelector("pre"));
      const text = range.getBoundingClientRect(), button = box.querySelector(".copy");
      return button.getBoundingClientRect().bottom - text.top;
    }""")
    assert over <= 1, "the button stands on the code"


def test_a_reference_stands_beside_its_label_also_where_two_places_cite_it(page, address):
    page.goto(f"{address}book/bibliography.html")
    gaps = """entries => entries.map((entry) => {
      const label = document.createRange();
      label.selectNodeContents(entry.querySelector(".label"));
      const text = entry.querySelector("p").getBoundingClientRect();
      return text.left - label.getBoundingClientRect().right;
    })"""
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        found = page.locator(".citation").evaluate_all(gaps)
        assert found and min(found) >= 0, f"at {width} px"


def test_the_index_is_as_wide_as_the_page(page, address):
    page.goto(f"{address}genindex.html")
    share = "lists => Math.max(...lists.map((list) => list.clientWidth))"
    widest = page.locator(".genindextable ul").evaluate_all(share)
    page.set_viewport_size({"width": 390, "height": 844})
    assert widest > 300 and page.locator(".genindextable ul").evaluate_all(share) > 300
