"""launch/train_gpt2.py: the last notebook's cells, and what one process makes of them."""

import argparse
import ast
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import export  # noqa: E402
from drift import plan  # noqa: E402
from gpt2_tutorial import checkpoint, files, state_files  # noqa: E402
from gpt2_tutorial.commands import cli  # noqa: E402
from gpt2_tutorial.figures.chapter17 import CALLS  # noqa: E402
from gpt2_tutorial.launch import train_gpt2  # noqa: E402
from gpt2_tutorial.run import Run  # noqa: E402

SMALL = "--n-layer 1 --n-embd 16 --n-head 2 --block-size 16 --batch-tokens 256"
SMALL += " --max-steps 6 --warmup-steps 2 --eval-every 3 --eval-batches 1 --save-every 3"


def test_the_committed_script_is_a_fresh_export():
    assert export.SCRIPT.read_text(encoding="utf-8") == export.exported(), "run: make export"


def test_the_script_is_short_enough_to_be_read():
    assert len(export.SCRIPT.read_text(encoding="utf-8").splitlines()) <= 150


def notebook(tmp_path, *sources):
    cells = [{"metadata": {"tags": ["export"]}, "source": source} for source in sources]
    cells.insert(1, {"metadata": {}, "source": ["print('not exported')"]})
    path = tmp_path / "some.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_only_tagged_cells_are_exported_and_apart_as_a_formatter_wants(tmp_path):
    path = notebook(tmp_path, ["import os\n"], ["A = 1\n"], ["def f():\n", "    return A"], ["f()"])
    assert export.exported(path) == "import os\n\nA = 1\n\n\ndef f():\n    return A\n\n\nf()\n"


@pytest.mark.parametrize("line", ["%matplotlib inline", "!ls"])
def test_what_runs_in_notebooks_only_is_refused(tmp_path, line):
    with pytest.raises(SystemExit, match="runs in notebooks only"):
        export.exported(notebook(tmp_path, [line]))


def test_a_notebook_without_exported_cells_is_refused(tmp_path):
    path = tmp_path / "none.ipynb"
    path.write_text('{"cells": []}')
    with pytest.raises(SystemExit, match="no cell tagged"):
        export.exported(path)


def test_in_a_notebook_the_cells_do_nothing():
    """Its `__name__` is that of a script there."""
    tree = ast.parse(export.exported())
    quiet = (ast.FunctionDef, ast.Import, ast.ImportFrom)
    assert all(isinstance(node, quiet) for node in tree.body[1:])
    kernel = {"__name__": "__main__", "__doc__": None}
    exec(compile(tree, "cells", "exec"), kernel)
    kernel["add_arguments"](parser := argparse.ArgumentParser(allow_abbrev=False))
    config = kernel["configured"](parser.parse_args(["--max-steps", "700"]), 65)
    assert config.max_steps == 700 and config.vocab_size == 65


def functions() -> dict[str, ast.AST]:
    """All functions of the script, of `train` and of `run` by name, methods among them."""
    package = ROOT / "src" / "gpt2_tutorial"
    files = [export.SCRIPT, package / "train.py", package / "run.py"]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}


def test_the_map_of_calls_is_true():
    known, path = functions(), []
    for depth, name, _, _ in CALLS:
        path[depth:] = [name]
        if depth:
            nodes = list(ast.walk(known[path[depth - 1]]))
            used = {node.id for node in nodes if isinstance(node, ast.Name)}
            used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            assert name in used, f"{path[depth - 1]} does not use {name}"


def test_the_map_of_calls_says_where_each_stands():
    for _, name, _, place in CALLS:
        modules = plan.CHAPTERS[place][1] if place.isdigit() else (f"{place}/*",)
        modules += ("launch/train_gpt2",) if place == "17" else ()
        files = [f for m in modules for f in (ROOT / "src" / "gpt2_tutorial").glob(f"{m}.py")]
        nodes = [node for f in files for node in ast.walk(ast.parse(f.read_text("utf-8")))]
        assert name in {getattr(node, "name", "") for node in nodes}, f"{name} is not of {place}"


