"""The exercises of chapter 07: averages, scores, masks, and a softmax along the wrong axis."""

import math
import random

import torch

from gpt2_tutorial.checks.engine import exercise


def dice(rng: random.Random) -> torch.Generator:
    """A generator of tensors that is the same for the same `rng`."""
    return torch.Generator().manual_seed(rng.randrange(2**31))


def mean_of_last(x, width):
    ones = torch.ones(len(x), len(x))
    band = ones.tril() - ones.tril(-width)  # (T, T): itself and width − 1 before it
    return band / band.sum(1, keepdim=True) @ x  # (T, C)


def mean_of_last_by_loops(x, width):
    rows = []
    for t in range(len(x)):
        seen = x.tolist()[max(t - width + 1, 0) : t + 1]
        rows.append([sum(numbers) / len(seen) for numbers in zip(*seen, strict=True)])
    return torch.tensor(rows)


def rows_and_widths(rng: random.Random):
    """A few rows of numbers, and how many of them count: one, some, all, more than there are."""
    yield torch.tensor([[2.0], [4.0], [6.0], [8.0]]), 2
    yield torch.tensor([[2.0, 1.0], [4.0, 5.0]]), 1
    yield torch.tensor([[2.0, 1.0], [4.0, 5.0], [0.0, 3.0]]), 9
    for size in range(3, 24):
        x = torch.randn(size, 1 + size % 4, generator=dice(rng))
        yield x, rng.randint(1, size + 1)


def band_of(T: int, width: int) -> torch.Tensor:
    ones = torch.ones(T, T)
    return ones.tril() - ones.tril(-width)


def share(band: torch.Tensor) -> torch.Tensor:
    return band / band.sum(1, keepdim=True).clamp(min=1)


@exercise("07.1", subgoal="weigh")
class MeanOfLast:
    stub = (
        "def mean_of_last(x, width):\n"
        "    # x (T, C) → (T, C): row t is the mean of rows t − width + 1 … t\n"
        "    ..."
    )
    solution = mean_of_last
    spec = mean_of_last_by_loops
    inputs = rows_and_widths
    mutants = {
        "upper triangle": (
            lambda x, width: share(band_of(len(x), width).T) @ x,
            "You average what comes *next*: your ones stand in the upper triangle. Row t may only "
            "have ones at columns up to t.",
        ),
        "a sum": (
            lambda x, width: band_of(len(x), width) @ x,
            "These are sums. Divide every row of the triangle by how many ones stand in it.",
        ),
        "divided by width": (
            lambda x, width: band_of(len(x), width) / width @ x,
            "You divide by `width` everywhere. The first rows have fewer rows before them: divide "
            "each row by its own sum.",
        ),
        "one too many": (
            lambda x, width: share(band_of(len(x), width + 1)) @ x,
            "Your window is one too long: `width` rows count, and the row itself is one of them.",
        ),
        "one too few": (
            lambda x, width: (
                band_of(len(x), width - 1) / band_of(len(x), width - 1).sum(1, keepdim=True) @ x
            ),
            "Your window is one too short. For width 1 the row itself must be left, and your band "
            "is empty there.",
        ),
        "without itself": (
            lambda x, width: share(band_of(len(x), width + 1) - torch.eye(len(x))) @ x,
            "Your window ends one row too early: row t itself belongs to its mean.",
        ),
        "all of the past": (
            lambda x, width: share(torch.ones(len(x), len(x)).tril()) @ x,
            "That is the average of the whole past. Rows further back than `width` have to go.",
        ),
        "future too": (
            lambda x, width: share(band_of(len(x), width) + band_of(len(x), width).T.triu(1)) @ x,
            "Your window reaches to both sides. Nobody may look at rows that come later.",
        ),
        "columns": (
            lambda x, width: band_of(len(x), width) / band_of(len(x), width).sum(0) @ x,
            "Your columns sum to 1, not your rows. Sum along axis 1 and keep it as a column.",
        ),
    }
    hints = {"one too many": 2, "divided by width": 2}


def scaled_scores(x, wq, wk):
    q, k = x @ wq, x @ wk  # 1 project: (B, T, D)
    return q @ k.transpose(1, 2) / math.sqrt(q.size(-1))  # 2 score, 3 scale


def scaled_scores_by_loops(x, wq, wk):
    D = wq.shape[1]
    out = torch.zeros(x.shape[0], x.shape[1], x.shape[1])
    for b, rows in enumerate(x):
        for i, asks in enumerate(rows):
            for j, looked_at in enumerate(rows):
                q = [sum(a * w for a, w in zip(asks, wq[:, d], strict=True)) for d in range(D)]
                k = [sum(a * w for a, w in zip(looked_at, wk[:, d], strict=True)) for d in range(D)]
                total = sum(float(a * c) for a, c in zip(q, k, strict=True))
                out[b, i, j] = total / D**0.5
    return out


