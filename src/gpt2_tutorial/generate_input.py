"""What a model can write from: prompts, ids and logits; the rest is refused in a sentence."""

from numbers import Integral
from typing import Any

import torch

from gpt2_tutorial.gpt import GPT, GPTConfig  # noqa: F401 (in examples)


def best_logits(logits: torch.Tensor) -> torch.Tensor:
    """Return the best logit of every row (B, 1), of logits (B, V) that can be bets.

    >>> best_logits(torch.tensor([[0.0, 2.0], [3.0, 1.0]]))
    tensor([[2.],
            [3.]])
    """
    if logits.dim() != 2 or 0 in logits.shape or not logits.is_floating_point():
        shape, kind = tuple(logits.shape), logits.dtype
        raise ValueError(f"logits must be (B, V), not {shape} of {kind}")
    best = logits.amax(-1, keepdim=True)
    if not best.isfinite().all():
        odd = best[~best.isfinite()][0].item()
        raise ValueError(
            f"a row's best logit is {odd}, so no token can be drawn: check the model's weights"
        )
    return best


def check_cached(model: GPT, idx: torch.Tensor, cache: Any) -> None:
    """Refuse ids that do not fit the cache, and a model that would drop some numbers.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> check_cached(model, torch.tensor([[1]]), cache=None)
    Traceback (most recent call last):
    ValueError: the model is in training mode: call model.eval() first
    """
    check_can_cache(model)
    if model.training:
        raise ValueError("the model is in training mode: call model.eval() first")
    if idx.dim() != 2 or idx.numel() == 0 or idx.is_floating_point():
        raise ValueError(f"idx must be ids (B, T), not {tuple(idx.shape)} of {idx.dtype}")
    if len(idx) != len(cache.lengths):
        raise ValueError(f"the cache holds {len(cache.lengths)} rows, but idx has {len(idx)}")
    room, longest = cache.keys.size(3), int(cache.lengths.max()) + idx.size(1)
    if longest > room:
        raise ValueError(f"the cache has room for {room} tokens, not {longest}")


def can_cache(model: GPT) -> bool:
    """Say whether chapter 13's cache knows how this model makes its keys and values.

    >>> can_cache(GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24)))
    True
    """
    parts = model.transformer  # chapter 18's turns them by their places, or groups its heads
    return hasattr(parts, "wpe") and all(hasattr(block.attn, "n_head") for block in parts.h)


def check_can_cache(model: GPT) -> None:
    """Refuse a model that has no cache.

    >>> check_can_cache(GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24)))
    """
    if not can_cache(model):
        raise ValueError(
            f"a cache holds what a GPT of chapter 11 has read, and this is a "
            f"{type(model).__name__}: take cache=False, and it writes the same, only slower"
        )


def check_prompts(
    model: GPT, idx: torch.Tensor, lengths: torch.Tensor | None, known: int | None = None
) -> torch.Tensor:
    """Refuse what is no (B, T) of ids; return how many ids of each row count.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> check_prompts(model, torch.tensor([[1, 2, 3]]), lengths=None)
    tensor([3])
    """
    if not isinstance(idx, torch.Tensor) or idx.dim() != 2:
        what = tuple(idx.shape) if isinstance(idx, torch.Tensor) else type(idx)
        raise ValueError(f"idx must be a tensor of ids (B, T), not {what}")
    if idx.is_floating_point() or idx.is_complex() or idx.dtype == torch.bool:
        raise TypeError(f"ids are whole numbers, so idx cannot be {idx.dtype}")
    if idx.numel() == 0:
        raise ValueError(f"the prompt is empty, idx is {tuple(idx.shape)}: give at least one id")
    check_id(model, "id", int(idx.min()))
    check_id(model, "id", int(idx.max()))
    if known is not None and 0 < known <= int(idx.max()):
        raise ValueError(f"id {int(idx.max())} is in the prompt, and only {known} tokens are known")
    B, T = idx.shape
    if lengths is None:
        return torch.full((B,), T, device=idx.device)
    if lengths.shape != (B,) or lengths.min() < 1 or lengths.max() > T:
        raise ValueError(f"lengths must be {B} numbers from 1 to {T}, not {lengths.tolist()}")
    return lengths


def check_ends(
    model: GPT,
    max_new_tokens: int,
    stop_token: int | None,
    known: int | None = None,
    cache: bool = False,
) -> None:
    """Refuse impossible numbers of tokens, stop tokens and a cache that the model does not have.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> check_ends(model, 10, stop_token=64)
    """
    if not isinstance(max_new_tokens, Integral) or max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be a whole number from 0, not {max_new_tokens!r}")
    if cache:
        check_can_cache(model)
    if stop_token is not None:
        check_id(model, "stop_token", stop_token)
    if known is not None:
        check_id(model, "the last known token", known - 1)


def check_id(model: GPT, name: str, value: int) -> None:
    """Refuse an id that the model does not know.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> check_id(model, "stop_token", 65)
    Traceback (most recent call last):
    ValueError: stop_token 65 is unknown: this model has 0 to 64
    """
    V = model.config.vocab_size
    if not isinstance(value, Integral) or not 0 <= value < V:
        raise ValueError(f"{name} {value!r} is unknown: this model has 0 to {V - 1}")
