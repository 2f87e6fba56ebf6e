"""Launch on cloud GPUs, and other roads: commands run here, or are checked as far as that goes."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import math
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from serving import ROOT

from drift.sources import planned
from gpt2_tutorial.commands import cli
from gpt2_tutorial.commands.doctor import causes
from gpt2_tutorial.launch import train_gpt2
from gpt2_tutorial.runs.hardware import MACHINES, PRICES_SEEN
from gpt2_tutorial.runs.run_folder import STOPPED, WORDS, RunFolder
from in_process import command
from terminal import as_in_a_terminal
from tiers import tiered

as_in_a_terminal()
PAGE = "\n".join(
    (ROOT / "book" / name).read_text(encoding="utf-8") for name in ("launch.md", "launch-more.md")
)
COLAB = ROOT / "launch" / "colab.ipynb"
LOG = json.loads((ROOT / "results" / "runs" / "launch_cpu.json").read_text(encoding="utf-8"))
FENCE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^<!-- (run|not here): ([^\n]+) -->\n" + FENCE.pattern[1:], FENCE.flags)
SHOWN = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BLOCKS = [match.groups() for match in BLOCK.finditer(PAGE)]
LINES = [line for _, _, kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
(HURRY,) = re.findall(r"\(In a hurry\? Put `([^`]+)` behind this line", PAGE)
LOOK = "--eval-batches 2"  # half the time of a run in a hurry would go by in evaluations
THEIRS = ("git", "cd", "source", "ssh", "nvidia-smi", "tmux", "rclone", "rsync", "pip", "mv")
THEIRS += ("python3", "./llama-cli", "vllm", "ssh-keygen", "cat", "apt-get", "export", "curl")
THEIRS += ("runpodctl", "aws")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="bash and signals of Unix")


def test_every_block_says_whether_it_is_run_here():
    assert len(BLOCKS) == len(FENCE.findall(PAGE)) > 15
    assert {"run", "not here"} == {where for where, *_ in BLOCKS}
    assert all(line.strip() == line and line for line in LINES)


# --- what needs a cloud: each option exists, and so does each file


def understood(words):
    """What the script makes of a command line."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    train_gpt2.add_arguments(parser)
    return train_gpt2.configured(parser.parse_args(words), 50257)


def guarded(words):
    """The options of guard.sh, and what stands behind them."""
    options = {}
    while words[0].startswith("--"):
        name, value, *words = words
        options[name] = value
    return options, words


def known(words, env=()):
    """Fail if a command names a file, an option or a variable that does not exist."""
    match words:
        case [name, *rest] if re.fullmatch(r"[A-Z_]+=.*", name):
            return known(rest, (*env, name.partition("=")[0]))
        case ["gpt2", *rest]:
            cli.make_parser(rest).parse_args(rest)
        case ["bash", "launch/run.sh", *rest]:
            text = (ROOT / "launch" / "run.sh").read_text(encoding="utf-8")
            assert all(f"${name}" in text or f"${{{name}" in text for name in env), env
            understood(rest)
        case ["bash", "launch/keep.sh", "push" | "pull", _, _]:
            pass
        case ["bash", "launch/keep.sh", "init", bucket]:
            text = (ROOT / "launch" / "keep.sh").read_text(encoding="utf-8")
            assert re.search(rf"(?m)^ *{bucket.partition(':')[0]}\)$", text), bucket
        case ["bash", "launch/keep.sh", "around", run, _, *rest]:
            assert rest[rest.index("--out") + 1] == run
            known(rest)
        case ["bash", "launch/guard.sh", *rest]:
            options, (run, _, *command) = guarded(rest)
            assert options["--when-done"] and {"--max-hours", "--max-dollars"} & options.keys()
            text = (ROOT / "launch" / "guard.sh").read_text(encoding="utf-8")
            assert all(re.search(rf"[ |]{name}( \||\))", text) for name in options), options
            for part in re.split(r"\|\||&&|;", options["--when-done"]):
                known(shlex.split(part))
            known(["bash", "launch/keep.sh", "around", run, "r2:bucket", *command])
        case ["bash", "launch/rehearse.sh"]:
            assert (ROOT / "launch" / "rehearse.sh").is_file()
        case ["docker", "login"] | ["docker", "push", _]:
            pass
        case ["bash", "launch/setup.sh"] | ["bash", "launch/setup.sh", "data"]:
            assert (ROOT / "launch" / "setup.sh").is_file()
        case ["docker", "build", *rest]:
            assert (ROOT / rest[rest.index("-f") + 1]).is_file()
        case ["docker", "run", *rest]:
            understood(rest[rest.index("gpt2") + 1 :])
        case ["sbatch", *rest]:
            text = (ROOT / rest[-1]).read_text(encoding="utf-8")
            assert all(re.search(rf"\$\{{?{name}\b", text) for name in env), env
        case ["sky", *rest]:
            file = ROOT / rest[-1]
            if file.suffix == ".yaml":
                envs = yaml.safe_load(file.read_text(encoding="utf-8"))["envs"]
                assert rest[rest.index("--env") + 1].partition("=")[0] in envs
                needed = {name for name, value in envs.items() if value is None}
                assert needed == {"BUCKET"}
        case [name, *_]:
            assert name in THEIRS, f"{name} is no program that the page may use"


