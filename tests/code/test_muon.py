"""muon: held against singular values, against plain loops, and against torch.optim.Muon."""

import io
import math

import pytest
import torch
import torch.nn as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial import optim
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.loop import fit
from gpt2_tutorial.modern import MODERN, ModernConfig, ModernGPT
from gpt2_tutorial.muon import QUINTIC, Muon, Together, newton_schulz, split_params
from oracles import both_dtypes, randn

SHAPES = [(6, 6), (4, 9), (9, 4), (1, 5), (5, 1), (1, 1)]
TIGHT = dict(rtol=0, atol=1e-10)
SLOPE = QUINTIC[0] ** 5  # of five times p, at 0, where it is steepest: 485


def five_times(s):
    """What five steps make of one singular value."""
    a, b, c = QUINTIC
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    return s


def blur(g, terms=32):
    """How far rounding may take two ways apart, in the norm of the whole matrix.

    A step has three products of up to `terms` terms and a sum, of numbers up to 2; each is rounded
    by an eps, on both sides. What was rounded off before later steps grows by their slope at most,
    since an odd function of a matrix stretches differences no more than it stretches numbers.
    """
    return 5 * 4 * terms * 2 * SLOPE * torch.finfo(g.dtype).eps


def norm(x):
    return x.double().norm().item()


# --- Newton–Schulz against singular values


def test_no_slope_is_steeper_than_the_one_at_0():
    s = torch.linspace(0, 1, 100_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(five_times(s).sum(), s)
    assert slope.abs().max().item() == pytest.approx(SLOPE)


@both_dtypes
@pytest.mark.parametrize("shape", [*SHAPES, (2, 3, 4, 5), (3, 7, 2)])
def test_singular_values_go_where_the_polynomial_sends_them_and_directions_stay(shape, dtype):
    """U diag(s) Vᵀ becomes U diag(p⁵(s / ‖s‖)) Vᵀ, for each matrix of a batch on its own."""
    g = 7 * randn(*shape, dtype=dtype)
    u, s, vt = torch.linalg.svd(g.double(), full_matrices=False)
    s = five_times(s / s.norm(dim=-1, keepdim=True))
    expected = u @ torch.diag_embed(s) @ vt
    found = newton_schulz(g)
    assert found.dtype == dtype
    assert norm(found.double() - expected) <= blur(g) * math.sqrt(g[..., 0, 0].numel())


def test_singular_values_land_in_the_band_around_1():
    """The band is that of the polynomial: whatever is at least 1/500 of the norm comes near 1."""
    s = five_times(torch.linspace(0.002, 1, 100_001, dtype=torch.float64))
    low, high = s.min().item(), s.max().item()
    assert 0.68 < low < 0.69 and 1.20 < high < 1.21
    spreads = []
    for seed in range(20):
        rows, cols = 3 + seed, 24 - seed
        g = randn(rows, cols, dtype=torch.float64, seed=seed)
        before = torch.linalg.svdvals(g) / g.norm()
        after = torch.linalg.svdvals(newton_schulz(g))
        assert before.min() >= 0.002  # else the case shows nothing
        assert low - 1e-9 <= after.min() and after.max() <= high + 1e-9
        spreads.append((before.max() / before.min()).item())
    assert max(spreads) > 50 > high / low  # so it is the step that brought them together


@pytest.mark.parametrize("shape", SHAPES)
def test_a_matrix_may_lie_be_longer_or_turned(shape):
    g = randn(*shape, dtype=torch.float64)
    whole = newton_schulz(g)
    assert norm(newton_schulz(g.T) - whole.T) <= blur(g)
    assert norm(newton_schulz(1000 * g) - whole) <= blur(g)
    assert norm(newton_schulz(-g) + whole) <= blur(g)
    turn = torch.linalg.qr(randn(shape[0], shape[0], dtype=torch.float64, seed=1))[0]
    assert norm(newton_schulz(turn @ g) - turn @ whole) <= blur(g)


def test_no_steps_only_make_it_shorter():
    g = randn(3, 4)
    torch.testing.assert_close(newton_schulz(g, steps=0), g / g.norm())


def test_where_nothing_is_to_learn_nothing_is_stepped():
    assert (newton_schulz(torch.zeros(3, 4)) == 0).all()
    batch = torch.stack([torch.zeros(3, 4), randn(3, 4)])
    found = newton_schulz(batch)
    assert (found[0] == 0).all() and found.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_numbers_are_computed_in_float32_on_a_cpu(dtype):
    g = (100 * randn(5, 8)).to(dtype)  # squares of these overflow float16
    found = newton_schulz(g)
    assert found.dtype == dtype
    assert torch.equal(found, newton_schulz(g.float()).to(dtype))


@pytest.mark.parametrize("shape", [(), (5,)])
def test_what_is_no_matrix_is_refused(shape):
    with pytest.raises(ValueError, match=r"g must be a matrix \(…, R, C\), not \("):
        newton_schulz(torch.zeros(shape))


# --- the step against plain loops


def plain_product(x, y):
    columns = list(zip(*y, strict=True))
    return [[sum(a * b for a, b in zip(row, col, strict=True)) for col in columns] for row in x]


def plain_sum(*scaled):
    """Add up matrices, each with its factor."""
    rows, cols = len(scaled[0][1]), len(scaled[0][1][0])
    return [[sum(f * m[i][j] for f, m in scaled) for j in range(cols)] for i in range(rows)]


def plain_muon(w, gradients, lr, momentum, nesterov, weight_decay):
    """Muon as it is written down, in Python's own numbers: lists in, list out."""
    velocity = [[0.0] * len(w[0]) for _ in w]
    for g in gradients:
        velocity = plain_sum((momentum, velocity), (1.0, g))
        x = plain_sum((1.0, g), (momentum, velocity)) if nesterov else velocity
        size = math.sqrt(sum(number**2 for row in x for number in row))
        x = plain_sum((1 / size, x))
        for _ in range(5):  # X ← aX + b(XXᵀ)X + c(XXᵀ)²X
            xxt = plain_product(x, list(zip(*x, strict=True)))
            once = plain_product(xxt, x)
            x = plain_sum(*zip(QUINTIC, (x, once, plain_product(xxt, once)), strict=True))
        longer = math.sqrt(max(1, len(w) / len(w[0])))
        w = plain_sum((1 - lr * weight_decay, w), (-lr * longer, x))
    return w


SETTINGS = [
    {},
    dict(lr=0.1, momentum=0.8, nesterov=False),
    dict(lr=0.3, momentum=0.5, weight_decay=0.4),
    dict(lr=0.1, momentum=0.0, nesterov=False, weight_decay=2.0),
]
DEFAULTS = dict(lr=0.02, momentum=0.95, nesterov=True, weight_decay=0.0)


def gradients_of(shape, count, seed=0):
    sizes = (10.0 ** (i % 5 - 3) for i in range(count))  # small ones and large ones
    return [
        size * randn(*shape, dtype=torch.float64, seed=100 * seed + i)
        for i, size in enumerate(sizes)
    ]


def stepped(optimizer, p, gradients):
    for g in gradients:
        p.grad = g.clone()
        optimizer.step()
    return p.detach()


@pytest.mark.parametrize("given_settings", SETTINGS)
@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_ten_steps_are_those_of_plain_loops(shape, given_settings):
    p = nn.Parameter(randn(*shape, dtype=torch.float64, seed=5))
    gradients = gradients_of(shape, 10)
    numbers = [g.tolist() for g in gradients]
    expected = plain_muon(p.tolist(), numbers, **DEFAULTS | given_settings)
    found = stepped(Muon([p], **given_settings), p, gradients)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), **TIGHT)


