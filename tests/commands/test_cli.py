"""The command `gpt2`: what it prints, what it refuses, and that it never shows a traceback."""

import io
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gpt2_tutorial import __version__, assets, evaluate, exam_files, generate, int8
from gpt2_tutorial.bpe import GPT2Tokenizer
from gpt2_tutorial.commands import cli
from gpt2_tutorial.commands import sample as sampling
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.pretrained import load_gpt2, save_gpt2
from gpt2_tutorial.runs import models
from gpt2_tutorial.text import CharTokenizer
from in_process import command
from terminal import as_in_a_terminal

as_in_a_terminal()
ALPHABET = sorted("\n ,.abcdefghijklmnopqrstuvwxyzé")
LIGHT = ("sample", "evaluate", "export")  # their help needs no torch, and tells every default
ROWS = [
    {"ctx": "he", "endings": ["runs.", "is an old cat."], "label": 0},
    {"ctx": "it rains and", "endings": ["we are wet.", "no."], "label": 1},
    {"ctx": "she", "endings": ["sings", "sings"], "label": 1},
]


def random_model(folder: Path, vocab_size: int, **sizes) -> Path:
    torch.manual_seed(0)
    config = dict(block_size=12, n_layer=2, n_head=2, n_embd=16) | sizes
    model = GPT(GPTConfig(vocab_size=vocab_size, **config))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    save_gpt2(model, folder)
    return folder


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    folder = random_model(tmp_path_factory.mktemp("letters"), len(ALPHABET), block_size=40)
    (folder / "characters.json").write_text(json.dumps(ALPHABET), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    return str(random_model(folder, 50257, n_layer=1, n_embd=4))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def gpt2(capsys):
    return command(capsys)


def process(*words, **options):
    """Start the command as a shell would."""
    script = Path(sys.executable).with_name("gpt2.exe" if os.name == "nt" else "gpt2")
    command = (
        [str(script)] if script.exists() else [sys.executable, "-m", "gpt2_tutorial.commands.cli"]
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    options = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
    return subprocess.Popen([*command, *map(str, words)], env=environment, **options)


def refused(answer, code, *parts):
    """One sentence on standard error, with these words in it, and nothing else anywhere."""
    found, out, err = answer
    assert (found, out) == (code, ""), err
    assert err.count("\n") == 1 and err.startswith("gpt2") and len(err) < 700
    for part in parts:
        assert part in err


# --- as a process, as people use it


def test_sample_as_a_process(letters, gpt2):
    words = ["sample", "--model", letters, "--prompt", "the é", "--tokens", 20, "--seed", 3]
    out, err = process(*words).communicate(timeout=120)
    assert err == b""
    text = out.decode("utf-8").replace(os.linesep, "\n")
    assert text.startswith("the é") and text.endswith("\n") and len(text) == 5 + 20 + 1
    assert gpt2(*words) == (0, text, "")


def test_evaluate_reads_what_is_typed(letters, gpt2, monkeypatch):
    text = "a cat and a dog.\n" * 9
    typed = SimpleNamespace(buffer=io.BytesIO(text.encode()))
    monkeypatch.setattr(sys, "stdin", typed)
    said = gpt2("evaluate", "--model", letters, "--text", "-", "--json")
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert found["bytes"] == found["tokens"] == len(text)
    bits = evaluate.bits_per_byte(load_gpt2(letters), CharTokenizer("".join(ALPHABET)), text)
    assert found["bits_per_byte"] == pytest.approx(bits, rel=1e-5)


def test_export_says_what_it_wrote(letters, gpt2, tmp_path):
    said = gpt2("export", "--model", letters, "--to", tmp_path / "new" / "folder")
    assert (said.code, said.err) == (0, "")
    assert {line.split(os.sep)[-1] for line in said.out.splitlines()} == {
        "characters.json", "config.json", "model.safetensors"
    }  # fmt: skip


def test_help_needs_no_torch():
    code = (
        "import sys; from gpt2_tutorial.commands import cli\n"
        f"for word in {LIGHT}:\n"
        "    try: cli.main([word, '--help'])\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_ctrl_c_is_quiet(letters):
    running = process("sample", "--model", letters, "--tokens", 1_000_000)
    assert running.stdout.read(5)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, b"")


@pytest.mark.skipif(os.name == "nt", reason="pipes of Unix")
@pytest.mark.parametrize("words", [["--tokens", 9], ["--help"]])
def test_a_closed_pipe_is_quiet(letters, words):
    reader, writer = os.pipe()
    os.close(reader)
    running = process("sample", "--model", letters, *words, stdout=writer)
    os.close(writer)
    _, err = running.communicate(timeout=120)
    assert err == b""
    # Without a buffer argparse itself meets the closed pipe, and takes no notice.
    assert running.returncode == 141 or words == ["--help"]


# --- the command as a whole


def test_version_and_help(gpt2):
    assert gpt2("--version") == (0, f"gpt2 {__version__}\n", "")
    code, out, err = gpt2("--help")
    assert (code, err) == (0, "")
    for name, does in cli.COMMANDS.items():
        assert name in out and does in " ".join(out.split())
    assert set(LIGHT) <= set(cli.COMMANDS)


def test_a_word_may_answer_with_its_own_code(monkeypatch, gpt2):
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: SimpleNamespace(
        __doc__="x", add_arguments=lambda parser: None, run=lambda asked: 3))  # fmt: skip
    assert gpt2("sample") == (3, "", "")


def test_every_word_of_the_table_has_its_module():
    for name in cli.COMMANDS:
        module = cli.importlib.import_module(f"gpt2_tutorial.commands.{name}")
        assert module.__doc__ and callable(module.add_arguments) and callable(module.run)


@pytest.mark.parametrize("name", LIGHT)
def test_every_option_is_explained_with_its_default(name, gpt2):
    parser = cli.make_parser([name])
    (commands,) = (a for a in parser._actions if a.dest == "command")
    code, out, _ = gpt2(name, "--help")
    assert code == 0
    lines = " ".join(out.split())
    for option in commands.choices[name]._actions:
        if option.dest == "help":
            continue
        assert all(flag in lines for flag in option.option_strings)
        said = " ".join((option.help or "").split())
        assert "(default: " in said or "(required)" in said or option.dest in (
            "text", "hellaswag", "items"
        ), option.dest  # fmt: skip


def test_defaults_in_the_help_are_the_real_ones():
    words = ["sample", "--model", "x"]
    asked = cli.make_parser(words).parse_args(words)
    assert (asked.tokens, asked.temperature, asked.repetition_penalty) == (200, 1.0, 1.0)
    assert (asked.samples, asked.prompt, asked.stop, asked.cache) == (1, "", [], True)
    assert asked.top_k is asked.top_p is asked.min_p is asked.seed is asked.stream is None


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["sample"], "the following arguments are required: --model"),
        (["sample", "--model", "x", "--temperature", "-1"], "'-1' is no number from 0 up"),
        (["sample", "--model", "x", "--temperature", "nan"], "'nan' is no number from 0 up"),
        (["sample", "--model", "x", "--temperature", "inf"], "'inf' is no number from 0 up"),
        (["sample", "--model", "x", "--temperature", "hot"], "'hot' is no number from 0 up"),
        (["sample", "--model", "x", "--top-k", "0"], "'0' is no whole number from 1 to"),
        (["sample", "--model", "x", "--top-k", "2.5"], "'2.5' is no whole number from 1 to"),
        (["sample", "--model", "x", "--top-p", "0"], "'0' is no number above 0 to 1"),
        (["sample", "--model", "x", "--top-p", "1.1"], "'1.1' is no number above 0 to 1"),
        (["sample", "--model", "x", "--min-p", "-0.1"], "'-0.1' is no number from 0 to 1"),
        (["sample", "--model", "x", "--repetition-penalty", "0"], "'0' is no number above 0"),
        (["sample", "--model", "x", "--tokens", "0"], "'0' is no whole number from 1 to"),
        (["sample", "--model", "x", "--tokens", str(10**15)], "from 1 to 1,000,000"),
        (["sample", "--model", "x", "--samples", "101"], "from 1 to 100"),
        (["sample", "--model", "x", "--seed", "-1"], "'-1' is no whole number from 0"),
        (["sample", "--model", "x", "--stop", ""], "it needs at least one character"),
        (["sample", "--model", "x", "--temp", "1"], "unrecognized arguments: --temp 1"),
        (["sample", "--model", "x", "extra"], "unrecognized arguments: extra"),
        (["train", "--resume"], "unrecognized arguments: --resume; see gpt2 train --help"),
        (["prepare", "text", "x", "--no"], "unrecognized arguments: --no; see gpt2 prepare text -"),
        (["evaluate", "--model", "x"], "one of the arguments --text --hellaswag --items"),
        (["evaluate", "--model", "x", "--hellaswag", "--text", "a"], "not allowed with"),
        (["evaluate", "--model", "x", "--text", "a", "--stride", "0"], "from 1 to"),
        (["evaluate", "--model", "x", "--hellaswag", "--per", "word"], "invalid choice: 'word'"),
        (["export", "--model", "x"], "the following arguments are required: --to"),
        (["export", "--model", "x", "--to", "y", "--dtype", "int8"], "invalid choice: 'int8'"),
    ],
)
def test_wrong_use_is_one_sentence_and_2(gpt2, words, part):
    refused(gpt2(*words), 2, part, "--help")


