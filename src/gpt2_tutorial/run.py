"""One run: the model and all that changes while it is trained (chapter 17)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel

from gpt2_tutorial import checkpoint
from gpt2_tutorial.checkpoint import Checkpoint, CheckpointError
from gpt2_tutorial.config import TrainConfig, check_same_run
from gpt2_tutorial.distributed import (
    ALONE,
    Ranks,
    any_rank,
    from_all_ranks,
    mean_over_ranks,
)
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.optim import param_groups
from gpt2_tutorial.precision import Precision, choose_precision
from gpt2_tutorial.step import LossModel, chunked_loss, train_step

SO_FAR = ("step", "looked_at", "val", "best", "best_step")


class Loader(Protocol):
    """What a run needs of its data; `shards.ShardLoader` has it."""

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


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


def state_of_run(found: Checkpoint) -> dict[str, Any]:
    """Read a checkpoint that a `Run` wrote; refuse one of something else."""
    state = checkpoint.load(found)
    run = state.get("run")
    is_run = isinstance(run, dict) and {"config", *SO_FAR} <= run.keys()
    if not is_run or not {"scaler", "loader", "rng"} <= state.keys():
        raise ValueError(f"{found.path} holds no run: take an empty folder")
    return state


class Run:
    """One training: the model and all that changes while it goes on."""

    def __init__(
        self,
        model: GPT,
        loader: Loader,
        config: TrainConfig,
        ranks: Ranks = ALONE,
    ):
        self.model, self.loader = model.to(ranks.device), loader
        self.config, self.ranks = config, ranks
        self.step, self.looked_at = 0, -1
        self.val, self.best, self.best_step = math.inf, math.inf, -1
        self.pieces = config.pieces(ranks.world_size)
        self.compute_in(precision_for_all(config, ranks))
        self.losses = self.wrapped(LossModel(self.model))
        fused = ranks.device.type in ("cuda", "cpu")  # chapter 04's, in one kernel
        self.optimizer = torch.optim.AdamW(
            param_groups(self.model, config.weight_decay),
            lr=config.max_lr,
            betas=(config.beta1, config.beta2),
            fused=fused,
        )
        self.before = self.position()

    def wrapped(self, losses: LossModel) -> nn.Module:
        """What computes one loss for all processes."""
        return wrap(losses, self.config, self.ranks)

    def compute_in(self, precision: Precision) -> None:
        """Use this number format from here on; only fp16 needs a scaler."""
        self.precision, self.scaler = precision, None
        if precision.scaled:
            self.scaler = torch.amp.GradScaler(self.ranks.device.type)

    def take_step(self, poll: Callable[[], None]) -> tuple[float, float, float]:
        """One step, on `batch_tokens` tokens of all processes together."""
        lr = self.config.lr(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("times", 1)  # Muon's is another
        result = train_step(
            self.losses,
            self.batches(poll),
            self.pieces,
            self.optimizer,
            precision=self.precision,
            max_norm=self.config.max_norm,
            scaler=self.scaler,
        )
        self.step, self.before = self.step + 1, self.position()
        return mean_over_ranks(result.loss).item(), result.norm.item(), lr

    def batches(self, poll: Callable[[], None]) -> Iterator[tuple]:
        """The micro-batches of one step; before each, one may ask for an end."""
        for _ in range(self.pieces):
            poll()
            x, y = self.loader.next_batch()
            yield to_device(x, self.ranks.device), to_device(y, self.ranks.device)

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """This process's loss, to look at and not to learn from."""
        return chunked_loss(self.model, x, y)

    def max_rank_divergence(self) -> float:
        """How far the sums of the processes' weights are from each other."""
        return max_rank_divergence(self.model)

    def state_dict(self) -> dict[str, Any]:
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
            "rng": {"of_ranks": from_all_ranks(rng_state(self.ranks))},
            "run": so_far,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
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
            set_rng_state(of_ranks[self.ranks.rank], self.ranks)
        for name in SO_FAR:
            setattr(self, name, state["run"][name])
        self.before = self.position()

    def position(self) -> dict[str, Any]:
        """Where data and chance stand: what a step that is broken off moves."""
        return {"loader": self.loader.state_dict(), "rng": rng_state(self.ranks)}

    def resume(self, found: Checkpoint) -> None:
        """Go on where a checkpoint was written."""
        self.load_state_dict(state_of_run(found))

    def rewind(self) -> None:
        """Forget a step that was broken off: it will be taken again."""
        self.optimizer.zero_grad()
        self.loader.load_state_dict(self.before["loader"])
        set_rng_state(self.before["rng"], self.ranks)

    def save(self, folder: Path) -> None:
        """Write a checkpoint, once for all; if that fails, it fails for all."""
        state, problem, config = self.state_dict(), "", self.config
        keep = {"keep": config.keep, "keep_also": {self.best_step}}
        if self.ranks.is_first:
            try:
                checkpoint.save(folder, self.step, state, **keep)
            except CheckpointError as error:
                problem = str(error)
        if any_rank(problem != ""):  # the others wait here for rank 0
            raise CheckpointError(problem or "rank 0 could not save")


def max_rank_divergence(model: nn.Module) -> float:
    """How far the sums of their weights differ: above 0.0 they are not one model.

    >>> max_rank_divergence(nn.Linear(3, 2))  # alone
    0.0
    """
    sums = [p.detach().double().sum().cpu() for p in model.parameters()]
    of_ranks = from_all_ranks(torch.stack(sums))
    return max((other - of_ranks[0]).abs().max().item() for other in of_ranks)


def rng_state(ranks: Ranks) -> torch.Tensor:
    """This process's random state, as bytes on the CPU."""
    state = torch.get_rng_state()
    if ranks.device.type != "cuda":
        return state
    return torch.cat([state, torch.cuda.get_rng_state(ranks.device).cpu()])


def set_rng_state(state: torch.Tensor, ranks: Ranks) -> None:
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
