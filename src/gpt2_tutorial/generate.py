"""A model writes: one token, then the next, for one text or many (chapter 13)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn as nn

from gpt2_tutorial.cache import KVCache, forward_cached
from gpt2_tutorial.generate_input import check_ends, check_prompts
from gpt2_tutorial.gpt import GPT, GPTConfig  # noqa: F401 (in examples)
from gpt2_tutorial.sampling import Knobs, draw_next, row_generators


def next_logits(
    model: GPT, ids: torch.Tensor, lengths: torch.Tensor, cache: KVCache | None
) -> torch.Tensor:
    """Logits (B, V) after the first `lengths` (B,) tokens of every row of ids.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> ids, lengths = torch.zeros(2, 9).long(), torch.tensor([9, 3])
    >>> next_logits(model, ids, lengths, cache=None).shape
    torch.Size([2, 65])
    """
    rows, size = torch.arange(len(ids), device=ids.device), model.config.block_size
    if cache is not None and lengths.max() <= size:
        if not cache.lengths.any():  # nothing read yet: the whole prompts
            return forward_cached(model, ids, cache, lengths)
        return forward_cached(model, ids[rows, lengths - 1][:, None], cache)
    # Past the context every token moves one place on: no old key fits any more.
    starts = (lengths - size).clamp(min=0)
    counts = lengths - starts  # (B,)
    places = starts[:, None] + torch.arange(int(counts.max()), device=ids.device)
    window = ids.gather(1, places.clamp(max=ids.size(1) - 1))  # (B, ≤ block_size)
    if counts.min() == counts.max():
        return model(window, last_only=True)[0][:, -1]
    return model(window)[0][rows, counts - 1]


@contextmanager
def evaluating(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Switch dropout off for a while, then leave every part as it was.

    >>> model = nn.Dropout()
    >>> with evaluating(model.modules()):
    ...     print(model.training)
    False
    >>> model.training
    True
    """
    trained = [part for part in parts if part.training]
    for part in trained:
        part.training = False
    try:
        yield
    finally:
        for part in trained:
            part.training = True


def stream(
    model: GPT,
    idx: torch.Tensor,
    max_new_tokens: int,
    *,
    cache: bool = True,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    stop_token: int | None = None,
    lengths: torch.Tensor | None = None,
    known: int | None = None,
    **knobs: Any,
) -> Iterator[torch.Tensor]:
    """Write on from the prompts idx (B, T): at every step one tensor (B,).

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> [tuple(new.shape) for new in stream(model, torch.tensor([[1], [2]]), 2)]
    [(2,), (2,)]
    """
    lengths = check_prompts(model, idx, lengths, known)
    check_ends(model, max_new_tokens, stop_token, known, cache)
    knobs, generators, store = Knobs(**knobs), None, None
    if knobs.temperature != 0:
        generators = row_generators(generator, len(idx))
    if cache:
        room = min(model.config.block_size, idx.size(1) + max_new_tokens)
        like = model.transformer.wpe.weight
        store = KVCache(model.config, len(idx), like.device, like.dtype, room)

    def draw(logits, idx):  # no row of a padded table that stands for no token
        return draw_next(logits[:, :known], idx, knobs, generators)

    return _steps(
        model, idx.long(), lengths, max_new_tokens, store, draw, stop_token
    )


@torch.no_grad()
def _steps(model, idx, lengths, max_new_tokens, cache, draw, stop_token):
    rows, parts = torch.arange(len(idx), device=idx.device), list(model.modules())
    stopped = torch.zeros_like(lengths, dtype=torch.bool)
    for _ in range(max_new_tokens):
        with evaluating(parts):
            logits = next_logits(model, idx, lengths, cache)  # (B, V)
        new = draw(logits, idx)  # (B,)
        if stop_token is not None:
            new = new.masked_fill(stopped, stop_token)
            stopped = stopped | (new == stop_token)
        yield new
        if stopped.all():
            return
        idx = torch.cat([idx, idx[:, :1]], dim=1)  # (B, T + 1)
        idx[rows, lengths] = new
        lengths = lengths + 1


def generate(
    model: GPT,
    idx: torch.Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    cache: bool = True,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    stop_token: int | None = None,
) -> torch.Tensor:
    """Write on from the prompts idx (B, T): the same rows, n tokens longer.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> generate(model, torch.tensor([[1, 2], [3, 4]]), max_new_tokens=5).shape
    torch.Size([2, 7])
    """
    steps = stream(
        model,
        idx,
        max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        cache=cache,
        generator=generator,
        stop_token=stop_token,
    )
    return torch.cat([idx, *(new[:, None].to(idx.dtype) for new in steps)], dim=1)


def generate_batch(
    model: GPT, prompts: Sequence[Sequence[int]], max_new_tokens: int, **knobs: Any
) -> list[list[int]]:
    """Write on from prompts of different lengths, each as if it were alone.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> [len(row) for row in generate_batch(model, [[1], [2, 3, 4, 5, 6]], 3)]
    [4, 8]
    """
    if len(prompts) == 0 or not all(len(prompt) for prompt in prompts):
        raise ValueError(f"every prompt needs at least one token: {prompts!r:.60}")
    lengths = [len(prompt) for prompt in prompts]
    # Padding on the right stands in the future, and the mask hides the future.
    # It repeats a token of its row, so a repetition penalty falls on no other.
    idx = [[*row, *[row[0]] * (max(lengths) - len(row))] for row in prompts]
    device = model.transformer.wte.weight.device
    idx, counts = (torch.tensor(part, device=device) for part in (idx, lengths))
    steps = list(stream(model, idx, max_new_tokens, lengths=counts, **knobs))
    rows, stop = [], knobs.get("stop_token")
    for i, prompt in enumerate(prompts):
        new = [int(step[i]) for step in steps]
        if stop in new:
            new = new[: new.index(stop) + 1]
        rows.append([*prompt, *new])
    return rows
