"""runs.machines: three machines without a common disk go on from the newest checkpoint of any."""

import json
import warnings

import pytest
import torch

from gpt2_tutorial import checkpoint
from gpt2_tutorial.distributed import setup
from gpt2_tutorial.runs import machines
from gpt2_tutorial.runs.together import FailedElsewhere
from team import team


def work(home):
    """What each machine does: look for the newest checkpoint of all, and say what came."""
    warnings.simplefilter("ignore")  # about the damaged one
    machines.CHUNK = 1000  # several pieces for a file
    ranks = setup("cpu", timeout_s=60)._replace(local_rank=0)  # each on a machine of its own
    try:
        newest = machines.share_newest(ranks, home / f"disk{ranks.rank}")
        said = f"shared {newest.step if newest else -1}"
    except (FailedElsewhere, OSError) as error:
        said = type(error).__name__
    (home / f"said{ranks.rank}").write_text(said)


def shared(home):
    assert team(3, work, home) == [0, 0, 0]
    return [(home / f"said{rank}").read_text() for rank in range(3)]


def saved(folder, step):
    state = {"model": {"w": torch.full((40, 40), float(step))}, "run": {"step": step, "of": "ß"}}
    return checkpoint.save(folder, step, state, keep=9)


@pytest.mark.slow
def test_the_newest_whole_checkpoint_reaches_every_disk(tmp_path):
    disks = [tmp_path / f"disk{rank}" for rank in range(3)]
    saved(disks[0], 10)
    saved(disks[1], 10), saved(disks[1], 20)  # machine 1 was rank 0 before the restart
    torn = saved(disks[2], 20)
    (torn / "model.safetensors").write_bytes(b"torn")
    assert shared(tmp_path) == ["shared 20"] * 3
    for disk in disks:
        newest = checkpoint.latest(disk)
        assert newest.step == 20 and not list(disk.glob(".*"))
        assert checkpoint.load(newest)["run"] == {"step": 20, "of": "ß"}
    assert shared(tmp_path) == ["shared 20"] * 3  # nothing is left to do


@pytest.mark.soak
def test_a_machine_that_cannot_write_ends_all_of_them_with_what_they_had(tmp_path):
    saved(tmp_path / "disk0", 10)
    saved(tmp_path / "disk1", 20)
    (tmp_path / "disk2").write_text("this is no folder")
    said = shared(tmp_path)
    assert said[:2] == ["FailedElsewhere"] * 2 and said[2] in (
        "FileExistsError",
        "NotADirectoryError",
    )
    assert checkpoint.latest(tmp_path / "disk1").step == 20
    assert json.loads((tmp_path / "disk1" / "step_00000020" / "manifest.json").read_text())
