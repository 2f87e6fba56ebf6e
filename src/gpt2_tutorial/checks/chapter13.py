"""The exercises of chapter 13: judging by hand, top-k, driving a cache, endings, temperature."""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import torch

from gpt2_tutorial.checks.engine import exercise


@exercise("13.1", subgoal="price")
class PriceByHand:
    stub = "answer = None  # for example [1.386, 4.0, 1.0]"
    solution = [2.079, 8.0, 0.75]
    solution_text = "answer = [2.079, 8.0, 0.75]"
    atol = 0.01
    mutants = {
        "bits for nats": (
            [3.0, 8.0, 0.75],
            "The loss of this book is in nats. You gave bits: multiply by ln 2.",
        ),
        "e to the bits": (
            [2.079, 20.086, 0.75],
            "Your perplexity is e to the power of bits. Bits go with 2, and e goes with nats.",
        ),
        "mean of chances": (
            [1.856, 6.4, 0.75],
            "You averaged the probabilities first. Average the surprises, −ln p.",
        ),
        "per token": (
            [2.079, 8.0, 3.0],
            "The last one is bits per token. Add up the bits, and divide by the bytes.",
        ),
        "nats per byte": (
            [2.079, 8.0, 0.52],
            "The last one is in nats per byte. Divide by ln 2 to get bits.",
        ),
        "sums": (
            [8.318, 4096.0, 12.0],
            "You gave the totals. Loss and perplexity are per token, the last one is per byte.",
        ),
        "sum of the losses": (
            [8.318, 8.0, 0.75],
            "The first one is the loss of all four tokens together. Asked is the mean.",
        ),
        "2 to the nats": (
            [2.079, 4.226, 0.75],
            "Your perplexity is 2 to the power of nats. Nats go with e, and 2 goes with bits.",
        ),
        "bits in all": (
            [2.079, 8.0, 12.0],
            "The last one is the bits of the whole text. Divide by its 16 bytes.",
        ),
        "bytes per bit": (
            [2.079, 8.0, 1.333],
            "The last one is turned round: bytes per bit. Divide the bits by the bytes.",
        ),
    }
    hints = {"mean of chances": 1}


def top_k_each(logits, k):
    ranks = logits.argsort(-1, descending=True).argsort(-1)  # (B, V): 0 is the best
    return logits.masked_fill(ranks >= k[:, None], -math.inf).softmax(-1)


def top_k_by_loops(logits, k):
    rows = []
    for row, count in zip(logits.tolist(), k.tolist(), strict=True):
        last = sorted(row, reverse=True)[count - 1]
        powers = [math.exp(number) if number >= last else 0.0 for number in row]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def rows_to_filter(rng: random.Random):
    """Logits (B, V) without ties, and for every row how many tokens stay."""
    yield torch.tensor([[-1.0, -2.0, -3.0, -4.0, -5.0]]), torch.tensor([2])
    yield torch.tensor([[-200.0, -201.0, -202.0, -203.0]]), torch.tensor([3])
    for _ in range(23):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        B, V = rng.randint(2, 3), rng.randint(4, 6)
        order = torch.stack([torch.randperm(V, generator=dice) for _ in range(B)])
        logits = 0.7 * order - 2 + 0.3 * torch.rand(B, V, generator=dice)
        k = [1 + rng.randrange(V) for _ in range(B)]
        yield logits, torch.tensor(k)


def filtered(fill=-math.inf, extra=0, renormalise=True, one_sort=False, smallest=False, axis=-1):
    """Top-k for every row, with one thing wrong."""

    def top_k_each(logits, k):
        order = logits.argsort(-1, descending=not smallest)
        ranks = order if one_sort else order.argsort(-1)
        gone = ranks >= k[:, None] + extra
        if not renormalise:
            return logits.softmax(-1).masked_fill(gone, 0.0)
        return logits.masked_fill(gone, fill).softmax(axis)

    return top_k_each


