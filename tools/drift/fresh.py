"""The committed measurements are the ones that a fresh run gives."""

import json
from collections.abc import Set
from pathlib import Path

# table of a page: (what names a row, what must be exact in it, what may stray by its tolerance)
TABLES = {
    "scoreboard": (("name",), ("parameters", "context"), ("train", "val")),
    "ladder": (("name", "against", "dtype"), ("tol",), ("values", "gradients")),
}


def load(folder: Path) -> dict[str, dict]:
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def far_apart(committed: object, fresh: object, tol: float) -> bool:
    """Written so that nan is far from everything.

    >>> far_apart(1.0, 1.02, 0.01), far_apart(1.0, float("nan"), 0.01), far_apart("a", "a", 0)
    (True, True, False)
    """
    try:
        return not abs(committed - fresh) <= tol
    except TypeError:
        return committed != fresh


def names_complaints(file: str, what: str, committed: Set[str], fresh: Set[str]) -> list[str]:
    advice = "copy the file of the fresh run into results/measured"
    gone, new = sorted(committed - fresh), sorted(fresh - committed)
    complaints = [f"{file}: the fresh run has no {what} {name!r}: {advice}." for name in gone]
    return complaints + [f"{file}: {what} {name!r} is not committed: {advice}." for name in new]


def value_complaints(file: str, committed: dict, fresh: dict) -> list[str]:
    complaints = names_complaints(file, "value", committed.keys(), fresh.keys())
    for name in sorted(committed.keys() & fresh.keys()):
        old, new, tol = committed[name]["value"], fresh[name]["value"], committed[name]["tol"]
        if tol != fresh[name]["tol"]:
            complaints.append(
                f"{file}: the tolerance of {name!r} is {tol} here and {fresh[name]['tol']} in the "
                "notebook: copy the file of the fresh run into results/measured."
            )
        elif tol is not None and far_apart(old, new, tol):
            complaints.append(
                f"{file}: {name!r} is {old}, the fresh run measured {new}, further apart than its "
                f"tolerance {tol}: find out why, or commit the new value and correct the text."
            )
    return complaints


def row_complaints(file: str, table: str, name: str, committed: dict, fresh: dict) -> list[str]:
    (_, exact, close), complaints = TABLES[table], []
    for key in (*exact, *close):
        tol = committed.get("tol") if key in close else 0
        if tol is not None and far_apart(committed.get(key), fresh.get(key), tol):
            complaints.append(
                f"{file}: {table} row {name!r}: {key} is {committed.get(key)}, the fresh run "
                f"has {fresh.get(key)} (tolerance {tol}): find out why, or commit the new row."
            )
    return complaints


def table_complaints(file: str, table: str, committed: list[dict], fresh: list[dict]) -> list[str]:
    key = TABLES[table][0]
    named = ({", ".join(row[k] for k in key): row for row in rows} for rows in (committed, fresh))
    old, new = named
    complaints = names_complaints(file, f"{table} row", old.keys(), new.keys())
    for name in sorted(old.keys() & new.keys()):
        complaints += row_complaints(file, table, name, old[name], new[name])
    return complaints


def fresh_numbers(committed_dir: Path, fresh_dir: Path) -> list[str]:
    """Every committed value lies within its tolerance of the fresh one; timings are left out."""
    old, new = load(committed_dir), load(fresh_dir)
    complaints = names_complaints("results/measured", "file", old.keys(), new.keys())
    for file in sorted(old.keys() & new.keys()):
        here = f"results/measured/{file}"
        complaints += value_complaints(here, old[file]["values"], new[file]["values"])
        for table in TABLES:
            rows = (old[file].get(table, []), new[file].get(table, []))
            complaints += table_complaints(here, table, *rows)
    return complaints
