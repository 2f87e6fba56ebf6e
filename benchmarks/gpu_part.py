"""Run one part of the GPU day in this process: `gpu_day.py` starts it, and ends it in time.

Whatever goes wrong in the part, its log says so in a sentence and holds what was measured before.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from gpu_job import Job, last_lines


def end_with(parent: int) -> None:
    """Kill this whole process group as soon as the parent is gone, however it went."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def without_network() -> None:
    """Take away the addresses of outside files: what is not at hand fails at once."""
    from dataclasses import replace

    from gpt2_tutorial import assets

    for name, asset in assets.ASSETS.items():
        assets.ASSETS[name] = replace(asset, urls=())


def sentence(error: BaseException) -> str:
    """One line: what kind of error, and the first line of what it says."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:300]


def carry_out(job: Job) -> int:
    """Measure, and see to it that a log is left; returns an exit code."""
    job.keep()
    try:
        without_network()
        importlib.import_module(f"gpu_{job.part}").measure(job)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        job.fail(sentence(error), last_lines(traceback.format_exc()))
        return 1
    job.finish()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("part")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--ends", type=float, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    end_with(args.parent)
    about = json.loads((args.scratch / "about.json").read_text(encoding="utf-8"))
    job = Job(args.part, args.out, args.scratch, args.device, args.tiny, args.ends, about)
    return carry_out(job)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)  # a thread or a library that hangs at exit costs the next part its time
