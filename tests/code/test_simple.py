"""Simple-GPT: the loop against plain loops and torch.optim; the model that comes with the book."""

import dataclasses
import inspect
import json
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial import assets, simple
from gpt2_tutorial.bigram import BigramLM
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.ledger import committed
from gpt2_tutorial.optim import cosine_with_warmup
from gpt2_tutorial.pretrained import load_gpt2
from gpt2_tutorial.scoreboard import Scoreboard
from gpt2_tutorial.simple import PRESETS, Preset, estimate_loss, fit
from gpt2_tutorial.text import get_batch

RUNS = Path(__file__).parents[2] / "results" / "runs"
TINY = Preset(
    block_size=8, n_layer=1, n_head=2, n_embd=16, batch_size=4, steps=12, warmup_steps=2,
    eval_every=4, eval_windows=5, precision="fp32",  # no race: steps are compared
)  # fmt: skip
LETTERS = torch.tensor([ord(c) % 26 for c in "the cat sat on the mat and the rat ran " * 20])


def changed(**settings) -> Preset:
    return dataclasses.replace(TINY, **settings)


def quiet_fit(preset: Preset = TINY, train=LETTERS, val=LETTERS, vocab_size=26, **rest):
    return fit(train, val, vocab_size, preset, device="cpu", progress=False, **rest)


# --- estimate_loss


def plain_estimate(model: nn.Module, ids: list[int], block_size: int, windows: int) -> float:
    """Window by window, token by token, in Python's floats."""
    last, total = len(ids) - block_size - 1, 0.0
    for i in range(windows):
        start = int(i * last / (windows - 1)) if windows > 1 else 0
        x, y = ids[start : start + block_size], ids[start + 1 : start + 1 + block_size]
        log_probs = model(torch.tensor([x]))[0][0].log_softmax(-1)
        total -= sum(log_probs[t, y[t]].item() for t in range(block_size)) / block_size
    return total / windows


@pytest.mark.parametrize("windows", [1, 2, 5, 7, 60])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_estimate_loss_is_a_plain_loop(windows, batch_size):
    torch.manual_seed(0)
    model = GPT(changed(dropout=0.5).config(26)).eval()
    ids = LETTERS[:50]
    said = estimate_loss(model, ids, batch_size=batch_size, block_size=8, windows=windows)
    assert said == pytest.approx(plain_estimate(model, ids.tolist(), 8, windows), abs=1e-5)


class Spy(nn.Module):
    """Remembers what it was shown, and how."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.zeros(())), []

    def forward(self, x, y):
        self.seen.append((x, y, self.training, torch.is_grad_enabled()))
        return None, x.float().mean() + self.weight


@pytest.mark.parametrize("training", [True, False])
def test_the_same_windows_at_every_call_whatever_the_dice_say(training):
    model = Spy().train(training)
    sizes = dict(batch_size=4, block_size=8, windows=10)
    first = estimate_loss(model, torch.arange(100), **sizes)
    torch.rand(100)
    assert estimate_loss(model, torch.arange(100), **sizes) == first
    x = torch.cat([seen[0] for seen in model.seen[:3]])
    assert x[:, 0].tolist() == [0, 10, 20, 30, 40, 50, 60, 70, 80, 91]  # from end to end
    assert torch.equal(torch.cat([seen[1] for seen in model.seen[:3]]), x + 1)
    assert all(not in_training and not grads for _, _, in_training, grads in model.seen)
    assert model.training is training and torch.is_grad_enabled()


def test_a_smaller_last_batch_counts_by_its_windows():
    model = BigramLM(26)
    sizes = dict(block_size=8, windows=7)
    together = estimate_loss(model, LETTERS, batch_size=7, **sizes)
    assert estimate_loss(model, LETTERS, batch_size=4, **sizes) == pytest.approx(together)


def test_the_smallest_text_that_can_be_judged():
    sizes = dict(batch_size=2, block_size=8, windows=3)
    assert math.isfinite(estimate_loss(BigramLM(26), LETTERS[:9], **sizes))
    with pytest.raises(ValueError, match="more ids than block_size, not 2, 8, 3 and 8 ids"):
        estimate_loss(BigramLM(26), LETTERS[:8], **sizes)


@pytest.mark.parametrize("wrong", ["batch_size", "block_size", "windows"])
@pytest.mark.parametrize("size", [0, -3])
def test_estimate_loss_refuses_sizes_below_one(wrong, size):
    sizes = dict(batch_size=2, block_size=8, windows=3) | {wrong: size}
    with pytest.raises(ValueError, match="need sizes of at least 1"):
        estimate_loss(BigramLM(26), LETTERS, **sizes)


# --- one step, and the steps of a run


def by_hand(preset: Preset, steps: int, seed: int = 0) -> list[torch.Tensor]:
    """What torch alone makes of the preset: plain AdamW, its own clipping, a loop."""
    torch.manual_seed(seed)
    model, dice = GPT(preset.config(26)), torch.Generator().manual_seed(seed)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ],
        betas=(0.9, preset.beta2),
    )  # fmt: skip
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine_with_warmup(
                step, max_lr=preset.max_lr, min_lr=preset.min_lr,
                warmup_steps=preset.warmup_steps, max_steps=preset.steps,
            )  # fmt: skip
        x, y = get_batch(LETTERS, preset.batch_size, preset.block_size, dice)
        loss = F.cross_entropy(model(x)[0].flatten(0, 1), y.flatten())
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, preset.max_norm)
        optimizer.step()
    return [p.detach() for p in parameters]


@pytest.fixture
def float64():
    """New tensors have float64, so that no rounding hides a step that differs."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def rounding_of_adamw(preset: Preset) -> float:
    """How far apart rounding alone may take two runs of AdamW in float64.

    Some gradients are 0 on paper, those of a key's bias: every score of a row grows alike. In
    numbers they are rounding, of at most eps / 2 since a gradient's terms are below 1, and AdamW
    divides them by its own 1e-8. So in each step each run may go eps / 2 / 1e-8 of the rate astray.
    """
    return preset.steps * preset.max_lr * torch.finfo(torch.float64).eps / 1e-8


