"""Training that is one run: on one GPU or many, killed or not (chapter 17)."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_tutorial import checkpoint
from gpt2_tutorial.checkpoint import Checkpoint
from gpt2_tutorial.config import PRESETS, TrainConfig  # noqa: F401  readers want them here
from gpt2_tutorial.distributed import ALONE, Ranks, any_rank, mean_over_ranks
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.precision import Precision, autocast
from gpt2_tutorial.run import Loader, Run, to_device
from gpt2_tutorial.step import NonFiniteError, flops_per_token


class StopRequested(Exception):
    """Somebody asked for an end; all processes have agreed on this very moment."""


class RunResult(NamedTuple):
    """How a run ended: "done", "stopped" or "failed", at which step, and why.

    >>> RunResult("done", 19_073, 3.29, "all steps are done").state
    'done'
    """

    state: str
    step: int
    val: float
    reason: str


def fast_kernels(
    device: torch.device, precision: Precision
) -> AbstractContextManager:
    """Insist on flash attention where the GPU has it: another one raises.

    >>> from gpt2_tutorial.precision import choose_precision
    >>> with fast_kernels(torch.device("cpu"), choose_precision("cpu", "fp32")):
    ...     pass
    """
    if device.type != "cuda" or precision.dtype == torch.float32:
        return nullcontext()
    if torch.cuda.get_device_capability(device) >= (8, 0):
        return sdpa_kernel(SDPBackend.FLASH_ATTENTION)
    if precision.dtype == torch.bfloat16:
        return nullcontext()  # begun on a newer GPU: slow here, but it goes on
    return sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION)  # a T4 has no flash


@torch.no_grad()
def evaluate(run: Run, val_loader: Loader, poll: Callable[[], None]) -> float:
    """The mean loss on the same validation batches every time, shared by ranks."""
    start, total = val_loader.state_dict(), 0.0
    run.model.eval()
    try:
        for _ in range(run.config.eval_batches):
            poll()
            batch = val_loader.next_batch()
            x, y = (to_device(part, run.ranks.device) for part in batch)
            with autocast(run.ranks.device, run.precision.dtype):
                total += run.loss(x, y).item()
    finally:
        run.model.train()
        val_loader.load_state_dict(start)
    mean = torch.tensor(total / run.config.eval_batches, dtype=torch.float64)
    return mean_over_ranks(mean).item()


def fit(
    model: GPT,
    loader: Loader,
    config: TrainConfig,
    *,
    folder: str | Path,
    ranks: Ranks = ALONE,
    val_loader: Loader | None = None,
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    asked_to_stop: Callable[[], bool] = lambda: False,
    extra_metrics: Callable[[Run, Callable], dict[str, Any]] = lambda run, poll: {},
    run_class: type[Run] = Run,
    find: Callable[[Path], Checkpoint | None] = checkpoint.latest,
) -> RunResult:
    """Train until all steps are done or one asks for an end; go on if begun."""

    def poll() -> None:
        if any_rank(asked_to_stop()):
            raise StopRequested

    folder, run = Path(folder), run_class(model, loader, config, ranks)
    if (newest := find(folder)) is not None:
        run.resume(newest)
    if run.step < config.max_steps:
        name, _, _, because = run.precision
        log({"step": run.step, "precision": name, "because": because})
    run.model.train()
    try:
        with fast_kernels(ranks.device, run.precision):
            training_loop(run, folder, val_loader, log, poll, extra_metrics)
    except StopRequested:
        run.rewind()
        run.save(folder)
        return RunResult(
            "stopped", run.step, run.val, "asked to stop; the same command goes on"
        )
    except NonFiniteError as error:
        return RunResult("failed", run.step, run.val, f"at step {run.step} {error}")
    return RunResult("done", run.step, run.val, "all steps are done")


def training_loop(
    run: Run, folder: Path, val_loader, log, poll, extra_metrics
) -> None:
    """The loop itself: evaluate, save, step, tell."""
    config = run.config
    while True:
        last = run.step == config.max_steps
        if val_loader and (last or run.step % config.eval_every == 0):
            evaluate_and_keep_best(
                run, folder, val_loader, log, poll, extra_metrics
            )
        if last or run.step % config.save_every == 0:
            run.save(folder)
        if last:
            return
        began = time.perf_counter()
        loss, norm, lr = run.take_step(poll)
        seconds = max(time.perf_counter() - began, 1e-9)  # a clock may be set back
        speed = config.batch_tokens / seconds
        row = {"step": run.step, "loss": loss, "norm": norm, "lr": lr}
        row |= {"tokens": run.step * config.batch_tokens, "seconds": seconds}
        row |= {"tokens_per_s": speed}
        log(row | {"flops_per_s": speed * flops_per_token(config.gpt())})


def evaluate_and_keep_best(
    run: Run, folder: Path, val_loader, log, poll, extra_metrics
) -> None:
    """Stop for a moment: validation loss, samples, and the best weights kept."""
    if run.looked_at == run.step:
        return  # the run was stopped after this evaluation
    val = evaluate(run, val_loader, poll)
    row = {"step": run.step, "val": val, **extra_metrics(run, poll)}
    row["apart"] = run.max_rank_divergence()
    run.val, run.looked_at = val, run.step
    log(row)
    if val < run.best:
        run.best, run.best_step = val, run.step
        run.save(folder)
