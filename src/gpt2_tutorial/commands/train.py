"""Train GPT-2 in this process, as launch/train_gpt2.py does; its options are taken as they are.

On several GPUs use torchrun, or launch/run.sh, which also goes on after a crash.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

SCRIPT = "train_gpt2.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let everything through, `--help` included: the script has its own options."""
    parser.prefix_chars = "\0"  # no word begins with it, so none is taken for an option here
    parser.add_argument("words", nargs=argparse.REMAINDER)


def run(asked: argparse.Namespace) -> int:
    """Run the script; return its exit code: 0, 2, 65, 70, 74, 75 or 78."""
    home = str(script())
    before, sys.argv = sys.argv, [home, *asked.words]
    try:
        runpy.run_path(home, run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return 0


def script() -> Path:
    """Find the script: in a clone beside the source, in a wheel inside the package.

    >>> script().name
    'train_gpt2.py'
    """
    here = Path(__file__).resolve()
    homes = (here.parents[3] / "launch" / SCRIPT, here.parents[1] / "launch" / SCRIPT)
    for home in homes:
        if home.is_file():
            return home
    raise FileNotFoundError(f"{SCRIPT} is not at {homes[1]}: install the package anew")
