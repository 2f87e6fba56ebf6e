"""OpenAI's weights in our model, in the files of Hugging Face (chapter 11)."""

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gpt2_tutorial.gpt import GPT, SIZES, GPTConfig

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
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


class WeightsError(ValueError):
    """Weights could not be read or written; the message says what to do.

    >>> WeightsError("no space left")
    WeightsError('no space left')
    """


def turned(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Turn the maps that Conv1D keeps the other way round; two turns are none.

    >>> turned("transformer.h.0.mlp.c_fc.weight", torch.zeros(768, 3072)).shape
    torch.Size([3072, 768])
    """
    return weight.T if name.endswith(TRANSPOSED) else weight


def check_fit(model: GPT, weights: Mapping[str, Any]) -> None:
    """Refuse weights whose names or shapes are not those of the model.

    >>> model = GPT(GPTConfig(8, 65, n_layer=1, n_head=2, n_embd=24))
    >>> check_fit(model, weights_of(model))
    """
    wanted = {name: turned(name, p).shape for name, p in model.named_parameters()}
    missing = sorted(wanted.keys() - weights.keys())
    unknown = sorted(weights.keys() - wanted.keys() - {"lm_head.weight"})
    if missing or unknown:
        raise WeightsError(
            f"these are another model's weights: missing {missing[:3]}, "
            f"unknown {unknown[:3]}"
        )
    for name, shape in wanted.items():
        if weights[name].shape != shape:
            raise WeightsError(
                f"{name} is {tuple(weights[name].shape)} and should be "
                f"{tuple(shape)}: take the config that belongs to these weights"
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
        parameter.copy_(turned(name, theirs))


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
        weights[name] = turned(name, weight).to("cpu", dtype).contiguous()
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


def config_for(config: GPTConfig, dtype: torch.dtype) -> dict[str, Any]:
    """Say in a config.json what `transformers` must know to build the model.

    >>> config_for(GPTConfig(), torch.float32)["n_positions"]
    1024
    """
    end = 50256 if config.vocab_size > 50256 else None  # GPT-2's end-of-text
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
        "bos_token_id": end,
        "eos_token_id": end,
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
    _check_device(device)
    folder = _find(name_or_folder)
    config, weights = _read_config(folder), _open_weights(folder)
    with _blaming(folder / WEIGHTS):
        _check_sizes(config, weights)
        with torch.device("meta"):
            model = GPT(config)
        check_fit(model, weights)
        _check_head(weights)
        model.to(_dtype_for(weights)).to_empty(device=device)
        model.lm_head.weight = model.transformer.wte.weight  # to_empty parts them
        copy_weights(model, weights)
    return model.eval()


def save_gpt2(
    model: GPT,
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a folder that `load_gpt2` and `transformers` read; see `load_gpt2`.

    float16 as `dtype` halves the file.
    """
    _check_savable(model, dtype)
    dtype = dtype or model.lm_head.weight.dtype
    weights = weights_of(model, dtype)
    _check_range(weights, model)
    with _written_aside(Path(folder), WEIGHTS, CONFIG) as (
        weights_file,
        config_file,
    ):
        save_file(weights, weights_file, metadata={"format": "pt"})
        content = json.dumps(config_for(model.config, dtype), indent=2)
        config_file.write_text(content, encoding="utf-8")


# --- what stands below finds files, refuses damaged ones and keeps ours whole

_INDEX, _SHARD = "model.safetensors.index.json", "model-*-of-*.safetensors"
_PICKLES = "pytorch_model*.bin"
_LONGEST = 1 << 24  # bytes of JSON; a config.json has about a thousand
_FLOATS = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
_OLD_MASKS = re.compile(r"transformer\.h\.\d+\.attn\.(masked_)?bias")
_LAYER = re.compile(r"transformer\.h\.(\d+)\.")


def _check_device(device):
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device {str(device)!r} cannot be used here ({reason}): take 'cpu'"
        ) from None


def _find(name_or_folder):
    """Return the folder of a model, from the hub if nothing here is called so."""
    folder = Path(name_or_folder)
    if (folder / CONFIG).is_file() or not isinstance(name_or_folder, str):
        return folder
    if name_or_folder in SIZES:
        return _from_hub(f"openai-community/{name_or_folder}")
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name_or_folder) and not folder.exists():
        return _from_hub(name_or_folder)
    return folder


def _from_hub(repo):
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise WeightsError(
            f"{repo} is on the Hugging Face hub: run `pip install huggingface_hub`"
        ) from None
    try:
        wanted = [CONFIG, WEIGHTS, _INDEX, _SHARD]
        return Path(snapshot_download(repo, allow_patterns=wanted))
    except Exception as error:  # the hub's own kinds, the network's, the disk's
        raise WeightsError(
            f"{repo} is no folder here, and the Hugging Face hub did not give it "
            f"({type(error).__name__}): check the name and the network, or put its "
            f"{CONFIG} and {WEIGHTS} into a folder and name that folder"
        ) from None


def _read_json(file):
    try:
        with file.open("rb") as opened:
            content = json.loads(opened.read(_LONGEST))
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsError(
            f"{file} is missing: name a folder with {CONFIG} and {WEIGHTS}, one of "
            f"{', '.join(SIZES)}, or owner/name on the Hugging Face hub"
        ) from None
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{file} is no JSON ({error}): fetch it again") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{file} must hold {{…}}, not {str(content)[:40]!r}")
    return content


