"""Training that is one run: on one GPU or many, killed or not (chapter 16)."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn as nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from gpt2_tutorial import checkpoint
from gpt2_tutorial.checkpoint import CheckpointError
from gpt2_tutorial.distributed import (
    Ranks,
    any_rank,
    from_all_ranks,
    mean_over_ranks,
)
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.optim import cosine_with_warmup, param_groups
from gpt2_tutorial.step import (
    LossModel,
    NonFiniteError,
    Precision,
    autocast,
    choose_precision,
    chunked_loss,
    flops_per_token,
    train_step,
)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run; as given, GPT-2's 124M on 10B tokens.

    >>> config = TrainConfig(micro_batch=32)
    >>> config.pieces(world_size=8), config.lr(715), config.gpt() == GPTConfig()
    (2, 0.0006, True)
    """

    # the model: nanoGPT's names, GPT-2's numbers (Radford et al. 2019, Table 2)
    block_size: int = 1024
    vocab_size: int = 50257
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0  # ten billion tokens are read once: nothing to overfit
    # one step: 512 sequences (GPT-2's section 2.3), the rest of GPT-3 (Brown 2020)
    batch_tokens: int = 524_288  # 512 × 1,024; GPT-3's Table 2.1 says 0.5M as well
    micro_batch: int = 16  # sequences at a time on one device: what fits its memory
    max_norm: float = 1.0  # Appendix B
    weight_decay: float = 0.1  # Appendix B
    beta1: float = 0.9  # Appendix B
    beta2: float = 0.95  # Appendix B
    # the road; 375M tokens of warm-up, then a cosine down to a tenth (Appendix B)
    max_steps: int = 19_073  # times batch_tokens: ten billion tokens
    warmup_steps: int = 715  # times batch_tokens: 375 million
    max_lr: float = 6e-4  # Table 2.1
    min_lr: float = 6e-5
    seed: int = 1337  # nanoGPT's
    # how it is computed: the same numbers but for rounding
    precision: str = "auto"  # chapter 12's choice; a run keeps what it began with
    compile: bool = False  # a minute of waiting, then about twice as fast on a GPU
    shard: bool = False  # cut weights and AdamW over the processes: gpt2-xl's 25 GB
    # how often something else happens, in steps (250 and 20: build-nanogpt's)
    eval_every: int = 250
    eval_batches: int = 20
    save_every: int = 250  # what a kill may cost at most
    keep: int = 2  # one that is being replaced, and one that is surely whole

    def __post_init__(self):
        _refuse_nonsense(self)

    def gpt(self) -> GPTConfig:
        """The model's part of it."""
        names = {field.name for field in fields(GPTConfig)} & vars(self).keys()
        return GPTConfig(**{name: getattr(self, name) for name in names})

    def pieces(self, world_size: int) -> int:
        """How many micro-batches each process works through for one step."""
        at_once = self.micro_batch * self.block_size * world_size
        if self.batch_tokens % at_once:
            raise ValueError(_uneven(self, world_size))
        return self.batch_tokens // at_once

    def lr(self, step: int) -> float:
        """The learning rate of this step."""
        names = ("max_lr", "min_lr", "warmup_steps", "max_steps")
        plan = {name: getattr(self, name) for name in names}
        return cosine_with_warmup(step, **plan)


def _refuse_nonsense(config: TrainConfig) -> None:
    config.gpt(), config.lr(0)  # each refuses what makes no sense to it
    for name, value in asdict(config).items():
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            raise ValueError(f"{name} must be 0 or more, not {value}")
    at_least_1 = ("micro_batch", "batch_tokens", "max_steps")
    for name in (*at_least_1, "eval_every", "save_every"):
        value = getattr(config, name)
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")


