"""A KV cache: what was read once is not read again (chapter 13)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.attention import merge_heads, split_heads
from gpt2_tutorial.generate_input import check_cached
from gpt2_tutorial.gpt import GPT, GPTConfig


class KVCache:
    """The keys and values of all tokens so far, with room for those to come.

    >>> KVCache(GPTConfig(block_size=8, n_layer=2, n_embd=24), batch=3).keys.shape
    torch.Size([2, 3, 12, 8, 2])
    """

    def __init__(
        self,
        config: GPTConfig,
        batch: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        room: int | None = None,
    ):
        room, D = room or config.block_size, config.n_embd // config.n_head
        shape = config.n_layer, batch, config.n_head, room, D
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths = torch.zeros(batch, device=device, dtype=torch.long)


def cached_attention(
    attn: nn.Module,
    x: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    places: torch.Tensor,
    past: torch.Tensor | None,
) -> torch.Tensor:
    """Attend from the new tokens x (B, T, C); their keys and values join the old.

    >>> model = GPT(tiny := GPTConfig(8, 65, n_layer=1, n_embd=24))
    >>> attn, cache = model.transformer.h[0].attn, KVCache(tiny, batch=1)
    >>> x = torch.randn(1, 3, 24)
    >>> places, past = torch.arange(3)[None], torch.ones(3, 3).tril().bool()
    >>> store = cache.keys[0, :, :, :3], cache.values[0, :, :, :3]
    >>> y = cached_attention(attn, x, *store, places, past)
    >>> torch.allclose(y, attn(x), atol=1e-6)
    True
    """
    q, k, v = attn.c_attn(x).chunk(3, dim=-1)  # three times (B, T, C)
    q, k, v = (split_heads(part, attn.n_head) for part in (q, k, v))
    where = places[:, None, :, None].expand_as(k)  # (B, H, T, D)
    keys.scatter_(2, where, k)  # (B, H, S, D)
    values.scatter_(2, where, v)
    y = F.scaled_dot_product_attention(q, keys, values, attn_mask=past)
    return attn.c_proj(merge_heads(y))  # (B, T, C)


@torch.inference_mode()
def forward_cached(
    model: GPT,
    idx: torch.Tensor,
    cache: KVCache,
    counts: torch.Tensor | None = None,
) -> torch.Tensor:
    """Read the new tokens idx (B, T) alone; return the last logits (B, V).

    >>> model = GPT(tiny := GPTConfig(8, 65, n_layer=2, n_embd=24)).eval()
    >>> cache, idx = KVCache(tiny, batch=1), torch.tensor([[5, 6, 7]])
    >>> _ = forward_cached(model, idx[:, :2], cache)
    >>> logits = forward_cached(model, idx[:, 2:], cache)  # one token, at place 2
    >>> torch.allclose(logits, model(idx)[0][:, -1], atol=1e-5)
    True
    """
    check_cached(model, idx, cache)
    if counts is None:  # all T tokens of every row are true, none is padding
        counts = torch.full_like(cache.lengths, idx.size(1))
    gpt, steps = model.transformer, torch.arange(idx.size(1), device=idx.device)
    places = cache.lengths[:, None] + steps  # (B, T)
    S = int(places.max()) + 1
    past = torch.arange(S, device=idx.device) <= places[:, None, :, None]
    past = None if past.all() else past  # (B, 1, T, S), where something is hidden
    x = gpt.wte(idx) + gpt.wpe(places)  # (B, T, C)
    for block, k, v in zip(gpt.h, cache.keys, cache.values, strict=True):
        x = x + cached_attention(
            block.attn, block.ln_1(x), k[:, :, :S], v[:, :, :S], places, past
        )
        x = x + block.mlp(block.ln_2(x))  # (B, T, C)
    cache.lengths += counts
    last = x[torch.arange(len(x), device=x.device), counts - 1]  # (B, C)
    return model.lm_head(gpt.ln_f(last))  # (B, V)
