"""How fast the model writes in the page, with nothing beside it and with every core busy.

    make book
    .venv/bin/python benchmarks/page_speed.py

Writes results/runs/page_speed.json: characters a second while the text fits into the context, and
beyond it, where each character has the whole window read anew. Medians of five.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from ablation_ladder import cpu
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "book"), str(ROOT / "tools")]
from serving import FLAGS, serve  # noqa: E402

from browser import find_browser  # noqa: E402

OUT = ROOT / "results" / "runs" / "page_speed.json"
WRITE = """async ([from, letters]) => {
  const { openModel } = await import("../_static/play/model.js"), model = openModel();
  const characters = await model("characters");
  let text = "ROMEO: what light through yonder window breaks? ".repeat(2).slice(0, from);
  const begun = performance.now();
  for (let i = 0; i < letters; i++) {
    const bets = await model("bets", { text, knobs: { temperature: 0 } });
    text += characters[bets.indexOf(Math.max(...bets))];
  }
  return letters / (performance.now() - begun) * 1000;
}"""


def characters_a_second() -> dict[str, float]:
    """Let the model write inside and beyond its context, in a fresh browser."""
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        chrome = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        stack.callback(chrome.close)
        address = stack.enter_context(serve())
        page = chrome.new_page()
        page.goto(f"{address}book/index.html")
        page.evaluate(WRITE, [5, 10])  # load, and let the browser compile
        return {
            "inside": statistics.median(page.evaluate(WRITE, [7, 50]) for _ in range(5)),
            "beyond": statistics.median(page.evaluate(WRITE, [70, 20]) for _ in range(5)),
        }


def main() -> None:
    """Measure both ways and write the log."""
    load = os.getloadavg()[0]
    found = {"quiet": characters_a_second()}
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        time.sleep(2)
        found["every_core_busy"] = characters_a_second()
    finally:
        for process in busy:
            process.kill()
    about = {"cpu": cpu(), "cores": os.cpu_count(), "load_before": round(load, 1)}
    log = {"about": about, "characters_a_second": found}
    OUT.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(log, indent=1))


if __name__ == "__main__":
    main()
