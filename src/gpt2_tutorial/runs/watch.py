"""What a run looks at beside its loss: a few lines that the model writes, and HellaSwag."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_tutorial.bpe import BPETokenizer
from gpt2_tutorial.distributed import Ranks, mean_over_ranks
from gpt2_tutorial.evaluate import Item, multiple_choice
from gpt2_tutorial.exam_files import load_hellaswag
from gpt2_tutorial.generate import stream
from gpt2_tutorial.generate_input import can_cache
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.precision import autocast
from gpt2_tutorial.run import Run
from gpt2_tutorial.runs.fsdp import whole
from gpt2_tutorial.runs.models import items_in, read_utf8
from gpt2_tutorial.runs.tokenizers import start_of
from gpt2_tutorial.text import CharTokenizer

WRITTEN = 40  # tokens of a sample
# The run insists on flash attention, which knows no mask for one token at a time.
ANY_KERNEL = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class Watch:
    """What `train.fit` calls at every evaluation, on all ranks together.

    >>> Watch(CharTokenizer("ab\\n"), Ranks(0, 0, 1, torch.device("cpu"))).items
    []
    """

    def __init__(
        self,
        tokenizer: CharTokenizer | BPETokenizer,
        ranks: Ranks,
        items: Sequence[Item] = (),
    ):
        self.tokenizer, self.ranks, self.items = tokenizer, ranks, list(items)

    def __call__(self, run: Run, poll: Callable[[], None]) -> dict[str, Any]:
        """Return what belongs in the log; `poll` may end it at any token and item."""
        model = whole(run.model)
        with sdpa_kernel(ANY_KERNEL):
            seen = {"sample": self.sample(model, run.step, poll)}
            with autocast(self.ranks.device, run.precision.dtype):
                return seen | self.judged(model, poll)

    def sample(self, model: GPT, step: int, poll: Callable[[], None]) -> str:
        """Let the model write; every rank writes the same, so that all poll alike."""
        device = self.ranks.device
        start = torch.tensor([start_of(self.tokenizer)], device=device)
        rng = torch.Generator(device).manual_seed(step)
        ids = []
        known = self.tokenizer.vocab_size  # a padded table has more rows
        knobs = {"temperature": 0.8, "generator": rng, "known": known}
        knobs |= {"cache": can_cache(model)}
        for new in stream(model, start, WRITTEN, **knobs):
            poll()
            ids.append(new.item())
        return self.tokenizer.decode(ids)

    def judged(self, model: GPT, poll: Callable[[], None]) -> dict[str, float]:
        """Return the share of items solved (by the byte); each rank takes its part of them."""
        if not self.items:
            return {}
        solved = torch.zeros(2, dtype=torch.float64)
        rank, ranks = self.ranks.rank, self.ranks.world_size
        for first in range(0, len(self.items), ranks):
            poll()
            if first + rank >= len(self.items):
                continue  # the last round has no item for this rank, and still polls
            item = self.items[first + rank]
            solved += torch.tensor([multiple_choice(model, self.tokenizer, item).acc_norm, 1])
        right, count = mean_over_ranks(solved).tolist()
        return {"hellaswag": right / count, "hellaswag_items": len(self.items)}


def items_of(name: str | None) -> list[Item]:
    """Read the items of a file, or download HellaSwag for the name `val`.

    >>> items_of(None)
    []
    """
    if name is None:
        return []
    if name == "val":
        return load_hellaswag()
    if not Path(name).is_file():
        raise ValueError(f"--hellaswag {name} is no file: name a file of items, or val")
    return items_in(read_utf8(Path(name).read_bytes(), name), name)
