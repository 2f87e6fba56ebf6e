"""The exercises of chapter 15: a header by hand, batches, whole documents, a save without fear."""

import random
from dataclasses import dataclass, field
from itertools import product

import torch

from gpt2_tutorial.checks.engine import exercise


@exercise("15.1", subgoal="cut")
class HeaderByHand:
    stub = "answer = None  # for example [8, 65]"
    solution = [264, 50257]
    solution_text = "answer = [264, 50257]"
    mutants = {
        "high byte first": (
            [577023702256844800, 5890120539783397376],
            "You read the bytes from the left, as we write numbers. In a shard the low byte comes "
            "first.",
        ),
        "high byte first, two bytes": (
            [2049, 20932],
            "You read two bytes of each, from the left. In a shard the low byte comes first.",
        ),
        "hex is not decimal": (
            [108, 1051],
            "You put digits side by side. Each byte counts 256 times as much as the one before.",
        ),
        "low byte alone": (
            [8, 81],
            "You read one byte of each. The second counts 256 times.",
        ),
        "swapped": (
            [50257, 264],
            "The right two, the other way round: first come the tokens, then V.",
        ),
        "bytes, not tokens": (
            [528, 50257],
            "You doubled the first. The header counts tokens, not their bytes.",
        ),
    }


def next_batch(tokens, position, B, T):
    places = torch.arange(position, position + B * T + 1) % len(tokens)
    read = tokens[places]  # (B · T + 1,)
    x, y = read[:-1].view(B, T), read[1:].view(B, T)
    return x, y, position + B * T


def next_batch_by_loops(tokens, position, B, T):
    x, y, ring = [], [], tokens.tolist()
    for b in range(B):
        starts = position + b * T
        x.append([ring[(starts + t) % len(ring)] for t in range(T)])
        y.append([ring[(starts + t + 1) % len(ring)] for t in range(T)])
    return torch.tensor(x), torch.tensor(y), position + B * T


def places_to_read(rng: random.Random):
    """A ring of tokens without repeats, a position somewhere in it or behind, and sizes."""
    for number in range(24):
        B, T = rng.randint(2, 3), rng.randint(2, 4)
        size = B * T + rng.randint(3, 12)
        tokens = torch.tensor(rng.sample(range(100), size))
        last = size - B * T  # from here on, the last target is the first token
        near = rng.randint(last - 1, size - 1)
        position = (rng.randint(1, last - 1), near, size + rng.randint(0, size), last)[number % 4]
        yield tokens, position, B, T


def read_wrong(
    step=lambda B, T: B * T, begin=lambda p, *_: p, row=lambda T: T, shift=1, closed=False
):
    """Batches from a ring, with one thing wrong."""

    def next_batch(tokens, position, B, T):
        n, start = len(tokens), begin(position, len(tokens), B, T)
        first = start + row(T) * torch.arange(B)[:, None] + torch.arange(T)  # (B, T)
        x, y = tokens[first % n], tokens[(first + shift) % n]
        if closed:
            y = x.flatten().roll(-1).view(B, T)
        return x, y, start + step(B, T)

    return next_batch


def wrapped(tokens, position, B, T):
    x, y, after = next_batch(tokens, position, B, T)
    return x, y, after % len(tokens)


def back_to_zero(tokens, position, B, T):
    x, y, after = next_batch(tokens, position, B, T)
    return x, y, 0 if after >= len(tokens) else after


def swapped(tokens, position, B, T):
    x, y, after = next_batch(tokens, position, B, T)
    return y, x, after


def down_the_columns(tokens, position, B, T):
    x, y, after = next_batch(tokens, position, B, T)
    return x.reshape(T, B).T, y.reshape(T, B).T, after


def closed_rows(tokens, position, B, T):
    x, _, after = next_batch(tokens, position, B, T)
    return x, x.roll(-1, 1), after


