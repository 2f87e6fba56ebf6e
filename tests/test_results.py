"""The results page: its tables are those that the logs give, and its words agree with them."""

import importlib
import json
import re
import shutil
import statistics
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import results

from drift import numbers
from drift.markers import numbers_in
from drift.prose import with_comments
from gpt2_tutorial.scoreboard import COLUMNS, Scoreboard

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "book" / "results.md").read_text(encoding="utf-8")
NAMES = re.compile(r"GPT-2 124M|GPT-2|124M|\bchapter \d\d\b|\b[A-Z]+\d+\b")
DIGITS = re.compile(r"(?<![\w.,])\d[\d.,]*(?:e[-+]?\d+)?")


def log(run: str) -> dict:
    return json.loads((ROOT / "results" / "runs" / f"{run}.json").read_text(encoding="utf-8"))


@cache
def board() -> list[dict]:
    """All rows of all chapters."""
    return Scoreboard("17").rows


@pytest.fixture
def other(tmp_path) -> Path:
    """What the page is made of, to be changed."""
    for name in ("results", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "book").mkdir()
    for name in ("results.md", "references.bib"):
        shutil.copy(ROOT / "book" / name, tmp_path / "book" / name)
    return tmp_path


def gpu_log(other: Path, **more: object) -> None:
    """Put a made-up log of the GPU ladder where the benchmark would write it."""
    rung = {"name": "float32, as written", "tokens_per_s": 50_000, "step_ms": 327.68}
    rung |= {"mfu": 0.0432, "memory_gb": 31.1, "losses": [10.98, 9.6, 9.2, 9.1, 8.8765]}
    faster = rung | {"name": "TF32", "tokens_per_s": 150_000, "step_ms": 109.23, "mfu": 0.1296}
    failed = {"name": "64 sequences at a time", "failed": "out of memory"}
    made = {"command": "python benchmarks/gpu_ladder.py", "device": "Some GPU", "torch": "2.13.0"}
    made |= {"rungs": [rung, faster, failed]} | more
    (other / "results" / "runs" / "gpu_ladder.json").write_text(json.dumps(made))


def written(other: Path) -> str:
    """The page, written anew from the logs there."""
    page = results.filled(PAGE, other)
    (other / "book" / "results.md").write_text(page, encoding="utf-8")
    return page


def complaints(other: Path) -> list[str]:
    return [said for said in numbers.in_prose(other) if said.startswith("book/results.md")]


# --- the tables


def test_the_committed_page_is_a_fresh_one():
    assert results.filled(PAGE) == PAGE, "run: make results"


def test_every_table_stands_on_the_page_once():
    assert sorted(re.findall(r"<!-- table: (\w+) -->", PAGE)) == sorted(results.TABLES)


def test_a_log_that_changes_changes_the_page(other):
    file = other / "results" / "runs" / "generate.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"speed": 0.93', '"speed": 0.5'))
    assert "0.50<!-- log:runs/generate.json#writers.ours fp32.speed -->" in written(other)
    assert complaints(other) == []


def test_a_number_that_somebody_types_over_is_noticed(other):
    page = written(other).replace("1.539<!-- log", "1.439<!-- log")
    (other / "book" / "results.md").write_text(page, encoding="utf-8")
    (said,) = complaints(other)
    assert "the text says 1.439" in said and results.filled(page, other) != page


@pytest.mark.parametrize("page", ["<!-- table: luck -->\n<!-- end -->", "<!-- table: ladder -->\n"])
def test_a_table_that_nobody_writes_is_refused(page):
    with pytest.raises(SystemExit, match="no table is called"):
        results.filled(page)


# --- one GPU


def test_without_its_log_the_page_says_how_to_measure_one_gpu(other):
    (other / "results" / "runs" / "gpu_ladder.json").unlink(missing_ok=True)
    page = written(other)
    assert results.NOT_YET in page and "\npython benchmarks/gpu_ladder.py\n" in page
    assert (ROOT / "benchmarks" / "gpu_ladder.py").exists()


def test_as_soon_as_there_is_a_log_of_one_gpu_the_page_shows_it(other):
    gpu_log(other)
    page = written(other)
    shown = re.sub(r"<!--.*?-->", "", page)
    assert "Not measured yet." not in shown and "`Some GPU`" in shown
    assert "| float32, as written | 50,000 | 1.00 | 327.7 | 4.3 % | 31.1 | 8.8765 |" in shown
    assert "| TF32 | 150,000 | 3.00 | 109.2 | 13.0 % | 31.1 | 8.8765 |" in shown
    assert "| 64 sequences at a time | out of memory |" in shown
    assert complaints(other) == []
    assert results.filled(page, other) == page


