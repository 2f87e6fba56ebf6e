"""Train GPT-2: on a laptop, on one GPU, on eight, on several machines.

    torchrun --standalone --nproc_per_node=2 launch/train_gpt2.py --preset cpu

The same command goes on where a run was stopped. This file is exported from
notebooks/16_ddp.ipynb by `make export`: change it there.
"""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch

from gpt2_tutorial.commands.export import write_model
from gpt2_tutorial.commands.options import real
from gpt2_tutorial.distributed import setup, teardown
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.runs import ending
from gpt2_tutorial.runs.fsdp import kind_of, whole
from gpt2_tutorial.runs.machines import share_newest
from gpt2_tutorial.runs.models import tokenizer_of_shards
from gpt2_tutorial.runs.progress import Progress, tell
from gpt2_tutorial.runs.run_folder import RunFolder
from gpt2_tutorial.runs.signals import Stop
from gpt2_tutorial.runs.together import all_do, first_does
from gpt2_tutorial.runs.trackers import TRACKERS, tracker
from gpt2_tutorial.runs.watch import Watch, items_of
from gpt2_tutorial.shards import ShardLoader, write_shards
from gpt2_tutorial.text import CharTokenizer, load_shakespeare
from gpt2_tutorial.train import ALONE, PRESETS, TrainConfig, fit


def parsed(argv):
    """The command line: a preset, folders, and any field of TrainConfig."""
    parser = argparse.ArgumentParser("train_gpt2", description="Train GPT-2.")
    add = parser.add_argument
    add("--preset", choices=PRESETS, default="cpu", help="default: cpu")
    add("--data", type=Path, help="what `gpt2 prepare` wrote; cpu makes its own")
    add("--out", type=Path, default=Path("runs/gpt2"), help="default: %(default)s")
    add("--device", choices=("cuda", "cpu"), help="default: a GPU if there is one")
    add("--hellaswag", help="a file of items to solve, or val: HellaSwag's own")
    add("--tracker", choices=TRACKERS, help="show the metrics there as well")
    add("--price", type=real(0), help="dollars an hour (default: `gpt2 plan`'s)")
    for field in fields(TrainConfig):
        yes_no = {"action": argparse.BooleanOptionalAction}
        how = yes_no if field.type is bool else {"type": field.type}
        add("--" + field.name.replace("_", "-"), help="see TrainConfig", **how)
    return parser.parse_args(argv)


def configured(args, vocab_size):
    """The preset, with what the data and the command line change."""
    names = {field.name for field in fields(TrainConfig)}
    given = {name: value for name, value in vars(args).items() if value is not None}
    changes = {name: given[name] for name in names & given.keys()}
    return replace(PRESETS[args.preset], **{"vocab_size": vocab_size} | changes)


def prepared(args, ranks):
    """The folder of shards and its tokenizer; cpu writes tiny Shakespeare."""
    folder = args.data or args.out / "data"
    if args.data is None and args.preset != "cpu":
        raise ValueError("--data is missing: the folder that `gpt2 prepare` wrote")
    if args.data is None:
        first_does(ranks, lambda: write_shakespeare(folder))
    return folder, all_do(ranks, lambda: tokenizer_of_shards(folder))


def write_shakespeare(folder):
    """Every speech a document that ends in a line break; a tenth to validate."""
    text = load_shakespeare()
    letters = CharTokenizer(text)
    end = letters.encode("\n")[0]
    documents = text.split("\n\n")
    write_shards(documents, letters, folder, end_of_text=end, val_every=10)


def loaders(folder, tokenizer, config, ranks):
    """This rank's share of both splits."""
    place = (ranks.rank, ranks.world_size, config.seed)
    place = (config.micro_batch, config.block_size, *place)
    train = ShardLoader(folder, "train", *place, tokenizer=tokenizer, prefetch=True)
    return train, ShardLoader(folder, "val", *place, tokenizer=tokenizer)


def logger(args, config, ranks, folder):
    """Where a row of the log goes: to a file, to whoever watches, to a tracker."""
    if not ranks.is_first:
        return lambda row: None
    progress = Progress(config, args.preset, ranks, args.price)
    track = tracker(args.tracker, args.out, asdict(config))

    def log(row):
        row = progress(row)
        folder.log(row), tell(row), track(row)

    return log


def trained(args, ranks, folder, stop):
    """Build everything, train, and leave the model in Hugging Face's layout."""
    torch.set_float32_matmul_precision("high")  # TF32 where a GPU has it
    data, tokenizer = prepared(args, ranks)
    config = configured(args, tokenizer.vocab_size)
    train, val = all_do(ranks, lambda: loaders(data, tokenizer, config, ranks))
    checkpoints = args.out / "checkpoints"
    began = share_newest(ranks, checkpoints)
    first_does(ranks, lambda: folder.forget_after(began))
    rest = {"folder": checkpoints, "ranks": ranks, "val_loader": val}
    rest |= {"kind": kind_of(config), "asked_to_stop": stop}
    rest["log"] = all_do(ranks, lambda: logger(args, config, ranks, folder))
    items = all_do(ranks, lambda: items_of(args.hellaswag))
    torch.manual_seed(config.seed)
    model = GPT(config.gpt())
    size = sum(p.numel() for p in model.parameters())
    first_does(ranks, lambda: folder.check_room(size, config.keep))
    outcome = fit(model, train, config, look=Watch(tokenizer, ranks, items), **rest)
    if outcome.state == "done":
        model, home = whole(model), args.out / "model"
        first_does(ranks, lambda: write_model(model, tokenizer, home))
    return outcome


def main(argv=None):
    """Train, and say how it ended: in words, in a file, and as exit code."""
    args = parsed(argv)
    with Stop() as stop, ExitStack() as held:
        ranks, mine, folder = ALONE, RunFolder(args.out), None
        try:
            ranks = setup(args.device)
            first_does(ranks, lambda: held.enter_context(mine).begin())
            folder = mine  # not before: it might be another run's
            end = ending.of_outcome(trained(args, ranks, folder, stop))
        except Exception as error:
            end = ending.of_error(error)  # what nobody foresaw is raised again
        ending.say(end, ranks, folder)
        if end.together:
            teardown()  # one that ends alone leaves at once: the others notice
    return end.code


if __name__ == "__main__" and "__file__" in globals():
    sys.exit(main())
