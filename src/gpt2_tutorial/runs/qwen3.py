"""A model of the recipe modern in the files of Hugging Face, in the layout of Qwen3.

That layout holds what the recipe turns on: rotary positions, RMSNorm, QK-norm, SwiGLU, a head of
its own or the table wte again, groups of heads. What it has no place for is refused in a sentence.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from gpt2_tutorial.gpt import GPTConfig
from gpt2_tutorial.modern import ModernConfig, ModernGPT, SwiGLU
from gpt2_tutorial.weight_checks import (
    check_finite,
    check_names,
    check_range,
    dtype_for,
    token_entries,
)
from gpt2_tutorial.weight_files import (
    CONFIG,
    HEAD,
    TABLE,
    WEIGHTS,
    WeightsError,
    blaming,
    check_device,
    read_config,
    stored_weights,
    written_whole,
)

KIND = "qwen3"
QWEN3_HAS = {  # what config.json says, or leaves out
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "use_sliding_window": False,
}
BASE = 10000.0  # of `rotate`
SIZES = {  # our names, and Qwen3's
    "vocab_size": "vocab_size",
    "block_size": "max_position_embeddings",
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
}
MUST = {"rotary": True, "norm": "rms", "qk_norm": True, "mlp": "swiglu", "bias": False}
MUST |= {"soft_cap": None, "ngram_rows": 0}
OUTSIDE = {TABLE: "model.embed_tokens.weight", "transformer.ln_f.weight": "model.norm.weight"}
OUTSIDE |= {HEAD: HEAD}
IN_BLOCK = {
    "ln_1": "input_layernorm",
    "attn.q_norm": "self_attn.q_norm",
    "attn.k_norm": "self_attn.k_norm",
    "attn.c_proj": "self_attn.o_proj",
    "ln_2": "post_attention_layernorm",
    "mlp.c_gate": "mlp.gate_proj",
    "mlp.c_fc": "mlp.up_proj",
    "mlp.c_proj": "mlp.down_proj",
}
ONE_MAP = [f"self_attn.{part}_proj" for part in "qkv"]  # our c_attn, cut
BLOCK = re.compile(r"transformer\.h\.(\d+)\.(.+)\.weight")


def their_names(ours: str) -> list[str]:
    """Name the weights of Qwen3 that one of ours becomes.

    >>> their_names("transformer.h.3.mlp.c_fc.weight")
    ['model.layers.3.mlp.up_proj.weight']
    """
    if ours in OUTSIDE:
        return [OUTSIDE[ours]]
    number, part = BLOCK.fullmatch(ours).groups()
    parts = ONE_MAP if part == "attn.c_attn" else [IN_BLOCK[part]]
    return [f"model.layers.{number}.{name}.weight" for name in parts]


def qwen3_weights(weights: Mapping[str, torch.Tensor], config: ModernConfig) -> dict:
    """Name and cut a model's weights as Qwen3's are.

    >>> config = ModernConfig(8, 65, 1, 2, 24, **MUST)
    >>> weights = qwen3_weights(dict(ModernGPT(config).named_parameters()), config)
    >>> weights["model.layers.0.self_attn.k_proj.weight"].shape
    torch.Size([24, 24])
    """
    shares = rows_of(config)
    found = {}
    for ours, weight in weights.items():
        names = their_names(ours)
        parts = weight.split(shares) if len(names) > 1 else [weight]
        found |= dict(zip(names, parts, strict=True))
    return {name: part.clone() for name, part in found.items()}  # safetensors takes no views


def rows_of(config: ModernConfig) -> list[int]:
    """Count the rows of queries, of keys and of values in c_attn.

    >>> rows_of(ModernConfig(n_kv_head=4))
    [768, 256, 256]
    """
    K, D = config.n_kv_head or config.n_head, config.n_embd // config.n_head
    return [config.n_embd, K * D, K * D]


def width(n_embd: int) -> int:
    """Count the numbers inside SwiGLU.

    >>> width(768)
    2048
    """
    with torch.device("meta"):
        return SwiGLU(GPTConfig(n_embd=n_embd, n_head=1, bias=False)).c_fc.out_features


def check_holds(config: ModernConfig) -> None:
    """Refuse a model that the layout has no place for.

    >>> check_holds(ModernConfig(rotary=True))
    Traceback (most recent call last):
    gpt2_tutorial.weight_files.WeightsError: Qwen3's layout holds no model with norm='layer', ...
    """
    for name, value in MUST.items():
        if (found := getattr(config, name)) != value:
            raise WeightsError(
                f"Qwen3's layout holds no model with {name}={found!r}, and {value!r} is what it "
                "can hold: keep this one as a checkpoint"
            )


def config_for(config: ModernConfig, dtype: torch.dtype, tokenizer: Any = None) -> dict[str, Any]:
    """Say in a config.json what `transformers` must know to build the model.

    >>> config_for(ModernConfig(), torch.float32)["intermediate_size"]
    2048
    """
    return QWEN3_HAS | {
        "model_type": KIND,
        "architectures": ["Qwen3ForCausalLM"],
        **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
        "num_key_value_heads": config.n_kv_head or config.n_head,
        "head_dim": config.n_embd // config.n_head,
        "intermediate_size": width(config.n_embd),
        "rope_parameters": {"rope_type": "default", "rope_theta": BASE},
        "rope_theta": BASE,  # where transformers before 5 looks for it
        "attention_dropout": config.dropout,
        "tie_word_embeddings": config.tied,
        **token_entries(config, tokenizer),
        "torch_dtype": str(dtype).removeprefix("torch."),
    }


def config_from(content: dict[str, Any]) -> ModernConfig:
    """Take what we need from a config.json of Qwen3, if our model can be it.

    >>> config_from(config_for(ModernConfig(tied=False), torch.float32)).tied
    False
    """
    config = ModernConfig(
        **{ours: content[theirs] for ours, theirs in SIZES.items()},
        dropout=content.get("attention_dropout", 0.0),
        n_kv_head=content.get("num_key_value_heads"),
        tied=content.get("tie_word_embeddings", False),
        **MUST,
    )
    turns = content.get("rope_parameters") or content.get("rope_scaling") or {}
    layers = content.get("layer_types") or []
    wanted = QWEN3_HAS | {
        "head_dim": config.n_embd // config.n_head,
        "intermediate_size": width(config.n_embd),
        "rope_theta": BASE,
        "rope_type": "default",
        "layer_types": [],
    }
    found = QWEN3_HAS | {"head_dim": 128} | content
    found |= {"rope_theta": turns.get("rope_theta", content.get("rope_theta"))}
    found |= {"rope_type": turns.get("rope_type", "default")}
    found |= {"layer_types": [kind for kind in layers if kind != "full_attention"]}
    for name, value in wanted.items():
        if found.get(name) != value:
            raise WeightsError(
                f"{name} is {found.get(name)!r:.40}, and a model of ours with such sizes has "
                f"{value!r}: it cannot be this one"
            )
    return config


def load_qwen3(folder: str | os.PathLike[str], device: torch.device | str = "cpu") -> ModernGPT:
    """Load a model that `save_qwen3` or `transformers` wrote.

    >>> import tempfile
    >>> config = ModernConfig(8, 65, 1, 2, 24, **MUST)
    >>> save_qwen3(ModernGPT(config), folder := tempfile.mkdtemp())
    >>> load_qwen3(folder).config.n_head
    2
    """
    check_device(device)
    folder = Path(folder)
    config = read_config(folder, config_from, SIZES.values())
    stored = stored_weights(folder)
    with blaming(folder / WEIGHTS):
        if config.tied:
            stored.pop(HEAD, None)  # the table again
        layers = len(set(re.findall(r"layers\.(\d+)\.", " ".join(stored))))
        if layers != config.n_layer:  # before so many are made
            raise WeightsError(f"{layers} layers, and {CONFIG} says {config.n_layer}")
        with torch.device("meta"):
            model = ModernGPT(config)
        wanted = {name: their_names(name) for name, _ in model.named_parameters()}
        check_names({theirs for names in wanted.values() for theirs in names}, stored)
        weights = {}
        for name, p in model.named_parameters():
            parts = [stored[theirs] for theirs in wanted[name]]
            cut = rows_of(config) if len(parts) > 1 else [len(p)]
            for theirs, part, rows in zip(wanted[name], parts, cut, strict=True):
                if part.shape != (rows, *p.shape[1:]):
                    raise WeightsError(
                        f"{theirs} is {part.shape} and should be {(rows, *p.shape[1:])}: take the "
                        "config that belongs to these weights"
                    )
            weights[name] = torch.cat([part[:] for part in parts]).to(device, dtype_for(stored))
        model.load_state_dict(weights, strict=False, assign=True)
        if config.tied:
            model.lm_head.weight = model.transformer.wte.weight
        check_finite(model)
    return model.eval()


def save_qwen3(
    model: ModernGPT,
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    tokenizer: Any = None,
) -> None:
    """Write a folder that `load_qwen3` and `transformers` read; see `load_qwen3`.

    `dtype` and `tokenizer` are those of `pretrained.save_gpt2`.
    """
    check_holds(model.config)
    dtype = dtype or model.lm_head.weight.dtype
    own = {name: p.detach().to("cpu", dtype) for name, p in model.named_parameters()}
    check_range(own, model)
    with written_whole(Path(folder), WEIGHTS, CONFIG) as (weights_file, config_file):
        weights = qwen3_weights(own, model.config)
        save_file(weights, weights_file, metadata={"format": "pt"})
        content = config_for(model.config, dtype, tokenizer)
        config_file.write_text(json.dumps(content, indent=2), encoding="utf-8")
