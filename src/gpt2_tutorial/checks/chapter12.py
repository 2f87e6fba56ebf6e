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
        "one place on": (
            (700, 500),
            "You have given the first loss to step 100. It belongs to step 0: a run is judged once "
            "before it begins.",
        ),
        "places": (
            (6, 4),
            "Those are places in the row. Say the steps: this run is judged every 100.",
        ),
        "as in the example": (
            (400, 200),
            "So it went in the example by hand. Here step 400 is a new best, and at a new best the "
            "waiting begins anew.",
        ),
        "one more": (
            (700, 400),
            "The weights are right. But with patience 2 the second evaluation without a new best "
            "ends the run: count from 400 on.",
        ),
        "the last before the end": (
            (700, 600),
            "Find the best so far after each evaluation, and count those since. When two have "
            "brought nothing better, the run stops, and hands out the best.",
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
        self.notes.append((self.training, torch.is_grad_enabled(), idx.flatten().tolist()))
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
    """What two calls in a row come to, and what they do with the model.

    A share counts only if it was judged in eval mode, on the same windows both times: what chance
    brings is not compared.
    """
    before, shares, seen = model.training, [], []
    for _ in range(2):
        begin = len(model.notes)
        shares.append(share_right(model, ids, block_size, windows))
        seen.append([i for *_, window in model.notes[begin:] for i in window])
    if shares[0] is None:
        return None
    trained = any(training for training, *_ in model.notes)
    after = "as before" if model.training == before else "another"
    found = {"mode": f"{'train' if trained else 'eval'}, then {after}"}
    found["grad"] = any(grads for _, grads, _ in model.notes)
    found["fixed"] = trained or seen[0] == seen[1]
    found["share"] = shares[0] if found["fixed"] and not trained else "by chance"
    return found


def judge(
    start="even", mode="restore", grads=False, against=1, places=slice(None), axis=-1, times=1
):
    """share_right with one thing wrong."""

    def share_right(model, ids, block_size, windows):
        last = len(ids) - block_size
        starts = {
            "even": torch.linspace(0, last - 1, windows).long(),
            "random": torch.randint(last, (windows,)),
            "beginning": torch.arange(windows),
            "one after the other": torch.arange(windows) * block_size,
            "too far": torch.linspace(0, last, windows).long(),
            "too early": torch.linspace(0, last - 2, windows).long(),
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
        return times * (logits.argmax(axis) == came)[:, places].float().mean().item()

    return share_right


def shortened(model, ids, block_size, windows):
    """share_right whose last window is one id short, since a slice may reach over the end."""
    was_training, right = model.training, 0
    model.eval()
    with torch.no_grad():
        for start in torch.linspace(0, len(ids) - block_size, windows).long().tolist():
            x, y = ids[start : start + block_size], ids[start + 1 : start + block_size + 1]
            right += (model(x[None])[0][0, : len(y)].argmax(-1) == y).sum().item()
    model.train(was_training)
    return right / (windows * block_size)


def counted(model, ids, block_size, windows):
    return share_right(model, ids, block_size, windows) * windows * block_size


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
            "Two calls with the same model and the same windows differ: it came in training mode, "
            "where dropout rolls dice. Call model.eval() first, and put the mode back afterwards.",
        ),
        "training mode, gradients": (
            judge(mode="as it is", grads=True),
            "Two calls with the same model and the same windows differ, since dropout rolls dice: "
            "model.eval() first, and the mode put back afterwards. And judge inside "
            "torch.no_grad(), so that nothing is kept for a way back.",
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
        "too far, in slices": (
            shortened,
            "Your last window is one place short, and nothing says so: a slice may reach over the "
            "end. Its start is one too late, for the last start is len(ids) − block_size − 1.",
        ),
        "too early": (
            judge(start="too early"),
            "Your last window starts one too early, and the last id of the text is never bet on. "
            "The last start is len(ids) − block_size − 1.",
        ),
        "percent": (
            judge(times=100),
            "That is in percent. A share lies between 0 and 1: leave the 100 away.",
        ),
        "a count": (
            counted,
            "You counted the right ones. A share is that number divided by all the places.",
        ),
        "along the places": (
            judge(axis=1),
            "argmax(1) looks along the places of a window. The logits of one place lie in the "
            "last dimension: argmax(-1).",
        ),
    }
    hints = {"too far": 2, "too far, in slices": 2, "too early": 2, "against itself": 2}


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
    stored = {}
    for name, weight in saved["weights"].items():
        compiled = name[:10] == "_orig_mod."
        stored[name[10:] if compiled else name] = weight
    if sorted(stored) != sorted(model.state_dict()):
        raise RuntimeError("a weight is missing, or has another name")
    for name, parameter in model.named_parameters():
        rows = parameter if parameter.dim() > 1 else parameter[None]
        theirs = stored[name] if parameter.dim() > 1 else stored[name][None]
        for row, new in zip(rows, theirs, strict=True):
            row.copy_(new)
    return model.eval()


def saved_models(rng: random.Random):
    """What was saved of small models, every second one compiled; the last six are damaged."""
    for i in range(24):
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
        prefix += "m." if i in (18, 20, 22) else ""  # out of somebody's larger program
        weights = {prefix + name: weight for name, weight in model.state_dict().items()}
        if i in (19, 21, 23):
            lost = rng.choice([name for name in weights if "h.0" in name])
            del weights[lost]
        yield {"config": config, "weights": weights}


def tried_out(restore, saved):
    """What the restored model says to a few ids, and in which mode; damaged ones are refused."""
    model = restore(saved)
    if not isinstance(model, nn.Module):
        return model
    config, mode = saved["config"], "training" if model.training else "eval"
    torch.manual_seed(0)
    idx = torch.arange(config["block_size"])[None] % config["vocab_size"]
    with torch.no_grad():
        return {"logits": model.eval()(idx)[0], "mode": mode}


def reported(saved):
    """restore, but what it hands back is the report of load_state_dict."""
    model = GPT(GPTConfig(**saved["config"])).eval()
    weights = {name.removeprefix("_orig_mod."): w for name, w in saved["weights"].items()}
    return model.load_state_dict(weights)


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
        "strict off, right names": (
            restored(strict=False),
            "Some of these files are damaged. With strict=False such a model comes back all the "
            "same, with random numbers where a weight is missing. Load strictly, and let PyTorch "
            "complain.",
        ),
        "lstrip": (
            restored(names=lambda name: name.lstrip("_orig_mod.")),  # noqa: B005
            "lstrip takes letters, not a word: it goes on as long as one of _ o r i g m d or a dot "
            "comes next. Here it has eaten an “m.” too, which belongs to the name, so that weights "
            "of another program look like yours. removeprefix takes off that word alone.",
        ),
        "the report": (
            reported,
            "load_state_dict fills the model in place. What it returns is a report of the names "
            "that did not fit. Hand back the model.",
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


def slightly_off(first=0, last=0):
    """Both parts, the second from a little beside the cut, the first up to a little beside it."""
    return losses_over(
        lambda cut, length: (0, cut + last), lambda cut, length: (cut + first, length)
    )


def run_up(loss_of, ids, cut, block_size, count):
    """Validation from one window before the cut on."""
    return slightly_off(first=-block_size)(loss_of, ids, cut, block_size, count)


def random_windows(loss_of, ids, cut, block_size, count):
    found = []
    for part in (ids[:cut], ids[cut:]):
        starts = torch.randint(len(part) - block_size, (count,))
        windows = part[starts[:, None] + torch.arange(block_size + 1)]
        found.append(loss_of(windows[:, :-1], windows[:, 1:]))
    return found


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
        "one before the cut": (
            slightly_off(first=-1),
            "Your validation begins one id before the cut, and that id was learned from. The text "
            "learned from is ids[:cut], so ids[cut] is the first one held back.",
        ),
        "one behind the cut": (
            slightly_off(first=1),
            "Your validation begins one id too late. ids[:cut] ends before place cut, so ids[cut] "
            "is held back already.",
        ),
        "a window before the cut": (
            run_up,
            "Your first window for validation lies before the cut, and all its targets but the "
            "last were learned from. Begin at the cut.",
        ),
        "training one short": (
            slightly_off(last=-1),
            "Validation is right. Your training part ends one id too early: cut is already the "
            "place behind its last id, as in ids[:cut].",
        ),
        "training one too long": (
            slightly_off(last=1),
            "Validation is right. Your training part reaches one id too far: ids[:cut] ends before "
            "place cut.",
        ),
        "random windows": (
            random_windows,
            "Each part is right. But the windows are others at each call now, and they were the "
            "same: keep linspace.",
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
        "longer, in short": (
            "64",
            'Say it as one of the four texts, so "T = 64". And run it: a longer context ought to '
            "help, but this is a short run.",
        ),
        "longer, a number": (
            64,
            'That is a number, and the answer is a text: "T = 64". And run it: a longer context '
            "ought to help, but this is a short run.",
        ),
        "in short": ("32", 'Say it as one of the four texts: "T = 32".'),
        "a number": (32, 'That is a number, and the answer is a text: "T = 32".'),
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


def vet_at(cut_of, before=lambda text: text):
    """Vet with another cut, or with something done to the text before."""

    def vet(text):
        text = before(text)
        cut = cut_of(len(text))
        return len(text), len(set(text)), sorted(set(text[cut:]) - set(text[:cut]))

    return vet


def strangers_by(found):
    """Vet whose strangers are `found` in the two parts of the text."""

    def vet(text):
        cut = int(0.9 * len(text))
        return len(text), len(set(text)), found(text[:cut], text[cut:])

    return vet


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
    observe = vetted
    mutants = {
        "turned round": (
            strangers_by(lambda known, end: sorted(set(known) - set(end))),
            "Those are characters that are missing at the end, and they do no harm. Strangers "
            "are in the last tenth and nowhere before it.",
        ),
        "in one of the two": (
            strangers_by(lambda known, end: sorted(set(known) ^ set(end))),
            "^ keeps what stands in one of the two parts, whichever it is. Those that are missing "
            "at the end do no harm: subtract instead.",
        ),
        "the whole end": (
            strangers_by(lambda known, end: sorted(set(end))),
            "Those are all characters of the last tenth. Strangers are those of them that the "
            "first nine tenths do not have.",
        ),
        "distinct of the training text": (
            lambda text: (len(text), len(set(text[: int(0.9 * len(text))])), vet(text)[2]),
            "Distinct characters are counted over the whole text: each needs a row in the table.",
        ),
        "not sorted": (
            strangers_by(lambda known, end: list(dict.fromkeys(c for c in end if c not in known))),
            "The right strangers, each once, but in no order. Put sorted(…) around them.",
        ),
        "not sorted, twice": (
            strangers_by(lambda known, end: [c for c in end if c not in known]),
            "The right characters, as often as they come, and in that order. Each once, sorted.",
        ),
        "sorted, twice": (
            strangers_by(lambda known, end: sorted(c for c in end if c not in known)),
            "The right characters, and sorted. But each should stand there once: begin with a set.",
        ),
        "a set": (
            strangers_by(lambda known, end: set(end) - set(known)),
            "The right strangers, in a set. Make it a sorted list.",
        ),
        "a text": (
            strangers_by(lambda known, end: "".join(sorted(set(end) - set(known)))),
            "The right strangers, as one text. Leave the list that sorted gives as it is.",
        ),
        "a count": (
            strangers_by(lambda known, end: len(set(end) - set(known))),
            "You counted the strangers. Name them: you will want to see them.",
        ),
        "bytes": (
            lambda text: (len(text.encode()), *vet(text)[1:]),
            "You counted bytes, and é has two of them. Count characters: len(text).",
        ),
        "the wrong two first": (
            lambda text: (len(set(text)), len(text), vet(text)[2]),
            "The first two stand the other way round: all characters, then the distinct ones.",
        ),
        "small letters": (
            vet_at(lambda n: int(0.9 * n), str.lower),
            "You made all letters small. To a model of characters, a and A are two: leave the text "
            "as it is.",
        ),
        "one before": (
            vet_at(lambda n: int(0.9 * n) - 1),
            "You cut too early: the character right before place int(0.9 * len(text)) belongs to "
            "the text before.",
        ),
        "one behind": (
            vet_at(lambda n: int(0.9 * n) + 1),
            "You cut one place too late: the last tenth begins with the character at place "
            "int(0.9 * len(text)).",
        ),
        "rounded": (
            vet_at(lambda n: round(0.9 * n)),
            "round goes up half of the time, and then the cut is one place too late. int drops "
            "what stands behind the point, as the split of the text does.",
        ),
        "a tenth from behind": (
            vet_at(lambda n: n - n // 10),
            "A tenth counted from the end is not always the place int(0.9 * len(text)): where the "
            "length is no multiple of ten, you cut one too late.",
        ),
        "a fifth": (
            vet_at(lambda n: int(0.8 * n)),
            "You cut at eight tenths. The last tenth begins at int(0.9 * len(text)).",
        ),
        "half": (
            vet_at(lambda n: n // 2),
            "You cut in the middle. The last tenth begins at int(0.9 * len(text)).",
        ),
    }
