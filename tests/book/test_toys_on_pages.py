"""The toys where readers meet them: every page with all of its toys opened, hostile text in all."""

from __future__ import annotations

import re

import pytest
from serving import ROOT, toc_pages
from test_toys import HOSTILE, SHIFTS, by_night_and_on_a_phone

from tiers import tiered

pytestmark = pytest.mark.browser

PLACE = re.compile(r"<!-- play: ([\w-]+) -->")


def toys_of(page: str) -> list[str]:
    source = next(file for kind in ("ipynb", "md") if (file := ROOT / f"{page}.{kind}").is_file())
    return PLACE.findall(source.read_text(encoding="utf-8"))


WITH_TOYS = {page: toys for page in toc_pages() if (toys := toys_of(page))}
QUICK = ["book/index", "notebooks/06_bpe"]  # the guesser and its model; the field for any text


@pytest.mark.parametrize("name", tiered(WITH_TOYS, QUICK))
def test_a_page_with_all_its_toys_opened(page, address, axe, name):
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.add_init_script(f"({SHIFTS})()")
    page.goto(f"{address}{name}.html")
    for toy in WITH_TOYS[name]:
        page.locator(f"#play-{toy}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#play-{toy}[data-ready]")
    assert page.evaluate("window.shifted") < 0.001, "something jumped when a toy opened"
    page.evaluate(
        "document.querySelectorAll('.play details').forEach(fold => { fold.open = true; })"
    )
    assert axe(page) == []
    fields = page.locator(".stage :is(input[type=text], textarea)")
    for text in HOSTILE if fields.count() else []:
        fields.evaluate_all(
            """(all, text) => all.forEach((field) => {
              field.value = text; field.dispatchEvent(new Event("input")); })""",
            text,
        )
        page.wait_for_timeout(50)
        assert page.locator(".stage :is(img, script, iframe, b)").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    by_night_and_on_a_phone(page, axe)
    assert complaints == []


def test_a_toy_that_does_not_come_leaves_its_picture_to_read(page, address):
    page.route(re.compile(r"/play/toys/merges\.js"), lambda route: route.abort())
    page.goto(f"{address}notebooks/06_bpe.html")
    page.locator("#play-merges").scroll_into_view_if_needed()
    page.wait_for_selector("#play-merges[data-failed]")
    stage = page.locator("#play-merges .stage")
    assert stage.evaluate("stage => stage.inert") is False, "a screen reader would skip it"
    assert len(stage.inner_text().split()) > 3
    assert stage.locator(":is(.controls, .stepper):visible").count() == 0
    page.locator("#play-live-tokenizer").scroll_into_view_if_needed()
    page.wait_for_selector("#play-live-tokenizer[data-ready]")  # its neighbour plays on
