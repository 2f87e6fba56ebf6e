"""What the tests of the site share: the built pages, a server, one browser."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page, sync_playwright
from serving import FLAGS, ROOT, SITE, new_page, parsed, serve, toc_pages

from browser import ADVICE, find_browser

sys.path.insert(0, str(ROOT / "book" / "_ext"))

NO_SITE = "The site is not built, so there is nothing to look at. Run `make book` first."


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / "search.html").is_file():
        pytest.fail(NO_SITE, pytrace=False)
    return SITE


@pytest.fixture(scope="session")
def soups(site: Path) -> dict[str, BeautifulSoup]:
    """Every page of the table of contents, parsed."""
    pages = {}
    for name in toc_pages():
        file = site / f"{name}.html"
        if not file.is_file():
            pytest.fail(f"{name} is in _toc.yml and not in the site. Run `make book` again.")
        pages[name] = parsed(file)
    return pages


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with serve(site) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.fail(ADVICE, pytrace=False)
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chrome
        chrome.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which nothing waits for a guess: whatever it has can be looked at."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(
        "try { localStorage.setItem('veil', 'false'); } catch { /* no page */ }"
    )
    yield new_page(context)
    context.close()


@pytest.fixture
def first_visit(browser: Browser) -> Iterator[Page]:
    """A page as it is for somebody who was never here."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield new_page(context)
    context.close()


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty page, beside which the toys' modules lie."""
    from toys import small_site

    with serve(small_site(tmp_path_factory.mktemp("bare"), [])) as url:
        yield f"{url}toys.html"


@pytest.fixture(scope="session")
def bare_page(browser: Browser, bare: str) -> Iterator[Page]:
    """That empty page, opened once for all who ask functions that keep nothing."""
    page = browser.new_page()
    page.goto(bare)
    yield page
    page.close()


@pytest.fixture
def ask(bare_page: Page) -> Callable[..., object]:
    """Call a function of a toy's module in the browser: `ask("logits", "priced", [1, 0], 1)`."""

    def call(name: str, function: str, *values: object) -> object:
        load = f"import('./_static/play/toys/{name}.js')"
        return bare_page.evaluate(f"async (v) => (await {load}).{function}(...v)", list(values))

    return call


@pytest.fixture(scope="session")
def axe() -> Callable[..., list[dict]]:
    """What axe has against a page, by all its rules or by those named: rule, why, where."""

    script = Axe().axe_script  # half a megabyte: read once, and once into each page

    def violations(page: Page, *rules: str) -> list[dict]:
        options = {"runOnly": list(rules)} if rules else {}
        if not page.evaluate("'axe' in window"):
            page.evaluate(script)
        run = "async (options) => (await axe.run(options)).violations"
        return [
            {"id": f["id"], "help": f["help"], "at": [n["html"][:150] for n in f["nodes"][:3]]}
            for f in page.evaluate(run, options | {"resultTypes": ["violations"]})
        ]

    return violations
