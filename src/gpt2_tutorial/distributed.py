"""Many processes, one model: who am I, and what do the others say (chapter 16)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn as nn


class Ranks(NamedTuple):
    """Which of how many processes this one is, and the device it computes on.

    >>> Ranks(5, local_rank=1, world_size=8, device=torch.device("cpu")).is_first
    False
    """

    rank: int
    local_rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0


ALONE = Ranks(0, 0, 1, torch.device("cpu"))


def setup(device: str | None = None, timeout_s: float = 600) -> Ranks:
    """Join the other processes that torchrun started; alone, do nothing.

    >>> setup("cpu").world_size  # this very process was started by hand
    1
    """
    rank, local_rank, world_size = _from_environment()
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"process {local_rank} of this machine has no GPU: it has "
                f"{torch.cuda.device_count()}. Start one process for each GPU, or "
                "choose the device cpu."
            )
        torch.cuda.set_device(local_rank)
        device = f"cuda:{local_rank}"
    if world_size > 1:
        # What lies on the CPU goes through gloo, and no GPU waits for it.
        backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    return Ranks(rank, local_rank, world_size, torch.device(device))


def teardown() -> None:
    """Leave the group, if there is one.

    >>> teardown()
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def mean_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """Return the mean of every process's `value`; each of them gets the same bits.

    >>> mean_over_ranks(torch.tensor(3.0))  # alone
    tensor(3.)
    """
    if not dist.is_initialized():
        return value
    value = value.clone()  # all_reduce writes into what it is given
    dist.all_reduce(value)
    return value / dist.get_world_size()


def any_rank(flag: bool) -> bool:
    """Is `flag` true in any process? All of them get the same answer.

    >>> any_rank(True), any_rank(False)  # alone
    (True, False)
    """
    if not dist.is_initialized():
        return flag
    worst = torch.tensor(int(flag))
    dist.all_reduce(worst, op=dist.ReduceOp.MAX)
    return bool(worst)


def from_all_ranks(value: torch.Tensor) -> list[torch.Tensor]:
    """Return every process's `value`, on the CPU, in the order of their ranks.

    >>> from_all_ranks(torch.tensor([3]))  # alone
    [tensor([3])]
    """
    if not dist.is_initialized():
        return [value]
    values = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(values, value)
    return values


class Bucket:
    """Some parameters whose gradients travel together.

    >>> bucket = Bucket([nn.Parameter(torch.ones(2))])
    >>> bucket.missing, bucket.size  # gradients, bytes
    (1, 8)
    """

    def __init__(self, parameters: list[nn.Parameter]):
        self.parameters, self.missing = parameters, len(parameters)
        self.flat: torch.Tensor | None = None
        self.size = sum(p.numel() * p.element_size() for p in parameters)

    def one_more(self) -> None:
        """One gradient is there; when all are, their sum sets out at once."""
        self.missing -= 1
        if self.missing == 0 and dist.is_initialized():
            self.flat = torch.cat([p.grad.flatten() for p in self.parameters])
            # It travels while backward works on the layers below.
            self.work = dist.all_reduce(self.flat, async_op=True)

    def share_out(self) -> None:
        """Wait for the sum; put its mean where the gradients were."""
        count = len(self.parameters)
        if self.missing != 0:
            raise RuntimeError(
                f"{count - self.missing} gradients came for a bucket of {count}: "
                "call finish() once after a backward that reaches every parameter"
            )
        self.missing = count
        if self.flat is None:
            return  # alone: the gradient is the mean already
        self.work.wait()
        # Every rank divides the same bits, so all end with the same bits.
        mean = self.flat / dist.get_world_size()
        parts = mean.split([p.numel() for p in self.parameters])
        for p, part in zip(self.parameters, parts, strict=True):
            p.grad.copy_(part.view_as(p.grad))
        self.flat = None


def make_buckets(module: nn.Module, bucket_mb: float) -> list[Bucket]:
    """Fill buckets with parameters from the last to the first, as backward comes.

    >>> [len(b.parameters) for b in make_buckets(nn.Linear(3, 2), bucket_mb=25)]
    [2]
    """
    if bucket_mb <= 0:
        raise ValueError(f"bucket_mb must be above 0, not {bucket_mb}")
    filled: list[list[nn.Parameter]] = [[]]
    for parameter in reversed([p for p in module.parameters() if p.requires_grad]):
        if Bucket(filled[-1]).size >= bucket_mb * 2**20:
            filled.append([])
        filled[-1].append(parameter)
    return [Bucket(parameters) for parameters in filled if parameters]


class HandmadeDDP(nn.Module):
    """Equal weights at the start, equal gradients after every backward.

    >>> model = HandmadeDDP(nn.Linear(3, 2))
    >>> model(torch.ones(1, 3)).sum().backward()
    >>> model.finish()  # alone, there is nobody to wait for
    """

    def __init__(self, module: nn.Module, bucket_mb: float = 25):
        super().__init__()
        self.module, self.sync = module, True
        for tensor in [*module.parameters(), *module.buffers()]:
            if dist.is_initialized():
                dist.broadcast(tensor.data, src=0)  # rank 0's weights for all
        self.buckets = make_buckets(module, bucket_mb)
        for bucket in self.buckets:
            for parameter in bucket.parameters:
                # Called once, after both gradients of a tied table.
                parameter.register_post_accumulate_grad_hook(self._hook_of(bucket))

    def _hook_of(self, bucket: Bucket):
        """What backward calls as soon as a parameter's gradient is complete."""
        return lambda parameter: bucket.one_more() if self.sync else None

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def finish(self) -> None:
        """Wait until the gradients are the means of all processes."""
        for bucket in self.buckets:
            bucket.share_out()

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Collect gradients in here without telling the others."""
        self.sync = False
        try:
            yield
        finally:
            self.sync = True


def _from_environment() -> tuple[int, int, int]:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
    said = [os.environ.get(name) for name in names]
    if all(value is None for value in said):
        return 0, 0, 1
    if not all(value is not None and value.isdigit() for value in said):
        raise ValueError(
            f"{', '.join(names)} are {', '.join(map(str, said))}: all or none "
            "must be whole numbers. Start the script with torchrun."
        )
    rank, local_rank, world_size = map(int, said)
    return rank, local_rank, world_size
