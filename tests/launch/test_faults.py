"""Faults planted in the real script: a sentence, a code, whole checkpoints, and the same command.

Each rank is a process of its own, started from one that has imported torch already: a run of two
takes a second, and a fault comes at exactly the moment that is asked for. What only torchrun and
run.sh do stands at the end, with real ones.
"""

import ctypes
import errno
import functools
import importlib
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from gpt2_tutorial import checkpoint
from gpt2_tutorial.runs import ending
from gpt2_tutorial.runs.run_folder import FolderError, RunFolder
from gpt2_tutorial.runs.signals import Stop
from gpt2_tutorial.shard_format import ShardError
from gpt2_tutorial.shards import write_shards
from gpt2_tutorial.text import CharTokenizer
from team import team
from terminal import as_in_a_terminal
from tiers import compiles, tiered

if os.name == "nt":
    pytest.skip("signals and forks of Unix", allow_module_level=True)

as_in_a_terminal()
ROOT = Path(__file__).resolve().parents[2]
SCRIPT, RUN_SH = ROOT / "launch" / "train_gpt2.py", ROOT / "launch" / "run.sh"
WORDS = "--device cpu --n-layer 1 --n-embd 16 --n-head 2 --block-size 16 --dropout 0.1"
WORDS += " --micro-batch 4 --batch-tokens 256 --warmup-steps 2 --max-steps 12"
WORDS += " --eval-every 5 --eval-batches 2 --save-every 4"
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
OURS = "gpt2_tutorial."


class Fault(NamedTuple):
    """Do something just before the nth call of a function, on some ranks."""

    where: str
    act: functools.partial
    nth: int = 0
    ranks: tuple[int, ...] = (0, 1)

    def plant(self, rank):
        if rank not in self.ranks:
            return
        *path, name = self.where.split(".")
        depth = next(i for i, part in enumerate([*path, "X"]) if part[0].isupper())
        module = ".".join(path[:depth])
        home = importlib.import_module(module if path[0] == "torch" else OURS + module)
        for part in path[depth:]:
            home = getattr(home, part)
        real, count = getattr(home, name), iter(range(10**9))

        @functools.wraps(real)
        def faulty(*args, **kwargs):
            if next(count) == self.nth:
                self.act()
            return real(*args, **kwargs)

        setattr(home, name, faulty)


def sends(*numbers):
    return functools.partial(_send, numbers)


def _send(numbers):
    for number in numbers:
        signal.raise_signal(number)


def fails(error):
    return functools.partial(_fail, error)


def _fail(error):
    raise error


