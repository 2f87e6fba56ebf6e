"""Guess first: the field before an answer, the veil over it, and what is said to a guess."""

from __future__ import annotations

import json
import re

import pytest
from guess import questions
from playwright.sync_api import expect
from serving import ROOT, new_page
from sphinx.errors import ExtensionError

from gpt2_tutorial.ledger import reveal

pytestmark = pytest.mark.browser

PAGE = "notebooks/07_attention.html"
HIDDEN = "form => [...form.parentElement.children].filter((one) => !one.checkVisibility()).length"


def asked() -> dict[str, list]:
    """The calls of reveal in every notebook, by the page's name."""
    found = {}
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        found[file.stem] = [q for source in sources for q in questions(source)]
    return found


def test_every_guess_of_a_notebook_has_its_field_on_the_page(soups):
    for chapter, wanted in asked().items():
        soup = soups[f"notebooks/{chapter}"]
        fields = {form["data-name"]: form for form in soup.select("form.guess")}
        assert sorted(fields) == sorted(q.name for q in wanted)
        for question in wanted:
            form = fields[question.name]
            assert (form["data-low"], form["data-high"]) == (question.low, question.high)
            said = f"Measured {form['data-measured']}."
            assert any(said in block.text for block in soup.select(".cell_output"))
        assert "Next time put your guess in" not in soup.text


@pytest.fixture
def guesser(first_visit, address):
    first_visit.goto(f"{address}{PAGE}")
    return first_visit


def test_what_follows_is_veiled_until_a_guess_is_in(guesser):
    form = guesser.locator("form.guess").first
    assert form.evaluate(HIDDEN) > 0
    form.locator("input").fill("0.5")
    form.locator("input").press("Enter")
    assert form.evaluate("form => form.nextElementSibling.checkVisibility()")
    assert guesser.locator("form.guess").nth(0).get_attribute("data-done") is not None
    guesser.reload()
    assert "You guessed 0.5" in form.locator("[role=status]").inner_text()  # remembered


@pytest.mark.parametrize(
    "numbers", [("1", "0.874", "0,2"), ("−3", "87 %", "1e-3"), ("−1e−3", "1,000")], ids=str
)
def test_the_page_says_what_the_notebook_says(guesser, capsys, numbers):
    """The same sentence as `reveal` prints, with the reader's number as it was typed."""
    for number, typed in enumerate(numbers):  # the page asks three times
        form = guesser.locator("form.guess").nth(number)
        value = float(
            re.sub(r" ?%$", "", typed.replace("−", "-").replace("1,000", "1000").replace(",", "."))
        )
        form.locator("input").fill(typed)
        form.locator("button").first.click()
        data = form.evaluate("form => ({ ...form.dataset })")
        reveal("", value, float(data["measured"]), low=data["low"], high=data["high"])
        out = capsys.readouterr().out.strip()
        printed = re.sub(r"(You guessed) -?[\d.]+\d", rf"\1 {value:g}", out)
        assert form.locator("[role=status]").inner_text() == printed


def test_what_is_no_number_is_asked_for_again(guesser):
    form = guesser.locator("form.guess").first
    for typed in ("", "two", "<img src=x onerror=alert(1)>", "1 2", "--1", "∞", "nan", "1e999"):
        form.locator("input").fill(typed)
        form.locator("button").first.click()
        said = form.locator("[role=status]")
        assert said.inner_text().startswith("That is not a number."), typed
        assert form.get_attribute("data-done") is None, typed
        assert form.locator("img").count() == 0, typed
        said.evaluate("said => { said.textContent = ''; }")  # it has to be said anew


def test_nobody_has_to_guess(guesser):
    form = guesser.locator("form.guess").first
    form.locator(".show").click()
    assert form.locator("[role=status]").inner_text() == ""
    assert form.get_attribute("data-done") is not None
    guesser.locator(".veil-switch").click()
    guesser.reload()
    assert guesser.locator("form.guess:visible").count() == 0
    assert (
        guesser.locator(".cell_output:visible").count() == guesser.locator(".cell_output").count()
    )


def test_axe_finds_no_violation_in_a_veiled_page(guesser, axe):
    assert axe(guesser) == []
    guesser.locator("form.guess input").first.fill("1")
    guesser.locator("form.guess button").first.click()
    guesser.emulate_media(color_scheme="dark")
    assert axe(guesser) == []


def test_a_link_into_a_veiled_part_lifts_the_veil(guesser):
    hidden = guesser.locator("form.guess ~ *:not(:visible)").first
    hidden.evaluate("place => { place.id = 'behind'; location.hash = '#behind'; }")
    expect(guesser.locator("#behind")).to_be_visible()


def test_without_scripts_nothing_is_veiled(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = new_page(context)
    page.goto(f"{address}{PAGE}")
    assert page.locator("form.guess:visible").count() == 0
    assert page.locator(".cell_output:visible").count() == page.locator(".cell_output").count()
    context.close()


def test_on_paper_nothing_is_veiled(guesser):
    guesser.emulate_media(media="print")
    assert guesser.locator("form.guess:visible").count() == 0
    assert (
        guesser.locator(".cell_output:visible").count() == guesser.locator(".cell_output").count()
    )


def test_a_text_in_a_variable_is_refused():
    with pytest.raises(ExtensionError, match="write low= as a text"):
        questions('reveal("00.p1", guess, 1.0, low=low, high="")')