@exercise("13.2", subgoal="forbid")
class TopKForEach:
    stub = (
        "def top_k_each(logits, k):\n"
        "    # logits (B, V), k (B,): row b keeps its k[b] best → probabilities (B, V)\n"
        "    ranks = logits.argsort(-1, descending=True).argsort(-1)  # (B, V): 0 is the best\n"
        "    return logits.masked_fill(ranks > k[:, None], 1e-10).softmax(-1)"
    )
    solution = top_k_each
    spec = top_k_by_loops
    inputs = rows_to_filter
    mutants = {
        "1e-10": (
            filtered(fill=1e-10),
            "You count right now. But 1e-10 is nearly 0, and 0 is a fine logit: e to the 0 is 1, "
            "so what you forbid may end up likelier than what you keep.",
        ),
        "one too many": (
            filtered(extra=1),
            "What is forbidden is forbidden now. But the best token has rank 0, so ranks 0 to k "
            "are k + 1 tokens.",
        ),
        "-1": (
            filtered(fill=-1.0),
            "A logit of −1 still gets a bet, and a large one where the others are below −1.",
        ),
        "not renormalised": (
            filtered(renormalise=False),
            "You set probabilities to 0 behind the softmax, so the rest no longer adds up to 1. "
            "Forbid before the softmax.",
        ),
        "one sort": (
            filtered(one_sort=True),
            "argsort tells who stands at each rank. You need the rank of each token, so sort "
            "that answer once more.",
        ),
        "the worst": (
            filtered(smallest=True),
            "You keep the k worst. The best has the largest logit.",
        ),
        "one k for all": (
            lambda logits, k: top_k_each(logits, k[:1].expand(len(k))),
            "You used the first row's k for every row. Each row has its own.",
        ),
        "the largest k": (
            lambda logits, k: top_k_each(logits, k.max().expand(len(k))),
            "You used the largest k for every row. Each row has its own.",
        ),
        "always two": (
            lambda logits, k: top_k_each(logits, torch.full_like(k, 2)),
            "You keep two in every row. Two was the example; each row has a k of its own.",
        ),
        "one too few": (
            filtered(extra=-1),
            "You keep one too few, and with k = 1 nothing is left to add up to 1. Ranks begin "
            "at 0, so those below k stay.",
        ),
        "-10": (
            filtered(fill=-10.0),
            "A logit of −10 is a small bet, and it is one. Forbidden is what gets exactly 0.",
        ),
        "-100": (
            filtered(fill=-100.0),
            "Any finite number is a bet: where all logits are near −200, a logit of −100 is the "
            "best of them.",
        ),
        "softmax over the rows": (
            filtered(axis=0),
            "Your softmax adds up over the rows of the batch. It belongs to the tokens, the last "
            "axis.",
        ),
        "no softmax": (
            lambda logits, k: logits.masked_fill(top_k_each(logits, k) == 0, -math.inf),
            "Those are logits still. Asked are probabilities: softmax comes last.",
        ),
    }
    hints = {"1e-10": 1, "not renormalised": 2, "one sort": 2}


def write_all(prompts, n, read):
    texts = []
    for prompt in prompts:
        cache, text, new = [], list(prompt), list(prompt)
        for _ in range(n):
            past, T = len(cache), len(new)
            places = torch.arange(past, past + T)  # (T,)
            mask = torch.ones(T, past + T, dtype=torch.bool).tril(past)
            new = [read(torch.tensor(new), places, mask, cache)]
            text = text + new
        texts.append(text)
    return texts


def write_all_by_loops(prompts, n, read):
    texts = []
    for prompt in prompts:
        text = list(prompt)
        for _ in range(n):  # no cache: the whole text is read again for every token
            T = len(text)
            mask = torch.tensor([[j <= i for j in range(T)] for i in range(T)])
            text.append(read(torch.tensor(text), torch.arange(T), mask, []))
        texts.append(text)
    return texts


@lru_cache(maxsize=64)
def reader_weights(seed: int):
    """A vector for each of 9 ids and 120 places, and a map to 9 logits."""
    dice = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=dice) for shape in ((9, 8), (120, 8), (8, 9))]


def write_all_by_loops_again(prompts, n, read):
    """The plain loops, handed in as an answer."""
    return write_all_by_loops(prompts, n, read)


class MaskError(ValueError):
    """A mask without a row for each new token, or without a column for each key."""


class ReadAgain(Exception):
    """The texts are right, and tokens were read that had been read before."""


