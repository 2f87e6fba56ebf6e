"""How fast is this processor at what the notebooks do? Prints CPU-seconds of a fixed piece of work.

A limit in CPU-seconds means another thing on every processor. So this piece of work, small tensors
and plain Python like the chapters', is timed beside them, and the limits grow and shrink with it.
It uses PyTorch and nothing of ours: if our code becomes slower, this does not.
"""

import time

import torch
import torch.nn.functional as F
from torch import nn


def train_a_little() -> None:
    """Chapter 05's kind of network, and one head of attention, on random ids."""
    torch.manual_seed(0)
    table = nn.Embedding(65, 32)
    maps, head = nn.Linear(32, 96), nn.Linear(32, 65)
    parameters = [p for part in (table, maps, head) for p in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    hidden = torch.ones(32, 32, dtype=torch.bool).triu(1)
    for _ in range(400):
        ids = torch.randint(65, (32, 33))
        q, k, v = maps(table(ids[:, :-1])).chunk(3, dim=-1)  # (B, T, D) each
        scores = (q @ k.transpose(1, 2)).masked_fill(hidden, -torch.inf)  # (B, T, T)
        logits = head(torch.tanh(scores.softmax(-1) @ v))  # (B, T, V)
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def count_a_little() -> None:
    """Chapter 01's kind of loop."""
    pairs: dict[tuple[int, int], int] = {}
    for i in range(2_000_000):
        pair = (i * 7919 % 65, i * 104_729 % 65)
        pairs[pair] = pairs.get(pair, 0) + 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_a_little()  # once to warm up
    start = time.process_time()
    train_a_little()
    count_a_little()
    print(time.process_time() - start)
