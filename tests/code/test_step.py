"""step: many small pieces are one big batch, and the loss in chunks is the loss."""

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial import step
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.precision import autocast, choose_precision
from gpt2_tutorial.step import (
    ChunkedLoss,
    LossModel,
    NonFiniteError,
    chunked_loss,
    hidden_states,
    nats_and_slope,
    train_step,
)

CONFIG = GPTConfig(block_size=8, vocab_size=65, n_layer=2, n_head=2, n_embd=16)
FP32 = choose_precision("cpu", "fp32")


def model_of(dtype=torch.float64, **changes):
    torch.manual_seed(0)
    return GPT(GPTConfig(**{**vars(CONFIG), **changes})).to(dtype)


def ids(*shape, seed=0):
    return torch.randint(65, shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30)
@given(B=st.integers(1, 5), T=st.integers(1, 8), chunk=st.integers(1, 50))
def test_chunked_loss_is_the_models_loss_with_its_gradients(B, T, chunk):
    model, x, y = model_of(), ids(B, T), ids(B, T, seed=1)
    ours, theirs = chunked_loss(model, x, y, chunk), model(x, y)[1]
    assert abs(ours - theirs) < 1e-12
    mine = torch.autograd.grad(3 * ours, list(model.parameters()))
    for one, other in zip(
        mine, torch.autograd.grad(3 * theirs, list(model.parameters())), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize("padded", [65, 66, 128])
def test_a_padded_vocabulary_changes_nothing(padded):
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    table = torch.randn(65, 5, dtype=torch.float64, requires_grad=True)
    ours = ChunkedLoss.apply(x, table, ids(7), 3, torch.float64, padded)
    theirs = F.cross_entropy(x @ table.T, ids(7))
    assert abs(ours - theirs) < 1e-12
    mine = torch.autograd.grad(ours, [x, table])
    for one, other in zip(mine, torch.autograd.grad(theirs, [x, table]), strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_the_slope_is_autograds():
    logits = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    loss, slope = nats_and_slope(logits.detach().clone(), ids(4) % 9, 9)
    whole = F.cross_entropy(logits, ids(4) % 9, reduction="sum")
    assert abs(loss - whole) < 1e-12
    torch.testing.assert_close(slope, torch.autograd.grad(whole, logits)[0], atol=1e-12, rtol=0)


def test_no_more_than_a_chunk_of_logits_exists(monkeypatch):
    seen, real = [], step.nats_and_slope
    monkeypatch.setattr(
        step, "nats_and_slope", lambda *args: seen.append(args[0].shape) or real(*args)
    )
    chunked_loss(model_of(), ids(4, 8), ids(4, 8), chunk=5)
    assert seen == [(5, 65)] * 6 + [(2, 65)]


def test_bf16_loss_is_near_and_its_gradient_is_float32():
    model, x, y = model_of(torch.float32), ids(4, 8), ids(4, 8, seed=1)
    with autocast(torch.device("cpu"), torch.bfloat16):
        loss = chunked_loss(model, x, y)
    loss.backward()
    assert abs(loss.item() - model(x, y)[1].item()) < 0.01
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}


def test_float16_keeps_the_slopes_of_unlikely_tokens():
    """p / N is below float16's smallest number: who divides before rounding loses all but −1."""
    N, V = 4096, 2048
    torch.manual_seed(0)
    x, table = torch.randn(N, 4), 0.1 * torch.randn(V, 4)
    targets = torch.randint(V, (N,))
    exact, rounded = (
        torch.autograd.grad(ChunkedLoss.apply(a, b, targets, 512, dtype, V), [a, b])
        for dtype in (torch.float32, torch.float16)
        for a, b in [(x.clone().requires_grad_(), table.clone().requires_grad_())]
    )
    for one, other in zip(exact, rounded, strict=True):
        assert (one - other).norm() < 0.01 * one.norm()


def test_hidden_states_are_what_the_head_reads():
    model = model_of()
    logits = model.lm_head(hidden_states(model, ids(2, 8)))
    torch.testing.assert_close(logits, model(ids(2, 8))[0], atol=0, rtol=0)


@pytest.mark.parametrize("pieces", [1, 2, 4, 8])
def test_pieces_are_one_batch(pieces):
    x, y = ids(8, 8), ids(8, 8, seed=1)
    weights = []
    for cut in (1, pieces):
        model = LossModel(model_of())
        parts = list(zip(x.chunk(cut), y.chunk(cut), strict=True))
        report = train_step(
            model,
            parts,
            pieces if cut > 1 else 1,
            torch.optim.SGD(model.parameters(), lr=0.1),
            precision=FP32,
        )
        weights.append(nn.utils.parameters_to_vector(model.parameters()))
    torch.testing.assert_close(*weights, atol=1e-12, rtol=0)
    assert abs(report.loss - model_of()(x, y)[1]) < 1e-6


def test_forgetting_to_divide_gives_four_times_the_gradient():
    """The bug that Adam hides; here to show that the test above can fail."""
    x, y = ids(8, 8), ids(8, 8, seed=1)
    model = model_of()
    whole = torch.autograd.grad(model(x, y)[1], model.lm_head.weight)[0]
    parts = zip(x.chunk(4), y.chunk(4), strict=True)
    wrong = sum(torch.autograd.grad(model(*part)[1], model.lm_head.weight)[0] for part in parts)
    torch.testing.assert_close(wrong, 4 * whole, atol=1e-12, rtol=0)


def test_gradients_are_clipped_before_the_step():
    model = LossModel(model_of())
    before = nn.utils.parameters_to_vector(model.parameters()).clone()
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    report = train_step(model, [(ids(2, 8), ids(2, 8))], 1, sgd, precision=FP32, max_norm=0.01)
    moved = (nn.utils.parameters_to_vector(model.parameters()) - before).norm()
    assert report.norm > 0.01 and abs(moved - 0.01) < 1e-4


def test_no_sync_is_on_before_every_forward_but_the_last():
    class Wrapped(LossModel):
        syncs, seen = True, ()

        def no_sync(self):
            return _Quiet(self)

        def forward(self, x, y):
            self.seen = (*self.seen, self.syncs)
            return super().forward(x, y)

    class _Quiet:
        def __init__(self, model):
            self.model = model

        def __enter__(self):
            self.model.syncs = False

        def __exit__(self, *error):
            self.model.syncs = True

    model = Wrapped(model_of())
    piece = ids(1, 8), ids(1, 8)
    train_step(model, [piece] * 3, 3, torch.optim.SGD(model.parameters(), lr=0.1), precision=FP32)
    assert model.seen == (False, False, True)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_changes_nothing(poison):
    model = LossModel(model_of())
    optimizer = torch.optim.AdamW(model.parameters())
    with torch.no_grad():
        model.model.transformer.wpe.weight[3, 0] = poison
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(NonFiniteError, match="length is nan"):
        train_step(model, [(ids(2, 8), ids(2, 8))], 1, optimizer, precision=FP32)
    for one, other in zip(before, model.parameters(), strict=True):
        assert torch.equal(one.nan_to_num(), other.detach().nan_to_num())
    assert not optimizer.state


def test_a_scaled_loss_takes_the_same_step():
    weights = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.0)):
        model = LossModel(model_of(torch.float32))
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        train_step(model, [(ids(2, 8), ids(2, 8))], 1, sgd, precision=FP32, scaler=scaler)
        weights.append(nn.utils.parameters_to_vector(model.parameters()))
    torch.testing.assert_close(*weights, atol=1e-6, rtol=0)


def test_bad_wishes_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="need chunk ≥ 1"):
        chunked_loss(model_of(), ids(1, 8), ids(1, 8), chunk=0)
    with pytest.raises(ValueError, match=r"\(1, 7\)"):
        chunked_loss(model_of(), ids(1, 8), ids(1, 7))


@pytest.mark.parametrize("came", [0, 1, 3])
def test_other_pieces_than_promised_take_no_step(came):
    model = LossModel(model_of())
    before = [p.detach().clone() for p in model.parameters()]
    pieces = [(ids(1, 8), ids(1, 8, seed=1))] * came
    downhill = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=f"^2 pieces were promised and {came} came: no step$"):
        train_step(model, pieces, 2, downhill, precision=FP32)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
