"""Tell whether an answer is still the stub that the notebook shipped.

Functions are compared by what Python compiled them to, so this works in a notebook, in a
script and without any source file, and for stubs that hold a bug on purpose.
"""

from __future__ import annotations

import ast
import bisect
import dis
import types

from gpt2_tutorial.checks.show import or_else

_SILENT = {"RESUME", "NOP", "CACHE", "EXTENDED_ARG", "PRECALL"}
_EMPTY = ([("LOAD_CONST", "None"), ("RETURN_VALUE", "None")], [("RETURN_CONST", "None")])
_DOTS = ([("LOAD_CONST", "Ellipsis"), ("RETURN_VALUE", "None")], [("RETURN_CONST", "Ellipsis")])


def bound_name(source: str) -> str:
    """Name the last thing that a piece of source defines or assigns; "" where there is none.

    >>> bound_name("def mean(values): ...")
    'mean'
    >>> bound_name("answer = None  # your number")
    'answer'
    """
    for node in reversed(ast.parse(source).body):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            return node.name
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            return node.targets[0].id
    return ""


def stub_value(stub: str) -> object:
    """Give the value that a stub such as `order = ["C", "A"]` ships; None where it has none.

    >>> stub_value('order = ["C", "A", "B"]')
    ['C', 'A', 'B']
    """
    return or_else(None, lambda: ast.literal_eval(ast.parse(stub).body[-1].value))


def untouched(stub: str, answer: object) -> bool:
    """Say whether a function is the stub's own, or has an empty body.

    >>> untouched("def double(x): ...", lambda x: 2 * x)
    False
    """
    return bool(or_else(False, _untouched, stub, answer))


def _untouched(stub: str, answer: object) -> bool:
    code = getattr(answer, "__code__", None)
    if not _is_code(code):
        return False
    own = _shape(code)
    if own[1] in (*_EMPTY, *_DOTS) or _only_refuses(code):
        return True
    shipped, defaults = _shipped(stub)
    return _shape(shipped) == own and defaults in (None, _defaults_of(answer))


def _only_refuses(code: types.CodeType) -> bool:
    """`raise NotImplementedError(…)` and no more: a way to leave a body empty."""
    names = [step.opname for step in dis.get_instructions(code)]
    return code.co_names == ("NotImplementedError",) and names[-1] == "RAISE_VARARGS"


def _shipped(stub: str) -> tuple[types.CodeType, list[str] | None]:
    """Give the stub's compiled code and its defaults as text (None where they are no literals)."""
    name = bound_name(stub)
    module = compile(stub, "<stub>", "exec", dont_inherit=True)
    code = next(c for c in reversed(module.co_consts) if _is_code(c) and c.co_name == name)
    node = next(n for n in reversed(ast.parse(stub).body) if getattr(n, "name", "") == name)
    values = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
    return code, or_else(None, lambda: [repr(ast.literal_eval(value)) for value in values])


def _defaults_of(function: types.FunctionType) -> list[str]:
    values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [repr(value) for value in values]


def _is_code(value: object) -> bool:
    return isinstance(value, types.CodeType)


def _shape(code: types.CodeType) -> tuple:
    """Reduce compiled code to what it does: its arguments and operations, no lines, no docs."""
    count = code.co_argcount + code.co_kwonlyargcount
    return code.co_varnames[:count], _operations(code)


def _operations(code: types.CodeType) -> list[tuple]:
    steps = [step for step in dis.get_instructions(code) if step.opname not in _SILENT]
    offsets = [step.offset for step in steps]
    return [(step.opname, _argument(step, offsets)) for step in steps]


def _argument(step: dis.Instruction, offsets: list[int]) -> object:
    if _is_code(step.argval):
        return _shape(step.argval)
    # a jump leads to the n-th operation: a byte offset would move when a `pass` is added
    if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
        return bisect.bisect_left(offsets, step.argval)
    return repr(step.argval)
