"""What the logs say in pages and notebooks is fresh, and the results page agrees with it."""

import ast
import importlib
import json
import re
import shutil
import statistics
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import gpu_results
import results
from drift import breaking, every, numbers
from drift.markers import numbers_in
from drift.prose import with_comments
from drift.reading import Text, notebooks, pages
from drift.sources import Sources, planned
from gpt2_tutorial import figures, ledger
from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.scoreboard import COLUMNS, Scoreboard
from gpt2_tutorial.step import flops_per_token
from tiers import tiered

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "results.md").read_text(encoding="utf-8")
NAMES = re.compile(r"GPT-2 124M|GPT-2|124M|\bchapter \d\d\b|\b[A-Z]+\d+\b")
DIGITS = re.compile(r"(?<![\w.,])\d[\d.,]*(?:e[-+]?\d+)?")


def log(run: str) -> dict:
    return json.loads((ROOT / "results" / "runs" / f"{run}.json").read_text(encoding="utf-8"))


@cache
def board() -> list[dict]:
    """All rows of all chapters."""
    return Scoreboard("19").rows


@pytest.fixture
def other(tmp_path, monkeypatch) -> Path:
    """A copy of all that is filled from logs, without those of a GPU, to be changed."""
    for name in ("results", "notebooks", "book", "src"):
        left_out = shutil.ignore_patterns("__pycache__", ".*", "gpu_*.json")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.setattr(ledger, "_results", lambda kind: tmp_path / "results" / kind)
    planned.cache_clear()
    yield tmp_path
    planned.cache_clear()


ABOUT = {"command": "python benchmarks/gpu_day.py", "device": "NVIDIA H200", "date": "2026-11-28"}
ABOUT |= {"machine": "NVIDIA H200, 16 cores", "torch": "2.11.0+cu130", "transformers": "5.17.0"}
ABOUT |= {"python": "3.12.3", "seconds": 71.3, "tiny": False}
RUNG = {"name": "float32, as written", "tokens_per_s": 50_000, "step_ms": 327.68, "mfu": 0.0432}
RUNG |= {"memory_gb": 31.1, "losses": [10.98, 9.6, 9.2, 9.1, 8.8765]}
TF32 = RUNG | {"name": "TF32", "tokens_per_s": 150_000, "step_ms": 109.23, "mfu": 0.1296}
SIDE = {"tokens_per_s": 300_000, "mfu": 0.26, "memory_gb": 60.2, "losses": [10.9, 9.7]}
RATIO = {"median": 1.31, "min_max": [1.29, 1.33], "pairs": 6}
POINT = {"step": 250, "tokens": 1_024_000, "seconds": 9.5, "train": 2.41, "val": 2.44}
SEEN = {"loss": 7.8765, "seconds": 4.32}
SKIPPED = {"name": "test_cuda.py::two_cards", "outcome": "skipped", "seconds": 0.0, "said": "one"}
LOGS = {
    "gpu_tests": {"passed": 14, "failed": 0, "skipped": 1, "tests": [SKIPPED]},
    "gpu_script": {
        "preset": "1xh100",
        "options": ["--batch-tokens", "131072"],
        "text": {"what": "Python's standard library, 5.1 million characters"},
        "tokens_per_s": 455_123,
        "mfu": 0.3933,
        "memory_gb": 41.26,
        "first_step_s": 48.4,
        "losses": [10.9512, 9.8, 9.1, 8.4321],
        "val": [{"step": 0, "val": 10.9712}, {"step": 100, "val": 6.4321}],
        "killed_at": 61,
        "resumed_at": 50,
        "steps": 100,
    },
    "gpu_step": {
        "sequences": 32,
        "ours": SIDE | {"tokens_per_s": 393_000, "way": "compiled"},
        "theirs": SIDE,
        "ratio": RATIO,
    },
    "gpu_ladder": {
        "command": "python benchmarks/gpu_ladder.py",
        "device": "NVIDIA H200",
        "torch": "2.11.0+cu130",
        "rungs": [RUNG, TF32, {"name": "64 sequences at a time", "failed": "out of memory"}],
    },
    "gpu_simple": {
        "preset": "colab",
        "stopped": "after all 5000 steps",
        "kneser_ney": 1.5394,
        "seconds_to_kneser_ney": 41.2,
        "best": {"step": 5000, "seconds": 190.4, "val": 1.4712, "train": 1.2134},
        "curve": [POINT | {"step": 0, "seconds": 0.0, "val": 4.2}, POINT],
        "parameters": 10_770_816,
    },
    "gpu_generate": {
        "prompt": 32,
        "new_tokens": 128,
        "ours": {"tokens_per_s": 612.3, "way": "cache, compiled"},
        "theirs": {"tokens_per_s": 410.2, "way": "static cache, compiled"},
        "ratio": RATIO,
        "same_tokens": True,
    },
    "gpu_modern": {
        "options": ["--batch-tokens", "32768"],
        "compared": {"tokens": 65_536, "gpt2": SEEN, "modern": SEEN | {"loss": 6.1234}}
        | {"share_of_tokens": 0.5, "share_of_seconds": 0.55},
        "table": [
            {"tokens": 32_768, "gpt2": SEEN},
            {"tokens": 65_536, "gpt2": SEEN, "modern": SEEN},
        ],
    },
}


