"""The figures of the built chapters: a caption under each, and letters that can be read."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
import where
from docutils import nodes
from PIL import Image, ImageStat
from playwright.sync_api import expect
from serving import ROOT, new_page, toc_pages
from sphinx.errors import ExtensionError

from gpt2_tutorial import figures

pytestmark = pytest.mark.browser  # they need the built site

NOTEBOOKS = [name for name in toc_pages() if name.startswith("notebooks/")]
PICTURE = "<a picture>"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_figure_stands_over_its_caption(soups, name):
    pictures = soups[name].select("article .cell_output img")
    assert pictures
    for picture in pictures:
        figure = picture.find_parent("figure")
        assert figure is not None, picture["alt"]
        assert not figure.select(".caption-number"), "no text counts figures"
        assert figure.figcaption.get_text().strip().rstrip("#").endswith("."), picture["alt"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_letters_of_a_figure_touch_others(site, name):
    """With the numbers of this build: a label that fitted yesterday's may not fit today's."""
    run = json.loads((ROOT / "_build" / "executed" / f"{name[10:]}.ipynb").read_text("utf-8"))
    outputs = [output for cell in run["cells"] for output in cell.get("outputs", [])]
    said = ["".join(o["data"].get("text/plain", "")) for o in outputs if "data" in o]
    pictures = [words for words in said if words.startswith(PICTURE)]
    assert pictures
    assert [words for words in pictures if words != PICTURE] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_way_of_the_book_stands_over_a_chapter_and_says_where_it_is(soups, name):
    way = soups[name].select("ol.way > li")
    here = [station for station in way if station.strong]
    assert len(way) == 8 and 1 <= len(here) < 8
    assert all("(here)" in station.get_text() for station in here)


@pytest.mark.parametrize("said", ["text → tokens → and again.", " → ".join(where.WAY)])
def test_a_way_with_a_station_missing_or_nobody_on_it_is_refused(said):
    with pytest.raises(ExtensionError, match="stations in bold"):
        where.stations_of(nodes.paragraph("", said))


@pytest.mark.parametrize("name", ["notebooks/07_attention", "notebooks/11_gpt2"])
def test_a_figure_is_as_wide_as_the_column_and_scrolls_on_a_phone(page, address, name):
    """Its letters keep their size; its caption stays where it can be read."""
    page.goto(f"{address}{name}.html")
    figure = page.locator(".cell_output figure").first
    drawn, caption = figure.locator("img"), figure.locator("figcaption")
    assert drawn.bounding_box()["width"] == pytest.approx(704, abs=1)
    page.set_viewport_size({"width": 390, "height": 844})
    assert drawn.bounding_box()["width"] == pytest.approx(704, abs=1)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(figure).to_have_attribute("tabindex", "0")
    assert figure.evaluate("one => { one.scrollLeft = 999; return one.scrollLeft; }") > 250
    assert drawn.bounding_box()["x"] < 0 <= caption.bounding_box()["x"]
    assert caption.bounding_box()["x"] + caption.bounding_box()["width"] <= 390


def test_on_a_phone_the_stripe_of_what_is_wrong_covers_no_figure(page, address):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}notebooks/16_ddp.html")
    box = page.locator(".wrong:has(figure img)").first
    stripe = box.evaluate("""box => box.getBoundingClientRect().left
      + parseFloat(getComputedStyle(box, "::before").width)""")
    assert box.locator("figure img").first.bounding_box()["x"] >= stripe


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        ('data-jp-theme-light="true" style="background: #fff"', 200, 255),
        ('data-jp-theme-light="false" style="background: #111"', 0, 60),  # JupyterLab
        ('class="vscode-dark" style="background: #111"', 0, 60),
    ],
)
def test_a_picture_goes_with_the_night_of_a_notebook(browser, body, low, high):
    shown = figures.price_of_a_guess()._repr_mimebundle_()["text/html"]
    page = new_page(browser)
    page.set_content(f"<body {body}>{shown}</body>")
    shot = page.locator("img").screenshot()
    page.close()
    assert low <= ImageStat.Stat(Image.open(BytesIO(shot)).convert("L")).mean[0] <= high
