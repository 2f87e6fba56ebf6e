"""A look for each kind of passage: classes on the page, from the marks that a notebook has anyway.

A notebook tags its cells (`section:by-hand`, `src:attention`, …) and begins its boxes with the same
words (“Many people think”). What a passage looks like is said in book/_styles/8-face.css.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["is_import_cell", "letters_of", "setup", "split_facts", "with_letters"]

SECTIONS = {"problem": "story", "by-hand": "by-hand", "finished": "finished", "recap": "recap"}
STRONG_BEGINNINGS = {"Many people think": "think", "Before you": "ask", "Three questions": "quiz"}
IMPORTS, REST = "What this chapter imports", "The rest of what this chapter imports"
CELL = 10_000  # MyST-NB counts a node's line from 10,000 times its cell, the first being 1


def letters_of(toc: dict) -> dict[str, str]:
    """Say of every page in a part with a letter which letter that is.

    >>> letters_of({"parts": [{"caption": "A · Guessing", "chapters": [{"file": "x"}]}]})
    {'x': 'A'}
    """
    lettered = [part for part in toc["parts"] if re.match(r"[A-Z] · ", part["caption"])]
    return {one["file"]: part["caption"][0] for part in lettered for one in part["chapters"]}


def with_letters(menu: str) -> str:
    """Put the letter of a part in a box of its own, so that it can have the part's colour.

    >>> with_letters('<span class="caption-text">A · Guessing</span>')
    '<span class="caption-text"><b class="part" data-part="A">A</b> Guessing</span>'
    """
    found = r'(class="caption-text">)([A-Z]) · '
    return re.sub(found, r'\1<b class="part" data-part="\2">\2</b> ', menu)


def is_import_cell(source: str) -> bool:
    """Say whether a cell only fetches what a chapter works with: imports, and few lines else.

    >>> is_import_cell("import math\\nimport re\\nimport time\\nimport torch\\n\\nV = 65")
    True
    >>> is_import_cell("import math\\n\\nprint(math.pi)")
    False
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a line for IPython
        return False
    imports = [one for one in body if isinstance(one, (ast.Import, ast.ImportFrom))]
    return len(imports) >= 4 and len(body) - len(imports) <= 5


def split_facts(line: nodes.Element) -> list[list[nodes.Node]]:
    """Cut “Trace · difficulty 2/5 · …” at its dots; a link stays whole.

    >>> [part[0].astext() for part in split_facts(nodes.emphasis("", "Trace · about 8 min"))]
    ['Trace', 'about 8 min']
    """
    parts: list[list[nodes.Node]] = [[]]
    for child in line.children:
        pieces = re.split(r"\s+·\s+", child.astext()) if isinstance(child, nodes.Text) else [child]
        for i, piece in enumerate(pieces):
            if i:
                parts.append([])
            if piece:
                parts[-1].append(nodes.Text(piece) if isinstance(piece, str) else piece)
    return [part for part in parts if part]


def _facts(paragraph: nodes.paragraph, page: str = "") -> None:
    """Make chips of a line of facts, but of a link to this very page."""
    parts = split_facts(paragraph[0])
    here = [p for p in parts if any(_leads_to(one, page) for one in p)] if page else []
    chips = [nodes.inline("", "", *part) for part in parts if part not in here]
    paragraph.children = []
    for chip in chips:
        paragraph += [chip, nodes.Text(" ")]
    paragraph["classes"].append("facts")


def _leads_to(node: nodes.Node, page: str) -> bool:
    return isinstance(node, nodes.reference) and node.get("refuri", "").endswith(f"/{page}.html")


def _is_facts(node: nodes.Node) -> bool:
    alone = isinstance(node, nodes.paragraph) and len(node) == 1
    return alone and isinstance(node[0], nodes.emphasis) and " · " in node.astext()


def _cell(node: nodes.Node) -> int:
    return (node.line or 0) // CELL - 1


