"""How far to step: SGD, AdamW, a schedule for the learning rate (chapter 04)."""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn as nn


class Stepper(torch.optim.Optimizer):
    """What SGD and AdamW share: `step` calls `update` for each parameter.

    >>> SGD([torch.zeros(2)], lr=-1.0)
    Traceback (most recent call last):
    ValueError: lr must be at least 0 and below inf, not -1.0
    """

    def add_param_group(self, param_group: dict) -> None:
        own = {name: v for name, v in param_group.items() if name != "params"}
        for name, value in (self.defaults | own).items():
            if name not in self.defaults:
                raise ValueError(f"{type(self).__name__} has no setting {name!r}")
            top = 1 if name in ("momentum", "betas") else math.inf
            values = value if name == "betas" else [value]
            if not all(0 <= number < top for number in values):
                wanted = f"must be at least 0 and below {top}"
                raise ValueError(f"{name} {wanted}, not {value}")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> torch.Tensor | None:
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue  # it took no part in this loss
                if p.grad.layout != torch.strided or p.grad.is_complex():
                    raise TypeError(
                        f"cannot step along {p.grad.layout}, {p.grad.dtype}"
                    )
                self.update(p, p.grad, self.state[p], group)
        return loss


class SGD(Stepper):
    """Step along the gradient, or along a velocity that remembers earlier ones.

    >>> x = nn.Parameter(torch.tensor([10.0]))
    >>> (x**2).sum().backward()
    >>> SGD([x], lr=0.1).step()
    >>> x.data
    tensor([8.])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
    ):
        if nesterov and momentum == 0:
            raise ValueError("nesterov needs a momentum above 0, not 0")
        super().__init__(params, dict(lr=lr, momentum=momentum, nesterov=nesterov))

    def update(self, p: torch.Tensor, g: torch.Tensor, state: dict, group: dict):
        beta = group["momentum"]
        if beta > 0:
            if not state:
                state["velocity"] = torch.zeros_like(p)
            velocity = state["velocity"]
            velocity.mul_(beta).add_(g)  # in place: the state keeps it
            g = g + beta * velocity if group["nesterov"] else velocity
        p -= group["lr"] * g


class AdamW(Stepper):
    """Divide each parameter's mean gradient by that gradient's usual size.

    >>> x = nn.Parameter(torch.tensor([10.0, -0.001]))
    >>> (x**2).sum().backward()
    >>> AdamW([x], lr=0.1, weight_decay=0.0).step()
    >>> x.data
    tensor([9.9000, 0.0990])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        settings = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super().__init__(params, settings)

    def update(self, p: torch.Tensor, g: torch.Tensor, state: dict, group: dict):
        lr, (beta1, beta2) = group["lr"], group["betas"]
        if not state:  # the first step: |= adds three entries
            state |= {"t": 0, "m": torch.zeros_like(p), "v": torch.zeros_like(p)}
        state["t"] += 1  # so the first step is number 1
        t, m, v = state["t"], state["m"], state["v"]
        m.mul_(beta1).add_((1 - beta1) * g)  # in place: the state keeps it
        v.mul_(beta2).add_((1 - beta2) * g**2)
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        p -= lr * group["weight_decay"] * p  # the decay, apart from the gradient
        p -= lr * m_hat / (v_hat.sqrt() + group["eps"])


def cosine_with_warmup(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, max_steps: int
) -> float:
    """Learning rate of step 0, 1, …: up in a straight line, down in half a wave.

    >>> plan = dict(max_lr=1.0, min_lr=0.1, warmup_steps=2, max_steps=6)
    >>> [round(cosine_with_warmup(step, **plan), 2) for step in range(8)]
    [0.5, 1.0, 1.0, 0.87, 0.55, 0.23, 0.1, 0.1]
    """
    if step < 0 or not 0 <= warmup_steps <= max_steps:
        raise ValueError(
            "need step ≥ 0 and 0 ≤ warmup_steps ≤ max_steps, "
            f"not {step}, {warmup_steps}, {max_steps}"
        )
    if not 0 <= min_lr <= max_lr < math.inf:
        raise ValueError(f"need 0 ≤ min_lr ≤ max_lr, not {min_lr}, {max_lr}")
    if step < warmup_steps:
        return max_lr * ((step + 1) / warmup_steps)
    if step >= max_steps:
        return min_lr
    done = (step - warmup_steps) / (max_steps - warmup_steps)  # 0 … 1
    return max_lr - (max_lr - min_lr) * (1 - math.cos(math.pi * done)) / 2


def clip_grad_norm(
    params: torch.Tensor | Iterable[torch.Tensor], max_norm: float
) -> torch.Tensor:
    """Shorten all gradients by one factor, in place; return their length before.

    >>> x = nn.Parameter(torch.zeros(2))
    >>> x.grad = torch.tensor([3.0, 4.0])
    >>> clip_grad_norm([x], max_norm=1.0), x.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, not {max_norm}")
    params = [params] if isinstance(params, torch.Tensor) else params
    grads = [p.grad for p in params if p.grad is not None]
    if not grads:
        return torch.tensor(0.0)
    # The norm of all their norms is the norm of all their numbers.
    norm = torch.stack([grad.norm() for grad in grads]).norm()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # shorten, never lengthen
    for grad in grads:
        grad.mul_(factor)
    return norm


def param_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups for AdamW: what has two axes or more decays, the rest does not.

    >>> decay, rest = param_groups(nn.Linear(3, 2), weight_decay=0.1)
    >>> [tuple(p.shape) for p in decay["params"] + rest["params"]]
    [(2, 3), (2,)]
    """
    learned = [p for p in model.parameters() if p.requires_grad]
    if not learned:
        raise ValueError("the model has no parameter that requires a gradient")
    return [
        {
            "params": [p for p in learned if p.dim() >= 2],
            "weight_decay": weight_decay,
        },
        {"params": [p for p in learned if p.dim() < 2], "weight_decay": 0.0},
    ]
