"""The toy of chapter 03 against PyTorch, the package's nodes, and the chapter's plain loops."""

from __future__ import annotations

import pytest
import torch
from serving import serve
from toys import small_site

from gpt2_tutorial.autograd import Node

pytestmark = pytest.mark.browser

FORMULAS = [
    lambda a, b, c: (a * b + c) * (a * b + c),
    lambda a: a + a,
    lambda a, b, c: a * b * (a * b + c),
]
LEAVES = [[3, -2, 10], [0, 0, 0], [2, 2, 2], [1e6, 1e-6, -1.5], [-0.25, 7, 1e-300]]


def by_loops(which: int, add: bool, order: bool, values: list[float]) -> dict[str, float]:
    """Hand back as the cells of the chapter do, with = or +=, in the order that they show."""
    node = {name: Node(value) for name, value in zip("abc", values, strict=True)}

    def plus(x, y):
        return Node(x.data + y.data, [(x, 1), (y, 1)])

    def times(x, y):
        return Node(x.data * y.data, [(x, y.data), (y, x.data)])

    if which == 0:
        node["a·b"] = times(node["a"], node["b"])
        node["a·b + c"] = plus(node["a·b"], node["c"])
        node["squared"] = times(node["a·b + c"], node["a·b + c"])
        walk = ["squared", "a·b + c", "a·b"]
    elif which == 1:
        node = {"a": node["a"], "a + a": plus(node["a"], node["a"])}
        walk = ["a + a"]
    else:
        node["d"] = times(node["a"], node["b"])
        node["g"] = plus(node["d"], node["c"])
        node["price"] = times(node["d"], node["g"])
        walk = ["price", "g", "d"] if order else ["price", "d", "g"]
    node[walk[0]].grad = 1
    for name in walk:
        for part, slope in node[name].made_from:
            part.grad = (part.grad if add else 0) + slope * node[name].grad
    return {name: one.grad for name, one in node.items()}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_blame_added_up_in_order_is_the_gradient(ask, which):
    names = "a" if which == 1 else "abc"
    for leaves in LEAVES:
        given = dict(zip(names, leaves, strict=False))
        tensors = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in given.values()]
        end = FORMULAS[which](*tensors)
        end.backward()
        truth = dict(zip(names, (one.grad.item() for one in tensors), strict=True))
        got = ask("graph", "handedBack", which, True, True, given)
        assert {name: got["blame"][name] for name in names} == pytest.approx(truth, rel=1e-12)
        assert got["values"][got["walk"][0]] == pytest.approx(end.item(), rel=1e-12)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_wrong_way_is_wrong_as_in_the_chapter(ask, which):
    for add, order in [(True, True), (True, False), (False, True), (False, False)]:
        got = ask("graph", "handedBack", which, add, order)
        truth = by_loops(which, add, order, [3, -2, 10])
        assert got["blame"] == truth
        right = {name: truth[name] == pytest.approx(slope) for name, slope in got["judge"].items()}
        wrong = [name for name, holds in right.items() if not holds]
        lost = ["abc", "a", "ab"][which] if not add else "ab" if which == 2 and not order else ""
        assert wrong == list(lost)
        assert any(move["late"] for move in got["moves"]) == (which == 2 and not order)


def test_the_last_step_names_what_is_wrong(page, tmp_path):
    with serve(small_site(tmp_path, ["graph"])) as address:
        page.goto(f"{address}toys.html")
        page.get_by_role("button", name="To the end").click()
        said = page.locator(".status")
        assert said.inner_text() == ("All right: the judge nudged, and says the same: −16, 24, 8.")
        page.get_by_label("=", exact=True).check()
        assert said.inner_text().startswith("Wrong: a, b, c.")
        page.get_by_label("+=", exact=True).check()
        page.get_by_label("d·g").check()
        page.get_by_label("level by level").check()
        page.get_by_role("button", name="To the end").click()
        assert said.inner_text().startswith("Wrong: a, b. The judge, who nudged, says 4, −6, −6.")
