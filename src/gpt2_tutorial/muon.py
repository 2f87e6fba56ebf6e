"""Muon: a step that turns every direction of a matrix equally far (chapter 18)."""

import math
from collections.abc import Iterable

import torch
import torch.nn as nn

from gpt2_tutorial.optim import AdamW, Stepper  # noqa: F401 (in an example)

# p(s) = as + bs³ + cs⁵, as steep at 0 as it can be while all s stay near 1.
QUINTIC = (3.4445, -4.7750, 2.0315)


def newton_schulz(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Bring all singular values of g (…, R, C) near 1 and keep its directions.

    >>> g = torch.diag(torch.tensor([3.0, 1.0]))
    >>> newton_schulz(g).round(decimals=3)
    tensor([[0.7530, 0.0000],
            [0.0000, 1.1340]])
    """
    if g.dim() < 2:
        raise ValueError(f"g must be a matrix (…, R, C), not {tuple(g.shape)}")
    a, b, c = QUINTIC
    # A GPU multiplies fastest in bfloat16, and the band is wide enough for it.
    wide = torch.promote_types(g.dtype, torch.float32)
    x = g.to(torch.bfloat16 if g.is_cuda else wide)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x  # so that x @ x.mT is the smaller of the two products
    # No singular value is larger than the norm: now all are at most 1.
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(g.dtype)


class Muon(Stepper):
    """Step along the velocity with all its singular values brought near 1.

    >>> w = nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    >>> (w * torch.tensor([[3.0, 0.0], [0.0, 1.0]])).sum().backward()
    >>> Muon([w], lr=0.1).step()
    >>> w.data.round(decimals=3)
    tensor([[0.9250, 0.0000],
            [0.0000, 0.8870]])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
    ):
        settings = dict(lr=lr, momentum=momentum, nesterov=nesterov)
        super().__init__(params, settings | {"weight_decay": weight_decay})

    def add_param_group(self, param_group: dict) -> None:
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.dim() != 2:
                self.param_groups.pop()
                raise ValueError(
                    f"Muon steps matrices alone, not {tuple(p.shape)}: "
                    "leave such a parameter to AdamW"
                )

    def update(self, p: torch.Tensor, g: torch.Tensor, state: dict, group: dict):
        lr, beta = group["lr"], group["momentum"]
        if not state:
            state["velocity"] = torch.zeros_like(p)
        velocity = state["velocity"]
        velocity.mul_(beta).add_(g)  # in place: the state keeps it
        g = g + beta * velocity if group["nesterov"] else velocity
        rows, cols = p.shape
        lengthen = math.sqrt(max(1, rows / cols))  # more outputs than inputs
        p -= lr * group["weight_decay"] * p  # the decay, apart from the gradient
        p -= lr * lengthen * newton_schulz(g)


def split_params(
    model: nn.Module,
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Share a GPT out: the matrices of its blocks for Muon, the rest for AdamW.

    >>> from gpt2_tutorial.gpt import GPT, GPTConfig
    >>> model = GPT(GPTConfig(8, 65, n_layer=2, n_head=2, n_embd=24))
    >>> matrices, rest = split_params(model)
    >>> len(matrices), [tuple(p.shape) for p in rest[:3]]
    (8, [(65, 24), (8, 24), (24,)])
    """
    matrices, rest = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            in_block = "transformer.h." in name  # DDP puts a word before it
            (matrices if in_block and p.dim() == 2 else rest).append(p)
    if not matrices:
        raise ValueError("the model has no matrix in a block, transformer.h.…")
    return matrices, rest


class Together:
    """Optimizers that step as one: what `fit`, a schedule or a checkpoint takes.

    >>> w, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    >>> both = Together(Muon([w], lr=0.02), AdamW([b], lr=1e-3))
    >>> [group["lr"] for group in both.param_groups]
    [0.02, 0.001]
    """

    def __init__(self, *optimizers: torch.optim.Optimizer):
        if not optimizers:
            raise ValueError("no optimizer was given: hand in at least one")
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict]:
        return [group for one in self.optimizers for group in one.param_groups]

    def zero_grad(self) -> None:
        for one in self.optimizers:
            one.zero_grad()

    def step(self) -> None:
        for one in self.optimizers:
            one.step()

    def state_dict(self) -> dict:
        return {str(i): one.state_dict() for i, one in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict) -> None:
        if len(state) != len(self.optimizers):
            raise ValueError(
                f"the state is of {len(state)} optimizers, and "
                f"these are {len(self.optimizers)}"
            )
        for i, one in enumerate(self.optimizers):
            one.load_state_dict(state[str(i)])
