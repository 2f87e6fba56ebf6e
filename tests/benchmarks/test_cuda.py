"""What only a GPU can show: its number formats, its kernels, its random states, its signals.

Without one these tests are skipped. `GPT2_CUDA_TESTS_ON=cpu` runs them on a CPU, as far as it can
follow, so that nobody pays for a GPU to find a slip in a test. `benchmarks/gpu_day.py` runs them
first, on a machine that has no more than torch, transformers and pytest.

u is the unit roundoff: the share by which rounding to a format may change a number at most.
"""

import copy
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_tutorial import optim, simple, step
from gpt2_tutorial.attention import causal_attention, flash_reference
from gpt2_tutorial.config import PRESETS, TrainConfig
from gpt2_tutorial.distributed import setup
from gpt2_tutorial.generate import generate, stream
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.int8 import by_columns
from gpt2_tutorial.precision import autocast, choose_precision
from gpt2_tutorial.run import to_device
from gpt2_tutorial.runs import modern_run
from gpt2_tutorial.runs.fsdp import run_class
from gpt2_tutorial.runs.hardware import peak_of
from gpt2_tutorial.runs.progress import Progress
from gpt2_tutorial.runs.run_folder import STOPPED
from gpt2_tutorial.runs.watch import WRITTEN, Watch
from gpt2_tutorial.shards import ShardLoader, write_shards
from gpt2_tutorial.text import CharTokenizer
from gpt2_tutorial.train import fast_kernels, fit

ON = os.environ.get("GPT2_CUDA_TESTS_ON", "cuda")
MISSING = ON == "cuda" and not torch.cuda.is_available()
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(MISSING, reason="needs an NVIDIA GPU")]
only_cuda = pytest.mark.skipif(ON != "cuda", reason="a CPU has nothing of the kind")
SCRIPT = Path(__file__).resolve().parents[2] / "launch" / "train_gpt2.py"
FORMATS = torch.float64, torch.float32, torch.float16, torch.bfloat16
U = {dtype: torch.finfo(dtype).eps / 2 for dtype in FORMATS}
HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
SHAPE = GPTConfig(block_size=32, vocab_size=65, n_layer=2, n_head=2, n_embd=32)
LETTERS = "abcdefghij\n"


