"""bpe: the fast path held against slow, plain functions; files, GPT-2's own list, bad input."""

import contextlib
import hashlib
import json
import os
import pickle
import random
import re
from collections import Counter
from itertools import pairwise

import pytest
import regex
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial import bpe
from gpt2_tutorial.bpe import GPT2_PATTERN, BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.bpe_export import spelled_vocabulary
from gpt2_tutorial.text import load_shakespeare

SHAKESPEARE = load_shakespeare()
GPT2 = GPT2Tokenizer()
HARD = "It's  a\u00a0 test,\n\n 'tis 12³ naïve \x1c!\t\U0001f468\u200d\U0001f469 شكرا  'rest of 'l"


def steady(examples):
    """Hypothesis with the same examples in every run."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


# --- the slow way, in plain functions


def slow_merge(ids, pair, new):
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def slow_train(text, merges, pattern=GPT2_PATTERN):
    return slow_learn(regex.findall(pattern, text), merges)


def slow_learn(pieces, merges):
    pieces = [list(piece.encode()) for piece in pieces]
    tokens, learned = [bytes([b]) for b in range(256)], []
    for new in range(256, 256 + merges):
        counts = Counter(pair for ids in pieces for pair in pairwise(ids))
        if not counts:
            break
        best = max(counts, key=lambda p: (counts[p], tokens[p[0]], tokens[p[1]]))
        pieces = [slow_merge(ids, best, new) for ids in pieces]
        tokens.append(tokens[best[0]] + tokens[best[1]])
        learned.append(best)
    return learned


def slow_encode(tokenizer, text):
    rank = {pair: new for new, pair in enumerate(tokenizer.merges, 256)}
    all_ids = []
    for piece in regex.findall(tokenizer.pattern, text):
        ids = [tokenizer.byte_order.index(b) for b in piece.encode()]
        while known := [rank[pair] for pair in pairwise(ids) if pair in rank]:
            ids = slow_merge(ids, tokenizer.merges[min(known) - 256], min(known))
        all_ids += ids
    return all_ids


# --- training


@pytest.mark.parametrize("start", [0, 300_000, 900_000])
def test_the_fast_way_learns_the_merges_of_the_slow_way(start):
    text = SHAKESPEARE[start : start + 8_000]
    assert BPETokenizer.train(text, 256 + 150).merges == slow_train(text, 150)


@steady(300)
@given(st.text(alphabet="ab ", max_size=60), st.integers(0, 40))
def test_on_two_letters_where_ties_and_runs_are_everywhere(text, merges):
    assert BPETokenizer.train(text, 256 + merges).merges == slow_train(text, merges)


@steady(200)
@given(st.text(max_size=80), st.integers(0, 60))
def test_on_any_characters(text, merges):
    text = text.encode(errors="replace").decode()
    assert BPETokenizer.train(text, 256 + merges).merges == slow_train(text, merges)


def test_another_pattern_cuts_other_pieces():
    text, pattern = SHAKESPEARE[:5_000], r"\S+|\s+"
    tokenizer = BPETokenizer.train(text, 350, pattern=pattern)
    assert tokenizer.merges == slow_train(text, 94, pattern)
    assert tokenizer.encode(text) == slow_encode(tokenizer, text)


def test_ties_go_to_the_greater_byte_strings():
    tokenizer = BPETokenizer.train("ab ac bd bc", 258, pattern=r"\S+|\s")
    assert tokenizer.merges == [(98, 100), (98, 99)]


def test_a_longer_token_is_greater_than_its_own_beginning():
    # After a+b: the pairs (ab, x) and (a, x) stand once each, and b"ab" > b"a".
    text = "ab ab ab abx ax"
    merges = BPETokenizer.train(text, 258, pattern=r"\S+|\s").merges
    assert merges == slow_train(text, 2, r"\S+|\s") == [(97, 98), (256, 120)]


def test_known_example():
    """The article's aaabdaaabac; its tie between aa+a and a+b goes to aa+a by our rule."""
    tokenizer = BPETokenizer.train("aaabdaaabac", 259)
    assert tokenizer.tokens[256:] == [b"aa", b"aaa", b"aaab"]
    assert tokenizer.encode("aaabdaaabac") == [258, 100, 258, 97, 99]


