"""The exercises of chapter 09: merging two parts of a row, tiles and their masks, a guard."""

import math
import random
from dataclasses import dataclass

import torch

from gpt2_tutorial.checks.engine import exercise


def merge(left, right):
    (m1, s1, mixed1), (m2, s2, mixed2) = left, right
    m = max(m1, m2)
    a, b = math.exp(m1 - m), math.exp(m2 - m)  # how much each part shrinks
    return m, a * s1 + b * s2, a * mixed1 + b * mixed2


def merge_by_one_row(left, right):
    """Each part as a single score with a single value, and one safe softmax over the two."""
    highest = max(left[0], right[0])
    total = mixed = 0.0
    for largest, part, weighed in (left, right):
        if part > 0:
            weight = math.exp(math.log(part) + largest - highest)
            total += weight
            mixed += weight * (weighed / part)
    return highest, total, mixed


def part_of_a_row(rng: random.Random, shift: float):
    """The three numbers of one to four scores, drawn around `shift`."""
    scores = [shift + rng.randint(-30, 30) / 10 for _ in range(rng.randint(1, 4))]
    values = [float(rng.randint(1, 9)) for _ in scores]
    largest = max(scores)
    weights = [math.exp(score - largest) for score in scores]
    mixed = sum(weight * value for weight, value in zip(weights, values, strict=True))
    return largest, sum(weights), mixed


def pairs_of_parts(rng: random.Random):
    """The two blocks of the chapter, an empty part, then random ones; some scores are huge."""
    yield (3.0, 1.1353353, 21.353353), (5.0, 1.0497871, 41.493612)
    yield (-math.inf, 0.0, 0.0), (2.0, 1.5, 12.0)
    for i in range(24):
        shift = 1000.0 if i % 6 == 5 else 0.0
        yield part_of_a_row(rng, shift), part_of_a_row(rng, shift)


def merged_with(largest, total, mixed):
    """`merge` with other ideas of the three numbers, made from both parts and both shrinks."""

    def merging(left, right):
        m = max(left[0], right[0])
        a, b = math.exp(left[0] - m), math.exp(right[0] - m)
        return tuple(make(left, right, a, b) for make in (largest, total, mixed))

    return merging


def right_largest(left, right, a, b):
    return max(left[0], right[0])


def right_total(left, right, a, b):
    return a * left[1] + b * right[1]


def right_mixed(left, right, a, b):
    return a * left[2] + b * right[2]


def average_of(left, right, a, b):
    one = left[2] / left[1] if left[1] else 0.0
    return a * one + b * (right[2] / right[1] if right[1] else 0.0)


def by_undoing_the_shift(left, right):
    m = max(left[0], right[0])
    one, two = math.exp(left[0]), math.exp(right[0])
    total, mixed = one * left[1] + two * right[1], one * left[2] + two * right[2]
    return m, total / math.exp(m), mixed / math.exp(m)


def on_the_right_maximum(left, right):
    a = math.exp(left[0] - right[0])
    return right[0], a * left[1] + right[1], a * left[2] + right[2]


