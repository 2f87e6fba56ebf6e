"""How long `gpt2 prepare` takes for ten billion tokens: a hundredth of it, multiplied.

    .venv/bin/python benchmarks/prepare_share.py [--tokens 100000000]

FineWeb-Edu needs a network, so documents of its usual length are cut from English that everybody
has: tiny Shakespeare, and the Markdown of this book. They go the way of the real ones: shuffled,
dealt to tokenizing processes, written as shards. CPU-seconds are counted, of the first process and
of the others apart: more cores make only the others' share shorter. The download, and unpacking
what comes, are not in it. Writes results/runs/prepare_share.json. Takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "TIKTOKEN_CACHE_DIR": ""}

from bpe import processor

from gpt2_tutorial.runs.encode import ParallelEncoder, load_tokenizer
from gpt2_tutorial.shard_writer import write_shards
from gpt2_tutorial.text import load_shakespeare

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "results" / "runs" / "prepare_share.json"
WHOLE = 10**10  # tokens
LENGTHS = (500, 9_500)  # characters of a document
SHARD = 100_000_000


def english(root: Path = ROOT) -> str:
    """Return tiny Shakespeare, and the words of this book's pages and chapters."""
    pages = [page.read_text(encoding="utf-8") for page in sorted(root.glob("book/*.md"))]
    books = [book.read_text(encoding="utf-8") for book in sorted(root.glob("notebooks/*.ipynb"))]
    cells = [cell for book in books for cell in json.loads(book)["cells"]]
    cells = [cell for cell in cells if cell["cell_type"] == "markdown"]
    return "\n".join([load_shakespeare(), *pages, *("".join(cell["source"]) for cell in cells)])


def documents(text: str, enough: list[bool]) -> Iterator[str]:
    """Cut documents from anywhere in the text, until somebody says that it is enough."""
    dice = random.Random(0)
    while not enough:
        size = dice.randint(*LENGTHS)
        begin = dice.randrange(len(text) - size)
        yield text[begin : begin + size]


def spent(who: int) -> float:
    """CPU-seconds of this process, or of those that have ended below it."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def measure(tokens: int, processes: int) -> dict:
    """Prepare so many tokens, and say what the first process and the others took."""
    enough: list[bool] = []
    text, count = english(), 0

    def add(more: int) -> None:
        nonlocal count
        count += more
        if count >= tokens:
            enough.append(True)

    before = spent(resource.RUSAGE_SELF), spent(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with ParallelEncoder("gpt2", "", processes) as encode:
            encode.on_tokens = add
            written = write_shards(
                documents(text, enough),
                load_tokenizer("gpt2"),
                folder,
                SHARD,
                source="benchmark",
                encode=encode,
            )
        files = list(Path(folder).rglob("*"))
        size = sum(file.stat().st_size for file in files if file.is_file())
    own = spent(resource.RUSAGE_SELF) - before[0]
    others = spent(resource.RUSAGE_CHILDREN) - before[1]
    return {
        "processes": processes,
        "tokens": sum(written.values()),
        "text_characters": len(text),
        "megabytes_written": round(size / 1e6, 1),
        "cpu_seconds_first": round(own, 1),
        "cpu_seconds_others": round(others, 1),
        "seconds": round(time.perf_counter() - before[2], 1),
    }


def multiplied(row: dict) -> dict:
    """What the whole takes: core-hours, and hours on some numbers of cores.

    The first process has a core for itself; nothing is faster than it, whatever the others do.
    """
    times = WHOLE / row["tokens"] / 3600
    first, others = row["cpu_seconds_first"] * times, row["cpu_seconds_others"] * times
    hours = {
        str(cores): round(max(first, (first + others) / cores), 2) for cores in (2, 4, 8, 16, 32)
    }
    core_hours = round(first + others, 2)
    return {"core_hours": core_hours, "first_hours": round(first, 2), "hours_on_cores": hours}


def main() -> None:
    """Measure, multiply and write the log."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--tokens", type=int, default=WHOLE // 100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    row = measure(asked.tokens, asked.processes)
    about = {
        "command": "python benchmarks/prepare_share.py",
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "tiktoken": version("tiktoken"),
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
    }
    report = {"about": about, "share": row, "whole": {"tokens": WHOLE} | multiplied(row)}
    asked.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
