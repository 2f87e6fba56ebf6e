"""Who is to blame, and by how much: the gradient of any formula (chapter 03)."""

import math
from collections.abc import Callable, Sequence


def central_difference(
    f: Callable[..., float], inputs: Sequence[float], nudge: float = 1e-5
) -> list[float]:
    """Measure the slope of `f` in each of its inputs by nudging it up and down.

    >>> [round(s, 3) for s in central_difference(lambda a, b: a * b, [3, -2])]
    [-2.0, 3.0]
    """
    if len(inputs) == 0 or not nudge > 0:
        raise ValueError(f"need inputs and a nudge > 0, not {inputs} and {nudge}")
    slopes = []
    for i, x in enumerate(inputs):
        up, down = list(inputs), list(inputs)
        step = nudge * max(1.0, abs(x))  # a tiny nudge of a large number gets lost
        up[i], down[i] = x + step, x - step
        slopes.append((f(*up) - f(*down)) / (up[i] - down[i]))
    return slopes


class Node:
    """A number that knows what it was made from, and can hand its blame back.

    >>> a = Node(3.0)
    >>> Node(6.0, [(a, 1.0), (a, 1.0)]).backward()  # a + a: twice the slope 1
    >>> a.grad
    2.0
    """

    def __init__(self, data: float, made_from: Sequence[tuple["Node", float]] = ()):
        if not isinstance(data, int | float):
            raise TypeError(f"a node holds one plain number, not {data!r:.60}")
        self.data, self.grad = float(data), 0.0
        self.made_from = made_from  # pairs: a part, and our slope in it

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.data:g}, grad={self.grad:g})"

    def backward(self) -> None:
        """Add to every leaf's `grad`; the nodes in between start again from 0."""
        order = topological_order(self)
        for node in order:
            if node.made_from:
                node.grad = 0.0
        self.grad += 1.0
        for node in reversed(order):
            for part, slope in node.made_from:
                part.grad += slope * node.grad


def topological_order(last: Node) -> list[Node]:
    """List the nodes that `last` was made from, each once and after its own parts.

    >>> a = Node(3.0)
    >>> topological_order(Node(9.0, [(a, 3.0), (a, 3.0)]))
    [Node(3, grad=0), Node(9, grad=0)]
    """
    order, seen, to_do = [], set(), [(last, False)]
    while to_do:
        node, parts_are_done = to_do.pop()
        if parts_are_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            to_do.append((node, True))  # come back to it when its parts are done
            to_do += [(part, False) for part, _ in node.made_from]
    return order


class Value(Node):
    """A node that calculates: write a formula with it, then call `backward`.

    >>> a, b = Value(3.0), Value(-2.0)
    >>> ((a * b + 10) ** 2).backward()
    >>> a.grad, b.grad
    (-16.0, 24.0)
    """

    def __add__(self, other: "Value | float") -> "Value":
        other = _value(other)
        return Value(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other: "Value | float") -> "Value":
        other = _value(other)
        return Value(
            self.data * other.data, [(self, other.data), (other, self.data)]
        )

    def __pow__(self, n: float) -> "Value":
        x = _base(self.data, n)
        return Value(x**n, [(self, n * x ** (n - 1) if n else 0.0)])

    def exp(self) -> "Value":
        if self.data > 709:
            raise ValueError(
                f"exp({self.data:g}) is too large; use a smaller number"
            )
        return Value(math.exp(self.data), [(self, math.exp(self.data))])

    def log(self) -> "Value":
        if self.data <= 0:
            raise ValueError(f"log({self.data:g}) does not exist; use a number > 0")
        return Value(math.log(self.data), [(self, 1 / self.data)])

    def tanh(self) -> "Value":
        t = math.tanh(self.data)
        return Value(t, [(self, 1 - t**2)])

    def relu(self) -> "Value":
        return Value(max(self.data, 0.0), [(self, float(self.data > 0))])

    __radd__, __rmul__ = __add__, __mul__  # for 2 + a and 2 * a

    def __neg__(self) -> "Value":
        return self * -1

    def __sub__(self, other: "Value | float") -> "Value":
        return self + -_value(other)

    def __rsub__(self, other: float) -> "Value":
        return _value(other) - self

    def __truediv__(self, other: "Value | float") -> "Value":
        return self * _value(other) ** -1

    def __rtruediv__(self, other: float) -> "Value":
        return _value(other) / self


def _value(number: Value | float) -> Value:
    """Hand back a Value as it is, and make a new leaf of a plain number."""
    return number if isinstance(number, Value) else Value(number)


def _base(x: float, n: float) -> float:
    """Hand back `x` if `x ** n` has a value and a slope."""
    if not isinstance(n, int | float):
        raise TypeError(f"the exponent must be a plain number, not {n!r:.60}")
    if (x == 0 and n < 1 and n != 0) or (x < 0 and n % 1 != 0):
        raise ValueError(f"{x:g} to the power {n:g} has no slope; use a base > 0")
    return x


def grad_check(
    f: Callable[..., Value], inputs: Sequence[float], nudge: float = 1e-5
) -> float:
    """Return how far `backward` is from nudging, at the input where it is farthest.

    >>> grad_check(lambda a, b: (a * b + 10) ** 2, [3, -2]) < 1e-6
    True
    """
    values = [Value(x) for x in inputs]
    result = f(*values)
    if not isinstance(result, Value):
        raise TypeError(f"the function must return a Value, not {result!r:.60}")
    result.backward()
    slopes = central_difference(lambda *xs: f(*map(Value, xs)).data, inputs, nudge)
    pairs = zip(values, slopes, strict=True)
    gaps = [
        abs(value.grad - slope) / max(1.0, abs(slope)) for value, slope in pairs
    ]
    return max(gaps) if all(map(math.isfinite, gaps)) else math.inf