def put(other: Path, part: str, about: dict = ABOUT, **more: object) -> None:
    """Write a made-up log where the benchmark would put it."""
    log = {"about": about} | more
    (other / "results" / "runs" / f"{part}.json").write_text(json.dumps(log))
    planned.cache_clear()


def put_all(other: Path, **changed: object) -> None:
    for part, log in LOGS.items():
        put(other, part, ABOUT | changed, **log)


def write_all(other: Path) -> None:
    """What `make results` does."""
    for place, text in results.fresh(other).items():
        place.write_text(text, encoding="utf-8")


def written(other: Path) -> str:
    """The results page, filled from the logs there."""
    return results.filled(PAGE, other)


def shown(text: str) -> str:
    return re.sub(r"<!--.*?-->", "", text)


def complaints(found: str | list[str], other: Path) -> list[str]:
    """What is wrong with the numbers of a page or of a block."""
    text = found if isinstance(found, str) else "\n".join(found)
    return numbers.text_complaints(Text("here", text), Sources(other))


# --- the blocks


def test_the_committed_pages_and_notebooks_are_fresh_ones():
    made = results.fresh()
    assert ROOT / "book" / "results.md" in made and len(made) >= 6
    old = [place for place, text in made.items() if place.read_text(encoding="utf-8") != text]
    assert old == [], "run: make results"


def test_every_block_stands_somewhere_and_once():
    found = re.findall(r"<!-- table: (\w+) -->", "\n".join(results.fresh().values()))
    assert sorted(found) == sorted(results.BLOCKS)


def test_a_notebook_is_stored_as_it_was():
    for place in (ROOT / "notebooks").glob("*.ipynb"):
        text = place.read_text(encoding="utf-8")
        assert results.notebook(text) == text, place.name


def test_a_log_that_changes_changes_the_page(other):
    file = other / "results" / "runs" / "generate.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"speed": 0.93', '"speed": 0.5'))
    page = written(other)
    assert "0.50<!-- log:runs/generate.json#writers.ours fp32.speed -->" in page
    assert complaints(page, other) == []


def test_a_number_that_somebody_types_over_is_noticed(other):
    page = written(other).replace("1.539<!-- log", "1.439<!-- log")
    (said,) = complaints(page, other)
    assert "the text says 1.439" in said and results.filled(page, other) != page


@pytest.mark.parametrize("page", ["<!-- table: luck -->\n<!-- end -->", "<!-- table: ladder -->\n"])
def test_a_block_that_nobody_writes_is_refused(page):
    with pytest.raises(SystemExit, match="no block of a page is called"):
        results.filled(page)


# --- a GPU: with its logs, and without

