"""How a page quotes a log of results/: each value with a marker, so that tests look it up again."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path


def pick(data: object, key: str) -> object:
    """Return the value under a dotted key; numbers index lists, and a key may have dots itself.

    >>> pick({"rungs": [{"name": "TF32"}], "0.01": 2.5}, "rungs.0.name"), pick({"0.01": 2}, "0.01")
    ('TF32', 2)
    """
    if isinstance(data, dict) and key in data:
        return data[key]
    head, _, rest = key.partition(".")
    found = data[int(head)] if isinstance(data, list) else data[head]
    return pick(found, rest) if rest else found


class Log:
    """One file of results/, and how a page quotes what it holds."""

    def __init__(self, root: Path, file: str):
        self.file = file
        self.data = json.loads((root / "results" / file).read_text(encoding="utf-8"))

    def __getitem__(self, key: str) -> object:
        return pick(self.data, key)

    def __contains__(self, key: str) -> bool:
        try:
            return pick(self.data, key) is not None
        except (KeyError, IndexError, TypeError, ValueError):
            return False

    def say(self, key: str, form: str | Callable = "{:,}") -> str:
        """One value, with its marker; a dash where the log has none."""
        if key not in self:
            return "–"
        said = form.format(self[key]) if isinstance(form, str) else form(self[key])
        return f"{said}<!-- log:{self.file}#{key} -->"

    def both(self, key: str, form: str) -> str:
        """Mean ± standard deviation."""
        return f"{self.say(f'{key}.mean', form)}\u00a0±\u00a0{self.say(f'{key}.sd', form)}"

    def span(self, key: str, form: str = "{:.2f}") -> str:
        """The smallest and the largest of the pairs."""
        return f"{self.say(f'{key}.0', form)} to {self.say(f'{key}.1', form)}"

    def marker(self, key: str) -> str:
        """This value, inside an expression."""
        return f"{{log:{self.file}#{key}}}"

    def about(self) -> str:
        """Where the numbers come from: the file, the command, the machine, the day."""
        about = self.data.get("about", self.data)
        cores = f"{about['cores']} cores" if "cores" in about else ""
        machine = about.get("machine") or about.get("device")
        machine = machine or ", ".join(filter(None, (about.get("cpu"), cores)))
        said = [f"`results/{self.file}`", f"`{about['command']}`", f"`{machine}`"]
        said += [f"{name} `{about[name]}`" for name in ("torch", "transformers") if name in about]
        loads = [f"{about[key]}" for key in ("load", "load_before") if key in about]
        said += [f"load of the machine `{load}`" for load in loads]
        said += [f"`{about['date']}`" if "date" in about else "no date in the log"]
        return "Log: " + " · ".join(said) + "."


def derived(value: float, expression: str, form: str) -> str:
    """A number that is worked out from logs; the tests work it out again."""
    return f"{form.format(value)}<!-- =:{expression} -->"


def table(head: str, rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a table; the first column is words, the others are numbers.

    >>> table("model | val", [["ours", "1.5"]])
    ['| model | val |', '|---|---:|', '| ours | 1.5 |']
    """
    rule = "|---|" + "---:|" * head.count("|")
    return [f"| {head} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]


def chapter(number: str, root: Path) -> str:
    """A link to a chapter, by its number."""
    (path,) = (root / "notebooks").glob(f"{number}_*.ipynb")
    return f"[{number}](../notebooks/{path.name})"
