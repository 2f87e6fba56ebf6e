"""The book as an EPUB: whole, in order, and XML; epubcheck looks at it in the weekly run."""

from __future__ import annotations

import doctest
import posixpath
import xml.etree.ElementTree as ET
import zipfile
from urllib.parse import urldefrag, urlsplit

import pytest
from serving import ROOT, SITE
from two_pages import small_site

import epub
import one_book

OPF = "{http://www.idpf.org/2007/opf}"


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> zipfile.ZipFile:
    home = tmp_path_factory.mktemp("small book")
    epub.write_book(small_site(home), home / "_toc.yml", home / "out" / "book.epub")
    return zipfile.ZipFile(home / "out" / "book.epub")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> zipfile.ZipFile:
    if not (SITE / "search.html").is_file():
        pytest.fail("The site is not built, so there is nothing to write: make book", pytrace=False)
    book = tmp_path_factory.mktemp("whole") / "book.epub"
    epub.write_book(SITE, ROOT / "_toc.yml", book)
    return zipfile.ZipFile(book)


@pytest.fixture(params=["small", pytest.param("whole", marks=pytest.mark.soak)])
def book(request) -> zipfile.ZipFile:
    return request.getfixturevalue(request.param)


def pages(book: zipfile.ZipFile) -> dict[str, ET.Element]:
    """Every page of a book, parsed as the XML that it has to be."""
    names = [name for name in book.namelist() if name.endswith(".xhtml")]
    return {name: ET.fromstring(book.read(name)) for name in names}


def test_a_program_knows_from_the_first_bytes_what_it_is(book):
    first = book.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
    assert book.read("mimetype") == b"application/epub+zip"


def test_every_link_and_picture_leads_into_the_book_or_to_the_web(book):
    trees = pages(book)
    places = {name: {tag.get("id") for tag in tree.iter()} for name, tree in trees.items()}
    lost = []
    for name, tree in trees.items():
        for address in (tag.get(key) for tag in tree.iter() for key in ("href", "src")):
            if address is None or urlsplit(address).scheme in ("http", "https", "mailto"):
                continue
            path, place = urldefrag(address)
            target = posixpath.join(posixpath.dirname(name), path) if path else name
            if target not in book.namelist() or (place and place not in places[target]):
                lost.append((name, address))
    assert lost == []


def test_no_place_has_the_name_of_another(book):
    drawings = [name for name in book.namelist() if name.endswith(".svg")]
    for name, tree in (pages(book) | {n: ET.fromstring(book.read(n)) for n in drawings}).items():
        ids = [tag.get("id") for tag in tree.iter() if tag.get("id")]
        assert sorted(ids) == sorted(set(ids)), name


def test_the_list_of_files_is_complete_and_the_order_is_the_books(book):
    package = ET.fromstring(book.read("book/package.opf"))
    listed = {item.get("id"): item.get("href") for item in package.iter(f"{OPF}item")}
    inside = {name.removeprefix("book/") for name in book.namelist() if name.startswith("book/")}
    assert set(listed.values()) == inside - {"package.opf"}
    order = [listed[item.get("idref")] for item in package.iter(f"{OPF}itemref")]
    links = [
        tag.get("href") for tag in pages(book)["book/contents.xhtml"].iter() if tag.get("href")
    ]
    assert order == ["contents.xhtml", *links[1:]] and links[0] == "style.css"


def test_the_examples_in_the_docstrings():
    assert [doctest.testmod(each).failed for each in (epub, one_book)] == [0, 0]


def test_a_page_keeps_its_text_folds_formulas_and_drawings(small):
    one, two = (small.read(f"book/page-{name}.xhtml").decode() for name in ("one", "two"))
    assert "Forty-two, if you unfold it." in one and '<details open="">' in one
    assert "hidden = 1" in one and "<code>a␁b</code>" in one
    assert "<div>Bytes:" in one  # no paragraph holds a list
    assert not any(word in one for word in ("Press me", "¶", "the menu", "Show code"))
    assert 'viewBox="0 0 9 9"' in two and 'xmlns="http://www.w3.org/2000/svg"' in two
    assert 'src="pictures/dot.svg"' in two
    text = small.read("book/package.opf").decode()
    assert (
        'href="page-two.xhtml" media-type="application/xhtml+xml" properties="mathml svg"' in text
    )
