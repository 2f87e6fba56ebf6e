"""bpe against tiktoken and tokenizers: the same ids and the same text, on everything we can find.

The vocabulary of the other side comes from the released files by tiktoken's own reader.
"""

import random
import sys
import sysconfig
import unicodedata
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from gpt2_tutorial import assets
from gpt2_tutorial.bpe import GPT2_PATTERN, BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.bpe_export import to_hugging_face, to_tiktoken
from gpt2_tutorial.text import load_shakespeare
from tiers import tiered

tiktoken = pytest.importorskip("tiktoken")
tokenizers = pytest.importorskip("tokenizers")

GPT2, END = GPT2Tokenizer(), "<|endoftext|>"
SHAKESPEARE = load_shakespeare()


@pytest.fixture(scope="module", autouse=True)
def no_cache_of_files():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        yield


@cache
def released():
    """GPT-2's encoding as tiktoken builds it, from files instead of from the web."""
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks
    from tiktoken_ext.openai_public import r50k_pat_str

    files = [str(assets.path(name)) for name in ("vocab.bpe", "encoder.json")]
    ranks = data_gym_to_mergeable_bpe_ranks(*files)
    return tiktoken.Encoding(
        "gpt2", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens={END: 50256}
    )


def kind_of_letters(find):
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    return set(find(every))


@cache
def disputed():
    """Characters that the two libraries' tables of Unicode, of other years, call other things."""
    import regex

    found = set()
    for kind in (r"\p{L}", r"\p{N}", r"\s"):
        bytes_only = {bytes([b]): b for b in range(256)}
        theirs = tiktoken.Encoding("", pat_str=kind, mergeable_ranks=bytes_only, special_tokens={})
        found ^= kind_of_letters(regex.compile(kind).findall) ^ kind_of_letters(
            lambda text, enc=theirs: enc.decode(enc.encode_ordinary(text))
        )
    return found


def agree(text):
    ids = GPT2.encode(text)
    assert ids == released().encode_ordinary(text)
    back = released().decode(ids)
    assert GPT2.decode(ids) == back
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        assert back == text


def test_only_characters_without_a_name_are_disputed():
    assert all(unicodedata.category(character) == "Cn" for character in disputed())


EMOJI = ["👩", "👨🏽", "\u200d", "❤️", "🏳️‍🌈", "🇺🇳", "1️⃣", "\U000e0067", "🫠"]
RIGHT_TO_LEFT = "שלום עולם مرحبا بالعالم \u200f\u202e\u0301 ٣٤۵ ـ"
NEWLINES = "\r\n \n\r\t\x0b\x0c\x1c\x1d\x85\u2028\u2029\u00a0\u3000 x"
CONTRACTIONS = "'’ sdmtrevlLSTx2²½_-<|>"
WRITING = "नमस्ते ไทย 漢字かな한국 ß Ǆ ﬁ Å Ⅷ ⁵ ೨"
ALPHABETS = [RIGHT_TO_LEFT, NEWLINES, CONTRACTIONS, WRITING, "".join(map(chr, range(256)))]
STRINGS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=()), max_size=12),
    *(st.text(alphabet=alphabet, max_size=16) for alphabet in ALPHABETS),
    st.lists(st.sampled_from(EMOJI), max_size=6).map("".join),
    st.text(alphabet="\ud83d\ude09\ud835\udc9c a'", max_size=12),
)


FEW = (0, 2_700)
HUNDRED_THOUSAND = [(part, 13_500) for part in range(1, 9)]


@pytest.mark.slow
@pytest.mark.parametrize(("part", "size"), tiered([FEW, *HUNDRED_THOUSAND], [FEW]))
def test_a_hundred_thousand_strings(part, size):
    different = set()

    @settings(max_examples=size, deadline=None, database=None)
    @seed(part)
    @given(STRINGS)
    def check(text):
        if text not in different:
            different.add(text)
            agree("".join(c for c in text if c not in disputed()))

    check()
    assert len(different) >= size * 12_500 // 13_500  # some come twice


def test_the_whole_of_shakespeare():
    agree(SHAKESPEARE)
    agree(SHAKESPEARE.upper())


