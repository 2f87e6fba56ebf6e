"""Say what may be wrong with a training run, from its metrics.

FILE is metrics.jsonl as launch/train_gpt2.py writes it, one JSON object a line: step, loss, norm
(before clipping), lr, tokens, val, apart. RUN_FOLDER is the folder that holds it. Causes come with
the most likely first, each with one line that shows whether it is so. Some bugs leave no trace in
metrics: two ranks that read the same text, validation on the training text, a missing table of
positions. --against compares the validation losses with those of published runs as well, step by
step, and says whether the run is on course, behind or broken.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from gpt2_tutorial import ledger
from gpt2_tutorial.commands import reference
from gpt2_tutorial.commands.options import add_json

METRICS = "metrics.jsonl"
TOO_BIG = 2**30  # bytes; ten million steps need no more
KNOWN = {65: "tiny Shakespeare's characters", 50257: "GPT-2's tokens", 256: "bytes"}
BAND_SEEDS = (0, 1, 2)  # the correct runs that the bands are made of; the tests ask about others
UNSEEN = (
    "the same text on every rank",
    "validation on the training text",
    "no table of positions",
)


@dataclass(frozen=True)
class Cause:
    """What may be wrong, why one may think so, the line that shows it, and how likely it is."""

    name: str
    because: str
    test: str
    weight: float


class Metrics:
    """The columns of one run, each a list of (step, number); a number that is none is NaN."""

    NAMES = ("loss", "norm", "lr", "tokens", "val", "apart")

    def __init__(self, rows: list[dict[str, Any]]):
        found: dict[str, dict[int, float]] = {name: {} for name in self.NAMES}
        self.written_otherwise = ""  # the first text, list or truth where a number belongs
        for row in rows:  # a step that was taken again counts as it came out the last time
            for name in sorted(self.NAMES & row.keys()):
                value = row[name]
                if value is None or type(value) in (int, float):
                    found[name][row["step"]] = as_float(value)
                elif not self.written_otherwise:
                    self.written_otherwise = f"{name} is {value!r:.40} at step {row['step']:,}"
        for name, column in found.items():
            setattr(self, name, sorted(column.items()))
        self.steps = max(row["step"] for row in rows)
        self.recipe = next((row["recipe"] for row in rows if "recipe" in row), "gpt2")
        self.broken_at = min(
            (s for name in ("loss", "norm", "val") for s, v in found[name].items() if v != v),
            default=None,
        )

    loss: list[tuple[int, float]]
    norm: list[tuple[int, float]]
    lr: list[tuple[int, float]]
    tokens: list[tuple[int, float]]
    val: list[tuple[int, float]]
    apart: list[tuple[int, float]]

    @property
    def start(self) -> float:
        """The loss before anything was learned."""
        first = self.loss or self.val
        return first[0][1] if first else math.nan

    @property
    def batch_tokens(self) -> float:
        return self.tokens[0][1] / max(self.tokens[0][0], 1) if self.tokens else math.nan


def as_float(value: Any) -> float:
    """Return a number that can be compared; null, NaN, infinities and giants are NaN.

    >>> as_float(2), as_float(None), as_float(10**400)
    (2.0, nan, nan)
    """
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan
    return number if abs(number) < 1e30 else math.nan


def between(column: list[tuple[int, float]], low: float, high: float) -> list[float]:
    """Return the numbers of the steps from `low` to `high`.

    >>> between([(1, 5.0), (2, 6.0), (3, 7.0)], 2, 3)
    [6.0, 7.0]
    """
    return [value for step, value in column if low <= step <= high]


def late(column: list[tuple[int, float]], share: float = 0.2) -> float:
    """Return the median of the last part of a run, NaN for an empty column.

    >>> late([(step, float(step)) for step in range(1, 11)])
    9.5
    """
    if not column:
        return math.nan
    last = column[-1][0]
    return median(between(column, last - share * (last - column[0][0]), last))


def read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of a metrics file, and how many lines a kill cut off (0 or 1)."""
    file = path / METRICS if path.is_dir() else path
    if file.stat().st_size > TOO_BIG:
        raise ValueError(f"{file} has {file.stat().st_size:,} bytes: that is no metrics file")
    lines = file.read_bytes().split(b"\n")
    rows, cut = [], 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _row(line)
        if row is not None:
            rows.append(row)
        elif number == len(lines) and rows:  # no line end behind it: the run was killed there
            cut = 1
        else:
            raise ValueError(
                f"{file} is no metrics file: line {number:,} is no JSON object with a step of 0 "
                'or more, as {"step": 1, "loss": 4.2} is'
            )
    if not any({"loss", "val"} & row.keys() for row in rows):
        raise ValueError(f"{file} says no loss: nothing to judge")
    return rows, cut


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return row if type(step) is int and 0 <= step < 10**12 else None


