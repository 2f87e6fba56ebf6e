"""Write the built site as an EPUB: _build/epub/gpt2-from-scratch.epub.

    .venv/bin/python tools/epub.py

One file of XHTML for each page, in reading order, with its pictures and formulas. What can be
played with has its caption and its words: a reader's program runs no scripts of ours.
"""

import html
import re
import sys
import time
import uuid
import zipfile
from itertools import groupby
from pathlib import Path

from bs4 import Tag

import one_book
from one_book import Chapter

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
BOOK = ROOT / "_build" / "epub" / "gpt2-from-scratch.epub"
STYLE = Path(__file__).with_suffix(".css")
# HTML's parser writes names small; XML knows these only as SVG spells them.
SPELLED = {
    name.lower(): name
    for name in ("viewBox", "preserveAspectRatio", "linearGradient", "clipPath", "gradientUnits",
                 "markerWidth", "markerHeight", "refX", "refY", "textLength", "textPath")
}  # fmt: skip
NAMESPACES = {"svg": "http://www.w3.org/2000/svg", "math": "http://www.w3.org/1998/Math/MathML"}
BLOCKS = ["p", "ol", "ul", "dl", "div", "table", "pre", "blockquote"]
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
NOT_IN_XHTML = ("border", "align", "valign", "frame", "rules", "cellpadding", "cellspacing")
KINDS = {".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}
PAGE = """\
<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" \
xml:lang="en">
<head><meta charset="utf-8"/><title>{title}</title>
<link rel="stylesheet" type="text/css" href="style.css"/></head>
<body>{body}</body></html>
"""
CONTAINER = """\
<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>
"""
PACKAGE = """\
<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{identity}</dc:identifier>
<dc:title>{title}</dc:title><dc:language>en</dc:language>
<dc:creator>x-jesse and contributors</dc:creator>
<dc:rights>Code: MIT licence. Words and pictures: CC BY 4.0.</dc:rights>
<dc:source>{source}</dc:source>
<meta property="dcterms:modified">{modified}</meta>
</metadata>
<manifest>
{manifest}
</manifest>
<spine>{spine}</spine>
</package>
"""


def file_of(each: Chapter) -> str:
    return f"{each.anchor}.xhtml"


def as_xml(body: Tag) -> str:
    """Write a chapter as XHTML: what HTML forgives is put right."""
    for stage in body.select("figure.play .stage"):
        stage.decompose()
    for tag in body.find_all(True):
        tag.name = SPELLED.get(tag.name, tag.name)
        tag.attrs = {SPELLED.get(key, key): value for key, value in tag.attrs.items()
                     if key not in NOT_IN_XHTML}  # fmt: skip
        if tag.name in NAMESPACES:
            tag["xmlns"] = NAMESPACES[tag.name]
    for holder in body.find_all(["p", "span"]):
        if holder.find(BLOCKS):  # a list inside a paragraph, which XHTML does not know
            holder.name = "div"
    body.name, body.attrs = "section", {"class": "chapter"}
    text = body.decode(formatter="minimal")
    return NOT_IN_XML.sub(lambda found: chr(0x2400 + ord(found[0])), text)  # ␀, ␁, …


def with_names_once(drawing: bytes) -> bytes:
    """Take away a name that another piece of the drawing has: Matplotlib names by content.

    >>> with_names_once(b'<g id="a"/><g id="a"/><g id="b"/>')
    b'<g id="a"/><g/><g id="b"/>'
    """
    seen: set[bytes] = set()

    def first(found: re.Match[bytes]) -> bytes:
        again = found[1] in seen
        seen.add(found[1])
        return b"" if again else found[0]

    return re.sub(rb' id="([^"]*)"', first, drawing)


def navigation(chapters: list[Chapter]) -> str:
    """List parts and chapters as the reader's program shows them."""
    lines = []
    for part, members in groupby(chapters, key=lambda each: each.part):
        links = "".join(
            f'<li><a href="{file_of(each)}">{html.escape(each.title)}</a></li>' for each in members
        )
        lines.append(
            f"<li><span>{html.escape(part)}</span><ol>{links}</ol></li>" if part else links
        )
    body = f'<nav epub:type="toc"><h1>Contents</h1><ol>{"".join(lines)}</ol></nav>'
    return PAGE.format(title="Contents", body=body)


def properties(text: str) -> str:
    found = [kind for kind, tag in (("mathml", "math"), ("svg", "svg")) if f"<{tag} " in text]
    return f' properties="{" ".join(found)}"' if found else ""


def files(site: Path, chapters: list[Chapter], modified: str) -> dict[str, bytes]:
    """Make every file of the book, by its name in it."""
    one_book.mend_links(chapters, lambda each, name: file_of(each) + (f"#{name}" if name else ""))
    made: dict[str, bytes] = {}
    for picture, path in one_book.pictures(chapters):
        name = "pictures/" + path.rsplit("/", 1)[-1]
        content = (site / path).read_bytes()
        made[name] = with_names_once(content) if name.endswith(".svg") else content
        picture["src"] = name
    made["style.css"] = STYLE.read_bytes()
    items = [
        f'<item id="f{number}" href="{name}" media-type="{KINDS[Path(name).suffix]}"/>'
        for number, name in enumerate(made)
    ]
    for each in chapters:
        text = PAGE.format(title=html.escape(each.title), body=as_xml(each.body))
        made[file_of(each)] = text.encode()
        kind = f'media-type="application/xhtml+xml"{properties(text)}'
        items.append(f'<item id="{each.anchor}" href="{file_of(each)}" {kind}/>')
    made["contents.xhtml"] = navigation(chapters).encode()
    nav = 'media-type="application/xhtml+xml" properties="nav"'
    items.append(f'<item id="contents" href="contents.xhtml" {nav}/>')
    made["package.opf"] = PACKAGE.format(
        identity=uuid.uuid5(uuid.NAMESPACE_URL, one_book.PUBLIC),
        title=one_book.TITLE,
        source=one_book.PUBLIC,
        modified=modified,
        manifest="\n".join(items),
        spine="".join(f'<itemref idref="{name}"/>'
                      for name in ("contents", *(each.anchor for each in chapters))),
    ).encode()  # fmt: skip
    return {"META-INF/container.xml": CONTAINER.encode()} | {
        f"book/{name}": content for name, content in made.items()
    }


def write_book(site: Path, toc: Path, book: Path) -> list[Chapter]:
    """Write the pages of a site as one EPUB."""
    chapters = one_book.read(site, toc)
    modified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    book.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as whole:
        whole.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)  # first, and bare
        for name, content in files(site, chapters, modified).items():
            whole.writestr(name, content)
    return chapters


def main() -> int:
    if not (SITE / "search.html").is_file():
        print("✗ The site is not built, so there is nothing to write: make book", file=sys.stderr)
        return 1
    chapters = write_book(SITE, ROOT / "_toc.yml", BOOK)
    size = BOOK.stat().st_size / 1e6
    print(f"   {BOOK.relative_to(ROOT)}: {len(chapters)} chapters, {size:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
