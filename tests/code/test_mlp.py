"""mlp: a network with memory, held against plain loops and against one-hot rows times a table."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial.loop import fit, sample
from gpt2_tutorial.mlp import MLPLM, check_ids, past_windows
from gpt2_tutorial.optim import AdamW


def random_ids(*shape, vocab_size=7, seed=0):
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed=0, **sizes):
    torch.manual_seed(seed)
    return MLPLM(7, **({"context": 3, "n_embd": 2, "hidden": 5} | sizes))


def logits_by_loops(model, idx):
    """The network in plain Python, one number at a time."""
    embed, context = model.embed.weight.tolist(), model.context
    hidden, bias = model.hidden.weight.tolist(), model.hidden.bias.tolist()
    out, out_bias = model.out.weight.tolist(), model.out.bias.tolist()
    answer = []
    for sequence in idx.tolist():
        row = []
        for t in range(len(sequence)):
            x = []
            for back in range(context - 1, -1, -1):
                x += embed[sequence[t - back] if t >= back else model.vocab_size]
            h = [
                math.tanh(b + sum(w * v for w, v in zip(ws, x, strict=True)))
                for ws, b in zip(hidden, bias, strict=True)
            ]
            row.append(
                [
                    b + sum(w * v for w, v in zip(ws, h, strict=True))
                    for ws, b in zip(out, out_bias, strict=True)
                ]
            )
        answer.append(row)
    return torch.tensor(answer)


@settings(max_examples=60)
@given(
    b=st.integers(1, 3),
    t=st.integers(1, 9),
    context=st.integers(1, 6),
    n_embd=st.integers(1, 4),
    hidden=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_forward_is_the_plain_loops(b, t, context, n_embd, hidden, seed):
    model = seeded(seed, context=context, n_embd=n_embd, hidden=hidden)
    idx = random_ids(b, t, seed=seed)
    logits, loss = model(idx)
    assert loss is None and logits.shape == (b, t, 7)
    torch.testing.assert_close(logits, logits_by_loops(model, idx), atol=1e-5, rtol=1e-5)


@settings(max_examples=60)
@given(b=st.integers(1, 3), t=st.integers(1, 9), context=st.integers(1, 12))
def test_windows_are_what_loops_find(b, t, context):
    idx = random_ids(b, t)
    windows = past_windows(idx, context, padding=7)
    assert windows.shape == (b, t, context)
    for sequence, rows in zip(idx.tolist(), windows.tolist(), strict=True):
        for end, row in enumerate(rows):
            kept = sequence[max(end + 1 - context, 0) : end + 1]
            assert row == [7] * (context - len(kept)) + kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_lookup_is_a_one_hot_row_times_the_table(dtype):
    """Values and gradients of `nn.Embedding`, of indexing and of the product: no difference."""
    table = torch.randn(7, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))
    ids, direction = random_ids(5), torch.randn(5, 4, dtype=dtype)
    answers, gradients = [], []
    for look_up in (
        lambda w: F.one_hot(ids, 7).to(dtype) @ w,
        lambda w: w[ids],
        lambda w: F.embedding(ids, w),
    ):
        w = table.clone().requires_grad_()
        rows = look_up(w)
        (rows * direction).sum().backward()
        answers.append(rows.detach())
        gradients.append(w.grad)
    assert torch.equal(answers[0], answers[1]) and torch.equal(answers[1], answers[2])
    for other in gradients[1:]:
        torch.testing.assert_close(gradients[0], other, atol=1e-6, rtol=1e-6)


def test_with_each_id_once_the_gradients_are_equal_to_the_last_bit():
    table = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    ids, direction = torch.tensor([6, 0, 3]), torch.ones(3, 4)
    by_product, by_lookup = table.clone().requires_grad_(), table.clone().requires_grad_()
    ((F.one_hot(ids, 7).float() @ by_product) * direction).sum().backward()
    (by_lookup[ids] * direction).sum().backward()
    assert torch.equal(by_product.grad, by_lookup.grad)


def test_no_position_sees_a_later_id():
    model, idx = seeded(), random_ids(2, 8)
    before, _ = model(idx)
    for t in range(8):
        changed = idx.clone()
        changed[:, t] = (changed[:, t] + 1) % 7
        after, _ = model(changed)
        same = (after == before).all(-1).all(0)  # (T,)
        assert same[:t].all() and same[t + 3 :].all()
        assert not same[t : t + 3].any()  # the three places that look at it


def test_sequences_of_a_batch_do_not_mix():
    model, idx = seeded(), random_ids(4, 6)
    together, _ = model(idx)
    alone = torch.cat([model(row[None])[0] for row in idx])
    torch.testing.assert_close(together, alone)


def test_older_ids_are_forgotten():
    model, idx = seeded(), random_ids(1, 9)
    torch.testing.assert_close(model(idx)[0][0, -1], model(idx[:, -3:])[0][0, -1])


def test_the_loss_is_the_mean_price_of_the_targets():
    model, idx = seeded(), random_ids(3, 6)
    logits, loss = model(idx[:, :-1], idx[:, 1:])
    bets = logits.softmax(-1).gather(2, idx[:, 1:, None])
    torch.testing.assert_close(loss, -bets.log().mean())


def test_the_chapters_network_has_25_953_parameters_and_starts_near_ln_v():
    torch.manual_seed(0)
    model, idx = MLPLM(65), random_ids(16, 65, vocab_size=65)
    assert sum(p.numel() for p in model.parameters()) == 25_953
    assert model(idx[:, :-1], idx[:, 1:])[1].item() == pytest.approx(math.log(65), abs=0.3)


def test_every_parameter_learns_and_padding_too():
    model, idx = seeded(), random_ids(4, 6)
    model(idx[:, :-1], idx[:, 1:])[1].backward()
    assert all((p.grad != 0).any() for p in model.parameters())
    assert (model.embed.weight.grad[7] != 0).any()


def test_it_learns_what_no_bigram_can():
    """After 0 comes what stood two places before: a question of memory."""
    torch.manual_seed(0)
    model, dice = MLPLM(3, context=2, n_embd=4, hidden=16), torch.Generator().manual_seed(0)

    def batch():
        first = torch.randint(1, 3, (64, 1), generator=dice)
        text = torch.cat([first, torch.zeros_like(first), first], 1)
        return text[:, :-1], text[:, 1:]

    fit(model, batch, AdamW(model.parameters(), lr=0.03), 100)
    logits, _ = model(torch.tensor([[1, 0], [2, 0]]))
    assert logits[:, -1].argmax(-1).tolist() == [1, 2]


def test_it_writes_with_the_books_own_sample():
    ids = sample(seeded(), [1], 20, context=3, generator=torch.Generator().manual_seed(0))
    assert len(ids) == 21 and all(0 <= i < 7 for i in ids)


def test_double_weights_give_double_logits():
    assert seeded().double()(random_ids(1, 3))[0].dtype == torch.float64


@pytest.mark.parametrize(
    ("idx", "error", "said"),
    [
        (torch.zeros(1, 3), TypeError, "not torch.float32"),
        (torch.zeros(1, 3, dtype=torch.int32), TypeError, "not torch.int32"),
        (torch.zeros(1, 3, dtype=torch.bool), TypeError, "not torch.bool"),
        (torch.zeros(3).long(), ValueError, r"not \(3,\)"),
        (torch.zeros(1, 3, 2).long(), ValueError, r"not \(1, 3, 2\)"),
        (torch.zeros(1, 0).long(), ValueError, r"not \(1, 0\)"),
        (torch.zeros(0, 3).long(), ValueError, r"not \(0, 3\)"),
        (torch.tensor([[0, 7]]), ValueError, "0…6, not 0…7"),
        (torch.tensor([[-1, 2]]), ValueError, "0…6, not -1…2"),
        (torch.tensor([[2**62]]), ValueError, "0…6, not"),
    ],
)
def test_what_is_no_batch_of_ids_is_refused_in_one_sentence(idx, error, said):
    for call in (lambda: check_ids(idx, 7), lambda: seeded()(idx)):
        with pytest.raises(error, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("targets", "error"),
    [
        (torch.zeros(2, 3).long(), ValueError),
        (torch.zeros(2, 4), TypeError),
        (torch.full((2, 4), 7), ValueError),
        (torch.full((2, 4), -100), ValueError),
    ],
)
def test_targets_are_looked_at_as_closely(targets, error):
    with pytest.raises(error):
        seeded()(random_ids(2, 4), targets)


@pytest.mark.parametrize("name", ["vocab_size", "context", "n_embd", "hidden"])
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_below_1_are_refused(name, size):
    with pytest.raises(ValueError, match="at least 1"):
        MLPLM(**({"vocab_size": 7} | {name: size}))


def test_a_context_below_1_is_refused():
    with pytest.raises(ValueError, match="context must be at least 1, not 0"):
        past_windows(random_ids(1, 3), 0, padding=7)
