"""The exercises of chapter 17: in which order, how often, what a kill costs, and who stops."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "17.1", __name__, subgoal="hold", stub='answer = None  # for example "ABCDEFGH"',
    solution='answer = "CHBEDGFA"',
)  # fmt: skip


value_exercise(
    "17.2", __name__, subgoal="settle", stub="answer = None  # for example [2, 16]",
    solution="answer = [1, 4]",
)  # fmt: skip


value_exercise(
    "17.3", __name__, subgoal="go on", stub="answer = None  # for example [[0, 250], 3]",
    solution="answer = [[500, 750, 1000], 130]",
)  # fmt: skip


# --- who stops: ranks as threads, which wait for each other wherever they call `any_rank`


class WaitsForEver(Exception):
    """A rank has come to a meeting that another one will never come to."""


class Meeting:
    """Where all ranks say yes or no, and all hear whether anybody said yes."""

    def __init__(self, ranks: int):
        self.ranks, self.gone = ranks, 0
        self.said: dict[int, bool] = {}
        self.heard: list[bool] = []  # of each time that all had come
        self.door = threading.Condition()

    def any_rank(self, rank: int, flag: bool) -> bool:
        with self.door:
            number = len(self.heard)
            self.said[rank] = bool(flag)
            if len(self.said) == self.ranks:
                self.heard.append(any(self.said.values()))
                self.said = {}
                self.door.notify_all()
            self.door.wait_for(lambda: len(self.heard) > number or self.gone)
            if len(self.heard) == number:
                raise WaitsForEver
            return self.heard[number]

    def leave(self) -> None:
        with self.door:
            self.gone += 1
            self.door.notify_all()


def of_all_ranks(steps_taken: Callable, max_steps: int, pieces: int, asked_at: list) -> object:
    """What every rank returns; `asked_at` says at which of its looks each is asked to stop."""
    meeting, ranks = Meeting(len(asked_at)), range(len(asked_at))

    def run(rank: int) -> object:
        looks = count()

        def asked() -> bool:  # a signal is heard once, and from then on the answer is yes
            return asked_at[rank] is not None and next(looks) >= asked_at[rank]

        try:
            return steps_taken(max_steps, pieces, asked, partial(meeting.any_rank, rank))
        except WaitsForEver:
            return "waits for ever"
        finally:
            meeting.leave()

    with ThreadPoolExecutor(len(ranks)) as pool:
        results = list(pool.map(run, ranks))
    if all(result is None for result in results):
        return None
    return {f"rank {rank}": result for rank, result in zip(ranks, results, strict=True)}


def look_by_look(max_steps, pieces, asked, any_rank):
    looks = 0
    for _ in range(max_steps * pieces):
        if any_rank(asked()):
            break
        looks += 1
    return looks // pieces


def runs_to_stop(rng: Dice):
    """Steps, pieces of a step, and for each rank the look at which it is asked, or None."""
    yield 5, 2, [None, 4]
    yield 4, 3, [7, None]
    yield 3, 2, [None, None]
    yield 3, 2, [None, 0, None]
    for i in range(20):
        max_steps, pieces, ranks = rng.randint(3, 8), rng.randint(2, 4), rng.randint(2, 4)
        asked_at: list[int | None] = [None] * ranks
        for _ in range(1 if i % 3 else 2):
            asked_at[rng.randrange(ranks)] = rng.randrange(max_steps * pieces)
        yield max_steps, pieces, asked_at


@exercise(
    "17.4", subgoal="stop together", spec=look_by_look, inputs=runs_to_stop, observe=of_all_ranks
)
def steps_taken(max_steps, pieces, asked, any_rank):
    # asked() and any_rank(flag) → True or False; returns how many steps are done
    for step in range(max_steps):
        for _ in range(pieces):
            if any_rank(asked()):
                return step
    return max_steps
