"""The exercises of chapter 03: handing blame back through ×, through exp, and in which order."""

import math
from dataclasses import dataclass

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


@dataclass
class Part:
    """A node of a formula with nothing but a name, a number and its blame so far."""

    name: str
    data: float
    grad: float = 0.0

    def __repr__(self) -> str:
        return f"{self.name}(data={self.data:g}, grad={self.grad:g})"


def grads_after(fn, *nodes):
    """The gradients that `fn` leaves in the parts, and numbers that it changed there."""
    before = [node.data for node in nodes]
    fn(*nodes)
    found = {f"{node.name}.grad": node.grad for node in nodes[:-1]}
    changed = (node for node, data in zip(nodes, before, strict=True) if node.data != data)
    return found | {f"{node.name}.data, changed": node.data for node in changed}


value_exercise(
    "03.1", __name__, subgoal="hand back", stub="answer = None  # for example [1, -2]",
    solution="answer = [7, 4]",
)  # fmt: skip


def times_by_nudging(a, b, out):
    for part, other in ((a, b), (b, a)):
        rise = ((part.data + 1) * other.data - (part.data - 1) * other.data) / 2
        part.grad += rise * out.grad


def products(rng: Dice):
    """Two parts and their product; later cases use one part twice, or carry earlier blame."""
    yield Part("a", 3.0), Part("b", -2.0), Part("out", -6.0, 1.0)
    for i in range(24):
        a = Part("a", float(rng.randint(-9, 9)), float(rng.choice([0, 0, 5, -7])))
        b = Part("b", float(rng.randint(-9, 9)), float(rng.choice([0, 0, 2, -3])))
        if i % 3 == 2:
            b = a  # out = a * a
        yield a, b, Part("out", a.data * b.data, float(rng.randint(-4, 4)))


@exercise("03.2", subgoal="hand back", spec=times_by_nudging, inputs=products, observe=grads_after)
def times_backward(a, b, out):
    # out is a * b, and out.grad is known: add to a.grad and to b.grad
    a.grad += b.data * out.grad
    b.grad += a.data * out.grad


def exp_by_nudging(a, out):
    nudge = 1e-4
    rise = (math.exp(a.data + nudge) - math.exp(a.data - nudge)) / (2 * nudge)
    a.grad += rise * out.grad


def powers_of_e(rng: Dice):
    """A part and e to the power of it, some with earlier blame."""
    yield Part("a", 0.0), Part("out", 1.0, 1.0)
    for _ in range(24):
        a = Part("a", rng.randint(-20, 20) / 10, float(rng.choice([0, 0, 5, -7])))
        yield a, Part("out", math.exp(a.data), float(rng.choice([-3, -2, 2, 3])))


@exercise(
    "03.3", subgoal="hand back", spec=exp_by_nudging, inputs=powers_of_e, observe=grads_after,
    atol=1e-4,
)  # fmt: skip
def exp_backward(a, out):
    # out is e to the power a, and out.grad is known: add to a.grad
    a.grad += out.data * out.grad


def ordered_by_waiting(parts, last):
    needed, order = {last}, []
    for _ in parts:
        needed |= {part for name in needed for part in parts[name]}
    while len(order) < len(needed):
        for name in sorted(needed):
            if name not in order and all(part in order for part in parts[name]):
                order.append(name)
    return order


def small_graphs(rng: Dice):
    """A chain, a node used at two distances, then random ones; not every name is needed."""
    yield {"c": ["b"], "b": ["a"], "a": []}, "c"
    yield {"L": ["d", "g"], "g": ["d", "c"], "d": ["a", "b"], "a": [], "b": [], "c": []}, "L"
    yield {"L": ["g", "a"], "g": ["d"], "d": ["a"], "a": []}, "L"
    for size in [4, 5, 6, 7] * 6:
        names = rng.sample("abcdefg", size)
        parts = {}
        for i, name in enumerate(names):
            count = min(i, rng.choice([0, 1, 2, 2])) if i < size - 1 else min(i, 2)
            parts[name] = rng.sample(names[:i], count)
        yield {name: parts[name] for name in rng.sample(names, size)}, names[-1]


OTHER = "another graph"


def verdict(fn, parts, last):
    """Many orders are right, so an order is judged in words."""
    fn({OTHER: []}, OTHER)  # a list that outlives the call would keep this name
    answer = fn(parts, last)
    if answer is None:
        return None
    if isinstance(answer, str):
        return "a text, not a list"
    names, needed = list(answer), set(ordered_by_waiting(parts, last))
    if OTHER in names:
        return "a name of an earlier call"
    faults = []
    if not set(names) <= needed:
        faults.append("a name that is not needed")
    if not needed <= set(names):
        faults.append("a name is missing")
    if len(set(names)) < len(names):
        faults.append("a name stands twice")
    if not faults and not all(parts_first(parts, names)):
        backwards = all(parts_first(parts, names[::-1]))
        faults.append("exactly backwards" if backwards else "a name before its parts")
    return "; ".join(faults) or "in order"


def parts_first(parts, names):
    """Whether each part stands before the name that needs it."""
    return [names.index(part) < names.index(name) for name in names for part in parts[name]]


@exercise("03.4", subgoal="order", spec=ordered_by_waiting, inputs=small_graphs, observe=verdict)
def ordered(parts, last):
    # parts: a dict, for example {'c': ['a', 'b'], 'a': [], 'b': []}
    # → the names that `last` needs, each once, parts first, `last` at the end
    order = []

    def visit(name):
        if name not in order:
            for part in parts[name]:
                visit(part)
            order.append(name)

    visit(last)
    return order


value_exercise(
    "03.5", __name__, subgoal="step", stub='order = None  # for example "ABCD"',
    solution='order = "CDBA"',
)  # fmt: skip


value_exercise(
    "03.6", __name__, subgoal="backward twice",
    stub="answer = None  # [z, y, x], for example [1, 3, 6]",
    solution="answer = [1, 6, 18]",
)  # fmt: skip