@pytest.mark.parametrize("name", LIGHT)
def test_models_that_are_none(gpt2, name, tmp_path):
    rest = {"sample": [], "evaluate": ["--text", __file__], "export": ["--to", tmp_path / "to"]}
    run = lambda model: gpt2(name, "--model", model, *rest[name])  # noqa: E731
    refused(run(tmp_path / "none"), 1, "config.json is missing")
    (tmp_path / "config.json").write_text("{")
    refused(run(tmp_path), 1, "is no JSON")
    refused(run("gpt2"), 1, "the Hugging Face hub did not give it")
    refused(run("nobody/nothing"), 1, "the Hugging Face hub did not give it")
    refused(run(""), 1)
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "is no list of characters"),
        ("[]", "it is no list"),
        ('{"a": 1}', "it is no list"),
        ("[1, 2]", "is no list of characters"),
        ('["b", "a"]', "once each, in sorted order"),
        ('["a", "bc"]', "once each, in sorted order"),
        ('["a", "b"]', "has 31 tokens, and there are 2 characters"),
        (b"\xff", "is no list of characters"),
    ],
)
def test_characters_that_are_none(gpt2, letters, tmp_path, content, part):
    save_gpt2(load_gpt2(letters), tmp_path)
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "characters.json").write_bytes(data)
    refused(gpt2("sample", "--model", tmp_path), 1, part)


