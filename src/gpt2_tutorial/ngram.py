"""Counting what comes next: tables of characters and of words (chapter 01)."""

import itertools
import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F

GIRLS = ("Sheila", "Anna", "Clara", "Emma", "Julia", "Laura", "Maria", "Nora")
BOYS = ("Bobby", "Adam", "Daniel", "Frank", "Henry", "Jacob", "Oscar", "Peter")
FILLERS = ("always", "maybe", "now", "often", "really", "still", "surely", "today")
WORDS = tuple(sorted((*GIRLS, *BOYS, *FILLERS, "is", "a", "girl", "boy", ".")))


def history_codes(ids: torch.Tensor, order: int, vocab_size: int) -> torch.Tensor:
    """Number every run of `order` ids by its digits in base `vocab_size`.

    >>> history_codes(torch.tensor([1, 2, 0]), order=2, vocab_size=4)
    tensor([6, 8])
    """
    if ids.numel() and not 0 <= ids.min() <= ids.max() < vocab_size:
        raise ValueError(
            f"ids must lie in 0…{vocab_size - 1}, not {ids.min()}…{ids.max()}"
        )
    length = max(ids.size(-1) - order + 1, 0)
    code = torch.zeros(*ids.shape[:-1], length, dtype=torch.long)
    for k in range(order):
        code = code * vocab_size + ids[..., k : k + length]  # ...: all axes before
    return code


class NGram:
    """Bet on an id by how often it followed the last `order` ids, plus `alpha`.

    >>> table = NGram(order=1, alpha=1.0).fit(torch.tensor([0, 1, 0, 1, 0]))
    >>> table(torch.tensor([[0]])).exp()
    tensor([[[0.2500, 0.7500]]])
    """

    def __init__(self, order: int, alpha: float = 1.0):
        if order < 0 or alpha <= 0:
            raise ValueError(f"need order ≥ 0 and alpha > 0, not {order}, {alpha}")
        self.order, self.alpha = order, alpha

    def fit(self, ids: torch.Tensor, vocab_size: int | None = None) -> "NGram":
        if len(ids) <= self.order:
            raise ValueError(f"{len(ids)} ids hold no run of {self.order + 1}")
        self.vocab_size = V = vocab_size or int(ids.max()) + 1
        if V ** (self.order + 1) >= 2**63:
            raise ValueError(f"{V} ** {self.order + 1} cells overflow 64-bit codes")
        histories = history_codes(ids, self.order, V)[:-1]  # before ids[order:]
        self.histories, row = histories.unique(return_inverse=True)  # sorted
        size = (len(self.histories) + 1) * V  # one row each, and an empty one
        cells = torch.bincount(row * V + ids[self.order :], minlength=size)
        self.counts = cells.view(-1, V)  # (R + 1, V)
        return self

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Find the row of the history that ends at each place; −1 if it is new."""
        codes = history_codes(ids, self.order, self.vocab_size)
        row = torch.searchsorted(self.histories, codes)
        row = row.clamp(max=len(self.histories) - 1)
        row = torch.where(self.histories[row] == codes, row, -1)
        too_early = ids.size(-1) - row.size(-1)  # no whole history before them
        return F.pad(row, (too_early, 0), value=-1)  # same shape as ids

    def __call__(self, idx: torch.Tensor) -> torch.Tensor:
        counts = self.counts[self.rows(idx)] + self.alpha  # (B, T, V)
        return (counts / counts.sum(-1, keepdim=True)).log()  # (B, T, V)

    def loss(self, ids: torch.Tensor) -> float:
        """Mean nats of every id that has `order` ids (at least one) before it."""
        first = max(self.order, 1)
        if len(ids) <= first:
            raise ValueError(f"{len(ids)} ids leave none to score after {first}")
        history, target = self.rows(ids)[first - 1 : -1], ids[first:]
        seen = self.counts[history, target] + self.alpha
        total = self.counts.sum(-1)[history] + self.alpha * self.vocab_size
        return -(seen / total).log().mean().item()


class KneserNey:
    """Mix the tables of order 0 to `order`: short histories help rare long ones.

    >>> model = KneserNey(order=2).fit(torch.tensor([0, 1, 0, 1, 0, 2]))
    >>> model(torch.tensor([[0, 1]])).exp().sum(-1)
    tensor([[1., 1.]])
    """

    def __init__(self, order: int, discount: float = 0.75):
        if order < 0 or not 0 < discount < 1:
            raise ValueError(
                f"need order ≥ 0 and 0 < discount < 1, not {order}, {discount}"
            )
        self.order, self.discount = order, discount

    def fit(self, ids: torch.Tensor, vocab_size: int | None = None) -> "KneserNey":
        self.tables = [NGram(n).fit(ids, vocab_size) for n in range(self.order + 1)]
        for shorter, longer in itertools.pairwise(self.tables):
            # Count the different histories that a character follows, not how often.
            suffix = longer.histories % longer.vocab_size**shorter.order
            row = torch.searchsorted(shorter.histories, suffix)
            kinds = (longer.counts[:-1] > 0).long()
            empty = torch.zeros_like(shorter.counts)
            shorter.counts = empty.index_add(0, row, kinds)
        return self

    def __call__(self, idx: torch.Tensor) -> torch.Tensor:
        p = torch.tensor(1 / self.tables[0].vocab_size)
        for table in self.tables:  # shortest history first
            counts = table.counts[table.rows(idx)]  # (B, T, V)
            total = counts.sum(-1, keepdim=True)  # (B, T, 1)
            kept = (counts - self.discount).clamp(min=0)
            freed = self.discount * (counts > 0).sum(-1, keepdim=True)
            # A history that was never seen leaves the bet to the shorter ones.
            p = torch.where(total > 0, (kept + freed * p) / total, p)
        return p.log()  # (B, T, V)


def sample(
    model: "NGram | KneserNey",
    start: Sequence[int],
    length: int,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Write on from `start`: bet, draw one id, put it at the end, `length` times.

    >>> table = NGram(order=1, alpha=1e-9).fit(torch.tensor([0, 1, 0, 1]))
    >>> sample(table, start=[0], length=3)
    [0, 1, 0, 1]
    """
    if len(start) == 0:
        raise ValueError("start is empty: give at least one id to write on from")
    ids = list(start)
    for _ in range(length):
        recent = torch.tensor([ids[-max(model.order, 1) :]])  # (1, T)
        bets = model(recent)[0, -1].exp()  # (V,)
        ids.append(torch.multinomial(bets, 1, generator=generator).item())
    return ids


