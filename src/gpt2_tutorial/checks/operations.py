"""Look at how an answer gets its result: which of PyTorch's functions it calls, whether it loops.

Only for tasks that ask to do without something: there, a right result is not yet the answer.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Callable

from torch.overrides import TorchFunctionMode, resolve_name

from gpt2_tutorial.checks.calls import call

LOOP = "loop"


class _Listener(TorchFunctionMode):
    """Notes the name of every function of PyTorch that is called, as method or otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = resolve_name(func) or getattr(func, "__name__", "")
        self.names.add(name.split(".")[-1].strip("_"))  # softmax_ is softmax too
        return func(*args, **(kwargs or {}))


def operations_of(answer: Callable, case: tuple, observe: Callable | None = None) -> set[str]:
    """Name the functions of PyTorch that an answer calls on one case.

    >>> import torch
    >>> sorted(operations_of(lambda x: x.softmax(0).log(), (torch.ones(2),)))
    ['log', 'softmax']
    """
    listener = _Listener()

    def heard(*given: object) -> object:
        with listener:
            return answer(*given)

    call(heard, case, observe)
    return listener.names


def has_loop(answer: Callable) -> bool:
    """Say whether a function loops in Python: a `for`, a `while`, or `[… for …]`.

    >>> has_loop(lambda x: x @ x.T), has_loop(lambda x: [row + 1 for row in x])
    (False, True)
    """
    code = getattr(answer, "__code__", None)
    return isinstance(code, types.CodeType) and _loops(code)


def _loops(code: types.CodeType) -> bool:
    # every loop jumps backward; a generator or, in Python 3.11, `[… for …]` is code of its own
    steps = dis.get_instructions(code)
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return any("JUMP_BACKWARD" in step.opname for step in steps) or any(map(_loops, inner))
