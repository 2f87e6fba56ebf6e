"""sampling: every knob against transformers, alone and together; what is no bet is refused."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation import logits_process as theirs

from gpt2_tutorial import sampling
from gpt2_tutorial.sampling import pick
from writers import random_knobs, seeded

PENALTY = theirs.RepetitionPenaltyLogitsProcessor
WARPERS = {
    "temperature": theirs.TemperatureLogitsWarper,
    "top_k": theirs.TopKLogitsWarper,
    "top_p": theirs.TopPLogitsWarper,
    "min_p": theirs.MinPLogitsWarper,
}


@st.composite
def bets(draw):
    seed, V = draw(st.integers(0, 10**6)), draw(st.integers(1, 60))
    logits = torch.randn(draw(st.integers(1, 3)), V, generator=seeded(seed)) * 4
    if draw(st.booleans()):
        logits = logits.round()  # ties
    return logits


@settings(max_examples=150, deadline=None)
@given(bets(), st.floats(0.05, 5), st.integers(1, 70), st.floats(0.01, 0.99), st.floats(0, 1))
def test_every_knob_is_the_one_of_transformers(logits, temperature, k, p, least):
    idx = torch.randint(logits.size(1), (len(logits), 5), generator=seeded(k))
    want = PENALTY(temperature)(idx, logits.clone())
    assert torch.equal(sampling.penalise(logits, idx, temperature), want)
    assert torch.equal(sampling.keep_top_k(logits, k), WARPERS["top_k"](k)(None, logits))
    want = WARPERS["min_p"](least)(None, logits)
    assert torch.equal(sampling.keep_min_p(logits, least), want)
    # Which of two tied tokens falls out is the sort's affair, so this one is without ties; in
    # float64, as both add up the probabilities from different ends.
    apart = logits.double() + torch.linspace(0, 0.1, logits.size(1), dtype=torch.float64)
    assert torch.equal(sampling.keep_top_p(apart, p), WARPERS["top_p"](p)(None, apart))


def test_all_knobs_together_give_the_probabilities_of_transformers(monkeypatch):
    seen = []

    def multinomial(bets, n, generator=None):
        seen.append(bets)
        return torch.zeros(1, dtype=torch.long)

    monkeypatch.setattr(torch, "multinomial", multinomial)
    for seed in range(200):
        rng = random.Random(seed)
        knobs = random_knobs(rng) | {"temperature": rng.choice([0.3, 0.7, 1.0, 2.0])}
        penalty = knobs.pop("repetition_penalty")
        logits = torch.randn(1, 40, generator=seeded(seed), dtype=torch.float64) * 3
        idx = torch.randint(40, (1, 6), generator=seeded(seed))
        want = PENALTY(penalty)(idx, logits.clone())
        for name, warp in WARPERS.items():
            off = knobs[name] is None or (name == "top_p" and knobs[name] == 1)
            want = want if off else warp(knobs[name])(idx, want)
        pick(sampling.penalise(logits, idx, penalty), **knobs)
        torch.testing.assert_close(seen[-1], want.softmax(-1)[0], atol=1e-12, rtol=0)
    assert len(seen) == 200


def test_the_book_s_example_of_top_two():
    kept = sampling.keep_top_k(torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0]), 2).softmax(-1)
    assert [round(p, 2) for p in kept.tolist()] == [0.73, 0.27, 0, 0, 0]


@pytest.mark.parametrize("p", [1e-12, 1e-3, 0.5])
def test_the_best_token_is_never_lost(p):
    logits = torch.tensor([[0.0, 4.0, 0.5]])
    for kept in (sampling.keep_top_p(logits, p), sampling.keep_min_p(logits, 1.0)):
        assert kept.tolist() == [[-math.inf, 4.0, -math.inf]]


def test_top_p_of_one_and_min_p_of_zero_forbid_nothing():
    logits = torch.tensor([[0.0, 60.0, -200.0]])
    assert torch.equal(sampling.keep_top_p(logits, 1.0), logits)
    assert torch.equal(sampling.keep_min_p(logits, 0.0), logits)


def test_min_p_is_relative_to_the_best():
    bets = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert sampling.keep_min_p(bets, 0.6).isfinite().tolist() == [[True, True, False, False]]


def test_temperature_zero_is_greedy_whatever_else_is_asked():
    logits = torch.randn(5, 40, generator=seeded(0))
    for seed in range(40):
        knobs = random_knobs(random.Random(seed)) | {"temperature": 0}
        del knobs["repetition_penalty"]
        assert torch.equal(pick(logits, **knobs), logits.argmax(-1))


@pytest.mark.parametrize("temperature", [1e-300, 1e-12, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_temperature_near_zero_does_not_overflow(temperature, dtype):
    logits = torch.tensor([[3e4, 1e4, -1e4]], dtype=dtype)
    assert pick(logits, temperature=temperature).tolist() == [0]


def test_draws_follow_the_probabilities():
    logits = torch.tensor([[2.0, 1.0, 0.0]]).expand(6000, 3)
    drawn = pick(logits, temperature=2.0, generator=seeded(5))
    shares = drawn.bincount(minlength=3) / 6000
    want = (logits[0] / 2).softmax(-1)
    assert (shares - want).abs().max() < 4 * math.sqrt(0.25 / 6000)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_logits_that_are_no_bets_are_refused(odd, temperature):
    logits = torch.zeros(2, 5)
    logits[1, 3] = odd
    with pytest.raises(ValueError, match=f"best logit is {odd}, so no token can be drawn"):
        pick(logits, temperature=temperature)
    with pytest.raises(ValueError, match="best logit is -inf"):
        pick(torch.full((1, 3), -math.inf), temperature=temperature)


@pytest.mark.parametrize("logits", [torch.zeros(5), torch.zeros(1, 0), torch.zeros(1, 2).long()])
def test_logits_of_another_shape_or_dtype_are_refused(logits):
    with pytest.raises(ValueError, match=r"logits must be \(B, V\), not"):
        pick(logits)
