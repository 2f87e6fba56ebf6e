"""One step on half a million tokens: in pieces, in bf16, clipped (chapter 14)."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.gpt import GPT, GPTConfig, check_ids
from gpt2_tutorial.optim import clip_grad_norm
from gpt2_tutorial.precision import Precision, autocast


def hidden_states(model: GPT, idx: torch.Tensor) -> torch.Tensor:
    """Return what the last LayerNorm hands to the head: (B, T, C), no logits yet.

    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> model = GPT(GPTConfig(block_size=8, vocab_size=65, n_layer=1, n_embd=24))
    >>> hidden_states(model, torch.zeros(2, 8, dtype=torch.long)).shape
    torch.Size([2, 8, 24])
    """
    if hasattr(model, "hidden_states"):  # chapter 18's knows its own
        return model.hidden_states(idx)
    check_ids(idx, None, model.config.block_size, last_only=False)
    parts = model.transformer
    x = parts.drop(parts.wte(idx) + parts.wpe.weight[: idx.size(1)])  # (B, T, C)
    for block in parts.h:
        x = block(x)
    return parts.ln_f(x)


def nats_and_slope(
    logits: torch.Tensor, targets: torch.Tensor, vocab_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed loss of (N, V) logits, and its slope: bets minus truth.

    >>> loss, slope = nats_and_slope(torch.zeros(1, 2), torch.tensor([0]), 2)
    >>> round(loss.item(), 4), slope
    (0.6931, tensor([[-0.5000,  0.5000]]))
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    logits[:, vocab_size:] = -torch.inf  # the padding of the vocabulary
    log_bets = logits.log_softmax(-1)
    truth = targets[:, None]  # (N, 1)
    loss = -log_bets.gather(1, truth).sum()
    slope = log_bets.exp_()  # the bets, in the same memory
    return loss, slope.scatter_add_(1, truth, -torch.ones_like(slope[:, :1]))


class ChunkedLoss(torch.autograd.Function):
    """Mean cross-entropy of x @ table.T, of which `chunk` rows exist at a time.

    >>> x, table = torch.tensor([[1.0], [2.0]]), nn.Parameter(torch.ones(2, 1))
    >>> ChunkedLoss.apply(x, table, torch.arange(2), 1, torch.float32, 2).backward()
    >>> table.grad
    tensor([[ 0.2500],
            [-0.2500]])
    """

    @staticmethod
    def forward(ctx, x, table, targets, chunk, dtype, padded):
        """Work out the loss, and its slopes while the logits are there."""
        low = F.pad(table.to(dtype), (0, 0, 0, padded - len(table)))  # (V', C)
        dx, dlow = torch.empty_like(x), torch.zeros_like(low, dtype=x.dtype)
        total = 0
        for start in range(0, len(x), chunk):
            here = slice(start, start + chunk)
            rows = x[here].to(dtype)  # (N, C)
            loss, slope = nats_and_slope(rows @ low.T, targets[here], len(table))
            total = total + loss
            if any(ctx.needs_input_grad):
                slope = slope.to(dtype)  # (N, V'), undivided: fp16 would lose it
                dx[here] = slope @ low
                dlow += slope.T @ rows
        ctx.save_for_backward(dx, dlow[: len(table)])
        return total / len(x)

    @staticmethod
    def backward(ctx, slope):
        dx, dtable = ctx.saved_tensors
        share = slope / len(dx)  # the loss is a mean
        return dx * share, dtable * share, None, None, None, None


def chunked_loss(
    model: GPT, idx: torch.Tensor, targets: torch.Tensor, chunk: int = 4096
) -> torch.Tensor:
    """Return the model's loss, with the logits of at most `chunk` tokens at a time.

    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> model = GPT(GPTConfig(block_size=8, vocab_size=65, n_layer=1, n_embd=24))
    >>> idx = torch.arange(16).view(2, 8)
    >>> gap = chunked_loss(model, idx, idx, chunk=3) - model(idx, idx)[1]
    >>> gap.abs().item() < 1e-5
    True
    """
    if chunk < 1 or targets.shape != idx.shape:
        raise ValueError(
            f"need chunk ≥ 1 and targets like idx, not {chunk}, "
            f"{tuple(targets.shape)} and {tuple(idx.shape)}"
        )
    if getattr(model.config, "soft_cap", None) is not None:
        raise ValueError("chunked_loss bends no logits: take a soft_cap of None")
    x, table = hidden_states(model, idx).flatten(0, 1), model.lm_head.weight
    if not torch.is_grad_enabled():
        table = table.detach()  # so that nobody asks for its slope
    kind, dtype = x.device.type, x.dtype
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
    # Tensor cores work in tiles: 50,257 rows take longer than 50,304.
    padded = -(-len(table) // 128) * 128 if kind == "cuda" else len(table)
    return ChunkedLoss.apply(x, table, targets.flatten(), chunk, dtype, padded)


class LossModel(nn.Module):
    """A model whose forward is its loss: compile, and later DDP, see one call.

    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> model = GPT(GPTConfig(block_size=8, vocab_size=65, n_layer=1, n_embd=24))
    >>> idx = torch.zeros(2, 8, dtype=torch.long)
    >>> LossModel(model)(idx, idx).shape
    torch.Size([])
    """

    def __init__(self, model: GPT):
        super().__init__()
        self.model = model

    def forward(self, idx: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return chunked_loss(self.model, idx, targets)


def flops_per_token(config: GPTConfig) -> int:
    """Count the multiplications and additions that training spends on one token.

    >>> flops_per_token(GPTConfig(vocab_size=50304))
    854654976
    """
    C, L, T = config.n_embd, config.n_layer, config.block_size
    weights = 12 * L * C * C + config.vocab_size * C  # those of all matrix products
    return 6 * weights + 12 * L * C * T  # and the scores and mixes of attention


class NonFiniteError(RuntimeError):
    """The gradient is no number any more; nothing was changed by this step.

    >>> NonFiniteError("inf")
    NonFiniteError('inf')
    """


class StepResult(NamedTuple):
    """What one step says: the mean loss, and the gradient's length before clipping.

    >>> StepResult(loss=torch.tensor(3.0), norm=torch.tensor(0.5)).norm
    tensor(0.5000)
    """

    loss: torch.Tensor
    norm: torch.Tensor


def train_step(
    model: nn.Module,
    pieces: Iterable[tuple[torch.Tensor, torch.Tensor]],
    count: int,
    optimizer: torch.optim.Optimizer,
    *,
    precision: Precision,
    max_norm: float = 1.0,
    scaler: torch.amp.GradScaler | None = None,
) -> StepResult:
    """Take one step on `count` pieces of equal size as if they were one batch.

    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> from gpt2_tutorial.precision import choose_precision
    >>> model = LossModel(GPT(GPTConfig(8, 65, n_layer=1, n_head=2, n_embd=24)))
    >>> downhill = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> pieces = torch.arange(48).view(3, 2, 1, 8)  # three times x and y
    >>> fp32 = choose_precision("cpu", "fp32")
    >>> train_step(model, pieces, 3, downhill, precision=fp32).norm > 0
    tensor(True)
    """
    optimizer.zero_grad()
    total, number = torch.zeros(()), 0
    for number, (x, y) in enumerate(pieces, start=1):
        # DDP looks at this when the forward begins: set it before, not in between.
        with nullcontext() if number == count else without_sync(model):
            with autocast(x.device, precision.dtype):
                loss = model(x, y) / count  # the mean of means
            (loss if scaler is None else scaler.scale(loss)).backward()
        total = total.to(loss.device) + loss.detach()
    if number != count:
        raise ValueError(f"{count} pieces were promised and {number} came: no step")
    if scaler is not None:
        scaler.unscale_(optimizer)  # clip the true gradient
    norm = clip_grad_norm(model.parameters(), max_norm)
    apply_gradient(optimizer, norm, scaler)
    return StepResult(total, norm)


def without_sync(model: nn.Module) -> AbstractContextManager:
    """Let a DDP model keep its gradients to itself; others have nothing to keep.

    >>> with without_sync(nn.Linear(1, 1)):
    ...     pass
    """
    return model.no_sync() if hasattr(model, "no_sync") else nullcontext()


def apply_gradient(
    optimizer: torch.optim.Optimizer,
    norm: torch.Tensor,
    scaler: torch.amp.GradScaler | None,
) -> None:
    """Step downhill, unless the gradient is no number.

    >>> w = nn.Parameter(torch.ones(1))
    >>> apply_gradient(torch.optim.SGD([w], lr=0.1), torch.tensor(0.0), None)
    """
    if scaler is not None:
        scaler.step(optimizer)  # leaves out a step that overflowed …
        scaler.update()  # … and scales less from now on
        if scaler.get_scale() < 1:
            raise NonFiniteError("fp16 overflows however little the loss is scaled")
    elif torch.isfinite(norm):
        optimizer.step()
    else:
        raise NonFiniteError(f"the gradient's length is {norm.item()}")
