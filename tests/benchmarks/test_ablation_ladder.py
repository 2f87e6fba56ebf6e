"""benchmarks/ablation_ladder.py: its log fits its script, and its models are the notebook's."""

import ast
import json
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (ROOT / "benchmarks" / "ablation_ladder.py").read_text(encoding="utf-8")
LOG = json.loads((ROOT / "results" / "runs" / "ablation_ladder.json").read_text(encoding="utf-8"))


def classes(source):
    """The text of every class of a script, by name."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return {node.name: ast.get_source_segment(source, node) for node in nodes}


def test_the_notebook_and_the_script_build_the_same_models():
    notebook = json.loads((ROOT / "notebooks" / "10_gpt2_block.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    for name, text in classes(SCRIPT).items():
        assert any(text in cell for cell in cells), f"chapter 10 shows another {name}"
    assert set(classes(SCRIPT)) == {"Added", "CharModel"}


def test_every_rung_has_a_loss_for_every_seed_and_the_mean_and_spread_of_them():
    for rung in LOG["rungs"].values():
        losses = rung["val"]["per_seed"]
        assert len(losses) == len(LOG["recipe"]["seeds"]) >= 3
        mean = sum(losses) / len(losses)
        variance = sum((loss - mean) ** 2 for loss in losses) / (len(losses) - 1)
        assert math.isclose(rung["val"]["mean"], mean, abs_tol=1e-4)
        assert math.isclose(rung["val"]["sd"], math.sqrt(variance), abs_tol=1e-4)


def test_the_rate_is_the_best_of_those_tried():
    for rung in LOG["rungs"].values():
        tried = {rate: nats for rate, nats in rung["tuning"].items() if nats is not None}
        assert set(rung["tuning"]) == {str(rate) for rate in LOG["recipe"]["rates"]}
        assert str(rung["rate"]) == min(tried, key=tried.get)
