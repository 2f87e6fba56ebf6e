"""block: held against the same steps written out by hand, and against the block of transformers."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn

from gpt2_tutorial.block import MLP, Block, init_weights
from oracles import (
    assert_same,
    both_dtypes,
    by_loops,
    copy_transposed,
    randn,
    rounding,
    run,
    their_config,
    turned,
)


def config(**changes):
    plain = dict(n_embd=30, n_head=5, block_size=16, dropout=0.0, bias=True)
    return SimpleNamespace(**plain | changes)


def random_block(dtype=torch.float32, **changes):
    block = Block(config(**changes)).to(dtype)
    for seed, parameter in enumerate(block.parameters()):
        parameter.data = randn(*parameter.shape, dtype=dtype, seed=seed) / 10
    return block


def layer_norm(x, norm):
    """The formula: subtract the mean, divide by the spread (÷ n), then scale and shift."""
    centred = x - x.mean(-1, keepdim=True)
    spread = ((centred**2).mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * norm.weight + norm.bias


def gelu(x):
    """The tanh form, as OpenAI wrote it."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attend(x, attn, n_head):
    """Head by head, row by row."""
    qkv, size = x @ attn.c_attn.weight.T + attn.c_attn.bias, x.size(-1) // n_head
    q, k, v = qkv.split(x.size(-1), -1)
    heads = []
    for h in range(n_head):
        mine, rows = slice(h * size, (h + 1) * size), []
        for i in range(x.size(1)):
            scores = k[:, : i + 1, mine] @ q[:, i, mine, None] / math.sqrt(size)  # (B, i + 1, 1)
            rows.append((scores.softmax(1) * v[:, : i + 1, mine]).sum(1))
        heads.append(torch.stack(rows, 1))
    return torch.cat(heads, -1) @ attn.c_proj.weight.T + attn.c_proj.bias


def think(x, mlp):
    wide = gelu(x @ mlp.c_fc.weight.T + mlp.c_fc.bias)
    return wide @ mlp.c_proj.weight.T + mlp.c_proj.bias


@both_dtypes
@pytest.mark.parametrize(("B", "T"), [(2, 16), (1, 7), (1, 1)])
def test_a_block_is_its_steps_by_hand_in_values_and_gradients(dtype, B, T):
    block, x = random_block(dtype), randn(B, T, 30, dtype=dtype)

    def by_hand(x):
        x = x + attend(layer_norm(x, block.ln_1), block.attn, n_head=5)
        return x + think(layer_norm(x, block.ln_2), block.mlp)

    weights = list(block.parameters())
    assert_same(run(block, [x], weights), run(by_hand, [x], weights))


def test_the_steps_by_hand_attend_as_the_plain_loops_do():
    block, x = random_block(torch.float64, n_head=1), randn(1, 6, 30, dtype=torch.float64)
    q, k, v = block.attn.c_attn(x)[0].split(30, -1)
    mixed = torch.tensor(by_loops(q.tolist(), k.tolist(), v.tolist()), dtype=torch.float64)
    expected = block.attn.c_proj(mixed)
    torch.testing.assert_close(attend(x, block.attn, n_head=1)[0], expected)


@both_dtypes
@pytest.mark.parametrize(("B", "T"), [(2, 16), (1, 7)])
def test_a_block_equals_the_one_of_transformers(dtype, B, T):
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    theirs, ours = GPT2Block(their_config(), layer_idx=0).to(dtype), Block(config()).to(dtype)
    copy_transposed(theirs, ours)
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=dtype)[None, None]
    x, names = randn(B, T, 30, dtype=dtype), [name for name, _ in ours.named_parameters()]
    their_weights = dict(theirs.named_parameters())

    def their_forward(x):
        out = theirs(x, attention_mask=mask)
        return out[0] if isinstance(out, tuple) else out

    result = run(their_forward, [x], [their_weights[name] for name in names])
    out, (dx, *weights) = run(ours, [x], ours.parameters())
    assert_same((out, [dx, *(turned(w) for w in weights)]), result)


def test_layer_norm_worked_by_hand():
    norm = Block(config(n_embd=4, n_head=1)).ln_1
    by_hand = [-1.3416, -0.4472, 0.4472, 1.3416]
    assert norm(torch.tensor([1.0, 2, 3, 4])).tolist() == pytest.approx(by_hand, abs=1e-4)


@both_dtypes
def test_the_small_network_uses_the_tanh_form_of_gelu(dtype):
    mlp = MLP(config(n_embd=7)).to(dtype)
    x, weights = 3 * randn(2, 5, 7, dtype=dtype), list(mlp.parameters())
    assert_same(run(mlp, [x], weights), run(lambda x: think(x, mlp), [x], weights))
    exact = mlp.c_proj(nn.functional.gelu(mlp.c_fc(x)))
    assert (mlp(x) - exact).abs().max() > 2 * rounding(exact)


