"""The two small Sphinx extensions of the book, without building a site."""

from __future__ import annotations

import doctest
from xml.etree import ElementTree

import lean
import mathml
import mathml_polish
import pytest

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


@pytest.mark.parametrize("module", [lean, mathml, mathml_polish], ids=lambda m: m.__name__)
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
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


def test_a_page_without_code_gets_no_copy_button():
    assert not lean.is_needed("_static/copybutton.js", "<p>words</p>")
    assert lean.is_needed("_static/copybutton.js", '<div class="highlight-python notranslate">')


@pytest.mark.parametrize("asset", ["https://cdn.example.org/x.js", "//cdn.example.org/x.js"])
def test_no_asset_of_another_host_is_needed(asset):
    assert not lean.is_needed(asset, "<p>words</p>")
    assert not lean.is_needed(f' const URL = "{asset}"', "<p>words</p>")


def test_the_theme_itself_is_always_needed():
    assert lean.is_needed("_static/scripts/sphinx-book-theme.js", "<p>words</p>")
