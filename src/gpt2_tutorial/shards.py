"""Shards: more tokens than memory holds, and who reads which (chapter 15)."""

import os
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import index
from typing import Any

import numpy as np
import torch

from gpt2_tutorial.shard_format import ShardError, open_split
from gpt2_tutorial.shard_writer import write_shards  # noqa: F401  readers want both


class TokenRing:
    """The tokens of all shards as one ring: behind the last stands the first.

    >>> TokenRing([np.array([0, 1, 2]), np.array([3, 4])]).read(1, size=6).tolist()
    [1, 2, 3, 4, 0, 1]
    """

    def __init__(self, shards: list[np.ndarray]):
        self.shards, self.size = shards, sum(map(len, shards))
        self.starts = [0, *np.cumsum([len(shard) for shard in shards]).tolist()]

    def read(self, start: int, size: int) -> np.ndarray:
        """Copy tokens out of one shard, or out of several where they meet."""
        tokens, filled = np.empty(size, np.uint16), 0
        while filled < size:
            place = (start + filled) % self.size
            number = bisect_right(self.starts, place) - 1
            begin = place - self.starts[number]
            part = self.shards[number][begin : begin + size - filled]
            tokens[filled : filled + len(part)] = part
            filled += len(part)
        return tokens


def epoch_order(sequences: int, seed: int, epoch: int) -> np.ndarray:
    """Shuffle the numbers of all sequences: another order for another epoch.

    >>> epoch_order(4, seed=0, epoch=0), epoch_order(4, seed=0, epoch=1)
    (array([0, 2, 3, 1]), array([1, 2, 0, 3]))
    """
    # Its stream is frozen: NumPy promises the same order in every later version.
    # The order is never saved, so a resumed run must be able to draw it again.
    return np.random.RandomState([seed, epoch]).permutation(sequences)


class Sequences:
    """All epochs as one endless row of sequences: a number names T tokens.

    >>> row = Sequences(TokenRing([np.arange(9)]), T=2, seed=0)
    >>> [row.read(number).tolist() for number in range(3)]
    [[0, 1, 2], [4, 5, 6], [6, 7, 8]]
    """

    def __init__(self, ring: TokenRing, T: int, seed: int):
        self.ring, self.T, self.seed = ring, T, seed
        self.in_epoch = ring.size // T
        self._order = (-1, None)  # of the epoch that was asked for last

    def read(self, number: int) -> np.ndarray:
        """Copy T tokens, and the one behind them: the last target."""
        epoch, place = divmod(number, self.in_epoch)
        if self._order[0] != epoch:
            self._order = epoch, epoch_order(self.in_epoch, self.seed, epoch)
        # An epoch begins where the one before ended: the rest of the ring is first.
        nth = epoch * self.in_epoch + int(self._order[1][place])
        return self.ring.read(nth * self.T, self.T + 1)


class ShardLoader:
    """Hands out batches in an order that depends on the seed, not on the ranks.

    >>> import tempfile
    >>> from gpt2_tutorial.text import CharTokenizer
    >>> folder, tokenizer = tempfile.mkdtemp(), CharTokenizer("ab.")
    >>> _ = write_shards(["ab", "ba"], tokenizer, folder, end_of_text=0)
    >>> ShardLoader(folder, "train", B=1, T=4).next_batch()
    (tensor([[2, 1, 0, 1]]), tensor([[1, 0, 1, 2]]))
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        split: str,
        B: int,
        T: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        *,
        tokenizer: Any = None,
        prefetch: bool = False,
    ):
        _check_sizes(B, T, rank, world_size, seed)
        shards, self.vocab_size, self.data = open_split(folder, split, tokenizer)
        self.row = Sequences(TokenRing(shards), T, seed)
        self.sequences = self.row.in_epoch
        _check_enough(self.row, B, world_size, f"{split} in {folder}")
        self.B, self.rank, self.world_size = B, rank, world_size
        self.position = 0  # how many sequences all ranks together have had
        self._prefetcher = Prefetcher(self._read) if prefetch else None

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x, and y = x moved on by one; all ranks move on together."""
        here, there = self.position, self.position + self.B * self.world_size
        if self._prefetcher is None:
            batch = self._read(here)
        else:
            batch = self._prefetcher.read(here, then=there)
        self.position = there
        return batch

    def _read(self, position):
        first = position + self.rank * self.B
        rows = np.stack([self.row.read(first + i) for i in range(self.B)])
        if rows.max() >= self.vocab_size:
            found = f"id {rows.max()} is not below {self.vocab_size}"
            raise ShardError(f"{found}: `gpt2 prepare check` finds the shard")
        x, y = rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64)  # (B, T)
        return torch.from_numpy(x), torch.from_numpy(y)

    def state_dict(self) -> dict[str, Any]:
        """Return what another loader needs to go on from here."""
        state = {"position": self.position, "data": self.data}
        return state | {"seed": self.row.seed, "T": self.row.T}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, with as many ranks as there are now."""
        for name, mine in self.state_dict().items():
            theirs = state.get(name)
            if theirs is None or (theirs != mine and name != "position"):
                raise ValueError(
                    f"this is no state of this loader: {name} is {theirs!s:.12} "
                    f"there and {mine!s:.12} here"  # of 64 digits, 12 are enough
                )
        self.position = state["position"]


class Prefetcher:
    """Reads what comes next in a thread, while the model computes.

    >>> squares = Prefetcher(lambda number: number**2)
    >>> squares.read(3, then=4), squares.read(4, then=5)
    (9, 16)
    """

    def __init__(self, read: Callable[[int], Any]):
        self._read, self._thread = read, ThreadPoolExecutor(1)
        self._place = self._coming = None

    def read(self, place: int, then: int) -> Any:
        """Return what stands at `place`, and begin to read from `then`."""
        if self._place != place:  # the first, or it was put elsewhere
            self._coming = self._thread.submit(self._read, place)
        result, self._place = self._coming.result(), then
        self._coming = self._thread.submit(self._read, then)
        return result


def _check_sizes(B, T, rank, world_size, seed):
    B, T, rank, world_size, seed = map(index, (B, T, rank, world_size, seed))
    if min(B, T) < 1 or not 0 <= rank < world_size or not 0 <= seed < 2**32:
        raise ValueError(
            "a loader needs B ≥ 1, T ≥ 1, 0 ≤ rank < world_size, 0 ≤ seed < 2³², "
            f"not B = {B}, T = {T}, rank {rank} of {world_size}, seed {seed}"
        )


def _check_enough(row, B, world_size, name):
    if row.in_epoch >= B * world_size:
        return
    # Only what would be enough by itself is named; more text always is.
    fits = {
        "B (--micro-batch)": row.in_epoch // world_size,
        "T (--block-size)": row.ring.size // (B * world_size),
        "world_size": row.in_epoch // B,
    }
    ways = [
        f"a {option} of at most {most}" for option, most in fits.items() if most
    ]
    more = "more text (for val also a smaller --val-every of `gpt2 prepare`)"
    raise ShardError(
        f"the {row.ring.size:,} tokens of {name} are {row.in_epoch:,} sequences "
        f"of {row.T}, and {B * world_size} are wanted at once, B = {B} for each of "
        f"{world_size} ranks: take {', or '.join([*ways, more])}"
    )