# block: (the log that it needs, what it says then)
SENTENCES = {
    "readme_gpu": (
        "gpu_script",
        "On one NVIDIA H200, on 2026-11-28, ours reached 455,123 tokens/s, 39.3 % of what the card "
        "can do at best: 6.1 hours for ten billion tokens.",
    ),
    "launch_gpu": (
        "gpu_script",
        "On one NVIDIA H200, on 2026-11-28, the script with the preset `1xh100` reached 455,123 "
        "tokens/s, 39.3 % of what the card can do at best. It was killed in step 61, and went on "
        "from step 50.",
    ),
    "first_step": (
        "gpu_script",
        "On one NVIDIA H200, on 2026-11-28, the first step was done after 48 seconds.",
    ),
    "script_gpu": (
        "gpu_script",
        "On one NVIDIA H200, on 2026-11-28, our own script reached 455,123 tokens/s, 39.3 % of "
        "what the card can do at best. It was killed in step 61, and went on from step 50. Here "
        "are its first losses:",
    ),
    "step_gpu": (
        "gpu_step",
        "On one NVIDIA H200, on 2026-11-28, our step is 1.31 × as fast as theirs (the middle of 6 "
        "pairs, from 1.29 to 1.33).",
    ),
    "ladder_gpu": (
        "gpu_ladder",
        "On one NVIDIA H200, on 2026-11-28, the last rung was 3.0 times as fast as the first:",
    ),
    "colab_gpu": (
        "gpu_simple",
        "On one NVIDIA H200, on 2026-11-28, `colab` passed Kneser–Ney after 41 seconds. Its best "
        "weights, after 190 seconds, pay 1.471 nats, judged as in the curves above.",
    ),
}
# by the plan, without a log and with one of an H200
PLANNED = {
    "ten_minutes": (
        "one H100 at step 543 by then, and eight at step 4,239",
        "one H100 at step 521 by then, and eight at step 4,066",
    ),
    "hour_step": ("3,259", "3,126"),
    "walk_speed": ("474,569", "455,239"),
    "prepaid": ("35 dollars, twice the plan", "37 dollars, twice the plan"),
    "lost_minutes": ("5", "5"),
    "t4_hours": ("7.7 hours by the plan, at a speed that is estimated",) * 2,
}


@pytest.mark.parametrize("name", [*SENTENCES, "one_gpu"])
def test_without_its_log_a_block_says_nothing(other, name):
    assert not results.BLOCKS[name](other)


@pytest.mark.parametrize("name", SENTENCES)
def test_with_its_log_a_block_is_the_sentence(other, name):
    part, said = SENTENCES[name]
    put(other, part, **LOGS[part])
    found = results.BLOCKS[name](other)
    assert shown(found if isinstance(found, str) else "\n".join(found)) == said
    assert complaints(found, other) == []


@pytest.mark.parametrize("name", PLANNED)
def test_a_number_of_the_plan_follows_the_log(other, name):
    before, after = PLANNED[name]
    assert shown(results.BLOCKS[name](other)) == before
    assert complaints(results.BLOCKS[name](other), other) == []
    put(other, "gpu_script", **LOGS["gpu_script"])
    assert shown(results.BLOCKS[name](other)) == after
    assert complaints(results.BLOCKS[name](other), other) == []


def test_a_log_of_a_t4_speaks_for_the_free_road(other):
    put(other, "gpu_script", ABOUT | {"device": "Tesla T4"}, tokens_per_s=20_000, mfu=0.26)
    said = shown(results.BLOCKS["t4_hours"](other))
    assert said == "7.4 hours by the plan, at a speed that is measured on one Tesla T4, 2026-11-28"
    assert complaints(results.BLOCKS["costs"](other), other) == []


def test_the_table_of_machines_says_how_each_speed_is_known(other):
    *_, said = results.BLOCKS["costs"](other)
    assert said.startswith("All hours and dollars are estimates:") and "measured" not in said
    put(other, "gpu_script", **LOGS["gpu_script"])
    *rows, said = results.BLOCKS["costs"](other)
    assert said.startswith(
        "The speed of `1xh100` is measured on one NVIDIA H200, 2026-11-28. The speed of `8xh100` "
        "and `2x8xh100` is estimated from one NVIDIA H200, 2026-11-28. All other hours and dollars"
    )
    (row,) = [shown(row) for row in rows if row.startswith("| `1xh100` |")]
    assert row == "| `1xh100` | one H100 SXM (80 GB) | 6.1 | 3.00 | 18 |"
    assert complaints(results.BLOCKS["costs"](other), other) == []


