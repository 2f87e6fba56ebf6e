"""The exercises of chapter 12: when to stop, fair judging, saved models, the wrong slice."""

from dataclasses import dataclass, field

import torch
import torch.nn as nn
from torch.overrides import TorchFunctionMode

from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise
from gpt2_tutorial.gpt import GPT, GPTConfig

value_exercise(
    "12.1", __name__, subgoal="stop", stub="answer = None  # for example (100, 0)",
    solution="answer = (600, 400)",
)  # fmt: skip


@dataclass
class Guesser:
    """A stand-in for a trained model; in training mode its bets are partly blotted out."""

    seed: int
    size: int
    training: bool
    notes: list = field(default_factory=list)

    def eval(self):
        return self.train(False)

    def train(self, mode=True):
        self.training = mode
        return self

    def __call__(self, idx, targets=None):
        self.notes.append((self.training, torch.is_grad_enabled(), idx.flatten().tolist()))
        bets = Dice(self.seed).randn(self.size, self.size)  # on each id, after each id
        if self.training:
            bets = bets * (torch.rand(self.size, self.size) > 0.5)
        return bets[idx] + 0.1 * bets[idx.roll(1, -1)], None


@torch.no_grad()
def share_right_by_loops(model, ids, block_size, windows):
    was_training, right = model.training, 0
    model.eval()
    for number in range(windows):
        start = (len(ids) - block_size - 1) * number // (windows - 1)
        logits, _ = model(ids[start : start + block_size][None])
        for place in range(block_size):
            bets = logits[0, place].tolist()
            right += bets.index(max(bets)) == ids[start + place + 1].item()
    model.train(was_training)
    return right / (windows * block_size)


def texts_to_judge(rng: Dice):
    """A guesser, ids, and windows that start at whole steps from each other."""
    for i in range(22):
        size, block_size, windows = rng.randint(3, 6), rng.randint(3, 6), rng.randint(4, 7)
        model = Guesser(rng.randrange(2**31), size, training=i % 3 != 2)
        between = rng.randint(block_size + 1, block_size + 6)
        length = (windows - 1) * between + block_size + 1
        yield model, torch.tensor(rng.choices(range(size), k=length)), block_size, windows


def judged_twice(share_right, model, ids, block_size, windows):
    """What two calls in a row come to, and what they do with the model.

    A share counts only if it was judged in eval mode, on the same windows both times: what chance
    brings is not compared.
    """
    before = model.training
    shares = [share_right(model, ids, block_size, windows) for _ in range(2)]
    seen = [i for *_, window in model.notes for i in window]
    half = len(seen) // 2
    if shares[0] is None:
        return None
    trained = any(training for training, *_ in model.notes)
    after = "as before" if model.training == before else "another"
    found = {"mode": f"{'train' if trained else 'eval'}, then {after}"}
    found["grad"] = any(grads for _, grads, _ in model.notes)
    found["fixed"] = trained or seen[:half] == seen[half:]
    found["share"] = shares[0] if found["fixed"] and not trained else "by chance"
    return found


@exercise(
    "12.2", subgoal="judge", spec=share_right_by_loops, inputs=texts_to_judge, observe=judged_twice
)
def share_right(model, ids, block_size, windows):
    # the share of places at which the largest logit is that of the id that came
    starts = torch.linspace(0, len(ids) - block_size - 1, windows).long()
    cut = ids[starts[:, None] + torch.arange(block_size + 1)]  # (windows, T + 1)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits, _ = model(cut[:, :-1])  # (windows, T, V)
    model.train(was_training)
    return (logits.argmax(-1) == cut[:, 1:]).float().mean().item()


@torch.no_grad()
def restore_by_loops(saved):
    model = GPT(GPTConfig(**saved["config"]))
    stored = {}
    for name, weight in saved["weights"].items():
        stored[name[10:] if name[:10] == "_orig_mod." else name] = weight
    if sorted(stored) != sorted(model.state_dict()):
        raise RuntimeError("a weight is missing, or has another name")
    for name, parameter in model.named_parameters():
        parameter.copy_(stored[name])
    return model.eval()


def saved_models(rng: Dice):
    """What was saved of small models, every second one compiled; the last six are damaged."""
    for i in range(24):
        sizes = {"block_size": rng.randint(4, 6), "vocab_size": rng.randint(5, 9), "n_layer": 1}
        config = sizes | {"n_head": 1 + i % 4, "n_embd": 12, "dropout": 0.3}
        torch.manual_seed(rng.randrange(2**31))
        model = GPT(GPTConfig(**config))
        for parameter in model.parameters():  # gains and shifts too should be anything
            parameter.data += 0.5 * torch.randn_like(parameter)
        prefix = "_orig_mod." if i % 4 > 1 else ""
        prefix += "m." if i in (18, 20, 22) else ""  # out of somebody's larger program
        weights = {prefix + name: weight for name, weight in model.state_dict().items()}
        if i in (19, 21, 23):
            del weights[rng.choice([name for name in weights if "h.0" in name])]
        yield {"config": config, "weights": weights}


