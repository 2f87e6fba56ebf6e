"""shard_format: a file that is not as it was written is named."""

import errno
import hashlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpt2_tutorial import shard_format
from gpt2_tutorial.bpe import BPETokenizer
from gpt2_tutorial.shard_format import (
    Header,
    ShardError,
    check_shards,
    pack_header,
    read_header,
    read_index,
    vocabulary_hash,
)
from gpt2_tutorial.shard_writer import in_validation
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.text import CharTokenizer
from small_shards import (
    LETTERS,
    counting,
    folder_of_version_1,
    hasty,  # noqa: F401  a fixture of all tests here
    same_texts,
    write,
)


def test_a_header_can_be_read_by_hand(tmp_path):
    write(tmp_path, ["abca", "bb"], shard_tokens=3, val_every=10**9)
    data = (tmp_path / "train_000001.bin").read_bytes()
    number = lambda start, size: int.from_bytes(data[start : start + size], "little")  # noqa: E731
    assert data[:8] == b"GPT2SHRD" and number(8, 4) == 2 and data[12:16] == b"<u2\0"
    assert (number(16, 8), number(24, 8)) == (3, LETTERS.vocab_size)
    assert data[32:64] == vocabulary_hash(LETTERS)
    assert data[64:96] == hashlib.sha256(data[128:]).digest()
    assert (number(104, 8), number(112, 8)) == (1, 1)  # the next one begins with the second b
    assert data[120:128] == hashlib.sha256(data[:120]).digest()[:8]
    assert [number(i, 2) for i in range(128, len(data), 2)] == [1, 0, 2]
    assert len(data) == 134


def test_the_header_that_is_read_is_the_one_that_was_written(tmp_path):
    write(tmp_path, ["abca", "bb"], shard_tokens=3, val_every=10**9)
    header = read_header(tmp_path / "train_000002.bin")
    assert isinstance(header, Header)
    assert (header.magic, header.version, header.tokens) == (b"GPT2SHRD", 2, 2)
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


def put(place, data, seal=True):
    """Change bytes of a shard; one of the header is sealed again, as if it was meant so."""

    def change(path):
        old = path.read_bytes()
        new = old[:place] + data + old[place + len(data) :]
        if seal and place < 120:
            new = new[:120] + hashlib.sha256(new[:120]).digest()[:8] + new[128:]
        path.write_bytes(new)

    return change


def rewritten(path, tokens, vocabulary=None):
    """A shard that is whole in itself: with other tokens, and the right checksum."""
    header, tokens = read_header(path), np.array(tokens, dtype="<u2")
    header = header._replace(
        tokens=len(tokens),
        checksum=hashlib.sha256(tokens).digest(),
        vocabulary=vocabulary or header.vocabulary,
    )
    path.write_bytes(pack_header(header) + tokens.tobytes())


