"""The block of GPT-2: attention, then a small network, twice added (chapter 10)."""

import math
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.attention import CausalSelfAttention


class MLP(nn.Module):
    """Every token thinks for itself: four times wider, GELU, and back.

    >>> from types import SimpleNamespace as Config
    >>> MLP(Config(n_embd=32, dropout=0.0, bias=True))(torch.zeros(2, 8, 32)).shape
    torch.Size([2, 8, 32])
    """

    def __init__(self, config: Any):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.gelu(self.c_fc(x), approximate="tanh")  # (B, T, 4C)
        return self.dropout(self.c_proj(x))  # (B, T, C)


class Block(nn.Module):
    """Two steps of one stream: look at other tokens, then think; both are added.

    >>> from types import SimpleNamespace as Config
    >>> config = Config(n_embd=32, n_head=4, block_size=8, dropout=0.1, bias=True)
    >>> Block(config)(torch.zeros(2, 8, 32)).shape
    torch.Size([2, 8, 32])
    """

    def __init__(self, config: Any):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))  # (B, T, C)
        return x + self.mlp(self.ln_2(x))  # (B, T, C)


def init_weights(model: nn.Module, n_layer: int) -> None:
    """Draw GPT-2's first weights; maps that add to the stream begin smaller.

    >>> from types import SimpleNamespace as Config
    >>> mlp = MLP(Config(n_embd=32, dropout=0.0, bias=True))
    >>> init_weights(mlp, n_layer=8)
    >>> [round(part.weight.std().item(), 3) for part in (mlp.c_fc, mlp.c_proj)]
    [0.02, 0.005]
    """
    if n_layer < 1:
        raise ValueError(f"n_layer must be at least 1, not {n_layer}")
    for name, part in model.named_modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            # Every block adds twice, and the spread of a sum grows with the root.
            adds = name.endswith("c_proj")
            std = 0.02 / math.sqrt(2 * n_layer) if adds else 0.02
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
