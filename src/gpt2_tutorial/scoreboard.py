"""The scoreboard: every model of the book, one unit, one rule."""

import html
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from gpt2_tutorial import ledger, text

WINDOWS_AT_ONCE = 256
COLUMNS = {  # heading → (key, how to print it)
    "model": ("name", "{}"),
    "context": ("context", "{:,}"),
    "parameters or cells": ("parameters", "{:,}"),
    "characters read": ("seen", "{:,}"),
    "CPU-seconds": ("cpu_seconds", "{:,.1f}"),
    "train": ("train", "{:.3f}"),
    "val": ("val", "{:.3f}"),
    "perplexity": ("perplexity", "{:.2f}"),
}


def score(model: Callable, inputs: torch.Tensor, targets: torch.Tensor, window: int) -> float:
    """Return the mean nats that `model` pays for `targets`, each scored once.

    `model` turns ids (B, T) into logits or log probabilities (B, T, V), alone or first in a tuple.
    Windows move by half their length and only what the window before has not scored counts, so
    every target but the first few is bet on from at least half a window.

    >>> coin = lambda x: torch.zeros(*x.shape, 2)
    >>> round(score(coin, torch.zeros(9).long(), torch.zeros(9).long(), window=4), 4)
    0.6931
    """
    if window < 1 or len(inputs) == 0:
        raise ValueError(f"window {window} over {len(inputs)} ids: both must be at least 1")
    window = min(window, len(inputs))
    starts = torch.arange(0, len(inputs) - window + 1, max(window // 2, 1))
    if starts[-1] + window < len(inputs):
        starts = torch.cat([starts, torch.tensor([len(inputs) - window])])
    scored_to = torch.cat([torch.tensor([0]), starts[:-1] + window])
    total = 0.0
    for start, done in zip(
        starts.split(WINDOWS_AT_ONCE), scored_to.split(WINDOWS_AT_ONCE), strict=True
    ):
        where = start[:, None] + torch.arange(window)  # (B, T)
        paid = _nats(model, inputs[where], targets[where])
        total += paid[where >= done[:, None]].sum(dtype=torch.float64).item()
    return total / len(inputs)


@torch.no_grad()
def _nats(model: Callable, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    out = model(x)
    logits = out[0] if isinstance(out, tuple) else out  # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape)


class Scoreboard:
    """The table of all models so far: the rows of earlier chapters, and those added here.

    >>> board = Scoreboard("00")
    >>> row = board.add("uniform guess", lambda x: torch.zeros(*x.shape, 65), context=0)
    >>> round(row["val"], 3)
    4.174
    """

    def __init__(self, chapter: str):
        shakespeare = text.load_shakespeare()
        ids = torch.tensor(text.CharTokenizer(shakespeare).encode(shakespeare))
        self.chapter, self.first = chapter, len(text.split(ids)[0])
        self.ids = ids
        self.rows = []
        for number in range(int(chapter)):
            self.rows += ledger.committed(f"{number:02d}")["scoreboard"]

    def score(self, model: Callable, context: int) -> float:
        """Return nats per character on the whole validation slice, by the one rule."""
        # The character before the slice is the first input, so that all 111,540 are scored.
        inputs, targets = self.ids[self.first - 1 : -1], self.ids[self.first :]
        training = getattr(model, "training", False)
        if training:
            model.eval()
        try:
            return score(model, inputs, targets, context)
        finally:
            if training:
                model.train()

    def add(
        self,
        name: str,
        model: Callable,
        *,
        context: int,
        window: int | None = None,
        parameters: int = 0,
        seen: int = 0,
        cpu_seconds: float = 0.0,
        train: float | None = None,
        tol: float = 0.001,
    ) -> dict:
        """Score `model` and put its row on the board.

        Its windows are as long as its context. A count table, which forgets everything older, may
        be given longer ones: the score stays and the work shrinks.
        """
        val = self.score(model, window or max(context, 1))
        row = dict(chapter=self.chapter, name=name, context=context, parameters=parameters)
        row |= dict(seen=seen, cpu_seconds=round(cpu_seconds, 1), train=train, val=val, tol=tol)
        self.rows = [r for r in self.rows if r["name"] != name] + [ledger.record_row(row)]
        return row

    def near(self) -> list[dict]:
        """Return the chapter's rows, what stands beside each, and the best, best first.

        >>> board = Scoreboard("05")
        >>> [row["name"] for row in board.near()]
        ['Kneser–Ney, 5 characters']
        """
        ranked = sorted(self.rows, key=lambda row: row["val"])
        new = [i for i, row in enumerate(ranked) if row["chapter"] == self.chapter]
        return [ranked[i] for i in range(len(ranked)) if not i or {i - 1, i, i + 1} & {*new}]

    def _repr_html_(self) -> str:
        near = self.near()
        if len(near) + 1 >= len(self.rows):
            return as_table(self.rows)
        fold = f"<details><summary>All {len(self.rows)} models so far</summary>"
        return f"{as_table(near)}{fold}{as_table(self.rows)}</details>"


def as_table(rows: list[dict]) -> str:
    """Return the rows as a table in HTML."""
    head = "".join(f"<th{_extra(c)}>{c}</th>" for c in COLUMNS)
    body = "".join(f"<tr>{cells_of(row)}</tr>" for row in rows)
    caption = "<caption>Nats per character; lower is better.</caption>"
    return (
        f'<table class="scoreboard">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _extra(column: str) -> str:
    """Mark the columns that a phone leaves out."""
    return ' class="extra"' if column in ("characters read", "CPU-seconds", "train") else ""


def cells_of(row: dict) -> str:
    """Return the cells of a row in HTML."""
    row = row | {"perplexity": math.exp(row["val"])}
    cells = []
    for column, (key, form) in COLUMNS.items():
        said = "–" if row[key] is None else html.escape(form.format(row[key]))
        cells.append(f"<td{_extra(column)}>{said}</td>")
    return "".join(cells)
