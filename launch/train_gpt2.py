"""Train GPT-2: on a laptop, on one GPU, on eight, on several machines.

    torchrun --standalone --nproc_per_node=2 launch/train_gpt2.py --preset cpu

The same command goes on where a run was stopped. This file is exported from the book's
last notebook by `make export`: change it there.
"""

import argparse
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import torch

from gpt2_tutorial import train
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

# What went wrong → what a launcher is told: try again, or do not (launch/run.sh).
CODES = {
    ShardError: run_folder.BAD_DATA,
    CheckpointError: run_folder.NO_DISK,
    run_folder.InUse: run_folder.NO_DISK,
    NonFiniteError: run_folder.NON_FINITE,
    ValueError: run_folder.BAD_CONFIG,
}
CODE_OF = {"done": run_folder.DONE, "stopped": run_folder.STOPPED, "failed": run_folder.NON_FINITE}


def parsed(argv):
    """The command line: a preset, folders, and any field of TrainConfig by its name."""
    parser = argparse.ArgumentParser(prog="train_gpt2", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--preset", choices=train.PRESETS, default="cpu", help="the machine (default: cpu)")
    add("--data", type=Path, help="what `gpt2 prepare` wrote; cpu makes its own Shakespeare")
    add("--out", type=Path, default=Path("runs/gpt2"), help="default: %(default)s")
    add("--device", choices=("cuda", "cpu"), help="default: a GPU where there is one")
    for field in fields(train.TrainConfig):
        yes_no = {"action": argparse.BooleanOptionalAction}
        how = yes_no if field.type is bool else {"type": field.type}
        add("--" + field.name.replace("_", "-"), default=None, help="see TrainConfig", **how)
    return parser.parse_args(argv)


def configured(args):
    """The preset, with what the command line changes."""
    given = {field.name: getattr(args, field.name) for field in fields(train.TrainConfig)}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(train.PRESETS[args.preset], **given)


def prepared(args, ranks):
    """The folder of shards and its tokenizer; tiny Shakespeare is written when asked."""
    if args.data is not None:
        return args.data, GPT2Tokenizer()
    if args.preset != "cpu":
        raise ValueError("--data is missing: the folder that `gpt2 prepare` wrote")
    folder, text = args.out / "data", load_shakespeare()
    tokenizer = CharTokenizer(text)
    if ranks.is_first:
        newline = tokenizer.encode("\n")[0]
        write_shards(text.split("\n\n"), tokenizer, folder, end_of_text=newline, val_every=10)
    any_rank(False)  # the others wait here until it is written
    return folder, tokenizer


def watcher(args, ranks, tokenizer):
    """What is looked at beside the loss: a few lines that the model writes."""

    def look(run, poll):
        start = torch.zeros(1, 1, dtype=torch.long, device=ranks.device)
        dice = torch.Generator(ranks.device).manual_seed(run.step)
        poll()
        ids = generate(run.model, start, 40, temperature=0.8, generator=dice)
        return {"sample": tokenizer.decode(ids[0].tolist())}

    return look


def trained(args, config, ranks, folder, stop):
    """Build everything, train, and leave the model in Hugging Face's layout."""
    torch.set_float32_matmul_precision("high")  # TF32 where a GPU has it
    data, tokenizer = prepared(args, ranks)
    place = (config.micro_batch, config.block_size, ranks.rank, ranks.world_size, config.seed)
    loader = ShardLoader(data, "train", *place, tokenizer=tokenizer, prefetch=True)
    val_loader = ShardLoader(data, "val", *place, tokenizer=tokenizer)
    torch.manual_seed(config.seed)
    model = GPT(config.gpt())
    outcome = train.fit(
        model,
        loader,
        config,
        folder=args.out / "checkpoints",
        ranks=ranks,
        val_loader=val_loader,
        log=folder.log if folder else lambda row: None,
        asked_to_stop=stop,
        look=watcher(args, ranks, tokenizer),
    )
    if outcome.state == "done" and ranks.is_first:
        save_gpt2(model, args.out / "model")
        if isinstance(tokenizer, CharTokenizer):
            letters = json.dumps(tokenizer.characters, ensure_ascii=False)
            (args.out / "model" / "characters.json").write_text(letters, encoding="utf-8")
    return outcome


def main(argv=None):
    """Train, and say how it ended: in words, in the status file, and as exit code."""
    args = parsed(argv)
    ranks, folder = setup(args.device), None
    with Stop() as stop:
        try:
            if ranks.is_first:
                folder = run_folder.RunFolder(args.out, also=tell).__enter__()
                folder.begin()
            outcome = trained(args, configured(args), ranks, folder, stop)
            code, reason, step = CODE_OF[outcome.state], outcome.reason, outcome.step
        except tuple(CODES) as error:
            code = next(code for kind, code in CODES.items() if isinstance(error, kind))
            reason, step = str(error), -1
    if ranks.is_first:
        print(f"{run_folder.WORDS[code]}: {reason}", file=sys.stderr)
        if folder:
            folder.end(code, reason, step)
            folder.__exit__(None, None, None)
    teardown()
    return code


def tell(row):
    """One line a step for whoever watches."""
    words = [f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, float)]
    print(f"step {row['step']:>6} · " + " · ".join(words), flush=True)


if __name__ == "__main__":
    sys.exit(main())
