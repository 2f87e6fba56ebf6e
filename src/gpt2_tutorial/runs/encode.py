"""Text to ids in several processes, in order; support of `gpt2 prepare`, not taught.

It imports neither torch nor the shards, so that a process starts in a moment.
"""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np

from gpt2_tutorial.bpe import GPT2Tokenizer
from gpt2_tutorial.bpe_export import to_tiktoken

END_OF_TEXT = "\x03"  # what ends a text in ASCII, for tokenizers of characters
_BATCH = 1_000_000  # characters that a process is handed at once


class EncodeError(RuntimeError):
    """The tokenizing processes are gone; the message says what to do."""


def load_tokenizer(kind: str, value: str = "") -> Any:
    """Make a tokenizer out of two strings, which any process can be handed.

    >>> load_tokenizer("characters", "abc").encode("cab")
    [2, 0, 1]
    """
    if kind == "gpt2":
        return GPT2Tokenizer()
    if kind == "file":
        from gpt2_tutorial.runs.tokenizers import tokenizer_file

        return tokenizer_file(value)
    from gpt2_tutorial.text import CharTokenizer  # here, since it needs torch

    return CharTokenizer(value)


@lru_cache(maxsize=1)
def _encoder(kind: str, value: str) -> Callable[[str], list[int]]:
    tokenizer = load_tokenizer(kind, value)
    if kind == "characters":
        return tokenizer.encode
    try:
        fast = to_tiktoken(tokenizer).encode_ordinary
    except (ImportError, ValueError):
        return tokenizer.encode  # the same ids, more slowly
    # tiktoken's pattern recurses; one piece of a megabyte is ours.
    return lambda text: fast(text) if len(text) < _BATCH else tokenizer.encode(text)


def _encode_batch(kind: str, value: str, texts: list[str]) -> tuple[list[int], np.ndarray]:
    """Encode texts to one array and their lengths, which travel faster than lists."""
    encode = _encoder(kind, value)
    arrays = [np.array(encode(text), dtype=np.uint16) for text in texts]
    return [len(array) for array in arrays], np.concatenate(arrays)


def _work(connection: Connection, kind: str, value: str) -> None:
    """Encode what comes, until the other end is gone, however it went."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    with contextlib.suppress(EOFError, OSError):
        while True:
            texts = connection.recv()
            try:
                connection.send(_encode_batch(kind, value, texts))
            except (ValueError, RuntimeError, MemoryError) as error:
                connection.send(error)


def batches(pairs: Iterable[tuple[Any, str]]) -> Iterator[list[tuple[Any, str]]]:
    """Gather documents until they hold about a million characters."""
    batch, size = [], 0
    for pair in pairs:
        batch.append(pair)
        size += len(pair[1]) + 100
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class ParallelEncoder:
    """Turns (key, text) into (key, ids), in the order in which they come.

    >>> with ParallelEncoder("characters", "abc", processes=1) as encode:
    ...     [(key, ids.tolist()) for key, ids in encode([("one", "cab"), ("two", "b")])]
    [('one', [2, 0, 1]), ('two', [1])]
    """

    def __init__(self, kind: str, value: str = "", processes: int = 1):
        cores = os.cpu_count() or 1
        most = 4 * cores  # more of them take memory and gain no time
        if not 1 <= processes <= most:
            raise ValueError(
                f"--processes must be from 1 to {most}, 4 for each core of this machine, "
                f"not {processes}"
            )
        self.kind, self.value, self.processes = kind, value, processes
        self.workers: list[tuple[BaseProcess, Connection]] = []
        self.tokens = 0
        self.on_tokens: Callable[[int], Any] = lambda count: None

    def __enter__(self) -> "ParallelEncoder":
        spawn = multiprocessing.get_context("spawn")
        for _ in range(self.processes if self.processes > 1 else 0):
            # A pipe for each: a killed process breaks its own, and nobody waits for ever.
            ours, theirs = spawn.Pipe()
            work = (theirs, self.kind, self.value)
            process = spawn.Process(target=_work, args=work, daemon=True)
            process.start()
            theirs.close()
            self.workers.append((process, ours))
        return self

    def __exit__(self, *error: object) -> None:
        for process, connection in self.workers:
            connection.close()
            process.terminate()
        for process, _ in self.workers:
            process.join()
        self.workers = []

    def __call__(self, pairs: Iterable[tuple[Any, str]]) -> Iterator[tuple[Any, np.ndarray]]:
        for keys, (lengths, ids) in self._results(batches(pairs)):
            self.tokens += len(ids)
            self.on_tokens(len(ids))
            yield from zip(keys, np.split(ids, np.cumsum(lengths)[:-1]), strict=True)

    def _results(self, many: Iterable[list]) -> Iterator[tuple]:
        """Hand the batches out in turn and take the results in the same turn."""
        waiting: deque = deque()
        for number, batch in enumerate(many):
            keys, texts = map(list, zip(*batch, strict=True))
            if not self.workers:
                yield keys, _encode_batch(self.kind, self.value, texts)
                continue
            done = [self._receive(*waiting.popleft())] if number >= self.processes else []
            _, connection = self.workers[number % self.processes]
            with self._alive():
                connection.send(texts)
            waiting.append((keys, connection))
            yield from done
        while waiting:
            yield self._receive(*waiting.popleft())

    def _receive(self, keys: list, connection: Connection) -> tuple:
        with self._alive():
            result = connection.recv()
        if isinstance(result, Exception):
            raise result
        return keys, result

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            raise EncodeError(
                f"one of {self.processes} tokenizing processes was killed, perhaps for its "
                "memory: the same command goes on from the last shard; try fewer --processes"
            ) from None
