"""bpe_stream: a text in chunks gives the ids of the whole, wherever it is cut, in little memory."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial import bpe_stream
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.text import load_shakespeare

SHAKESPEARE = load_shakespeare()
GPT2 = GPT2Tokenizer()


def steady(examples):
    """Hypothesis with the same examples in every run."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def cut_at_random(text, rng, most):
    chunks = []
    while text:
        n = rng.randrange(most)
        chunks.append(text[:n])
        text = text[n:]
    return chunks


@pytest.fixture
def small_chunks(monkeypatch):
    """Make the stream decide after every character, so that short texts try every cut."""
    monkeypatch.setattr(bpe_stream, "AT_ONCE", 1)


SPECIALS = BPETokenizer.train(SHAKESPEARE[:3_000], 300, ["<|e|>", "<|e|><|", "<", "e>"])
SPACES = ["\n", "\r\n", " ", "  ", "\t", "\u00a0", "\u3000", "\x85", "\x0b", "\x1c"]
LONG_SPACES = BPETokenizer.train(
    "".join(f"a{one * n}b!{one * n}7" for one in SPACES for n in range(1, 24)), 600, ["<|e|>"]
)
OWN_PATTERN = BPETokenizer.train(
    SHAKESPEARE[:3_000], 300, ["<|e|>", "<"], pattern=r"(?s).+?you|\s+(?=b)|.+"
)
LEARNED = {  # a tokenizer, and the special tokens that it is allowed
    "GPT-2's": (GPT2, ("<|endoftext|>",)),
    "long white space": (LONG_SPACES, ()),
    "special tokens": (SPECIALS, ("<|e|>", "<|e|><|", "<", "e>")),
    "one special token": (SPECIALS, ("<|e|>",)),
    "a pattern of our own": (OWN_PATTERN, ("<|e|>", "<")),
}
PARTS = [*SPACES, *SPACES, "'", "'", "'r", "e", "v", "l", "s", "'ll", "'d", "a", "b", "you", " x"]
PARTS += ["1", "42", "²", "!", ".", "—", "é", "中", "\ud83d", "\ude09", "😉", "\ud835\udc9c"]
PARTS += ["<|endoftext|>", "<|endof", "text|>", "<|e|>", "<|", "<", "|", "e|>", "e>", ">"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=24).map("".join)
SPLITS = 10  # of one text
EXAMPLES = 400 * len(LEARNED) * SPLITS  # the quick tenth of 200,000


def check_streams(name, examples):
    tokenizer, allowed = LEARNED[name]

    @steady(examples)
    @given(TEXTS, st.integers(0, 10**6))
    def check(text, seed):
        rng, ids = random.Random(seed), tokenizer.encode(text, allowed)
        for _ in range(SPLITS):
            chunks = cut_at_random(text, rng, rng.randint(2, 12))
            assert list(tokenizer.encode_iterable(chunks, allowed)) == ids, chunks

    check()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", LEARNED)
def test_a_stream_equals_the_whole_wherever_it_is_cut(name):
    check_streams(name, EXAMPLES // len(LEARNED) // SPLITS)


@pytest.mark.soak
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", LEARNED)
def test_two_hundred_thousand_streams_equal_the_whole(name):
    check_streams(name, 10 * EXAMPLES // len(LEARNED) // SPLITS)


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("a" * 65_536 + "\n\nb.", [198, 198, 65, 13]),
        ("a" * 65_536 + " \n\n b.", None),
        ("a" * 65_536 + "\u3000\u3000b.", None),
        ("word " * 13_107 + "\n" * 200 + "b.", None),
    ],
)
def test_a_cut_behind_white_space_that_goes_on_would_be_another_text(text, tail):
    ids = list(GPT2.encode_iterable([text]))
    assert ids == GPT2.encode(text)
    assert tail is None or ids[-len(tail) :] == tail


@pytest.mark.parametrize("size", [64, 1_000, 4_096, 65_537])
def test_plays_in_pieces_of_any_size(monkeypatch, size):
    monkeypatch.setattr(bpe_stream, "AT_ONCE", 4_096)
    text = SHAKESPEARE[:300_000]
    pieces = (text[i : i + size] for i in range(0, len(text), size))
    assert list(GPT2.encode_iterable(pieces)) == GPT2.encode(text)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "text", ["they're", "we'll 've", "  x", "a\n\n b", " 're", "a'\ud835\udc9c", "3 4"]
)
def test_a_stream_of_single_characters(text):
    assert list(GPT2.encode_iterable(text)) == GPT2.encode(text)
    assert list(GPT2.encode_iterable(["", *text, "", ""])) == GPT2.encode(text)


@pytest.mark.usefixtures("small_chunks")
def test_another_pattern_is_streamed_right_too():
    tokenizer = BPETokenizer.train(SHAKESPEARE[:3_000], 300, ["<e>"], pattern=r"(?s).+?you|.+")
    text = SHAKESPEARE[:500] + "<e>" + SHAKESPEARE[500:900]
    ids = list(tokenizer.encode_iterable(text, ["<e>"]))
    assert ids == tokenizer.encode(text, ["<e>"])


def test_a_file_is_streamed_line_by_line(tmp_path):
    file = tmp_path / "plays.txt"
    file.write_text(SHAKESPEARE, encoding="utf-8", newline="")
    with file.open(encoding="utf-8", newline="") as lines:
        assert list(GPT2.encode_iterable(lines)) == GPT2.encode(SHAKESPEARE)


def test_a_stream_holds_little():
    held, safe_cut = [], bpe_stream.safe_cut

    def watched(text, splitter, names):
        held.append(len(text))
        return safe_cut(text, splitter, names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe_stream, "safe_cut", watched)
        for _ in GPT2.encode_iterable(["You are all resolved. "] * 50_000):
            pass
        assert max(held) < 2 * bpe_stream.AT_ONCE
        held.clear()
        for _ in GPT2.encode_iterable("x" for _ in range(500_000)):
            pass
        assert sum(held) < 3 * 500_000  # one endless word is looked at again rarely
        held.clear()
        for _ in GPT2.encode_iterable("\n" for _ in range(300_000)):
            pass
        assert sum(held) < 3 * 300_000  # and so is white space that does not end
        held.clear()
        for _ in GPT2.encode_iterable(["中文。"] * 60_000):  # no white space at all
            pass
        assert max(held) < 2 * bpe_stream.AT_ONCE


def test_a_stream_refuses_what_encode_refuses():
    with pytest.raises(ValueError, match="is no special token"):
        list(GPT2.encode_iterable(["a"], ["<|pad|>"]))
    with pytest.raises(TypeError):
        list(GPT2.encode_iterable([b"bytes"]))
