"""launch/run.sh and `gpt2 train` as people start them: stopped, killed, crashed, and gone on."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from gpt2_tutorial.commands import train
from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.launch import train_gpt2
from gpt2_tutorial.runs.run_folder import DONE, STOPPED, RunFolder
from in_process import command

ROOT = Path(__file__).resolve().parents[2]
RUN_SH, SCRIPT = ROOT / "launch" / "run.sh", ROOT / "launch" / "train_gpt2.py"
WORDS = "--preset cpu --device cpu --n-layer 1 --n-embd 16 --n-head 2 --block-size 16"
WORDS += " --micro-batch 8 --batch-tokens 256 --warmup-steps 2 --eval-batches 1"
SMALL = WORDS.split()
LONG = ["--max-steps", "600", "--eval-every", "300", "--save-every", "25"]
BIN = Path(sys.executable).parent
ENV = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{BIN}:{os.environ['PATH']}", "PAUSE": "0"}
ENV |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="bash and signals of Unix")


def started(*words, **env):
    return subprocess.Popen(
        [str(word) for word in words],
        env=ENV | {name: str(value) for name, value in env.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process, timeout=240):
    try:
        said, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, said


def launched(folder, *words, **env):
    return started("bash", RUN_SH, "--out", folder, *words, **env)


def wait_for(find, process, seconds=120):
    end = time.monotonic() + seconds
    while not (found := find()):
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.02)
    return found


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").glob("step_*"))


def losses(folder):
    return [row["step"] for row in RunFolder(folder).rows() if "loss" in row]


@pytest.fixture
def gpt2(capsys):
    return command(capsys)


# --- two processes, from the first step to a model that writes


@pytest.mark.slow
# A stop in run.sh is in test_faults.py, one process that goes on to the end in test_rehearse.py.
@pytest.mark.soak
def test_stopped_and_started_again_two_processes_finish_and_the_model_writes(tmp_path, gpt2):
    folder = tmp_path / "a run"  # run.sh must quote
    process = launched(folder, *SMALL, *LONG, NPROC=2)
    wait_for(lambda: len(checkpoints(folder)) > 1, process)
    process.send_signal(signal.SIGTERM)
    code, said = ended(process)
    assert code == STOPPED and "the same command goes on" in said
    status = RunFolder(folder).status()
    assert status["code"] == STOPPED and 0 < status["step"] < 600
    assert not (folder / "DONE").exists() and checkpoints(folder)

    code, said = ended(launched(folder, *SMALL, *LONG, NPROC=2))
    assert code == DONE and (folder / "DONE").exists(), said
    steps = losses(folder)
    assert steps == list(range(1, 601))  # none twice, none left out
    rows = RunFolder(folder).rows()
    assert all(isinstance(row["sample"], str) for row in rows if "val" in row)

    words = ("--model", folder / "model", "--tokens", "30", "--seed", "1", "--device", "cpu")
    said = gpt2("sample", *words, "--json")
    assert said.code == 0 and len(json.loads(said.out)["samples"][0]["text"]) == 30
    transformers = pytest.importorskip("transformers")
    model = transformers.GPT2LMHeadModel.from_pretrained(folder / "model")
    assert (model.config.n_embd, model.config.vocab_size) == (16, 65)
    assert gpt2("doctor", folder)[0] == 0


@pytest.mark.soak
def test_a_rank_that_is_killed_is_replaced_and_the_run_goes_on(tmp_path):
    """test_faults.py kills one as well, at a moment of its own; here it comes at any."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    torchrun += ("--nproc-per-node", "2", "--max-restarts", "1")
    process = started(*torchrun, SCRIPT, "--out", tmp_path, *SMALL, *LONG)
    wait_for(lambda: len(checkpoints(tmp_path)) > 1, process)
    os.kill(RunFolder(tmp_path).status()["pid"], signal.SIGKILL)
    code, said = ended(process)
    assert code == 0 and (tmp_path / "DONE").exists(), said
    assert set(losses(tmp_path)) == set(range(1, 601))


# --- what is not tried again, and what is


@pytest.mark.slow
def test_settings_that_cannot_be_are_known_before_anything_starts(tmp_path):
    code, said = ended(launched(tmp_path / "run", *SMALL, "--batch-tokens", "100", NPROC=1))
    assert code == 78 and "cannot be cut into pieces" in said
    assert said.count("bad ") == 1 and "trying again" not in said
    assert not (tmp_path / "run").exists()


