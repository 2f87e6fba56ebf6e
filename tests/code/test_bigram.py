"""bigram: a table of logits, held against counting and against the formula of its gradient."""

import math

import pytest
import torch

from gpt2_tutorial.bigram import BigramLM
from gpt2_tutorial.ngram import NGram


def random_ids(*shape, vocab_size=7):
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(0))


def test_logits_are_the_rows_of_the_ids():
    model = BigramLM(7)
    torch.nn.init.normal_(model.table)
    idx = random_ids(3, 5)
    logits, loss = model(idx)
    assert loss is None and logits.shape == (3, 5, 7)
    assert torch.equal(logits[2, 4], model.table[idx[2, 4]])


@pytest.mark.parametrize("vocab_size", [2, 65, 1000])
def test_an_untrained_table_pays_ln_v(vocab_size):
    idx = random_ids(2, 9, vocab_size=vocab_size)
    _, loss = BigramLM(vocab_size)(idx[:, :-1], idx[:, 1:])
    assert loss.item() == pytest.approx(math.log(vocab_size), abs=1e-5)


def test_logits_of_the_counts_pay_what_the_count_table_pays():
    ids = random_ids(500)
    counted, learned = NGram(1, 0.5).fit(ids), BigramLM(7)
    learned.table.data = counted(torch.arange(7)[None])[0]  # log probabilities are logits
    _, loss = learned(ids[None, :-1], ids[None, 1:])
    assert loss.item() == pytest.approx(counted.loss(ids), abs=1e-5)


def test_the_gradient_is_p_minus_y():
    model, idx, targets = BigramLM(7), random_ids(4, 6), random_ids(4, 6).flip(0)
    torch.nn.init.normal_(model.table)
    _, loss = model(idx, targets)
    loss.backward()
    expected = torch.zeros(7, 7)
    for this, following in zip(idx.flatten(), targets.flatten(), strict=True):
        expected[this] += model.table.detach()[this].softmax(0) / idx.numel()
        expected[this, following] -= 1 / idx.numel()
    torch.testing.assert_close(model.table.grad, expected)
