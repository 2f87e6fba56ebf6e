"""A run cut over its processes (FSDP2), for gpt2-xl: each holds a part of weights and averages.

Gradients are cut as well: every micro-batch sends each process its share of them, so that none
ever holds them all. A checkpoint is written by all processes, each its own part, through
`torch.distributed.checkpoint` as safetensors: there is no pickle in it.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.nn as nn
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from gpt2_tutorial import checkpoint
from gpt2_tutorial.checkpoint import Checkpoint, CheckpointError
from gpt2_tutorial.config import TrainConfig, check_same_run
from gpt2_tutorial.distributed import Ranks
from gpt2_tutorial.files import fingerprint, sync
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.run import Loader, Run, state_of_run
from gpt2_tutorial.step import LossModel

AVERAGES = ("exp_avg", "exp_avg_sq")  # torch's names of AdamW's m and v


class ShardedRun(Run):
    """A `Run` of which each process holds a part; alone, it holds all of it."""

    def __init__(self, model: GPT, loader: Loader, config: TrainConfig, ranks: Ranks):
        super().__init__(model, loader, config, ranks)
        if self.precision.scaled:
            raise ValueError("a run with shard knows no fp16: take precision bf16 or fp32")
        for p in self.model.parameters():  # as AdamW would at its first step: files are alike
            averages = {name: torch.zeros_like(p) for name in AVERAGES}
            taken = torch.zeros((), device=ranks.device)
            self.optimizer.state[p] = {"step": taken, **averages}

    def wrapped(self, losses: LossModel) -> nn.Module:
        """Cut the weights of rank 0: every block gathers its own when it is their turn."""
        if self.ranks.world_size == 1:
            return super().wrapped(losses)
        for p in losses.parameters():
            dist.broadcast(p.data, src=0)
        mesh = init_device_mesh(self.ranks.device.type, (self.ranks.world_size,))
        for block in self.model.transformer.h:
            if self.config.compile:  # the arithmetic alone: FSDP's hooks stay outside
                block.forward = torch.compile(block.forward)
            fully_shard(block, mesh=mesh)
        return fully_shard(losses, mesh=mesh)  # the tables and the last norm

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Go through the wrapper, which gathers; no backward follows that would let go again."""
        loss = self.losses(x, y)
        if self.ranks.world_size > 1:
            self.losses.reshard()
        return loss

    def max_rank_divergence(self) -> float:
        """No weight has a second copy that could differ."""
        return 0.0

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that is cut, by name: weights and averages, each as this process has it."""
        found = {}
        for name, p in self.model.named_parameters():
            found[f"model.{name}"] = p.detach()
            for which in AVERAGES:
                found[f"{which}.{name}"] = self.optimizer.state[p][which]
        return found

    def resume(self, found: Checkpoint) -> None:
        """Read each process's part, whatever number of processes wrote the checkpoint."""
        state = state_of_run(found)
        check_same_run(state["run"]["config"], asdict(self.config))
        try:
            with quietly_alone():
                reader = HuggingFaceStorageReader(str(found.path))
                dcp.load(self.tensors(), storage_reader=reader)
        except CheckpointException as error:
            raise CheckpointError(f"{found.path} cannot be used: {_reason(error)}") from None
        for averages in self.optimizer.state.values():
            averages["step"].fill_(state["run"]["step"])
        here = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        self.load_state_dict(state | here)

    def save(self, folder: Path) -> None:
        """Write a checkpoint together: whole with every part, or not at all, for all."""
        state = self.state_dict()
        del state["model"], state["optimizer"]
        problem = ""
        if self.ranks.is_first:
            problem = self._save_as_first(folder, state)
        elif aside := from_first(""):
            self._write_parts(Path(aside))
        if problem := from_first(problem):
            raise CheckpointError(problem)

    def _save_as_first(self, folder: Path, state: dict[str, Any]) -> str:
        asked = []

        def parts(aside: Path) -> dict[str, str]:
            asked.append(from_first(str(aside)))  # the others wait for this name
            sums, problem = self._write_parts(aside)
            if problem:
                raise OSError(problem)
            for name in sums:
                if not (aside / name).is_file():
                    raise OSError(f"{name} is not here: all machines must share this folder")
            return sums

        config = self.config
        keep = {"keep": config.keep, "keep_also": {self.best_step}}
        try:
            checkpoint.save(folder, self.step, state, **keep, more=parts)
        except CheckpointError as error:
            return str(error)
        finally:
            if not asked:
                from_first("")  # nothing to write, or nowhere to
        return ""

    def _write_parts(self, aside: Path) -> tuple[dict[str, str], str]:
        """Write this process's part; return the sums of all parts, and what went wrong."""
        sums, problem = {}, ""
        try:
            with quietly_alone():
                writer = HuggingFaceStorageWriter(str(aside), save_distributed=True)
                dcp.save(self.tensors(), storage_writer=writer)
            for file in sorted(aside.glob(f"shard-{self.ranks.rank + 1:05d}-*")):
                sync(file)
                sums[file.name] = fingerprint(file)
        except CheckpointException as error:
            problem = _reason(error)
        except OSError as error:
            problem = f"process {self.ranks.rank}: {error}"
        of_ranks = [(sums, problem)] * self.ranks.world_size
        if dist.is_initialized():
            dist.all_gather_object(of_ranks, (sums, problem))
        sums = {name: value for part, _ in of_ranks for name, value in part.items()}
        return sums, next((problem for _, problem in of_ranks if problem), "")


def from_first(words: str) -> str:
    """Return what rank 0 says, in every process.

    >>> from_first("go on")  # alone
    'go on'
    """
    box = [words]
    if dist.is_initialized():
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


@contextmanager
def quietly_alone() -> Iterator[None]:
    """Let a single process write and read without being told that it is alone.

    >>> with quietly_alone():
    ...     pass
    """
    with warnings.catch_warnings():
        if not dist.is_initialized():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _reason(error: CheckpointException) -> str:
    rank, (problem, _) = min(error.failures.items())
    return f"process {rank}: {problem}"
