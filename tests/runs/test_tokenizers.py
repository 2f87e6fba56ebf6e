"""runs.tokenizers, runs.models: every model and every shard is read with its own tokens."""

import json
import random

import pytest
import torch

from gpt2_tutorial import assets
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.commands.export import tokenizer_files, write_model
from gpt2_tutorial.distributed import ALONE
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.launch import train_gpt2
from gpt2_tutorial.pretrained import load_gpt2, save_gpt2
from gpt2_tutorial.runs.models import open_model
from gpt2_tutorial.runs.tokenizers import (
    spare_rows,
    start_of,
    tokenizer_beside,
    tokenizer_file,
    tokenizer_of_shards,
)
from gpt2_tutorial.runs.watch import WRITTEN, Watch
from gpt2_tutorial.shards import write_shards
from gpt2_tutorial.text import CharTokenizer
from in_process import command

END = "<|endoftext|>"
LEARNED = "".join(random.Random(0).choices("etaoin shrdlu\n", k=3000))  # pairs for any size
WORDS = "the cat sat on a mat, it's 12 o'clock\n\n  and don't   run! é牛"
SMALL = (
    "--preset cpu --device cpu --n-layer 1 --n-embd 4 --n-head 1 --block-size 8 --batch-tokens 16"
)
SMALL += " --micro-batch 2 --max-steps 1 --warmup-steps 0 --eval-every 1 --eval-batches 1"


@pytest.fixture
def gpt2(capsys):
    return command(capsys)


@pytest.fixture(scope="module")
def gpt2s():
    return GPT2Tokenizer()


def own(size=300, special=(END,), **more):
    return BPETokenizer.train(WORDS * 9 + LEARNED, size, special, **more)