@pytest.mark.soak
@pytest.mark.parametrize("part", range(4))
def test_every_file_of_the_standard_library(part):
    """Every file that is text; those in no UTF-8 come with lone surrogates in them."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = [f for f in sorted(folder.rglob("*.py")) if "site-packages" not in f.parts]
    files += sorted((folder / "test").rglob("*.txt"))
    assert len(files) > 1_000
    for file in files[part::4]:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
            agree("".join(c for c in text.read() if c not in disputed()))


LONG = [" " * 10**6, "a" * 10**6, "é" * 500_000, "\r\n" * 500_000, " \n" * 500_000, "-" * 10**6]
LONG += ["👨‍👩‍👧" * 50_000, "1234567890" * 100_000, "Donaudampfschiff" * 62_500, "'s" * 500_000]


@pytest.mark.slow
@pytest.mark.parametrize("text", tiered(LONG, LONG[:1]), ids=lambda text: repr(text[:5]))
def test_a_megabyte_of_one_thing(text):
    agree(text)


def test_one_long_word_of_chance():
    rng = random.Random(0)
    for length in (150, 199, 200, 201, 5_000, 200_000):
        agree("".join(rng.choices("etaoinshrdlu", k=length)))


def test_spaces_before_a_word():
    # tiktoken itself stops with a panic when there are a million of them.
    for n in (1, 2, 3, 500, 10_000):
        agree(" " * n + "x" + "\u3000" * n + "y")


@pytest.mark.parametrize("allowed", [set(), {END}])
def test_special_tokens(allowed):
    rng = random.Random(0)
    parts = [END, END[:-1], END[1:], " ", "\n", "Hello", "'re", "é", "<", "|"]
    for _ in range(2_000):
        text = "".join(rng.choices(parts, k=rng.randrange(10)))
        theirs = released().encode(text, allowed_special=allowed, disallowed_special=())
        assert GPT2.encode(text, allowed) == theirs
        assert GPT2.decode(theirs) == text


def test_decoding_any_ids():
    rng = random.Random(0)
    for _ in range(10_000):
        ids = rng.choices(range(50_257), k=rng.randrange(12))
        assert GPT2.decode(ids) == released().decode(ids)
    every = list(range(50_257))
    assert GPT2.decode(every) == released().decode(every)


# --- exports

TEXTS = [
    "",
    " ",
    "It's  here\n\n now.",
    "naïve 牛 😉",
    "x" * 300,
    "a<|end|>b <|end|>\n",
    "<|end",
    " \n 1 ",
]


def trained(pattern=GPT2_PATTERN):
    return BPETokenizer.train(SHAKESPEARE[:200_000], 900, ["<|end|>", "<|pad|>"], pattern)


CASES = [(trained(), "<|end|>"), (trained(r"\p{L}+|[^\p{L}]"), "<|end|>"), (GPT2, END)]
CASES += [(BPETokenizer([], ["<|end|>"]), "<|end|>")]
NAMES = ["trained", "other pattern", "GPT-2", "bytes"]


def texts(special):
    rng = random.Random(0)
    for text in TEXTS:
        yield text.replace("<|end|>", special)
    for _ in range(300):
        start = rng.randrange(len(SHAKESPEARE))
        yield SHAKESPEARE[start : start + 300]
        yield "".join(rng.choices(NEWLINES + CONTRACTIONS + WRITING, k=40)) + special


@pytest.mark.parametrize(("ours", "special"), CASES, ids=NAMES)
def test_tiktoken_gets_the_same_ids(ours, special):
    theirs = to_tiktoken(ours, "ours")
    assert theirs.name == "ours" and theirs.n_vocab == ours.vocab_size
    for text in texts(special):
        allowed = set(ours.special_tokens)
        assert theirs.encode_ordinary(text) == ours.encode(text)
        ids = theirs.encode(text, allowed_special=allowed)
        assert ids == ours.encode(text, allowed)
        assert theirs.decode(ids) == ours.decode(ids) == text


@pytest.mark.parametrize(("ours", "special"), CASES, ids=NAMES)
def test_hugging_face_gets_the_same_ids(ours, special, tmp_path):
    (tmp_path / "tokenizer.json").write_text(to_hugging_face(ours), encoding="utf-8")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.get_vocab_size() == ours.vocab_size
    for text in texts(special):  # it always takes special tokens for what they are
        ids = theirs.encode(text).ids
        assert ids == ours.encode(text, ours.special_tokens)
        assert theirs.decode(ids, skip_special_tokens=False) == text


def test_the_export_of_gpt2_is_the_release():
    assert to_tiktoken(GPT2)._mergeable_ranks == released()._mergeable_ranks


def test_what_cannot_be_exported_is_refused():
    unreachable = BPETokenizer([(98, 99), (97, 98), (257, 99)])
    with pytest.raises(ValueError, match=r"^its own merges never lead to the token b'abc'$"):
        to_tiktoken(unreachable)
    with pytest.raises(ValueError, match=r"^tiktoken could take '<a>b' for '<a>' and a rest$"):
        to_tiktoken(BPETokenizer([], ["<a>b", "<a>"]))
    with pytest.raises(ValueError, match=r"^'é' is a special and an ordinary token$"):
        to_hugging_face(BPETokenizer([], ["é"]))


def test_without_tiktoken_a_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(ImportError, match=r"^this needs tiktoken: run `pip install tiktoken`$"):
        to_tiktoken(GPT2)
