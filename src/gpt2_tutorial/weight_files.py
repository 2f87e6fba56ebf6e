"""The files of a model: found, opened, refused where they are damaged, and kept whole."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from gpt2_tutorial.files import whole_files
from gpt2_tutorial.gpt import SIZES, GPTConfig

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SIZES_OF_GPT2 = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
TABLE, HEAD = "transformer.wte.weight", "lm_head.weight"  # one table by two names
_INDEX, _SHARD = "model.safetensors.index.json", "model-*-of-*.safetensors"
_SHARD_NAME = re.compile(r"model-[\w.-]*-of-[\w.-]*\.safetensors", re.ASCII)
_TOKENIZERS = ["tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "characters.json"]
_TOKENIZERS += ["bpe.json", "encoder.json", "*.model", "*.tiktoken"]
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_LFS = b"version https://git-lfs"  # how a note begins that stands for a large file
_LONGEST = 1 << 24  # bytes of JSON; a config.json has about a thousand
_OLD_MASKS = re.compile(r"transformer\.h\.\d+\.attn\.(masked_)?bias")


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
        wanted = [CONFIG, WEIGHTS, _INDEX, _SHARD, *_TOKENIZERS]
        return Path(snapshot_download(repo, allow_patterns=wanted))
    except Exception as error:  # the hub's own kinds, the network's, the disk's
        raise WeightsError(
            f"{repo} is no folder here, and the Hugging Face hub did not give it "
            f"({type(error).__name__}): check the name and the network, or put its "
            f"{CONFIG} and {WEIGHTS} into a folder and name that folder"
        ) from None


def _read_json(file):
    text = b""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LONGEST)
        content = json.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        if pickles := _pickles(file.parent):
            raise WeightsError(pickles) from None
        if (of_a_run := file.parent / "model" / CONFIG).is_file():
            raise WeightsError(
                f"{file} is missing: the model of a run is in {of_a_run.parent}, name that folder"
            ) from None
        raise WeightsError(
            f"{file} is missing: name a folder with {CONFIG} and {WEIGHTS}, one of "
            f"{', '.join(SIZES)}, or owner/name on the Hugging Face hub"
        ) from None
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        if text.startswith(_LFS):
            raise WeightsError(_pointer(file)) from None
        raise WeightsError(f"{file} is no JSON ({error}): fetch it again") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{file} must hold {{…}}, not {str(content)[:40]!r}")
    return content


def kind_of_model(folder: Path) -> Any:
    """Return what a config.json calls its model.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / CONFIG).write_text('{"model_type": "gpt2"}')
    >>> kind_of_model(folder)
    'gpt2'
    """
    return _read_json(folder / CONFIG).get("model_type")


def read_config(
    folder: Path,
    take: Callable[[dict[str, Any]], GPTConfig],
    sizes: Iterable[str] = SIZES_OF_GPT2,
) -> GPTConfig:
    """Read a config.json and let `take` make the config of it; a refusal names the file.

    `sizes` are what it must hold as whole numbers above 0.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> sizes = {"vocab_size": 65, "n_positions": 8, "n_embd": 24, "n_layer": 1, "n_head": 2}
    >>> _ = (folder / CONFIG).write_text(json.dumps(sizes))
    >>> read_config(folder, lambda content: GPTConfig(n_embd=content["n_embd"])).n_embd
    24
    """
    content = _read_json(folder / CONFIG)
    try:
        for name in sizes:
            if type(size := content.get(name)) is not int or size < 1:
                raise ValueError(f"{name} must be a whole number above 0, not {size!r:.40}")
        if content.get("n_inner") not in (None, 4 * content.get("n_embd", 0)):
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


def stored_weights(
    folder: Path, name_of: Callable[[str], str] = lambda key: key
) -> dict[str, Stored]:
    """Name every weight of a model as its files do, or as `name_of` says; none is read yet.

    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> save_file({"a": torch.ones(24)}, Path(folder := tempfile.mkdtemp()) / WEIGHTS)
    >>> stored_weights(Path(folder))["a"].shape
    (24,)
    """
    weights: dict[str, Stored] = {}
    for file in _weight_files(folder):
        opened = _open(file)
        for key in opened.keys():  # noqa: SIM118 (it is no dict)
            if (name := name_of(key)) in weights:
                raise WeightsError(f"{file} holds {name[:80]} for the second time")
            weights[name] = Stored(opened.get_slice(key))
    return weights


def _our_name(key):
    return key if key.startswith(("transformer.", "lm_head.")) else f"transformer.{key}"


def open_weights(folder: Path) -> dict[str, Stored]:
    """Name every weight of a model as we do; none of them is read yet.

    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> save_file({"ln_f.bias": torch.ones(24)}, Path(folder := tempfile.mkdtemp()) / WEIGHTS)
    >>> list(open_weights(Path(folder)))
    ['transformer.ln_f.bias']
    """
    weights = stored_weights(folder, _our_name)
    weights = {name: held for name, held in weights.items() if not _OLD_MASKS.fullmatch(name)}
    _check_prefix(weights, folder / WEIGHTS)
    if HEAD in weights:  # the two are one table, and some programs keep it under this name
        weights.setdefault(TABLE, weights[HEAD])
    return weights


def _check_prefix(weights, file):
    """Refuse names with something before them, as wrappers of a model put it there."""
    if TABLE in weights:
        return
    names = [name.removeprefix("transformer.") for name in weights]
    for name in names:
        if name.endswith(("wte.weight", HEAD)) and name != HEAD:
            prefix = name.removesuffix("wte.weight").removesuffix(HEAD)
            prefix = prefix.removesuffix("transformer.")
            all_of_them = all(other.startswith(prefix) for other in names)
            which = "all names begin" if all_of_them else f"{short(name)} begins"
            raise WeightsError(f"{file}: {which} with {short(prefix)}: strip it")


def short(text: str) -> str:
    """Cut a text out of a file so that a sentence can hold it.

    >>> short("a" * 100)[75:], short("\\ud800")
    ('aaaa…', "'\\\\ud800'")
    """
    text = text if len(text) <= 80 else text[:79] + "…"
    return text if text.isprintable() else repr(text)


def _weight_files(folder):
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if (index := folder / _INDEX).exists():  # one model in several files
        places = _read_json(index).get("weight_map")
        names = set(map(str, places.values())) if isinstance(places, dict) else []
        for name in names or ["nothing"]:
            if not _SHARD_NAME.fullmatch(name):
                raise WeightsError(f"{index} names {name[:80]!r} as a file of weights")
        return [folder / name for name in sorted(names)]
    if pickles := _pickles(folder):
        raise WeightsError(pickles)
    raise WeightsError(f"{folder / WEIGHTS} is missing: put the weights there")


def _pickles(folder):
    """Say that a folder, or a file that was taken for one, holds pickles; else ""."""
    near = [folder] if folder.is_file() else sorted(folder.glob("*"))
    for file in near:
        if any(fnmatch(file.name, pattern) for pattern in _PICKLES):
            return (
                f"{folder} keeps its weights as pickles ({short(file.name)}), and those can run "
                f"any program when opened: ask for the same weights as {WEIGHTS}"
            )
    return ""


def _pointer(file):
    return (
        f"{file} is a note of Git LFS that stands for the file: run `git lfs pull`, or download "
        "the file itself"
    )


def _open(file):
    try:
        return safe_open(file, framework="pt")
    except FileNotFoundError:
        raise WeightsError(f"{file} is missing: fetch it again") from None
    except (SafetensorError, OSError) as error:
        with contextlib.suppress(OSError), file.open("rb") as opened:
            if opened.read(len(_LFS)) == _LFS:
                raise WeightsError(_pointer(file)) from None
        why = str(error)[:200]
        raise WeightsError(f"{file} is damaged or cut short ({why}): fetch it again") from None


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
        raise WeightsError(f"{file}: {str(error)[:700]}") from None


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
            for aside in asides:  # safetensors makes its own for nobody but the owner
                shutil.copymode(asides[-1], aside)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{folder} cannot be written ({reason}): make room or choose another"
        ) from None
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # which only works when nothing is in it
