"""The exercises of chapter 00: prices, losses, and a text that must be cut in one place."""

import math
import random

import torch

from gpt2_tutorial.checks.engine import exercise


@exercise("00.1", subgoal="price")
class CoinLoss:
    stub = "answer = None  # the mean price per flip, in nats"
    solution = math.log(2)
    solution_text = "answer = math.log(2)  # −ln ½ for every flip, so also in the mean"
    mutants = {
        "base 2": (1.0, "That is in bits. Take the natural logarithm, ln, to get nats."),
        "sum": (10 * math.log(2), "That is the sum over ten flips. The loss is the mean."),
        "sign": (-math.log(2), "The sign is off: a price is positive, and ln ½ is not."),
        "base 10": (math.log10(2), "That is log₁₀. A nat uses the natural logarithm, math.log."),
        "probability": (0.5, "That is the probability. Its price is −ln of it."),
    }
    atol = 0.001


def nll(probs, targets):
    rows = torch.arange(len(targets))  # (N,)
    return -probs[rows, targets].log().mean()


def nll_by_loops(probs, targets):
    total = 0.0
    for i in range(len(targets)):
        total += -math.log(probs[i][targets[i]])
    return torch.tensor(total / len(targets))


def random_bets(rng: random.Random):
    """Rows of bets and what really came: first the smallest, then larger ones."""
    for size in range(1, 25):
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        bets = torch.rand(size, 2 + size, generator=generator) + 0.01  # (N, V), never square
        targets = torch.randint(2 + size, (size,), generator=generator)  # (N,)
        yield bets / bets.sum(-1, keepdim=True), targets


@exercise("00.2", subgoal="price")
class Loss:
    stub = (
        "def nll(probs, targets):\n"
        "    # probs (N, V), targets (N,) → one number, the mean price in nats\n"
        "    ..."
    )
    solution = nll
    spec = nll_by_loops
    inputs = random_bets
    mutants = {
        "whole rows": (
            lambda probs, targets: -probs.log().mean(),
            "You averaged over whole rows of bets. Only the bet on what really came counts.",
        ),
        "log of the mean": (
            lambda probs, targets: -probs[torch.arange(len(targets)), targets].mean().log(),
            "You took the mean first and the logarithm after. Every guess is priced on its own.",
        ),
        "base 2": (
            lambda probs, targets: -probs[torch.arange(len(targets)), targets].log2().mean(),
            "These are bits: you used log2. The book counts in nats, with log.",
        ),
        "sum": (
            lambda probs, targets: -probs[torch.arange(len(targets)), targets].log().sum(),
            "You added the prices up. Divide by their number: a loss must not grow with the text.",
        ),
        "sign": (
            lambda probs, targets: probs[torch.arange(len(targets)), targets].log().mean(),
            "Your loss is negative. The price is minus the logarithm.",
        ),
        "base 10": (
            lambda probs, targets: -probs[torch.arange(len(targets)), targets].log10().mean(),
            "You used log10. A nat comes from the natural logarithm, log.",
        ),
        "every row": (
            lambda probs, targets: -probs[:, targets].log().mean(),
            "probs[:, targets] takes these columns from every row. Each guess has one row of its "
            "own: say which.",
        ),
        "rows by target": (
            lambda probs, targets: -probs[targets].log().mean(),
            "probs[targets] takes whole rows, chosen by the target. The target says which column "
            "to take from row 0, 1, 2 and so on.",
        ),
        "one each": (
            lambda probs, targets: -probs[torch.arange(len(targets)), targets].log(),
            "You return a price for every guess. The loss is one number, their mean.",
        ),
    }
    hints = {"whole rows": 2, "one each": 1}


def split_text(ids):
    cut = int(0.9 * len(ids))
    return ids[:cut], ids[cut:]


def split_by_loops(ids):
    training, validation = [], []
    for i in range(len(ids)):
        (training if i < int(0.9 * len(ids)) else validation).append(int(ids[i]))
    return torch.tensor(training), torch.tensor(validation)


def texts(rng: random.Random):
    """Texts of ids, all different lengths."""
    for length in range(10, 34):
        yield (torch.tensor([rng.randrange(65) for _ in range(length)]),)


