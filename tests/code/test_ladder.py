"""ladder: a rung that does not give the same numbers is refused; the others are kept."""

import json
import math

import pytest
import torch
import torch.nn as nn

from gpt2_tutorial import ledger
from gpt2_tutorial.ladder import Ladder, gaps

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def double(x):
    return 2 * x


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GPT2_TUTORIAL_LEDGER", str(tmp_path))
    return tmp_path


def test_the_largest_difference_of_values_and_of_gradients():
    values, gradients, dtype = gaps(lambda x: 2 * x + 0.5, double, [X])
    assert (values, gradients, dtype) == (0.5, 0.0, torch.float32)
    values, gradients, _ = gaps(lambda x: 2 * x + (x - x.detach()), double, [X])
    assert values == 0 and gradients > 0.5


def test_gradients_that_cancel_in_a_plain_sum_are_seen():
    rows = X.softmax(-1)
    assert rows.sum(-1).allclose(torch.ones(2))  # every row sums to 1, so a sum has no slope
    _, gradients, _ = gaps(lambda x: x.softmax(-1), lambda x: x.detach().softmax(-1) + 0 * x, [X])
    assert gradients > 0.01


def test_every_input_counts():
    a, b = X, X + 1
    _, gradients, _ = gaps(lambda a, b: a * b, lambda a, b: a * b.detach(), [a, b])
    assert gradients > 0.5


def test_a_slope_of_nan_is_never_the_smaller_one():
    def bad(a, b):
        return a + b + 0 * (b - b.detach()).sqrt()

    _, gradients, _ = gaps(bad, lambda a, b: a + b, [X, X])
    assert math.isnan(gradients)


def test_the_inputs_are_left_alone():
    def greedy(x):
        x.data.zero_()
        return double(x)

    before = X.clone()
    assert gaps(greedy, double, [X])[0] == 12
    assert torch.equal(X, before) and not X.requires_grad


def test_ids_have_no_gradient():
    table = nn.Embedding(5, 2)
    values, gradients, _ = gaps(table, lambda x: table.weight[x], [torch.tensor([[0, 4]])])
    assert (values, gradients) == (0.0, None)


def test_only_the_first_of_a_tuple_is_compared():
    assert gaps(lambda x: (double(x), "weights"), double, [X])[:2] == (0, 0)


WRONG = {
    "values": (lambda x: 2 * x + 1e-3, "its values are 1e-03 away from those of 'double'"),
    "gradients": (lambda x: 2 * x + (x - x.detach()), "its gradients are"),
    "nan": (lambda x: x * math.nan, "its values are nan away"),
    "nan slope": (lambda x: 2 * x + 0 * (x - x.detach()).sqrt(), "its gradients are nan away"),
    "shape": (lambda x: double(x)[:1], r"differ in kind already: \(1, 3\) torch.float32 against"),
    "dtype": (lambda x: double(x).double(), "torch.float64 against"),
    "cut off": (lambda x: torch.tensor(double(x).tolist()), "no gradient comes through"),
}


@pytest.mark.parametrize(("wrong", "words"), WRONG.values(), ids=WRONG)
def test_a_row_above_its_tolerance_is_refused_and_not_kept(folder, wrong, words):
    ladder = Ladder("00")
    with pytest.raises(ValueError, match=words):
        ladder.add("wrong", wrong, "double", double, inputs=[X])
    assert ladder.rows == [] and list(folder.iterdir()) == []


def test_without_inputs_nothing_can_be_said():
    with pytest.raises(ValueError, match="inputs is empty"):
        gaps(double, double, [])


@pytest.mark.parametrize(
    ("dtype", "gap"), [(torch.float64, 1e-10), (torch.float32, 1e-4), (torch.bfloat16, 0.5)]
)
def test_the_tolerance_follows_the_dtype_unless_it_is_given(dtype, gap):
    x = torch.ones(3, dtype=dtype)
    with pytest.raises(ValueError, match="is no rung"):
        Ladder("00").add("off", lambda x: 2 * x + gap, "double", double, inputs=[x])
    row = Ladder("00").add("off", lambda x: 2 * x + gap, "double", double, inputs=[x], tol=1.0)
    assert row["tol"] == 1.0 and row["dtype"] == str(dtype)[6:]


def test_rows_go_to_the_ledger_with_one_digit_and_are_replaced(folder):
    ladder = Ladder("00")
    for gap in (9e-6, 1.234e-6):
        ladder.add("off", lambda x, gap=gap: 2 * x + gap, "double", double, inputs=[0 * X])
    ladder.add("off", lambda x: x + x, "double", double, inputs=[X.double()])
    ledger.measure("00.symbols", 65)
    page = json.loads((folder / "00.json").read_text())
    assert page["ladder"] == ladder.rows and page["values"].keys() == {"00.symbols"}
    assert [row["values"] for row in ladder.rows] == [1e-6, 0]
    assert [row["dtype"] for row in ladder.rows] == ["float32", "float64"]
    assert page["scoreboard"] == []


def test_later_chapters_begin_with_the_rungs_of_earlier_ones(monkeypatch):
    pages = {"07": {"ladder": [{"name": "first"}]}, "08": {}, "09": {"ladder": [{"name": "mine"}]}}
    monkeypatch.setattr(ledger, "committed", lambda chapter: pages.get(chapter, {}))
    assert Ladder("09").rows == [{"name": "first"}]
    assert Ladder("07").rows == []


def test_the_table_shows_powers_of_ten_and_escapes_names():
    ladder = Ladder("00")
    ladder.add("a <b>", lambda x: 2 * x + 3e-7, "double", double, inputs=[0 * X])
    ladder.add("ids", lambda x: x, "ids again", lambda x: x, inputs=[torch.tensor([1])])
    page = ladder._repr_html_()
    assert "<td>a &lt;b&gt;</td><td>double</td><td>3 · 10<sup>−7</sup></td><td>0</td>" in page
    assert "<td>0</td><td>–</td><td>int64</td>" in page