@pytest.mark.parametrize("line", LINES)
def test_a_command_names_what_exists(line):
    known(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "gpt2 plan --preset 9xh100",
        "bash launch/run.sh --preset 1xh100 --learning-rate 1",
        "bash launch/keep.sh init s9:my-bucket",
        "NODES=2 bash launch/run.sh --preset cpu",
        "bash launch/keep.sh around runs/a r2:b bash launch/run.sh --out runs/c",
        "sky launch --env BUKET=my-bucket launch/sky/1xh100.yaml",
        "sky jobs launch launch/sky/9xh100.yaml",
        "RUNS=/scratch sbatch launch/train.slurm",
        "docker build -f Dockerfile -t gpt2 .",
        "sudo rm -rf runs",
        "bash launch/guard.sh --max-hours 9 runs/a r2:b bash launch/run.sh --out runs/a",
        "bash launch/guard.sh --when-done 'sudo halt' --max-hours 9 runs/a r2:b bash launch/run.sh",
        "bash launch/guard.sh --when-done 'aws x' --max-days 9 runs/a r2:b bash launch/run.sh",
        "bash launch/guard.sh --when-done 'aws x' --max-hours 9 runs/a r2:b bash launch/run.sh "
        "--out runs/b",
    ],
)
def test_a_command_that_names_nothing_would_be_found(line):
    with pytest.raises((SystemExit, AssertionError, OSError, ValueError, KeyError)):
        known(shlex.split(line))


def test_the_blocks_are_shell_that_parses():
    for where, why, kind, text in BLOCKS:
        if kind == "bash":
            checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
            assert checked.returncode == 0, (where, why, checked.stderr)


def test_what_the_text_names_in_passing_exists(capsys):
    with pytest.raises(SystemExit):
        understood(["--help"])
    options = capsys.readouterr().out + "--env --nodes --dryrun "
    guard = (ROOT / "launch" / "guard.sh").read_text(encoding="utf-8")
    options += " ".join(re.findall(r"(?m)^# (--[a-z-]+) ", guard)) + " "
    spans = re.findall(r"`([^`\n]+)`", BLOCK.sub("", PAGE))
    for span in spans:
        if span.startswith("launch/"):
            assert (ROOT / span).is_file(), span
        elif span.startswith("--"):
            for option in re.findall(r"--[a-z-]+", span):
                assert f"{option} " in f"{options} ".replace("\n", " ").replace(",", " "), option
        elif span.startswith("gpt2 "):
            known(shlex.split(span)) if span.count(" ") > 1 else cli.COMMANDS[span[5:]]


def test_no_address_of_anybody_stands_here():
    found = re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", PAGE + COLAB.read_text(encoding="utf-8"))
    assert found and not any(ipaddress.ip_address(one).is_global for one in found)
    assert not any(one == "0.0.0.0" for one in found)


# --- prices and times, and where they are from

TIME_OR_MONEY = re.compile(
    r"(\d[\d.,]*)((?:<!--.*?-->)?)[ \u00a0](?:dollars|hours?|minutes|months?)\b"
)


