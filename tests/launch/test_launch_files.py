"""launch/: what clouds are given, read by their own parsers, linted, and run on small machines."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch
import yaml
from torch.distributed.run import get_args_parser

from gpt2_tutorial import checkpoint
from gpt2_tutorial.config import PRESETS
from gpt2_tutorial.runs.hardware import MACHINES

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"
KEEP, RUN_SH, SLURM = LAUNCH / "keep.sh", LAUNCH / "run.sh", LAUNCH / "train.slurm"
SKY = {path.stem: path for path in sorted((LAUNCH / "sky").glob("*.yaml"))}
SCRIPTS = [*sorted(LAUNCH.rglob("*.sh")), SLURM, ROOT / ".ci" / "run"]
PARSER = ROOT / ".venv" / "launch"  # launch/requirements-check.txt, beside the environment
BIN = Path(sys.executable).parent
PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"
SMALL = "--device cpu --n-layer 1 --n-embd 4 --n-head 1 --block-size 16 --vocab-size 50257"
SMALL += " --micro-batch 2 --batch-tokens 64 --warmup-steps 2 --max-steps 60 --save-every 5"
SMALL += " --eval-every 60 --eval-batches 1"
SLOW = SMALL + " --eval-every 5 --eval-batches 150"  # time to be stopped in
pytestmark = pytest.mark.skipif(os.name == "nt", reason="bash and signals of Unix")


def tool(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed; requirements.txt pins it")
    return found


def settings(name):
    return yaml.safe_load(SKY[name].read_text(encoding="utf-8"))


def said(*words, code=0, **options):
    done = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        **options,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def stub(folder, name, text):
    """A program of these lines, in a folder that PATH may name first."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return folder / name


# One process needs no torchrun: only the script and what stands behind it.
NO_TORCHRUN = """#!/bin/bash
while [[ $1 != *.py ]]; do shift; done
exec python "$@"
"""

# --- parsers and linters


def test_bash_reads_every_script():
    for script in SCRIPTS:
        said("bash", "-n", script)
        assert os.access(script, os.X_OK) or script == SLURM


def test_shellcheck_finds_nothing_in_scripts_and_in_the_blocks_of_sky_files(tmp_path):
    blocks = []
    for name in SKY:
        for key in ("setup", "run"):
            blocks.append(tmp_path / f"{name}-{key}.sh")
            blocks[-1].write_text(f"#!/usr/bin/env bash\n{settings(name)[key]}")
    said(tool("shellcheck"), "--severity=style", "--exclude=SC1091", *SCRIPTS, *blocks)
    blocks[0].write_text("#!/usr/bin/env bash\ncd $FOLDER\n")
    assert "SC2086" in said(tool("shellcheck"), blocks[0], code=1)


# A Mac's bash is 3.2, of 2007. What came later, and how it looks: one example each. The scripts of
# Slurm and SkyPilot run on Linux only, and those machines have a newer one.
NEWER = {
    "4.3, or 5.1": [r"\bwait\s+-[nfp]", "wait -n"],
    "4.0: tables by name": [r"\b(declare|local|typeset|readonly)\s+-\w*A", "local -A prices"],
    "4.3: names of names": [r"\b(declare|local|typeset)\s+-\w*n", "local -n where=$1"],
    "4.2: -g": [r"\b(declare|typeset)\s+-\w*g", "declare -g x=1"],
    "4.0: small and large": [r"\b(declare|local|typeset)\s+-\w*[ul]", "declare -l x=A"],
    "4.0: lines of a file": [r"\b(mapfile|readarray)\b", "mapfile -t lines <file"],
    "4.0: x,, and x^^": [r"\$\{!?\w+(\[[^]]*\])?(,|\^)", "echo ${name,,}"],
    "4.4: x@Q": [r"\$\{!?\w+(\[[^]]*\])?@[A-Za-z]\}", "echo ${name@Q}"],
    "4.0: both streams, appended": [r"&>>", "make &>>log"],
    "4.0: both streams, on": [r"\|&", "make |& tee log"],
    "4.0: coproc": [r"\bcoproc\b", "coproc cat"],
    "4.2: -v": [r"(\[\[?|\btest)\s[^]|&;]*-v\s+[A-Za-z_]", "[[ -v name ]]"],
    "4.3: -R": [r"(\[\[?|\btest)\s[^]|&;]*-R\s+[A-Za-z_]", "[[ -R name ]]"],
    "4.2: from the end": [r"\$\{\w+\[-", "echo ${all[-1]}"],
    "4.2: to before the end": [r"\$\{\w+:[^}]*:\s*-\d", "echo ${name:0:-1}"],
    "4.2: time by printf": [r"printf\b.*%\([^)]*\)T", "printf '%(%H)T'"],
    "4.0 and later: names": [
        r"\$\{?(BASHPID|EPOCH\w+|SRANDOM|BASH_XTRACEFD|BASH_ARGV0|BASH_COMPAT)\b",
        "echo $BASHPID",
    ],
    "4.0: a part of a second": [r"\bread\b.*\s-\w*t\s*[\d\"$]*\.\d", "read -t 0.5 x"],
    "4.0 and 4.1: -i and -N": [r"\bread\s(.*\s)?-\w*[iN]\b", "read -N 1 x"],
    "4.0 and later: shopt": [
        r"\bshopt\b.*\b(globstar|lastpipe|autocd|inherit_errexit|assoc_expand_once)\b",
        "shopt -s globstar",
    ],
    "4.0: on to the next": [r";;?&", "a) echo ;;& "],
    "4.0: steps and zeros": [r"\{(0\d+\.\.|\w+\.\.0\d|\w+\.\.\w+\.\.)", "echo {01..10}"],
    "4.1: a free number": [r"\{\w+\}[<>]", "exec {log}>file"],
    "4.2: letters by number": [r"\$'[^']*\\[uU][0-9a-fA-F]", "echo $'\\u2713'"],
    "4.0: history of calls": [r"\bcaller\b|\bcompopt\b", "compopt -o x"],
    # Read as the end of $(: a bracket of `case` without its partner.
    "4.0: case inside $( )": [r"\$\([^)]*\bcase\s", "x=$(case $y in a) echo ;; esac)"],
    # With `set -u`, an empty list is an error until 4.4; "${x[@]+…}" is none.
    "4.4: a list that may be empty": [
        r'(?<!\+)"\$\{(?!(where|quick|words)\b)\w+\[[@*]\]\}"',
        'ls "${more[@]}"',
    ],
}


