"""The small arithmetic of `=:` markers, evaluated without Python's eval."""

import ast
import math
import operator
import re
from collections.abc import Mapping

FUNCTIONS = {
    "ln": math.log,
    "exp": math.exp,
    "log2": math.log2,
    "sqrt": math.sqrt,
    "round": lambda x, digits=0.0: float(round(x, int(digits))),
}
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


class Refused(ValueError):
    """The expression uses what is no arithmetic."""


def step(node: ast.AST, values: Mapping[str, float]) -> float:
    """One node of the syntax tree; anything but numbers, names and arithmetic is refused."""
    match node:
        case ast.Expression(body):
            return step(body, values)
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(name) if name in values:
            return values[name]
        case ast.UnaryOp(op, operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](step(operand, values))
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](step(left, values), step(right, values))
        case ast.Call(ast.Name(name), arguments, []) if name in FUNCTIONS:
            return FUNCTIONS[name](*(step(argument, values) for argument in arguments))
    raise Refused(f"{ast.unparse(node)!r} is not allowed")


def evaluate(expression: str, measured: Mapping[str, float]) -> float:
    """Value of an expression in which {NAME} stands for a measured value.

    >>> evaluate("round(100 * {01.share}, 1)", {"01.share": 0.5064})
    50.6
    """
    values: dict[str, float] = {}

    def look_up(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in measured:
            raise ValueError(f"no measured value is called {name!r}")
        values[f"value_{len(values)}"] = float(measured[name])
        return f"(value_{len(values) - 1})"

    text = re.sub(r"\{([^{}]*)\}", look_up, expression.strip())
    try:
        result = step(ast.parse(text, mode="eval"), values)
    except Refused:
        raise
    except (SyntaxError, ArithmeticError, TypeError, ValueError) as problem:
        raise ValueError(f"it cannot be worked out ({problem})") from None
    if isinstance(result, complex) or not math.isfinite(result):
        raise ValueError(f"its result is {result}")
    return result
