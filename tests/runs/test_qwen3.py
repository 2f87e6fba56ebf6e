"""qwen3: held against Qwen3ForCausalLM both ways, and against files of other models."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt2_tutorial.commands.export import write_model
from gpt2_tutorial.generate import generate
from gpt2_tutorial.int8 import quantize_int8
from gpt2_tutorial.modern import ModernConfig, ModernGPT
from gpt2_tutorial.runs.models import open_model
from gpt2_tutorial.runs.qwen3 import MUST, load_qwen3, save_qwen3
from gpt2_tutorial.text import CharTokenizer
from gpt2_tutorial.weight_files import WeightsError
from oracles import randomise, rounding

V = 13
SMALL = ModernConfig(12, V, 3, 4, 16, **MUST, tied=False)
KINDS = {
    "the recipe": SMALL,
    "groups": replace(SMALL, n_kv_head=2),
    "one table": replace(SMALL, tied=True),
}
kinds = pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)


def made(config, seed=0, dtype=torch.float32):
    model = ModernGPT(config).to(dtype)
    randomise(model, seed, spread=0.3)  # gains as well, so that none can be mistaken for another
    return model.eval()


def from_transformers(folder, **more):
    from transformers import AutoModelForCausalLM

    model, told = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, **more)
    assert not any(told.values()), told
    return model.eval()


def ids(*shape, seed=0):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def assert_same_answers(ours, theirs):
    """Logits within the rounding of sums and turns of each block, as test_modern derives it."""
    expected = theirs(ids(3, 12)).logits
    bound = rounding(expected, terms=SMALL.n_layer * 512)
    torch.testing.assert_close(ours(ids(3, 12))[0], expected, atol=bound, rtol=0)


@kinds
def test_transformers_reads_what_we_write(config, tmp_path):
    model = made(config)
    save_qwen3(model, tmp_path)
    theirs = from_transformers(tmp_path)
    assert type(theirs).__name__ == "Qwen3ForCausalLM" and theirs.dtype == torch.float32
    assert_same_answers(model, theirs)
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in model.parameters())


@kinds
def test_we_read_what_transformers_writes(config, tmp_path):
    """Its own config.json, its own files: several of them, when they are to be small."""
    save_qwen3(made(config), tmp_path / "ours")
    theirs = from_transformers(tmp_path / "ours")
    randomise(theirs, seed=7, spread=0.3)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="6KB")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 1
    model = load_qwen3(tmp_path / "theirs")
    assert_same_answers(model, theirs)
    assert replace(model.config, n_kv_head=config.n_kv_head) == config
    assert not model.training


@kinds
def test_what_was_written_is_read_again_to_the_bit(config, tmp_path):
    model = made(config)
    save_qwen3(model, tmp_path)
    again = load_qwen3(tmp_path)
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name]), name
    assert (again.lm_head.weight is again.transformer.wte.weight) == config.tied
    save_qwen3(again, tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_other_kinds(dtype, tmp_path):
    model = made(SMALL, dtype=torch.float64)
    save_qwen3(model, tmp_path, dtype=dtype)
    again = load_qwen3(tmp_path)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for name, weight in again.named_parameters():
        assert torch.equal(weight, dict(model.named_parameters())[name].to(dtype).to(wide))
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == str(dtype)[6:]


def test_both_write_the_same_without_a_cache_and_with_theirs(tmp_path):
    model = made(SMALL)
    save_qwen3(model, tmp_path)
    theirs, prompt = from_transformers(tmp_path), ids(2, 3)
    ours = generate(model, prompt, 9, temperature=0, cache=False)
    mask = torch.ones_like(prompt)
    wish = dict(max_new_tokens=9, do_sample=False, attention_mask=mask, pad_token_id=0)
    assert torch.equal(ours, theirs.generate(prompt, **wish))


def test_a_cache_and_int8_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"this is a ModernGPT: take cache=False, and it writes"):
        generate(made(SMALL), ids(1, 3), 2)
    with pytest.raises(ValueError, match="this model has two: use it as it is"):
        quantize_int8(made(SMALL))


def test_a_folder_opens_with_its_tokenizer_and_transformers_takes_its_ends(tmp_path):
    letters = CharTokenizer("abcdefghij\n")
    write_model(made(SMALL), letters, tmp_path)
    model, tokenizer = open_model(str(tmp_path), "cpu")
    assert isinstance(model, ModernGPT) and tokenizer.characters == letters.characters
    told = json.loads((tmp_path / "config.json").read_text())
    assert told["tokenizer_size"] == 11  # and two rows that stand for no token


@pytest.mark.parametrize(
    ("name", "value"),
    [("soft_cap", 30.0), ("ngram_rows", 5), ("rotary", False), ("norm", "layer"),
     ("qk_norm", False), ("mlp", "relu2"), ("bias", True)],
)  # fmt: skip
def test_what_the_layout_cannot_hold_is_refused_by_name(name, value, tmp_path):
    model = ModernGPT(replace(SMALL, **{name: value}))
    with pytest.raises(WeightsError, match=f"holds no model with {name}={value!r}"):
        save_qwen3(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


OTHERS = {  # what a config.json may say, and the sentence
    "wider heads": ({"head_dim": 8}, "head_dim is 8, and a model of ours .* has 4"),
    "a head of 128": ({"head_dim": None}, "head_dim is None"),
    "another width": ({"intermediate_size": 64}, "intermediate_size is 64, .* has 40"),
    "far turns": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
        "rope_theta is 1000000.0",
    ),
    "stretched turns": (
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}},
        "rope_type is 'yarn'",
    ),
    "biases": ({"attention_bias": True}, "attention_bias is True"),
    "a window": ({"layer_types": ["sliding_attention"] * 3}, "layer_types is .'sliding_att"),
    "eps": ({"rms_norm_eps": 1e-5}, "rms_norm_eps is 1e-05"),
    "no size": ({"hidden_size": "16"}, "hidden_size must be a whole number above 0, not '16'"),
    "groups": ({"num_key_value_heads": 3}, "n_kv_head must be a whole number that divides"),
    "layers": ({"num_hidden_layers": 2}, "3 layers, and config.json says 2"),
    "a billion layers": ({"num_hidden_layers": 10**9}, "3 layers, and config.json says 1000000000"),
    "rows": ({"vocab_size": 14}, r"embed_tokens.weight is \(13, 16\) and should be \(14, 16\)"),
    "tied": ({"tie_word_embeddings": "no"}, "tied must be True or False"),
}


@pytest.mark.parametrize(("changes", "words"), OTHERS.values(), ids=OTHERS)
def test_a_model_that_is_not_ours_is_refused(changes, words, tmp_path):
    save_qwen3(made(SMALL), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=words):
        load_qwen3(tmp_path)


@pytest.mark.parametrize("kind", ["missing", "unknown", "nan"])
def test_weights_that_are_damaged_are_refused(kind, tmp_path):
    save_qwen3(made(SMALL), tmp_path)
    weights = load_file(file := tmp_path / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    words = {"missing": "missing .'model.layers.1.mlp.up_proj", "unknown": "unknown .'more",
             "nan": "transformer.h.1.mlp.c_fc.weight holds nan in 1 of its 640"}  # fmt: skip
    if kind == "missing":
        del weights[name]
    elif kind == "unknown":
        weights["more"] = torch.ones(1)
    else:
        weights[name][0, 0] = torch.nan
    save_file(weights, file)
    with pytest.raises(WeightsError, match=words[kind]):
        load_qwen3(tmp_path)
