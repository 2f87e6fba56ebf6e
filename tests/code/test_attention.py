"""attention: plain loops, PyTorch's kernel, its module and transformers must all agree with us."""

import math
from itertools import product
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial import attention
from gpt2_tutorial.attention import (
    CausalSelfAttention,
    CrossAttention,
    Head,
    MultiHeadAttention,
    causal_attention,
    check_heads,
    flash_reference,
    full_attention,
    merge_heads,
    split_heads,
    take_block,
)
from oracles import (
    DTYPES,
    assert_same,
    both_dtypes,
    by_loops,
    copy_transposed,
    randn,
    run,
    their_config,
    turned,
)

sizes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 17), st.integers(1, 9))
dtypes = st.sampled_from(DTYPES)


def qkv(B, H, T, D, dtype=torch.float32, seed=0):
    return tuple(randn(3, B, H, T, D, dtype=dtype, seed=seed))


def sdpa(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def config(**changes):
    plain = dict(n_embd=30, n_head=5, block_size=16, dropout=0.0, bias=True)
    return SimpleNamespace(**plain | changes)


# --- one head, or many that know nothing of each other


@given(sizes, st.integers(0, 9))
@settings(max_examples=40)
def test_causal_attention_equals_plain_loops(size, seed):
    q, k, v = qkv(*size, dtype=torch.float64, seed=seed)
    out = causal_attention(q, k, v)
    for b, h in product(range(size[0]), range(size[1])):
        spec = by_loops(q[b, h].tolist(), k[b, h].tolist(), v[b, h].tolist())
        torch.testing.assert_close(out[b, h], torch.tensor(spec, dtype=torch.float64))


@given(sizes, dtypes, st.integers(0, 9))
@settings(max_examples=60)
def test_causal_attention_equals_the_kernel_in_values_and_gradients(size, dtype, seed):
    inputs = qkv(*size, dtype=dtype, seed=seed)
    assert_same(run(causal_attention, inputs), run(sdpa, inputs))


def test_identity_cards_as_values_show_the_weights():
    q, k, _ = qkv(2, 3, 6, 4)
    weights = causal_attention(q, k, torch.eye(6).expand(2, 3, 6, 6))
    assert weights.triu(1).abs().max() == 0 and weights.min() >= 0
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 6))
    scores = q @ k.transpose(-2, -1) / 2  # √4
    torch.testing.assert_close(weights[..., 5, :], scores[..., 5, :].softmax(-1))


def test_the_example_worked_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[None, None]
    e = math.exp(1 / math.sqrt(2))
    third = [(e + e * e) / (2 * e + e * e)] * 2
    assert causal_attention(x, x, x)[0, 0, 2].tolist() == pytest.approx(third)


@pytest.mark.parametrize("attend", [causal_attention, lambda q, k, v: flash_reference(q, k, v, 2)])
@pytest.mark.parametrize("scale", [1e4, 1e18])
def test_huge_scores_do_not_overflow(attend, scale):
    q, k, v = qkv(1, 2, 7, 4)
    out, gradients = run(attend, (q * scale, k, v))
    torch.testing.assert_close(out, sdpa(q * scale, k, v), atol=1e-5, rtol=0)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(("dtype", "near"), [(torch.bfloat16, 3e-2), (torch.float16, 4e-3)])
def test_short_numbers_give_nearly_the_same(dtype, near):
    inputs = qkv(2, 2, 20, 8)
    shorter = [x.to(dtype) for x in inputs]
    for attend in (causal_attention, lambda q, k, v: flash_reference(q, k, v, 8)):
        out = attend(*shorter)
        assert out.dtype == dtype
        torch.testing.assert_close(out.float(), sdpa(*inputs), atol=near, rtol=near)


