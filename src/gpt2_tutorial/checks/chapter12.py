"""The exercises of chapter 12: when to stop, fair judging, saved models, the wrong slice."""

import random
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn as nn

from gpt2_tutorial.checks.engine import exercise
from gpt2_tutorial.gpt import GPT, GPTConfig


@exercise("12.1", subgoal="stop")
class WhenToStop:
    stub = "answer = None  # for example (100, 0)"
    solution = (600, 400)
    solution_text = "answer = (600, 400)"
    mutants = {
        "never stops": (
            (700, 700),
            "The run never gets to step 700: before that, two evaluations in a row brought "
            "nothing better.",
        ),
        "the best of all": (
            (600, 700),
            "It stops at 600, so weights of step 700 never exist. The best of those it saw.",
        ),
        "last weights": (
            (600, 600),
            "It stops there. But the weights that you get are the best ones, not the last.",
        ),
        "patience 1": (
            (300, 200),
            "That is patience 1: it gave up at the first evaluation that was no better.",
        ),
        "one too early": (
            (500, 400),
            "At step 500 only one evaluation since the best was no better. (The one at 300 does "
            "not count any more: 400 was a new best.) Patience 2 waits for a second.",
        ),
        "at the best": (
            (400, 400),
            "At step 400 nobody knows yet that it is the best. The run goes on to find out.",
        ),
        "turned round": (
            (400, 600),
            "The right two steps, the other way round: first the stop, then the weights.",
        ),
    }


@cache
def fixed_bets(seed: int, size: int) -> torch.Tensor:
    """Logits of each id after each id."""
    return torch.randn(size, size, generator=torch.Generator().manual_seed(seed))


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
        self.notes.append((self.training, torch.is_grad_enabled()))
        bets = fixed_bets(self.seed, self.size)
        if self.training:
            bets = bets * (torch.rand(self.size, self.size) > 0.5)
        return bets[idx] + 0.1 * bets[idx.roll(1, -1)], None

    def __repr__(self) -> str:
        return f"a model in {'training' if self.training else 'eval'} mode"


def share_right(model, ids, block_size, windows):
    starts = torch.linspace(0, len(ids) - block_size - 1, windows).long()
    cut = ids[starts[:, None] + torch.arange(block_size + 1)]  # (windows, T + 1)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits, _ = model(cut[:, :-1])  # (windows, T, V)
    model.train(was_training)
    return (logits.argmax(-1) == cut[:, 1:]).float().mean().item()


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


def texts_to_judge(rng: random.Random):
    """A guesser, ids, and windows that start at whole steps from each other."""
    for i in range(22):
        size, block_size, windows = rng.randint(3, 6), rng.randint(3, 6), rng.randint(4, 7)
        model = Guesser(rng.randrange(2**31), size, training=i % 3 != 2)
        between = rng.randint(block_size + 1, block_size + 6)
        length = (windows - 1) * between + block_size + 1
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        yield model, torch.randint(size, (length,), generator=dice), block_size, windows


def judged_twice(share_right, model, ids, block_size, windows):
    """What two calls in a row come to, and what they do with the model."""
    before = model.training
    first = share_right(model, ids, block_size, windows)
    second = share_right(model, ids, block_size, windows)
    return {
        "share": first if first == second else "another one at the second call",
        "judged in training mode": any(training for training, _ in model.notes),
        "gradients prepared": any(grads for _, grads in model.notes),
        "mode put back": model.training == before,
    }


def judge(start="even", mode="restore", grads=False, against=1, places=slice(None)):
    """share_right with one thing wrong."""

    def share_right(model, ids, block_size, windows):
        last = len(ids) - block_size
        starts = {
            "even": torch.linspace(0, last - 1, windows).long(),
            "random": torch.randint(last, (windows,)),
            "beginning": torch.arange(windows),
            "one after the other": torch.arange(windows) * block_size,
            "too far": torch.linspace(0, last, windows).long(),
        }[start]
        cut = ids[starts[:, None] + torch.arange(block_size + 1)]
        was_training = model.training
        if mode != "as it is":
            model.eval()
        with torch.set_grad_enabled(grads):
            logits, _ = model(cut[:, :-1])
        if mode in ("restore", "train"):
            model.train(was_training or mode == "train")
        came = cut[:, 1:] if against else cut[:, :-1]
        return (logits.argmax(-1) == came)[:, places].float().mean().item()

    return share_right


