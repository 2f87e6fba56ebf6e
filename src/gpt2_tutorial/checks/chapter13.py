"""The exercises of chapter 13: judging by hand, top-k, driving a cache, endings, temperature."""

import math
from dataclasses import dataclass

import torch

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "13.1", __name__, subgoal="price", atol=0.01,
    stub="answer = None  # for example [1.386, 4.0, 1.0]", solution="answer = [2.079, 8.0, 0.75]",
)  # fmt: skip


def top_k_by_loops(logits, k):
    bets = torch.zeros_like(logits)
    for b, row in enumerate(logits):
        best = row.topk(k[b].item()).indices
        bets[b, best] = row[best].softmax(0)
    return bets


def rows_to_filter(rng: Dice):
    """Logits (B, V) without ties, and for every row how many tokens stay."""
    yield torch.tensor([[-1.0, -2.0, -3.0, -4.0, -5.0]]), torch.tensor([2])
    for low in (200.0, 15_000.0, 1e30):  # where many a finite number is no small one
        yield -low * torch.tensor([[1.0, 1.005, 1.01, 1.015]]), torch.tensor([3])
    for _ in range(21):
        B, V = rng.randint(2, 3), rng.randint(4, 6)
        order = torch.tensor([rng.sample(range(V), V) for _ in range(B)])
        k = torch.tensor([rng.randint(1, V) for _ in range(B)])
        yield 0.7 * order - 2 + 0.3 * rng.rand(B, V), k


@exercise("13.2", subgoal="forbid", spec=top_k_by_loops, inputs=rows_to_filter)
def top_k_each(logits, k):
    # logits (B, V), k (B,): row b keeps its k[b] best → probabilities (B, V)
    ranks = logits.argsort(-1, descending=True).argsort(-1)  # (B, V): 0 is the best
    return logits.masked_fill(ranks >= k[:, None], -math.inf).softmax(-1)


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


class MaskError(ValueError):
    """A mask without a row for each new token, or without a column for each key."""


class ReadAgain(Exception):
    """The texts are right, and tokens were read that had been read before."""


@dataclass(frozen=True)
class Reader:
    """Two layers of attention: puts what it reads into the cache and returns the best next id."""

    seed: int

    def __call__(self, ids, places, mask, cache) -> int:
        dice = torch.Generator().manual_seed(self.seed)
        # a vector for each of 9 ids and 120 places, and 9 for the logits
        tokens, table, out = torch.randn(9 + 120 + 9, 8, generator=dice).split([9, 120, 9])
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
        return int((out @ third[-1]).argmax())

    def _mix(self, x, before, mask):
        keys = torch.stack([*before, *x])  # (S, C)
        scores = (x @ keys.T / 8).masked_fill(~mask, -math.inf)
        return 0.3 * x + 2 * scores.softmax(-1) @ keys


def prompts_to_go_on(rng: Dice):
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
        raise ReadAgain("read was handed more tokens than these texts have")
    return texts


@exercise(
    "13.3", subgoal="remember", spec=write_all_by_loops, inputs=prompts_to_go_on,
    observe=handed_over_once,
)  # fmt: skip
def write_all(prompts, n, read):
    # prompts: lists of ids → the same lists, each n ids longer
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


def ending_scores_by_loops(logits, idx, begin, lengths):
    scores = []
    for i, length in enumerate(lengths.tolist()):
        gained = [logits[i, t - 1].log_softmax(0)[idx[i, t]] for t in range(begin, length)]
        scores.append(sum(gained) / len(gained))
    return torch.tensor(scores)


def endings_to_score(rng: Dice):
    """Logits, padded rows that share a prompt, where it ends, and where each row ends."""
    for _ in range(22):
        N, V, begin = rng.randint(2, 3), rng.randint(4, 6), rng.randint(2, 3)
        lengths = [begin + rng.randint(2, 4) for _ in range(N - 1)]
        lengths.append(max(lengths) + 1)
        prompt, T = rng.choices(range(V), k=begin), lengths[-1]
        rows = [prompt + rng.choices(range(V), k=n - begin) + [0] * (T - n) for n in lengths]
        yield 2 * rng.randn(N, T, V), torch.tensor(rows), begin, torch.tensor(lengths)


@exercise("13.4", subgoal="choose", spec=ending_scores_by_loops, inputs=endings_to_score)
def ending_scores(logits, idx, begin, lengths):
    # logits (N, T, V), idx (N, T), begin: tokens of the prompt,
    # lengths (N,): tokens of each row before its padding → scores (N,)
    bets = logits.log_softmax(-1)[:, :-1]  # (N, T − 1, V): place t bets on t + 1
    gained = bets.gather(-1, idx[:, 1:, None])[..., 0]  # (N, T − 1)
    about = torch.arange(1, idx.size(1))  # which token each of them is about
    ending = (about >= begin) & (about < lengths[:, None])  # (N, T − 1)
    return (gained * ending).sum(1) / ending.sum(1)


def retune_by_loops(probs, temperature):
    rows = []
    for row in probs.tolist():
        if temperature == 0:
            powers = [1.0 if p == max(row) else 0.0 for p in row]
        else:
            powers = [p ** (1 / temperature) for p in row]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows)


def bets_to_retune(rng: Dice):
    """Bets (B, V), some of them 0, and a temperature; 0 is among them."""
    for i in range(22):
        B, V = rng.randint(2 if i % 5 == 2 else 1, 2), rng.randint(3, 5)
        logits = 1.5 * rng.randn(B, V)
        if i % 4 == 3:  # somebody forbade one
            logits[:, 0] = -math.inf
        yield logits.softmax(-1), (0.5, 2.0, 0, 1.5, 0.25)[i % 5]


@exercise("13.5", subgoal="heat", spec=retune_by_loops, inputs=bets_to_retune)
def retune(probs, temperature):
    # probs (B, V) at temperature 1 → (B, V) at another, 0 among them
    if temperature == 0:
        best = probs.argmax(-1, keepdim=True)  # (B, 1)
        return torch.zeros_like(probs).scatter(-1, best, 1.0)
    return (probs.log() / temperature).softmax(-1)


value_exercise(
    "13.6", __name__, subgoal="judge", stub='answer = None  # for example "AD"',
    solution='answer = "BC"',
)  # fmt: skip
