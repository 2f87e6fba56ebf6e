"""How the site is found: a front door, its picture, what a link to a page shows, a sitemap."""

from __future__ import annotations

import re
import textwrap
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import card
from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["moved_up", "setup", "sitemap", "tags", "with_pictures"]

PICTURES = Path(__file__).resolve().parents[1] / "_pictures"

CARD = "_static/card.png"
CARD_ALT = "The title of the book, and bars for the letters most likely after to be or not to."
SITE = "GPT-2 from scratch"
HIDDEN = {"search": "Search in", "genindex": "The index of", "404": "A page that is not in"}


def moved_up(page: str, folder: str) -> str:
    """Rewrite a page's own links for the folder above it.

    >>> moved_up('<a href="../x.html"> <a href="y.html"> <a href="#z">', "book")
    '<a href="x.html"> <a href="book/y.html"> <a href="#z">'
    """

    def link(match: re.Match[str]) -> str:
        name, address = match.groups()
        if re.match(r"#|/|[a-z]+:", address):
            return match[0]
        up = address.removeprefix("../") if address.startswith("../") else f"{folder}/{address}"
        return f'{name}="{up}"'

    page = page.replace('data-content_root="../"', 'data-content_root="./"')
    return re.sub(r'\b(href|src|action)="([^"]*)"', link, page)


def with_pictures(body: str) -> str:
    """Put a drawing where a comment names it; it takes the page's colours.

    >>> with_pictures("<!-- picture: path -->").count("<svg ")
    2
    """

    def drawing(place: re.Match[str]) -> str:
        svg = (PICTURES / f"{place[1]}.html").read_text(encoding="utf-8")
        return f'<div class="picture">\n{svg}</div>'

    return re.sub(r"<!-- picture: ([\w-]+) -->", drawing, body)


def sitemap(addresses: list[str]) -> str:
    """Write the list of pages that search engines read.

    >>> sitemap(["https://example.org/a.html"]).splitlines()[2]
    '<url><loc>https://example.org/a.html</loc></url>'
    """
    lines = [f"<url><loc>{escape(address)}</loc></url>" for address in addresses]
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    urls = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join([head, urls, *lines, "</urlset>", ""])


def _addresses(app: Sphinx) -> list[str]:
    base, root = app.config.html_baseurl, app.config.root_doc
    pages = sorted(app.env.found_docs - HIDDEN.keys() - {root})
    return [base, *(urljoin(base, app.builder.get_target_uri(page)) for page in pages)]


def tags(title: str, description: str, address: str, base: str) -> str:
    """Write what search engines, and the cards that chats show for a link, read about a page.

    >>> print(tags("Notation", "One symbol.", "https://e.org/n.html", "https://e.org/"))
    <meta name="description" content="One symbol.">
    <meta property="og:title" content="Notation">
    ...
    """
    card_of = {"image": urljoin(base, CARD), "image:alt": CARD_ALT}
    said = {"title": title, "description": description, "url": address, "type": "article"}
    said |= {"site_name": SITE, **card_of}
    lines = [f'<meta name="description" content="{escape(description)}">']
    lines += [f'<meta property="og:{k}" content="{escape(v)}">' for k, v in said.items()]
    return "\n".join([*lines, '<meta name="twitter:card" content="summary_large_image">'])


def _description(page: str, meta: dict[str, Any] | None, doctree: nodes.document | None) -> str:
    """Take a page's own description, or else its first paragraph that is no quotation."""
    if page in HIDDEN:
        return f"{HIDDEN[page]} {SITE}."
    if meta and "description" in meta:
        return meta["description"]
    plain = [p for p in doctree.findall(nodes.paragraph) if isinstance(p.parent, nodes.section)]
    return textwrap.shorten(plain[0].astext(), 200, placeholder=" …")


def _context(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    base = app.config.html_baseurl
    context["prefix"] = urlsplit(base).path
    home = page == app.config.root_doc
    address = base if home else urljoin(base, app.builder.get_target_uri(page))
    context["canonical"] = address
    title = re.sub(r"<[^>]*>", "", context.get("title") or SITE)
    about = _description(page, context.get("meta"), doctree)
    context["metatags"] = tags(title, about, address, base)
    context["body"] = with_pictures(context.get("body", ""))


def _draw_card(app: Sphinx) -> None:
    if app.builder.format == "html":
        card.draw(Path(app.outdir, CARD))


def _finish(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    out, base = Path(app.outdir), app.config.html_baseurl
    root = Path(app.builder.get_target_uri(app.config.root_doc))
    front = moved_up((out / root).read_text(encoding="utf-8"), str(root.parent))
    (out / "index.html").write_text(front, encoding="utf-8")
    (out / "sitemap.xml").write_text(sitemap(_addresses(app)), encoding="utf-8")
    robots = f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n"
    (out / "robots.txt").write_text(robots, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx; the front door is written before unused files are looked for."""
    app.connect("html-page-context", _context, priority=900)
    app.connect("build-finished", lambda app, error: error or _draw_card(app), priority=800)
    app.connect("build-finished", _finish, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
