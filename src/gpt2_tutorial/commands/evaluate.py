"""Judge a model by a text or by multiple choice.

A text is read in windows of the model's context. Each of its tokens is scored once, after a new
line that is not scored. HellaSwag's 10,042 items are downloaded the first time.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gpt2_tutorial.commands.options import (
    add_device,
    add_json,
    add_model,
    as_json,
    opened,
    whole,
)

if TYPE_CHECKING:
    from gpt2_tutorial.bpe import BPETokenizer
    from gpt2_tutorial.gpt import GPT
    from gpt2_tutorial.text import CharTokenizer

UNITS = ("byte", "character", "token")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    add_model(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--text",
        metavar="FILE",
        help="a text in UTF-8, by its perplexity and its bits per byte; - is standard input",
    )
    what.add_argument(
        "--hellaswag",
        action="store_true",
        help="HellaSwag's validation items, by the share solved (12 MB are downloaded once)",
    )
    what.add_argument(
        "--items",
        metavar="FILE",
        help="items of your own, one JSON object a line as in HellaSwag: ctx, endings, label",
    )
    add = parser.add_argument
    add(
        "--stride",
        type=whole(1, 10**9),
        metavar="N",
        help="with --text: by how many tokens the window moves, at most the context; smaller is "
        "slower and kinder to the model (default: half the context)",
    )
    add(
        "--limit",
        type=whole(1, 10**12),
        metavar="N",
        help="look at the first N characters of the text, or the first N items, only "
        "(default: all)",
    )
    add(
        "--style",
        choices=("plain", "harness"),
        default="plain",
        help="HellaSwag's text as it is published, or tidied as EleutherAI's harness does "
        "(default: plain)",
    )
    add(
        "--per",
        choices=UNITS,
        default="byte",
        help="what acc_norm divides a choice's cost by: its bytes, its characters as the "
        "harness, its tokens as build-nanogpt (default: byte)",
    )
    add_device(parser)
    add_json(parser)


def run(asked: argparse.Namespace) -> None:
    """Print the numbers."""
    if asked.text is not None:
        text = _read(asked.text)[: asked.limit]
        if not text:
            raise ValueError(f"{asked.text} is empty: there is nothing to judge")
        found = judge_text(*opened(asked, asked.device), text, asked.stride, asked.text)
    else:
        items = _items(asked)
        found = judge_items(*opened(asked, asked.device), items, asked.per)
    if asked.json:
        print(as_json({"model": asked.model} | found))
    else:
        print("\n".join(f"{name:<16}{_shown(value)}" for name, value in found.items()))


def _read(name: str) -> str:
    from gpt2_tutorial.runs.models import read_utf8

    if name == "-":
        return read_utf8(sys.stdin.buffer.read(), "standard input")
    return read_utf8(Path(name).read_bytes(), name)


def _items(asked: argparse.Namespace) -> list:
    from gpt2_tutorial.exam_files import harness_item, load_hellaswag, plain_item
    from gpt2_tutorial.runs.models import items_in

    item = {"plain": plain_item, "harness": harness_item}[asked.style]
    if asked.hellaswag:
        items = load_hellaswag(item=item)
    else:
        items = items_in(_read(asked.items), asked.items, item)
    if not items:
        raise ValueError(f"{asked.items} holds no items")
    return items[: asked.limit]


def judge_text(
    model: GPT,
    tokenizer: CharTokenizer | BPETokenizer,
    text: str,
    stride: int | None,
    name: str = "the text",
) -> dict:
    """Return what the functions of chapter 13 say about a text, after a single reading."""
    from gpt2_tutorial.evaluate import text_losses
    from gpt2_tutorial.runs.models import encoded

    start, ids = tokenizer.encode("\n"), encoded(tokenizer, text, name)
    losses = text_losses(model, start + ids, stride=stride)[len(start) - 1 :].double()
    if not losses.isfinite().all():
        odd = losses[~losses.isfinite()][0].item()
        raise ValueError(f"the model answers with {odd}: check its weights, or where it computes")
    found = {"tokens": len(ids), "bytes": len(text.encode())}
    found |= {"nats_per_token": losses.mean().item(), "perplexity": losses.mean().exp().item()}
    return found | {"bits_per_byte": losses.sum().item() / math.log(2) / found["bytes"]}


def judge_items(model: GPT, tokenizer: CharTokenizer | BPETokenizer, items: list, per: str) -> dict:
    """Return the shares solved, with a bar on a terminal while it works."""
    from tqdm import tqdm

    from gpt2_tutorial.evaluate import hellaswag

    return hellaswag(model, tokenizer, tqdm(items, unit="item", disable=None), per=per)


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
