"""The built site on 127.0.0.1 under /GPT-2/, as on the public host, and a browser to look at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, BrowserContext, Page, Response

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
PREFIX = "/GPT-2/"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Handler(SimpleHTTPRequestHandler):
    """Serves the site under the prefix and nothing outside it."""

    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        if not path.startswith(PREFIX):
            return str(SITE / "outside-the-prefix")
        return super().translate_path("/" + path.removeprefix(PREFIX))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a wrong address as the public host does: with the site's own page."""
        body = (SITE / "404.html").read_bytes() if code == 404 else b""
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Stay silent: a failing test says what it missed."""


@contextmanager
def serve(site: Path = SITE) -> Iterator[str]:
    """Serve the site for as long as the block runs, and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def toc_pages() -> list[str]:
    """List the pages of the table of contents, without their endings, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    pages = [page for top in chapters for page in (top, *top.get("sections", []))]
    return [toc["root"], *(page["file"] for page in pages)]


def of_each_kind(pages: list[str]) -> list[str]:
    """Leave out all lists of names but the first: one tool writes them, and they look alike."""
    lists = [page for page in pages if page.startswith("book/api-")]
    return [page for page in pages if page not in lists[1:]]


@cache  # a chapter takes seconds, and many tests read it
def parsed(file: Path) -> BeautifulSoup:
    """A built page as a tree that nobody may change."""
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


# Nothing waits any longer, or there is nothing that could.
WHOLE = "html:not(.in-parts), html:not(:has(article > section > section))"


def new_page(context: BrowserContext | Browser) -> Page:
    """Open a page whose `goto` waits until all of it is laid out, not only the first screen."""
    page = context.new_page()
    goto = page.goto

    def whole(address: str, **options: object) -> Response | None:
        answer = goto(address, **options)
        page.locator(WHOLE).wait_for(state="attached")
        return answer

    page.goto = whole
    return page
