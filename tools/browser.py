"""Find the browser that the tests of the site drive, or fetch one; else say what to install.

    .venv/bin/python tools/browser.py

It looks for the one named in CHROME, for Chrome or Chromium on the PATH, and for Playwright's own.
Where there is none, Playwright downloads its own, and where that is refused, apt-get installs
Chromium, if it may.
"""

import os
import shutil
import subprocess
import sys

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
    found = [shutil.which(name) for name in (*NAMES, MAC_CHROME)]
    return next((path for path in found if path), None) or playwrights_own()


def playwrights_own() -> str | None:
    """Find the browser that Playwright has downloaded before."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.access(path, os.X_OK) else None


def ways() -> list[list[str]]:
    """List the commands that may bring a browser, the gentlest first."""
    found = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    as_root = [] if not hasattr(os, "geteuid") or os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") and (not as_root or shutil.which("sudo")):
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        found.append([*as_root, "apt-get", "update", "-qq"])
        found.append([*as_root, *quiet, *install])
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
