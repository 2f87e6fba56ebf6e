"""Where to compute, and in which number format it goes fastest (chapter 12)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_tutorial.block import Block
from gpt2_tutorial.gpt import GPTConfig

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision(NamedTuple):
    """What the forward pass computes in, and why.

    >>> Precision("fp16", torch.float16, scaled=True, reason="asked for").name
    'fp16'
    """

    name: str  # one of FORMATS
    dtype: torch.dtype
    scaled: bool  # fp16's small gradients vanish unless the loss is scaled up
    reason: str


def default_device() -> torch.device:
    """The fastest kind of device that is there.

    >>> default_device().type in ("cuda", "mps", "cpu")
    True
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(
    device: str | torch.device, wish: str = "auto", config: GPTConfig | None = None
) -> Precision:
    """Take the format that was asked for, or the fastest for this model there.

    >>> choose_precision("cpu", "bf16").dtype
    torch.bfloat16
    """
    if wish not in ("auto", *FORMATS):
        raise ValueError(f"precision is auto, fp32, bf16 or fp16, not {wish!r}")
    name, reason = wish, "asked for"
    if wish == "auto":
        name, reason = fastest_format(torch.device(device), config or GPTConfig())
    return Precision(name, FORMATS[name], name == "fp16", reason)


def fastest_format(device: torch.device, config: GPTConfig) -> tuple[str, str]:
    """The format in which this device trains this model fastest, and why.

    >>> fastest_format(torch.device("mps"), GPTConfig())
    ('fp32', 'no bfloat16 instructions are known here')
    """
    if device.type == "cuda":  # by generation: a T4 says it has bfloat16
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return "bf16", "this GPU computes in it"
        return "fp16", "this GPU only imitates bfloat16"
    able = getattr(torch.cpu, "get_capabilities", dict)()  # not in older versions
    has_bf16 = any(able[name] for name in able if "bf16" in name)
    if device.type != "cpu" or not has_bf16:
        return "fp32", "no bfloat16 instructions are known here"
    seconds = race(config)
    gain = seconds[torch.float32] / seconds[torch.bfloat16]
    if gain > 1.02:  # a near tie goes to float32, which rounds less
        return "bf16", f"a block is {gain:.2f} times as fast in it"
    return "fp32", f"a block is {gain:.2f} times as fast in bfloat16"


@cache  # once a process: a run may ask again, and must hear the same
def race(config: GPTConfig) -> dict[torch.dtype, float]:
    """Seconds that the CPU takes for one block, there and back, in two formats.

    >>> len(race(GPTConfig(block_size=8, n_head=2, n_embd=16)))
    2
    """
    times = {torch.float32: [], torch.bfloat16: []}
    cpu = torch.device("cpu")
    # The dice lie afterwards as before: of the weights, and of dropout.
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        x = torch.ones(1, config.block_size, config.n_embd)  # (B, T, C)
        block = Block(config)
        for _ in range(4):  # in turn: the machine may be busy meanwhile
            for dtype, taken in times.items():
                start = time.perf_counter()
                with autocast(cpu, dtype):
                    y = block(x)
                y.sum().backward()
                taken.append(time.perf_counter() - start)
    # The first of each warms up. Noise only adds time: the least is the truest.
    return {dtype: min(taken[1:]) for dtype, taken in times.items()}


@contextmanager
def autocast(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Inside, matrix products are made in `dtype`; the weights stay float32.

    >>> with autocast(torch.device("cpu"), torch.bfloat16):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    if dtype == torch.float32:
        yield
        return
    flags = torch.backends.cuda  # their home; they hold for a CPU as well
    before = flags.fp16_bf16_reduction_math_sdp_allowed()
    on_cpu = device.type == "cpu"
    kernels = sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext()
    try:  # on a CPU, plain products in bfloat16 are faster than fused attention
        flags.allow_fp16_bf16_reduction_math_sdp(True)
        with torch.autocast(device.type, dtype), kernels:
            yield
    finally:
        flags.allow_fp16_bf16_reduction_math_sdp(before)
