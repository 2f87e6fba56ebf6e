"""The ledger: every number that the book quotes has a name, a tolerance and a file."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpt2_tutorial.files import write_whole

HERE = Path(__file__).parent


def measure(name: str, value: float, *, tol: float | None = 0.0, unit: str = "") -> float:
    """Write down `value` under `name` ("01.val_order_1") and hand it back.

    `tol` says how far a fresh run may stray: 0 for counts and exact results, None for timings,
    which are never compared. Nothing is written unless the run was asked to keep a ledger.

    >>> measure("00.symbols", 65)
    65
    """
    with _page(name[:2]) as page:
        page["values"][name] = {"value": value, "tol": tol, "unit": unit}
    return value


def record_row(row: dict, table: str = "scoreboard", key: tuple[str, ...] = ("name",)) -> dict:
    """Write down one row of a table, in place of an older one that has the same `key`.

    >>> record_row({"chapter": "00", "name": "uniform", "val": 4.174})["val"]
    4.174
    """
    with _page(row["chapter"]) as page:
        others = [old for old in page.get(table, []) if any(old[k] != row[k] for k in key)]
        page[table] = [*others, row]
    return row


def committed(chapter: str) -> dict:
    """Return what `chapter` measured when the book was last released ({} before its first run).

    >>> sorted(committed("99"))
    ['scoreboard', 'values']
    """
    return _read(_results("measured") / f"{chapter}.json")


def logged(run: str) -> dict:
    """Return the log of a long run that was committed with the book, such as "ablation_ladder".

    >>> logged("ablation_ladder")["recipe"]["seeds"]
    [0, 1, 2, 3, 4]
    """
    file = _results("runs") / f"{run}.json"
    if not file.is_file():
        raise ValueError(f"no run is called {run!r}: results/runs has no such file")
    return json.loads(file.read_text(encoding="utf-8"))


def gpu_log(part: str, folder: Path | None = None) -> dict:
    """Return what benchmarks/gpu_day.py found about one part, such as "gpu_script", {} until then.

    Whoever tries that script on a CPU, or with tiny shapes, measures no GPU: {} again.

    >>> gpu_log("gpu_nothing")
    {}
    """
    file = (folder or _results("runs")) / f"{part}.json"
    log = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    about = log.get("about", log)
    return {} if about.get("tiny") or about.get("device") == "CPU" else log


def reveal(name: str, guess: float | None, measured: float, *, low: str, high: str) -> None:
    """Print what was measured beside the reader's guess, and why people guess too low or too high.

    >>> reveal("01.p1", 3.0, 2.48, low="One letter does help.", high="One letter says a lot.")
    Measured 2.480. You guessed 3.000, which is 0.520 too high. One letter says a lot.
    >>> reveal("01.p1", None, 2.48, low="", high="")
    Measured 2.480. (Next time put your guess in first: it makes the answer stick.)
    """
    said = f"Measured {measured:.3f}."
    if not isinstance(guess, int | float):
        print(said, "(Next time put your guess in first: it makes the answer stick.)")
        return
    gap = guess - measured
    if abs(gap) <= 0.02 * abs(measured):
        print(said, f"You guessed {guess:.3f}: as good as measuring it.")
        return
    side, why = ("high", high) if gap > 0 else ("low", low)
    print(said, f"You guessed {guess:.3f}, which is {abs(gap):.3f} too {side}. {why}")


def _results(kind: str) -> Path:
    beside_the_source = HERE.parents[1] / "results" / kind  # a clone
    return beside_the_source if beside_the_source.is_dir() else HERE / kind  # a wheel


def _read(file: Path) -> dict:
    if not file.exists():
        return {"values": {}, "scoreboard": []}
    return json.loads(file.read_text(encoding="utf-8"))


@contextmanager
def _page(chapter: str) -> Iterator[dict]:
    """Lend the chapter's page to write on, and put it back when a ledger is kept."""
    folder = os.environ.get("GPT2_TUTORIAL_LEDGER")
    file = Path(folder or ".") / f"{chapter}.json"
    page = _read(file) if folder else {"values": {}, "scoreboard": []}
    yield page
    if folder:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(page, indent=1, ensure_ascii=False) + "\n")
