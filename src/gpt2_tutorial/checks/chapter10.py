"""The exercises of chapter 10: LayerNorm, the two ramps of a block, dropout, first weights."""

import math
import random
from dataclasses import dataclass

import torch

from gpt2_tutorial.checks.engine import exercise


@exercise("10.1", subgoal="level")
class LevelByHand:
    stub = "answer = None  # for example [0.5, -1.0, 1.0, -0.5]"
    solution = [0.447, -1.342, -0.447, 1.342]
    solution_text = "answer = [0.447, -1.342, -0.447, 1.342]"
    atol = 0.002
    mutants = {
        "n minus 1": (
            [0.387, -1.162, -0.387, 1.162],
            "You divided the squares by 3. LayerNorm divides by how many there are, 4.",
        ),
        "not divided": ([5, -15, -5, 15], "The mean is gone. Now divide by the spread."),
        "by the variance": (
            [0.04, -0.12, -0.04, 0.12],
            "You divided by the variance. Take its root first.",
        ),
        "not centred": (
            [2.683, 0.894, 1.789, 3.578],
            "You divided by the spread, and the mean is still in there. Subtract it first.",
        ),
        "sorted": (
            [-1.342, -0.447, 0.447, 1.342],
            "The right numbers, sorted. Each stays where it was.",
        ),
        "ten times": (
            [4.472, -13.416, -4.472, 13.416],
            "Ten times too large: the spread grew with the numbers, to 11.18.",
        ),
        "root of the sum": (
            [0.224, -0.671, -0.224, 0.671],
            "You took the root of the sum of squares. Divide the sum by 4 before the root.",
        ),
    }


def layer_norm(x, gain, shift, eps=1e-5):
    mean = x.mean(-1, keepdim=True)  # (B, T, 1)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)  # (B, T, 1)
    return (x - mean) / torch.sqrt(variance + eps) * gain + shift  # (B, T, C)


def layer_norm_by_loops(x, gain, shift, eps=1e-5):
    out = torch.empty_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            numbers = x[b, t].tolist()
            mean = sum(numbers) / len(numbers)
            variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
            for c, number in enumerate(numbers):
                level = (number - mean) / math.sqrt(variance + eps)
                out[b, t, c] = level * gain[c].item() + shift[c].item()
    return out


def streams_to_level(rng: random.Random):
    """A stream (B, T, C), a gain, a shift and an eps; some are nearly flat, so that eps matters."""
    one, none = torch.ones(4), torch.zeros(4)
    yield torch.tensor([[[1.0, 2.0, 3.0, 4.0], [4.0, 0.0, 0.0, 0.0]]]), one, none, 1e-5
    yield 0.01 * torch.tensor([[[1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 4.0, 2.0]]] * 2), one, none, 1e-4
    for _ in range(22):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        B, T, C = rng.randint(2, 3), rng.randint(2, 4), rng.randint(3, 6)
        x = torch.randn(B, T, C, generator=dice) + rng.randint(-3, 3)
        gain, shift = 1 + torch.rand(C, generator=dice), torch.randn(C, generator=dice)
        yield rng.choice([0.01, 1.0, 10.0]) * x, gain, shift, rng.choice([1e-5, 1e-4])


def levelled(axis=-1, n_minus_1=False, eps_outside=False, root=True, centred=True):
    """LayerNorm with one thing wrong."""

    def layer_norm(x, gain, shift, eps=1e-5):
        mean = x.mean(axis, keepdim=True)
        variance = x.var(axis, keepdim=True, correction=int(n_minus_1))
        below = variance + eps if not eps_outside else variance
        below = below.sqrt() if root else below
        below = below + eps if eps_outside else below
        return ((x - mean) if centred else x) / below * gain + shift

    return layer_norm


