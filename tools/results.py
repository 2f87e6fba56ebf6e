"""Write the tables of book/results.md from the logs in results/.

Needs nothing but Python 3.11, like steps.py, which calls it. The words of the page are written by
hand. What stands between `<!-- table: NAME -->` and `<!-- end -->` is written by this file, with a
marker behind every number, so that the tests look each of them up again.
"""

import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book" / "results.md"
END = "<!-- end -->"
NOT_YET = "Not measured yet. With one NVIDIA GPU, one command measures it, in under ten minutes:"


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
    """One file of results/, and how the page quotes what it holds."""

    def __init__(self, root: Path, file: str):
        self.file, self.path = file, root / "results" / file
        self.data = json.loads(self.path.read_text(encoding="utf-8"))

    def __getitem__(self, key: str) -> object:
        return pick(self.data, key)

    def __contains__(self, key: str) -> bool:
        try:
            return pick(self.data, key) is not None
        except (KeyError, IndexError, ValueError):
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
        about = self["about"]
        cores = f"{about['cores']} cores" if "cores" in about else ""
        machine = about.get("machine") or f"{about['cpu']}, {cores}"
        said = [f"`results/{self.file}`", f"`{about['command']}`", f"`{machine}`"]
        said += [f"{name} `{about[name]}`" for name in ("torch", "transformers") if name in about]
        loads = [f"{about[key]}" for key in ("load", "load_before") if key in about]
        said += [f"load of the machine `{load}`" for load in loads]
        said += [f"`{about['date']}`" if "date" in about else "no date in the log"]
        return "Log: " + " · ".join(said) + "."


def power(gap: float | None) -> str:
    """One digit and a power of ten, and a plain 0 where nothing differs.

    >>> power(6.4e-8), power(0.0)
    ('6e-08', '0')
    """
    return f"{gap:.0e}" if gap else "0"


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


def cpu_runs(root: Path) -> list[str]:
    log, rows = Log(root, "runs/cpu_runs.json"), []
    for i, run in enumerate(log["runs"]):
        row = [f"seed {run['seed']}", log.say(f"runs.{i}.val", "{:.3f}")]
        row += [log.say(f"runs.{i}.{key}", "{:,.0f}") for key in ("seconds", "cpu_seconds")]
        row += [log.say(f"runs.{i}.tokens_per_s"), log.say(f"runs.{i}.load_before", "{:.0f}")]
        rows.append(row)
    mean = [f"**mean ± sd, {len(log['runs'])} seeds**", log.both("val", "{:.3f}")]
    mean += [log.both(key, "{:,.0f}") for key in ("seconds", "cpu_seconds", "tokens_per_s")]
    head = "run | loss at the end | seconds | CPU-seconds | tokens/s | load before"
    return [*table(head, [*rows, [*mean, "–"]]), "", log.about()]


def cpu_curve(root: Path) -> list[str]:
    log, rows = Log(root, "runs/cpu_runs.json"), []
    for i, point in enumerate(log["curve"]):
        said = [f"step {point['step']:,}", log.both(f"curve.{i}.val", "{:.3f}")]
        rows.append([*said, log.both(f"curve.{i}.train", "{:.3f}") if "train" in point else "–"])
    return table("after | validation loss | training loss", rows)


def ablation(root: Path) -> list[str]:
    log, rows = Log(root, "runs/ablation_ladder.json"), []
    for key, rung in log["rungs"].items():
        row = [rung["name"], log.say(f"rungs.{key}.parameters"), log.say(f"rungs.{key}.rate", "{}")]
        rows.append([*row, log.both(f"rungs.{key}.val", "{:.3f}")])
    seeds = len(log["recipe.seeds"])
    head = f"model | parameters | learning rate | val, mean ± sd of {seeds} seeds"
    return [*table(head, rows), "", log.about()]


def equivalence(root: Path) -> list[str]:
    log, rows = Log(root, "runs/equivalence.json"), []
    for i, row in enumerate(log["rows"]):
        gaps = [log.say(f"rows.{i}.{key}", power) for key in ("losses", "weights", "gradients")]
        rows.append([f"{row['name']} = {row['against']}", row["dtype"], *gaps])
    head = "this = that | in | losses | weights | gradients"
    return [*table(head, in_order(rows)), "", log.about()]