def unsourced(text: str) -> list[str]:
    """Prices and times that neither a marker nor a link beside them vouches for."""
    text = re.sub(r"(?ms)^```\w*\n.*?^```$", "", text)
    text = re.sub(r"`[^`\n]*`", "", text)
    beside = re.split(r"\n\s*\n|\n(?=[|\d-])", text)  # a paragraph, a row, an item
    return [
        f"{number} in {part[:60]!r}"
        for part in beside
        for number, marker in TIME_OR_MONEY.findall(part)
        if not marker and "](https://" not in part
    ]


def test_each_price_and_time_has_a_source_or_is_the_plans():
    assert len(TIME_OR_MONEY.findall(PAGE)) > 15
    assert unsourced(PAGE) == []
    assert unsourced("It takes 5 hours.\n\nSee [it](https://a.b).") == ["5 in 'It takes 5 hours.'"]
    assert unsourced("It costs 5<!-- plan:1xh100.dollars --> dollars.") == []


def test_what_a_provider_says_is_linked_and_dated():
    assert PAGE.count("2026-11-29") >= 2
    for page in ("accounts-billing/billing", "runpodctl/overview", "configuration/use-ssh"):
        assert f"https://docs.runpod.io/{'pods/' * page.startswith('conf')}{page}" in PAGE
    assert "https://docs.lambda.ai/public-cloud/billing" in PAGE
    assert "https://developers.cloudflare.com/r2/pricing/" in PAGE


def test_the_guard_gives_the_plan_its_time_and_no_second_one():
    (hours,) = {int(found) for found in re.findall(r"--max-hours (\d+)", PAGE)}
    plan = planned()["plan:1xh100.hours"]
    assert 1.25 * plan < hours < 2 * plan and "well above the hours of the plan" in PAGE


def test_the_road_is_walked_in_its_own_order():
    """Each step of the table is a heading below it, in that order."""
    steps = re.findall(r"(?m)^\| \d+\. .*?\(#([\w-]+)\)", PAGE)
    titles = re.findall(r"(?m)^##+ (.+)$", PAGE)
    slugs = [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]
    assert len(steps) == 11 and set(steps) <= set(slugs)
    assert steps == sorted(steps, key=slugs.index)


# --- the numbers that no marker reaches


