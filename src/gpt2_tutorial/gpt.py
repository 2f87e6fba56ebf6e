"""GPT-2: two tables, a tower of blocks, and the first table again (chapter 11)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.attention import check_heads
from gpt2_tutorial.block import Block, init_weights


@dataclass(frozen=True)
class GPTConfig:
    """The seven numbers that tell one GPT-2 from another; as given, the small one.

    >>> GPTConfig(n_layer=2, n_embd=96).n_head
    12
    """

    block_size: int = 1024
    vocab_size: int = 50257
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True

    def __post_init__(self):
        for name in ("block_size", "vocab_size", "n_layer", "n_head", "n_embd"):
            size = getattr(self, name)
            if type(size) is not int or size < 1:
                raise ValueError(
                    f"{name} must be a whole number above 0, not {size!r}"
                )
        check_heads(self.n_embd, self.n_head)
        if isinstance(self.dropout, str) or not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout must be from 0 to below 1, not {self.dropout!r}"
            )


SIZES = {  # the four that OpenAI released in 2019
    "gpt2": GPTConfig(),
    "gpt2-medium": GPTConfig(n_layer=24, n_head=16, n_embd=1024),
    "gpt2-large": GPTConfig(n_layer=36, n_head=20, n_embd=1280),
    "gpt2-xl": GPTConfig(n_layer=48, n_head=25, n_embd=1600),
}


def check_ids(
    idx: torch.Tensor,
    targets: torch.Tensor | None,
    block_size: int,
    last_only: bool,
) -> None:
    """Refuse ids that are no (B, T), too long, or whose targets have no logits.

    >>> check_ids(torch.tensor([[1, 2]]), None, block_size=8, last_only=True)
    """
    are_ids = idx.dtype in (torch.int64, torch.int32)
    if idx.dim() != 2 or idx.numel() == 0 or not are_ids:
        raise ValueError(
            f"idx must be ids (B, T), not {tuple(idx.shape)} of {idx.dtype}"
        )
    if idx.size(1) > block_size:
        raise ValueError(
            f"{idx.size(1)} tokens are more than block_size={block_size}"
        )
    if targets is not None and (targets.shape != idx.shape or last_only):
        raise ValueError(
            f"targets need logits at every place: targets {tuple(targets.shape)}, "
            f"idx {tuple(idx.shape)}, last_only={last_only}"
        )


class GPT(nn.Module):
    """GPT-2, named as in OpenAI's checkpoint: from ids to bets on the next ones.

    >>> model = GPT(GPTConfig(block_size=8, vocab_size=65, n_layer=2, n_embd=24))
    >>> logits, loss = model(torch.zeros(4, 8, dtype=torch.long))
    >>> logits.shape, loss
    (torch.Size([4, 8, 65]), None)
    """

    SIZES: ClassVar = SIZES

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(config.vocab_size, config.n_embd),
                "wpe": nn.Embedding(config.block_size, config.n_embd),
                "drop": nn.Dropout(config.dropout),
                "h": nn.ModuleList(Block(config) for _ in range(config.n_layer)),
                "ln_f": nn.LayerNorm(config.n_embd, bias=config.bias),
            }
        )
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        init_weights(self, config.n_layer)
        self.lm_head.weight = self.transformer.wte.weight  # one table, used twice

    def forward(
        self,
        idx: torch.Tensor,
        targets: torch.Tensor | None = None,
        *,
        last_only: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        check_ids(idx, targets, self.config.block_size, last_only)
        x = self.transformer.wte(idx)  # (B, T, C)
        x = x + self.transformer.wpe.weight[: idx.size(1)]  # places 0, 1, 2, …
        x = self.transformer.drop(x)
        for block in self.transformer.h:
            x = block(x)  # (B, T, C)
        x = self.transformer.ln_f(x[:, -1:] if last_only else x)
        logits = self.lm_head(x)  # (B, T, V), or (B, 1, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
