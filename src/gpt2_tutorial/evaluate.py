"""How good is a model? Perplexity, bits per byte, multiple choice (chapter 13)."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from gpt2_tutorial.bpe import BPETokenizer
from gpt2_tutorial.evaluate_input import (
    check_item,
    check_room,
    check_unit,
    ids_and_stride,
)
from gpt2_tutorial.generate import evaluating
from gpt2_tutorial.gpt import GPT, GPTConfig  # noqa: F401 (in examples)
from gpt2_tutorial.text import CharTokenizer


@torch.no_grad()
def token_losses(model: GPT, idx: torch.Tensor) -> torch.Tensor:
    """Return the nats that every token but the first costs: (B, T + 1) to (B, T).

    >>> coin = GPT(GPTConfig(block_size=4, vocab_size=2, n_layer=1, n_embd=12))
    >>> token_losses(coin, torch.tensor([[0, 1, 1]])).shape
    torch.Size([1, 2])
    """
    idx = idx.to(next(model.parameters()).device)
    with evaluating(model.modules()):  # no dropout while we judge
        logits, _ = model(idx[:, :-1])  # (B, T, V)
    targets = idx[:, 1:]  # (B, T): what each place should have bet on
    paid = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none"
    )
    return paid.view(targets.shape)


def text_losses(
    model: GPT, ids: Sequence[int] | torch.Tensor, *, stride: int | None = None
) -> torch.Tensor:
    """Do it for a text longer than the context; each token is scored once.

    >>> coin = GPT(GPTConfig(block_size=4, vocab_size=2, n_layer=1, n_embd=12))
    >>> text_losses(coin, [0, 1, 1, 0, 1, 1, 0, 0]).shape
    torch.Size([7])
    """
    ids, stride = ids_and_stride(ids, stride, model.config.block_size)
    size = min(model.config.block_size, len(ids) - 1)
    last = len(ids) - 1 - size
    losses, done = [], 0
    for start in [*range(0, last, stride), last]:
        window = ids[start : start + size + 1]  # (T + 1,)
        new = start + size - done  # what the window before has not scored
        losses.append(token_losses(model, window[None])[0, -new:].cpu())
        done += new
    return torch.cat(losses)  # (N - 1,)


def perplexity(
    model: GPT, ids: Sequence[int] | torch.Tensor, *, stride: int | None = None
) -> float:
    """Return e to the mean loss: between how many tokens the model is torn.

    >>> coin = GPT(GPTConfig(block_size=4, vocab_size=2, n_layer=1, n_embd=12))
    >>> 1 < perplexity(coin, [0, 1, 1, 0, 1, 1, 0, 0]) < 3
    True
    """
    losses = text_losses(model, ids, stride=stride)
    return losses.mean(dtype=torch.float64).exp().item()


def bits_per_byte(
    model: GPT,
    tokenizer: CharTokenizer | BPETokenizer,
    text: str,
    *,
    before: str = "\n",
    stride: int | None = None,
) -> float:
    """Return the bits that one byte of `text` costs, whatever the tokens are.

    >>> coin = GPT(GPTConfig(block_size=4, vocab_size=2, n_layer=1, n_embd=12))
    >>> 0 < bits_per_byte(coin, CharTokenizer("ab"), "abba", before="a") < 2
    True
    """
    if not text or not before:
        raise ValueError("text and before need at least one character each")
    start = tokenizer.encode(before)  # read first, and not scored
    losses = text_losses(model, start + tokenizer.encode(text), stride=stride)
    nats = losses[len(start) - 1 :].sum(dtype=torch.float64).item()
    return nats / math.log(2) / len(text.encode())


class Item(NamedTuple):
    """A beginning and several ways to go on; `label` tells the right one.

    >>> Item("The sky is", ("blue.", "an onion."), label=0).choices[0]
    'blue.'
    """

    context: str
    choices: tuple[str, ...]
    label: int


class ChoiceResult(NamedTuple):
    """1 for right and 0 for wrong, by both rules; what was picked; and why.

    >>> ChoiceResult(1, 0, 2, 3, (9.1, 9.0), (30, 28)).acc
    1
    """

    acc: int
    acc_norm: int
    pick: int
    pick_norm: int
    nats: tuple[float, ...]
    lengths: tuple[int, ...]


def choice_losses(
    model: GPT, context: list[int], choices: list[list[int]]
) -> list[float]:
    """Return the nats that each choice costs after `context`, its tokens summed.

    >>> coin = GPT(GPTConfig(block_size=4, vocab_size=2, n_layer=1, n_embd=12))
    >>> short, long = choice_losses(coin, [0, 1], [[1], [1, 1]])
    >>> short < long
    True
    """
    room = model.config.block_size + 1  # the last token is never read
    rows = [(context + choice)[-room:] for choice in choices]
    longest = max(len(row) for row in rows)
    idx = torch.zeros(len(rows), longest, dtype=torch.long)  # (B, T + 1)
    mask = torch.zeros(len(rows), longest - 1, dtype=torch.bool)  # (B, T)
    for i, (row, choice) in enumerate(zip(rows, choices, strict=True)):
        idx[i, : len(row)] = torch.tensor(row)  # behind it zeros, never scored
        end = len(row) - 1  # loss t is about token t + 1
        mask[i, end - len(choice) : end] = True
    paid = token_losses(model, idx).cpu()  # (B, T)
    return paid.where(mask, 0).sum(1).tolist()


LENGTHS = {  # how long a choice is, from its text and its ids
    "byte": lambda text, ids: len(text.encode()),
    "character": lambda text, ids: len(text),
    "token": lambda text, ids: len(ids),
}


def multiple_choice(
    model: GPT,
    tokenizer: CharTokenizer | BPETokenizer,
    item: Item,
    *,
    per: str = "byte",
) -> ChoiceResult:
    """Pick the choice that costs least: as a whole (acc), and per byte (acc_norm).

    >>> coin = GPT(GPTConfig(block_size=4, vocab_size=2, n_layer=1, n_embd=12))
    >>> multiple_choice(coin, CharTokenizer("a "), Item("a", ("a", "aa"), 0)).acc
    1
    """
    check_item(item)
    check_unit(per, LENGTHS)
    context = tokenizer.encode(item.context)
    choices = [tokenizer.encode(" " + choice) for choice in item.choices]
    check_room(choices, model.config.block_size)
    nats = choice_losses(model, context, choices)
    lengths = list(map(LENGTHS[per], item.choices, choices))
    pick = _cheapest(nats)
    pick_norm = _cheapest([n / m for n, m in zip(nats, lengths, strict=True)])
    acc, acc_norm = int(pick == item.label), int(pick_norm == item.label)
    return ChoiceResult(acc, acc_norm, pick, pick_norm, tuple(nats), tuple(lengths))


def _cheapest(costs):
    """Return the number of the smallest; of equals the first."""
    if any(math.isnan(cost) for cost in costs):
        raise ValueError(f"the model answers with nan: the choices cost {costs}")
    return costs.index(min(costs))


def hellaswag(
    model: GPT,
    tokenizer: CharTokenizer | BPETokenizer,
    items: Iterable[Item],
    *,
    per: str = "byte",
) -> dict[str, float]:
    """Return the share of items solved, by both rules, and its standard error.

    >>> coin = GPT(GPTConfig(block_size=4, vocab_size=2, n_layer=1, n_embd=12))
    >>> items = [Item("a", ("a", "aa"), 0), Item("a", ("aa", "a"), 0)]
    >>> found = hellaswag(coin, CharTokenizer("a "), items)
    >>> found["n"], found["acc"]
    (2, 0.5)
    """
    verdicts = [multiple_choice(model, tokenizer, item, per=per) for item in items]
    if not verdicts:
        raise ValueError("there must be at least one item")
    n, found = len(verdicts), {"n": len(verdicts)}
    for name in ("acc", "acc_norm"):
        share = sum(getattr(verdict, name) for verdict in verdicts) / n
        found |= {name: share, f"{name}_stderr": math.sqrt(share * (1 - share) / n)}
    return found