def newer(text):
    """The lines that bash 3.2 does not read, or reads as something else."""
    lines = [re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines()]
    return [(why, x) for x in lines for why, (found, _) in NEWER.items() if re.search(found, x)]


OLD = [path for path in sorted(LAUNCH.glob("*.sh"))]


def test_a_macs_bash_of_2007_reads_every_script():
    assert {"guard.sh", "keep.sh", "run.sh", "setup.sh"} <= {path.name for path in OLD}
    for path in OLD:
        text = path.read_text(encoding="utf-8")
        assert newer(text) == [], path
        if shutil.which("bash-3.2"):
            said("bash-3.2", "-n", path)
    never_empty = ((RUN_SH, "where"), (KEEP, "quick"), (LAUNCH / "rehearse.sh", "words"))
    for path, name in never_empty:
        found = re.findall(rf"\b{name}=\((.)", path.read_text(encoding="utf-8"))
        assert found and ")" not in found
    # Comments may say anything; and these look alike, but are old.
    alike = ["# wait -n is newer", 'wait "$child"', "echo ${name%,}", "local name='-n'", "a && b"]
    alike += ["read -r -t 5 x", 'cat <<<"$x"', "x=${y:-1}", 'ls ${more[@]+"${more[@]}"}', "a ;;"]
    assert not [line for line in alike if newer(line)]


@pytest.mark.parametrize("why", NEWER)
def test_what_is_newer_than_that_would_be_found(why):
    assert why in [found for found, _ in newer(f"true\n  {NEWER[why][1]}\n")]


def test_hadolint_finds_nothing_in_the_dockerfile(tmp_path):
    said(tool("hadolint"), LAUNCH / "Dockerfile")
    (tmp_path / "Dockerfile").write_text("FROM python:latest\n")
    assert "DL3007" in said(tool("hadolint"), tmp_path / "Dockerfile", code=1)


PARSED = """
import json, sys, yaml
from copy import deepcopy
import sky
found = {}
for path in sys.argv[1:]:
    config = yaml.safe_load(open(path, encoding="utf-8"))
    try:
        sky.Task.from_yaml_config(deepcopy(config))
        sys.exit("a file without a bucket was taken")
    except ValueError as error:
        assert "BUCKET" in str(error), error
    task = sky.Task.from_yaml_config(deepcopy(config), env_overrides=[("BUCKET", "my-bucket")])
    (machine,) = task.resources
    (where, store), = task.storage_mounts.items()
    found[path] = {
        "gpus": machine.accelerators, "spot": machine.use_spot, "nodes": task.num_nodes,
        "recovery": machine.job_recovery, "ports": machine.ports,
        "down": machine.autostop_config.down, "minutes": machine.autostop_config.idle_minutes,
        "bucket": [where, store.name, store.mode.value], "envs": task.envs,
    }
    config["resources"]["acelerators"] = "H100:1"
    try:
        sky.Task.from_yaml_config(deepcopy(config), env_overrides=[("BUCKET", "my-bucket")])
        sys.exit("a misspelt word was taken")
    except ValueError as error:
        assert "acelerators" in str(error), error
print("FOUND" + json.dumps(found))
"""