def test_the_chapter_has_a_row_for_every_helper_that_the_script_imports():
    """Each name, and the file that it comes from: whoever reads the script finds both there."""
    tree, imported = ast.parse(export.exported()), set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("gpt2_tutorial"):
            _, *path = node.module.split(".")
            for alias in node.names:  # `ending` is a module, and used as one
                file = [*path, alias.name] if path == ["runs"] else path
                imported.add((alias.name, "/".join(file) + ".py"))
    cells = json.loads(export.NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    [table] = [text for cell in cells if "| name |" in (text := "".join(cell["source"]))]
    told = set()
    rows = [row.split("|")[1:-1] for row in table.splitlines() if row.startswith("| `")]
    for names, _, file in rows:
        told |= {(name, file.strip(" `")) for name in re.findall(r"`(\w+)`", names)}
    assert told == imported


def test_what_is_asked_of_one_rank_and_of_all_can_be_counted():
    """Each of these calls is a place where processes wait for each other."""
    calls = [node.func.id for node in ast.walk(ast.parse(export.exported()))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]  # fmt: skip
    assert (calls.count("on_rank_0"), calls.count("on_every_rank")) == (4, 1)


def test_a_resume_reads_each_file_of_the_checkpoint_once_to_verify_and_once_to_load(
    tmp_path, monkeypatch
):
    words = ["--device", "cpu", "--out", str(tmp_path / "run"), *SMALL.split()]
    assert train_gpt2.main([*words, "--max-steps", "3"]) == 0
    verified, loaded, seen = [], [], {}
    real, load_file = Run.resume, state_files.load_file

    def fingerprint(file):
        verified.append(file.name)
        return files.fingerprint(file)

    def load(file, **more):
        loaded.append(file.name)
        return load_file(file, **more)

    def resume(run, found):
        real(run, found)
        seen.update(step=run.step, verified=sorted(verified), loaded=sorted(loaded))

    monkeypatch.setattr(checkpoint, "fingerprint", fingerprint)
    monkeypatch.setattr(state_files, "load_file", load)
    monkeypatch.setattr(Run, "resume", resume)
    assert train_gpt2.main([*words, "--max-steps", "3"]) == 0  # there is nothing left to do
    weights = ["model.safetensors", "optimizer.safetensors", "rng.safetensors"]
    assert seen == {"step": 3, "verified": [*weights, "state.json"], "loaded": weights}


def test_it_trains_on_what_prepare_wrote_and_looks_at_all_that_it_is_asked_to(tmp_path):
    """Characters of one's own, items to solve, a tracker and a price: all in one short run."""
    texts, data = tmp_path / "texts", tmp_path / "data"
    texts.mkdir()
    for i in range(20):
        (texts / f"{i}.txt").write_text("abc cab bca. " * 40, encoding="utf-8")
    words = ["prepare", "text", str(texts), "--out", str(data), "--tokenizer", "characters"]
    words += ["--val-every", "4"]
    assert cli.main(words) == 0
    items = tmp_path / "items.jsonl"
    row = {"ctx": "abc", "endings": ["cab", "bbb"], "label": 0}
    items.write_text("\n".join([json.dumps(row)] * 3), encoding="utf-8")
    options = ["--data", str(data), "--hellaswag", str(items), "--tracker", "tensorboard"]
    small = ["--device", "cpu", "--out", str(tmp_path / "run"), *SMALL.split()]
    assert train_gpt2.main([*small, *options, "--price", "7.5"]) == 0
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(row["hellaswag_items"] == 3 for row in rows if "val" in row)
    before_the_end = [row for row in rows if row.get("hours_left")]
    paid = [row["dollars_left"] / row["hours_left"] for row in before_the_end]
    assert len(paid) == 4 and paid == pytest.approx([7.5] * 4)
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert set(json.loads((tmp_path / "run" / "model" / "characters.json").read_text())) >= set(
        "abc ."
    )
    sampled = ["sample", "--model", str(tmp_path / "run" / "model"), "--tokens", "5"]
    assert cli.main([*sampled, "--device", "cpu"]) == 0
