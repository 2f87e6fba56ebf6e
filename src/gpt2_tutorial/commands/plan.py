"""What a run takes before it is paid for: parameters, memory, days, money."""

import argparse
import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from gpt2_tutorial import ledger
from gpt2_tutorial.commands.options import real
from gpt2_tutorial.config import PRESETS, TrainConfig
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.runs.hardware import MACHINES, PRICES_SEEN, Machine
from gpt2_tutorial.step import flops_per_token

# Which card's log speaks for which preset, by a word of its name; and several of that same card
# with the same model. (gpt2-xl is another model, so 8xh100-xl is not among them.)
CARDS = {"t4": {"T4"}, "4090": {"4090"}, "1xh100": {"H100", "H200"}}
MANY_OF = {"8xh100": "1xh100", "2x8xh100": "1xh100"}

# Where the data and the run are kept: dollars for a GB and month, and for reading a GB, at most.
# Both give the first 10 GB free; Backblaze also reads free up to three times what it keeps.
# developers.cloudflare.com/r2/pricing, and www.backblaze.com/cloud-storage/pricing since May 2026.
BUCKETS = {"Cloudflare R2": (0.015, 0.0), "Backblaze B2": (0.00695, 0.01)}
BUCKETS_SEEN = "Cloudflare's and third-party pages, 2026; ask for today's price"


@cache
def parameters(config: TrainConfig) -> int:
    """Count a model's weights without making them.

    >>> parameters(TrainConfig())
    124439808
    """
    with torch.device("meta"):
        return sum(p.numel() for p in GPT(config.gpt()).parameters())


def memory(config: TrainConfig, machine: Machine) -> dict[str, float]:
    """Return what one device holds at most, in bytes, part by part.

    Activations are counted for flash attention and bf16 (34 bytes a number of the stream and
    layer, Korthikanti et al. 2022, without their scores); logits for one chunk of 4,096 tokens.
    With `shard`, each device holds its share, and for a while the tables and two blocks: the one
    at work and the one that is next, with their gradients.

    >>> parts = memory(TrainConfig(), MACHINES["1xh100"])
    >>> round(parts["weights"] / 1e6)
    498
    """
    n, wide = parameters(config), config.micro_batch * config.block_size
    own = n / machine.processes if config.shard else n
    parts = {"weights": 4.0 * own, "gradients": 4.0 * own, "AdamW's two averages": 8.0 * own}
    parts["activations"] = 34.0 * wide * config.n_embd * config.n_layer
    parts["one chunk of logits"] = 3 * 4.0 * min(wide, 4096) * config.vocab_size
    if config.shard:
        parts["gathered for a while"] = 2 * 4.0 * gathered(config)
    elif machine.processes > 1:
        parts["DDP's buckets"] = 0.0  # the gradients are views of them
    return parts


def gathered(config: TrainConfig) -> int:
    """Count the weights that a device of a sharded run holds whole at once.

    >>> gathered(PRESETS["8xh100-xl"])  # of 1,557,611,200
    143534400
    """
    return parameters(replace(config, n_layer=min(config.n_layer, 2)))


def measured_share(preset: str) -> float | None:
    """Return the share of the peak that the script reached on this preset's card, if a log says it.

    An H200 multiplies as fast as an H100 and counts as one, though its memory is faster. The peak
    of an H100 in a PCIe slot is lower, so its share is of something else.

    >>> measured_share("8xa100")
    """
    log = ledger.gpu_log("gpu_script")
    card = log.get("about", {}).get("device", "").split()
    return log.get("mfu") if CARDS.get(preset, set()) & set(card) and "PCIe" not in card else None


def share_of_peak(preset: str) -> tuple[float, str]:
    """Return the share of the peak that a run is taken to reach, and how it is known.

    Several of a card that was measured alone lose something between them. How much stays an
    estimate: by as much as the shares in MACHINES differ. Another card, or another model, says
    nothing about this one.

    >>> share_of_peak("8xa100")
    (0.45, 'estimated')
    """
    machine, one = MACHINES[preset], MANY_OF.get(preset, preset)
    share = measured_share(one)
    if share is None:
        return machine.share, "estimated"
    about = ledger.gpu_log("gpu_script")["about"]
    where = f"one {about['device']}, {about['date']}"
    if one == preset:
        return share, f"measured on {where}"
    return share * machine.share / MACHINES[one].share, f"estimated from {where}"


def kept(config: TrainConfig) -> dict[str, float]:
    """Return what a bucket holds of a run, in bytes, part by part.

    The data are the tokens that are read, two bytes each; FineWeb-Edu's sample has ten billion, and
    a longer run reads it again. `keep.sh` keeps two checkpoints, and the model when it is done.

    >>> {part: round(size / 1e9, 2) for part, size in kept(TrainConfig()).items()}
    {'data': 20.0, 'checkpoints': 2.99, 'model': 0.5}
    """
    n = parameters(config)
    data = 2.0 * min(config.max_steps * config.batch_tokens, 10**10)
    return {"data": data, "checkpoints": 2 * 12.0 * n, "model": 4.0 * n}


