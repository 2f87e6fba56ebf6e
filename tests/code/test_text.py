"""text: characters to ids and back, one cut, windows that are one step apart."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2_tutorial.text import CharTokenizer, get_batch, load_shakespeare, split


@given(st.text())
def test_what_is_encoded_comes_back(text):
    tokenizer = CharTokenizer(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.vocab_size == len(set(text))


def test_ids_follow_the_order_of_code_points():
    assert CharTokenizer("b\na é").characters == ["\n", " ", "a", "b", "é"]


def test_shakespeare_is_the_file_that_the_scoreboard_means():
    text = load_shakespeare()
    assert len(text) == 1_115_394
    assert CharTokenizer(text).vocab_size == 65
    training, validation = split(torch.zeros(len(text)))
    assert (len(training), len(validation)) == (1_003_854, 111_540)


def test_decode_takes_tensors():
    assert CharTokenizer("abc").decode(torch.tensor([2, 0])) == "ca"


@pytest.mark.parametrize("ids", [[3], [-1], torch.tensor([0, 7])])
def test_an_id_out_of_range_is_named(ids):
    wrong = int(ids[-1])
    with pytest.raises(ValueError, match=f"id {wrong} is not between 0 and 2"):
        CharTokenizer("abc").decode(ids)


def test_an_unknown_character_is_named():
    with pytest.raises(ValueError, match="'ö' is not among"):
        CharTokenizer("abc").encode("abö")


@given(st.integers(2, 300), st.floats(0.01, 0.99))
def test_split_loses_repeats_and_moves_nothing(length, fraction):
    ids = torch.arange(length)
    training, validation = split(ids, fraction)
    assert torch.cat([training, validation]).tolist() == ids.tolist()


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 90])
def test_split_refuses_what_is_no_fraction(fraction):
    with pytest.raises(ValueError, match=f"between 0 and 1, not {fraction}"):
        split(torch.arange(10), fraction)


@given(st.integers(1, 8), st.integers(1, 16), st.integers(0, 50))
def test_y_is_the_text_one_step_ahead_of_x(batch_size, block_size, more):
    ids = torch.arange(block_size + 1 + more)
    x, y = get_batch(ids, batch_size, block_size, torch.Generator().manual_seed(more))
    assert x.shape == y.shape == (batch_size, block_size)
    assert torch.equal(y, x + 1)


def test_every_window_can_come_the_first_and_the_last_too():
    x, _ = get_batch(torch.arange(5), 400, 3, torch.Generator().manual_seed(0))
    assert set(x[:, 0].tolist()) == {0, 1}


def test_the_same_seed_cuts_the_same_windows():
    ids = torch.arange(1000)
    first, second = (get_batch(ids, 4, 8, torch.Generator().manual_seed(7))[0] for _ in range(2))
    assert torch.equal(first, second)


def test_too_short_a_text_is_refused():
    with pytest.raises(ValueError, match="8 ids are too few for x and y of 8"):
        get_batch(torch.arange(8), 1, 8)
