"""shards: every token once, in the same order for any ranks, whatever is killed or damaged."""

import errno
import hashlib
import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial import shards
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.shards import (
    Header,
    ShardError,
    ShardLoader,
    TokenRing,
    check_shards,
    epoch_order,
    in_validation,
    read_header,
    read_index,
    shuffled,
    vocabulary_hash,
    write_shards,
)
from gpt2_tutorial.text import CharTokenizer

SRC = Path(__file__).parents[2] / "src"
END = 3


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


def tokens_of(folder, split) -> list[int]:
    found = [Path(folder, entry["file"]).read_bytes() for entry in read_index(folder)[split]]
    return [int.from_bytes(data[i : i + 2], "little") for data in found for i in
            range(128, len(data), 2)]  # fmt: skip


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


# --- the file


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


# --- which documents, in which order


@given(st.integers(2, 30), st.integers(0, 50), st.integers(0, 5))
def test_one_of_each_group_of_neighbours_is_for_validation(val_every, group, seed):
    neighbours = range(group * val_every, (group + 1) * val_every)
    assert sum(in_validation(position, val_every, seed) for position in neighbours) == 1


def test_another_seed_draws_other_documents_and_each_place_is_drawn():
    drawn = [[p for p in range(300) if in_validation(p, 3, seed)] for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    assert all(min(Counter(p % 3 for p in each).values()) > 20 for each in drawn)


@given(st.lists(st.text(max_size=5)), st.integers(0, 30), st.integers(0, 9))
def test_shuffling_loses_and_repeats_nothing_and_holds_little(texts, characters, seed):
    waiting, most = [], 0

    def documents():
        nonlocal most
        for document in enumerate(texts):
            waiting.append(document)
            yield document
            most = max(most, sum(len(text) for _, text in waiting))

    seen = []
    for document in shuffled(documents(), characters, seed):
        waiting.remove(document)
        seen.append(document)
    assert sorted(seen) == list(enumerate(texts))
    assert most <= characters + 5
    assert seen == list(shuffled(enumerate(texts), characters, seed))


def test_shuffling_mixes_and_without_room_keeps_the_order():
    documents = [(i, "aa") for i in range(300)]
    assert list(shuffled(documents, 0, seed=1)) == documents
    mixed = [i for i, _ in shuffled(documents, 10**6, seed=1)]
    assert abs(np.corrcoef(mixed, range(300))[0, 1]) < 0.2
    assert mixed != [i for i, _ in shuffled(documents, 10**6, seed=2)]


# --- writing


def spec_split(documents, val_every, shuffle, seed) -> dict[str, list[int]]:
    """The tokens of both splits, with a loop and no shards."""
    streams = {"train": [], "val": []}
    numbered = [(i, text) for i, text in enumerate(documents) if text]
    for position, text in shuffled(numbered, shuffle, seed):
        split = "val" if in_validation(position, val_every, seed) else "train"
        for character in text:
            streams[split].append(LETTERS.characters.index(character))
        streams[split].append(0)
    return streams


@settings(max_examples=50)
@given(
    st.lists(st.text("abc", max_size=9), min_size=1, max_size=12).filter(any),
    st.integers(1, 12),
    st.integers(2, 5),
    st.sampled_from([0, 7, 1000]),
    st.integers(0, 3),
)
def test_shards_hold_the_documents_and_nothing_else(
    tmp_path_factory, documents, size, val_every, shuffle, seed
):
    folder = tmp_path_factory.mktemp("shards")
    chosen = {"val_every": val_every, "shuffle": shuffle, "seed": seed}
    counts = write(folder, iter(documents), size, **chosen)
    streams = spec_split(documents, val_every, shuffle, seed)
    for split, stream in streams.items():
        assert tokens_of(folder, split) == stream
        assert counts[split] == len(stream)
        entries = read_index(folder)[split]
        assert all(entry["tokens"] == size for entry in entries[:-1])
        assert [entry["file"] for entry in entries] == [
            f"{split}_{i:06d}.bin" for i in range(-(-len(stream) // size))
        ]
    assert check_shards(folder) == counts
    assert len(contents(folder)) == 2 + sum(len(read_index(folder)[s]) for s in streams)


def test_end_of_text_is_the_tokenizers_own_and_never_comes_from_the_text(tmp_path):
    tokenizer = BPETokenizer([], ["<|endoftext|>"])
    write_shards(["a<|endoftext|>b", "c"], tokenizer, tmp_path, shuffle=0)
    tokens = tokens_of(tmp_path, "train") + tokens_of(tmp_path, "val")
    assert tokens.count(256) == 2 and bytes(t for t in tokens if t < 256) == b"a<|endoftext|>bc"


def test_65_536_ids_fit_and_the_last_one_survives(tmp_path):
    write(tmp_path, one_document([65_535, 0]), tokenizer=NUMBERS, val_every=10**9, end=9)
    assert tokens_of(tmp_path, "train") == [65_535, 0, 9]


def test_ids_may_come_as_arrays_from_other_processes(tmp_path):
    def encode(pairs):
        for key, text in pairs:
            yield key, np.array(LETTERS.encode(text), dtype=np.uint16)

    write(tmp_path / "a", ["abc", "a"] * 5, encode=encode)
    write(tmp_path / "b", ["abc", "a"] * 5)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize(
    ("tokenizer", "documents", "more", "sentence"),
    [
        (numbers(65_537), ["1"], {}, "two bytes tell 65,536 ids apart, not 65,537"),
        (numbers(4), ["1 4"], {"end": 3}, "document 0 has id 4, not one below 4"),
        (numbers(4), ["1", "-2"], {"end": 3}, "document 1 has id -2, not one below 4"),
        (LETTERS, ["a"], {"end": None}, "which id stands behind a document.*not -1"),
        (LETTERS, ["a"], {"end": 4}, "an id from 0 to 3, not 4"),
        (LETTERS, [], {}, "there is no text to write"),
        (LETTERS, ["", ""], {}, "there is no text to write"),
        (LETTERS, ["a"], {"shard_tokens": 0}, "shard_tokens must be 1 or more, not 0"),
        (LETTERS, ["a"], {"val_every": 1}, "val_every must be 2 or more, not 1"),
        (LETTERS, ["a"], {"shuffle": -1}, "shuffle must be 0 or more, not -1"),
        (LETTERS, ["a"], {"seed": -1}, "seed must be 0 or more, not -1"),
        (LETTERS, ["d"], {}, "'d' is not among this tokenizer's characters"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, tokenizer, documents, more, sentence):
    more = {"tokenizer": tokenizer} | more
    with pytest.raises((ValueError, ShardError), match=sentence):
        write(tmp_path / "new", documents, **more)
    left = tmp_path / "new"
    assert not left.exists() or not [p for p in left.iterdir() if p.name == "shards.json"]


@pytest.mark.parametrize("ids", [[1.5], ["1"], [True, 2.0], [None]])
def test_ids_that_are_no_whole_numbers_are_refused(tmp_path, ids):
    with pytest.raises(ValueError, match="document 0 has id"):
        write(tmp_path, ["a"], encode=lambda pairs: ((key, ids) for key, _ in pairs))


def test_documents_of_the_wrong_kind_are_named(tmp_path):
    with pytest.raises(TypeError, match="put a text into a list"):
        write(tmp_path, "abc")
    with pytest.raises(TypeError, match="document 1 must be a str, not bytes"):
        write(tmp_path, ["abc", b"abc"])
    with pytest.raises(TypeError, match="float"):
        write(tmp_path, ["abc"], shard_tokens=1e8)


# --- the tokenizer beside the shards


def test_characters_and_merges_of_ones_own_are_left_beside_the_shards(tmp_path):
    ours = BPETokenizer([(97, 98)], ["<|endoftext|>"])
    gpt2 = GPT2Tokenizer()
    for name, tokenizer in {"letters": LETTERS, "ours": ours, "gpt2": gpt2}.items():
        end = 0 if tokenizer is LETTERS else None
        write(tmp_path / name, ["abc", "ab"], 3, tokenizer, end)
    letters = json.loads((tmp_path / "letters" / "characters.json").read_text())
    assert letters == LETTERS.characters
    assert BPETokenizer.load(tmp_path / "ours" / "bpe.json").tokens == ours.tokens
    others = {"letters": "bpe.json", "ours": "characters.json"}
    assert not any((tmp_path / name / file).exists() for name, file in others.items())
    assert {
        path.suffix for path in (tmp_path / "gpt2").iterdir() if path.name != "shards.json"
    } == {".bin"}


def test_a_call_that_is_refused_leaves_the_tokenizer_alone(tmp_path):
    write(tmp_path, ["abc", "ab"])
    before = contents(tmp_path)
    with pytest.raises(ShardError, match="written from another source"):
        write(tmp_path, ["abc", "ab"], tokenizer=CharTokenizer("abcd\x03"))
    assert contents(tmp_path) == before
    (tmp_path / "characters.json").unlink()
    write(tmp_path, ["abc", "ab"])  # all is there: nothing is written, also not to a disk
    assert "characters.json" not in contents(tmp_path)  # that cannot be written to


def test_what_a_killed_call_left_of_another_tokenizer_is_replaced(tmp_path):
    (tmp_path / "characters.json").write_text('["x"]')
    write(tmp_path, ["abc", "ab"])
    assert json.loads((tmp_path / "characters.json").read_text()) == LETTERS.characters


@pytest.mark.parametrize("tokenizer", [LETTERS, BPETokenizer([], ["<|endoftext|>"])])
def test_a_tokenizer_that_cannot_be_written_is_a_sentence(tmp_path, tokenizer):
    name = "characters.json" if tokenizer is LETTERS else "bpe.json"
    (tmp_path / name).mkdir()
    with pytest.raises(ShardError, match=rf"{name} could not be written"):
        write(tmp_path, ["abc"], tokenizer=tokenizer, end=0)


def test_a_file_is_written_whole_or_left_as_it_was(tmp_path, monkeypatch):
    shards.write_whole(tmp_path / "a", b"one ", b"", np.frombuffer(b"two", np.uint8))
    assert contents(tmp_path) == {"a": b"one two"}
    for owner, name in ((os, "fsync"), (Path, "replace")):

        def full(*args):
            raise OSError(errno.ENOSPC, "no room")

        with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
            patch.setattr(owner, name, full)
            shards.write_whole(tmp_path / "a", b"three")
        assert contents(tmp_path) == {"a": b"one two"}


# --- stopped, killed, out of room


class Stop(BaseException):
    pass


def same_texts(number=40) -> list[str]:
    return ["abc"[i % 3] * (1 + i % 7) for i in range(number)]


@pytest.mark.parametrize("where", ["fsync", "replace", "write"])
def test_a_stop_at_every_point_of_every_write_leaves_whole_shards(tmp_path, monkeypatch, where):
    texts, calls = same_texts(14), itertools.count()
    whole = tmp_path / "whole"
    write(whole, texts, 7, shuffle=20)
    real = {"fsync": os.fsync, "replace": Path.replace, "write": shards.write_whole}[where]
    owner = {"fsync": os, "replace": Path, "write": shards}[where]
    name = {"write": "write_whole"}.get(where, where)
    for stop_at in range(60):
        folder, calls = tmp_path / f"{where}{stop_at}", itertools.count()

        def stopping(*args, calls=calls, stop_at=stop_at):
            if next(calls) == stop_at:
                raise Stop
            return real(*args)

        monkeypatch.setattr(owner, name, stopping)
        try:
            write(folder, texts, 7, shuffle=20)
            assert stop_at > 8
            break
        except Stop:
            pass
        finally:
            monkeypatch.setattr(owner, name, real)
        for path in folder.glob("*.bin"):  # under its final name: to the byte, or not at all
            assert path.read_bytes() == (whole / path.name).read_bytes()
        write(folder, texts, 7, shuffle=20)
        assert contents(folder) == contents(whole)
    else:
        pytest.fail("the writing never ended")


def test_a_last_shard_that_is_not_full_is_filled_when_more_comes_after_a_stop(tmp_path):
    write(tmp_path / "a", same_texts(20), 10)
    (tmp_path / "a" / "shards.json").unlink()  # stopped right before the end
    write(tmp_path / "a", same_texts(40), 10)
    write(tmp_path / "b", same_texts(40), 10)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_what_is_on_the_disk_is_not_tokenized_again(tmp_path):
    texts, seen = same_texts(), []

    def until(stop):
        for i, text in enumerate(texts):
            if i == stop:
                raise Stop
            yield text

    def encode(pairs):
        for key, text in pairs:
            seen.append(key)
            yield key, LETTERS.encode(text)

    with pytest.raises(Stop):
        write(tmp_path, until(30), 10, encode=encode)
    first = len(seen)
    write(tmp_path, texts, 10, encode=encode)
    assert first == 30 and len(seen) - first < 22
    write(tmp_path, until(0), 10, encode=encode)  # all is there: nothing is even read


def test_bytes_are_on_the_disk_before_the_name_and_then_the_name_is(tmp_path, monkeypatch):
    events, real = [], (os.fsync, Path.replace)

    def fsync(handle):
        status = os.fstat(handle)
        events.append("folder" if status.st_ino == tmp_path.stat().st_ino else status.st_size)

    def replace(self, target):
        events.append(Path(target).name)
        return real[1](self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write(tmp_path, ["abca", "bb"], shard_tokens=6, val_every=10**9)
    size = {name: len(data) for name, data in contents(tmp_path).items()}
    names = ("characters.json", "train_000000.bin", "train_000001.bin", "shards.json")
    assert events == [event for name in names for event in (size[name], name, "folder")]


KILLED = """
    import os, random, signal, sys, time
    from pathlib import Path
    from gpt2_tutorial import shards
    from gpt2_tutorial.text import CharTokenizer

    folder, whole, chance = Path(sys.argv[1]), Path(sys.argv[2]), random.Random(0)
    texts = ["abc"[i % 3] * (1 + i % 700) for i in range(400)]

    def write(to):
        tokenizer = CharTokenizer("abc.")
        shards.write_shards(texts, tokenizer, to, 2000, end_of_text=0, val_every=4, shuffle=9000)

    begin = time.perf_counter()
    write(whole)
    usual, kills = time.perf_counter() - begin, 0
    while True:
        child = os.fork()
        if child == 0:
            write(folder)
            os._exit(0)
        time.sleep(chance.random() * usual / 3)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        for path in folder.glob("*.bin"):
            assert path.read_bytes() == (whole / path.name).read_bytes(), path
        if os.WIFEXITED(status):
            assert status == 0
            if kills >= 20:
                break
            for path in list(folder.iterdir())[::2]:  # done too soon: take half away again
                path.unlink()
            (folder / "shards.json").unlink(missing_ok=True)
        kills += os.WIFSIGNALED(status)
    assert [p.name for p in sorted(whole.iterdir())] == [p.name for p in sorted(folder.iterdir())]
    print(kills)
"""


def run_apart(code: str, *args) -> str:
    environment = os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
def test_kill_9_at_random_moments_and_the_same_call_again_gives_the_same_bytes(tmp_path):
    assert int(run_apart(KILLED, tmp_path / "killed", tmp_path / "whole")) >= 20
    check_shards(tmp_path / "killed")


FULL = """
    import resource, sys
    from gpt2_tutorial import shards
    from gpt2_tutorial.text import CharTokenizer

    def write(texts):
        tokenizer = CharTokenizer("abc.")
        shards.write_shards(texts, tokenizer, sys.argv[1], 300, end_of_text=0, shuffle=0)

    def documents():
        for i in range(20):
            if i == 10:  # no file may have more than 500 bytes from here on
                resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
            yield "abc"[i % 3] * 99

    try:
        write(documents())
    except shards.ShardError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    write("abc"[i % 3] * 99 for i in range(20))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit that Windows has not")
def test_where_the_system_refuses_to_write_what_was_written_stays(tmp_path):
    sentence = run_apart(FULL, tmp_path)
    assert "train_000003.bin could not be written (File too large); the shards before" in sentence
    assert sum(check_shards(tmp_path).values()) == 2000
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_full_or_broken_disk_is_a_sentence(tmp_path, monkeypatch, code):
    real, calls = os.fsync, itertools.count()

    def full(handle):
        if next(calls) >= 4:
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ShardError, match=os.strerror(code)) as caught:
        write(tmp_path, same_texts(), 10)
    assert caught.value.__suppress_context__
    monkeypatch.setattr(os, "fsync", real)
    assert {p.suffix for p in tmp_path.iterdir() if p.name != "characters.json"} == {".bin"}
    write(tmp_path, same_texts(), 10)
    write(tmp_path / "whole", same_texts(), 10)
    assert (
        contents(tmp_path / "whole").items()
        <= {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}.items()
    )


def test_two_calls_at_once_cannot_spoil_a_shard(tmp_path):
    def meanwhile():
        for i, text in enumerate(same_texts()):
            if i == 20:
                write(tmp_path, same_texts(), 10)
            yield text

    write(tmp_path, meanwhile(), 10)
    write(tmp_path / "whole", same_texts(), 10)
    assert (
        contents(tmp_path / "whole").items()
        <= {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}.items()
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ShardError, match="file/below cannot be written to"):
        write(tmp_path / "file" / "below", ["a"])


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"val_every": 4},
        {"shuffle": 9},
        {"source": "elsewhere"},
        {"end": 1},
        {"tokenizer": CharTokenizer("abcd\x03")},
        {"shard_tokens": 11},
    ],
)
def test_another_job_does_not_go_on_in_the_folder_of_this_one(tmp_path, other):
    write(tmp_path, same_texts(), 10)
    before = contents(tmp_path)
    with pytest.raises(ShardError, match=r"train_000000.bin was written from another source"):
        write(tmp_path, same_texts(), **{"shard_tokens": 10} | other)
    assert contents(tmp_path) == before


# --- reading


def spec_batches(tokens, B, T, rank, world_size, seed, rounds):
    """The batches of one rank, with loops."""
    sequences = len(tokens) // T
    for k in range(rounds):
        x, y = [], []
        for row in range(B):
            number = k * B * world_size + rank * B + row
            epoch = number // sequences
            order = np.random.RandomState([seed, epoch]).permutation(sequences)
            start = (epoch * sequences + order[number % sequences]) * T
            x.append([tokens[(start + t) % len(tokens)] for t in range(T)])
            y.append([tokens[(start + t + 1) % len(tokens)] for t in range(T)])
        yield x, y


@settings(max_examples=60)
@given(st.data())
def test_batches_are_those_of_a_plain_loop(tmp_path_factory, data):
    size = data.draw(st.integers(2, 60), "tokens")
    folder = counting(tmp_path_factory.mktemp("s"), size, data.draw(st.integers(1, 20), "shard"))
    T = data.draw(st.integers(1, size), "T")
    world_size = data.draw(st.integers(1, min(4, size // T)), "world_size")
    B = data.draw(st.integers(1, size // T // world_size), "B")
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    for rank in range(world_size):
        loader = ShardLoader(folder, "train", B, T, rank, world_size, seed)
        for x, y in spec_batches(list(range(size)), B, T, rank, world_size, seed, rounds=5):
            batch = loader.next_batch()
            assert [part.tolist() for part in batch] == [x, y]
            assert {(part.dtype, part.is_contiguous()) for part in batch} == {(torch.int64, True)}


@pytest.mark.parametrize("size", [512, 513, 519, 520, 1031])
@pytest.mark.parametrize("T", [8, 1])
def test_in_an_epoch_no_token_is_a_target_twice_and_over_epochs_none_is_left_out(tmp_path, size, T):
    loader = ShardLoader(counting(tmp_path, size, 100), "train", B=1, T=T, seed=3)
    assert loader.sequences == size // T
    total = Counter()
    for epoch in range(1, 4):
        targets = Counter(
            i for _ in range(loader.sequences) for i in loader.next_batch()[1].flatten().tolist()
        )
        assert set(targets.values()) == {1}
        assert size - len(targets) == size % T  # fewer than T, and the next epoch begins there
        total += targets
        times = [total[i] for i in range(size)]
        assert sum(times) == epoch * (size - size % T) and max(times) - min(times) <= 1


@settings(max_examples=10)
@given(st.integers(0, 3), st.integers(64, 300), st.sampled_from([1, 3, 4]))
def test_any_number_of_ranks_reads_the_same_sequences_in_the_same_step(
    tmp_path_factory, seed, size, T
):
    folder, steps, batch = counting(tmp_path_factory.mktemp("s"), size, 50), 12, 16
    seen = {}
    for world_size, B in [(1, 16), (1, 4), (2, 8), (2, 2), (4, 4), (8, 2), (8, 1), (16, 1)]:
        loaders = [
            ShardLoader(folder, "train", B, T, rank, world_size, seed) for rank in range(world_size)
        ]
        accumulation = batch // (B * world_size)
        seen[world_size, B] = [
            sorted(
                tuple(row)
                for _ in range(accumulation)
                for loader in loaders
                for row in loader.next_batch()[0].tolist()
            )
            for _ in range(steps)
        ]
    assert all(each == seen[1, 16] for each in seen.values())


def test_the_order_is_mixed_and_another_seed_or_epoch_has_another():
    orders = [epoch_order(500, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(map(tuple, orders))) == 4
    for order in orders:
        assert sorted(order) == list(range(500))
        assert abs(np.corrcoef(order, range(500))[0, 1]) < 0.2


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 200), st.integers(0, 60))
def test_the_ring_is_all_shards_round_and_round(sizes, start, size):
    ids = iter(range(100))
    ring = TokenRing([np.array([next(ids) for _ in range(n)], dtype="<u2") for n in sizes])
    assert ring.size == sum(sizes)
    assert ring.read(start, size).tolist() == [i % sum(sizes) for i in range(start, start + size)]


@settings(max_examples=30)
@given(st.data())
def test_a_loader_goes_on_to_the_bit_with_any_number_of_ranks(tmp_path_factory, data):
    folder = counting(tmp_path_factory.mktemp("s"), data.draw(st.integers(48, 90)), 20)
    worlds = data.draw(st.lists(st.sampled_from([1, 2, 4, 8]), min_size=2, max_size=5), "worlds")
    one = ShardLoader(folder, "train", 8, 3, seed=1)
    state = one.state_dict()
    for world_size in worlds:
        loaders = [
            ShardLoader(
                folder, "train", 8 // world_size, 3, rank, world_size, 1, prefetch=rank == 0
            )
            for rank in range(world_size)
        ]
        for loader in loaders:
            loader.next_batch()  # an old position that must be forgotten
            loader.load_state_dict(json.loads(json.dumps(state)))
        for _ in range(data.draw(st.integers(0, 4), "steps")):
            expected = one.next_batch()
            parts = [loader.next_batch() for loader in loaders]
            for mine, theirs in zip(expected, zip(*parts, strict=True), strict=True):
                assert torch.equal(mine, torch.cat(theirs))
        assert len({json.dumps(loader.state_dict()) for loader in loaders}) == 1
        state = loaders[-1].state_dict()
        assert state == one.state_dict()


@settings(max_examples=20)
@given(st.integers(1, 4), st.lists(st.booleans(), max_size=12))
def test_reading_ahead_changes_nothing(tmp_path_factory, B, choices):
    folder = counting(tmp_path_factory.mktemp("s"), 40, 15)
    plain = ShardLoader(folder, "train", B, 4)
    ahead = ShardLoader(folder, "train", B, 4, prefetch=True)
    start = plain.state_dict()
    for restart in choices:
        if restart:
            plain.load_state_dict(start)
            ahead.load_state_dict(start)
        for mine, theirs in zip(plain.next_batch(), ahead.next_batch(), strict=True):
            assert torch.equal(mine, theirs)
        assert plain.state_dict() == ahead.state_dict()


def test_a_batch_belongs_to_the_caller(tmp_path):
    loader = ShardLoader(counting(tmp_path, 40), "train", 2, 4)
    state = loader.state_dict()
    x, y = loader.next_batch()
    y += 1
    x.zero_()
    loader.load_state_dict(state)
    assert torch.equal(loader.next_batch()[1] + 1, y)


def test_a_state_of_another_loader_is_refused(tmp_path):
    loader = ShardLoader(counting(tmp_path / "a", 90), "train", 2, 4)
    state = loader.state_dict()
    for change in ({"seed": 1}, {"T": 8}, {"data": "00"}):
        (name,) = change
        with pytest.raises(ValueError, match=f"no state of this loader: {name} is"):
            loader.load_state_dict(state | change)
    with pytest.raises(ValueError, match="position is None there and 0 here"):
        loader.load_state_dict({k: v for k, v in state.items() if k != "position"})
    other = ShardLoader(counting(tmp_path / "b", 91), "train", 2, 4)
    with pytest.raises(ValueError, match="data is"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("B", "T", "rank", "world_size", "seed"),
    [(0, 4, 0, 1, 0), (1, 0, 0, 1, 0), (1, 4, 1, 1, 0), (1, 4, -1, 2, 0), (1, 4, 0, 0, 0),
     (1, 4, 0, 1, -1), (1, 4, 0, 1, 2**32)],
)  # fmt: skip
def test_sizes_that_make_no_sense_are_named(tmp_path, B, T, rank, world_size, seed):
    folder = counting(tmp_path, 40)
    with pytest.raises(ValueError, match=f"not B = {B}, T = {T}, rank {rank} of {world_size}"):
        ShardLoader(folder, "train", B, T, rank, world_size, seed)


def test_more_ranks_than_sequences_are_refused(tmp_path):
    folder = counting(tmp_path, 39)
    assert ShardLoader(folder, "train", 1, 13, 2, 3).next_batch()[0].shape == (1, 13)
    sentence = r"the 39 tokens of train in .* are 3 sequences of 13, and 4 ranks want 1 each"
    with pytest.raises(ShardError, match=sentence):
        ShardLoader(folder, "train", 1, 13, 2, 4)
    with pytest.raises(ShardError, match="are 0 sequences of 40"):
        ShardLoader(folder, "train", 1, 40)


def test_a_split_without_documents_and_one_that_does_not_exist_are_named(tmp_path):
    folder = counting(tmp_path, 39)
    with pytest.raises(ShardError, match="holds no val tokens"):
        ShardLoader(folder, "val", 1, 4)
    with pytest.raises(ValueError, match="split must be train or val, not 'test'"):
        ShardLoader(folder, "test", 1, 4)


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
    path.write_bytes(shards.HEADER.pack(*header) + tokens.tobytes())


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
