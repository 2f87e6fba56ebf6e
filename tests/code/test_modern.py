"""modern: off, it is GPT to the bit; on, each part and the whole equal those of transformers."""

import cmath
import copy
import math
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
import torch.nn as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call

from gpt2_tutorial.attention import CausalSelfAttention, causal_attention
from gpt2_tutorial.generate import generate
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.ladder import TOLERANCES, gaps
from gpt2_tutorial.loop import fit, sample
from gpt2_tutorial.modern import (
    MODERN,
    GroupedAttention,
    ModernBlock,
    ModernConfig,
    ModernGPT,
    ReLUSquared,
    RMSNorm,
    SwiGLU,
    rotate,
    soft_cap,
)
from gpt2_tutorial.precision import autocast
from gpt2_tutorial.probes import compare_layers, first_leak
from gpt2_tutorial.scoreboard import score
from oracles import assert_same, both_dtypes, cross_entropy, randn, randomise, rounding, run
from tiers import compiles

V = 11
SMALL = dict(block_size=12, vocab_size=V, n_layer=2, n_head=4, n_embd=16)
ALONE = {
    "rotary": dict(rotary=True),
    "rms": dict(norm="rms"),
    "qk_norm": dict(qk_norm=True),
    "swiglu": dict(mlp="swiglu"),
    "relu2": dict(mlp="relu2"),
    "grouped": dict(n_kv_head=2),
    "one key head": dict(n_kv_head=1),
    "untied": dict(tied=False),
    "zero_init": dict(zero_init=True),
    "soft_cap": dict(soft_cap=0.5),
    "ngrams": dict(ngram_rows=37),
}
EACH = {"off": {}, **ALONE, "all": MODERN | dict(n_kv_head=2, ngram_rows=37)}
each = pytest.mark.parametrize("changes", EACH.values(), ids=EACH)


def built(dtype=torch.float64, spread=0.3, **changes):
    """A model with random numbers everywhere, in gains and biases too."""
    model = ModernGPT(ModernConfig(**SMALL | changes)).to(dtype)
    randomise(model, spread=spread)
    return model


def ids(*shape, seed=0):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def same_numbers(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# --- with every switch off


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@both_dtypes
def test_with_every_switch_off_it_is_gpt_to_the_bit(dtype, dropout, bias):
    """First weights, the state of chance, logits, loss and gradients, dropout included."""
    sizes, results = SMALL | dict(dropout=dropout, bias=bias), []
    for make in (lambda: GPT(GPTConfig(**sizes)), lambda: ModernGPT(ModernConfig(**sizes))):
        torch.manual_seed(3)
        model = make().to(dtype)
        logits, loss = model(ids(3, 12), ids(3, 12, seed=1))
        loss.backward()
        gradients = [p.grad for p in model.parameters()]
        numbers = [*model.state_dict().values(), logits, loss, torch.rand(2), *gradients]
        results.append((list(model.state_dict()), numbers))
    (names, numbers), (their_names, theirs) = results
    assert names == their_names
    assert same_numbers(numbers, theirs)


def test_the_weights_of_gpt_fit_in_and_answer_the_same():
    theirs, ours = GPT(GPTConfig(**SMALL)), ModernGPT(ModernConfig(**SMALL))
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(ids(3, 9))[0], theirs(ids(3, 9))[0])
    last = ours(ids(3, 9), last_only=True)[0]
    assert torch.equal(last, theirs(ids(3, 9), last_only=True)[0])
    assert {gap.largest for gap in compare_layers(ours, theirs, ids(3, 9))} == {0.0}


# --- rotary positions


def angles_may_differ(x, last_place):
    """How far two ways to turn x may come apart.

    A speed takes a power and a division, each rounded, on both sides: 4 eps of it. A place further
    on, the angle is that much further off, and its product with the place is rounded twice. Cosine
    and sine move no further than the angle does; they, two products and a sum are rounded, twice.
    """
    of_the_angle = 5 * last_place + 8
    return of_the_angle * torch.finfo(x.dtype).eps * 2 * x.abs().max().item()


def turned_by_complex_numbers(x, base, start):
    """Number i and number i + D/2 are one complex number, and a place on multiplies it."""
    out = []
    for place, row in enumerate(x, start):
        half = len(row) // 2
        turned = [
            complex(row[i], row[i + half]) * cmath.exp(1j * place / base ** (2 * i / len(row)))
            for i in range(half)
        ]
        out.append([z.real for z in turned] + [z.imag for z in turned])
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize(("base", "start"), [(10000.0, 0), (10000.0, 7), (50.0, 300)])
def test_rotate_multiplies_complex_numbers(base, start):
    x = randn(9, 6, dtype=torch.float64)
    expected = turned_by_complex_numbers(x.tolist(), base, start)
    bound = angles_may_differ(x, start + 9)
    torch.testing.assert_close(rotate(x, base, start), expected, atol=bound, rtol=0)