@exercise("15.2", subgoal="bookmark")
class NextBatch:
    stub = (
        "def next_batch(tokens, position, B, T):\n"
        "    # tokens (N,) → x (B, T), y (B, T), and the position of the batch after it\n"
        "    ..."
    )
    solution = next_batch
    spec = next_batch_by_loops
    inputs = places_to_read
    mutants = {
        "no overlap": (
            read_wrong(closed=True),
            "Your last target is the batch's own first token. Read one token more than B · T: "
            "it is the target of the last place, and the first input of the next batch.",
        ),
        "drops a token": (
            read_wrong(step=lambda B, T: B * T + 1),
            "You move on by B · T + 1, so at every batch one token is never an input. The extra "
            "token is read twice: as a target now, as an input next.",
        ),
        "restarts": (
            read_wrong(begin=lambda *_: 0),
            "You read from the beginning, whatever position says. After a resume, the model would "
            "see the same tokens again.",
        ),
        "drops the tail": (
            read_wrong(begin=lambda p, n, B, T: p if p + B * T + 1 <= n else 0),
            "Where too few tokens are left you go back to 0, and the last ones are never read. "
            "Behind the last token stands the first.",
        ),
        "y is x": (
            read_wrong(shift=0),
            "Your y is x: a model that may copy learns nothing. y is one token further.",
        ),
        "y is two ahead": (
            read_wrong(shift=2),
            "Your y is two tokens further. It should be one.",
        ),
        "rows overlap": (
            read_wrong(row=lambda T: 1),
            "Your rows begin one token apart, so they hold the same text. Row b begins T tokens "
            "behind row b − 1.",
        ),
        "rows skip a token": (
            read_wrong(row=lambda T: T + 1),
            "Your rows begin T + 1 tokens apart, and the one between is never an input.",
        ),
        "one row further": (
            read_wrong(step=lambda B, T: T),
            "x and y are right. But the next batch begins T tokens further, so that all rows but "
            "one come again.",
        ),
        "wrapped": (
            wrapped,
            "x and y are right, and the place in the circle too. But let the position grow past "
            "N: it also says how often you have been around.",
        ),
        "back to zero": (
            back_to_zero,
            "x and y are right. But at the end of the tokens you send the next batch to 0, and it "
            "reads some tokens again. Let the position grow past N.",
        ),
        "swapped": (
            swapped,
            "The right batches, the other way round: x first, then y.",
        ),
        "columns": (
            down_the_columns,
            "You fill the columns first. A row is T tokens that follow each other.",
        ),
        "closed rows": (
            closed_rows,
            "The last target of each row is the row's own first token. It should be the token "
            "behind the row.",
        ),
    }
    hints = {"no overlap": 2, "drops the tail": 2}


def split_documents(ids, end, every):
    ends = (ids == end).long()
    document = ends.cumsum(0) - ends  # (N,): how many have ended before this token
    held = document % every == every - 1
    return ids[~held], ids[held]


def split_by_loops(ids, end, every):
    train, val, document = [], [], 0
    for token in ids.tolist():
        (val if document % every == every - 1 else train).append(token)
        document += token == end
    return torch.tensor(train, dtype=torch.long), torch.tensor(val, dtype=torch.long)


def documents_to_split(rng: random.Random):
    """Ids (N,) with an end-of-text behind every document, sometimes an unfinished one last."""
    for number in range(22):
        every, end = rng.randint(2, 4), rng.randint(0, 1) * 50
        ids = []
        for _ in range(3 * every + rng.randint(1, 2)):
            ids += [rng.randint(1, 49) for _ in range(rng.randint(2, 5))] + [end]
        yield torch.tensor(ids if number % 3 else ids[:-1]), end, every


def split_wrong(where):
    """Split by a rule that says for every token whether it is held back."""

    def split_documents(ids, end, every):
        held = where(ids, (ids == end).long(), every)
        return ids[~held], ids[held]

    return split_documents


def late(ids, ends, every):
    return ends.cumsum(0) % every == every - 1


