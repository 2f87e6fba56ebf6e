"""checkpoint: whole or not at all, whatever happens in between."""

import enum
import errno
import json
import math
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
import warnings
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from gpt2_tutorial import checkpoint, files, state_files
from gpt2_tutorial.checkpoint import CheckpointError, flaw, latest, load, prune, save


def state(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    rng = {"torch": torch.get_rng_state(), "python": random.Random(seed).getstate()}
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rng": rng}


def bits(tensor):
    row = tensor.new_empty(tensor.numel()).copy_(tensor.reshape(-1))
    return row.view(torch.uint8).tolist()


def same(one, other):
    """Equal, with all types, and tensors to the bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        alike = (one.dtype, one.shape) == (other.dtype, other.shape)
        return alike and bits(one) == bits(other)
    if isinstance(one, dict):
        one, other = [*one.items()], [*other.items()]
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (one != one and other != other)


def names_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_what_is_saved_comes_back_bit_for_bit(tmp_path):
    assert same(load(save(tmp_path, 1, state())), dict(state()))


class Point(NamedTuple):
    x: int


class Hue(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


TABLE = torch.arange(24.0)
SAVED = [torch.arange(3), torch.tensor(2.5), torch.zeros(0), torch.ones(2, 2) > 0]
SAVED += [TABLE, TABLE[:5], TABLE[2:9], TABLE[::2], TABLE.view(4, 6), TABLE.view(4, 6).T]
SAVED += [TABLE.view(torch.int32), TABLE.view(torch.uint8), torch.zeros(1).expand(3)]
SAVED += [torch.arange(9).to(dtype) for dtype in state_files.NUMBERS]
SAVED += [torch.tensor([1 + 2j]).conj().imag, torch.tensor([math.nan, -0.0, math.inf])]
STRANGE = [TABLE.shape, Point(1), Hue.RED, Text("a"), {1, 2}, frozenset(), b"a", 1j, 1 << 2048]
STRANGE += [-(1 << 9999), "\ud83d", "\ud83d\ude09", Path("x"), range(3), math, object()]
STRANGE += [np.float64(1.5), np.int64(1), np.bool_(True), np.zeros(2), np.str_("a"), torch.float32]
STRANGE += [torch.nn.Parameter(torch.ones(2)), torch.eye(2).to_sparse(), torch.tensor([1j])]
STRANGE += [torch.empty(2, device="meta"), defaultdict(int), Counter("a"), bytearray(2), ...]
STRANGE += [{(1, 2): 1}, {b"a": 1}, {Hue.RED: 1}, {np.int64(1): 1}, {Text("a"): 1}, {"\ud800": 1}]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
LEAVES |= st.integers(-(2**2000), 2**2000) | st.sampled_from(SAVED)
KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
KEYS |= st.text("ab.'", max_size=3) | st.just("__metadata__")


def trees(leaves):
    def larger(tree):
        parts = st.dictionaries(KEYS, tree, max_size=3)
        return st.lists(tree, max_size=3) | st.tuples(tree, tree) | parts | parts.map(OrderedDict)

    return st.recursive(leaves, larger, max_leaves=12)


def strange_leaves():
    return LEAVES | LEAVES | LEAVES | st.sampled_from(STRANGE)


def steady(examples):
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def check_trees(examples, folder):
    """What is saved comes back equal and of the same types, or is refused in a sentence."""
    outcomes, number = Counter(), iter(range(10**9))

    @steady(examples)
    @given(tree=trees(strange_leaves()))
    def check(tree):
        place = folder / str(next(number))
        place.mkdir()
        try:
            path = save(place, 3, {"any": tree})
        except ValueError as error:
            assert str(error).startswith("a checkpoint cannot hold any"), error
            assert "\n" not in str(error) and len(str(error)) < 500
            assert not any(place.iterdir())
            outcomes["refused"] += 1
        else:
            assert same(load(path)["any"], tree)
            outcomes["saved"] += 1

    check()
    assert min(outcomes["refused"], outcomes["saved"]) > examples // 10


def test_any_tree_comes_back_equal_or_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    check_trees(300, tmp_path)


@pytest.mark.soak
def test_ten_times_as_many_trees_come_back_equal_or_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    check_trees(3_000, tmp_path)


@pytest.mark.parametrize("number", range(len(SAVED)))
def test_each_tensor_comes_back_beside_all_others(tmp_path, number):
    tree = {"one": SAVED[number], "all": [*SAVED, SAVED[number]]}
    back = load(save(tmp_path, 1, {"any": tree}))["any"]
    assert same(back, tree)
    assert SAVED[number].numel() == 0 or back["one"].data_ptr() == back["all"][-1].data_ptr()


@pytest.mark.parametrize("value", [*STRANGE, 10**5000], ids=lambda value: type(value).__name__)
def test_what_would_come_back_as_something_else_is_refused(tmp_path, value):
    for tree in (value, [1, (value,)], {"a": {"b": value}}):
        with pytest.raises(ValueError, match="a checkpoint cannot hold any"):
            save(tmp_path, 1, {"any": tree})
    assert not any(tmp_path.iterdir())


def test_what_is_nested_without_end_is_refused(tmp_path):
    endless = []
    endless.append({"again": endless})
    deep = 7
    for _ in range(100):
        deep = [deep]
    assert same(load(save(tmp_path, 1, {"any": deep}))["any"], deep)
    for tree in (endless, [deep]):
        with pytest.raises(ValueError, match="nested more than 100 deep"):
            save(tmp_path, 2, {"any": tree})


def test_a_tied_table_is_written_once_and_comes_back_tied(tmp_path):
    table = torch.ones(50, 2)
    path = save(tmp_path, 1, {"model": {"wte": table, "lm_head": table}})
    assert list(load_file(path / "model.safetensors")) == ["wte"]
    model = load(path)["model"]
    assert model["lm_head"].data_ptr() == model["wte"].data_ptr()


def test_the_same_state_gives_the_same_bytes(tmp_path):
    a, b = save(tmp_path / "a", 1, state()), save(tmp_path / "b", 1, state())
    assert {f: (a / f).read_bytes() for f in names_in(a)} == {
        f: (b / f).read_bytes() for f in names_in(b)
    }


def test_the_newest_two_stay_and_those_that_are_asked_for(tmp_path):
    for step in (1, 5, 10, 200):
        save(tmp_path, step, state(), keep=2, keep_also={1})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step_00000001",
        "step_00000010",
        "step_00000200",
    ]


def test_what_was_just_saved_is_kept_beside_damaged_newer_ones(tmp_path):
    for step in (1, 2, 3):
        save(tmp_path, step, state(), keep=3)
    for step in (2, 3):
        (tmp_path / f"step_{step:08d}" / "manifest.json").write_text("{}")
    (tmp_path / "step_00000001" / "manifest.json").unlink()  # saved anew, the oldest of three
    assert flaw(save(tmp_path, 1, state(), keep=1)) is None


def test_one_that_cannot_be_deleted_does_no_harm(tmp_path, monkeypatch):
    save(tmp_path, 1, state())
    monkeypatch.setattr(shutil, "rmtree", lambda *a, **k: None)
    prune(tmp_path, keep=1)
    assert latest(save(tmp_path, 2, state(), keep=1).parent).step == 2


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_one_flipped_bit_is_noticed_and_the_one_before_is_taken(tmp_path, name):
    good, bad = save(tmp_path, 1, state()), save(tmp_path, 2, state(1))
    rng = random.Random(0)
    whole = (bad / name).read_bytes()
    for _ in range(40):
        place = rng.randrange(len(whole))
        flipped = whole[place] ^ 1 << rng.randrange(8)
        (bad / name).write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        with pytest.warns(UserWarning, match=f"step_00000002 is skipped: {name} is not what was"):
            assert latest(tmp_path).path == good
    with pytest.raises(CheckpointError, match="Take an earlier checkpoint"):
        load(bad)


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
def test_a_cut_file_is_noticed(tmp_path, name):
    good, bad = save(tmp_path, 1, state()), save(tmp_path, 2, state(1))
    whole = (bad / name).read_bytes()
    for length in {0, 1, len(whole) // 2, len(whole) - 2}:
        (bad / name).write_bytes(whole[:length])
        with pytest.warns(UserWarning, match="is skipped"):
            assert latest(tmp_path).path == good


def test_a_missing_file_is_named(tmp_path):
    path = save(tmp_path, 1, state())
    (path / "optimizer.safetensors").unlink()
    assert (
        flaw(path) == f"{path / 'optimizer.safetensors'} cannot be read (No such file or directory)"
    )
    (path / "manifest.json").unlink()
    assert flaw(path) == "there is no manifest.json"
    with pytest.warns(UserWarning, match="there is no manifest.json"):
        assert latest(tmp_path) is None


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "{}", "7", "ÿ", "\x00", DEEP, '{"a":' * 50_000),
        '{"format": 1, "step": 1, "sha256": []}',
        '{"format": 1, "step": [], "sha256": {}}',
    ],
)
def test_a_strange_manifest_is_a_sentence(tmp_path, text):
    path = save(tmp_path, 1, state())
    (path / "manifest.json").write_bytes(text.encode("latin-1"))
    assert "manifest.json is damaged, or was not written by" in flaw(path)
    with pytest.warns(UserWarning, match="is skipped"):
        assert latest(tmp_path) is None


def test_another_format_is_named(tmp_path):
    path = save(tmp_path, 1, state())
    (path / "manifest.json").write_text('{"format": 99, "sha256": {}}')
    assert flaw(path) == "its format is 99, and this code reads 1"


def reseal(path, change):
    """Change what the manifest says, as somebody could who can write there."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "described",
    [
        *("[]", "7", DEEP, '{"a": {}}', '{"a": {"set": []}}', '{"a": {"list": 7}}'),
        *('{"a": {"dict": [[[], 1]]}}', '{"model": {"tensor": "w"}}'),
        '{"../a": {"list": [{"tensor": "w"}]}}',
    ],
)
def test_a_forged_state_is_a_sentence(tmp_path, described):
    """Somebody who can write the sums as well gets a sentence, and no code runs."""
    path = save(tmp_path, 1, {"lr": 0.1})
    (path / "state.json").write_text(described)
    seal = files.fingerprint(path / "state.json")
    reseal(path, lambda manifest: manifest["sha256"].update({"state.json": seal}))
    with pytest.raises(CheckpointError, match=r"was not written by|does not list"):
        load(path)


