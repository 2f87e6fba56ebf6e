"""shard_writer: every document once, whatever stops the writing, and the same call goes on."""

import errno
import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial import shard_writer
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.shard_format import ShardError, check_shards, read_index
from gpt2_tutorial.shard_writer import in_validation, shuffled, write_shards
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.text import CharTokenizer
from small_shards import (
    LETTERS,
    NUMBERS,
    contents,
    folder_of_version_1,
    hasty,  # noqa: F401  a fixture of all tests here
    numbers,
    one_document,
    same_texts,
    tokens_of,
    write,
)

SRC = Path(__file__).parents[2] / "src"


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
    with pytest.raises(ShardError, match="was written with another tokenizer"):
        write(tmp_path, ["abc", "ab"], tokenizer=CharTokenizer("abcd\x03"))
    assert contents(tmp_path) == before
    (tmp_path / "characters.json").unlink()
    write(tmp_path, ["abc", "ab"])  # all is there: nothing is written, also not to a disk
    assert "characters.json" not in contents(tmp_path)  # that cannot be written to


@pytest.mark.parametrize("name", ["characters.json", "bpe.json", "model.safetensors"])
def test_what_belongs_to_something_else_is_never_written_over(tmp_path, name):
    ours = BPETokenizer([], ["<|endoftext|>"])
    (tmp_path / name).write_text('["x"]')
    tokenizer = ours if name == "bpe.json" else LETTERS
    with pytest.raises(ShardError, match=r"of another tokenizer: take|holds a model, whose"):
        write(tmp_path, ["abc", "ab"], tokenizer=tokenizer, end=0)
    assert contents(tmp_path) == {name: b'["x"]'}


def test_passing_files_of_others_are_left_alone(tmp_path):
    for name in (".film.part", ".train_000000.bin.part", f".train_000000.bin.{'a' * 32}.part"):
        (tmp_path / name).write_text("x")
    write(tmp_path, ["abc", "ab"])
    parts = {name for name in contents(tmp_path) if name.endswith(".part")}
    assert parts == {".film.part", ".train_000000.bin.part"}


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_shard_of_somebody_else_is_not_written_over(tmp_path, number):
    write(tmp_path / "other", ["abc"] * 20, 5, val_every=10**9, seed=7)
    path = tmp_path / f"train_{number:06d}.bin"
    path.write_bytes((tmp_path / "other" / path.name).read_bytes())
    before = path.read_bytes()
    with pytest.raises(ShardError, match=rf"{path.name} was written from another text"):
        write(tmp_path, ["abc"] * 20, 5, val_every=10**9)
    assert path.read_bytes() == before


def test_there_is_a_limit_to_the_shards_of_a_split(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "MOST_SHARDS", 3)
    assert write(tmp_path / "three", ["abca"] * 3, 5, val_every=10**9)["train"] == 15
    with pytest.raises(ShardError, match=r"more than 3 shards of train: .* a larger shard_tokens"):
        write(tmp_path / "four", ["abca"] * 4, 5, val_every=10**9)


@pytest.mark.parametrize("tokenizer", [LETTERS, BPETokenizer([], ["<|endoftext|>"])])
def test_a_tokenizer_that_cannot_be_written_is_a_sentence(tmp_path, tokenizer):
    name = "characters.json" if tokenizer is LETTERS else "bpe.json"
    (tmp_path / name).mkdir()
    with pytest.raises(ShardError, match=rf"{name} is there already, and of another tokenizer"):
        write(tmp_path, ["abc"], tokenizer=tokenizer, end=0)


# --- stopped, killed, out of room


class Stop(BaseException):
    pass


@pytest.mark.parametrize("where", ["fsync", "replace", "write"])
def test_a_stop_at_every_point_of_every_write_leaves_whole_shards(tmp_path, monkeypatch, where):
    texts, calls = same_texts(14), itertools.count()
    whole = tmp_path / "whole"
    write(whole, texts, 7, shuffle=20)
    real = {"fsync": os.fsync, "replace": Path.replace, "write": shard_writer.write_whole}[where]
    owner = {"fsync": os, "replace": Path, "write": shard_writer}[where]
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
    write(tmp_path / "a", same_texts(20), 10, source="a stream")
    (tmp_path / "a" / "shards.json").unlink()  # stopped right before the end
    write(tmp_path / "a", same_texts(40), 10, source="a stream")
    write(tmp_path / "b", same_texts(40), 10, source="a stream")
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
        write(tmp_path, until(30), 10, encode=encode, source="texts")
    first = len(seen)
    write(tmp_path, texts, 10, encode=encode, source="texts")
    assert first == 30 and len(seen) - first < 22
    write(
        tmp_path, until(0), 10, encode=encode, source="texts"
    )  # all is there: nothing is even read


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
    names = ("train_000000.bin", "train_000001.bin", "characters.json", "shards.json")
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


