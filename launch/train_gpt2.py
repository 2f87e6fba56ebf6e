"""Train GPT-2: on a laptop, on one GPU, on eight, on several machines.

    torchrun --standalone --nproc_per_node=2 launch/train_gpt2.py --preset cpu

The same command goes on where a run was stopped. This file is exported from
notebooks/16_ddp.ipynb by `make export`: change it there.
"""

import argparse
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch

from gpt2_tutorial.bpe import GPT2Tokenizer
from gpt2_tutorial.checkpoint import CheckpointError
from gpt2_tutorial.distributed import any_rank, setup, teardown
from gpt2_tutorial.generate import generate
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.ops import run_folder
from gpt2_tutorial.ops.signals import Stop
from gpt2_tutorial.pretrained import save_gpt2
from gpt2_tutorial.shards import ShardError, ShardLoader, write_shards
from gpt2_tutorial.step import NonFiniteError
from gpt2_tutorial.text import CharTokenizer, load_shakespeare
from gpt2_tutorial.train import PRESETS, TrainConfig, fit

# What went wrong → what a launcher is told: try again, or do not (launch/run.sh).
CODES = {
    ShardError: run_folder.BAD_DATA,
    CheckpointError: run_folder.NO_DISK,
    run_folder.InUse: run_folder.NO_DISK,
    NonFiniteError: run_folder.NON_FINITE,
    ValueError: run_folder.BAD_CONFIG,
}
CODE_OF = {"done": run_folder.DONE, "stopped": run_folder.STOPPED}
CODE_OF["failed"] = run_folder.NON_FINITE


def parsed(argv):
    """The command line: a preset, folders, and any field of TrainConfig."""
    parser = argparse.ArgumentParser("train_gpt2", description="Train GPT-2.")
    add = parser.add_argument
    add("--preset", choices=PRESETS, default="cpu", help="default: cpu")
    add("--data", type=Path, help="what `gpt2 prepare` wrote; cpu makes its own")
    add("--out", type=Path, default=Path("runs/gpt2"), help="default: %(default)s")
    add("--device", choices=("cuda", "cpu"), help="default: a GPU if there is one")
    for field in fields(TrainConfig):
        yes_no = {"action": argparse.BooleanOptionalAction}
        how = yes_no if field.type is bool else {"type": field.type}
        add("--" + field.name.replace("_", "-"), help="see TrainConfig", **how)
    return parser.parse_args(argv)


def configured(args):
    """The preset, with what the command line changes."""
    given = {name: value for name, value in vars(args).items() if value is not None}
    names = given.keys() & {field.name for field in fields(TrainConfig)}
    return replace(PRESETS[args.preset], **{name: given[name] for name in names})


def prepared(args, ranks):
    """The folder of shards and its tokenizer; cpu writes tiny Shakespeare."""
    if args.data is not None:
        return args.data, GPT2Tokenizer()
    if args.preset != "cpu":
        raise ValueError("--data is missing: the folder that `gpt2 prepare` wrote")
    folder, text = args.out / "data", load_shakespeare()
    tokenizer = CharTokenizer(text)
    if ranks.is_first:
        speeches, end = text.split("\n\n"), tokenizer.encode("\n")[0]
        write_shards(speeches, tokenizer, folder, end_of_text=end, val_every=10)
    any_rank(False)  # the others wait here until it is written
    return folder, tokenizer


def loaders(args, config, ranks):
    """This rank's share of both splits, and the tokenizer that wrote them."""
    data, tokenizer = prepared(args, ranks)
    place = (ranks.rank, ranks.world_size, config.seed)
    place = (config.micro_batch, config.block_size, *place)
    train = ShardLoader(data, "train", *place, tokenizer=tokenizer, prefetch=True)
    val = ShardLoader(data, "val", *place, tokenizer=tokenizer)
    return train, val, tokenizer


def watcher(ranks, tokenizer):
    """What is looked at beside the loss: a few lines that the model writes."""

    def look(run, poll):
        start = torch.zeros(1, 1, dtype=torch.long, device=ranks.device)
        dice = torch.Generator(ranks.device).manual_seed(run.step)
        poll()
        ids = generate(run.model, start, 40, temperature=0.8, generator=dice)
        return {"sample": tokenizer.decode(ids[0].tolist())}

    return look


def tell(row):
    """One line a step for whoever watches."""
    words = [f"{key} {row[key]:.4g}" for key in row if isinstance(row[key], float)]
    print(f"step {row['step']:>6} · " + " · ".join(words), flush=True)


def trained_model(args, config, ranks, folder, stop):
    """Build everything, train, and leave the model in Hugging Face's layout."""
    torch.set_float32_matmul_precision("high")  # TF32 where a GPU has it
    loader, val_loader, tokenizer = loaders(args, config, ranks)
    torch.manual_seed(config.seed)
    model = GPT(config.gpt())
    rest = {"ranks": ranks, "val_loader": val_loader, "asked_to_stop": stop}
    rest["look"] = watcher(ranks, tokenizer)
    rest["log"] = folder.log if folder else lambda row: None
    outcome = fit(model, loader, config, folder=args.out / "checkpoints", **rest)
    if outcome.state == "done" and ranks.is_first:
        save_gpt2(model, args.out / "model")
        if isinstance(tokenizer, CharTokenizer):
            letters = args.out / "model" / "characters.json"
            letters.write_text(json.dumps(tokenizer.characters), encoding="utf-8")
    return outcome


def main(argv=None):
    """Train, and say how it ended: in words, in a file, and as exit code."""
    args = parsed(argv)
    ranks, folder = setup(args.device), None
    with Stop() as stop:
        try:
            if ranks.is_first:
                folder = run_folder.RunFolder(args.out, also=tell).__enter__()
                folder.begin()
            end = trained_model(args, configured(args), ranks, folder, stop)
            code, reason, step = CODE_OF[end.state], end.reason, end.step
        except tuple(CODES) as error:
            code = next(CODES[kind] for kind in CODES if isinstance(error, kind))
            reason, step = str(error), -1
    if ranks.is_first:
        print(f"{run_folder.WORDS[code]}: {reason}", file=sys.stderr)
        if folder:
            folder.end(code, reason, step)
            folder.__exit__(None, None, None)
    teardown()
    return code


if __name__ == "__main__" and "__file__" in globals():
    sys.exit(main())