@dataclass(frozen=True)
class Reader:
    """Two layers of attention: puts what it reads into the cache and returns the best next id."""

    seed: int

    def __call__(self, ids, places, mask, cache) -> int:
        tokens, table, out = reader_weights(self.seed)
        past = list(cache)
        if mask is None:
            raise TypeError("mask must be a tensor of True and False, not None")
        ids, places = torch.as_tensor(ids), torch.as_tensor(places)
        mask = torch.as_tensor(mask).bool()
        shape = len(ids), len(past) + len(ids)
        if tuple(mask.shape) != shape:
            raise MaskError(f"mask must be {shape}, not {tuple(mask.shape)}")
        if not mask.any(1).all():
            row = int((~mask.any(1)).nonzero()[0])
            raise ValueError(
                f"row {row} of mask is all False: that token may not look even at itself"
            )
        first = tokens[ids] + table[places]  # (T, C)
        second = self._mix(first, [pair[0] for pair in past], mask)  # (T, C)
        third = self._mix(second, [pair[1] for pair in past], mask)
        cache.extend(zip(first, second, strict=True))
        return int((third[-1] @ out).argmax())

    def _mix(self, x, before, mask):
        keys = torch.stack([*before, *x])  # (S, C)
        scores = (x @ keys.T / 8).masked_fill(~mask, -math.inf)
        return 0.3 * x + 2 * scores.softmax(-1) @ keys

    def __repr__(self) -> str:
        return "read"


def prompts_to_go_on(rng: random.Random):
    """Two prompts, how many tokens to write, and a reader."""
    for _ in range(20):
        prompts = [[rng.randrange(9) for _ in range(rng.randint(3, 5))] for _ in range(2)]
        yield prompts, rng.randint(2, 3), Reader(rng.randrange(2**31))


def handed_over_once(write, prompts, n, read):
    """The texts; an error where they are right and more was read than there is to read."""
    handed = []

    def counted(ids, places, mask, cache):
        handed.append(len(ids))
        return read(ids, places, mask, cache)

    texts = write(prompts, n, counted)
    there = sum(len(prompt) + n for prompt in prompts)
    if write is write_all_by_loops or sum(handed) <= there:
        return texts
    if texts == write_all_by_loops(prompts, n, read):
        raise ReadAgain(f"read was handed {sum(handed)} tokens, and these texts have {there}")
    return texts


def read_then_last(prompts, n, read):
    """Read the prompt, throw away what came, and begin with its last token again."""
    texts = []
    for prompt in prompts:
        cache, text, T = [], list(prompt), len(prompt)
        read(torch.tensor(prompt), torch.arange(T), torch.ones(T, T).tril().bool(), cache)
        for _ in range(n):
            past = len(cache)
            mask = torch.ones(1, past + 1, dtype=torch.bool)
            text.append(read(torch.tensor(text[-1:]), torch.tensor([past]), mask, cache))
        texts.append(text)
    return texts


def driven(
    place=lambda past, T: torch.arange(past, past + T),
    mask=lambda past, T: torch.ones(T, past + T, dtype=torch.bool).tril(past),
    fresh=True,
    whole=False,
    twice=False,
):
    """Write with a cache, with one thing wrong."""

    def write_all(prompts, n, read):
        texts, cache = [], []
        for prompt in prompts:
            cache = [] if fresh else cache
            text, new = list(prompt), list(prompt)
            for i in range(n):
                past, T = len(cache), len(new)
                token = read(torch.tensor(new), place(past, T), mask(past, T), cache)
                text = [*text, token]
                new = text if whole else [token]
                if twice and i == 0:
                    new = [prompt[-1], token]
            texts.append(text)
        return texts

    return write_all


