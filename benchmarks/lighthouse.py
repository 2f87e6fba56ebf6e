"""Lighthouse over the built site: medians of several runs, served compressed, as Pages serves it.

    npm install --prefix /tmp/lighthouse --ignore-scripts lighthouse@12
    make book
    .venv/bin/python benchmarks/lighthouse.py /tmp/lighthouse/node_modules/.bin/lighthouse

Writes results/lighthouse/summary.json. Run it on a quiet machine: the score of performance moves
with the load, the other three do not.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "book"), str(ROOT / "tools")]
from serving import FLAGS, PREFIX, SITE, Handler, toc_pages  # noqa: E402

from browser import find_browser  # noqa: E402

RUNS = int(os.environ.get("RUNS", "5"))
LOOKS = {"desktop": ["--preset=desktop"], "phone": []}
TEXT = {".html", ".js", ".css", ".svg", ".xml", ".txt", ".json"}
PICTURES = {"Image", "Media"}


class Compressed(Handler):
    """Sends text compressed and with the lifetime that GitHub Pages gives it."""

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path.split("?")[0]))
        file = file / "index.html" if file.is_dir() else file
        if not file.is_file() or file.suffix not in TEXT:
            return super().do_GET()
        body = gzip.compress(file.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(file)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(body)


def report(lighthouse: str, address: str, options: list[str]) -> dict:
    """Run Lighthouse once and return its whole report."""
    with tempfile.TemporaryDirectory() as folder:
        flags = " ".join([*FLAGS, "--headless", f"--user-data-dir={folder}/chrome"])
        out = Path(folder, "report.json")
        command = [lighthouse, address, *options, "--quiet", f"--chrome-flags={flags}"]
        command += ["--output=json", f"--output-path={out}"]
        environment = os.environ | {"CHROME_PATH": find_browser() or ""}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text(encoding="utf-8"))


def weight(found: dict) -> int:
    """Add up the bytes that came over the wire, pictures left out."""
    items = found["audits"]["network-requests"]["details"]["items"]
    sent = [item for item in items if item.get("resourceType") not in PICTURES]
    return sum(item.get("transferSize", 0) for item in sent)


def summary(reports: list[dict]) -> dict:
    """Boil several reports of one page down to medians, and what each fell short of."""
    scores = {
        name: [found["categories"][name]["score"] for found in reports]
        for name in reports[0]["categories"]
    }
    short = {
        name
        for found in reports
        for category in found["categories"].values()
        for name in (ref["id"] for ref in category["auditRefs"] if ref["weight"])
        if found["audits"][name]["score"] not in (None, 1)
    }
    return {
        **{name: statistics.median(values) for name, values in scores.items()},
        "performance_of_each_run": scores["performance"],
        "kilobytes_before_pictures": round(max(map(weight, reports)) / 1000, 1),
        "below_full_score": sorted(short),
    }


def main() -> None:
    """Measure every page in both looks and write the summary."""
    if len(sys.argv) < 2 or not SITE.is_dir():
        sys.exit(__doc__)
    pages = sys.argv[2:] or ["index", *toc_pages()]
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Compressed, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base, rows, load = f"http://127.0.0.1:{server.server_port}{PREFIX}", {}, os.getloadavg()[0]
    for page in pages:
        for look, options in LOOKS.items():
            one = partial(report, sys.argv[1], f"{base}{page}.html", options)
            reports = [one() for _ in range(RUNS)]
            row = rows.setdefault(page, {})[look] = summary(reports)
            print(page, look, json.dumps(row), flush=True)
    version = reports[0]["lighthouseVersion"]
    about = {"lighthouse": version, "runs": RUNS, "load_before": round(load, 1)}
    about |= {"load_after": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    out = ROOT / "results" / "lighthouse" / "summary.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"about": about, "pages": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
