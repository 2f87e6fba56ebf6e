"""The exercises of chapter 03: handing blame back through ×, through exp, and in which order."""

import math
import random
from dataclasses import dataclass

from gpt2_tutorial.checks.engine import exercise


@dataclass
class Part:
    """A node of a formula with nothing but a name, a number and its blame so far."""

    name: str
    data: float
    grad: float = 0.0

    def __repr__(self) -> str:
        return f"{self.name}(data={self.data:g}, grad={self.grad:g})"


def grads_after(fn, *nodes):
    """The gradients that `fn` leaves in the parts; what it returns does not matter."""
    fn(*nodes)
    return {f"{node.name}.grad": node.grad for node in nodes[:-1]}


@exercise("03.1", subgoal="hand back")
class PencilBlame:
    stub = "answer = None  # for example [1, -2]"
    solution = [7, 4]
    solution_text = "answer = [7, 4]"
    mutants = {
        "one use of a": (
            [4, 4],
            "b is right. But a is used twice: once inside the sum and once as a factor. Add both.",
        ),
        "the other use of a": (
            [3, 4],
            "You gave a the blame of the product alone. The sum hands some back to it as well.",
        ),
        "own factor": (
            [7, 3],
            "The slope of a product in one factor is the *other* factor: for s that is a.",
        ),
        "no chain": (
            [4, 1],
            "These are the local slopes. Each has to be multiplied by the blame of the node above "
            "it: s has 4, not 1.",
        ),
        "the step": ([-7, -4], "All signs are turned round: that is the direction of the step."),
        "swapped": ([4, 7], "Both numbers are right. The first one should belong to a."),
        "blame times value": (
            [28, -4],
            "You multiplied the blame by the number itself. The slope comes alone.",
        ),
        "a twice": (
            [8, 4],
            "b is right. 8 is 2 · a, the slope of a · a alone; the price holds a · b as well.",
        ),
    }


def times_backward(a, b, out):
    a.grad += b.data * out.grad
    b.grad += a.data * out.grad


def times_by_nudging(a, b, out):
    for part, other in ((a, b), (b, a)):
        rise = ((part.data + 1) * other.data - (part.data - 1) * other.data) / 2
        part.grad += rise * out.grad


def products(rng: random.Random):
    """Two parts and their product; later cases use one part twice, or carry earlier blame."""
    yield Part("a", 3.0), Part("b", -2.0), Part("out", -6.0, 1.0)
    for i in range(24):
        a = Part("a", float(rng.randint(-9, 9)), float(rng.choice([0, 0, 5, -7])))
        b = Part("b", float(rng.randint(-9, 9)), float(rng.choice([0, 0, 2, -3])))
        if i % 3 == 2:
            b = a  # out = a * a
        yield a, b, Part("out", a.data * b.data, float(rng.randint(-4, 4)))


def times_with(part, other, *, sign=1):
    """`times_backward` with another idea of what each part gets; None stands for no chain."""

    def backward(a, b, out):
        a.grad += sign * part(a, b, out)
        b.grad += sign * other(a, b, out)

    return backward


def times_assigned(a, b, out):
    a.grad = b.data * out.grad
    b.grad = a.data * out.grad


@exercise("03.2", subgoal="hand back")
class TimesBackward:
    stub = (
        "def times_backward(a, b, out):\n"
        "    # out is a * b, and out.grad is known: add to a.grad and to b.grad\n"
        "    ..."
    )
    solution = times_backward
    spec = times_by_nudging
    inputs = products
    observe = grads_after
    mutants = {
        "assigned": (
            times_assigned,
            "Right as long as a and b are used once. `=` throws away the blame that was handed "
            "in before: add to it.",
        ),
        "swapped": (
            times_with(lambda a, b, out: a.data * out.grad, lambda a, b, out: b.data * out.grad),
            "Each part got its own number. Nudge a in a · b: it is b that says how fast the "
            "product moves.",
        ),
        "no chain": (
            times_with(lambda a, b, out: b.data, lambda a, b, out: a.data),
            "These are the local slopes alone. Multiply each by the blame of the result, out.grad.",
        ),
        "plus": (
            times_with(lambda a, b, out: out.grad, lambda a, b, out: out.grad),
            "That is what a sum does: it hands its blame on unchanged. A product multiplies it "
            "by the other factor.",
        ),
        "result": (
            times_with(
                lambda a, b, out: out.data * out.grad, lambda a, b, out: out.data * out.grad
            ),
            "You multiplied by the result. That is the rule of exp; a product has the other "
            "factor as its slope.",
        ),
        "step": (
            times_with(
                lambda a, b, out: b.data * out.grad, lambda a, b, out: a.data * out.grad, sign=-1
            ),
            "The sizes are right, and all signs are turned round. Blame is not the step: add it.",
        ),
        "one of two": (
            times_with(lambda a, b, out: b.data * out.grad, lambda a, b, out: 0.0),
            "a has its share. b was used too, and gets none.",
        ),
        "node": (
            times_with(lambda a, b, out: b * out.grad, lambda a, b, out: a * out.grad),
            "b is a node here, and a node cannot be multiplied. Its number is b.data.",
        ),
        "returned": (
            lambda a, b, out: (b.data * out.grad, a.data * out.grad),
            "Nothing was added: a.grad and b.grad are as they were. Change them; nothing has to "
            "be returned.",
        ),
    }
    hints = {"assigned": 2}


