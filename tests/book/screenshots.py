"""Every page as a picture, to be looked at: `python tests/book/screenshots.py OUTDIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from serving import FLAGS, ROOT, SITE, serve, toc_pages

sys.path.insert(0, str(ROOT / "tools"))
from browser import find_browser

TALL = 3000  # Chrome draws no picture taller than 16,384 pixels
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


def shoot(browser: Browser, address: str, folder: Path) -> None:
    """Write every page in every look."""
    for look, options in LOOKS.items():
        context = browser.new_context(**options)
        page = context.new_page()
        for name in toc_pages():
            page.goto(f"{address}{name}.html", wait_until="load")
            page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
            page.wait_for_load_state("networkidle")
            shoot_in_parts(page, folder / f"{Path(name).name}-{look}")
        context.close()


def shoot_in_parts(page: Page, stem: Path) -> None:
    """Write one page as STEM-0.png, STEM-1.png and so on, each no taller than TALL."""
    size = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    for part, top in enumerate(range(0, size[1], TALL)):
        clip = {"x": 0, "y": top, "width": size[0], "height": min(TALL, size[1] - top)}
        page.screenshot(path=f"{stem}-{part}.png", full_page=True, clip=clip)


def main() -> None:
    """Check what is needed, then take the pictures."""
    if len(sys.argv) != 2:
        sys.exit("Say where the pictures go: python tests/book/screenshots.py OUTDIR")
    path = find_browser()
    if path is None or not SITE.is_dir():
        sys.exit("A built site (`make book`) and Chrome or Chromium are needed.")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with serve() as address, sync_playwright() as playwright:
        shoot(playwright.chromium.launch(executable_path=path, args=FLAGS), address, folder)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
    main()
