"""The exercises of chapter 04: momentum, AdamW with its slips, a schedule, what decays."""

import math
import random
from collections.abc import Callable, Iterator
from itertools import combinations

import torch

from gpt2_tutorial.checks.engine import exercise


@exercise("04.1", subgoal="momentum")
class PencilMomentum:
    stub = "answer = None  # for example [4.5, 4.0]"
    solution = [4.0, 2.3]
    solution_text = "answer = [4.0, 2.3]"
    mutants = {
        "no memory": (
            [4.0, 3.2],
            "That is SGD without momentum: in step 2 the velocity keeps 0.9 of its old value.",
        ),
        "nothing forgotten": (
            [4.0, 2.2],
            "Your velocity keeps all of its old value. It keeps 0.9 of it: 9, plus the new slope.",
        ),
        "old slope": (
            [4.0, 2.1],
            "Step 2 used the slope at the start once more. Measure it anew, where you stand: at 4.",
        ),
        "coasting": (
            [4.0, 3.1],
            "In step 2 you only coasted. The new slope is added to what is left of the velocity.",
        ),
        "slope is x": (
            [4.5, 3.6],
            "You took x for the slope. The slope of x² is 2x.",
        ),
        "uphill": (
            [6.0, 8.1],
            "You went uphill: the step is subtracted.",
        ),
        "shrunk slope": (
            [4.0, 2.28],
            "You took 0.9 of the slope and all of the velocity. It is the other way round.",
        ),
        "an average": (
            [4.9, 4.712],
            "You took a tenth of each new slope. Adam does that; momentum adds the whole slope.",
        ),
        "no learning rate": (
            [-5.0, -4.0],
            "You forgot the learning rate: the step is 0.1 of the velocity.",
        ),
    }
    atol = 0.005


def momentum_path(steepness, start, lr, beta, steps):
    x, path = start, [start]
    velocity = 0.0
    for _ in range(steps):
        slope = 2 * steepness * x
        velocity = beta * velocity + slope
        x = x - lr * velocity
        path.append(x)
    return path


def momentum_by_sums(steepness, start, lr, beta, steps):
    """The velocity written out: every slope so far, each shrunk once for every step since."""
    path, slopes = [start], []
    for step in range(steps):
        slopes.append(2 * steepness * path[-1])
        velocity = sum(beta ** (step - i) * slope for i, slope in enumerate(slopes))
        path.append(path[-1] - lr * velocity)
    return path


def small_walks(rng: random.Random) -> Iterator[tuple]:
    """One step, two steps, then walks of all kinds that end where they should."""
    yield 1.0, 10.0, 0.1, 0.5, 1
    yield 1.0, 10.0, 0.1, 0.5, 2
    for steps in range(2, 26):
        steepness = rng.choice([0.5, 1.0, 3.0])
        lr = rng.choice([0.05, 0.1, 0.2]) / steepness
        yield steepness, rng.uniform(1, 10), lr, rng.choice([0.3, 0.5, 0.8]), steps


def walk_with(turn: Callable, pushed: float = 0.0, flat: bool = False) -> Callable:
    """A walk whose `turn` is wrong, which gets and gives (x, velocity), or its start, or slope."""

    def walk(steepness, start, lr, beta, steps):
        x, velocity, path = start, pushed * 2 * steepness * start, [start]
        for _ in range(steps):
            x, velocity = turn(x, velocity, 2 * x if flat else 2 * steepness * x, lr, beta)
            path.append(x)
        return path

    return walk


def right_turn(x, velocity, slope, lr, beta):
    velocity = beta * velocity + slope
    return x - lr * velocity, velocity


def no_start(steepness, start, lr, beta, steps):
    raise UnboundLocalError("velocity")


def nesterov(x, velocity, slope, lr, beta):
    velocity = beta * velocity + slope
    return x - lr * (slope + beta * velocity), velocity