def exp_backward(a, out):
    a.grad += out.data * out.grad


def exp_by_nudging(a, out):
    nudge = 1e-4
    rise = (math.exp(a.data + nudge) - math.exp(a.data - nudge)) / (2 * nudge)
    a.grad += rise * out.grad


def powers_of_e(rng: random.Random):
    """A part and e to the power of it, some with earlier blame."""
    yield Part("a", 0.0), Part("out", 1.0, 1.0)
    for _ in range(24):
        a = Part("a", rng.randint(-20, 20) / 10, float(rng.choice([0, 0, 5, -7])))
        yield a, Part("out", math.exp(a.data), float(rng.choice([-3, -2, 2, 3])))


def exp_with(blame):
    """`exp_backward` with another idea of what the part gets."""

    def backward(a, out):
        a.grad += blame(a, out)

    return backward


def exp_assigned(a, out):
    a.grad = out.data * out.grad


@exercise("03.3", subgoal="hand back")
class ExpBackward:
    stub = (
        "def exp_backward(a, out):\n"
        "    # out is e to the power a, and out.grad is known: add to a.grad\n"
        "    ..."
    )
    solution = exp_backward
    spec = exp_by_nudging
    inputs = powers_of_e
    observe = grads_after
    mutants = {
        "its own number": (
            exp_with(lambda a, out: a.data * out.grad),
            "You multiplied by a itself. The slope of e to the power a is e to the power a, and "
            "that number you have already: it is the result.",
        ),
        "assigned": (
            exp_assigned,
            "The number is right, and `=` throws away the blame that came before. Add to it.",
        ),
        "no chain": (
            exp_with(lambda a, out: out.data),
            "That is the local slope alone. What is above has to be multiplied in: out.grad.",
        ),
        "power rule": (
            exp_with(lambda a, out: a.data * math.exp(a.data - 1) * out.grad),
            "That is the rule for a fixed exponent and a base that moves, as in a². Here the "
            "exponent moves.",
        ),
        "e of the result": (
            exp_with(lambda a, out: math.exp(out.data) * out.grad),
            "You raised e to the result once more. The result itself is the slope.",
        ),
        "own blame": (
            exp_with(lambda a, out: out.data * a.grad),
            "On the right stands a.grad, which is still being worked out. The blame comes from "
            "above: out.grad.",
        ),
        "unchanged": (
            exp_with(lambda a, out: out.grad),
            "The blame was handed on unchanged, as a sum would. exp has a slope of its own.",
        ),
        "slope of log": (
            exp_with(lambda a, out: out.grad / out.data),
            "You divided by the result. That is what the way back, the logarithm, would do.",
        ),
        "step": (
            exp_with(lambda a, out: -out.data * out.grad),
            "The size is right, and the sign is turned round. The blame of exp has the sign of "
            "out.grad.",
        ),
        "returned": (
            lambda a, out: out.data * out.grad,
            "Nothing was added: a.grad is as it was. Change it; nothing has to be returned.",
        ),
    }
    hints = {"its own number": 2}
    atol = 1e-4


def ordered(parts, last):
    order = []

    def visit(name):
        if name not in order:
            for part in parts[name]:
                visit(part)
            order.append(name)

    visit(last)
    return order


def ordered_by_waiting(parts, last):
    needed, order = {last}, []
    for _ in parts:
        needed |= {part for name in needed for part in parts[name]}
    while len(order) < len(needed):
        for name in sorted(needed):
            if name not in order and all(part in order for part in parts[name]):
                order.append(name)
    return order


def small_graphs(rng: random.Random):
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
        shuffled = rng.sample(names, size)
        yield {name: parts[name] for name in shuffled}, names[-1]


def needed_for(parts, last):
    return set(ordered_by_waiting(parts, last))


OTHER = "another graph"


def verdict(fn, parts, last):
    """Many orders are right, so an order is judged in words."""
    fn({OTHER: []}, OTHER)  # a list that outlives the call would keep this name
    answer = fn(parts, last)
    if answer is None:
        return None
    names, needed = list(answer), needed_for(parts, last)
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


def breadth_first(parts, last):
    names = [last]
    for name in names:
        names += [part for part in dict.fromkeys(parts[name]) if part not in names]
    return names


def before_its_parts(parts, last):
    order = []

    def visit(name):
        if name not in order:
            order.append(name)
            for part in parts[name]:
                visit(part)

    visit(last)
    return order


def with_memory(parts, last, order=[]):  # noqa: B006 - this is the mistake
    def visit(name):
        if name not in order:
            for part in parts[name]:
                visit(part)
            order.append(name)

    visit(last)
    return order