def test_a_gpu_whose_peak_nobody_knows_has_a_dash(other):
    gpu_log(other)
    file = other / "results" / "runs" / "gpu_ladder.json"
    file.write_text(re.sub(r'"mfu": [\d.]+', '"mfu": null', file.read_text()))
    shown = re.sub(r"<!--.*?-->", "", written(other))
    assert "| TF32 | 150,000 | 3.00 | 109.2 | – | 31.1 | 8.8765 |" in shown


def test_the_benchmark_writes_what_the_page_reads():
    """The fields that the made-up log has are those of the real one."""
    source = (ROOT / "benchmarks" / "gpu_ladder.py").read_text(encoding="utf-8")
    fields = ("command", "device", "torch", "rungs", "failed", "tokens_per_s", "step_ms")
    assert all(f'"{field}"' in source for field in (*fields, "mfu", "memory_gb", "losses"))


# --- every number has a source


def cells(page: str) -> list[str]:
    """All cells but those of the first column and of heads, markers included."""
    rows = [line for line in with_comments(page).split("\n") if line.startswith("| ")]
    heads = set(re.findall(r"(?m)^(\| .*)\n\|---", with_comments(page)))
    return [cell for row in rows if row not in heads for cell in row.split("|")[2:-1]]


def without_source(words: str) -> list[str]:
    """Digits that no marker follows and that belong to no name."""
    words = re.sub(r"\[([^]]*)\]", r"", NAMES.sub("", words))
    found = []
    for match in DIGITS.finditer(re.sub(r"<!--.*?-->", lambda m: "\0" * len(m[0]), words)):
        behind = words[match.end() :].lstrip(" %")
        if not behind.startswith("<!--"):
            found.append(match[0].rstrip(".,"))
    return found


def test_every_number_in_a_table_has_a_marker():
    found = cells(PAGE)
    assert len(found) > 300
    assert [cell for cell in found if without_source(cell)] == []


def test_every_number_in_the_text_has_a_marker():
    words = "\n".join(
        line for line in with_comments(PAGE).split("\n") if not line.startswith(("|", "#"))
    )
    # "`3e-16` is 3 divided by ten …" and "a 0 means …" explain how to read a table
    assert without_source(words) == ["3", "0"]


@pytest.mark.parametrize("words", ["It is 7 times.", "of 2,000 tokens", "so 51 %.", "1e-07 off"])
def test_a_number_without_a_marker_would_be_found(words):
    assert len(without_source(words)) == 1


def test_the_markers_are_checked_by_the_drift_tests():
    assert len(numbers_in(PAGE)) > 250
    assert [said for said in numbers.in_prose(ROOT) if said.startswith("book/results.md")] == []


def test_the_names_in_the_tables_are_those_of_the_logs():
    for row in board():
        said = f"| {row['name']} | "
        assert said in PAGE
        key, form = COLUMNS["val"]
        (line,) = [line for line in PAGE.split("\n") if line.startswith(said) and "#scoreb" in line]
        assert f"| {form.format(row[key])}<!--" in line
    assert PAGE.count("#scoreboard") >= 4 * len(board())


# --- the logs themselves


def spread(values: list[float], digits: int | None) -> dict:
    return {
        "mean": round(statistics.mean(values), digits),
        "sd": round(statistics.stdev(values), digits),
    }


def test_the_script_ran_with_three_seeds_or_more_and_the_spread_is_theirs():
    runs = log("cpu_runs")["runs"]
    assert len({run["seed"] for run in runs}) == len(runs) >= 3
    for name, digits in (("val", 4), ("seconds", 1), ("cpu_seconds", 1), ("tokens_per_s", None)):
        assert log("cpu_runs")[name] == spread([run[name] for run in runs], digits)
    for i, point in enumerate(log("cpu_runs")["curve"]):
        assert point["val"] == spread([run["curve"][i]["val"] for run in runs], 4)


def test_the_script_ran_the_whole_preset():
    from gpt2_tutorial.train import PRESETS

    preset, made = PRESETS["cpu"], log("cpu_runs")
    for run in made["runs"]:
        assert run["curve"][-1]["step"] == preset.max_steps and run["apart"] == 0.0
        assert run["tokens"] == preset.max_steps * preset.batch_tokens
    named = {name: value for name, value in made["recipe"].items() if hasattr(preset, name)}
    assert len(named) == 7 and all(getattr(preset, name) == named[name] for name in named)


def test_the_equivalence_log_has_every_comparison_and_none_beyond_its_tolerance():
    rows = log("equivalence")["rows"]
    names = [row["name"] for row in rows if row["dtype"] == "float64"]
    assert sum("process" in name for name in names) == 5
    for name in ("our DDP", "compiled", "loss in chunks", "our GPT-2, 124M"):
        assert {row["dtype"] for row in rows if row["name"] == name} == {"float32", "float64"}
    for row in rows:
        assert max(row["losses"], row[row["compared"]]) <= row["tol"]


