"""A network with memory: eight characters as points, side by side (chapter 05)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def check_ids(idx: torch.Tensor, vocab_size: int) -> None:
    """Refuse what is no batch of ids, with a sentence that says why.

    >>> check_ids(torch.tensor([[0, 64]]), vocab_size=65)
    """
    if idx.dtype != torch.long:
        raise TypeError(f"ids must be of dtype torch.int64, not {idx.dtype}")
    if idx.dim() != 2 or idx.numel() == 0:
        raise ValueError(
            f"need ids of shape (B, T), both at least 1, not {tuple(idx.shape)}"
        )
    low, high = idx.min().item(), idx.max().item()
    if low < 0 or high >= vocab_size:
        raise ValueError(f"ids must lie in 0…{vocab_size - 1}, not {low}…{high}")


def past_windows(idx: torch.Tensor, context: int, padding: int) -> torch.Tensor:
    """Each id and those before it, `context` in all; `padding` where none is.

    >>> past_windows(torch.tensor([[5, 6, 7]]), context=2, padding=9)
    tensor([[[9, 5],
             [5, 6],
             [6, 7]]])
    """
    if context < 1:
        raise ValueError(f"context must be at least 1, not {context}")
    padded = F.pad(idx, (context - 1, 0), value=padding)  # (B, context − 1 + T)
    where = torch.arange(idx.size(1))[:, None] + torch.arange(context)
    return padded[:, where]  # (B, T, context)


class MLPLM(nn.Module):
    """Bet on the next id from the last `context` ids: look up, side by side, mix.

    >>> x, y = torch.tensor([[0, 1]]), torch.tensor([[1, 2]])
    >>> logits, loss = MLPLM(65)(x, y)
    >>> tuple(logits.shape), 3 < loss.item() < 6
    ((1, 2, 65), True)
    """

    def __init__(
        self, vocab_size: int, context: int = 8, n_embd: int = 16, hidden: int = 128
    ):
        super().__init__()
        sizes = (vocab_size, context, n_embd, hidden)
        if min(sizes) < 1:
            raise ValueError(f"all sizes must be at least 1, not {sizes}")
        self.vocab_size, self.context = vocab_size, context
        self.embed = nn.Embedding(vocab_size + 1, n_embd)  # the last row is padding
        self.hidden = nn.Linear(context * n_embd, hidden)
        self.out = nn.Linear(hidden, vocab_size)

    def forward(
        self, idx: torch.Tensor, targets: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        check_ids(idx, self.vocab_size)
        windows = past_windows(idx, self.context, padding=self.vocab_size)
        x = self.embed(windows)  # (B, T, context, C)
        x = x.flatten(2)  # (B, T, context · C)
        x = torch.tanh(self.hidden(x))  # (B, T, hidden)
        logits = self.out(x)  # (B, T, V)
        if targets is None:
            return logits, None
        check_ids(targets, self.vocab_size)
        if targets.shape != idx.shape:
            raise ValueError(
                f"targets must have the shape of the ids, {tuple(idx.shape)}, "
                f"not {tuple(targets.shape)}"
            )
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
