"""The exercises of chapter 16: who am I, what do I read, what do we share, and which bug is it?"""

import torch
import torch.nn as nn

from gpt2_tutorial.checks.compare import same
from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "16.1", __name__, subgoal="name", stub="answer = None  # for example [13, 5, 16]",
    solution="answer = [21, 5, 32]",
)  # fmt: skip


def places_by_loops(sizes, n, rank, world_size):
    found = []
    for shard, size in enumerate(sizes):
        for number in range(size):  # of rounds, more than there can be
            last_target = (number + 1) * world_size * n
            if last_target < size:
                pieces_before = number * world_size + rank
                found.append((shard, pieces_before * n))
    return found


def shards_to_read(rng: Dice):
    """Sizes of shards, tokens of a piece, a rank and a world; some end exactly with a round."""
    yield [25, 13], 4, 1, 3
    yield [24, 25], 4, 0, 3
    for i in range(24):
        world_size, n = rng.randint(2, 4), rng.randint(2, 5)
        a_round = world_size * n
        sizes = [rng.randint(1, 4) * a_round + rng.choice([0, 1, 2, n + 1, a_round - 1])
                 for _ in range(rng.randint(2, 3))]  # fmt: skip
        yield sizes, n, (i % (world_size - 1)) + 1 if i % 4 else 0, world_size


@exercise("16.2", subgoal="share out", spec=places_by_loops, inputs=shards_to_read)
def places(sizes, n, rank, world_size):
    # sizes [tokens of shard 0, of shard 1, …] → [(shard, first token), …]
    found = []
    for shard, size in enumerate(sizes):
        start = 0  # of the round, the same for every rank
        while start + world_size * n + 1 <= size:
            found.append((shard, start + rank * n))
            start += world_size * n
    return found


def all_reduce_by_loops(gradients):
    out = [{} for _ in gradients]
    for name in gradients[0]:
        for mine in out:
            mine[name] = sum(brought[name] for brought in gradients) / len(gradients)
    return out


def gradients_to_share(rng: Dice):
    """Gradients of two to four ranks; some list the same names in another order."""
    yield [{"w": torch.tensor([2.0, 4.0])}, {"w": torch.tensor([6.0, 0.0])}]
    for i in range(22):
        shapes = {"weight": (rng.randint(2, 3), rng.randint(2, 3)), "bias": (rng.randint(2, 3),)}
        if i % 4 == 1:
            shapes["bias"] = shapes["weight"]
        brought = [
            {name: (4 * rng.randn(*shape)).round() for name, shape in shapes.items()}
            for _ in range(rng.randint(3 if i % 4 == 1 else 2, 4))
        ]
        if i % 4 == 1:
            brought[-1] = dict(reversed(brought[-1].items()))
        yield brought


def each_its_own(reduce, gradients):
    """What each rank holds. Where all is right, even the hard case, we look for shared memory."""
    held = reduce(gradients)
    is_hard = list(gradients[0]) != list(gradients[-1])  # half-right answers are wrong here
    if not is_hard or not same(all_reduce_by_loops(gradients), held):
        return held
    places = [mine[name].data_ptr() for mine in held for name in mine]
    shared = len(set(places)) < len(places)
    return "one tensor in the hands of several ranks" if shared else held


@exercise(
    "16.3", subgoal="add up", spec=all_reduce_by_loops, inputs=gradients_to_share,
    observe=each_its_own,
)  # fmt: skip
def all_reduce_mean(gradients):
    # [{name: tensor} of rank 0, of rank 1, …] → the same, averaged
    means = {}
    for name in gradients[0]:
        brought = [mine[name] for mine in gradients]
        means[name] = torch.stack(brought).mean(0)
    return [{name: mean.clone() for name, mean in means.items()} for _ in gradients]


class Wrapped(nn.Module):
    """DDP with a partner whose rows are known: gradients become the mean of both."""

    def __init__(self, module: nn.Module, others: list):
        super().__init__()
        self.module, self.others = module, others
        self.calls, self.hooks = 0, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for hook in self.hooks:
            hook.remove()
        parameters = list(self.module.parameters())
        theirs, y = self.others[self.calls % len(self.others)]
        self.calls += 1
        with torch.enable_grad():
            loss = ((self.module(theirs) - y) ** 2).mean()
            grads = torch.autograd.grad(loss, parameters)
        pairs = zip(parameters, grads, strict=True)
        self.hooks = [p.register_hook(lambda mine, g=g: (mine + g) / 2) for p, g in pairs]
        return self.module(x)


def both_ranks(train, seed, steps):
    """Train as rank 0 and as rank 1, and say what each holds in the end."""
    dice, held = Dice(seed), {}
    weight = dice.randn(1, 3)
    shares = [[(dice.randn(4, 3), dice.randn(4, 1)) for _ in range(steps)] for _ in range(2)]
    for rank in (0, 1):
        model = nn.Linear(3, 1, bias=False)
        model.weight.data.copy_(weight)
        found = train(model, lambda m, others=shares[1 - rank]: Wrapped(m, others), shares[rank])
        if found is None:
            return None
        held[f"rank {rank}"] = found.detach().clone() if torch.is_tensor(found) else found
    return held


def one_process(model, wrap, batches):
    """All rows of a step as one batch, and its gradient by the formula for a straight line."""
    weight = model.weight.detach()
    for mine, theirs in zip(batches, wrap(model).others, strict=True):
        x, y = (torch.cat(both) for both in zip(mine, theirs, strict=True))
        misses = x @ weight.T - y  # (N, 1)
        weight = weight - 0.1 * (2 * misses * x).mean(0)
    return weight


def runs_to_train(rng: Dice):
    """A seed and a number of steps."""
    for i in range(20):
        yield rng.randrange(2**31), 2 + i % 4


@exercise(
    "16.4", subgoal="wrap", spec=one_process, inputs=runs_to_train, observe=both_ranks, atol=1e-4
)
def train_my_share(model, wrap, batches):
    wrapped = wrap(model)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches:
        sgd.zero_grad()
        loss = ((wrapped(x) - y) ** 2).mean()
        loss.backward()
        sgd.step()
    return model.weight


value_exercise(
    "16.5", __name__, subgoal="share out", stub="answer = None  # for example 1024",
    solution="answer = 65536",
)  # fmt: skip


# --- which bug is it: the runs of results/runs/broken_runs.json, in the order of their letters

CAUSE_OF = {
    "A": "lr_over_30",
    "B": "lr_times_30",
    "C": "std_1",
    "D": "late_sync",
    "E": "no_zero_grad",
    "F": "same_shard",
    "G": "decay_too_large",
    "H": "all_half",
    "I": "same_batch",
    "J": "no_mask",
    "K": "no_division",
    "L": "shifted_two",
    "M": "dropped_wrapper",
    "N": "no_positions",
    "O": "loader_restarts",
    "P": "same_as_input",
}


def swapped(one, other):
    """All causes right, but for two that took each other's place."""
    places = {one: other, other: one}
    return {letter: places.get(cause, cause) for letter, cause in CAUSE_OF.items()}


value_exercise(
    "16.6", __name__, subgoal="compare",
    stub='answer = dict.fromkeys("ABCDEFGHIJKLMNOP")  # for example answer["A"] = "no_mask"',
    solution=(
        "answer = {\n"
        + "".join(f'    "{letter}": "{cause}",\n' for letter, cause in CAUSE_OF.items())
        + "}"
    ),
)  # fmt: skip
