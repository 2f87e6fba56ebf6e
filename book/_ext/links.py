"""Link the book to itself: chapters, exercises, words of the glossary, names of the package.

The sources stay plain, since Colab and the code host show them too. Nothing is linked inside code,
headings, links, buttons and what becomes one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import urljoin

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

__all__ = ["GLOSSARY", "GlossaryEntries", "numbers_linked", "setup", "short"]
__all__ += ["terms_linked", "texts"]

GLOSSARY = "book/glossary"
TAG = re.compile(r"<!--.*?-->|<(?P<end>/?)(?P<name>[a-zA-Z][\w-]*)(?P<rest>[^>]*)>", re.S)
PLAIN = {"a", "button", "code", "form", "h1", "h2", "h3", "h4", "h5", "h6", "label", "math", "pre"}
PLAIN |= {"script", "style", "summary", "svg", "textarea"}
STAGE = re.compile(r'class="[^"]*\bstage\b')  # what a toy's script draws anew
OPTIONS = re.compile(r"(?<!<li>)<p>a\) [^<]*$")  # the answers of a quiz: they become buttons

LIST = r"(?:(?:,|,? and| or| to|–)\s*\d\d\b)*"
CHAPTERS = re.compile(rf"\bchapters?\s+\d\d\b{LIST}", re.I)
EXERCISE = re.compile(r"\bexercise\s+(\d+\.\d+)\b", re.I)
OBJECTS = re.compile(r"<!-- objects: ([\w-]+) -->")
CALLED = {"function", "method", "classmethod", "staticmethod"}
ENTRY = re.compile(r"\s*\(chapter (\d\d)\)(?: \(also: ([^)]+)\))?:\s*")


def texts(body: str) -> Iterator[tuple[str, bool]]:
    """Cut a page into markup and text, and say of each piece whether it may be linked.

    >>> [piece for piece, free in texts("<p>one <code>two</code> three</p>") if free and piece]
    ['one ', ' three']
    """
    at, inside, depth = 0, "", 0
    for tag in TAG.finditer(body):
        options = not inside and OPTIONS.search(body, max(0, at - 7), tag.start())
        yield body[at : tag.start()], not inside and not options
        yield tag[0], False
        at, name = tag.end(), (tag["name"] or "").lower()
        if inside:
            depth += (name == inside) * (-1 if tag["end"] else 1)
            inside = inside if depth else ""
        elif options and name != "p":
            inside, depth = "p", 1
        elif not tag["end"] and (name in PLAIN or STAGE.search(tag["rest"] or "")):
            inside, depth = name, 1
    yield body[at:], not inside


def numbers_linked(body: str, link: Callable[[str, str], str]) -> str:
    """Turn every number of a chapter or an exercise into what `link(number, words)` writes.

    >>> show = lambda to, words: f"[{words}]"
    >>> numbers_linked("<p>See chapters 03 and 04, and Exercise 5.5.</p>", show)
    '<p>See chapters [03] and [04], and [Exercise 5.5].</p>'
    >>> numbers_linked("<p>As chapter 07 says.</p><h2>chapter 07</h2>", show)
    '<p>As [chapter 07] says.</p><h2>chapter 07</h2>'
    """

    def chapters(found: re.Match[str]) -> str:
        if re.fullmatch(r"\D+\d\d", found[0]):
            return link(found[0][-2:], found[0])
        return re.sub(r"\d\d", lambda number: link(number[0], number[0]), found[0])

    def linked(text: str) -> str:
        text = CHAPTERS.sub(chapters, text)
        return EXERCISE.sub(lambda found: link(found[1], found[0]), text)

    return "".join(linked(piece) if free else piece for piece, free in texts(body))


def terms_linked(body: str, entries: Mapping[str, str], link: Callable[[str, str], str]) -> str:
    """Turn each term's first use below the title card into what `link(anchor, words)` writes.

    >>> show = lambda to, words: f"[{words}]({to})"
    >>> terms_linked("<h2>x</h2><p>A batch. Batches.</p>", {"batch": "term-batch"}, show)
    '<h2>x</h2><p>A [batch](term-batch). Batches.</p>'
    """
    forms = sorted(entries, key=len, reverse=True)  # "loss curve" before "loss"
    words = (r"\s+".join(map(re.escape, form.split())) for form in forms)
    finder = re.compile(rf"(?<![\w-])({'|'.join(words)})((?:s|es)?)(?![\w-])", re.I)
    anchors = {form.lower(): anchor for form, anchor in entries.items()}
    done: set[str] = set()

    def first(found: re.Match[str]) -> str:
        anchor = anchors[" ".join(found[1].split()).lower()]
        if anchor in done:
            return found[0]
        done.add(anchor)
        return link(anchor, found[0])

    card = max(body.find("<h2"), 0)
    pieces = texts(body[card:])
    return body[:card] + "".join(finder.sub(first, p) if free else p for p, free in pieces)


class GlossaryEntries(SphinxTransform):
    """Make entries of the paragraphs `**term** (chapter NN): what it means`.

    Each gets an anchor, and stands in the index, which is what the search looks into.
    """

    default_priority = 840  # Sphinx collects the words of the index at 850

    def apply(self, **kwargs: Any) -> None:
        if self.env.docname != GLOSSARY:
            return
        entries: dict[str, tuple[str, str]] = {}  # each form of a term: its anchor, its meaning
        listed = nodes.definition_list(classes=["glossary"])
        lines = [line for line in self.document.findall(nodes.paragraph) if _parts(line)]
        for line in lines:
            forms, item = _entry(line)
            anchor = item[0]["ids"][0]
            entries |= dict.fromkeys(forms, (anchor, item[1].astext()))
            listed += item
        lines[0].replace_self(addnodes.glossary("", listed))
        for line in lines[1:]:
            line.parent.remove(line)
        self.env.metadata[GLOSSARY]["entries"] = entries


def _parts(line: nodes.paragraph) -> list[nodes.Node]:
    """Give what stands in an entry's paragraph, the term first; nothing for other paragraphs."""
    parts = [part for part in line.children if part.astext()]
    return parts if isinstance(parts[0], nodes.strong) else []