def test_the_small_network_never_looks_at_another_token():
    mlp, x = MLP(config()), randn(1, 8, 30)
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    torch.testing.assert_close(mlp(x[:, order]), mlp(x)[:, order])
    torch.testing.assert_close(mlp(x[:, 3]), mlp(x)[:, 3])


@pytest.mark.parametrize("bias", [True, False])
def test_the_parameters_have_gpt2s_names(bias):
    maps = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    kinds = ("weight", "bias") if bias else ("weight",)
    names = [f"{part}.{kind}" for part in maps for kind in kinds]
    assert list(Block(config(bias=bias)).state_dict()) == names


def test_the_parameters_of_gpt2s_block():
    block = Block(config(n_embd=768, n_head=12, block_size=1024))
    assert sum(p.numel() for p in block.parameters()) == 7_087_872


def test_a_block_that_adds_nothing_hands_the_stream_on():
    block, x = Block(config()), randn(2, 5, 30)
    for part in (block.attn.c_proj, block.mlp.c_proj):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    assert torch.equal(block(x), x)


def test_dropout_only_in_training():
    torch.manual_seed(0)
    block, x = random_block(dropout=0.2), randn(2, 9, 30)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
    quiet = random_block(dropout=0.0)
    torch.testing.assert_close(block(x), quiet(x))


def test_the_small_network_drops_its_output_and_rescales_the_rest():
    torch.manual_seed(0)
    mlp, x = MLP(config(dropout=0.25)), randn(20, 16, 30)
    out, kept = mlp(x), mlp.eval()(x)
    dropped = out == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(out[~dropped], kept[~dropped] / 0.75)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_numbers_pass_through_the_block(dtype):
    block, x = random_block(), randn(2, 9, 30)
    wanted = block(x)
    out = block.to(dtype)(x.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), wanted, atol=0.1, rtol=0.1)


def test_a_text_that_is_too_long_or_of_another_width_is_refused():
    with pytest.raises(ValueError, match="17 tokens are more than block_size=16"):
        Block(config())(torch.zeros(1, 17, 30))
    with pytest.raises(ValueError, match="7 heads cannot share n_embd=30 equally"):
        Block(config(n_head=7))
    with pytest.raises(RuntimeError, match="30"):
        Block(config())(torch.zeros(1, 4, 31))


# --- the first weights


def stack(depth, n_embd=96, **changes):
    return nn.Sequential(*(Block(config(n_embd=n_embd, n_head=4, **changes)) for _ in range(depth)))


@pytest.mark.parametrize("n_layer", [1, 6, 12])
def test_the_first_weights_have_gpt2s_spread(n_layer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(65, 96), *stack(2), nn.Linear(96, 65, bias=False))
    for part in model.modules():
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.ones_(part.bias)
    init_weights(model, n_layer)
    for name, weight in model.named_parameters():
        if "ln_" in name:
            assert (weight == (0 if name.endswith("bias") else 1)).all()
        elif name.endswith("bias"):
            assert (weight == 0).all()
        else:
            wanted = 0.02 / math.sqrt(2 * n_layer) if "c_proj" in name else 0.02
            assert weight.std().item() == pytest.approx(wanted, rel=0.05), name
            assert abs(weight.mean().item()) < wanted / 10


def test_one_seed_gives_the_same_first_weights():
    models = [stack(2), stack(2)]
    for model in models:
        torch.manual_seed(5)
        init_weights(model, 2)
    pairs = zip(*(model.parameters() for model in models), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_tied_weights_stay_tied():
    model = nn.Sequential(nn.Embedding(65, 30), nn.Linear(30, 65, bias=False))
    model[1].weight = model[0].weight
    init_weights(model, 1)
    assert model[1].weight is model[0].weight
    assert model[0].weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_smaller_first_steps_keep_the_stream_from_growing_with_depth():
    torch.manual_seed(0)
    x, spread = 0.02 * torch.randn(4, 16, 96), {}
    for depth in (6, 24):
        model = stack(depth)
        init_weights(model, depth)
        spread["scaled", depth] = model(x).std().item()
        init_weights(model, 1)  # as if one block were all
        spread["unscaled", depth] = model(x).std().item()
    assert spread["unscaled", 24] > 1.5 * spread["unscaled", 6]
    assert spread["scaled", 24] < 1.2 * spread["scaled", 6]


@pytest.mark.parametrize("n_layer", [0, -1])
def test_a_model_has_at_least_one_layer(n_layer):
    with pytest.raises(ValueError, match=f"n_layer must be at least 1, not {n_layer}"):
        init_weights(stack(1), n_layer)