def _uneven(config: TrainConfig, world_size: int) -> str:
    at_once = config.micro_batch * config.block_size * world_size
    near = max(config.batch_tokens // at_once, 1) * at_once
    return (
        f"batch_tokens={config.batch_tokens:,} cannot be cut into pieces of "
        f"{at_once:,} tokens (micro_batch {config.micro_batch} × block_size "
        f"{config.block_size} × {world_size} processes): take "
        f"{near:,}, or another micro_batch"
    )


PRESETS = {  # one per machine; commands/plan.py tells what each takes and costs
    "cpu": TrainConfig(  # the shape of nanoGPT's quick start without a GPU
        block_size=64,
        vocab_size=65,
        n_layer=4,
        n_head=4,
        n_embd=128,
        batch_tokens=2048,
        micro_batch=8,
        max_steps=1000,
        warmup_steps=50,
        max_lr=2e-3,
        min_lr=2e-4,
        precision="fp32",  # a rehearsal is compared with others, bit by bit
        eval_every=100,
        save_every=100,
    ),
    "t4": TrainConfig(  # half a billion tokens: a night on a free GPU
        batch_tokens=65_536, micro_batch=8, max_steps=8_000, warmup_steps=400
    ),
    "4090": TrainConfig(micro_batch=16, compile=True),
    "1xh100": TrainConfig(micro_batch=64, compile=True),
    "8xh100": TrainConfig(micro_batch=64, compile=True),
    "8xa100": TrainConfig(micro_batch=32, compile=True),
    "2x8xh100": TrainConfig(micro_batch=32, compile=True),
    "8xh100-xl": TrainConfig(  # gpt2-xl (Radford et al. 2019, Table 2)
        n_layer=48,
        n_head=25,
        n_embd=1600,
        batch_tokens=1_048_576,  # and max_lr: GPT-3 XL's, its Table 2.1
        micro_batch=8,
        max_steps=30_000,  # 31B tokens: 20 a parameter (Hoffmann et al. 2022)
        warmup_steps=358,  # 375M tokens, as above
        max_lr=2e-4,
        min_lr=2e-5,
        compile=True,
        shard=True,
    ),
}
# what may differ when a run goes on: it changes rounding or pictures, not the run
MAY_CHANGE = ("micro_batch", "compile", "keep")
MAY_CHANGE += ("eval_every", "eval_batches", "save_every")
SO_FAR = ("step", "looked_at", "val", "best", "best_step")
ALONE = Ranks(0, 0, 1, torch.device("cpu"))


class Loader(Protocol):
    """What `fit` needs of its data; `shards.ShardLoader` has it."""

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class StopRequested(Exception):
    """Somebody asked for an end; all processes have agreed on this very moment."""


class ConfigChanged(ValueError):
    """A run was to go on with other settings than it began with."""


class Outcome(NamedTuple):
    """How a run ended: "done", "stopped" or "failed", at which step, and why.

    >>> Outcome("done", 19_073, 3.29, "all steps are done").state
    'done'
    """

    state: str
    step: int
    val: float
    reason: str


class Resumable:
    """How a run is shared, what a checkpoint holds of it, how it is put back."""

    def wrapped(self, losses: LossModel) -> nn.Module:
        """What computes one loss for all processes."""
        return wrap(losses, self.config, self.ranks)

    def compute_in(self, precision: Precision) -> None:
        """Use this number format from here on; only fp16 needs a scaler."""
        self.precision, self.scaler = precision, None
        if precision.scaled:
            self.scaler = torch.amp.GradScaler(self.ranks.device.type)

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """This process's loss, to look at and not to learn from."""
        return chunked_loss(self.model, x, y)

    def apart(self) -> float:
        """How far the processes' weights are apart."""
        return apart(self.model)

    def position(self) -> dict[str, Any]:
        """Where loader and dice stand: what a step that is broken off moves."""
        return {"loader": self.loader.state_dict(), "rng": dice(self.ranks)}

    def state(self) -> dict[str, Any]:
        """Everything a checkpoint must hold; all processes call this together."""
        so_far = {name: getattr(self, name) for name in SO_FAR}
        so_far |= {
            "config": asdict(self.config) | {"precision": self.precision.name},
            "threads": torch.get_num_threads(),
        }
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "loader": self.loader.state_dict(),
            "rng": {"of_ranks": from_all_ranks(dice(self.ranks))},
            "run": so_far,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on exactly there; refuse if the run began with other settings."""
        began = state["run"]["config"]
        check_same_run(began, asdict(self.config))
        if self.config.precision == "auto":  # whatever would be chosen here and now
            kept = choose_precision(
                self.ranks.device, began["precision"], self.config.gpt()
            )
            self.compute_in(kept._replace(reason="the run began with it"))
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.loader.load_state_dict(state["loader"])
        of_ranks = state["rng"]["of_ranks"]
        if self.ranks.rank < len(of_ranks):
            set_dice(of_ranks[self.ranks.rank], self.ranks)
        for name in SO_FAR:
            setattr(self, name, state["run"][name])
        self.before = self.position()

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint was written."""
        self.restore(checkpoint.load(path))

    def rewind(self) -> None:
        """Forget a step that was broken off: it will be taken again."""
        self.optimizer.zero_grad()
        self.loader.load_state_dict(self.before["loader"])
        set_dice(self.before["rng"], self.ranks)

    def save(self, folder: Path) -> None:
        """Write a checkpoint, once for all; if that fails, it fails for all."""
        state, problem, config = self.state(), "", self.config
        keep = {"keep": config.keep, "keep_also": {self.best_step}}
        if self.ranks.is_first:
            try:
                checkpoint.save(folder, self.step, state, **keep)
            except CheckpointError as error:
                problem = str(error)
        if any_rank(problem != ""):  # the others wait here for rank 0
            raise CheckpointError(problem or "rank 0 could not save")


class Run(Resumable):
    """One training: the model and all that changes while it goes on."""

    def __init__(
        self, model: GPT, loader: Loader, config: TrainConfig, ranks: Ranks
    ):
        self.model, self.loader = model.to(ranks.device), loader
        self.config, self.ranks = config, ranks
        self.step, self.looked_at = 0, -1
        self.val, self.best, self.best_step = math.inf, math.inf, -1
        self.pieces = config.pieces(ranks.world_size)
        self.compute_in(precision_for_all(config, ranks))
        kind = ranks.device.type
        self.losses = self.wrapped(LossModel(self.model))
        self.optimizer = torch.optim.AdamW(
            param_groups(self.model, config.weight_decay),
            lr=config.max_lr,
            betas=(config.beta1, config.beta2),
            fused=kind in ("cuda", "cpu"),  # chapter 04's, in one kernel
        )
        self.before = self.position()

    def take_step(self, poll: Callable[[], None]) -> tuple[float, float, float]:
        """One step, on `batch_tokens` tokens of all processes together."""
        lr = self.config.lr(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        report = train_step(
            self.losses,
            self.batches(poll),
            self.pieces,
            self.optimizer,
            precision=self.precision,
            max_norm=self.config.max_norm,
            scaler=self.scaler,
        )
        self.step, self.before = self.step + 1, self.position()
        return mean_over_ranks(report.loss).item(), report.norm.item(), lr

    def batches(self, poll: Callable[[], None]):
        """The micro-batches of one step; before each, one may ask for an end."""
        for _ in range(self.pieces):
            poll()
            x, y = self.loader.next_batch()
            yield to_device(x, self.ranks.device), to_device(y, self.ranks.device)


def precision_for_all(config: TrainConfig, ranks: Ranks) -> Precision:
    """One number format for all processes, though a race may end otherwise in each.

    >>> precision_for_all(TrainConfig(precision="bf16"), ALONE).name
    'bf16'
    """
    mine = choose_precision(ranks.device, config.precision, config.gpt())
    somewhere_fp32 = any_rank(mine.name == "fp32")
    if mine.name == "fp32" or not somewhere_fp32:
        return mine
    fp32 = choose_precision(ranks.device, "fp32")
    return fp32._replace(reason="it won the race in another process")


def wrap(losses: nn.Module, config: TrainConfig, ranks: Ranks) -> nn.Module:
    """Compile, then let the processes share gradients; the model inside stays.

    >>> wrap(nn.Linear(1, 1), TrainConfig(), ALONE)
    Linear(in_features=1, out_features=1, bias=True)
    """
    if config.compile:
        losses = torch.compile(losses)
    if ranks.world_size == 1:
        return losses
    ids = [ranks.local_rank] if ranks.device.type == "cuda" else None
    # Keep the wrapper: `.module` computes the same loss and tells nobody else.
    return DistributedDataParallel(
        losses, device_ids=ids, gradient_as_bucket_view=True
    )


def dice(ranks: Ranks) -> torch.Tensor:
    """This process's random state, as bytes on the CPU."""
    state = torch.get_rng_state()
    if ranks.device.type != "cuda":
        return state
    return torch.cat([state, torch.cuda.get_rng_state(ranks.device).cpu()])


def set_dice(state: torch.Tensor, ranks: Ranks) -> None:
    """Put the random state back, so that dropout draws what it would have drawn."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size])
    if ranks.device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:], ranks.device)


def to_device(ids: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Send ids to the GPU without waiting for them to arrive."""
    if device.type != "cuda":
        return ids.to(device)
    return ids.pin_memory().to(device, non_blocking=True)


def check_same_run(began: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with another run's settings; say which, and both values.

    >>> check_same_run({"seed": 1, "keep": 2}, {"seed": 1, "keep": 3})
    """
    if now.get("precision") == "auto":
        now = now | {"precision": began.get("precision")}
    changed = [
        f"{name} was {began.get(name)!r} and is {value!r}"
        for name, value in now.items()
        if name not in MAY_CHANGE and began.get(name) != value
    ]
    if changed:
        raise ConfigChanged(
            f"this folder holds a run with other settings: {'; '.join(changed)}. "
            "Take an empty folder, or the settings it began with."
        )


def fast_kernels(
    device: torch.device, precision: Precision
) -> AbstractContextManager:
    """Insist on flash attention where the GPU has it: another one raises.

    >>> with fast_kernels(torch.device("cpu"), choose_precision("cpu", "fp32")):
    ...     pass
    """
    if device.type != "cuda" or precision.dtype == torch.float32:
        return nullcontext()
    if torch.cuda.get_device_capability(device) >= (8, 0):
        return sdpa_kernel(SDPBackend.FLASH_ATTENTION)
    if precision.dtype == torch.bfloat16:
        return nullcontext()  # begun on a newer GPU: slow here, but it goes on
    return sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION)  # a T4 has no flash


@torch.no_grad()
def evaluate(run: Run, val_loader: Loader, poll: Callable[[], None]) -> float:
    """The mean loss on the same validation batches every time, shared by ranks."""
    start, total = val_loader.state_dict(), 0.0
    run.model.eval()
    try:
        for _ in range(run.config.eval_batches):
            poll()
            batch = val_loader.next_batch()
            x, y = (to_device(part, run.ranks.device) for part in batch)
            with autocast(run.ranks.device, run.precision):
                total += run.loss(x, y).item()
    finally:
        run.model.train()
        val_loader.load_state_dict(start)
    mean = torch.tensor(total / run.config.eval_batches, dtype=torch.float64)
    return mean_over_ranks(mean).item()


def fit(
    model: GPT,
    loader: Loader,
    config: TrainConfig,
    *,
    folder: str | Path,
    ranks: Ranks = ALONE,
    val_loader: Loader | None = None,
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    look: Callable[[Run, Callable], dict[str, Any]] = lambda run, poll: {},
    kind: type[Run] = Run,
) -> Outcome:
    """Train until all steps are done or one asks for an end; go on if begun."""

    def poll() -> None:
        if any_rank(asked_to_stop()):
            raise StopRequested

    folder, run = Path(folder), kind(model, loader, config, ranks)
    if (newest := checkpoint.latest(folder)) is not None:
        run.resume(newest)
    if run.step < config.max_steps:
        name, _, _, because = run.precision
        log({"step": run.step, "precision": name, "because": because})
    run.model.train()
    try:
        with fast_kernels(ranks.device, run.precision):
            go_on(run, folder, val_loader, log, poll, look)
    except StopRequested:
        run.rewind()
        run.save(folder)
        return Outcome(
            "stopped", run.step, run.val, "asked to stop; the same command goes on"
        )
    except NonFiniteError as error:
        return Outcome("failed", run.step, run.val, f"at step {run.step} {error}")
    return Outcome("done", run.step, run.val, "all steps are done")


def go_on(run: Run, folder: Path, val_loader, log, poll, look) -> None:
    """The loop itself: look, step, tell, save."""
    config = run.config
    while True:
        last = run.step == config.max_steps
        if val_loader and (last or run.step % config.eval_every == 0):
            look_at(run, folder, val_loader, log, poll, look)
        if last or run.step % config.save_every == 0:
            run.save(folder)
        if last:
            return
        began = time.perf_counter()
        loss, norm, lr = run.take_step(poll)
        seconds = max(time.perf_counter() - began, 1e-9)  # a clock may be set back
        speed = config.batch_tokens / seconds
        row = {"step": run.step, "loss": loss, "norm": norm, "lr": lr}
        row |= {"tokens": run.step * config.batch_tokens, "seconds": seconds}
        row |= {"tokens_per_s": speed}
        log(row | {"flops_per_s": speed * flops_per_token(config.gpt())})


def apart(model: nn.Module) -> float:
    """How far the processes' weights are apart: 0.0, or they are not one model.

    >>> apart(nn.Linear(3, 2))  # alone
    0.0
    """
    sums = [p.detach().double().sum().cpu() for p in model.parameters()]
    of_ranks = from_all_ranks(torch.stack(sums))
    return max((other - of_ranks[0]).abs().max().item() for other in of_ranks)


def look_at(run: Run, folder: Path, val_loader, log, poll, look) -> None:
    """Stop for a moment: validation loss, samples, and the best weights kept."""
    if run.looked_at == run.step:
        return  # the run was stopped after this look
    val = evaluate(run, val_loader, poll)
    row = {"step": run.step, "val": val, **look(run, poll)}
    row["apart"] = run.apart()
    run.val, run.looked_at = val, run.step
    log(row)
    if val < run.best:
        run.best, run.best_step = val, run.step
        run.save(folder)