def test_one_step_worked_by_hand():
    """One number: s = 1 five times through the polynomial, whatever the gradient's size."""
    p = nn.Parameter(torch.tensor([[10.0]]))
    found = stepped(Muon([p], lr=0.5), p, [torch.tensor([[-123.0]])])
    assert found.item() == pytest.approx(10 + 0.5 * five_times(1.0), abs=1e-5)


@pytest.mark.parametrize(("shape", "longer"), [((8, 2), 2.0), ((2, 8), 1.0), ((3, 3), 1.0)])
def test_a_tall_matrix_steps_further(shape, longer):
    p, g = nn.Parameter(torch.zeros(shape)), randn(*shape)
    found = stepped(Muon([p], lr=0.1, momentum=0.0, nesterov=False), p, [g])
    torch.testing.assert_close(found, -0.1 * longer * newton_schulz(g))


# --- the step against torch's


@pytest.fixture
def exact_torch(monkeypatch):
    """torch.optim.Muon rounds to bfloat16 everywhere, ours on a GPU alone: let it keep its dtype.

    A copy, since it divides in place what bfloat16() has handed it.
    """
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


def their_muon(params, given_settings):
    return torch.optim.Muon(params, **DEFAULTS | given_settings, adjust_lr_fn="original")


@pytest.mark.parametrize("given_settings", SETTINGS)
def test_ten_steps_are_those_of_torch(exact_torch, given_settings):
    """It keeps (1 − β) times our velocity; a factor is nothing to what makes all lengths 1."""
    params, others = (
        [nn.Parameter(randn(*shape, dtype=torch.float64, seed=5)) for shape in SHAPES]
        for _ in range(2)
    )
    ours, theirs = Muon(params, **given_settings), their_muon(others, given_settings)
    for step in range(10):
        for p, q in zip(params, others, strict=True):
            p.grad = gradients_of(p.shape, 10, seed=1)[step]
            q.grad = p.grad.clone()
        ours.step(), theirs.step()
        for p, q in zip(params, others, strict=True):
            torch.testing.assert_close(p, q, **TIGHT)