def rows_of(table: str) -> list[list[str]]:
    """The rows of the table whose first line begins so, as lists of cells."""
    (body,) = re.findall(rf"^{re.escape(table)}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]


def test_the_table_of_machines_has_every_machine():
    named = [row[0].strip("`") for row in rows_of("| preset | machine")]
    assert sorted([*named, "cpu"]) == sorted(MACHINES)
    when = re.search(r"\w+ and \w+ \d{4}", PRICES_SEEN)[0]
    assert f"third-party pages in {when}" in PAGE


def test_the_numbers_that_run_sh_ends_with():
    found = {int(row[0]): row[1] for row in rows_of("| number | meaning") if row[0].isdigit()}
    assert found == WORDS
    text = (ROOT / "launch" / "run.sh").read_text(encoding="utf-8")
    assert "65 | 70 | 74 | 78)" in text and "${TRIES:-3}" in text and "${PORT:-29500}" in text


def run_of(start=10.9, val=4.0, train=4.0, apart=0.0, norm=0.5):
    """A log that looks right but for what is given."""
    falls = [(step, start + (train - start) * min(1, step / 100)) for step in range(1, 401)]
    rows = [{"step": s, "loss": v, "norm": norm, "lr": 6e-4 * min(s, 40) / 40} for s, v in falls]
    for row in rows:
        row["tokens"] = 65_536 * row["step"]
    looks = [(0, start), (200, val + 0.1), (300, val), (400, val)]
    return rows + [{"step": step, "val": value, "apart": apart} for step, value in looks]


def test_the_doctors_alarms_ring_where_the_page_says():
    said = [float(re.findall(r"`([\d.]+)`", row[0])[0]) for row in rows_of("| what you see |")]
    start, val, gap, apart, norm = said
    names = lambda **how: [cause.name for cause in causes(run_of(**how))]  # noqa: E731
    assert names() == []
    assert names(start=start - 0.1) == [] and "the first weights are too large" in names(
        start=start + 0.1
    )
    assert names(val=val + 0.05, train=val + 0.05) == []
    found = names(val=val - 0.05, train=val - 0.05)
    assert "targets are the inputs (y = x)" in found and "the causal mask is missing" in found
    assert names(val=1 + gap - 0.05, train=1.0) == []
    assert "the same batch again and again" in names(val=1 + gap + 0.05, train=1.0)
    assert apart == 0 and "the DDP wrapper is dropped (model.module is trained)" in names(
        apart=1e-9
    )
    assert names(norm=norm - 0.1) == []
    found = names(norm=norm + 0.1)
    assert "zero_grad is forgotten" in found
    assert "the loss is not divided by the number of pieces" in found


def test_the_log_of_the_rehearsal_is_of_whole_runs_that_learned():
    assert len({run["seed"] for run in LOG["runs"]}) == len(LOG["runs"]) >= 3
    for run in LOG["runs"]:
        val = list(run["val"].values())
        assert list(run["val"]) == [str(step) for step in range(0, 1001, 100)]
        assert val == sorted(val, reverse=True) and abs(val[0] - math.log(65)) < 0.1
    assert LOG["minutes"] == round(statistics.mean(run["seconds"] for run in LOG["runs"]) / 60)


def test_the_lines_that_the_page_shows_were_printed():
    assert SHOWN[0].splitlines() == LOG["printed"]


# --- the dress rehearsal, line by line


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The book as a clone of it would be: what git has or would take, and nothing else."""
    folder = tmp_path_factory.mktemp("a clone")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("notebooks/", "_build/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


# One process needs no torchrun, and what `gpt2` prints is looked at in this one. Both are run by
# tests/launch and tests/commands; here they would only import torch once more.
STAND_INS = {
    "torchrun": 'while [[ $1 != *.py ]]; do shift; done\nexec python "$@"\n',
    "gpt2": 'case "$1 $2" in doctor*|sample*|"prepare check") '
    'printf "%q " "$@" >>asked.txt; echo >>asked.txt ;;\n'
    f'*) exec {shlex.quote(str(Path(sys.executable).parent / "gpt2"))} "$@" ;; esac\n',
}


def environment(clone: Path) -> dict[str, str]:
    """What a reader's window has, with the clone's own package first."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    programs = clone / "stand-ins"
    programs.mkdir(exist_ok=True)
    for name, lines in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/bash\n{lines}")
        (programs / name).chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": str(clone / "src"), "OMP_NUM_THREADS": "1"}


def typed(line: str, clone: Path, code: int = 0) -> str:
    ran = subprocess.run(
        ["bash", "-c", line],
        cwd=clone,
        env=environment(clone),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert ran.returncode == code, f"{line}\n{ran.stdout[-3000:]}"
    return ran.stdout


def family(parent: int) -> list[int]:
    """A process's children, theirs, and so on."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True)
    parents = dict(map(int, line.split()) for line in listed.stdout.splitlines())
    found, new = [], {parent}
    while new := {pid for pid, above in parents.items() if above in new}:
        found += new
    return found


def interrupted(line: str, clone: Path, saved: int, sign: int) -> tuple[int, str]:
    """Type a line, wait until it has saved so often, and interrupt it as a terminal does."""
    with (clone / "said.txt").open("w+") as said:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=clone,
            env=environment(clone),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end = time.monotonic() + 200
        while len(list(clone.glob("**/checkpoints/step_*/manifest.json"))) < saved:
            assert process.poll() is None and time.monotonic() < end, Path(said.name).read_text()
            time.sleep(0.05)
        killed = family(process.pid) if sign == signal.SIGKILL else []
        os.killpg(process.pid, sign)
        for one in killed:  # a machine that vanishes takes all along
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, sign)
        process.wait(timeout=120)
        said.seek(0)
        return process.returncode, said.read()


@pytest.mark.slow
def test_the_dress_rehearsal_line_by_line(clone, capsys, monkeypatch):
    heard, run = {}, clone / "runs" / "rehearsal"
    monkeypatch.chdir(clone)
    gpt2 = command(capsys)
    for where, how, kind, text in BLOCKS:
        if where != "run":
            continue
        if kind == "python":
            heard["python"] = typed(f"python - <<'PY'\n{text}PY", clone)
            continue
        for line in text.splitlines():
            again = f"{line} {HURRY} {LOOK}" if line.startswith("bash launch/run.sh") else line
            if line.startswith("gpt2 "):
                said = gpt2(*shlex.split(line)[1:])
                assert said.code == 0, said
                heard[line] = said.out
                continue
            if how == "here":
                heard[line] = typed(again, clone)
                continue
            assert "press Ctrl-C" in how
            code, said = interrupted(again, clone, 2, signal.SIGINT)
            assert code == STOPPED and "stopped; the same command goes on" in said, said
            stopped = RunFolder(run).status()
            assert stopped["code"] == STOPPED and 0 < stopped["step"] < 60

    assert (run / "DONE").is_file() and (clone / "runs" / "lost" / "checkpoints").is_dir()
    steps = [row["step"] for row in RunFolder(run).rows() if "loss" in row]
    assert steps == list(range(1, 61))  # none twice, none left out
    assert "809,856 parameters" in heard["gpt2 plan --preset cpu"]
    assert heard["python"].endswith("\n809,856 parameters\n")  # after a bar
    assert "2.50 an hour (yours)" in heard["gpt2 plan --preset 1xh100 --price 2.50"]
    (sample,) = (said for line, said in heard.items() if line.startswith("gpt2 sample"))
    assert sample.startswith("ROMEO:") and len(sample) > 200


def test_the_list_of_the_page_is_that_of_the_rehearsal():
    text = (ROOT / "launch" / "rehearse.sh").read_text(encoding="utf-8")
    held = re.findall(r'(?m)^ *holds "([^"]+)"', text)
    here = PAGE.partition("bash launch/rehearse.sh")[2].partition("\n(Lines 4 to 6")[0]
    listed = re.findall(r"(?m)^\d+\. (.+)$", here)
    assert [re.sub(r"step \d+", "step $left", line) for line in listed] == held
    assert len(held) > 10 and "vanish" in text and "rent machine-2" in text


# --- what ends the machine

ENDING = """#!/bin/bash
echo "$*" >>"$TOLD"
[ "$1 $2" != "$REFUSED" ]
"""


ENDED = {  # provider: the program, the variables, what it refuses, what it is asked
    "runpod": ("runpodctl", {"RUNPOD_POD_ID": "p-7"}, "", ["pod delete p-7"]),
    "runpod, an older program": (
        "runpodctl",
        {"RUNPOD_POD_ID": "p-7"},
        "pod delete",
        ["pod delete p-7", "remove pod p-7"],
    ),
    "lambda": (
        "curl",
        {"LAMBDA_API_KEY": "key", "LAMBDA_INSTANCE": "i-7"},
        "",
        [
            "--fail -u key: -H Content-Type: application/json -d "
            '{"instance_ids": ["i-7"]} '
            "https://cloud.lambdalabs.com/api/v1/instance-operations/terminate"
        ],
    ),
}


@pytest.mark.parametrize("provider", ENDED)
def test_the_line_of_the_show_ends_the_machine_when_the_run_is_done(tmp_path, provider):
    name, variables, refused, asked = ENDED[provider]
    (line,) = (one for one in LINES if one.startswith("bash launch/guard.sh") and name in one)
    options, _ = guarded(shlex.split(line)[2:])
    program = tmp_path / "programs" / name
    program.parent.mkdir()
    program.write_text(ENDING)
    program.chmod(0o755)
    words = [word for pair in options.items() for word in pair] + ["--grace", "0", "run", "bucket"]
    training = "mkdir -p run; echo done >run/DONE; echo {} >run/metrics.jsonl"
    kept = {"TOLD": str(tmp_path / "told.txt"), "REFUSED": refused, **variables}
    kept |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    ran = subprocess.run(
        ["bash", str(ROOT / "launch" / "guard.sh"), *words, "bash", "-c", training],
        cwd=tmp_path,
        env=os.environ | kept | {"EVERY": "1", "STILL": "0", "TICK": "0.1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "told.txt").read_text().splitlines() == asked
    assert (tmp_path / "bucket" / "DONE").is_file()
    if provider == "runpod":  # then it also says what the page shows, but for names and the hour
        said = ran.stderr.replace(" bucket,", " r2:my-bucket/gpt2,").replace(
            " 0 s later", " 300 s later"
        )
        hour = re.compile(r"limit: \w+ \d\d:\d\d \w+,")
        shown = [hour.sub("limit:", line) for line in SHOWN[1].splitlines()]
        heard = [hour.sub("limit:", line) for line in said.splitlines()][: len(shown)]
        assert heard[1:] == shown[1:] and heard[0].split()[:2] == shown[0].split()[:2]
        assert shown[0].removeprefix("guard.sh: starts ") in line


# --- the notebook for a free T4


def test_the_notebook_is_stored_clean():
    notebook = json.loads(COLAB.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert "/blob/main/launch/colab.ipynb" in PAGE
    assert "EVERY = 1800" in str(notebook) and "every half hour" in PAGE


GOOGLE = """import shutil
from pathlib import Path


class drive:
    @staticmethod
    def mount(place):
        raise AssertionError("no Drive was asked for")


class files:
    @staticmethod
    def upload():
        shutil.copy("downloaded.zip", "up.zip")
        return {"up.zip": b""}

    @staticmethod
    def download(name):
        shutil.copy(name, "downloaded.zip")
"""


def as_script(clone: Path, **settings: str) -> str:
    """The notebook with its settings changed as a reader would, ready for IPython."""
    notebook = json.loads(COLAB.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    (first,) = (cell for cell in cells if "PRESET = " in "".join(cell["source"])[:9])
    text = "".join(first["source"])
    for name, value in settings.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert count == 1, name
    first["source"] = text
    (clone / "colab.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (clone / "google").mkdir(exist_ok=True)
    (clone / "google" / "colab.py").write_text(GOOGLE)
    python = shlex.quote(sys.executable)
    return f"env MPLBACKEND=agg PYTHONPATH=src:. {python} -m IPython colab.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("drive", tiered([True, False], [False]))
def test_the_notebook_goes_on_where_colab_cut_it_off(clone, drive, tmp_path_factory):
    mine = tmp_path_factory.mktemp("colab")
    for part in clone.iterdir():
        if part.name not in ("runs", "book"):  # what earlier commands have left there
            copy = shutil.copytree if part.is_dir() else shutil.copy2
            copy(part, mine / part.name)
    keep = mine / "My Drive" / "gpt2"
    settings = {"PRESET": '"cpu"', "EVERY": "1", "KEEP": repr(str(keep)) if drive else "None"}
    settings["MORE"] = repr(f"--price 0 {HURRY}")
    if drive:  # in the midst of it the machine vanishes, and its disk with it
        code, said = interrupted(as_script(mine, **settings), mine, 4, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        time.sleep(1)
    else:  # an end of one's own, with a download
        settings["MORE"] = repr(f"{HURRY} {LOOK} --n-layer 1 --n-embd 32 --seed 2")
        typed(as_script(mine, **settings, DOWNLOAD="True"), mine)
        assert (mine / "downloaded.zip").is_file()
        shutil.rmtree(mine / "kept")
        settings["UPLOAD"] = "True"
    shutil.rmtree(mine / "runs")
    shutil.rmtree(mine / "data")
    said = typed(as_script(mine, **settings), mine)
    assert "came back from" in said or "holds a run that is done" in said, said
    asked = (mine / "asked.txt").read_text(encoding="utf-8").splitlines()
    assert {line.split()[0] for line in asked} == {"prepare", "doctor", "sample"}
    for line in asked:
        known(shlex.split(f"gpt2 {line}"))
    run = RunFolder(mine / "runs" / "cpu")
    assert (run.path / "DONE").is_file() and (run.path / "model").is_dir()
    steps = [row["step"] for row in run.rows() if "loss" in row]
    assert steps == list(range(1, 61))
