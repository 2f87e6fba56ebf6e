"""Attention: every token looks back and takes what it needs (chapters 07 to 09)."""

import math
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F


def check_shapes(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
    """Refuse queries, keys and values that do not come from the same tokens.

    >>> check_shapes(*torch.zeros(3, 2, 4, 8, 16))  # three times (B, H, T, D)
    """
    same = q.shape == k.shape and q.shape[:-1] == v.shape[:-1]
    if not same or q.dim() < 2 or 0 in q.shape[-2:]:
        shapes = ", ".join(str(tuple(part.shape)) for part in (q, k, v))
        raise ValueError(f"q, k and v must all be (B, H, T, D), not {shapes}")


def causal_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Let every token mix its own value with those of the tokens before it.

    >>> q = k = torch.zeros(1, 1, 3, 2)  # all scores equal: a plain average
    >>> causal_attention(q, k, torch.tensor([[[[0.0], [2.0], [4.0]]]])).flatten()
    tensor([0., 1., 2.])
    """
    check_shapes(q, k, v)
    T, D = q.shape[-2:]
    scores = q @ k.transpose(-2, -1)  # 2 score: (B, H, T, T)
    scores = scores / math.sqrt(D)  # 3 scale
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)
    scores = scores.masked_fill(future, -math.inf)  # 4 mask
    weights = scores.softmax(-1)  # 5 weigh: each row sums to 1
    return weights @ v  # 6 mix: (B, H, T, D)


class Head(nn.Module):
    """One head: a token asks (query), is found (key) and hands over (value).

    >>> Head(n_embd=32, head_size=16)(torch.zeros(4, 8, 32)).shape
    torch.Size([4, 8, 16])
    """

    def __init__(self, n_embd: int, head_size: int):
        super().__init__()
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.query(x), self.key(x), self.value(x)  # 1 project: (B, T, D)
        return causal_attention(q, k, v)  # (B, T, D)


def check_heads(n_embd: int, n_head: int) -> None:
    """Refuse a width that cannot be shared out equally among the heads.

    >>> check_heads(n_embd=768, n_head=12)
    """
    if n_head < 1 or n_embd < 1 or n_embd % n_head:
        raise ValueError(f"{n_head} heads cannot share n_embd={n_embd} equally")


def split_heads(x: torch.Tensor, n_head: int) -> torch.Tensor:
    """Cut every token's numbers into `n_head` pieces: (B, T, C) → (B, H, T, D).

    >>> split_heads(torch.arange(8).view(1, 2, 4), n_head=2)[0, 0].tolist()
    [[0, 1], [4, 5]]
    """
    if x.dim() != 3:
        raise ValueError(f"x must be (B, T, C), not {tuple(x.shape)}")
    B, T, C = x.shape
    check_heads(C, n_head)
    x = x.view(B, T, n_head, C // n_head)  # (B, T, H, D)
    return x.transpose(1, 2)  # (B, H, T, D)


def merge_heads(x: torch.Tensor) -> torch.Tensor:
    """Put the pieces of every token side by side again: (B, H, T, D) → (B, T, C).

    >>> merge_heads(split_heads(torch.arange(8).view(1, 2, 4), n_head=2)).tolist()
    [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    """
    if x.dim() != 4:
        raise ValueError(f"x must be (B, H, T, D), not {tuple(x.shape)}")
    B, H, T, D = x.shape
    return x.transpose(1, 2).contiguous().view(B, T, H * D)  # (B, T, C)


class MultiHeadAttention(nn.Module):
    """`n_head` heads beside each other, and a map that mixes what they found.

    >>> MultiHeadAttention(n_embd=32, n_head=4)(torch.zeros(2, 8, 32)).shape
    torch.Size([2, 8, 32])
    """

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        check_heads(n_embd, n_head)
        self.n_head = n_head
        self.query = nn.Linear(n_embd, n_embd)  # the maps of all heads, stacked
        self.key = nn.Linear(n_embd, n_embd)
        self.value = nn.Linear(n_embd, n_embd)
        self.proj = nn.Linear(n_embd, n_embd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = split_heads(self.query(x), self.n_head)  # (B, H, T, D)
        k = split_heads(self.key(x), self.n_head)
        v = split_heads(self.value(x), self.n_head)
        return self.proj(merge_heads(causal_attention(q, k, v)))  # (B, T, C)


def full_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Let every query look at all S keys, with no mask: (B, H, T, D) again.

    >>> q, k = torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 2, 2)  # T = 3, S = 2
    >>> full_attention(q, k, torch.tensor([[[[0.0], [2.0]]]])).flatten()
    tensor([1., 1., 1.])
    """
    fits = q.shape[:-2] == k.shape[:-2] and q.size(-1) == k.size(-1)
    if not fits or k.shape[:-1] != v.shape[:-1] or 0 in k.shape[-2:]:
        shapes = ", ".join(str(tuple(part.shape)) for part in (q, k, v))
        raise ValueError(f"need q (B, H, T, D), k and v (B, H, S, D), not {shapes}")
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))  # (B, H, T, S)
    return scores.softmax(-1) @ v  # (B, H, T, D)