def _entry(line: nodes.paragraph) -> tuple[list[str], nodes.definition_list_item]:
    """Give the forms of a term, and its entry."""
    bold, text, *more = _parts(line)
    name, rest = bold.astext(), text.astext()
    if not (found := ENTRY.match(rest)):
        raise ExtensionError(f"Write {name!r} in {GLOSSARY} as **{name}** (chapter NN): meaning.")
    chapter, also = found.groups()
    forms = [form for form in re.split(r"\s*[(),]\s*", f"{name},{also or ''}") if form]
    anchor = nodes.make_id(f"term-{name}")
    index = addnodes.index(entries=[("single", form, anchor, "main", None) for form in forms])
    where = nodes.inline("", f"chapter {chapter}", classes=["since"])
    words = f"{name} (also {also}) " if also else f"{name} "
    term = nodes.term("", words, where, index, ids=[anchor])
    meaning = nodes.paragraph("", rest[found.end() :], *more)
    return forms, nodes.definition_list_item("", term, nodes.definition("", meaning))


def _read(app: Sphinx, doctree: nodes.document) -> None:
    """Remember where a page has its exercises."""
    found = {}
    for section in doctree.findall(nodes.section):
        title = re.match(r"Exercise (\d+\.\d+)\b", section[0].astext())
        if title:
            found[title[1]] = section["ids"][0]
    app.env.metadata[app.env.docname]["exercises"] = found


def _objects(app: Sphinx, page: str, group: str) -> str:
    """List what a page beside this one explains. Old links to one large page still find it here."""
    document = f"{posixpath.dirname(page)}/{group}"
    home = app.builder.get_relative_uri(page, document)
    toc = app.env.tocs[document].findall(nodes.reference)
    headings = {reference["anchorname"] for reference in toc}
    modules: dict[str, list[str]] = {}
    for name, entry in app.env.get_domain("py").objects.items():
        if entry.docname == document:
            _, module, short = name.split(".", 2)
            called = "()" if entry.objtype in CALLED else ""
            link = f'<a id="{entry.node_id}" href="{home}#{entry.node_id}">'
            modules.setdefault(module, []).append(f"{link}<code>{short}{called}</code></a>")
    lines = []
    for module, links in modules.items():
        anchor = f"#{nodes.make_id(module)}"
        named = f'<a href="{home}{anchor}">{module}</a>' if anchor in headings else module
        lines.append(f'<dt id="{anchor[1:]}">{named}</dt>\n<dd>{" · ".join(links)}</dd>')
    return "\n".join(['<dl class="objects">', *lines, "</dl>"])


def _link(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    body, env = context.get("body"), app.env
    if not body:
        return
    places = {}  # number of a chapter or an exercise: page, anchor, what a mouse reads there
    for name in sorted(env.found_docs):
        if number := re.match(r"notebooks/(\d\d)_", name):
            places[number[1]] = name, "", env.titles[name].astext()
        for exercise, anchor in env.metadata[name].get("exercises", {}).items():
            places[exercise] = name, f"#{anchor}", ""

    def numbered(number: str, words: str) -> str:
        if number not in places or places[number][:2] == (page, ""):
            return words
        target, anchor, title = places[number]
        address = app.builder.get_relative_uri(page, target) + anchor
        hover = f' title="{escape(title)}"' if title else ""
        return f'<a href="{escape(address)}"{hover}>{words}</a>'

    def explained(anchor: str, words: str) -> str:
        address = f"{app.builder.get_relative_uri(page, GLOSSARY)}#{anchor}"
        return f'<a class="term" href="{address}" title="{escape(meanings[anchor])}">{words}</a>'

    # A card's link to this very page is for those who read the notebook elsewhere.
    here = urljoin(app.config.html_baseurl, app.builder.get_target_uri(page))
    body = re.sub(rf' · <a [^>]*href="{re.escape(here)}"[^>]*>[^<]*</a>', "", body)
    body = OBJECTS.sub(lambda found: _objects(app, page, found[1]), body)
    body = numbers_linked(body, numbered)
    entries = env.metadata[GLOSSARY].get("entries", {})
    if entries and page.startswith("notebooks/"):
        meanings = dict(entries.values())
        anchors = {form: anchor for form, (anchor, _) in entries.items()}
        body = terms_linked(body, anchors, explained)
    context["body"] = body


def short(signature: str) -> str:
    """Write types by their short names, and what a class makes anew each time as `...`.

    Sphinx does the first itself where all defaults are Python; `<factory>` is not.

    >>> short("(model: ~torch.nn.modules.module.Module, best: dict = <factory>)")
    '(model: Module, best: dict = ...)'
    """
    return re.sub(r"~[\w.]+\.", "", signature).replace("<factory>", "...")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx: after the toys have come, before the pages are made light."""
    app.connect("autodoc-process-signature", lambda *event: (short(event[5] or ""), event[6]))
    app.add_transform(GlossaryEntries)
    app.connect("doctree-read", _read)
    app.connect("html-page-context", _link, priority=920)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
