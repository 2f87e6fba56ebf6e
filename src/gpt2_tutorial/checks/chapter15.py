"""The exercises of chapter 15: a header by hand, batches, whole documents, a save without fear."""

from dataclasses import dataclass, field
from itertools import product

import torch

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise

value_exercise(
    "15.1", __name__, subgoal="cut", stub="answer = None  # for example [8, 65]",
    solution="answer = [264, 50257]",
)  # fmt: skip


def next_batch_by_loops(tokens, position, B, T):
    x, y, ring = [], [], tokens.tolist()
    for b in range(B):
        starts = position + b * T
        x.append([ring[(starts + t) % len(ring)] for t in range(T)])
        y.append([ring[(starts + t + 1) % len(ring)] for t in range(T)])
    return torch.tensor(x), torch.tensor(y), position + B * T


def places_to_read(rng: Dice):
    """A ring of tokens without repeats, a position somewhere in it or behind, and sizes."""
    for number in range(24):
        B, T = rng.randint(2, 3), rng.randint(2, 4)
        size = B * T + rng.randint(3, 12)
        tokens = torch.tensor(rng.sample(range(100), size))
        last = size - B * T  # from here on, the last target is the first token
        near = rng.randint(last - 1, size - 1)
        position = (rng.randint(1, last - 1), near, size + rng.randint(0, size), last)[number % 4]
        yield tokens, position, B, T


@exercise("15.2", subgoal="bookmark", spec=next_batch_by_loops, inputs=places_to_read)
def next_batch(tokens, position, B, T):
    # tokens (N,) → x (B, T), y (B, T), and the position of the batch after it
    places = torch.arange(position, position + B * T + 1) % len(tokens)
    read = tokens[places]  # (B · T + 1,)
    x, y = read[:-1].view(B, T), read[1:].view(B, T)
    return x, y, position + B * T


def split_by_loops(ids, end, every):
    train, val, document = [], [], 0
    for token in ids.tolist():
        (val if document % every == every - 1 else train).append(token)
        document += token == end
    return torch.tensor(train, dtype=torch.long), torch.tensor(val, dtype=torch.long)


def documents_to_split(rng: Dice):
    """Ids (N,) with an end-of-text behind every document, sometimes an unfinished one last."""
    for number in range(22):
        every, end = rng.randint(2, 4), rng.randint(0, 1) * 50
        ids = []
        for _ in range(3 * every + rng.randint(1, 2)):
            ids += [rng.randint(1, 49) for _ in range(rng.randint(2, 5))] + [end]
        yield torch.tensor(ids if number % 3 else ids[:-1]), end, every


@exercise("15.3", subgoal="join", spec=split_by_loops, inputs=documents_to_split)
def split_documents(ids, end, every):
    # ids (N,), with `end` behind every document → (train, val), both 1-D
    ends = (ids == end).long()
    document = ends.cumsum(0) - ends  # (N,): how many have ended before this token
    held = document % every == every - 1
    return ids[~held], ids[held]


@dataclass
class Disk:
    """A disk that notes what is done to it, and can play every kill and every power cut."""

    now: dict
    synced: dict = field(default_factory=dict)  # what a power cut leaves of each file
    moved: list = field(default_factory=list)  # (new name, what it was before), not synced yet
    left: list = field(default_factory=list)  # (by what, what it leaves), of every moment

    def write(self, name: str, data: str) -> None:
        if name not in self.now:
            self.moved.append((name, None))
        for written in (data[: len(data) // 2], data):  # in the middle of it, and at its end
            self.now[name], self.synced[name] = written, ""
            self._note()

    def sync(self, name: str) -> None:
        if name == ".":
            self.moved = []
        elif name not in self.now:
            raise FileNotFoundError(f"there is no {name!r} to sync")
        else:
            self.synced[name] = self.now[name]
        self._note()

    def rename(self, old: str, new: str) -> None:
        if old not in self.now:
            raise FileNotFoundError(f"there is no {old!r} to rename")
        self.moved.append((new, self.now.get(new)))
        self.now[new], self.synced[new] = self.now.pop(old), self.synced.pop(old)
        self._note()

    def _note(self) -> None:
        self.left.append(("a kill", dict(self.now)))
        self.left += [("a power cut", kept) for kept in self.after_power_cuts()]

    def after_power_cuts(self) -> list[dict]:
        """What is there after one: of what moved, each for itself may be undone."""
        kept = []
        for undo in product((False, True), repeat=len(self.moved)):
            kept.append(dict(self.synced))
            for (new, before), undone in reversed([*zip(self.moved, undo, strict=True)]):
                if undone:
                    kept[-1].pop(new, None)
                if undone and before is not None:
                    kept[-1][new] = before
        return kept


def found_in(disk: dict, files: dict, manifest: str) -> str:
    """What a reader finds who believes the manifest."""
    if (said := disk.get("manifest")) is None:
        return "no manifest"
    if said == "old":
        return "the old one"
    broken = ["a broken manifest"] if said != manifest else []
    broken += [f"no {name}" for name in files if name not in disk]
    broken += [f"a broken {name}" for name in files if disk.get(name, files[name]) != files[name]]
    return " and ".join(broken) or "the new one"


def after_every_moment(save, files: dict, manifest: str) -> str:
    """Let `save` work on a disk, and list what is lost by a kill or a power cut at any moment."""
    disk = Disk({"manifest": "old"}, {"manifest": "old"})
    save(disk, files, manifest)
    lost = {
        f"{what} leaves {found}"
        for what, kept in disk.left
        if (found := found_in(kept, files, manifest)) not in ("the old one", "the new one")
    }
    ends = {found_in(kept, files, manifest) for kept in disk.after_power_cuts()}
    lost |= {f"a power cut after save leaves {found}" for found in ends - {"the new one"}}
    return "; ".join(sorted(lost)) or "nothing is ever lost"


def save_in_other_order(disk, files, manifest):
    disk.write("manifest.part", manifest)
    disk.sync("manifest.part")
    for name, data in files.items():
        disk.write(name, data)
        disk.sync(name)
    disk.sync(".")
    disk.rename("manifest.part", "manifest")
    disk.sync(".")


def files_to_save(rng: Dice):
    """Two or three files of a checkpoint, and the manifest that names them."""
    for step in range(20):
        names = rng.sample(["model", "optimizer", "loader", "dice"], rng.randint(2, 3))
        files = {f"{name}_{step}": "".join(rng.choices("0123456789", k=6)) for name in names}
        yield files, ", ".join(files)


@exercise(
    "15.4", subgoal="write", spec=save_in_other_order, inputs=files_to_save,
    observe=after_every_moment,
)  # fmt: skip
def save(disk, files, manifest):
    # disk.write(name, data), disk.sync(name), disk.rename(old, new), disk.sync(".")
    for name, data in files.items():
        disk.write(name, data)
        disk.sync(name)
    disk.write("aside", manifest)
    disk.sync("aside")
    disk.sync(".")  # the names of all these
    disk.rename("aside", "manifest")
    disk.sync(".")


value_exercise(
    "15.5", __name__, subgoal="shuffle", stub='answer = None  # for example (1000, "a")',
    solution='answer = (163840, "c")',
)  # fmt: skip
