"""A vector for every pair and triple of tokens, found by a hash (chapter 18)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class NGramEmbedding(nn.Module):
    """What the last two and the last three tokens say, from two tables of `rows`.

    Half of the C numbers come from the pair, half from the triple; both begin at 0.

    >>> table = NGramEmbedding(vocab_size=65, rows=4801, n_embd=32)
    >>> table(torch.zeros(2, 8, dtype=torch.long)).shape
    torch.Size([2, 8, 32])
    """

    def __init__(self, vocab_size: int, rows: int, n_embd: int):
        super().__init__()
        self.vocab_size, self.rows = vocab_size, rows
        self.pairs = nn.Embedding(rows, n_embd // 2)
        self.triples = nn.Embedding(rows, n_embd - n_embd // 2)
        nn.init.zeros_(self.pairs.weight)
        nn.init.zeros_(self.triples.weight)

    def forward(self, idx: torch.Tensor) -> torch.Tensor:
        idx = idx.long()  # a triple's number can be 50,257³, too large for 32 bits
        before = F.pad(idx, (1, 0))[:, :-1]  # (B, T): the token before; none is 0
        further = F.pad(idx, (2, 0))[:, :-2]  # (B, T): and the one before that
        pair = before * self.vocab_size + idx
        triple = further * self.vocab_size**2 + pair
        # More triples than rows: some share one, as the remainder decides.
        both = self.pairs(pair % self.rows), self.triples(triple % self.rows)
        return torch.cat(both, dim=-1)  # (B, T, C)