@exercise("04.2", subgoal="momentum")
class FillInMomentum:
    stub = (
        "def momentum_path(steepness, start, lr, beta, steps):\n"
        "    # down f(x) = steepness · x², whose slope at x is 2 · steepness · x\n"
        "    x, path = start, [start]\n"
        "    for _ in range(steps):\n"
        "        ...\n"
        "        path.append(x)\n"
        "    return path  # [start, x after step 1, x after step 2, ...]"
    )
    solution = momentum_path
    spec = momentum_by_sums
    inputs = small_walks
    mutants = {
        "no memory": (
            walk_with(lambda x, u, g, lr, beta: (x - lr * g, u)),
            "Right for one step, plain SGD after it. The velocity has to keep beta of its old "
            "value.",
        ),
        "nothing forgotten": (
            walk_with(lambda x, u, g, lr, beta: (x - lr * (u + g), u + g)),
            "Your velocity never forgets: multiply its old value by beta first.",
        ),
        "an average": (
            walk_with(
                lambda x, u, g, lr, beta: (
                    x - lr * (beta * u + (1 - beta) * g),
                    beta * u + (1 - beta) * g,
                )
            ),
            "You took (1 − beta) of the slope, as Adam does. Momentum adds the whole slope.",
        ),
        "shrunk slope": (
            walk_with(lambda x, u, g, lr, beta: (x - lr * (u + beta * g), u + beta * g)),
            "beta shrinks the new slope in yours. It should shrink the old velocity.",
        ),
        "both shrunk": (
            walk_with(lambda x, u, g, lr, beta: (x - lr * beta * (u + g), beta * (u + g))),
            "Your beta shrinks the new slope as well. Shrink the old velocity, then add.",
        ),
        "late": (
            walk_with(lambda x, u, g, lr, beta: (x - lr * u, beta * u + g)),
            "You step first and push the velocity afterwards, so every push comes one step late.",
        ),
        "uphill": (
            walk_with(lambda x, u, g, lr, beta: (x + lr * (beta * u + g), beta * u + g)),
            "You walk uphill: the step is subtracted.",
        ),
        "no learning rate": (
            walk_with(lambda x, u, g, lr, beta: (x - (beta * u + g), beta * u + g)),
            "The learning rate is missing: the step is lr times the velocity.",
        ),
        "nesterov": (
            walk_with(nesterov),
            "That is Nesterov's form, which looks one step ahead. Here it is the plain one.",
        ),
        "starts pushed": (
            walk_with(right_turn, pushed=1.0),
            "Your velocity starts at the first slope, which is then added again. It starts at 0.",
        ),
        "no start": (
            no_start,
            "You use a name that has no value yet. Before the loop, give the velocity its start: "
            "0.",
        ),
        "no steepness": (
            walk_with(right_turn, flat=True),
            "You took 2 · x for the slope. Here it is 2 · steepness · x.",
        ),
        "slope and velocity": (
            walk_with(lambda x, u, g, lr, beta: (x - lr * (beta * u + 2 * g), beta * u + g)),
            "You step along the velocity *and* the slope. The slope is in the velocity already.",
        ),
    }
    hints = {"late": 2}


def adamw_step(x, g, m, v, t, lr, betas, eps, decay):
    beta1, beta2 = betas
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    x = x - lr * decay * x
    x = x - lr * m_hat / (v_hat.sqrt() + eps)
    return x, m, v


def adamw_by_loops(x, g, m, v, t, lr, betas, eps, decay):
    new = []
    for one, slope, mean, square in zip(*(a.tolist() for a in (x, g, m, v)), strict=True):
        mean += (1 - betas[0]) * (slope - mean)
        square += (1 - betas[1]) * (slope * slope - square)
        size = math.sqrt(square / (1 - betas[1] ** (t + 1))) + eps
        step = mean / (1 - betas[0] ** (t + 1)) / size
        new.append((one * (1 - lr * decay) - lr * step, mean, square))
    return tuple(torch.tensor(column) for column in zip(*new, strict=True))


def adamw_moments(rng: random.Random) -> Iterator[tuple]:
    """A first step, then steps in the middle; gradients of all sizes, some as small as eps."""
    zero = torch.zeros(2)
    x, g = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -3.0])
    yield x, g, zero, zero, 0, 0.1, (0.9, 0.99), 1e-8, 0.0
    for case in range(21):
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        n, t = 1 + case % 4, 0 if case % 5 == 0 else rng.randint(1, 200)
        x, g, m = (torch.randn(n, generator=generator) for _ in range(3))
        size = rng.choice([1.0, 1e-2, 1e-4])
        g, m = size * g, size * m if t else torch.zeros(n)
        v = (m**2 + size**2) * (1 - 0.99**t)
        betas = (rng.choice([0.5, 0.9]), rng.choice([0.9, 0.99]))
        eps, decay = rng.choice([1e-8, 1e-6, 1e-3]), rng.choice([0.1, 0.5])
        yield x, g, m, v, t, 0.1, betas, eps, decay