def test_the_results_page_has_a_table_of_every_log(other):
    put_all(other)
    page = written(other)
    assert complaints(page, other) == []
    page = shown(page)
    for line in (
        "| passed | 14 |",
        "- skipped: `test_cuda.py::two_cards`",
        "With `--preset 1xh100 --batch-tokens 131072`, on `Python's standard library, 5.1 million "
        "characters`.",
        "| tokens/s | 455,123 |",
        "| MFU | 39.3 % |",
        "| GB of the card, at most | 41.3 |",
        "| seconds until the first step is done | 48 |",
        "| training loss, step 1 | 10.951 |",
        "| training loss, step 4 | 8.432 |",
        "| validation loss, step 100 | 6.432 |",
        "| killed in step | 61 |",
        "| went on from step | 50 |",
        "| transformers | 300,000 | 26.0 % | 60.2 | 9.7000 |",
        "| ours: compiled | 393,000 | 26.0 % | 60.2 | 9.7000 |",
        "Ours is 1.31 × as fast as theirs (the middle of 6 pairs, from 1.29 to 1.33).",
        "| float32, as written | 50,000 | 1.00 | 327.7 | 4.3 % | 31.1 | 8.8765 |",
        "| TF32 | 150,000 | 3.00 | 109.2 | 13.0 % | 31.1 | 8.8765 |",
        "| 64 sequences at a time | out of memory | – | – | – | – | – |",
        "| seconds until it is passed | 41 |",
        "| best validation loss | 1.471 |",
        "| transformers: static cache, compiled | 410 |",
        "| ours: cache, compiled | 612 |",
        "The tokens are the same.",
        "Log: `results/runs/gpu_script.json` · `python benchmarks/gpu_day.py` · "
        "`NVIDIA H200, 16 cores` · torch `2.11.0+cu130` · transformers `5.17.0` · `2026-11-28`.",
    ):
        assert f"\n{line}\n" in page, line


def test_a_ladder_that_was_climbed_alone_is_shown_too(other):
    file = other / "results" / "runs" / "gpu_ladder.json"
    file.write_text(json.dumps(LOGS["gpu_ladder"]))
    page = shown(written(other))
    assert "| TF32 | 150,000 | 3.00 |" in page and complaints(written(other), other) == []
    log = "`results/runs/gpu_ladder.json` · `python benchmarks/gpu_ladder.py` · `NVIDIA H200`"
    assert log in page
    file.write_text(re.sub(r'"mfu": [\d.]+', '"mfu": null', file.read_text()))
    assert "| TF32 | 150,000 | 3.00 | 109.2 | – | 31.1 | 8.8765 |" in shown(written(other))


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        ("after all 5000 steps", "did not pass Kneser–Ney"),
        ("it was still training", "was stopped before it passed Kneser–Ney"),
    ],
)
def test_a_model_that_did_not_pass_counting_says_whether_it_could(other, stopped, said):
    log = LOGS["gpu_simple"] | {"seconds_to_kneser_ney": None, "stopped": stopped}
    put(other, "gpu_simple", **log)
    assert f"`colab` {said}. Its best" in results.BLOCKS["colab_gpu"](other)[0]
    assert "| seconds until it is passed | not in this run |" in written(other)
    del log["seconds_to_kneser_ney"]
    put(other, "gpu_simple", **log)
    assert "`colab` ran. Its best" in results.BLOCKS["colab_gpu"](other)[0]


