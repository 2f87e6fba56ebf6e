"""precision: the device and the number format that win, and a switch that leaves nothing behind."""

import contextlib
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_tutorial import precision
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.precision import FORMATS, Precision, autocast, choose_precision, race

CPU = torch.device("cpu")
SMALL = GPTConfig(block_size=8, vocab_size=65, n_layer=1, n_head=2, n_embd=16)


@pytest.mark.parametrize(
    ("cuda", "mps", "best"),
    [(True, False, "cuda"), (True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_fastest_device(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert precision.default_device() == torch.device(best)


@pytest.mark.parametrize(
    ("device", "able", "gain", "chosen"),
    [("cpu", {"avx512_bf16": True}, 1.5, "bf16"),
     ("cpu", {"amx_bf16": True, "avx512_bf16": False}, 1.03, "bf16"),
     ("cpu", {"bf16": True}, 3.0, "bf16"),  # what Arm calls it
     ("cpu", {"avx512_bf16": True}, 0.66, "fp32"),  # a Xeon without AMX
     ("cpu", {"avx512_bf16": True}, 1.01, "fp32"),
     ("cpu", {"avx512_bf16": False, "avx2": True}, 2.0, "fp32"),
     ("cpu", {}, 2.0, "fp32"),
     ("mps", {"amx_bf16": True}, 2.0, "fp32")],
)  # fmt: skip
def test_the_precision_of_what_is_no_cuda(monkeypatch, device, able, gain, chosen):
    raced, times = [], {torch.float32: gain, torch.bfloat16: 1.0}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    monkeypatch.setattr(precision, "race", lambda config: raced.append(config) or times)
    found = choose_precision(device, config=SMALL)
    assert (found.name, found.dtype, found.scaled) == (chosen, FORMATS[chosen], False)
    races = device == "cpu" and True in (able[name] for name in able if "bf16" in name)
    assert raced == [SMALL] * races  # this very model
    assert (f"{gain:.2f} times as fast" in found.reason) is races


def test_a_torch_that_does_not_say_what_the_cpu_can(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    reason = "no bfloat16 instructions are known here"
    expected = Precision("fp32", torch.float32, scaled=False, reason=reason)
    assert choose_precision("cpu", config=SMALL) == expected


@pytest.mark.parametrize(
    ("capability", "name"),
    [((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")],
)
def test_a_gpu_that_only_imitates_bfloat16_gets_float16(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    for device in ("cuda", torch.device("cuda")):
        chosen = choose_precision(device)
        assert (chosen.name, chosen.scaled) == (name, name == "fp16")


def test_the_gpu_that_is_asked_is_the_one_that_was_named(monkeypatch):
    ability = {torch.device("cuda:0"): (9, 0), torch.device("cuda:1"): (7, 5)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", ability.__getitem__)
    assert [choose_precision(f"cuda:{i}").name for i in (0, 1)] == ["bf16", "fp16"]


def test_without_a_config_the_model_is_gpt2(monkeypatch):
    raced, times = [], {torch.float32: 1.0, torch.bfloat16: 1.0}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True}, raising=False)
    monkeypatch.setattr(precision, "race", lambda config: raced.append(config) or times)
    assert choose_precision("cpu").name == "fp32" and raced == [GPTConfig()]


def test_a_wish_wins_without_a_race_and_a_strange_one_is_refused(monkeypatch):
    monkeypatch.setattr(precision, "race", None)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True}, raising=False)
    for name, dtype in FORMATS.items():
        assert choose_precision("cpu", name) == (name, dtype, name == "fp16", "asked for")
    with pytest.raises(ValueError, match="auto, fp32, bf16 or fp16, not 'fp8'"):
        choose_precision("cpu", "fp8")


def test_the_race_counts_the_best_round_and_not_the_first(monkeypatch):
    rounds = [(9.0, 1.0), (3.0, 5.0), (2.0, 4.0), (6.0, 7.0)]  # float32 warms up for long
    ticks = [now for taken in sum(rounds, ()) for now in (0.0, taken)]
    monkeypatch.setattr(precision.time, "perf_counter", iter(ticks).__next__)
    assert race.__wrapped__(SMALL) == {torch.float32: 2.0, torch.bfloat16: 4.0}


def test_the_race_computes_in_both_formats_and_leaves_nothing_behind(monkeypatch):
    seen, real = [], precision.Block.forward

    def forward(block, x):
        seen.append((torch.is_autocast_enabled("cpu"), tuple(x.shape)))
        return real(block, x)

    monkeypatch.setattr(precision.Block, "forward", forward)
    before, dropping = flags(), dataclasses.replace(SMALL, dropout=0.5)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    with torch.no_grad():
        seconds = race.__wrapped__(dropping)
    assert torch.equal(torch.rand(3), expected) and flags() == before
    assert seen == [(False, (1, 8, 16)), (True, (1, 8, 16))] * 4
    assert min(seconds.values()) > 0 and list(seconds) == [torch.float32, torch.bfloat16]


def test_a_run_asks_once_and_hears_the_same_again():
    race.cache_clear()
    assert race(SMALL) is race(dataclasses.replace(SMALL))
    assert race.cache_info().misses == 1


def flags() -> tuple:
    cuda = torch.backends.cuda
    sdp = cuda.flash_sdp_enabled(), cuda.math_sdp_enabled(), cuda.mem_efficient_sdp_enabled()
    short = cuda.fp16_bf16_reduction_math_sdp_allowed()
    return *sdp, short, torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("error", [None, ValueError("from inside")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_leaves_nothing_behind(dtype, error):
    before, inside = flags(), None
    with contextlib.suppress(ValueError), autocast(CPU, dtype):
        inside = flags()
        if error is not None:
            raise error
    assert flags() == before
    assert (inside == before) is (dtype == torch.float32)


def test_bfloat16_gradients_are_close_to_float32():
    torch.manual_seed(0)
    model = GPT(dataclasses.replace(SMALL, n_embd=64))
    x, y = torch.randint(65, (2, 16, 8), generator=torch.Generator().manual_seed(0))
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        model.zero_grad()
        with autocast(CPU, dtype):
            _, loss = model(x, y)
        loss.backward()
        grads = torch.cat([p.grad.flatten() for p in model.parameters()])
        assert grads.dtype == torch.float32
        found[dtype] = loss.item(), grads
    (exact, truth), (near, grads) = found.values()
    assert near == pytest.approx(exact, abs=0.01)
    assert 0 < (grads - truth).norm() < 0.02 * truth.norm()


def test_attention_in_bfloat16_by_products_is_the_fused_one():
    q, k, v = torch.randn(3, 2, 4, 16, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    fused = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    with autocast(CPU, torch.bfloat16):
        ours = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    with sdpa_kernel(SDPBackend.MATH):
        truth = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True)
    assert (ours - truth).abs().max() < 0.03 and (fused - truth).abs().max() < 0.03