class CrossAttention(nn.Module):
    """Attention to another text: x asks, `context` answers, and nothing is hidden.

    >>> x, context = torch.zeros(2, 3, 32), torch.zeros(2, 9, 32)
    >>> CrossAttention(n_embd=32, n_head=4)(x, context).shape
    torch.Size([2, 3, 32])
    """

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        check_heads(n_embd, n_head)
        self.n_head = n_head
        self.query = nn.Linear(n_embd, n_embd)
        self.key = nn.Linear(n_embd, n_embd)
        self.value = nn.Linear(n_embd, n_embd)
        self.proj = nn.Linear(n_embd, n_embd)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        q = split_heads(self.query(x), self.n_head)  # (B, H, T, D)
        k = split_heads(self.key(context), self.n_head)  # (B, H, S, D)
        v = split_heads(self.value(context), self.n_head)
        return self.proj(merge_heads(full_attention(q, k, v)))  # (B, T, C)


def take_block(
    state: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    scores: torch.Tensor,
    v: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Let one more block of keys into a softmax that is under way.

    >>> start = torch.tensor([-math.inf]), torch.zeros(1), torch.zeros(1)
    >>> scores, v = torch.tensor([1.0, 3.0]), torch.tensor([[10.0], [20.0]])
    >>> m, s, mixed = take_block(start, scores, v)
    >>> [round(part.item(), 3) for part in (m, s, mixed / s)]
    [3.0, 1.135, 18.808]
    """
    largest, total, mixed = state
    # The maximum cancels out of the result, so no gradient has to pass through it.
    higher = torch.maximum(largest, scores.detach().amax(-1, keepdim=True))
    shrink = (largest - higher).exp()  # what came before stood on a lower maximum
    weights = (scores - higher).exp()  # none above 1, so nothing overflows
    total = shrink * total + weights.sum(-1, keepdim=True)  # (B, H, R, 1)
    mixed = shrink * mixed + weights @ v  # (B, H, R, D)
    return higher, total, mixed


def flash_reference(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, block_size: int
) -> torch.Tensor:
    """Compute `causal_attention` in blocks: never more than one block of scores.

    >>> q, k, v = torch.randn(3, 1, 2, 7, 4, dtype=torch.float64)
    >>> torch.allclose(flash_reference(q, k, v, 3), causal_attention(q, k, v))
    True
    """
    check_shapes(q, k, v)
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, not {block_size}")
    k_blocks, v_blocks = k.split(block_size, -2), v.split(block_size, -2)
    done = []
    for i, rows in enumerate(q.split(block_size, -2)):  # (B, H, R, D)
        empty = torch.zeros_like(rows[..., :1])  # (B, H, R, 1)
        state = empty - math.inf, empty, torch.zeros_like(v_blocks[i])
        for j in range(i + 1):  # blocks after the i-th lie in the future: skipped
            scores = rows @ k_blocks[j].transpose(-2, -1) / math.sqrt(q.size(-1))
            if j == i:  # only here do past and future meet
                future = torch.ones_like(scores, dtype=torch.bool).triu(1)
                scores = scores.masked_fill(future, -math.inf)
            state = take_block(state, scores, v_blocks[j])
        _, total, mixed = state
        done.append(mixed / total)
    return torch.cat(done, dim=-2)  # (B, H, T, D)


class CausalSelfAttention(nn.Module):
    """GPT-2's attention: all heads in one map, computed by PyTorch's fused kernel.

    >>> from types import SimpleNamespace as Config
    >>> config = Config(n_embd=32, n_head=4, block_size=8, dropout=0.1, bias=True)
    >>> CausalSelfAttention(config)(torch.zeros(2, 8, 32)).shape
    torch.Size([2, 8, 32])
    """

    def __init__(self, config: Any):
        super().__init__()
        check_heads(config.n_embd, config.n_head)
        self.n_head, self.block_size = config.n_head, config.block_size
        self.dropout = config.dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(-2) > self.block_size:
            raise ValueError(
                f"{x.size(-2)} tokens are more than block_size={self.block_size}"
            )
        q, k, v = self.c_attn(x).chunk(3, dim=-1)  # three times (B, T, C)
        q, k, v = (split_heads(part, self.n_head) for part in (q, k, v))
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        return self.resid_dropout(self.c_proj(merge_heads(y)))  # (B, T, C)
