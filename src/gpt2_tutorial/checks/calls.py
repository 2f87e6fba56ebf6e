"""Call a stranger's function safely and note everything that came of it.

Every call gets fresh copies of its arguments and the same random numbers, its prints are kept
away from the notebook, and whatever it raises is noted; only a keyboard interrupt passes.
"""

from __future__ import annotations

import contextlib
import copy
import io
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from gpt2_tutorial.checks.compare import same
from gpt2_tutorial.checks.show import describe, is_array, or_else, short

MOST = 10_000  # items, or numbers in tensors: some hundred times what any right answer has


class TooLarge(Exception):
    """What a call gave is far larger than any right answer; the text says what it is."""


@dataclass(frozen=True)
class Raised:
    """An error as it was raised: the name of its class, of those above it, and its text."""

    kinds: tuple[str, ...]
    text: str


@dataclass
class CallResult:
    """What one call gave: a value or an error, and what it did on the side."""

    value: object = None
    error: Raised | None = None
    changed: int | None = None
    printed: bool = False

    def text(self, digits: int = 4) -> str:
        """Show the value, or the error, on one short line."""
        if self.error is None:
            return short(self.value, digits=digits)
        return f"{self.error.kinds[0].split('.')[-1]}: {self.error.text}".rstrip(": ")


def is_large(value: object) -> bool:
    """Say whether a value is too large to be an answer: copying and comparing it would take long.

    >>> is_large([0] * 1_000), is_large([[0] * 1_000] * 1_000), is_large(torch.zeros(200, 200))
    (False, True, True)
    """
    return bool(or_else(False, _is_large, value))


def _is_large(value: object) -> bool:
    waiting, size = [value], 0
    while waiting and size <= MOST:  # a list that holds itself is large, too
        part = waiting.pop()
        if isinstance(part, torch.Tensor):
            size += part.numel()
        elif is_array(part):
            size += part.size
        elif isinstance(part, (str, bytes)):
            size += len(part) // 100
        elif isinstance(part, (list, tuple, set, frozenset, dict)):
            size += len(part)
            waiting += [] if size > MOST else part.values() if isinstance(part, dict) else part
    return size > MOST


def error_text(error: BaseException, width: int = 160) -> str:
    """Give the first line of an error's text.

    >>> error_text(ValueError("two lines\\nof text"))
    'two lines'
    """
    text = or_else("", str, error).strip()
    line = text.split("\n")[0]
    return line if len(line) <= width else line[: width - 1] + "…"


def copied(value: object, memo: dict | None = None) -> object:
    """Copy a value all the way down: tensors are cloned, generators keep their state.

    >>> counts = torch.ones(2)
    >>> copied([counts])[0].add_(1), counts
    (tensor([2., 2.]), tensor([1., 1.]))
    """
    memo = {} if memo is None else memo
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, torch.Tensor):
        made = value.detach().clone().requires_grad_(value.requires_grad)
    elif isinstance(value, torch.Generator):
        made = torch.Generator(value.device)
        made.set_state(value.get_state())
    elif type(value) is list:
        made = memo[id(value)] = []
        made.extend(copied(item, memo) for item in value)
    elif type(value) is dict:
        made = memo[id(value)] = {}
        made.update((key, copied(item, memo)) for key, item in value.items())
    elif type(value) is tuple:
        made = tuple(copied(item, memo) for item in value)
    else:
        made = or_else(value, copy.deepcopy, value)
    memo[id(value)] = made
    return made


def call(fn: Callable, case: tuple, observe: Callable | None = None) -> CallResult:
    """Call `fn` on copies of one case's arguments.

    >>> call(lambda a, b: a / b, (1, 0)).text()
    'ZeroDivisionError: division by zero'
    """
    given = copied(case)
    outcome, screen = CallResult(), _Screen()
    random.seed(0)
    torch.default_generator.manual_seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    try:
        with contextlib.redirect_stdout(screen), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = fn(*given) if observe is None else observe(fn, *given)
        if is_large(value):
            raise TooLarge(f"{describe(value)} that holds far more than any right answer")
        outcome.value = or_else(value, copied, value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        kinds = (kind for kind in type(error).__mro__ if issubclass(kind, BaseException))
        names = tuple(f"{kind.__module__}.{kind.__name__}" for kind in kinds)
        outcome.error = Raised(names, error_text(error))
    outcome.printed = screen.used
    changed = (i for i, (a, b) in enumerate(zip(case, given, strict=True)) if not _kept(a, b))
    outcome.changed = next(changed, None)
    return outcome


class _Screen(io.TextIOBase):
    """A screen that notes that something was printed, and forgets what."""

    used = False

    def write(self, text: str) -> int:
        self.used = True
        return len(text)


def _kept(before: object, after: object) -> bool:
    """Say whether an argument stayed as it was; generators and other objects may move on."""
    if isinstance(before, torch.Tensor) or is_array(before):
        return same(before, after, 0.0, strict=True)
    if isinstance(before, (list, tuple)):
        pairs = zip(before, after, strict=False)
        return len(before) == len(after) and all(_kept(a, b) for a, b in pairs)
    if isinstance(before, dict):
        return list(before) == list(after) and all(_kept(before[k], after[k]) for k in before)
    if isinstance(before, (int, float, complex, str, bytes, set, frozenset, type(None))):
        return same(before, after, 0.0)
    return True


def alike(expected: CallResult, got: CallResult, atol: float, *, strict: bool = False) -> bool:
    """Say whether two calls came to the same: the same answer, or the same kind of error.

    >>> one = CallResult(1)
    >>> wrong = CallResult(error=Raised(("KeyError",), "'a'"))
    >>> alike(one, CallResult(1.0), 0.0), alike(one, wrong, 0.0)
    (True, False)
    """
    if expected.error is not None or got.error is not None:
        if strict:  # one type of error has many causes; the text tells them apart
            return expected.error == got.error
        return bool(expected.error and got.error and expected.error.kinds[0] in got.error.kinds)
    return same(expected.value, got.value, atol, strict=strict)


@contextlib.contextmanager
def own_rng() -> Iterator[None]:
    """Put the notebook's random numbers back as they were when the work is done.

    >>> random.seed(1); first = random.random(); random.seed(1)
    >>> with own_rng():
    ...     random.seed(99)
    >>> random.random() == first
    True
    """
    with contextlib.ExitStack() as afterwards:
        afterwards.callback(random.setstate, random.getstate())
        afterwards.callback(torch.set_rng_state, torch.get_rng_state())
        if numpy := sys.modules.get("numpy"):
            afterwards.callback(numpy.random.set_state, numpy.random.get_state())
        afterwards.callback(torch.set_default_dtype, torch.get_default_dtype())
        afterwards.callback(torch.set_grad_enabled, torch.is_grad_enabled())
        yield