def test_a_model_without_its_characters(gpt2, letters, tmp_path):
    save_gpt2(load_gpt2(letters), tmp_path)
    refused(gpt2("sample", "--model", tmp_path), 1, "50,257 tokens of GPT-2: put the characters")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there(gpt2, letters, device):
    refused(gpt2("sample", "--model", letters, "--device", device), 1, device)


def test_our_own_model_is_known_by_its_name(letters, monkeypatch, gpt2, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = lambda name: {"simple-gpt": Path(letters)}[name]  # noqa: E731
    monkeypatch.setattr(assets, "model_folder", found, raising=False)
    code, out, _ = gpt2("sample", "--model", "simple-gpt", "--prompt", "a", "--tokens", 3)
    assert code == 0 and len(out) == 5


def test_what_a_problem_says_fits_on_one_line():
    assert cli.sentence(ValueError("a\nb")) == "a"
    assert cli.sentence(MemoryError()) == "MemoryError"
    assert cli.sentence(OSError(28, "No space left on device", "f")) == (
        "f: No space left on device"
    )


# --- sample


def sampled(gpt2, *words):
    code, out, err = gpt2("sample", *words, "--json")
    assert (code, err) == (0, "")
    (line,) = out.splitlines()
    return json.loads(line)


def test_the_tokens_are_those_of_generate(gpt2, letters):
    words = ["--model", letters, "--prompt", "it was", "--tokens", 60, "--temperature", 0]
    words += ["--seed", 0]
    found = sampled(gpt2, *words)
    model, tokenizer = models.open_model(letters, "cpu")
    ids = torch.tensor([tokenizer.encode("it was")])
    expected = generate.generate(model, ids, 60, temperature=0)[0].tolist()
    assert "it was" + found["samples"][0]["text"] == tokenizer.decode(expected)
    assert found["samples"][0] | {"text": ""} == {"text": "", "tokens": 60, "ended": "tokens"}
    assert sampled(gpt2, *words, "--no-cache") == found
    eight = sampled(gpt2, *words, "--int8")["samples"][0]["text"]
    small = int8.quantize_int8(model)
    expected = generate.generate(small, ids, 60, temperature=0)[0, 6:].tolist()
    assert eight == tokenizer.decode(expected)


def test_the_seed_draws_the_same_texts_however_they_are_printed(gpt2, letters):
    words = ["--model", letters, "--prompt", "so", "--tokens", 15, "--samples", 3, "--seed", 5]
    texts = [one["text"] for one in sampled(gpt2, *words)["samples"]]
    assert len(set(texts)) == 3
    assert texts == [one["text"] for one in sampled(gpt2, *words)["samples"]]
    expected = "".join(f"--- {i} of 3 ---\nso{text}\n" for i, text in enumerate(texts, 1))
    assert gpt2("sample", *words)[1] == expected
    assert gpt2("sample", *words, "--stream")[1] == expected
    other = sampled(gpt2, *words[:-1], 6)["samples"]
    assert [one["text"] for one in other] != texts


def test_without_a_seed_each_run_is_new_and_tells_its_seed(gpt2, letters):
    words = ["--model", letters, "--tokens", 40]
    first, second = sampled(gpt2, *words), sampled(gpt2, *words)
    assert first["seed"] != second["seed"] and first["samples"] != second["samples"]
    assert sampled(gpt2, *words, "--seed", first["seed"]) == first


def test_every_knob_reaches_generate(gpt2, letters, monkeypatch):
    seen = {}
    real = generate.stream

    def spy(model, idx, n, **knobs):
        seen.update(knobs, n=n, shape=tuple(idx.shape))
        return real(model, idx, n, **knobs)

    monkeypatch.setattr(generate, "stream", spy)
    sampled(gpt2, "--model", letters, "--prompt", "abc", "--tokens", 4, "--samples", 2,
            "--temperature", 0.5, "--top-k", 7, "--top-p", 0.9, "--min-p", 0.1,
            "--repetition-penalty", 1.3, "--no-cache")  # fmt: skip
    assert len(seen.pop("generator")) == 2
    assert seen == dict(
        n=4, shape=(2, 3), temperature=0.5, top_k=7, top_p=0.9, min_p=0.1,
        repetition_penalty=1.3, cache=False, stop_token=None, known=len(ALPHABET),
    )  # fmt: skip


def test_top_k_of_one_is_greedy_and_a_huge_one_is_all(gpt2, letters):
    words = ["--model", letters, "--tokens", 20, "--seed", 1]
    greedy = sampled(gpt2, *words, "--temperature", 0)["samples"]
    assert sampled(gpt2, *words, "--top-k", 1)["samples"] == greedy
    free = sampled(gpt2, *words)["samples"]
    assert sampled(gpt2, *words, "--top-k", 10**9)["samples"] == free != greedy


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_an_empty_prompt_begins_after_end_of_text_or_a_new_line(
    gpt2, letters, tokens, stream, monkeypatch
):
    seen, real = [], generate.stream

    def spy(model, idx, n, **knobs):
        seen.append(idx.tolist())
        return real(model, idx, n, **knobs)

    monkeypatch.setattr(generate, "stream", spy)
    for model in (letters, tokens):
        code, out, _ = gpt2("sample", "--model", model, "--tokens", 3, "--seed", 1, stream)
        assert code == 0 and "endoftext" not in out
    assert seen == [[[ALPHABET.index("\n")]], [[50256]]]
    assert len(gpt2("sample", "--model", letters, "--tokens", 3)[1]) == 4


def test_the_prompt_from_standard_input(gpt2, letters, monkeypatch):
    given = lambda data: monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))  # noqa: E731
    given("é and\n".encode())
    words = ["--model", letters, "--prompt", "-", "--tokens", 2]
    assert sampled(gpt2, *words)["prompt"] == "é and\n"
    given(b"a\nb\xe9")
    refused(gpt2("sample", *words), 1, "standard input is no UTF-8: byte 3, in line 2, is 0xe9")