class OtherSizes(ValueError):
    """A model that is far larger than those that were saved."""


class SmallTables(TorchFunctionMode):
    """Refuses large tables: 24 models of GPT-2's own size would take minutes."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.numel() > 10**6:
            raise OtherSizes(f"a table {tuple(made.shape)}, and no saved one is so large")
        return made


def tried_out(restore, saved):
    """What the restored model says to a few ids, and in which mode; damaged ones are refused."""
    with SmallTables():
        model = restore(saved)
    if not isinstance(model, nn.Module):
        return model
    config, mode = saved["config"], "training" if model.training else "eval"
    idx = torch.arange(config["block_size"])[None] % config["vocab_size"]
    with torch.no_grad():
        return {"logits": model.eval()(idx)[0], "mode": mode}


@exercise(
    "12.3", subgoal="keep", spec=restore_by_loops, inputs=saved_models, observe=tried_out, atol=1e-4
)
def restore(saved):
    # saved["config"]: the settings; saved["weights"]: name → tensor → a GPT
    model = GPT(GPTConfig(**saved["config"]))
    weights = {}
    for name, weight in saved["weights"].items():
        weights[name.removeprefix("_orig_mod.")] = weight
    model.load_state_dict(weights)
    return model.eval()


def both_losses_by_loops(loss_of, ids, cut, block_size, count):
    found = []
    for part in (ids[:cut], ids[cut:]):
        windows = []
        for number in range(count):
            start = (len(part) - block_size - 1) * number // (count - 1)
            windows.append(part[start : start + block_size + 1])
        found.append(loss_of(torch.stack(windows)[:, :-1], torch.stack(windows)[:, 1:]))
    return found


@dataclass(frozen=True)
class LossOf:
    """A stand-in for a model's loss: one number for inputs and targets."""

    seed: int

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> float:
        price = Dice(self.seed).rand(100).double()
        return (price[x] + 3 * price[y]).mean().item()


def texts_with_a_cut(rng: Dice):
    """A loss, ids, the place of the cut, and windows at whole steps from each other."""
    for _ in range(22):
        block_size, count, step = rng.randint(3, 5), rng.randint(2, 4), 2 * rng.randint(5, 9)
        cut, rest = ((count - 1) * step * times + block_size + 1 for times in (9, 1))
        ids = torch.tensor(rng.choices(range(100), k=cut + rest))
        yield LossOf(rng.randrange(2**31)), ids, cut, block_size, count


@exercise("12.4", subgoal="judge", spec=both_losses_by_loops, inputs=texts_with_a_cut)
def both_losses(loss_of, ids, cut, block_size, count):
    found = []
    for first, last in ((0, cut), (cut, len(ids))):
        starts = torch.linspace(first, last - block_size - 1, count).long()
        windows = ids[starts[:, None] + torch.arange(block_size + 1)]
        found.append(loss_of(windows[:, :-1], windows[:, 1:]))
    return found  # on the training text, on the validation text


value_exercise(
    "12.5", __name__, subgoal="compare", stub='answer = None  # for example "T = 64"',
    solution='answer = "T = 32"',
)  # fmt: skip


def vet_by_loops(text):
    distinct, known, strangers = [], [], []
    for place, character in enumerate(text):
        if character not in distinct:
            distinct.append(character)
        if place < int(0.9 * len(text)):
            known.append(character)
        elif character not in known and character not in strangers:
            strangers.append(character)
    return len(text), len(distinct), sorted(strangers)


def own_texts(rng: Dice):
    """Texts with strangers right behind the cut, and none of theirs right before it."""
    for i in range(24):
        length = rng.randrange(120, 180, 10) + i % 10
        cut = int(0.9 * length)
        first, *others = sorted(rng.sample("ghijklGHKMuvwéß#", 7), reverse=True)  # out of order
        middle, late, last = rng.sample("pqrstPQRST", 3)
        body = rng.choices("abcdABCD ef\n", k=cut)
        body[rng.randint(length // 2 + 1, int(0.8 * length) - 1)] = middle
        body[rng.randint(int(0.8 * length) + 1, cut - 4)] = late
        body[cut - 1] = last
        end = [*others, others[0], middle, late, last]
        end += rng.choices("abcdABCD ef\n", k=length - cut - 1 - len(end))
        rng.shuffle(end)
        yield ("".join([*body, first, *end]),)


def vetted(vet, text):
    """What vet finds, with the strangers sorted, and whether they came so."""
    found = vet(text)
    if not (isinstance(found, tuple | list) and len(found) == 3 and isinstance(found[2], list)):
        return found
    in_order = sorted(found[2])
    return *found[:2], in_order, "sorted" if in_order == found[2] else "not sorted"


@exercise("12.6", subgoal="choose", spec=vet_by_loops, inputs=own_texts, observe=vetted)
def vet(text):
    # → how many characters, how many distinct ones, the strangers (sorted)
    cut = int(0.9 * len(text))
    known = set(text[:cut])
    strangers = sorted(set(text[cut:]) - known)
    return len(text), len(set(text)), strangers
