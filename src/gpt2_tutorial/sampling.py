"""From logits to the next token: the knobs, and the draw (chapter 13)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real

import torch

from gpt2_tutorial.generate_input import best_logits

RANGES = {  # what each knob may be
    "temperature": ("0 or more", lambda value: 0 <= value < math.inf),
    "top_k": ("a whole number of at least 1", lambda value: value >= 1),
    "top_p": ("above 0 and at most 1", lambda value: 0 < value <= 1),
    "min_p": ("from 0 to 1", lambda value: 0 <= value <= 1),
    "repetition_penalty": ("above 0", lambda value: 0 < value < math.inf),
}


def check_knob(name: str, value: float) -> None:
    """Refuse a value outside the range of its knob.

    >>> check_knob("top_p", 0.9)
    """
    wanted, fits = RANGES[name]
    if not fits(value):
        raise ValueError(f"{name} must be {wanted}, not {value}")


@dataclass(frozen=True)
class Knobs:
    """How to draw: what makes no sense is refused before the first token.

    >>> Knobs(temperature=0.8, top_k=10).top_p is None  # this one is off
    True
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self):
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        may_be_off = "top_k", "top_p", "min_p"
        given = {
            k: v for k, v in given.items() if v is not None or k not in may_be_off
        }
        for name, value in given.items():
            kind = Integral if name == "top_k" else Real
            if not isinstance(value, kind) or isinstance(value, bool):
                whole = "whole " if kind is Integral else ""
                raise TypeError(f"{name} must be a {whole}number, not {value!r}")
        for name, value in given.items():
            check_knob(name, value)


def keep_top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Leave the k best tokens, and those that tie with the last; forbid the rest.

    >>> keep_top_k(torch.tensor([2.0, 1.0, 0.0]), 2)
    tensor([2., 1., -inf])
    """
    check_knob("top_k", k)
    last = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits < last, -math.inf)


def keep_top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Leave the fewest best tokens whose probabilities reach p together.

    >>> keep_top_p(torch.tensor([2.0, 1.0, 0.0]), 0.7)  # of 0.67, 0.24, 0.09
    tensor([2., 1., -inf])
    """
    check_knob("top_p", p)
    if p == 1:
        return logits
    ranked, order = logits.sort(descending=True, stable=True)
    bets = ranked.softmax(-1)
    drop = bets.cumsum(-1) - bets >= p  # the better ones have p without this one
    drop[..., 0] = False  # whatever rounding does, the best one stays
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


def keep_min_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Leave the tokens that are at least p times as likely as the best one.

    >>> keep_min_p(torch.tensor([2.0, 1.0, 0.0]), 0.3)  # 1, 0.37, 0.14 of the best
    tensor([2., 1., -inf])
    """
    check_knob("min_p", p)
    bets = logits.softmax(-1)
    best = bets.amax(-1, keepdim=True)
    return logits.masked_fill(bets < p * best, -math.inf)


def penalise(
    logits: torch.Tensor, idx: torch.Tensor, penalty: float
) -> torch.Tensor:
    """Make every token of idx (B, T) less likely to come again (if penalty > 1).

    >>> penalise(torch.tensor([[3.0, -3.0, 3.0]]), torch.tensor([[0, 1, 1]]), 1.5)
    tensor([[ 2.0000, -4.5000,  3.0000]])
    """
    check_knob("repetition_penalty", penalty)
    seen = logits.gather(-1, idx)  # (B, T)
    # Dividing would pull a negative logit up, so that one is multiplied.
    lower = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, idx, lower)  # (B, V)


def row_generators(
    generator: torch.Generator | Sequence[torch.Generator] | None, rows: int
) -> list[torch.Generator]:
    """Give every row chance of its own, so that no row disturbs another.

    >>> a = row_generators(torch.Generator().manual_seed(1), 2)
    >>> b = row_generators(torch.Generator().manual_seed(1), 3)
    >>> [one.initial_seed() == other.initial_seed() for one, other in zip(a, b)]
    [True, True]
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        if len(generator) != rows:
            raise ValueError(f"{len(generator)} generators do not fit {rows} rows")
        return list(generator)
    device = "cpu" if generator is None else generator.device
    seeds = torch.randint(2**62, (rows,), generator=generator, device=device)
    return [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]


def pick(
    logits: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
) -> torch.Tensor:
    """Choose one token for every row: logits (B, V) → ids (B,).

    >>> pick(torch.tensor([[0.0, 5.0, 1.0]]), temperature=0)  # greedy
    tensor([1])
    """
    check_knob("temperature", temperature)
    best = best_logits(logits)  # (B, 1)
    if temperature == 0:
        return logits.argmax(-1)
    logits = (logits - best) / max(temperature, 1e-30)  # the best is 0: no overflow
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    bets = logits.softmax(-1)  # (B, V)
    drawn = [
        torch.multinomial(row.to(own.device), 1, generator=own).item()
        for row, own in zip(bets, row_generators(generator, len(bets)), strict=True)
    ]
    return torch.tensor(drawn, device=logits.device)  # (B,)


def draw_next(
    logits: torch.Tensor,
    idx: torch.Tensor,
    knobs: Knobs,
    generators: Sequence[torch.Generator] | None = None,
) -> torch.Tensor:
    """Choose the token that follows the texts idx (B, T): logits (B, V) → ids (B,).

    >>> logits, idx = torch.tensor([[0.0, 5.0, 4.0]]), torch.tensor([[1]])
    >>> draw_next(logits, idx, Knobs(temperature=0, repetition_penalty=2.0))
    tensor([2])
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if knobs.repetition_penalty != 1:
        logits = penalise(logits, idx, knobs.repetition_penalty)
    return pick(
        logits,
        temperature=knobs.temperature,
        top_k=knobs.top_k,
        top_p=knobs.top_p,
        min_p=knobs.min_p,
        generator=generators,
    )