def test_no_pair_left_ends_training_early():
    tokenizer = BPETokenizer.train("ab ab", 1000, ["<end>"])
    assert tokenizer.vocab_size == len(tokenizer.tokens) == 256 + 2 + 1
    assert BPETokenizer.train("", 1000).vocab_size == 256


def test_every_byte_is_its_own_id_and_special_tokens_come_last():
    tokenizer = BPETokenizer.train(SHAKESPEARE[:1000], 300, ["<end>", "<pad>"])
    assert tokenizer.tokens[:256] == [bytes([b]) for b in range(256)]
    assert tokenizer.special_tokens == {"<end>": 298, "<pad>": 299}
    assert tokenizer.vocab_size == 300 and len(tokenizer.merges) == 42


def test_nothing_is_learned_from_a_special_token_nor_across_one():
    parts = [SHAKESPEARE[i : i + 50] for i in range(0, 5_000, 50)]
    pieces = [piece for part in parts for piece in regex.findall(GPT2_PATTERN, part)]
    tokenizer = BPETokenizer.train("<|end|>".join(parts), 300, ["<|end|>"])
    assert tokenizer.merges == slow_learn(pieces, 43)


@pytest.mark.parametrize("size", [-1, 0, 255, 257])
def test_a_vocabulary_too_small_is_refused(size):
    with pytest.raises(ValueError, match=f"vocab_size {size} is too small"):
        BPETokenizer.train("some text", size, ["<a>", "<b>"])


@pytest.mark.parametrize("letters", ["a", "ab", "the ", "abcdefghijklmnopqrstuvwxyz"])
def test_the_work_of_training_grows_with_the_text_only(letters):
    """One endless piece: each merge looks at the places of its pair, and at no others."""
    rng = random.Random(0)
    for n in (10_000, 80_000):
        piece = "".join(rng.choices(letters, k=n)).encode()
        with visits_counted() as visits:
            merges = bpe._learn_merges({piece: 1}, 60)
        assert len(merges) == 60 or letters == "a"
        assert sum(visits) < 4 * n


@contextlib.contextmanager
def visits_counted():
    """How many places each call of `_Row.merge` looks at."""
    visits, merge = [], bpe._Row.merge

    def counted(row, pair, new):
        visits.append(len(row.places[pair]))
        return merge(row, pair, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe._Row, "merge", counted)
        yield visits


# --- encoding and decoding


@pytest.mark.parametrize("vocab_size", [256, 300, 600])
def test_encode_gives_what_the_slow_way_gives(vocab_size):
    tokenizer = BPETokenizer.train(SHAKESPEARE[:20_000], vocab_size)
    text = SHAKESPEARE[500_000:502_000] + HARD
    assert tokenizer.encode(text) == slow_encode(tokenizer, text)


def test_gpt2_gives_what_the_slow_way_gives():
    assert GPT2.encode(HARD) == slow_encode(GPT2, HARD)


@steady(300)
@given(st.randoms(use_true_random=False), st.text(alphabet="abc", max_size=300))
def test_merges_that_nobody_learned_are_followed_all_the_same(rng, text):
    """Short and long pieces follow the rule, lowest rank first, whatever the merges are."""
    tokens, merges = [bytes([b]) for b in range(256)], []
    for _ in range(rng.randrange(12)):
        left, right = (rng.choice([97, 98, 99, *range(256, len(tokens))]) for _ in "lr")
        if tokens[left] + tokens[right] not in tokens:
            merges.append((left, right))
            tokens.append(tokens[left] + tokens[right])
    tokenizer = BPETokenizer(merges)
    expected = slow_encode(tokenizer, text)
    assert tokenizer.encode(text) == expected
    rank = {pair: new for new, pair in enumerate(merges, 256)}
    assert bpe._merge_short(text.encode(), rank) == expected
    assert bpe._merge_long(text.encode(), rank) == expected


class Counting(dict):
    """A table of ranks that counts how often it is asked."""

    asked = 0

    def get(self, pair, default=None):
        self.asked += 1
        return super().get(pair, default)

    def __contains__(self, pair):
        self.asked += 1
        return super().__contains__(pair)


def work(piece):
    """How many places and pairs are looked at while one long piece is encoded."""
    rank = Counting(GPT2._pieces.rank)
    with visits_counted() as visits:
        bpe._merge_long(piece.encode().translate(GPT2._pieces.byte_id), rank)
    return rank.asked + sum(visits)


