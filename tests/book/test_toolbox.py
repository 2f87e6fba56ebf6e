"""The toolbox: every line on the page is run, and prints what the page says it prints."""

from __future__ import annotations

import doctest
import json
import re
import shlex
from dataclasses import replace

import pytest
import torch
from serving import ROOT

from gpt2_tutorial import assets
from gpt2_tutorial.commands import cli
from gpt2_tutorial.config import PRESETS
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.pretrained import save_gpt2
from gpt2_tutorial.runs.run_folder import RunFolder

PAGE = (ROOT / "book" / "toolbox.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)\n```$", PAGE, flags=re.MULTILINE | re.DOTALL)
SETUP, *BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def examples(block: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(block)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][4:44])
def test_a_line_prints_what_stands_below_it(block):
    names: dict[str, object] = {}
    exec(SETUP, names)
    test = doctest.DocTest(examples(block), names, "toolbox", "toolbox.md", 0, block)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert said == [], "".join(said)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][4:44])
def test_each_is_one_line_with_something_to_see(block):
    (example,) = examples(block)
    assert example.want.strip()
    assert "\n" not in example.source.strip()


def test_a_wrong_output_would_be_found():
    test = doctest.DocTest(examples(">>> 1 + 1\n3\n"), {}, "wrong", None, 0, None)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder where the names on the page are small models and a small play."""
    folder = tmp_path_factory.mktemp("here")
    play = "ROMEO:\nIt is the east.\n\nJULIET:\nAy me.\n"
    characters = sorted(set(play))
    for name, size in (("gpt2", 50257), ("simple-gpt", len(characters))):
        torch.manual_seed(1)
        save_gpt2(GPT(GPTConfig(16, size, n_layer=1, n_head=1, n_embd=4)), folder / name)
    (folder / "simple-gpt" / "characters.json").write_text(json.dumps(characters))
    (folder / "play.txt").write_text(play)
    with RunFolder(folder / "my-run") as run:
        run.log({"step": 0, "val": 4.2})
    return folder


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_does_what_the_page_says(line, folder, monkeypatch, capsys):
    item = json.dumps({"ctx": "He", "endings": ["sits.", "sat."], "label": 0}) + "\n"
    monkeypatch.setattr(assets, "read_text", _or(assets.read_text, item * 120))
    small = replace(PRESETS["cpu"], n_layer=1, n_embd=8, max_steps=2, warmup_steps=1)
    monkeypatch.setitem(PRESETS, "cpu", replace(small, batch_tokens=512, eval_batches=1))
    monkeypatch.chdir(folder)
    program, *words = shlex.split(line)
    assert program == "gpt2" and "\n" not in line
    try:
        assert cli.main(words) == 0
    except SystemExit as stop:
        assert stop.code == 0 and "--help" in words
    said = capsys.readouterr()
    assert said.out and said.err == ("done: all steps are done\n" if "train" in words else "")
    if "--json" in words:
        assert len(json.loads(said.out)["samples"]) == 3
    if "--hellaswag" in words:
        assert re.match(r"n +100\n", said.out)


def _or(read_text, items):
    return lambda name: items if name == "hellaswag_val.jsonl" else read_text(name)


def test_every_word_of_the_command_stands_on_the_page():
    shown = {shlex.split(line)[1] for line in COMMANDS}
    assert shown == {*cli.COMMANDS, "--help"}
