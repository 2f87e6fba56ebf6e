"""files: a name stands for the whole file, whatever stops its writing."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpt2_tutorial import files
from gpt2_tutorial.files import fingerprint, sync, whole_files, write_folder, write_whole


def contents(folder):
    found = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def full(*args):
    raise OSError(errno.ENOSPC, "no room")


def test_a_file_is_written_whole_or_left_as_it_was(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", b"one ", b"", np.frombuffer(b"two", np.uint8))
    assert contents(tmp_path) == {"a": b"one two"}
    for owner, name in ((os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
            patch.setattr(owner, name, full)
            write_whole(tmp_path / "a", b"three")
        assert contents(tmp_path) == {"a": b"one two"}


def test_what_fails_in_the_block_leaves_nothing(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyError), whole_files(tmp_path / "a", tmp_path / "b") as asides:
        for aside in asides:
            aside.write_text("new")
        raise KeyError
    with pytest.raises(KeyError), write_folder(tmp_path / "f") as aside:
        aside.mkdir()
        raise KeyError
    assert contents(tmp_path) == {"a": b"old"} and os.listdir(tmp_path) == ["a"]


def test_several_files_get_their_names_when_the_last_is_whole(tmp_path):
    with whole_files(tmp_path / "a", tmp_path / "b") as (a, b):
        a.write_text("1")
        assert not (tmp_path / "a").exists()
        b.write_text("2")
    assert contents(tmp_path) == {"a": b"1", "b": b"2"}
    with pytest.raises(FileNotFoundError), whole_files(tmp_path / "a", tmp_path / "b") as (a, b):
        a.write_text("3")  # and b is forgotten
    assert contents(tmp_path) == {"a": b"1", "b": b"2"}


def test_a_folder_takes_the_place_of_an_older_one(tmp_path):
    for word in ("one", "two"):
        with write_folder(tmp_path / "f") as aside:
            aside.mkdir()
            (aside / word).write_text(word)
    assert contents(tmp_path) == {"f/two": b"two"}


@pytest.mark.parametrize("name", ["fsync", "rename"])
def test_a_folder_that_cannot_be_finished_leaves_the_older_one_or_none(tmp_path, name):
    with write_folder(tmp_path / "f") as aside:
        aside.mkdir()
        (aside / "a").write_text("old")
    owner = {"fsync": os, "rename": Path}[name]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="no room"):
        patch.setattr(owner, name, full)
        with write_folder(tmp_path / "f") as aside:
            aside.mkdir()
            (aside / "a").write_text("new")
    assert contents(tmp_path) in ({"f/a": b"old"}, {})
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_bytes_are_on_the_disk_before_the_name_and_then_the_name_is(tmp_path, monkeypatch, kind):
    final, events = tmp_path / "final", []
    real = {"replace": Path.replace, "rename": Path.rename}

    def fsync(handle):
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode):
            events.append(status.st_size)
        else:
            events.append("above" if status.st_ino == tmp_path.stat().st_ino else "folder")

    def named(how):
        def change(self, target):
            events.append(Path(target).name)
            return real[how](self, target)

        return change

    monkeypatch.setattr(os, "fsync", fsync)
    for how in real:
        monkeypatch.setattr(Path, how, named(how))
    if kind == "file":
        write_whole(final, b"12345")
        assert events == [5, "final", "above"]
    else:
        with write_folder(final) as aside:
            aside.mkdir()
            (aside / "a").write_text("1")
            (aside / "b").write_text("12")
        assert events == [1, 2, "folder", "final", "above"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_others_may_read_what_was_written_aside(tmp_path):
    write_whole(tmp_path / "a", b"1")
    (tmp_path / "b").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"}
    assert len(modes) == 1, "the mode of any new file, not that of a passing one"


def test_a_bit_more_is_another_fingerprint(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, example B.1
    assert fingerprint(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    (tmp_path / "a").write_bytes(b"abb")
    assert not fingerprint(tmp_path / "a").startswith("ba7816bf")


def test_what_is_not_there_cannot_be_waited_for(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "nothing")


def test_it_is_light(tmp_path):
    """Tools that need no torch write their files with it."""
    code = "import sys, gpt2_tutorial.files; print('torch' in sys.modules, 'numpy' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_folder_that_cannot_be_emptied_is_no_silent_success(tmp_path, monkeypatch):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").write_text("old")
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **more: None)
    with pytest.raises(OSError, match="not empty"), write_folder(tmp_path / "f") as aside:
        aside.mkdir()
    assert contents(tmp_path) == {"f/a": b"old"}
