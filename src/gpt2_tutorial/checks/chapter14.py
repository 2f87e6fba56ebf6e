"""The exercises of chapter 14: rounding, one step in pieces, clipping, what decays, a museum."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn as nn

from gpt2_tutorial.checks.engine import exercise


@exercise("14.1", subgoal="round")
class FourSums:
    stub = "answer = None  # for example [513, 515, 2049, 66000]"
    solution = [512, 516, 2048, float("inf")]
    solution_text = 'answer = [512, 516, 2048, float("inf")]'
    mutants = {
        "exact": (
            [513, 515, 2049, 66000],
            "Those are the exact sums. None of the four exists in its format.",
        ),
        "steps of 2": (
            [512, 514, 2048, float("inf")],
            "Between 256 and 512 bfloat16 goes in steps of 2. Beyond 512 its steps double.",
        ),
        "steps of 2, tie up": (
            [514, 516, 2048, float("inf")],
            "Look at the first sum again: from 512 on bfloat16 goes in steps of 4, and 513 is "
            "nearer to 512 than to 516.",
        ),
        "always up": (
            [516, 516, 2050, float("inf")],
            "You round up. A number goes to the nearest neighbour: 513 is nearer to 512.",
        ),
        "cut off": (
            [512, 512, 2048, float("inf")],
            "You cut 515 off. It is rounded to the nearest number, and 516 is nearer than 512.",
        ),
        "tie up": (
            [512, 516, 2050, float("inf")],
            "2049 lies in the middle between 2048 and 2050. A tie goes to the even mantissa, "
            "and that of 2048 is 0.",
        ),
        "no end": (
            [512, 516, 2048, 66000],
            "float16 has only five bits for the exponent. Its numbers end at 65,504.",
        ),
        "stops at the end": (
            [512, 516, 2048, 65504],
            "What lies beyond the largest number does not stay there: it becomes infinite.",
        ),
        "float16 has time": (
            [512, 516, 2049, float("inf")],
            "Ten bits of mantissa carry float16 in steps of 1 up to 2,048, and in steps of 2 "
            "behind it.",
        ),
    }


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
        dice = torch.Generator().manual_seed(self.seed)
        x = torch.randn(self.count * self.rows, self.width, generator=dice)
        y = torch.randn(self.count * self.rows, 1, generator=dice)
        model = nn.Linear(self.width, 1)
        with torch.no_grad():
            for p in model.parameters():
                p.uniform_(-0.6, 0.6, generator=dice)
        (model(x) - 3).sum().backward()  # gradients that an earlier step left behind
        return model, list(zip(x.chunk(self.count), y.chunk(self.count), strict=True))


class Downhill:
    """The two methods of an optimizer, for plain SGD, and a count of its steps."""

    def __init__(self, params: Iterator, lr: float):
        self.params, self.lr, self.taken = list(params), lr, 0

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.taken += 1
        for p in self.params:
            if p.grad is not None:
                p -= self.lr * p.grad


def as_before(given: list, pieces: list) -> bool:
    """Say whether the pieces are the ones that were handed over."""
    return len(given) == len(pieces) and all(
        torch.equal(a, x) and torch.equal(b, y)
        for (a, b), (x, y) in zip(given, pieces, strict=True)
    )


def after_the_step(big_step: Callable, rows: Rows) -> dict:
    """What one big step leaves behind; what is short stands first, so that it is shown."""
    model, pieces = rows.made()
    given = [(x.clone(), y.clone()) for x, y in pieces]
    optimizer = Downhill(model.parameters(), lr=0.1)
    big_step(model, pieces, optimizer)
    weights = nn.utils.parameters_to_vector(model.parameters()).detach()
    return {
        "steps": optimizer.taken,
        "pieces kept": as_before(given, pieces),
        "weights": weights.round(decimals=5),
    }


def big_step(model, pieces, optimizer):
    optimizer.zero_grad()
    for x, y in pieces:
        loss = ((model(x) - y) ** 2).mean()
        (loss / len(pieces)).backward()
    optimizer.step()


def big_step_at_once(model, pieces, optimizer):
    """All rows as one batch, and its gradient by the formula for a straight line."""
    x = torch.cat([rows for rows, _ in pieces])
    y = torch.cat([wanted for _, wanted in pieces])
    with torch.no_grad():
        misses = (model(x) - y)[:, 0].tolist()
        for j in range(x.size(1)):
            slopes = [2 * miss * row[j].item() for miss, row in zip(misses, x, strict=True)]
            model.weight.grad[0, j] = sum(slopes) / len(slopes)
        model.bias.grad[0] = sum(2 * miss for miss in misses) / len(misses)
    optimizer.step()


def batches_in_pieces(rng: random.Random) -> Iterator[Rows]:
    yield Rows(1, 1, 4, 2)
    yield Rows(2, 2, 3, 2)
    for _ in range(20):
        yield Rows(rng.randrange(2**31), rng.randint(2, 4), rng.randint(1, 3), rng.randint(1, 3))


def in_pieces(
    divide: Callable = lambda number, count: count,
    zero: str = "before",
    step: str = "after",
    loss: Callable = lambda bet, y: ((bet - y) ** 2).mean(),
    take: slice = slice(None),
) -> Callable:
    """big_step with one thing wrong."""

    def big_step(model, pieces, optimizer):
        if zero == "before":
            optimizer.zero_grad()
        for number, (x, y) in enumerate(pieces[take]):
            if zero == "inside":
                optimizer.zero_grad()
            (loss(model(x), y) / divide(number, len(pieces))).backward()
            if step == "inside":
                optimizer.step()
        if zero == "after":
            optimizer.zero_grad()
        for _ in range({"after": 1, "twice": 2}.get(step, 0)):
            optimizer.step()

    return big_step


def step_that_empties(model, pieces, optimizer):
    count = len(pieces)
    optimizer.zero_grad()
    while pieces:
        x, y = pieces.pop()
        (((model(x) - y) ** 2).mean() / count).backward()
    optimizer.step()


def step_on_running_sums(model, pieces, optimizer):
    optimizer.zero_grad()
    total = 0.0
    for x, y in pieces:
        total = total + ((model(x) - y) ** 2).mean() / len(pieces)
        total.backward(retain_graph=True)
    optimizer.step()


def added(bet: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return ((bet - y) ** 2).sum()


@exercise("14.2", subgoal="gather")
class BigStep:
    stub = (
        "def big_step(model, pieces, optimizer):\n"
        "    # pieces: a list of (x, y) of one size; the loss is the mean of (model(x) − y)²\n"
        "    ..."
    )
    solution = big_step
    spec = big_step_at_once
    inputs = batches_in_pieces
    observe = after_the_step
    atol = 3e-5
    mutants = {
        "no division": (
            in_pieces(lambda number, count: 1),
            "The gradients of the pieces are added up whole. Four pieces then make a step four "
            "times as long: divide each loss by the number of pieces.",
        ),
        "zero inside": (
            in_pieces(zero="inside"),
            "Only the last piece is left when the optimizer steps. Zero once, before the loop, and "
            "call backward for every piece, inside it.",
        ),
        "zero inside, no division": (
            in_pieces(lambda number, count: 1, zero="inside"),
            "Your step is that of the last piece alone. Zero once, before the loop; call backward "
            "for every piece, inside it; divide each loss by the number of pieces.",
        ),
        "divided twice": (
            in_pieces(lambda number, count: count**2),
            "You divide by the number of pieces twice, and the step is too short. Once is enough.",
        ),
        "always four": (
            in_pieces(lambda number, count: 4),
            "You divide by 4, however many pieces there are. Their number is len(pieces).",
        ),
        "by the rows": (
            in_pieces(loss=lambda bet, y: ((bet - y) ** 2).mean() / len(y), divide=lambda *_: 1),
            "You divide by the rows of a piece, and its mean has done so already. Divide by the "
            "number of pieces.",
        ),
        "half the square": (
            in_pieces(loss=lambda bet, y: ((bet - y) ** 2).mean() / 2),
            "Your step is half as long as it should be: there is no ½ in this loss.",
        ),
        "a table of misses": (
            in_pieces(loss=lambda bet, y: ((bet[:, 0] - y) ** 2).mean()),
            "One side of your difference has lost an axis. Shapes (rows,) and (rows, 1) make a "
            "table of all pairs: leave model(x) as it is.",
        ),
        "last piece left out": (
            in_pieces(take=slice(-1)),
            "The last piece never gets its backward.",
        ),
        "first piece": (
            in_pieces(lambda number, count: 1, take=slice(1)),
            "Your step is that of the first piece alone. What all the others say is lost.",
        ),
        "running sums": (
            step_on_running_sums,
            "You call backward on the sum so far, so the first piece comes in again with every "
            "other. Call it on each piece's own loss.",
        ),
        "micro_step + 1": (
            in_pieces(lambda number, count: number + 1),
            "You divide by the number of pieces seen so far, so the first one counts most. A "
            "gradient that was added is not divided again: divide all by the same number.",
        ),
        "steps inside": (
            in_pieces(step="inside"),
            "The optimizer steps after every piece, and the next piece meets a changed model. "
            "One step, after the loop.",
        ),
        "a short step for every piece": (
            in_pieces(zero="inside", step="inside"),
            "Many short steps are not one: after the first, the next piece meets a changed model. "
            "Zero once before the loop, step once after it.",
        ),
        "two steps": (
            in_pieces(step="twice"),
            "The optimizer steps twice with one gradient.",
        ),
        "emptied": (
            step_that_empties,
            "The step is right, but the pieces are not what they were: the list got shorter, or a "
            "tensor in it changed. The caller still needs them.",
        ),
        "a step for every piece": (
            in_pieces(lambda number, count: 1, zero="inside", step="inside"),
            "That is the old loop: a small step for every piece. Here all the pieces together "
            "make one step.",
        ),
        "never zeroed": (
            in_pieces(zero="never"),
            "Gradients of an earlier step are still there, and yours are added to them. Zero "
            "them before the first piece.",
        ),
        "zero before the step": (
            in_pieces(zero="after"),
            "You zero the gradients right before the optimizer looks at them, so nothing moves.",
        ),
        "sums": (
            in_pieces(loss=added),
            "You add up the rows of a piece. The loss is their mean, and then the mean over the "
            "pieces.",
        ),
        "sums, no division": (
            in_pieces(lambda number, count: 1, loss=added),
            "You add up all rows of all pieces. The loss of one batch is the mean of its rows.",
        ),
        "no step": (
            in_pieces(step="never"),
            "The gradient is there, and nobody steps. The optimizer's turn comes after the loop.",
        ),
    }


def clipped_step(weights, grads, lr, max_norm):
    norm = torch.stack([grad.norm() for grad in grads]).norm()
    factor = min(1.0, max_norm / norm.item())
    return [w - lr * factor * grad for w, grad in zip(weights, grads, strict=True)]


def clipped_by_loops(weights, grads, lr, max_norm):
    squares = 0.0
    for grad in grads:
        for slope in grad.flatten().tolist():
            squares += slope * slope
    norm = squares**0.5
    out = []
    for w, grad in zip(weights, grads, strict=True):
        new = []
        for one, slope in zip(w.flatten().tolist(), grad.flatten().tolist(), strict=True):
            if norm > max_norm:
                slope = slope * max_norm / norm
            new.append(one - lr * slope)
        out.append(torch.tensor(new).view(w.shape))
    return out


def weights_and_gradients(rng: random.Random) -> Iterator[tuple]:
    """Long and short gradients, in turn; a pencil case first."""
    yield [torch.zeros(2)], [torch.tensor([3.0, 4.0])], 1.0, 1.0
    yield [torch.zeros(1), torch.ones(1)], [torch.tensor([3.0]), torch.tensor([4.0])], 0.5, 1.0
    for case in range(20):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        shapes = [(2, 3), (3,), (1, 2)][: 1 + case % 3]
        weights = [torch.randn(shape, generator=dice) for shape in shapes]
        grads = [torch.randn(shape, generator=dice) for shape in shapes]
        long = torch.stack([grad.norm() for grad in grads]).norm().item()
        max_norm = rng.choice([0.25, 0.5, 1.0]) * (1 if case % 4 else 4)
        size = max_norm / long * (rng.uniform(1.5, 5) if case % 4 else rng.uniform(0.2, 0.9))
        yield weights, [size * grad for grad in grads], rng.choice([0.1, 0.5]), max_norm


def clipped_with(shorten: Callable, after: Callable | None = None) -> Callable:
    """clipped_step whose gradients, or whose new weights, are made shorter in a wrong way."""

    def clipped_step(weights, grads, lr, max_norm):
        grads = shorten(grads, max_norm, lr)
        new = [w - lr * grad for w, grad in zip(weights, grads, strict=True)]
        return after(new, max_norm) if after else new

    return clipped_step


def cut_by(factor: Callable) -> Callable:
    """clipped_step with another factor, a function of the length and the limit."""
    return clipped_with(lambda gs, top, lr: times(gs, factor(length(gs), top)))


def clipped_by_the_weights(weights, grads, lr, max_norm):
    factor = min(1.0, max_norm / max(length(weights), 1e-12))
    return [w - lr * factor * grad for w, grad in zip(weights, grads, strict=True)]


def shortened_gradients(weights, grads, lr, max_norm):
    return times(grads, min(1.0, max_norm / length(grads)))


def length(tensors) -> float:
    return torch.stack([tensor.norm() for tensor in tensors]).norm().item()


def times(tensors, factor: float) -> list:
    return [factor * tensor for tensor in tensors]


@exercise("14.3", subgoal="clip")
class ClippedStep:
    stub = (
        "def clipped_step(weights, grads, lr, max_norm):\n"
        "    # two lists of tensors → the list of new weights, after one step of plain SGD\n"
        "    ..."
    )
    solution = clipped_step
    spec = clipped_by_loops
    inputs = weights_and_gradients
    mutants = {
        "per tensor": (
            clipped_with(lambda gs, top, lr: [g * min(1.0, top / g.norm().item()) for g in gs]),
            "You shorten each tensor by itself. That bends the direction: clip by one length, "
            "that of all gradients together.",
        ),
        "clamped": (
            clipped_with(lambda gs, top, lr: [g.clamp(-top, top) for g in gs]),
            "You clamp each number. Large ones are cut and small ones stay, so the step points "
            "elsewhere. Multiply all by one factor.",
        ),
        "after the step": (
            clipped_with(lambda gs, top, lr: gs),
            "Nothing is clipped when the weights move. Shorten the gradients before the step.",
        ),
        "weights": (
            clipped_with(
                lambda gs, top, lr: gs, lambda ws, top: times(ws, min(1.0, top / length(ws)))
            ),
            "You shortened the new weights. What is clipped is the gradient, before the step.",
        ),
        "lengthened": (
            clipped_with(lambda gs, top, lr: times(gs, top / length(gs))),
            "Short gradients become longer in yours. The factor is 1 at most.",
        ),
        "lengths added": (
            clipped_with(
                lambda gs, top, lr: times(gs, min(1.0, top / sum(g.norm().item() for g in gs)))
            ),
            "You add the lengths of the tensors. The length of all of them is the root of the sum "
            "of their squares.",
        ),
        "no root": (
            clipped_with(lambda gs, top, lr: times(gs, min(1.0, top / length(gs) ** 2))),
            "The root is missing: the length is the root of the sum of the squares.",
        ),
        "absolute values": (
            clipped_with(
                lambda gs, top, lr: times(gs, min(1.0, top / sum(g.abs().sum().item() for g in gs)))
            ),
            "You measure by the sum of the absolute values. The length is the root of the sum of "
            "the squares.",
        ),
        "largest": (
            clipped_with(
                lambda gs, top, lr: times(gs, min(1.0, top / max(g.abs().max().item() for g in gs)))
            ),
            "You measure by the largest number. The length counts all of them: the root of the "
            "sum of the squares.",
        ),
        "steps, not gradients": (
            clipped_with(lambda gs, top, lr: times(gs, min(1.0, top / (lr * length(gs))))),
            "You limit the length of the step, lr times the gradient. max_norm is a limit for the "
            "gradient itself.",
        ),
        "always one": (
            clipped_with(lambda gs, top, lr: times(gs, min(1.0, 1 / length(gs)))),
            "Your limit is 1. It should be max_norm.",
        ),
        "down to one": (
            cut_by(lambda norm, top: 1 / norm if norm > top else 1.0),
            "You clip at the right place, and then make the gradient 1 long. It should become "
            "max_norm long.",
        ),
        "above one": (
            cut_by(lambda norm, top: top / norm if norm > 1 else 1.0),
            "You clip what is longer than 1. What is longer than max_norm should be clipped.",
        ),
        "longest tensor": (
            clipped_with(
                lambda gs, top, lr: times(gs, min(1.0, top / max(g.norm().item() for g in gs)))
            ),
            "You measure the longest tensor alone. The length is that of all gradients together.",
        ),
        "first tensor": (
            clipped_with(lambda gs, top, lr: times(gs, min(1.0, top / gs[0].norm().item()))),
            "You measure the first tensor alone. The others belong to the length as well.",
        ),
        "mean": (
            clipped_with(
                lambda gs, top, lr: times(
                    gs, min(1.0, top / (length(gs) / sum(g.numel() for g in gs) ** 0.5))
                )
            ),
            "You take the mean of the squares. The length is the root of their sum.",
        ),
        "upside down": (
            cut_by(lambda norm, top: norm / top if norm > top else 1.0),
            "Your factor is upside down: it makes long gradients longer. It is max_norm / length.",
        ),
        "max for min": (
            cut_by(lambda norm, top: max(1.0, top / norm)),
            "Long gradients stay long in yours, and short ones grow. Take the smaller one of 1 and "
            "max_norm / length.",
        ),
        "length of the weights": (
            clipped_by_the_weights,
            "You measure the weights. It is the gradients' length that counts.",
        ),
        "gradients": (
            shortened_gradients,
            "Those are the shortened gradients. Asked for are the weights after the step.",
        ),
        "dropped": (
            clipped_with(lambda gs, top, lr: times(gs, float(length(gs) <= top))),
            "You leave out a step whose gradient is too long. It should be made, shorter.",
        ),
        "uphill": (
            clipped_with(lambda gs, top, lr: times(gs, -min(1.0, top / length(gs)))),
            "Clipped rightly, and you walk uphill: the step is subtracted.",
        ),
        "no learning rate": (
            clipped_with(lambda gs, top, lr: times(gs, min(1.0, top / length(gs)) / lr)),
            "The learning rate is missing.",
        ),
    }
    hints = {"per tensor": 1, "clamped": 1}


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


def toy(kind: Kind) -> nn.Module:
    """A model with the kinds of parts that GPTs have, and one with three axes."""
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
    return model


def decaying(model):
    return [name for name, p in model.named_parameters() if p.requires_grad and p.dim() >= 2]


def decaying_by_loops(model):
    seen, out = [], []
    for name, p in model.named_parameters(remove_duplicate=False):
        if any(p is other for other in seen):
            continue
        seen.append(p)
        if p.requires_grad and len(p.shape) > 1:
            out.append(name)
    return out


def kinds_of_models(rng: random.Random) -> Iterator[Kind]:
    for case in range(22):
        others = ["mlp", "ln", "plain", "gate", "norm", "conv"]
        rng.shuffle(others)
        names = ["wte", *others[: rng.randint(3, 5)]]
        needed = ["mlp", "ln", *(["conv"] if case % 2 else [])]
        for name in needed:
            if name not in names:
                names.insert(1, name)
        yield Kind(tuple(names), rng.randint(2, 4), case % 3 != 2, case % 4 == 3)


def on_a_model(decaying: Callable, kind: Kind) -> list[str]:
    """What is found in a model of this kind."""
    return decaying(toy(kind))


def by_type(model, kinds=nn.Linear, frozen=False):
    return [
        f"{name}.weight"
        for name, part in model.named_modules()
        if isinstance(part, kinds) and (frozen or part.weight.requires_grad)
    ]


def by_two_types(model):
    return by_type(model, (nn.Linear, nn.Embedding))


def by_two_types_and_frozen(model):
    return by_type(model, (nn.Linear, nn.Embedding), frozen=True)


def saved(model):
    return [name for name, tensor in model.state_dict().items() if tensor.dim() >= 2]


def by_type_without_twins(model):
    names = dict(model.named_parameters())
    return [name for name in by_type(model) if name in names]


def choose(rule: Callable, **look) -> Callable:
    def decaying(model):
        return [name for name, p in model.named_parameters(**look) if rule(name, p)]

    return decaying


@exercise("14.4", subgoal="schedule")
class WhatDecays:
    stub = (
        "def decaying(model):\n"
        "    # the names of all parameters that decay, each once, in PyTorch's order\n"
        "    out = []\n"
        "    for name, part in model.named_modules():\n"
        "        if isinstance(part, nn.Linear):\n"
        '            out.append(name + ".weight")\n'
        "    return out"
    )
    solution = decaying
    spec = decaying_by_loops
    inputs = kinds_of_models
    observe = on_a_model
    mutants = {
        "by type": (
            by_type,
            "Only linear layers decay in yours, and under their own names. The table of tokens is "
            "no linear layer; where the head is the same table, PyTorch lists it once, under the "
            "name it has first. Go by the shape of each named parameter.",
        ),
        "by type, no twins": (
            by_type_without_twins,
            "Your list has lost the tied table: it is listed under the embedding's name, and you "
            "ask for linear layers. Go by shape.",
        ),
        "two types": (
            by_two_types,
            "With two kinds of layers on the list a tied table stands there twice, and a third "
            "kind (there is one here) is forgotten. Go by the shape of each named parameter.",
        ),
        "two types, frozen too": (
            by_two_types_and_frozen,
            "Still by the kind of layer: a tied table comes twice, a third kind not at all, and "
            "what is frozen is not left out. Ask each named parameter instead.",
        ),
        "no tokens": (
            choose(lambda name, p: p.requires_grad and p.dim() >= 2 and "wte" not in name),
            "You leave the table of tokens out. It has two axes, and it decays as the others do.",
        ),
        "three axes": (
            choose(lambda name, p: p.requires_grad and p.dim() > 2),
            "You ask for more than two axes. Two are enough.",
        ),
        "two axes exactly": (
            choose(lambda name, p: p.requires_grad and p.dim() == 2),
            "Two axes *or more*: a weight here has three.",
        ),
        "what is saved": (
            saved,
            "state_dict() lists what is saved: buffers and frozen parts too, and a tied table "
            "twice. named_parameters() lists what can be trained.",
        ),
        "sorted": (
            lambda model: sorted(decaying(model)),
            "The right names, in the order of the alphabet. Leave them in PyTorch's order.",
        ),
        "biases too": (
            choose(lambda name, p: p.requires_grad),
            "Everything decays in yours, gains and biases as well. Single rows of numbers do not.",
        ),
        "by name": (
            choose(lambda name, p: p.requires_grad and name.endswith("weight")),
            "You choose by name, and a LayerNorm calls its gain `weight` as well. Choose by shape: "
            "two axes or more.",
        ),
        "by name, without ln": (
            choose(
                lambda name, p: p.requires_grad and name.endswith("weight") and "ln" not in name
            ),
            "One more forbidden name, until a model calls its norm something else (there is one "
            "here). The shape needs no list of names.",
        ),
        "no biases": (
            choose(lambda name, p: p.requires_grad and not name.endswith("bias")),
            "Without the biases, the gains are still there. Their shape gives them away: one axis.",
        ),
        "twice": (
            choose(lambda name, p: p.requires_grad and p.dim() >= 2, remove_duplicate=False),
            "The tied table stands in your list under both of its names. An optimizer would refuse "
            "it, or let it decay twice.",
        ),
        "frozen too": (
            choose(lambda name, p: p.dim() >= 2),
            "A parameter that is frozen (requires_grad is False) does not train and should not "
            "decay.",
        ),
        "the others": (
            choose(lambda name, p: p.requires_grad and p.dim() < 2),
            "Those are the ones that are spared. Asked for are the ones that decay.",
        ),
        "no head": (
            choose(lambda name, p: p.requires_grad and p.dim() >= 2 and "lm_head" not in name),
            "You leave the head out. Where it is tied that changes nothing; where it is not, it is "
            "a table of its own and decays.",
        ),
    }
    hints = {"twice": 2}


@exercise("14.5", subgoal="clip")
class ClippedMuseum:
    stub = "answer = None  # for example [2, 3, 0.5]"
    solution = [1, 5, 1.25]
    solution_text = "answer = [1, 5, 1.25]"
    atol = 0.01
    mutants = {
        "nothing changes": (
            [1, 1, 5.0],
            "AdamW hides the factor, and clipping does not: it sees lengths that are four times "
            "as long.",
        ),
        "unclipped": (
            [1, 5, 8.0],
            "The first two are right. The third asks about the lengths that *leave* the clipping, "
            "and those are 1 at most.",
        ),
        "unclipped, both": (
            [1, 1, 8.0],
            "Multiply all lengths by four before you compare them with the limit, and look at what "
            "leaves the clipping.",
        ),
        "turned round": (
            [5, 1, 1.25],
            "The right run comes first: it is clipped once.",
        ),
        "one too few": (
            [1, 4, 1.25],
            "There is one more: even 0.3 becomes longer than 1, and so do 0.35, 0.4 and 0.5.",
        ),
        "one too many": (
            [1, 6, 1.25],
            "One too many: four times 0.24 is 0.96, and that is still short enough.",
        ),
        "shortest": (
            [1, 5, 0.8],
            "Shortest over longest. The third number is the longest over the shortest.",
        ),
        "right run": (
            [1, 5, 5.0],
            "The third number is that of the right run. In the wrong one the shortest is 0.8.",
        ),
        "all": (
            [1, 8, 1.25],
            "Not all eight: four times 0.2 is 0.8, and that is still short enough.",
        ),
        "divided": (
            [1, 0, 5.0],
            "You made the lengths shorter. Who forgets to divide has them four times as *long*.",
        ),
        "all the same": (
            [1, 5, 1.0],
            "Nearly all leave with a length of 1. One is shorter: 0.8.",
        ),
    }
