"""The ladder of equivalence: each faster way gives the same numbers as the one before it."""

import html
from collections.abc import Callable, Sequence

import torch

from gpt2_tutorial import ledger

TOLERANCES = {  # what rounding may cost, for numbers of ordinary size
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 1e-2,
    torch.bfloat16: 5e-2,
}
SAME_RUNG = ("name", "against", "dtype")  # a row replaces an older one that has all three


def gaps(
    new: Callable, old: Callable, inputs: Sequence[torch.Tensor]
) -> tuple[float, float | None, torch.dtype]:
    """Return the largest difference of outputs, that of gradients, and the outputs' dtype.

    The gradients are those of one fixed random mixture of the outputs, so that no error can cancel.
    Without floating-point inputs there are none, and the second answer is None.

    >>> gaps(lambda x: x + x, lambda x: 2 * x, [torch.ones(3)])
    (0.0, 0.0, torch.float32)
    """
    if not inputs:
        raise ValueError("inputs is empty: give the tensors that both functions are to be tried on")
    (a, a_grads), (b, b_grads) = _run(new, inputs), _run(old, inputs)
    if a.shape != b.shape or a.dtype != b.dtype:
        said = [f"{tuple(out.shape)} {out.dtype}" for out in (a, b)]
        raise ValueError(f"the two outputs differ in kind already: {said[0]} against {said[1]}")
    pairs = zip(a_grads, b_grads, strict=True)
    between = [_largest(one, other) for one, other in pairs]
    return _largest(a, b), max(between, key=_nan_first, default=None), a.dtype


class Ladder:
    """All rungs so far: the rows of earlier chapters, and those added here.

    >>> x = torch.tensor([1.0, 2.0, 3.0])
    >>> ladder = Ladder("00")
    >>> row = ladder.add("cumsum", lambda x: x.cumsum(0), "triangle",
    ...                  lambda x: torch.ones(3, 3).tril() @ x, inputs=[x])
    >>> row["values"], row["gradients"], row["dtype"]
    (0.0, 0.0, 'float32')
    """

    def __init__(self, chapter: str):
        self.chapter = chapter
        self.rows = []
        for number in range(int(chapter)):
            self.rows += ledger.committed(f"{number:02d}").get("ladder", [])

    def add(
        self,
        name: str,
        new: Callable,
        against: str,
        old: Callable,
        *,
        inputs: Sequence[torch.Tensor],
        tol: float | None = None,
    ) -> dict:
        """Measure how far `new` is from `old`, refuse the row above `tol`, and keep it below.

        `new` and `old` take copies of `inputs` and return a tensor, alone or first in a tuple.
        """
        values, gradients, dtype = gaps(new, old, inputs)
        tol = TOLERANCES.get(dtype, 0.0) if tol is None else tol
        for what, gap in (("values", values), ("gradients", gradients)):
            if gap is not None and not gap <= tol:  # nan is refused as well
                raise ValueError(
                    f"{name!r} is no rung: its {what} are {gap:.0e} away from those of "
                    f"{against!r}, and {tol:.0e} is allowed"
                )
        row = dict(chapter=self.chapter, name=name, against=against)
        row |= dict(values=_short(values), gradients=_short(gradients))
        row |= dict(dtype=str(dtype).removeprefix("torch."), tol=tol)
        ledger.record_row(row, table="ladder", key=SAME_RUNG)
        others = [old for old in self.rows if any(old[k] != row[k] for k in SAME_RUNG)]
        self.rows = [*others, row]
        return row

    def _repr_html_(self) -> str:
        new = [row for row in self.rows if row["chapter"] == self.chapter]
        if len(new) == len(self.rows):
            return _table(self.rows)
        fold = f"<details><summary>All {len(self.rows)} rungs so far</summary>"
        return f"{_table(new)}{fold}{_table(self.rows)}</details>"


def _table(rows: list[dict]) -> str:
    columns = ("this", "equals this", "values", "gradients", "in")
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    caption = "<caption>Two ways to compute the same: their largest difference.</caption>"
    return (
        f'<table class="ladder">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _run(
    function: Callable, inputs: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Call `function` on copies and return its output and the gradients of all float inputs."""
    copies = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    out = function(*copies)
    out = out[0] if isinstance(out, tuple) else out
    floats = [x for x in copies if x.requires_grad]
    if not floats:
        return out.detach(), ()
    if not out.requires_grad:
        raise ValueError(
            "no gradient comes through: build the output from the input tensors themselves"
        )
    generator = torch.Generator().manual_seed(0)
    mixture = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out)
    gradients = torch.autograd.grad(out, floats, mixture, materialize_grads=True)
    return out.detach(), gradients


def _largest(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item() if a.numel() else 0.0


def _nan_first(gap: float) -> tuple[bool, float]:
    return gap != gap, gap


def _short(gap: float | None) -> float | None:
    """Keep one digit: the rest is noise of the machine."""
    return None if gap is None else float(f"{gap:.0e}")


def _cells(row: dict) -> str:
    words = [html.escape(row["name"]), html.escape(row["against"])]
    words += [_power(row["values"]), _power(row["gradients"]), row["dtype"]]
    return "".join(f"<td>{word}</td>" for word in words)


def _power(gap: float | None) -> str:
    if not gap:
        return "–" if gap is None else "0"
    digit, power = f"{gap:.0e}".split("e")
    return f"{digit} · 10<sup>{int(power)}</sup>".replace("-", "−")