@pytest.mark.parametrize("letters", ["a", " ", "the", "abcdefghijklmnopqrstuvwxyz"])
def test_the_work_for_a_long_piece_grows_with_its_length_only(letters):
    rng = random.Random(0)
    small, large = ("".join(rng.choices(letters, k=n)) for n in (10_000, 80_000))
    assert work(small) < 6 * 10_000
    assert work(large) < 6 * 80_000


@pytest.mark.soak
def test_a_million_of_anything_is_encoded():
    for text in ["a" * 10**6, " " * 10**6 + "x", "\u3000" * 10**6 + "x", "\r\n" * 500_000]:
        assert GPT2.decode(GPT2.encode(text)) == text


def test_white_space_of_any_length_is_few_pieces():
    for space in " \n\t\u3000":
        assert len(GPT2._split.pieces(space * 10**6)) == 1
        ends = [" x"] if space == " " else [space, "x"]
        assert GPT2._split.pieces(space * 10**6 + "x")[1:] == ends


SPACES = " \n\t\x0b\x1c\x1f\x85\u00a0\u2003\u2028\u3000"


@steady(2_000)
@given(
    st.text(alphabet=st.characters(max_codepoint=127), max_size=40)
    | st.text(alphabet="ab1'sdmtrevl \n\t\x1c!_", max_size=30)
    | st.text(alphabet="ab1'ré²" + SPACES, max_size=30)
)
def test_the_fast_ways_of_cutting_cut_as_the_pattern(text):
    """ASCII by another pattern, and long texts in blocks, here of two characters and more."""
    expected = regex.findall(GPT2_PATTERN, text)
    assert GPT2._split.pieces(text) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpe, "_BLOCKS", re.compile(bpe._BLOCKS.pattern.replace("4000", "2")))
        assert list(GPT2._split(text)) == expected
        assert "".join(GPT2._split.blocks(text)) == text


def test_long_texts_are_cut_in_blocks():
    assert len(GPT2._split.blocks(SHAKESPEARE)) > 250
    assert list(GPT2._split(SHAKESPEARE)) == regex.findall(GPT2_PATTERN, SHAKESPEARE)


def test_special_tokens_are_ordinary_text_unless_allowed():
    text = "one<|endoftext|>two"
    assert GPT2.encode(text, ["<|endoftext|>"]) == [505, 50256, 11545]
    assert 50256 not in GPT2.encode(text)
    assert GPT2.decode(GPT2.encode(text)) == text
    with pytest.raises(ValueError, match=r"^'<\|end\|>' is no special token of this tokenizer$"):
        GPT2.encode(text, {"<|end|>"})


def test_of_two_special_tokens_that_begin_alike_the_longer_one_counts():
    tokenizer = BPETokenizer([], ["<a>", "<a><b>", "<b>"])
    names = tokenizer.special_tokens
    assert tokenizer.encode("<a><b><a><a>", names) == [257, 256, 256]
    assert tokenizer.encode("<a><b>", ["<a>", "<b>"]) == [256, 258]
    assert tokenizer.decode([257, 97]) == "<a><b>a"


def test_half_a_character_becomes_a_question_mark_and_two_halves_one_character():
    assert GPT2.decode(GPT2.encode("a\ud83d\ude09b")) == "a😉b"
    assert GPT2.decode(GPT2.encode("a\ud83db\ude09")) == "a�b�"


@steady(300)
@given(st.lists(st.integers(0, 50256), max_size=50))
def test_decoding_any_ids_never_fails(ids):
    assert GPT2.decode(ids) == b"".join(GPT2.tokens[i] for i in ids).decode(errors="replace")


def test_decode_takes_tensors_and_generators():
    ids = GPT2.encode("Hello world")
    assert GPT2.decode(torch.tensor(ids)) == GPT2.decode(i for i in ids) == "Hello world"


@pytest.mark.parametrize("wrong", [-1, 50257, 10**30])
def test_an_id_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=f"^id {wrong} is not between 0 and 50256$"):
        GPT2.decode([0, wrong, 1])


@pytest.mark.parametrize("ids", [[1.5], ["a"], [None], 5])
def test_what_is_no_id_is_refused(ids):
    with pytest.raises(TypeError):
        GPT2.decode(ids)


