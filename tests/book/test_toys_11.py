"""The toy of chapter 11 against our GPT, transformers' GPT-2, and the package's plan."""

from __future__ import annotations

import math

import pytest
import torch

from gpt2_tutorial.commands.plan import memory
from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.gpt import GPT, SIZES, GPTConfig
from gpt2_tutorial.runs.hardware import MACHINES

pytestmark = pytest.mark.browser
ODD = GPTConfig(block_size=8, vocab_size=65, n_layer=1, n_head=1, n_embd=32)


def letters(config):
    return {
        "L": config.n_layer,
        "C": config.n_embd,
        "H": config.n_head,
        "V": config.vocab_size,
        "T": config.block_size,
    }


def of(*parts):
    return sum(p.numel() for part in parts for p in part.parameters())


@pytest.mark.parametrize("config", [*SIZES.values(), ODD], ids=[*SIZES, "odd"])
def test_each_part_is_as_large_as_in_our_gpt(ask, config):
    with torch.device("meta"):
        model = GPT(config)
    inside = model.transformer
    got = ask("size", "counted", letters(config))
    assert got["all"] == of(model)
    assert got["parts"] == {
        "wte": of(inside.wte),
        "wpe": of(inside.wpe),
        "attention": sum(of(block.ln_1, block.attn) for block in inside.h),
        "mlp": sum(of(block.ln_2, block.mlp) for block in inside.h),
        "ln_f": of(inside.ln_f),
        "lm_head": 0,
    }


@pytest.mark.parametrize("config", [SIZES["gpt2"], ODD], ids=["gpt2", "odd"])
def test_transformers_counts_as_many(ask, config):
    from transformers import GPT2Config, GPT2LMHeadModel  # seconds, and nobody else here asks

    theirs = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.block_size,
        n_embd=config.n_embd,
        n_layer=config.n_layer,
        n_head=config.n_head,
    )
    with torch.device("meta"):
        model = GPT2LMHeadModel(theirs)
    assert ask("size", "counted", letters(config))["all"] == of(model)


def test_the_first_loss_is_what_fresh_logits_pay(ask):
    config = GPTConfig(block_size=64, vocab_size=1000, n_layer=2, n_head=4, n_embd=256)
    torch.manual_seed(0)
    with torch.no_grad():
        logits = GPT(config)(torch.randint(1000, (8, 64)))[0]
    got = ask("size", "firstLoss", letters(config))
    assert got["uniform"] == pytest.approx(math.log(1000))
    # The mean over 512 places of a sum over 1,000 tokens: by chance a hundredth at most.
    assert got["loss"] == pytest.approx(logits.logsumexp(-1).mean().item(), abs=0.01)


def test_the_memory_is_the_plans(ask):
    plan = memory(TrainConfig(), MACHINES["1xh100"])
    got = list(ask("size", "held", 124_439_808).values())
    assert got == [plan["weights"], plan["gradients"], plan["AdamW's two averages"]]
