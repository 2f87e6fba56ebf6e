"""The toys of chapter 14 against PyTorch's rounding and the package's plan."""

from __future__ import annotations

import math

import pytest
import torch

from gpt2_tutorial.commands.plan import plan
from gpt2_tutorial.config import PRESETS
from gpt2_tutorial.gpt import GPTConfig
from gpt2_tutorial.runs.hardware import MACHINES
from gpt2_tutorial.step import flops_per_token

pytestmark = pytest.mark.browser
FORMATS = [
    (torch.float32, torch.int32, 8, 23),
    (torch.float16, torch.int16, 5, 10),
    (torch.bfloat16, torch.int16, 8, 7),
]
# Both functions for many numbers in one call: the browser is asked once.
MANY = """async ([numbers, e, m]) => {
  const { rounded, bitsOf } = await import("./_static/play/toys/bits.js");
  return numbers.map((number) => bitsOf(rounded(number, e, m), e, m).join("")); }"""


@pytest.mark.parametrize(("dtype", "whole", "exponent", "mantissa"), FORMATS)
def test_every_bit_is_torchs(ask, bare_page, dtype, whole, exponent, mantissa):
    dice = torch.Generator().manual_seed(0)
    wild = torch.randint(-(2**31), 2**31, (4000,), generator=dice).to(torch.int32)
    numbers = wild.view(torch.float32)  # all sizes, subnormal ones too
    middle = torch.randn(4000, generator=dice) * 2.0 ** torch.randint(
        -30, 20, (4000,), generator=dice
    )
    # Every eighth bit pattern of 16 bits, and the tie above it: half a step, to the even one.
    halves = torch.arange(0, 2**15, 8).to(torch.int16).view(torch.float16).float()
    ties = (halves + halves.view(torch.int32).add(2**13).view(torch.float32)) / 2
    brains = (torch.arange(0, 2**15, 8) * 65_536 + 32_768).to(torch.int32).view(torch.float32)
    edges = [0.0, -0.0, 0.1, 1e-8, 65_504, 65_519, 65_520, 70_000, 257, 259, 2.0**-24, 2.0**-25]
    edges += [2.0**-149, 3.4028234663852886e38, 3.39e38, math.inf, -math.inf]
    numbers = torch.cat([numbers, middle, ties, brains, torch.tensor(edges)])
    numbers = numbers[~numbers.isnan()]  # a nan has many bit patterns, see below
    theirs = numbers.to(dtype).view(whole).long() & (2 ** (1 + exponent + mantissa) - 1)
    words = [f"{bits:0{1 + exponent + mantissa}b}" for bits in theirs.tolist()]
    assert bare_page.evaluate(MANY, [numbers.tolist(), exponent, mantissa]) == words
    nan = ask("bits", "bitsOf", math.nan, exponent, mantissa)
    assert set(nan[1]) == {"1"} and "1" in nan[2]


def test_typed_text_is_read_as_the_book_writes_it(ask):
    for text, value in {
        "0.1": 0.1,
        " 70,000 ": 70_000,
        "−1e−8": -1e-8,
        "+.5": 0.5,
        "INF": math.inf,
    }.items():
        assert ask("bits", "read", text) == value
    for text in ("", " ", "0x10", "1e", "one", "1 2", "nan", "--1", "1e5e5"):
        assert ask("bits", "read", text) is None


def test_a_double_is_first_a_float32(ask):
    """torch.tensor(x) is float32; 1 + 2⁻¹¹ + 2⁻⁴⁰ is a tie there, and above the tie in doubles."""
    tricky = 1 + 2**-11 + 2**-40
    assert ask("bits", "rounded", tricky, 5, 10) == torch.tensor(tricky).half().item() == 1


@pytest.mark.parametrize("preset", MACHINES)
def test_the_bill_is_the_plans(ask, preset):
    sheet, gpus = plan(preset, PRESETS[preset]), MACHINES[preset].processes
    run = {
        "gpus": gpus,
        "tokens": sheet["tokens"],
        "speed": sheet["tokens_per_s"] / gpus,
        "price": sheet["dollars_per_hour"] / gpus,
    }
    got = ask("bill", "billed", run)
    assert got["hours"] == pytest.approx(sheet["hours"], rel=1e-12)
    assert got["dollars"] == pytest.approx(sheet["dollars"], rel=1e-12)


def test_a_gpus_speed_comes_from_its_share_of_the_peak(ask):
    per_token = flops_per_token(GPTConfig(vocab_size=50304))
    for peak, share in ((65e12, 0.25), (989e12, 0.4), (0, 1)):
        assert ask("bill", "speedOf", peak, share) == pytest.approx(peak * share / per_token)