@exercise("10.2", subgoal="level")
class LayerNorm:
    stub = (
        "def layer_norm(x, gain, shift, eps=1e-5):\n"
        "    # x (B, T, C), gain and shift (C,) → (B, T, C)\n"
        "    ..."
    )
    solution = layer_norm
    spec = layer_norm_by_loops
    inputs = streams_to_level
    atol = 1e-4
    mutants = {
        "n minus 1": (
            levelled(n_minus_1=True),
            "You divided the squares by C − 1. (PyTorch's var does so unless told otherwise.) At "
            "C = 4 that makes every number 1.155 times too small: divide by C.",
        ),
        "over T": (
            levelled(axis=1),
            "You took mean and spread over the tokens. Then a token feels those after it, "
            "which is a leak. Each token is levelled over its own C numbers.",
        ),
        "over the batch": (
            levelled(axis=0),
            "You took mean and spread over the batch, so one sequence depends on the others in "
            "it. Each token is levelled over its own C numbers.",
        ),
        "over everything": (
            levelled(axis=(-2, -1)),
            "You took one mean and one spread for a whole sequence. Each token has its own.",
        ),
        "eps outside": (
            levelled(eps_outside=True),
            "You added eps behind the root. It belongs to the variance, under the root; where "
            "numbers are nearly flat, this shows.",
        ),
        "no root": (
            levelled(root=False),
            "You divided by the variance. The spread is its root.",
        ),
        "neither gain nor shift": (
            lambda x, gain, shift, eps=1e-5: layer_norm(x, 1, 0, eps),
            "Levelled well. Now times gain, plus shift.",
        ),
        "no gain": (
            lambda x, gain, shift, eps=1e-5: layer_norm(x, 1, shift, eps),
            "You added the shift and forgot the gain: multiply by it first.",
        ),
        "no shift": (
            lambda x, gain, shift, eps=1e-5: layer_norm(x, gain, 0, eps),
            "You multiplied by the gain and forgot the shift: add it at the end.",
        ),
        "no eps": (
            lambda x, gain, shift, eps=1e-5: layer_norm(x, gain, shift, 0),
            "You left eps out. Where numbers are nearly flat, this shows: add it to the variance.",
        ),
        "not centred": (
            levelled(centred=False),
            "The mean is still in there: subtract it before you divide.",
        ),
        "no keepdim": (
            lambda x, gain, shift, eps=1e-5: (
                (x - x.mean(-1)) / (x.var(-1, correction=0) + eps).sqrt() * gain + shift
            ),
            "mean(-1) drops the axis, so (B, T) meets (B, T, C) and lines up with the wrong "
            "axes. Keep it: keepdim=True.",
        ),
    }
    hints = {"n minus 1": 2, "eps outside": 2, "no keepdim": 2}


def on_ramps(x, ln_1, attn, ln_2, mlp):
    from_attn = attn(ln_1(x))  # (B, T, C)
    from_mlp = mlp(ln_2(x + from_attn))  # (B, T, C)
    return from_attn, from_mlp


def on_ramps_by_loops(x, ln_1, attn, ln_2, mlp):
    stream, added = x.clone(), []
    for norm, part in ((ln_1, attn), (ln_2, mlp)):
        joins = part(norm(stream))
        added.append(joins)
        for b in range(x.shape[0]):
            for t in range(x.shape[1]):
                stream[b, t] = stream[b, t] + joins[b, t]
    return tuple(added)


@dataclass(frozen=True)
class Part:
    """A small stand-in for a part of a block; the four kinds can be told apart."""

    kind: str
    seed: int

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        C, dice = x.shape[-1], torch.Generator().manual_seed(self.seed)
        weight = torch.randn(C, C, generator=dice)
        if self.kind.startswith("ln"):
            return torch.nn.functional.layer_norm(x, (C,)) * (1 + weight[0].abs())
        if self.kind == "attn":
            past = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
            return past @ weight
        return 2 * torch.tanh(x @ weight)

    def __repr__(self) -> str:
        return self.kind


def streams_and_parts(rng: random.Random):
    """A stream and the four parts of a block."""
    for _ in range(22):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        B, T, C = rng.randint(1, 2), rng.randint(2, 3), rng.randint(3, 5)
        x = 3 * torch.randn(B, T, C, generator=dice) + 1
        kinds = ("ln_1", "attn", "ln_2", "mlp")
        yield (x, *(Part(kind, rng.randrange(2**31)) for kind in kinds))


def post_norm(x, ln_1, attn, ln_2, mlp):
    from_attn = attn(x)
    return from_attn, mlp(ln_1(x + from_attn))


def norm_on_the_road(x, ln_1, attn, ln_2, mlp):
    level = ln_1(x)
    from_attn = attn(level)
    return from_attn, mlp(ln_2(level + from_attn))


def whole_stream(x, ln_1, attn, ln_2, mlp):
    from_attn, from_mlp = on_ramps(x, ln_1, attn, ln_2, mlp)
    return x + from_attn, x + from_attn + from_mlp