def as_many_as_gpt2():
    """50,257 tokens without learning them: every pair of two bytes that there is room for."""
    pairs = [(i // 256, i % 256) for i in random.Random(1).sample(range(65_536), 50_000)]
    return BPETokenizer(pairs, [END])


def model_of(rows, folder, **more):
    torch.manual_seed(0)
    save_gpt2(GPT(GPTConfig(8, rows, n_layer=1, n_head=1, n_embd=4)), folder, **more)
    return folder


def with_files(folder, files):
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder


def same(one, other):
    parts = ("merges", "tokens", "special_tokens", "pattern")
    return all(getattr(one, part) == getattr(other, part) for part in parts)


def refused(said, *parts, code=1):
    assert (said.code, said.out) == (code, ""), said
    assert said.err.count("\n") == 1 and len(said.err) < 800
    for part in parts:
        assert part in said.err


# --- a model of one's own tokens, from the text to transformers

KINDS = {
    "one special": own,
    "end first": lambda: own(special=[END, "<|user|>"]),
    "end last": lambda: own(special=["<|user|>", END]),
    "as many as GPT-2": as_many_as_gpt2,
    "own pattern": lambda: own(280, [END], pattern=r"\p{L}+|\P{L}+"),
    "natural bytes": lambda: BPETokenizer(GPT2Tokenizer().merges[:0], [END]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_trained_is_sampled_judged_exported_and_read_by_transformers(kind, tmp_path, gpt2):
    from transformers import AutoTokenizer, GPT2LMHeadModel

    tokenizer = KINDS[kind]()
    end = tokenizer.special_tokens[END]
    write_shards([WORDS] * 9, tokenizer, tmp_path / "data", val_every=3)
    run = tmp_path / "run"
    assert gpt2("train", *SMALL.split(), "--data", tmp_path / "data", "--out", run).code == 0
    (tmp_path / "text.txt").write_text(WORDS, encoding="utf-8")
    sampled = gpt2("sample", "--model", run / "model", "--prompt", "the cat", "--json",
                   "--temperature", 0, "--tokens", 5)  # fmt: skip
    assert (sampled.code, sampled.err) == (0, "")
    judged = gpt2("evaluate", "--model", run / "model", "--text", tmp_path / "text.txt", "--json")
    assert json.loads(judged.out)["tokens"] == len(tokenizer.encode(WORDS))
    assert gpt2("export", "--model", run / "model", "--to", tmp_path / "new").code == 0
    again = gpt2("sample", "--model", tmp_path / "new", "--prompt", "the cat", "--json",
                 "--temperature", 0, "--tokens", 5)  # fmt: skip
    assert json.loads(again.out)["samples"] == json.loads(sampled.out)["samples"]
    for folder in (run / "model", tmp_path / "new"):
        assert same(tokenizer_beside(folder), tokenizer)
        theirs = AutoTokenizer.from_pretrained(folder)
        assert theirs.encode(WORDS) == tokenizer.encode(WORDS)
        assert theirs.decode(theirs.encode(WORDS)) == WORDS
        special = "".join(tokenizer.special_tokens)
        assert theirs.encode(special) == list(tokenizer.special_tokens.values())
        config = GPT2LMHeadModel.from_pretrained(folder).config
        assert theirs.eos_token_id == config.eos_token_id == config.bos_token_id == end


def test_a_tokenizer_that_no_file_can_keep_is_refused_before_the_first_step(tmp_path, gpt2):
    tokenizer = BPETokenizer([(97, 116)], [END, "at"])  # at is a learned token as well
    write_shards([WORDS] * 9, tokenizer, tmp_path / "data", val_every=3)
    said = gpt2("train", *SMALL.split(), "--data", tmp_path / "data", "--out", tmp_path / "run")
    assert said.code == 78 and "'at' is a special and an ordinary token" in said.err
    assert not (tmp_path / "run" / "checkpoints").exists()


# --- what lies beside the weights

CHARACTERS = {"characters.json": sorted(set("abc\n"))}


def saved(tokenizer):
    return {"bpe.json": {
        "format": "gpt2_tutorial.bpe 1", "pattern": tokenizer.pattern, "merges": tokenizer.merges,
        "byte_order": list(tokenizer.byte_order), "special_tokens": list(tokenizer.special_tokens),
    }}  # fmt: skip


def some(tokenizer, *names):
    return {name: text for name, text in tokenizer_files(tokenizer, 8).items() if name in names}


@pytest.mark.parametrize("names", [
    ("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.json", "tokenizer_config.json"),
    ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"),
])  # fmt: skip
@pytest.mark.parametrize("special", [[END], ["<|user|>", END], []])
def test_every_form_of_a_tokenizer_gives_the_same_tokens(names, special, tmp_path):
    tokenizer = own(special=special)
    found = tokenizer_beside(with_files(tmp_path, some(tokenizer, *names)))
    assert same(found, tokenizer) and found.encode(WORDS) == tokenizer.encode(WORDS)
    with_files(tmp_path, saved(tokenizer))
    assert same(tokenizer_beside(tmp_path), tokenizer)


@pytest.mark.parametrize("special", [[END], ["<|user|>", END]])
def test_what_transformers_saves_again_is_read(special, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = own(special=special)
    theirs = AutoTokenizer.from_pretrained(with_files(tmp_path, tokenizer_files(tokenizer, 8)))
    theirs.save_pretrained(tmp_path / "again")
    assert same(tokenizer_beside(tmp_path / "again"), tokenizer)
    theirs.add_special_tokens({"pad_token": "[PAD]"})
    theirs.save_pretrained(tmp_path / "padded")
    found = tokenizer_beside(tmp_path / "padded")
    assert found.special_tokens == tokenizer.special_tokens | {"[PAD]": 300}


def test_line_ends_of_windows_and_a_mark_of_byte_order_change_nothing(tmp_path):
    tokenizer = own()
    files = some(tokenizer, "vocab.json", "merges.txt")
    files["merges.txt"] = "\ufeff" + files["merges.txt"].replace("\n", "\r\n")
    files["vocab.json"] = "\ufeff" + files["vocab.json"]
    assert same(tokenizer_beside(with_files(tmp_path, files)), tokenizer)


def test_gpt2s_own_files_are_gpt2(tmp_path, gpt2s):
    files = some(gpt2s, "vocab.json", "merges.txt")
    assert isinstance(tokenizer_beside(with_files(tmp_path, files)), GPT2Tokenizer)
    (tmp_path / "vocab.json").write_text(assets.read_text("encoder.json"), encoding="utf-8")
    (tmp_path / "merges.txt").write_text(assets.read_text("vocab.bpe"), encoding="utf-8")
    assert isinstance(tokenizer_beside(tmp_path), GPT2Tokenizer)
    assert tokenizer_beside(tmp_path / "nothing") is None


def test_bytes_in_another_order_are_another_tokenizer(tmp_path, gpt2s):
    letters = [chr(b) for b in gpt2s.byte_order]
    assert letters[:2] == ["!", '"']
    place = {gpt2s.byte_order[i]: i for i in range(256)}  # an id there → the byte
    merges = [tuple(gpt2s.byte_order[i] if i < 256 else i for i in pair) for pair in gpt2s.merges]
    natural = BPETokenizer(merges, [END])
    assert natural.vocab_size == 50_257 and place[10] != 10
    found = tokenizer_beside(with_files(tmp_path, some(natural, "tokenizer.json")))
    assert not isinstance(found, GPT2Tokenizer) and found.encode("\n") == [10]


def changed(part, **entries):
    """Our tokenizer.json with other entries at the top, or in its model."""

    def make():
        content = json.loads(tokenizer_files(own(), 8)["tokenizer.json"])
        (content["model"] if part == "model" else content).update(entries)
        return {"tokenizer.json": content}

    return make


def specials_first():
    """As the package tokenizers trains: special tokens have the lowest ids."""
    content = json.loads(tokenizer_files(own(), 8)["tokenizer.json"])
    words = content["model"]["vocab"]
    content["model"]["vocab"] = {END: 0} | {w: i + 1 for w, i in words.items() if w != END}
    content["added_tokens"][0]["id"] = 0
    return {"tokenizer.json": content}


def two():
    return saved(own()) | some(own(290), "tokenizer.json")


def spaced():
    return some(own(), "tokenizer.json") | {"tokenizer_config.json": {"add_prefix_space": True}}


STRANGE = {
    "word pieces": (changed("model", type="WordPiece"), "only BPE is read here"),
    "dropout": (changed("model", dropout=0.1), "its dropout is 0.1"),
    "a normalizer": (changed("", normalizer={"type": "NFC"}), "changes the text with a normalizer"),
    "a template": (changed("", post_processor={"type": "TemplateProcessing"}), "post_processor"),
    "another cut": (changed("", pre_tokenizer={"type": "Whitespace"}), "its pre_tokenizer"),
    "a space before": (
        changed("", pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True}),
        "its pre_tokenizer",
    ),
    "no list": (changed("model", merges=None), "a list of merges"),
    "a lone half": (changed("model", vocab={"\ud83d": 0}), "its ids are not the numbers from 0 up"),
    "no JSON": (lambda: {"tokenizer.json": "{"}, "no tokenizer to load"),
    "a number": (lambda: {"tokenizer.json": "7"}, "no tokenizer to load"),
    "deep": (lambda: {"tokenizer.json": "[" * 100_000}, "no tokenizer to load"),
    "specials first": (specials_first, "its first 256 tokens are not the bytes"),
    "no merges": (lambda: some(own(), "vocab.json"), "merges.txt is missing"),
    "merges alone": (lambda: some(own(), "merges.txt"), "a tokenizer that is not read here"),
    "sentencepiece": (lambda: {"tokenizer.model": "x"}, "'tokenizer.model', a tokenizer that is"),
    "OpenAI's names": (lambda: {"encoder.json": "{}"}, "'encoder.json', a tokenizer that is"),
    "two of them": (two, "bpe.json and tokenizer.json in"),
    "characters too": (lambda: CHARACTERS | some(own(), "tokenizer.json"), "are two tokenizers"),
    "a space by config": (spaced, "add_prefix_space"),
    "a pad": (
        lambda: some(own(), "tokenizer.json") | {"added_tokens.json": {"[PAD]": 300}},
        "adds the token '[PAD]' with the id 300",
    ),
    "another class": (
        lambda: (
            some(own(), "vocab.json", "merges.txt")
            | {"tokenizer_config.json": {"tokenizer_class": "CLIPTokenizer"}}
        ),
        "belongs to a 'CLIPTokenizer'",
    ),
    "half a character": (lambda: {"characters.json": '["\\ud83d"]'}, "is no list of characters"),
}


@pytest.mark.parametrize(("files", "part"), STRANGE.values(), ids=STRANGE)
def test_what_is_not_understood_is_refused_in_a_sentence(files, part, tmp_path, gpt2):
    folder = with_files(model_of(300, tmp_path / "model"), files())
    refused(gpt2("sample", "--model", folder, "--device", "cpu"), part)
    refused(gpt2("export", "--model", folder, "--to", tmp_path / "new"), part)
    assert not (tmp_path / "new").exists()


def test_a_folder_or_pipe_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(ValueError, match=r"tokenizer.json is no file that can be read"):
        tokenizer_beside(tmp_path)


def test_added_tokens_of_the_older_form_are_read(tmp_path):
    tokenizer = own(special=[END])
    files = some(tokenizer, "vocab.json", "merges.txt")
    files["added_tokens.json"] = {"[PAD]": 300, "[SEP]": 301}
    found = tokenizer_beside(with_files(tmp_path, files))
    assert found.special_tokens == {END: 299, "[PAD]": 300, "[SEP]": 301}


def test_prepare_takes_a_tokenizer_json_and_a_vocab_json(tmp_path, gpt2):
    tokenizer = own(special=["<|user|>", END])
    with_files(tmp_path, some(tokenizer, "tokenizer.json", "vocab.json", "merges.txt"))
    (tmp_path / "a.txt").write_text(WORDS, encoding="utf-8")
    for name in ("tokenizer.json", "vocab.json"):
        words = ["text", tmp_path / "a.txt", "--processes", 1, "--out", tmp_path / f"of {name}"]
        assert gpt2("prepare", *words, "--tokenizer", tmp_path / name, "--quiet").code == 0
        assert same(tokenizer_of_shards(tmp_path / f"of {name}"), tokenizer)
    (tmp_path / "merges.txt").unlink()
    said = gpt2("prepare", *words, "--tokenizer", tmp_path / "vocab.json")
    assert said.code == 1 and "merges.txt is missing" in said.err
    assert same(BPETokenizer.load(tmp_path / "tokenizer.json"), tokenizer)
    assert same(tokenizer_file(tmp_path / "tokenizer.json"), tokenizer)


def test_a_model_of_the_hub_is_read_with_the_tokens_of_the_hub(tmp_path, monkeypatch):
    import huggingface_hub

    tokenizer = as_many_as_gpt2()
    model = GPT(GPTConfig(8, 50_257, n_layer=1, n_head=1, n_embd=4))
    write_model(model, tokenizer, tmp_path / "hub")
    asked = []

    def snapshot_download(repo, allow_patterns):
        asked.extend(allow_patterns)
        return str(tmp_path / "hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert same(open_model("some/one", "cpu")[1], tokenizer)
    assert {"tokenizer*", "vocab*", "merges.txt"} <= set(asked)


# --- rows and tokens


def test_padded_tables_are_told_and_read_as_gpt2s(tmp_path, gpt2):
    for rows, said in ((50_258, "1 row more"), (50_304, "47 rows more"), (51_200, "943 rows more")):
        folder = model_of(rows, tmp_path / str(rows))
        answer = gpt2("sample", "--model", folder, "--tokens", 3, "--device", "cpu")
        assert answer.code == 0 and f"{said} than GPT-2 has tokens" in answer.err
    for rows in (50_256, 51_201, 300):
        folder = model_of(rows, tmp_path / str(rows))
        refused(gpt2("sample", "--model", folder), f"{rows:,} tokens, and there are 50,257 tokens")


def test_rows_that_stand_for_no_token_are_counted_or_refused(gpt2s):
    letters, mine = CharTokenizer("abc"), own()
    assert spare_rows(300, mine, "m") == 0 and spare_rows(320, mine, "m") == 20
    assert spare_rows(3, letters, "m") == 0 and spare_rows(128, letters, "m", tokens=3) == 125
    for rows, tokenizer, tokens in ((4, letters, None), (128, letters, 5), (2, letters, 3),
                                    (299, mine, None), (5000, mine, None)):  # fmt: skip
        with pytest.raises(ValueError, match=r"m has .* tokens, and there are .* beside its weigh"):
            spare_rows(rows, tokenizer, "m", tokens)


@pytest.mark.parametrize("knobs", [[], ["--top-k", 99], ["--temperature", 0], ["--int8"],
                                   ["--repetition-penalty", 2.0], ["--no-cache"]])  # fmt: skip
def test_ids_that_the_tokenizer_does_not_have_are_never_drawn(knobs, tmp_path, gpt2):
    letters = CharTokenizer("ab\n")
    model = GPT(GPTConfig(8, 64, n_layer=1, n_head=1, n_embd=4))
    with torch.no_grad():
        model.transformer.wte.weight[3:] = 50.0  # the spare rows are what it likes best
        model.transformer.ln_f.bias.fill_(1.0)
    write_model(model, letters, tmp_path / "model")
    words = ["--model", tmp_path / "model", "--prompt", "a", "--tokens", 40, "--json", *knobs]
    answer = gpt2("sample", *words, "--device", "cpu")
    assert answer.code == 0 and "61 rows more than its tokenizer has tokens" in answer.err
    (sample,) = json.loads(answer.out)["samples"]
    assert sample["tokens"] == 40 and set(sample["text"]) <= set("ab\n")
    seen = Watch(letters, ALONE).sample(model, 3, lambda: None)
    assert len(seen) == WRITTEN and set(seen) <= set("ab\n")


@pytest.mark.parametrize("rows", [64, 66, 128])
def test_training_takes_as_many_rows_as_tokens_or_more(rows, tmp_path, gpt2):
    data = tmp_path / "data"
    text = "".join(map(chr, range(64, 128)))
    tokens = CharTokenizer(text + "\n")  # 65
    write_shards([text] * 9, tokens, data, end_of_text=0, val_every=3)
    words = [*SMALL.split(), "--data", data, "--out", tmp_path / "run", "--vocab-size", rows]
    said = gpt2("train", *words)
    if rows < 65:
        assert said.code == 78 and said.err.count("\n") == 1
        assert "--vocab-size 64 is less than the 65 tokens of the data" in said.err
        assert not (tmp_path / "run" / "checkpoints").exists()
        return
    assert said.code == 0
    answer = gpt2("sample", "--model", tmp_path / "run" / "model", "--tokens", 60)
    assert answer.code == 0 and set(answer.out) <= set(text + "\n")
    assert gpt2("export", "--model", tmp_path / "run" / "model", "--to", tmp_path / "new").code == 0
    assert open_model(str(tmp_path / "new"), "cpu")[1].vocab_size == 65


@pytest.mark.parametrize("option", ["eval-batches", "eval-every", "save-every", "keep"])
def test_nothing_at_all_is_refused_at_the_start(option, tmp_path, capsys):
    words = [*SMALL.split(), "--out", str(tmp_path / "run"), f"--{option}", "0"]
    assert train_gpt2.main(words) == 78
    assert f"{option} must be at least 1, not 0" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()


# --- where a text begins and ends


def test_the_end_of_a_text_is_known_by_its_name(gpt2s):
    assert start_of(gpt2s) == [50_256]
    assert start_of(own(special=["<|user|>", END])) == [299]
    assert start_of(own(special=[END, "<|user|>"])) == [298]
    assert start_of(own(special=["<end>"])) == [299]  # the only one there is
    assert start_of(own(special=["<a>", "<b>"])) == own().encode("\n")
    assert start_of(own(special=[])) == own().encode("\n")
    assert start_of(CharTokenizer("a\n")) == [0] and start_of(CharTokenizer("ba")) == [0]


def test_a_config_names_the_end_of_its_own_tokenizer(tmp_path):
    ends = {}
    for name, tokenizer, rows in (
        ("many", own(special=["<|user|>", END]), 52_000),
        ("few", own(), 300),
        ("none", own(special=["<a>", "<b>"]), 300),
        ("letters", CharTokenizer("ab"), 60_000),
    ):
        model_of(rows, tmp_path / name, tokenizer=tokenizer)
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert config["bos_token_id"] == config["eos_token_id"]
        ends[name] = config["eos_token_id"]
        assert load_gpt2(tmp_path / name).config.vocab_size == rows
    assert ends == {"many": 299, "few": 299, "none": None, "letters": None}


def test_without_special_tokens_a_sample_begins_with_a_new_line(tmp_path, gpt2):
    for special in ([], ["<a>", "<b>"]):
        folder = tmp_path / str(len(special))
        write_model(GPT(GPTConfig(8, 300, 1, 1, 4)), own(special=special), folder)
        answer = gpt2("sample", "--model", folder, "--tokens", 3, "--json")
        assert json.loads(answer.out)["samples"][0]["ended"] == "tokens"


# --- a mark of byte order is no text


def test_a_mark_of_byte_order_is_dropped_wherever_text_is_read(tmp_path, gpt2, monkeypatch):
    import io
    import sys
    from types import SimpleNamespace

    write_model(GPT(GPTConfig(8, 5, 1, 1, 4)), CharTokenizer("ab c\n"), tmp_path / "m")
    model = ["--model", tmp_path / "m"]
    item = json.dumps({"ctx": "a", "endings": ["b", "c"], "label": 0})
    given = {}
    for mark in ("", "\ufeff"):
        (tmp_path / "text").write_text(mark + "ab c\n" * 3, encoding="utf-8")
        (tmp_path / "items").write_text(mark + item, encoding="utf-8")
        stdin = lambda mark=mark: SimpleNamespace(buffer=io.BytesIO(f"{mark}ab".encode()))  # noqa: E731
        answers = []
        for words in (
            ["evaluate", *model, "--text", tmp_path / "text", "--json"],
            ["evaluate", *model, "--items", tmp_path / "items", "--json"],
            ["sample", *model, "--prompt", "-", "--seed", 1, "--tokens", 5, "--json"],
            ["evaluate", *model, "--text", "-", "--json"],
        ):
            monkeypatch.setattr(sys, "stdin", stdin())
            answers.append(gpt2(*words))
            assert answers[-1].code == 0
        given[mark] = [answer.out for answer in answers]
    assert given[""] == given["\ufeff"]
    (tmp_path / "text").write_bytes(b"ab\nb\r\n")
    said = gpt2("evaluate", *model, "--text", tmp_path / "text")
    refused(said, "text, line 2: '\\r' is not among", "save it with line ends of Unix (LF)")
