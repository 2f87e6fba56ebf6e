"""Measure what needs the network and write it to results/online.json.

Three things: do the public addresses of the outside files give the right bytes, does Colab's
first cell install from the repository, and does every link lead somewhere. The scheduled job runs
this; where there is no network, nothing is written.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import first_cell
import needed
from drift.reading import notebooks
from gpt2_tutorial import assets
from gpt2_tutorial.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
WHO = {"User-Agent": "Mozilla/5.0 (link check of GPT-2 from scratch)"}
URL = re.compile(r"https?://[^\s<>\"'`{}|\\^]+")
NOT_OURS_TO_CHECK = ("http://localhost", "http://127.0.0.1")
SECONDS, TRIES = 30, 3


def fetch(url: str, tries: int = TRIES, wait: float = 2.0) -> tuple[str, bytes]:
    """Return ("good", body), or what went wrong ("gone", "unsure") with the reason.

    "gone" is a clear answer: not there, or no such host. "unsure" is every other refusal, since
    some hosts answer machines with 403 and people with the page.
    """
    said = ("unsure", b"")
    for number in range(tries):
        try:
            request = urllib.request.Request(url, headers=WHO)
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return "good", answer.read()
        except urllib.error.HTTPError as error:
            said = ("gone" if error.code in (404, 410) else "unsure", f"{error.code}".encode())
        except (OSError, ValueError) as error:  # no host, no route, too late, half an answer
            said = ("unsure", str(getattr(error, "reason", error)).encode())
        if said[0] == "gone":
            break
        time.sleep(wait * number)
    return said


def addresses(texts: Iterable[str]) -> list[str]:
    """List the external addresses in some texts, each once.

    >>> addresses(["[a](https://a.org/b_(c)) and https://d.org/e.", "http://localhost:8000/"])
    ['https://a.org/b_(c)', 'https://d.org/e']
    """
    found = set()
    for url in (url for text in texts for url in URL.findall(text)):
        while url[-1] in ".,;:!?*_]" or (url[-1] == ")" and url.count(")") > url.count("(")):
            url = url[:-1]
        if not url.startswith(NOT_OURS_TO_CHECK):
            found.add(url.partition("#")[0])
    return sorted(found)


def texts(root: Path) -> list[str]:
    """Return every text of the repository that a reader may follow a link from."""
    files = [*root.glob("*.md"), *root.glob("book/*.md"), *root.glob("book/*.bib")]
    written = [file.read_text(encoding="utf-8") for file in files]
    for file in [*root.glob("notebooks/*.ipynb"), *root.glob("launch/*.ipynb")]:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        written += ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    return written


def check_links(urls: list[str]) -> dict:
    """Ask every address, and list those that are gone and those that would not say."""
    with ThreadPoolExecutor(8) as pool:
        said = dict(zip(urls, pool.map(fetch, urls), strict=True))
    bad = {kind: [u for u, (k, _) in said.items() if k == kind] for kind in ("gone", "unsure")}
    return {"checked": len(urls), **bad}


def check_assets(known: Iterable[assets.Asset]) -> dict:
    """Say of every public address of an outside file whether it gives the right bytes."""
    found = {}
    for asset in known:
        for url in asset.urls:
            kind, body = fetch(url)
            right = kind == "good" and hashlib.sha256(body).hexdigest() == asset.sha256
            found[url] = "right" if right else "other bytes" if kind == "good" else kind
    return found


def install_as_colab() -> dict:
    """Install into an empty folder what the first cell of a notebook asks for, and import it."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        asked = [*pip, "--target", folder, first_cell.book(ROOT), *first_cell.packages(ROOT)]
        ran = subprocess.run(asked, capture_output=True, text=True)
        seconds = round(time.monotonic() - start, 1)
        if ran.returncode:
            return {"works": False, "said": ran.stderr.strip().split("\n")[-1]}
        check = [sys.executable, "-c", "import gpt2_tutorial as g; print(g.__file__)"]
        variables = os.environ | {"PYTHONPATH": folder}
        ran = subprocess.run(check, capture_output=True, text=True, env=variables, cwd=folder)
        if not ran.stdout.startswith(folder):
            return {"works": False, "seconds": seconds, "said": ran.stderr[-300:]}
        missing = needed.lacking(Path(folder), needed.imported(notebooks(ROOT)))
        said = f"it has no {', '.join(missing)}: release anew" if missing else ""
        return {"works": not missing, "seconds": seconds, "said": said}


def faults(found: dict) -> list[str]:
    """Say in sentences what has to be mended."""
    said = [f"{url} gives {what}" for url, what in found["assets"].items() if what != "right"]
    said += [f"{url} is gone" for url in found["links"]["gone"]]
    if not found["install"]["works"]:
        said.append(f"the first cell cannot install: {found['install']['said']}")
    return said


def measure() -> dict:
    """Measure everything; ConnectionError where there is no network at all."""
    links = check_links(addresses(texts(ROOT)))
    if len(links["gone"]) + len(links["unsure"]) == links["checked"]:
        raise ConnectionError("No address answered. Is there a network? Nothing was written.")
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "assets": check_assets(assets.ASSETS.values()),
        "install": install_as_colab(),
        "links": links,
    }


def main(file: Path = ROOT / "results" / "online.json") -> int:
    try:
        found = measure()
    except ConnectionError as problem:
        print(f"✗ {problem}", file=sys.stderr)
        return 1
    write_whole(file, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    said = faults(found)
    print("\n".join([f"✗ {fault}" for fault in said] or ["✓ everything that is online is right"]))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