def test_a_character_that_the_model_does_not_know(gpt2, letters):
    refused(gpt2("sample", "--model", letters, "--prompt", "Q"), 1, "'Q' is not among")


def test_a_prompt_longer_than_the_context(gpt2, letters):
    found = sampled(gpt2, "--model", letters, "--prompt", "long " * 30, "--tokens", 5)
    assert found["samples"][0]["tokens"] == 5


class Script(torch.nn.Module):
    """A model that can only say one thing, over and over."""

    def __init__(self, ids, vocab_size):
        super().__init__()
        parts = {"wpe": torch.nn.Embedding(1, 1), "h": torch.nn.ModuleList()}
        self.transformer = torch.nn.ModuleDict(parts)
        self.config = GPTConfig(4, vocab_size, 1, 1, 1)
        self.ids = ids


@pytest.fixture
def says(monkeypatch, gpt2):
    """Let the model say these ids, whatever it is asked."""

    def run(tokenizer, ids, *words):
        script = Script(ids, tokenizer.vocab_size)
        monkeypatch.setattr(models, "open_model", lambda *asked: (script, tokenizer))

        def stream(model, idx, n, **knobs):
            for i in ids[:n]:
                yield torch.full((len(idx),), i)

        monkeypatch.setattr(generate, "stream", stream)
        code, out, err = gpt2("sample", "--model", "x", "--prompt", "a", *words)
        assert (code, err) == (0, "")
        return out

    return run


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        ([], "abcabd\n\nbc"),
        (["zz"], "abcabd\n\nbc"),
        (["b"], "a"),
        (["abd"], "abc"),
        (["cabd", "bd"], "ab"),  # the one that begins first
        (["d\\n"], "abcab"),
        (["\\n\\n"], "abcabd"),
        (["bcd"], "abcabd\n\nbc"),  # it begins at the very end and never comes
        (["abcabd\n\nbc"], ""),
    ],
)
def test_a_text_ends_before_its_stop(says, stream, stops, expected):
    letters = CharTokenizer("abcd\n")
    ids = letters.encode("abcabd\n\nbc")
    words = [word for stop in stops for word in ("--stop", stop)]
    assert says(letters, ids, stream, *words) == f"a{expected}\n"
    found = json.loads(says(letters, ids, "--json", *words))["samples"][0]
    assert found["text"] == expected
    assert found["ended"] == ("tokens" if len(expected) == 10 else "stop")


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_halves_of_characters_wait_for_each_other(says, stream):
    tokenizer = GPT2Tokenizer()
    text = "naïve 🙂 牛 — 🙂🙂"
    ids = tokenizer.encode(text)
    assert any(tokenizer.decode([i]) == "�" for i in ids)  # some are halves
    assert says(tokenizer, ids, stream) == f"a{text}\n"
    cut = ids[:-1]
    assert says(tokenizer, cut, stream) == f"a{tokenizer.decode(cut)}\n"
    assert says(tokenizer, ids, stream, "--stop", "牛") == "anaïve 🙂 \n"