@settings(max_examples=15)
@given(
    lr=st.floats(0, 1),
    momentum=st.floats(0, 0.99),
    nesterov=st.booleans(),
    weight_decay=st.floats(0, 1),
    rows=st.integers(1, 9),
    cols=st.integers(1, 9),
)
def test_whatever_the_settings(lr, momentum, nesterov, weight_decay, rows, cols):
    chosen = dict(lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    p, q = (nn.Parameter(randn(rows, cols, dtype=torch.float64)) for _ in range(2))
    gradients = gradients_of((rows, cols), 5, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
        expected = stepped(their_muon([q], chosen), q, gradients)
    torch.testing.assert_close(stepped(Muon([p], **chosen), p, gradients), expected, **TIGHT)


def test_in_bfloat16_torch_steps_in_the_same_direction():
    """As it is: it rounds to bfloat16, and lands in the band around 1 along the same directions.

    A turn has one singular value, s, eight times. A step rounds its three products and its sum, by
    2⁻⁹ of as + |b|s³ + cs⁵ each. A later step stretches what is off by p'(s), or by p(s)/s where
    it turns the matrix instead of stretching it.
    """
    (a, b, c), s, off = QUINTIC, 8**-0.5, 2**-9 * 8**-0.5
    for _ in range(5):
        stretch = max(abs(a + 3 * b * s**2 + 5 * c * s**4), abs(a + b * s**2 + c * s**4))
        off = stretch * off + 4 * 2**-9 * (a * s + abs(b) * s**3 + c * s**5)
        s = a * s + b * s**3 + c * s**5
    turn = torch.linalg.qr(randn(8, 8))[0]
    p, q = nn.Parameter(torch.zeros(8, 8)), nn.Parameter(torch.zeros(8, 8))
    ours = stepped(Muon([p], lr=1.0), p, [turn])
    theirs = stepped(their_muon([q], dict(lr=1.0)), q, [turn])
    assert norm(ours + s * turn) <= blur(turn)
    assert norm(ours - theirs) <= off * norm(turn)


# --- an optimizer like the others


def test_saving_and_loading_in_the_middle_changes_nothing_to_the_bit():
    first, second = (nn.Parameter(randn(4, 6)) for _ in range(2))
    gradients = [g.float() for g in gradients_of((4, 6), 10)]
    straight = stepped(Muon([first], lr=0.1, weight_decay=0.1), first, gradients)
    before = Muon([second], lr=0.1, weight_decay=0.1)
    stepped(before, second, gradients[:5])
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)
    after = Muon([second], lr=9.0)  # the saved settings come back as well
    after.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(stepped(after, second, gradients[5:]), straight)


def test_a_matrix_without_a_gradient_stays_and_gets_no_state():
    p, q = nn.Parameter(randn(2, 3)), nn.Parameter(randn(2, 3))
    before = p.detach().clone()
    muon = Muon([p, q])
    stepped(muon, q, [randn(2, 3)])
    assert torch.equal(p, before) and p not in muon.state and q in muon.state


def test_the_gradient_itself_is_left_alone():
    p, g = nn.Parameter(randn(2, 3)), randn(2, 3, seed=1)
    for nesterov in (True, False):
        stepped(Muon([p], nesterov=nesterov), p, [g])
        assert torch.equal(p.grad, g)


def test_the_velocity_is_the_one_of_sgd():
    p, q = nn.Parameter(randn(2, 3)), nn.Parameter(randn(2, 3))
    gradients = [g.float() for g in gradients_of((2, 3), 4)]
    muon, sgd = Muon([p], momentum=0.9), optim.SGD([q], lr=0.1, momentum=0.9)
    stepped(muon, p, gradients), stepped(sgd, q, gradients)
    assert torch.equal(muon.state[p]["velocity"], sgd.state[q]["velocity"])


BAD = {
    "vector": (lambda: Muon([torch.zeros(3)]), r"Muon steps matrices alone, not \(3,\): leave"),
    "number": (lambda: Muon([torch.zeros(())]), r"matrices alone, not \(\)"),
    "batch": (lambda: Muon([torch.zeros(2, 3, 4)]), r"matrices alone, not \(2, 3, 4\)"),
    "lr": (lambda: Muon([torch.zeros(2, 3)], lr=-1.0), "lr must be at least 0 and below inf"),
    "momentum": (
        lambda: Muon([torch.zeros(2, 3)], momentum=1.0),
        "momentum must be at least 0 and below 1, not 1.0",
    ),
    "decay": (lambda: Muon([torch.zeros(2, 3)], weight_decay=-0.1), "weight_decay must be"),
    "setting": (
        lambda: Muon([dict(params=[torch.zeros(2, 3)], betas=(0.9, 0.9))]),
        "Muon has no setting 'betas'",
    ),
    "no optimizer": (lambda: Together(), "hand in at least one"),
    "one of two": (
        lambda: Together(Muon([torch.zeros(2, 3)])).load_state_dict({}),
        "the state is of 0 optimizers, and these are 1",
    ),
    "no GPT": (lambda: split_params(nn.Linear(3, 2)), "no matrix in a block, transformer.h.…"),
}


@pytest.mark.parametrize(("call", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_stepped_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_refused_group_is_not_kept():
    muon = Muon([torch.zeros(2, 3)])
    with pytest.raises(ValueError, match="matrices alone"):
        muon.add_param_group(dict(params=[torch.zeros(4)]))
    assert [tuple(group["params"][0].shape) for group in muon.param_groups] == [(2, 3)]


# --- who steps what

SIZES = dict(block_size=8, vocab_size=11, n_layer=2, n_head=2, n_embd=8)
MODELS = {
    "GPT": lambda: GPT(GPTConfig(**SIZES)),
    "modern": lambda: ModernGPT(ModernConfig(**SIZES, **MODERN)),
    "with biases untied": lambda: ModernGPT(ModernConfig(**SIZES, tied=False)),
}
MAPS = ("c_attn", "c_proj", "c_fc", "c_gate")


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_muon_takes_the_maps_of_the_blocks_and_adamw_the_rest(make):
    model = make()
    names = {p: name for name, p in model.named_parameters()}
    matrices, rest = split_params(model)
    assert len(matrices) + len(rest) == len(names) == len({*matrices, *rest})
    wanted = {name for name in names.values() if name.split(".")[-2] in MAPS}
    assert {names[p] for p in matrices} == {n for n in wanted if n.endswith("weight")}
    assert model.transformer.wte.weight in {*rest} and model.lm_head.weight in {*rest}


def test_a_wrapped_model_is_shared_out_alike_and_what_is_frozen_is_nobodys():
    model = MODELS["modern"]()
    wrapped = nn.ModuleDict({"module": nn.ModuleDict({"_orig_mod": model})})
    assert split_params(wrapped) == split_params(model)
    model.transformer.wte.requires_grad_(False)
    model.transformer.h[0].requires_grad_(False)
    matrices, rest = split_params(model)
    assert len(matrices) == 5 and all(p.requires_grad for p in (*matrices, *rest))


def pair(model):
    matrices, rest = split_params(model)
    return Together(Muon(matrices, lr=0.05), optim.AdamW(rest, lr=0.01))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_two_optimizers_train_one_model_as_one(make):
    torch.manual_seed(0)
    model = make()
    text = torch.arange(11).repeat(3)
    x, y = text[:32].view(4, 8), text[1:33].view(4, 8)
    losses = fit(model, lambda: (x, y), pair(model), steps=100)
    assert losses[0] > 2 and losses[-1] < 0.05


def test_a_schedule_reaches_both_and_both_are_saved():
    x, y = torch.zeros(1, 8).long(), torch.ones(1, 8).long()
    results = []
    for cut in (False, True):
        torch.manual_seed(0)
        model = MODELS["modern"]()
        both = pair(model)
        for group in both.param_groups:
            group["lr"] = group["lr"] / 2
        assert [one.param_groups[0]["lr"] for one in both.optimizers] == [0.025, 0.005]
        fit(model, lambda: (x, y), both, steps=3)
        if cut:
            file = io.BytesIO()
            torch.save(both.state_dict(), file)
            file.seek(0)
            both = pair(model)
            both.load_state_dict(torch.load(file, weights_only=True))
        fit(model, lambda: (x, y), both, steps=3)
        results.append(list(model.parameters()))
    assert all(torch.equal(p, q) for p, q in zip(*results, strict=True))