@exercise("13.3", subgoal="remember")
class DriveTheCache:
    stub = (
        "def write_all(prompts, n, read):\n"
        "    # prompts: lists of ids → the same lists, each n ids longer\n"
        "    ..."
    )
    solution = write_all
    spec = write_all_by_loops
    inputs = prompts_to_go_on
    observe = handed_over_once
    mutants = {
        "no cache": (
            write_all_by_loops_again,
            "The texts are right, but you read tokens again that you had read already, so "
            "nothing is saved. Keep one cache for each prompt, and hand over what is new.",
        ),
        "position 0": (
            driven(place=lambda past, T: torch.arange(T)),
            "Every new token comes in at place 0, as if it were the first of the text. Its place "
            "is as many as the cache holds already.",
        ),
        "one place late": (
            driven(place=lambda past, T: torch.arange(past, past + T) + (past > 0)),
            "Your new tokens stand one place too late. With 3 tokens in the cache, the next has "
            "place 3: places begin at 0.",
        ),
        "places from 1": (
            driven(place=lambda past, T: torch.arange(past, past + T) + 1),
            "Your places begin at 1. The first token of a text has place 0.",
        ),
        "one ahead": (
            driven(mask=lambda past, T: torch.ones(T, past + T, dtype=torch.bool).tril(past + 1)),
            "Inside the prompt each of your tokens sees the next one. Move the edge of the "
            "triangle `past` steps, and not one more.",
        ),
        "itself alone": (
            driven(mask=lambda past, T: torch.ones(T, past + T).tril(past).triu(past).bool()),
            "Each of your new tokens looks at itself alone. It may look at all before it too.",
        ),
        "prompt read, answer lost": (
            read_then_last,
            "You read the prompt, threw away the id that came, and handed over the prompt's last "
            "token again. That id is the first new one.",
        ),
        "mask from the left": (
            driven(mask=lambda past, T: torch.ones(T, past + T, dtype=torch.bool).tril()),
            "Your triangle begins at the left edge, so a single new token sees the first key "
            "alone. Move it to the right by what the cache holds.",
        ),
        "square mask": (
            driven(mask=lambda past, T: torch.ones(T, T, dtype=torch.bool).tril()),
            "Your mask does not fit. It needs a row for every new token and a column for every "
            "key, those of the cache as well: (T, past + T).",
        ),
        "sees the future": (
            driven(mask=lambda past, T: torch.ones(T, past + T, dtype=torch.bool)),
            "Inside the prompt your tokens look ahead. One new token may see all, but a prompt "
            "needs its triangle.",
        ),
        "not reset": (
            driven(fresh=False),
            "The second prompt goes on behind the first: the cache still holds that text. Begin "
            "each prompt with an empty one.",
        ),
        "whole text again": (
            driven(whole=True),
            "You hand over the whole text at every step, so the cache fills with copies. Hand "
            "over what is new, one token.",
        ),
        "last of the prompt twice": (
            driven(twice=True),
            "You hand over the prompt's last token a second time. It is in the cache already.",
        ),
        "new ones alone": (
            lambda prompts, n, read: [
                text[len(prompt) :]
                for text, prompt in zip(write_all(prompts, n, read), prompts, strict=True)
            ],
            "You return what is new. Asked are the whole texts, prompt first.",
        ),
    }
    hints = {"mask from the left": 2, "square mask": 2, "sees the future": 2}


def ending_scores(logits, idx, begin, lengths):
    bets = logits.log_softmax(-1)[:, :-1]  # (N, T − 1, V): place t bets on t + 1
    gained = bets.gather(-1, idx[:, 1:, None])[..., 0]  # (N, T − 1)
    about = torch.arange(1, idx.size(1))  # which token each of them is about
    ending = (about >= begin) & (about < lengths[:, None])  # (N, T − 1)
    return (gained * ending).sum(1) / ending.sum(1)


def ending_scores_by_loops(logits, idx, begin, lengths):
    scores = []
    for i in range(len(idx)):
        gained = []
        for t in range(begin, int(lengths[i])):
            powers = [math.exp(number) for number in logits[i, t - 1].tolist()]
            gained.append(math.log(powers[int(idx[i, t])] / sum(powers)))
        scores.append(sum(gained) / len(gained))
    return torch.tensor(scores)


def endings_to_score(rng: random.Random):
    """Logits, padded rows that share a prompt, where it ends, and where each row ends."""
    for _ in range(22):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        N, V, begin = rng.randint(2, 3), rng.randint(4, 6), rng.randint(2, 3)
        lengths = [begin + rng.randint(2, 4) for _ in range(N - 1)]
        lengths.append(max(lengths) + 1)
        T = max(lengths)
        idx = torch.randint(V, (N, T), generator=dice)
        idx[:, :begin] = idx[0, :begin].clone()
        for row, length in zip(idx, lengths, strict=True):
            row[length:] = 0
        yield 2 * torch.randn(N, T, V, generator=dice), idx, begin, torch.tensor(lengths)