def test_end_of_text_ends_and_is_not_shown(says):
    tokenizer = GPT2Tokenizer()
    ids = [*tokenizer.encode("one two"), 50256, *tokenizer.encode("three")]
    assert says(tokenizer, ids) == "aone two\n"
    found = json.loads(says(tokenizer, ids, "--json"))["samples"][0]
    assert found == {"text": "one two", "tokens": 3, "ended": "end-of-text"}


def test_a_token_is_shown_as_soon_as_it_is_there(monkeypatch):
    letters = CharTokenizer("abcd")
    writer = sampling.Writer(letters, ["cd"], None)
    seen = []
    for i in letters.encode("abcabcd"):
        writer.add(i)
        seen.append(writer.news())
    assert seen == ["a", "b", "", "ca", "b", "", ""]


# --- evaluate


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("a café, and a cat.\n" * 12, encoding="utf-8", newline="\n")
    return file


def judged(gpt2, *words):
    code, out, err = gpt2("evaluate", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("kind", ["letters", "tokens"])
def test_a_text_is_judged_as_chapter_13_does(gpt2, kind, text, request):
    folder, words = request.getfixturevalue(kind), text.read_text("utf-8")
    model, tokenizer = models.open_model(folder, "cpu")
    found = judged(gpt2, "--model", folder, "--text", text, "--stride", 3)
    bits = evaluate.bits_per_byte(model, tokenizer, words, stride=3)
    ids = tokenizer.encode("\n") + tokenizer.encode(words)
    assert found["bits_per_byte"] == pytest.approx(bits, rel=1e-5)
    assert found["perplexity"] == pytest.approx(evaluate.perplexity(model, ids, stride=3), rel=1e-5)
    assert found["bytes"] == len(words.encode()) == len(words) + 12
    assert found["tokens"] == len(ids) - 1
    short = judged(gpt2, "--model", folder, "--text", text, "--limit", 6)
    assert short["bytes"] == 7  # é has two


def test_the_numbers_for_people(gpt2, letters, text):
    code, out, err = gpt2("evaluate", "--model", letters, "--text", text)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    names = ["tokens", "bytes", "nats_per_token", "perplexity", "bits_per_byte"]
    assert [name for name, _ in lines] == names
    assert math.log(float(lines[3][1])) == pytest.approx(float(lines[2][1]), abs=1e-3)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "is empty: there is nothing to judge"),
        (b"a\n\n\xff", "is no UTF-8: byte 3, in line 3, is 0xff; save it as UTF-8"),
        (b"Q", "'Q' is not among"),
        ("a".encode("utf-16"), "is no UTF-8: byte 0, in line 1, is 0xff"),
    ],
)
def test_texts_that_are_none(gpt2, letters, tmp_path, data, part):
    file = tmp_path / "text.txt"
    file.write_bytes(data)
    refused(gpt2("evaluate", "--model", letters, "--text", file), 1, part)
    refused(gpt2("evaluate", "--model", letters, "--text", tmp_path), 1, str(tmp_path))
    missing = tmp_path / "missing.txt"
    refused(gpt2("evaluate", "--model", letters, "--text", missing), 1, "missing.txt: No such")