SHAPES = {
    "different lengths": ((1, 1, 3, 2), (1, 1, 4, 2), (1, 1, 4, 2)),
    "different sizes": ((1, 1, 3, 2), (1, 1, 3, 5), (1, 1, 3, 2)),
    "different batches": ((2, 1, 3, 2), (1, 1, 3, 2), (1, 1, 3, 2)),
    "values of other tokens": ((1, 1, 3, 2), (1, 1, 3, 2), (1, 1, 2, 2)),
    "no tokens": ((1, 1, 0, 2),) * 3,
    "no numbers": ((1, 1, 3, 0),) * 3,
    "one vector": ((3,),) * 3,
}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("attend", [causal_attention, lambda q, k, v: flash_reference(q, k, v, 2)])
def test_shapes_that_do_not_fit_are_refused_by_name(attend, shapes):
    with pytest.raises(ValueError, match=r"q, k and v must all be \(B, H, T, D\), not") as error:
        attend(*(torch.zeros(shape) for shape in shapes))
    assert str(shapes[1]) in str(error.value)


@both_dtypes
def test_a_head_is_three_maps_and_the_kernel(dtype):
    head, x = Head(n_embd=12, head_size=7).to(dtype), randn(3, 9, 12, dtype=dtype)
    assert [tuple(p.shape) for p in head.parameters()] == [(7, 12)] * 3

    def by_hand(x):
        return sdpa(*(x @ weight.T for weight in head.parameters()))

    weights = list(head.parameters())
    assert_same(run(head, [x], weights), run(by_hand, [x], weights))


def test_one_token_gets_its_own_value():
    head, x = Head(8, 8), randn(1, 1, 8)
    torch.testing.assert_close(head(x), head.value(x))


# --- many heads


def test_a_token_keeps_its_own_numbers_when_heads_are_split():
    x = torch.arange(8).view(1, 2, 4)
    assert split_heads(x, 2)[0].tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    assert x.view(1, 2, 2, 2)[0, 0].tolist() == [[0, 1], [2, 3]]  # the direct view mixes them


@given(sizes)
def test_splitting_follows_the_indices_and_merging_undoes_it(size):
    B, H, T, D = size
    x = randn(B, T, H * D)
    pieces = split_heads(x, H)
    assert pieces.shape == size
    for b, h, t in product(range(B), range(H), range(T)):
        assert pieces[b, h, t].tolist() == x[b, t, h * D : (h + 1) * D].tolist()
    assert torch.equal(merge_heads(pieces), x)


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 3, 4, 4)])
def test_splitting_and_merging_refuse_other_shapes(shape):
    with pytest.raises(ValueError, match=r"x must be \(B, T, C\), not \("):
        split_heads(torch.zeros(shape), 2)
    if len(shape) != 4:
        with pytest.raises(ValueError, match=r"x must be \(B, H, T, D\), not \("):
            merge_heads(torch.zeros(shape))


@pytest.mark.parametrize(("n_embd", "n_head"), [(32, 5), (32, 0), (32, -4), (0, 1), (4, 8)])
def test_heads_of_unequal_size_are_refused(n_embd, n_head):
    words = f"{n_head} heads cannot share n_embd={n_embd} equally"
    makers = [check_heads, MultiHeadAttention, CrossAttention]
    makers.append(lambda C, H: CausalSelfAttention(config(n_embd=C, n_head=H)))
    for make in makers:
        with pytest.raises(ValueError, match=words):
            make(n_embd, n_head)
    if n_embd:
        with pytest.raises(ValueError, match=words):
            split_heads(torch.zeros(1, 2, n_embd), n_head)


def torch_attention(ours):
    """PyTorch's own module with copies of our weights."""
    maps = [ours.query, ours.key, ours.value]
    theirs = nn.MultiheadAttention(ours.proj.in_features, ours.n_head, batch_first=True)
    theirs = theirs.to(ours.proj.weight.dtype)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([m.weight for m in maps]))
        theirs.in_proj_bias.copy_(torch.cat([m.bias for m in maps]))
    theirs.out_proj.load_state_dict(ours.proj.state_dict())
    return theirs