@pytest.mark.parametrize("steps", [1, 12])
@pytest.mark.parametrize("settings", [{}, {"max_norm": 0.05}, {"dropout": 0.3}])
def test_the_steps_of_fit_are_those_of_torch(float64, steps, settings):
    preset = changed(steps=steps, eval_every=100, min_lr=0.0, **settings)
    preset = dataclasses.replace(preset, warmup_steps=min(2, steps))
    out = quiet_fit(preset)
    assert out.best["step"] == steps  # so the weights are the last ones
    for ours, theirs in zip(out.model.parameters(), by_hand(preset, steps), strict=True):
        assert ours.dtype == torch.float64
        torch.testing.assert_close(ours.detach(), theirs, atol=rounding_of_adamw(preset), rtol=0)


def test_without_a_fused_kernel_the_plain_optimizer_is_taken(float64, monkeypatch):
    torch_adamw = torch.optim.AdamW

    def no_kernel(groups, fused=False, **settings):
        if fused:
            raise RuntimeError("`fused=True` requires all the params to be on another device")
        return torch_adamw(groups, **settings)

    fast = quiet_fit()
    monkeypatch.setattr(torch.optim, "AdamW", no_kernel)
    plain = quiet_fit()
    assert (fast.optimizer, plain.optimizer) == ("fused AdamW", "AdamW")
    for a, b in zip(fast.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=rounding_of_adamw(TINY), rtol=0)


# --- what fit promises


def test_the_same_seed_gives_the_same_run_and_another_does_not():
    runs = [quiet_fit(changed(dropout=0.2), seed=seed) for seed in (3, 3, 4)]
    curves = [[(row["step"], row["train"], row["val"]) for row in run.history] for run in runs]
    assert curves[0] == curves[1] != curves[2]
    pairs = zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_curve():
    out = quiet_fit(changed(steps=10))
    assert [row["step"] for row in out.history] == [0, 4, 8, 10]
    assert [row["tokens"] for row in out.history] == [0, 128, 256, 320]
    for row in out.history:
        assert set(row) == {"step", "tokens", "seconds", "cpu_seconds", "train", "val"}
    for clock in ("seconds", "cpu_seconds"):
        times = [row[clock] for row in out.history]
        assert times == sorted(times) and times[0] >= 0
    assert out.history[0]["val"] == pytest.approx(math.log(26), abs=0.3)
    assert out.stopped == "after all 10 steps"
    assert (out.device, out.precision) == ("cpu", "fp32")


def test_a_run_learns():
    out = quiet_fit(changed(steps=150, eval_every=50, max_lr=0.02))
    assert out.best["val"] < 1.0 < 3.0 < out.history[0]["val"]
    assert not out.model.training


def test_the_best_weights_are_handed_back_and_not_the_last():
    other = LETTERS.flip(0)  # what it learns makes this worse after a while
    out = quiet_fit(changed(steps=80, eval_every=5, max_lr=0.03), val=other)
    vals = [row["val"] for row in out.history]
    assert out.best["val"] == min(vals) < vals[-1] - 0.05
    sizes = dict(batch_size=4, block_size=8, windows=5)
    assert estimate_loss(out.model, other, **sizes) == out.best["val"]


