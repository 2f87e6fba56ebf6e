"""The toys of chapter 15 against the package: real saves, real disks, the real loader."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import torch

from gpt2_tutorial import files, state_files
from gpt2_tutorial.checkpoint import latest, save
from gpt2_tutorial.shard_writer import write_shards
from gpt2_tutorial.shards import ShardLoader, epoch_order

pytestmark = pytest.mark.browser

FILES = ["model.safetensors", "state.json", "manifest.json"]


def state(step: int) -> dict:
    return {"model": {"w": torch.full((50,), float(step))}, "run": {"step": step}}


def listed(folder: Path) -> dict:
    """The names in a folder of checkpoints, without the part that is drawn at random."""
    return {
        f".{path.name.split('.')[1]}.part" if ".part" in path.name else path.name: sorted(
            file.name for file in path.iterdir()
        )
        for path in folder.iterdir()
    }


def found_in(folder: Path) -> int | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each checkpoint that is skipped
        newest = latest(folder)
    return newest and newest.step


def test_the_moments_are_those_of_the_real_save(ask, tmp_path, monkeypatch):
    """A killed process changes nothing more, so it leaves what lies there at that moment."""
    told = ask("kill", "moments", "aside")
    run, seen = tmp_path / "run", []
    for step in (1, 2):
        save(run, step, state(step))

    def look():
        now = listed(run), found_in(run)
        if not seen or seen[-1] != now:
            seen.append(now)

    def watched(module, name):
        real = getattr(module, name)

        def act(*args, **kwargs):
            look()
            result = real(*args, **kwargs)
            look()
            return result

        monkeypatch.setattr(module, name, act)

    for module, name in [(state_files, "save_file"), (files, "sync"), (shutil, "rmtree")]:
        watched(module, name)
    for name in ("mkdir", "write_text", "rename"):
        watched(Path, name)
    save(run, 3, state(3))

    assert len(told) == 13  # the words of the toy count them
    names = [{n: sorted(inside) for n, inside in moment["disk"].items()} for moment in told]
    steps = [ask("kill", "found", moment["disk"]) for moment in told]
    assert steps == [2] * 9 + [3] * 4
    halves = [any("half" in f.values() for f in moment["disk"].values()) for moment in told]
    rows = list(zip(names, steps, strict=True))
    deleting = next(i for i, moment in enumerate(told) if "deleted" in moment["doing"])
    settled = [row for i, row in enumerate(rows) if not halves[i] and i != deleting]
    different = [row for i, row in enumerate(settled) if i == 0 or row != settled[i - 1]]
    assert seen == different


def test_what_the_toy_says_is_found_is_found_on_such_a_disk(ask, tmp_path):
    for number, moment in enumerate(ask("kill", "moments", "aside")):
        run = tmp_path / str(number)
        run.mkdir()
        for name, inside in moment["disk"].items():
            step = int(name.removeprefix(".").removesuffix(".part").removeprefix("step_"))
            made = save(tmp_path / "whole", step, state(step), keep=9)
            (run / name).mkdir()
            for file, written in inside.items():
                data = (made / file).read_bytes()
                cut = {"whole": len(data), "half": len(data) // 2}[written]
                (run / name / file).write_bytes(data[:cut])
        assert found_in(run) == ask("kill", "found", moment["disk"]), moment["doing"]


def test_saved_straight_the_old_file_is_gone_before_the_new_one_is_there(ask, tmp_path):
    path, between = tmp_path / "last.pt", []

    class Look:
        def __reduce__(self):  # called by torch.save when the file is open already
            between.append(path.read_bytes())
            return (str, ())

    torch.save(state(2), path)
    old = path.read_bytes()
    torch.save(state(3) | {"look": Look()}, path)
    torch.save(state(3), path)
    whole = path.read_bytes()
    assert len(between) == 1
    disks = [old, between[0], whole[: len(whole) // 2], whole]
    for moment, data in zip(ask("kill", "moments", "straight"), disks, strict=True):
        path.write_bytes(data)
        try:
            step = torch.load(path)["run"]["step"]
        except Exception:  # whatever torch raises, nothing is loaded
            step = None
        assert step == ask("kill", "found", moment["disk"]), moment["doing"]


class Numbers:
    """A tokenizer whose texts are numbers, as in the chapter."""

    vocab_size, tokens = 64, [b"%d" % i for i in range(64)]

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]


def test_the_order_is_that_of_the_package(ask):
    for sequences, seed, epoch in [(16, 0, 0), (16, 0, 1), (1, 0, 0), (1000, 7, 3), (2, 2**31, 9)]:
        theirs = epoch_order(sequences, seed, epoch).tolist()
        assert ask("deal", "order", sequences, seed, epoch) == theirs


def test_cards_are_dealt_as_the_loader_reads_with_any_number_of_readers(ask, tmp_path):
    """Piece n of the toy begins with token 4 · n."""
    text = " ".join(map(str, range(63)))  # and 63 is the end of the text: 16 pieces of 4
    write_shards([text], Numbers(), tmp_path, 20, end_of_text=63, val_every=1000, shuffle=0)
    bookmark = None
    for step, sizes in enumerate([[(1, 8), (1, 1)], [(2, 4), (2, 1)], [(8, 1)], [(4, 2), (4, 1)]]):
        unions = []
        for readers, B in sizes:
            ranks = [ShardLoader(tmp_path, "train", B, 4, r, readers) for r in range(readers)]
            for loader in ranks if bookmark else []:
                loader.load_state_dict(bookmark)
            rounds = ask("deal", "deal", 8 * step, readers, B)
            assert len(rounds) * readers * B == 8
            for told in rounds:
                read = [(loader.next_batch()[0][:, 0] // 4).tolist() for loader in ranks]
                assert read == [[ask("deal", "piece", place) for place in hand] for hand in told]
            unions.append(sorted(place for told in rounds for hand in told for place in hand))
        assert unions == [list(range(8 * step, 8 * step + 8))] * len(sizes)
        bookmark = ranks[0].state_dict()
