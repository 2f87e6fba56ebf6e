"""Grade notebooks from the command line: `python -m gpt2_tutorial.checks grade NOTEBOOK`."""

from __future__ import annotations

import argparse
import json
import sys

from gpt2_tutorial.grader.grade import SECONDS, CannotGrade, escaped, grade

SIGNS = {"passed": "✓", "wrong": "✗", "not tried": "○"}


def main(words: list[str] | None = None) -> int:
    """Read the command line and grade; 0 when graded, 2 when there was nothing to grade."""
    asked = _parser().parse_args(words)
    for stream in (sys.stdout, sys.stderr):  # an old Windows console has no ✓
        stream.reconfigure(errors="replace")
    try:
        report = grade(asked.notebook, asked.seed, asked.seconds)
    except CannotGrade as problem:
        print(escaped(str(problem)), file=sys.stderr)
        return 2
    print(json.dumps(report, indent=1, ensure_ascii=False) if asked.json else table(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gpt2_tutorial.checks", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "grade", allow_abbrev=False, help="check every exercise of a student's notebook"
    )
    command.add_argument("notebook", metavar="NOTEBOOK", help="an .ipynb file")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.add_argument("--seed", type=int, default=0, help="draws other random cases (0)")
    command.add_argument(
        "--seconds", type=_positive, default=SECONDS, help="what one exercise may take (60)"
    )
    return parser


def _positive(text: str) -> float:
    if not 0 < (seconds := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time; give more than 0 seconds")
    return seconds


def table(report: dict) -> str:
    """Lay a report out for people.

    >>> one = {"id": "01.1", "status": "passed", "mutant": None, "message": "✓ 01.1 passed"}
    >>> totals = {"passed": 1, "wrong": 0, "not tried": 0, "all": 1}
    >>> print(table({"notebook": "a", "seed": 0, "exercises": [one], "totals": totals}))
    a, seed 0: 1 of 1 passed, 0 wrong, 0 not tried
    ✓ 01.1 passed
    """
    totals, name = report["totals"], escaped(report["notebook"])
    head = (
        f"{name}, seed {report['seed']}: {totals['passed']} of {totals['all']} "
        f"passed, {totals['wrong']} wrong, {totals['not tried']} not tried"
    )
    lines = [head]
    for found in report["exercises"]:
        known = f"  [{found['mutant']}]" if found["mutant"] else ""
        lines.append(f"{SIGNS[found['status']]} {found['id']} {found['status']}{known}")
        if found["status"] == "wrong":
            said = found["message"].removeprefix(f"✗ {found['id']} ")
            lines += [f"    {line.strip()}" for line in said.split("\n")]
    return "\n".join(lines)
