"""Several machines, each with a disk of its own: the newest checkpoint reaches all of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist

from gpt2_tutorial import checkpoint
from gpt2_tutorial.checkpoint import Checkpoint
from gpt2_tutorial.distributed import Ranks, from_all_ranks
from gpt2_tutorial.files import write_folder
from gpt2_tutorial.runs.together import on_every_rank

CHUNK = 2**26  # bytes sent at once


def share_newest(
    ranks: Ranks, folder: str | Path, check: Callable[[Checkpoint], None] = lambda found: None
) -> Checkpoint | None:
    """Send the newest whole checkpoint where it is missing; return it, or None without one.

    Rank 0 alone writes checkpoints. Without a disk that all machines share, the others would begin
    at step 0 after a restart. With one, this finds every rank of one mind and does nothing.
    `check` may refuse it before anything is sent. Raises OSError on every rank when one machine
    cannot write what it is sent.

    >>> share_newest(Ranks(0, 0, 1, torch.device("cpu")), "a/folder/that/does/not/exist") is None
    True
    """
    folder = Path(folder)
    mine = on_every_rank(ranks, lambda: checkpoint.latest(folder))
    step = -1 if mine is None else mine.step
    steps = [int(one) for one in from_all_ranks(torch.tensor(step))]
    newest = max(steps)
    on_every_rank(ranks, lambda: check(mine) if mine and step == newest else None)
    if min(steps) == newest:
        return mine
    sender, final = steps.index(newest), folder / f"step_{newest:08d}"
    source = mine.path if ranks.rank == sender else None
    receives = step < newest and ranks.local_rank == 0

    def transfer():
        with write_folder(final) if receives else nullcontext() as aside:
            _transfer(source, aside, sender)

    on_every_rank(ranks, transfer)
    return on_every_rank(ranks, lambda: mine if step == newest else checkpoint.verify(final))


def _transfer(source: Path | None, aside: Path | None, sender: int) -> None:
    """Send or receive every file; a machine whose disk is full listens on, so that none waits."""
    problem = None
    listed = None
    if source is not None:
        manifest = json.loads((source / checkpoint.MANIFEST).read_text(encoding="utf-8"))
        names = [*manifest["sha256"], checkpoint.MANIFEST]
        sizes = {name: (source / name).stat().st_size for name in names}
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
    if problem is not None:
        raise problem


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
