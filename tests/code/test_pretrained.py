"""pretrained, weight_files: held against transformers both ways, and against broken files.

Loss and gradients are compared too, both taken from the logits by our own formula in float64.
"""

import ast
import functools
import json
import os
import resource
import struct
import sys
import tempfile
import types
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import gpt2_tutorial.block
from gpt2_tutorial import pretrained, weight_files
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.pretrained import (
    TRANSPOSED,
    check_fit,
    config_for,
    config_from,
    conv1d_to_linear,
    copy_weights,
    load_gpt2,
    save_gpt2,
    weights_of,
)
from gpt2_tutorial.probes import LayerGap, compare_layers, layer_report
from gpt2_tutorial.weight_files import WeightsError
from oracles import cross_entropy, randomise, their_model, turned

GAP = {torch.float32: 1e-4, torch.float64: 1e-10}
SMALL = GPTConfig(block_size=8, vocab_size=65, n_layer=2, n_head=3, n_embd=24)


@pytest.fixture(autouse=True)
def no_progress_bars():
    from transformers.utils import logging

    logging.disable_progress_bar()


def ours(config=SMALL, dtype=torch.float32, seed=0):
    model = GPT(config).to(dtype).eval()
    randomise(model, seed)
    return model


def ids(*shape, V=65, seed=0):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def from_transformers(folder):
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(folder).eval()


def answers(model, idx, targets):
    """Logits, our float64 loss of them, and the gradients by name, all turned as ours are."""
    model.zero_grad()
    out = model(idx)
    logits = out[0] if isinstance(out, tuple) else out.logits
    loss = cross_entropy(logits, targets)
    loss.backward()
    return logits.detach(), loss.detach(), {n: p.grad for n, p in model.named_parameters()}


def assert_equal_models(mine, theirs, idx, targets, gap):
    """Ours and a GPT2LMHeadModel: logits, loss and every gradient; returns the widest gaps."""
    (a, a_loss, a_grads), (b, b_loss, b_grads) = (answers(m, idx, targets) for m in (mine, theirs))
    assert a.shape == b.shape == (*idx.shape, mine.config.vocab_size)
    assert a_grads.keys() == b_grads.keys()
    widest = 0.0
    for name, grad in a_grads.items():
        is_map = any(part in name for part in ("c_attn.w", "c_proj.w", "c_fc.w"))
        other = turned(b_grads[name]) if is_map else b_grads[name]
        assert grad.shape == other.shape, name
        widest = max(widest, (grad - other).abs().max().item())
    gaps = (a - b).abs().max().item(), (a_loss - b_loss).abs().item(), widest
    assert max(gaps) <= gap, gaps
    return gaps


# --- equal to transformers, both ways

sizes = st.fixed_dictionaries(
    dict(
        block_size=st.integers(1, 12),
        vocab_size=st.integers(2, 70),
        n_layer=st.integers(1, 3),
        n_head=st.integers(1, 4),
        head=st.integers(1, 8),
    )
)
batch = st.tuples(st.integers(1, 3), st.integers(1, 12))
both_ways = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("dtype", GAP, ids=["float32", "float64"])
@given(sizes=sizes, shape=batch, seed=st.integers(0, 99))
@both_ways
def test_transformers_reads_what_we_write(dtype, sizes, shape, seed, tmp_path_factory):
    sizes = dict(sizes)
    config = GPTConfig(n_embd=sizes.pop("head") * sizes["n_head"], **sizes)
    idx, targets = (
        ids(shape[0], min(shape[1], config.block_size), V=config.vocab_size, seed=s) for s in (1, 2)
    )
    folder, model = tmp_path_factory.mktemp("ours"), ours(config, dtype, seed)
    save_gpt2(model, folder)
    theirs = from_transformers(folder)
    assert theirs.dtype == dtype
    assert_equal_models(model, theirs, idx, targets, GAP[dtype])


@pytest.mark.parametrize("dtype", GAP, ids=["float32", "float64"])
@given(sizes=sizes, shape=batch, seed=st.integers(0, 99))
@both_ways
def test_we_read_what_transformers_writes(dtype, sizes, shape, seed, tmp_path_factory):
    sizes = dict(sizes)
    width, block_size = sizes.pop("head") * sizes["n_head"], sizes.pop("block_size")
    theirs = their_model(dtype, seed, n_embd=width, n_positions=block_size, **sizes)
    folder = tmp_path_factory.mktemp("theirs")
    theirs.save_pretrained(folder)
    idx, targets = (
        ids(shape[0], min(shape[1], block_size), V=sizes["vocab_size"], seed=s) for s in (1, 2)
    )
    model = load_gpt2(folder)
    assert next(model.parameters()).dtype == dtype
    assert_equal_models(model, theirs, idx, targets, GAP[dtype])