@pytest.mark.parametrize("text", [b"bytes", None, 3, ["a"]])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(TypeError, match=r"^text must be a str, not "):
        GPT2.encode(text)
    with pytest.raises(TypeError, match=r"^text must be a str, not "):
        BPETokenizer.train(text, 300)


def test_the_memory_of_pieces_is_bounded():
    tokenizer = BPETokenizer([])
    for i in range(70_000):
        tokenizer.encode(f"{i}")
    assert len(tokenizer._pieces) <= 65_536
    before = len(tokenizer._pieces)
    assert tokenizer.encode("x" * 100) == [120] * 100 and len(tokenizer._pieces) == before


# --- building and refusing


@pytest.mark.parametrize("special", [[""], ["<a>", "<a>"], ["\ud800"], [3], [None], [b"<a>"]])
def test_special_tokens_that_cannot_work_are_refused(special):
    with pytest.raises(ValueError, match="special token"):
        BPETokenizer.train("text", 300, special)


def test_one_special_token_must_stand_in_a_list():
    with pytest.raises(TypeError, match=r"^put '<end>' into a list of special tokens$"):
        BPETokenizer.train("text", 300, "<end>")


@pytest.mark.parametrize("pattern", ["(", r"\p{Nonsense}", "(a)|b", None, 3])
def test_a_pattern_that_cannot_be_used_is_refused(pattern):
    with pytest.raises(ValueError, match=r"is no pattern|write \(\?:…\)"):
        BPETokenizer.train("text", 300, pattern=pattern)


def test_a_pattern_that_leaves_text_out_is_refused():
    with pytest.raises(ValueError, match=r"^'\\\\w\+' leaves out a part of 'two words'$"):
        BPETokenizer.train("two words", 300, pattern=r"\w+")
    with pytest.raises(ValueError, match="leaves out"):
        BPETokenizer([], pattern="(?r)..|.").encode("turned round")


@pytest.mark.parametrize(
    "merges", [[(0, 256)], [(-1, 5)], [(1, 2), (1, 2)], [(97, 98), (256, 99), (98, 99), (97, 258)]]
)
def test_merges_that_make_no_sense_are_refused(merges):
    with pytest.raises(ValueError, match="merge"):
        BPETokenizer(merges)


def test_tokens_without_end_are_refused():
    with pytest.raises(ValueError, match=r"^all tokens together exceed 67108864 bytes$"):
        BPETokenizer([(97, 97), *((i, i) for i in range(256, 300))])


def test_bytes_out_of_order_must_all_be_there():
    with pytest.raises(ValueError, match="each of the 256 bytes once"):
        BPETokenizer([], byte_order=bytes(256))


# --- files


SPECIALS = BPETokenizer.train(SHAKESPEARE[:3_000], 300, ["<|e|>", "<|e|><|", "<", "e>"])


def same(one, other):
    parts = ("merges", "special_tokens", "pattern", "byte_order", "tokens", "vocab_size")
    return all(getattr(one, part) == getattr(other, part) for part in parts)


@pytest.mark.parametrize("tokenizer", [GPT2, SPECIALS, BPETokenizer([], ["é\n"], pattern=r"(?s).")])
def test_what_is_saved_is_loaded(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = BPETokenizer.load(tmp_path / "tokenizer.json")
    assert same(tokenizer, loaded)
    assert loaded.encode(HARD) == tokenizer.encode(HARD)
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


def test_saving_again_replaces_and_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "tokenizer.json"
    GPT2.save(file)
    SPECIALS.save(str(file))
    assert same(BPETokenizer.load(str(file)), SPECIALS)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        GPT2.save(file)
    assert same(BPETokenizer.load(file), SPECIALS)
    assert len(list(tmp_path.iterdir())) == 1


def refused(file):
    with pytest.raises(ValueError, match=r"is no tokenizer to load: ") as caught:
        BPETokenizer.load(file)
    message = str(caught.value)
    assert message.startswith(f"{file} ") and "\n" not in message and len(message) < 400
    return message


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    file = tmp_path / "tokenizer.json"
    SPECIALS.save(file)
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        refused(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format": "gpt2_tutorial.bpe 2"}',
        b"9" * 10_000,
        b'{"format": "gpt2_tutorial.bpe 1"}',
        pickle.dumps({"format": "gpt2_tutorial.bpe 1"}),
    ],
)
def test_a_foreign_file_is_refused(content, tmp_path):
    (tmp_path / "foreign").write_bytes(content)
    refused(tmp_path / "foreign")