@exercise("12.2", subgoal="judge")
class ShareRight:
    stub = (
        "def share_right(model, ids, block_size, windows):\n"
        "    # the share of places at which the largest logit is that of the id that came\n"
        "    ..."
    )
    solution = share_right
    spec = share_right_by_loops
    inputs = texts_to_judge
    observe = judged_twice
    mutants = {
        "training mode": (
            judge(mode="as it is"),
            "You judge the model in the mode in which it comes. In training mode dropout is on, "
            "so its answer is another one each time. Call model.eval() first, and put the mode "
            "back.",
        ),
        "training mode, gradients": (
            judge(mode="as it is", grads=True),
            "Two things are missing: model.eval() (and the mode put back), so that dropout is "
            "off, and torch.no_grad(), so that nothing is kept for a way back.",
        ),
        "gradients": (
            judge(grads=True),
            "The share is right. But PyTorch keeps every number between for a backward that "
            "never comes: on a large model that is where memory runs out. Judge inside "
            "torch.no_grad().",
        ),
        "random windows": (
            judge(start="random"),
            "Your windows are others at each call, so two numbers cannot be compared. Take the "
            "same ones always, evenly spaced.",
        ),
        "stays in eval": (
            judge(mode="eval"),
            "The model stays in eval mode. If that happens in the middle of training, all that "
            "follows runs without dropout. Note model.training first and put it back.",
        ),
        "stays in eval, gradients": (
            judge(mode="eval", grads=True),
            "Two things: the model stays in eval mode, so put its mode back; and PyTorch keeps "
            "numbers for a backward, so judge inside torch.no_grad().",
        ),
        "always trains": (
            judge(mode="train"),
            "You call model.train() at the end, whatever it was before. A model that came in "
            "eval mode leaves with dropout on. Note model.training first and put that back.",
        ),
        "the beginning": (
            judge(start="beginning"),
            "Your windows start at 0, 1, 2, …: they are nearly the same piece of text. Spread "
            "them over all of it, with linspace.",
        ),
        "one after the other": (
            judge(start="one after the other"),
            "Your windows stand one behind the other at the beginning of the text, and the rest "
            "of it is never looked at. Spread them, with linspace.",
        ),
        "too far": (
            judge(start="too far"),
            "Your last window starts one too late: the id behind it, its last target, is not "
            "there any more. The last start is len(ids) − block_size − 1.",
        ),
        "against itself": (
            judge(against=0),
            "You compare each bet with the id that went in. The one that came stands one place "
            "farther on.",
        ),
        "last place": (
            judge(places=slice(-1, None)),
            "You count the last place of each window alone. Each place makes a bet, and all of "
            "them count.",
        ),
    }
    hints = {"too far": 2, "against itself": 2}


def restore(saved):
    model = GPT(GPTConfig(**saved["config"]))
    weights = {}
    for name, weight in saved["weights"].items():
        weights[name.removeprefix("_orig_mod.")] = weight
    model.load_state_dict(weights)
    return model.eval()


@torch.no_grad()
def restore_by_loops(saved):
    model = GPT(GPTConfig(**saved["config"]))
    stored = {name.split("_orig_mod.")[-1]: weight for name, weight in saved["weights"].items()}
    for name, parameter in model.named_parameters():
        rows = parameter if parameter.dim() > 1 else parameter[None]
        theirs = stored[name] if parameter.dim() > 1 else stored[name][None]
        for row, new in zip(rows, theirs, strict=True):
            row.copy_(new)
    return model.eval()


def saved_models(rng: random.Random):
    """What was saved of small models, every second one compiled."""
    for i in range(20):
        config = {
            "block_size": rng.randint(4, 6),
            "vocab_size": rng.randint(5, 9),
            "n_layer": 1,
            "n_head": (1, 2, 3, 4)[i % 4],
            "n_embd": 12,
            "dropout": 0.3,
        }
        torch.manual_seed(rng.randrange(2**31))
        model = GPT(GPTConfig(**config))
        for parameter in model.parameters():  # gains and shifts too should be anything
            parameter.data += 0.5 * torch.randn_like(parameter)
        prefix = "_orig_mod." if i % 4 > 1 else ""
        weights = {prefix + name: weight for name, weight in model.state_dict().items()}
        yield {"config": config, "weights": weights}


def tried_out(restore, saved):
    """What the restored model says to a few ids, and in which mode."""
    model = restore(saved)
    if not isinstance(model, nn.Module):
        return model
    config, mode = saved["config"], "training" if model.training else "eval"
    torch.manual_seed(0)
    idx = torch.arange(config["block_size"])[None] % config["vocab_size"]
    with torch.no_grad():
        return {"logits": model.eval()(idx)[0], "mode": mode}