def sheila_and_bobby(
    sentences: int, seed: int, fillers: tuple[int, int] = (0, 4)
) -> list[str]:
    """Write sentences whose last word only the name decides, as a list of words.

    >>> " ".join(sheila_and_bobby(1, seed=4))
    'Nora always often is a girl .'
    """
    rng = random.Random(seed)
    words = []
    for _ in range(sentences):
        name = rng.choice(GIRLS + BOYS)
        words += [name, *rng.choices(FILLERS, k=rng.randint(*fillers)), "is", "a"]
        words += ["girl" if name in GIRLS else "boy", "."]
    return words


def girl_or_boy_accuracy(model: NGram, words: Sequence[str]) -> float:
    """Share of sentences where `model` bets more on the right one of girl and boy.

    >>> words = sheila_and_bobby(50, seed=0)
    >>> ids = torch.tensor([WORDS.index(word) for word in words])
    >>> girl_or_boy_accuracy(NGram(6).fit(ids), words)
    1.0
    """
    ids = torch.tensor([WORDS.index(word) for word in words])
    girl, boy = WORDS.index("girl"), WORDS.index("boy")
    (target,) = torch.where((ids == girl) | (ids == boy))
    bets = model(ids[None])[0]  # None: a batch of one
    bets = bets[target - 1]  # what stands before the target decides
    guess = torch.where(bets[:, girl] >= bets[:, boy], girl, boy)
    return (guess == ids[target]).float().mean().item()
