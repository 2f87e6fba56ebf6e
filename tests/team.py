"""Processes that work together, as torchrun would start them, but sooner."""

import gc
import multiprocessing
import os
import socket
import time
from collections.abc import Callable

import torch

from gpt2_tutorial.distributed import teardown

# A server imports all this once; each process is a fork of it. Windows has no fork.
START = multiprocessing.get_context("spawn" if os.name == "nt" else "forkserver")
if os.name != "nt":
    START.set_forkserver_preload(
        ["torch", "torch._dynamo", "gpt2_tutorial.runs.sharded_run", "gpt2_tutorial.runs.watch"]
    )


def team(size: int, work: Callable, *facts: object, timeout: float = 240) -> list[int | None]:
    """Call `work` in so many processes, and return how each ended; None: it did not, in time.

    A process knows its rank from its environment, and what it has to say it leaves in a file.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    end = time.monotonic() + timeout
    members = [
        START.Process(target=_member, args=(rank, size, port, work, facts)) for rank in range(size)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(max(0, end - time.monotonic()))
    codes = [member.exitcode for member in members]
    for member in members:  # a hang is a failure, and leaves nobody behind
        member.kill()
        member.join()
    return codes


def _member(rank: int, size: int, port: int, work: Callable, facts: tuple) -> None:
    if size > 1:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in place.items()}
    torch.set_num_threads(1)
    work(*facts)
    gc.collect()  # torch's DDP hangs if it goes after the group whose threads it must join
    teardown()
