"""The exercises of chapter 02: softmax, cross-entropy, and a loop that forgets its zero."""

import math
import random

import torch
import torch.nn.functional as F

from gpt2_tutorial.checks.engine import exercise


def softmax(logits):
    powers = (logits - logits.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


def softmax_by_loops(logits):
    rows = []
    for row in logits.tolist():
        powers = [math.exp(z - max(row)) for z in row]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def random_logits(rng: random.Random, rows: int, columns: int, spread: float) -> torch.Tensor:
    """Logits around 0, the same for the same `rng`."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    return spread * torch.randn(rows, columns, generator=generator)


def logits_of_all_sizes(rng: random.Random):
    """Small logits first, then the large ones that overflow, then many."""
    yield (torch.tensor([[1.0, 2.0, 3.0]]),)
    yield (torch.tensor([[0.0, 0.0], [1000.0, 1001.0]]),)
    for size in range(2, 25):
        yield (random_logits(rng, size, size + 1, spread=3.0),)


@exercise("02.1", subgoal="softmax")
class Softmax:
    stub = "def softmax(logits):\n    # logits (N, V) → bets (N, V), every row sums to 1\n    ..."
    solution = softmax
    spec = softmax_by_loops
    inputs = logits_of_all_sizes
    mutants = {
        "overflow": (
            lambda logits: logits.exp() / logits.exp().sum(1, keepdim=True),
            "Right for small logits, nan for large ones: e to the 1,000 is infinity. Subtract the "
            "largest logit of each row first.",
        ),
        "columns": (
            lambda logits: softmax(logits.T).T,
            "Your columns sum to 1, not your rows. Largest and sum both go along axis 1.",
        ),
        "plain shares": (
            lambda logits: logits / logits.sum(1, keepdim=True),
            "You divided the logits by their sum. They can be negative: raise e to them first.",
        ),
        "whole maximum": (
            lambda logits: (
                (logits - logits.max()).exp() / (logits - logits.max()).exp().sum(1, keepdim=True)
            ),
            "You subtracted the largest of all rows. A row far below it becomes all zeros, and "
            "0 / 0 is nan. Subtract each row's own largest.",
        ),
        "no sum": (
            lambda logits: (logits - logits.amax(1, keepdim=True)).exp(),
            "These are the powers. Divide them by the sum of their row.",
        ),
        "one sum": (
            lambda logits: (
                (logits - logits.amax(1, keepdim=True)).exp()
                / (logits - logits.amax(1, keepdim=True)).exp().sum()
            ),
            "You divided by the sum of the whole table. Every row has to sum to 1 on its own.",
        ),
        "logarithms": (
            lambda logits: logits.log_softmax(1),
            "These are the logarithms of the bets. The exercise wants the bets.",
        ),
    }
    hints = {"overflow": 2}


def cross_entropy(logits, targets):
    logs = logits.log_softmax(1)  # (N, V)
    return -logs[torch.arange(len(targets)), targets].mean()


def cross_entropy_by_loops(logits, targets):
    total = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        top = max(row)
        total += top + math.log(sum(math.exp(z - top) for z in row)) - row[target]
    return torch.tensor(total / len(targets))


def logits_and_targets(rng: random.Random):
    """Logits and what came, one guess first; one pair has a hopeless bet in it."""
    yield torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2])
    yield torch.tensor([[0.0, 200.0], [0.0, 0.0]]), torch.tensor([0, 1])
    for size in range(2, 24):
        targets = torch.tensor([rng.randrange(size + 1) for _ in range(size)])
        yield random_logits(rng, size, size + 1, spread=2.0), targets


def picked(table, targets):
    """The number in each row that belongs to its target."""
    return table[torch.arange(len(targets)), targets]


@exercise("02.2", subgoal="loss")
class CrossEntropy:
    stub = (
        "def cross_entropy(logits, targets):\n"
        "    # logits (N, V), targets (N,) → one number, the mean price in nats\n"
        "    ..."
    )
    solution = cross_entropy
    spec = cross_entropy_by_loops
    inputs = logits_and_targets
    mutants = {
        "softmax twice": (
            lambda logits, targets: cross_entropy(logits.softmax(1), targets),
            "There are two softmaxes in this. The loss takes logits, not bets.",
        ),
        "raw logits": (
            lambda logits, targets: -picked(logits, targets).mean(),
            "You picked the logits themselves. The price is minus the *log-softmax* of a logit.",
        ),
        "sign": (
            lambda logits, targets: -cross_entropy(logits, targets),
            "The sign is off: a price is minus the logarithm.",
        ),
        "no logarithm": (
            lambda logits, targets: -picked(logits.softmax(1), targets).mean(),
            "These are bets without a logarithm. The price of a bet is −ln of it.",
        ),
        "logits as bets": (
            lambda logits, targets: -picked(logits.log(), targets).mean(),
            "You took the logarithm of the logits as if they were bets. They can be negative: "
            "softmax comes first.",
        ),
        "every row": (
            lambda logits, targets: -logits.log_softmax(1)[:, targets].mean(),
            "[:, targets] takes these columns from every row. Each guess has a row of its own.",
        ),
        "sum": (
            lambda logits, targets: -picked(logits.log_softmax(1), targets).sum(),
            "You added the prices up. Take their mean, or the loss grows with the batch.",
        ),
        "one late": (
            lambda logits, targets: cross_entropy(logits, targets.roll(1)),
            "Each row is paired with the target of the row before it.",
        ),
        "whole rows": (
            lambda logits, targets: -logits.log_softmax(1).mean(),
            "You averaged over all columns. Only the column of the target counts.",
        ),
        "columns": (
            lambda logits, targets: -picked(logits.log_softmax(0), targets).mean(),
            "Your softmax runs down the columns. The bets of one guess stand in one row.",
        ),
        "log of softmax": (
            lambda logits, targets: -picked(logits.softmax(1).log(), targets).mean(),
            "Right until a bet is too small for the computer: softmax gives 0, its log minus "
            "infinity. log_softmax does both at once, safely.",
        ),
    }
    hints = {"softmax twice": 2}


def train_steps(start, batches, lr):
    table = start.clone().requires_grad_()
    for x, y in batches:
        loss = F.cross_entropy(table[x], y)  # forward
        table.grad = None  # zero
        loss.backward()  # backward
        with torch.no_grad():
            table -= lr * table.grad  # step
    return table.detach()


def train_by_loops(start, batches, lr):
    table = [list(row) for row in start.tolist()]
    for x, y in batches:
        moves = [[0.0] * len(row) for row in table]
        for this, following in zip(x.tolist(), y.tolist(), strict=True):
            bets = [math.exp(z) for z in table[this]]
            for j, bet in enumerate(bets):
                slope = bet / sum(bets) - (j == following)  # p − y
                moves[this][j] += lr * slope / len(x)
        table = [
            [z - move for z, move in zip(row, moved, strict=True)]
            for row, moved in zip(table, moves, strict=True)
        ]
    return torch.tensor(table)


def small_trainings(rng: random.Random):
    """A table, two to four batches of pairs, a learning rate."""
    for size in range(2, 24):
        batches = []
        for _ in range(rng.randint(2, 4)):
            ids = torch.tensor([rng.randrange(size) for _ in range(2 * size + 1)])
            batches.append((ids[:-1], ids[1:]))
        yield random_logits(rng, size, size, spread=0.5), batches, rng.choice([0.5, 1.0, 2.0])


def loop_with(zero: str, sign: float = -1.0):
    """A training loop with its zero in the wrong place, or its step in the wrong direction."""

    def train(start, batches, lr):
        table = start.clone().requires_grad_()
        for x, y in batches:
            if zero == "starts over":
                table = start.clone().requires_grad_()
            loss = F.cross_entropy(table[x], y)
            if zero == "right":
                table.grad = None
            loss.backward()
            if zero == "after backward":
                table.grad.zero_()
            if zero == "none after backward":
                table.grad = None
            with torch.no_grad():
                table += sign * lr * table.grad
        return table.detach()

    return train


@exercise("02.3", subgoal="zero")
class ForgottenZero:
    stub = (
        "def train_steps(start, batches, lr):\n"
        "    table = start.clone().requires_grad_()\n"
        "    for x, y in batches:\n"
        "        loss = F.cross_entropy(table[x], y)  # forward\n"
        "        loss.backward()  # backward\n"
        "        with torch.no_grad():\n"
        "            table -= lr * table.grad  # step\n"
        "    return table.detach()"
    )
    solution = train_steps
    spec = train_by_loops
    inputs = small_trainings
    mutants = {
        "still adds up": (
            loop_with("never"),
            "The gradients of all rounds so far are still added up before each step.",
        ),
        "wiped too late": (
            loop_with("after backward"),
            "You wipe the gradient between backward and step, so every step is along zero and the "
            "table never moves.",
        ),
        "gone too late": (
            loop_with("none after backward"),
            "You throw the gradient away between backward and step, so there is none to step "
            "along. Do it before backward.",
        ),
        "uphill": (
            loop_with("right", sign=1.0),
            "The zero is right, but the step goes uphill: subtract the gradient.",
        ),
        "starts over": (
            loop_with("starts over"),
            "The table begins anew in every round, so nothing that was learned is kept.",
        ),
    }
    hints = {"wiped too late": 2, "gone too late": 2}
    atol = 1e-4


@exercise("02.4", subgoal="gradient")
class PencilGradient:
    stub = "answer = None  # for example [0.5, 0.5, 0.0]"
    solution = [1 / 3, -2 / 3, 1 / 3]
    solution_text = "answer = [1 / 3, -2 / 3, 1 / 3]"
    mutants = {
        "y minus p": (
            [-1 / 3, 2 / 3, -1 / 3],
            "All signs are turned round: that is y − p, the direction of the step.",
        ),
        "the bets": ([1 / 3, 1 / 3, 1 / 3], "These are the bets, p. Subtract what came, y."),
        "what came": ([0.0, 1.0, 0.0], "That is y, what came. The gradient is p − y."),
        "only the target": (
            [0.0, -2 / 3, 0.0],
            "The target's slope is right. But turning the other two up would cost something too.",
        ),
        "no minus": (
            [1 / 3, 2 / 3, 1 / 3],
            "The sizes are right. But the second bet was too low: turning it up lowers the loss.",
        ),
        "third came": (
            [1 / 3, 1 / 3, -2 / 3],
            "That would be right if the third had come. Here the second came.",
        ),
        "first came": (
            [-2 / 3, 1 / 3, 1 / 3],
            "That would be right if the first had come. Here the second came.",
        ),
    }
    atol = 0.01


@exercise("02.5", subgoal="compare")
class OneBack:
    stub = 'answer = None  # for example "a leak"'
    solution = "one ahead"
    solution_text = 'answer = "one ahead"'
    mutants = {
        "leak": (
            "a leak",
            "A bigram sees x alone, and the character before it is another one. Run it.",
        ),
        "two ahead": (
            "two ahead",
            "Two ahead skips a letter, and neighbours know more of each other than that. Run it.",
        ),
        "nothing": (
            "nothing",
            "Something can be learned: before a u stands a q more often than a z does. Run it.",
        ),
    }