@exercise("09.1", subgoal="weigh")
class Merge:
    stub = (
        "def merge(left, right):\n"
        "    # left and right: (largest, total, mixed) of two parts of one row of scores\n"
        "    # → the same three numbers for the whole row\n"
        "    ..."
    )
    solution = merge
    spec = merge_by_one_row
    inputs = pairs_of_parts
    mutants = {
        "old sum not rescaled": (
            merged_with(right_largest, lambda x, y, a, b: x[1] + y[1], right_mixed),
            "The mixture is right. The two sums stand on different maxima: shrink the one whose "
            "maximum was lower, as you did for the mixture.",
        ),
        "mixture not rescaled": (
            merged_with(right_largest, right_total, lambda x, y, a, b: x[2] + y[2]),
            "The sum is right. The mixture is a sum of the same weights, so it shrinks with them.",
        ),
        "nothing rescaled": (
            merged_with(
                right_largest, lambda x, y, a, b: x[1] + y[1], lambda x, y, a, b: x[2] + y[2]
            ),
            "You added the parts as they are. Each was weighed against its own maximum; bring "
            "both to the higher one first.",
        ),
        "maximum rescaled": (
            merged_with(
                lambda x, y, a, b: (a * x[0] if a else 0.0) + (b * y[0] if b else 0.0),
                right_total,
                right_mixed,
            ),
            "You rescaled the maximum as well. It is a score and stays one; only weights shrink.",
        ),
        "divided too early": (
            merged_with(right_largest, right_total, average_of),
            "You divided each mixture by its own sum. Divide once, at the very end: here the "
            "third number stays a plain sum.",
        ),
        "divided at the end": (
            merged_with(
                right_largest,
                right_total,
                lambda x, y, a, b: right_mixed(x, y, a, b) / right_total(x, y, a, b),
            ),
            "That is the finished answer, mixed / total. Return the mixture itself, so that more "
            "parts can be merged in.",
        ),
        "always the right one": (
            on_the_right_maximum,
            "You moved everything to the maximum of the right part. The left one can be higher; "
            "then its weights grow instead of shrinking.",
        ),
        "left one alone": (
            merged_with(
                right_largest,
                lambda x, y, a, b: a * x[1] + y[1],
                lambda x, y, a, b: a * x[2] + y[2],
            ),
            "You shrank the left part only, as `one_block` does. There the new weights stood on "
            "the new maximum already; here the right part has a maximum of its own.",
        ),
        "shift undone": (
            by_undoing_the_shift,
            "You took e to the power of a whole score to undo the shift. With a score of 1,000 "
            "that overflows. Only differences of maxima may stand in the exponent.",
        ),
        "grown": (
            merged_with(
                right_largest,
                lambda x, y, a, b: (x[1] / a if a else 0.0) + (y[1] / b if b else 0.0),
                lambda x, y, a, b: (x[2] / a if a else 0.0) + (y[2] / b if b else 0.0),
            ),
            "Your exponent has the wrong sign: the part with the lower maximum has to shrink, and "
            "it grew.",
        ),
    }
    hints = {"old sum not rescaled": 2, "divided too early": 2}


def tile(T, R, S, i, j):
    rows = torch.arange(T)[i * R : (i + 1) * R]
    keys = torch.arange(T)[j * S : (j + 1) * S]
    return keys <= rows[:, None]


def tile_by_loops(T, R, S, i, j):
    answer = []
    for row in range(i * R, min((i + 1) * R, T)):
        answer.append([key <= row for key in range(j * S, min((j + 1) * S, T))])
    return torch.tensor(answer)


