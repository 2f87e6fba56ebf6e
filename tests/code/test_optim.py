"""optim: held against torch.optim and torch.nn.utils, step for step, in float64."""

import io
import math

import pytest
import torch
import torch.nn as nn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpt2_tutorial import optim
from gpt2_tutorial.bigram import BigramLM

TIGHT = {"rtol": 0, "atol": 1e-10}
DEFAULTS = {"max_lr": 6e-4, "min_lr": 6e-5, "warmup_steps": 10, "max_steps": 100}


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 4), (5,), (), (2, 1, 2), (0, 3)]
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in shapes
    ]


def push(params, generator):
    """Random gradients of all sizes; now and then a parameter gets none."""
    for p in params:
        size = 10.0 ** torch.randint(-6, 3, (), generator=generator)
        p.grad = size * torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if torch.rand((), generator=generator) < 0.1:
            p.grad = None


def hold(ours, theirs, params, others, steps=100, seed=1):
    """Take the same steps with both, and compare after each."""
    dice, same_dice = (torch.Generator().manual_seed(seed) for _ in range(2))
    for _ in range(steps):
        push(params, dice)
        push(others, same_dice)
        ours.step()
        theirs.step()
        for mine, reference in zip(params, others, strict=True):
            torch.testing.assert_close(mine, reference, **TIGHT)


SGD_CASES = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.01, "momentum": 0.5, "nesterov": True},
    {"lr": 0.0, "momentum": 0.9},
]
ADAMW_CASES = [
    {},
    {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},
    {"lr": 0.01, "betas": (0.0, 0.0), "weight_decay": 0.0},
    {"lr": 0.3, "betas": (0.9, 0.999), "eps": 1e-12, "weight_decay": 2.0},
]
CASES = [(optim.SGD, torch.optim.SGD, case) for case in SGD_CASES]
CASES += [(optim.AdamW, torch.optim.AdamW, case) for case in ADAMW_CASES]


@pytest.mark.parametrize(("mine", "reference", "given_settings"), CASES)
def test_100_steps_are_those_of_torch(mine, reference, given_settings):
    params, others = parameters(), parameters()
    hold(mine(params, **given_settings), reference(others, **given_settings), params, others)


@settings(max_examples=30)
@given(
    lr=st.floats(0, 1),
    momentum=st.floats(0, 0.99),
    nesterov=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_sgd_whatever_the_settings(lr, momentum, nesterov, seed):
    kwargs = {"lr": lr, "momentum": momentum, "nesterov": nesterov and momentum > 0}
    params, others = parameters(seed), parameters(seed)
    ours, theirs = optim.SGD(params, **kwargs), torch.optim.SGD(others, **kwargs)
    dice = torch.Generator().manual_seed(seed)
    for _ in range(10):
        push(params, dice)
        for p, q in zip(params, others, strict=True):
            q.grad = None if p.grad is None else p.grad.clone()
        ours.step(), theirs.step()
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-10)


@settings(max_examples=30)
@given(
    lr=st.floats(0, 1),
    betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.9999)),
    eps=st.floats(1e-9, 1),
    weight_decay=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_adamw_whatever_the_settings(lr, betas, eps, weight_decay, seed):
    kwargs = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
    params, others = parameters(seed), parameters(seed)
    ours, theirs = optim.AdamW(params, **kwargs), torch.optim.AdamW(others, **kwargs)
    hold(ours, theirs, params, others, steps=10, seed=seed)


GROUPED = [
    (optim.SGD, torch.optim.SGD, [{"lr": 0.1}, {"momentum": 0.5, "lr": 0.3}]),
    (
        optim.AdamW,
        torch.optim.AdamW,
        [{"weight_decay": 0.5}, {"weight_decay": 0.0, "lr": 0.02, "betas": (0.5, 0.9)}],
    ),
]


@pytest.mark.parametrize(("mine", "reference", "groups"), GROUPED)
def test_each_group_has_its_own_settings(mine, reference, groups):
    params, others = parameters(), parameters()

    def made(kind, p):
        parts = [{"params": p[:2], **groups[0]}, {"params": p[2:], **groups[1]}]
        return kind(parts, lr=0.01)

    hold(made(mine, params), made(reference, others), params, others)