def tail(ids, ends, every):
    return torch.arange(len(ids)) >= len(ids) - len(ids) // every


def the_very_last(ids, ends, every):
    document = ends.cumsum(0) - ends
    return document == document.max()


def without_ends(ids, end, every):
    train, val = split_documents(ids, end, every)
    return train[train != end], val[val != end]


def without_unfinished(ids, end, every):
    last = int((ids == end).nonzero()[-1])
    return split_documents(ids[: last + 1], end, every)


@exercise("15.3", subgoal="join")
class SplitByDocument:
    stub = (
        "def split_documents(ids, end, every):\n"
        "    # ids (N,), with `end` behind every document → (train, val), both 1-D\n"
        "    ..."
    )
    solution = split_documents
    spec = split_by_loops
    inputs = documents_to_split
    mutants = {
        "by token": (
            split_wrong(lambda ids, ends, every: torch.arange(len(ids)) % every == every - 1),
            "You split tokens, not documents: the tokens left and right of each held-back one are "
            "trained on. Count documents.",
        ),
        "the tail": (
            split_wrong(tail),
            "You cut once, at a token. That tears a document in two, and one half gives the other "
            "away.",
        ),
        "end goes to the next": (
            split_wrong(late),
            "Your end-of-text belongs to the document behind it. It stands behind its document: "
            "count the ends before a token, without the token itself.",
        ),
        "ends are gone": (
            without_ends,
            "You dropped the end-of-text tokens. Without them documents run into each other.",
        ),
        "unfinished one is lost": (
            without_unfinished,
            "The last document has no end-of-text behind it yet, and you lost it.",
        ),
        "swapped": (
            lambda ids, end, every: split_documents(ids, end, every)[::-1],
            "The right two, the other way round: train first.",
        ),
        "the first": (
            split_wrong(lambda ids, ends, every: (ends.cumsum(0) - ends) % every == 0),
            "You hold back the first of each group. Asked is the last: documents every − 1, "
            "2 · every − 1, …",
        ),
        "once": (
            split_wrong(lambda ids, ends, every: ends.cumsum(0) - ends == every - 1),
            "You hold back one document and no more. Asked is the last of every group: count "
            "modulo `every`.",
        ),
        "the very last": (
            split_wrong(the_very_last),
            "You hold back the very last document alone. Asked is the last of every group.",
        ),
    }
    hints = {"end goes to the next": 2}


@dataclass
class Disk:
    """A disk that notes what is done to it, and can play every kill and every power cut."""

    now: dict
    unsynced: set = field(default_factory=set)
    moved: list = field(default_factory=list)  # (name, what stood there before), not synced yet
    states: list = field(default_factory=list)  # (what a kill leaves, what power cuts leave)

    def __post_init__(self):
        self._note()

    def write(self, name: str, data: str) -> None:
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
    if said != manifest:
        return "a broken manifest"
    if missing := [name for name in files if name not in disk]:
        return f"no {missing[0]}"
    if cut := [name for name in files if disk[name] != files[name]]:
        return f"a broken {cut[0]}"
    return "the new one"


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


def save(disk, files, manifest):
    for name, data in files.items():
        disk.write(name, data)
        disk.sync(name)
    disk.write("aside", manifest)
    disk.sync("aside")
    disk.rename("aside", "manifest")
    disk.sync(".")


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


def files_to_save(rng: random.Random):
    """Two or three files of a checkpoint, and the manifest that names them."""
    for step in range(20):
        names = rng.sample(["model", "optimizer", "loader", "dice"], rng.randint(2, 3))
        files = {f"{name}_{step}": "".join(rng.choices("0123456789", k=6)) for name in names}
        yield files, ", ".join(files)


