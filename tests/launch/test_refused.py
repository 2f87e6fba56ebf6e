"""A training that is refused: one sentence, a code, and all as it was before."""

import json
import os
import sys

import pytest

from gpt2_tutorial import checkpoint
from gpt2_tutorial.launch import look, train_gpt2
from gpt2_tutorial.shards import write_shards
from gpt2_tutorial.text import CharTokenizer
from in_process import command

SMALL = "--preset cpu --device cpu --n-layer 1 --n-embd 16 --n-head 2 --block-size 16"
SMALL += " --micro-batch 8 --batch-tokens 256 --warmup-steps 1 --eval-batches 1 --max-steps 2"
SMALL = SMALL.split()
SETTINGS = {  # what is known to be wrong before anything is read
    "heads": (("--n-head", 3), "3 heads cannot share --n-embd=16 equally"),
    "no context": (("--block-size", 0), "--block-size must be a whole number above 0, not 0"),
    "a batch": (("--batch-tokens", 100), "(--micro-batch 8 × --block-size 16 × 1 process): take"),
    "precision": (("--precision", "fp8"), "precision is auto, fp32, bf16 or fp16, not 'fp8'"),
    "steps": (("--max-steps", -4), "--max-steps must be at least 1, not -4"),
    "no steps": (("--max-steps", 0), "--max-steps must be at least 1, not 0"),
    "warm-up": (("--warmup-steps", 9), "--warmup-steps is 9, more than the 2 of --max-steps"),
    "rates": (("--max-lr", 1e-6), "--min-lr is 0.0002, more than the 1e-06 of --max-lr: lower"),
    "memory of AdamW": (("--beta1", 1.5), "beta1 must be 0 or more and below 1, not 1.5"),
    "recipe": (("--recipe", "llama"), "recipe must be gpt2 or modern, not 'llama'"),
    "two rates": (("--recipe", "modern", "--max-lr", 0, "--min-lr", 0), "needs --max-lr above 0"),
    "Muon in parts": (("--recipe", "modern", "--shard"), "cannot shard, for Muon needs every"),
    "seed": (("--seed", 2**32), "seed must be 0 or more and below 4,294,967,296, not 4294967296"),
}
FOUND = {  # what is found later: by the data, by another file, by the machine
    "fewer tokens": (78, ("--vocab-size", 10), "--vocab-size 10 is less than the 65 tokens"),
    "no data": (78, ("--preset", "t4"), "--data is missing: the folder that `gpt2 prepare` wrote"),
    "nowhere": (65, ("--data", "nowhere"), "(`gpt2 prepare` does)"),
    "nothing": (65, ("--data", "empty"), "empty holds no shards.json to read"),
    "a small text": (65, ("--data", "small"), "tokens of train in small are"),
    "rows": (65, ("--micro-batch", 10**6, "--batch-tokens", 16 * 10**6), "take a B (--micro-ba"),
    "shard": (78, ("--shard", "--precision", "fp16"), "a run with shard knows no fp16: take"),
    "odd heads": (78, ("--recipe", "modern", "--n-embd", 18), "a head of 9 has one left over"),
    "items": (78, ("--hellaswag", "none"), "--hellaswag none is no file: name a file of items"),
    "no items": (78, ("--hellaswag", "text"), "text, line 1 is no item: JSONDecodeError"),
    "tracker": (78, ("--tracker", "wandb"), "needs a package that is not installed: pip install"),
    "too wide": (78, ("--n-embd", 2**22, "--n-head", 1), "there is too little memory here: lower"),
    "disk": (74, ("--keep", 10**12), "make room, choose another folder, or lower --keep"),
    "a file": (74, ("--out", "text"), "text cannot be written to (File exists): mend that or cho"),
}
ALL = {name: (78, *known) for name, known in SETTINGS.items()} | FOUND


@pytest.fixture
def gpt2(capsys):
    return command(capsys)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder to stand in, with other things in it than a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not there
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no item")
    letters = CharTokenizer("ab\n")
    write_shards(["ab", "ba"], letters, tmp_path / "small", end_of_text=0, val_every=2)
    return tmp_path


