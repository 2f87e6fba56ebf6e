"""The exercises of chapter 10: LayerNorm, the block itself, dropout, first weights."""

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
import torch.nn.functional as F

from gpt2_tutorial.checks.judges import judged
from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "10.1", __name__, subgoal="level", atol=0.002,
    stub="answer = None  # for example [0.5, -1.0, 1.0, -0.5]",
    solution="answer = [0.447, -1.342, -0.447, 1.342]",
)  # fmt: skip


def layer_norm_by_loops(x, gain, shift, eps=1e-5):
    rows = []
    for numbers in x.flatten(0, 1).tolist():
        mean = sum(numbers) / len(numbers)
        variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
        rows.append([(number - mean) / math.sqrt(variance + eps) for number in numbers])
    return torch.tensor(rows).view(x.shape) * gain + shift


def streams_to_level(rng: Dice):
    """A stream (B, T, C), a gain, a shift and an eps; some are nearly flat, so that eps matters."""
    one, none = torch.ones(4), torch.zeros(4)
    yield torch.tensor([[[1.0, 2.0, 3.0, 4.0], [4.0, 0.0, 0.0, 0.0]]]), one, none, 1e-5
    yield 0.01 * torch.tensor([[[1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 4.0, 2.0]]] * 2), one, none, 1e-4
    for _ in range(22):
        B, T, C = rng.randint(2, 3), rng.randint(2, 4), rng.randint(3, 6)
        x = rng.choice([0.01, 1.0, 10.0]) * (rng.randn(B, T, C) + rng.randint(-3, 3))
        yield x, 1 + rng.rand(C), rng.randn(C), rng.choice([1e-5, 1e-4])


@exercise(
    "10.2", subgoal="level", spec=layer_norm_by_loops, inputs=streams_to_level, atol=1e-4,
    without=("layer_norm", "loop"),
)  # fmt: skip
def layer_norm(x, gain, shift, eps=1e-5):
    # x (B, T, C), gain and shift (C,) → (B, T, C)
    mean = x.mean(-1, keepdim=True)  # (B, T, 1)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)  # (B, T, 1)
    return (x - mean) / torch.sqrt(variance + eps) * gain + shift  # (B, T, C)


def block_by_loops(x, ln_1, attn, ln_2, c_fc, c_proj):
    rows = []
    for token in (x + attn(ln_1(x))).flatten(0, 1):
        numbers = c_fc(ln_2(token))
        inner = math.sqrt(2 / math.pi) * (numbers + 0.044715 * numbers**3)
        rows.append(token + c_proj(0.5 * numbers * (1 + torch.tanh(inner))))
    return torch.stack(rows).view(x.shape)


@lru_cache(maxsize=256)  # a part is asked for every token, by every wrong answer
def drawn(seed: int, *shape: int) -> torch.Tensor:
    """Random numbers that are the same for the same seed."""
    return Dice(seed).randn(*shape).double()


@dataclass(frozen=True)
class Part:
    """A small stand-in for a part of a block; the five kinds can be told apart."""

    kind: str
    seed: int

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        C = x.shape[-1]
        if self.kind.startswith("ln"):
            gain, shift = drawn(self.seed, 2, C)
            return F.layer_norm(x, (C,)) * (1 + gain.abs()) + shift
        if self.kind == "attn":
            past = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
            return past @ drawn(self.seed, C, C)
        weight = drawn(self.seed, C + 1, 4 * C if self.kind == "c_fc" else C // 4)
        return x @ weight[1:] / 2 + weight[0]


def streams_and_parts(rng: Dice):
    """A stream and the five parts of a block."""
    for n in range(20):
        B, T, C = 1 + n % 2, 2 + n // 2 % 2, (3, 4, 5)[n % 3]
        # float64, for a nearly flat token has large gradients
        x = 3 * rng.randn(B, T, C).double() + 1
        kinds = ("ln_1", "attn", "ln_2", "c_fc", "c_proj")
        yield (x, *(Part(kind, rng.randrange(2**31)) for kind in kinds))


@exercise(
    "10.3", subgoal="assemble", spec=block_by_loops, inputs=streams_and_parts,
    observe=partial(judged, block_by_loops),
)  # fmt: skip
def gpt2_block(x, ln_1, attn, ln_2, c_fc, c_proj):
    # x (B, T, C) → (B, T, C); c_fc makes 4C numbers of C, c_proj C of 4C
    x = x + attn(ln_1(x))  # (B, T, C)
    wider = F.gelu(c_fc(ln_2(x)), approximate="tanh")  # (B, T, 4C)
    return x + c_proj(wider)  # (B, T, C)


def dropout_by_loops(x, chance, p, training):
    out = x.clone()
    for i in range(len(x)):
        if training:
            out[i] = 0.0 if chance[i].item() < p else x[i] / (1 - p)
    return out


def numbers_to_drop(rng: Dice):
    """Numbers, a chance for each, p, and whether the model is in training."""
    first = torch.tensor([0.9, 0.1, 0.25, 0.6])  # one on the border
    yield torch.ones(4), first, 0.25, True
    yield torch.ones(4), first, 0.25, False
    for i in range(22):
        n, p = rng.randint(4, 8), (0.0, 0.1, 0.2, 0.3, 0.6)[i % 5]
        x, chance = rng.randn(n), rng.rand(n)
        chance[0], chance[1] = 0.01 + 0.04 * (i % 2), 0.97
        yield x, chance, p, i % 4 != 3


@exercise("10.4", subgoal="drop", spec=dropout_by_loops, inputs=numbers_to_drop)
def dropout(x, chance, p, training):
    # x (n,), chance (n,) between 0 and 1: a number whose chance is below p goes
    if not training:
        return x
    return x * (chance >= p) / (1 - p)


def first_weights_in_turn(name, shape, n_layer):
    """Not drawn: every second number lies one spread below 0, so that no chance is compared."""
    std = 0.02 / math.sqrt(2 * n_layer) if name.split(".")[-1] == "c_proj" else 0.02
    weights = torch.full(shape, std)
    weights.view(-1)[::2] *= -1
    return weights


def spread_of(make, name, shape, n_layer):
    """What matters of random weights: their shape, their middle and their spread; not all 0."""
    weights = make(name, shape, n_layer)
    return {
        "shape": tuple(weights.shape),
        "all zero": not weights.any(),
        "mean": weights.mean().item(),
        "spread": weights.std(correction=0).item(),
    }


def maps_to_fill(rng: Dice):
    """Names of maps in a model, shapes, and numbers of blocks."""
    names = ("attn.c_proj", "mlp.c_proj", "attn.c_attn", "mlp.c_fc", "c_proj", "wte")
    for i, name in enumerate(4 * names):
        shape = rng.randint(190, 210), rng.randint(190, 210)
        yield f"{i}.{name}" if "." in name else name, shape, (2, 12, 24, 48)[i // 6]


@exercise(
    "10.5", subgoal="begin small", spec=first_weights_in_turn, inputs=maps_to_fill,
    observe=spread_of, atol=0.0005,
)  # fmt: skip
def first_weights(name, shape, n_layer):
    std = 0.02
    if name.endswith("c_proj"):
        std = std / math.sqrt(2 * n_layer)
    return std * torch.randn(shape)


value_exercise(
    "10.6", __name__, subgoal="compare", stub='answer = None  # for example "MLP"',
    solution='answer = "attention"',
)  # fmt: skip
