"""The built pages as the chapters of one book, in reading order, without what only a site needs.

`make pdf` and `make epub` both begin here. The pages are read and never written: what a reader
keeps says what the site says.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

import yaml
from bs4 import BeautifulSoup, Comment, Tag

PUBLIC = "https://x-jesse.github.io/GPT-2/"
TITLE, SUBTITLE = "GPT-2 from scratch", "The book that runs"
# What can be pressed or filled in, and the marks that a pointer brings up.
ONLY_ON_A_SITE = "script, button, form.guess, .headerlink, .stage .controls, .stage .stepper"
HEADINGS = {f"h{level}": f"h{level + 1}" for level in (5, 4, 3, 2, 1)}
NAMES = ("aria-labelledby", "aria-describedby", "aria-controls", "for", "headers")


@dataclass
class Chapter:
    """One page: where it stands in the site, its title, its text, and its names for places."""

    page: str
    part: str
    title: str
    body: Tag
    places: dict[str, str] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        return "page-" + self.page.rsplit("/", 1)[-1]


def reading_order(toc: dict) -> Iterator[tuple[str, str]]:
    """Name every page of a table of contents with its part; the front page has none.

    >>> toc = {"root": "book/index", "parts": [{"caption": "A", "chapters": [{"file": "x"}]}]}
    >>> list(reading_order(toc))
    [('book/index', ''), ('x', 'A')]
    """

    def below(entry: dict, part: str) -> Iterator[tuple[str, str]]:
        yield entry["file"], part
        for section in entry.get("sections", []):
            yield from below(section, part)

    yield toc["root"], ""
    for part in toc["parts"]:
        for entry in part["chapters"]:
            yield from below(entry, part["caption"])


def chapter(site: Path, page: str, part: str) -> Chapter:
    """Read one built page: its article, with every fold open and nothing to press."""
    soup = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    body = soup.find("article")
    for thing in body.select(ONLY_ON_A_SITE):
        thing.decompose()
    for comment in body.find_all(string=lambda text: isinstance(text, Comment)):
        comment.extract()
    for fold in body.select("details.hide"):  # code that a click shows on the site
        fold.summary.decompose()
        fold.unwrap()
    for fold in body.find_all("details"):
        fold["open"] = ""
    for picture in body.find_all("img"):
        picture.attrs.pop("loading", None)  # a page that is printed is never scrolled to it
    for old, new in HEADINGS.items():  # the parts are above the chapters
        for heading in body.find_all(old):
            heading.name = new
    title = body.find("h2")
    if title is None:
        raise ValueError(f"{page}.html has no title, so it cannot be a chapter.")
    return Chapter(page, part, " ".join(title.get_text().split()), body)


def name_places(chapters: list[Chapter]) -> None:
    """Give every place a name of its own in the whole book: chapters share many.

    A toy keeps the name that its style goes by; no link leads to it.
    """
    taken = {each.anchor for each in chapters}
    for each in chapters:
        for tag in each.body.find_all(id=True):
            old = tag["id"]
            new = old if old not in taken or old.startswith("play-") else f"{each.anchor}--{old}"
            taken.add(new)
            each.places[old] = tag["id"] = new
        for tag in each.body.find_all(lambda tag: any(name in tag.attrs for name in NAMES)):
            for name in NAMES:
                if name in tag.attrs:
                    said = tag[name] if isinstance(tag[name], list) else tag[name].split()
                    tag[name] = " ".join(each.places.get(word, word) for word in said)


def mend_links(chapters: list[Chapter], place: Callable[[Chapter, str], str]) -> None:
    """Let links between pages lead to places of the book, and the others to the public site.

    `place` writes the address of a chapter and a name in it; "" is the chapter's beginning.
    """
    by_page = {each.page: each for each in chapters}
    by_page.setdefault("index", chapters[0])  # the front page stands at the site's root as well
    for each in chapters:
        for link in each.body.find_all("a", href=True):
            if urlsplit(link["href"]).scheme:
                continue
            path, name = urldefrag(link["href"])
            here = posixpath.dirname(each.page)
            target = posixpath.normpath(posixpath.join(here, path)) if path else each.page
            to = by_page.get(re.sub(r"\.html$", "", target))
            if to is None or name not in {"", *to.places}:
                link["href"] = f"{PUBLIC}{target}{'#' + name if name else ''}"
            else:
                link["href"] = place(to, to.places.get(name, ""))


def pictures(chapters: list[Chapter]) -> Iterator[tuple[Tag, str]]:
    """Give every picture with its file's path in the site."""
    for each in chapters:
        for picture in each.body.find_all("img", src=True):
            here = posixpath.dirname(each.page)
            if not urlsplit(picture["src"]).scheme:
                yield picture, posixpath.normpath(posixpath.join(here, picture["src"]))


def read(site: Path, toc: Path) -> list[Chapter]:
    """Read every page of the table of contents, with names that are one book's."""
    order = reading_order(yaml.safe_load(toc.read_text(encoding="utf-8")))
    chapters = [chapter(site, page, part) for page, part in order]
    name_places(chapters)
    return chapters
