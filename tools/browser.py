"""Find the browser that the tests of the site drive, or fetch one; else say what to install.

    .venv/bin/python tools/browser.py

It looks for the one named in CHROME, for Chrome or Chromium on the PATH, and for Playwright's own.
Where there is none, Playwright downloads its own, and where that is refused, apt-get installs
one, if it may. A shell, which is Chromium without its windows, goes first: a page that is opened
and looked at costs it 0.7 CPU-seconds where Chromium itself takes 2.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SHELLS = ("chromium-headless-shell", "chrome-headless-shell")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
ADVICE = (
    "The tests of the site need Chrome or Chromium, and none could be fetched. Install one (Debian "
    "and Ubuntu: sudo apt-get install chromium; elsewhere: https://www.google.com/chrome/), or put "
    "its path into the variable CHROME."
)


def find_browser() -> str | None:
    """Find Chrome or Chromium: the one named in CHROME, else the first one installed."""
    named = os.environ.get("CHROME")
    if named:
        return shutil.which(named)
    found = [shutil.which(name) for name in (*SHELLS, *NAMES, MAC_CHROME)]
    return next((path for path in found if path), None) or playwrights_own()


def playwrights_own() -> str | None:
    """Find the browser that Playwright has downloaded before."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    # …/chromium-1234/… has its shell in …/chromium_headless_shell-1234/…
    home = next(folder for folder in path.parents if folder.name.startswith("chromium-"))
    shells = home.with_name(home.name.replace("chromium-", "chromium_headless_shell-"))
    found = [*shells.glob("*/*headless*shell*"), path]
    return next((str(one) for one in found if one.is_file() and os.access(one, os.X_OK)), None)


def ways() -> list[list[str]]:
    """List the commands that may bring a browser, the gentlest first."""
    found = [[sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]]
    as_root = [] if not hasattr(os, "geteuid") or os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") and (not as_root or shutil.which("sudo")):
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        found.append([*as_root, "apt-get", "update", "-qq"])
        for package in (SHELLS[0], "chromium"):  # Ubuntu has no shell
            found.append([*as_root, *quiet, *install, package])
    return found


def main() -> int:
    for way in [None, *ways()]:
        if way:
            print(f"   no browser yet: {' '.join(way)}", flush=True)
            try:  # a download that is refused may also hang
                subprocess.run(way, timeout=600, capture_output=True)
            except (OSError, subprocess.TimeoutExpired):
                continue
        if path := find_browser():
            print(f"   browser: {path}")
            return 0
        if os.environ.get("CHROME"):
            print(f"✗ CHROME is {os.environ['CHROME']!r}, and that is no program.", file=sys.stderr)
            return 1
    print(f"✗ {ADVICE}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
