"""int8: copies that write faster hold the same numbers, or numbers half a step away at most."""

import pytest
import torch
import torch.nn as nn

from gpt2_tutorial import int8
from gpt2_tutorial.generate import generate
from tiers import compiles
from writers import prompt, seeded, small

ONE = torch.zeros(1, 1, dtype=torch.long)


def test_by_columns_changes_where_numbers_lie_and_nothing_else():
    model = small()
    other = int8.by_columns(model)
    assert model.lm_head.weight.is_contiguous()
    assert not other.lm_head.weight.is_contiguous()
    assert other.lm_head.weight is other.transformer.wte.weight
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, other.state_dict()[name])
    idx = prompt(model, 2, 3)
    assert torch.equal(
        generate(model, idx, 20, temperature=0), generate(other, idx, 20, temperature=0)
    )


def test_int8_weights_are_within_half_a_step_row_by_row():
    layer = nn.Linear(40, 9)
    with torch.no_grad():
        layer.weight[3] *= 1000  # a wild row costs the others nothing
        layer.weight[5] = 0
    quantised = int8.Int8Linear(layer)
    back = quantised.weight.float() * quantised.step[:, None]
    half = layer.weight.abs().amax(1, keepdim=True) / 254
    assert ((back - layer.weight).abs() <= half * 1.001).all()


@pytest.mark.parametrize("bias", [True, False])
def test_int8_product_is_the_product_of_the_rounded_numbers(bias):
    layer, x = nn.Linear(48, 20, bias=bias).double(), torch.randn(2, 3, 48, dtype=torch.float64)
    quantised = int8.Int8Linear(layer)
    step = x.abs().amax(-1, keepdim=True) / 127
    rounded = (x / step).round() * step
    want = rounded @ (quantised.weight.double() * quantised.step[:, None]).t()
    want = want + layer.bias if bias else want
    torch.testing.assert_close(quantised(x), want, atol=1e-12, rtol=0)


def test_where_int_mm_is_missing_the_weights_are_multiplied_out(monkeypatch):
    layer, x = nn.Linear(48, 20), torch.randn(2, 3, 48)
    quantised = int8.Int8Linear(layer)
    with_it = quantised(x)
    monkeypatch.delattr(torch, "_int_mm")
    without = quantised(x)
    assert (with_it - without).abs().max() < 0.03
    assert (without - layer(x)).abs().max() < 0.03


def test_an_int8_model_reads_like_the_model_and_keeps_one_table():
    model = small(dtype=torch.float32, n_embd=64, block_size=32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
    before = {k: v.clone() for k, v in model.state_dict().items()}
    copy = int8.quantize_int8(model)
    assert copy.lm_head.weight.data_ptr() == copy.transformer.wte.weight.data_ptr()
    kinds = [type(part) for part in copy.modules()]
    assert kinds.count(int8.Int8Linear) == 4 * 2 + 1
    assert nn.Linear not in kinds
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    idx = prompt(model, 4, 32)
    want, _ = model(idx)
    got, _ = copy(idx)
    assert (got - want).norm() < 0.05 * want.norm()
    assert generate(copy, idx[:, :5], 40).shape == (4, 45)


def test_an_int8_model_writes_the_same_with_the_cache_and_without():
    """In float64: that rounding turns one of the whole numbers would be a rare accident."""
    for seed in range(10):
        copy = int8.quantize_int8(small(seed))
        idx = prompt(copy, 2, 4, seed)
        quick, plain = (
            generate(copy, idx, 20, cache=cache, generator=seeded(seed)) for cache in (True, False)
        )
        assert torch.equal(quick, plain)


def test_an_int8_row_is_the_weights_multiplied_out():
    for out, into, seed in ((1, 1, 0), (9, 40, 1), (31, 64, 2)):
        layer = nn.Linear(into, out).double()
        part, x = int8.Int8Linear(layer), torch.randn(into, generator=seeded(seed)).double()
        want = (part.weight.double() * part.step[:, None]) @ x + layer.bias
        got = int8.int8_row(x, part.weight, part.step, part.bias)
        torch.testing.assert_close(got, want, atol=1e-12, rtol=0)


def multiplied_out(model):
    """An ordinary model whose weights are those that an int8 model stands for."""
    copy = int8.quantize_int8(model)
    for part in copy.modules():
        for name, layer in list(part.named_children()):
            if isinstance(layer, int8.Int8Linear):
                plain = nn.Linear(layer.weight.size(1), layer.weight.size(0))
                plain.weight.data = layer.weight.to(layer.step.dtype) * layer.step[:, None]
                plain.bias.data = layer.bias
                setattr(part, name, plain)
    return copy


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@compiles
def test_compiled_rows_write_what_the_weights_multiplied_out_write():
    model = small(dtype=torch.float32)
    quick, plain = int8.quantize_int8(model, compiled=True), multiplied_out(model)
    for layer, other in zip(quick.modules(), plain.modules(), strict=False):
        if isinstance(layer, int8.Int8Linear):
            x = torch.randn(1, 1, layer.weight.size(1), generator=seeded(0))
            with torch.inference_mode():
                torch.testing.assert_close(layer(x), other(x), rtol=1e-4, atol=1e-5)
    idx = prompt(model, 1, 1)
    got = generate(quick, idx, 11, temperature=0)
    assert torch.equal(got, generate(plain, idx, 11, temperature=0))
    # More than one row goes the usual way: the numbers of the copy that is not compiled.
    idx = prompt(model, 3, 6)
    assert torch.equal(quick(idx)[0], int8.quantize_int8(model)(idx)[0])


def test_where_nothing_can_be_compiled_one_sentence_says_so(monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("no g++")

    monkeypatch.setattr(torch, "compile", lambda f, **options: broken)
    with pytest.raises(RuntimeError, match=r"^torch.compile fails here: it needs a C\+\+ compiler"):
        int8.quantize_int8(small(), compiled=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_int8_copy_of_a_half_precision_model_adds_up_in_float32(dtype):
    model = small(dtype=torch.float32).to(dtype)
    copy = int8.quantize_int8(model)
    assert copy.transformer.wpe.weight.dtype == torch.float32
    assert model.lm_head.weight.dtype == dtype
    assert generate(copy, ONE, 20).shape == (1, 21)


def test_a_model_is_not_quantised_twice():
    with pytest.raises(ValueError, match="int8 already"):
        int8.quantize_int8(int8.quantize_int8(small()))