def without(value: object) -> Iterator[object]:
    """The same with one key less, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            for less in without(inner):
                yield value | {key: less}


@pytest.mark.parametrize("part", LOGS)
def test_a_log_that_lacks_something_breaks_no_block(other, part):
    log = LOGS[part]
    numbers_of_it = [key for key in log if not isinstance(log[key], dict | list)]
    cases = [{}, *without(log), *(log | {key: None} for key in numbers_of_it)]
    assert len(cases) > 6
    for case in cases:
        put(other, part, **case)
        for name, block in gpu_results.BLOCKS.items():
            if name not in (*PLANNED, "costs"):
                found = block(other)
                assert complaints(found, other) == [], case
                assert "None" not in found and not any("None" in line for line in found), case


@pytest.mark.parametrize("part", LOGS)
def test_a_part_that_failed_says_so_and_shows_what_it_has(other, part):
    put(other, part, failed="it took\ntoo long, 3.5 times")
    page, missing = written(other), f"\n- {gpu_results.OPEN[part][1]}\n"
    assert "\nThis part ended early: `it took too long, 3.5 times`\n" in page
    assert missing in page and complaints(page, other) == []
    put(other, part, **LOGS[part] | {"failed": "it took too long"})
    page = written(other)
    assert "\nThis part ended early: `it took too long`\n" in page
    assert missing not in page and complaints(page, other) == []


@pytest.mark.parametrize("changed", [{"tiny": True}, {"device": "CPU"}], ids=str)
def test_a_trial_of_the_benchmark_is_shown_nowhere(other, changed):
    before = results.fresh(other)
    put_all(other, **changed)
    assert results.fresh(other) == before


@pytest.mark.slow
@pytest.mark.parametrize("logs", tiered([True, False], [True]))
def test_nothing_has_drifted_with_logs_and_without(other, logs):
    """Without them this is the repository as it stands, which test_drift.py looks at."""
    if logs:
        put_all(other)
    write_all(other)
    assert results.fresh(other) == {
        place: place.read_text(encoding="utf-8") for place in results.fresh(other)
    }
    assert [said for check in every.CHECKS for said in check(other)] == []
    page = (other / "book" / "results.md").read_text(encoding="utf-8")
    assert [cell for cell in cells(page) if without_source(cell)] == []
    assert without_source(words_of(page)) == ["3", "0"]


def test_a_log_without_make_results_is_noticed(other):
    write_all(other)
    put_all(other)
    old = [p.name for p, text in results.fresh(other).items() if p.read_text() != text]
    assert {"README.md", "launch.md", "results.md", "12_simple_gpt.ipynb"} <= set(old)
    assert any(said.startswith("book/launch.md") for said in numbers.in_prose(other))


# --- what is missing is said once

SAID = re.compile(
    r"(?i)\b(?:(?:not|never)(?: \w+)? measured|nobody has (?:\w+ )?measured|no GPU was at hand|"
    r"wait for somebody with a GPU|when we have paid for)"
)


def said_to_be_missing(root: Path) -> list[str]:
    """Where pages and notebooks, code included, say that something has not been measured."""
    found = [cell for book in notebooks(root) for cell in book.cells]
    texts = [*pages(root), *(Text(cell.where, cell.source) for cell in found)]
    return [text.where for text in texts for _ in SAID.finditer(shown(text.text))]


@pytest.mark.parametrize("logs", tiered([True, False], [True]))
def test_one_place_says_what_nobody_has_measured(other, logs):
    if logs:
        put_all(other)
    write_all(other)
    page = (other / "book" / "results.md").read_text(encoding="utf-8")
    assert said_to_be_missing(other) == ["book/results.md"]
    assert page.index("\n## What nobody has measured here\n") < page.index("table: missing")
    assert said_to_be_missing(ROOT) == ["book/results.md"]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("book/launch.md", "Count on hours.", "How long has not been measured yet."),
        ("README.md", "and what is missing", "and what nobody has measured yet"),
        ("notebooks/14_fast_step.ipynb", "for rung in gpu_log(", "print('not measured yet'), ("),
    ],
)
def test_a_second_place_that_says_so_is_noticed(other, path, old, new):
    breaking.change_file(path, old, new)(other)
    first, second = sorted(said_to_be_missing(other), key=lambda where: where == "book/results.md")
    assert first.startswith(path) and second == "book/results.md"


def test_the_list_of_what_is_missing_grows_shorter_with_each_log(other):
    for part, (key, said) in gpu_results.OPEN.items():
        assert f"- {said}" in results.BLOCKS["missing"](other)
        log = json.loads(json.dumps(LOGS[part]))
        put(other, part, **log)
        assert f"- {said}" not in results.BLOCKS["missing"](other), key
    assert not any("gpu_day" in line for line in results.BLOCKS["missing"](other))
    assert gpu_results.OPEN.keys() == gpu_results.PARTS.keys() == LOGS.keys()


# --- the cells that show a log


def cell_of(number: str, words: str) -> str:
    """The code cell of a chapter that holds these words."""
    (book,) = [book for book in notebooks(ROOT) if book.chapter == number]
    (source,) = [cell.source for cell in book.code() if words in cell.source]
    return source


def run(source: str, **names: object) -> object:
    """Run a cell as a notebook does, and give what its last line shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_chapter_12_draws_the_curve_of_a_log_and_else_nothing(other):
    source = cell_of("12", "curve_by_seconds")
    assert run(source, figures=figures) is None
    put(other, "gpu_simple", **LOGS["gpu_simple"])
    assert "<svg" in run(source, figures=figures).svg