def parsed(home):
    """What SkyPilot itself makes of our files, in a process and a home of its own."""
    where = [str(PARSER)] if PARSER.is_dir() else []
    env = os.environ | {"PYTHONPATH": os.pathsep.join(where), "HOME": str(home), "PATH": PATH}
    env |= {"SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    if not PARSER.is_dir() and importlib.util.find_spec("sky") is None:
        pytest.skip("SkyPilot is not installed: see launch/requirements-check.txt")
    text = said(sys.executable, "-c", PARSED, *SKY.values(), env=env)
    found = json.loads(text.rpartition("FOUND")[2])
    return {Path(path).stem: task for path, task in found.items()}


def test_skypilots_own_parser_reads_what_is_meant(tmp_path):
    tasks = parsed(tmp_path)
    assert tasks.keys() == {"prepare", "1xh100", "8xh100", "2x8xh100"}
    prepare = tasks.pop("prepare")
    assert not prepare["spot"] and not prepare["recovery"] and not prepare["gpus"]
    for name, task in {**tasks, "prepare": prepare}.items():
        assert task["ports"] is None, name  # nothing of ours faces the internet
        assert task["down"] and 5 <= task["minutes"] <= 15, name
        assert task["bucket"] == ["~/bucket", "my-bucket", "MOUNT"], name
    for name, task in tasks.items():
        assert task["spot"], name
        assert task["recovery"]["recover_on_exit_codes"] == [75]
        assert 1 <= task["recovery"]["max_restarts_on_errors"] <= 5
        preset = PRESETS[task["envs"]["PRESET"]]
        processes = task["gpus"]["H100"] * task["nodes"]
        assert name == task["envs"]["PRESET"] and processes == MACHINES[name].processes
        assert preset.pieces(processes) >= 1


def prices(text):
    """The lines that hold one. guard.sh speaks of a reader's own dollars, which are no digits."""
    lines = re.sub(r"\$\d\b", "", text).splitlines()  # $1 is a word that was given
    return [line for line in lines if re.search(r"\$\s?\d|\d.*dollars?\b|dollars?\b.*\d", line)]


def test_a_rendezvous_is_never_public_and_no_price_is_written_down():
    for path in [*LAUNCH.rglob("*.sh"), *SKY.values(), SLURM, LAUNCH / "Dockerfile"]:
        text = path.read_text(encoding="utf-8")
        assert "0.0.0.0" not in text and not re.search(r"(?m)^\s*ports:|EXPOSE", text), path
        assert not prices(text), path
        assert "dollar" not in text or path.name == "guard.sh", path
    for line in (
        "it costs $23",
        "$ 40 in all",
        "--max-dollars 40",
        "3 dollars an hour",
        "1 dollar",
    ):
        assert prices(line) == [line]
    assert "never let HEAD's port face the internet" in RUN_SH.read_text(encoding="utf-8")


def test_slurm_is_asked_for_a_signal_early_enough_and_for_whole_machines():
    text = SLURM.read_text(encoding="utf-8")
    asked = dict(re.findall(r"(?m)^#SBATCH --([a-z-]+)(?:=(.*))?$", text))
    kind, seconds = asked["signal"].split("@")
    assert kind == "B:TERM"  # only the script hears it, and tells one machine
    shutdown = int(re.search(r"SHUTDOWN_TIMEOUT=(\d+)", RUN_SH.read_text()).group(1))
    assert int(seconds) > shutdown + 30
    assert asked["gpus-per-node"] == "8" and asked["ntasks-per-node"] == "1"
    assert {"requeue", "exclusive", "time"} <= asked.keys() and asked["open-mode"] == "append"
    for preset, processes in (("8xh100", 8), ("2x8xh100", 16)):
        assert preset in text and PRESETS[preset].pieces(processes)


def test_the_image_holds_what_the_training_needs_and_nothing_private(tmp_path):
    text = (LAUNCH / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"(?m)^FROM python:3\.11\.\d+-\S+$", text)
    assert re.search(r"(?m)^USER 1000$", text)
    ignored = (LAUNCH / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [word for line in re.findall(r"(?m)^COPY (.*)$", text) for word in line.split()[:-1]]
    assert set(copied) == allowed and ignored[1] == "*"
    assert sum(p.stat().st_size for w in copied for p in [ROOT / w] if p.is_file()) < 1e6
    torch_pin = said("bash", "-c", "grep -o '^torch==[0-9.]*' requirements.txt", cwd=ROOT)
    assert torch_pin.strip() and torch_pin.count("\n") == 1 and torch_pin[:7] == "torch=="

    for word in copied:  # the image, as far as a folder can be one
        (shutil.copytree if (ROOT / word).is_dir() else shutil.copy)(ROOT / word, tmp_path / word)
    words = ["--preset", "cpu", "--out", "runs/cpu", *SMALL.split(), "--max-steps", "2"]
    words[words.index("50257")] = "65"  # its own data: the letters of Shakespeare
    torchrun = stub(tmp_path / "bin", "torchrun", NO_TORCHRUN)
    env = os.environ | {"PATH": f"{torchrun.parent}:{PATH}", "PYTHONPATH": "src"}
    env |= {"NPROC": "1", "OMP_NUM_THREADS": "1"}
    (entry,) = re.findall(r"(?m)^ENTRYPOINT (.*)$", text)
    said(*json.loads(entry), *words, cwd=tmp_path, env=env)
    assert (tmp_path / "runs/cpu/DONE").exists() and (tmp_path / "runs/cpu/model").is_dir()


# --- keep.sh: there and back


@pytest.fixture(params=["folder", pytest.param("rclone", marks=pytest.mark.slow)])
def bucket(request, tmp_path):
    """A folder to look at, and how keep.sh is told about it."""
    folder = tmp_path / "a bucket"
    folder.mkdir()
    if request.param == "rclone":
        tool("rclone")
        return folder, f":local:{folder}"
    return folder, str(folder)


def keep(*words, code=0, **env):
    env = {name: str(value) for name, value in env.items()}
    return said("bash", KEEP, *words, code=code, env=os.environ | {"PATH": PATH} | env)


def saved(run, *steps):
    for step in steps:
        state = {"model": {"w": torch.full((300,), float(step))}, "run": {"step": step}}
        checkpoint.save(run / "checkpoints", step, state, keep=9)
        with (run / "metrics.jsonl").open("a") as log:
            log.write(json.dumps({"step": step, "loss": 1.0}) + "\n")
    return run


def whole(folder):
    """The steps in a folder of checkpoints that `load` would take."""
    found = sorted((folder / "checkpoints").glob("step_*"))
    return [int(path.name[5:]) for path in found if checkpoint.flaw(path) is None]


def test_what_was_pushed_comes_back_on_an_empty_machine(tmp_path, bucket):
    there, name = bucket
    run = saved(tmp_path / "a run", 1, 2, 3)
    assert "step_00000003 is in" in keep("push", run, name)
    assert whole(there) == [3] and (there / "metrics.jsonl").read_text().count("\n") == 3
    assert "is in" not in keep("push", run, name)  # it is there already
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"step": 4, "lo')  # cut off by a kill
    saved(run, 4)
    new = tmp_path / "another machine" / "run"
    keep("push", run, name)
    keep("pull", new, name)
    assert whole(new) == [4] and whole(there) == [3, 4]
    rows = (new / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows[:3]] == [1, 2, 3]
    assert not list(new.rglob("*.part"))
    state = checkpoint.load(checkpoint.latest(new / "checkpoints"))
    assert state["run"] == {"step": 4} and state["model"]["w"][0] == 4


def test_only_the_newest_stay_in_the_bucket(tmp_path):
    run, there = tmp_path / "run", tmp_path / "bucket"
    for step in (1, 2, 3, 4):
        keep("push", saved(run, step), there, KEEP=2)
    assert whole(there) == [3, 4]
    assert sorted(path.name for path in (there / "checkpoints").iterdir()) == [
        "step_00000003",
        "step_00000004",
    ]


def test_what_is_not_whole_in_the_bucket_is_skipped_with_a_word(tmp_path, bucket):
    there, name = bucket
    run = tmp_path / "run"
    for step in (1, 2, 3):
        keep("push", saved(run, step), name, KEEP=3)
    (there / "checkpoints" / "step_00000003" / "manifest.json").unlink()
    weights = there / "checkpoints" / "step_00000002" / "model.safetensors"
    bits = bytearray(weights.read_bytes())
    bits[-1] ^= 1
    weights.write_bytes(bits)
    words = keep("pull", tmp_path / "new", name)
    assert "step_00000003" in words and "step_00000002" in words and words.count("skipped") == 2
    assert whole(tmp_path / "new") == [1]
    assert "step_00000003 is in" in keep("push", run, name, KEEP=3)  # and a half one is mended
    assert whole(there) == [1, 3]


def test_what_is_here_and_newer_stays_unless_all_must_begin_alike(tmp_path):
    name = tmp_path / "bucket"
    keep("push", saved(tmp_path / "run", 5), name)
    mine = saved(tmp_path / "mine", 7)
    keep("pull", mine, name)
    assert whole(mine) == [7]
    keep("pull", mine, name, FRESH=1)
    assert whole(mine) == [5]


def test_an_empty_bucket_is_no_fault_and_one_that_takes_nothing_is(tmp_path, bucket):
    _, name = bucket
    keep("pull", tmp_path / "run", name + "/not/yet")
    (tmp_path / "file").write_text("no folder")
    bad = name.replace(str(tmp_path / "a bucket"), str(tmp_path / "file" / "in a file"))
    words = keep("around", tmp_path / "run", bad, "echo", "STARTED", code=74)
    assert "nothing was started" in words and "STARTED" not in words
    assert "is an address" in keep("push", tmp_path / "run", "s3://bucket", code=64)
    assert "around RUN BUCKET" in keep("push", tmp_path / "run", code=64)


@pytest.mark.slow
def test_a_copy_that_breaks_off_anywhere_never_counts(tmp_path):
    """`cp` dies at its first, second, … file: what counts is whole, and the next push mends it."""
    stub = tmp_path / "bin" / "cp"
    stub.parent.mkdir()
    stub.write_text(
        '#!/bin/bash\necho x >>"$COUNT"\n[ "$(wc -l <"$COUNT")" -lt "$DIE_AT" ] ||'
        ' { head -c 20 "$1" >"$2"; exit 1; }\nexec /bin/cp "$@"\n'
    )
    stub.chmod(0o755)
    run, survived = saved(tmp_path / "run", 1), []
    for die_at in range(1, 10):
        there, count = tmp_path / f"bucket{die_at}", tmp_path / f"count{die_at}"
        keep("push", run, there)
        saved(run, 2)
        env = {"PATH": f"{stub.parent}:{PATH}", "COUNT": str(count), "DIE_AT": str(die_at)}
        env = os.environ | env
        code = subprocess.run(["bash", str(KEEP), "push", run, there], env=env).returncode
        survived.append(code == 0)
        last = whole(there)[-1]
        assert last in (1, 2) and (code == 74 or last == 2)
        keep("pull", tmp_path / f"new{die_at}", there)
        assert whole(tmp_path / f"new{die_at}") == [last]
        keep("push", run, there)
        assert whole(there) == [1, 2]
        shutil.rmtree(run / "checkpoints" / "step_00000002")
        if survived[-1]:
            break
    assert survived[-1] and len(survived) >= 5  # every file had its turn


def test_around_a_command_its_code_and_its_last_checkpoint_come_through(tmp_path):
    there, run = tmp_path / "bucket", saved(tmp_path / "run", 1)
    late = saved(tmp_path / "late", 2) / "checkpoints" / "step_00000002"
    command = f"mv '{late}' '{run}/checkpoints/'; exit 70"
    words = keep("around", run, there, "bash", "-c", command, code=70, EVERY=30)
    assert "step_00000002 is in" in words and whole(there)[-1] == 2


def test_around_a_command_a_signal_is_passed_on_and_its_answer_is_kept(tmp_path):
    command = "trap 'exit 75' TERM; touch started; while :; do sleep 0.1; done"
    words = ["around", tmp_path / "run", tmp_path / "bucket", "bash", "-c", command]
    env = os.environ | {"EVERY": "1"}
    process = subprocess.Popen(["bash", KEEP, *words], cwd=tmp_path, env=env)
    wait_for(lambda: (tmp_path / "started").exists(), process)
    process.terminate()
    assert process.wait(timeout=30) == 75


# --- small machines: the commands of the files themselves, on the CPU


class Machine:
    """An empty home with the code in it; it can vanish from one moment to the next."""

    def __init__(self, home, bucket, programs=BIN, **env):
        self.home, self.name = home, uuid.uuid4().hex
        self.work = home / "sky_workdir"
        self.work.mkdir(parents=True)
        (home / "bucket").symlink_to(bucket)
        for name in ("launch", "src", "results"):
            (self.work / name).symlink_to(ROOT / name)
        (self.work / ".venv" / "bin").mkdir(parents=True)
        (self.work / ".venv/bin/activate").write_text(f"PATH='{programs}':'{BIN}':$PATH\n")
        self.env = os.environ | {"HOME": str(home), "TEST_MACHINE": self.name}
        self.env |= {"OMP_NUM_THREADS": "1", "EVERY": "1", "PAUSE": "0"}
        self.env |= {name: str(value) for name, value in env.items()}
        # the letters and GPT-2's vocabulary were fetched once, into the real home
        self.env.setdefault("GPT2_TUTORIAL_CACHE", str(Path.home() / ".cache/gpt2_tutorial"))

    def start(self, *words, **env):
        env = self.env | {name: str(value) for name, value in env.items()}
        self.log = self.home / f"{uuid.uuid4().hex}.log"
        with self.log.open("w") as log:
            said = {"stdout": log, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(
                [str(word) for word in words], cwd=self.work, env=env, **said
            )
        return self

    def run(self, name, **env):
        """The run block of one of the sky files, with its own variables."""
        config = settings(name)
        env = {key: value for key, value in config["envs"].items() if value is not None} | env
        nodes = {"SKYPILOT_NUM_NODES": config.get("num_nodes", 1), "SKYPILOT_NODE_RANK": 0}
        nodes |= {"SKYPILOT_NUM_GPUS_PER_NODE": 1, "SKYPILOT_NODE_IPS": "127.0.0.1"}
        return self.start("bash", "-c", config["run"], **{**nodes, **env})

    def end(self, seconds=150):
        """Its exit code, and all it said."""
        try:
            code = self.process.wait(seconds)
        finally:
            self.vanish()
        return code, self.log.read_text(encoding="utf-8")

    def vanish(self):
        """Every process of this machine dies at once, as when a spot machine is taken away."""
        for place in Path("/proc").glob("[0-9]*"):
            try:
                mine = f"TEST_MACHINE={self.name}".encode() in (place / "environ").read_bytes()
                if mine:
                    os.kill(int(place.name), signal.SIGKILL)
            except OSError:
                pass  # it is gone already, or somebody else's
        self.process.wait()


def wait_for(find, *processes, seconds=150):
    end = time.monotonic() + seconds
    while not (found := find()):
        assert all(p.poll() is None for p in processes) and time.monotonic() < end
        time.sleep(0.05)
    return found


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def steps(folder):
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return [row["step"] for row in rows if "loss" in row]


linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A bucket with shards in it, made by the run block of prepare.yaml."""
    bucket = tmp_path_factory.mktemp("bucket")
    machine = Machine(tmp_path_factory.mktemp("cpu") / "home", bucket)
    words = "--limit 12 --shard-tokens 20000 --processes 1 --val-every 4 --quiet"
    code, text = machine.run("prepare", DATA="shakespeare", ARGS=words).end()
    assert code == 0, text
    assert (bucket / "data/shakespeare/shards.json").exists(), text
    assert text.count("tokens for train") == 2, text  # made, and read back from the bucket
    return bucket


def a_bucket(prepared, tmp_path):
    (tmp_path / "bucket" / "runs").mkdir(parents=True)
    (tmp_path / "bucket" / "data").symlink_to(prepared / "data")
    return tmp_path / "bucket"


@pytest.mark.soak
@linux
def test_a_spot_machine_vanishes_and_another_one_goes_on_from_the_bucket(prepared, tmp_path):
    bucket = a_bucket(prepared, tmp_path)
    there = bucket / "runs" / "gpt2"
    env = {"PRESET": "cpu", "DATA": "shakespeare", "ARGS": SMALL}
    first = Machine(tmp_path / "first", bucket).run("1xh100", **env | {"ARGS": SLOW})
    wait_for(lambda: whole(there)[-1:] > [0], first.process)
    first.vanish()
    left = whole(there)[-1]
    assert 0 < left < 60 and not (there / "DONE").exists()

    second = Machine(tmp_path / "second", bucket).run("1xh100", **env)
    code, text = second.end()
    assert code == 0 and "came back from" in text and (there / "DONE").exists(), text
    assert (there / "model" / "config.json").exists()
    found = steps(there)
    assert sorted(set(found)) == list(range(1, 61))  # the rows before it came along
    took = steps(second.work / "runs" / "gpt2")
    assert took[-1] == 60 and took.count(60) == 1

    third = Machine(tmp_path / "third", bucket).run("1xh100", **env)
    code, text = third.end()
    assert code == 0 and "is done" in text and "step " not in text, text
    assert (third.work / "runs/gpt2/model/config.json").exists()


# Two machines, and Slurm's queue: first with a stand-in for torchrun that is as quick as it is
# said to be slow, then (in `make soak`) with torchrun and the script.

STAND_IN = """
import json, os, shutil, signal, sys, time
from pathlib import Path

words, meet, made = sys.argv[1:], Path({meet!r}), Path({made!r})
out = Path(words[words.index("--out") + 1])
with (meet / "asked").open("a") as asked:
    asked.write(json.dumps(words) + "\\n")
signal.signal(signal.SIGTERM, lambda *_: (meet / "stop").touch())
nodes = int(words[words.index("--nnodes") + 1]) if "--nnodes" in words else 1
while (meet / "asked").read_text().count("\\n") < nodes:  # all meet before anything begins
    time.sleep(0.02)
if "--node-rank" in words:
    first = words[words.index("--node-rank") + 1] == "0"
else:
    try:
        first = bool((meet / "first").open("x"))
    except FileExistsError:
        first = False
if not first:
    while not (meet / "end").exists():
        time.sleep(0.02)
    sys.exit((meet / "end").read_text() != "0")
code = 0 if list(out.glob("checkpoints/step_*")) else 75
code = 78 if "--max-lr" in words else code
if code == 75:
    shutil.copytree(made, out / "checkpoints" / made.name)
    while not (meet / "stop").exists():
        time.sleep(0.02)
if code == 0:
    (out / "model").mkdir()
    (out / "model" / "config.json").touch()
    (out / "DONE").touch()
(out / "status.json").write_text(json.dumps({{"code": code, "pid": os.getpid()}}))
(meet / "end.new").write_text(str(code))
(meet / "end.new").rename(meet / "end")
sys.exit(code != 0)
"""


class StandIn:
    """Programs in place of torchrun, and of what else is asked for; what torchrun was asked."""

    def __init__(self, folder):
        self.programs, self.meet = folder / "programs", folder / "meet"
        made = saved(folder / "made", 7) / "checkpoints" / "step_00000007"
        lines = folder / "stand_in.py"
        lines.write_text(STAND_IN.format(meet=str(self.meet), made=str(made)))
        words = shlex.join([sys.executable, str(lines)])  # either path may hold a space
        stub(self.programs, "torchrun", f'#!/bin/bash\nexec {words} "$@"\n')
        self.meet.mkdir()

    def asked(self):
        """How torchrun understands what it was asked since the last time; forget what was said."""
        lines = (self.meet / "asked").read_text().splitlines()
        for file in self.meet.iterdir():
            file.unlink()
        return [get_args_parser().parse_args(json.loads(line)) for line in lines]


def both_machines(tmp_path, name, bucket, words, programs=BIN, **env):
    """Start 2x8xh100.yaml's run block on two machines."""
    env |= {"LINGER": 60, "PORT": free_port()}
    machines = [Machine(tmp_path / f"{name}{n}", bucket, programs, **env) for n in (0, 1)]
    how = {"PRESET": "cpu", "DATA": "shakespeare", "ARGS": words}
    how |= {"SKYPILOT_NODE_IPS": "127.0.0.1\n127.0.0.1"}
    return [
        machine.run("2x8xh100", **how, SKYPILOT_NODE_RANK=n) for n, machine in enumerate(machines)
    ]


def stopped_and_gone_on_together(tmp_path, bucket, **more):
    """Two machines without a common disk; return the step that they went on from."""
    there = bucket / "runs" / "gpt2"
    first, other = both_machines(tmp_path, "a", bucket, SLOW, **more)
    wait_for(lambda: whole(there)[-1:] > [0], first.process, other.process)
    first.process.terminate()
    code, text = first.end()
    assert code == 75 and "the same command goes on" in text, text
    assert other.process.poll() is None  # it lets the first one have the last word
    other.vanish()
    assert not (other.work / "runs/gpt2/status.json").exists()
    left = whole(there)[-1]
    yield first, other

    first, other = both_machines(tmp_path, "b", bucket, SMALL, **more)
    (code, text), (code_1, text_1) = first.end(), other.end()
    assert (code, code_1) == (0, 0), text + text_1
    assert f"step_{left:08d} came back" in text and f"step_{left:08d} came back" in text_1
    assert (there / "DONE").exists()
    yield first, other


@linux
def test_two_machines_without_a_common_disk_are_told_of_each_other(prepared, tmp_path):
    bucket, torchrun = a_bucket(prepared, tmp_path), StandIn(tmp_path)
    more = {"programs": torchrun.programs, "SCRIPT": "launch/train_gpt2.py"}
    for first, _ in stopped_and_gone_on_together(tmp_path, bucket, **more):
        asked = sorted(torchrun.asked(), key=lambda words: words.node_rank)
        assert [words.node_rank for words in asked] == [0, 1]
        port = int(first.env["PORT"])
        for words in asked:
            assert (words.nnodes, words.nproc_per_node, words.max_restarts) == ("2", "1", 0)
            assert (words.master_addr, words.master_port) == ("127.0.0.1", port)
            assert words.training_script == "launch/train_gpt2.py"


@linux
@pytest.mark.soak
def test_two_machines_without_a_common_disk_stop_and_go_on_together(prepared, tmp_path):
    bucket = a_bucket(prepared, tmp_path)
    assert len(list(stopped_and_gone_on_together(tmp_path, bucket))) == 2
    assert sorted(set(steps(bucket / "runs" / "gpt2"))) == list(range(1, 61))


@linux
@pytest.mark.slow
def test_two_machines_find_each_other(tmp_path):
    """With torchrun itself, and a script that only asks who is there."""
    script = tmp_path / "who.py"
    script.write_text(WHO)
    where = {"NNODES": 2, "HEAD": "127.0.0.1", "PORT": free_port(), "TRIES": 0, "NPROC": 1}
    env = os.environ | {"PATH": PATH, "SCRIPT": script} | where
    pair = [
        subprocess.Popen(
            ["bash", RUN_SH, "--out", tmp_path / f"disk{rank}"],
            env={name: str(value) for name, value in (env | {"NODE_RANK": rank}).items()},
        )
        for rank in (0, 1)
    ]
    try:
        assert [process.wait(timeout=120) for process in pair] == [0, 0]
    finally:
        for process in pair:
            process.kill()
    said = [(tmp_path / f"disk{rank}" / "who").read_text() for rank in (0, 1)]
    assert said == ["0 of 2", "1 of 2"]


WHO = """
import sys
from pathlib import Path
from gpt2_tutorial.distributed import any_rank, setup, teardown

ranks, out = setup("cpu", timeout_s=60), Path(sys.argv[sys.argv.index("--out") + 1])
assert any_rank(not ranks.is_first)  # the other one is heard
out.mkdir()
(out / "who").write_text(f"{ranks.rank} of {ranks.world_size}")
teardown()
"""


def queued_again(prepared, tmp_path, nodes, programs, **more):
    """train.slurm is stopped and queued; the same line ends it; then settings that are refused."""
    queue, run = tmp_path / "queue", tmp_path / "shared" / "a run"
    stub(
        programs,
        "scontrol",
        f'#!/bin/bash\ncase $1 in show) echo 127.0.0.1 ;; *) echo "$@" >>"{queue}" ;; esac\n',
    )
    stub(programs, "srun", '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n')
    env = {"SLURM_NNODES": nodes, "SLURM_JOB_NODELIST": "some[0-1]", "SLURM_JOB_ID": 7}
    env |= {"NPROC": 1, "DATA": prepared / "data/shakespeare", "RUN": run, "PRESET": "cpu"}
    machine = Machine(tmp_path / "home", prepared, programs, **env, **more)
    machine.start("bash", SLURM, *SLOW.split(), PORT=free_port())
    wait_for(lambda: whole(run)[-1:] > [0], machine.process)
    machine.process.terminate()
    code, text = machine.end()
    assert code == 0 and queue.read_text() == "requeue 7\n", text
    assert "train.slurm: stopped, with a checkpoint; into the queue again" in text
    yield run

    code, text = machine.start("bash", SLURM, *SMALL.split(), PORT=free_port()).end()
    assert code == 0 and "is done" in text, text
    assert queue.read_text() == "requeue 7\n" and (run / "DONE").exists()
    yield run

    bad = ["--max-lr", "0.5"]  # another run's settings: once, and not into the queue again
    (run / "DONE").unlink()  # which a stranger's script would believe
    code, text = machine.start("bash", SLURM, *SMALL.split(), *bad, PORT=free_port()).end()
    assert code == 78 and queue.read_text() == "requeue 7\n", text
    yield run


@linux
@pytest.mark.parametrize("nodes", [1, 2])
def test_slurm_ends_before_the_time_is_up_and_queues_again(prepared, tmp_path, nodes):
    torchrun = StandIn(tmp_path)
    more = {"programs": torchrun.programs, "SCRIPT": "launch/train_gpt2.py"}
    for _ in queued_again(prepared, tmp_path, nodes, **more):
        asked = torchrun.asked()
        assert len(asked) == nodes
        for words in asked:
            if nodes == 1:
                assert words.standalone
                continue
            assert (words.nnodes, words.nproc_per_node, words.rdzv_backend) == ("2", "1", "c10d")
            assert re.fullmatch(r"127\.0\.0\.1:\d+", words.rdzv_endpoint)


@linux
@pytest.mark.soak
@pytest.mark.parametrize("nodes", [1, 2])
def test_slurm_stops_and_goes_on_with_torchrun_and_the_script(prepared, tmp_path, nodes):
    *_, run = queued_again(prepared, tmp_path, nodes, tmp_path / "programs")
    assert steps(run)[-1] == 60


def test_without_its_folders_slurms_script_says_which():
    env = {key: value for key, value in os.environ.items() if key not in ("DATA", "RUN")}
    assert "set DATA" in said("bash", SLURM, code=1, env=env)


# --- setup.sh


def test_setup_asks_for_the_pinned_torch_that_fits_the_machine(tmp_path):
    """What it installs is asked of a stand-in for uv: nothing is fetched here."""
    work, home = tmp_path / "work", tmp_path / "bin"
    for folder in (work / "launch", work / ".venv" / "bin", home):
        folder.mkdir(parents=True)
    shutil.copy(LAUNCH / "setup.sh", work / "launch")
    for name in ("requirements.txt", "requirements-data.txt"):
        shutil.copy(ROOT / name, work)
    (home / "uv").write_text(f'#!/bin/bash\necho "$@" >>"{tmp_path}/asked"\n')
    (work / ".venv/bin/python").write_text('#!/bin/bash\necho "a python"\n')
    for path in (home / "uv", work / ".venv/bin/python"):
        path.chmod(0o755)
    env = os.environ | {"PATH": f"{home}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    pin = re.search(r"(?m)^torch==\S+", (ROOT / "requirements.txt").read_text()).group()
    for words, backend, data in (((), "auto", False), (("data",), "cpu", True)):
        said("bash", work / "launch/setup.sh", *words, env=env)
        asked = (tmp_path / "asked").read_text()
        assert f"--torch-backend={backend} {pin}\n" in asked
        assert ("datasets==" in asked) == data and "--constraint requirements.txt -e ." in asked
        assert "--no-deps -r requirements-data.txt" in asked