@exercise("10.3", subgoal="assemble")
class OnRamps:
    stub = (
        "def on_ramps(x, ln_1, attn, ln_2, mlp):\n"
        "    # x (B, T, C) → what attention adds, what the MLP adds, both (B, T, C)\n"
        "    ..."
    )
    solution = on_ramps
    spec = on_ramps_by_loops
    inputs = streams_and_parts
    mutants = {
        "post-norm": (
            post_norm,
            "That is the post-norm block of 2017: the norm stands behind the plus. In GPT-2 each "
            "part reads a levelled copy.",
        ),
        "norm on the road": (
            norm_on_the_road,
            "You levelled the road itself: what attention's answer is added to has to be x as it "
            "came, not ln_1(x).",
        ),
        "raw MLP": (
            lambda x, ln_1, attn, ln_2, mlp: (attn(ln_1(x)), mlp(x + attn(ln_1(x)))),
            "Your MLP reads the stream as it is. It has a norm of its own, ln_2.",
        ),
        "raw attention": (
            lambda x, ln_1, attn, ln_2, mlp: (attn(x), mlp(ln_2(x + attn(x)))),
            "Your attention reads the stream as it is. ln_1 comes first.",
        ),
        "no norms": (
            lambda x, ln_1, attn, ln_2, mlp: (attn(x), mlp(x + attn(x))),
            "You used neither of the norms. Each part reads a levelled copy: ln_1 before "
            "attention, ln_2 before the MLP.",
        ),
        "no skip": (
            lambda x, ln_1, attn, ln_2, mlp: (attn(ln_1(x)), mlp(ln_2(attn(ln_1(x))))),
            "Your MLP sees nothing but attention's answer: the skip is missing. It reads x plus "
            "that answer.",
        ),
        "side by side": (
            lambda x, ln_1, attn, ln_2, mlp: (attn(ln_1(x)), mlp(ln_2(x))),
            "Your MLP reads the road before attention has joined it. The second ramp leaves "
            "behind the first plus.",
        ),
        "the same norm": (
            lambda x, ln_1, attn, ln_2, mlp: (attn(ln_1(x)), mlp(ln_1(x + attn(ln_1(x))))),
            "You used ln_1 twice. The MLP has its own gain and shift, in ln_2.",
        ),
        "the stream": (
            whole_stream,
            "That is the stream behind each plus. Asked is what joins it there, before it is "
            "added.",
        ),
    }
    hints = {"post-norm": 2, "norm on the road": 2}


def dropout(x, chance, p, training):
    if not training:
        return x
    return x * (chance >= p) / (1 - p)


def dropout_by_loops(x, chance, p, training):
    numbers = []
    for number, c in zip(x.tolist(), chance.tolist(), strict=True):
        if training:
            number = 0.0 if c < p else number / (1 - p)
        numbers.append(number)
    return torch.tensor(numbers)


def numbers_to_drop(rng: random.Random):
    """Numbers, a chance for each, p, and whether the model is in training."""
    first = torch.tensor([0.9, 0.1, 0.3, 0.6])
    yield torch.ones(4), first, 0.2, True
    yield torch.ones(4), first, 0.2, False
    for i in range(22):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        n, p = rng.randint(4, 8), (0.0, 0.1, 0.2, 0.3, 0.6)[i % 5]
        x, chance = torch.randn(n, generator=dice), torch.rand(n, generator=dice)
        chance[0], chance[1] = 0.01 + 0.04 * (i % 2), 0.97
        yield x, chance, p, i % 4 != 3


@exercise("10.4", subgoal="drop")
class Dropout:
    stub = (
        "def dropout(x, chance, p, training):\n"
        "    # x (n,), chance (n,) between 0 and 1: a number whose chance is below p goes\n"
        "    ..."
    )
    solution = dropout
    spec = dropout_by_loops
    inputs = numbers_to_drop
    mutants = {
        "no rescale": (
            lambda x, chance, p, training: x * (chance >= p) if training else x,
            "The right ones go, but those that stay are as they were, so the sum shrinks. Divide "
            "them by 1 − p.",
        ),
        "by p": (
            lambda x, chance, p, training: x * (chance >= p) / p if training else x,
            "You divided by p, the share that goes. The share that stays is 1 − p.",
        ),
        "times 1 - p": (
            lambda x, chance, p, training: x * (chance >= p) * (1 - p) if training else x,
            "You multiplied by 1 − p, so the sum shrinks twice. Divide.",
        ),
        "always on": (
            lambda x, chance, p, training: x * (chance >= p) / (1 - p),
            "You drop in evaluation as well. Outside training the numbers pass as they are.",
        ),
        "shrunk in evaluation": (
            lambda x, chance, p, training: x * (chance >= p) if training else x * (1 - p),
            "That is dropout as it was first published: shrink in evaluation. Today the survivors "
            "grow in training, and evaluation does nothing.",
        ),
        "shrunk as well": (
            lambda x, chance, p, training: x * (chance >= p) / (1 - p) if training else x * (1 - p),
            "Training is right: the survivors have grown there already. So evaluation must not "
            "shrink anything: return x as it is.",
        ),
        "the wrong ones, by p": (
            lambda x, chance, p, training: x * (chance < p) / p if training else x,
            "You keep those whose chance is below p, and divide by their share. They are the ones "
            "that go: the others stay, and their share is 1 − p.",
        ),
        "the wrong ones": (
            lambda x, chance, p, training: x * (chance < p) / (1 - p) if training else x,
            "You keep those whose chance is below p. They are the ones that go.",
        ),
        "turned round": (
            lambda x, chance, p, training: x if training else x * (chance >= p) / (1 - p),
            "You drop in evaluation and not in training. It is the other way round.",
        ),
    }


