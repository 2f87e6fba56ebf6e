"""Whose folder it is: what is there already is gone on with, or refused and left as it is."""

import json
import os
import re
from collections.abc import Iterable
from operator import index
from pathlib import Path
from typing import Any

from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.bpe_input import file_text
from gpt2_tutorial.files import read_small
from gpt2_tutorial.shard_format import ShardError

_PART = r"\.((train|val)_\d{6}\.bin|(shards|characters|bpe)\.json)\.\w{32}\.part"


def check_job(documents: Iterable[str], job: dict[str, Any]) -> None:
    """Refuse one text in place of many, and numbers that are too small.

    >>> check_job(["a"], {"shard_tokens": 8, "val_every": 2, "shuffle": 0, "seed": 0})
    """
    if isinstance(documents, str):
        raise TypeError("put a text into a list to make it one document")
    least = {"shard_tokens": 1, "val_every": 2, "shuffle": 0, "seed": 0}
    for name, lowest in least.items():
        if index(job[name]) < lowest:
            raise ValueError(f"{name} must be {lowest} or more, not {job[name]}")


def made(folder: str | os.PathLike[str]) -> Path:
    """Make the folder, take out what a killed call left there; refuse a model's.

    >>> import tempfile
    >>> made(tempfile.mkdtemp()).is_dir()
    True
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.part"):  # by a call that was killed
            if re.fullmatch(_PART, left.name):
                left.unlink()
        if next(folder.glob("*.safetensors"), None):
            raise ShardError(
                f"{folder} holds a model, whose tokenizer must stay as it is: take another folder"
            )
    except OSError as error:
        raise ShardError(f"{folder} cannot be written to ({error.strerror})") from None
    return folder


def refuse_other_job(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Say what differs; documents that nobody can compare differ as well.

    >>> refuse_other_job(Path("data"), {"source": "a", "seed": 0}, {"source": "b"})
    Traceback (most recent call last):
    gpt2_tutorial.shard_format.ShardError: the text has changed since data was ...
    """
    other = [name for name in new if old.get(name) != new[name]]
    if "version" in other:
        raise ShardError(
            f"{folder} was written by an older version, which cannot be gone on "
            "with: take another folder"
        )
    if "source" in other:  # first, since a text can bring its own tokenizer
        raise ShardError(
            f"the text has changed since {folder} was written, or another part of "
            "it is wanted: take another folder"
        )
    if "vocabulary" in other:
        raise ShardError(f"{folder} was written with another tokenizer: take another folder")
    if other:
        told = ", ".join(f"{n} {old.get(n)!r} and not {new[n]!r}" for n in other)
        raise ShardError(f"{folder} was written with {told}: take another folder")
    refuse_unknown(folder, new)


def refuse_unknown(folder: Path, job: dict[str, Any]) -> None:
    """Refuse to go on with documents that can be read only once and have no source.

    >>> refuse_unknown(Path("data"), {"source": "a sha256, for example"})
    """
    if not job["source"]:
        raise ShardError(
            f"{folder} holds shards, and documents that can be read only once "
            "cannot be compared with them: hand over a list, say what the source "
            "is, or take another folder"
        )


def files_beside(tokenizer: Any, folder: Path) -> dict[Path, bytes]:
    """Say what belongs beside the shards to read them; GPT-2's needs no file.

    >>> from gpt2_tutorial.text import CharTokenizer
    >>> files_beside(CharTokenizer("ab"), Path("no", "folder")).values()
    dict_values([b'["a", "b"]'])
    """
    files = {}
    if hasattr(tokenizer, "characters"):
        letters = json.dumps(tokenizer.characters)
        files[folder / "characters.json"] = letters.encode()
    ours = isinstance(tokenizer, BPETokenizer)
    if ours and not isinstance(tokenizer, GPT2Tokenizer):
        files[folder / "bpe.json"] = file_text(tokenizer).encode()
    for path, data in files.items():
        if path.exists() and not _holds(path, data):
            raise ShardError(
                f"{path} is there already, and of another tokenizer: take another folder"
            )
    return files


def _holds(path, data):
    try:
        return path.stat().st_size == len(data) and read_small(path, len(data)) == data
    except OSError as error:
        raise ShardError(f"{path} cannot be read ({error.strerror})") from None
