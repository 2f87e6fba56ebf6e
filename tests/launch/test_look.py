"""look and run.sh: wrong settings are refused at once, and DONE is believed for its own run."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpt2_tutorial.launch import look, train_gpt2
from gpt2_tutorial.runs.run_folder import RunFolder
from gpt2_tutorial.shards import write_shards
from gpt2_tutorial.text import CharTokenizer

ROOT = Path(__file__).resolve().parents[2]
RUN_SH = ROOT / "launch" / "run.sh"
SMALL = "--preset cpu --device cpu --n-layer 1 --n-embd 16 --n-head 2 --block-size 16"
SMALL += " --micro-batch 8 --batch-tokens 256 --warmup-steps 1 --eval-batches 1 --max-steps 2"
SMALL = SMALL.split()
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
TORCHRUN = "#!/bin/bash\necho STARTED\nexit 1\n"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="bash and names of Unix")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that is done, on data of its own."""
    home = tmp_path_factory.mktemp("finished")
    letters = CharTokenizer("abcdefghij\n")
    for name, first in (("dA", "abcj"), ("dB", "bacj")):
        texts = [first * 50 + "defghi" * n for n in range(40)]
        write_shards(texts, letters, home / name, 2000, end_of_text=0, val_every=5)
    words = [*SMALL, "--data", str(home / "dA"), "--out", str(home / "run")]
    assert train_gpt2.main(words) == 0
    return home


def looked(home, capfdbinary, *words, data="dA"):
    words = [*SMALL, "--data", str(home / data), "--out", str(home / "run"), *words]
    code = look.main(words)
    said = capfdbinary.readouterr()
    assert b"Traceback" not in said.err
    return code, said.out, said.err.decode()


SETTINGS = "this folder holds a run with other settings: "
SAME = [(), ("--keep", "5"), ("--eval-every", "7"), ("--precision", "auto"), ("--micro-batch", "4")]
OTHER = [
    (("--max-steps", "6"), f"{SETTINGS}--max-steps was 2 and is 6"),
    (("--seed", "1"), f"{SETTINGS}seed was 1337 and is 1"),
    (("--max-lr", "0.1"), f"{SETTINGS}--max-lr was 0.002 and is 0.1"),
    (("--precision", "bf16"), f"{SETTINGS}precision was 'fp32' and is 'bf16'"),
]


@pytest.mark.parametrize("words", SAME)
def test_the_run_that_was_finished_is_done_and_nothing_is_written(finished, capfdbinary, words):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    code, out, err = looked(finished, capfdbinary, *words)
    assert (code, out) == (0, b"") and err == f"run.sh: {finished / 'run'} is done\n"
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.parametrize(("words", "said"), OTHER)
def test_a_run_of_other_settings_is_not_done(finished, capfdbinary, words, said):
    code, out, err = looked(finished, capfdbinary, *words)
    assert (code, out) == (78, b"") and err.startswith(f"bad configuration: {said}")


def test_a_run_of_other_data_is_not_done(finished, capfdbinary):
    code, _, err = looked(finished, capfdbinary, data="dB")
    assert code == 78 and f"{finished / 'dB'} is not the data this run began with" in err
    assert max(map(len, err.split())) < len(str(finished)) + 10  # and no 64 digits
    code, _, err = looked(finished, capfdbinary, data="none")
    assert code == 65 and err.startswith("bad data: ")
    assert look.main(["--preset", "8xh100", "--out", str(finished / "run")]) == 78
    assert "--data is missing" in capfdbinary.readouterr().err.decode()


def test_the_script_itself_refuses_them_and_the_folder_stays_done(finished, capsys):
    words = [*SMALL, "--out", str(finished / "run"), "--data"]
    done = (finished / "run" / "DONE").read_bytes()
    assert train_gpt2.main([*words, str(finished / "dB")]) == 78
    assert "dB is not the data this run began with: take that data" in capsys.readouterr().err
    assert train_gpt2.main([*words, str(finished / "dA"), "--max-steps", "9"]) == 78
    assert "--max-steps was 2 and is 9" in capsys.readouterr().err
    assert train_gpt2.main([*words, str(finished / "dA")]) == 0
    assert (finished / "run" / "DONE").read_bytes() == done


@pytest.mark.parametrize("name", ["new", "z\udcff", "Ünïcødé/läuf 1", "line\nbreak\n", "-x", " "])
def test_where_there_is_something_to_do_the_folder_is_named(tmp_path, capfdbinary, name):
    folder = tmp_path / name
    code = look.main([*SMALL, f"--out={folder}"])
    assert code == look.START and capfdbinary.readouterr().out == os.fsencode(folder)


@pytest.mark.parametrize("said", [b"", b"{}", b"[1", b"\xff"])
def test_a_done_that_does_not_say_of_which_run_is_not_believed(tmp_path, capfdbinary, said):
    (tmp_path / "DONE").write_bytes(said)
    assert look.main([*SMALL, "--out", str(tmp_path)]) == look.START


# --- run.sh, with a stand-in for torchrun where it must not come so far


