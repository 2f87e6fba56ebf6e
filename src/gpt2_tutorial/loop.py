"""The small loop that trains every model up to chapter 11 (chapter 02)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn as nn


def fit(
    model: nn.Module,
    get_batch: Callable,
    optimizer: torch.optim.Optimizer,
    steps: int,
) -> list[float]:
    """Take `steps` steps downhill, each on a fresh batch, and return the losses.

    >>> from gpt2_tutorial.bigram import BigramLM
    >>> model, x = BigramLM(2), torch.tensor([[0, 1, 0]])
    >>> downhill = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> losses = fit(model, lambda: (x[:, :-1], x[:, 1:]), downhill, steps=3)
    >>> losses[0] > losses[1] > losses[2]
    True
    """
    model.train()
    losses = []
    for _ in range(steps):
        x, y = get_batch()
        _, loss = model(x, y)  # 1 forward
        optimizer.zero_grad()  # 2 zero
        loss.backward()  # 3 backward
        optimizer.step()  # 4 step
        losses.append(loss.item())
    return losses


@torch.no_grad()
def sample(
    model: nn.Module,
    start: Sequence[int],
    length: int,
    context: int,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Write on from `start`, one id at a time, looking back at most `context` ids.

    >>> from gpt2_tutorial.bigram import BigramLM
    >>> len(sample(BigramLM(65), start=[0], length=5, context=1))
    6
    """
    if len(start) == 0 or context < 1:
        raise ValueError(
            f"need a start and context ≥ 1, not {list(start)} and {context}"
        )
    was_training = model.training
    model.eval()
    ids = list(start)
    for _ in range(length):
        logits, _ = model(torch.tensor([ids[-context:]]))  # (1, T, V)
        bets = logits[0, -1].softmax(-1)  # (V,)
        ids.append(torch.multinomial(bets, 1, generator=generator).item())
    model.train(was_training)
    return ids