def test_chapter_14_prints_the_rungs_of_a_log_and_else_nothing(other, capsys):
    source = cell_of("14", 'gpu_log("gpu_ladder")')
    run(source, gpu_log=ledger.gpu_log)
    assert capsys.readouterr().out == ""
    put(other, "gpu_ladder", **LOGS["gpu_ladder"])
    run(source, gpu_log=ledger.gpu_log)
    first, _, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch("float32, as written +50,000 tokens/s, MFU 4.3%", first)
    assert re.fullmatch("64 sequences at a time +out of memory", last)


def test_chapter_17_bills_and_draws_what_a_log_has_and_else_nothing(other, capsys):
    names = {"TrainConfig": TrainConfig, "flops_per_token": flops_per_token}
    source = cell_of("17", "def bill(") + "\n" + cell_of("17", "figures.first_losses(seen)")
    assert run(source, figures=figures, **names) is None
    estimates = capsys.readouterr().out
    assert estimates.count("(estimated)") == estimates.count("\n") == 3
    put(other, "gpu_script", **LOGS["gpu_script"])
    assert "<svg" in run(source, figures=figures, **names).svg
    said = "1 × NVIDIA H200:  6.1 hours (speed measured)\n"
    assert capsys.readouterr().out == estimates + said


# --- every number has a source


def cells(page: str) -> list[str]:
    """All cells but those of the first column and of heads, markers included."""
    rows = [line for line in with_comments(page).split("\n") if line.startswith("| ")]
    heads = set(re.findall(r"(?m)^(\| .*)\n\|---", with_comments(page)))
    return [cell for row in rows if row not in heads for cell in row.split("|")[2:-1]]


def words_of(page: str) -> str:
    """The page without its tables and headings."""
    lines = with_comments(page).split("\n")
    return "\n".join(line for line in lines if not line.startswith(("|", "#")))


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
    # "`3e-16` is 3 divided by ten …" and "a 0 means …" explain how to read a table
    assert without_source(words_of(PAGE)) == ["3", "0"]


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
    from gpt2_tutorial.config import PRESETS

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
    return better == ["Simple-GPT, laptop"] and max(seconds) < 1


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


def four_help_and_one_does_not() -> bool:
    rows = log("beyond_gpt2")["rows"]
    alone = [key for key in rows if key != "gpt2" and not key.startswith("all")]
    gaps = {key: rows[key]["minus_gpt2"]["per_seed"] for key in alone}
    helped = {key for key in alone if max(gaps[key]) < -0.02}
    return helped == {"ngrams", "rotary", "muon", "untied"} and [
        key for key in alone if min(gaps[key]) > 0
    ] == ["swiglu"]


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
    "beats every small network here. Only chapter 12's preset `laptop` passes": counting_wins,
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
    "SwiGLU is worse with every seed": four_help_and_one_does_not,
    "ends lower, and each gain is smaller": sizes_pay_less_and_less,
    "it has hardly begun": lambda: (
        log("simple_colab_cpu")["val"] > 2.4 > log("simple_laptop")["val"]
    ),
}


@pytest.mark.parametrize("words", CLAIMS)
def test_what_the_page_concludes_is_so(words):
    assert words in re.sub(r"<!--.*?-->", "", PAGE), "the page says it in other words now"
    assert CLAIMS[words]()
