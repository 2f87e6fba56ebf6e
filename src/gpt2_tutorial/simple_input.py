"""What `simple` refuses: texts that no model can be trained on, and a loss that is no number."""

import math

import torch


def check_texts(texts: dict[str, torch.Tensor], vocab_size: int, block_size: int) -> None:
    """Refuse texts that are no row of ids, have no window, or have ids without a row.

    >>> check_texts({"val": torch.arange(9)}, vocab_size=9, block_size=8)
    """
    for name, ids in texts.items():
        if ids.dim() != 1 or ids.dtype != torch.long:
            raise TypeError(
                f"the {name} text must be a row of int64 ids, not {tuple(ids.shape)} of {ids.dtype}"
            )
        if len(ids) <= block_size:
            raise ValueError(
                f"the {name} text has {len(ids)} tokens and one window takes {block_size + 1}: "
                "find more text, or lower block_size"
            )
        low, high = ids.min().item(), ids.max().item()
        if low < 0 or high >= vocab_size:
            raise ValueError(f"the {name} text has ids {low}…{high}, but vocab_size={vocab_size}")


def check_finite(loss: float, step: int, max_lr: float, warmup_steps: int) -> None:
    """Refuse to go on with a loss that is no number, and say which settings to change.

    >>> check_finite(3.0, step=10, max_lr=3e-3, warmup_steps=100)
    """
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {step}: lower max_lr={max_lr} or raise "
            f"warmup_steps={warmup_steps}"
        )
