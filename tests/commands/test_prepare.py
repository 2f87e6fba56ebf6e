"""gpt2 prepare: any text on this machine or the hub becomes the same shards, or a sentence."""

import argparse
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import types
from pathlib import Path

import pytest

from gpt2_tutorial import assets
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.commands import prepare
from gpt2_tutorial.runs import encode
from gpt2_tutorial.runs.encode import ParallelEncoder, batches, load_tokenizer
from gpt2_tutorial.runs.tokenizers import tokenizer_of_shards
from gpt2_tutorial.shard_format import ShardError, check_shards, read_index
from gpt2_tutorial.shards import ShardLoader
from gpt2_tutorial.text import CharTokenizer

SRC = Path(__file__).parents[2] / "src"


def run(*words) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    prepare.add_arguments(parser)
    quiet = [] if words[0] == "check" else ["--quiet"]
    return prepare.run(parser.parse_args([*map(str, words), *quiet]))


def decoded(folder) -> dict[str, list[str]]:
    """The documents in the shards of characters, cut at their ends."""
    tokenizer = CharTokenizer(json.loads((folder / "characters.json").read_text()))
    parts = {}
    for split in ("train", "val"):
        tokens = []
        for entry in read_index(folder)[split]:
            data = (folder / entry["file"]).read_bytes()[128:]
            tokens += [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]
        parts[split] = tokenizer.decode(tokens).split("\x03")[:-1]
    return parts


def shards_of(folder) -> dict[str, bytes]:
    names = [*folder.glob("*.bin"), folder / "shards.json"]
    return {path.name: path.read_bytes() for path in sorted(names)}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


# --- tokenizing in several processes


def test_batches_keep_the_order_and_lose_nothing():
    pairs = [(i, "a" * (i * 7_919 % 300_000)) for i in range(60)]
    found = list(batches(pairs))
    assert [pair for batch in found for pair in batch] == pairs and len(found) > 5
    assert list(batches([])) == []


TEXTS = ["Hello world", "", "<|endoftext|> is text", "é ✨ \ud800 中文", "a" * 5000, " \n\n x"] * 3


@pytest.mark.parametrize("kind", ["gpt2", "file", "characters"])
def test_ids_are_those_of_the_tokenizer(tmp_path, kind):
    value, texts = "", TEXTS
    if kind == "file":
        value = str(tmp_path / "bpe.json")
        BPETokenizer.train("hugs hug pug", 260, ["<|endoftext|>"]).save(value)
    if kind == "characters":
        value = "".join(sorted(set("".join(TEXTS))))
    tokenizer = load_tokenizer(kind, value)
    with ParallelEncoder(kind, value) as encoder:
        found = [(key, ids.tolist()) for key, ids in encoder(enumerate(texts))]
    assert found == [(i, tokenizer.encode(text)) for i, text in enumerate(texts)]
    assert encoder.tokens == sum(len(ids) for _, ids in found)


def test_without_tiktoken_the_ids_are_the_same(monkeypatch):
    encode._encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with ParallelEncoder("gpt2") as encoder:
        slow = [ids.tolist() for _, ids in encoder(enumerate(TEXTS))]
    encode._encoder.cache_clear()
    assert slow == [GPT2Tokenizer().encode(text) for text in TEXTS]


def test_a_wrong_number_of_processes_is_named():
    for number in (0, 4 * os.cpu_count() + 1, 10**9):
        with pytest.raises(
            ValueError, match=rf"must be from 1 to {4 * os.cpu_count()}, .*{number}"
        ):
            ParallelEncoder("gpt2", processes=number)


# --- the command, from text to batches


