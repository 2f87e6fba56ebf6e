"""Judge a whole piece of a model as the chapters do: by plain loops, the ladder and the probe."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gpt2_tutorial.ladder import gaps
from gpt2_tutorial.probes import first_leak


def attention_by_loops(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Mix the values of (B, T, D) token by token: each looks at itself and those before it.

    >>> attention_by_loops(*torch.eye(2).expand(3, 1, 2, 2))[0, 0]
    tensor([1., 0.])
    """
    rows = []
    for b in range(len(q)):
        for i in range(q.size(1)):
            scores = k[b, : i + 1] @ q[b, i]  # those of the past: there is no mask
            weights = (scores / q.size(2) ** 0.5).softmax(0)
            rows.append(weights @ v[b, : i + 1])
    return torch.stack(rows).view(v.shape)


def judged(loops: Callable, answer: Callable, *given: object, probed: tuple = ()) -> dict:
    """Say what an answer gives, what a later token moves, and how far off its gradients are.

    What is `probed` is the answer as a function of tokens (B, T, C) alone, and some tokens; they
    are the first of what is `given` where nothing else is said. Gradients are compared where the
    outputs agree, those of all tensors that are `given`.

    >>> found = judged(lambda x: x**2, lambda x: x * x, torch.ones(1, 2, 1))
    >>> found["probe"], found["gradients off by"]
    ('no leak', 0.0)
    """
    out = answer(*given)
    if answer is loops:  # which others are compared with, and half the time of a check
        return {"probe": "no leak", "output": out, "gradients off by": 0.0}
    wanted = loops(*given)
    found = {"probe": "no leak", "output": out, "gradients off by": None}
    if not isinstance(out, torch.Tensor) or out.shape != wanted.shape or out.isnan().any():
        return found  # the output is what there is to talk about
    if leak := first_leak(*(probed or (lambda x: answer(x, *given[1:]), given[0]))):
        found["probe"] = f"token {leak.changed} moves the output at {leak.moved}"
    if torch.allclose(out, wanted, atol=1e-5):
        places = [i for i, one in enumerate(given) if isinstance(one, torch.Tensor)]

        def of_tensors(function: Callable) -> Callable:
            """The function of the tensors alone; all else stays as it was given."""
            all_of = dict(enumerate(given))
            return lambda *new: function(*(all_of | dict(zip(places, new, strict=True))).values())

        tensors = [given[i] for i in places]
        _, found["gradients off by"], _ = gaps(of_tensors(answer), of_tensors(loops), tensors)
    return found
