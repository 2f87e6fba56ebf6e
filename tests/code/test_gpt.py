"""gpt: counted on paper, named as in transformers, its loss by our own formula in float64."""

import copy
import io
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial.gpt import GPT, SIZES, GPTConfig, check_ids
from oracles import both_dtypes, cross_entropy, randomise, rounding

SMALL = dict(block_size=16, vocab_size=65, n_layer=2, n_head=3, n_embd=24)


def small(dtype=torch.float32, **changes):
    model = GPT(GPTConfig(**SMALL | changes)).to(dtype)
    randomise(model)
    return model


def ids(*shape, V=65, seed=0):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def on_paper(config):
    """Build a model of shapes without numbers."""
    with torch.device("meta"):
        return GPT(config)


def count(model):
    return sum(p.numel() for p in model.parameters())


# --- counted on paper


def paper_count(V, T, L, C):
    tables = V * C + T * C
    norm, attention = 2 * C, (C * 3 * C + 3 * C) + (C * C + C)
    think = (C * 4 * C + 4 * C) + (4 * C * C + C)
    return tables + L * (norm + attention + norm + think) + norm


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_the_four_sizes_have_as_many_parameters_as_on_paper(name, total):
    config = GPT.SIZES[name]
    assert count(on_paper(config)) == total
    assert paper_count(50257, 1024, config.n_layer, config.n_embd) == total


def test_the_four_sizes_are_those_of_the_paper():
    """Table 2 of Radford et al. (2019); heads of 64 numbers each."""
    assert SIZES is GPT.SIZES
    shape = {name: (c.n_layer, c.n_embd) for name, c in SIZES.items()}
    assert list(shape.values()) == [(12, 768), (24, 1024), (36, 1280), (48, 1600)]
    for config in SIZES.values():
        assert config.n_embd == 64 * config.n_head
        assert (config.vocab_size, config.block_size, config.bias) == (50257, 1024, True)
    assert SIZES["gpt2"] == GPTConfig()


@given(V=st.integers(1, 99), T=st.integers(1, 40), L=st.integers(1, 4), C=st.integers(1, 40))
@settings(max_examples=20)
def test_any_size_has_as_many_parameters_as_on_paper(V, T, L, C):
    assert count(on_paper(GPTConfig(T, V, L, 1, C))) == paper_count(V, T, L, C)


def test_tying_saves_a_table():
    model = on_paper(GPTConfig())
    untied = count(model) + model.lm_head.weight.numel()
    assert model.lm_head.weight.numel() == 38_597_376 == untied - 124_439_808


def test_without_biases():
    names = dict(on_paper(GPTConfig(**SMALL, bias=False)).named_parameters())
    assert not any(name.endswith("bias") for name in names)
    assert len(names) == 2 + 2 * 6 + 1


@pytest.mark.parametrize("name", SIZES)
def test_the_names_and_their_order_are_those_of_transformers(name):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = SIZES[name]
    sizes = dict(n_layer=config.n_layer, n_head=config.n_head, n_embd=config.n_embd)
    with torch.device("meta"):
        theirs = GPT2LMHeadModel(GPT2Config(**sizes))
    ours = on_paper(config)
    assert list(dict(ours.named_parameters())) == list(dict(theirs.named_parameters()))
    assert ours.state_dict().keys() == theirs.state_dict().keys()


# --- one table, used twice


def is_tied(model):
    head, table = model.lm_head.weight, model.transformer.wte.weight
    return head is table and head.data_ptr() == table.data_ptr()


