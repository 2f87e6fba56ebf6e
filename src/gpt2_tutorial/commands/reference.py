"""A reference curve for `gpt2 doctor --against`: what good runs paid, and one with a known bug.

The file is JSON: `batch_tokens` and `vocab_size` of its runs, `text`, what was judged on, and two
curves, `good` and `broken`, each a list of [step, validation loss]. Its other keys say where the
points are from.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2_tutorial.files import read_small

if TYPE_CHECKING:
    from gpt2_tutorial.commands.doctor import Metrics

OURS = "reference"  # the word that stands for the file below
BESIDE_THE_SOURCE = Path(__file__).parents[3] / "results" / "reference"  # a clone
FOLDER = BESIDE_THE_SOURCE if BESIDE_THE_SOURCE.is_dir() else Path(__file__).parents[1] / OURS
FILE = FOLDER / "gpt2_124m.json"
TOO_BIG = 10**6  # bytes

# A look stands somewhere on the way from the good curve (0) to the broken one (1). Why a third:
# the same model, judged on FineWeb and not on FineWeb-Edu, stands at 0.28 (step 1,250, where both
# are published), and it is no broken run; two runs with one bug, of different people, stand 0.003
# apart. So the first third is what text may do, the last is as near to the bug as that is to a
# good run, and between them we do not know.
ON_COURSE, BROKEN = 1 / 3, 2 / 3
# The first loss of a fresh model is the logarithm of its vocabulary and about 0.1 more.
SAME_VOCABULARY = 0.5


@dataclass(frozen=True)
class Look:
    """One validation loss of a run between the two curves; `way` is 0 at the good, 1 at the bad."""

    step: int
    val: float
    good: float
    broken: float

    @property
    def way(self) -> float:
        return (self.val - self.good) / (self.broken - self.good)

    @property
    def verdict(self) -> str:
        """Say it in a word or two.

        >>> Look(1000, 4.20, good=4.15, broken=4.88).verdict
        'on course'
        >>> Look(1000, 4.87, good=4.15, broken=4.88).verdict
        'broken'
        """
        if self.way < -ON_COURSE:
            return "ahead"
        if self.way <= ON_COURSE:
            return "on course"
        return "behind" if self.way < BROKEN else "broken"


@dataclass(frozen=True)
class Curves:
    """Two curves, for runs of one batch and one vocabulary."""

    name: str
    text: str
    batch_tokens: int
    vocab_size: int
    good: list[tuple[int, float]]
    broken: list[tuple[int, float]]

    @property
    def first(self) -> int:
        return max(self.good[0][0], self.broken[0][0])

    @property
    def last(self) -> int:
        """The last step of the good curve; the broken one is followed a little beyond its end."""
        return self.good[-1][0]

    def looks(self, metrics: Metrics) -> list[Look]:
        """Return the run's validation losses between the first and the last step of the curves."""
        return [
            Look(step, val, at(self.good, step), at(self.broken, step))
            for step, val in metrics.val
            if self.first <= step <= self.last and val == val
        ]

    def refuse(self, metrics: Metrics) -> None:
        """Refuse a run that cannot be compared: another batch, another vocabulary."""
        tokens = metrics.batch_tokens
        if tokens != tokens:
            raise ValueError(
                "the log does not say how many tokens a step has (no row has tokens): without "
                "that, no step can be compared"
            )
        start = math.log(self.vocab_size)
        early = [v for s, v in metrics.loss + metrics.val if s <= 5 and v == v]
        if early and max(early) < start - SAME_VOCABULARY:
            raise ValueError(
                f"the first loss is {max(early):.3g}; with the {self.vocab_size:,} tokens of the "
                f"reference it is about {start:.3g}: a run on another vocabulary cannot be compared"
            )
        if round(tokens) != self.batch_tokens:
            raise ValueError(
                f"a step of this run has {tokens:,.0f} tokens, one of the reference "
                f"{self.batch_tokens:,}: equal steps have not read as much; give a reference of "
                "the same batch"
            )