def tokens_and_maps(rng: random.Random):
    """Tokens and two maps; the width of a token is never the width of a query."""
    for n in range(21):
        generator = dice(rng)
        B, T, D = 1 + n % 2, 2 + n % 3, 2 + n % 2
        C = D + 1 + n % 2
        x = torch.randn(B, T, C, generator=generator)
        yield x, *torch.randn(2, C, D, generator=generator)


def masked(scores: torch.Tensor, value: float = -math.inf, diagonal: int = 1) -> torch.Tensor:
    """The scores with the future hidden, or with one of the usual mistakes in its place."""
    future = torch.ones_like(scores, dtype=torch.bool).triu(diagonal)
    return scores.masked_fill(future, value)


def raw_scores(x, wq, wk):
    return (x @ wq) @ (x @ wk).transpose(1, 2)


@exercise("07.2", subgoal="scale")
class ScaledScores:
    stub = (
        "def scaled_scores(x, wq, wk):\n"
        "    # x (B, T, C), wq and wk (C, D) → scores (B, T, T), steps 1 to 3\n"
        "    ..."
    )
    solution = scaled_scores
    spec = scaled_scores_by_loops
    inputs = tokens_and_maps
    mutants = {
        "not scaled": (
            raw_scores,
            "Projected and scored, but not scaled: divide by the root of D.",
        ),
        "multiplied": (
            lambda x, wq, wk: raw_scores(x, wq, wk) * wq.shape[1] ** 0.5,
            "Your scores grew. *Divide* by √D, or multiply by D to the power −½.",
        ),
        "by d": (
            lambda x, wq, wk: raw_scores(x, wq, wk) / wq.shape[1],
            "You divided by D, not by its root. The spread grows like the root, so this shrinks "
            "the scores too far, and softmax comes out nearly flat.",
        ),
        "root of C": (
            lambda x, wq, wk: raw_scores(x, wq, wk) / x.shape[2] ** 0.5,
            "You took the root of C, the width of a token. The dot product adds up D numbers, the "
            "width of a query.",
        ),
        "root of T": (
            lambda x, wq, wk: raw_scores(x, wq, wk) / x.shape[1] ** 0.5,
            "You took the root of T, the number of tokens. Take the last axis of the queries, not "
            "of the scores.",
        ),
        "keys ask": (
            lambda x, wq, wk: scaled_scores(x, wq, wk).transpose(1, 2),
            "Right numbers, on their side: row i must hold what query i finds, so q stands on the "
            "left of the product.",
        ),
        "queries twice": (
            lambda x, wq, wk: scaled_scores(x, wq, wq),
            "You scored the queries against themselves. The keys come from wk.",
        ),
        "scaled twice": (
            lambda x, wq, wk: scaled_scores(x, wq, wk) / wq.shape[1] ** 0.5 / wq.shape[1] ** 0.5,
            "Your scores are too small by a factor D: q and k were each divided by √D, and the "
            "scores again. Divide once.",
        ),
        "softmax too": (
            lambda x, wq, wk: scaled_scores(x, wq, wk).softmax(-1),
            "Steps 1 to 3 only: these are weights already. Leave the softmax out.",
        ),
        "mask too": (
            lambda x, wq, wk: masked(scaled_scores(x, wq, wk)),
            "Steps 1 to 3 only: you masked as well. Leave the −∞ out.",
        ),
        "mask and softmax too": (
            lambda x, wq, wk: masked(scaled_scores(x, wq, wk)).softmax(-1),
            "Steps 1 to 3 only: you went on to mask and weigh. Stop after the scale.",
        ),
    }


def weights_within(scores, sentence):
    T = len(scores)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    elsewhere = sentence[:, None] != sentence[None, :]  # (T, T)
    return scores.masked_fill(future | elsewhere, -math.inf).softmax(-1)


