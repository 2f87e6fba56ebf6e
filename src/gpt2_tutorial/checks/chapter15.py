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
    unsynced: set = field(default_factory=set)
    moved: list = field(default_factory=list)  # (new name, what it was before), not synced yet
    states: list = field(default_factory=list)  # (what a kill leaves, what power cuts leave)

    def __post_init__(self):
        self._note()

    def write(self, name: str, data: str) -> None:
        if name not in self.now:
            self.moved.append((name, None))
        self.now[name] = data[: len(data) // 2]
        self._note()  # in the middle of it
        self.now[name] = data
        self.unsynced.add(name)
        self._note()

    def sync(self, name: str) -> None:
        if name == ".":
            self.moved = []
        elif name not in self.now:
            raise FileNotFoundError(f"there is no {name!r} to sync")
        else:
            self.unsynced.discard(name)
        self._note()

    def rename(self, old: str, new: str) -> None:
        if old not in self.now:
            raise FileNotFoundError(f"there is no {old!r} to rename")
        self.moved.append((new, self.now.get(new)))
        self.now[new] = self.now.pop(old)
        self.unsynced.discard(new)
        if old in self.unsynced:
            self.unsynced.symmetric_difference_update({old, new})
        self._note()

    def _note(self) -> None:
        cut = {name: "" if name in self.unsynced else data for name, data in self.now.items()}
        left = []
        for undo in product((False, True), repeat=len(self.moved)):  # each for itself
            left.append(dict(cut))
            for (new, before), undone in reversed([*zip(self.moved, undo, strict=True)]):
                if undone:
                    left[-1].pop(new, None)
                if undone and before is not None:
                    left[-1][new] = before
        self.states.append((dict(self.now), left))

    def __repr__(self) -> str:
        return "disk"


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
    disk = Disk(now={"manifest": "old"})
    save(disk, files, manifest)
    kills = [("a kill", kept) for kept, _ in disk.states]
    cuts = [("a power cut", kept) for _, left in disk.states for kept in left]
    lost = {
        f"{what} leaves {found}"
        for what, kept in kills + cuts
        if (found := found_in(kept, files, manifest)) not in ("the old one", "the new one")
    }
    ends = {found_in(kept, files, manifest) for kept in disk.states[-1][1]}
    lost |= {f"a power cut after save leaves {found}" for found in ends - {"the new one"}}
    return "; ".join(sorted(lost)) or "nothing is ever lost"


def save_in_other_order(disk, files, manifest):
    disk.write("manifest.part", manifest)
    disk.sync("manifest.part")
    for name, data in files.items():
        disk.write(name, data)
    for name in files:
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