SLIPS = {
    "decay": "the decay goes through the gradient, so it is divided by √v like the rest: take it "
    "off x itself",
    "t": "t still starts at 0, where 1 − beta**0 is 0: this is step number t + 1",
    "eps": "eps stands inside the root, where 1e-8 acts like 1e-4: add it after the root",
}


def slipped(*slips: str) -> Callable:
    """AdamW's step with some of its known slips."""

    def step(x, g, m, v, t, lr, betas, eps, decay):
        beta1, beta2 = betas
        if "late t" in slips:
            t = t + 2
        elif "t" not in slips:
            t = t + 1
        if "decay" in slips:
            g = g + decay * x
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g.abs() if "no square" in slips else g**2)
        plain = "no correction" in slips
        m_hat = m if plain else m / (1 - beta1**t)
        v_hat = v if plain or "v plain" in slips else v / (1 - beta2**t)
        size = (v_hat + eps).sqrt() if "eps" in slips else v_hat.sqrt() + eps
        if "no root" in slips:
            size = v_hat + eps
        shrink = decay if "decay without lr" in slips else lr * decay
        if not {"decay", "no decay", "decay last"} & set(slips):
            x = x - shrink * x
        x = x - lr * m_hat / size
        if "decay last" in slips:
            x = x - lr * decay * x
        return (x, m_hat, v_hat) if "hats kept" in slips else (x, m, v)

    return step


def left_over() -> Iterator[tuple[str, tuple]]:
    """One entry for every choice of slips that a reader may have left in."""
    for count in (1, 2):
        for slips in combinations(SLIPS, count):
            many = "One slip is left" if count == 1 else "Two slips are left"
            text = "; ".join(SLIPS[slip] for slip in slips)
            yield " and ".join(slips), (slipped(*slips), f"{many}: {text}.")


@exercise("04.3", subgoal="step")
class ThreeSlips:
    stub = (
        "def adamw_step(x, g, m, v, t, lr, betas, eps, decay):\n"
        "    # t steps were taken before this one; returns the new x, m and v\n"
        "    beta1, beta2 = betas\n"
        "    g = g + decay * x\n"
        "    m = beta1 * m + (1 - beta1) * g\n"
        "    v = beta2 * v + (1 - beta2) * g**2\n"
        "    m_hat = m / (1 - beta1**t)\n"
        "    v_hat = v / (1 - beta2**t)\n"
        "    x = x - lr * m_hat / (v_hat + eps).sqrt()\n"
        "    return x, m, v"
    )
    solution = adamw_step
    spec = adamw_by_loops
    inputs = adamw_moments
    mutants = dict(left_over()) | {
        "no correction": (
            slipped("no correction"),
            "The bias correction is gone. The first steps are now several times too long.",
        ),
        "v plain": (
            slipped("v plain"),
            "You corrected m and forgot v. Both start from 0, so both read too small.",
        ),
        "no decay": (
            slipped("no decay"),
            "Nothing decays any more. Take lr · decay · x off x, apart from the gradient.",
        ),
        "decay without lr": (
            slipped("decay without lr"),
            "The decay lost its learning rate: take lr · decay · x off x.",
        ),
        "decay last": (
            slipped("decay last"),
            "Nearly: you decay after the step, so the step shrinks too. torch decays first.",
        ),
        "late t": (
            slipped("late t"),
            "The first step has number 2 in yours. It is number 1: add 1 to t, once.",
        ),
        "no root": (
            slipped("no root"),
            "The root is gone: v is a mean of *squares*, and its root is the usual size.",
        ),
        "no square": (
            slipped("no square"),
            "v should be a running mean of the gradient's square.",
        ),
        "hats kept": (
            slipped("hats kept"),
            "You return the corrected m and v. Keep the plain ones: the correction is made anew "
            "at every step.",
        ),
    }
    hints = {"decay last": 2, "late t": 2}
    atol = 1e-6