@pytest.fixture
def stand_in(tmp_path):
    """Run run.sh where torchrun is these lines, in the run's folder: what torchrun does is its."""

    def run(lines, **env):
        stub, run = tmp_path / "torchrun", tmp_path / "run"
        stub.write_text(f'#!/bin/bash\ncd "$RUN"\n{lines}\n')
        stub.chmod(0o755)
        run.mkdir()
        env |= {"PATH": f"{tmp_path}:{ENV['PATH']}", "RUN": run, "SCRIPT": "some.py"}
        return ended(launched(run, **env))

    return run


@pytest.mark.parametrize("code", [65, 70, 74, 78])
def test_what_cannot_become_better_is_not_tried_again(stand_in, code):
    ends = f"echo CRASH\necho '{{\"code\": {code}}}' >status.json\nexit 1"
    said = stand_in(ends)
    assert said[0] == code and "not tried again" in said[1] and said[1].count("CRASH") == 1


def test_crashes_without_a_newer_checkpoint_end_after_three_tries(stand_in):
    code, said = stand_in("echo CRASH\nexit 1", TRIES=3)
    assert code == 1 and said.count("CRASH") == 3 and "3 tries in a row" in said


def test_crashes_that_get_on_are_no_reason_to_give_up(stand_in):
    code, said = stand_in(
        "mkdir -p checkpoints && cd checkpoints\n"
        "mkdir step_$(ls | wc -l) && echo CRASH\n"
        "[ $(ls | wc -l) = 3 ] && touch ../DONE\nexit 1",
        TRIES=1,
    )
    assert code == 0 and said.count("CRASH") == 3, said


# --- `gpt2 train`: the same main, in this process


def test_gpt2_train_trains_and_goes_on_with_the_same_command(tmp_path, gpt2):
    words = ("train", *SMALL, "--out", tmp_path, "--max-steps", "4", "--save-every", "2")
    said = gpt2(*words)
    assert said.code == 0 and "done: all steps are done" in said.err
    assert losses(tmp_path) == [1, 2, 3, 4]
    assert gpt2(*words)[0] == 0 and losses(tmp_path) == [1, 2, 3, 4]
    said = gpt2(*words, "--max-lr", "0.1")
    assert said.code == 78 and "--max-lr was 0.002 and is 0.1" in said.err


def test_two_runs_in_one_folder_are_a_sentence_and_the_first_is_not_touched(tmp_path, gpt2):
    with RunFolder(tmp_path) as first:
        first.begin()
        first.log({"step": 1, "loss": 4.0})
        said = gpt2("train", *SMALL, "--out", tmp_path)
        assert said.code == 74 and "is in use by process" in said.err
        assert "choose another folder" in said.err and said.err.count("\n") == 1
        assert first.status()["state"] == "running" and len(first.rows()) == 1


def test_exit_codes_and_arguments_are_passed_through(gpt2, monkeypatch):
    asked, codes = [], iter((75, 0))

    def run(args):
        asked.append((args.max_lr, args.seed, args.compile, args.out))
        return next(codes)

    monkeypatch.setattr(train, "run", run)
    assert gpt2("train", "--max-lr", "1e-3", "--seed", "-1", "--out", "a b")[0] == 75
    assert gpt2("train", "--max-lr=2", "--no-compile")[0] == 0
    assert asked == [(1e-3, -1, None, Path("a b")), (2.0, None, False, Path("runs/gpt2"))]


def test_the_scripts_own_help_and_its_own_refusals_are_shown(gpt2):
    said = gpt2("train", "--help")
    assert said.code == 0 and "--batch-tokens" in said.out and "--preset" in said.out
    said = gpt2("train", "--presets", "none")
    assert said.code == 2 and said.err


def test_every_setting_says_in_the_help_what_it_is(gpt2):
    said = gpt2("train", "--help")
    help_of = " ".join(said.out.split())
    for setting in fields(TrainConfig):
        assert f"--{setting.name.replace('_', '-')}" in said.out
        meaning = setting.metadata["help"]
        assert len(meaning.split()) > 1 and meaning in help_of


def test_a_wheel_brings_the_script():
    """It is a module of the package; what lies in launch/ only calls it."""
    face = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    assert [node.module for node in face.body if isinstance(node, ast.ImportFrom)] == [
        train_gpt2.__name__
    ]
    home = Path(train_gpt2.__file__).resolve()
    assert home == ROOT / "src" / "gpt2_tutorial" / "launch" / "train_gpt2.py"
    assert train.run is train_gpt2.run
