"""The exercises of chapter 14: rounding, one step in pieces, clipping, what decays, a museum."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn as nn

from gpt2_tutorial.checks.compare import same
from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "14.1", __name__, subgoal="round", stub="answer = None  # for example [513, 515, 2049, 66000]",
    solution='answer = [512, 516, 2048, float("inf")]',
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """How many rows in how many pieces; model and numbers follow from the seed."""

    seed: int
    count: int
    rows: int
    width: int

    def __repr__(self) -> str:
        pieces, rows = f"{self.count} piece", f"{self.rows} row"
        return f"model, {pieces}{'s'[: self.count - 1]} of {rows}{'s'[: self.rows - 1]}, optimizer"

    def made(self) -> tuple[nn.Module, list]:
        dice, total = Dice(self.seed), self.count * self.rows
        x, y = dice.randn(total, self.width), dice.randn(total, 1)
        model = nn.Linear(self.width, 1)
        for p in model.parameters():
            p.data = 1.2 * dice.rand(*p.shape) - 0.6
        (model(x) - 3).sum().backward()  # gradients that an earlier step left behind
        return model, list(zip(x.chunk(self.count), y.chunk(self.count), strict=True))


class Memory:
    """Counts the rows that wait for their backward, whose numbers are kept, and the backwards."""

    def __init__(self):
        self.most, self.pieces = 0, []  # of each: its rows, and the gradients that came back

    def __call__(self, model, given, out):
        if out.requires_grad:
            self.pieces.append((len(out), came := []))
            self.most = max(self.most, sum(rows for rows, came in self.pieces if not came))
            out.register_hook(came.append)


def after_the_step(big_step: Callable, rows: Rows) -> dict:
    """What one big step leaves behind; what is short stands first, so that it is shown."""
    model, pieces = rows.made()
    given = [(x.clone(), y.clone()) for x, y in pieces]
    optimizer, steps = torch.optim.SGD(model.parameters(), lr=0.1), []
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    memory = Memory()
    model.register_forward_hook(memory)
    big_step(model, pieces, optimizer)
    found = {
        "steps": len(steps),
        "pieces kept": same(given, pieces, 0.0, strict=True),
        "weights": nn.utils.parameters_to_vector(model.parameters()).detach().round(decimals=5),
    }
    at_once = memory.most // rows.rows
    dear = {"pieces at once": at_once} if at_once > 1 else {}
    backwards = max((len(came) for _, came in memory.pieces), default=0)
    if not dear and backwards > 1:  # the numbers of a piece were kept
        dear = {"backwards of one piece": backwards}
    # of interest only where all else is right
    if dear and same(after_the_step(big_step_at_once, rows), found, 3e-5):
        return dear | found
    return found


def big_step_at_once(model, pieces, optimizer):
    """All rows as one batch, and its gradient by the formula for a straight line."""
    x, y = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    with torch.no_grad():
        misses = model(x) - y  # (N, 1)
        model.weight.grad[0] = (2 * misses * x).mean(0)
        model.bias.grad[0] = (2 * misses).mean()
    optimizer.step()


def batches_in_pieces(rng: Dice) -> Iterator[Rows]:
    yield Rows(1, 1, 4, 2)
    yield Rows(2, 2, 3, 2)
    for _ in range(20):
        yield Rows(rng.randrange(2**31), rng.randint(2, 4), rng.randint(1, 3), rng.randint(1, 3))


@exercise(
    "14.2", subgoal="gather", spec=big_step_at_once, inputs=batches_in_pieces,
    observe=after_the_step, atol=3e-5,
)  # fmt: skip
def big_step(model, pieces, optimizer):
    # pieces: a list of (x, y) of one size; the loss is the mean of (model(x) − y)²
    optimizer.zero_grad()
    for x, y in pieces:
        loss = ((model(x) - y) ** 2).mean()
        (loss / len(pieces)).backward()
    optimizer.step()


def clipped_by_loops(weights, grads, lr, max_norm):
    norm = sum(slope**2 for grad in grads for slope in grad.flatten().tolist()) ** 0.5
    if norm > max_norm:
        grads = [grad * max_norm / norm for grad in grads]
    return [w - lr * grad for w, grad in zip(weights, grads, strict=True)]


def weights_and_gradients(rng: Dice) -> Iterator[tuple]:
    """Long and short gradients, in turn; a pencil case first."""
    yield [torch.zeros(2)], [torch.tensor([3.0, 4.0])], 1.0, 1.0
    yield [torch.zeros(1), torch.ones(1)], [torch.tensor([3.0]), torch.tensor([4.0])], 0.5, 1.0
    yield [torch.ones(2)], [torch.zeros(2)], 0.5, 1.0  # nothing to shorten, nothing to divide by
    for case in range(20):
        shapes = [(2, 3), (3,), (1, 2)][: 1 + case % 3]
        weights, grads = ([rng.randn(*shape) for shape in shapes] for _ in range(2))
        long = torch.stack([grad.norm() for grad in grads]).norm().item()
        max_norm = rng.choice([0.25, 0.5, 1.0]) * (1 if case % 4 else 4)
        size = max_norm / long * (rng.uniform(1.5, 5) if case % 4 else rng.uniform(0.2, 0.9))
        yield weights, [size * grad for grad in grads], rng.choice([0.1, 0.5]), max_norm


@exercise(
    "14.3", subgoal="clip", spec=clipped_by_loops, inputs=weights_and_gradients,
    without=("foreach_norm",),  # what clip_grad_norm_ works with
)  # fmt: skip
def clipped_step(weights, grads, lr, max_norm):
    # two lists of tensors → the list of new weights, after one step of plain SGD
    norm = torch.stack([grad.norm() for grad in grads]).norm()
    factor = max_norm / max(norm.item(), max_norm)  # 1 for what is short enough
    return [w - lr * factor * grad for w, grad in zip(weights, grads, strict=True)]


@dataclass(frozen=True)
class Kind:
    """Which parts a toy model has, in which order, and what is special about it."""

    names: tuple[str, ...]
    width: int
    tied: bool
    frozen: bool

    def __repr__(self) -> str:
        special = [", head tied"] * self.tied + [", mlp frozen"] * self.frozen
        return " ".join(self.names) + "".join(special)


def in_a_toy(decaying: Callable, kind: Kind) -> list[str]:
    """What is found in a model with the kinds of parts that GPTs have, and one with three axes."""
    width = kind.width
    parts = {
        "wte": lambda: nn.Embedding(5, width),
        "mlp": lambda: nn.Linear(width, width),
        "ln": lambda: nn.LayerNorm(width),
        "plain": lambda: nn.Linear(width, width, bias=False),
        "gate": lambda: nn.ParameterList([nn.Parameter(torch.ones(width))]),
        "norm": lambda: nn.LayerNorm(width, bias=False),
        "conv": lambda: nn.Conv1d(width, width, 2),
    }
    model = nn.ModuleDict({name: parts[name]() for name in kind.names})
    model["lm_head"] = nn.Linear(width, 5, bias=False)
    if kind.tied:
        model["lm_head"].weight = model["wte"].weight
    if kind.frozen:
        model["mlp"].requires_grad_(False)
    model.register_buffer("mask", torch.ones(width, width).tril())
    return decaying(model)


def decaying_by_loops(model):
    seen, out = [], []
    for name, p in model.named_parameters(remove_duplicate=False):
        if p.requires_grad and len(p.shape) > 1 and not any(p is other for other in seen):
            out.append(name)
        seen.append(p)
    return out


def kinds_of_models(rng: Dice) -> Iterator[Kind]:
    for case in range(22):
        some = rng.sample(["plain", "gate", "norm"], rng.randint(1, 3))
        names = ["mlp", "ln", *["conv"] * (case % 2), *some]
        rng.shuffle(names)
        yield Kind(("wte", *names), rng.randint(2, 4), case % 3 != 2, case % 4 == 3)


@exercise(
    "14.4", subgoal="schedule", spec=decaying_by_loops, inputs=kinds_of_models, observe=in_a_toy
)
def decaying(model):
    # the names of all parameters that decay, each once, in PyTorch's order
    return [name for name, p in model.named_parameters() if p.requires_grad and p.dim() >= 2]


value_exercise(
    "14.5", __name__, subgoal="clip", atol=0.01, stub="answer = None  # for example [2, 3, 0.5]",
    solution="answer = [1, 5, 1.25]",
)  # fmt: skip