def weights_within_by_loops(scores, sentence):
    rows = []
    for i, row in enumerate(scores.tolist()):
        open_to = [j for j in range(i + 1) if sentence[j] == sentence[i]]
        top = max(row[j] for j in open_to)
        powers = [math.exp(s - top) if j in open_to else 0.0 for j, s in enumerate(row)]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def scores_and_sentences(rng: random.Random):
    """Ordinary scores first; some lie below −10,000, as in a real bug report, or far below."""
    yield torch.zeros(3, 3), torch.tensor([0, 0, 0])
    yield torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0]]), torch.tensor([0, 0, 1])
    for size in range(2, 23):
        scores = torch.randn(size, size, generator=dice(rng))
        if size % 5 == 4:
            scores = scores - 20_000
        if size % 5 == 0:
            scores = scores - 2e9
        if size % 5 == 2:  # the future is very tempting
            scores = scores + torch.full_like(scores, 300.0).triu(1)
        lengths = [rng.randint(1, 4) for _ in range(size)]
        ids = [n for n, length in enumerate(lengths) for _ in range(length)]
        yield scores, torch.tensor(ids[:size])


def forbidden(scores, sentence, diagonal: int = 1) -> torch.Tensor:
    future = torch.ones_like(scores, dtype=torch.bool).triu(diagonal)
    return future | (sentence[:, None] != sentence[None, :])


def filled_with(value: float):
    """The right mask, with another number than −∞ in it."""
    return lambda scores, sentence: scores.masked_fill(forbidden(scores, sentence), value).softmax(
        -1
    )


def masked_late(scores, sentence):
    return scores.softmax(-1).masked_fill(forbidden(scores, sentence), 0.0)


@exercise("07.3", subgoal="mask")
class WeightsWithin:
    stub = (
        "def weights_within(scores, sentence):\n"
        "    # scores (T, T), sentence (T,) → weights (T, T), every row sums to 1\n"
        "    ..."
    )
    solution = weights_within
    spec = weights_within_by_loops
    inputs = scores_and_sentences
    mutants = {
        "after softmax": (
            masked_late,
            "You masked after softmax, so your rows no longer sum to 1: the forbidden tokens have "
            "taken their share already. Mask the scores.",
        ),
        "mended after softmax": (
            lambda scores, sentence: (
                masked_late(scores, sentence) / masked_late(scores, sentence).sum(-1, keepdim=True)
            ),
            "You masked after softmax and divided by the new sum. That works until a forbidden "
            "score is so large that it takes everything: then it is 0 / 0. Mask the scores.",
        ),
        "zero": (
            filled_with(0.0),
            "You put a score of 0 where nothing may be seen. A score of 0 is an ordinary score, "
            "with e to the 0 = 1. Use −∞.",
        ),
        "ten thousand": (
            filled_with(-1e4),
            "You used −10,000 in place of −∞. It works until the true scores are lower than that, "
            "and then the future wins.",
        ),
        "a billion": (
            filled_with(-1e9),
            "You used −1,000,000,000 in place of −∞. Scores may lie lower still. Only −∞ is below "
            "everything.",
        ),
        "columns": (
            lambda scores, sentence: scores.masked_fill(
                forbidden(scores, sentence), -math.inf
            ).softmax(0),
            "The mask is right, but your *columns* sum to 1. Row t shares its weight among the "
            "columns: softmax runs along the last axis.",
        ),
        "fences turned round": (
            lambda scores, sentence: scores.masked_fill(
                forbidden(scores, torch.zeros_like(sentence))
                | (sentence[:, None] == sentence[None, :]),
                -math.inf,
            ).softmax(-1),
            "Your fences are turned round: you hide the word's own sentence. The mask is True "
            "where two sentences differ (!=).",
        ),
        "triangle turned round": (
            lambda scores, sentence: scores.masked_fill(
                torch.ones_like(scores, dtype=torch.bool).tril()
                | (sentence[:, None] != sentence[None, :]),
                -math.inf,
            ).softmax(-1),
            "Your triangle is turned round: `masked_fill` writes where the mask is True, and "
            "`tril` is True for the past and the word itself.",
        ),
        "all turned round": (
            lambda scores, sentence: scores.masked_fill(
                ~forbidden(scores, sentence), -math.inf
            ).softmax(-1),
            "You hide exactly what may be seen. `masked_fill` writes where the mask is True: "
            "True means *hidden*.",
        ),
        "diagonal": (
            lambda scores, sentence: scores.masked_fill(
                forbidden(scores, sentence, 0), -math.inf
            ).softmax(-1),
            "Your mask hides the diagonal too. A token may look at itself; the first one has "
            "nobody else, and its row becomes nan.",
        ),
        "one sentence": (
            lambda scores, sentence: scores.masked_fill(
                torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf
            ).softmax(-1),
            "The future is hidden, but tokens still look into the sentences before their own.",
        ),
        "future open": (
            lambda scores, sentence: scores.masked_fill(
                sentence[:, None] != sentence[None, :], -math.inf
            ).softmax(-1),
            "Other sentences are hidden, but the future of the own sentence is open.",
        ),
        "the past hidden": (
            lambda scores, sentence: scores.masked_fill(
                forbidden(scores.T, sentence).T, -math.inf
            ).softmax(-1),
            "You hid the past and left the future open: the mask belongs above the diagonal.",
        ),
        "and": (
            lambda scores, sentence: scores.masked_fill(
                torch.ones_like(scores, dtype=torch.bool).triu(1)
                & (sentence[:, None] != sentence[None, :]),
                -math.inf,
            ).softmax(-1),
            "You hide only what is in the future *and* in another sentence. Either is reason "
            "enough: join the two masks with | (or).",
        ),
    }
    hints = {"ten thousand": 2, "a billion": 2, "zero": 2}