def their_gradients(theirs, result):
    """Cut the gradients of the stacked maps of PyTorch's module into those of our four."""
    out, (*inputs, stacked, stacked_bias, out_weight, out_bias) = result
    pairs = zip(stacked.chunk(3), stacked_bias.chunk(3), strict=True)
    return out, [*inputs, *(part for pair in pairs for part in pair), out_weight, out_bias]


def with_random_biases(module):
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.data = randn(*parameter.shape, dtype=parameter.dtype, seed=7)
    return module


@both_dtypes
@pytest.mark.parametrize(("B", "T", "C", "H"), [(2, 9, 12, 4), (1, 1, 6, 1), (1, 5, 30, 5)])
def test_multi_head_attention_equals_pytorchs_module(dtype, B, T, C, H):
    ours = with_random_biases(MultiHeadAttention(C, H).to(dtype))
    theirs, x = torch_attention(ours), randn(B, T, C, dtype=dtype)
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=dtype)
    result = run(
        lambda x: theirs(x, x, x, attn_mask=mask, need_weights=False)[0], [x], theirs.parameters()
    )
    assert_same(run(ours, [x], ours.parameters()), their_gradients(theirs, result))


@both_dtypes
def test_multi_head_attention_is_its_heads_one_after_another(dtype):
    heads = [Head(12, 3).to(dtype) for _ in range(4)]
    together, x = MultiHeadAttention(12, 4).to(dtype), randn(2, 8, 12, dtype=dtype)
    with torch.no_grad():
        for name in ("query", "key", "value"):
            stacked = getattr(together, name)
            stacked.weight.copy_(torch.cat([getattr(head, name).weight for head in heads]))
            stacked.bias.zero_()
    apart = run(lambda x: together.proj(torch.cat([head(x) for head in heads], -1)), [x])
    assert_same(run(together, [x]), apart)


@pytest.mark.parametrize("kind", [MultiHeadAttention, CrossAttention])
def test_the_parameters_of_gpt2s_attention(kind):
    count = sum(p.numel() for p in kind(768, 12).parameters())
    assert count == 4 * 768**2 + 4 * 768 == 2_362_368


# --- another text


@both_dtypes
@pytest.mark.parametrize(("B", "T", "S"), [(2, 5, 9), (2, 9, 5), (1, 4, 1), (1, 1, 4), (3, 6, 6)])
def test_cross_attention_equals_pytorchs_module(dtype, B, T, S):
    ours = with_random_biases(CrossAttention(12, 4).to(dtype))
    theirs = torch_attention(ours)
    inputs = randn(B, T, 12, dtype=dtype), randn(B, S, 12, dtype=dtype, seed=1)
    result = run(
        lambda x, context: theirs(x, context, context, need_weights=False)[0],
        inputs,
        theirs.parameters(),
    )
    assert_same(run(ours, inputs, ours.parameters()), their_gradients(theirs, result))


@given(sizes, st.integers(1, 9), dtypes)
@settings(max_examples=40)
def test_full_attention_equals_the_kernel(size, S, dtype):
    B, H, T, D = size
    q, (k, v) = randn(B, H, T, D, dtype=dtype), randn(2, B, H, S, D, dtype=dtype, seed=1)
    kernel = run(F.scaled_dot_product_attention, (q, k, v))
    assert_same(run(full_attention, (q, k, v)), kernel)


CROSS_SHAPES = {
    "sizes": ((1, 1, 3, 2), (1, 1, 4, 5), (1, 1, 4, 2)),
    "batches": ((2, 1, 3, 2), (1, 1, 4, 2), (1, 1, 4, 2)),
    "values of other tokens": ((1, 1, 3, 2), (1, 1, 4, 2), (1, 1, 3, 2)),
    "nothing to look at": ((1, 1, 3, 2), (1, 1, 0, 2), (1, 1, 0, 2)),
}