def at(curve: list[tuple[int, float]], step: int) -> float:
    """Return a curve's loss at a step: straight over the logarithm of the step between points.

    >>> at([(100, 6.0), (10_000, 4.0)], 1_000)
    5.0
    """
    for (a, low), (b, high) in itertools.pairwise(curve):
        if a <= step <= b:
            return low + (high - low) * math.log(step / a) / math.log(b / a)
    return curve[-1][1]  # some steps behind the last point, where both are flat


def load(name: str) -> Curves:
    """Read a reference, the book's own for the word "reference".

    >>> load("reference").batch_tokens
    524288
    """
    file = FILE if name == OURS else Path(name)
    try:
        found = json.loads(read_small(file, TOO_BIG))
    except (ValueError, RecursionError):
        raise ValueError(f"{file} is no reference: it is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError(f'{file} is no reference: it begins with no "{{"')
    for key in ("batch_tokens", "vocab_size"):
        if type(found.get(key)) is not int or not 1 <= found[key] < 10**12:
            raise ValueError(f"{file} is no reference: {key} must be a whole number from 1 up")
    good, broken = (_curve(file, key, found.get(key)) for key in ("good", "broken"))
    said = Curves(
        str(found.get("name", file.stem)),
        str(found.get("text", "the text that the reference was judged on")),
        found["batch_tokens"],
        found["vocab_size"],
        good,
        broken,
    )
    for step in sorted({s for s, _ in good + broken if said.first <= s <= said.last}):
        if not at(broken, step) > at(good, step):
            raise ValueError(
                f"{file} is no reference: at step {step:,} the broken curve is not above the good"
            )
    return said


def _curve(file: Path, key: str, points: Any) -> list[tuple[int, float]]:
    wanted = f"{file} is no reference: {key} must be a list of two or more [step, loss], by step"
    if not isinstance(points, list) or len(points) < 2:
        raise ValueError(wanted)
    curve: list[tuple[int, float]] = []
    for point in points:
        fits = isinstance(point, list) and len(point) == 2 and type(point[0]) is int
        fits = fits and type(point[1]) in (int, float) and 0 < point[1] < 100
        if not fits or point[0] < 1 or (curve and point[0] <= curve[-1][0]):
            raise ValueError(f"{wanted}; {point!r:.40} is out of place")
        curve.append((point[0], float(point[1])))
    return curve


def judge(metrics: Metrics, reference: Curves) -> dict[str, Any]:
    """Return the verdict of the last look, and since which look it is so.

    The verdict is "too early" as long as no look lies behind the first step of the curves.
    """
    reference.refuse(metrics)
    looks = reference.looks(metrics)
    answer: dict[str, Any] = {"reference": reference.name, "verdict": "too early", "since": None}
    if looks:
        answer["verdict"] = looks[-1].verdict
        for look in reversed(looks):
            if look.verdict != answer["verdict"]:
                break
            answer["since"] = look.step
    answer["looks"] = [vars(look) | {"way": round(look.way, 3)} for look in looks]
    return answer


MEANS = {
    "on course": "It pays what a good run pays, as far as another held-out text allows.",
    "behind": "That is more than another text explains, and less than the known bug costs. Look at "
    "the next two evaluations before you pay for the rest.",
    "broken": "That is as much as a run pays whose processes share their gradients wrongly; other "
    "bugs cost as much. Stop it, end the machine, and look for the cause at home.",
    "ahead": "That is better than it should be. Is the validation text another one, or was it "
    "trained on?",
}


def lines(answer: dict[str, Any], reference: Curves) -> list[str]:
    """Say a verdict in sentences, a line each."""
    said = [f"Against {reference.name}: {answer['verdict']}."]
    if answer["verdict"] == "too early":
        said.append(
            f"   The first evaluation that can be compared is at step {reference.first:,}, the "
            f"last at step {reference.last:,}."
        )
        return said
    look = answer["looks"][-1]
    said.append(
        f"   Step {look['step']:,}: val {look['val']:.3f}; a good run {look['good']:.3f}, one with "
        f"the known bug {look['broken']:.3f}; {answer['verdict']} since step {answer['since']:,}."
    )
    said.append(f"   {MEANS[answer['verdict']]}")
    said.append(f"   This holds for {reference.text}.")
    return said