def attend(q, k, v):
    scores = q @ k.transpose(1, 2) / math.sqrt(q.size(-1))  # 2 score, 3 scale
    future = torch.ones(q.size(1), q.size(1), dtype=torch.bool).triu(1)
    scores = scores.masked_fill(future, -math.inf)  # 4 mask
    weights = scores.softmax(2)  # 5 weigh
    return weights @ v  # 6 mix


def attend_by_loops(q, k, v):
    out = torch.zeros(*q.shape[:2], v.shape[2])
    for b in range(len(q)):
        for i in range(q.shape[1]):
            scores = [float(q[b, i] @ k[b, j]) / q.shape[2] ** 0.5 for j in range(i + 1)]
            powers = [math.exp(s - max(scores)) for s in scores]
            for j, power in enumerate(powers):
                out[b, i] += power / sum(powers) * v[b, j]
    return out


def queries_keys_values(rng: random.Random):
    """One to three sequences of up to six tokens."""
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    yield x, x, x
    for n in range(21):
        generator = dice(rng)
        B, T, D = 1 + n % 3, 2 + n % 5, 2 + n % 3
        yield tuple(torch.randn(3, B, T, D, generator=generator))


def masked_scores(q, k) -> torch.Tensor:
    return masked(q @ k.transpose(1, 2) / math.sqrt(q.size(-1)))


@exercise("07.4", subgoal="weigh")
class WrongAxis:
    stub = (
        "def attend(q, k, v):\n"
        "    scores = q @ k.transpose(1, 2) / math.sqrt(q.size(-1))  # 2 score, 3 scale\n"
        "    future = torch.ones(q.size(1), q.size(1), dtype=torch.bool).triu(1)\n"
        "    scores = scores.masked_fill(future, -math.inf)  # 4 mask\n"
        "    weights = scores.softmax(1)  # 5 weigh\n"
        "    return weights @ v  # 6 mix"
    )
    solution = attend
    spec = attend_by_loops
    inputs = queries_keys_values
    mutants = {
        "still columns": (
            lambda q, k, v: masked_scores(q, k).softmax(-2) @ v,
            "The columns of your weights still sum to 1. −2 and 1 are the same axis here: the "
            "askers. Each asker shares 1 among the *looked at*.",
        ),
        "batch": (
            lambda q, k, v: masked_scores(q, k).softmax(0).nan_to_num() @ v,
            "Axis 0 is the batch: different texts now share their weights.",
        ),
        "turned": (
            lambda q, k, v: masked_scores(q, k).softmax(1).transpose(1, 2) @ v,
            "You turned the weights on their side. Now the rows sum to 1, but every token looks at "
            "those that come after it.",
        ),
        "both": (
            lambda q, k, v: masked_scores(q, k).softmax(1).softmax(2) @ v,
            "You took softmax twice. The second one sees weights instead of scores, and the "
            "future, at weight 0, is open again.",
        ),
        "divided": (
            lambda q, k, v: (
                masked_scores(q, k).softmax(1)
                / masked_scores(q, k).softmax(1).sum(2, keepdim=True)
                @ v
            ),
            "You divided the rows by their sums after a softmax along the columns. They sum to 1 "
            "now, and are still not each asker's own softmax.",
        ),
        "mask gone": (
            lambda q, k, v: (q @ k.transpose(1, 2) / math.sqrt(q.size(-1))).softmax(2) @ v,
            "The axis is right now, but the mask is gone: the future is open.",
        ),
        "scale gone": (
            lambda q, k, v: (masked_scores(q, k) * math.sqrt(q.size(-1))).softmax(2) @ v,
            "The axis is right now, but the scale is gone.",
        ),
        "diagonal": (
            lambda q, k, v: (
                masked(q @ k.transpose(1, 2) / math.sqrt(q.size(-1)), diagonal=0).softmax(2) @ v
            ),
            "The axis is right now, but your mask hides the diagonal: leave `triu(1)` as it was. "
            "The first word sees nobody, and its row is nan.",
        ),
        "root of T": (
            lambda q, k, v: masked(q @ k.transpose(1, 2) / math.sqrt(q.size(1))).softmax(2) @ v,
            "The axis is right now, but you divide by the root of T. The last axis of q was right.",
        ),
        "zero": (
            lambda q, k, v: (
                masked(q @ k.transpose(1, 2) / math.sqrt(q.size(-1)), 0.0).softmax(2) @ v
            ),
            "The axis is right now, but the future has a score of 0, which is an ordinary score. "
            "−∞ was right.",
        ),
    }
    hints = {"still columns": 2}