def saved_and_loaded(model):
    """Through a file of torch.save into another model."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = GPT(model.config)
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


TRIPS = {
    "as built": lambda model: model,
    "state_dict": saved_and_loaded,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "to another dtype": lambda model: model.to(torch.float64),
    "half and back": lambda model: model.bfloat16().float(),
    "to a device": lambda model: model.to("cpu"),
}


@pytest.mark.parametrize("trip", TRIPS.values(), ids=TRIPS)
def test_the_table_and_the_head_stay_one(trip):
    model = trip(small())
    assert is_tied(model)
    assert "lm_head.weight" not in dict(model.named_parameters())
    logits, loss = model(ids(2, 5), ids(2, 5, seed=1))
    loss.backward()
    with torch.no_grad():
        model.transformer.wte.weight.add_(1)
    assert is_tied(model) and not torch.equal(model(ids(2, 5))[0], logits)


def test_both_uses_of_the_table_send_gradients_to_it():
    model = small(torch.float64)
    idx, targets = ids(2, 5, V=10), ids(2, 5, V=10, seed=1) + 20
    model(idx, targets)[1].backward()
    tied = model.transformer.wte.weight.grad
    parted = copy.deepcopy(model)
    parted.zero_grad()
    parted.lm_head.weight = torch.nn.Parameter(parted.lm_head.weight.detach().clone())
    parted(idx, targets)[1].backward()
    both = parted.lm_head.weight.grad + parted.transformer.wte.weight.grad
    torch.testing.assert_close(tied, both, atol=1e-12, rtol=0)
    assert (tied[20:30].abs().sum(-1) > 0).all()  # never looked up, only answered


def test_a_copy_shares_nothing_with_its_model():
    model = small()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.transformer.wte.weight.zero_()
    assert model.transformer.wte.weight.abs().sum() > 0


# --- forward


@pytest.mark.parametrize(("B", "T"), [(1, 1), (4, 16), (3, 7)])
def test_shapes(B, T):
    model, idx = small(), ids(B, T)
    logits, loss = model(idx)
    assert logits.shape == (B, T, 65) and loss is None
    logits, loss = model(idx, idx)
    assert logits.shape == (B, T, 65) and loss.shape == ()
    assert model(idx, last_only=True)[0].shape == (B, 1, 65)


@both_dtypes
def test_the_last_place_alone_is_the_last_of_all(dtype):
    model, idx = small(dtype), ids(3, 11)
    whole, last = model(idx)[0], model(idx, last_only=True)[0]
    torch.testing.assert_close(last, whole[:, -1:], atol=rounding(whole), rtol=0)


@both_dtypes
def test_the_loss_is_the_cross_entropy_of_the_logits(dtype):
    model, idx, targets = small(dtype), ids(3, 11), ids(3, 11, seed=1)
    logits, loss = model(idx, targets)
    wanted = cross_entropy(logits, targets).item()
    assert loss.item() == pytest.approx(wanted, abs=rounding(logits))


def test_places_that_are_marked_do_not_count():
    """−100 is what torch.nn.functional.cross_entropy leaves out."""
    model, idx, targets = small(), ids(1, 8), ids(1, 8, seed=1)
    targets[:, 5:] = -100
    logits, loss = model(idx, targets)
    wanted = cross_entropy(logits[:, :5], targets[:, :5]).item()
    assert loss.item() == pytest.approx(wanted, abs=1e-5)


@both_dtypes
def test_the_tower_is_what_the_formula_says(dtype):
    """Two tables added, the blocks one after the other, a norm, and the first table again."""
    model, idx = small(dtype), ids(2, 9)
    parts = model.transformer
    x = parts.wte.weight[idx] + parts.wpe.weight[torch.arange(9)]
    for block in parts.h:
        x = block(x)
    logits = parts.ln_f(x) @ parts.wte.weight.T
    torch.testing.assert_close(model(idx)[0], logits, atol=rounding(logits), rtol=0)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_short_and_long_ids(dtype):
    model = small()
    assert torch.equal(model(ids(2, 5).to(dtype))[0], model(ids(2, 5))[0])


def test_places_matter():
    """The same token twice, after the same token: only wpe tells the places apart."""
    model, idx = small(), torch.full((1, 6), 7)
    logits = model(idx)[0]
    assert (logits[:, 1:] - logits[:, :-1]).abs().max() > 0.01
    torch.nn.init.zeros_(model.transformer.wpe.weight)
    logits = model(idx)[0]
    torch.testing.assert_close(logits[:, 1:], logits[:, :-1])


def test_sequences_of_a_batch_do_not_touch_each_other():
    model, idx = small(torch.float64), ids(4, 9)
    alone = torch.cat([model(row[None])[0] for row in idx])
    torch.testing.assert_close(model(idx)[0], alone, atol=1e-12, rtol=0)


def test_dropout_only_in_training():
    torch.manual_seed(0)
    model, idx = small(dropout=0.2), ids(2, 9)
    assert not torch.equal(model(idx)[0], model(idx)[0])
    model.eval()
    assert torch.equal(model(idx)[0], model(idx)[0])
    torch.testing.assert_close(model(idx)[0], small(dropout=0.0)(idx)[0])


def test_dropout_falls_on_the_sum_of_both_tables():
    torch.manual_seed(0)
    model, heard = small(dropout=0.25), []
    model.transformer.h[0].register_forward_hook(lambda part, inputs, out: heard.append(inputs[0]))
    idx = ids(50, 16)
    model(idx)
    model.eval()(idx)
    dropped = heard[0] == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.02)
    torch.testing.assert_close(heard[0][~dropped], heard[1][~dropped] / 0.75)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_numbers_pass_through(dtype):
    model, idx = small(), ids(2, 9)
    wanted = model(idx)[0]
    out, loss = model.to(dtype)(idx, idx)
    assert out.dtype == dtype and loss.isfinite()
    torch.testing.assert_close(out.float(), wanted, atol=0.2, rtol=0.1)


# --- the first weights and the first loss


def test_the_first_weights_have_gpt2s_spread():
    torch.manual_seed(0)
    model = GPT(GPTConfig(block_size=256, vocab_size=512, n_layer=8, n_head=4, n_embd=128))
    for name, weight in model.named_parameters():
        if ".ln_" in name:
            assert (weight == (0 if name.endswith("bias") else 1)).all(), name
        elif name.endswith("bias"):
            assert (weight == 0).all(), name
        else:
            wanted = 0.02 / math.sqrt(2 * 8) if "c_proj" in name else 0.02
            assert weight.std().item() == pytest.approx(wanted, rel=0.04), name
            assert abs(weight.mean().item()) < wanted / 30, name


def test_one_seed_gives_one_model():
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(GPT(GPTConfig(**SMALL)).state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


@pytest.mark.slow
def test_the_first_loss_of_gpt2_is_a_little_above_that_of_a_fair_guess():
    torch.manual_seed(0)
    model = GPT(GPTConfig()).eval()
    idx = ids(1, 65, V=50257)
    with torch.no_grad():
        loss = model(idx[:, :-1], idx[:, 1:])[1].item()
    assert math.log(50257) < 10.9 < loss < 11.1


def test_one_batch_can_be_learned_by_heart():
    torch.manual_seed(0)
    model = GPT(GPTConfig(**SMALL))
    idx, targets = ids(4, 16), ids(4, 16, seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    first = model(idx, targets)[1].item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = model(idx, targets)[1]
        loss.backward()
        optimizer.step()
    assert first > 4 and model(idx, targets)[1].item() < 0.01
    assert is_tied(model)


def test_every_parameter_learns():
    model = small()
    model(ids(3, 16), ids(3, 16, seed=1))[1].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


# --- refusals

BAD_CONFIGS = {
    "no tokens": (dict(vocab_size=0), "vocab_size must be a whole number above 0, not 0"),
    "negative": (dict(block_size=-4), "block_size must be a whole number above 0, not -4"),
    "a fraction": (dict(n_layer=1.5), "n_layer must be a whole number above 0, not 1.5"),
    "a float": (dict(n_embd=24.0), "n_embd must be a whole number above 0, not 24.0"),
    "a truth": (dict(n_layer=True), "n_layer must be a whole number above 0, not True"),
    "nothing": (dict(block_size=None), "block_size must be a whole number above 0, not None"),
    "a text": (dict(n_head="3"), "n_head must be a whole number above 0, not '3'"),
    "heads": (dict(n_head=5), "5 heads cannot share n_embd=24 equally"),
    "no heads": (dict(n_head=0), "n_head must be a whole number above 0, not 0"),
    "all dropped": (dict(dropout=1.0), "dropout must be from 0 to below 1, not 1.0"),
    "less than none dropped": (dict(dropout=-0.1), "dropout must be from 0 to below 1, not -0.1"),
    "nan dropped": (dict(dropout=math.nan), "dropout must be from 0 to below 1, not nan"),
    "a text dropped": (dict(dropout="a"), "dropout must be from 0 to below 1, not 'a'"),
}


@pytest.mark.parametrize(("changes", "words"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_size_that_no_model_has_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        GPTConfig(**SMALL | changes)


BAD_IDS = {
    "one sequence": (torch.zeros(4).long(), {}, r"idx must be ids \(B, T\), not \(4,\)"),
    "no tokens": (torch.zeros(2, 0).long(), {}, r"not \(2, 0\) of torch.int64"),
    "no sequences": (torch.zeros(0, 4).long(), {}, r"not \(0, 4\) of torch.int64"),
    "vectors": (torch.zeros(2, 4, 24), {}, r"not \(2, 4, 24\) of torch.float32"),
    "floats": (torch.zeros(2, 4), {}, r"not \(2, 4\) of torch.float32"),
    "bytes": (torch.zeros(2, 4, dtype=torch.uint8), {}, "torch.uint8"),
    "too long": (torch.zeros(1, 17).long(), {}, "17 tokens are more than block_size=16"),
    "other targets": (
        torch.zeros(2, 4).long(),
        dict(targets=torch.zeros(2, 3).long()),
        r"targets \(2, 3\), idx \(2, 4\)",
    ),
    "last only": (
        torch.zeros(2, 4).long(),
        dict(targets=torch.zeros(2, 4).long(), last_only=True),
        "last_only=True",
    ),
}


@pytest.mark.parametrize(("idx", "more", "words"), BAD_IDS.values(), ids=BAD_IDS)
def test_what_is_no_batch_of_ids_is_refused(idx, more, words):
    with pytest.raises(ValueError, match=words):
        small()(idx, **more)


def test_ids_beyond_the_vocabulary_are_refused_by_torch():
    for wrong in (65, -1):
        with pytest.raises(IndexError):
            small()(torch.full((1, 4), wrong))


def test_good_ids_pass():
    check_ids(ids(2, 4), ids(2, 4), block_size=4, last_only=False)


def test_the_config_cannot_be_changed_under_a_model():
    with pytest.raises(AttributeError):
        small().config.n_layer = 5