@pytest.mark.parametrize("base", [10000.0, 500.0])
def test_rotate_is_the_rotary_of_llama(base):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import (
        LlamaRotaryEmbedding,
        apply_rotary_pos_emb,
    )

    turns = dict(rope_type="default", rope_theta=base)
    config = LlamaConfig(hidden_size=32, num_attention_heads=4, rope_parameters=turns)
    q, k = randn(2, 4, 40, 8), randn(2, 2, 40, 8, seed=1)
    cos, sin = LlamaRotaryEmbedding(config)(q, torch.arange(40)[None])
    for ours, theirs in zip((q, k), apply_rotary_pos_emb(q, k, cos, sin), strict=True):
        bound = angles_may_differ(ours, 40)
        torch.testing.assert_close(rotate(ours, base), theirs, atol=bound, rtol=0)


@given(start=st.integers(0, 5000), D=st.sampled_from([2, 6, 16]), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_scores_depend_on_the_distance_alone(start, D, seed):
    q, k = randn(2, 1, 1, 7, D, dtype=torch.float64, seed=seed)
    near = rotate(q) @ rotate(k).mT
    far = rotate(q, start=start) @ rotate(k, start=start).mT
    size = max(q.abs().max().item(), k.abs().max().item())
    bound = 4 * D * size * angles_may_differ(torch.tensor([size]).double(), start + 7)
    torch.testing.assert_close(far, near, atol=bound, rtol=0)


def test_one_word_everywhere_has_one_score_for_each_distance():
    """And no score of a distance is that of another: places are told apart."""
    q, k = (row.expand(12, 8) for row in randn(2, 8, dtype=torch.float64))
    scores = rotate(q) @ rotate(k).T
    for distance in range(-11, 12):
        line = scores.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), atol=1e-12, rtol=0)
    assert scores[0].unique().numel() == 12


def test_a_place_may_be_read_alone():
    x = randn(2, 3, 10, 4)
    for n in range(10):
        assert torch.equal(rotate(x[:, :, n:], start=n), rotate(x)[:, :, n:])


def test_rotate_leaves_the_first_place_and_all_lengths():
    x = randn(2, 3, 10, 8, dtype=torch.float64)
    turned = rotate(x)
    assert torch.equal(turned[:, :, 0], x[:, :, 0])
    lengths, before = (torch.hypot(*y.chunk(2, -1)) for y in (turned, x))
    torch.testing.assert_close(lengths, before, atol=1e-14, rtol=0)


def test_the_gradient_of_a_turn_turns_back():
    x = randn(1, 2, 5, 6, dtype=torch.float64).requires_grad_()
    g = randn(1, 2, 5, 6, dtype=torch.float64, seed=1)
    (back,) = torch.autograd.grad(rotate(x), x, g)
    torch.testing.assert_close(rotate(back), g, atol=1e-14, rtol=0)


def test_in_short_numbers_far_places_are_turned_as_well_as_near_ones():
    """Rounded to bfloat16: x, cosine and sine, two products, a sum: 4 roundings of 2⁻⁹ or less."""
    x = randn(1, 1, 1, 8).bfloat16().expand(1, 1, 3000, 8)
    out, wanted = rotate(x), rotate(x.float())
    assert out.dtype == torch.bfloat16
    bound = 4 * 2**-9 * 2 * x.abs().max().item()
    torch.testing.assert_close(out.float(), wanted, atol=bound, rtol=0)


# --- norm and small networks


@both_dtypes
def test_rms_norm_is_the_one_of_torch(dtype):
    ours, theirs = RMSNorm(24).to(dtype), nn.RMSNorm(24, eps=1e-6).to(dtype)
    randomise(ours)
    theirs.load_state_dict(ours.state_dict())
    for x in (randn(2, 5, 24, dtype=dtype), randn(2, 5, 24, dtype=dtype) / 1000):
        one = run(ours, [x], ours.parameters())
        # A small input has large gradients, and `rounding` is of the largest number.
        assert_same(one, run(theirs, [x], theirs.parameters()))


def test_rms_norm_thinks_in_float32_and_answers_in_short_numbers():
    norm, x = RMSNorm(64), 300 * randn(4, 64)
    for dtype, eps in ((torch.bfloat16, 2**-8), (torch.float16, 2**-11)):
        short = x.to(dtype)
        out = norm(short)
        assert out.dtype == dtype  # 300² · 64 overflows float16, if it were squared there
        torch.testing.assert_close(out.float(), norm(short.float()), atol=0, rtol=eps)


