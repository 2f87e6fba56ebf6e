"""Train GPT-2: on a laptop, on one GPU, on eight, on several machines.

Exported from notebooks/17_script.ipynb by `make export`: change it there.
"""

import argparse
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from pathlib import Path

import torch

from gpt2_tutorial.commands.export import write_model
from gpt2_tutorial.commands.options import real
from gpt2_tutorial.config import PRESETS, TrainConfig
from gpt2_tutorial.distributed import ALONE, setup, teardown
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.runs import ending, modern_run
from gpt2_tutorial.runs.fsdp import run_class, whole
from gpt2_tutorial.runs.machines import share_newest
from gpt2_tutorial.runs.progress import Progress, tell
from gpt2_tutorial.runs.run_folder import RunFolder
from gpt2_tutorial.runs.same_run import Asked
from gpt2_tutorial.runs.signals import Stop
from gpt2_tutorial.runs.together import on_every_rank, on_rank_0
from gpt2_tutorial.runs.tokenizers import tokenizer_of_shards, with_rows_for
from gpt2_tutorial.runs.trackers import TRACKERS, tracker
from gpt2_tutorial.runs.watch import Watch, items_of
from gpt2_tutorial.shards import ShardLoader, write_shards
from gpt2_tutorial.text import CharTokenizer, load_shakespeare
from gpt2_tutorial.train import fit


def add_arguments(parser):
    """The command line: a preset, folders, and any setting of TrainConfig."""
    add = parser.add_argument
    add("--preset", choices=PRESETS, default="cpu", help="default: cpu")
    add("--data", type=Path, help="what `gpt2 prepare` wrote; cpu makes its own")
    add("--out", type=Path, default=Path("runs/gpt2"), help="default: %(default)s")
    add("--device", choices=("cuda", "cpu"), help="default: a GPU if there is one")
    add("--hellaswag", help="a file of items to solve, or val: HellaSwag's own")
    add("--tracker", choices=TRACKERS, help="show the metrics there as well")
    add("--price", type=real(0), help="dollars an hour (default: `gpt2 plan`'s)")
    group = parser.add_argument_group("settings", "each in place of the preset's")
    for setting in fields(TrainConfig):
        yes_no = {"action": argparse.BooleanOptionalAction}
        how = yes_no if setting.type is bool else {"type": setting.type}
        option = "--" + setting.name.replace("_", "-")
        group.add_argument(option, help=setting.metadata["help"], **how)


def configured(args, vocab_size):
    """The preset, with what the data and the command line change."""
    names = {field.name for field in fields(TrainConfig)}
    changes = {n: v for n, v in vars(args).items() if n in names and v is not None}
    return replace(PRESETS[args.preset], **{"vocab_size": vocab_size} | changes)


def prepared(args, ranks):
    """The folder of shards; for the preset cpu, rank 0 writes tiny Shakespeare."""
    if args.data is None and args.preset != "cpu":
        raise ValueError("--data is missing: the folder that `gpt2 prepare` wrote")
    folder = args.data or args.out / "data"
    on_rank_0(ranks, lambda: args.data or write_shakespeare(folder))
    return folder


def write_shakespeare(folder):
    """Every speech a document that ends in a line break; a tenth to validate."""
    text = load_shakespeare()
    letters = CharTokenizer(text)
    end = letters.encode("\n")[0]
    write_shards(text.split("\n\n"), letters, folder, end_of_text=end, val_every=10)


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


def built(args, ranks, folder, data):
    """What this rank needs to train."""
    tokenizer = tokenizer_of_shards(data)
    config = with_rows_for(tokenizer, configured(args, tokenizer.vocab_size))
    train, val = loaders(data, tokenizer, config, ranks)
    torch.manual_seed(config.seed)
    model = GPT(config.gpt()) if config.recipe == "gpt2" else modern_run.gpt(config)
    rest = {"val_loader": val, "log": logger(args, config, ranks, folder)}
    rest["extra_metrics"] = Watch(tokenizer, ranks, items_of(args.hellaswag))
    return tokenizer, config, model, train, rest


def trained(args, ranks, folder, stop):
    """Build everything, train, and leave the model in Hugging Face's layout."""
    torch.set_float32_matmul_precision("high")  # TF32 where a GPU has it
    configured(args, PRESETS[args.preset].vocab_size).pieces(ranks.world_size)
    data, checkpoints = prepared(args, ranks), args.out / "checkpoints"
    parts = on_every_rank(ranks, lambda: built(args, ranks, folder, data))
    tokenizer, config, model, train, rest = parts
    asked = Asked(config, data, train.data)
    newest = share_newest(ranks, checkpoints, asked.check_found)
    on_rank_0(ranks, lambda: folder.ready(asked, newest, model))
    rest |= {"folder": checkpoints, "ranks": ranks, "find": lambda folder: newest}
    rest |= {"run_class": run_class(config), "asked_to_stop": stop}
    result = fit(model, train, config, **rest)
    if result.state == "done":
        model, home = whole(model), args.out / "model"
        on_rank_0(ranks, lambda: write_model(model, tokenizer, home))
    return result


def run(args):
    """Train, and say how it ended: in words, in a file, and as exit code."""
    with Stop() as stop, ExitStack() as held:
        ranks, mine, folder = ALONE, RunFolder(args.out, args.data), None
        try:
            ranks = setup(args.device)
            on_rank_0(ranks, lambda: held.enter_context(mine).begin())
            folder = mine  # not before: it might be another run's
            end = ending.of_result(trained(args, ranks, folder, stop))
        except Exception as error:
            end = ending.of_error(error)  # what nobody foresaw is raised again
        ending.say(end, ranks, folder)
        if end.together:
            teardown()  # one that ends alone leaves at once: the others notice
    return end.code


def main(words=None):
    """What a terminal calls; `gpt2 train` has a parser of its own."""
    parser = argparse.ArgumentParser("train_gpt2", allow_abbrev=False)
    add_arguments(parser)
    return run(parser.parse_args(words))
