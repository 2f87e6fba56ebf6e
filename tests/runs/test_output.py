"""output, sentence, ending: what is said is short, can be shown anywhere, and ends no run."""

import io
import os
import subprocess
import sys

import pytest

from gpt2_tutorial.runs import ending, output
from gpt2_tutorial.runs.progress import tell
from gpt2_tutorial.runs.sentence import LONGEST, sentence
from gpt2_tutorial.runs.trackers import _optional

ROW = {"step": 1, "val": 4.0, "sample": "é中😉 “…” \u2028\x00"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "cp437", "shift_jis"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_screen_that_cannot_show_a_letter_ends_no_run(monkeypatch, encoding, errors):
    seen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(seen, encoding=encoding, errors=errors))
    tell(ROW)
    tell(ROW | {"sample": "half \udcff"})
    assert seen.getvalue().count(b"val 4.0000") == 2


class Full(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize(
    "error", [OSError(28, "full"), BrokenPipeError(), ValueError("I/O operation on closed file")]
)
def test_a_screen_that_is_gone_ends_no_run(monkeypatch, error):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Full(error))
    tell(ROW)
    output.say("more", sys.stderr)
    fails = _optional("wandb", lambda row: 1 / 0)
    fails(ROW), fails(ROW)
    monkeypatch.setattr(sys, "stdout", None)  # as with `>&-`
    tell(ROW)


@pytest.mark.skipif(os.name == "nt", reason="pipes of Unix")
def test_a_reader_that_goes_away_changes_no_exit_code():
    code = "from gpt2_tutorial.runs.output import say\nfor i in range(9999): say('x' * 99)"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(60) == 0


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * 100_147),
        ValueError("\ud800 is no letter: save it as UTF-8"),
        OSError(2, "No such file or directory", "z\udcff" * 400),
        KeyError("\udcff"),
        ValueError("first\nsecond"),
        ValueError(""),
    ],
)
def test_every_error_is_one_short_sentence_that_can_be_written(error):
    said = sentence(error)
    said.encode()
    assert 0 < len(said) <= LONGEST + 3 and "\n" not in said


def test_what_to_do_stands_at_the_end_of_a_sentence_that_was_cut():
    assert sentence(ValueError("9" * 9_999 + ": take a smaller one")).endswith("take a smaller one")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("warmup_steps is 50, more than max_steps", "--warmup-steps is 50, more than --max-steps"),
        ("batch_tokens=100 cannot", "--batch-tokens=100 cannot"),
        ("or another micro_batch", "or another --micro-batch"),
        ("runs/max_steps holds no run", "runs/max_steps holds no run"),
        ("my_max_steps and max_steps_2 are files", "my_max_steps and max_steps_2 are files"),
    ],
)
def test_settings_are_told_as_they_are_typed(said, told):
    assert ending.of_error(ValueError(said)).reason == told