def give(ours, theirs, names):
    """Random weights for both; `names` says what theirs are called."""
    randomise(ours)
    for mine, yours in names.items():
        theirs.get_submodule(yours).load_state_dict(ours.get_submodule(mine).state_dict())


@pytest.mark.parametrize("bias", [True, False])
@both_dtypes
def test_swiglu_is_the_small_network_of_llama(dtype, bias):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaMLP

    ours = SwiGLU(GPTConfig(n_embd=24, n_head=2, bias=bias)).to(dtype)
    sizes = dict(hidden_size=24, intermediate_size=64, num_attention_heads=2)
    theirs = LlamaMLP(LlamaConfig(**sizes, mlp_bias=bias)).to(dtype)
    give(ours, theirs, {"c_gate": "gate_proj", "c_fc": "up_proj", "c_proj": "down_proj"})
    x = randn(2, 5, 24, dtype=dtype)
    assert_same(run(ours, [x], ours.parameters()), run(theirs, [x], theirs.parameters()))


@both_dtypes
def test_relu_squared_is_the_small_network_of_nemotron(dtype):
    from transformers import NemotronConfig
    from transformers.models.nemotron.modeling_nemotron import NemotronMLP

    ours = ReLUSquared(GPTConfig(n_embd=24, n_head=2)).to(dtype)
    sizes = dict(hidden_size=24, intermediate_size=96, num_attention_heads=2)
    theirs = NemotronMLP(NemotronConfig(**sizes, hidden_act="relu2", mlp_bias=True)).to(dtype)
    give(ours, theirs, {"c_fc": "up_proj", "c_proj": "down_proj"})
    x = randn(2, 5, 24, dtype=dtype)
    assert_same(run(ours, [x], ours.parameters()), run(theirs, [x], theirs.parameters()))


@pytest.mark.parametrize("C", [8, 128, 130, 384, 768, 1600])
def test_a_gate_costs_what_it_replaces(C):
    """Two maps C × 4C against three of C × h; h is at most 4 away from 8C/3."""
    with torch.device("meta"):
        mlp = SwiGLU(GPTConfig(n_embd=C, n_head=1, bias=False))
    weights = sum(p.numel() for p in mlp.parameters())
    assert mlp.c_fc.out_features % 8 == 0
    assert abs(weights - 8 * C * C) <= 3 * C * 4


# --- attention


def copied_attention(ours, theirs, K, D):
    """Their three maps are our one, and each has a gain for queries and for keys if ours have."""
    parts = ("q_proj", "k_proj", "v_proj")
    shares = (ours.c_proj.in_features, K * D, K * D)
    for kind in ("weight", "bias"):
        if getattr(ours.c_attn, kind) is not None:
            for part, numbers in zip(
                parts, getattr(ours.c_attn, kind).detach().split(shares), strict=True
            ):
                getattr(getattr(theirs, part), kind).data.copy_(numbers)
    theirs.o_proj.load_state_dict(ours.c_proj.state_dict())
    if hasattr(theirs, "q_norm"):
        theirs.q_norm.load_state_dict(ours.q_norm.state_dict())
        theirs.k_norm.load_state_dict(ours.k_norm.state_dict())


def qwen(**changes):
    from transformers import Qwen3Config

    sizes = dict(hidden_size=16, num_attention_heads=4, head_dim=4, num_hidden_layers=2)
    sizes |= dict(intermediate_size=40, vocab_size=V, max_position_embeddings=12)
    turns = dict(rope_type="default", rope_theta=10000.0)
    plain = dict(attention_bias=False, attention_dropout=0.0, tie_word_embeddings=False)
    config = Qwen3Config(**sizes | plain | dict(rope_parameters=turns) | changes)
    config._attn_implementation = "eager"  # with repeated keys, products and a softmax
    return config


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("K", [1, 2, 4])
def test_grouped_attention_is_the_one_of_qwen(K, bias):
    """Rotary, QK-norm and groups at once: values, and the gradients of every weight."""
    from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, Qwen3RotaryEmbedding

    config = qwen(num_key_value_heads=K, attention_bias=bias)
    theirs, x = Qwen3Attention(config, layer_idx=0), randn(2, 12, 16)
    changes = dict(rotary=True, qk_norm=True, n_kv_head=K, bias=bias)
    ours = GroupedAttention(ModernConfig(**SMALL | changes))
    randomise(ours)
    copied_attention(ours, theirs, K, D=4)
    turns = Qwen3RotaryEmbedding(config)(x, torch.arange(12)[None])
    mask = nn.Transformer.generate_square_subsequent_mask(12)[None, None]
    out, (dx, *mine) = run(ours, [x], ours.parameters())
    expected, (their_dx, *yours) = run(
        lambda x: theirs(x, turns, mask)[0], [x], theirs.parameters()
    )
    mine = dict(zip(dict(ours.named_parameters()), mine, strict=True))
    yours = dict(zip(dict(theirs.named_parameters()), yours, strict=True))
    for kind in ("weight", "bias") if bias else ("weight",):
        yours[f"c_attn.{kind}"] = torch.cat([yours.pop(f"{part}_proj.{kind}") for part in "qkv"])
        yours[f"c_proj.{kind}"] = yours.pop(f"o_proj.{kind}")
    gradients = [dx, *mine.values()], [their_dx, *(yours[name] for name in mine)]
    # Their speeds are rounded another way: place 12 is turned by up to 12 · 4 eps more or less.
    assert_same((out, gradients[0]), (expected, gradients[1]), terms=512)