def test_patience():
    settings = dict(steps=2000, eval_every=5, max_lr=0.03, patience=3)
    out = quiet_fit(changed(**settings), val=LETTERS.flip(0))
    assert out.stopped == "no better for 3 evaluations"
    assert out.history.index(out.best) == len(out.history) - 1 - 3
    assert out.history[-1]["step"] < 1000


def test_a_loss_that_is_no_number_stops_with_a_sentence():
    preset = changed(steps=40, max_lr=1e30, warmup_steps=0, max_norm=1e30)
    with pytest.raises(
        FloatingPointError, match=r"the loss is (nan|inf) at step \d+: lower max_lr"
    ):
        quiet_fit(preset)


def test_a_judgement_that_is_no_number_is_never_the_best(monkeypatch):
    said = iter([3.0, 3.0, 2.5, 2.5, math.nan, math.nan, 2.7, 2.7])
    monkeypatch.setattr(simple, "estimate_loss", lambda *args, **sizes: next(said))
    out = quiet_fit()
    assert (out.best["step"], len(out.history)) == (4, 4)


def test_stopped_by_hand_it_keeps_the_best():
    def enough(history):
        if len(history) == 3:
            raise KeyboardInterrupt

    out = quiet_fit(changed(max_lr=0.02), on_eval=enough)
    assert out.stopped == "by hand"
    assert [row["step"] for row in out.history] == [0, 4, 8]
    sizes = dict(batch_size=4, block_size=8, windows=5)
    assert estimate_loss(out.model, LETTERS, **sizes) == out.best["val"]


