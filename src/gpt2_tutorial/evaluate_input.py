"""What can be judged: texts, windows and exam questions; the rest is refused in a sentence."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch


def ids_and_stride(
    ids: Sequence[int] | torch.Tensor, stride: int | None, block_size: int
) -> tuple[torch.Tensor, int]:
    """Make ids a tensor and fill in the stride; refuse no text, and gaps between windows.

    >>> ids_and_stride([3, 1, 2], stride=None, block_size=8)
    (tensor([3, 1, 2]), 4)
    """
    ids = torch.as_tensor(ids)
    if ids.dim() != 1 or len(ids) < 2 or ids.is_floating_point():
        raise ValueError(f"ids must be two or more, (N,), not {tuple(ids.shape)} of {ids.dtype}")
    stride = max(block_size // 2, 1) if stride is None else stride
    if not 1 <= stride <= block_size:
        raise ValueError(f"stride must be from 1 to {block_size}, not {stride}")
    return ids, stride


def check_item(item: Any) -> None:
    """Refuse an exam question without text, or without an answer.

    >>> from types import SimpleNamespace
    >>> check_item(SimpleNamespace(context="We", choices=("eat.", "onion."), label=0))
    """
    texts, shown = (item.context, *item.choices), str(item)[:70]
    if not all(isinstance(text, str) and text for text in texts) or len(texts) < 2:
        raise ValueError(f"a context and every choice need text, unlike in {shown}")
    if item.label not in range(len(item.choices)):
        raise ValueError(f"there is no choice number {item.label!r} in {shown}")


def check_unit(per: str, known: Iterable[str]) -> None:
    """Refuse a unit of length that nobody knows.

    >>> check_unit("byte", ["byte", "token"])
    """
    if per not in known:
        raise ValueError(f"per must be one of {', '.join(known)}, not {per!r}")


def check_room(choices: Sequence[Sequence[int]], block_size: int) -> None:
    """Refuse a choice that is longer than the context.

    >>> check_room([[1, 2], [3]], block_size=2)
    """
    longest = max(len(choice) for choice in choices)
    if longest > block_size:
        raise ValueError(f"a choice of {longest} tokens is longer than block_size={block_size}")
