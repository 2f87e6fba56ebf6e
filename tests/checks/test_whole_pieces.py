"""The three pieces that readers write whole: attention, many heads, the block."""

from types import SimpleNamespace as Config

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.block import Block
from gpt2_tutorial.checks import EXERCISES, load, run
from gpt2_tutorial.checks.chapter07 import attention_by_loops
from gpt2_tutorial.checks.chapter08 import multi_head_by_loops
from gpt2_tutorial.checks.chapter10 import block_by_loops
from gpt2_tutorial.ladder import TOLERANCES, gaps


def solution(id):
    load(id[:2])
    return EXERCISES[id].solution


def climbs(one, other, inputs):
    values, gradients, dtype = gaps(one, other, inputs)
    return max(values, gradients) <= TOLERANCES[dtype]


@pytest.mark.parametrize("piece", [solution("07.2"), attention_by_loops], ids=["one", "loops"])
def test_attention_is_pytorchs_own(piece):
    q, k, v = torch.randn(3, 2, 5, 4, dtype=torch.float64)
    assert climbs(
        piece, lambda *qkv: F.scaled_dot_product_attention(*qkv, is_causal=True), [q, k, v]
    )


@pytest.mark.parametrize("piece", [solution("08.1"), multi_head_by_loops], ids=["one", "loops"])
def test_many_heads_are_pytorchs_own(piece):
    theirs = nn.MultiheadAttention(6, 2, bias=False, batch_first=True).double()
    *maps, last = (*theirs.in_proj_weight.detach().chunk(3), theirs.out_proj.weight.detach())
    future = torch.ones(4, 4, dtype=torch.bool).triu(1)
    assert climbs(
        lambda x: piece(x, 2, *(w.T for w in (*maps, last))),
        lambda x: theirs(x, x, x, attn_mask=future),
        [torch.randn(2, 4, 6, dtype=torch.float64)],
    )


@pytest.mark.parametrize("piece", [solution("10.3"), block_by_loops], ids=["one", "loops"])
def test_the_block_is_the_finished_one(piece):
    block = Block(Config(n_embd=8, n_head=2, block_size=4, dropout=0.0, bias=True)).double()
    for p in block.parameters():
        p.data += 0.5 * torch.randn_like(p)
    parts = block.ln_1, block.attn, block.ln_2, block.mlp.c_fc, block.mlp.c_proj
    x = torch.randn(2, 4, 8, dtype=torch.float64)
    assert climbs(lambda x: piece(x, *parts), block, [x])


def peeks(q, k, v):
    return solution("07.2")(q, k, v) + 0.1 * v.mean(1, keepdim=True)


def cut_off(x, *parts):
    return solution("10.3")(x, *parts).detach()


def a_detour(x, n_head, *maps):
    return solution("08.1")(x, n_head, *maps) + 0 * x.roll(-1, 0)


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("07.2", peeks, "token 1 moves the output at 0"),
        ("07.2", lambda *qkv: F.scaled_dot_product_attention(*qkv, is_causal=True), "by hand"),
        ("10.3", cut_off, "no gradient comes through"),
        ("08.1", a_detour, "passed"),
    ],
)
def test_the_probe_and_the_ladder_have_their_say(id, answer, said):
    assert said in run(id, answer).message