def run_sh(home, *words, **env):
    home.mkdir(exist_ok=True)
    (home / "torchrun").write_text(TORCHRUN)
    (home / "torchrun").chmod(0o755)
    env = os.environ | {"PATH": f"{home}:{PATH}", "PAUSE": "0", "OMP_NUM_THREADS": "1"} | env
    done = subprocess.run(
        ["bash", RUN_SH, *map(str, words)], cwd=home, env=env, capture_output=True, timeout=120
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


WRONG = {"TRIES": "abc", "NPROC": "0", "NNODES": "two", "NODE_RANK": "-1", "PORT": "1e4"}


@pytest.mark.parametrize("name", WRONG)
def test_numbers_that_are_none_are_refused(tmp_path, name):
    code, said = run_sh(tmp_path, *SMALL, **{name: WRONG[name]})
    assert code == 78 and f"run.sh: {name} must be a whole number" in said and "STARTED" not in said


@pytest.mark.parametrize(
    "words", [("--nonsense", "1"), ("--ou", "abbreviated"), ("--preset", "none"), ("more",)]
)
def test_words_that_are_none_are_a_sentence(capsys, words):
    assert look.main(list(words)) == 78
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("run.sh: ") and "see run.sh --help" in said


@pytest.mark.slow
def test_words_that_are_none_are_refused_at_once(tmp_path):
    (tmp_path / "runs" / "gpt2").mkdir(parents=True)
    (tmp_path / "runs" / "gpt2" / "DONE").touch()
    code, said = run_sh(tmp_path, "--nonsense", "1")
    assert code == 78 and said.count("\n") == 1 and said.startswith("run.sh: "), said


@pytest.fixture
def look_says(tmp_path):
    """Put a stand-in for look beside that for torchrun: what look itself says is tested above."""

    def ends(code):
        (tmp_path / "python").write_text(f"#!/bin/bash\nprintf run\nexit {code}\n")
        (tmp_path / "python").chmod(0o755)

    return ends


@pytest.mark.parametrize("code", [0, 65, 78])
def test_run_sh_believes_what_look_says(tmp_path, look_says, code):
    look_says(code)
    found, said = run_sh(tmp_path, *SMALL, "--out", "run")
    assert (found, said) == (code, "run")


def test_a_done_of_an_unknown_run_does_not_end_the_tries(tmp_path, look_says):
    look_says(look.START)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "DONE").touch()
    code, said = run_sh(tmp_path, *SMALL, "--out", "run", TRIES="2")
    assert code == 1 and said.count("STARTED") == 2 and "2 tries in a row" in said


# --- output and odd names, in the script itself


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_letters_that_a_screen_cannot_show_end_no_run(tmp_path, monkeypatch, encoding):
    write_shards(
        ["ąęśćżźń中é" * 30] * 40, CharTokenizer("ąęśćżźń中é\n"), tmp_path / "d", end_of_text=0,
        val_every=5,
    )  # fmt: skip
    words = [*SMALL, "--data", str(tmp_path / "d"), "--out", str(tmp_path / "run")]
    shown, said = io.BytesIO(), io.BytesIO()
    for name, screen in (("stdout", shown), ("stderr", said)):
        strict = io.TextIOWrapper(screen, encoding=encoding, errors="strict")
        monkeypatch.setattr(sys, name, strict)
    assert train_gpt2.main(words) == 0
    assert b"?" in shown.getvalue() and said.getvalue() == b"done: all steps are done\n"
    assert RunFolder(tmp_path / "run").status()["state"] == "done"


ODD = {  # what stands in the way in a folder of an odd name
    "checkpoints": lambda folder: (folder / "checkpoints").write_text("a file"),
    "data": lambda folder: (folder / "data").write_text("a file"),
    "model": lambda folder: (folder / "model").write_text("a file"),
}


@pytest.mark.parametrize("name", ["z\udcff", "Ünïcødé 1"])
@pytest.mark.parametrize("odd", ODD)
def test_what_stands_in_the_way_is_a_sentence(tmp_path, capsys, odd, name):
    folder = tmp_path / name
    folder.mkdir()
    ODD[odd](folder)
    code = train_gpt2.main([*SMALL, "--out", str(folder)])
    status, said = RunFolder(folder).status(), capsys.readouterr().err
    assert code != 0 and status.get("state") not in ("running", "done")
    if odd == "data":  # found before the first row, so nothing is left
        assert [path.name for path in folder.iterdir()] == ["data"]
    else:
        assert status["code"] == code
    assert "Traceback" not in said and said.rstrip("\n").count("\n") == 0, said


def test_a_checkpoint_of_chapter_15_in_a_runs_folder_is_a_sentence(tmp_path, capsys):
    from gpt2_tutorial import checkpoint

    checkpoint.save(tmp_path / "checkpoints", 40, {"model": {"w": 1}})
    assert train_gpt2.main([*SMALL, "--out", str(tmp_path)]) == 78
    assert "step_00000040 holds no run of this script: take an empty" in capsys.readouterr().err


def test_a_warm_up_longer_than_the_run_is_told_as_it_is_typed(tmp_path, capsys):
    words = ["--preset", "cpu", "--device", "cpu", "--max-steps", "5", "--out", str(tmp_path)]
    assert train_gpt2.main(words) == 78
    said = capsys.readouterr().err
    assert "--warmup-steps is 50, more than the 5 of --max-steps: lower --warmup-steps" in said


def test_damaged_checkpoints_are_warned_of_once(tmp_path, capsys, recwarn):
    broken = tmp_path / "checkpoints" / "step_00000001"
    broken.mkdir(parents=True)
    assert train_gpt2.main([*SMALL, "--out", str(tmp_path)]) == 0
    assert [str(one.message) for one in recwarn].count(
        f"{broken} is skipped: there is no manifest.json"
    ) == 1
