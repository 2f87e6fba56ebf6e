"""The exercises of chapter 16: who am I, what do I read, what do we share, and which bug is it?"""

import copy
import random

import torch
import torch.nn as nn

from gpt2_tutorial.checks.engine import exercise


@exercise("16.1", subgoal="name")
class WhoAmI:
    stub = "answer = None  # for example [13, 5, 16]"
    solution = [21, 5, 32]
    mutants = {
        "from 1": ([22, 6, 32], "You counted from 1. Ranks and local ranks begin at 0."),
        "machines from 1": (
            [29, 5, 32],
            "You counted the machines from 1: before the third there are two, with sixteen GPUs.",
        ),
        "swapped": (
            [5, 21, 32],
            "You swapped the two: the local rank is the one on your own machine, from 0 to 7.",
        ),
        "one machine": (
            [21, 5, 8],
            "Eight are on your machine. The world is all of them, on four machines.",
        ),
        "machines": ([21, 5, 4], "The world size counts processes, not machines."),
        "the machine": (
            [21, 2, 32],
            "2 is the number of your machine. The local rank says which of its GPUs is yours.",
        ),
    }


def places(sizes, n, rank, world_size):
    found = []
    for shard, size in enumerate(sizes):
        start = 0  # of the round, the same for every rank
        while start + world_size * n + 1 <= size:
            found.append((shard, start + rank * n))
            start += world_size * n
    return found


def places_by_loops(sizes, n, rank, world_size):
    found = []
    for shard, size in enumerate(sizes):
        rounds = 0
        for number in range(size):
            last_target = (number + 1) * world_size * n
            if last_target < size:
                rounds += 1
        for number in range(rounds):
            pieces_before = number * world_size + rank
            found.append((shard, pieces_before * n))
    return found


def shards_to_read(rng: random.Random):
    """Sizes of shards, tokens of a piece, a rank and a world; some end exactly with a round."""
    yield [25, 13], 4, 1, 3
    yield [24, 25], 4, 0, 3
    for i in range(24):
        world_size, n = rng.randint(2, 4), rng.randint(2, 5)
        a_round = world_size * n
        sizes = [rng.randint(1, 4) * a_round + rng.choice([0, 1, 2, n + 1, a_round - 1])
                 for _ in range(rng.randint(2, 3))]  # fmt: skip
        yield sizes, n, (i % (world_size - 1)) + 1 if i % 4 else 0, world_size


def whole_round(start, n, rank, world_size, size):
    return start + world_size * n + 1 <= size


def dealt(stride=None, begin=None, fits=whole_round, first=0):
    """`places` with one thing wrong."""

    def places(sizes, n, rank, world_size):
        found = []
        for shard, size in enumerate(sizes[first:], start=first):
            start = 0
            own = begin(shard, rank) if begin else rank
            while fits(start, n, rank, world_size, size):
                found.append((shard, start + own * n))
                start += stride(n, world_size) if stride else world_size * n
        return found

    return places


def skipped_rounds(sizes, n, rank, world_size):
    later = [(shard, place) for shard, place in places(sizes, n, rank, world_size)]
    return [(shard, place) for shard, place in later if shard == 0 or place >= world_size * n]


def one_long_text(sizes, n, rank, world_size):
    places_ = []
    start = 0
    while start + world_size * n + 1 <= sum(sizes):
        place, shard = start + rank * n, 0
        while place >= sizes[shard]:
            place, shard = place - sizes[shard], shard + 1
        places_.append((shard, place))
        start += world_size * n
    return places_


