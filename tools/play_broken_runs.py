"""Write book/play/data/broken-runs.json for its toy: `python tools/play_broken_runs.py [--check]`.

Curves, causes and sentences are those of the log and of exercise 16.6; the rows and letters are
printed as chapter 16 prints them.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from gpt2_tutorial.checks import chapter16
from gpt2_tutorial.ledger import logged

FILE = Path(__file__).resolve().parents[1] / "book" / "play" / "data" / "broken-runs.json"
PAIR = re.compile(r'swapped\("(\w+)", "(\w+)"\)\n  Two letters are swapped: (.+)')
HEALTHY = logged("broken_runs")["correct"][0]
STEPS, LOOKS = HEALTHY["train"]["step"], HEALTHY["looks"]["step"]
SHOWN = [(key, at) for key in ("loss", "norm") for at in (0, 19, -1)]


def short(value: float | None) -> str:
    """Write a number as the chapter's table does.

    >>> short(2.3026), short(None)
    ('2.3', 'none')
    """
    return "none" if value is None else f"{value:.3g}"


def shown(run: dict) -> dict:
    """What a reader sees of a run: its two curves, its row of the table, and what it writes."""
    rows, looks = run["train"], run["looks"]
    if STEPS[: len(rows["step"])] != rows["step"] or LOOKS[: len(looks["step"])] != looks["step"]:
        raise ValueError(f"this run was logged at other steps than the correct one: {rows['step']}")
    values = [rows[key][at] for key, at in SHOWN] + [looks["val"][-1], looks["apart"][-1]]
    return {
        "loss": rows["loss"],
        "val": looks["val"],
        "row": [short(value) for value in values],
        "sample": repr(run["sample"][:66]),
    }


def made() -> str:
    """The whole file, as text."""
    log, exercises = logged("broken_runs"), Path(chapter16.__file__).with_suffix(".md")
    runs = []
    for letter, name in chapter16.CAUSE_OF.items():
        run = log["broken"][name]
        told = {key: run[key] for key in ("title", "what", "test", "told_by")}
        runs.append({"letter": letter, "name": name, **told, **shown(run)})
    data = {
        "step": STEPS,
        "looks": LOOKS,
        "correct": shown(HEALTHY),
        "runs": runs,
        "pairs": PAIR.findall(exercises.read_text(encoding="utf-8").replace("*", "")),
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def main(words: list[str]) -> int:
    """Write the file, or say that it is old."""
    text = made()
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in words:
        print(f"✗ {FILE.name} is old: run python tools/play_broken_runs.py")
        return 1
    FILE.write_text(text, encoding="utf-8")
    print(f"{FILE.name}: written, {len(text):,} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