CHANGES = {
    "merges": [
        *(None, {}, "ab", [1], [[1]], [[1, 2, 3]], [["a", "b"]], [[1.0, 2]], [[True, 2]]),
        *([[0, 999]], [[-1, 0]], [[97, 98], [97, 98]], [[10**40, 0]]),
        [[i, i] for i in range(255, 400)],
    ],
    "byte_order": [None, [], [0] * 256, [*range(255), 256], [*range(255), "a"], {"0": 1}],
    "special_tokens": [None, "abc", [1], [""], ["a", "a"], ["\ud800"], [["a"]], {}],
    "pattern": [
        None,
        3,
        "(",
        "(a)",
        [],
        r"\p{No such thing}",
        "a" * 100 + "{99999999999999999999}",
        *("(?R)", "(?:a|(?R))", "(?0)|.", "x(?R)?|.", "(?:a{9999}){9999}|.", "(?:.{101}){100}|."),
        *("(?:(?:a{99,}){99,}){9,}", "(?:abc){e<=3}|.", "(?s:.)" + "|a" * 1_000),
    ],
    "more": [1],
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_hostile_file_is_refused(part, tmp_path):
    file = tmp_path / "tokenizer.json"
    SPECIALS.save(file)
    content = json.loads(file.read_text(encoding="utf-8"))
    for change in CHANGES[part]:
        file.write_text(json.dumps(content | {part: change}), encoding="utf-8")
        refused(file)
    without = {name: value for name, value in content.items() if name != part}
    if part in content:
        file.write_text(json.dumps(without), encoding="utf-8")
        refused(file)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\(\?R|\p{L}{1,3}+|\x41|(?s:.)",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",  # that of cl100k
        r"[{}]|(?s:.){1,9}",
    ],
)
def test_a_harmless_pattern_is_saved_and_loaded(pattern, tmp_path):
    tokenizer = BPETokenizer([], pattern=pattern)
    tokenizer.save(tmp_path / "t.json")
    assert same(BPETokenizer.load(tmp_path / "t.json"), tokenizer)


def test_what_load_would_refuse_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"the pattern '\(\?R\)' calls itself"):
        BPETokenizer([], pattern="(?R)").save(tmp_path / "t.json")
    assert not any(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_the_system_s_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        BPETokenizer.load(tmp_path / "nothing.json")


def test_a_tokenizer_can_be_sent_to_another_process():
    GPT2.encode(HARD)
    sent = pickle.loads(pickle.dumps(GPT2))
    assert same(sent, GPT2) and sent.encode(HARD + " and more") == GPT2.encode(HARD + " and more")


# --- GPT-2's own vocabulary


def test_letters_for_bytes():
    letters = bpe.bytes_to_unicode()
    assert sorted(letters) == list(range(256)) and len(set(letters.values())) == 256
    assert all(letter.isprintable() and letter != " " for letter in letters.values())
    moved = {b for b, letter in letters.items() if ord(letter) != b}
    assert len(moved) == 68 and letters[32] == "Ġ" and letters[10] == "Ċ"


def test_the_released_encoder_json_comes_out_of_the_merges():
    text = json.dumps(spelled_vocabulary(GPT2))
    released = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
    assert hashlib.sha256(text.encode()).hexdigest() == released


def test_numbers_of_gpt2():
    assert GPT2.vocab_size == 256 + 50_000 + 1 == 50_257
    assert GPT2.special_tokens == {"<|endoftext|>": 50_256}
    assert GPT2.tokens[0] == b"!" and GPT2.tokens[220] == b" " and GPT2.tokens[50_256][:2] == b"<|"


def test_learned_merges_lead_to_every_token():
    """The reason why a piece that is a token needs no merging."""
    trained = BPETokenizer.train(SHAKESPEARE[:100_000], 2_000)
    for tokenizer in (GPT2, trained):
        whole = tokenizer._pieces.whole
        assert len(whole) == 256 + len(tokenizer.merges)
        assert all(tokenizer._pieces.merged(token) == (i,) for token, i in whole.items())
