"""Probes: experiments that find out what a model really does, whatever its code says."""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn as nn


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


class LayerGap(NamedTuple):
    """At one place of two models: by how much they differ at most, and whether that is rounding."""

    name: str
    largest: float
    ok: bool


def compare_layers(
    ours: nn.Module, theirs: nn.Module, idx: torch.Tensor, *, tol: float = 1e-4
) -> list[LayerGap]:
    """Run both models on ids (B, T) and compare what comes out of each of their parts.

    Both name their parts as GPT-2's checkpoint does. The rows stand in the order of computation;
    dropout is off. A place is ok when at no token the difference exceeds `tol` times the token's
    largest number (at least 1), since rounding grows with the numbers. Small faults in small
    numbers show better in float64: `compare_layers(ours.double(), theirs.double(), idx, tol=1e-9)`.

    >>> from gpt2_tutorial.gpt import GPT, GPTConfig
    >>> model = GPT(GPTConfig(8, 65, n_layer=1, n_head=2, n_embd=24))
    >>> [gap.name for gap in compare_layers(model, model, torch.zeros(1, 8, dtype=torch.long))][:4]
    ['wte', 'wpe', 'drop', 'h.0.ln_1']
    """
    places = _places(ours)
    if places != _places(theirs):
        raise ValueError(
            f"both models need the same parts: {len(places)} and {len(_places(theirs))} were found"
        )
    one, other = (_what_comes_out(model, idx, places) for model in (ours, theirs))
    return [_layer_gap(name, one[name], other[name], tol) for name in places]


def layer_report(gaps: list[LayerGap]) -> str:
    """Write a line per place, and at the end the first place where two models part.

    >>> print(layer_report([LayerGap("wte", 0.0, True), LayerGap("drop", 0.5, False)]))
    wte                  0.0e+00  same
    drop                 5.0e-01  different
    first difference: drop
    """
    lines = [f"{g.name:<18}{g.largest:>10.1e}  {'same' if g.ok else 'different'}" for g in gaps]
    first = next((gap.name for gap in gaps if not gap.ok), None)
    return "\n".join([*lines, f"first difference: {first}" if first else "no difference"])


def _places(model: nn.Module) -> list[str]:
    """List the parts to compare, in the order in which GPT-2 computes them."""
    there = {name.removeprefix("transformer.") for name, _ in model.named_modules()}
    depth = sum(bool(re.fullmatch(r"h\.\d+", name)) for name in there)
    blocks = [
        f"h.{i}{part}" for i in range(depth) for part in (".ln_1", ".attn", ".ln_2", ".mlp", "")
    ]
    places = ["wte", "wpe", "drop", *blocks, "ln_f", "lm_head"]
    if missing := [name for name in places if name not in there]:
        raise ValueError(f"{type(model).__name__} has no part {missing[0]}, as GPT-2 has")
    return places


@torch.no_grad()
def _what_comes_out(
    model: nn.Module, idx: torch.Tensor, places: list[str]
) -> dict[str, torch.Tensor]:
    parts = {name.removeprefix("transformer."): part for name, part in model.named_modules()}
    # Ours reads the rows of wpe without calling it, so no hook would hear of them.
    out = {"wpe": parts["wpe"].weight[: idx.size(-1)]}

    def listen(name: str) -> Callable:
        def note(part: nn.Module, inputs: tuple, result: object) -> None:
            out[name] = result[0] if isinstance(result, tuple) else result

        return note

    hooks = [parts[name].register_forward_hook(listen(name)) for name in places]
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        model(idx)
    finally:
        for hook in hooks:
            hook.remove()
        for part in training:
            part.training = True
    if silent := [name for name in places if name not in out]:
        raise ValueError(f"{type(model).__name__} never calls its part {silent[0]}")
    return {name: result.detach() for name, result in out.items()}


def _layer_gap(name: str, ours: torch.Tensor, theirs: torch.Tensor, tol: float) -> LayerGap:
    if ours.shape[-2:] != theirs.shape[-2:]:
        return LayerGap(name, math.inf, False)
    theirs = theirs.to(ours.device, torch.float64)
    gap = (ours.double() - theirs).abs().amax(-1)  # (B, T)
    allowed = tol * theirs.abs().amax(-1).clamp(min=1)
    return LayerGap(name, gap.max().item(), bool((gap <= allowed).all()))
