"""One process does it for all; if it fails there, it fails for all, and nobody waits for ever."""

from collections.abc import Callable
from typing import TypeVar

from gpt2_tutorial.distributed import Ranks, any_rank

Result = TypeVar("Result")


class FailedElsewhere(RuntimeError):
    """Another process could not go on; it has said why."""


def on_rank_0(ranks: Ranks, do: Callable[[], Result]) -> Result | None:
    """Let rank 0 do it, and return its result there; the others wait, and get None.

    >>> import torch
    >>> on_rank_0(Ranks(0, 0, 1, torch.device("cpu")), lambda: "written")
    'written'
    """
    return on_every_rank(ranks, do if ranks.is_first else lambda: None)


def on_every_rank(ranks: Ranks, do: Callable[[], Result]) -> Result:
    """Let every process do its own; if it fails in one of them, it fails in all.

    >>> import torch
    >>> on_every_rank(Ranks(0, 0, 1, torch.device("cpu")), lambda: 7)
    7
    """
    result = problem = None
    try:
        result = do()
    except Exception as error:
        problem = error
    if any_rank(problem is not None):
        raise problem or FailedElsewhere(f"another process than {ranks.rank} could not go on")
    return result