@both_dtypes
def test_as_many_key_heads_as_heads_is_plain_attention(dtype):
    for K in (None, 4):
        ours = GroupedAttention(ModernConfig(**SMALL | dict(n_kv_head=K))).to(dtype)
        theirs = CausalSelfAttention(GPTConfig(**SMALL)).to(dtype)
        give(ours, theirs, {"c_attn": "c_attn", "c_proj": "c_proj"})
        x = randn(2, 9, 16, dtype=dtype)
        (a, a_grads), (b, b_grads) = (run(m, [x], m.parameters()) for m in (ours, theirs))
        assert same_numbers([a, *a_grads], [b, *b_grads])


@pytest.mark.parametrize("K", [1, 2])
def test_a_group_is_plain_attention_whose_heads_have_the_same_keys(K):
    """Rows of c_attn: H heads of queries, K of keys, K of values. Copied, they make 3H."""
    ours = GroupedAttention(ModernConfig(**SMALL | dict(n_kv_head=K))).double()
    theirs = CausalSelfAttention(GPTConfig(**SMALL)).double()
    randomise(ours)
    # Heads 0, 1, … of a group stand side by side: 0 0 1 1, not 0 1 0 1.
    shared = [h // (4 // K) for h in range(4)]
    heads = [*range(4), *(4 + h for h in shared), *(4 + K + h for h in shared)]
    rows = torch.cat([torch.arange(4 * h, 4 * h + 4) for h in heads])
    theirs.load_state_dict(
        {
            "c_attn.weight": ours.c_attn.weight[rows],
            "c_attn.bias": ours.c_attn.bias[rows],
            **{f"c_proj.{name}": p for name, p in ours.c_proj.named_parameters()},
        }
    )
    x = randn(2, 9, 16, dtype=torch.float64)
    out, (dx, d_weight, *_) = run(ours, [x], ours.parameters())
    expected, (their_dx, their_weight, *_) = run(theirs, [x], theirs.parameters())
    summed = torch.zeros_like(d_weight).index_add(0, rows, their_weight)  # each copy has a share
    assert_same((out, [dx, d_weight]), (expected, [their_dx, summed]))


def test_qk_norm_makes_scores_blind_to_the_size_of_what_is_asked():
    """Twice the queries, half the keys: not a weight of attention moves. Without it, they do."""
    moved = []
    for on in (True, False):
        attn = GroupedAttention(ModernConfig(**SMALL | dict(qk_norm=on, bias=False))).double()
        x = randn(1, 9, 16, dtype=torch.float64)
        before = attn(x)
        with torch.no_grad():
            attn.c_attn.weight[:16] *= 20
        moved.append((attn(x) - before).abs().max().item())
    assert moved[0] < 1e-4 < moved[1]  # eps, which stands beside the square, does not grow


# --- the head


@given(cap=st.floats(0.1, 100), x=st.floats(-1e4, 1e4))
def test_no_logit_passes_the_cap(cap, x):
    x = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    y = soft_cap(x, cap)
    (slope,) = torch.autograd.grad(y.sum(), x)
    if abs(x.item()) <= 15 * cap:  # beyond, 1 − tanh is below the eps of float64
        assert abs(y.item()) < cap
    assert abs(y.item()) <= cap * (1 + 2**-52)
    assert slope.item() == pytest.approx(1 - (y.item() / cap) ** 2, abs=1e-12)
    # x − tanh x lies between 0 and x³ / 3
    off = abs(x.item()) - abs(y.item())
    rounded = 1e-15 * max(cap, abs(x.item()))
    assert -rounded <= off <= abs(x.item()) ** 3 / (3 * cap**2) + rounded


def test_the_cap_keeps_the_order():
    x = torch.linspace(-50, 50, 201, dtype=torch.float64)
    assert (soft_cap(x, 10.0).diff() > 0).all()


def test_the_loss_is_that_of_capped_logits():
    capped, free = built(soft_cap=2.0, spread=2.0), built(spread=2.0)
    idx, targets = ids(3, 12), ids(3, 12, seed=1)
    logits, loss = capped(idx, targets)
    wild = free(idx)[0]
    assert wild.abs().max() > 10 and logits.abs().max() <= 2
    expected = 2 * (wild / 2).tanh()
    torch.testing.assert_close(logits, expected, atol=1e-12, rtol=0)
    wanted = cross_entropy(expected, targets).item()
    assert loss.item() == pytest.approx(wanted, abs=1e-12)


def test_an_untied_head_is_a_table_of_its_own():
    tied, untied = built(), built(tied=False)
    assert tied.lm_head.weight is tied.transformer.wte.weight
    sizes = [sum(p.numel() for p in model.parameters()) for model in (tied, untied)]
    assert sizes[1] - sizes[0] == V * 16
    idx = torch.full((1, 6), 3)
    untied(idx, idx)[1].backward()
    read = untied.transformer.wte.weight.grad.abs().sum(-1) > 0
    assert read.tolist() == [row == 3 for row in range(V)]
    assert (untied.lm_head.weight.grad.abs().sum(-1) > 0).all()


# --- the first weights


@pytest.mark.parametrize("changes", [{}, MODERN], ids=["alone", "with all"])
def test_with_zero_init_the_first_logits_do_not_depend_on_the_blocks(changes):
    torch.manual_seed(0)
    model = ModernGPT(ModernConfig(**SMALL, **changes | dict(zero_init=True)))
    idx, targets = ids(3, 12), ids(3, 12, seed=1)
    before = model(idx)[0]
    adding, others = [], []
    for block in model.transformer.h:
        adding += [block.attn.c_proj.weight, block.mlp.c_proj.weight]
        others += [block.attn.c_attn.weight, block.mlp.c_fc.weight]
    for seed, weight in enumerate(others):
        weight.data += randn(*weight.shape, seed=seed)
    assert torch.equal(model(idx)[0], before)
    model(idx, targets)[1].backward()
    assert all(p.grad.abs().sum() > 0 for p in adding)  # so the first step ends it
    assert all(p.grad.abs().sum() == 0 for p in others)


@each
def test_first_weights_have_gpt2s_spread_or_are_the_ones_that_were_asked_for(changes):
    torch.manual_seed(0)
    sizes = dict(block_size=64, vocab_size=128, n_layer=8, n_head=4, n_embd=96)
    model = ModernGPT(ModernConfig(**sizes, **changes))
    for name, weight in model.named_parameters():
        if "ln_" in name or "_norm" in name or name.endswith("bias"):
            assert (weight == (0 if name.endswith("bias") else 1)).all(), name
        elif "ngrams" in name or ("c_proj" in name and changes.get("zero_init")):
            assert (weight == 0).all(), name
        else:
            # a standard deviation of n numbers is off by 1 / √(2n); the smallest table has 6,144
            wanted = 0.02 / math.sqrt(2 * 8) if "c_proj" in name else 0.02
            assert weight.std().item() == pytest.approx(wanted, rel=4 / math.sqrt(2 * 6144)), name


# --- the whole


def grams(config, weights, row):
    """For each token of one text: the rows of its pair and of its triple, one behind the other."""
    V, name, padded = config.vocab_size, "transformer.ngrams.{}.weight", [0, 0, *row]
    triples = zip(padded, padded[1:], padded[2:], strict=False)
    return [
        torch.cat(
            [
                weights[name.format("pairs")][(b * V + c) % config.ngram_rows],
                weights[name.format("triples")][(a * V * V + b * V + c) % config.ngram_rows],
            ]
        )
        for a, b, c in triples
    ]


def by_hand(config, weights, idx):
    """The formula of the whole model: masks, powers and sums, and none of its modules."""
    C, D, H = config.n_embd, config.n_embd // config.n_head, config.n_head
    K = config.n_kv_head or H

    def linear(x, name):
        x = x @ weights[f"{name}.weight"].T
        return x + weights[f"{name}.bias"] if f"{name}.bias" in weights else x

    def rms(x, name, eps=1e-6):
        return x / (x**2).mean(-1, keepdim=True).add(eps).sqrt() * weights[f"{name}.weight"]

    def norm(x, name):
        if config.norm == "rms":
            return rms(x, name)
        x = x - x.mean(-1, keepdim=True)
        return rms(x, name, eps=1e-5) + weights.get(f"{name}.bias", 0.0)

    def placed(x):  # (B, T, D)
        if not config.rotary:
            return x
        place = torch.arange(x.size(1), dtype=x.dtype)[:, None]
        turns = place / 10000.0 ** (torch.arange(D // 2, dtype=x.dtype) * 2 / D)
        z = torch.complex(x[..., : D // 2], x[..., D // 2 :])
        z = z * torch.polar(torch.ones_like(turns), turns)
        return torch.cat([z.real, z.imag], -1)

    def attend(x, name):
        whole, found = linear(x, f"{name}.c_attn"), []
        for h in range(H):
            key = H + h // (H // K)
            q, k, v = (whole[..., i * D : (i + 1) * D] for i in (h, key, key + K))
            if config.qk_norm:
                q, k = rms(q, f"{name}.q_norm"), rms(k, f"{name}.k_norm")
            q, k, v = (part[:, None] for part in (placed(q), placed(k), v))
            found.append(causal_attention(q, k, v)[:, 0])
        return linear(torch.cat(found, -1), f"{name}.c_proj")

    def think(x, name):
        wide = linear(x, f"{name}.c_fc")
        if config.mlp == "swiglu":
            gate = linear(x, f"{name}.c_gate")
            wide = gate / (1 + (-gate).exp()) * wide
        elif config.mlp == "relu2":
            wide = wide.clamp(min=0) ** 2
        else:
            bend = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
            wide = 0.5 * wide * (1 + torch.tanh(bend))
        return linear(wide, f"{name}.c_proj")

    table = weights["transformer.wte.weight"]
    x = table[idx]
    if not config.rotary:
        x = x + weights["transformer.wpe.weight"][: idx.size(1)]
    if config.ngram_rows:
        x = x + torch.stack([torch.stack(grams(config, weights, row)) for row in idx.tolist()])
    for i in range(config.n_layer):
        name = f"transformer.h.{i}"
        x = x + attend(norm(x, f"{name}.ln_1"), f"{name}.attn")
        x = x + think(norm(x, f"{name}.ln_2"), f"{name}.mlp")
    logits = norm(x, "transformer.ln_f") @ weights.get("lm_head.weight", table).T
    cap = config.soft_cap
    assert x.size(-1) == C
    return logits if cap is None else cap * (logits / cap).tanh()


def hold(model, idx):
    """Logits, and the gradients of every weight, as on a rung of the ladder."""
    names = list(dict(model.named_parameters()))
    values, gradients, dtype = gaps(
        lambda *w: functional_call(model, dict(zip(names, w, strict=True)), (idx,)),
        lambda *w: by_hand(model.config, dict(zip(names, w, strict=True)), idx),
        [p.detach() for p in model.parameters()],
    )
    assert max(values, gradients) <= 10 * TOLERANCES[dtype]  # gradients of 10 and more


@each
@pytest.mark.parametrize("bias", [True, False])
def test_the_whole_is_its_formula(changes, bias):
    hold(built(**changes, bias=bias), ids(2, 12))


@given(
    changes=st.fixed_dictionaries(
        {
            "rotary": st.booleans(),
            "norm": st.sampled_from(["layer", "rms"]),
            "qk_norm": st.booleans(),
            "mlp": st.sampled_from(["gelu", "swiglu", "relu2"]),
            "n_kv_head": st.sampled_from([None, 1, 2, 4]),
            "tied": st.booleans(),
            "zero_init": st.booleans(),
            "soft_cap": st.sampled_from([None, 1.0, 30]),
            "ngram_rows": st.sampled_from([0, 1, 37]),
            "bias": st.booleans(),
        }
    ),
    T=st.integers(1, 12),
)
@settings(max_examples=15)
def test_the_whole_is_its_formula_whatever_is_on(changes, T):
    hold(built(**changes), ids(2, T))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("K", [2, 4])
def test_the_whole_is_qwens_model(K, tied):
    """All but soft_cap and zero_init is what Qwen3 is made of: the same logits and loss."""
    from transformers import Qwen3ForCausalLM

    theirs = Qwen3ForCausalLM(qwen(num_key_value_heads=K, tie_word_embeddings=tied)).eval()
    changes = MODERN | dict(n_kv_head=K, tied=tied, soft_cap=None, bias=False)
    ours = built(torch.float32, **changes)
    body = theirs.model
    body.embed_tokens.load_state_dict(ours.transformer.wte.state_dict())
    theirs.lm_head.load_state_dict(ours.lm_head.state_dict())
    body.norm.load_state_dict(ours.transformer.ln_f.state_dict())
    for mine, yours in zip(ours.transformer.h, body.layers, strict=True):
        copied_attention(mine.attn, yours.self_attn, K, D=4)
        yours.input_layernorm.load_state_dict(mine.ln_1.state_dict())
        yours.post_attention_layernorm.load_state_dict(mine.ln_2.state_dict())
        for part, name in (("gate", "c_gate"), ("up", "c_fc"), ("down", "c_proj")):
            map_ = getattr(yours.mlp, f"{part}_proj")
            map_.load_state_dict(getattr(mine.mlp, name).state_dict())
    expected = theirs(ids(3, 12)).logits
    # Each of 2 blocks adds what may be off by the rounding of sums and turns, as above.
    bound = rounding(expected, terms=2 * 512)
    torch.testing.assert_close(ours(ids(3, 12))[0], expected, atol=bound, rtol=0)


@each
def test_nobody_sees_the_future(changes):
    for shape in ((3, 12), (2, 1)):
        assert first_leak(built(spread=0.5, **changes), ids(*shape)) is None
    torch.manual_seed(0)
    first_weights = ModernGPT(ModernConfig(**SMALL, **changes))
    assert first_leak(first_weights, ids(2, 12), tol=1e-7) is None


@each
def test_the_probe_asks_a_block_as_well(changes):
    block = ModernBlock(ModernConfig(**SMALL, **changes)).double()
    randomise(block, spread=0.5)
    assert first_leak(block, randn(2, 12, 16, dtype=torch.float64)) is None


@each
def test_the_order_of_earlier_tokens_matters(changes):
    """Without wpe it is the turns that tell places apart."""
    model, idx = built(spread=0.5, **changes), torch.tensor([[1, 2, 3, 4, 5]])
    other = torch.tensor([[3, 2, 1, 4, 5]])
    assert ("wpe" in model.transformer) != model.config.rotary
    assert (model(idx)[0] - model(other)[0])[:, -1].abs().max() > 1e-4


@each
def test_every_parameter_learns(changes):
    """DDP waits for the gradient of each; with zero_init, as the second step finds them."""
    model = built(**changes)
    model(ids(3, 12), ids(3, 12, seed=1))[1].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@each
def test_matrix_products_in_bfloat16_change_little(changes):
    model = built(torch.float32, spread=0.1, **changes)
    wanted = model(ids(3, 12))[0]
    with autocast(torch.device("cpu"), torch.bfloat16):
        short, short_loss = model(ids(3, 12), ids(3, 12, seed=1))
    short_loss.backward()
    assert short.dtype == torch.bfloat16 and short_loss.dtype == torch.float32
    # Some 12 roundings of 2⁻⁹ in a block lie between the table and the logits.
    bound = 2 * 12 * 2**-9 * max(1.0, wanted.abs().max().item())
    torch.testing.assert_close(short.float(), wanted, atol=bound, rtol=0)
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@compiles
@each
def test_compiled_it_is_the_same(changes):
    model, idx, targets = built(torch.float32, **changes), ids(3, 12), ids(3, 12, seed=1)
    model(idx, targets)[1].backward()
    eager = [p.grad.clone() for p in model.parameters()]
    logits = model(idx)[0]
    model.zero_grad()
    torch.compiler.reset()  # else the code of earlier cases counts as compiled too often
    compiled = torch.compile(model, fullgraph=True)
    found, loss = compiled(idx, targets)
    loss.backward()
    torch.testing.assert_close(found, logits, atol=rounding(logits, 512), rtol=0)
    for p, grad in zip(model.parameters(), eager, strict=True):
        torch.testing.assert_close(p.grad, grad, atol=rounding(grad, 512), rtol=0)


# --- in the house


@pytest.mark.parametrize("changes", [{}, EACH["all"]], ids=["off", "all"])
def test_the_house_trains_judges_and_reads_it(changes):
    torch.manual_seed(0)
    model = ModernGPT(ModernConfig(**SMALL, **changes))
    text = torch.arange(V).repeat(4)[:-3]  # after each id comes the next one
    x, y = text[:36].view(3, 12), text[1:37].view(3, 12)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = fit(model, lambda: (x, y), optimizer, steps=60)
    assert losses[0] > 2 and losses[-1] < 0.05
    assert score(model, text[:-1], text[1:], window=12) < 0.5
    wanted = [(i + 4) % V for i in range(9)]
    chance = torch.Generator().manual_seed(0)
    assert sample(model, [4], length=8, context=12, generator=chance) == wanted
    written = generate(model, torch.tensor([[4]]), 8, temperature=0, cache=False)
    assert written.tolist() == [wanted]


@each
def test_copies_and_files_keep_it(changes):
    model = built(torch.float32, **changes)
    loaded = ModernGPT(model.config)
    loaded.load_state_dict(model.state_dict())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        assert torch.equal(other(ids(2, 7))[0], model(ids(2, 7))[0])
        assert (other.lm_head.weight is other.transformer.wte.weight) == model.config.tied


def test_parameters_as_on_paper():
    """124M's shape with all on: no wpe, no biases, a head of its own, a third of the keys."""
    sizes = GPTConfig(bias=False)
    config = ModernConfig(**vars(sizes) | MODERN | dict(n_kv_head=4))
    with torch.device("meta"):
        model = ModernGPT(config)
    C, D, L = 768, 64, 12
    attention = C * (12 + 2 * 4) * D + C * C + 2 * D
    block = attention + 3 * C * 2048 + 2 * C
    total = 2 * 50257 * C + L * block + C
    assert sum(p.numel() for p in model.parameters()) == total


# --- the config


def test_modern_is_every_switch_but_those_that_depend_on_sizes():
    new = {field.name: field.default for field in fields(ModernConfig)}
    for field in fields(GPTConfig):
        assert new.pop(field.name) == field.default
    assert {*MODERN, "n_kv_head", "ngram_rows"} == {*new}
    assert all(MODERN[name] != new[name] for name in MODERN)


def test_a_config_is_kept_and_changed_as_gpt2s_is():
    config = ModernConfig(**SMALL, **MODERN)
    with pytest.raises(FrozenInstanceError):
        config.rotary = False
    assert replace(config, norm="layer").norm == "layer"
    with pytest.raises(ValueError, match="norm must be one of"):
        replace(config, norm="batch")


BAD_CONFIGS = {
    "a size": (dict(n_layer=0), "n_layer must be a whole number above 0, not 0"),
    "a word": (dict(rotary="yes"), "rotary must be True or False, not 'yes'"),
    "a number": (dict(tied=1), "tied must be True or False, not 1"),
    "nothing": (dict(qk_norm=None), "qk_norm must be True or False, not None"),
    "zeros": (dict(zero_init=0.0), "zero_init must be True or False, not 0.0"),
    "a norm": (dict(norm="RMS"), r"norm must be one of \('layer', 'rms'\), not 'RMS'"),
    "no norm": (dict(norm=None), "not None"),
    "a list": (dict(norm=["rms"]), r"not \['rms'\]"),
    "a network": (
        dict(mlp="relu"),
        r"mlp must be one of \('gelu', 'swiglu', 'relu2'\), not 'relu'",
    ),
    "groups": (dict(n_kv_head=3), "whole number that divides n_head=4, or None, not 3"),
    "more keys": (dict(n_kv_head=8), "divides n_head=4, or None, not 8"),
    "no keys": (dict(n_kv_head=0), "divides n_head=4, or None, not 0"),
    "half a key": (dict(n_kv_head=2.0), "divides n_head=4, or None, not 2.0"),
    "odd heads": (dict(n_embd=12, rotary=True), "a head of 3 has one left over"),
    "less than no table": (dict(ngram_rows=-1), "ngram_rows must be a whole number from 0, not -1"),
    "half a row": (dict(ngram_rows=0.5), "from 0, not 0.5"),
    "a true table": (dict(ngram_rows=True), "from 0, not True"),
    "no cap": (dict(soft_cap=0), "soft_cap must be a number above 0 or None, not 0"),
    "endless": (dict(soft_cap=math.inf), "above 0 or None, not inf"),
    "nan": (dict(soft_cap=math.nan), "above 0 or None, not nan"),
    "true": (dict(soft_cap=True), "above 0 or None, not True"),
    "text": (dict(soft_cap="30"), "above 0 or None, not '30'"),
}


@pytest.mark.parametrize(("changes", "words"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_switch_that_stands_nowhere_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        ModernConfig(**SMALL | changes)


def test_odd_heads_may_stand_still():
    assert built(n_embd=12)(ids(1, 4))[0].shape == (1, 4, V)
    with pytest.raises(ValueError, match="D must be even, not 3"):
        rotate(torch.zeros(1, 1, 2, 3))


@pytest.mark.parametrize("changes", [{}, EACH["all"]], ids=["off", "all"])
def test_what_is_no_batch_of_ids_is_refused(changes):
    model = built(**changes)
    with pytest.raises(ValueError, match="13 tokens are more than block_size=12"):
        model(ids(1, 13))
    with pytest.raises(ValueError, match="13 tokens are more than block_size=12"):
        model.transformer.h[0].attn(torch.zeros(1, 13, 16, dtype=torch.float64))
    with pytest.raises(ValueError, match="last_only=True"):
        model(ids(1, 4), ids(1, 4), last_only=True)
