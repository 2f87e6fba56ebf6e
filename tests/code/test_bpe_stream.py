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


STREAMED = st.text(alphabet="ab1 'rves\n\t\u00a0é!\ud83d\ude09\ud835\udc9c<|e>", max_size=40)
SPECIALS = BPETokenizer.train(SHAKESPEARE[:3_000], 300, ["<|e|>", "<|e|><|", "<", "e>"])


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("allowed", [(), ("<|e|>",), tuple(SPECIALS.special_tokens)])
def test_a_stream_equals_the_whole_wherever_it_is_cut(allowed):
    @steady(2_500)
    @given(STREAMED, st.integers(1, 12), st.integers(0, 10**6))
    def check(text, most, seed):
        text = text.replace("|e", "|e|>")
        chunks = cut_at_random(text, random.Random(seed), most + 1)
        assert list(SPECIALS.encode_iterable(chunks, allowed)) == SPECIALS.encode(text, allowed)

    check()


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
        for _ in GPT2.encode_iterable("x" for _ in range(2_000_000)):
            pass
    assert sum(held) < 3 * 2_000_000  # one endless word is looked at again rarely


def test_a_stream_refuses_what_encode_refuses():
    with pytest.raises(ValueError, match="is no special token"):
        list(GPT2.encode_iterable(["a"], ["<|pad|>"]))
    with pytest.raises(TypeError):
        list(GPT2.encode_iterable([b"bytes"]))
