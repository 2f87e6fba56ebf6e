"""The files of a model: found, opened, refused where they are damaged, and kept whole."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from gpt2_tutorial.files import whole_files
from gpt2_tutorial.gpt import GPT, SIZES, GPTConfig

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
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


class WeightsError(ValueError):
    """Weights could not be read or written; the message says what to do.

    >>> WeightsError("no space left")
    WeightsError('no space left')
    """


def check_device(device: torch.device | str) -> None:
    """Refuse a device that is not there.

    >>> check_device("cpu")
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device {str(device)!r} cannot be used here ({reason}): take 'cpu'"
        ) from None


def model_folder(name_or_folder: str | os.PathLike[str]) -> Path:
    """Return the folder of a model, from the hub if nothing here is called so.

    >>> model_folder(Path("runs", "mine")).name
    'mine'
    """
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


def read_config(folder: Path, take: Callable[[dict[str, Any]], GPTConfig]) -> GPTConfig:
    """Read a config.json and let `take` make the config of it; a refusal names the file.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> sizes = {"vocab_size": 65, "n_positions": 8, "n_embd": 24, "n_layer": 1, "n_head": 2}
    >>> _ = (folder / CONFIG).write_text(json.dumps(sizes))
    >>> read_config(folder, lambda content: GPTConfig(n_embd=content["n_embd"])).n_embd
    24
    """
    content = _read_json(folder / CONFIG)
    try:
        for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"):
            if type(size := content.get(name)) is not int or size < 1:
                raise ValueError(f"{name} must be a whole number above 0, not {size!r:.40}")
        if content.get("n_inner") not in (None, 4 * content["n_embd"]):
            raise ValueError(f"GPT-2 has n_inner 4 · n_embd, not {content['n_inner']!r:.40}")
        return take(content)
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{folder / CONFIG}: {str(error)[:300]}") from None


class Stored:
    """A weight that lies in its file: it has its shape, and `[:]` reads it.

    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> save_file({"a": torch.zeros(2, 3)}, file := Path(tempfile.mkdtemp(), "one"))
    >>> stored = Stored(safe_open(file, framework="pt").get_slice("a"))
    >>> stored.shape, stored.kind, stored[:].sum().item()
    ((2, 3), 'F32', 0.0)
    """

    def __init__(self, part: Any):
        self.shape, self.kind = tuple(part.get_shape()), part.get_dtype()
        self.part = part

    def __getitem__(self, index):
        return self.part[index]


def open_weights(folder: Path) -> dict[str, Stored]:
    """Name every weight of a model as we do; none of them is read yet.

    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> save_file({"ln_f.bias": torch.ones(24)}, Path(folder := tempfile.mkdtemp()) / WEIGHTS)
    >>> list(open_weights(Path(folder)))
    ['transformer.ln_f.bias']
    """
    weights = {}
    for file in _weight_files(folder):
        opened = _open(file)
        for key in opened.keys():  # noqa: SIM118 (it is no dict)
            bare = not key.startswith(("transformer.", "lm_head."))
            name = f"transformer.{key}" if bare else key
            if name in weights:
                raise WeightsError(f"{file} holds {name[:80]} for the second time")
            if not _OLD_MASKS.fullmatch(name):
                weights[name] = Stored(opened.get_slice(key))
    return weights


def _weight_files(folder):
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (index := folder / _INDEX).exists():  # one model in several files
        places = _read_json(index).get("weight_map")
        names = set(map(str, places.values())) if isinstance(places, dict) else []
        for name in names or ["nothing"]:
            if not fnmatch(name, _SHARD) or Path(name).name != name:
                raise WeightsError(f"{index} names {name[:80]!r} as a file of weights")
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
        raise WeightsError(f"{file} is damaged or cut short ({error}): fetch it again") from None


@contextlib.contextmanager
def blaming(file: Path) -> Iterator[None]:
    """Put the file's name before a refusal that comes out of the block.

    >>> with blaming(Path("a.safetensors")):
    ...     raise WeightsError("one is missing")
    Traceback (most recent call last):
    gpt2_tutorial.weight_files.WeightsError: a.safetensors: one is missing
    """
    try:
        yield
    except (WeightsError, SafetensorError) as error:
        raise WeightsError(f"{file}: {error}") from None


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


def check_head(weights: Mapping[str, Any]) -> None:
    """Refuse a model that was trained with two tables.

    >>> check_head({"transformer.wte.weight": torch.ones(65, 24)})
    """
    head, table = weights.get("lm_head.weight"), weights["transformer.wte.weight"]
    if head and not (head.shape == table.shape and torch.equal(head[:], table[:])):
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
            f"numbers of kind {', '.join(sorted(unknown))} are none of ours: "
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


@contextlib.contextmanager
def written_whole(folder: Path, *names: str) -> Iterator[list[Path]]:
    """Lend passing names in a folder; the files get their own when all are whole.

    >>> import tempfile
    >>> with written_whole(folder := Path(tempfile.mkdtemp(), "new"), "a") as (aside,):
    ...     _ = aside.write_text("one")
    >>> (folder / "a").read_text()
    'one'
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_files(*(folder / name for name in names)) as asides:
            yield asides
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{folder} cannot be written ({reason}): make room or choose another"
        ) from None
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # which only works when nothing is in it