def test_a_stride_beyond_the_context(gpt2, letters, text):
    words = ["--model", letters, "--text", text, "--stride", 41]
    refused(gpt2("evaluate", *words), 1, "stride must be from 1 to 40, not 41")


@pytest.fixture
def items(tmp_path):
    file = tmp_path / "items.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def test_items_are_judged_as_chapter_13_does(gpt2, letters, items):
    model, tokenizer = models.open_model(letters, "cpu")
    own = [exam_files.plain_item(row) for row in ROWS]
    for per in ("byte", "token"):
        found = judged(gpt2, "--model", letters, "--items", items, "--per", per)
        expected = evaluate.hellaswag(model, tokenizer, own, per=per)
        assert found == {"model": letters} | expected
    assert judged(gpt2, "--model", letters, "--items", items, "--limit", 2)["n"] == 2


def test_hellaswag_itself_in_both_styles(gpt2, letters, monkeypatch):
    more = {"activity_label": "a game", "ctx_a": "he", "ctx_b": ""}
    text = "".join(json.dumps(row | more) + "\n" for row in ROWS)
    monkeypatch.setattr(assets, "read_text", lambda name: {"hellaswag_val.jsonl": text}[name])
    words = ["--model", letters, "--hellaswag"]
    assert judged(gpt2, *words)["n"] == 3
    refused(gpt2("evaluate", *words, "--style", "harness"), 1, "':' is not among")


def test_hellaswag_without_a_network(gpt2, letters, monkeypatch, tmp_path):
    def fail(asset, url):
        raise assets.AssetError(f"{url} did not arrive (ConnectionError)")

    monkeypatch.setattr(assets, "_from_url", fail)
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", str(tmp_path))
    words = ["evaluate", "--model", letters, "--hellaswag"]
    refused(gpt2(*words), 1, "hellaswag_val.jsonl could not be had", "did not arrive")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "holds no items"),
        (b"\n\n", "holds no items"),
        (json.dumps(ROWS[0]).encode() + b"\n{", "line 2 is no item"),
        (b'{"ctx": "\xff"}', "is no UTF-8: byte 9, in line 1"),
    ],
)
def test_items_that_are_none(gpt2, letters, tmp_path, data, part):
    file = tmp_path / "items.jsonl"
    file.write_bytes(data)
    refused(gpt2("evaluate", "--model", letters, "--items", file), 1, part)