def test_files_that_the_manifest_does_not_list_are_not_read(tmp_path):
    path = save(tmp_path, 1, {**state(), "loader": {"position": 7}})
    (path / "loader.safetensors").write_bytes(b"junk")
    (path / "notes").mkdir()
    assert latest(tmp_path).path == path and load(path)["loader"] == {"position": 7}


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_file_that_the_manifest_should_list_must_be_listed(tmp_path, name):
    good, path = save(tmp_path, 1, state()), save(tmp_path, 2, state())
    reseal(path, lambda manifest: manifest["sha256"].pop(name))
    with pytest.warns(UserWarning, match=f"its manifest.json does not list {name}"):
        assert latest(tmp_path).path == good


def test_a_copy_under_another_steps_name_is_skipped(tmp_path):
    good = save(tmp_path, 27, state())
    shutil.copytree(good, tmp_path / "step_00000099")
    with pytest.warns(UserWarning, match="99 is skipped: its manifest.json is that of step 27"):
        assert latest(tmp_path).path == good
    assert same(load(shutil.copytree(good, tmp_path / "mine")), dict(state()))  # no step's name


def test_a_listed_name_leads_nowhere_else(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("x")
    path = save(tmp_path / "run", 1, {"lr": 1})
    more = {"../../outside": files.fingerprint(outside)}
    reseal(path, lambda manifest: manifest["sha256"].update(more))
    assert "outside cannot be read" in flaw(path)


def test_stray_files_and_names_are_no_checkpoints(tmp_path):
    good = save(tmp_path, 1, state())
    for name in ("step_2", "step_00000002.bak", ".step_00000009.x.part", "STEP_00000003", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "step_00000004").write_text("a file")
    with pytest.warns(UserWarning, match="step_00000004 is skipped: there is no manifest"):
        assert latest(tmp_path).path == good


def test_a_damaged_one_of_the_same_step_is_replaced(tmp_path):
    path = save(tmp_path, 1, state())
    (path / "state.json").write_text("")
    assert flaw(save(tmp_path, 1, state())) is None


def test_a_whole_one_of_the_same_step_is_left_alone(tmp_path):
    before = (save(tmp_path, 1, state()) / "manifest.json").stat().st_mtime_ns
    assert (save(tmp_path, 1, state()) / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.skipif(os.name == "nt", reason="modes of Unix")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_files_are_as_open_as_the_user_wants_new_files(mask, tmp_path):
    before = os.umask(mask)
    try:
        saved = save(tmp_path, 1, state())
    finally:
        os.umask(before)
    for file in saved.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask


def points(monkeypatch, act):
    """Call `act(number)` before every call that changes the disk."""
    count = iter(range(10**6))
    for module, name in (
        (state_files, "save_file"),
        (files, "sync"),
        (Path, "write_text"),
        (Path, "mkdir"),
        (Path, "rename"),
        (shutil, "copymode"),
    ):
        real = getattr(module, name)

        def faulty(*args, _real=real, **kwargs):
            act(next(count))
            return _real(*args, **kwargs)

        monkeypatch.setattr(module, name, faulty)


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_whatever_write_fails_the_earlier_one_is_whole_and_nothing_is_left(tmp_path, fault):
    good, tried = save(tmp_path, 1, state()), 0
    while True:

        def act(number, stop=tried):
            if number == stop:
                raise OSError(fault, os.strerror(fault))

        with pytest.MonkeyPatch.context() as patch:
            points(patch, act)
            try:
                save(tmp_path, 2, state(1))
            except CheckpointError as error:
                assert os.strerror(fault) in str(error) and "earlier" in str(error)
            else:
                break
        if (tmp_path / "step_00000002").exists():  # only the last sync comes after the rename
            assert flaw(tmp_path / "step_00000002") is None
            shutil.rmtree(tmp_path / "step_00000002")
        assert latest(tmp_path).path == good and os.listdir(tmp_path) == [good.name]
        tried += 1
    assert tried > 15  # every point was tried


def test_a_kill_before_any_write_leaves_the_newest_or_the_one_before(tmp_path):
    """The process dies at every single point in turn: no clean-up runs."""
    first, died = save(tmp_path, 1, state()), 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                with pytest.MonkeyPatch.context() as patch:
                    points(patch, lambda number, stop=died: number == stop and os._exit(9))
                    save(tmp_path, 2, state(1))
                os._exit(0)
            finally:
                os._exit(1)  # else an error would run the rest of all tests twice
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 9)
        if code == 0:
            break
        found = latest(tmp_path)
        assert found.path == first or (found.step == 2 and same(load(found), state(1)))
        if found.path != first:
            shutil.rmtree(found)
        died += 1
    assert died > 15
    assert len(os.listdir(tmp_path)) == 2, "what kills left half-written is swept away"


KILLED = """
    import sys, torch
    from gpt2_tutorial.checkpoint import save
    for step in range(1, 10**6):
        save(sys.argv[1], step, {"model": {"w": torch.full((200_000,), float(step))}})
        print(step, flush=True)
"""


@pytest.mark.soak
def test_kills_at_random_moments_lose_nothing_that_was_said_to_be_saved(tmp_path):
    rng = random.Random(0)
    for number in range(6):
        folder = tmp_path / str(number)
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        first = child.stdout.readline()
        time.sleep(rng.uniform(0, 0.3))
        child.send_signal(signal.SIGKILL)
        said = [first, *child.communicate()[0].splitlines(keepends=True)]
        told = int([line for line in said if line.endswith("\n")][-1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # not even one that has to be skipped
            found = latest(folder)
        assert told <= found.step <= told + 1
        assert load(found)["model"]["w"].eq(found.step).all()


def test_others_may_add_files_and_their_sums_count(tmp_path):
    def more(aside):
        (aside / "theirs.safetensors").write_bytes(b"theirs")
        return {"theirs.safetensors": files.fingerprint(aside / "theirs.safetensors")}

    path = save(tmp_path, 1, state(), more=more)
    assert flaw(path) is None and "theirs.safetensors" in names_in(path)
    assert same(load(path), dict(state()))  # which knows nothing of them
    (path / "theirs.safetensors").write_bytes(b"Theirs")
    assert flaw(path) == "theirs.safetensors is not what was written"


def test_others_that_fail_fail_the_checkpoint(tmp_path):
    def more(aside):
        (aside / "half").touch()
        raise OSError("process 3: no room")

    earlier = save(tmp_path, 1, state())
    with pytest.raises(CheckpointError, match=r"process 3: no room.*earlier checkpoints are whole"):
        save(tmp_path, 2, state(), more=more)
    assert latest(tmp_path).path == earlier and [p.name for p in tmp_path.iterdir()] == [
        earlier.name
    ]


def test_a_full_disk_is_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="could not be saved"):
        save("/dev/full/run", 1, state())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (dict(step=-1, state={}), "need step ≥ 0 and keep ≥ 1, not -1 and 2"),
        (dict(step=1, state={}, keep=0), "not 1 and 0"),
        (dict(step=1, state={"Model": 1}), "lower-case letters, not 'Model'"),
        (dict(step=1, state={"../up": 1}), "not '../up'"),
        (dict(step=1, state={7: 1}), "lower-case letters, not 7"),
        (dict(step=1, state=[7]), r"a state is a dictionary of parts, not \[7\]"),
        (dict(step=1, state=OrderedDict()), "a state is a dictionary of parts, not Ordered"),
        (dict(step=1, state={"a": {1, 2}}), r"cannot hold a = \{1, 2\}: no set comes back"),
        (dict(step=1, state={"a": {"b": Path("x")}}), r"cannot hold a.b = PosixPath\('x'\)"),
        (dict(step=1, state={"a": [1, TABLE.shape]}), r"hold a.1 = torch.Size\(\[24\]\): no Size"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_nothing_is_left(tmp_path, arguments, said):
    with pytest.raises(ValueError, match=said):
        save(tmp_path, **arguments)
    assert not any(tmp_path.iterdir())


def test_numbers_that_are_none_come_back(tmp_path):
    back = load(save(tmp_path, 1, {"best": math.inf, "x": math.nan, "y": 0.1 + 0.2}))
    assert back["best"] == math.inf and math.isnan(back["x"]) and back["y"] == 0.1 + 0.2


def test_what_was_found_whole_is_not_read_again_to_be_loaded(tmp_path, monkeypatch):
    save(tmp_path, 1, state())
    path, seen = save(tmp_path, 2, state(1)), []

    def counted(file):
        seen.append(file.name)
        return files.fingerprint(file)

    monkeypatch.setattr(checkpoint, "fingerprint", counted)
    assert same(load(latest(tmp_path)), dict(state(1)))
    assert sorted(seen) == sorted(p.name for p in path.iterdir() if p.name != "manifest.json")
    load(path)  # of a mere name nothing is known: each file once more
    assert sorted(seen) == sorted(2 * [*dict.fromkeys(seen)])


def test_a_checkpoint_is_as_good_as_its_path(tmp_path):
    path = save(tmp_path, 3, state())
    found = latest(tmp_path)
    assert os.fspath(found) == str(path) and found == checkpoint.verify(path)
    assert found.step == 3 and Path(found).is_dir()


def test_a_damaged_one_cannot_be_verified(tmp_path):
    path = save(tmp_path, 3, state())
    (path / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"state.json is not what was written\. Take an ear"):
        checkpoint.verify(path)
