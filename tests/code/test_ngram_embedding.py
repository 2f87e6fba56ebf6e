"""ngram_embedding: rows by a count of tokens, none of them from the future, large ids and all."""

import pytest
import torch

from gpt2_tutorial.ngram_embedding import NGramEmbedding


def filled(vocab_size=7, rows=64, n_embd=6):
    """Tables whose every number is another one, so that a wrong row shows."""
    table = NGramEmbedding(vocab_size, rows, n_embd)
    for i, part in enumerate((table.pairs, table.triples)):
        part.weight.data = torch.arange(part.weight.numel()).view_as(part.weight) + 1000.0 * i
    return table


def test_each_pair_has_a_row_of_its_own_where_there_are_enough():
    table = filled(vocab_size=7, rows=49)
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))  # (49, 2)
    found = table(pairs)[:, 1, :3]
    assert len({tuple(row.tolist()) for row in found}) == 49


def test_the_last_token_counts_in_both_and_so_do_those_before_it():
    table = filled()
    first = table(torch.tensor([[1, 2, 3]]))[0, -1]
    for other in ([1, 2, 4], [1, 5, 3]):
        changed = table(torch.tensor([other]))[0, -1] != first
        assert changed[:3].any() and changed[3:].any()
    further = table(torch.tensor([[6, 2, 3]]))[0, -1] != first
    assert not further[:3].any() and further[3:].any()  # the triple alone looks so far back


def test_pair_and_order_differ():
    table = filled()
    one, other = table(torch.tensor([[1, 2]]))[0, -1], table(torch.tensor([[2, 1]]))[0, -1]
    assert (one != other).any()


def test_nobody_sees_the_future():
    table, idx = filled(), torch.tensor([[1, 2, 3, 4, 5]])
    before = table(idx)
    for t in range(5):
        later = idx.clone()
        later[0, t:] = 6
        assert torch.equal(table(later)[:, :t], before[:, :t])


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_numbers_of_gpt2s_triples_do_not_overflow(dtype):
    V, rows = 50257, 4801
    table = filled(V, rows, n_embd=2)
    idx = torch.tensor([[50256, 50255, 50254]], dtype=dtype)
    a, b, c = idx[0].tolist()
    row = ((a * V + b) * V + c) % rows  # Python's whole numbers have no end
    assert table(idx)[0, -1, 1].item() == 1000.0 + row


@pytest.mark.parametrize("n_embd", [1, 5])
def test_an_odd_width_is_shared_out_whole(n_embd):
    assert NGramEmbedding(7, 5, n_embd)(torch.zeros(2, 3).long()).shape == (2, 3, n_embd)


def test_at_first_it_says_nothing():
    assert (NGramEmbedding(7, 5, 4)(torch.arange(7)[None]) == 0).all()