def test_the_benchmarks_say_which_command_made_their_log():
    for run in ("cpu_runs", "equivalence"):
        command = log(run)["about"]["command"]
        assert command.startswith("python benchmarks/") and (ROOT / command.split()[1]).exists()


def test_a_curve_stands_on_one_line_a_point(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # as for a script of that folder
    cpu_runs = importlib.import_module("cpu_runs")
    made = {"runs": [{"curve": [{"step": 0, "val": 4.2}]}], "val": {"mean": 1.5, "sd": 0.1}}
    said = cpu_runs.as_text(made)
    assert '{"step": 0, "val": 4.2}' in said and '{"mean": 1.5, "sd": 0.1}' in said
    assert json.loads(said) == made


# --- what the page concludes


def val(name: str) -> float:
    return next(row["val"] for row in board() if row["name"] == name)


def exact(name: str) -> bool:
    rows = [row for row in log("equivalence")["rows"] if row["name"] == name]
    return all(row["losses"] == row["weights"] == 0.0 for row in rows)


def counting_wins() -> bool:
    nets = [row for row in board() if row["chapter"] not in ("00", "01")]
    better = [row["name"] for row in nets if row["val"] < val("Kneser–Ney, 5 characters")]
    seconds = [row["cpu_seconds"] for row in board() if "Kneser" in row["name"]]
    return better == ["Simple-GPT, laptop"] == [board()[-1]["name"]] and max(seconds) < 1


def mostly_bfloat16() -> bool:
    shapes = log("train_step")["shapes"].values()
    gains = [
        (shape["times_theirs_float32"]["ratio"], shape["times_theirs_bfloat16"]["ratio"])
        for shape in shapes
    ]
    return all(whole / rest > rest for whole, rest in gains)


def sizes_pay_less_and_less() -> bool:
    sizes = log("scaling")["sizes"].values()
    flops, vals = [s["curve"][-1]["flops"] for s in sizes], [s["val"] for s in sizes]
    gains = [a - b for a, b in pairwise(vals)]
    return flops == sorted(flops) and min(gains) > 0 and gains == sorted(gains, reverse=True)


def skips_carry() -> bool:
    rungs = {key: rung["val"]["mean"] for key, rung in log("ablation_ladder")["rungs"].items()}
    norm = rungs["norm"] >= rungs["skip"]
    return rungs["no_skip"] > rungs["mlp"] + 0.5 > rungs["skip"] + 0.5 and norm


def wrote(name: str) -> float:
    return log("generate")["writers"][name]["speed"]


def tokens(part: str, key: str) -> float:
    return log("bpe")[part][key]["ratio"]


CLAIMS = {
    "nothing is left but rounding in the last places": lambda: all(
        max(row["losses"], row[row["compared"]]) < 1e-11
        for row in log("equivalence")["rows"]
        if row["dtype"] == "float64"
    ),
    "killed twice ends with the very bits of one that was left alone": lambda: exact(
        "killed twice"
    ),
    "without them, three blocks are worse than one": skips_carry,
    "LayerNorm bought nothing at this size": skips_carry,
    "beats every small network here. Only the last row passes": counting_wins,
    "Most of the gain over float32 is bfloat16": mostly_bfloat16,
    "is a little slower than transformers": lambda: 0.8 < wrote("ours fp32") < 1,
    "turned round makes it faster": lambda: wrote("ours fp32 by columns") > 1,
    "no longer writes the same tokens": lambda: (
        not log("generate")["writers"]["ours int8"]["same_tokens"]
    ),
    "Training takes less time than in Rust in the middle of the pairs": lambda: all(
        pair["ratio"] < 1 for pair in log("bpe")["train_against_tokenizers"].values()
    ),
    "with the largest vocabulary hardly less": lambda: (
        0.8 < log("bpe")["train_against_tokenizers"]["4096"]["ratio"] < 1
    ),
    "for the first time is slower than tiktoken": lambda: (
        tokens("encode", "cold_against_tiktoken") > 1
    ),
    "it is faster, on English only": lambda: (
        tokens("encode", "warm_against_tiktoken")
        < 1
        < tokens("encode_not_ascii", "warm_against_tiktoken")
    ),
    "ends lower, and each gain is smaller": sizes_pay_less_and_less,
    "it has hardly begun": lambda: (
        log("simple_colab_cpu")["val"] > 2.4 > log("simple_laptop")["val"]
    ),
}


@pytest.mark.parametrize("words", CLAIMS)
def test_what_the_page_concludes_is_so(words):
    assert words in re.sub(r"<!--.*?-->", "", PAGE), "the page says it in other words now"
    assert CLAIMS[words]()


def test_what_was_not_measured_has_no_log():
    runs = {path.stem for path in (ROOT / "results" / "runs").glob("*.json")}
    assert "nobody has measured" in PAGE.lower()
    for word in ("cuda", "mps", "hellaswag", "t4"):
        assert not any(word in name for name in runs), f"results.md says nobody measured {word}"
