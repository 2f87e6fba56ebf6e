"""shard_format: a file that is not as it was written is named."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpt2_tutorial.bpe import BPETokenizer
from gpt2_tutorial.shard_format import (
    HEADER,
    Header,
    ShardError,
    check_shards,
    read_header,
    read_index,
    vocabulary_hash,
)
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.text import CharTokenizer
from small_shards import (
    LETTERS,
    counting,
    hasty,  # noqa: F401  a fixture of all tests here
    same_texts,
    write,
)


def test_a_header_can_be_read_by_hand(tmp_path):
    write(tmp_path, ["abca", "bb"], shard_tokens=3, val_every=10**9)
    data = (tmp_path / "train_000001.bin").read_bytes()
    number = lambda start, size: int.from_bytes(data[start : start + size], "little")  # noqa: E731
    assert data[:8] == b"GPT2SHRD" and number(8, 4) == 1 and data[12:16] == b"<u2\0"
    assert (number(16, 8), number(24, 8)) == (3, LETTERS.vocab_size)
    assert data[32:64] == vocabulary_hash(LETTERS)
    assert data[64:96] == hashlib.sha256(data[128:]).digest()
    assert (number(112, 8), number(120, 8)) == (1, 1)  # the next one begins with the second b
    assert [number(i, 2) for i in range(128, len(data), 2)] == [1, 0, 2]
    assert len(data) == 134


def test_the_header_that_is_read_is_the_one_that_was_written(tmp_path):
    write(tmp_path, ["abca", "bb"], shard_tokens=3, val_every=10**9)
    header = read_header(tmp_path / "train_000002.bin")
    assert isinstance(header, Header)
    assert (header.magic, header.version, header.tokens) == (b"GPT2SHRD", 1, 2)
    assert (header.document, header.offset) == (2, 0)


def test_the_vocabulary_hash_tells_vocabularies_apart():
    tokenizers = [
        CharTokenizer("ab"),
        CharTokenizer("abc"),
        CharTokenizer("ac"),
        BPETokenizer([]),
        BPETokenizer([(97, 98)]),
        BPETokenizer([(97, 98)], ["<|endoftext|>"]),
        SimpleNamespace(tokens=[b"a", b"bc"]),
        SimpleNamespace(tokens=[b"ab", b"c"]),
    ]
    hashes = [vocabulary_hash(tokenizer) for tokenizer in tokenizers]
    assert len(set(hashes)) == len(hashes) and {len(h) for h in hashes} == {32}
    assert vocabulary_hash(BPETokenizer([(97, 98)])) == hashes[4]


# --- damaged, foreign, missing


def cut(keep):
    return lambda path: path.write_bytes(path.read_bytes()[:keep])


def put(place, data):
    def change(path):
        old = path.read_bytes()
        path.write_bytes(old[:place] + data + old[place + len(data) :])

    return change


def rewritten(path, tokens, vocabulary=None):
    """A shard that is whole in itself: with other tokens, and the right checksum."""
    header, tokens = read_header(path), np.array(tokens, dtype="<u2")
    header = header._replace(
        tokens=len(tokens),
        checksum=hashlib.sha256(tokens).digest(),
        vocabulary=vocabulary or header.vocabulary,
    )
    path.write_bytes(HEADER.pack(*header) + tokens.tobytes())


FAULTS = {
    "empty": (cut(0), "is no whole shard: a shard begins with"),
    "half a header": (cut(100), "promises 128 bytes and 20 tokens of 2, and has 100 bytes"),
    "a header alone": (cut(128), "and has 128 bytes"),
    "one byte less": (cut(167), "and has 167 bytes"),
    "60 per cent": (cut(100 + 128 // 2), "promises 128 bytes and 20 tokens"),
    "one byte more": (lambda p: p.write_bytes(p.read_bytes() + b"x"), "and has 169 bytes"),
    "an array of NumPy": (put(0, b"\x93NUMPY\1\0"), "not with b'.x93NUMPY"),
    "a raw file": (put(0, b"\1\0\2\0\3\0\4\0"), "is no whole shard: a shard begins"),
    "a later version": (put(8, b"\2"), "version 2 with .* is unknown here"),
    "four bytes each": (put(12, b"<u4\0"), "<u4.* is unknown here"),
    "no tokens": (put(16, bytes(8)), "promises 128 bytes and 0 tokens"),
    "tokens without end": (put(16, b"\xff" * 8), "and has 168 bytes"),
    "another vocabulary": (put(32, b"wrong"), "holds the ids of another tokenizer"),
    "another checksum": (put(64, b"wrong"), "is not the shard that shards.json names"),
    "other tokens": (
        lambda p: rewritten(p, range(1, 21)),
        "is not the shard that shards.json names",
    ),
    "missing": (Path.unlink, "cannot be read .No such file"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), "cannot be read .Is a directory"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", [0, 2])
def test_a_shard_that_is_not_as_it_was_written_is_named(tmp_path, fault, number):
    damage, sentence = FAULTS[fault]
    folder = counting(tmp_path, 60, 20)
    path = folder / f"train_{number:06d}.bin"
    damage(path)
    for attempt in (lambda: ShardLoader(folder, "train", 1, 4), lambda: check_shards(folder)):
        with pytest.raises(ShardError, match=sentence) as caught:
            attempt()
        assert path.name in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize("place", [128, 141, 167])
def test_a_flipped_bit_among_the_tokens_is_found_by_reading_all(tmp_path, place):
    folder = counting(tmp_path, 60, 20)
    path = folder / "train_000001.bin"
    put(place, bytes([path.read_bytes()[place] ^ 16]))(path)
    with pytest.raises(ShardError, match=r"train_000001.bin has changed since it was written"):
        check_shards(folder)


def test_an_id_outside_the_vocabulary_is_refused_wherever_it_came_from(tmp_path):
    write(tmp_path, ["abc"] * 9, shard_tokens=100, val_every=10**9)
    path = tmp_path / "train_000000.bin"
    rewritten(path, [1, 2, 4] * 12)
    index = read_index(tmp_path)
    index["train"][0] |= {"sha256": read_header(path).checksum.hex(), "tokens": 36}
    (tmp_path / "shards.json").write_text(json.dumps(index))
    with pytest.raises(ShardError, match=r"train_000000.bin holds id 4, not below 4"):
        check_shards(tmp_path)
    with pytest.raises(ShardError, match="id 4 is not below 4: `gpt2 prepare check`"):
        ShardLoader(tmp_path, "train", 4, 8).next_batch()


@pytest.mark.parametrize("prefetch", [False, True])
def test_the_tokenizer_can_be_held_against_the_shards(tmp_path, prefetch):
    write(tmp_path, same_texts())
    loader = ShardLoader(tmp_path, "train", 1, 4, tokenizer=LETTERS, prefetch=prefetch)
    assert loader.vocab_size == 4
    with pytest.raises(ShardError, match="was written with the ids of another tokenizer"):
        ShardLoader(tmp_path, "train", 1, 4, tokenizer=CharTokenizer("abd\x03"), prefetch=prefetch)


def test_files_that_lie_around_are_left_alone(tmp_path):
    folder = counting(tmp_path, 60, 20)
    usual = [part.tolist() for part in ShardLoader(folder, "train", 2, 4).next_batch()]
    for name in ("train_000003.bin", ".train_000001.bin.part", "edu_train_backup.bin", ".DS_Store"):
        (folder / name).write_bytes(b"what is this")
    assert [part.tolist() for part in ShardLoader(folder, "train", 2, 4).next_batch()] == usual


def test_an_unfinished_folder_is_named(tmp_path):
    folder = counting(tmp_path, 60, 20)
    (folder / "shards.json").unlink()
    with pytest.raises(ShardError, match=r"holds no shards.json to read .* or do the same again"):
        ShardLoader(folder, "train", 1, 4)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: "not JSON",
        lambda index: "[" * 100_000,
        lambda index: "[]",
        lambda index: json.dumps({"job": index["job"]}),
        lambda index: json.dumps(index | {"job": {}}),
        lambda index: json.dumps(index | {"train": [{"file": "../train_000000.bin"}]}),
        lambda index: json.dumps(index | {"train": [index["train"][0] | {"tokens": "many"}]}),
        lambda index: json.dumps(index | {"train": [index["train"][0] | {"sha256": "xyz"}]}),
        lambda index: json.dumps(index | {"train": 3}),
        lambda index: "\udcff",
    ],
)
def test_a_damaged_list_of_shards_is_named(tmp_path, change):
    folder = counting(tmp_path, 60, 20)
    text = change(read_index(folder)).encode("utf-8", "surrogateescape")
    (folder / "shards.json").write_bytes(text)
    with pytest.raises(ShardError, match=r"shards.json is damaged: copy it anew"):
        ShardLoader(folder, "train", 1, 4)


def test_damage_is_named_before_anything_goes_on_behind_it(tmp_path):
    write(tmp_path, same_texts(), 10)
    (tmp_path / "shards.json").unlink()
    cut(140)(tmp_path / "train_000001.bin")
    with pytest.raises(ShardError, match=r"train_000001.bin is no whole shard.*or delete it"):
        write(tmp_path, same_texts(), 10)
    (tmp_path / "train_000001.bin").unlink()
    write(tmp_path, same_texts(), 10)
    write(tmp_path / "whole", same_texts(), 10)
    assert (tmp_path / "train_000001.bin").read_bytes() == (
        tmp_path / "whole" / "train_000001.bin"
    ).read_bytes()