def tiles(rng: random.Random):
    """Tiles of all kinds: square and not, of past and future, cut short by the end of the text."""
    yield 8, 4, 4, 1, 1
    yield 8, 4, 2, 0, 1
    yield 8, 2, 4, 1, 0
    yield 7, 4, 4, 1, 0
    yield 7, 4, 4, 1, 1
    yield 6, 2, 2, 0, 2
    for _ in range(30):
        T, R, S = rng.randint(2, 12), rng.randint(1, 5), rng.randint(1, 5)
        yield T, R, S, rng.randrange(-(-T // R)), rng.randrange(-(-T // S))


def whole_tiles(T, R, S, i, j):
    full = torch.ones_like(tile(T, R, S, i, j))
    return full if j * S <= i * R else ~full


def never_cut(T, R, S, i, j):
    rows, keys = i * R + torch.arange(R), j * S + torch.arange(S)
    return keys <= rows[:, None]


def square_triangle(T, R, S, i, j):
    full = torch.ones_like(tile(T, R, S, i, j))
    return full.tril() if i == j else full if j < i else ~full


def lost_when_partial(T, R, S, i, j):
    whole = T // R * R
    rows = torch.arange(whole)[i * R : (i + 1) * R]
    keys = torch.arange(T)[j * S : (j + 1) * S]
    return keys <= rows[:, None]


def one_size(T, R, S, i, j):
    rows = torch.arange(T)[i * R : (i + 1) * R]
    keys = torch.arange(T)[j * R : (j + 1) * R]
    return keys <= rows[:, None]


@exercise("09.2", subgoal="mask")
class Tile:
    stub = (
        "def tile(T, R, S, i, j):\n"
        "    # R queries in a block, S keys in a block, T tokens; tile (i, j)\n"
        "    # → (rows, keys) of bool: may this query look at this key?\n"
        "    ..."
    )
    solution = tile
    spec = tile_by_loops
    inputs = tiles
    mutants = {
        "whole tiles": (
            whole_tiles,
            "You let a whole tile through or hide it whole. Where past and future meet inside a "
            "tile, the answer differs from key to key.",
        ),
        "square triangle": (
            square_triangle,
            "A triangle where i equals j is right for square blocks alone. With R and S different, "
            "compare the places themselves in the text.",
        ),
        "never cut": (
            never_cut,
            "Look at the shapes. The last block may be shorter than the others, with no row and no "
            "key beyond token T − 1: with T = 7, the second block of 4 has 3 rows.",
        ),
        "partial block lost": (
            lost_when_partial,
            "The last block of queries is lost when T is no multiple of R. Its rows are fewer, but "
            "they are tokens like the others.",
        ),
        "hidden": (
            lambda T, R, S, i, j: ~tile(T, R, S, i, j),
            "Turned round: True stands where the key is hidden. Here True means “may look”.",
        ),
        "no diagonal": (
            lambda T, R, S, i, j: tile(T, R, S, i, j) & ~tile_diagonal(T, R, S, i, j),
            "A token may look at itself too; the first one would have nothing else to look at.",
        ),
        "transposed": (
            lambda T, R, S, i, j: tile(T, R, S, i, j).T.contiguous(),
            "The values are right, and rows and columns are swapped: queries go down, keys across.",
        ),
        "within the tile": (
            lambda T, R, S, i, j: torch.ones_like(tile(T, R, S, i, j)).tril(),
            "You compared the places inside the tile. Where the tile begins has to be added: "
            "i · R for queries, j · S for keys.",
        ),
        "one size": (
            one_size,
            "Your keys come in blocks of R, as the queries do. They come in blocks of S.",
        ),
    }
    hints = {"square triangle": 1}


def tile_diagonal(T, R, S, i, j):
    rows = torch.arange(T)[i * R : (i + 1) * R]
    keys = torch.arange(T)[j * S : (j + 1) * S]
    return keys == rows[:, None]


@dataclass(frozen=True)
class Suspect:
    """An attention function with a name, and with or without a hole in its mask."""

    name: str

    def __repr__(self):
        return self.name

    def __call__(self, q, k, v):
        return SUSPECTS[self.name](q, k, v)


def weigh(q, k, hidden=None):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.softmax(-1)


def future(q, distance=1):
    return torch.ones(q.size(-2), q.size(-2), dtype=torch.bool).triu(distance)


def masked_too_late(q, k, v):
    return weigh(q, k).masked_fill(future(q), 0.0) @ v


def open_at_the_start(q, k, v):
    hidden = future(q)
    hidden[:1, 1:2] = False  # the first token looks at the second
    return weigh(q, k, hidden) @ v


def open_in_the_middle(q, k, v):
    hidden = future(q)
    hidden[2:3, 3:4] = False
    return weigh(q, k, hidden) @ v


def open_far_away(q, k, v):
    hidden = future(q)
    hidden[:1, 3:4] = False  # the first token looks at the fourth, and at none between
    return weigh(q, k, hidden) @ v


def token_before(q, k, v):
    """Each token gets the value of the one before it; honest, and deaf to itself."""
    return torch.cat([torch.zeros_like(v[..., :1, :]), v[..., :-1, :]], dim=-2)


def mean_added(q, k, v):
    return weigh(q, k, future(q)) @ v + (q + v).mean(-2, keepdim=True)


def second_head_open(q, k, v):
    weights = weigh(q, k, future(q))
    weights[:, 1] = weigh(q, k)[:, 1]
    return weights @ v


SUSPECTS = {
    "causal": lambda q, k, v: weigh(q, k, future(q)) @ v,
    "no mask": lambda q, k, v: weigh(q, k) @ v,
    "one too far": lambda q, k, v: weigh(q, k, future(q, 2)) @ v,
    "masked after softmax": masked_too_late,
    "open at the start": open_at_the_start,
    "open in the middle": open_in_the_middle,
    "open far away": open_far_away,
    "second head open": second_head_open,
    "average of the past": lambda q, k, v: weigh(0 * q, k, future(q)) @ v,
    "token before": token_before,
    "mean of all added": mean_added,
}


def leaks(attend, q, k, v):
    before = attend(q, k, v)
    for t in range(1, q.size(-2)):
        other_k, other_v = k.clone(), v.clone()
        other_k[..., t, :] += 1
        other_v[..., t, :] += 1
        after = attend(q, other_k, other_v)
        if not torch.allclose(after[..., :t, :], before[..., :t, :]):
            return True
    return False


def leaks_by_cutting(attend, q, k, v):
    """An early token must get the same answer when the text ends with it."""
    whole = attend(q, k, v)
    for t in range(1, q.size(-2)):
        cut = attend(q[..., :t, :], k[..., :t, :], v[..., :t, :])
        for row in range(t):
            if (cut[..., row, :] - whole[..., row, :]).abs().max() > 1e-5:
                return True
    return False


def suspects(rng: random.Random):
    """Each suspect three times, with texts of four to seven tokens and two heads."""
    for _ in range(3):
        for name in SUSPECTS:
            generator = torch.Generator().manual_seed(rng.randrange(10**6))
            T = rng.randint(4, 7)
            q, k, v = torch.randn(3, 1, 2, T, 4, generator=generator)
            yield Suspect(name), q, k, v


def leaks_with(changed="kv", places=None, watched=None, seen=None):
    """`leaks` that changes, visits, watches or compares something else."""

    def guard(attend, q, k, v):
        before = attend(q, k, v)
        for t in places(q.size(-2)) if places else range(1, q.size(-2)):
            others = {"q": q.clone(), "k": k.clone(), "v": v.clone()}
            for letter in changed:
                others[letter][..., t, :] += 1
            after = attend(**others)
            rows = watched(t) if watched else slice(t)
            one, other = after[..., rows, :], before[..., rows, :]
            if seen:
                one, other = seen(one), seen(other)
            if not torch.allclose(one, other):
                return True
        return False

    return guard


def unlike_causal_attention(attend, q, k, v):
    return not torch.allclose(attend(q, k, v), SUSPECTS["causal"](q, k, v), atol=1e-5)


@exercise("09.3", subgoal="mask")
class Guard:
    stub = (
        "def leaks(attend, q, k, v):\n"
        "    # attend(q, k, v) → (B, H, T, D), perhaps with a hole in its mask\n"
        "    # → True if what a token gets depends on any later token, otherwise False\n"
        "    ..."
    )
    solution = leaks
    spec = leaks_by_cutting
    inputs = suspects
    mutants = {
        "query changed": (
            leaks_with("q"),
            "You changed a later token's query. A query only asks; what comes out of the future "
            "are keys and values, so change those.",
        ),
        "values alone": (
            leaks_with("v"),
            "You changed later values alone. A mask put on after softmax hides the values, and "
            "the later keys still leak through the sum.",
        ),
        "keys alone": (
            leaks_with("k"),
            "You changed later keys alone. The future can come in through the values too.",
        ),
        "last token alone": (
            leaks_with(places=lambda T: [T - 1]),
            "You changed the last token alone. A hole may be anywhere: change each token in turn.",
        ),
        "itself watched": (
            leaks_with(watched=lambda t: slice(t + 1)),
            "You watched the changed token's own place as well. That one may move, so honest "
            "attention looks guilty.",
        ),
        "row before alone": (
            leaks_with(watched=lambda t: slice(t - 1, t)),
            "You watched only the token right before the changed one. The hole may be further "
            "back: query 0 can see key 3 and no key between.",
        ),
        "always False": (
            lambda attend, q, k, v: False,
            "You suspect nobody. Some of these have a hole: change a later token and ask again.",
        ),
        "always True": (
            lambda attend, q, k, v: True,
            "You suspect everybody. Some of these are honest: say True when an earlier token's "
            "output has moved.",
        ),
        "compared with the model answer": (
            unlike_causal_attention,
            "You compared with causal attention. Some of these compute something else and are "
            "honest all the same. Change the future and see whether the past moves.",
        ),
        "first token watched": (
            leaks_with(watched=lambda t: slice(0, 1)),
            "You watched the first token alone. All the tokens before the changed one have to "
            "stay as they were.",
        ),
        "first head alone": (
            lambda attend, q, k, v: leaks(lambda *x: attend(*x)[:, 0], q, k, v),
            "You looked at one head. The hole may be in another.",
        ),
        "turned round": (
            lambda attend, q, k, v: not leaks(attend, q, k, v),
            "Turned round: you answer True where nothing leaks.",
        ),
    }
    hints = {"itself watched": 2, "last token alone": 1}


@exercise("09.4", subgoal="weigh")
class HandUpdate:
    stub = "answer = None  # [sum, mixed, mixed / sum], for example [4, 90, 22.5]"
    solution = [2.5, 100, 40]
    solution_text = "answer = [2.5, 100, 40]"
    atol = 0.01
    mutants = {
        "not rescaled": (
            [4, 140, 35],
            "You added the new weight 1 to the old sum as it was. The old weights stood on a "
            "lower maximum: halve them first.",
        ),
        "sum not rescaled": (
            [4, 100, 25],
            "The mixture is right. The sum holds the same old weights, so it is halved too.",
        ),
        "mixture not rescaled": (
            [2.5, 140, 56],
            "The sum is right. The mixture holds the same old weights, so it is halved too. (56 "
            "is an average of values that hardly reach so far: a good alarm.)",
        ),
        "new one rescaled": (
            [5, 200, 40],
            "That is the same answer on the old maximum: the new weight is e to the ln 2, which "
            "is 2. With scores of 1,000 it would overflow; move to the new maximum.",
        ),
        "old one forgotten": (
            [1, 60, 60],
            "You began anew. What was there before still counts, at half its weight.",
        ),
        "old numbers doubled": (
            [7, 220, 220 / 7],
            "You doubled the old numbers. The new maximum is higher, so the old weights get "
            "smaller: times ½, not times 2.",
        ),
        "wrong half": (
            [3.5, 110, 110 / 3.5],
            "You halved the new weight. The new score is the highest, so its weight is 1; the old "
            "ones shrink.",
        ),
    }


@exercise("09.5", subgoal="score")
class Megabytes:
    stub = "answer = None  # in MB, for example 50.3"
    solution = 805.3
    solution_text = "answer = 12 * 4096**2 * 4 / 1e6"
    atol = 0.5
    mutants = {
        "one head": (67.1, "That is one head. GPT-2 has 12 of them, each with its own scores."),
        "four heads": (268.4, "That is the 4 heads of the table. GPT-2 has 12."),
        "one byte": (201.3, "These are the scores. Each takes four bytes."),
        "not squared": (
            0.2,
            "You multiplied by T once. Every token has a score for every token: T times T.",
        ),
        "double numbers": (1610.6, "You took 8 bytes for a number. Float32 has 32 bits, 4 bytes."),
        "short numbers": (402.7, "You took 2 bytes for a number. Float32 has 32 bits, 4 bytes."),
        "mebibytes": (
            768,
            "Right in units of 1,024 times 1,024 bytes. Here a megabyte is a million bytes.",
        ),
        "linear": (
            50.3,
            "You took the 50.3 MB of T = 1,024 as they are. Four times the tokens make 16 times "
            "the scores.",
        ),
        "gigabytes": (0.8053, "That is in GB. The question is in MB, a thousand times as many."),
        "rounded": (800.0, "That is about right. Compute it exactly, to one decimal."),
        "bytes": (805306368.0, "These are bytes. A megabyte is a million of them."),
    }


@exercise("09.6", subgoal="weigh")
class DropoutInEval:
    stub = 'answer = None  # the letters in the order of the alphabet, for example "BD"'
    solution = "AC"
    solution_text = 'answer = "AC"'
    mutants = {
        "A alone": (
            "A",
            "A is right. Now think of `first_leak`: it asks the model twice and looks for "
            "differences.",
        ),
        "C alone": ("C", "C is right. And what happens when you score the same batch twice?"),
        "A and B": (
            "AB",
            "A is right. B is not: while training, dropout is wanted, and it is there.",
        ),
        "with B": (
            "ABC",
            "A and C are right. While training, dropout is wanted, so B is as it should be.",
        ),
        "A and D": (
            "AD",
            "A is right. D is not: dropout blanks weights and scales the rest, no shape changes.",
        ),
        "all": (
            "ABCD",
            "A and C. Dropout in training is wanted (B), and it changes no shape (D).",
        ),
        "turned": ("CA", "The letters are right. Give them in the order of the alphabet."),
        "with a comma": ("A, C", "The letters are right. Give them alone, without a comma."),
        "with D": ("ACD", "A and C are right. No shape changes, so D is out."),
    }
