"""The exercises of chapter 02: softmax, cross-entropy, and a loop that forgets its zero."""

import math

import torch
import torch.nn.functional as F

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


def softmax_by_loops(logits):
    rows = []
    for row in logits.tolist():
        powers = [math.exp(z - max(row)) for z in row]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def logits_of_all_sizes(rng: Dice):
    """Small logits first, then the large ones that overflow, then many."""
    yield (torch.tensor([[1.0, 2.0, 3.0]]),)
    yield (torch.tensor([[0.0, 0.0], [1000.0, 1001.0]]),)
    yield (torch.tensor([[0.0, 1000.0]]),)
    yield (torch.tensor([[1000.0, 0.0, -1000.0]]),)
    yield (torch.tensor([[0.0, 0.0, 0.0, 0.0, 100.0], [-119.0, -120.0, -118.0, -119.0, -119.0]]),)
    for size in range(2, 25):
        yield (3 * rng.randn(size, size + 1),)


@exercise(
    "02.1", subgoal="softmax", spec=softmax_by_loops, inputs=logits_of_all_sizes,
    atol=4e-5,  # float32 counts in steps of 6e-5 at 1,000, so logsumexp is off by up to half a step
    without=("softmax", "log_softmax", "softmin"),
)  # fmt: skip
def softmax(logits):
    # logits (N, V) → bets (N, V), every row sums to 1
    powers = (logits - logits.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


def cross_entropy_by_loops(logits, targets):
    total = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        top = max(row)
        total += top + math.log(sum(math.exp(z - top) for z in row)) - row[target]
    return torch.tensor(total / len(targets))


def logits_and_targets(rng: Dice):
    """Logits and what came, one guess first; one pair has a hopeless bet in it."""
    yield torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2])
    yield torch.tensor([[0.0, 200.0], [0.0, 0.0]]), torch.tensor([0, 1])
    for size in range(2, 24):
        yield 2 * rng.randn(size, size + 1), torch.tensor(rng.choices(range(size + 1), k=size))


@exercise(
    "02.2", subgoal="loss", spec=cross_entropy_by_loops, inputs=logits_and_targets,
    without=("cross_entropy", "cross_entropy_loss"),
)  # fmt: skip
def cross_entropy(logits, targets):
    # logits (N, V), targets (N,) → one number, the mean price in nats
    logs = logits.log_softmax(1)  # (N, V)
    return -logs[torch.arange(len(targets)), targets].mean()


def train_by_loops(start, batches, lr):
    table = start.clone()
    for x, y in batches:
        slopes = torch.zeros_like(table)
        for this, following in zip(x.tolist(), y.tolist(), strict=True):
            powers = table[this].exp()
            slopes[this] += powers / powers.sum() / len(x)  # p − y
            slopes[this, following] -= 1 / len(x)
        table -= lr * slopes
    return table


def small_trainings(rng: Dice):
    """A table, two to four batches of pairs, a learning rate."""
    for size in range(2, 24):
        count = rng.randint(2, 4)
        texts = torch.tensor([rng.choices(range(size), k=2 * size + 1) for _ in range(count)])
        batches = [(ids[:-1], ids[1:]) for ids in texts]
        yield 0.5 * rng.randn(size, size), batches, rng.choice([0.5, 1.0, 2.0])


@exercise("02.3", subgoal="zero", spec=train_by_loops, inputs=small_trainings, atol=1e-4)
def train_steps(start, batches, lr):
    table = start.clone().requires_grad_()
    for x, y in batches:
        loss = F.cross_entropy(table[x], y)  # forward
        table.grad = None  # zero
        loss.backward()  # backward
        with torch.no_grad():
            table -= lr * table.grad  # step
    return table.detach()


value_exercise(
    "02.4", __name__, subgoal="gradient", atol=0.01,
    stub="answer = None  # for example [0.5, 0.5, 0.0]",
    solution="answer = [1 / 3, -2 / 3, 1 / 3]",
)  # fmt: skip


value_exercise(
    "02.5", __name__, subgoal="compare", stub='answer = None  # for example "a leak"',
    solution='answer = "one ahead"',
)  # fmt: skip