def lets_no_file_grow(folder):
    """Beyond what the metrics are now: a refusal by the system, and not by a stand-in."""
    size = (folder / "metrics.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def closes(folders):
    """Nobody may write there any more; root may, unless it gives its powers away."""
    for folder in folders:
        folder.chmod(0o555)
    if os.geteuid() == 0:
        version_3, none = (0x20080522, 0), [0] * 6
        capset = ctypes.CDLL(None, use_errno=True).capset  # man 2 capset
        assert capset((ctypes.c_uint32 * 2)(*version_3), (ctypes.c_uint32 * 6)(*none)) == 0


class Ended(NamedTuple):
    codes: list[int | None]
    said: list[str]
    status: dict


def _rank(words, faults, said):
    rank = int(os.environ.get("RANK", "0"))
    out = os.open(said[rank], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(out, 1), os.dup2(out, 2)
    for fault in faults:
        fault.plant(rank)
    sys.argv = [str(SCRIPT), *words]
    runpy.run_path(str(SCRIPT), run_name="__main__")


def trained(folder, *words, faults=(), ranks=2, timeout=120):
    """Run the script in so many processes, until all have ended."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    said = [folder.with_name(f"{folder.name}.{rank}.{time.time_ns()}") for rank in range(ranks)]
    words = ["--out", str(folder), *WORDS.split(), *map(str, words)]
    codes = team(ranks, _rank, words, faults, said, timeout=timeout)
    texts = [file.read_text() if file.exists() else "" for file in said]
    return Ended(codes, texts, RunFolder(folder).status())


def bits(folder):
    """Everything that training has made, but for the time it took."""
    newest = checkpoint.latest(folder / "checkpoints")
    assert newest.step == 12
    names = ("model.safetensors", "optimizer.safetensors", "rng.safetensors")
    made = [(newest.path / name).read_bytes() for name in names]
    rows = [row for row in RunFolder(folder).rows() if "loss" in row]
    return [*made, [(row["step"], row["loss"], row["lr"]) for row in rows]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody disturbs, of one and of two processes."""
    made = {}
    for ranks in (1, 2):
        folder = tmp_path_factory.mktemp("whole") / "run"
        assert trained(folder, ranks=ranks).codes == [0] * ranks
        made[ranks] = bits(folder)
    return made


def one_sentence(ended, part):
    """It was said once, by somebody, and no traceback stands around it."""
    text = "".join(ended.said)
    assert text.count(part) == 1 and "Traceback" not in text, text


# --- asked to stop, whatever it is doing

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
MOMENTS = {  # where, at which call, what is sent, and to which ranks; torchrun sends TERM to all
    "joining the others": ("distributed.setup", 0, [TERM], (0, 1)),
    "writing the data": ("shards.write_shards", 0, [INT], (0, 1)),
    "a step": ("step.chunked_loss", 12, [TERM], (0, 1)),
    "a step of one rank": ("step.chunked_loss", 12, [TERM], (1,)),
    "an evaluation": ("run.chunked_loss", 3, [HUP], (1,)),
    "a sample": ("runs.watch.stream", 1, [INT], (0,)),
    "HellaSwag": ("runs.watch.multiple_choice", 2, [TERM], (1,)),
    # by several roads: to the whole group, through torchrun, from a terminal that closes
    "a save": ("checkpoint.write_state", 1, [TERM, TERM, HUP], (0, 1)),
}
STAY = ("writing the data", "a step", "HellaSwag", "a save")  # in `make test`


@pytest.mark.slow
@pytest.mark.parametrize("moment", tiered(MOMENTS, STAY))
def test_asked_to_stop_it_saves_and_the_same_command_ends_with_the_same_bits(
    tmp_path, whole, moment
):
    where, nth, numbers, ranks = MOMENTS[moment]
    items = tmp_path / "items.jsonl"
    items.write_text('{"ctx": "We", "endings": ["eat.", "onion."], "label": 0}\n' * 5)
    words = ("--hellaswag", items) if moment == "HellaSwag" else ()
    ended = trained(tmp_path / "run", *words, faults=[Fault(where, sends(*numbers), nth, ranks)])
    assert ended.codes == [75, 75] and ended.status["code"] == 75, ended
    one_sentence(ended, "stopped: asked to stop; the same command goes on")
    assert checkpoint.latest(tmp_path / "run" / "checkpoints") is not None
    assert trained(tmp_path / "run", *words).codes == [0, 0]
    assert bits(tmp_path / "run") == whole[2]


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_and_costs_steps_only(tmp_path, whole):
    fault = Fault("checkpoint.write_state", sends(signal.SIGINT, signal.SIGINT), 2)
    ended = trained(tmp_path / "run", faults=[fault], ranks=1)
    assert ended.codes == [-signal.SIGINT] and ended.status["state"] == "running"
    assert trained(tmp_path / "run", ranks=1).codes == [0]
    assert bits(tmp_path / "run") == whole[1]


def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
            signal.raise_signal(signal.SIGTERM)
            assert stop() and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


# --- one process fails alone: nobody waits for ten minutes, and it is said why

NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 1 has")
ALONE = {  # where, at which call, what, in which rank; the code and a part of the sentence
    "its data": ("shards.ShardLoader.__init__", 0, ShardError("it is bad"), 1, 65, "it is bad"),
    "a batch": ("shards.ShardLoader._read", 15, ShardError("it is bad"), 1, 65, "it is bad"),
    "memory": ("step.chunked_loss", 9, NO_MEMORY, 1, 78, "memory: lower --micro-batch"),
    "a look": ("runs.watch.stream", 1, ValueError("strange"), 1, 78, "strange"),
    "a look of rank 0": ("runs.watch.stream", 1, ValueError("strange"), 0, 78, "strange"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", tiered(ALONE, ("a batch", "a look")))
def test_one_process_that_fails_ends_all_with_its_sentence(tmp_path, name):
    where, nth, error, rank, code, part = ALONE[name]
    fault = Fault(where, fails(error), nth, (rank,))
    ended = trained(tmp_path / "run", faults=[fault], timeout=90)
    assert ended.codes[rank] == code and None not in ended.codes, ended
    assert ended.status["code"] == code and part in ended.status["reason"]
    one_sentence(ended, part)


@pytest.mark.soak
def test_what_nobody_foresaw_keeps_its_traceback_and_is_no_word_against_trying_again(tmp_path):
    faults = [Fault("runs.watch.stream", fails(KeyError("what?")), 1, (1,))]
    ended = trained(tmp_path / "run", faults=faults, timeout=60)
    assert ended.codes == [1, 1] and ended.status["state"] == "running"
    assert "KeyError" in ended.said[1] and "another process of this run" in ended.said[0]
    assert "Traceback" not in ended.said[0]


@pytest.mark.slow
def test_what_is_wrong_for_all_is_said_once(tmp_path):
    ended = trained(tmp_path / "run", "--n-head", "3")
    assert ended.codes == [78, 78] and ended.status["code"] == 78
    one_sentence(ended, "3 heads cannot share")


# --- a disk that is full, a folder that cannot be written

WRITES = {  # where, at which call, in a run of how many processes
    "the lock": ("runs.run_folder._locked", 0, 1),
    "the first word": ("runs.run_folder.write_whole", 0, 2),
    "the data": ("shard_writer.write_whole", 1, 1),
    "a checkpoint": ("state_files.save_file", 4, 2),
    "the model": ("pretrained.save_file", 0, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", tiered(WRITES, ("the first word", "a checkpoint")))
def test_a_disk_that_fills_up_is_a_sentence_and_what_was_saved_is_whole(tmp_path, whole, name):
    where, nth, ranks = WRITES[name]
    folder = tmp_path / "run"
    ended = trained(folder, faults=[Fault(where, fails(FULL), nth, (0,))], ranks=ranks)
    assert ended.codes[0] == 74 and None not in ended.codes, ended
    one_sentence(ended, "No space left on device")
    begun = name in ("a checkpoint", "the model")  # before that, nothing is left that could say it
    assert ended.status.get("code") == (74 if begun else None)
    assert name != "the data" or not folder.exists()
    assert all(checkpoint.flaw(path) is None for path in (folder / "checkpoints").glob("step_*"))
    assert not (folder / "DONE").exists()
    assert trained(folder, ranks=ranks).codes == [0] * ranks  # after room was made
    assert bits(folder) == whole[ranks]


@pytest.mark.slow
def test_metrics_that_cannot_be_written_are_a_sentence_and_a_status(tmp_path, whole):
    folder = tmp_path / "run"
    act = functools.partial(lets_no_file_grow, folder)
    ended = trained(folder, faults=[Fault("runs.run_folder.RunFolder.log", act, 6)], ranks=1)
    assert ended.codes == [74] and ended.status["code"] == 74, ended
    one_sentence(ended, f"{folder} cannot be written to (File too large): make room")
    assert trained(folder, ranks=1).codes == [0] and bits(folder) == whole[1]


@pytest.mark.slow
@pytest.mark.parametrize("begun", tiered([False, True], [True]))
def test_a_folder_that_may_not_be_written_is_a_sentence(tmp_path, whole, begun):
    """From the beginning, or from the middle of a run on."""
    home, folder = tmp_path / "home", tmp_path / "home" / "run"
    closed = [folder / "checkpoints", folder] if begun else [home]
    act = functools.partial(closes, closed)
    where = "step.chunked_loss" if begun else "runs.run_folder.RunFolder.__enter__"
    try:
        ended = trained(folder, faults=[Fault(where, act, 9 if begun else 0)], ranks=1)
    finally:
        for path in closed:
            path.chmod(0o755)
    assert ended.codes == [74], ended
    one_sentence(ended, "Permission denied")
    if begun:
        assert ended.status["code"] == 74
        assert checkpoint.latest(folder / "checkpoints").step == 0
    assert trained(folder, ranks=1).codes == [0] and bits(folder) == whole[1]


@pytest.mark.soak
def test_a_disk_that_is_really_full_and_one_that_is_read_only(tmp_path):
    """A disk of 20 MB in memory, for one process that may mount it; something else fills it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [sys.executable, str(SCRIPT), "--out", f"{disk}/run", *WORDS.split()]
    command += ["--n-embd", "96", "--n-layer", "2", "--max-steps", "4000"]
    script = f"""
        mount -t tmpfs -o size=20m none {disk} || exit 99
        ( until [ -e {disk}/run/checkpoints/step_00000000 ]; do sleep 0.05; done
          cat /dev/zero > {disk}/filler ) 2> {tmp_path}/filler &
        "$@" 2> {tmp_path}/full; echo $? > {tmp_path}/full.code
        wait
        cp -a {disk}/run {tmp_path}/kept
        rm {disk}/filler && mount -o remount,ro {disk}
        "$@" 2> {tmp_path}/ro; echo $? > {tmp_path}/ro.code
    """
    inside = ["unshare", "--map-root-user", "--mount", "bash", "-c", textwrap.dedent(script), "-"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            [*inside, *command],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        ).returncode
    ):
        pytest.skip("no right to mount a disk here")
    for name, part in (("full", "No space left on device"), ("ro", "Read-only file system")):
        said = (tmp_path / name).read_text()
        assert (tmp_path / f"{name}.code").read_text() == "74\n", said
        assert part in said and said.count("\n") == 1
    kept = tmp_path / "kept"
    assert RunFolder(kept).status()["code"] == 74  # also said where no byte was left
    assert checkpoint.latest(kept / "checkpoints") is not None


def test_the_last_word_finds_room_on_a_full_disk(tmp_path, monkeypatch):
    with RunFolder(tmp_path) as run:
        run.begin()
        full = lambda file, text: _fail(FULL)  # noqa: E731
        monkeypatch.setattr("gpt2_tutorial.runs.run_folder.write_whole", full)
        with pytest.raises(FolderError, match="No space left on device"):
            run.begin()
        run.end(74, "no room", step=3)
        assert run.status()["reason"] == "no room"


def test_a_disk_without_room_for_all_checkpoints_is_refused_at_once(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    old = tmp_path / "checkpoints" / "step_00000007" / "model.safetensors"
    for total, free, there, fits in [
        (9, 4799, 0, 0),
        (9, 4800, 0, 1),
        (9, 4700, 100, 1),
        (0, 0, 0, 1),
    ]:
        old.parent.mkdir(parents=True, exist_ok=True)
        old.write_bytes(b"x" * there)
        usage = shutil._ntuple_diskusage(total, total - free, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
        if fits:
            run.check_room(parameters=100, keep=2)
        else:
            with pytest.raises(FolderError, match="4 checkpoints, and its disk has"):
                run.check_room(parameters=100, keep=2)


def test_a_row_behind_one_that_a_kill_cut_off_is_not_lost(tmp_path):
    with RunFolder(tmp_path) as run:
        run.log({"step": 1})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    with RunFolder(tmp_path) as run:
        run.log({"step": 2})
        run.log({"step": 3})
    with RunFolder(tmp_path) as run:
        assert [row["step"] for row in run.rows()] == [1, 2, 3]


# --- checkpoints and data that are not what they were


def damaged(path, how):
    file = path / "model.safetensors"
    whole = file.read_bytes()
    if how == "altered":
        file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    elif how == "torn":
        file.write_bytes(whole[: len(whole) // 2])
    else:
        (path / "manifest.json").unlink()


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped in its 9th step."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    fault = Fault("step.chunked_loss", sends(signal.SIGTERM), 34)
    assert trained(folder, faults=[fault], ranks=1).codes == [75]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("how", tiered(["altered", "torn", "without its manifest"], ["torn"]))
def test_a_damaged_checkpoint_is_skipped_and_the_run_ends_with_the_same_bits(
    stopped, whole, how, tmp_path
):
    folder = shutil.copytree(stopped, tmp_path / "run")
    newest = checkpoint.latest(folder / "checkpoints").path
    damaged(newest, how)
    ended = trained(folder, ranks=1)
    assert ended.codes == [0] and f"{newest} is skipped" in ended.said[0], ended
    assert bits(folder) == whole[1]  # and each step stands once in the metrics


@pytest.mark.slow
def test_without_a_whole_checkpoint_it_begins_anew(stopped, whole, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "run")
    for path in (folder / "checkpoints").iterdir():
        damaged(path, "torn")
    assert trained(folder, ranks=1).codes == [0]
    assert bits(folder) == whole[1]


def written(folder, speeches, seed=0):
    letters = CharTokenizer("abcdefghij\n")
    texts = [f"{(number * 7919 + seed) % 10**9:09}" * 9 for number in range(speeches)]
    texts = [text.translate(str.maketrans("0123456789", "abcdefghij")) for text in texts]
    write_shards(texts, letters, folder, 2000, end_of_text=0, val_every=5)
    return folder


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


DATA = {
    "too few sequences for two": (
        lambda data: written(data, 5),
        65,
        "of 2 ranks: take a B (--micro-batch) of at most",
    ),
    "an empty shard": (
        lambda data: (written(data, 200) / "train_000001.bin").write_bytes(b""),
        65,
        "train_000001.bin is no whole shard",
    ),
    "a shard that is cut": (
        lambda data: cut(written(data, 200) / "train_000001.bin"),
        65,
        "train_000001.bin is no whole shard",
    ),
    "a shard that is missing": (
        lambda data: (written(data, 200) / "train_000001.bin").unlink(),
        65,
        "train_000001.bin cannot be read",
    ),
    "no data": (lambda data: None, 65, "shards.json"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DATA)
def test_data_that_cannot_be_trained_on_is_refused_before_the_first_step(tmp_path, name):
    make, code, part = DATA[name]
    make(tmp_path / "data")
    words = ("--data", tmp_path / "data", "--micro-batch", "16", "--batch-tokens", "512")
    ended = trained(tmp_path / "run", *words)
    assert ended.codes == [code, code] and ended.status["code"] == code, ended
    one_sentence(ended, part)
    assert RunFolder(tmp_path / "run").rows() == []


@pytest.mark.slow
def test_other_data_than_it_began_with_is_refused(tmp_path):
    data, folder = written(tmp_path / "data", 200), tmp_path / "run"
    words, fault = ("--data", data), Fault("step.chunked_loss", sends(TERM), 17)
    assert trained(folder, *words, faults=[fault], ranks=1).codes == [75]
    shutil.rmtree(data)
    written(data, 200, seed=1)
    ended = trained(folder, *words, ranks=1)
    assert ended.codes == [78], ended
    one_sentence(ended, f"{data} is not the data this run began with: take that data")


@pytest.mark.slow
def test_a_shard_that_goes_away_in_the_middle_of_a_run(tmp_path):
    """Deleted, it stays readable for who has it open; the next start says that it is missing."""
    data, folder = written(tmp_path / "data", 200), tmp_path / "run"
    fault = Fault("step.chunked_loss", functools.partial(remove, data), 9)
    assert trained(folder, "--data", data, faults=[fault], ranks=1).codes == [0]
    ended = trained(folder, "--data", data, ranks=1)
    assert ended.codes == [65]
    one_sentence(ended, "cannot be read")


def remove(data):
    for path in data.glob("*.bin"):
        path.unlink()


# --- losses that are no numbers


@pytest.mark.slow
def test_a_loss_that_explodes_ends_with_a_report_and_a_checkpoint_of_numbers(tmp_path):
    folder, words = tmp_path / "run", "--max-lr 1e30 --min-lr 1e30 --max-norm 1e30 --warmup-steps 0"
    for _ in range(2):  # the second time from the checkpoint
        ended = trained(folder, *words.split(), "--save-every", "1", ranks=1)
        assert ended.codes == [70] and ended.status["code"] == 70, ended
        one_sentence(ended, f"at step {ended.status['step']} ")
    state = checkpoint.load(checkpoint.latest(folder / "checkpoints"))
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


@pytest.mark.slow
def test_one_rank_without_numbers_stops_all_before_a_weight_has_moved(tmp_path):
    ended = trained(tmp_path / "run", faults=[Fault("step.chunked_loss", poison, 9, (1,))])
    assert ended.codes == [70, 70] and ended.status["step"] == 4, ended
    one_sentence(ended, "at step 4 the gradient's length is nan")
    assert checkpoint.latest(tmp_path / "run" / "checkpoints").step == 4


def poison():
    step = importlib.import_module("gpt2_tutorial.step")
    real = step.ChunkedLoss.apply
    step.ChunkedLoss.apply = lambda *args: real(*args) * float("nan")


# --- torch.compile


def test_without_a_compiler_there_is_a_sentence():
    from torch._inductor.exc import InvalidCxxCompiler

    end = ending.of_error(InvalidCxxCompiler())
    assert end.code == 78 and "\n" not in end.reason
    assert "it needs a C++ compiler" in end.reason and "or take --no-compile" in end.reason


@pytest.mark.soak
@compiles
def test_compiled_and_not_in_turn_and_stopped_while_it_compiles(tmp_path):
    folder = tmp_path / "run"
    smooth = ("--dropout", "0.0")  # compiled, it throws other dice
    assert trained(tmp_path / "plain", *smooth, ranks=1).codes == [0]
    moments = [("torch._inductor.compile_fx.compile_fx", 0), ("runs.watch.stream", 5)]
    for where, step in moments:  # the second: samples and validation while it is compiled
        fault, words = Fault(where, sends(TERM)), ("--compile", *smooth)
        ended = trained(folder, *words, faults=[fault], ranks=1, timeout=400)
        assert ended.codes == [75] and ended.status["step"] == step, ended
    newest = checkpoint.load(checkpoint.latest(folder / "checkpoints"))
    assert not any("_orig_mod" in name for name in newest["model"])
    assert trained(folder, "--no-compile", *smooth, ranks=1).codes == [0]
    *_, rows = bits(folder)
    *_, plain = bits(tmp_path / "plain")
    assert len(rows) == len(plain) == 12
    for mine, other in zip(rows, plain, strict=True):
        assert mine == pytest.approx(other, rel=1e-5)


# --- what only torchrun and run.sh do

ENV = os.environ | {"OMP_NUM_THREADS": "1", "PAUSE": "0", "NPROC": "2"}
ENV |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
ENV |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
TORCHRUN = ("torchrun", "--standalone", "--nproc-per-node", "2")


def launched(folder, *words, script, **env):
    words = [*words, "--out", str(folder), *WORDS.split()]
    env = ENV | {"SCRIPT": str(script)} | env
    return subprocess.Popen(
        list(map(str, words)),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def planted(tmp_path, code):
    """The script, with some lines before it."""
    file = tmp_path / "planted.py"
    file.write_text(
        textwrap.dedent(code) + f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    return file


@pytest.mark.slow
def test_ctrl_c_in_the_terminal_of_run_sh_reaches_a_save_and_does_not_cut_it_off(tmp_path):
    """A terminal sends it to every process of the group; torchrun passes it on as well."""
    script = planted(
        tmp_path,
        """
        import os, pathlib, runpy, time
        from gpt2_tutorial import checkpoint
        real, began = checkpoint.write_state, pathlib.Path(__file__).with_name("saving")

        def slow(aside, state):
            if state["run"]["step"] == 4:
                began.touch()
                time.sleep(4)
            return real(aside, state)

        checkpoint.write_state = slow
        """,
    )
    process = launched(tmp_path / "run", "bash", RUN_SH, script=script, NPROC="1")
    wait_for(tmp_path / "saving", process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 75 and "the same command goes on" in said, said
    assert RunFolder(tmp_path / "run").status()["code"] == 75
    assert checkpoint.latest(tmp_path / "run" / "checkpoints").step == 4


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.02)


@pytest.mark.slow
def test_a_rank_that_is_killed_under_torchrun_costs_no_bit(tmp_path, whole):
    script = planted(
        tmp_path,
        """
        import os, pathlib, runpy, signal
        from gpt2_tutorial import step
        real, calls = step.chunked_loss, iter(range(10**9))
        first_life = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"

        def deadly(*args):
            if next(calls) == 9 and first_life and os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args)

        step.chunked_loss = deadly
        """,
    )
    words = (*TORCHRUN, "--max-restarts", "3", script)
    process = launched(tmp_path / "run", *words, script=script)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0 and "exitcode: -9" in said, said
    assert bits(tmp_path / "run") == whole[2]


@pytest.mark.soak
def test_ranks_whose_torchrun_was_killed_stop_with_a_checkpoint(tmp_path, whole):
    script = planted(
        tmp_path,
        """
        import os, pathlib, runpy, signal
        from gpt2_tutorial import step
        real, calls = step.chunked_loss, iter(range(10**9))

        def deadly(*args):
            if next(calls) == 9 and os.environ["RANK"] == "1":
                os.kill(os.getppid(), signal.SIGKILL)
            return real(*args)

        step.chunked_loss = deadly
        """,
    )
    process = launched(tmp_path / "run", *TORCHRUN, script, script=script)
    process.wait(timeout=120)
    end = time.monotonic() + 60
    while RunFolder(tmp_path / "run").status().get("code") != 75:
        assert time.monotonic() < end, process.communicate()[0]
        time.sleep(0.1)
    process.communicate(timeout=60)  # until the last that could write there is gone
    assert trained(tmp_path / "run").codes == [0, 0]
    assert bits(tmp_path / "run") == whole[2]
