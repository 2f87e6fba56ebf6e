"""autograd: held against PyTorch's gradients, against nudging, and against bad input."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial.autograd import (
    Node,
    Value,
    central_difference,
    grad_check,
    topological_order,
)

OPERATIONS = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (b * b + 1),
    lambda a, b: 1 / (a**2 + 3),
    lambda a, b: 2 - a,
    lambda a, b: 3 + a * 0.5,
    lambda a, b: -a,
    lambda a, b: (a**2 + 1) ** -0.5,
    lambda a, b: a.tanh(),
    lambda a, b: (-(a**2)).exp(),
    lambda a, b: (a**2 + 1).log(),
    lambda a, b: a.relu(),
    lambda a, b: a,
]


def random_formula(leaves, seed):
    dice, nodes = random.Random(seed), list(leaves)
    for _ in range(dice.randint(1, 30)):
        nodes.append(dice.choice(OPERATIONS)(dice.choice(nodes), dice.choice(nodes)))
    return sum(nodes)


def both(seed, formula=random_formula):
    """The same random formula, in Values and in tensors: two ends, two lists of leaves."""
    dice = random.Random(seed)
    numbers = [dice.uniform(-3, 3) for _ in range(dice.randint(1, 5))]
    ours = [Value(number) for number in numbers]
    theirs = [torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in numbers]
    return formula(ours, seed), formula(theirs, seed), ours, theirs


def close(ours, theirs):
    return math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.parametrize("block", range(4))
def test_two_hundred_random_graphs_agree_with_torch(block):
    for seed in range(50 * block, 50 * block + 50):
        end, their_end, ours, theirs = both(seed)
        end.backward()
        their_end.backward()
        assert close(end.data, their_end.item()), seed
        for a, b in zip(ours, theirs, strict=True):
            assert close(a.grad, b.grad.item()), seed


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "relu"])
@pytest.mark.parametrize("x", [-30.0, -1.5, -1e-9, 0.0, 1e-9, 0.5, 2.0, 30.0])
def test_each_function_agrees_with_torch(name, x):
    if name == "log" and x <= 0:
        return
    ours, theirs = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    end, their_end = getattr(ours, name)(), getattr(theirs, name)()
    end.backward()
    their_end.backward()
    assert close(end.data, their_end.item())
    assert math.isclose(ours.grad, theirs.grad.item(), rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("n", [-3, -1, -0.5, 0, 0.5, 1, 2, 3])
@pytest.mark.parametrize("x", [-2.0, 0.0, 0.3, 4.0])
def test_powers_agree_with_torch_or_are_refused(x, n):
    ours, theirs = Value(x), torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (theirs**n).backward()
    if not math.isfinite((theirs**n).item()) or not math.isfinite(theirs.grad.item()):
        with pytest.raises(ValueError, match="no slope"):
            ours**n
        return
    end = ours**n
    end.backward()
    assert close(end.data, (theirs**n).item()) and close(ours.grad, theirs.grad.item())


@settings(max_examples=60)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.1, 5))
def test_the_judge_finds_nothing_wrong(a, b, c):
    def formula(a, b, c):
        return ((a * b - c).tanh() + (a / c) ** 3 - c.log() * b.exp()) * a

    assert grad_check(formula, [a, b, c]) < 1e-5


def test_the_judge_finds_a_wrong_local_derivative():
    def wrong_square(a):
        return Value(a.data**2, [(a, a.data)])  # the slope is twice that

    assert grad_check(wrong_square, [3.0]) == pytest.approx(0.5, abs=1e-6)
    not_finite = grad_check(lambda a, b: Value(a.data, [(a, 1.0), (b, math.nan)]), [1.0, 2.0])
    assert not_finite == math.inf


def test_plain_functions_are_nudged_too():
    slopes = central_difference(lambda x, y: math.sin(x) * y, [1.0, 3.0])
    assert slopes == pytest.approx([math.cos(1) * 3, math.sin(1)], abs=1e-9)
    assert central_difference(lambda x: 5.0, [2]) == [0.0]
    [slope] = central_difference(lambda x: x / 1e12, [1e12])
    assert slope == pytest.approx(1e-12, rel=1e-6)


def test_a_nudge_to_both_sides_is_exact_for_a_square():
    assert central_difference(lambda x: x**2, [1], nudge=1) == [2.0]


def test_uses_add_up():
    a = Value(3)
    (a + a).backward()
    assert a.grad == 2
    a = Value(3)
    (a * a * a).backward()
    assert a.grad == 27


def test_a_node_used_at_two_distances_waits_for_both():
    a, b, c = Value(3), Value(-2), Value(10)
    d = a * b
    g = d + c
    for end in (d * g, g * d):
        a.grad = b.grad = c.grad = 0.0
        end.backward()
        assert (a.grad, b.grad, c.grad, d.grad) == (4, -6, -6, -2)


def test_twice_backward_doubles_leaves_and_nothing_else():
    x = Value(5)
    y = 2 * x
    z = 3 * y
    their_x = torch.tensor(5.0, requires_grad=True)
    their_z = 3 * (2 * their_x)
    for times in (1, 2, 3):
        z.backward()
        their_z.backward(retain_graph=True)
        assert (z.grad, y.grad) == (1, 3)
        assert x.grad == their_x.grad.item() == 6 * times


def test_two_ends_add_up_in_the_leaves_as_in_torch():
    x, their_x = Value(0.7), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    for leaf in (x, their_x):
        shared = (leaf * leaf).exp()
        first, second = shared * 3, shared.tanh() + leaf
        first.backward(**({"retain_graph": True} if leaf is their_x else {}))
        second.backward()
    assert close(x.grad, their_x.grad.item())


def test_a_leaf_on_its_own():
    a = Value(3)
    a.backward()
    a.backward()
    their = torch.tensor(3.0, requires_grad=True)
    their.backward()
    their.backward()
    assert a.grad == their.grad.item() == 2


@pytest.mark.parametrize("seed", range(30))
def test_every_node_stands_after_its_parts_and_once(seed):
    end, *_ = both(seed)
    order = topological_order(end)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) and order[-1] is end
    for node in order:
        assert all(place[part] < place[node] for part, _ in node.made_from)


@pytest.mark.parametrize("depth", [10_000, 60_000])
def test_deep_graphs_do_not_hit_the_limit_of_recursion(depth):
    leaf = end = Value(1)
    for _ in range(depth):
        end = end * 1
    end.backward()
    assert leaf.grad == 1


def test_a_graph_with_very_many_paths_is_walked_once():
    leaf = end = Value(1.0)
    for _ in range(200):  # 2 to the power of 200 ways to the leaf
        end = end + end
    end.backward()
    assert leaf.grad == 2.0**200 and len(topological_order(end)) == 201


@pytest.mark.parametrize("target", [0, 1, 2])
def test_the_loss_of_chapter_02_has_the_gradient_p_minus_y(target):
    logits = [Value(1), Value(2), Value(3)]
    powers = [z.exp() for z in logits]
    (-(powers[target] / sum(powers)).log()).backward()
    p = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).softmax(0)
    p[target] -= 1
    assert [z.grad for z in logits] == pytest.approx(p.tolist(), abs=1e-12)


def test_changing_a_number_does_not_change_formulas_made_before():
    a, b = Value(3), Value(-2)
    product = a * b
    b.data = 100.0
    product.backward()
    assert a.grad == -2


def test_nan_is_not_hidden():
    assert math.isnan(Value(math.nan).relu().data)
    assert math.isnan((Value(math.nan) * 0).data)


@pytest.mark.parametrize("bad", ["3", None, [1.0], 2j, torch.tensor(3.0)])
def test_a_node_wants_one_plain_number(bad):
    with pytest.raises(TypeError, match="one plain number"):
        Node(bad)
    with pytest.raises(TypeError, match="one plain number"):
        Value(2) + bad
    with pytest.raises(TypeError, match="one plain number"):
        Value(2) / bad


@pytest.mark.parametrize("bad", ["3", None, Value(2), torch.tensor(2.0)])
def test_an_exponent_is_a_plain_number(bad):
    with pytest.raises(TypeError, match="exponent must be a plain number"):
        Value(2) ** bad


def test_what_does_not_exist_is_refused_in_one_sentence():
    for x in (0, -1, -1e300):
        with pytest.raises(ValueError, match=r"does not exist; use a number > 0"):
            Value(x).log()
    with pytest.raises(ValueError, match="0 to the power -1"):
        1 / Value(0)
    with pytest.raises(ValueError, match=r"-8 to the power 0\.5"):
        Value(-8) ** 0.5
    with pytest.raises(ValueError, match="-8 to the power inf"):
        Value(-8) ** math.inf
    with pytest.raises(ValueError, match="too large"):
        Value(1000).exp()
    assert Value(-1000).exp().data == 0.0
    assert Value(709).exp().data == math.exp(709)


@pytest.mark.parametrize("nudge", [0, -1e-5, math.nan])
def test_a_nudge_is_above_zero(nudge):
    with pytest.raises(ValueError, match="nudge > 0"):
        central_difference(lambda x: x, [1.0], nudge)
    with pytest.raises(ValueError, match="nudge > 0"):
        grad_check(lambda x: x * x, [1.0], nudge)


def test_the_judge_wants_inputs_and_a_value():
    with pytest.raises(ValueError, match="need inputs"):
        central_difference(lambda: 1.0, [])
    with pytest.raises(ValueError, match="need inputs"):
        grad_check(lambda: Value(1), [])
    with pytest.raises(TypeError, match="must return a Value"):
        grad_check(lambda x: 3.0, [1.0])


def test_a_node_shows_its_number_and_its_blame():
    a = Value(-2.5)
    (a * 2).backward()
    assert repr(a) == "Value(-2.5, grad=2)" and repr(Node(1)) == "Node(1, grad=0)"
