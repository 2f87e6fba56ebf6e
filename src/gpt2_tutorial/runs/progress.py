"""What a log is asked most: how much of the machine is used, how long still, for how much."""

import statistics
import time
from collections import deque
from typing import Any

import torch

from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.distributed import Ranks
from gpt2_tutorial.runs.hardware import MACHINES, peak_of
from gpt2_tutorial.runs.output import say


class Progress:
    """Adds to each row of a log what is known of speed, memory, time and money.

    `mfu` and `memory_gb` (the most that was in use so far) on a GPU, `hours_left`, `dollars_left`.

    >>> from gpt2_tutorial.config import PRESETS
    >>> from gpt2_tutorial.distributed import ALONE
    >>> told = Progress(PRESETS["cpu"], "cpu", ALONE, clock=iter([0.0, 36.0]).__next__)
    >>> _ = told({"step": 10, "loss": 4.2})
    >>> told({"step": 11, "loss": 4.1})["hours_left"]
    9.89
    """

    def __init__(
        self,
        config: TrainConfig,
        preset: str,
        ranks: Ranks,
        dollars: float | None = None,
        clock=time.monotonic,
    ):
        self.config, self.clock, self.last = config, clock, None
        self.dollars = MACHINES[preset].dollars if dollars is None else dollars
        self.paces: deque[float] = deque(maxlen=config.eval_every)
        peak = None
        if ranks.device.type == "cuda":
            peak = peak_of(torch.cuda.get_device_name(ranks.device))
        self.peak = peak and peak * ranks.world_size
        self.device = ranks.device

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row with what can be said about the rest of the run."""
        if "loss" not in row:
            told = "precision" in row and self.config.recipe != "gpt2"  # once, at the start
            return row | {"recipe": self.config.recipe} if told else row
        row, before, self.last = dict(row), self.last, self.clock()
        if self.peak and "flops_per_s" in row:
            row["mfu"] = row["flops_per_s"] / self.peak
        if self.device.type == "cuda":
            row["memory_gb"] = torch.cuda.max_memory_allocated(self.device) / 1e9
        if before is not None:  # the first step of a start also compiles
            self.paces.append(self.last - before)
            # A mean, unlike a median, also counts evaluations and saves.
            hours = statistics.fmean(self.paces) * (self.config.max_steps - row["step"]) / 3600
            row["hours_left"] = hours
            if self.dollars:
                row["dollars_left"] = hours * self.dollars
        return row


def tell(row: dict[str, Any]) -> None:
    """Print a row for whoever watches; a terminal that is gone ends no run.

    >>> tell({"step": 1, "loss": 4.25})
    step      1 · loss 4.2500
    """
    say(line(row))


def line(row: dict[str, Any]) -> str:
    """Say a row in one line.

    >>> line({"step": 250, "val": 3.9878, "sample": "a\\nb"})
    "step    250 · val 3.9878 · writes 'a\\\\nb'"
    """
    shown = [f"step {row['step']:>6}"]
    shown += [form(row[name]) for name, form in FORMS.items() if row.get(name) is not None]
    return " · ".join(shown)


def left(hours: float) -> str:
    """Say how long that is.

    >>> left(0.05), left(30.26)
    ('3.0 min left', '30.3 h left')
    """
    return f"{hours:.1f} h left" if hours >= 1 else f"{60 * hours:.1f} min left"


FORMS = {
    "recipe": "recipe {}".format,
    "precision": "computes in {}".format,
    "because": str,
    "loss": "loss {:.4f}".format,
    "val": "val {:.4f}".format,
    "norm": "norm {:.2f}".format,
    "lr": "lr {:.2e}".format,
    "tokens_per_s": "{:,.0f} tokens/s".format,
    "mfu": "{:.1%} of the peak".format,
    "memory_gb": "{:.1f} GB".format,
    "hours_left": left,
    "dollars_left": "{:.2f} dollars left".format,
    "hellaswag": "HellaSwag {:.1%}".format,
    "apart": "apart {:.2g}".format,
    "sample": "writes {!r}".format,  # as Python would write it: a model may print anything
}
