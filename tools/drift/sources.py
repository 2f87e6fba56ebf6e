"""Where numbers may come from: measured files, run logs, plans, the bibliography, arithmetic."""

import json
import re
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path

from drift.arithmetic import evaluate
from drift.markers import Number
from gpt2_tutorial.commands.plan import PRESETS, plan
from gpt2_tutorial.runs.hardware import MACHINES


def pick(data: object, key: str) -> object:
    """Value under a dotted key; numbers index lists.

    >>> pick([{"val": 1.5}, {"val": 1.4}], "-1.val")
    1.4
    """
    if isinstance(data, dict) and key in data:
        return data[key]
    head, _, rest = key.partition(".")
    found = data[int(head)] if isinstance(data, list) else data[head]
    return pick(found, rest) if rest else found


def read_log(path: Path) -> object:
    """A JSON file, or the list of lines of a .jsonl file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return json.loads(text)


@cache
def planned() -> dict[str, float]:
    """What `gpt2 plan` says of every machine, and the settings of its preset.

    >>> planned()["plan:8xh100.max_steps"], planned()["plan:8xh100.memory.weights"]
    (19073, 497759232.0)
    """
    values = {}
    for name in MACHINES:
        sheet = plan(name, PRESETS[name])
        parts = {f"memory.{part}": size for part, size in sheet.pop("memory").items()}
        for key, value in (asdict(PRESETS[name]) | sheet | parts).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                values[f"plan:{name}.{key}"] = value
    return values


@dataclass(frozen=True)
class Sources:
    """Everything that a marker can point at below one root.

    `fresh` is the folder of what a build has measured: it comes before what was committed.
    """

    root: Path
    fresh: Path | None = None

    @staticmethod
    def entries(path: Path) -> dict[str, dict]:
        """The named values of one measured file."""
        return json.loads(path.read_text(encoding="utf-8"))["values"]

    @cached_property
    def measured(self) -> dict[str, object]:
        values: dict[str, object] = {}
        for folder in filter(None, (self.root / "results" / "measured", self.fresh)):
            for path in sorted(folder.glob("*.json")):
                values |= {name: entry["value"] for name, entry in self.entries(path).items()}
        return values

    @cached_property
    def citekeys(self) -> set[str]:
        path = self.root / "book" / "references.bib"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return set(re.findall(r"(?m)^\s*@\w+\{\s*([^,\s]+)\s*,", text))

    def logged(self, place: str) -> object:
        file, _, key = place.partition("#")
        path = self.root / "results" / file
        if not path.is_file():
            raise ValueError(f"there is no file results/{file}")
        try:
            return pick(read_log(path), key)
        except (KeyError, IndexError, TypeError, ValueError):
            raise ValueError(f"results/{file} has no key {key!r}") from None

    def value(self, kind: str, name: str) -> object:
        """What the source holds; ValueError with a sentence if it holds nothing."""
        if kind == "m":
            if name not in self.measured:
                raise ValueError(f"results/measured has no value called {name!r}")
            return self.measured[name]
        if kind == "plan":
            if f"plan:{name}" not in planned():
                raise ValueError(f"`gpt2 plan` says nothing called {name!r}")
            return planned()[f"plan:{name}"]
        if kind == "=":
            named = planned() if "plan:" in name else {}
            places = re.findall(r"\{\s*(log:[^{}]*?)\s*\}", name)
            logs = {place: self.logged(place.removeprefix("log:")) for place in places}
            return evaluate(name, self.measured | named | logs)
        return self.logged(name)

    def problem(self, number: Number, source: str) -> str | None:
        """What is wrong with this number and this source, or None."""
        kind, _, name = source.partition(":")
        if kind == "ref":
            known = name in self.citekeys
            return None if known else f"book/references.bib has no entry {name!r}: add it."
        if kind not in ("m", "=", "log", "plan"):
            return f"{source!r} is no source: begin it with m:, log:, plan:, ref: or =:."
        try:
            value = self.value(kind, name)
            agrees = number.agrees_with(float(value))
        except (ValueError, TypeError) as problem:
            return f"the source {source!r} of {number.text} does not work: {problem}."
        if agrees:
            return None
        return f"the text says {number.text}, but {source!r} gives {value:.6g}: correct the text."