@pytest.fixture(autouse=True)
def exact_float32():
    """No TF32 in here, whatever was set before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def device():
    return torch.device("cuda:0" if ON == "cuda" else "cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, dice = tmp_path_factory.mktemp("shards"), random.Random(0)
    documents = ["".join(dice.choices(LETTERS[:-1], k=90)) for _ in range(200)]
    write_shards(documents, CharTokenizer(LETTERS), folder, end_of_text=0, val_every=5)
    return folder


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model_on(device, config=SHAPE, seed=0):
    torch.manual_seed(seed)
    return GPT(config).to(device)


def batch_on(device, config=SHAPE, rows=4):
    dice = torch.Generator().manual_seed(1)
    size = (rows, config.block_size + 1)
    ids = torch.randint(config.vocab_size, size, generator=dice).to(device)
    return ids[:, :-1], ids[:, 1:]


def vector(tensors):
    return torch.cat([part.detach().double().flatten() for part in tensors])


# --- a step in half precision


def gradient(take_step, model):
    """What SGD with a rate of 1 takes from the weights is the gradient that it was given."""
    before = vector(model.parameters())
    told = take_step(torch.optim.SGD(model.parameters(), lr=1.0))
    return told, before - vector(model.parameters())


def roundings(config):
    """Along one path through the model and back: each product rounds two factors and its result.

    A block has four maps and attention's two products, the head is one more.
    """
    return 3 * 2 * (6 * config.n_layer + 1)


def check_half(truth, near, config, dtype, logits):
    """All roundings in one direction is the worst case; no rounding at all would be wrong, too."""
    (exact, g), (loss, h) = truth, near
    worst = roundings(config) * U[dtype]
    assert 0 < (h - g).norm() < worst * g.norm()
    # A loss moves at most twice as far as the logit that moves most.
    assert abs(loss - exact) < 2 * worst * logits.abs().max().item()


@HALF
def test_a_step_of_chapter_12_in_half_precision_follows_float32(device, dtype):
    x, y = batch_on(device)
    found = {}
    for precision in (torch.float32, dtype):
        model = model_on(device)
        scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
        how = dict(max_norm=1e9, precision=precision, scaler=scaler)

        def take(optimizer, model=model, how=how):
            return simple.train_step(model, optimizer, x, y, **how).item()

        found[precision] = gradient(take, model)
    logits, _ = model_on(device)(x)
    check_half(found[torch.float32], found[dtype], SHAPE, dtype, logits)


@HALF
def test_a_step_of_chapter_14_in_half_precision_follows_float32(device, dtype):
    x, y = batch_on(device)
    pieces, found = list(zip(x.split(2), y.split(2), strict=True)), {}
    for kind in (torch.float32, dtype):
        model, precision = model_on(device), choose_precision(device, NAMES[kind])
        scaler = torch.amp.GradScaler(device.type) if precision.scaled else None
        how = dict(precision=precision, max_norm=1e9, scaler=scaler)

        def take(optimizer, model=model, how=how):
            return step.train_step(step.LossModel(model), pieces, 2, optimizer, **how)

        report, g = gradient(take, model)
        assert report.norm.item() == pytest.approx(g.norm().item(), rel=1e-3)  # of float32's sums
        found[kind] = report.loss.item(), g
    logits, _ = model_on(device)(x)
    check_half(found[torch.float32], found[dtype], SHAPE, dtype, logits)


def test_a_step_that_overflows_in_float16_changes_nothing(device):
    model, (x, y) = model_on(device), batch_on(device)
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**60)  # far above float16's 65,504
    optimizer, before = torch.optim.SGD(model.parameters(), lr=1.0), vector(model.parameters())
    how = dict(precision=choose_precision(device, "fp16"), scaler=scaler)
    step.train_step(step.LossModel(model), [(x, y)], 1, optimizer, **how)
    assert torch.equal(vector(model.parameters()), before)
    assert scaler.get_scale() == 2.0**59


def test_the_first_preset_learns_there(device):
    letters = CharTokenizer(LETTERS)
    ids = torch.tensor(letters.encode("abcdefghij\n" * 200))
    preset = simple.Preset(steps=20, warmup_steps=2, n_layer=2, eval_every=20, eval_windows=8)
    trained = simple.fit(ids, ids, 11, preset, device=device.type, progress=False)
    first, last = trained.history
    assert last["val"] < 1.5 < 2.3 < first["val"]  # who knows nothing pays log 11 = 2.4 or more
    assert next(trained.model.parameters()).device.type == device.type


# --- optimizers


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_adamw_in_one_kernel_does_what_ours_does(device, dtype):
    start = [randn(17, 5, seed=i).to(device, dtype) for i in range(3)]
    mine, others = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    settings = dict(lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    ours, fused = optim.AdamW(mine, **settings), torch.optim.AdamW(others, fused=True, **settings)
    steps = 20
    for number in range(steps):
        for i, (p, q) in enumerate(zip(mine, others, strict=True)):
            p.grad = randn(17, 5, seed=100 + 3 * number + i).to(device, dtype)
            q.grad = p.grad.clone()
        ours.step(), fused.step()
    # Each step rounds p twice, and itself (below 10 × lr) by 100 u: 1 − β₂ᵗ loses 20 u when t = 1.
    most = max(p.abs().max().item() for p in start)
    allowed = steps * U[dtype] * (2 * most + 100 * settings["lr"] * 10)
    for p, q in zip(mine, others, strict=True):
        assert (p - q).abs().max().item() < allowed


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(optim.SGD, dict(lr=0.1, momentum=0.9)), (optim.AdamW, dict(lr=0.01, weight_decay=0.1))],
    ids=["SGD", "AdamW"],
)
def test_a_state_from_the_cpu_goes_on_where_the_parameters_are(device, kind, settings):
    on_cpu = [torch.nn.Parameter(randn(4, 3)), torch.nn.Parameter(randn(3, seed=1))]
    begun = kind(on_cpu, **settings)
    for p in on_cpu:
        p.grad = randn(*p.shape, seed=2)
    begun.step()
    moved = [torch.nn.Parameter(p.detach().to(device, copy=True)) for p in on_cpu]
    goes_on = kind(moved, **settings)
    goes_on.load_state_dict(copy.deepcopy(begun.state_dict()))  # on one device it would be shared
    for p, q in zip(on_cpu, moved, strict=True):
        p.grad = randn(*p.shape, seed=3)
        q.grad = p.grad.to(device, copy=True)
    begun.step(), goes_on.step()
    for p, q in zip(on_cpu, moved, strict=True):  # one step in float64: a few u
        torch.testing.assert_close(p, q.cpu(), atol=1e-14, rtol=0)


def test_gradients_are_clipped_where_they_are(device):
    params = [torch.nn.Parameter(randn(6, 5, seed=i).to(device)) for i in range(3)]
    for i, p in enumerate(params):
        p.grad = randn(6, 5, seed=10 + i).to(device)
    whole = vector(p.grad for p in params)
    norm = optim.clip_grad_norm(params, 0.5)
    assert norm.device.type == device.type and norm.dtype == torch.float64
    # Sums of 90 squares in float64, in another order: 90 u; the 1e-6 stands in clip_grad_norm.
    assert norm.item() == pytest.approx(whole.norm().item(), rel=90 * U[torch.float64])
    clipped = vector(p.grad for p in params)
    torch.testing.assert_close(clipped, whole * 0.5 / (norm + 1e-6), rtol=1e-14, atol=0)


# --- attention


def test_attention_in_blocks_is_attention(device):
    q, k, v = (randn(2, 3, 50, 16, seed=i).to(device) for i in range(3))
    gap = flash_reference(q, k, v, 16) - causal_attention(q, k, v)
    assert gap.abs().max() < 1e-13  # means of numbers below 5, some 50 roundings of 1e-16


@HALF
def test_flash_attention_is_attention_but_for_rounding(device, dtype):
    """The bounds hold for each number: flash rounds the weights, dS and its results to `dtype`."""
    T = 200
    parts = [randn(2, 3, T, 16, seed=i).to(device, dtype).requires_grad_() for i in range(3)]
    slope = randn(2, 3, T, 16, seed=3).to(device, dtype)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        y = F.scaled_dot_product_attention(*parts, is_causal=True)
        near = torch.autograd.grad(y, parts, slope)
    q, k, v = (part.detach().double().requires_grad_() for part in parts)
    true, slope, u, scale = causal_attention(q, k, v), slope.double(), 1.1 * U[dtype], 0.25
    exact = torch.autograd.grad(true, (q, k, v), slope)
    with torch.no_grad():
        future = torch.ones(T, T, dtype=torch.bool, device=device).triu(1)
        scores = (scale * q @ k.mT).masked_fill(future, -torch.inf)
        bets = scores.softmax(-1)
        means = (slope * true).sum(-1, keepdim=True)
        ds = bets * (slope @ v.mT - means)
        of_ds = u * (ds.abs() + bets * (slope * true).abs().sum(-1, keepdim=True))
        bounds = [of_ds @ k.abs() * scale, of_ds.mT @ q.abs() * scale, u * bets.mT @ slope.abs()]
        assert ((y - true).abs() <= u * (bets @ v.abs() + true.abs())).all()
        for name, one, other, bound in zip("qkv", near, exact, bounds, strict=True):
            assert ((one - other).abs() <= bound + u * other.abs()).all(), name


@only_cuda
def test_the_run_insists_on_flash_attention(device):
    bf16 = choose_precision(device, "bf16")
    model, (x, y) = model_on(device), batch_on(device)
    with fast_kernels(device, bf16):
        with autocast(device, bf16.dtype):
            assert step.LossModel(model)(x, y).isfinite()
        with pytest.raises(RuntimeError, match="kernel"):
            model(x)  # in float32 there is no flash attention


# --- the loss in chunks


def test_the_loss_in_chunks_with_a_padded_vocabulary_is_the_plain_loss(device):
    model, (x, y) = model_on(device).double(), batch_on(device)
    _, plain = model(x, y)
    want = torch.autograd.grad(plain, list(model.parameters()))
    hidden = step.hidden_states(model, x).flatten(0, 1)
    table = model.lm_head.weight
    padded = step.ChunkedLoss.apply(hidden, table, y.flatten(), 24, torch.float64, 128)
    for loss in (step.chunked_loss(model, x, y, chunk=24), padded):
        got = torch.autograd.grad(loss, list(model.parameters()))
        # In float64, 32 + 128 terms in another order, of sizes around 1: some 100 u.
        assert abs(loss.item() - plain.item()) < 1e-13
        for one, other in zip(got, want, strict=True):
            torch.testing.assert_close(one, other, atol=1e-13, rtol=1e-11)


# --- a run: stopped, killed, resumed

# 32 tokens are one block of flash attention's: then its gradients have one order of sums.
CONFIG = TrainConfig(
    block_size=32, vocab_size=11, n_layer=2, n_head=2, n_embd=32, dropout=0.1, batch_tokens=256,
    micro_batch=4, max_steps=12, warmup_steps=3, max_lr=0.01, save_every=4, eval_every=5,
    eval_batches=2,
)  # fmt: skip


class Killed(BaseException):
    """Nobody catches it, as nobody catches a kill."""


def model_of(config):
    torch.manual_seed(config.seed)
    return GPT(config.gpt()) if config.recipe == "gpt2" else modern_run.gpt(config)


def run_it(data, folder, config, **more):
    ranks, letters = setup(ON), CharTokenizer(LETTERS)
    model, place = model_of(config), (config.micro_batch, config.block_size, 0, 1, config.seed)
    train = ShardLoader(data, "train", *place, tokenizer=letters, prefetch=True)
    val = ShardLoader(data, "val", *place, tokenizer=letters)
    more = {"extra_metrics": Watch(letters, ranks), "run_class": run_class(config)} | more
    outcome = fit(model, train, config, folder=folder, ranks=ranks, val_loader=val, **more)
    return outcome, vector(model.parameters())


def dies_at(number):
    def log(row):
        if row["step"] == number and "loss" in row:
            raise Killed

    return log


def asks_at(number):
    polls = iter(range(10**6))
    return lambda: next(polls) == number


@pytest.mark.parametrize(
    ("recipe", "precision"),
    [("gpt2", "fp32"), ("gpt2", "bf16"), ("gpt2", "fp16"), ("modern", "fp32"), ("modern", "bf16")],
)
def test_a_run_that_was_stopped_and_killed_ends_with_the_same_bits(
    data, tmp_path, recipe, precision
):
    config = replace(CONFIG, recipe=recipe, precision=precision)
    whole, weights = run_it(data, tmp_path / "whole", config)
    assert whole.state == "done"
    first, _ = run_it(data, tmp_path / "broken", config, asked_to_stop=asks_at(60))
    assert first.state == "stopped" and 0 < first.step < 8
    with pytest.raises(Killed):
        run_it(data, tmp_path / "broken", config, log=dies_at(10))
    last, again = run_it(data, tmp_path / "broken", config)
    assert last == whole and torch.equal(again, weights)


@pytest.mark.parametrize("recipe", ["gpt2", "modern"])
def test_what_watches_a_run_writes_under_the_kernels_that_it_insists_on(device, data, recipe):
    ranks, letters = setup(ON), CharTokenizer(LETTERS)
    config = replace(CONFIG, precision="bf16", recipe=recipe)
    loader = ShardLoader(data, "train", config.micro_batch, config.block_size)
    run = run_class(config)(model_of(config), loader, config, ranks)
    with fast_kernels(device, run.precision):
        seen = Watch(letters, ranks)(run, lambda: None)
    assert len(seen["sample"]) == WRITTEN and set(seen["sample"]) <= set(LETTERS)


@only_cuda
def test_without_what_the_watch_lifts_the_model_could_not_write(device):
    model, bf16 = model_on(device).eval(), choose_precision(device, "bf16")
    start = torch.tensor([[1, 2, 3]], device=device)
    with fast_kernels(device, bf16), pytest.raises(RuntimeError, match="kernel"):
        list(stream(model, start, 2, temperature=0))


def test_the_log_tells_how_much_memory_a_gpu_has_given(device):
    row = {"step": 1, "loss": 3.0, "flops_per_s": 1e12}
    _ = torch.zeros(1000, device=device)  # something to count
    told = Progress(PRESETS["1xh100"], "1xh100", setup(ON))(row)
    if device.type == "cpu":
        assert "memory_gb" not in told and "mfu" not in told
        return
    assert 0 < told["memory_gb"] <= torch.cuda.mem_get_info(device)[1] / 1e9
    peak = peak_of(torch.cuda.get_device_name(device))
    assert told.get("mfu") == (peak and 1e12 / peak)


def test_ids_arrive_there_as_they_set_out(device):
    ids = torch.arange(1000).view(10, 100)
    moved = to_device(ids, device)
    assert moved.device.type == device.type and torch.equal(moved.cpu(), ids)


# --- writing


def test_with_a_cache_and_by_columns_a_model_writes_the_same(device):
    model = model_on(device).eval()
    prompt = torch.tensor([[5, 9, 3], [60, 2, 2]], device=device)
    plain = generate(model, prompt, 40, temperature=0, cache=False)  # beyond the context as well
    for other in (model, by_columns(model)):
        assert torch.equal(generate(other, prompt, 40, temperature=0), plain)


# --- the script


def launched(data, folder):
    words = "--preset 1xh100 --n-layer 1 --n-head 2 --n-embd 32 --block-size 32 --batch-tokens 512"
    words += " --micro-batch 4 --eval-batches 1 --save-every 100000 --eval-every 100000"
    words += " --max-steps 1000000"  # it will be stopped
    more = ["--device", ON, *([] if ON == "cuda" else ["--no-compile", "--precision", "fp32"])]
    command = [sys.executable, str(SCRIPT), *words.split(), *more]
    env = os.environ | {"PYTHONPATH": str(SCRIPT.parents[1] / "src"), "PYTHONUNBUFFERED": "1"}
    said = folder.with_suffix(".txt").open("ab")
    with said:
        return subprocess.Popen(
            [*command, "--data", str(data), "--out", str(folder)],
            env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip


def steps_in(folder):
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [row["step"] for row in map(json.loads, lines) if "loss" in row]


def stopped_after(process, folder, step):
    """Ask it to stop once it has taken that step; return its exit code."""
    try:
        ends = time.monotonic() + 60
        while time.monotonic() < ends and process.poll() is None:
            if (taken := steps_in(folder)) and taken[-1] >= step:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        return process.wait(30)
    finally:
        process.kill()
        process.wait()


def test_a_compiled_run_that_is_asked_to_stop_says_so_and_goes_on(data, tmp_path):
    folder = tmp_path / "run"
    code = stopped_after(launched(data, folder), folder, step=3)
    said = folder.with_suffix(".txt").read_text(encoding="utf-8")
    assert code == STOPPED, said[-2000:]
    before = steps_in(folder)
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    assert (status["state"], status["code"]) == ("stopped", STOPPED) and before[0] == 1
    assert status["step"] == before[-1]
    code = stopped_after(launched(data, folder), folder, step=before[-1] + 3)
    assert code == STOPPED, folder.with_suffix(".txt").read_text(encoding="utf-8")[-2000:]
    after = steps_in(folder)
    assert after[: len(before)] == before and len(after) >= len(before) + 3
    assert after == list(range(1, len(after) + 1))  # no step twice, none left out