@pytest.mark.parametrize(("mine", "reference", "given_settings"), CASES)
def test_saving_and_loading_in_the_middle_changes_nothing(mine, reference, given_settings):
    params, others = parameters(), parameters()
    ours, theirs = mine(params, **given_settings), reference(others, **given_settings)
    hold(ours, theirs, params, others, steps=50)
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    again = mine(params, lr=9.0)  # the saved settings come back as well
    again.load_state_dict(torch.load(file, weights_only=True))
    hold(again, theirs, params, others, steps=50, seed=2)


def test_a_loaded_state_takes_the_kind_of_the_parameter():
    wide = parameters()
    first = optim.AdamW(wide)
    push(wide, torch.Generator().manual_seed(0))
    first.step()
    narrow = [nn.Parameter(p.detach().float()) for p in wide]
    second = optim.AdamW(narrow)
    second.load_state_dict(first.state_dict())
    state = second.state[narrow[0]]
    assert state["m"].dtype == state["v"].dtype == torch.float32
    assert state["t"] == 1 and first.state[wide[0]]["m"].dtype == torch.float64


@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
def test_float32_is_as_near_as_float32_allows(kind):
    reference = getattr(torch.optim, kind.__name__)
    params, others = ([nn.Parameter(torch.ones(50, 50))] for _ in range(2))
    ours, theirs = kind(params, lr=1e-2), reference(others, lr=1e-2)
    dice = torch.Generator().manual_seed(0)
    for _ in range(100):
        params[0].grad = torch.randn(50, 50, generator=dice)
        others[0].grad = params[0].grad.clone()
        ours.step(), theirs.step()
    # No gradient depends on a weight, so errors only add up: every step rounds each weight twice,
    # decayed and moved, by half an eps of its size, in ours and in theirs.
    largest = others[0].abs().max().item()
    bound = 100 * 2 * torch.finfo(torch.float32).eps * largest
    torch.testing.assert_close(params[0], others[0], rtol=0, atol=bound)


@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
def test_parameters_without_a_gradient_stay_and_get_no_state(kind):
    params = parameters()
    before = params[1].detach().clone()
    ours = kind(params, lr=0.1)
    params[0].grad = torch.ones_like(params[0])
    ours.step()
    assert torch.equal(params[1], before) and params[1] not in ours.state


@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
def test_the_gradient_itself_is_left_alone(kind):
    params = parameters()
    ours = kind(params, **({"lr": 0.1, "momentum": 0.9} if kind is optim.SGD else {"lr": 0.1}))
    params[0].grad = torch.full_like(params[0], 2.0)
    for _ in range(3):
        ours.step()
    assert (params[0].grad == 2.0).all()


def test_a_closure_is_called_once_with_gradients_on_and_its_loss_returned():
    x = nn.Parameter(torch.tensor([10.0]))
    ours, calls = optim.SGD([x], lr=0.1), []

    def closure():
        calls.append(torch.is_grad_enabled())
        ours.zero_grad()
        loss = (x**2).sum()
        loss.backward()
        return loss

    assert ours.step(closure).item() == 100 and calls == [True]
    assert x.item() == pytest.approx(8) and x.requires_grad
    assert ours.step() is None


def test_torch_schedulers_and_hooks_know_them():
    x = nn.Parameter(torch.zeros(1))
    ours, seen = optim.AdamW([x], lr=1.0), []
    halves = torch.optim.lr_scheduler.ExponentialLR(ours, gamma=0.5)
    ours.register_step_post_hook(lambda *_: seen.append(1))
    x.grad = torch.ones(1)
    ours.step(), halves.step()
    assert ours.param_groups[0]["lr"] == 0.5 and seen == [1]


