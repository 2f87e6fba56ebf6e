"""launch/rehearse.sh: the whole road at home; and each line of its list can fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tiers import tiered

if os.name == "nt":
    pytest.skip("bash and signals of Unix", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
LINES = 14  # of the list, in the short form
# A training that takes no time: it saves every ten steps, and goes on where it was stopped.
TRAINING = """#!/bin/bash
while [ $# -gt 0 ]; do
  case $1 in --out) out=$2 ;; --max-steps) steps=$2 ;; esac
  shift
done
mkdir -p "$out/checkpoints"
step=$(ls "$out/checkpoints" | sed 's/step_0*//' | sort -n | tail -n 1)
step=${step:-0}
[ "$FAULT" != "from the beginning" ] || step=0
head -n "$step" "$out/metrics.jsonl" 2>/dev/null >"$out/new"
mv "$out/new" "$out/metrics.jsonl"
while [ "$step" -lt "$steps" ]; do
  step=$((step + 1))
  printf 'step %6d · loss 4\\n' "$step"
  echo "{\\"step\\": $step, \\"loss\\": 4}" >>"$out/metrics.jsonl"
  [ "$FAULT$step" != twice50 ] || echo "{\\"step\\": $step, \\"loss\\": 4}" >>"$out/metrics.jsonl"
  [ $((step % 10)) -ne 0 ] || {
    one=$out/checkpoints/$(printf 'step_%08d' "$step")
    rm -rf "$one.part" && mkdir "$one.part" && cd "$one.part" && echo "$step" >weights || exit
    [ "$FAULT" != "no checkpoint" ] || exit 0
    echo " \\"weights\\": \\"$(shasum -a 256 weights | cut -c1-64)\\"" >manifest.json
    cd "$OLDPWD" && rm -rf "$one" && mv "$one.part" "$one"
    sleep 0.2
  }
done
[ "$FAULT" != "given up" ] || exit 1
mkdir "$out/model"
echo 1 >"$out/model/config.json"
[ "$FAULT" = "no model" ] || echo 1 >"$out/model/model.safetensors"
touch "$out/DONE"
echo "run.sh: $out is done"
[ "$FAULT" != "another code" ] || exit 3
"""
FAULTS = {  # the line of the list where each is found, in the order of the tests
    "": None,
    "a copy cut off": None,  # the machine vanished while it wrote a manifest
    "no limit": 1,
    "no checkpoint": 3,
    "from the beginning": 6,
    "given up": 7,
    "another code": 10,
    "never ended": 9,
    "still on the list": 11,
    "twice": 13,
    "no model": 14,
}
STAY = ("", "no limit", "from the beginning", "still on the list")  # in `make test`
CUT_OFF = 'vanish\n: >"$(ls -d "$bucket"/gpt2/checkpoints/*/manifest.json | tail -n 1)"\nif'
PLANTED = {  # in a script: what is there, and what is there instead
    "a copy cut off": ("rehearse.sh", "vanish\nif", CUT_OFF),
    "no limit": ("guard.sh", 'say "limit: ', ': "'),
    "never ended": ("guard.sh", "# --- the end of the machine\n", "exit 71\n"),
    "still on the list": ("rehearse.sh", 'rm "provider/$1"', "true"),
}


def rehearsal(root, folder, *words, fault="", path=""):
    (folder / "tmp").mkdir(parents=True)
    env = {"FAULT": fault, "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    env |= {"PATH": f"{path}{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env |= {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        ["bash", root / "launch" / "rehearse.sh", *words],
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines(text):
    return re.findall(r"(?m)^([✓✗]) (\d+) (.*)$", text)


class Rehearsals:
    """By fault. Whoever asks for one starts the next few as well, since they mostly wait."""

    def __init__(self, top, faults):
        self.top, self.faults, self.started = top, faults, {}

    def __getitem__(self, fault):
        first = self.faults.index(fault)
        for near in self.faults[first : first + 4]:
            if near not in self.started:
                self.started[near] = self.start(near)
        return self.started[fault]

    def start(self, fault):
        root = self.top / (fault or "no fault")
        shutil.copytree(ROOT / "launch", root / "launch")
        (root / "launch" / "run.sh").write_text(TRAINING)
        if fault in PLANTED:
            name, old, new = PLANTED[fault]
            script = root / "launch" / name
            text = script.read_text()
            assert text.count(old) == 1
            script.write_text(text.replace(old, new))
        return rehearsal(root, root, "--quick", fault=fault)


@pytest.fixture(scope="module")
def rehearsals(request, tmp_path_factory):
    name = test_every_line_of_the_list_can_fail.__name__
    asked = [item for item in request.session.items if item.name.startswith(name)]
    faults = [item.callspec.params["fault"] for item in asked]
    rehearsals = Rehearsals(tmp_path_factory.mktemp("at home"), faults)
    yield rehearsals
    for process in rehearsals.started.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("fault", tiered(FAULTS, STAY))
def test_every_line_of_the_list_can_fail(rehearsals, fault):
    process, where = rehearsals[fault], FAULTS[fault]
    text, _ = process.communicate(timeout=400)
    found = lines(text)
    assert [int(number) for _, number, _ in found] == list(range(1, (where or LINES) + 1)), text
    assert [mark for mark, _, _ in found[:-1]] == ["✓"] * (len(found) - 1)
    assert process.returncode == (1 if where else 0) and found[-1][0] == ("✗" if where else "✓")
    assert ("All of it is in" in text) == bool(where)


def test_what_it_cannot_do_is_said_at_once(tmp_path):
    process = rehearsal(ROOT, tmp_path, "--fast")
    assert "launch/rehearse.sh --quick" in process.communicate(timeout=60)[0]
    assert process.returncode == 64


@pytest.mark.slow
def test_the_short_form_with_the_real_training(tmp_path):
    process = rehearsal(ROOT, tmp_path, "--quick")
    text, _ = process.communicate(timeout=400)
    assert process.returncode == 0, text
    assert [mark for mark, _, _ in lines(text)] == ["✓"] * LINES
    assert "all of it holds" in text and not list((tmp_path / "tmp").iterdir())


@pytest.mark.soak
def test_the_long_form_lets_the_model_speak(tmp_path):
    process = rehearsal(ROOT, tmp_path)
    text, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, text
    assert [mark for mark, _, _ in lines(text)] == ["✓"] * (LINES + 1)
    assert "    ROMEO:" in text
