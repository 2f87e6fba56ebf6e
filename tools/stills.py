"""Draw every toy's still picture: `python tools/stills.py [NAME …]`; `--check` only compares.

A page shows the still until its script has come, and for good where there is no script.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from browser import ADVICE, find_browser

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "book"), str(ROOT / "book" / "_ext")]


def drawn(names: list[str]) -> dict[str, str]:
    """Give the markup that each toy's script draws first."""
    from playwright.sync_api import sync_playwright
    from serving import FLAGS, serve
    from toys import small_site

    if not (path := find_browser()):
        sys.exit(ADVICE)
    stills = {}
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        small_site(Path(home), names)
        chrome = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = chrome.new_page(viewport={"width": 1280, "height": 900})
        with serve(Path(home)) as address:
            page.goto(f"{address}toys.html")
            for name in names:
                toy = page.locator(f"#play-{name}")
                toy.scroll_into_view_if_needed()
                page.wait_for_selector(f"#play-{name}:is([data-ready], [data-failed])")
                if toy.get_attribute("data-failed") is not None:
                    sys.exit(f"✗ The toy {name} cannot be drawn: look at its page's console.")
                stills[name] = toy.locator(".stage").inner_html() + "\n"
        chrome.close()
    return stills


def main(words: list[str]) -> int:
    """Write the stills, or say which ones are old."""
    from toys import TOYS

    asked = [word for word in words if word != "--check"] or TOYS
    old = 0
    for name, still in drawn(asked).items():
        file = ROOT / "book" / "play" / "stills" / f"{name}.html"
        if file.is_file() and file.read_text(encoding="utf-8") == still:
            continue
        old += 1
        if "--check" in words:
            print(f"✗ book/play/stills/{name}.html is old: run python tools/stills.py")
        else:
            file.write_text(still, encoding="utf-8")
            print(f"book/play/stills/{name}.html: written, {len(still):,} characters")
    return 1 if old and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