NAN = float("nan")
BAD = [
    (optim.SGD, {"lr": -1.0}, "lr must be at least 0"),
    (optim.SGD, {"lr": NAN}, "lr must be at least 0"),
    (optim.SGD, {"lr": math.inf}, "lr must be at least 0"),
    (optim.SGD, {"lr": 0.1, "momentum": -0.1}, "momentum must be at least 0 and below 1"),
    (optim.SGD, {"lr": 0.1, "momentum": 1.0}, "momentum must be at least 0 and below 1"),
    (optim.SGD, {"lr": 0.1, "nesterov": True}, "nesterov needs a momentum"),
    (optim.AdamW, {"lr": -1e-9}, "lr must be at least 0"),
    (optim.AdamW, {"betas": (1.0, 0.9)}, "betas must be at least 0 and below 1"),
    (optim.AdamW, {"betas": (0.9, -0.1)}, "betas must be at least 0 and below 1"),
    (optim.AdamW, {"betas": (0.9, NAN)}, "betas must be at least 0 and below 1"),
    (optim.AdamW, {"eps": -1e-8}, "eps must be at least 0"),
    (optim.AdamW, {"weight_decay": -0.1}, "weight_decay must be at least 0"),
]


@pytest.mark.parametrize(("kind", "given_settings", "sentence"), BAD)
def test_settings_that_make_no_sense_are_refused(kind, given_settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(parameters(), **given_settings)


@pytest.mark.parametrize(
    ("kind", "group", "sentence"),
    [
        (optim.AdamW, {"lr": -1.0}, "lr must be at least 0"),
        (optim.AdamW, {"betas": (0.9, 1.0)}, "betas must be"),
        (optim.AdamW, {"weight_decy": 0.0}, "AdamW has no setting 'weight_decy'"),
        (optim.SGD, {"weight_decay": 0.1}, "SGD has no setting 'weight_decay'"),
    ],
)
def test_settings_of_a_group_are_looked_at_too(kind, group, sentence):
    params = parameters()
    with pytest.raises(ValueError, match=sentence):
        kind([{"params": params, **group}], lr=0.1)
    ours = kind(params[:1], lr=0.1)
    with pytest.raises(ValueError, match=sentence):
        ours.add_param_group({"params": params[1:], **group})
    assert len(ours.param_groups) == 1


@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
def test_no_parameters_are_refused(kind):
    with pytest.raises(ValueError, match="empty parameter list"):
        kind([], lr=0.1)


@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
def test_sparse_and_complex_gradients_are_refused(kind):
    sparse = nn.Parameter(torch.ones(3, 2))
    sparse.grad = torch.ones(3, 2).to_sparse()
    with pytest.raises(TypeError, match="sparse"):
        kind([sparse], lr=0.1).step()
    wound = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    wound.grad = torch.ones(3, dtype=torch.complex64)
    with pytest.raises(TypeError, match="complex"):
        kind([wound], lr=0.1).step()


def schedule_by_hand(step, max_lr, min_lr, warmup_steps, max_steps):
    """The schedule of GPT-2 recipes, one case after the other."""
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    ratio = (step - warmup_steps) / (max_steps - warmup_steps)
    return min_lr + 0.5 * (1 + math.cos(math.pi * ratio)) * (max_lr - min_lr)


@settings(max_examples=200)
@given(
    max_lr=st.floats(1e-6, 10),
    share=st.floats(0, 1),
    warmup_steps=st.integers(0, 50),
    more=st.integers(0, 60),
)
@example(max_lr=6e-4, share=0.1, warmup_steps=715, more=18_000)
def test_the_schedule_climbs_to_max_and_falls_to_min(max_lr, share, warmup_steps, more):
    plan = {"max_lr": max_lr, "min_lr": share * max_lr}
    plan |= {"warmup_steps": warmup_steps, "max_steps": warmup_steps + more}
    rates = [optim.cosine_with_warmup(s, **plan) for s in range(warmup_steps + more + 3)]
    assert rates == pytest.approx([schedule_by_hand(s, **plan) for s in range(len(rates))])
    assert rates[-3:] == [share * max_lr] * 3
    up, down = rates[:warmup_steps], rates[warmup_steps:]
    assert up == sorted(up) and down == sorted(down, reverse=True)
    assert max_lr == max(rates) or warmup_steps + more == 0
    if warmup_steps:
        assert up[-1] == max_lr and up[0] == pytest.approx(max_lr / warmup_steps)
    if more:
        assert down[0] == max_lr


def test_step_0_already_moves_and_long_after_the_end_is_min():
    assert optim.cosine_with_warmup(0, **DEFAULTS) == pytest.approx(6e-5)
    assert optim.cosine_with_warmup(10**9, **DEFAULTS) == 6e-5


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({}, -1),
        ({"warmup_steps": 101}, 0),
        ({"warmup_steps": -1}, 0),
        ({"max_steps": -5}, 0),
        ({"min_lr": 1.0}, 0),
        ({"min_lr": -1e-5}, 0),
        ({"max_lr": NAN}, 0),
        ({"max_lr": math.inf}, 0),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(change, step):
    with pytest.raises(ValueError, match="need "):
        optim.cosine_with_warmup(step, **DEFAULTS | change)


@settings(max_examples=60)
@given(max_norm=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
def test_clipping_is_that_of_torch(max_norm, seed):
    params, others = parameters(seed), parameters(seed)
    push(params, torch.Generator().manual_seed(seed))
    push(others, torch.Generator().manual_seed(seed))
    norm = optim.clip_grad_norm(iter(params), max_norm)
    theirs = torch.nn.utils.clip_grad_norm_(others, max_norm)
    torch.testing.assert_close(norm, theirs.to(norm.dtype), rtol=1e-12, atol=0)
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("odd", [NAN, math.inf, -math.inf])
def test_clipping_treats_numbers_that_are_none_as_torch_does(odd):
    ours, theirs = (nn.Parameter(torch.zeros(3)) for _ in range(2))
    for p in (ours, theirs):
        p.grad = torch.tensor([1.0, odd, 2.0])
    norm = optim.clip_grad_norm([ours], 1.0)
    expected = torch.nn.utils.clip_grad_norm_([theirs], 1.0)
    torch.testing.assert_close(norm, expected, equal_nan=True)
    torch.testing.assert_close(ours.grad, theirs.grad, equal_nan=True)
    assert not norm.isfinite()


def test_clipping_one_parameter_or_none_at_all():
    alone = nn.Parameter(torch.zeros(2))
    assert optim.clip_grad_norm([alone], 1.0) == 0
    alone.grad = torch.tensor([3.0, 4.0])
    assert optim.clip_grad_norm(alone, 10.0) == 5
    assert alone.grad.tolist() == [3, 4], "short gradients stay as they are"
    assert optim.clip_grad_norm(alone, 0.5) == 5
    assert alone.grad.norm().item() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("max_norm", [0, -1.0, NAN])
def test_a_length_that_nothing_can_have_is_refused(max_norm):
    with pytest.raises(ValueError, match="max_norm must be above 0, not"):
        optim.clip_grad_norm(parameters(), max_norm)


class Tied(nn.Module):
    """Everything that makes grouping hard."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.ones(7, 3))
        self.head = self.table  # tied
        self.gain, self.scale = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(()))
        self.frozen = nn.Parameter(torch.ones(3, 3), requires_grad=False)
        self.inner = nn.Linear(3, 3)
        self.register_buffer("counted", torch.ones(4, 4))


def test_what_has_two_axes_decays_and_everything_is_in_one_group_once():
    model = Tied()
    decay, rest = optim.param_groups(model, 0.1)
    assert (decay["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert {id(p) for p in decay["params"]} == {id(model.table), id(model.inner.weight)}
    assert {id(p) for p in rest["params"]} == {
        id(model.gain),
        id(model.scale),
        id(model.inner.bias),
    }
    assert len(decay["params"]) == 2 and len(rest["params"]) == 3


def test_the_groups_fit_adamw_and_only_matrices_shrink():
    model = Tied()
    ours = optim.AdamW(optim.param_groups(model, 0.5), lr=0.1)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    ours.step()
    assert (model.table == 0.95).all() and (model.gain == 1).all() and (model.frozen == 1).all()


def test_a_group_may_be_empty_but_not_both():
    model = BigramLM(3)
    _, rest = optim.param_groups(model, 0.1)
    assert rest["params"] == []
    optim.AdamW(optim.param_groups(model, 0.1)).step()
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        optim.param_groups(model.requires_grad_(False), 0.1)


def test_a_negative_decay_is_refused_where_it_would_be_used():
    with pytest.raises(ValueError, match="weight_decay must be at least 0"):
        optim.AdamW(optim.param_groups(BigramLM(3), -0.1))
