"""Several machines, each with a disk of its own: the newest checkpoint reaches all of them."""

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from gpt2_tutorial import checkpoint
from gpt2_tutorial.distributed import Ranks, from_all_ranks
from gpt2_tutorial.runs.together import all_do

CHUNK = 2**26  # bytes sent at once


def share_newest(ranks: Ranks, folder: str | Path) -> int:
    """Send the newest whole checkpoint where it is missing; return its step, or -1 without one.

    Rank 0 alone writes checkpoints. Without a disk that all machines share, the others would begin
    at step 0 after a restart. With one, this finds every rank of one mind and does nothing.
    Raises OSError on every rank when one machine cannot write what it is sent.

    >>> share_newest(Ranks(0, 0, 1, torch.device("cpu")), "a/folder/that/does/not/exist")
    -1
    """
    folder = Path(folder)
    newest = all_do(ranks, lambda: checkpoint.latest(folder))
    step = -1 if newest is None else int(newest.name.removeprefix("step_"))
    steps = [int(one) for one in from_all_ranks(torch.tensor(step))]
    if min(steps) == max(steps):
        return step
    sender = steps.index(max(steps))
    final = folder / f"step_{max(steps):08d}"
    aside = None
    if step < max(steps) and ranks.local_rank == 0:
        aside = folder / f".{final.name}.{uuid.uuid4().hex}.part"
    problem = _transfer(newest if ranks.rank == sender else None, aside, sender)
    all_do(ranks, lambda: _finish(aside, final, problem))
    return max(steps)


def _transfer(source: Path | None, aside: Path | None, sender: int) -> OSError | None:
    """Send or receive every file; a machine whose disk is full listens on, so that none waits."""
    problem = None
    listed = None
    if source is not None:
        sizes = {file.name: file.stat().st_size for file in source.iterdir()}
        listed = json.dumps(sizes).encode()
    for name, size in json.loads(_heard(listed, sender)).items():
        for start, data in _pieces(source and source / name, size, sender):
            if aside is None or problem is not None:
                continue
            try:
                aside.mkdir(parents=True, exist_ok=True)
                with (aside / name).open("ab" if start else "wb") as file:
                    file.write(data)
            except OSError as error:
                problem = error
    return problem


def _pieces(file: Path | None, size: int, sender: int) -> Iterator[tuple[int, bytes]]:
    for start in range(0, size, CHUNK):
        data = None
        if file is not None:
            with file.open("rb") as stream:
                stream.seek(start)
                data = stream.read(CHUNK)
        yield start, _heard(data, sender)


def _heard(data: bytes | None, sender: int) -> bytes:
    """Return on every rank the bytes, one or more, that the sender has and the others have not."""
    size = torch.tensor(len(data or b""))
    dist.broadcast(size, src=sender)
    sent = torch.empty(int(size), dtype=torch.uint8)
    if data is not None:
        sent = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    dist.broadcast(sent, src=sender)
    return sent.numpy().tobytes()


def _finish(aside: Path | None, final: Path, problem: OSError | None) -> None:
    if aside is None:
        return
    try:
        if problem is not None:
            raise problem
        shutil.rmtree(final, ignore_errors=True)  # a damaged one of that step
        aside.rename(final)
        checkpoint.sync(final.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