def linear_with_warmup(step, max_lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    if step >= max_steps:
        return min_lr
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return max_lr - (max_lr - min_lr) * done


def linear_by_walking(step, max_lr, min_lr, warmup_steps, max_steps):
    """Walk there from step 0, adding what each step adds."""
    rate = max_lr / warmup_steps
    for now in range(1, step + 1):
        if now < warmup_steps:
            rate += max_lr / warmup_steps
        elif warmup_steps < now <= max_steps:
            rate -= (max_lr - min_lr) / (max_steps - warmup_steps)
    return rate


def plans(rng: random.Random) -> Iterator[tuple]:
    """The 25 steps of one small plan, then single steps of others, around the corners."""
    for step in range(25):
        yield step, 1.0, 0.1, 5, 20
    for _ in range(4):
        warmup_steps = rng.randint(2, 9)
        max_steps = warmup_steps + rng.randint(3, 30)
        max_lr = rng.choice([0.5, 2.0])
        for step in (0, warmup_steps - 1, warmup_steps, max_steps - 1, max_steps, max_steps + 7):
            yield step, max_lr, max_lr * rng.choice([0.05, 0.2]), warmup_steps, max_steps


def plan_with(up: Callable | None = None, down: Callable | None = None, switch=0, stop=True):
    """A schedule with a wrong way up, a wrong way down, or a wrong place to switch."""

    def rate(step, max_lr, min_lr, warmup_steps, max_steps):
        if step < warmup_steps + switch:
            share = up(step, warmup_steps) if up else (step + 1) / warmup_steps
            return max_lr * share
        if stop and step >= max_steps:
            return min_lr
        done = (step - warmup_steps) / (max_steps - warmup_steps)
        if down:
            return down(step, max_lr, min_lr, warmup_steps, max_steps)
        return max_lr - (max_lr - min_lr) * done

    return rate


def cosine(step, max_lr, min_lr, warmup_steps, max_steps):
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return max_lr - (max_lr - min_lr) * (1 - math.cos(math.pi * done)) / 2


def from_step_0(step, max_lr, min_lr, warmup_steps, max_steps):
    return max_lr - (max_lr - min_lr) * step / max_steps


def from_end_of_warmup(step, max_lr, min_lr, warmup_steps, max_steps):
    return max_lr - (max_lr - min_lr) * (step - warmup_steps) / max_steps


def to_zero(step, max_lr, min_lr, warmup_steps, max_steps):
    return max_lr * (1 - min(1, (step - warmup_steps) / (max_steps - warmup_steps)))


def one_step_on(step, max_lr, min_lr, warmup_steps, max_steps):
    done = (step + 1 - warmup_steps) / (max_steps - warmup_steps)
    return max_lr - (max_lr - min_lr) * done


@exercise("04.4", subgoal="schedule")
class StraightSchedule:
    stub = (
        "def linear_with_warmup(step, max_lr, min_lr, warmup_steps, max_steps):\n"
        "    # up in a straight line, then down in a straight line → the rate of this step\n"
        "    ..."
    )
    solution = linear_with_warmup
    spec = linear_by_walking
    inputs = plans
    mutants = {
        "starts at 0": (
            plan_with(up=lambda step, warmup: step / warmup),
            "Step 0 has rate 0 in yours, so it is wasted. Steps count from 0: use step + 1.",
        ),
        "never reaches max": (
            plan_with(up=lambda step, warmup: (step + 1) / (warmup + 1)),
            "The last warm-up step does not reach max_lr in yours. Divide by warmup_steps.",
        ),
        "too far": (
            plan_with(switch=1),
            "At step warmup_steps yours is above max_lr. That step is the first on the way down: "
            "use <, not <=.",
        ),
        "to zero": (
            plan_with(down=to_zero, stop=False),
            "Your line runs down to 0. It should end at min_lr.",
        ),
        "to zero, then min": (
            plan_with(down=to_zero),
            "Your line aims at 0 and jumps to min_lr at the end. Aim at min_lr from the start.",
        ),
        "no end": (
            plan_with(stop=False),
            "After max_steps yours keeps falling, below min_lr. From there on it stays at min_lr.",
        ),
        "warm-up forgotten": (
            plan_with(down=from_step_0),
            "On the way down you count from step 0, so the rate drops as the warm-up ends. Count "
            "from the end of the warm-up.",
        ),
        "too slow": (
            plan_with(down=from_end_of_warmup),
            "Your way down is max_steps long. It has only max_steps − warmup_steps.",
        ),
        "one early": (
            plan_with(down=one_step_on),
            "Your way down is one step early: step warmup_steps itself still has max_lr.",
        ),
        "no warm-up": (
            plan_with(up=lambda step, warmup: 1.0),
            "There is no warm-up in yours: the first steps have max_lr already.",
        ),
        "cosine": (
            plan_with(down=cosine),
            "That is the half wave of the chapter. Here the way down is a straight line.",
        ),
        "up from min": (
            lambda step, max_lr, min_lr, warmup_steps, max_steps: (
                min_lr + (max_lr - min_lr) * (step + 1) / warmup_steps
                if step < warmup_steps
                else linear_with_warmup(step, max_lr, min_lr, warmup_steps, max_steps)
            ),
            "Your warm-up starts from min_lr. It starts from 0: a share of max_lr.",
        ),
    }
    hints = {"one early": 2, "too slow": 2}


@exercise("04.5", subgoal="scale")
class TinyLoss:
    stub = 'answer = None  # for example "no change"'
    solution = "crawls"
    solution_text = 'answer = "crawls"'
    mutants = {
        "no change": (
            "no change",
            "Times 100 changed nothing. But how do gradients this small compare with eps? Run it.",
        ),
        "explodes": (
            "explodes",
            "Smaller gradients can never make AdamW's steps longer than about lr. Run it.",
        ),
        "uphill": (
            "uphill",
            "A positive factor changes no sign, so the direction stays. Run it.",
        ),
    }


def names_that_decay(shapes):
    return [name for name, shape in shapes.items() if len(shape) >= 2]


def names_by_loops(shapes):
    names = []
    for name in shapes:
        axes = 0
        for _ in shapes[name]:
            axes += 1
        if axes >= 2:
            names.append(name)
    return names


def named_shapes(rng: random.Random) -> Iterator[tuple]:
    """Models of all sizes, their parameters in any order."""
    yield ({"table": (65, 65), "gain.weight": (65,)},)
    kinds = {
        "table": lambda n: (n, n),
        "head.weight": lambda n: (n, 2 * n),
        "gain.weight": lambda n: (n,),
        "norm.weight": lambda n: (n,),
        "stretch.weight": lambda n: (n,),
        "head.bias": lambda n: (n,),
        "scale": lambda n: (),
        "cube": lambda n: (n, 2, 3),
        "row.weight": lambda n: (1, n),
    }
    for size in range(2, 26):
        names = list(kinds)
        rng.shuffle(names)
        yield ({name: kinds[name](size) for name in names[: rng.randint(5, 9)]},)


@exercise("04.6", subgoal="groups")
class DecayedGains:
    stub = (
        "def names_that_decay(shapes):\n"
        '    # shapes: {"table": (65, 65), "gain.weight": (65,), ...} → names, in this order\n'
        '    return [name for name, shape in shapes.items() if name.endswith("weight")]'
    )
    solution = names_that_decay
    spec = names_by_loops
    inputs = named_shapes
    mutants = {
        "all": (
            lambda shapes: list(shapes),
            "Everything decays in yours, the gains first of all.",
        ),
        "not bias": (
            lambda shapes: [name for name in shapes if "bias" not in name],
            "You left out what is called bias. Gains and the scale still decay.",
        ),
        "not gain": (
            lambda shapes: [n for n in shapes if n.endswith("weight") and "gain" not in n],
            "You left out what is called gain. The next model calls it norm: ask for the shape.",
        ),
        "neither name": (
            lambda shapes: [
                n for n in shapes if n.endswith("weight") and "gain" not in n and "norm" not in n
            ],
            "A list of names is never complete: table has no weight in its name, and should decay.",
        ),
        "exactly two": (
            lambda shapes: [name for name, shape in shapes.items() if len(shape) == 2],
            "Something with three axes is a table of tables, and decays too: use >=.",
        ),
        "vectors": (
            lambda shapes: [name for name, shape in shapes.items() if len(shape) < 2],
            "The wrong way round: these are the ones that should be left alone.",
        ),
        "vectors too": (
            lambda shapes: [name for name, shape in shapes.items() if len(shape) >= 1],
            "A row of gains has one axis. Two axes or more decay.",
        ),
        "weights with two axes": (
            lambda shapes: [
                n for n, shape in shapes.items() if n.endswith("weight") and len(shape) >= 2
            ],
            "You ask for the shape, and for the name still: table is left out.",
        ),
        "long first axis": (
            lambda shapes: [n for n, shape in shapes.items() if len(shape) and shape[0] > 1],
            "You looked at how long the first axis is. What counts is how many axes there are.",
        ),
    }
