"""The book as a PDF: a small one in every run, the whole one in `make soak`."""

from __future__ import annotations

import doctest
import hashlib
import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from pypdf import PageObject, PdfReader
from pypdf.generic import Destination
from serving import ROOT, SITE
from two_pages import CODE_LINES, LONG_LINE, LONG_TITLE, small_site

import one_book
import pdf

pytestmark = pytest.mark.browser

POINTS_PER_MM = 72 / 25.4
RIGHT, BOTTOM = (
    (210 - 16) * POINTS_PER_MM,
    18 * POINTS_PER_MM,
)  # A4 without its margins and --gut, in tools/pdf.css

LARGEST_TEXT = 11  # points; a heading is larger


@dataclass
class Printed:
    reader: PdfReader
    numbers: dict[str, int]
    chapters: list[one_book.Chapter]

    @cached_property
    def pieces(self) -> list[list[Piece]]:
        """The pieces of text of every page."""
        return [pieces(page) for page in self.reader.pages]


def sums(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def printed(site: Path, toc: Path, out: Path) -> dict[str, int]:
    """Print in a thread of its own: the browser of other tests holds this one's event loop."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(pdf.print_book, site, toc, out).result()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Printed:
    home = tmp_path_factory.mktemp("small book")
    site = small_site(home)
    before = sums(site)
    numbers = printed(site, home / "_toc.yml", home / "out" / "book.pdf")
    assert sums(site) == before  # nothing of the site is changed
    return Printed(
        PdfReader(home / "out" / "book.pdf"), numbers, one_book.read(site, home / "_toc.yml")
    )


@pytest.fixture(scope="module")
def whole(site: Path, tmp_path_factory) -> Printed:
    home = tmp_path_factory.mktemp("whole")
    numbers = printed(SITE, ROOT / "_toc.yml", home / "book.pdf")
    return Printed(PdfReader(home / "book.pdf"), numbers, one_book.read(SITE, ROOT / "_toc.yml"))


@pytest.fixture(params=["small", pytest.param("whole", marks=pytest.mark.soak)])
def book(request) -> Printed:
    return request.getfixturevalue(request.param)


def links(reader: PdfReader) -> tuple[list[str], list[object]]:
    """The addresses and the places that a PDF's links lead to."""
    addresses, places = [], []
    for page in reader.pages:
        for mark in page.get("/Annots") or []:
            mark = mark.get_object()
            action = mark.get("/A", {})
            if "/URI" in action:
                addresses.append(str(action["/URI"]))
            else:
                places.append(mark.get("/Dest", action.get("/D")))
    return addresses, places


def test_every_link_inside_lands_in_the_book(book):
    addresses, places = links(book.reader)
    known = {name.lstrip("/") for name in book.reader.named_destinations}
    lost = {str(place).lstrip("/") for place in places if isinstance(place, str)} - known
    assert lost == set()
    assert len(places) >= 2 * len(book.chapters)
    assert [url for url in addresses if not re.match(r"https?://", url)] == []


def test_links_of_the_pages_are_links_of_the_book(small):
    addresses, places = links(small.reader)
    assert sorted(addresses) == [
        "https://example.org/",
        one_book.PUBLIC,
        f"{one_book.PUBLIC}search.html",
    ]
    # two from the contents, three from the first page, two from the second
    assert len(places) == 7
    first, second = (each.places["same"] for each in small.chapters)
    assert first == "same" and second == "page-two--same"
    named = {name.lstrip("/"): where for name, where in small.reader.named_destinations.items()}
    assert page_of(small.reader, named[first]) < page_of(small.reader, named[second])


def page_of(reader: PdfReader, place: Destination) -> int:
    return reader.get_destination_page_number(place)


@dataclass
class Piece:
    """A piece of text: its font, its size, and where it begins, in points from left and foot."""

    text: str
    font: dict
    size: float
    left: float
    foot: float

    @property
    def is_code(self) -> bool:
        return "Mono" in str(self.font.get("/BaseFont", ""))

    @property
    def right(self) -> float:
        """Where the longest line of a piece of code ends: all its letters are equally wide."""
        longest = max(len(line.rstrip()) for line in self.text.split("\n"))
        return self.left + longest * advance(self.font) * self.size


def pieces(page: PageObject) -> list[Piece]:
    found = []

    def look(text: str, base: list[float], here: list[float], font: dict, size: float) -> None:
        if text := text.strip("\n"):
            left, foot = here[4] * base[0] + base[4], here[5] * base[3] + base[5]
            found.append(Piece(text, font or {}, abs(here[0] * base[0]) * size, left, foot))

    page.extract_text(visitor_text=look)
    return found


def advance(font: dict) -> float:
    """How wide the widest letter of a font is, in parts of its size, as the PDF itself says."""
    inner = font["/DescendantFonts"][0].get_object()
    widths, listed = [], list(inner.get("/W", []))
    while listed:  # either `first [width …]` or `first last width`
        if isinstance(listed[1], list):
            widths += listed[1]
            listed = listed[2:]
        else:
            widths.append(listed[2])
            listed = listed[3:]
    return float(max(widths, default=inner.get("/DW", 1000))) / 1000


def test_every_page_but_the_cover_has_its_number(book):
    for number, page in enumerate(book.pieces, 1):
        in_the_margin = [piece.text for piece in page if piece.foot < BOTTOM]
        assert in_the_margin == ([str(number)] if number > 1 else [])


def test_the_contents_name_the_pages_on_which_chapters_begin(book):
    begins = min(book.numbers.values())
    listed = " ".join(page.extract_text() for page in book.reader.pages[: begins - 1])
    for each in book.chapters:
        number = book.numbers[each.anchor]
        assert one_line(each.title) + str(number) in one_line(listed)
        assert one_line(each.title) in one_line(book.reader.pages[number - 1].extract_text())


def one_line(text: str) -> str:
    """Without spaces, and with two letters where the printer has one for both."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))


def entries(outline: list, depth: int = 0) -> list[tuple[int, str]]:
    found = []
    for entry in outline:
        if isinstance(entry, list):
            found += entries(entry, depth + 1)
        else:
            found.append((depth, " ".join(str(entry.title).split())))
    return found


def test_the_outline_has_parts_chapters_and_sections(small):
    assert entries(small.reader.outline) == [
        (0, "Contents"),
        (1, "One “quoted” title"),
        (0, "A · First"),
        (1, "Two"),
        (2, "The same place"),
        (2, LONG_TITLE),  # with the space at which its line ends
    ]


def test_the_outline_of_the_whole_book_has_every_chapter(book):
    assert {each.title for each in book.chapters} <= {
        title for _, title in entries(book.reader.outline)
    }


def test_nothing_that_announces_stands_at_the_foot_of_a_page(book):
    """A heading, or the word above an output, goes to the next page with what it announces."""
    for number, page in enumerate(book.pieces, 1):
        lowest = min((one for one in page if one.foot >= BOTTOM), key=lambda one: one.foot)
        text = lowest.text.strip(" “")  # the mark of “many people think” is as large
        assert not text or lowest.size < LARGEST_TEXT, f"page {number} ends with {text!r}"
        assert text != "output", number


def test_no_line_of_code_is_wider_than_the_page(book):
    code = [piece for page in book.pieces for piece in page if piece.is_code]
    assert code and [piece for piece in code if piece.right > RIGHT] == []


def test_a_line_that_is_too_long_goes_on_below(small):
    said = one_line("".join(page.extract_text() for page in small.reader.pages))
    assert one_line(LONG_LINE) in said


def test_code_of_more_than_a_third_of_a_sheet_begins_where_there_is_room(small):
    """Forty lines behind half a sheet: some stand below the text, and none is cut or lost."""
    pages = [page.extract_text().split("\n") for page in small.reader.pages]
    on = {line: number for number, page in enumerate(pages) for line in page}
    assert on[CODE_LINES[0]] == on[CODE_LINES[3]] == on["A line above."]
    assert on[CODE_LINES[-4]] == on[CODE_LINES[-1]] == on[CODE_LINES[0]] + 1
    assert [sum(page.count(line) for page in pages) for line in CODE_LINES] == [1] * 40


def test_folds_are_open_and_what_only_a_site_needs_is_gone(small):
    said = "".join(page.extract_text() for page in small.reader.pages)
    assert "Forty-two, if you unfold it." in said
    assert "hidden = 1" in said
    assert not any(word in said for word in ("Press me", "¶", "the menu", "Show code"))


def test_what_a_page_looks_like_is_known_to_the_book(site):
    """A page of the site carries only its own rules, so no single page has those of all toys."""
    head = pdf.document(SITE, one_book.read(SITE, ROOT / "_toc.yml")).split("</head>")[0]
    known = set(selectors(head))
    for page in SITE.glob("notebooks/*.html"):
        style = re.search(r"<style>(.*?)</style>", page.read_text(encoding="utf-8"), re.S)[1]
        assert set(selectors(pdf.lowered(style))) <= known, page.name


def selectors(style: str) -> list[str]:
    """What the rules of a stylesheet are for, without comments and spaces."""
    style = re.sub(r"/\*.*?\*/|\s", "", style, flags=re.S)
    return re.findall(r"([^{}]+)\{", style)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(pdf).failed == 0 < doctest.testmod(pdf).attempted


def test_nothing_is_so_wide_that_the_browser_shrinks_the_page(small):
    found = (piece for page in small.pieces for piece in page)
    sizes = {round(piece.size, 1) for piece in found if "a page." in piece.text}
    assert sizes == {9.2}  # 14 px of tools/pdf.css, 0.875 of it on paper, at 0.75 points a pixel