def _is_code(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def _cut_before(strong: nodes.Node) -> nodes.Element:
    """Let a paragraph begin at these bold words, and give it."""
    old = strong.parent
    at = old.index(strong)
    if at and old.astext()[: sum(len(c.astext()) for c in old.children[:at])].strip():
        new = nodes.paragraph("", "", *old.children[at:])
        new.source, new.line = old.source, old.line
        old.children = old.children[:at]
        old.parent.insert(old.parent.index(old) + 1, new)
        return new
    return old


def _begins_so(node: nodes.Node) -> bool:
    first = node.children[0] if isinstance(node, nodes.paragraph) and node.children else None
    return isinstance(first, nodes.emphasis) and first.astext().startswith("So")


def _asks(node: nodes.Node) -> bool:
    """Say whether the reader guesses in this cell: a field comes before it and veils the rest."""
    return _is_code(node) and re.search(r"^\w+ = None  #", node.astext(), re.MULTILINE) is not None


def _wrap(first: nodes.Element, last: nodes.Element, kind: str) -> None:
    parent = first.parent
    start, end = parent.index(first), parent.index(last) + 1
    inside = parent.children[start:end]
    for node in inside:
        parent.remove(node)
    box = nodes.container("", *inside, classes=[kind])
    box.line = first.line
    parent.insert(start, box)


def _trial(first: nodes.Element) -> nodes.Element:
    """Find where a trial ends: behind its code, and behind the “So:” that answers it."""
    siblings = first.parent.children
    at = siblings.index(first)
    while at + 1 < len(siblings) and _is_code(siblings[at + 1]) and not _asks(siblings[at + 1]):
        at += 1
    if at + 1 < len(siblings) and _begins_so(siblings[at + 1]):
        at += 1
    return siblings[at]


def _end_with_solution(section: nodes.section, tags: list[list[str]]) -> None:
    """Let an exercise end with its solution: what the chapter says next stands behind its box."""
    cells = {_cell(node) for node in section.children}
    last = max((at for at in cells if any("solution:" in tag for tag in tags[at])), default=None)
    after = [node for node in section.children if last is not None and _cell(node) > last]
    for node in after:
        section.remove(node)
    at = section.parent.index(section) + 1
    section.parent[at:at] = after


def _mark_sections(doctree: nodes.document, tags: list[list[str]]) -> None:
    begun = set()
    for section in list(doctree.findall(nodes.section)):
        cell, title = _cell(section), section.astext().split("\n", 1)[0]
        if cell not in begun and 0 < cell < len(tags):
            marks = [tag.removeprefix("section:") for tag in tags[cell]]
            section["classes"] += [SECTIONS[mark] for mark in marks if mark in SECTIONS]
        begun.add(cell)
        if re.match(r"Exercise \d+\.\d+ ", title):
            section["classes"].append("exercise")
            _end_with_solution(section, tags)
        if len(section) > 1 and _is_facts(section[1]):
            _facts(section[1])


def _mark_card(doctree: nodes.document, page: str) -> None:
    """A chapter's question is its first paragraph; the facts about the chapter come second."""
    paragraphs = [p for p in doctree[0].children if isinstance(p, nodes.paragraph)]
    paragraphs[0]["classes"].append("question")
    for paragraph in paragraphs[1:]:
        if _is_facts(paragraph):
            _facts(paragraph, page)


def _mark_words(doctree: nodes.document) -> None:
    for strong in list(doctree.findall(nodes.strong)):
        kind = next((k for w, k in STRONG_BEGINNINGS.items() if strong.astext().startswith(w)), "")
        if not kind or not isinstance(strong.parent, nodes.paragraph):
            continue
        if "wrong" in strong.parent.parent.get("classes", []):
            continue  # a wrong belief that is tried in a box already
        paragraph = _cut_before(strong)
        if kind == "ask":
            paragraph["classes"].append("ask")
        else:
            end = paragraph.parent[-1] if kind == "quiz" else _trial(paragraph)
            if kind == "quiz":  # up to the next heading
                after = paragraph.parent.children[paragraph.parent.index(paragraph) :]
                end = [node for node in after if not isinstance(node, nodes.section)][-1]
            _wrap(paragraph, end, kind)


def _mark_wrong(doctree: nodes.document, tags: list[list[str]]) -> None:
    for strong in list(doctree.findall(nodes.strong)):
        if strong.astext().startswith("Wrong on purpose"):
            first = _cut_before(strong)
            _wrap(first, _trial(_last_of_cell(first)), "wrong")
    for section in doctree.findall(nodes.section):
        if re.match("wrong on purpose", section.astext(), re.IGNORECASE):
            texts = [n for n in section.children if isinstance(n, nodes.paragraph)]
            _wrap(texts[0], _trial(_last_of_cell(texts[0])), "wrong")


def _last_of_cell(node: nodes.Element) -> nodes.Element:
    siblings = node.parent.children
    at, last = siblings.index(node), node
    for one in siblings[at + 1 :]:
        if isinstance(one, nodes.section) or _is_code(one) or _cell(one) != _cell(node):
            break
        last = one
    return last


def _mark_cells(doctree: nodes.document) -> None:
    imports = IMPORTS
    for cell in doctree.findall(nodes.container):
        if not _is_code(cell) or not cell.children:
            continue
        tags, source = cell["cell_metadata"].get("tags", []), cell[0].astext()
        if "setup" in tags:
            _fold(cell, "all", "Set-up: what Colab needs")
        elif "hide-input" in tags:
            drawn = "figures." in source or "_repr_" in source
            title = cell["cell_metadata"].get("mystnb", {}).get("code_prompt_show")
            _fold(cell, "input", title or ("How this picture is drawn" if drawn else "The code"))
        elif is_import_cell(source) and cell[-1].get("nb_element") == "cell_code_source":
            _fold(cell, "input", imports)
            imports = REST
        for module in [tag.removeprefix("src:") for tag in tags if tag.startswith("src:")]:
            name = f"gpt2_tutorial/{module.split('.')[0]}.py"
            cell[0].insert(0, nodes.paragraph("", name, classes=["from"]))


def _fold(cell: nodes.Element, how: str, prompt: str) -> None:
    cell["hide_mode"], cell["prompt_show"], cell["prompt_hide"] = how, prompt, prompt


def _mark(app: Sphinx, doctree: nodes.document) -> None:
    file = Path(app.env.doc2path(app.env.docname))
    if file.suffix != ".ipynb":
        return
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    tags = [cell["metadata"].get("tags", []) for cell in cells]
    _mark_card(doctree, app.env.docname)
    _mark_sections(doctree, tags)
    _mark_cells(doctree)
    _mark_wrong(doctree, tags)
    _mark_words(doctree)


def _begin(app: Sphinx) -> None:
    toc = Path(app.confdir, "_toc.yml").read_text(encoding="utf-8")
    app.config.add("part_letters", letters_of(yaml.safe_load(toc)), "", dict)


def _tell(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    context["letter"] = app.config.part_letters.get(page, "")
    written = context["generate_toctree_html"]
    context["generate_toctree_html"] = lambda *a, **k: with_letters(str(written(*a, **k)))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx: after a chapter's question is known, before its cells are text."""
    app.connect("builder-inited", _begin)
    app.connect("doctree-read", _mark, priority=600)
    app.connect("html-page-context", _tell, priority=910)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