def scored(first=0, shift=1, norm="ending", padding=False, raw=False, sign=1, last=0, axis=-1):
    """Scores of endings, with one thing wrong."""

    def ending_scores(logits, idx, begin, lengths):
        bets = logits if raw else logits.log_softmax(axis)
        T = idx.size(1)
        bets = bets[:, : T - 1] if shift else bets[:, 1:]
        gained = bets.gather(-1, idx[:, 1:, None])[..., 0]
        about = torch.arange(1, T)
        start = 1 if first is None else begin + first
        ending = (about >= start) & ((about < lengths[:, None] + last) | padding)
        total = sign * (gained * ending).sum(1)
        if norm == "none":
            return total
        if norm == "all":
            return total / T
        return total / (ending.sum(1) if norm == "ending" else lengths)

    return ending_scores


@exercise("13.4", subgoal="choose")
class EndingScores:
    stub = (
        "def ending_scores(logits, idx, begin, lengths):\n"
        "    # logits (N, T, V), idx (N, T), begin: tokens of the prompt,\n"
        "    # lengths (N,): tokens of each row before its padding → scores (N,)\n"
        "    ..."
    )
    solution = ending_scores
    spec = ending_scores_by_loops
    inputs = endings_to_score
    mutants = {
        "prompt as well": (
            scored(first=None),
            "You scored the prompt as well. It is the same in all rows: score the ending alone.",
        ),
        "off by one": (
            scored(shift=0),
            "You read the bet on a token at that token's own place. There the model has seen it "
            "already: the bet on token t stands at t − 1.",
        ),
        "no length norm": (
            scored(norm="none"),
            "You added up and did not divide. Then a long ending loses for being long: take the "
            "mean over its tokens.",
        ),
        "by the whole length": (
            scored(norm="row"),
            "You divided by the tokens of the whole row. Divide by those of the ending.",
        ),
        "padding as well": (
            scored(padding=True),
            "You scored the padding behind short rows. Stop at lengths.",
        ),
        "first token missing": (
            scored(first=1),
            "You left out the first token of the ending. Its bet stands at the last place of the "
            "prompt.",
        ),
        "one token too early": (
            scored(first=-1),
            "You begin one token too early, with the last of the prompt.",
        ),
        "raw logits": (
            scored(raw=True),
            "You added up logits. They are no log probabilities until log_softmax.",
        ),
        "sign": (
            scored(sign=-1),
            "Those are losses. Asked are log probabilities: larger is better, none is above 0.",
        ),
        "last token missing": (
            scored(last=-1),
            "You left out the last token of each ending. Places run to lengths − 1, and that one "
            "counts.",
        ),
        "by the padded width": (
            scored(norm="all"),
            "You divided every row by the same width. Divide each by the tokens of its own ending.",
        ),
        "softmax over places": (
            scored(axis=1),
            "Your softmax runs over the places. At each place the bets of all tokens add up to 1: "
            "the last axis.",
        ),
        "one length": (
            lambda logits, idx, begin, lengths: ending_scores(
                logits, idx, begin, lengths[:1].expand(len(lengths))
            ),
            "You used the first row's length for every row. Each row has its own.",
        ),
        "no logarithm": (
            lambda logits, idx, begin, lengths: torch.stack(
                [
                    row[begin - 1 : n - 1].softmax(-1).gather(1, ids[begin:n, None]).mean()
                    for row, ids, n in zip(logits, idx, lengths.tolist(), strict=True)
                ]
            ),
            "You averaged probabilities. Take their logarithm first.",
        ),
    }
    hints = {"off by one": 1, "first token missing": 1}


def retune(probs, temperature):
    if temperature == 0:
        best = probs.argmax(-1, keepdim=True)  # (B, 1)
        return torch.zeros_like(probs).scatter(-1, best, 1.0)
    return (probs.log() / temperature).softmax(-1)


def retune_by_loops(probs, temperature):
    rows = []
    for row in probs.tolist():
        if temperature == 0:
            powers = [1.0 if p == max(row) else 0.0 for p in row]
        else:
            powers = [p ** (1 / temperature) for p in row]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def bets_to_retune(rng: random.Random):
    """Bets (B, V), some of them 0, and a temperature; 0 is among them."""
    for i in range(22):
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        B, V = rng.randint(1, 2), rng.randint(3, 5)
        probs = (1.5 * torch.randn(B, V, generator=dice)).softmax(-1)
        if i % 4 == 3:  # somebody forbade one
            probs[:, 0] = 0.0
            probs = probs / probs.sum(-1, keepdim=True)
        yield probs, (0.5, 2.0, 0, 1.5, 0.25)[i % 5]