class Reference:
    """Bands of the correct run that was committed with the book, where the run is like it."""

    def __init__(self, metrics: Metrics):
        log = ledger.logged("broken_runs")
        made = log["recipe"]
        start = math.log(made["vocab_size"])
        self.like = metrics.batch_tokens == made["batch_tokens"] and metrics.steps <= made["steps"]
        self.like = self.like and (abs(metrics.start - start) < 0.3 or metrics.start > 12)
        self.like = self.like and metrics.recipe == "gpt2"  # another optimizer, other gradients
        self.max_lr, self.steps = made["max_lr"], made["steps"]
        self.runs = [run for run in log["correct"] if run["seed"] in BAND_SEEDS]

    def ratio(self, metrics: Metrics) -> float:
        """How many times as long gradients are after the first steps as those of a correct run."""
        if not self.like:
            return math.nan
        normal: dict[int, list[float]] = {}
        for run in self.runs:
            for step, norm in zip(run["train"]["step"], run["train"]["norm"], strict=True):
                normal.setdefault(step, []).append(norm)
        pairs = [(v, normal[s]) for s, v in metrics.norm if s >= 10 and s in normal and v == v]
        return median(v / fmean(norms) for v, norms in pairs) if pairs else math.nan

    def excess(self, metrics: Metrics) -> float:
        """By how much the last three validation losses are above those of a correct run."""
        if not self.like:
            return math.nan
        steps = dict(metrics.val)
        common = [s for s in self.runs[0]["looks"]["step"] if s in steps and s > 0]
        if len(common) < 3 or common[-1] < self.steps / 2:  # runs differ more in the beginning
            return math.nan
        normal = [dict(zip(run["looks"]["step"], run["looks"]["val"], strict=True))
                  for run in self.runs]  # fmt: skip
        return fmean(steps[s] - fmean(run[s] for run in normal) for s in common[-3:])


def no_number_in_the_file(m: Metrics, ref: Reference) -> list[Cause]:
    """A program wrote a text where a number belongs: the run itself may be well."""
    if not m.written_otherwise:
        return []
    return [
        Cause(
            "a value is no number in the file",
            m.written_otherwise + ", and what is no number is left out here",
            'write it as {"step": 1, "loss": 4.2} is written, without quotation marks',
            0.99,
        )
    ]


def no_number(m: Metrics, ref: Reference) -> list[Cause]:
    """The loss or the norm is no number: fp16, or steps that are too long."""
    if m.broken_at is None:
        return []
    before = [v for s, v in m.loss if s < m.broken_at and v == v]
    rose = bool(before) and max(before) > min(before[0], 12) + 1
    because = f"loss, norm or val is no number from step {m.broken_at:,} on"
    return [
        Cause(
            "fp16 without float32 weights and a scaler",
            because + ("" if rose else ", and nothing grew before it"),
            "assert next(model.parameters()).dtype == torch.float32; take ten steps in fp32",
            0.7 if rose else 0.95,
        ),
        Cause(
            "the learning rate is too high",
            because + (", after the loss had risen" if rose else ""),
            "run 100 steps with a tenth of the rate",
            0.9 if rose else 0.5,
        ),
    ]


def bold_start(m: Metrics, ref: Reference) -> list[Cause]:
    """The first loss is worse than not knowing anything."""
    if not m.loss or m.loss[0][0] > 5 or not m.start > 12:
        return []
    return [
        Cause(
            "the first weights are too large",
            f"the first loss is {m.start:.3g}; equal bets on 50,257 tokens cost 10.8, on 65 "
            "characters 4.2",
            "assert 0.01 < model.transformer.wte.weight.std() < 0.03 before the first step",
            0.9,
        )
    ]


def too_good(m: Metrics, ref: Reference) -> list[Cause]:
    """Validation loss that no language allows: the answer is in the question."""
    val = [v for _, v in m.val if v == v]
    if not val or min(val) > 0.7:
        return []
    at = next(s for s, v in m.val if v <= 0.7)
    soon = at <= 0.2 * m.steps
    because = (
        f"val is {min(val):.2g}, from step {at:,} on below 0.7: no text can be guessed so well"
    )
    return [
        Cause(
            "targets are the inputs (y = x)",
            because,
            "assert (y[:, :-1] == x[:, 1:]).all()",
            0.95 if soon else 0.8,
        ),
        Cause(
            "the causal mask is missing",
            because,
            "change the last token: no logits before it may move",
            0.85 if soon else 0.9,
        ),
    ]


