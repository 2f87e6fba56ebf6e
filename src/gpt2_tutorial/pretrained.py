"""OpenAI's weights in our model, in the files of Hugging Face (chapter 11)."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.weight_checks import (
    check_finite,
    check_head,
    check_names,
    check_range,
    check_savable,
    check_sizes,
    dtype_for,
    shape_cure,
    token_entries,
)
from gpt2_tutorial.weight_files import (
    CONFIG,
    WEIGHTS,
    WeightsError,
    blaming,
    check_device,
    model_folder,
    open_weights,
    read_config,
    written_whole,
)

# OpenAI's Conv1D keeps these four maps as (in, out); nn.Linear wants (out, in).
TRANSPOSED = (
    "attn.c_attn.weight",
    "attn.c_proj.weight",
    "mlp.c_fc.weight",
    "mlp.c_proj.weight",
)
# What config.json says, or leaves out, if the model is GPT-2 and not a cousin.
GPT2_HAS = {
    "model_type": "gpt2",
    "activation_function": "gelu_new",  # the tanh form
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def conv1d_to_linear(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Turn the maps that Conv1D keeps the other way round; twice changes nothing.

    >>> conv1d_to_linear("h.0.mlp.c_fc.weight", torch.zeros(24, 96)).shape
    torch.Size([96, 24])
    """
    return weight.T if name.endswith(TRANSPOSED) else weight


def check_fit(model: GPT, weights: Mapping[str, Any]) -> None:
    """Refuse weights whose names or shapes are not those of the model.

    >>> model = GPT(GPTConfig(8, 65, n_layer=1, n_head=2, n_embd=24))
    >>> check_fit(model, weights_of(model))
    """
    wanted = {
        name: conv1d_to_linear(name, p).shape
        for name, p in model.named_parameters()
    }
    check_names(wanted.keys(), weights)
    for name, shape in wanted.items():
        found = weights[name].shape
        if found != shape:
            raise WeightsError(
                f"{name} is {tuple(found)} and should be {tuple(shape)}: "
                f"{shape_cure(found, shape)}"
            )


@torch.no_grad()
def copy_weights(model: GPT, weights: Mapping[str, Any]) -> None:
    """Fill `model` with weights that are named and shaped as OpenAI's are.

    >>> model = GPT(GPTConfig(8, 65, n_layer=1, n_head=2, n_embd=24))
    >>> copy_weights(model, weights_of(GPT(model.config)))
    """
    check_fit(model, weights)
    for name, parameter in model.named_parameters():
        theirs = weights[name][:]  # from a file, it is read only now
        parameter.copy_(conv1d_to_linear(name, theirs))


def weights_of(
    model: GPT, dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """Name and shape a model's weights as OpenAI's are; absent biases become 0.

    >>> model = GPT(GPTConfig(8, 65, n_layer=1, n_head=2, n_embd=24))
    >>> weights_of(model)["transformer.h.0.mlp.c_fc.weight"].shape
    torch.Size([24, 96])
    """
    mine = dict(model.named_parameters())  # each once, so without lm_head.weight
    dtype = dtype or model.lm_head.weight.dtype
    with torch.device("meta"):  # shapes without numbers
        full = GPT(replace(model.config, bias=True))
    weights = {}
    for name, like in full.named_parameters():
        weight = mine[name].detach() if name in mine else torch.zeros(like.shape)
        weights[name] = conv1d_to_linear(name, weight).to("cpu", dtype).contiguous()
    return weights


def config_from(content: dict[str, Any]) -> GPTConfig:
    """Take what we need from a config.json, if it is GPT-2's.

    >>> sizes = {"vocab_size": 65, "n_layer": 1, "n_head": 2, "n_embd": 24}
    >>> config_from({"model_type": "gpt2", "n_positions": 8, **sizes}).block_size
    8
    """
    for name, value in GPT2_HAS.items():
        found = content.get(name, None if name == "model_type" else value)
        if found != value:
            raise WeightsError(f"GPT-2 has {name} {value!r}, not {found!r:.40}")
    return GPTConfig(
        block_size=content.get("n_positions"),
        vocab_size=content.get("vocab_size"),
        n_layer=content.get("n_layer"),
        n_head=content.get("n_head"),
        n_embd=content.get("n_embd"),
        dropout=content.get("resid_pdrop", 0.1),
    )


def config_for(
    config: GPTConfig, dtype: torch.dtype, tokenizer: Any = None
) -> dict[str, Any]:
    """Say in a config.json what `transformers` must know to build the model.

    >>> config_for(GPTConfig(), torch.float32)["n_positions"]
    1024
    """
    return GPT2_HAS | {
        "architectures": ["GPT2LMHeadModel"],
        "n_positions": config.block_size,
        "vocab_size": config.vocab_size,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.n_embd,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "tie_word_embeddings": True,
        **token_entries(config, tokenizer),
        "torch_dtype": str(dtype).removeprefix("torch."),
    }


def load_gpt2(
    name_or_folder: str | os.PathLike[str], device: torch.device | str = "cpu"
) -> GPT:
    """Load GPT-2 from a folder, or by its name ("gpt2") from the Hugging Face hub.

    >>> import tempfile
    >>> folder, config = tempfile.mkdtemp(), GPTConfig(8, 65, 1, 2, 24)
    >>> save_gpt2(GPT(config), folder)
    >>> load_gpt2(folder).config.n_layer
    1
    """
    check_device(device)
    folder = model_folder(name_or_folder)
    config, weights = read_config(folder, config_from), open_weights(folder)
    with blaming(folder / WEIGHTS):
        check_sizes(config, weights)
        with torch.device("meta"):
            model = GPT(config)
        check_fit(model, weights)
        check_head(weights)
        model.to(dtype_for(weights)).to_empty(device=device)
        model.lm_head.weight = model.transformer.wte.weight  # to_empty parts them
        copy_weights(model, weights)
        check_finite(model)
    return model.eval()


def save_gpt2(
    model: GPT,
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    tokenizer: Any = None,
) -> None:
    """Write a folder that `load_gpt2` and `transformers` read; see `load_gpt2`.

    float16 as `dtype` halves the file; `tokenizer` knows where a text ends.
    """
    check_savable(model, dtype)
    dtype = dtype or model.lm_head.weight.dtype
    weights = weights_of(model, dtype)
    check_range(weights, model)
    with written_whole(Path(folder), WEIGHTS, CONFIG) as (
        weights_file,
        config_file,
    ):
        save_file(weights, weights_file, metadata={"format": "pt"})
        content = config_for(model.config, dtype, tokenizer)
        config_file.write_text(json.dumps(content, indent=2), encoding="utf-8")
