"""Whether weights are those of a GPT-2: sizes, names, numbers; and what a config says of tokens."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import torch

from gpt2_tutorial.bpe_input import end_of_text
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.weight_files import CONFIG, HEAD, TABLE, Stored, WeightsError, short

TOKENS = "tokenizer_size"  # in a config.json of ours: fewer tokens than the table has rows
_GPT2_ROWS = range(50_257, 51_200 + 1)  # GPT-2's tokens, and padded to a multiple of up to 1,024
_FLOATS = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
_LAYER = re.compile(r"transformer\.h\.(\d+)\.")


def check_sizes(config: GPTConfig, weights: Mapping[str, Any]) -> None:
    """Look before a model is built: a short file can ask for a billion layers.

    >>> from types import SimpleNamespace
    >>> table = SimpleNamespace(shape=(8, 24))
    >>> tables = {f"transformer.{name}.weight": table for name in ("wte", "wpe")}
    >>> check_sizes(GPTConfig(8, 8, n_layer=1, n_embd=24), tables)
    Traceback (most recent call last):
    gpt2_tutorial.weight_files.WeightsError: 0 layers, and config.json says 1
    """
    width, layers = config.n_embd, set(map(_LAYER.match, weights)) - {None}
    wanted = {"wte": (config.vocab_size, width), "wpe": (config.block_size, width)}
    for name, shape in wanted.items():
        table = weights.get(f"transformer.{name}.weight")
        found = table.shape if table else "missing"
        if found != shape:
            raise WeightsError(f"{name}.weight is {found}, and {CONFIG} says {shape}")
    found = len({match[1] for match in layers})
    if found != config.n_layer:
        raise WeightsError(f"{found} layers, and {CONFIG} says {config.n_layer}")
    with torch.device("meta"):  # one layer tells the names of all
        one = GPT(replace(config, n_layer=1))
    layer = "transformer.h.0."
    names = [name for name, _ in one.named_parameters()]
    inner = [name.removeprefix(layer) for name in names if name.startswith(layer)]
    wanted = {name for name in names if not name.startswith(layer)}
    wanted |= {f"transformer.h.{i}.{name}" for i in range(config.n_layer) for name in inner}
    check_names(wanted, weights)


def check_names(wanted: Set[str], weights: Mapping[str, Any]) -> None:
    """Refuse weights with other names than those of a model.

    >>> check_names({"a", "b"}, {"b": 1, "c": 2})
    Traceback (most recent call last):
    gpt2_tutorial.weight_files.WeightsError: these are ... weights: missing ['a'], unknown ['c']
    """
    missing = [short(name) for name in sorted(wanted - weights.keys())[:3]]
    unknown = [short(name) for name in sorted(weights.keys() - wanted - {HEAD})[:3]]
    if missing or unknown:
        names = f"missing {missing}, unknown {unknown}"
        raise WeightsError(f"these are another model's weights: {names}")


def shape_cure(found: Sequence[int], wanted: Sequence[int]) -> str:
    """Say what to do about a weight of another shape than the model has.

    >>> shape_cure((96, 24), (24, 96))
    "it lies as nn.Linear keeps it, and GPT-2's files keep (in, out): turn it with .T"
    >>> shape_cure((25,), (24,))
    'take the config that belongs to these weights'
    """
    if len(wanted) == 2 and tuple(found) == tuple(wanted)[::-1]:
        return "it lies as nn.Linear keeps it, and GPT-2's files keep (in, out): turn it with .T"
    return "take the config that belongs to these weights"


def check_finite(model: GPT) -> None:
    """Refuse a model with numbers that are none: everything it says would be nan.

    >>> check_finite(GPT(GPTConfig(8, 65, n_layer=1, n_embd=24)))
    """
    for name, parameter in model.named_parameters():
        odd = parameter[~parameter.isfinite()]
        if len(odd):
            raise WeightsError(
                f"{name} holds {odd[0].item()} in {len(odd):,} of its {parameter.numel():,} "
                "numbers: take a checkpoint from before the training broke"
            )


def check_head(weights: Mapping[str, Any]) -> None:
    """Refuse a model that was trained with two tables.

    >>> check_head({"transformer.wte.weight": torch.ones(65, 24)})
    """
    head, table = weights.get(HEAD), weights[TABLE]
    if not head or head is table:
        return
    if head.shape != table.shape or not torch.equal(head[:], table[:]):
        raise WeightsError(
            "lm_head.weight is not wte.weight, and in GPT-2 they are one table: "
            "this model was trained with two"
        )


def dtype_for(weights: Mapping[str, Stored]) -> torch.dtype:
    """Return the dtype that a model needs for these weights: float32 or float64.

    >>> from types import SimpleNamespace
    >>> dtype_for({"a": SimpleNamespace(kind="BF16")})
    torch.float32
    """
    kinds = {weight.kind for weight in weights.values()}
    if unknown := kinds - _FLOATS.keys():
        raise WeightsError(
            f"numbers of kind {short(', '.join(sorted(unknown)))} are none of ours: "
            "take the weights in float32, float16 or bfloat16"
        )
    return torch.float64 if "F64" in kinds else torch.float32


def check_savable(model: GPT, dtype: torch.dtype | None) -> None:
    """Refuse what is no GPT, dtypes that are no floats, and models of two tables.

    >>> check_savable(GPT(GPTConfig(8, 65, n_layer=1, n_embd=24)), torch.float16)
    """
    if not isinstance(model, GPT):
        raise TypeError(
            f"save_gpt2 writes a GPT, not {type(model).__name__}: hand in the "
            "model itself, not what was wrapped around it"
        )
    if dtype is not None and dtype not in _FLOATS.values():
        raise ValueError(f"dtype must be float16, bfloat16, 32 or 64, not {dtype!r}")
    head, table = model.lm_head.weight, model.transformer.wte.weight
    if head is not table and not torch.equal(head, table):
        raise WeightsError(
            "lm_head.weight is not wte.weight, and GPT-2's file holds one table: "
            "tie them before training with lm_head.weight = transformer.wte.weight"
        )


def check_range(weights: Mapping[str, torch.Tensor], model: GPT) -> None:
    """Refuse numbers that the dtype of `weights` cannot hold.

    >>> model = GPT(GPTConfig(8, 65, n_layer=1, n_embd=24))
    >>> check_range({name: p.half() for name, p in model.named_parameters()}, model)
    """
    for name, parameter in model.named_parameters():
        stored = weights.get(name, parameter)  # lm_head.weight may have no own place
        if stored.isinf().any() and not parameter.isinf().any():
            raise WeightsError(
                f"{name} reaches {parameter.abs().max():g}, too much for "
                f"{stored.dtype}: take bfloat16 or float32"
            )


def token_entries(config: GPTConfig, tokenizer: Any) -> dict[str, int | None]:
    """Say for a config.json which id begins and ends a text, and whether rows are spare.

    Without a tokenizer it is taken for GPT-2's, if there are as many tokens.

    >>> token_entries(GPTConfig(), None)
    {'bos_token_id': 50256, 'eos_token_id': 50256}
    """
    end = 50_256 if config.vocab_size in _GPT2_ROWS else None
    entries: dict[str, int | None] = {}
    if tokenizer is not None:
        end = end_of_text(tokenizer)
        if tokenizer.vocab_size < config.vocab_size:
            entries = {TOKENS: tokenizer.vocab_size}
    return {"bos_token_id": end, "eos_token_id": end} | entries
