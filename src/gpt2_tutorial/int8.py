"""Copies of a model that write faster: by columns, or in 8 bits (chapter 13)."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.gpt import GPT, GPTConfig  # noqa: F401 (in examples)


def by_columns(model: GPT) -> GPT:
    """A copy whose tall matrices lie in memory column by column: the same numbers.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> torch.equal(by_columns(model).lm_head.weight, model.lm_head.weight)
    True
    """
    model = copy.deepcopy(model)
    for part in model.modules():
        if isinstance(part, nn.Linear) and part.out_features > part.in_features:
            part.weight.data = part.weight.data.t().contiguous().t()  # (out, in)
    return model


def to_int8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round every row to whole numbers from −127 to 127 times a step of its own.

    >>> to_int8(torch.tensor([[0.5, -0.26], [0.0, 0.0]]))[0]
    tensor([[127, -66],
            [  0,   0]], dtype=torch.int8)
    """
    step = x.abs().amax(-1, keepdim=True).clamp_(min=1e-30).div_(127)  # (N, 1)
    return (x / step).round_().to(torch.int8), step


def int8_row(
    x: torch.Tensor, weight: torch.Tensor, step: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """One token x (in,) through 8-bit weights: only compiled is it fast.

    >>> one = torch.ones(2)
    >>> int8_row(one, torch.tensor([[3, 4], [5, 6]]).char(), step=one / 2, bias=one)
    tensor([4.5000, 6.5000])
    """
    return (weight.to(x.dtype) * x).sum(-1) * step + bias  # (out,)


class Int8Linear(nn.Module):
    """A linear map of 8-bit weights, by `torch._int_mm`; it rounds inputs as well.

    Anywhere but on a CPU the weights are multiplied out first: slow, but right.

    >>> layer, x = nn.Linear(64, 8), torch.ones(5, 64)
    >>> torch.allclose(Int8Linear(layer)(x), layer(x), atol=0.1)
    True
    """

    def __init__(self, layer: nn.Linear):
        super().__init__()
        weight, step = to_int8(layer.weight.detach())
        self.register_buffer("weight", weight)  # (out, in)
        self.register_buffer("step", step[:, 0])  # (out,)
        bias = torch.zeros_like(step[:, 0]) if layer.bias is None else layer.bias
        self.register_buffer("bias", bias.detach().clone())  # (out,)
        self.row = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.row is not None and x.numel() == x.size(-1):
            y = self.row(x.flatten(), self.weight, self.step, self.bias)
            return y.view(*x.shape[:-1], -1)
        if x.device.type != "cpu" or not hasattr(torch, "_int_mm"):
            weight = self.weight.to(x.dtype) * self.step[:, None]
            return F.linear(x, weight, self.bias)
        whole, step = to_int8(x.flatten(0, -2))  # (N, in), (N, 1)
        y = torch._int_mm(whole, self.weight.t()).to(
            x.dtype
        )  # (N, out), whole sums
        y = torch.addcmul(self.bias, y, step * self.step)
        return y.view(*x.shape[:-1], -1)


class Int8Embedding(nn.Module):
    """The table of an `Int8Linear`, read by token: a row times its step.

    >>> head = Int8Linear(nn.Linear(24, 65, bias=False))
    >>> Int8Embedding(head)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 24])
    """

    def __init__(self, head: Int8Linear):
        super().__init__()
        self.register_buffer("weight", head.weight)  # (V, C), the same memory
        self.register_buffer("step", head.step)  # (V,)

    def forward(self, idx: torch.Tensor) -> torch.Tensor:
        return self.weight[idx] * self.step[idx][..., None]


def quantize_int8(model: GPT, *, compiled: bool = False) -> GPT:
    """A copy, for writing only, whose large matrices hold one byte a number.

    `compiled` is faster for one token at a time, but needs a C++ compiler.

    >>> small = quantize_int8(GPT(GPTConfig(8, 65, n_layer=2, n_embd=24)))
    >>> small.lm_head.weight.dtype
    torch.int8
    """
    if not isinstance(model.lm_head, nn.Linear):
        raise ValueError("the model's weights are int8 already: use it as it is")
    if model.lm_head.weight is not model.transformer.wte.weight:
        raise ValueError(
            "quantize_int8 makes one table of wte and lm_head, and this model has "
            "two: use it as it is"
        )
    model = copy.deepcopy(model).eval()
    if model.lm_head.weight.dtype in (torch.float16, torch.bfloat16):
        model.float()  # sums of whole numbers are too large for half precision
    for part in list(model.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(part, name, Int8Linear(layer))
    model.transformer.wte = Int8Embedding(model.lm_head)  # still one table
    return _compile_rows(model) if compiled else model


def _compile_rows(model):
    row = torch.compile(int8_row, dynamic=False)
    for part in model.modules():
        if isinstance(part, Int8Linear):
            part.row = row
    try:
        with torch.inference_mode():
            model.lm_head(model.transformer.wpe.weight[:1])
    except Exception as error:  # torch has a class of its own for every way to fail
        raise RuntimeError(
            "torch.compile fails here: it needs a C++ compiler, and PyTorch "
            "in a folder whose path has no space; or leave compiled=False"
        ) from error
    return model
