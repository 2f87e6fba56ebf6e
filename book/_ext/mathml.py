"""Maths as MathML, written while the book is built: no script, no fonts, no foreign host."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from docutils import nodes
from latex2mathml.converter import convert
from mathml_polish import polish
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

__all__ = ["FormulaError", "setup", "to_mathml"]

logger = logging.getLogger(__name__)

ALIGNED = ("align", "aligned", "split")
KNOWN = {"align*", "array", "cases", "matrix", "pmatrix", "bmatrix", "vmatrix", "Bmatrix"}
CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "mroot": 2}
CHILDREN |= {"msubsup": 3, "munderover": 3}


class FormulaError(ValueError):
    """A formula that cannot become MathML, with the reason as a sentence."""


def to_mathml(formula: str, *, display: bool = False) -> str:
    r"""Translate LaTeX into one `<math>` element.

    >>> to_mathml(r"x^2")
    '<math display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    """
    text = _one_environment(formula.strip())
    _check_source(text)
    try:
        markup = convert(text, display="block" if display else "inline")
        tree = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", markup, count=1))
    except Exception as error:  # latex2mathml has a dozen error classes and no common one
        reason = type(error).__name__.removesuffix("Error")
        raise FormulaError(f"latex2mathml stopped at it ({reason}).") from error
    _check_tree(tree)
    polish(tree)
    return ElementTree.tostring(tree, encoding="unicode")


def _one_environment(text: str) -> str:
    """Write every kind of alignment as `align*`; Sphinx sets the equation numbers."""
    text = re.sub(r"\\(begin|end)\{equation\*?\}", "", text).strip()
    for name in ALIGNED:
        text = re.sub(rf"\\(begin|end)\{{{name}\}}", r"\\\1{align*}", text)
    if r"\\" in text and r"\begin" not in text:
        text = rf"\begin{{align*}}{text}\end{{align*}}"
    return text


def _check_source(text: str) -> None:
    if not text:
        raise FormulaError("It is empty.")
    bare = re.sub(r"\\.", "", text)
    if bare.count("{") != bare.count("}"):
        raise FormulaError(f"It has {bare.count('{')} '{{' and {bare.count('}')} '}}'.")
    for name in re.findall(r"\\begin\{([^}]*)\}", text):
        if name not in KNOWN:
            raise FormulaError(f"The environment {name!r} is unknown; use align or a matrix.")


def _check_tree(tree: Element) -> None:
    """latex2mathml lets unknown commands and missing arguments pass in silence."""
    for element in tree.iter():
        if (element.text or "").startswith("\\") and len(element.text or "") > 1:
            raise FormulaError(f"The command {element.text} is unknown.")
        if len(element) != CHILDREN.get(element.tag, len(element)):
            raise FormulaError(f"A part is missing: <{element.tag}> has {len(element)}.")


def _place(node: nodes.Node) -> tuple[str, int]:
    """Find the file and line of a formula, climbing to the paragraph around it if need be."""
    source, line = "", 0
    while node is not None and not (source and line):
        source = source or getattr(node, "source", None) or ""
        line = line or getattr(node, "line", None) or 0
        node = node.parent
    return source, line


def _translate(node: nodes.Element, *, display: bool) -> str | None:
    formula = node.astext()
    try:
        return to_mathml(formula, display=display)
    except FormulaError as error:
        source, line = _place(node)
        # MyST-NB counts a notebook's lines as 10,000 per cell, and starts at the cell's head.
        cell = f" (cell {line // 10_000}, line {line % 10_000 - 1})" if line >= 10_000 else ""
        message = "The formula %r%s cannot become MathML. %s"
        logger.warning(message, formula, cell, error, location=f"{source}:{line}", type="mathml")
        return None


def _inline(writer: Any, node: nodes.math) -> None:
    markup = _translate(node, display=False)
    fallback = f"<code>{writer.encode(node.astext())}</code>"
    writer.body.append(writer.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    writer.body.append((markup or fallback) + "</span>")
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    markup = _translate(node, display=True)
    fallback = f"<pre>{writer.encode(node.astext())}</pre>"
    writer.body.append(writer.starttag(node, "div", CLASS="math notranslate nohighlight"))
    writer.body.append(markup or fallback)
    if node["number"]:
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer; `html_math_renderer: mathml` turns it on."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