def same_text(m: Metrics, ref: Reference) -> list[Cause]:
    """Training loss falls away from validation loss: text is read again and again."""
    at, val = m.val[-1] if m.val else (0, math.nan)
    train = median(between(m.loss, 0.9 * at - 2, at + 2) or [math.nan])
    best = min((v for _, v in m.val if v == v), default=math.nan)
    if not val - train > 0.3 or not train < val - 0.1 * val:
        return []
    because = f"train is {train:.2g} and val {val:.2g}, {val - train:.2g} apart"
    quick = train < 0.5 and val > m.start
    return [
        Cause(
            "the same batch again and again",
            because,
            "assert not torch.equal(x, x_of_the_step_before)",
            0.9 if quick else 0.7,
        ),
        Cause(
            "the loader restarts at 0 after a resume, or the text is too short for so many steps",
            because + (f"; val was {best:.2g} before" if val > best + 0.05 else ""),
            "assert loader.state_dict() is the same before the stop and after",
            0.8 if quick else 0.85,
        ),
    ]


def ranks_apart(m: Metrics, ref: Reference) -> list[Cause]:
    """Weights differ between ranks."""
    apart = max((v for _, v in m.apart if v == v), default=0.0)
    if not apart > 0:
        return []
    because = f"a weight differs by {apart:.2g} between ranks, and it must not differ at all"
    test = "assert gather(weight) is equal on all ranks, after any step"
    return [
        Cause("the DDP wrapper is dropped (model.module is trained)", because, test, 0.97),
        Cause("no_sync is set after the forward", because, test, 0.96),
    ]