def in_order(rows: list[list[str]]) -> list[list[str]]:
    """Rows of the same comparison beside one another, the exact one first."""
    names = list(dict.fromkeys(row[0] for row in rows))
    return sorted(rows, key=lambda row: (names.index(row[0]), row[1] == "float32"))


def ladder(root: Path) -> list[str]:
    rows = []
    for log in measured(root):
        for i, row in enumerate(log.data.get("ladder", [])):
            said = [f"{row['name']} = {row['against']}", chapter(row["chapter"], root)]
            gaps = [log.say(f"ladder.{i}.{key}", power) for key in ("values", "gradients")]
            rows.append([*said, row["dtype"], *gaps])
    return table("this = that | chapter | in | values | gradients", rows)


def measured(root: Path) -> list[Log]:
    files = sorted((root / "results" / "measured").glob("*.json"))
    return [Log(root, f"measured/{file.name}") for file in files]


def gpu_ladder(root: Path) -> list[str]:
    if not (root / "results" / "runs" / "gpu_ladder.json").exists():
        return [NOT_YET, "", "```sh", "python benchmarks/gpu_ladder.py", "make results", "```"]
    log, rows = Log(root, "runs/gpu_ladder.json"), []
    first = "rungs.0.tokens_per_s"
    for i, rung in enumerate(log["rungs"]):
        here = f"rungs.{i}"
        if "failed" in rung:
            rows.append([rung["name"], rung["failed"], *["–"] * 5])
            continue
        times = share = "–"
        if first in log:
            ratio = f"{log.marker(f'{here}.tokens_per_s')} / {log.marker(first)}"
            times = derived(rung["tokens_per_s"] / log[first], ratio, "{:.2f}")
        if rung["mfu"] is not None:
            share = derived(100 * rung["mfu"], f"100 * {log.marker(f'{here}.mfu')}", "{:.1f} %")
        speed = [log.say(f"{here}.tokens_per_s"), times, log.say(f"{here}.step_ms", "{:,.1f}")]
        row = [rung["name"], *speed, share, log.say(f"{here}.memory_gb", "{:.1f}")]
        rows.append([*row, log.say(f"{here}.losses.{len(rung['losses']) - 1}", "{:.4f}")])
    head = "each with all above it | tokens/s | times the first | ms a step | MFU | GB | loss"
    said = f"Log: `results/{log.file}` · `{log['command']}` · `{log['device']}` · "
    last = "The last column is the loss of the same early step in every row: the same training."
    return [*table(head, rows), "", f"{said}torch `{log['torch']}`. {last}"]


def scoreboard(root: Path) -> list[str]:
    rows = []
    for log in measured(root):
        for i, row in enumerate(log["scoreboard"]):
            here = f"scoreboard.{i}"
            said = [row["name"], chapter(row["chapter"], root), log.say(f"{here}.parameters")]
            said += [log.say(f"{here}.cpu_seconds", "{:,.1f}"), log.say(f"{here}.val", "{:.3f}")]
            perplexity = math.exp(row["val"]), f"exp({log.marker(f'{here}.val')})"
            rows.append([*said, derived(*perplexity, "{:.2f}")])
    head = "model | chapter | parameters or cells | CPU-seconds | val | perplexity"
    return table(head, rows)


def train_step(root: Path) -> list[str]:
    log, rows = Log(root, "runs/train_step.json"), []
    names = {"theirs_float32": "transformers, float32", "theirs_bfloat16": "transformers, bfloat16"}
    for shape in log["shapes"]:
        for key, name in (names | {"ours": "ours"}).items():
            speed = log.say(f"shapes.{shape}.{key}.tokens_per_second")
            against = f"shapes.{shape}.times_{key}"
            times = log.say(f"{against}.ratio", "{:.2f}")
            span = log.span(f"{against}.min_max") if f"{against}.min_max" in log else "–"
            rows.append([f"{shape}: {name}", speed, times, span])
    return [*table("who | tokens/s | ours is … × as fast | from … to", rows), "", log.about()]