def test_a_model_that_answers_with_nan_is_no_judgement(gpt2, letters, text, items, monkeypatch):
    model = load_gpt2(letters)
    with torch.no_grad():
        model.transformer.ln_f.weight.fill_(math.nan)  # as if the device computed it
    monkeypatch.setattr(models, "load_gpt2", lambda *asked: model)
    for what in (["--text", text], ["--text", text, "--json"], ["--items", items]):
        refused(gpt2("evaluate", "--model", letters, *what), 1, "the model answers with nan")


def test_a_perplexity_beyond_all_numbers_is_null_in_json(gpt2, letters, text, monkeypatch):
    model = load_gpt2(letters)
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(1e6)
    monkeypatch.setattr(models, "load_gpt2", lambda *asked: model)
    found = judged(gpt2, "--model", letters, "--text", text)
    assert found["perplexity"] is None and found["bits_per_byte"] > 1000


# --- export


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_transformers_reads_what_was_exported(gpt2, tokens, tmp_path, dtype):
    transformers = pytest.importorskip("transformers")
    code, out, err = gpt2("export", "--model", tokens, "--to", tmp_path / "a", "--dtype", dtype)
    assert (code, err) == (0, "")
    files = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
             "vocab.json", "merges.txt"}  # fmt: skip
    assert {file.name for file in (tmp_path / "a").iterdir()} == files
    assert all(name in out for name in files)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "a", dtype=torch.float32)
    ours, ids = load_gpt2(tokens), torch.tensor([[1, 50256, 7]])
    atol = 1e-5 if dtype == "float32" else 0.1
    torch.testing.assert_close(theirs.eval()(ids).logits, ours(ids)[0], atol=atol, rtol=0)
    assert (tmp_path / "a" / "model.safetensors").stat().st_size < (
        1.1 * (4 if dtype == "float32" else 2) * sum(p.numel() for p in ours.parameters())
    )


def test_transformers_reads_the_tokenizer_and_it_is_openais(gpt2, tokens, tmp_path):
    transformers = pytest.importorskip("transformers")
    assert gpt2("export", "--model", tokens, "--to", tmp_path / "a")[0] == 0
    assert (tmp_path / "a" / "merges.txt").read_text("utf-8") == assets.read_text("vocab.bpe")
    known = json.loads((tmp_path / "a" / "vocab.json").read_text("utf-8"))
    assert known == json.loads(assets.read_text("encoder.json"))
    ours = GPT2Tokenizer()
    text = "Zürich's 牛 🙂,  two spaces\n\n\tand 123"
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "a")
    assert theirs.encode(text) == ours.encode(text)
    assert theirs.decode(ours.encode(text)) == text
    assert theirs.eos_token_id == 50256 and len(theirs) == 50257
    assert theirs.model_max_length == 12
    (tmp_path / "a" / "tokenizer.json").unlink()  # from vocab.json and merges.txt alone
    old = transformers.GPT2Tokenizer.from_pretrained(tmp_path / "a")
    assert old.encode(text) == ours.encode(text)


def test_an_exported_model_of_characters_is_read_again(gpt2, letters, tmp_path):
    assert gpt2("export", "--model", letters, "--to", tmp_path)[0] == 0  # there, but empty
    words = ["--prompt", "é", "--tokens", 30, "--seed", 2]
    again = sampled(gpt2, "--model", tmp_path, *words)
    assert again["samples"] == sampled(gpt2, "--model", letters, *words)["samples"]
    refused(gpt2("export", "--model", letters, "--to", tmp_path), 1, "is there already and not")
    refused(gpt2("export", "--model", letters, "--to", tmp_path / "config.json"), 1, "not empty")
    below = tmp_path / "config.json" / "a"
    refused(gpt2("export", "--model", letters, "--to", below), 1, "config.json")


def test_the_real_command_is_declared():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["scripts"] == {"gpt2": "gpt2_tutorial.commands.cli:main"}
    assert callable(cli.main)
