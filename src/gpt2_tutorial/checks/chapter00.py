"""The exercises of chapter 00: prices, losses, and a text that must be cut in one place."""

import math

import torch

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "00.1", __name__, subgoal="price", atol=0.005,  # the table of the chapter gives two digits
    stub="answer = None  # the mean price per flip, in nats",
    solution="answer = math.log(2)  # −ln ½ for every flip, so also in the mean",
)  # fmt: skip


def nll_by_loops(probs, targets):
    total = 0.0
    for i in range(len(targets)):
        total += -math.log(probs[i][targets[i]])
    return torch.tensor(total / len(targets))


def random_bets(rng: Dice):
    """Rows of bets and what really came: first the smallest, then larger ones."""
    for size in range(1, 25):
        bets = rng.rand(size, 2 + size) + 0.01  # (N, V), never square
        targets = torch.tensor(rng.choices(range(2 + size), k=size))  # (N,)
        yield bets / bets.sum(-1, keepdim=True), targets


@exercise("00.2", subgoal="price", spec=nll_by_loops, inputs=random_bets)
def nll(probs, targets):
    # probs (N, V), targets (N,) → one number, the mean price in nats
    rows = torch.arange(len(targets))  # (N,)
    return -probs[rows, targets].log().mean()


def split_by_loops(ids):
    training, validation = [], []
    for i in range(len(ids)):
        (training if i < int(0.9 * len(ids)) else validation).append(int(ids[i]))
    return torch.tensor(training), torch.tensor(validation)


def texts(rng: Dice):
    """Texts of ids, all different lengths."""
    for length in range(10, 34):
        yield (torch.tensor([rng.randrange(65) for _ in range(length)]),)


@exercise("00.3", subgoal="keep apart", spec=split_by_loops, inputs=texts)
def split_text(ids):
    cut = int(0.9 * len(ids))
    return ids[:cut], ids[cut:]


def decode_by_loops(ids, characters):
    text = ""
    for i in ids:
        text = text + characters[i]
    return text


def coded_texts(rng: Dice):
    """Ids and the vocabulary they index, beginning with an empty text."""
    characters = list("\n !abcdefgh")
    for length in range(24):
        yield [rng.randrange(len(characters)) for _ in range(length)], characters


@exercise("00.4", subgoal="back again", spec=decode_by_loops, inputs=coded_texts)
def decode(ids, characters):
    # [1, 2], ['x', 'a', 'b'] → 'ab'
    return "".join(characters[i] for i in ids)


value_exercise(
    "00.5", __name__, subgoal="compare", atol=0.01, hints={"second": 2},
    stub='answer = None  # for example (2.5, "yes")',
    solution='answer = (math.log(39), "no")  # len(set(shakespeare.lower())) is 39',
)  # fmt: skip