@pytest.mark.soak
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
        more = {"end_of_text": 0, "shuffle": 0, "source": "texts"}  # an iterator needs one
        shards.write_shards(texts, tokenizer, sys.argv[1], 300, **more)

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
                write(tmp_path, same_texts(), 10, source="texts")
            yield text

    write(tmp_path, meanwhile(), 10, source="texts")
    write(tmp_path / "whole", same_texts(), 10, source="texts")
    assert (
        contents(tmp_path / "whole").items()
        <= {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}.items()
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ShardError, match="file/below cannot be written to"):
        write(tmp_path / "file" / "below", ["a"])


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"seed": 1}, "was written with seed 0 and not 1"),
        ({"val_every": 4}, "was written with val_every 3 and not 4"),
        ({"shuffle": 9}, "was written with shuffle 0 and not 9"),
        ({"source": "elsewhere"}, "the text has changed since .* was written"),
        ({"end": 1}, "was written with end_of_text 0 and not 1"),
        ({"tokenizer": CharTokenizer("abcd\x03")}, "was written with another tokenizer"),
        ({"shard_tokens": 11}, "was written with shard_tokens 10 and not 11"),
    ],
)
@pytest.mark.parametrize("stopped", [False, True])
def test_another_job_does_not_go_on_in_the_folder_of_this_one(tmp_path, other, sentence, stopped):
    write(tmp_path, same_texts(), 10)
    if stopped:
        (tmp_path / "shards.json").unlink()
        sentence = "train_000000.bin was written from another text, with another tokenizer or other"
    before = contents(tmp_path)
    with pytest.raises(ShardError, match=rf"{sentence}.*: take another folder"):
        write(tmp_path, same_texts(), **{"shard_tokens": 10} | other)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("texts", [["bbbb"] * 3, ["a" * 8], ["aaaa", "aaab"], ["aaaa"] * 3])
def test_other_documents_are_not_taken_for_those_that_were_written(tmp_path, texts, stopped):
    assert write(tmp_path, ["aaaa", "aaaa"], 5, val_every=9) == {"train": 10, "val": 0}
    if stopped:
        (tmp_path / "shards.json").unlink()
    before = contents(tmp_path)
    with pytest.raises(ShardError, match=r"text.*: take another folder"):
        write(tmp_path, texts, 5, val_every=9)
    assert contents(tmp_path) == before
    assert write(tmp_path, ("aaaa", "aaaa"), 5, val_every=9) == {"train": 10, "val": 0}


@pytest.mark.parametrize("stopped", [False, True])
def test_documents_that_can_be_read_once_need_a_source_to_go_on(tmp_path, stopped):
    write(tmp_path, iter(["aaaa", "aaaa"]), 5)
    if stopped:
        (tmp_path / "shards.json").unlink()
    with pytest.raises(ShardError, match="hand over a list, say what the source is, or"):
        write(tmp_path, iter(["bbbb", "bbbb"]), 5)


def test_half_a_character_in_a_document_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"document 1 holds '.ud83d', half a character"):
        write(tmp_path / "new", ["ab", "a\ud83d"])
    assert not (tmp_path / "new").exists()


def test_shards_of_version_1_are_read_and_not_gone_on_with(tmp_path):
    write(tmp_path, ["abc"] * 9, 5, val_every=10**9)
    folder_of_version_1(tmp_path)
    assert tokens_of(tmp_path, "train") == [1, 2, 3, 0] * 9
    assert check_shards(tmp_path) == {"train": 36, "val": 0}
    assert ShardLoader(tmp_path, "train", 1, 4).next_batch()[0].shape == (1, 4)
    with pytest.raises(ShardError, match="by an older version, which cannot be gone on with"):
        write(tmp_path, ["abc"] * 9, 5, val_every=10**9)
    (tmp_path / "shards.json").unlink()
    with pytest.raises(ShardError, match="was written from another text"):
        write(tmp_path, ["abc"] * 9, 5, val_every=10**9)