def content(folder):
    """All that lies in a folder: names, and what is in the files."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(said, code, part):
    assert said.code == code and part in said.err, said
    assert said.err.count("\n") == 1 and said.out == "", said


@pytest.mark.parametrize(("code", "words", "part"), ALL.values(), ids=ALL)
def test_a_refused_training_leaves_nothing(home, gpt2, code, words, part):
    before = content(home)
    refused(gpt2("train", *SMALL, "--out", "runs/new", *words), code, part)
    assert content(home) == before


def test_without_a_network_hellaswag_is_a_short_sentence(home, gpt2, monkeypatch):
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", str(home / "empty"))
    monkeypatch.setattr("gpt2_tutorial.assets._fetch", no_network)
    before = content(home)
    said = gpt2("train", *SMALL, "--out", "new", "--hellaswag", "val")
    refused(said, 65, "hellaswag_val.jsonl could not be had")
    assert max(map(len, said.err.split())) < 64 + len(str(home)) and content(home) == before


def no_network(asset, url):
    from gpt2_tutorial.assets import AssetError

    raise AssetError("it did not arrive")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was stopped by nobody: two steps, and a model."""
    folder = tmp_path_factory.mktemp("run")
    assert train_gpt2.main([*SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--n-head", 3), "3 heads cannot share"),
        (("--max-lr", 0.1), "--max-lr was 0.002 and is 0.1"),
        (("--max-lr", 0.1, "--tracker", "tensorboard"), "--max-lr was 0.002 and is 0.1"),
        (("--vocab-size", 128), "--vocab-size was 65 and is 128"),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_a_run_that_is_there_stays_as_it_is(run, gpt2, words, part, done):
    (run / "DONE").rename(run / "aside") if not done else None
    before = content(run)
    try:
        refused(gpt2("train", *SMALL, "--out", run, *words), 78, part)
        # the process that holds it writes itself down
        assert content(run) | {run / "lock": 0} == before | {run / "lock": 0}
    finally:
        (run / "aside").rename(run / "DONE") if not done else None


def test_data_that_were_there_before_stay(home, gpt2):
    """Whole ones, and those of a call that was killed."""
    train_gpt2.write_shakespeare(home / "new" / "data")
    for cut in (False, True):
        (home / "new" / "data" / "shards.json").unlink() if cut else None
        before = {path.name for path in (home / "new").rglob("*")}
        refused(gpt2("train", *SMALL, "--out", "new", "--vocab-size", 10), 78, "65 tokens")
        assert {path.name for path in (home / "new").rglob("*")} - before <= {"shards.json"}


def test_behind_torchrun_the_word_stays_for_the_launcher(home, monkeypatch, capsys):
    """It loses exit codes, and run.sh would try again."""
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert train_gpt2.main([*SMALL, "--out", "new", "--n-head", "3"]) == 78
    assert json.loads((home / "new" / "status.json").read_text())["code"] == 78
    assert not (home / "new" / "data").exists()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("words", "part"), SETTINGS.values(), ids=SETTINGS)
def test_run_sh_is_told_before_it_starts_a_process(home, capsys, words, part):
    before = content(home)
    assert look.main([*SMALL, "--out", "new", *map(str, words)]) == 78
    assert part in capsys.readouterr().err and content(home) == before


def test_run_sh_says_how_many_processes_there_will_be(home, monkeypatch, capfdbinary):
    words = [*SMALL, "--out", "new"]
    for count, code in {"1": look.START, "2": look.START, "3": 78}.items():
        monkeypatch.setenv("WORLD_SIZE", count)
        assert look.main(words) == code
    assert "× 3 processes): take 384" in capfdbinary.readouterr().err.decode()


def test_a_checkpoint_that_is_no_run_stays(home, gpt2):
    checkpoint.save(home / "new" / "checkpoints", 40, {"model": {"w": 1}})
    before = content(home)
    refused(gpt2("train", *SMALL, "--out", "new"), 78, "holds no run of this script: take an")
    assert content(home) == before and "lock" not in os.listdir(home / "new")