def test_shakespeare_becomes_characters_and_comes_back_whole(tmp_path, capsys):
    words = ("shakespeare", "--out", tmp_path, "--tokenizer", "characters", "--processes", 1)
    assert run(*words, "--shuffle", 0) == 0
    parts = decoded(tmp_path)
    whole = assets.read_text("tinyshakespeare.txt")
    assert sum(map(len, parts["train"])) + sum(map(len, parts["val"])) == len(whole)
    assert all(part in whole for part in parts["val"])
    assert 0.08 < sum(map(len, parts["val"])) / len(whole) < 0.12
    assert "tokens for train" in capsys.readouterr().out
    loader = ShardLoader(tmp_path, "train", B=4, T=64)
    assert loader.vocab_size == 66 and loader.next_batch()[0].shape == (4, 64)
    before = shards_of(tmp_path)
    assert run(*words, "--shuffle", 0) == 0
    assert "all were there before" in capsys.readouterr().out and shards_of(tmp_path) == before
    assert run("check", tmp_path) == 0


def test_the_speeches_are_the_whole_of_shakespeare():
    parts = list(prepare._speeches())
    assert "".join(parts) == assets.read_text("tinyshakespeare.txt")
    assert 200 < len(parts) < 230 and all(p.endswith("\n\n") for p in parts[:-1])