def generate(root: Path) -> list[str]:
    log, rows = Log(root, "runs/generate.json"), []
    for name in log["writers"]:
        here = f"writers.{name}"
        speed = log.say(f"{here}.tokens_per_second", "{:.1f}"), log.say(f"{here}.speed", "{:.2f}")
        rows.append([name, *speed, log.span(f"{here}.speed_min_max")])
    head = "who | tokens/s | times transformers | from … to"
    return [*table(head, rows), "", f"{log.about()} Measured: `{log['about.what']}`."]


def bpe(root: Path) -> list[str]:
    log, rows = Log(root, "runs/bpe.json"), []
    for size in log["train_against_tokenizers"]:
        name = f"training {size} tokens, tokenizers"
        rows.append(pair(log, name, f"train_against_tokenizers.{size}"))
    texts = {"encode": "English", "encode_not_ascii": "not ASCII"}
    tasks = {"cold_against_tiktoken": "cold, tiktoken", "warm_against_tiktoken": "warm, tiktoken"}
    tasks["cold_against_tokenizers"] = "cold, tokenizers"
    for part, text in texts.items():
        rows += [pair(log, f"encoding, {text}, {tasks[key]}", f"{part}.{key}") for key in tasks]
    head = "what, against whom | ours, CPU-s | theirs, CPU-s | ours ÷ theirs | from … to"
    return [*table(head, rows), "", log.about()]


def pair(log: Log, name: str, key: str) -> list[str]:
    """What we take, what they take, and the median of the pairs."""
    said = [name, log.say(f"{key}.ours", "{:.2f}"), log.say(f"{key}.theirs", "{:.2f}")]
    return [*said, log.say(f"{key}.ratio", "{:.2f}"), log.span(f"{key}.ratio_min_max")]


def trained(root: Path) -> list[str]:
    """Single runs of chapter 12: what how much compute bought."""
    rows = []
    scaling = Log(root, "runs/scaling.json")
    for size, found in scaling["sizes"].items():
        here, last = f"sizes.{size}", len(found["curve"]) - 1
        said = [size, scaling.say(f"{here}.parameters"), scaling.say(f"{here}.curve.{last}.tokens")]
        said.append(scaling.say(f"{here}.curve.{last}.cpu_seconds", "{:,.0f}"))
        rows.append([*said, scaling.say(f"{here}.val", "{:.3f}")])
    presets = {"laptop": "simple_laptop", "colab, cut to a CPU": "simple_colab_cpu"}
    for name, file in presets.items():
        log = Log(root, f"runs/{file}.json")
        said = [f"preset {name}", log.say("parameters"), log.say("best.tokens")]
        rows.append([*said, log.say("best.cpu_seconds", "{:,.0f}"), log.say("val", "{:.3f}")])
    small = Log(root, "runs/small_models.json")
    for kind in ("bigram", "mlp"):
        here = f"{kind}.points.{len(small[f'{kind}.points']) - 1}"
        said = [small[f"{kind}.name"], small.say(f"{kind}.parameters"), small.say(f"{here}.tokens")]
        said.append(small.say(f"{here}.cpu_seconds", "{:,.0f}"))
        rows.append([*said, small.say(f"{here}.val", "{:.3f}")])
    head = "model | parameters | characters read | CPU-seconds | val"
    abouts = [scaling.about(), log.about(), small.about()]
    abouts.insert(1, Log(root, "runs/simple_laptop.json").about())
    return [*table(head, rows), "", "\n".join(f"- {about}" for about in abouts)]


TABLES: dict[str, Callable[[Path], list[str]]] = {
    "cpu_runs": cpu_runs,
    "cpu_curve": cpu_curve,
    "ablation": ablation,
    "equivalence": equivalence,
    "ladder": ladder,
    "gpu_ladder": gpu_ladder,
    "scoreboard": scoreboard,
    "train_step": train_step,
    "generate": generate,
    "bpe": bpe,
    "trained": trained,
}


def filled(page: str, root: Path = ROOT) -> str:
    """The page with every table written anew from the logs below `root`."""
    parts = page.split("<!-- table: ")
    done = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition(" -->")
        if name not in TABLES or END not in rest:
            raise SystemExit(f"book/results.md: no table is called {name!r}, or its end is missing")
        lines = "\n".join(TABLES[name](root))
        done.append(f"{name} -->\n\n{lines}\n\n{END}{rest.partition(END)[2]}")
    return "<!-- table: ".join(done)


def main() -> int:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote the tables of {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