@pytest.mark.parametrize("shapes", CROSS_SHAPES.values(), ids=CROSS_SHAPES)
def test_a_context_that_does_not_fit_is_refused(shapes):
    with pytest.raises(ValueError, match=r"need q \(B, H, T, D\), k and v \(B, H, S, D\), not"):
        full_attention(*(torch.zeros(shape) for shape in shapes))


def test_texts_of_different_batches_are_refused():
    with pytest.raises(ValueError, match="need q"):
        CrossAttention(8, 2)(torch.zeros(2, 3, 8), torch.zeros(1, 3, 8))


# --- blocks


def test_the_running_softmax_worked_by_hand():
    start = torch.tensor([-math.inf]), torch.zeros(1), torch.zeros(1)
    scores, values = torch.tensor([1.0, 3.0, 2.0, 5.0]), torch.tensor([[10.0], [20], [30], [40]])
    largest, total, mixed = take_block(start, scores[:2], values[:2])
    seen = [part.item() for part in (largest, total, mixed / total)]
    assert seen == pytest.approx([3, 1.1353, 18.808], abs=1e-3)
    largest, total, mixed = take_block((largest, total, mixed), scores[2:], values[2:])
    seen = [part.item() for part in (largest, total, mixed / total)]
    assert seen == pytest.approx([5, 1.2034, 36.8806], abs=1e-3)
    assert seen[2] == pytest.approx((scores.softmax(0) @ values).item(), abs=1e-5)


@given(sizes, st.integers(1, 20), dtypes, st.integers(0, 9))
@settings(max_examples=80)
def test_blocks_of_any_size_give_the_same_values_and_gradients(size, block_size, dtype, seed):
    inputs = qkv(*size, dtype=dtype, seed=seed)
    blocked = run(lambda q, k, v: flash_reference(q, k, v, block_size), inputs)
    assert_same(blocked, run(causal_attention, inputs))
    assert_same(blocked, run(sdpa, inputs))


@pytest.mark.parametrize("T", [64, 100, 257])
def test_long_texts_in_blocks_equal_the_kernel(T):
    inputs = qkv(1, 2, T, 24)
    blocked = run(lambda q, k, v: flash_reference(q, k, v, 32), inputs)
    assert_same(blocked, run(sdpa, inputs), terms=257)


def test_the_gradient_of_the_blocked_form_is_the_slope():
    inputs = [x.requires_grad_() for x in qkv(1, 1, 5, 2, dtype=torch.float64)]
    assert torch.autograd.gradcheck(lambda q, k, v: flash_reference(q, k, v, 2), inputs)


@pytest.mark.parametrize(("T", "block_size"), [(8, 2), (9, 4), (5, 7), (6, 1)])
def test_blocks_of_the_future_are_never_computed(monkeypatch, T, block_size):
    shapes = []

    def spy(state, scores, v):
        shapes.append(tuple(scores.shape[-2:]))
        return take_block(state, scores, v)

    monkeypatch.setattr(attention, "take_block", spy)
    flash_reference(*qkv(1, 1, T, 3), block_size)
    blocks = math.ceil(T / block_size)
    assert len(shapes) == blocks * (blocks + 1) // 2
    assert max(max(shape) for shape in shapes) <= block_size


@pytest.mark.parametrize("block_size", [0, -3])
def test_a_block_holds_at_least_one_token(block_size):
    with pytest.raises(ValueError, match=f"block_size must be at least 1, not {block_size}"):
        flash_reference(*qkv(1, 1, 4, 2), block_size)


# --- GPT-2's attention