def test_a_tokenizer_of_ones_own_is_left_beside_the_shards(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("hug hugs pug\n" * 30)
    mine = tmp_path / "mine.json"
    BPETokenizer.train("hugs hug pug", 262, ["<|endoftext|>"]).save(mine)
    words = ("text", tmp_path / "a.txt", "--documents", "line", "--out", tmp_path / "out")
    assert run(*words, "--tokenizer", mine, "--processes", 1, "--val-every", 5) == 0
    tokenizer = BPETokenizer.load(tmp_path / "out" / "bpe.json")
    loader = ShardLoader(tmp_path / "out", "val", B=1, T=16, tokenizer=tokenizer)
    assert "hug hugs pug<|endoftext|>" in tokenizer.decode(loader.next_batch()[0][0].tolist()) * 2
    BPETokenizer([]).save(mine)
    assert run(*words, "--tokenizer", mine) == 1
    assert "has no special token <|endoftext|> to stand between" in capsys.readouterr().err
    assert run(*words, "--tokenizer", "gpt3") == 1
    assert "there is no tokenizer gpt3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--limit", 0], "--limit must be 1 or more, not 0"),
        (["--processes", 0], "processes must be from 1 to "),
        (["--processes", 100_000], "4 for each core of this machine, not 100000"),
        (["--shard-tokens", -1], "--shard-tokens must be 1 or more, not -1"),
        (["--val-every", 0], "--val-every must be 2 or more, not 0"),
        (["--val-every", 1], "--val-every must be 2 or more, not 1"),
        (["--shuffle", -1], "--shuffle must be 0 or more, not -1"),
        (["--seed", -1], "--seed must be 0 or more, not -1"),
        (["--out", os.devnull + "/x"], f"{os.devnull}/x cannot be written to"),
    ],
)
def test_options_that_make_no_sense_are_named(tmp_path, capsys, more, sentence):
    (tmp_path / "a.txt").write_text("abc")
    more = ["--out", tmp_path / "out", *more]
    assert run("text", tmp_path, "--tokenizer", "characters", *more) == 1
    error = capsys.readouterr().err
    assert error.startswith("gpt2 prepare: ") and sentence in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_text_that_holds_the_end_of_texts_is_named(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a\x03c")
    words = ("text", tmp_path, "--out", tmp_path / "out", "--tokenizer", "characters")
    assert run(*words) == 1
    assert r"the text holds '\x03'" in capsys.readouterr().err


SHARED = ["out", "tokenizer", "shard_tokens", "val_every", "shuffle", "seed"]
SHARED += ["processes", "limit", "quiet"]


@pytest.mark.parametrize("source", ["text", "shakespeare", "fineweb-edu", "openwebtext", "check"])
def test_every_option_is_explained_with_its_default(source, capsys):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    prepare.add_arguments(parser)
    (sources,) = (each for each in parser._actions if each.dest == "source")
    options = {each.dest: each for each in sources.choices[source]._actions if each.dest != "help"}
    more = {"text": ["paths", "field", "documents"], "shakespeare": [], "check": ["folder"]}
    wanted = SHARED if source != "check" else []
    assert sorted(options) == sorted(wanted + more.get(source, ["name"]))
    for option in options.values():
        said = " ".join(option.help.split())
        assert ("(default: " in said) == bool(option.option_strings)
        if type(option.default) in (str, int) and option.dest != "processes":
            assert f"(default: {option.default})" in said % {"default": option.default}
    with pytest.raises(SystemExit):
        parser.parse_args([source, "--help"])
    assert "(default: 100000000)" in capsys.readouterr().out or source == "check"


def test_another_text_leaves_the_tokenizer_of_the_shards_alone(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("abc" * 50)
    words = ("text", tmp_path / "a.txt", "--out", tmp_path / "out", "--processes", 1)
    assert run(*words, "--tokenizer", "characters") == 0
    (tmp_path / "a.txt").write_text("abd" * 50)
    assert run(*words, "--tokenizer", "characters") == 1
    assert json.loads((tmp_path / "out" / "characters.json").read_text()) == ["\3", *"abc"]
    assert tokenizer_of_shards(tmp_path / "out").characters == ["\3", *"abc"]


def test_the_tokenizer_of_shards_is_found_whichever_it_was(tmp_path):
    (tmp_path / "a.txt").write_text("hug hugs pug\n" * 30)
    BPETokenizer.train("hugs hug pug", 262, ["<|endoftext|>"]).save(tmp_path / "mine.json")
    for number, name in enumerate(("gpt2", "characters", tmp_path / "mine.json")):
        out = tmp_path / str(number)
        words = ("text", tmp_path / "a.txt", "--out", out, "--processes", 1, "--val-every", 2)
        assert run(*words, "--documents", "line", "--tokenizer", name) == 0
        tokenizer = tokenizer_of_shards(out)
        loader = ShardLoader(out, "val", B=1, T=9, tokenizer=tokenizer)
        assert set(tokenizer.decode(loader.next_batch()[0][0].tolist())) <= set(
            "<|endoftext|>\3hug hugs pug"
        )
        names = {path.name for path in out.iterdir()} - {"shards.json"}
        beside = {name for name in names if not name.endswith(".bin")}
        assert beside == [set(), {"characters.json"}, {"bpe.json"}][number]


@pytest.mark.parametrize(
    ("beside", "sentence"),
    [
        ({}, "It is not GPT-2's, and neither characters.json nor bpe.json is there"),
        ({"characters.json": '["a", "b"]'}, "and characters.json holds another one"),
        ({"characters.json": '["b", "a"]'}, "characters.json is no list of characters"),
        ({"characters.json": "\udcff"}, "characters.json is no list of characters"),
        ({"bpe.json": "{}"}, "bpe.json is no tokenizer to load"),
        ({"bpe.json": "[", "characters.json": "[1]"}, "no list of characters: .*; .*bpe.json"),
    ],
)
def test_a_tokenizer_that_did_not_write_the_shards_is_refused(tmp_path, beside, sentence):
    (tmp_path / "a.txt").write_text("abc" * 50)
    out = tmp_path / "out"
    words = ("text", tmp_path / "a.txt", "--out", out, "--tokenizer", "characters")
    assert run(*words, "--processes", 1) == 0
    (out / "characters.json").unlink()
    for name, text in beside.items():
        (out / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ShardError, match=sentence) as caught:
        tokenizer_of_shards(out)
    assert str(caught.value).endswith("beside them, or prepare the data again")
    assert "\n" not in str(caught.value)


def test_a_stray_file_beside_gpt2s_shards_does_no_harm(tmp_path):
    (tmp_path / "a.txt").write_text("abc" * 50)
    words = ("text", tmp_path / "a.txt", "--out", tmp_path / "out", "--processes", 1)
    assert run(*words) == 0
    (tmp_path / "out" / "characters.json").write_text('["a"]')
    assert isinstance(tokenizer_of_shards(tmp_path / "out"), GPT2Tokenizer)
    with pytest.raises(ShardError, match=r"holds no shards.json to read"):
        tokenizer_of_shards(tmp_path)


def test_a_limit_counts_documents_and_few_documents_get_a_note(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("\n".join("abcdefgh"))
    words = ("text", tmp_path, "--documents", "line", "--tokenizer", "characters")
    assert run(*words, "--out", tmp_path / "out", "--limit", 3, "--processes", 1) == 0
    assert sorted(decoded(tmp_path / "out")["train"]) == ["a", "b", "c"]
    note = "note: no document fell to validation; of 3 documents none fell to it: take a val_every"
    assert f"{note} (--val-every) from 2 to 3\n" in capsys.readouterr().out
    assert run("check", tmp_path / "out") == 0
    assert note in capsys.readouterr().out


@pytest.mark.parametrize("tokenizer", ["bytes", "characters"])
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("other", ["I like dogs.\n", "I like Cats.\n", "I like cats.\n\n", "?"])
def test_text_that_has_changed_is_not_taken_for_the_old_one(
    tmp_path, capsys, other, stopped, tokenizer
):
    file, out = tmp_path / "pet.txt", tmp_path / "out"
    if tokenizer == "bytes":  # loads sooner than GPT-2's
        tokenizer = tmp_path / "bytes.json"
        BPETokenizer([], ["<|endoftext|>"]).save(tokenizer)
    words = ("text", file, "--out", out, "--tokenizer", tokenizer, "--shard-tokens", 3)
    file.write_text("I like cats.\n")
    assert run(*words, "--processes", 1) == 0
    if stopped:
        (out / "shards.json").unlink()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    file.write_text(other)
    os.utime(file, (0, 0))
    assert run(*words, "--processes", 1) == 1
    error = capsys.readouterr().err
    assert "text" in error and error.endswith(": take another folder\n") and error.count("\n") == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_same_text_elsewhere_is_the_same_and_other_text_of_that_name_is_not(tmp_path, capsys):
    for folder, text in {"a": "alpha one", "b": "omega two", "c": "alpha one"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "input.txt").write_text(text)
    BPETokenizer([], ["<|endoftext|>"]).save(tmp_path / "bytes.json")
    words = ("--out", tmp_path / "out", "--tokenizer", tmp_path / "bytes.json", "--processes", 1)
    assert run("text", tmp_path / "a" / "input.txt", *words) == 0
    assert run("text", tmp_path / "b" / "input.txt", *words) == 1
    assert "the text has changed since" in capsys.readouterr().err
    assert run("text", tmp_path / "c" / "input.txt", *words) == 0
    assert "all were there before" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("name", "cut", "cure"),
    [
        ("a.txt", "file", "cut the text with --documents paragraph, or add documents"),
        ("a.txt", "paragraph", "cut the text with --documents line, or add documents"),
        ("a.txt", "line", "add documents"),
        ("a.jsonl", "file", "add documents"),
    ],
)
def test_one_document_cannot_be_both_trained_on_and_judged_by(
    tmp_path, capsys, name, cut, cure, seed
):
    (tmp_path / name).write_text('{"text": "abc"}\n')
    words = ("text", tmp_path / name, "--documents", cut, "--val-every", 2, "--seed", seed)
    words += ("--tokenizer", "characters")
    assert run(*words, "--out", tmp_path / "out", "--processes", 1) == 0
    missing = "validation" if check_shards(tmp_path / "out")["train"] else "training"
    said = f"note: no document fell to {missing}; one document cannot be both learned from and "
    assert f"{said}judged by: {cure}\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["characters.json", "model.safetensors", "source.json"])
def test_a_file_that_is_not_ours_is_never_written_over(tmp_path, hub, capsys, name):
    (tmp_path / "a.txt").write_text("abc")
    (out := tmp_path / "out").mkdir()
    (out / name).write_text('["a", "b"]')
    source = ("fineweb-edu",) if name == "source.json" else ("text", tmp_path / "a.txt")
    more = () if name == "source.json" else ("--tokenizer", "characters")
    assert run(*source, "--out", out, "--processes", 1, *more) == 1
    assert "take another folder\n" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in out.iterdir()} == {name: '["a", "b"]'}


def test_a_tokenizer_in_the_folder_of_the_shards_is_never_written_over(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("abc")
    for name, special in (("bpe", "<|endoftext|>"), ("other", "<|user|>")):
        tokenizer = BPETokenizer.train("hugs hug", 260, dict.fromkeys(["<|endoftext|>", special]))
        tokenizer.save(tmp_path / f"{name}.json")
    before = (tmp_path / "bpe.json").read_bytes()
    words = ("text", tmp_path / "a.txt", "--out", tmp_path, "--processes", 1)
    assert run(*words, "--tokenizer", tmp_path / "other.json") == 1
    assert "bpe.json is there already, and of another tokenizer" in capsys.readouterr().err
    assert (tmp_path / "bpe.json").read_bytes() == before and not list(tmp_path.glob("*.bin"))


def test_a_damaged_shard_is_named_by_check(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("abc" * 50)
    out = tmp_path / "out"
    assert run("text", tmp_path, "--out", out, "--tokenizer", "characters", "--processes", 1) == 0
    path = out / "train_000000.bin"
    path.write_bytes(path.read_bytes()[:-2] + b"\1\0")
    assert run("check", out) == 1
    assert "train_000000.bin has changed since it was written" in capsys.readouterr().err


# --- the hub, which is not there: a stand-in for the two packages


class Hub:
    """What `datasets` and `huggingface_hub` do for us, and how they fail."""

    def __init__(self, monkeypatch):
        self.version, self.asked, self.fail_at, self.rows = "abc123", [], None, 60
        datasets, hub = types.ModuleType("datasets"), types.ModuleType("huggingface_hub")
        datasets.load_dataset = self.load
        hub.HfApi = lambda: types.SimpleNamespace(dataset_info=self.info)
        monkeypatch.setitem(sys.modules, "datasets", datasets)
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)

    def info(self, repository, revision):
        if self.version is None:
            raise ConnectionError("no route\nto host")
        return types.SimpleNamespace(sha=self.version)

    def load(self, repository, **options):
        self.asked.append((repository, options))
        return self

    def select_columns(self, names):
        assert names == ["text"]
        for i in range(self.rows):
            if i == self.fail_at:
                raise TimeoutError("the read timed out")
            yield {"text": f"{self.asked[-1][1]['revision']} {i} " * 20}


@pytest.fixture
def hub(monkeypatch):
    return Hub(monkeypatch)


HUB = ("--processes", 1, "--shard-tokens", 2000)


def test_a_stream_that_breaks_goes_on_with_the_same_version(tmp_path, hub, capsys):
    assert run("fineweb-edu", "--out", tmp_path / "whole", *HUB) == 0
    options = {"name": "sample-10BT", "split": "train", "streaming": True, "revision": "abc123"}
    assert hub.asked == [("HuggingFaceFW/fineweb-edu", options)]
    hub.fail_at = 40
    words = ("fineweb-edu", "--out", tmp_path / "out", "--shuffle", 3000, *HUB)
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert "HuggingFaceFW/fineweb-edu cannot be streamed (the read timed out)" in error
    assert error.count("\n") == 1
    hub.fail_at, hub.version = None, "def456"  # meanwhile the data set has changed
    assert run(*words) == 0
    hub.version = "abc123"
    assert run("fineweb-edu", "--out", tmp_path / "once", "--shuffle", 3000, *HUB) == 0
    assert shards_of(tmp_path / "out") == shards_of(tmp_path / "once")


def test_openwebtext_comes_from_its_converted_branch(tmp_path, hub):
    assert run("openwebtext", "--out", tmp_path, *HUB) == 0
    assert hub.asked[0][0] == "Skylion007/openwebtext" and hub.asked[0][1]["name"] is None
    assert GPT2Tokenizer().vocab_size == read_index(tmp_path)["job"]["vocab_size"]


def test_no_connection_is_a_sentence(tmp_path, hub, capsys):
    hub.version = None
    assert run("openwebtext", "--out", tmp_path, *HUB) == 1
    error = capsys.readouterr().err
    assert "cannot be streamed (no route)" in error and "use `gpt2 prepare text`" in error
    hub.version = "abc123"
    assert run("openwebtext", "--out", tmp_path, "--tokenizer", "characters") == 1
    assert "needs text on this machine" in capsys.readouterr().err


def test_without_the_package_datasets_there_is_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert run("fineweb-edu", "--out", tmp_path) == 1
    assert "needs datasets: run `pip install datasets`, or use" in capsys.readouterr().err


# --- several processes, and what can happen to them (each starts Python a few times)

COMMAND = """
    import argparse, sys

    if __name__ == "__main__":
        from gpt2_tutorial.commands import prepare

        parser = argparse.ArgumentParser(allow_abbrev=False)
        prepare.add_arguments(parser)
        sys.exit(prepare.run(parser.parse_args()))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Text enough for some batches, the command as a script, and its shards by one process."""
    folder = tmp_path_factory.mktemp("corpus")
    text = assets.read_text("tinyshakespeare.txt")
    for i in range(3):
        (folder / f"{i}.txt").write_text(text[i * 100_000 :][:800_000])
    (folder / "command.py").write_text(textwrap.dedent(COMMAND))
    BPETokenizer([], ["<|endoftext|>"]).save(folder / "bytes.json")
    assert run(*options(folder, "whole", 1)) == 0
    return folder


def options(corpus, out, processes) -> list:
    texts = [corpus / f"{i}.txt" for i in range(3)]
    job = ["--tokenizer", corpus / "bytes.json", "--documents", "paragraph"]
    job += ["--shard-tokens", 100_000, "--out", corpus / out]
    return ["text", *texts, *job, "--processes", processes]


def start(corpus, out) -> subprocess.Popen:
    command = [sys.executable, corpus / "command.py", *options(corpus, out, 2), "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.01)


def members(group) -> list[int]:
    """The processes of a group that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("how", ["kill", "interrupt", "worker"])
def test_stopped_processes_leave_nobody_behind_and_the_same_command_goes_on(corpus, how):
    command = start(corpus, how)
    try:
        wait_for(lambda: list((corpus / how).glob("*_000002.bin")), "the third shard")
        if how == "kill":
            command.kill()
        elif how == "interrupt":
            os.killpg(command.pid, signal.SIGINT)  # what Ctrl-C does: all of them get it
        else:
            workers = [pid for pid in members(command.pid) if pid != command.pid]
            os.kill(max(workers), signal.SIGKILL)  # also while it sends half a result
        _, error = command.communicate(timeout=120)
        finished = command.returncode == 0  # it was faster
        if how == "interrupt" and not finished:
            assert command.returncode == 130
            assert error == "gpt2 prepare: stopped; the same command goes on from here\n"
        if how == "worker" and not finished:
            assert command.returncode == 1
            assert error.startswith("gpt2 prepare: one of 2 tokenizing processes was killed")
        wait_for(lambda: not members(command.pid), "the end of all its processes")
        assert run(*options(corpus, how, 1)) == 0
        assert shards_of(corpus / how) == shards_of(corpus / "whole")
        check_shards(corpus / how)
    finally:
        for pid in members(command.pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(corpus):
    command = start(corpus, "two")
    output, error = command.communicate(timeout=120)
    assert (command.returncode, error) == (0, "")
    assert "tokens for train" in output
    assert shards_of(corpus / "two") == shards_of(corpus / "whole")


@pytest.mark.parametrize("existed", [False, True])
def test_an_empty_text_leaves_the_folder_as_it_was(tmp_path, capsys, existed):
    (tmp_path / "a.txt").write_text("")
    out = tmp_path / "out"
    if existed:
        out.mkdir()
    assert run("text", tmp_path / "a.txt", "--out", out) == 1
    assert "there is no text to write" in capsys.readouterr().err
    assert out.is_dir() == existed and not (existed and list(out.iterdir()))
