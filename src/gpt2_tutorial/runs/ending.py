"""How a run ends: each error that can be explained, as a code and a sentence, said once."""

import errno
import os
import re
import sys
import time
from dataclasses import fields
from typing import NamedTuple

import torch
import torch.distributed as dist

from gpt2_tutorial.assets import AssetError
from gpt2_tutorial.checkpoint import CheckpointError
from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.distributed import Ranks
from gpt2_tutorial.runs import output, run_folder
from gpt2_tutorial.runs.run_folder import RunFolder
from gpt2_tutorial.runs.sentence import sentence
from gpt2_tutorial.runs.together import FailedElsewhere
from gpt2_tutorial.shard_format import ShardError
from gpt2_tutorial.step import NonFiniteError
from gpt2_tutorial.train import RunResult

# What went wrong → what a launcher is told: try again, or do not (launch/run.sh).
CODES: dict[type[Exception], int] = {
    FailedElsewhere: run_folder.LOST,
    ShardError: run_folder.BAD_DATA,
    AssetError: run_folder.BAD_DATA,
    CheckpointError: run_folder.NO_DISK,
    run_folder.FolderError: run_folder.NO_DISK,
    NonFiniteError: run_folder.NON_FINITE,
    torch.OutOfMemoryError: run_folder.BAD_CONFIG,
    ValueError: run_folder.BAD_CONFIG,
    ImportError: run_folder.BAD_CONFIG,  # a tracker that is not installed, for one
    OSError: run_folder.NO_DISK,
}
OF_STATE = {
    "done": run_folder.DONE,
    "stopped": run_folder.STOPPED,
    "failed": run_folder.NON_FINITE,
}
DISK = (*run_folder.FULL, errno.EROFS, errno.EIO)
# A setting in a sentence, and not in the name of a file: it is told as it is typed.
NAMES = "|".join(field.name for field in fields(TrainConfig) if "_" in field.name)
SETTING = re.compile(rf"(?<![\w/.-])(?:{NAMES})(?![\w/-])")
GONE = "another process of this run has ended: see what it said, if it could"
NO_MEMORY = "there is too little memory here: lower --micro-batch, or else the model's own sizes"
# PyTorch hands the paths of its own files to the compiler without quotes.
NO_COMPILER = (
    "torch.compile fails here ({}): it needs a C++ compiler, and PyTorch in a folder whose path "
    "has no space; or take --no-compile"
)


class Ending(NamedTuple):
    """What a launcher is told, what a person is told, and after how many steps."""

    code: int
    reason: str
    step: int = -1
    together: bool = False  # all processes ended here, or this one alone


def of_result(result: RunResult) -> Ending:
    """Return the ending of a run that all processes have left together.

    >>> of_result(RunResult("stopped", 7, 4.2, "asked to stop")).code
    75
    """
    return Ending(OF_STATE[result.state], result.reason, result.step, together=True)


def of_error(error: Exception) -> Ending:
    """Return the ending that an error means; one that nobody foresaw is raised again.

    >>> of_error(ValueError("micro_batch must be at least 1, not 0"))[:2]
    (78, '--micro-batch must be at least 1, not 0')
    """
    cause = error.__context__  # a system's word that our modules put better
    if isinstance(cause, OSError) and (isinstance(error, ValueError) or cause.errno in DISK):
        return Ending(run_folder.NO_DISK, _sentence(error))
    for kind, code in CODES.items():
        if isinstance(error, kind):
            return Ending(code, _sentence(error))
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # torch's word
        return Ending(run_folder.BAD_CONFIG, NO_MEMORY)
    if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
        return Ending(run_folder.BAD_CONFIG, NO_COMPILER.format(str(error).split("\n")[0]))
    if isinstance(error, dist.DistError) or "gloo" in str(error):  # gloo's has no name of its own
        return Ending(run_folder.LOST, GONE)
    raise error


def say(ending: Ending, ranks: Ranks, folder: RunFolder | None) -> None:
    """Tell it once, by whoever knows why: rank 0, or the rank that failed alone.

    `folder` is None as long as it is not this run's: rank 0 must have called `begin()`.
    """
    if not ranks.is_first:
        if folder is None or ending.together or ending.code == run_folder.LOST:
            return
        time.sleep(1)  # what is wrong for all has been said by rank 0 by now
        if "code" in folder.status():
            return
    who = "" if ranks.is_first else f" (process {ranks.rank})"
    if folder and ending.code != run_folder.LOST:  # whoever is gone may have said more
        by_torchrun = "RANK" in os.environ  # it loses exit codes: launchers read the file
        if by_torchrun or not folder.take_back():
            folder.end(ending.code, ending.reason + who, ending.step)
    output.say(f"{run_folder.WORDS[ending.code]}{who}: {ending.reason}", sys.stderr)


def _sentence(error):
    if isinstance(error, torch.OutOfMemoryError):
        first = str(error).split(". ")[0].rstrip(".")
        return f"{first}: lower --micro-batch, which changes nothing but the memory that is needed"
    return SETTING.sub(lambda name: "--" + name[0].replace("_", "-"), sentence(error))