FAULTS = {
    "empty": (cut(0), "is no whole shard: a shard begins with"),
    "half a header": (cut(100), "promises 128 bytes and 20 tokens of 2, and has 100 bytes"),
    "a header alone": (cut(128), "and has 128 bytes"),
    "one byte less": (cut(167), "and has 167 bytes"),
    "60 per cent": (cut(100 + 128 // 2), "promises 128 bytes and 20 tokens"),
    "one byte more": (lambda p: p.write_bytes(p.read_bytes() + b"x"), "and has 169 bytes"),
    "an array of NumPy": (put(0, b"\x93NUMPY\1\0"), "not with b'.x93NUMPY"),
    "a raw file": (put(0, b"\1\0\2\0\3\0\4\0"), "is no whole shard: a shard begins"),
    "a later version": (put(8, b"\3"), "version 3 with .* is unknown here"),
    "four bytes each": (put(12, b"<u4\0"), "<u4.* is unknown here"),
    "no tokens": (put(16, bytes(8)), "promises 128 bytes and 0 tokens"),
    "tokens without end": (put(16, b"\xff" * 8), "and has 168 bytes"),
    "another vocabulary": (put(32, b"wrong"), "holds the ids of another tokenizer"),
    "another job": (put(96, b"wrong"), "was not written with the settings that shards.json"),
    "another size of the vocabulary": (
        put(24, b"\7\0"),
        "was not written with the settings that shards.json",
    ),
    "a flipped bit in the document": (
        put(104, b"\x40", seal=False),
        "is no whole shard: its header has changed since it was written",
    ),
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


def test_a_flipped_bit_anywhere_in_a_header_is_found(tmp_path):
    path = counting(tmp_path, 60, 20) / "train_000001.bin"
    whole = path.read_bytes()
    for place in range(128):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ShardError, match=r"train_000001.bin is no whole shard"):
            read_header(path)


EDITS = {  # what an editor can do to shards.json, whose numbers a folder must bear out
    "tokens": lambda i: i["train"][1].update(tokens=999),
    "val shards listed as train": lambda i: i["train"].extend(i["val"]),
    "train and val swapped": lambda i: i.update(train=i["val"], val=i["train"]),
    "the last shard dropped": lambda i: i["train"].pop(),
    "a shard in the middle dropped": lambda i: i["train"].pop(1),
    "all shards of val dropped": lambda i: i.update(val=[]),
    "a shard twice": lambda i: i["train"].append(i["train"][0]),
    "another order": lambda i: i["train"].reverse(),
    "vocab_size": lambda i: i["job"].update(vocab_size=7),
    "end_of_text": lambda i: i["job"].update(end_of_text=3),
    "seed": lambda i: i["job"].update(seed=5),
    "source": lambda i: i["job"].update(source="another"),
    "vocabulary": lambda i: i["job"].update(vocabulary="00" * 32),
    "a setting more": lambda i: i["job"].update(more=1),
}


@pytest.mark.parametrize("fault", EDITS)
@pytest.mark.parametrize("version", [1, 2])
def test_an_edited_list_of_shards_is_held_against_the_files(tmp_path, fault, version):
    write(tmp_path, ["abca"] * 12)
    if version == 1:
        folder_of_version_1(tmp_path)
    index = read_index(tmp_path)
    assert check_shards(tmp_path) == {"train": 40, "val": 20} and len(index["train"]) == 8
    EDITS[fault](index)
    (tmp_path / "shards.json").write_text(json.dumps(index))
    with pytest.raises(ShardError, match=r"shards.json|of another tokenizer"):
        check_shards(tmp_path)


def test_only_files_of_a_sensible_size_are_read_whole(tmp_path):
    folder = counting(tmp_path, 60, 20)
    with (folder / "shards.json").open("r+b") as file:
        file.truncate(10**10)  # takes no room: nothing is written
    with pytest.raises(ShardError, match=r"it has 10,000,000,000 bytes, and a file of its kind"):
        read_index(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe with a name")
@pytest.mark.parametrize("name", ["shards.json", "train_000001.bin"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    folder = counting(tmp_path, 60, 20)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ShardError, match="it is a pipe or a device, no file"):
        check_shards(folder)


@pytest.mark.parametrize("where", ["map_tokens", "open_regular"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM])
def test_more_shards_than_may_be_open_are_given_the_true_reason(tmp_path, monkeypatch, code, where):
    folder = counting(tmp_path, 60, 20)

    def refuse(path):
        if path.name == "train_000002.bin":
            raise OSError(code, os.strerror(code))
        return real(path)

    real = getattr(shard_format, where)
    monkeypatch.setattr(shard_format, where, refuse)
    with pytest.raises(ShardError, match=rf"{os.strerror(code)}.*--shard-tokens.*ulimit -n"):
        ShardLoader(folder, "train", 1, 4)


@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit that Windows has not")
def test_a_limit_on_open_files_is_met_before_a_traceback(tmp_path):
    import resource

    folder, limits = counting(tmp_path, 60, 1), resource.getrlimit(resource.RLIMIT_NOFILE)
    room = len(os.listdir("/dev/fd")) + 30
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (room, limits[1]))
        with pytest.raises(ShardError, match=r"60 shards .* open at once .*--shard-tokens"):
            ShardLoader(folder, "train", 1, 4)
        assert check_shards(folder)["train"] == 60  # one after the other
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("documents", "val_every", "split", "sentence"),
    [
        (["abc" * 9], 10**9, "val", "one document cannot be both .*--documents paragraph"),
        (["abc" * 9], 2, "train", "one document cannot be both .*or add documents"),
        (["abc"] * 7, 10**9, "val", "of 7 documents none fell to it: .* from 2 to 7"),
    ],
)
def test_an_empty_split_says_why_and_what_helps(tmp_path, documents, val_every, split, sentence):
    seed = next(s for s in range(9) if in_validation(0, val_every, s) == (split == "train"))
    write(tmp_path, documents, val_every=val_every, seed=seed)
    with pytest.raises(ShardError, match=rf"holds no {split} tokens: {sentence}"):
        ShardLoader(tmp_path, split, 1, 2)
    if len(documents) > 1:  # what is named helps
        for helps in (2, 7):
            counts = write(tmp_path / str(helps), documents, val_every=helps, seed=seed)
            assert all(counts.values())


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