def plan(preset: str, config: TrainConfig, dollars: float | None = None) -> dict:
    """Return the whole sheet for one preset as plain numbers.

    >>> sheet = plan("8xa100", PRESETS["8xa100"])
    >>> sheet["parameters"], sheet["tokens"], sheet["speed_is"]
    (124439808, 9999745024, 'estimated')
    """
    machine = MACHINES[preset]
    share, known = share_of_peak(preset)
    per_token = flops_per_token(config.gpt())
    speed = machine.processes * machine.peak * share / per_token
    seconds = config.max_steps * config.batch_tokens / speed
    price = machine.dollars if dollars is None else dollars
    parts, bucket = memory(config, machine), kept(config)
    return {
        "preset": preset,
        "machine": machine.words,
        "parameters": parameters(config),
        "tokens": config.max_steps * config.batch_tokens,
        "pieces_per_step": config.pieces(machine.processes),
        "flops_per_token": per_token,
        "memory": parts,
        "memory_total": sum(parts.values()),
        "memory_there": machine.memory,
        "tokens_per_s": speed,
        "speed_is": known,
        "step_seconds": config.batch_tokens / speed,
        "hours": seconds / 3600,
        "dollars_per_hour": price,
        "dollars": price * seconds / 3600,
        "prices": PRICES_SEEN if dollars is None else "yours",
        "bucket": bucket,
        "bucket_total": sum(bucket.values()),
        "bucket_a_month": {
            name: sum(bucket.values()) / 1e9 * by[0] for name, by in BUCKETS.items()
        },
        "bucket_a_reading": {name: bucket["data"] / 1e9 * by[1] for name, by in BUCKETS.items()},
    }


def lines(sheet: dict) -> list[str]:
    """Return the sheet in words, a line each."""
    said = [
        f"{sheet['preset']}: {sheet['machine']}",
        f"model        {sheet['parameters']:,} parameters",
        f"data         {sheet['tokens']:,} tokens, {sheet['pieces_per_step']} pieces a step",
        f"work         {sheet['flops_per_token'] / 1e6:,.1f} million FLOPs a token",
    ]
    for part, size in sheet["memory"].items():
        said.append(f"memory       {size / 1e9:6.2f} GB {part}")
    fits = "fits" if sheet["memory_total"] < 0.92 * sheet["memory_there"] else "DOES NOT FIT"
    total, there = sheet["memory_total"] / 1e9, sheet["memory_there"] / 1e9
    said.append(f"memory       {total:6.2f} GB of {there:.0f} GB in all: {fits} (estimated)")
    hours = sheet["hours"]
    long = f"{hours / 24:.1f} days" if hours > 48 else f"{hours:.1f} hours"
    if hours < 1:
        long = f"{60 * hours:.1f} minutes"
    speed = f"{sheet['tokens_per_s']:,.0f} tokens/s"
    said.append(f"time         {speed}, {sheet['step_seconds']:.2f} s a step: {long}")
    said.append(f"             ({sheet['speed_is']})")
    money = f"{sheet['dollars']:,.0f} dollars at {sheet['dollars_per_hour']:.2f} an hour"
    said.append(f"cost         {money} ({sheet['prices']})")
    sizes = ", ".join(f"{size / 1e9:.1f} {part}" for part, size in sheet["bucket"].items())
    month = ", ".join(f"{sum_:.2f} at {name}" for name, sum_ in sheet["bucket_a_month"].items())
    once = ", ".join(f"{sum_:.2f} at {name}" for name, sum_ in sheet["bucket_a_reading"].items())
    said.append(f"bucket       {sheet['bucket_total'] / 1e9:.1f} GB ({sizes})")
    said.append(f"             dollars a month, at most: {month}")
    said.append(f"             dollars to read the data once, at most: {once}")
    said.append(f"             ({BUCKETS_SEEN})")
    return said


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `gpt2 plan`."""
    add = parser.add_argument
    add("--preset", choices=MACHINES, help="one machine (default: all of them)")
    add(
        "--price",
        type=real(0),
        metavar="DOLLARS",
        help="an hour of the machine, all its devices together (default: a price seen in 2026)",
    )
    add(
        "--prices",
        type=Path,
        metavar="FILE",
        help='a JSON table of such prices: {"8xh100": 23.0, …} (default: those seen in 2026)',
    )
    add("--json", action="store_true", help="print one JSON list (default: no)")


def run(args: argparse.Namespace) -> int:
    """Print what one preset, or each of them, takes."""
    table = prices(args)
    names = [args.preset] if args.preset else list(MACHINES)
    sheets = [plan(name, PRESETS[name], table.get(name)) for name in names]
    if args.json:
        print(json.dumps(sheets, indent=1))
    else:
        print("\n\n".join("\n".join(lines(sheet)) for sheet in sheets))
    return 0


def prices(args: argparse.Namespace) -> dict[str, float]:
    """Return the user's own prices, each checked."""
    table = {}
    if args.prices is not None:
        try:
            table = json.loads(args.prices.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{args.prices} is no table of prices ({error})") from None
        if not isinstance(table, dict):
            raise ValueError(f'{args.prices} is no table of prices: it begins with no "{{"')
    if args.price is not None:
        if args.preset is None:
            raise ValueError("--price is for one machine: say --preset as well")
        table = {**table, args.preset: args.price}
    for name, price in table.items():
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if name not in MACHINES:
            known = ", ".join(MACHINES)
            raise ValueError(f"there is a price for {name!r:.40}, which is none of {known}")
        if not number or not 0 <= price < math.inf:
            raise ValueError(f"the price of {name} is {price!r:.40}, which is no number from 0 up")
    return table
