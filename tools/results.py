"""Write into the pages and the notebooks what the logs in results/ say.

The words are written by hand. What stands between `<!-- table: NAME -->` and `<!-- end -->`, a
table, a sentence or one number in a sentence, is written by this file, with a marker behind every
number, so that the tests look each of them up again. A block whose log is missing is empty.
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import gpu_results
from logs import Log, chapter, derived, table

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- table: ", "<!-- end -->"


def power(gap: float | None) -> str:
    """One digit and a power of ten, and a plain 0 where nothing differs.

    >>> power(6.4e-8), power(0.0)
    ('6e-08', '0')
    """
    return f"{gap:.0e}" if gap else "0"


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


def race(root: Path) -> list[str]:
    if not (root / "results" / "runs" / "race.json").is_file():
        return []
    log, rows = Log(root, "runs/race.json"), []
    for i, line in enumerate(log["board"]):
        here = f"board.{i}"
        said = [log.say(f"{here}.seconds", "{:,.0f}"), log.say(f"{here}.parameters")]
        said.append(log.say(f"{here}.tokens"))
        several = len(line["seeds"]) > 1
        said.append((log.both if several else log.say)(f"{here}.val", "{:.3f}"))
        seeds = f"{len(line['seeds'])} seeds" if several else f"seed {line['seeds'][0]}"
        rows.append([f"`{line['recipe']}`, {seeds}", *said])
    head = "recipe | CPU-seconds | parameters | characters read | val, mean ± sd"
    return [*table(head, rows), "", log.about()]


def signed(gap: float) -> str:
    """A difference, with its sign as the book prints it.

    >>> signed(0.25), signed(-0.25)
    ('+0.250', '−0.250')
    """
    return f"{gap:+.3f}".replace("-", "−")


def beyond(root: Path) -> list[str]:
    log, rows = Log(root, "runs/beyond_gpt2.json"), []
    for key, row in log["rows"].items():
        here = f"rows.{key}"
        gap, sd = f"{here}.minus_gpt2.mean", f"{here}.minus_gpt2.sd"
        against = f"{log.say(gap, signed)}\u00a0±\u00a0{log.say(sd, '{:.3f}')}"
        kept = [f"{here}.{part}" for part in ("parameters", "optimizer_numbers")]
        total = derived(sum(log[key] for key in kept), " + ".join(map(log.marker, kept)), "{:,}")
        said = [row["name"], log.both(f"{here}.val", "{:.3f}"), against if key != "gpt2" else "–"]
        rows.append([*said, log.say(f"{here}.time", "{:.2f}"), total])
    head = "GPT-2 with | val, mean ± sd | against GPT-2 | time of a step | numbers in memory"
    return [*table(head, rows), "", log.about()]


BLOCKS: dict[str, Callable[[Path], str | list[str]]] = {
    "cpu_runs": cpu_runs,
    "cpu_curve": cpu_curve,
    "ablation": ablation,
    "equivalence": equivalence,
    "ladder": ladder,
    "scoreboard": scoreboard,
    "train_step": train_step,
    "generate": generate,
    "bpe": bpe,
    "trained": trained,
    "race": race,
    "beyond": beyond,
} | gpu_results.BLOCKS


def filled(text: str, root: Path = ROOT) -> str:
    """The text with every block written anew from the logs below `root`."""
    done, *parts = text.split(BEGIN)
    for part in parts:
        name, _, rest = part.partition(" -->")
        if name not in BLOCKS or END not in rest:
            raise SystemExit(f"no block of a page is called {name!r}, or its end is missing")
        found = BLOCKS[name](root)
        if isinstance(found, list):  # lines of their own, and none where there is nothing to say
            found = "\n".join(["\n", *found, "\n"]) if found else ""
        done += f"{BEGIN}{name} -->{found}{END}{rest.partition(END)[2]}"
    return done


def fresh(root: Path = ROOT) -> dict[Path, str]:
    """Every page and every notebook that has a block, as it should stand there."""
    places = [root / "README.md", *root.glob("book/*.md"), *root.glob("notebooks/*.ipynb")]
    texts = {place: place.read_text(encoding="utf-8") for place in sorted(places)}
    return {
        place: (notebook if place.suffix == ".ipynb" else filled)(text, root)
        for place, text in texts.items()
        if BEGIN in text
    }


def notebook(text: str, root: Path = ROOT) -> str:
    """A notebook with the blocks in its Markdown written anew, stored as it was."""
    stored = json.loads(text)
    for cell in stored["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = filled("".join(cell["source"]), root).splitlines(keepends=True)
    return json.dumps(stored, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write what has changed, and name it."""
    for place, text in fresh().items():
        if place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")
            print(f"wrote what the logs say into {place.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
