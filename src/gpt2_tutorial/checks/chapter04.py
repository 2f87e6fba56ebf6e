"""The exercises of chapter 04: momentum, AdamW with its slips, a schedule, what decays."""

import math

import torch

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "04.1", __name__, subgoal="momentum", atol=0.005,
    stub="answer = None  # for example [4.5, 4.0]",
    solution="answer = [4.0, 2.3]",
)  # fmt: skip


def momentum_by_sums(steepness, start, lr, beta, steps):
    """The velocity written out: every slope so far, each shrunk once for every step since."""
    path, slopes = [start], []
    for step in range(steps):
        slopes.append(2 * steepness * path[-1])
        velocity = sum(beta ** (step - i) * slope for i, slope in enumerate(slopes))
        path.append(path[-1] - lr * velocity)
    return path


def small_walks(rng: Dice):
    """One step, two steps, then walks of all kinds that end where they should."""
    yield 1.0, 10.0, 0.1, 0.5, 1
    yield 1.0, 10.0, 0.1, 0.5, 2
    for steps in range(2, 26):
        steepness = rng.choice([0.5, 1.0, 3.0])
        lr = rng.choice([0.05, 0.1, 0.2]) / steepness
        yield steepness, rng.uniform(1, 10), lr, rng.choice([0.3, 0.5, 0.8]), steps


@exercise("04.2", subgoal="momentum", spec=momentum_by_sums, inputs=small_walks)
def momentum_path(steepness, start, lr, beta, steps):
    # down f(x) = steepness · x², whose slope at x is 2 · steepness · x
    x, path = start, [start]
    velocity = 0.0
    for _ in range(steps):
        slope = 2 * steepness * x
        velocity = beta * velocity + slope
        x = x - lr * velocity
        path.append(x)
    return path


def adamw_by_loops(x, g, m, v, t, lr, betas, eps, decay):
    new = []
    for one, slope, mean, square in zip(*(a.tolist() for a in (x, g, m, v)), strict=True):
        mean += (1 - betas[0]) * (slope - mean)
        square += (1 - betas[1]) * (slope * slope - square)
        size = math.sqrt(square / (1 - betas[1] ** (t + 1))) + eps
        step = mean / (1 - betas[0] ** (t + 1)) / size
        new.append((one * (1 - lr * decay) - lr * step, mean, square))
    return tuple(torch.tensor(column) for column in zip(*new, strict=True))


def adamw_moments(rng: Dice):
    """A first step, then steps in the middle; gradients of all sizes, some as small as eps."""
    zero = torch.zeros(2)
    x, g = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -3.0])
    yield x, g, zero, zero, 0, 0.1, (0.9, 0.99), 1e-8, 0.0
    for case in range(21):
        n, t = 1 + case % 4, 0 if case % 5 == 0 else rng.randint(1, 200)
        x, g, m = rng.randn(3, n)
        size = rng.choice([1.0, 1e-2, 1e-4])
        g, m = size * g, size * m if t else torch.zeros(n)
        v = (m**2 + size**2) * (1 - 0.99**t)
        betas = (rng.choice([0.5, 0.9]), rng.choice([0.9, 0.99]))
        eps, decay = rng.choice([1e-8, 1e-6, 1e-3]), rng.choice([0.1, 0.5])
        yield x, g, m, v, t, 0.1, betas, eps, decay


@exercise("04.3", subgoal="step", spec=adamw_by_loops, inputs=adamw_moments, atol=1e-6)
def adamw_step(x, g, m, v, t, lr, betas, eps, decay):
    # t steps were taken before this one; returns the new x, m and v
    beta1, beta2 = betas
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    x = x - lr * decay * x
    x = x - lr * m_hat / (v_hat.sqrt() + eps)
    return x, m, v


def linear_by_walking(step, max_lr, min_lr, warmup_steps, max_steps):
    """Walk there from step 0, adding what each step adds."""
    rate = max_lr / warmup_steps
    for now in range(1, step + 1):
        if now < warmup_steps:
            rate += max_lr / warmup_steps
        elif warmup_steps < now <= max_steps:
            rate -= (max_lr - min_lr) / (max_steps - warmup_steps)
    return rate


def plans(rng: Dice):
    """The 25 steps of one small plan, then single steps of others, around the corners."""
    for step in range(25):
        yield step, 1.0, 0.1, 5, 20
    for _ in range(4):
        warmup_steps = rng.randint(2, 9)
        max_steps = warmup_steps + rng.randint(3, 30)
        max_lr = rng.choice([0.5, 2.0])
        for step in (0, warmup_steps - 1, warmup_steps, max_steps - 1, max_steps, max_steps + 7):
            yield step, max_lr, max_lr * rng.choice([0.05, 0.2]), warmup_steps, max_steps


@exercise("04.4", subgoal="schedule", spec=linear_by_walking, inputs=plans)
def linear_with_warmup(step, max_lr, min_lr, warmup_steps, max_steps):
    # up in a straight line, then down in a straight line → the rate of this step
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return max_lr - (max_lr - min_lr) * done


value_exercise(
    "04.5", __name__, subgoal="scale", stub='answer = None  # for example "no change"',
    solution='answer = "crawls"',
)  # fmt: skip


def names_by_loops(shapes):
    names = []
    for name in shapes:
        if len(shapes[name]) > 1:
            names.append(name)
    return names


def named_shapes(rng: Dice):
    """Models of all sizes, their parameters in any order."""
    yield ({"table": (65, 65), "gain.weight": (65,)},)
    for n in range(2, 26):
        shapes = {"table": (n, n), "head.weight": (n, 2 * n), "row.weight": (1, n), "scale": ()}
        shapes |= {"head.bias": (n,), "gain.weight": (n,), "norm.weight": (n,)}
        shapes |= {"stretch.weight": (n,), "cube": (n, 2, 3)}
        yield (dict(rng.sample(list(shapes.items()), rng.randint(5, 9))),)


@exercise("04.6", subgoal="groups", spec=names_by_loops, inputs=named_shapes)
def names_that_decay(shapes):
    # shapes: {"table": (65, 65), "gain.weight": (65,), ...} → names, in this order
    return [name for name, shape in shapes.items() if len(shape) >= 2]