def restored(config="saved", names=lambda name: name.removeprefix("_orig_mod."), strict=True,
             weights=True, mode=False):  # fmt: skip
    """restore with one thing wrong."""

    def restore(saved):
        sizes = {key: value for key, value in saved["config"].items() if key != config}
        model = GPT(GPTConfig(**sizes))
        if weights:
            found = {names(name): weight for name, weight in saved["weights"].items()}
            model.load_state_dict(found, strict=strict)
        return model.train(mode)

    return restore


@exercise("12.3", subgoal="keep")
class Restore:
    stub = (
        "def restore(saved):\n"
        '    # saved["config"]: the settings; saved["weights"]: name → tensor → a GPT\n'
        "    ..."
    )
    solution = restore
    spec = restore_by_loops
    inputs = saved_models
    observe = tried_out
    atol = 1e-4
    mutants = {
        "default heads": (
            restored(config="n_head"),
            "Every weight fits, nothing complains, and the bets are others: your model has "
            "GPT-2's 12 heads instead of its own. Heads leave no trace in the shapes. Take all "
            'settings from saved["config"].',
        ),
        "with the prefix": (
            restored(names=lambda name: name),
            "Some of these models were compiled before they were saved, and then each name "
            'begins with "_orig_mod.". Take that off.',
        ),
        "strict off": (
            restored(names=lambda name: name, strict=False),
            "strict=False makes the error go away, and the weights with it: where names begin "
            'with "_orig_mod." nothing is loaded and the model stays random. Mend the names '
            "instead.",
        ),
        "always ten": (
            restored(names=lambda name: name[len("_orig_mod.") :]),
            "You cut ten letters off every name, also where there is no prefix. removeprefix "
            "cuts only what is there.",
        ),
        "training mode": (
            restored(mode=True),
            "The weights are right, and the model is in training mode: it would guess with "
            "dropout on. Call eval().",
        ),
        "nothing loaded": (
            restored(weights=False),
            "That is a fresh model of the right sizes. Its weights are still random: "
            "load_state_dict.",
        ),
    }
    hints = {"default heads": 2}


def both_losses(loss_of, ids, cut, block_size, count):
    found = []
    for first, last in ((0, cut), (cut, len(ids))):
        starts = torch.linspace(first, last - block_size - 1, count).long()
        windows = ids[starts[:, None] + torch.arange(block_size + 1)]
        found.append(loss_of(windows[:, :-1], windows[:, 1:]))
    return found  # on the training text, on the validation text


def both_losses_by_loops(loss_of, ids, cut, block_size, count):
    found = []
    for part in (ids[:cut], ids[cut:]):
        xs, ys = [], []
        for number in range(count):
            start = (len(part) - block_size - 1) * number // (count - 1)
            xs.append(part[start : start + block_size])
            ys.append(part[start + 1 : start + block_size + 1])
        found.append(loss_of(torch.stack(xs), torch.stack(ys)))
    return found


@dataclass(frozen=True)
class LossOf:
    """A stand-in for a model's loss: one number for inputs and targets."""

    seed: int

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> float:
        dice = torch.Generator().manual_seed(self.seed)
        price = torch.rand(100, generator=dice, dtype=torch.float64)
        return (price[x] + 3 * price[y]).mean().item()

    def __repr__(self) -> str:
        return "loss_of"


def texts_with_a_cut(rng: random.Random):
    """A loss, ids, the place of the cut, and windows at whole steps from each other."""
    for _ in range(22):
        block_size, count, parts = rng.randint(3, 5), rng.randint(2, 4), []
        between = rng.randint(5, 9) * 2
        for times in (9, 1):
            parts.append((count - 1) * between * times + block_size + 1)
        dice = torch.Generator().manual_seed(rng.randrange(2**31))
        ids = torch.randint(100, (sum(parts),), generator=dice)
        yield LossOf(rng.randrange(2**31)), ids, parts[0], block_size, count


def losses_over(*spans):
    """both_losses over other parts of the text: (first, last) as functions of cut and length."""

    def both_losses(loss_of, ids, cut, block_size, count):
        found = []
        for span in spans:
            first, last = span(cut, len(ids))
            starts = torch.linspace(first, last - block_size - 1, count).long()
            windows = ids[starts[:, None] + torch.arange(block_size + 1)]
            found.append(loss_of(windows[:, :-1], windows[:, 1:]))
        return found

    return both_losses


def to_cut(cut, length):
    return 0, cut


def from_cut(cut, length):
    return cut, length


def everything(cut, length):
    return 0, length


def by_slices_unshifted(loss_of, ids, cut, block_size, count):
    found = []
    for part in (ids[:cut], ids[cut:]):
        starts = torch.linspace(0, len(part) - block_size - 1, count).long()
        windows = ids[starts[:, None] + torch.arange(block_size + 1)]
        found.append(loss_of(windows[:, :-1], windows[:, 1:]))
    return found