def long_gradients(m: Metrics, ref: Reference) -> list[Cause]:
    """Gradients that are too long, or grow and grow."""
    norms = [v for _, v in m.norm if v == v]
    if len(norms) < 20:
        return []
    first, end = median(norms[: len(norms) // 10]), late(m.norm)
    grows = end > 4 * first and end > 10
    times = ref.ratio(m)
    if grows:
        because = f"the norm grew from {first:.2g} to {end:.2g}"
    elif times > 2.2 and not m.start > 12:
        because = f"gradients are {times:.1f} times as long as in a correct run"
    elif not ref.like and end > 2.5 and not m.start > 12:
        because = f"the norm stays at {end:.2g}; most runs end below 1"
    else:
        return []
    return [
        Cause(
            "zero_grad is forgotten",
            because,
            "assert all(p.grad is None for p in model.parameters()) when a step begins",
            0.88 if grows else 0.5,
        ),
        Cause(
            "the loss is not divided by the number of pieces",
            because,
            "the norm with several pieces must be that of the same batch in one piece",
            0.4 if grows else 0.75,
        ),
    ]


def rate(m: Metrics, ref: Reference) -> list[Cause]:
    """A learning rate that is out of all proportion, or does not begin low."""
    if not m.lr:
        return []
    top = max((v for _, v in m.lr if v == v), default=math.nan)
    normal = ref.max_lr if ref.like else math.nan
    found = []
    if top > 0.02 or top > 4 * normal:
        because = f"lr goes up to {top:.2g}; the sizes of GPT-2 take from 1e-4 to 1e-2"
        test = "run 100 steps with a tenth of the rate"
        found.append(Cause("the learning rate is too high", because, test, 0.87))
    if top < 2e-5 or top < normal / 4:
        because = f"lr never exceeds {top:.2g}, and the loss falls slowly"
        test = "run 100 steps with ten times the rate"
        found.append(Cause("the learning rate is too low", because, test, 0.87))
    first, begins = m.lr[0][1], m.lr[0][0] <= 2
    if begins and m.steps >= 20 and first > 0.5 * top:
        because = f"lr is {first:.2g} in the first step already, and {top:.2g} at most"
        test = "print the first ten values of lr: they must climb"
        rough = max(between(m.loss, 2, 20), default=0) > m.start + 0.3
        found.append(Cause("there is no warm-up", because, test, 0.9 if rough else 0.6))
    return found


def stands_still(m: Metrics, ref: Reference) -> list[Cause]:
    """A loss that stops falling early although the rate is right."""
    half = median(between(m.loss, 0.4 * m.steps, 0.5 * m.steps) or [math.nan])
    end, norm = late(m.loss, 0.1), late(m.norm)
    if not (len(m.loss) >= 20 and half - end < 0.05 and end > 0.7 * min(m.start, 11)):
        return []
    because = f"the loss stands at {end:.2g} for half of the run, near what letter counts give"
    small = norm < 0.3
    return [
        Cause(
            "the weight decay is far too large",
            because + (f", and gradients are short ({norm:.2g})" if small else ""),
            "print(lr * weight_decay), the share of a weight that a step takes: below 0.001",
            0.8 if small else 0.55,
        ),
        Cause(
            "the learning rate is too high",
            because,
            "run 100 steps with a tenth of the rate",
            0.6,
        ),
    ]


def behind(m: Metrics, ref: Reference) -> list[Cause]:
    """Learning goes on, a little or a lot behind a correct run, and the rate is not to blame."""
    excess, times = ref.excess(m), ref.ratio(m)
    if not excess > 0.06 or m.start > 12:
        return []
    because = f"val is {excess:.2f} above that of a correct run at the same step"
    if excess <= 0.2:
        return [
            Cause(
                "ranks read the same text, or do not share their gradients",
                because + ", as if a part of every batch were lost",
                "print(rank, x[0, :8]) on every rank: all differ; then gather a weight: none does",
                0.4,
            ),
            Cause(
                "the position table is never added",
                because,
                "swap two early tokens: the logits at the end must move",
                0.35,
            ),
        ]
    longer = f", and gradients are {times:.1f} times as long" if times > 1.2 else ""
    return [
        Cause(
            "targets are shifted by two",
            because + ("" if longer else ", and gradients are no longer than they should be"),
            "assert (y[:, :-1] == x[:, 1:]).all()",
            0.5 if longer else 0.75,
        ),
        Cause(
            "zero_grad is forgotten",
            because + longer,
            "assert all(p.grad is None for p in model.parameters()) when a step begins",
            0.7 if longer else 0.4,
        ),
        Cause(
            "the weight decay is far too large",
            because + longer,
            "print(lr * weight_decay), the share of a weight that a step takes: below 0.001",
            0.65 if longer else 0.45,
        ),
    ]


LOOKS: tuple[Callable[[Metrics, Reference], list[Cause]], ...] = (
    no_number_in_the_file,
    no_number,
    ranks_apart,
    bold_start,
    too_good,
    same_text,
    long_gradients,
    rate,
    stands_still,
)


def causes(rows: list[dict[str, Any]]) -> list[Cause]:
    """Return what may be wrong, the most likely first; [] if nothing stands out.

    >>> [cause.name for cause in causes([{"step": 1, "loss": 35.0}])]
    ['the first weights are too large']
    """
    metrics, best = Metrics(rows), {}
    reference = Reference(metrics)
    found = [cause for look in LOOKS for cause in look(metrics, reference)]
    for cause in found or behind(metrics, reference):  # whatever is wrong, the run is behind
        if cause.name not in best or cause.weight > best[cause.name].weight:
            best[cause.name] = cause
    return sorted(best.values(), key=lambda cause: -cause.weight)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("run", type=Path, metavar="FILE_OR_FOLDER", help="the metrics (required)")
    parser.add_argument(
        "--against", metavar="REFERENCE",
        help=f"the word {reference.OURS} for the published runs of GPT-2's 124M, or a JSON file of "
        "the same form (default: no comparison)",
    )  # fmt: skip
    add_json(parser)


def run(asked: argparse.Namespace) -> None:
    """Print the causes, or that nothing stands out."""
    rows, cut = read(asked.run)
    found, metrics = causes(rows), Metrics(rows)
    curves = reference.load(asked.against) if asked.against else None
    against = reference.judge(metrics, curves) if curves else None
    if asked.json:
        listed = [vars(cause) for cause in found]
        answer = {"rows": len(rows), "cut_lines": cut, "causes": listed}
        print(json.dumps(answer | ({"against": against} if against else {})))
        return
    print(f"{len(rows):,} rows, up to step {metrics.steps:,}.", end="")
    print(" The last line was cut off and is left out." if cut else "")
    if metrics.recipe != "gpt2":
        print(f"Its recipe is {metrics.recipe!s:.40}: the bands of correct runs are gpt2's.")
    if not found:
        print("Nothing stands out.")
        print(f"Metrics alone cannot show: {'; '.join(UNSEEN)}.")
    for number, cause in enumerate(found, start=1):
        print(f"\n{number}. Perhaps {cause.name}.")
        print(f"   Why: {cause.because}.\n   Test: {cause.test}")
    if curves and against:
        print("\n" + "\n".join(reference.lines(against, curves)))