@exercise("16.2", subgoal="share out")
class Places:
    stub = (
        "def places(sizes, n, rank, world_size):\n"
        "    # sizes [tokens of shard 0, of shard 1, …] → [(shard, first token), …]\n"
        "    ..."
    )
    solution = places
    spec = places_by_loops
    inputs = shards_to_read
    mutants = {
        "rank ignored": (
            dealt(begin=lambda shard, rank: 0),
            "Your places do not depend on the rank, so every rank reads the same tokens: the mode "
            "“same rows”. Add rank · n to the start of the round.",
        ),
        "stride without world": (
            dealt(stride=lambda n, world_size: n),
            "Your next piece begins n tokens further on, and those are your neighbour's: a round "
            "is world_size · n tokens long. So tokens are read again and again.",
        ),
        "rank forgotten in the next shard": (
            dealt(begin=lambda shard, rank: rank if shard == 0 else 0),
            "The first shard is right. In the next one you begin at 0 for every rank: the rank was "
            "forgotten when the shard changed.",
        ),
        "shard skipped": (
            dealt(first=1),
            "The first shard is missing: you move on before anything was read from it.",
        ),
        "first round of a new shard skipped": (
            skipped_rounds,
            "In every shard but the first you leave out the first round. A new shard begins at "
            "token 0.",
        ),
        "own piece only": (
            dealt(fits=lambda start, n, rank, world_size, size: start + (rank + 1) * n + 1 <= size),
            "You ask whether your own piece still fits. Then low ranks find more pieces than high "
            "ones, and in the end some wait for ever. Ask whether the whole round fits.",
        ),
        "no target": (
            dealt(fits=lambda start, n, rank, world_size, size: start + world_size * n <= size),
            "Where a shard ends exactly with a round, you take one round too many: its very last "
            "token has no target. A round needs one token more.",
        ),
        "one block each": (
            lambda sizes, n, rank, world_size: [
                (shard, (rank * ((size - 1) // (world_size * n)) + number) * n)
                for shard, size in enumerate(sizes)
                for number in range((size - 1) // (world_size * n))
            ],
            "You gave each rank one long block of the shard. Nothing is lost, but the pieces of a "
            "round should lie side by side: a round moves by world_size · n.",
        ),
        "one long text": (
            one_long_text,
            "You let rounds run on over the end of a shard. A shard without a whole round left is "
            "finished, and the next round begins at token 0 of the next.",
        ),
        "rank not in pieces": (
            lambda sizes, n, rank, world_size: [
                (shard, place - rank * n + rank)
                for shard, place in places(sizes, n, rank, world_size)
            ],
            "You moved by rank tokens. A piece is n tokens long, so rank pieces are rank · n.",
        ),
    }
    hints = {"own piece only": 2, "no target": 2}


def all_reduce_mean(gradients):
    means = {}
    for name in gradients[0]:
        brought = [mine[name] for mine in gradients]
        means[name] = torch.stack(brought).mean(0)
    return [dict(means) for _ in gradients]


def all_reduce_by_loops(gradients):
    out = []
    for _ in gradients:
        mine = {}
        for name in gradients[0]:
            total = torch.zeros_like(gradients[0][name])
            for other in gradients:
                total = total + other[name]
            mine[name] = total / len(gradients)
        out.append(mine)
    return out


def gradients_to_share(rng: random.Random):
    """Gradients of two to four ranks; some list the same names in another order."""
    yield [{"w": torch.tensor([2.0, 4.0])}, {"w": torch.tensor([6.0, 0.0])}]
    for i in range(22):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        shapes = {"weight": (rng.randint(2, 3), rng.randint(2, 3)), "bias": (rng.randint(2, 3),)}
        if i % 4 == 1:
            shapes["bias"] = shapes["weight"]
        brought = [
            {name: torch.randint(-9, 10, shape, generator=dice).float()
             for name, shape in shapes.items()}
            for _ in range(rng.randint(2, 4))
        ]  # fmt: skip
        if i % 4 == 1:
            brought[-1] = dict(reversed(brought[-1].items()))
        yield brought


def by_place(gradients):
    means = {}
    for place, name in enumerate(gradients[0]):
        brought = [list(mine.values())[place] for mine in gradients]
        means[name] = sum(brought) / len(brought)
    return [dict(means) for _ in gradients]


def summed(gradients):
    return [{k: v * len(gradients) for k, v in mine.items()} for mine in all_reduce_mean(gradients)]


def only_rank_0(gradients):
    return [all_reduce_mean(gradients)[0], *gradients[1:]]


def one_after_the_other(gradients):
    now = [dict(mine) for mine in gradients]
    for mine in now:
        for name in mine:
            mine[name] = sum(other[name] for other in now) / len(now)
    return now


def changed_in_place(gradients):
    for name in gradients[0]:
        mean = sum(mine[name] for mine in gradients) / len(gradients)
        for mine in gradients:
            mine[name].copy_(mean)
    return gradients


def neighbours(gradients):
    n = len(gradients)
    return [
        {name: (gradients[i][name] + gradients[(i + 1) % n][name]) / 2 for name in gradients[i]}
        for i in range(n)
    ]


def halved(gradients):
    return [{k: v / 2 for k, v in mine.items()} for mine in summed(gradients)]


def without_itself(gradients):
    n = len(gradients)
    return [
        {name: sum(other[name] for j, other in enumerate(gradients) if j != i) / (n - 1)
         for name in gradients[i]}
        for i in range(n)
    ]  # fmt: skip


def running_mean(gradients):
    means = dict(gradients[0])
    for mine in gradients[1:]:
        means = {name: (means[name] + mine[name]) / 2 for name in means}
    return [dict(means) for _ in gradients]


def one_number(gradients):
    return [
        {name: torch.full_like(mean, mean.mean()) for name, mean in mine.items()}
        for mine in all_reduce_mean(gradients)
    ]


@exercise("16.3", subgoal="add up")
class AllReduceMean:
    stub = (
        "def all_reduce_mean(gradients):\n"
        "    # [{name: tensor} of rank 0, of rank 1, …] → the same, averaged\n"
        "    ..."
    )
    solution = all_reduce_mean
    spec = all_reduce_by_loops
    inputs = gradients_to_share
    mutants = {
        "sum": (
            summed,
            "You handed back sums. Then the step grows with the number of ranks: divide by how "
            "many there are.",
        ),
        "only rank 0": (
            only_rank_0,
            "Rank 0 has the mean, and the others still hold their own. That is a reduce. In an "
            "*all*-reduce everybody gets it.",
        ),
        "wrong order": (
            one_after_the_other,
            "Rank 0 is right. But you put its mean where its gradient was before the others had "
            "read it. Work out all means first, and write afterwards.",
        ),
        "in place": (
            changed_in_place,
            "The numbers are right, and the tensors that came in are changed. Make new ones.",
        ),
        "neighbours": (
            neighbours,
            "Each rank has the mean of itself and its right neighbour. With two ranks that is all "
            "of them; with more it is not.",
        ),
        "halved": (
            halved,
            "You always divide by 2. Divide by the number of ranks.",
        ),
        "without itself": (
            without_itself,
            "Each rank has the mean of the *others*. Its own gradient counts too.",
        ),
        "running mean": (
            running_mean,
            "You took the mean of a mean and the next one, over and over: the last rank then "
            "counts for half. Add all up first, and divide once.",
        ),
        "by place": (
            by_place,
            "You took what stands at the same place of each dictionary. Ranks may list their "
            "tensors in another order: look each of them up by its name.",
        ),
        "one number": (
            one_number,
            "You averaged over the numbers inside a tensor as well. Only ranks are averaged: "
            "shapes stay.",
        ),
    }
    hints = {"wrong order": 2, "in place": 2}


def train_my_share(model, wrap, batches):
    wrapped = wrap(model)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in batches:
        sgd.zero_grad()
        loss = ((wrapped(x) - y) ** 2).mean()
        loss.backward()
        sgd.step()
    return model.weight


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
    dice = torch.Generator().manual_seed(seed)
    weight = torch.randn(1, 3, generator=dice)
    shares = [
        [(torch.randn(4, 3, generator=dice), torch.randn(4, 1, generator=dice))
         for _ in range(steps)]
        for _ in range(2)
    ]  # fmt: skip
    held = {}
    for rank in (0, 1):
        model = nn.Linear(3, 1, bias=False)
        model.weight.data.copy_(weight)
        others = shares[1 - rank]
        found = train(model, lambda m, others=others: Wrapped(m, others), shares[rank])
        if found is None:
            return None
        held[f"rank {rank}"] = found.detach().clone() if torch.is_tensor(found) else found
    return held


def one_process(model, wrap, batches):
    theirs = wrap(model).others
    weight = model.weight.detach()[0].tolist()
    for (x, y), (their_x, their_y) in zip(batches, theirs, strict=True):
        rows = [*zip(x.tolist(), y.tolist(), strict=True)]
        rows += zip(their_x.tolist(), their_y.tolist(), strict=True)
        slope = [0.0, 0.0, 0.0]
        for row, (target,) in rows:
            error = sum(w * number for w, number in zip(weight, row, strict=True)) - target
            for i, number in enumerate(row):
                slope[i] += 2 * error * number / len(rows)
        weight = [w - 0.1 * s for w, s in zip(weight, slope, strict=True)]
    return torch.tensor([weight])


def runs_to_train(rng: random.Random):
    """A seed and a number of steps."""
    for i in range(20):
        yield rng.randrange(2**31), 2 + i % 4


def stepping(wrap_again=False, zero=True, apart=False, scale=1.0, wrapped_at_all=True):
    """`train_my_share` with one thing wrong."""

    def train_my_share(model, wrap, batches):
        inner = copy.deepcopy(model) if apart else model
        wrapped = wrap(inner)
        sgd = torch.optim.SGD(inner.parameters(), lr=0.1)
        for x, y in batches:
            wrapped = wrap(inner) if wrap_again else wrapped
            if zero:
                sgd.zero_grad()
            called = wrapped if wrapped_at_all else inner
            (scale * ((called(x) - y) ** 2).mean()).backward()
            sgd.step()
        return model.weight

    return train_my_share


def gradient_returned(model, wrap, batches):
    stepping()(model, wrap, batches)
    return model.weight.grad


@exercise("16.4", subgoal="wrap")
class WrapperThrownAway:
    stub = (
        "def train_my_share(model, wrap, batches):\n"
        "    model = wrap(model)\n"
        "    model = model.module  # so that model.weight is found\n"
        "    sgd = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "    for x, y in batches:\n"
        "        sgd.zero_grad()\n"
        "        loss = ((model(x) - y) ** 2).mean()\n"
        "        loss.backward()\n"
        "        sgd.step()\n"
        "    return model.weight"
    )
    solution = train_my_share
    spec = one_process
    inputs = runs_to_train
    observe = both_ranks
    atol = 1e-4
    mutants = {
        "unwrapped": (
            stepping(wrapped_at_all=False),
            "Rank 0 and rank 1 end with different weights: they never talked. The call still goes "
            "past the wrapper, straight to the model inside it.",
        ),
        "wrapped anew": (
            stepping(wrap_again=True),
            "You wrap once a step. A wrapper is made once, before the loop: it greets the others "
            "and starts to count its calls.",
        ),
        "no zero_grad": (
            stepping(zero=False),
            "The ranks do share gradients now, but old ones pile up: zero_grad is gone.",
        ),
        "a copy": (
            stepping(apart=True),
            "What you hand back was never trained. Is it a copy, made before the loop or wrapped "
            "in the model's place? The wrapper works on the model itself: no copy is needed.",
        ),
        "twice": (
            stepping(scale=2.0),
            "Your step is twice as long. DDP hands out the mean already: leave the loss as it is.",
        ),
        "halved": (
            stepping(scale=0.5),
            "Your step is half as long. DDP divides by the number of ranks already: do not divide "
            "the loss once more.",
        ),
        "the gradient": (
            gradient_returned,
            "You hand back the last gradient. The caller wants the weights.",
        ),
    }
    hints = {"unwrapped": 1, "a copy": 2}


@exercise("16.5", subgoal="launch")
class InOrder:
    stub = 'answer = None  # for example "ABCDEFGH"'
    solution = "CHBEDGFA"
    solution_text = 'answer = "CHBEDGFA"'
    mutants = {
        "wrap before the model": (
            "CBHEDGFA",
            "B wraps raw_model, which H makes: H comes first.",
        ),
        "setup late": (
            "HCBEDGFA",
            "H needs ranks.device, and ranks comes from C: C is the very first.",
        ),
        "wrap after the step": (
            "CHEDGBFA",
            "E calls the model before B has wrapped it. Then the first gradient is not shared.",
        ),
        "wrap after the call": (
            "CHEBDGFA",
            "E calls model, and there is none before B: it makes the wrapper.",
        ),
        "saved at the start": (
            "CHBFEDGA",
            "You save before anything was learned.",
        ),
        "never left": ("CHBEDGF", "A is missing. All eight letters are needed."),
        "saved after the end": (
            "CHBEDGAF",
            "You save after teardown. The others have left by then; whether saving worked, nobody "
            "can ask them any more.",
        ),
        "step before backward": (
            "CHBEGDFA",
            "G steps before D has worked out the gradient.",
        ),
        "backward before forward": (
            "CHBDEGFA",
            "D needs the loss, and E makes it.",
        ),
        "saved before the step": (
            "CHBEDFGA",
            "You save between backward and step, so the last step is not in the file.",
        ),
    }


@exercise("16.6", subgoal="hush")
class HowOften:
    stub = "answer = None  # for example [2, 16]"
    solution = [1, 4]
    mutants = {
        "swapped": ([4, 1], "The right numbers, swapped. With no_sync they talk less."),
        "all pieces": (
            [1, 32],
            "32 pieces in all, but eight ranks work at the same time: one all-reduce is one talk "
            "of all of them. Count the pieces of one rank.",
        ),
        "nobody quiet": (
            [4, 4],
            "With no_sync only the last piece's backward talks.",
        ),
        "ranks": ([8, 32], "An all-reduce is one talk of all ranks together, not one for each."),
        "one sequence": (
            [1, 64],
            "You took a piece for one sequence. micro_batch says that it has 16 of them.",
        ),
        "the quiet ones": ([1, 3], "Three pieces are the quiet ones. Without no_sync all 4 talk."),
    }


@exercise("16.7", subgoal="share out")
class AllNumberZero:
    stub = "answer = None  # for example 1024"
    solution = 65_536
    mutants = {
        "what the log says": (
            524_288,
            "That is what the log says, and it multiplies by the world size. Eight times the same "
            "rows are the same rows.",
        ),
        "sequences": (64, "You counted sequences. Each has 1,024 tokens."),
        "divided once more": (
            8_192,
            "You divided by eight twice. One rank's share is 64 sequences, and it is read whole.",
        ),
        "one sequence": (1024, "One sequence has that many. Each rank reads 64 of them."),
        "all sequences": (512, "You counted sequences, and those of all ranks. They are the same."),
    }


# --- which bug is it: the runs of results/runs/broken_runs.json, in the order of their letters

CAUSES = (
    "lr_over_30",
    "lr_times_30",
    "std_1",
    "late_sync",
    "no_zero_grad",
    "same_shard",
    "decay_too_large",
    "all_half",
    "same_batch",
    "no_mask",
    "no_division",
    "shifted_two",
    "dropped_wrapper",
    "no_positions",
    "loader_restarts",
    "same_as_input",
)
LETTERS = "ABCDEFGHIJKLMNOP"
CAUSE_OF = dict(zip(LETTERS, CAUSES, strict=True))


def swapped(one, other):
    """All causes right, but for two that took each other's place."""
    places = {one: other, other: one}
    return {letter: places.get(cause, cause) for letter, cause in CAUSE_OF.items()}


@exercise("16.8", subgoal="compare")
class WhichBugIsIt:
    stub = 'answer = dict.fromkeys("ABCDEFGHIJKLMNOP")  # for example answer["A"] = "no_mask"'
    solution = CAUSE_OF
    solution_text = (
        "answer = {\n"
        + "".join(f'    "{letter}": "{cause}",\n' for letter, cause in CAUSE_OF.items())
        + "}"
    )
    mutants = {
        "ranks": (
            swapped("late_sync", "dropped_wrapper"),
            "Two letters are swapped: in both the ranks part. Those that never talk part "
            "farther than those that talk a little.",
        ),
        "too good": (
            swapped("no_mask", "same_as_input"),
            "Two letters are swapped: both are too good to be true. Without a mask the "
            "first loss is that of any fresh model; who hands over the answer itself is "
            "better from the very first step.",
        ),
        "same text": (
            swapped("same_batch", "loader_restarts"),
            "Two letters are swapped: both read the same text again and again. Which of the "
            "two learned the *one* batch by heart at once?",
        ),
        "norms": (
            swapped("no_division", "no_zero_grad"),
            "Two letters are swapped: both have a gradient that is too long. One is so from "
            "the first step on, the other grows over the steps.",
        ),
        "lengths": (
            swapped("no_zero_grad", "decay_too_large"),
            "Two letters are swapped: both stay high, with a long gradient. Old gradients "
            "pile up from the start; a decay that pulls too hard makes the gradient longer "
            "and longer to the end.",
        ),
        "flat": (
            swapped("lr_times_30", "decay_too_large"),
            "Two letters are swapped: both end high. One falls at once and then lies flat, for "
            "its steps are too long; the other has the longer gradient at the end.",
        ),
        "rates": (
            swapped("lr_times_30", "lr_over_30"),
            "Two letters are swapped: one rate is too high, one too low. Slow and steady, "
            "or thrown back at the end of the warm-up?",
        ),
        "nothing": (
            swapped("same_shard", "no_positions"),
            "Two letters are swapped: no log tells them. Read which test failed.",
        ),
        "targets": (
            swapped("shifted_two", "same_as_input"),
            "Two letters are swapped: in both the targets stand in the wrong place. A step "
            "too far is hard to guess; no step at all is no guess.",
        ),
    }