@exercise("12.4", subgoal="judge")
class TheWrongSlice:
    stub = (
        "def both_losses(loss_of, ids, cut, block_size, count):\n"
        "    found = []\n"
        "    for last in (cut, len(ids)):\n"
        "        starts = torch.linspace(0, last - block_size - 1, count).long()\n"
        "        windows = ids[starts[:, None] + torch.arange(block_size + 1)]\n"
        "        found.append(loss_of(windows[:, :-1], windows[:, 1:]))\n"
        "    return found  # on the training text, on the validation text"
    )
    solution = both_losses
    spec = both_losses_by_loops
    inputs = texts_with_a_cut
    mutants = {
        "over everything": (
            losses_over(to_cut, everything),
            "The windows for validation are still spread from 0 over the whole text, and nine in "
            "ten of them lie in the training text. Where should they begin?",
        ),
        "training twice": (
            losses_over(to_cut, to_cut),
            "Now both losses are of the training text. The second should come from behind the cut.",
        ),
        "the other one": (
            losses_over(everything, from_cut),
            "Validation is right now. But your training loss reaches into the validation text: "
            "it ends at the cut.",
        ),
        "both from the cut": (
            losses_over(from_cut, from_cut),
            "Now both losses are of the validation text. The first should end at the cut.",
        ),
        "turned round": (
            losses_over(from_cut, to_cut),
            "The right two losses, the other way round: the training text comes first.",
        ),
        "slices, whole ids": (
            by_slices_unshifted,
            "You measured the slice, and then took the windows out of ids, where the same "
            "numbers point at its beginning. Take them out of the slice.",
        ),
    }
    hints = {"slices, whole ids": 2}


@exercise("12.5", subgoal="compare")
class HalfTheContext:
    stub = 'answer = None  # for example "T = 64"'
    solution = "T = 32"
    solution_text = 'answer = "T = 32"'
    mutants = {
        "longer": (
            "T = 64",
            "A longer context ought to help, and in the end it does. In so short a run it is the "
            "other. Run it.",
        ),
        "same": (
            "no difference",
            "The same number of characters, yes. But not the same loss. Run it.",
        ),
        "cannot": (
            "nan",
            "Neither run breaks. Compare the two losses.",
        ),
    }


def vet(text):
    cut = int(0.9 * len(text))
    known = set(text[:cut])
    strangers = sorted(set(text[cut:]) - known)
    return len(text), len(set(text)), strangers


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


def own_texts(rng: random.Random):
    """Short texts whose last tenth often has characters of its own."""
    for i in range(22):
        body = "".join(rng.choices("abcd ef", k=rng.randint(60, 90)))
        rare = "".join(rng.choices("#é", k=2)) if i % 2 else ""
        end = "".join(rng.choices("abcd xyzé#", k=len(body) // 9 - 1))
        yield (body[:20] + rare + body[20:] + end,)


@exercise("12.6", subgoal="choose")
class Vet:
    stub = (
        "def vet(text):\n"
        "    # → how many characters, how many distinct ones, the strangers (sorted)\n"
        "    ..."
    )
    solution = vet
    spec = vet_by_loops
    inputs = own_texts
    mutants = {
        "turned round": (
            lambda text: (
                len(text),
                len(set(text)),
                sorted(set(text[: int(0.9 * len(text))]) - set(text[int(0.9 * len(text)) :])),
            ),
            "Those are characters that are missing at the end, and they do no harm. Strangers "
            "are in the last tenth and nowhere before it.",
        ),
        "the whole end": (
            lambda text: (len(text), len(set(text)), sorted(set(text[int(0.9 * len(text)) :]))),
            "Those are all characters of the last tenth. Strangers are those of them that the "
            "first nine tenths do not have.",
        ),
        "distinct of the training text": (
            lambda text: (len(text), len(set(text[: int(0.9 * len(text))])), vet(text)[2]),
            "Distinct characters are counted over the whole text: each needs a row in the table.",
        ),
        "not sorted, twice": (
            lambda text: (
                len(text),
                len(set(text)),
                [c for c in text[int(0.9 * len(text)) :] if c not in text[: int(0.9 * len(text))]],
            ),
            "The right characters, but as often as they come. Each once, sorted.",
        ),
        "a set": (
            lambda text: (len(text), len(set(text)), set(vet(text)[2])),
            "The right strangers, in a set. Make it a sorted list.",
        ),
        "a count": (
            lambda text: (len(text), len(set(text)), len(vet(text)[2])),
            "You counted the strangers. Name them: you will want to see them.",
        ),
    }