def test_stopped_before_the_first_judgement_there_is_still_a_model(monkeypatch):
    def impatient(*args, **rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(simple, "judge", impatient)
    out = quiet_fit()
    assert out.history == [] and out.best == {} and out.stopped == "by hand"
    assert out.model(torch.zeros(1, 8, dtype=torch.long))[0].isfinite().all()


def test_an_error_of_the_callback_comes_through():
    with pytest.raises(ZeroDivisionError):
        quiet_fit(on_eval=lambda history: 1 / 0)


def test_the_bar_counts_tokens_and_can_be_silent(capfd):
    fit(LETTERS, LETTERS, 26, TINY, device="cpu", progress=True)
    said = capfd.readouterr().err
    assert "384/384" in said and "token/s" in said and re.search(r"loss=\d\.\d{3}", said)
    quiet_fit()
    assert capfd.readouterr() == ("", "")


# --- the learner's own text


@pytest.mark.parametrize("length", [0, 1, 8])
@pytest.mark.parametrize("name", ["train", "val"])
def test_a_text_shorter_than_a_window(name, length):
    with pytest.raises(ValueError) as caught:
        quiet_fit(**{name: LETTERS[:length]})
    assert str(caught.value) == (
        f"the {name} text has {length} tokens and one window takes 9: find more text, or "
        "lower block_size"
    )


def test_the_shortest_text_that_will_do():
    assert quiet_fit(train=LETTERS[:9], val=LETTERS[:9]).history


@pytest.mark.parametrize(("wrong", "said"), [(26, "0…26"), (-1, "-1…"), (10**12, f"0…{10**12}")])
def test_ids_outside_the_vocabulary(wrong, said):
    ids = LETTERS.clone()
    ids[17] = wrong
    with pytest.raises(ValueError, match=f"the val text has ids .*{said}.*vocab_size=26"):
        quiet_fit(val=ids)


@pytest.mark.parametrize("ids", [LETTERS.float(), LETTERS.int(), LETTERS.view(2, -1)])
def test_what_is_no_row_of_ids(ids):
    with pytest.raises(TypeError, match="the train text must be a row of int64 ids, not"):
        quiet_fit(train=ids)


@pytest.mark.parametrize(
    "wrong",
    [{"n_head": 3}, {"dropout": 1.0}, {"block_size": 0}, {"min_lr": 1.0}, {"warmup_steps": 13},
     {"max_norm": 0.0}, {"weight_decay": -0.1}, {"n_layer": 0}],
)  # fmt: skip
def test_a_preset_that_cannot_be(wrong):
    with pytest.raises(ValueError):
        quiet_fit(changed(**wrong))


# --- number format


@pytest.mark.parametrize(("wish", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_run_computes_in_the_format_that_its_preset_names(monkeypatch, wish, dtype):
    seen, real = set(), simple.autocast
    monkeypatch.setattr(
        simple, "autocast", lambda device, dtype: seen.add(dtype) or real(device, dtype)
    )
    out = quiet_fit(changed(precision=wish, steps=2, warmup_steps=0))
    assert (out.precision, out.because) == (wish, "asked for") and seen == {dtype}


def test_float16_scaling_skips_the_steps_whose_gradients_overflow():
    """A scaler works on a CPU too: steps that overflow lower the scale and change no weight."""
    torch.manual_seed(0)
    model = GPT(TINY.config(26))
    optimizer = simple.make_optimizer(model, TINY)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=2.0**-20)
    x, y = get_batch(LETTERS, 4, 8, torch.Generator().manual_seed(0))
    before, scale = model.lm_head.weight.detach().clone(), scaler.get_scale()
    simple.train_step(model, optimizer, x, y, max_norm=1.0, scaler=scaler)
    assert scaler.get_scale() < scale and torch.equal(before, model.lm_head.weight)
    for _ in range(4):
        simple.train_step(model, optimizer, x, y, max_norm=1.0, scaler=scaler)
    assert not torch.equal(before, model.lm_head.weight)
    assert all(p.isfinite().all() for p in model.parameters())


# --- the live curve


class Handle:
    def __init__(self):
        self.updates = []

    def update(self, figure):
        [axes] = figure.axes
        self.updates.append([line.get_ydata().tolist() for line in axes.get_lines()])


def test_the_live_curve_redraws_one_picture(monkeypatch):
    display = pytest.importorskip("IPython.display")
    handle = Handle()
    monkeypatch.setattr(display, "display", lambda *args, **rest: handle)
    out = quiet_fit(on_eval=simple.live_curve())
    assert len(handle.updates) == len(out.history) == 4
    train, val = handle.updates[-1]
    assert train == [row["train"] for row in out.history]
    assert val == [row["val"] for row in out.history]


def test_the_live_curve_does_no_harm_where_nobody_looks(monkeypatch):
    display = pytest.importorskip("IPython.display")
    monkeypatch.setattr(display, "display", lambda *args, **rest: None)
    assert quiet_fit(on_eval=simple.live_curve()).stopped == "after all 12 steps"


# --- the presets, and what comes with the book


def parameters(preset: Preset) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in GPT(preset.config(65)).parameters())


def test_the_sizes_of_the_presets():
    assert set(PRESETS) == {"ci", "laptop", "colab"}
    assert parameters(PRESETS["ci"]) < parameters(PRESETS["laptop"]) <= 1_000_000
    assert 9_000_000 < parameters(PRESETS["colab"]) < 12_000_000


def test_a_preset_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRESETS["ci"].steps = 5


def test_fit_is_the_documented_call():
    names = list(inspect.signature(fit).parameters)
    assert names[:4] == ["train_ids", "val_ids", "vocab_size", "preset"]
    assert {"device", "seed", "progress", "on_eval"} <= set(names)


@pytest.fixture(scope="module")
def log() -> dict:
    return json.loads((RUNS / "simple_laptop.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder() -> Path:
    return assets.model_folder("simple-gpt")


@pytest.mark.slow
def test_the_model_scores_what_its_log_and_card_say(log, folder):
    model = load_gpt2(folder)
    nats = Scoreboard("00").score(model, model.config.block_size)
    card = (folder / "README.md").read_text(encoding="utf-8")
    in_card = [float(said) for said in re.findall(r"\| this model.* \| (\d\.\d{4}) \|", card)]
    assert in_card == [log["val"], log["val_half"]]
    assert all(abs(nats - said) <= 0.002 for said in in_card)
    counted = committed("01")["values"]
    for name in ("01.val_order_4", "01.kneser_ney"):
        assert f"| {counted[name]['value']:.3f} |" in card
        assert nats < counted[name]["value"]


def test_the_log_and_the_card_say_the_same(log, folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    model = load_gpt2(folder)
    assert sum(p.numel() for p in model.parameters()) == log["parameters"] <= 1_000_000
    for fact in (
        f"{log['parameters']:,} parameters",
        log["about"]["command"],
        f"{log['tokens']:,}",
    ):
        assert fact in card
    settings = dataclasses.asdict(PRESETS["laptop"])
    assert settings.pop("precision") == "auto" and log["precision"] == "float32"  # what it came to
    assert log["settings"] == settings
    assert log["best"] == min(log["curve"], key=lambda row: row["val"])
    assert log["curve"][-1]["cpu_seconds"] <= 20 * 60  # ten minutes on two cores


def test_the_folder_holds_what_its_readers_need(folder):
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "characters.json", "config.json", "model.safetensors",
    }  # fmt: skip
    characters = json.loads((folder / "characters.json").read_text(encoding="utf-8"))
    board = Scoreboard("00")
    assert len(characters) == 65 == len(set(characters))
    assert characters == sorted(characters) and board.ids.max() == 64


def test_no_path_or_name_of_a_machine_in_what_is_kept(folder):
    kept = [RUNS / "simple_laptop.json", folder / "README.md", folder / "config.json"]
    for file in kept:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"/(work|tmp|home|root|Users)\b", text), file
