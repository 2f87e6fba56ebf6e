"""While the tests of the GPU day run: compile what later parts will need, so that they find it.

A compiled step takes most of a minute of one core and little of the GPU; several at once cost no
more. The kernels lie in a folder that all parts share (TORCHINDUCTOR_CACHE_DIR). The script's part
has a folder of its own, so that its first step is as slow as anybody's. Nothing here is measured,
and what fails here fails, or works, again where it is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from gpu_job import Job

LADDER = (3, 4, 5, 7, 8)  # rungs that compile something that the rung before did not
TASKS = {  # in the order of their value, with the GB that each takes for a moment, about
    "step:whole": 32,
    "step:ours": 14,
    "ladder:8": 30,
    "generate:theirs": 3,
    "ladder:7": 12,
    "ladder:5": 16,
    "ladder:4": 16,
    "ladder:3": 20,
}
SHARE = 0.8  # of the GPU's memory for all of them; the tests need little


def measure(job: Job) -> None:
    """Start a process for each thing to compile, in this process's group, as memory allows."""
    import torch

    room = SHARE * torch.cuda.get_device_properties(0).total_memory / 1e9
    env = os.environ | {"TORCHINDUCTOR_COMPILE_THREADS": "4"}
    waiting, running = list(TASKS), {}
    while waiting or running:
        for task in [task for task, process in running.items() if process.poll() is not None]:
            print(task, running.pop(task).returncode, f"{job.left():.0f} s left", flush=True)
        taken = sum(TASKS[task] for task in running)
        if waiting and (not running or taken + TASKS[waiting[0]] <= room):
            task = waiting.pop(0)
            words = [sys.executable, __file__, task, job.device]
            running[task] = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL)
        else:
            time.sleep(0.2)


def compile_one(task: str, kind: str) -> None:
    """Take one step of the very kind that a later part will take."""
    os.nice(10)  # the tests run at the same time, and come first
    import torch

    part, _, which = task.partition(":")
    device = torch.device(kind)
    if part == "generate":
        import gpu_generate

        job = Job(part, Path(), Path(), kind, False, time.monotonic() + 60)
        config, new = gpu_generate.GPTConfig(), gpu_generate.NEW
        _, theirs, prompt = gpu_generate.models(job, config, new)
        gpu_generate.their_writer(theirs, prompt, new, static=True)()
        return
    if part == "step":
        import gpu_step

        torch.set_float32_matmul_precision("high")
        preset, model = gpu_step.FULL, gpu_step.fresh_model(gpu_step.FULL, device)
        if which == "ours":
            step = gpu_step.our_step(model, preset, True)
        else:
            step = gpu_step.their_step(model, preset, which)
        size, vocabulary = (preset.batch_size, preset.block_size), gpu_step.VOCABULARY
    else:
        import gpu_ladder

        rung, shape = gpu_ladder.ladder(64)[int(which)], gpu_ladder.SHAPE
        step = gpu_ladder.step_of(rung, shape, device)
        size, vocabulary = (rung.micro_batch, shape["block"]), shape["vocab"]
    x, y = torch.randint(vocabulary, (2, *size), device=device)
    for _ in range(5):
        try:
            step(x, y).item()
            return
        except torch.OutOfMemoryError:  # the others are at work on the same GPU
            time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("device")
    args = parser.parse_args()
    compile_one(args.task, args.device)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
