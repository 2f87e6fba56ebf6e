"""Text in, numbers out: characters as ids, and batches of them (chapter 00)."""

from collections.abc import Iterable

import torch

from gpt2_tutorial import assets


def load_shakespeare() -> str:
    """Return tiny Shakespeare: 1,115,394 characters of his plays.

    >>> load_shakespeare()[:14]
    'First Citizen:'
    """
    return assets.read_text("tinyshakespeare.txt")


class CharTokenizer:
    """Give every distinct character of `text` a number, in sorted order.

    >>> CharTokenizer("abab ac").encode("cab")
    [3, 1, 2]
    """

    def __init__(self, text: str):
        self.characters = sorted(set(text))
        self.id_of = {character: i for i, character in enumerate(self.characters)}
        self.vocab_size = len(self.characters)

    def encode(self, text: str) -> list[int]:
        unknown = sorted(set(text) - set(self.id_of))
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is not among this tokenizer's characters"
            )
        return [self.id_of[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        ids = [int(i) for i in ids]
        wrong = [i for i in ids if not 0 <= i < self.vocab_size]
        if wrong:
            raise ValueError(
                f"id {wrong[0]} is not between 0 and {self.vocab_size - 1}"
            )
        return "".join(self.characters[i] for i in ids)


def split(
    ids: torch.Tensor, fraction: float = 0.9
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut `ids` once, in reading order: to learn from, and to be judged on.

    >>> split(torch.arange(10))
    (tensor([0, 1, 2, 3, 4, 5, 6, 7, 8]), tensor([9]))
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
    cut = int(fraction * len(ids))
    return ids[:cut], ids[cut:]


def get_batch(
    ids: torch.Tensor,
    batch_size: int,
    block_size: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut random windows out of `ids`: x, and y = x moved on by one, both (B, T).

    >>> x, y = get_batch(torch.arange(5), batch_size=1, block_size=4)
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2, 3]], [[1, 2, 3, 4]])
    """
    if len(ids) <= block_size:
        raise ValueError(f"{len(ids)} ids are too few for x and y of {block_size}")
    starts = torch.randint(
        len(ids) - block_size, (batch_size, 1), generator=generator
    )  # (B, 1)
    windows = ids[starts + torch.arange(block_size + 1)]  # (B, T + 1)
    return windows[:, :-1], windows[:, 1:]