@pytest.mark.slow
def test_the_small_gpt2_in_full_equals_transformers(tmp_path):
    """124,439,808 random numbers, spread as first weights are, and none of them zero or one."""
    torch.manual_seed(0)
    with torch.device("meta"):
        model = GPT(GPTConfig()).eval()
    model.to_empty(device="cpu")
    model.lm_head.weight = model.transformer.wte.weight
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, 1.0 if "ln_" in name else 0.0, std=0.02)
    save_gpt2(model, tmp_path)
    theirs = from_transformers(tmp_path)
    idx, targets = ids(1, 12, V=50257), ids(1, 12, V=50257, seed=1)
    gaps = assert_equal_models(model, theirs, idx, targets, GAP[torch.float32])
    print("widest gaps of logits, loss and gradients:", *(f"{gap:.1e}" for gap in gaps))
    del theirs
    again = load_gpt2(tmp_path)
    assert torch.equal(again(idx, last_only=True)[0], model(idx, last_only=True)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_without_biases_answers_the_same_everywhere(dtype, tmp_path):
    model, idx = ours(GPTConfig(8, 65, 2, 3, 24, bias=False), dtype), ids(2, 8)
    save_gpt2(model, tmp_path)
    with torch.no_grad():
        wanted = model(idx)[0]
        theirs, again = from_transformers(tmp_path), load_gpt2(tmp_path)
        assert (theirs(idx).logits - wanted).abs().max() <= GAP[dtype]
        assert (again(idx)[0] - wanted).abs().max() <= GAP[dtype]
    assert again.config.bias and again.transformer.ln_f.bias.count_nonzero() == 0


# --- there and back


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back_nothing_changes(dtype, tmp_path):
    model = ours(GPTConfig(8, 65, 2, 3, 24, dropout=0.25), dtype)
    save_gpt2(model, tmp_path / "a")
    again = load_gpt2(tmp_path / "a")
    assert again.config == model.config and not again.training
    for name, parameter in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], parameter), name
        assert again.state_dict()[name].dtype == dtype
    save_gpt2(again, tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_file_in_another_dtype(dtype, tmp_path):
    model = ours()
    save_gpt2(model, tmp_path, dtype=dtype)
    stored = load_file(tmp_path / "model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {dtype}
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == str(dtype)[6:]
    again = load_gpt2(tmp_path)
    loaded = torch.float64 if dtype == torch.float64 else torch.float32
    for name, parameter in model.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter.to(dtype).to(loaded))
    assert next(model.parameters()).dtype == torch.float32  # the model itself stays as it was
    assert from_transformers(tmp_path).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_model_is_saved_as_it_is(dtype, tmp_path):
    save_gpt2(ours().to(dtype), tmp_path)
    assert {w.dtype for w in load_file(tmp_path / "model.safetensors").values()} == {dtype}


def test_what_was_loaded_is_tied_trains_and_lives_without_its_file(tmp_path):
    save_gpt2(ours(), tmp_path)
    model = load_gpt2(tmp_path)
    assert model.lm_head.weight is model.transformer.wte.weight
    with open(tmp_path / "model.safetensors", "r+b") as file:
        file.truncate(0)  # a model that still read from the file would die here
    model.train()
    model(ids(2, 8), ids(2, 8, seed=1))[1].backward()
    assert all(p.is_contiguous() and p.requires_grad for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_chance_is_left_alone(tmp_path):
    save_gpt2(ours(), tmp_path)
    before = torch.get_rng_state()
    save_gpt2(load_gpt2(tmp_path), tmp_path / "again")
    assert torch.equal(before, torch.get_rng_state())


def test_a_folder_as_text_or_path(tmp_path):
    save_gpt2(ours(), str(tmp_path / "new" / "deep"))
    load_gpt2(str(tmp_path / "new" / "deep"))
    load_gpt2(tmp_path / "new" / "deep", device="cpu")
    assert sorted(os.listdir(tmp_path / "new" / "deep")) == ["config.json", "model.safetensors"]


def test_the_numbers_that_generation_needs(tmp_path):
    content = config_for(GPTConfig(), torch.float32)
    assert content["bos_token_id"] == content["eos_token_id"] == 50256
    assert config_for(SMALL, torch.float32)["eos_token_id"] is None  # 65 tokens have no 50256


# --- the four maps that lie the other way round


def test_the_turned_weights_are_exactly_those_of_conv1d():
    from transformers.pytorch_utils import Conv1D

    theirs = their_model(n_embd=24, n_head=3, n_layer=2, n_positions=8, vocab_size=65)
    maps = {f"{name}.weight" for name, part in theirs.named_modules() if isinstance(part, Conv1D)}
    assert maps == {name for name, _ in ours().named_parameters() if name.endswith(TRANSPOSED)}
    assert len(maps) == 2 * len(TRANSPOSED)


def test_two_turns_are_none():
    weights = weights_of(ours())
    for name, weight in weights.items():
        assert torch.equal(conv1d_to_linear(name, conv1d_to_linear(name, weight)), weight)
        assert torch.equal(conv1d_to_linear(name, weight), ours().get_parameter(name))


def test_a_forgotten_turn_of_the_square_map_is_only_seen_in_the_values():
    name, model = "transformer.h.0.attn.c_proj.weight", ours()
    weights = weights_of(model)
    weights[name] = weights[name].T
    other = GPT(SMALL)
    copy_weights(other, weights)  # every shape fits
    assert (other(ids(2, 8))[0] - model(ids(2, 8))[0]).abs().max() > 0.01
    weights["transformer.h.0.mlp.c_fc.weight"] = weights["transformer.h.0.mlp.c_fc.weight"].T
    with pytest.raises(WeightsError, match=r"c_fc.weight is \(96, 24\) and should be \(24, 96\)"):
        copy_weights(other, weights)


def test_copied_weights_are_copies():
    model, weights = GPT(SMALL), weights_of(ours())
    copy_weights(model, weights)
    weights["transformer.wte.weight"].zero_()
    assert torch.equal(model.transformer.wte.weight, ours().transformer.wte.weight)


# --- old files


def rewritten(folder, change, config=None):
    """Save our model, then change the names and tensors of its file, and its config."""
    save_gpt2(ours(), folder)
    weights = dict(load_file(folder / "model.safetensors"))
    change(weights)
    save_file(weights, folder / "model.safetensors")
    if config:
        content = json.loads((folder / "config.json").read_text()) | config
        (folder / "config.json").write_text(json.dumps(content))
    return folder


def without_prefix(weights):
    for name in list(weights):
        weights[name.removeprefix("transformer.")] = weights.pop(name)


def with_masks(weights):
    prefix = "transformer." if "transformer.wte.weight" in weights else ""
    for i in range(2):
        weights[f"{prefix}h.{i}.attn.bias"] = torch.ones(8, 8).tril().view(1, 1, 8, 8)
        weights[f"{prefix}h.{i}.attn.masked_bias"] = torch.tensor(-1e4)


def with_byte_masks(weights):
    with_masks(weights)
    for i in range(2):
        name = f"transformer.h.{i}.attn.bias"
        weights[name] = weights[name].to(torch.uint8)


def as_released(weights):
    """OpenAI's small model on the hub: no prefix, masks in it, no lm_head."""
    without_prefix(weights)
    with_masks(weights)


def with_the_head(weights):
    weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()


def half_of_it(weights):
    for name in list(weights)[::2]:
        weights[name] = weights[name].to(torch.bfloat16).float()


def under_the_heads_name(weights):
    weights["lm_head.weight"] = weights.pop("transformer.wte.weight")


def bare_under_the_heads_name(weights):
    under_the_heads_name(weights)
    without_prefix(weights)


OLD = (without_prefix, with_masks, with_byte_masks, as_released, with_the_head)
OLD += (under_the_heads_name, bare_under_the_heads_name)


@pytest.mark.parametrize("change", OLD, ids=lambda change: change.__name__)
def test_old_files_are_read(change, tmp_path):
    model = load_gpt2(rewritten(tmp_path, change))
    for name, parameter in ours().named_parameters():
        assert torch.equal(model.get_parameter(name), parameter)


def test_a_file_of_several_dtypes(tmp_path):
    def mix(weights):
        for name, dtype in zip(weights, [torch.float16, torch.bfloat16] * 99, strict=False):
            weights[name] = weights[name].to(dtype)

    model = load_gpt2(rewritten(tmp_path, mix))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("absent", ["n_inner", "resid_pdrop", "torch_dtype", "scale_attn_weights"])
def test_a_config_may_leave_out_what_transformers_fills_in(absent, tmp_path):
    save_gpt2(ours(), tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    content.pop(absent, None)
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert load_gpt2(tmp_path).config.dropout == (0.1 if absent == "resid_pdrop" else 0.0)


def test_a_model_in_several_files(tmp_path):
    theirs = their_model(n_embd=24, n_head=3, n_layer=2, n_positions=8, vocab_size=65)
    theirs.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    idx, targets = ids(2, 8), ids(2, 8, seed=1)
    assert_equal_models(load_gpt2(tmp_path), theirs, idx, targets, GAP[torch.float32])
    next(iter(sorted(tmp_path.glob("model-*.safetensors")))).unlink()
    with pytest.raises(WeightsError, match=r"model-00001-of-.* is missing: fetch it again"):
        load_gpt2(tmp_path)


def test_our_file_goes_before_an_older_one_in_parts(tmp_path):
    their_model(n_embd=24, n_head=3, n_layer=2, n_positions=8, vocab_size=65).save_pretrained(
        tmp_path, max_shard_size="10KB"
    )
    save_gpt2(ours(), tmp_path)
    model = load_gpt2(tmp_path)
    assert torch.equal(model.transformer.wte.weight, ours().transformer.wte.weight)


@pytest.mark.parametrize(
    "index",
    ["[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": "../x/model-1-of-1.safetensors"}}',
     '{"weight_map": {"a": 7}}', '{"weight_map": {"a": "/etc/passwd"}}', '{"weight_map": {}}'],
)  # fmt: skip
def test_a_strange_list_of_files_is_refused(index, tmp_path):
    save_gpt2(ours(), tmp_path / "x")
    folder = tmp_path / "y"
    folder.mkdir()
    (folder / "config.json").write_bytes((tmp_path / "x" / "config.json").read_bytes())
    (tmp_path / "x" / "model.safetensors").rename(tmp_path / "x" / "model-1-of-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(WeightsError):
        load_gpt2(folder)


# --- refused: weights


def drop(name):
    return lambda weights: weights.pop(name)


def put(name, tensor):
    return lambda weights: weights.update({name: tensor})


def other_head(weights):
    with_the_head(weights)
    weights["lm_head.weight"][3, 3] += 1


def prefixed(prefix):
    def change(weights):
        for name in list(weights):
            weights[prefix + name.removeprefix("transformer.")] = weights.pop(name)

    return change


def inner_prefix(weights):
    prefixed("model.")(weights)
    weights["lm_head.weight"] = weights["model.wte.weight"].clone()


def as_linear(weights):
    for name in weights:
        weights[name] = pretrained.conv1d_to_linear(name, weights[name]).contiguous()


def infinite(weights):
    weights["transformer.h.1.mlp.c_fc.weight"][3, 5] = -torch.inf


def broken_table(weights):
    weights["transformer.wte.weight"][64, 0] = torch.nan


def strange_layers(weights):
    for name in [name for name in weights if ".h." in name]:
        weights[name.replace(".attn", ".at")] = weights.pop(name)


LN, FC = "transformer.ln_f.weight", "transformer.h.1.mlp.c_fc.weight"
BAD_WEIGHTS = {
    "missing": (drop(LN), rf"missing \['{LN}'\], unknown \[\]"),
    "no table": (drop("transformer.wte.weight"), r"wte.weight is missing, and config.json says"),
    "unknown": (put("score.weight", torch.zeros(2)), r"unknown \['transformer.score.weight'\]"),
    "unknown in a block": (put("transformer.h.0.attn.q.weight", torch.zeros(2)), "attn.q.weight"),
    "one layer more": (put("h.2.ln_1.weight", torch.zeros(24)), "3 layers, and config.json says 2"),
    "twice": (put("wte.weight", torch.zeros(65, 24)), "wte.weight for the second time"),
    "wrong shape": (put(LN, torch.zeros(25)), rf"{LN} is \(25,\) and should be \(24,\)"),
    "would broadcast": (put(LN, torch.zeros(1)), rf"{LN} is \(1,\) and should be \(24,\)"),
    "a number": (put(LN, torch.tensor(1.0)), rf"{LN} is \(\) and should be \(24,\)"),
    "not turned": (put(FC, torch.zeros(96, 24)), rf"{FC} is \(96, 24\) and should be \(24, 96\)"),
    "another vocabulary": (
        put("transformer.wte.weight", torch.zeros(64, 24)),
        r"wte.weight is \(64, 24\), and config.json says \(65, 24\)",
    ),
    "fewer places": (
        put("transformer.wpe.weight", torch.zeros(4, 24)),
        r"wpe.weight is \(4, 24\), and config.json says \(8, 24\)",
    ),
    "an untied head": (other_head, "this model was trained with two"),
    "a head of another shape": (put("lm_head.weight", torch.zeros(65)), "trained with two"),
    "wrapped by torch.compile": (prefixed("_orig_mod."), "all names begin with _orig_mod.: strip"),
    "wrapped by DDP": (prefixed("module.transformer."), r"begin with module\.: strip it"),
    "wrapped twice": (prefixed("_orig_mod.module."), "all names begin with _orig_mod.module.: str"),
    "wrapped by peft": (prefixed("base_model.model."), "all names begin with base_model.model.: s"),
    "wrapped in part": (inner_prefix, r"model\.wte\.weight begins with model\.: strip it"),
    "all as nn.Linear": (
        as_linear,
        r"c_attn.weight is \(72, 24\) and should be \(24, 72\): it lies a",
    ),
    "nan": (put(LN, torch.full((24,), torch.nan)), rf"{LN} holds nan in 24 of its 24 numbers"),
    "inf": (infinite, "mlp.c_fc.weight holds -inf in 1 of its 2,304 numbers"),
    "nan in the table": (broken_table, r"wte.weight holds nan in 1 of its"),
    "a very long name": (put("a" * 100_000, torch.zeros(2)), "unknown"),
    "many strange layers": (strange_layers, r"missing \["),
    "bytes": (put(LN, torch.zeros(24, dtype=torch.int8)), "numbers of kind I8 are none of ours"),
}


@pytest.mark.parametrize(("change", "words"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_weights_that_do_not_fit_are_refused(change, words, tmp_path):
    with pytest.raises(WeightsError, match=words) as refusal:
        load_gpt2(rewritten(tmp_path, change))
    assert "model.safetensors" in str(refusal.value)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 1000


def test_names_are_compared_before_a_model_is_built(tmp_path, monkeypatch):
    """A header of 5,000 strange layers cost 21 s: a model of as many was built to compare."""
    save_gpt2(ours(), tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content | {"n_layer": 500}))
    weights = {f"h.{i}.{'a' * (i % 9)}b": torch.zeros(1) for i in range(500)}
    weights |= {"wte.weight": torch.zeros(65, 24), "wpe.weight": torch.zeros(8, 24)}
    save_file(weights, tmp_path / "model.safetensors")
    built = []
    monkeypatch.setattr(pretrained, "GPT", lambda config: built.append(config) or GPT(config))
    with pytest.raises(WeightsError, match=r"missing \['transformer.h.0.attn.c_attn.bias', "):
        load_gpt2(tmp_path)
    assert built == []


@pytest.mark.parametrize(
    "name", ["model-\ud800-of-1.safetensors", "model-\0-of-2.safetensors", "model-" + "9" * 10**5]
)
def test_names_of_files_that_no_disk_can_hold_are_the_modules_own_error(name, tmp_path):
    saved(tmp_path).unlink()
    index = json.dumps({"weight_map": {"a": name}})
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(WeightsError, match=r"index.json names ") as refusal:
        load_gpt2(tmp_path)
    assert len(str(refusal.value)) < 1000 and str(refusal.value).encode()


@pytest.mark.parametrize("name", ["ckpt.pt", "last.ckpt", "model.pth"])
@pytest.mark.parametrize("config", [True, False])
def test_a_checkpoint_of_another_program_alone_is_told_so(name, config, tmp_path):
    saved(tmp_path).unlink()
    if not config:
        (tmp_path / "config.json").unlink()
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(WeightsError, match=rf"pickles \({name}\), and those can run any program"):
        load_gpt2(tmp_path)
    if not config:
        with pytest.raises(WeightsError, match=rf"pickles \({name}\)"):
            load_gpt2(tmp_path / name)  # the file itself


@pytest.mark.skipif(os.name == "nt", reason="modes of Unix")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_are_as_open_as_the_user_wants_new_files(mask, tmp_path):
    before = os.umask(mask)
    try:
        save_gpt2(ours(), tmp_path)
    finally:
        os.umask(before)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~mask


# --- refused: config

BAD_CONFIGS = {
    "another family": (dict(model_type="llama"), "GPT-2 has model_type 'gpt2', not 'llama'"),
    "no family": (dict(model_type=None), "not None"),
    "exact gelu": (dict(activation_function="gelu"), "'gelu_new', not 'gelu'"),
    "relu": (dict(activation_function="relu"), "'gelu_new', not 'relu'"),
    "another eps": (dict(layer_norm_epsilon=1e-6), "layer_norm_epsilon 1e-05, not 1e-06"),
    "no scale": (dict(scale_attn_weights=False), "scale_attn_weights True, not False"),
    "scale by layer": (dict(scale_attn_by_inverse_layer_idx=True), "False, not True"),
    "cross": (dict(add_cross_attention=True), "add_cross_attention False, not True"),
    "thin inside": (dict(n_inner=48), "n_inner 4 · n_embd, not 48"),
    "no width": (dict(n_embd=None), "n_embd must be a whole number above 0, not None"),
    "a width in words": (dict(n_embd="wide"), "n_embd must be a whole number above 0, not 'wide'"),
    "a list": (dict(n_head=[3]), "n_head must be a whole number"),
    "no places": (dict(n_positions=0), "n_positions must be a whole number above 0, not 0"),
    "less than no layers": (dict(n_layer=-1), "n_layer"),
    "uneven heads": (dict(n_head=5), "5 heads cannot share n_embd=24 equally"),
    "dropout": (dict(resid_pdrop=2), "dropout must be from 0 to below 1, not 2"),
    "dropout in words": (dict(resid_pdrop="a"), "dropout"),
    "dropout as a list": (dict(resid_pdrop=[]), "config.json"),
    "a wider model": (dict(n_embd=48), r"\(65, 24\), and config.json says \(65, 48\)"),
    "a deeper model": (dict(n_layer=3), "2 layers, and config.json says 3"),
    "a billion layers": (dict(n_layer=10**9), "2 layers, and config.json says 1000000000"),
    "a huge width": (dict(n_embd=3 * 10**30, n_head=1), "config.json says"),
    "a huge vocabulary": (dict(vocab_size=10**300), "config.json says"),
    "a very wide message": (dict(model_type="x" * 10**6), "model_type"),
}


@pytest.mark.parametrize(("change", "words"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_config_that_is_not_gpt2s_is_refused(change, words, tmp_path):
    with pytest.raises(WeightsError, match=words) as refusal:
        load_gpt2(rewritten(tmp_path, lambda weights: None, change))
    assert "config.json" in str(refusal.value)
    assert len(str(refusal.value)) < 1000 and "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["n_positions", "vocab_size", "n_embd", "n_layer", "n_head"])
def test_a_config_without_a_size_is_refused(name, tmp_path):
    save_gpt2(ours(), tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    del content[name]
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match=r"config.json: .* must be a whole number"):
        load_gpt2(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe{}", b"null", b"[1]", b'"gpt2"', b"[" * 100_000, b"1" * 10_000,
     b'{"model_type": "gpt2", "n_layer": NaN}', b"{}", b"\0" * 50],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_what_is_no_config_is_refused(content, tmp_path):
    save_gpt2(ours(), tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_gpt2(tmp_path)


def test_a_config_with_a_mark_of_byte_order_is_read(tmp_path):
    save_gpt2(ours(), tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text, encoding="utf-8-sig")
    load_gpt2(tmp_path)


# --- refused: files


@functools.cache
def two_files():
    with tempfile.TemporaryDirectory() as folder:
        save_gpt2(ours(), folder)
        return contents(Path(folder))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def saved(folder):
    for name, content in two_files().items():
        (folder / name).write_bytes(content)
    return folder / "model.safetensors"


def test_in_the_folder_of_a_run_its_model_is_named(tmp_path):
    (tmp_path / "model").mkdir()
    saved(tmp_path / "model")
    with pytest.raises(WeightsError, match=r"the model of a run is in .*model, name that folder"):
        load_gpt2(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"config.json is missing: name a folder"):
        load_gpt2(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"config.json is missing"):
        load_gpt2(saved(tmp_path))  # the file instead of its folder
    saved(tmp_path).unlink()
    with pytest.raises(WeightsError, match=r"model.safetensors is missing: put the weights"):
        load_gpt2(tmp_path)
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(WeightsError, match=r"model.safetensors"):
        load_gpt2(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_a_pickle_is_refused_unopened(name, tmp_path):
    saved(tmp_path).unlink()
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch /tmp/x'\ntR.")
    with pytest.raises(WeightsError, match=r"pickles .* can run any program"):
        load_gpt2(tmp_path)


def test_a_note_that_stands_for_a_large_file_is_refused(tmp_path):
    note = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n"
    for name in ("model.safetensors", "config.json"):
        saved(tmp_path)
        (tmp_path / name).write_text(note)
        with pytest.raises(WeightsError, match=rf"{name} is a note of Git LFS .* `git lfs pull`"):
            load_gpt2(tmp_path)


@given(st.floats(0, 1))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_was_cut_short_is_refused(tmp_path, part):
    file = saved(tmp_path)
    with open(file, "r+b") as opened:
        opened.truncate(int(part * (file.stat().st_size - 1)))
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged or cut short"):
        load_gpt2(tmp_path)


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_header_is_refused_or_harmless(tmp_path, data):
    """Any byte of the first part of the file may be another one: a sentence, or a model."""
    file = saved(tmp_path)
    content = bytearray(file.read_bytes())
    end = 8 + struct.unpack("<Q", content[:8])[0]
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    try:
        assert isinstance(load_gpt2(tmp_path), GPT)
    except WeightsError as error:
        assert "model.safetensors" in str(error)


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_config_is_refused_or_harmless(tmp_path, data):
    saved(tmp_path)
    file = tmp_path / "config.json"
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    try:
        assert isinstance(load_gpt2(tmp_path), GPT)
    except WeightsError as error:
        assert "config.json" in str(error)


def test_a_header_that_promises_more_than_there_is(tmp_path):
    file = saved(tmp_path)
    for header in (
        {"wte.weight": {"dtype": "F32", "shape": [10**12, 10**12], "data_offsets": [0, 4]}},
        {"wte.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 10**18]}},
        {"wte.weight": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {},
    ):
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 4)
        with pytest.raises(WeightsError, match=r"model.safetensors"):
            load_gpt2(tmp_path)


def test_a_device_that_is_not_there_is_refused_in_one_sentence(tmp_path):
    saved(tmp_path)
    with pytest.raises(ValueError, match=r"device 'gpu' cannot be used here .*take 'cpu'"):
        load_gpt2(tmp_path, device="gpu")


# --- the hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that hands out one folder, and remembers what it was asked for."""
    import huggingface_hub

    hub = types.SimpleNamespace(asked=[], folder=tmp_path / "hub", trouble=None)

    def snapshot_download(repo_id, *, allow_patterns):
        hub.asked.append(repo_id)
        hub.patterns = allow_patterns
        if hub.trouble:
            raise hub.trouble
        return str(hub.folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return hub


@pytest.mark.parametrize(
    ("name", "repo"),
    [
        ("gpt2", "openai-community/gpt2"),
        ("gpt2-medium", "openai-community/gpt2-medium"),
        ("gpt2-large", "openai-community/gpt2-large"),
        ("gpt2-xl", "openai-community/gpt2-xl"),
        ("distilbert/distilgpt2", "distilbert/distilgpt2"),
        ("some_one/a.model-2", "some_one/a.model-2"),
    ],
)
def test_a_name_is_asked_of_the_hub(hub, name, repo):
    rewritten_folder = hub.folder
    rewritten_folder.mkdir()
    rewritten(rewritten_folder, as_released)
    model = load_gpt2(name)
    assert torch.equal(model.transformer.wpe.weight, ours().transformer.wpe.weight)
    assert hub.asked == [repo]
    assert not any(".bin" in pattern for pattern in hub.patterns)


def test_a_folder_goes_before_the_hub(hub, tmp_path):
    save_gpt2(ours(), tmp_path / "gpt2")
    save_gpt2(ours(), tmp_path / "my" / "model")
    for name in ("gpt2", "my/model", "./gpt2", "gpt2/", str(tmp_path / "gpt2"), Path("gpt2")):
        load_gpt2(name)
    assert hub.asked == []


def test_an_empty_folder_of_the_same_name_does_not_hide_the_hub(hub, tmp_path):
    save_gpt2(ours(), hub.folder)
    (tmp_path / "gpt2").mkdir()  # as where this book's repository was cloned
    load_gpt2("gpt2")
    assert hub.asked == ["openai-community/gpt2"]


@pytest.mark.parametrize(
    "name", ["gpt3", "", ".", "../x", "a/b/c", "/a/b", "./a/b", "~/model", "gpt2 ", "a b/c", "GPT2"]
)
def test_what_is_neither_a_folder_nor_a_name_never_goes_online(hub, name):
    with pytest.raises(WeightsError, match=r"is missing: name a folder with .* gpt2-xl"):
        load_gpt2(name)
    assert hub.asked == []


@pytest.mark.parametrize("trouble", [OSError("no route"), ConnectionError(), RuntimeError("401")])
def test_without_a_network_one_sentence_says_what_to_do(hub, trouble):
    hub.trouble = trouble
    with pytest.raises(WeightsError) as refusal:
        load_gpt2("gpt2")
    said = str(refusal.value)
    assert "\n" not in said and "openai-community/gpt2 is no folder here" in said
    assert "check the name and the network, or put its config.json" in said
    assert refusal.value.__suppress_context__  # and no traceback of the hub's


def test_without_huggingface_hub_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match="run `pip install huggingface_hub`"):
        load_gpt2("gpt2-xl")


def test_the_hubs_own_code_offline(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=r"did not give it \(LocalEntryNotFoundError\)"):
        load_gpt2("gpt2")
    repo, commit = tmp_path / "cache" / "models--openai-community--gpt2", "a" * 40
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots" / commit).mkdir(parents=True)
    rewritten(repo / "snapshots" / commit, as_released)
    model = load_gpt2("gpt2")  # it was fetched before
    assert torch.equal(model.transformer.wpe.weight, ours().transformer.wpe.weight)


def test_nothing_of_the_hub_is_imported_before_it_is_asked():
    texts = [Path(m.__file__).read_text(encoding="utf-8") for m in (pretrained, weight_files)]
    body = [node for text in texts for node in ast.parse(text).body]
    imported = [ast.unparse(node) for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(imported) > 10 and not any("huggingface" in line for line in imported)


# --- saving


def test_saving_again_replaces_both_files_and_nothing_else(tmp_path):
    save_gpt2(ours(seed=1), tmp_path)
    (tmp_path / "characters.json").write_text("[]")
    save_gpt2(ours(seed=2), tmp_path)
    assert sorted(contents(tmp_path)) == ["characters.json", "config.json", "model.safetensors"]
    assert torch.equal(load_gpt2(tmp_path).lm_head.weight, ours(seed=2).lm_head.weight)


def no_room(*args, **more):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", ["pretrained.save_file", "os.replace", "os.fsync"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_failed_save_leaves_everything_as_it_was(place, is_new, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    if not is_new:
        save_gpt2(ours(seed=1), folder)
    before = None if is_new else contents(folder)
    owner = pretrained if place.startswith("pretrained") else os
    monkeypatch.setattr(owner, place.split(".")[1], no_room)
    with pytest.raises(WeightsError, match=r"model cannot be written \(No space left on device\)"):
        save_gpt2(ours(seed=2), folder)
    monkeypatch.undo()
    assert (not folder.exists()) if is_new else contents(folder) == before


def test_a_disk_that_fills_up_while_writing(tmp_path):
    save_gpt2(ours(seed=1), tmp_path)
    before, (soft, hard) = contents(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # bytes that any file may have
    try:
        with pytest.raises(WeightsError, match=r"cannot be written .*: make room"):
            save_gpt2(ours(seed=2), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(tmp_path) == before


def test_interrupted_by_hand(tmp_path, monkeypatch):
    save_gpt2(ours(seed=1), tmp_path)
    before = contents(tmp_path)

    def interrupt(weights, file, **more):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrained, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_gpt2(ours(seed=2), tmp_path)
    assert contents(tmp_path) == before


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "taken").write_text("mine")
    for place in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(WeightsError, match="cannot be written"):
            save_gpt2(ours(), place)
    assert (tmp_path / "taken").read_text() == "mine"


def test_what_cannot_be_saved_is_refused(tmp_path):
    with pytest.raises(TypeError, match="save_gpt2 writes a GPT, not Linear: hand in the model"):
        save_gpt2(torch.nn.Linear(2, 2), tmp_path)
    for dtype in (torch.int8, torch.bool, "float16"):
        with pytest.raises(ValueError, match="dtype must be float16, bfloat16, 32 or 64, not"):
            save_gpt2(ours(), tmp_path, dtype=dtype)
    parted = ours()
    parted.lm_head.weight = torch.nn.Parameter(parted.lm_head.weight + 1)
    with pytest.raises(WeightsError, match=r"lm_head.weight is not wte.weight"):
        save_gpt2(parted, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_number_too_large_for_the_smaller_dtype_is_refused(tmp_path):
    model = ours()
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.weight[3, 5] = 70_000
    with pytest.raises(WeightsError, match=r"h.1.mlp.c_fc.weight reaches 70000.*take bfloat16"):
        save_gpt2(model, tmp_path, dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []
    save_gpt2(model, tmp_path, dtype=torch.bfloat16)


def test_a_model_with_two_equal_tables_can_be_saved(tmp_path):
    model = ours()
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    save_gpt2(model, tmp_path)
    assert torch.equal(load_gpt2(tmp_path).lm_head.weight, model.lm_head.weight)


def test_a_config_of_ours_comes_back():
    for config in (SMALL, GPTConfig(), *GPT.SIZES.values()):
        assert config_from(json.loads(json.dumps(config_for(config, torch.float32)))) == config


def test_names_and_shapes_alone_can_be_checked():
    check_fit(GPT(SMALL), weights_of(ours()))
    with pytest.raises(WeightsError, match=r"missing .*unknown"):
        check_fit(GPT(SMALL), {"a": torch.zeros(2)})


# --- the comparison layer by layer

PLACES = ["wte", "wpe", "drop"]
PLACES += [f"h.{i}{part}" for i in (0, 1) for part in (".ln_1", ".attn", ".ln_2", ".mlp", "")]
PLACES += ["ln_f", "lm_head"]


def pair(dtype=torch.float32):
    theirs = their_model(dtype, n_embd=24, n_head=3, n_layer=2, n_positions=8, vocab_size=65)
    model = GPT(SMALL).to(dtype)
    copy_weights(model, dict(theirs.named_parameters()))
    return model, theirs


def first(gaps):
    return next((gap.name for gap in gaps if not gap.ok), None)


def test_equal_models_are_equal_at_every_place():
    gaps = compare_layers(*pair(), ids(2, 7))
    assert [gap.name for gap in gaps] == PLACES
    assert all(gap.ok and gap.largest < 1e-5 for gap in gaps)
    assert layer_report(gaps).endswith("\nno difference")
    gaps = compare_layers(*pair(torch.float64), ids(2, 7), tol=1e-12)
    assert first(gaps) is None


@pytest.mark.parametrize("name", [name for name, _ in ours().named_parameters()])
def test_one_wrong_weight_is_found_where_it_first_matters(name):
    model, theirs = pair()
    with torch.no_grad():
        model.get_parameter(name).add_(0.05 * torch.randn(model.get_parameter(name).shape))
    place = name.removeprefix("transformer.").rsplit(".", 1)[0]
    for part in (".attn", ".mlp"):
        place = place.split(part)[0] + part if part in place else place
    gaps = compare_layers(model, theirs, ids(2, 8))
    assert first(gaps) == place
    assert layer_report(gaps).endswith(f"\nfirst difference: {place}")


@pytest.mark.parametrize("i", [0, 1])
def test_a_square_map_that_was_not_turned_is_found(i):
    model, theirs = pair()
    weight = model.transformer.h[i].attn.c_proj.weight
    weight.data = weight.data.T.contiguous()
    assert first(compare_layers(model, theirs, ids(2, 8))) == f"h.{i}.attn"


def test_the_exact_gelu_is_found(monkeypatch):
    model, theirs = pair(torch.float64)
    exact = types.SimpleNamespace(gelu=lambda x, approximate: F.gelu(x))
    monkeypatch.setattr(gpt2_tutorial.block, "F", exact)
    gaps = compare_layers(model, theirs, ids(2, 8), tol=1e-9)
    assert first(gaps) == "h.0.mlp"
    assert all(gap.ok for gap in gaps if gap.name in ("h.0.ln_2", "h.0.attn"))


def test_places_counted_from_one_are_found():
    model, theirs = pair()
    model.transformer.wpe.weight.data = model.transformer.wpe.weight.data.roll(-1, 0)
    assert first(compare_layers(model, theirs, ids(2, 8))) == "wpe"


def test_large_numbers_may_round_more():
    model, theirs = pair()
    for one, large in ((model, 1e5), (theirs, 1e5 * (1 + 2**-20))):  # as if it had been rounded
        one.transformer.h[0].mlp.c_proj.weight.data *= large
    gaps = compare_layers(model, theirs, ids(2, 8))
    assert max(gap.largest for gap in gaps) > 1e-3 and first(gaps) is None


def test_nan_is_a_difference():
    model, theirs = pair()
    model.transformer.h[1].ln_1.bias.data[0] = torch.nan
    assert first(compare_layers(model, theirs, ids(2, 8))) == "h.1.ln_1"


def test_comparing_leaves_no_trace():
    model, theirs = pair()
    model.train()
    model.transformer.h[0].eval()
    modes = [part.training for part in model.modules()]
    before, out = torch.get_rng_state(), theirs(ids(2, 8)).logits
    gaps = compare_layers(model, theirs, ids(2, 8))
    assert first(gaps) is None
    assert [part.training for part in model.modules()] == modes
    assert not any(part._forward_hooks for one in (model, theirs) for part in one.modules())
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(theirs(ids(2, 8)).logits, out)
    assert all(p.grad is None for p in model.parameters())


def test_models_that_cannot_be_compared():
    model, theirs = pair()
    with pytest.raises(ValueError, match=r"same parts: 10 and 15 were found"):
        compare_layers(GPT(GPTConfig(8, 65, 1, 3, 24)), theirs, ids(2, 8))
    with pytest.raises(ValueError, match="Linear has no part wte, as GPT-2 has"):
        compare_layers(model, torch.nn.Linear(2, 2), ids(2, 8))
    with pytest.raises(ValueError, match="9 tokens are more than block_size=8"):
        compare_layers(model, theirs, ids(2, 9))
    wider = GPT(GPTConfig(8, 65, 2, 3, 27))
    assert first(compare_layers(wider, theirs, ids(2, 8))) == "wte"


def test_a_report_reads_well():
    gaps = [LayerGap("wte", 0.0, True), LayerGap("h.0.attn", 0.25, False)]
    assert layer_report(gaps).splitlines()[1:] == [
        "h.0.attn             2.5e-01  different",
        "first difference: h.0.attn",
    ]