@exercise("07.5", subgoal="mix")
class ByHand:
    stub = "answer = None  # for example [0.5, 0.5]"
    solution = [0.8, 0.6]
    solution_text = "answer = [0.8, 0.6]"
    mutants = {
        "not scaled": (
            [0.845, 0.578],
            "You took e to the 1. The scores are divided by √2 first, and e to the 1/√2 is about "
            "2.",
        ),
        "divided by two": (
            [0.767, 0.616],
            "You divided the scores by 2. It is the root of 2.",
        ),
        "average": (
            [0.667, 0.667],
            "That is the plain average. The three weights are not equal: the scores are 1, 0, 1.",
        ),
        "not normalised": (
            [4.0, 3.0],
            "2, 1 and 2 are the powers. Divide by their sum, 5.",
        ),
        "scores as weights": (
            [1.0, 0.5],
            "A score of 0 does not mean a weight of 0: e to the 0 is 1.",
        ),
        "the weights": (
            [0.4, 0.2, 0.4],
            "These are the right weights. Now mix the three vectors with them.",
        ),
        "itself": ([1.0, 0.0], "That is the third vector itself. It has to be mixed with others."),
        "first token": (
            [1.0, 1.0],
            "That is the output of the *first* token, which can only see itself.",
        ),
        "swapped": ([0.6, 0.8], "Right numbers, wrong way round: the first number comes first."),
        "old order": (
            [0.75, 0.75],
            "That is the answer for the order of the chapter. Here (1, 0) comes last.",
        ),
    }
    atol = 0.01


@exercise("07.6", subgoal="mask")
class Swapped:
    stub = "answer = None  # a list of places, for example [2, 3]"
    solution = [0, 1]
    solution_text = "answer = [0, 1]"
    mutants = {
        "none": (
            [],
            "Order does not matter to a *set*. But place 0 sees only itself, and there now stands "
            "another word.",
        ),
        "all": (
            [0, 1, 2, 3],
            "Places 2 and 3 see the same set of words as before, and ask with the same query.",
        ),
        "later": (
            [2, 3],
            "The other way round: these two see the same set as before.",
        ),
        "only the first": (
            [0],
            "Place 1 sees the same two words as before. But it asks with another query.",
        ),
        "only the second": ([1], "Place 0 sees only itself, and there now stands another word."),
        "from the second on": (
            [1, 2, 3],
            "Which words does place 0 see, before and after? And which does place 2?",
        ),
        "one too many": (
            [0, 1, 2],
            "Place 2 sees the same three words as before. With which query does it ask?",
        ),
        "the last too": (
            [0, 1, 3],
            "Place 3 sees the same four words as before. With which query does it ask?",
        ),
        "not the second": (
            [0, 2, 3],
            "Compare places 1 and 2: which of them asks with another query than before?",
        ),
        "the third": ([2], "Does place 2 see other words than before, or the same set?"),
        "the last": ([3], "The last place sees all four words, before and after. Who does not?"),
        "backwards": ([1, 0], "The right places. Write them from small to large."),
        "a set": ({0, 1}, "The right places. Write them as a list, in square brackets."),
        "counted from 1": ([1, 2], "Right, if you count places from 1. Here they start at 0."),
    }
    hints = {"backwards": 0, "a set": 0, "counted from 1": 0}


@exercise("07.7", subgoal="compare")
class LoudStart:
    stub = 'answer = None  # for example "always 100 %"'
    solution = "sometimes stuck"
    solution_text = 'answer = "sometimes stuck"'
    mutants = {
        "always": (
            "always 100 %",
            "Not every seed gets there. Run more of them, and look at each.",
        ),
        "never": (
            "never better than a coin",
            "Some seeds still find the name. Try several.",
        ),
        "faster": (
            "faster",
            "Large vectors look livelier, but they are noise to begin with. Run it.",
        ),
    }