def saved_wrong(early=False, straight=False, sync=True, sync_files=True, last=True, late=False):
    """Save with one thing wrong."""

    def put_manifest(disk, manifest):
        if straight:
            disk.write("manifest", manifest)
            disk.sync("manifest")
            return
        disk.write("aside", manifest)
        if sync and not late:
            disk.sync("aside")
        disk.rename("aside", "manifest")
        if late:
            disk.sync("manifest")
        if last:
            disk.sync(".")

    def save(disk, files, manifest):
        if early:
            put_manifest(disk, manifest)
        for name, data in files.items():
            disk.write(name, data)
            if sync_files:
                disk.sync(name)
        if not early:
            put_manifest(disk, manifest)

    return save


def moved_away(disk, files, manifest):
    disk.rename("manifest", "before")
    save(disk, files, manifest)


def all_renamed(disk, files, manifest):
    for name, data in {**files, "manifest": manifest}.items():
        disk.write(name + ".part", data)
        disk.sync(name + ".part")
        disk.rename(name + ".part", name)
    disk.sync(".")


def one_file(disk, files, manifest):
    save(disk, dict([*files.items()][:1]), manifest)


@exercise("15.4", subgoal="write")
class SaveWithoutFear:
    stub = (
        "def save(disk, files, manifest):\n"
        '    # disk.write(name, data), disk.sync(name), disk.rename(old, new), disk.sync(".")\n'
        "    ..."
    )
    solution = save
    spec = save_in_other_order
    inputs = files_to_save
    observe = after_every_moment
    mutants = {
        "straight onto it": (
            saved_wrong(straight=True),
            "You write straight onto the old manifest. A kill in the middle leaves half of the "
            "new one, and nothing of the old.",
        ),
        "manifest first": (
            saved_wrong(early=True),
            "Your manifest comes first, and promises files that a kill then prevents. What says "
            "“all is there” is written last.",
        ),
        "rename before sync": (
            saved_wrong(late=True),
            "You rename before you sync. After a power cut the name may be there already, and the "
            "bytes not yet.",
        ),
        "manifest not synced": (
            saved_wrong(sync=False),
            "Your manifest is never synced itself. Its new name may reach the disk before its "
            "bytes do.",
        ),
        "files not synced": (
            saved_wrong(sync_files=False),
            "You sync the manifest, and not the files that it names. After a power cut they may "
            "be empty.",
        ),
        "names not synced": (
            saved_wrong(last=False),
            "Nothing is ever broken. But when save returns, the rename may still be in memory "
            'alone: end with disk.sync(".").',
        ),
        "moved away": (
            moved_away,
            "You move the old manifest away first. A kill before the new one has its name leaves "
            "readers with none. A rename onto the old one does both in one act.",
        ),
        "names in any order": (
            all_renamed,
            "You rename the files too. After a power cut the manifest may have its new name, and "
            'they not yet: disk.sync(".") before you rename the manifest.',
        ),
        "one file": (
            one_file,
            "You write one file. The manifest names all of them.",
        ),
    }
    hints = {"rename before sync": 2, "files not synced": 2}


@exercise("15.5", subgoal="shuffle")
class WavesInTheLoss:
    stub = 'answer = None  # for example (1000, "a")'
    solution = (163840, "c")
    solution_text = 'answer = (163840, "c")'
    mutants = {
        "sequences": (
            (640, "c"),
            "You counted sequences. Each holds T = 256 tokens.",
        ),
        "one row": (
            (10240, "c"),
            "You counted one row of a batch. There are B = 16 of them.",
        ),
        "learning rate": (
            (163840, "a"),
            "The number is right. A learning rate that is too high makes the loss jump or "
            "explode; it knows nothing of the text's length.",
        ),
        "noise": (
            (163840, "b"),
            "The number is right. Noise of small batches has no period, and this has one.",
        ),
        "dropout": (
            (163840, "d"),
            "The number is right. Dropout is drawn anew at every step, so it cannot repeat.",
        ),
        "per step": (
            (4096, "c"),
            "That is one step. Between two hills there are 40.",
        ),
    }