def first_weights(name, shape, n_layer):
    std = 0.02
    if name.endswith("c_proj"):
        std = std / math.sqrt(2 * n_layer)
    return std * torch.randn(shape)


def first_weights_by_loops(name, shape, n_layer):
    std = 0.02 / math.sqrt(2 * n_layer) if name.split(".")[-1] == "c_proj" else 0.02
    rows, columns = shape
    return torch.tensor([[random.gauss(0, std) for _ in range(columns)] for _ in range(rows)])


def spread_of(make, name, shape, n_layer):
    """What matters of random weights: their shape, their middle and their spread."""
    weights = make(name, shape, n_layer)
    return {
        "shape": tuple(weights.shape),
        "mean": weights.mean().item(),
        "spread": weights.std(correction=0).item(),
    }


def maps_to_fill(rng: random.Random):
    """Names of maps in a model, shapes, and numbers of blocks."""
    names = ("attn.c_proj", "mlp.c_proj", "attn.c_attn", "mlp.c_fc", "c_proj", "wte")
    for i in range(24):
        shape = rng.randint(190, 210), rng.randint(190, 210)
        alone = names[i % 6] in ("c_proj", "wte")
        yield names[i % 6] if alone else f"{i}.{names[i % 6]}", shape, (2, 12, 24, 48)[i // 6]


def drawn(std_of_adds, std_of_others=lambda n_layer: 0.02):
    """First weights with given spreads."""

    def first_weights(name, shape, n_layer):
        std = std_of_adds if name.endswith("c_proj") else std_of_others
        return std(n_layer) * torch.randn(shape)

    return first_weights


@exercise("10.5", subgoal="begin small")
class FirstWeights:
    stub = (
        "def first_weights(name, shape, n_layer):\n"
        "    std = 0.02\n"
        '    if name == "c_proj":\n'
        "        std = std / math.sqrt(2 * n_layer)\n"
        "    return 0.02 * torch.randn(shape)"
    )
    solution = first_weights
    spec = first_weights_by_loops
    inputs = maps_to_fill
    observe = spread_of
    atol = 0.0005
    mutants = {
        "name": (
            lambda name, shape, n_layer: (
                torch.randn(shape) * (0.02 / math.sqrt(2 * n_layer) if name == "c_proj" else 0.02)
            ),
            "std is used now, but inside a model no map is found by its name: there it is "
            '"0.attn.c_proj", not "c_proj". Look at the if.',
        ),
        "unused": (
            drawn(lambda n_layer: 0.02),
            "Every map has the spread 0.02, whatever its name: std is worked out and never used. "
            "Look at the return.",
        ),
        "a dot before": (
            lambda name, shape, n_layer: (
                torch.randn(shape)
                * (0.02 / math.sqrt(2 * n_layer) if name.endswith(".c_proj") else 0.02)
            ),
            'You ask for a dot before the name. In an MLP on its own the map is called "c_proj", '
            "without one.",
        ),
        "attention alone": (
            lambda name, shape, n_layer: (
                torch.randn(shape)
                * (0.02 / math.sqrt(2 * n_layer) if name.endswith("attn.c_proj") else 0.02)
            ),
            "You scale the map of attention alone. The MLP's c_proj joins the stream too.",
        ),
        "everything": (
            lambda name, shape, n_layer: 0.02 / math.sqrt(2 * n_layer) * torch.randn(shape),
            "You made all maps smaller. Only those that join the stream are scaled.",
        ),
        "one join a block": (
            drawn(lambda n_layer: 0.02 / math.sqrt(n_layer)),
            "You counted one join for each block. There are two, so the root of 2 · n_layer.",
        ),
        "no root": (
            drawn(lambda n_layer: 0.02 / (2 * n_layer)),
            "You divided by 2 · n_layer. Spreads add up like a root, so take its root.",
        ),
        "0.02 twice": (
            drawn(lambda n_layer: 0.02**2 / math.sqrt(2 * n_layer), lambda n_layer: 0.02**2),
            "You multiplied by 0.02 twice (or squared std). The 0.02 is in std already: multiply "
            "randn by std and nothing else.",
        ),
    }
    hints = {"no root": 2}


@exercise("10.6", subgoal="compare")
class WithoutAPart:
    stub = 'answer = None  # for example "MLP"'
    solution = "attention"
    solution_text = 'answer = "attention"'
    mutants = {
        "mlp": (
            "MLP",
            "The MLPs hold two thirds of the numbers, and still it is the other. Run it.",
        ),
        "same": (
            "no difference",
            "There is a difference, and not a small one. Run it.",
        ),
        "norms": (
            "LayerNorm",
            "Only two parts were switched off, one after the other: attn and mlp.",
        ),
    }
