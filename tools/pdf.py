"""Print the built site as one book: _build/pdf/gpt2-from-scratch.pdf.

    .venv/bin/python tools/pdf.py

All pages, in reading order, become one document, which the browser prints twice: only a printed
book knows the page numbers that its contents must say. Nothing of the site is changed.
"""

import html
import re
import sys
from itertools import groupby
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader

import one_book
from browser import ADVICE, find_browser
from one_book import Chapter

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
BOOK = ROOT / "_build" / "pdf" / "gpt2-from-scratch.pdf"
SHEETS = ROOT / "book" / "_styles"
STYLE = Path(__file__).with_suffix(".css")
FLAGS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
PAPER = {"width": 703, "height": 930}  # pixels: A4 without the margins of pdf.css
MINUTES = 10  # for a whole book on a slow machine
FRAME = """\
<!DOCTYPE html>
<html lang="en" data-theme="light">
<head><meta charset="utf-8"><title>{title}</title>
<style>{style}</style></head>
<body>
<section class="cover"><p class="name">{title}</p><p>{subtitle}</p>
<p class="from">The pages of <a href="{public}">{public}</a>, printed.
Code: MIT licence. Words and pictures: CC BY 4.0.</p></section>
<nav class="contents"><h1>Contents</h1>{contents}</nav>
{chapters}
</body></html>
"""


def quoted(text: str) -> str:
    """Write a text as a string of CSS.

    >>> quoted('a "b"')
    '"a \\\\22 b\\\\22 "'
    """
    return '"' + re.sub(r'["\\\n]', lambda found: f"\\{ord(found[0]):x} ", text) + '"'


def lowered(style: str) -> str:
    """Let the site's styles mean the headings that are one level lower in the book.

    >>> lowered(":is(h1, h2) { margin: 0 }")
    ':is(h2, h3) { margin: 0 }'
    """
    return re.sub(r"\bh[1-5]\b", lambda found: one_book.HEADINGS[found[0]], style)


def contents(chapters: list[Chapter]) -> str:
    """List parts and chapters, with an empty place for each page's number."""
    lines = []
    for part, members in groupby(chapters, key=lambda each: each.part):
        lines.append(f"<p>{html.escape(part)}</p>" if part else "")
        for each in members:
            title = f'<a href="#{each.anchor}">{html.escape(each.title)}</a>'
            lines.append(f'<div>{title}<span data-page="{each.anchor}"></span></div>')
    return "\n".join(lines)


def document(site: Path, chapters: list[Chapter]) -> str:
    """Write all chapters as one page, each with its title at the head of its sheets."""
    one_book.mend_links(chapters, lambda each, name: "#" + (name or each.anchor))
    for picture, path in one_book.pictures(chapters):
        picture["src"] = (site / path).as_uri()
    heads, bodies, part = [], [], ""
    for each in chapters:
        name = each.anchor.replace("_", "-")
        heads.append(f"@page {name} {{ @top-left {{ content: {quoted(each.title)}; }} }}")
        heads.append(f"#{each.anchor} {{ page: {name}; }}")
        above = f"<h1>{html.escape(each.part)}</h1>" if each.part != part else ""
        part = each.part
        colour = f'data-part="{html.escape(part[:1])}"'  # the letter of a part has its colour
        bodies.append(f'<div class="chapter" id="{each.anchor}" {colour}>{above}{each.body}</div>')
    # A page of the site carries only the rules that it needs; the book needs them all.
    sheets = "".join(sheet.read_text(encoding="utf-8") for sheet in sorted(SHEETS.glob("*.css")))
    style = lowered(sheets) + STYLE.read_text(encoding="utf-8")
    return FRAME.format(
        title=one_book.TITLE,
        subtitle=one_book.SUBTITLE,
        public=one_book.PUBLIC,
        style="\n".join([style, *heads]),
        contents=contents(chapters),
        chapters="\n".join(bodies),
    )


def page_numbers(book: Path, chapters: list[Chapter]) -> dict[str, int]:
    """Say on which page of a printed book each chapter begins."""
    reader = PdfReader(book)
    places = {name.lstrip("/"): where for name, where in reader.named_destinations.items()}
    return {
        each.anchor: reader.get_destination_page_number(places[each.anchor]) + 1
        for each in chapters
    }


# A table or a formula that is wider than the paper is drawn smaller; nothing else can be that wide.
FIT = """() => {
  for (const wide of document.querySelectorAll(".chapter :is(table, div.math > math)")) {
    const room = wide.parentElement.getBoundingClientRect().width;
    const takes = wide.getBoundingClientRect().width;
    if (takes > room) wide.style.zoom = room / takes;
  }
}"""
STICKS_OUT = """() => [...document.querySelectorAll(".chapter *")]
  .filter(thing => thing.getBoundingClientRect().right > innerWidth + 1)
  .map(thing => thing.outerHTML.slice(0, 200))"""
FILL_IN = """numbers => {
  for (const place of document.querySelectorAll("[data-page]"))
    place.textContent = numbers[place.dataset.page];
}"""


def printed(page: Page, chapters: list[Chapter], book: Path) -> dict[str, int]:
    """Print until the contents name the pages on which the chapters begin, twice as a rule."""
    numbers = {each.anchor: 0 for each in chapters}
    for _ in range(4):
        page.evaluate(FILL_IN, numbers)
        page.pdf(path=book, prefer_css_page_size=True, outline=True, tagged=True)
        before, numbers = numbers, page_numbers(book, chapters)
        if numbers == before:
            return numbers
    raise RuntimeError("The numbers in the contents move the chapters: give them a fixed width.")


def print_book(site: Path, toc: Path, book: Path) -> dict[str, int]:
    """Print the pages of a site as one PDF, and say on which page each chapter begins."""
    path = find_browser()
    if path is None:
        raise FileNotFoundError(ADVICE)
    chapters = one_book.read(site, toc)
    book.parent.mkdir(parents=True, exist_ok=True)
    whole = book.with_suffix(".html")
    whole.write_text(document(site, chapters), encoding="utf-8")
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = chrome.new_page(viewport=PAPER)
        page.set_default_timeout(MINUTES * 60_000)
        page.emulate_media(media="print", color_scheme="light")
        page.goto(whole.as_uri())
        page.evaluate(FIT)
        if too_wide := page.evaluate(STICKS_OUT):
            raise ValueError(f"{len(too_wide)} things are wider than the paper: {too_wide[0]}")
        numbers = printed(page, chapters, book)
        chrome.close()
    return numbers


def main() -> int:
    if not (SITE / "search.html").is_file():
        print("✗ The site is not built, so there is nothing to print: make book", file=sys.stderr)
        return 1
    numbers = print_book(SITE, ROOT / "_toc.yml", BOOK)
    pages = len(PdfReader(BOOK).pages)
    print(f"   {BOOK.relative_to(ROOT)}: {pages} pages, {BOOK.stat().st_size / 1e6:.1f} MB")
    print(f"   {len(numbers)} chapters, the last one on page {max(numbers.values())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
