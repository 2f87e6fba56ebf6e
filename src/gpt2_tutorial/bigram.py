"""The bigram table again, this time as something that can learn (chapter 02)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class BigramLM(nn.Module):
    """A table of logits, one row for each token: what to bet on next.

    >>> x, y = torch.tensor([[0, 1]]), torch.tensor([[1, 2]])
    >>> logits, loss = BigramLM(65)(x, y)
    >>> tuple(logits.shape), round(loss.item(), 3)
    ((1, 2, 65), 4.174)
    """

    def __init__(self, vocab_size: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(vocab_size, vocab_size))  # (V, V)

    def forward(
        self, idx: torch.Tensor, targets: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        logits = self.table[idx]  # (B, T, V)
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits, loss
