"""Probes: experiments that find out what a model really does, whatever its code says."""

from collections.abc import Callable
from typing import NamedTuple

import torch


class Leak(NamedTuple):
    """Changing token `changed` moved the output at the earlier token `moved`, by `size`."""

    changed: int
    moved: int
    size: float


def first_leak(
    model: Callable, x: torch.Tensor, *, tol: float = 1e-6, seed: int = 0
) -> Leak | None:
    """Change one token of `x` after the other; return the first that an earlier place can feel.

    `x` is ids (B, T) or vectors (B, T, C). `model` answers (B, T, …), alone or first in a tuple:
    logits for ids. None means that every output depends on its own past alone.

    >>> mean_of_all = lambda x: x.mean(1, keepdim=True).expand_as(x)
    >>> first_leak(mean_of_all, torch.zeros(1, 4, 2)).changed
    1
    >>> mean_of_past = lambda x: x.cumsum(1) / torch.arange(1, 5).view(1, 4, 1)
    >>> first_leak(mean_of_past, torch.zeros(1, 4, 2)) is None
    True
    """
    if x.dim() != (3 if x.is_floating_point() else 2) or x.numel() == 0:
        raise ValueError(f"x must be ids (B, T) or vectors (B, T, C), not {tuple(x.shape)}")
    training = getattr(model, "training", False)
    if training:
        model.eval()  # dropout is chance, not a leak
    try:
        return _first_leak(model, x, tol, torch.Generator().manual_seed(seed))
    finally:
        if training:
            model.train()


@torch.no_grad()
def _first_leak(
    model: Callable, x: torch.Tensor, tol: float, generator: torch.Generator
) -> Leak | None:
    before = _answer(model, x)  # (B, T, …)
    for t in range(1, x.size(1)):
        changed = x.clone()
        changed[:, t] = _other(x[:, t], before.size(-1), generator)
        after = _answer(model, changed)
        moved = (after - before)[:, :t].abs()
        moved = moved.masked_fill(after[:, :t] == before[:, :t], 0.0)  # −∞ and still −∞
        moved = moved.transpose(0, 1).flatten(1).amax(1)  # (t,)
        if (moved > tol).any():
            place = int((moved > tol).nonzero()[0])
            return Leak(t, place, moved[place].item())
    return None


def _answer(model: Callable, x: torch.Tensor) -> torch.Tensor:
    out = model(x)
    out = (out[0] if isinstance(out, tuple) else out).double()
    if out.dim() < 3 or out.shape[:2] != x.shape[:2]:
        raise ValueError(
            f"{tuple(x.shape)} went in and {tuple(out.shape)} came out: "
            "the model must answer at every token"
        )
    if out.isnan().any():
        raise ValueError("the model answers nan, so nobody can tell what moves it")
    return out


def _other(old: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Draw tokens that differ from the old ones: ids below `size`, or vectors far away."""
    if old.is_floating_point():
        noise = torch.randn(old.shape, generator=generator, dtype=torch.float64)
        return old + 3 * noise.to(old)
    if size < 2:
        raise ValueError(f"{size} symbol leaves no other id to change to")
    step = torch.randint(1, size, old.shape, generator=generator)
    return (old + step.to(old)) % size
