"""Small shards for the tests of the modules that write and read them."""

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpt2_tutorial.shard_format import read_index
from gpt2_tutorial.shard_writer import in_validation, write_shards
from gpt2_tutorial.text import CharTokenizer


@pytest.fixture(autouse=True)
def hasty(request, monkeypatch):
    """Do not wait for the disk, but where waiting is what is tested."""
    if "where" not in request.fixturenames:
        monkeypatch.setattr(os, "fsync", lambda handle: None)


def numbers(vocab_size: int = 65_536) -> SimpleNamespace:
    """A tokenizer whose texts are ids: "7 8" is 7 and 8."""
    return SimpleNamespace(
        vocab_size=vocab_size,
        tokens=[b"%d" % i for i in range(vocab_size)],
        encode=lambda text: [int(word) for word in text.split()],
    )


NUMBERS = numbers()
LETTERS = CharTokenizer("abc\x03")  # end-of-text is id 0


def one_document(ids) -> list[str]:
    return [" ".join(map(str, ids))]


def write(folder, documents, shard_tokens=5, tokenizer=LETTERS, end=0, **more):
    more = {"val_every": 3, "shuffle": 0} | more
    return write_shards(documents, tokenizer, folder, shard_tokens, end_of_text=end, **more)


def counting(folder, size, shard_tokens=1000) -> Path:
    """Shards that hold 0, 1, … size − 1: a token says where it stands."""
    documents = one_document(range(size - 1))
    write(folder, documents, shard_tokens, NUMBERS, end=size - 1, val_every=10**9)
    assert not in_validation(0, 10**9, seed=0)
    return folder


def folder_of_version_1(folder) -> None:
    """Make of shards what earlier versions wrote: 16 bytes of the job, and no seal."""
    path = Path(folder, "shards.json")
    content = json.loads(path.read_text())
    del content["documents"], content["job"]["version"]
    path.write_text(json.dumps(content))
    job = hashlib.sha256(json.dumps(content["job"]).encode()).digest()[:16]
    for shard in Path(folder).glob("*.bin"):
        data = shard.read_bytes()
        places = data[104:120]
        shard.write_bytes(data[:8] + b"\1" + data[9:96] + job + places + data[128:])


def tokens_of(folder, split) -> list[int]:
    found = [Path(folder, entry["file"]).read_bytes() for entry in read_index(folder)[split]]
    return [int.from_bytes(data[i : i + 2], "little") for data in found for i in
            range(128, len(data), 2)]  # fmt: skip


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def same_texts(number=40) -> list[str]:
    return ["abc"[i % 3] * (1 + i % 7) for i in range(number)]
