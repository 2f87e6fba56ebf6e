"""Train your own GPT on one device, and keep its best weights (chapter 12)."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import torch
import torch.nn as nn
from tqdm.auto import tqdm

from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.optim import clip_grad_norm, cosine_with_warmup, param_groups
from gpt2_tutorial.precision import autocast, choose_precision, default_device
from gpt2_tutorial.simple_input import check_finite, check_texts
from gpt2_tutorial.text import get_batch


@dataclass(frozen=True)
class Preset:
    """All that a training run has to know besides the text and the device.

    >>> Preset(n_layer=2, n_embd=96).config(vocab_size=65).n_embd
    96
    """

    block_size: int = 64
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    dropout: float = 0.0
    batch_size: int = 16
    steps: int = 1000
    max_lr: float = 3e-3
    min_lr: float = 1e-4
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta2: float = 0.99
    max_norm: float = 1.0  # longer gradients are shortened to this
    eval_every: int = 250
    eval_windows: int = 512
    patience: int = 10  # evaluations without a new best
    precision: str = "auto"  # or a number format's name, such as "fp32"

    def config(self, vocab_size: int) -> GPTConfig:
        names = ("block_size", "n_layer", "n_head", "n_embd", "dropout")
        sizes = {name: getattr(self, name) for name in names}
        return GPTConfig(vocab_size=vocab_size, **sizes)


PRESETS = {
    "ci": Preset(
        block_size=32,
        n_layer=3,
        n_head=3,
        n_embd=96,
        max_lr=8e-3,
        eval_every=200,
        eval_windows=256,
        precision="fp32",  # the book's numbers are the same on every machine
    ),
    "laptop": Preset(steps=10_000),
    "colab": Preset(
        block_size=256,
        n_layer=6,
        n_head=6,
        n_embd=384,
        dropout=0.2,
        steps=5000,
        max_lr=1e-3,
        eval_windows=128,
    ),
}


@torch.no_grad()
def estimate_loss(
    model: nn.Module,
    ids: torch.Tensor,
    *,
    batch_size: int,
    block_size: int,
    windows: int,
) -> float:
    """Mean loss over `windows` windows, spread evenly: the same ones at every call.

    >>> from gpt2_tutorial.bigram import BigramLM
    >>> model, sizes = BigramLM(65), dict(batch_size=2, block_size=8, windows=5)
    >>> 3 < estimate_loss(model, torch.arange(65), **sizes) < 6
    True
    """
    if min(batch_size, block_size, windows) < 1 or len(ids) <= block_size:
        raise ValueError(
            "need sizes of at least 1 and more ids than block_size, not "
            f"{batch_size}, {block_size}, {windows} and {len(ids)} ids"
        )
    was_training, total = model.training, 0.0
    device = next(model.parameters()).device
    starts = torch.linspace(0, len(ids) - block_size - 1, windows).long()
    model.eval()
    for some in starts.split(batch_size):
        cut = ids[some[:, None] + torch.arange(block_size + 1)].to(device)
        _, loss = model(cut[:, :-1], cut[:, 1:])
        total += loss.item() * len(some)  # the last batch may be smaller
    model.train(was_training)
    return total / windows


def make_optimizer(model: nn.Module, preset: Preset) -> torch.optim.AdamW:
    """PyTorch's AdamW, which does what chapter 04's does, in one kernel if it can.

    >>> make_optimizer(nn.Linear(3, 2), Preset()).defaults["fused"]
    True
    """
    decay = preset.weight_decay
    groups = param_groups(model, decay)
    settings = dict(lr=preset.max_lr, betas=(0.9, preset.beta2), weight_decay=decay)
    with suppress(RuntimeError):  # this device has no such kernel
        return torch.optim.AdamW(groups, fused=True, **settings)
    return torch.optim.AdamW(groups, **settings)


def set_rate(optimizer: torch.optim.Optimizer, preset: Preset, step: int) -> None:
    """Give all parameters the learning rate of this step.

    >>> adamw = make_optimizer(nn.Linear(3, 2), Preset())
    >>> set_rate(adamw, Preset(), step=0)
    >>> round(adamw.param_groups[0]["lr"], 6)
    3e-05
    """
    rate = cosine_with_warmup(
        step,
        max_lr=preset.max_lr,
        min_lr=preset.min_lr,
        warmup_steps=preset.warmup_steps,
        max_steps=preset.steps,
    )
    for group in optimizer.param_groups:
        group["lr"] = rate


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    max_norm: float,
    precision: torch.dtype = torch.float32,
    scaler: torch.amp.GradScaler | None = None,
) -> torch.Tensor:
    """The four lines of chapter 02, and what a bigger model adds to them.

    >>> model, ids = GPT(Preset().config(65)), torch.arange(65)[None]
    >>> optimizer = make_optimizer(model, Preset())
    >>> 4 < train_step(model, optimizer, ids[:, :64], ids[:, 1:], max_norm=1.0) < 5
    tensor(True)
    """
    scaler = scaler or torch.amp.GradScaler(x.device.type, enabled=False)
    with autocast(x.device, precision):
        _, loss = model(x, y)  # 1 forward
    optimizer.zero_grad()  # 2 zero
    scaler.scale(loss).backward()  # 3 backward; float16 alone needs the scaling
    scaler.unscale_(optimizer)
    clip_grad_norm(model.parameters(), max_norm)
    scaler.step(optimizer)  # 4 step
    scaler.update()
    return loss.detach()


def judge(model: nn.Module, texts: dict, preset: Preset) -> dict[str, float]:
    """The loss on each of the texts, by name.

    >>> preset = Preset(eval_windows=1)
    >>> list(judge(GPT(preset.config(65)), {"val": torch.arange(65)}, preset))
    ['val']
    """
    sizes = dict(batch_size=preset.batch_size, block_size=preset.block_size)
    sizes["windows"] = preset.eval_windows
    return {name: estimate_loss(model, ids, **sizes) for name, ids in texts.items()}


def train(
    model: nn.Module,
    texts: dict[str, torch.Tensor],
    preset: Preset,
    *,
    rng: torch.Generator | None = None,
    progress: bool = True,
) -> Iterator[dict]:
    """Train `model` in place, and hand out a row of the curve at every judgement.

    >>> preset = Preset(steps=1, warmup_steps=0, eval_windows=1)
    >>> texts = {"train": torch.arange(65), "val": torch.arange(65)}
    >>> rows = train(GPT(preset.config(65)), texts, preset, progress=False)
    >>> [row["step"] for row in rows]
    [0, 1]
    """
    device = next(model.parameters()).device
    chosen = choose_precision(device, preset.precision, model.config)
    scaler = torch.amp.GradScaler(device.type, enabled=chosen.scaled)
    extras = dict(max_norm=preset.max_norm, precision=chosen.dtype, scaler=scaler)
    optimizer = make_optimizer(model, preset)
    tokens = preset.batch_size * preset.block_size  # in one step
    began, cpu_began = time.perf_counter(), time.process_time()
    look = dict(total=preset.steps * tokens, unit="token", unit_scale=True)
    with tqdm(**look, disable=not progress) as bar:
        for step in range(preset.steps + 1):
            if step % preset.eval_every == 0 or step == preset.steps:
                row = {"step": step, "tokens": step * tokens}
                row["seconds"] = time.perf_counter() - began
                row["cpu_seconds"] = time.process_time() - cpu_began
                yield row | judge(model, texts, preset)
            if step == preset.steps:
                return
            set_rate(optimizer, preset, step)
            x, y = get_batch(
                texts["train"], preset.batch_size, preset.block_size, rng
            )
            loss = train_step(
                model, optimizer, x.to(device), y.to(device), **extras
            )
            bar.update(tokens)
            if step % 10 == 0:  # not each time: a GPU has to stop for it
                check_finite(loss.item(), step, preset.max_lr, preset.warmup_steps)
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)


@dataclass
class TrainedModel:
    """What `fit` hands back: the best weights, the curve, and how it was done.

    >>> TrainedModel(nn.Linear(3, 2), "cpu", "fp32", "asked for", "AdamW").stopped
    'by hand'
    """

    model: nn.Module
    device: str
    precision: str
    because: str  # of this precision
    optimizer: str
    history: list[dict] = field(default_factory=list)
    best: dict = field(default_factory=dict)  # the row that `model` belongs to
    stopped: str = "by hand"


def fit(
    train_ids: torch.Tensor,
    val_ids: torch.Tensor,
    vocab_size: int,
    preset: Preset,
    *,
    device: str | None = None,
    seed: int = 0,
    progress: bool = True,
    on_eval: Callable[[list[dict]], None] | None = None,
) -> TrainedModel:
    """Train a fresh GPT on `train_ids`; hand back the weights best on `val_ids`.

    >>> ids = torch.arange(65)
    >>> preset = Preset(steps=1, warmup_steps=0, eval_windows=1)
    >>> trained = fit(ids, ids, 65, preset, device="cpu", progress=False)
    >>> trained.best["val"] < trained.history[0]["val"]
    True
    """
    texts = {"train": train_ids, "val": val_ids}
    check_texts(texts, vocab_size, preset.block_size)
    torch.manual_seed(seed)  # for the first weights and for dropout
    rng = torch.Generator().manual_seed(seed)  # for the batches
    model = GPT(preset.config(vocab_size)).to(device or default_device())
    out, weights = _describe(model, preset), None
    with suppress(KeyboardInterrupt):  # whoever stops it by hand keeps the best
        for row in train(model, texts, preset, rng=rng, progress=progress):
            out.history.append(row)
            if not out.best or row["val"] < out.best["val"]:
                out.best, weights = row, copy.deepcopy(model.state_dict())
            if on_eval is not None:
                on_eval(out.history)
            if len(out.history) - out.history.index(out.best) > preset.patience:
                out.stopped = f"no better for {preset.patience} evaluations"
                break
        else:
            out.stopped = f"after all {preset.steps} steps"
    model.load_state_dict(weights or model.state_dict())
    model.eval()
    return out


def live_curve() -> Callable[[list[dict]], None]:
    """For `on_eval`: draws both losses in a notebook, anew at every judgement."""
    import matplotlib.pyplot as plt  # here: training itself needs neither
    from IPython.display import display

    figure, axes = plt.subplots()
    plt.close(figure)  # or the notebook shows it once more at the end
    handle = display(figure, display_id=True)  # None where there is no notebook

    def draw(history: list[dict]) -> None:
        axes.clear()
        tokens = [row["tokens"] for row in history]
        for name, line in (("train", "--"), ("val", "-")):
            axes.plot(tokens, [row[name] for row in history], line, label=name)
        axes.set(xlabel="tokens read", ylabel="nats per token")
        axes.legend()
        if handle is not None:
            handle.update(figure)

    return draw


def _describe(model: GPT, preset: Preset) -> TrainedModel:
    device = next(model.parameters()).device
    chosen = choose_precision(device, preset.precision, model.config)
    fused = make_optimizer(model, preset).defaults["fused"]
    optimizer = "fused AdamW" if fused else "AdamW"
    return TrainedModel(model, device.type, chosen.name, chosen.reason, optimizer)