@both_dtypes
@pytest.mark.parametrize(("B", "T"), [(2, 16), (1, 7), (3, 1)])
@pytest.mark.parametrize(("C", "H"), [(30, 5), (9, 3), (16, 1)])
def test_gpt2s_attention_is_multi_head_attention_with_one_map(dtype, B, T, C, H):
    apart, x = with_random_biases(MultiHeadAttention(C, H).to(dtype)), randn(B, T, C, dtype=dtype)
    fused = CausalSelfAttention(config(n_embd=C, n_head=H)).to(dtype)
    maps = [apart.query, apart.key, apart.value]
    with torch.no_grad():
        fused.c_attn.weight.copy_(torch.cat([m.weight for m in maps]))
        fused.c_attn.bias.copy_(torch.cat([m.bias for m in maps]))
    fused.c_proj.load_state_dict(apart.proj.state_dict())
    result = run(fused, [x], fused.parameters())
    assert_same(their_gradients(fused, result), run(apart, [x], apart.parameters()))


@both_dtypes
@pytest.mark.parametrize(("B", "T"), [(2, 16), (1, 7)])
def test_gpt2s_attention_equals_the_one_of_transformers(dtype, B, T):
    from transformers.models.gpt2.modeling_gpt2 import GPT2Attention

    theirs = GPT2Attention(their_config(), layer_idx=0).to(dtype)
    ours = CausalSelfAttention(config()).to(dtype)
    copy_transposed(theirs, ours)
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=dtype)[None, None]
    x = randn(B, T, 30, dtype=dtype)
    result = run(lambda x: theirs(x, attention_mask=mask)[0], [x], theirs.parameters())
    out, (dx, *weights) = run(ours, [x], ours.parameters())
    assert_same((out, [dx, *(turned(w) for w in weights)]), result)


@pytest.mark.parametrize("bias", [True, False])
def test_the_parameters_have_gpt2s_names(bias):
    names = {"c_attn.weight", "c_proj.weight"}
    names |= {"c_attn.bias", "c_proj.bias"} if bias else set()
    state = CausalSelfAttention(config(bias=bias)).state_dict()
    assert state.keys() == names
    assert state["c_attn.weight"].shape == (90, 30)


def test_more_tokens_than_the_context_holds_are_refused():
    model = CausalSelfAttention(config(block_size=4))
    model(torch.zeros(1, 4, 30))
    with pytest.raises(ValueError, match="5 tokens are more than block_size=4"):
        model(torch.zeros(1, 5, 30))


@pytest.mark.parametrize("shape", [(4, 30), (2, 3, 4, 30)])
def test_gpt2s_attention_wants_a_batch_of_vectors(shape):
    with pytest.raises(ValueError, match=r"x must be \(B, T, C\), not"):
        CausalSelfAttention(config())(torch.zeros(shape))


@pytest.mark.parametrize("dropout", [-0.1, 1.5])
def test_a_dropout_that_is_no_probability_is_refused(dropout):
    with pytest.raises(ValueError, match="probability has to be between 0 and 1"):
        CausalSelfAttention(config(dropout=dropout))


def test_the_kernel_drops_only_in_training(monkeypatch):
    asked, kernel = [], F.scaled_dot_product_attention

    def spy(*args, **options):
        asked.append((options["dropout_p"], options["is_causal"]))
        return kernel(*args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    model, x = CausalSelfAttention(config(dropout=0.3)), randn(1, 6, 30)
    first, second = model(x), model(x)
    assert not torch.equal(first, second)
    model.eval()
    assert torch.equal(model(x), model(x))
    assert asked == [(0.3, True)] * 2 + [(0.0, True)] * 2


def test_weights_and_output_are_both_dropped():
    torch.manual_seed(0)
    x, ones = torch.randn(8, 16, 30), nn.Linear(30, 30)
    model = CausalSelfAttention(config(dropout=0.5))
    zero = (model(x) == 0).float().mean()  # of the output
    assert 0.4 < zero < 0.6
    model.resid_dropout.p = 0.0
    model.c_proj = ones
    assert not torch.equal(model(x), model(x))  # of the weights, inside the kernel


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_numbers_pass_through_the_module(dtype):
    model, x = CausalSelfAttention(config()), randn(2, 9, 30)
    wanted = model(x)
    out = model.to(dtype)(x.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), wanted, atol=2e-2, rtol=2e-2)
