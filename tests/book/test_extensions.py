"""The small Sphinx extensions of the book, without building a site."""

from __future__ import annotations

import doctest
import json
from importlib import import_module
from xml.etree import ElementTree

import card
import last_online
import lean
import mathml
import pytest
import reach
from PIL import Image

# Structures as the MathML Core specification draws them, written down by hand.
KNOWN = {
    r"\frac{1}{2}": "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>",
    r"\sqrt{d_k}": "<msqrt><mrow><msub><mi>d</mi><mi>k</mi></msub></mrow></msqrt>",
    r"50{,}257": "<mn>50,257</mn>",
    r"\mathrm{count}": "<mi>count</mi>",
    r"-\ln p": '<mo>−</mo><mi>ln</mi><mspace width="0.167em" /><mi>p</mi>',
    r"\exp(\ell)": '<mi>exp</mi><mo stretchy="false">(</mo><mi>ℓ</mi><mo stretchy="false">)</mo>',
}

BROKEN = {
    r"\nosuch{x}": "nosuch",
    r"\frac{1}": "mfrac",
    r"x^": "SuperScript",
    r"{x": "1 '{' and 0 '}'",
    r"\begin{tikz}x\end{tikz}": "tikz",
    " ": "empty",
}


@pytest.mark.parametrize(
    "name",
    [
        *("card", "dimmed", "face", "finder", "guess", "lean", "links"),
        *("mathml", "mathml_polish", "play", "reach", "where"),
    ],
)
def test_examples_in_docstrings(name):
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize("formula", KNOWN)
def test_known_formulas(formula):
    assert KNOWN[formula] in mathml.to_mathml(formula)


@pytest.mark.parametrize("formula", BROKEN)
def test_a_broken_formula_is_refused_with_its_reason(formula):
    with pytest.raises(mathml.FormulaError, match=BROKEN[formula]):
        mathml.to_mathml(formula)


@pytest.mark.parametrize("name", ["align", "aligned", "split", "align*"])
def test_every_alignment_has_two_columns_and_no_number_of_its_own(name):
    formula = rf"\begin{{{name}}} a &= b \\ c &= d + e \end{{{name}}}"
    rows = list(ElementTree.fromstring(mathml.to_mathml(formula, display=True)).iter("mtr"))
    assert [[cell.get("class") for cell in row] for row in rows] == [["right", "left"]] * 2


@pytest.mark.parametrize(
    "asset",
    ["https://cdn.example.org/sphinx-design.js", "sphinx-thebe.js", "scripts/bootstrap.js", ""],
)
def test_what_no_page_of_this_book_uses_stays_away(asset):
    assert not lean.is_needed(asset, '<p class="highlight toggle btn">words</p>')


def test_a_page_with_tabs_gets_what_draws_them():
    page = '<div class="sd-tab-set docutils">'
    assert lean.is_needed("_static/design-tabs.js", page)
    assert lean.is_needed("_static/sphinx-design.min.css", page)


@pytest.mark.parametrize(
    ("link", "moved"),
    [
        ('href="../notebooks/a.html#x"', 'href="notebooks/a.html#x"'),
        ('src="_static/b.js"', 'src="book/_static/b.js"'),
        ('action="../search.html"', 'action="search.html"'),
        ('href="#here"', 'href="#here"'),
        ('href="https://example.org/"', 'href="https://example.org/"'),
    ],
)
def test_the_front_door_leads_where_the_first_page_leads(link, moved):
    assert reach.moved_up(f"<a {link}>", "book") == f"<a {moved}>"


def test_the_card_has_the_size_that_readers_of_cards_expect(tmp_path):
    card.draw(tmp_path / "card.png")
    with Image.open(tmp_path / "card.png") as picture:
        assert picture.size == (1200, 630)


@pytest.mark.parametrize(
    ("install", "words"),
    [
        ({"works": True, "seconds": 12.4}, "on 2026-11-30 it took 12 seconds"),
        ({"works": False, "said": "no"}, "on 2026-11-30 it failed, and we are on it"),
    ],
)
def test_the_page_says_what_the_weekly_run_found(tmp_path, install, words):
    file = tmp_path / "online.json"
    assert last_online.said(file) == "nobody has timed it yet"
    file.write_text(json.dumps({"date": "2026-11-30", "install": install}))
    assert last_online.said(file) == words