def _read_config(folder):
    content = _read_json(folder / CONFIG)
    try:
        for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"):
            if type(size := content.get(name)) is not int or size < 1:
                raise ValueError(
                    f"{name} must be a whole number above 0, not {size!r:.40}"
                )
        if content.get("n_inner") not in (None, 4 * content["n_embd"]):
            raise ValueError(
                f"GPT-2 has n_inner 4 · n_embd, not {content['n_inner']!r:.40}"
            )
        return config_from(content)
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{folder / CONFIG}: {str(error)[:300]}") from None


class _Stored:
    """A weight that lies in its file: `[:]` reads it."""

    def __init__(self, part):
        self.shape, self.kind = tuple(part.get_shape()), part.get_dtype()
        self.part = part

    def __getitem__(self, index):
        return self.part[index]


def _open_weights(folder):
    """Name every weight of a model as we do; none of them is read yet."""
    weights = {}
    for file in _weight_files(folder):
        opened = _open(file)
        for key in opened.keys():  # noqa: SIM118 (it is no dict)
            bare = not key.startswith(("transformer.", "lm_head."))
            name = f"transformer.{key}" if bare else key
            if name in weights:
                raise WeightsError(f"{file} holds {name[:80]} for the second time")
            if not _OLD_MASKS.fullmatch(name):
                weights[name] = _Stored(opened.get_slice(key))
    return weights


def _weight_files(folder):
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (index := folder / _INDEX).exists():  # one model in several files
        places = _read_json(index).get("weight_map")
        names = set(map(str, places.values())) if isinstance(places, dict) else []
        for name in names or ["nothing"]:
            if not fnmatch(name, _SHARD) or Path(name).name != name:
                raise WeightsError(
                    f"{index} names {name[:80]!r} as a file of weights"
                )
        return [folder / name for name in sorted(names)]
    if any(folder.glob(_PICKLES)):
        raise WeightsError(
            f"{folder} keeps its weights as pickles ({_PICKLES}), and those can "
            f"run any program when opened: ask for the same weights as {WEIGHTS}"
        )
    raise WeightsError(f"{folder / WEIGHTS} is missing: put the weights there")


def _open(file):
    try:
        return safe_open(file, framework="pt")
    except FileNotFoundError:
        raise WeightsError(f"{file} is missing: fetch it again") from None
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{file} is damaged or cut short ({error}): fetch it again"
        ) from None


@contextlib.contextmanager
def _blaming(file):
    try:
        yield
    except (WeightsError, SafetensorError) as error:
        raise WeightsError(f"{file}: {error}") from None


def _check_sizes(config, weights):
    """Look before a model is built: a short file can ask for a billion layers."""
    width, layers = config.n_embd, set(map(_LAYER.match, weights)) - {None}
    wanted = {"wte": (config.vocab_size, width), "wpe": (config.block_size, width)}
    for name, shape in wanted.items():
        table = weights.get(f"transformer.{name}.weight")
        found = table.shape if table else "missing"
        if found != shape:
            raise WeightsError(
                f"{name}.weight is {found}, and {CONFIG} says {shape}"
            )
    found = len({match[1] for match in layers})
    if found != config.n_layer:
        raise WeightsError(f"{found} layers, and {CONFIG} says {config.n_layer}")


def _check_head(weights):
    head, table = weights.get("lm_head.weight"), weights["transformer.wte.weight"]
    if head and not (head.shape == table.shape and torch.equal(head[:], table[:])):
        raise WeightsError(
            "lm_head.weight is not wte.weight, and in GPT-2 they are one table: "
            "this model was trained with two"
        )


def _dtype_for(weights):
    kinds = {weight.kind for weight in weights.values()}
    if unknown := kinds - _FLOATS.keys():
        raise WeightsError(
            f"numbers of kind {', '.join(sorted(unknown))} are none of ours: "
            "take the weights in float32, float16 or bfloat16"
        )
    return torch.float64 if "F64" in kinds else torch.float32


def _check_savable(model, dtype):
    if not isinstance(model, GPT):
        raise TypeError(
            f"save_gpt2 writes a GPT, not {type(model).__name__}: hand in the "
            "model itself, not what was wrapped around it"
        )
    if dtype is not None and dtype not in _FLOATS.values():
        raise ValueError(
            f"dtype must be float16, bfloat16, 32 or 64, not {dtype!r}"
        )
    head, table = model.lm_head.weight, model.transformer.wte.weight
    if head is not table and not torch.equal(head, table):
        raise WeightsError(
            "lm_head.weight is not wte.weight, and GPT-2's file holds one table: "
            "tie them before training with lm_head.weight = transformer.wte.weight"
        )


def _check_range(weights, model):
    for name, parameter in model.named_parameters():
        stored = weights.get(
            name, parameter
        )  # lm_head.weight may have no own place
        if stored.isinf().any() and not parameter.isinf().any():
            raise WeightsError(
                f"{name} reaches {parameter.abs().max():g}, too much for "
                f"{stored.dtype}: take bfloat16 or float32"
            )


@contextlib.contextmanager
def _written_aside(folder, *names) -> Iterator[list[Path]]:
    """Hand out passing names; the files get their own when all are whole."""
    mark, is_new = uuid.uuid4().hex, not folder.exists()
    parts = [folder / f".{name}.{mark}.part" for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield parts
        for part in parts:
            with part.open("r+b") as written:
                os.fsync(written.fileno())
        for part, name in zip(parts, names, strict=True):
            os.replace(part, folder / name)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{folder} cannot be written ({reason}): make room or choose another"
        ) from None
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink()
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # which only works when nothing is in it
