"""Options that several words of the command share, and numbers that are checked at once."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gpt2_tutorial.bpe import BPETokenizer
    from gpt2_tutorial.gpt import GPT
    from gpt2_tutorial.text import CharTokenizer

    Tokenizer: TypeAlias = CharTokenizer | BPETokenizer


def add_model(parser: argparse.ArgumentParser) -> None:
    """Let a model be named.

    >>> parser = argparse.ArgumentParser(allow_abbrev=False)
    >>> add_model(parser)
    >>> parser.parse_args(["--model", "gpt2"]).model
    'gpt2'
    """
    parser.add_argument(
        "--model", required=True, metavar="NAME_OR_FOLDER",
        help="a folder with config.json and model.safetensors, or one of gpt2, gpt2-medium, "
        "gpt2-large, gpt2-xl, simple-gpt, or owner/name on the Hugging Face hub; its tokens are "
        "those of characters.json, bpe.json, tokenizer.json, or vocab.json with merges.txt in that "
        "folder, and GPT-2's where none of them is there (required)",
    )  # fmt: skip


def opened(asked: argparse.Namespace, device: str | None) -> tuple[GPT, Tokenizer]:
    """Open the model that was asked for, and tell on standard error if its table is padded.

    >>> model, tokenizer = opened(argparse.Namespace(model="simple-gpt", command="sample"), "cpu")
    >>> tokenizer.vocab_size
    65
    """
    from gpt2_tutorial.runs.models import open_model, spare_rows_note

    model, tokenizer = open_model(asked.model, device)
    if note := spare_rows_note(model, tokenizer):
        print(f"gpt2 {asked.command}: note: {asked.model} has {note}", file=sys.stderr)
    return model, tokenizer


def add_device(parser: argparse.ArgumentParser) -> None:
    """Let the device be chosen.

    >>> parser = argparse.ArgumentParser(allow_abbrev=False)
    >>> add_device(parser)
    >>> parser.parse_args([]).device
    """
    parser.add_argument(
        "--device", metavar="NAME",
        help="where to compute: cpu, cuda, cuda:1, mps (default: the fastest that is there)",
    )  # fmt: skip


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let the answer be JSON.

    >>> parser = argparse.ArgumentParser(allow_abbrev=False)
    >>> add_json(parser)
    >>> parser.parse_args(["--json"]).json
    True
    """
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else (default: no)"
    )


def whole(low: int, high: int) -> Callable[[str], int]:
    """Make a type for whole numbers from `low` to `high`.

    >>> whole(1, 9)("7")
    7
    """

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number from {low:,} to {high:,}"
            )
        return number

    return read


def real(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Make a type for numbers from `low` (or only above it) to `high`.

    >>> real(0, 1)("0.5")
    0.5
    """
    start = f"above {low:g}" if above else f"from {low:g}"
    wanted = f"{start} to {high:g}" if high < math.inf else f"{start}{'' if above else ' up'}"

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high or number == math.inf or (above and number == low):
            raise argparse.ArgumentTypeError(f"{text!r} is no number {wanted}")
        return number

    return read


def as_json(answer: dict) -> str:
    """Write one JSON object that every reader of JSON takes: what is no number becomes null.

    >>> as_json({"perplexity": math.inf, "n": 2})
    '{"perplexity": null, "n": 2}'
    """
    safe = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in answer.items()
    }
    return json.dumps(safe, allow_nan=False)