@exercise("13.5", subgoal="heat")
class Retune:
    stub = (
        "def retune(probs, temperature):\n"
        "    # probs (B, V) at temperature 1 → (B, V) at another, 0 among them\n"
        "    ..."
    )
    solution = retune
    spec = retune_by_loops
    inputs = bets_to_retune
    mutants = {
        "multiplied": (
            lambda probs, temperature: (
                retune(probs, 0) if temperature == 0 else retune(probs, 1 / temperature)
            ),
            "You multiplied. A low temperature divides by a small number, so the bets get sharper.",
        ),
        "divided the bets": (
            lambda probs, temperature: retune(probs, 1 if temperature else 0),
            "You divided the probabilities and made them add up to 1 again. That gives them back "
            "as they were. Divide their logarithms.",
        ),
        "softmax of bets": (
            lambda probs, temperature: (
                (probs / temperature).softmax(-1) if temperature else retune(probs, 0)
            ),
            "You put probabilities into a softmax. It wants logits: take their logarithm first.",
        ),
        "crashes at 0": (
            lambda probs, temperature: (probs.log() / temperature).softmax(-1),
            "At temperature 0 you divide by 0. There the best token gets everything.",
        ),
        "no sum": (
            lambda probs, temperature: (
                probs ** (1 / temperature) if temperature else retune(probs, 0)
            ),
            "The right powers, but they do not add up to 1. Divide by their sum.",
        ),
        "one sum for all": (
            lambda probs, temperature: (
                probs ** (1 / temperature) / (probs ** (1 / temperature)).sum()
                if temperature
                else retune(probs, 0)
            ),
            "You divided by the sum of all rows. Every row has to add up to 1 by itself.",
        ),
        "softmax over the rows": (
            lambda probs, temperature: (
                (probs.log() / temperature).softmax(0) if temperature else retune(probs, 0)
            ),
            "Your softmax adds up over the rows. It belongs to the tokens, the last axis.",
        ),
        "equal at 0": (
            lambda probs, temperature: (
                retune(probs, temperature)
                if temperature
                else torch.full_like(probs, 1 / probs.size(-1))
            ),
            "At temperature 0 all of yours are equal. That is what endless heat does; at 0 the "
            "best gets everything.",
        ),
        "sampling at 0": (
            lambda probs, temperature: probs if temperature == 0 else retune(probs, temperature),
            "At temperature 0 you give the bets back as they are. There the best gets everything.",
        ),
    }
    hints = {"crashes at 0": 1}


@exercise("13.6", subgoal="judge")
class BetterThanChance:
    stub = 'answer = None  # for example "AD"'
    solution = "BC"
    solution_text = 'answer = "BC"'
    mutants = {
        "all": (
            "ABCD",
            "All are above 25 %, and so may a guesser be, by luck. How far is two standard errors?",
        ),
        "highest": (
            "D",
            "D has the highest share, from so few items that luck explains it. Work out its "
            "error bar.",
        ),
        "largest alone": (
            "C",
            "C is one of them. B has fewer items and a larger share: work out its bar too.",
        ),
        "B alone": (
            "B",
            "B is one of them. C has a smaller share and far more items: work out its bar too.",
        ),
        "one standard error": (
            "BCD",
            "One standard error is not enough: luck goes beyond it one time in three. Take two.",
        ),
        "turned round": ("CB", "Those are the right two. Write them in the order of the alphabet."),
        "with a comma": ("B,C", "Those are the right two. Write the letters side by side."),
        "with and": ("B and C", "Those are the right two. Write the two letters, and no word."),
        "too few standard errors": (
            "ABC",
            "A's bar reaches far below a quarter: with 100 items, one standard error is more than "
            "4 points.",
        ),
        "the highest and the largest": (
            "CD",
            "C is one of them. D has the highest share, from so few items that luck explains it.",
        ),
        "small exams": ("AD", "Those are the two small exams. Luck goes furthest there."),
    }