def piled_up(parts, last):
    seen, to_do = [], [last]
    while to_do:
        name = to_do.pop()
        if name not in seen:
            seen.append(name)
            to_do += parts[name]
    return seen[::-1]


def without_seen(parts, last):
    return [name for part in parts[last] for name in without_seen(parts, part)] + [last]


@exercise("03.4", subgoal="order")
class Order:
    stub = (
        "def ordered(parts, last):\n"
        "    # parts: a dict, for example {'c': ['a', 'b'], 'a': [], 'b': []}\n"
        "    # → the names that `last` needs, each once, parts first, `last` at the end\n"
        "    ..."
    )
    solution = ordered
    spec = ordered_by_waiting
    inputs = small_graphs
    observe = verdict
    mutants = {
        "backwards": (
            lambda parts, last: ordered(parts, last)[::-1],
            "A good order, the wrong way round: `last` belongs at the end. (backward walks it "
            "from there.)",
        ),
        "level by level": (
            breadth_first,
            "You went level by level and put `last` first. Turning that round is not enough: a "
            "name can be needed at two distances.",
        ),
        "level by level, turned": (
            lambda parts, last: breadth_first(parts, last)[::-1],
            "Level by level works on a tree. Where a name is needed at two distances, a name "
            "comes before its parts.",
        ),
        "no seen": (
            without_seen,
            "A name that is used twice stands in your list twice, so its blame would be handed "
            "back twice. Remember what you have seen.",
        ),
        "before its parts": (
            before_its_parts,
            "You write a name down *before* you visit its parts. Do it after.",
        ),
        "before its parts, turned": (
            lambda parts, last: before_its_parts(parts, last)[::-1],
            "You write a name down *before* you visit its parts, and turn the list round. A name "
            "reached early by one way may be a part of one reached later: write it down after.",
        ),
        "remembers": (
            with_memory,
            "Does your list remember the last call? A list made outside the function, or as "
            "`order=[]` in its first line, is made only once. Make it inside.",
        ),
        "when first seen": (
            piled_up,
            "You write a name down when you first come across it, and turn the list round in the "
            "end. A part that is met too soon then stands too late.",
        ),
        "without last": (
            lambda parts, last: ordered(parts, last)[:-1],
            "`last` itself is missing from the end.",
        ),
        "everything": (
            lambda parts, last: list(parts),
            "You listed every name there is, as it came. Start from `last` and follow the parts.",
        ),
        "sorted names": (
            lambda parts, last: sorted(needed_for(parts, last)),
            "All the names are there, sorted by the alphabet. Their parts decide the order.",
        ),
    }
    hints = {"no seen": 2, "level by level, turned": 2}


@exercise("03.5", subgoal="step")
class TwoHalves:
    stub = 'order = None  # for example "ABCD"'
    solution = "CDBA"
    solution_text = 'order = "CDBA"'
    mutants = {
        "zero too late": (
            "DBCA",
            "The zero stands between backward and step: there is nothing left to step along.",
        ),
        "zero between": (
            "CDCBA",
            "The second zero throws away the blame of the first half.",
        ),
        "habit": (
            "DCBA",
            "The zero stands between the halves, so the first half is lost.",
        ),
        "step too early": (
            "CDAB",
            "The step is taken when only the first half has spoken. Both halves come before it.",
        ),
        "zero last": (
            "DBAC",
            "The weights still carry the gradient of an earlier step, and it is added in. Wipe "
            "it first.",
        ),
        "uphill": ("CDBE", "The last line goes uphill: the loss would grow."),
        "gradient changed": (
            "CDBF",
            "The last line changes the gradients and leaves the weights as they are.",
        ),
        "two steps": (
            "CDABA",
            "These are two steps, and the second still carries the blame of the first half.",
        ),
        "halves swapped": (
            "CBDA",
            "The sum would be the same. But the first half was to come first.",
        ),
        "no zero": ("DBA", "The gradient of an earlier step is still there when you begin."),
        "one half": ("CDA", "Half of the points never get a say."),
    }


@exercise("03.6", subgoal="backward twice")
class BackwardTwice:
    stub = "answer = None  # [z, y, x], for example [1, 3, 6]"
    solution = [1, 6, 18]
    solution_text = "answer = [1, 6, 18]"
    mutants = {
        "all double": (
            [2, 6, 12],
            "Not everything doubles: z is *set* to 1, and x gets what y then holds, times 2.",
        ),
        "as it should be": (
            [1, 3, 12],
            "That is what our finished code gives, and what should come out. This code has a bug.",
        ),
        "nothing changes": (
            [1, 3, 6],
            "That is after the first call. The second adds to what is there.",
        ),
        "y doubles, x too": (
            [1, 6, 12],
            "y is right. Now x: it holds 6, and is handed 2 times what y holds *now*.",
        ),
        "z doubles": ([2, 6, 18], "y and x are right; z is *set*, in each call."),
        "z grows": (
            [2, 9, 24],
            "z would grow if it were written with `+=`. Here it is set to 1 in each call.",
        ),
        "replaced": (
            [1, 6, 6],
            "y is right. x is a part like any other: something is added to it too.",
        ),
    }