@exercise("00.3", subgoal="keep apart")
class SplitBug:
    stub = (
        "def split_text(ids):\n"
        "    shuffled = ids[torch.randperm(len(ids))]\n"
        "    cut = int(0.9 * len(ids))\n"
        "    return shuffled[:cut], shuffled[cut:]"
    )
    solution = split_text
    spec = split_by_loops
    inputs = texts
    mutants = {
        "shuffled": (
            lambda ids: split_text(ids[torch.randperm(len(ids))]),
            "You still shuffle before the cut. Next to each character must stand the one that "
            "came next in the text.",
        ),
        "overlap": (
            lambda ids: (ids[: int(0.9 * len(ids)) + 1], ids[int(0.9 * len(ids)) :]),
            "One character at the cut is in both parts.",
        ),
        "learns from all": (
            lambda ids: (ids, ids[int(0.9 * len(ids)) :]),
            "Your training part holds the validation part too: the guesser has read the exam.",
        ),
        "every tenth": (
            lambda ids: (ids[torch.arange(len(ids)) % 10 != 9], ids[9::10]),
            "You took every tenth character. Its neighbours on both sides are training text, "
            "and the training text has holes. Cut once.",
        ),
        "front": (
            lambda ids: (ids[len(ids) - int(0.9 * len(ids)) :], ids[: -int(0.9 * len(ids))]),
            "You judge on the beginning. That is sound, but the book's slice is the last tenth.",
        ),
        "swapped": (
            lambda ids: split_text(ids)[::-1],
            "The two parts come back in the wrong order: training first, then validation.",
        ),
        "lost one": (
            lambda ids: (ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) + 1 :]),
            "One character at the cut is in neither part.",
        ),
    }
    hints = {"every tenth": 2}


def decode(ids, characters):
    return "".join(characters[i] for i in ids)


def decode_by_loops(ids, characters):
    text = ""
    for i in ids:
        text = text + characters[i]
    return text


def coded_texts(rng: random.Random):
    """Ids and the vocabulary they index, beginning with an empty text."""
    characters = list("\n !abcdefgh")
    for length in range(24):
        yield [rng.randrange(len(characters)) for _ in range(length)], characters


@exercise("00.4", subgoal="back again")
class Decode:
    stub = "def decode(ids, characters):\n    # [1, 2], ['x', 'a', 'b'] → 'ab'\n    ..."
    solution = decode
    spec = decode_by_loops
    inputs = coded_texts
    mutants = {
        "list": (
            lambda ids, characters: [characters[i] for i in ids],
            "You return a list of characters. Join them into one text.",
        ),
        "spaces": (
            lambda ids, characters: " ".join(characters[i] for i in ids),
            "You joined with a space between. The text has its own spaces: join with nothing.",
        ),
        "chr": (
            lambda ids, characters: "".join(chr(i) for i in ids),
            "chr follows Unicode's numbering. Ours is the place in `characters`.",
        ),
        "off by one": (
            lambda ids, characters: "".join(characters[i - 1] for i in ids),
            "Every character is the one before the right one. Ids start at 0.",
        ),
    }


@exercise("00.5", subgoal="compare")
class LowerCase:
    stub = 'answer = None  # for example (2.5, "yes")'
    solution = (math.log(39), "no")
    solution_text = 'answer = (math.log(39), "no")  # len(set(shakespeare.lower())) is 39'
    mutants = {
        "better": (
            (math.log(39), "yes"),
            "The number is right. But a smaller number on a smaller task is no better guesser.",
        ),
        "saving": (
            (math.log(65) - math.log(39), "no"),
            "That is how much it saved. The question is what it pays now.",
        ),
        "letters": (
            (math.log(26), "no"),
            "That counts the 26 letters. Spaces, line breaks and marks are symbols too.",
        ),
        "count": (
            (39, "no"),
            "39 is how many symbols are left. The price of a uniform guess is the ln of that.",
        ),
        "unchanged": (
            (math.log(65), "no"),
            "That is still ln 65. Count the different characters of the lower-case text.",
        ),
    }
    atol = 0.01
