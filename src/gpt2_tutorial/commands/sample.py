"""Write on from a prompt.

The prompt and what the model makes of it go to standard output. With GPT-2's tokens a text ends at
the latest where the model bets on end-of-text.
"""

from __future__ import annotations

import argparse
import codecs
import random
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gpt2_tutorial.commands.options import (
    add_device,
    add_json,
    add_model,
    as_json,
    opened,
    real,
    whole,
)

if TYPE_CHECKING:
    import torch

    from gpt2_tutorial.bpe import BPETokenizer
    from gpt2_tutorial.gpt import GPT
    from gpt2_tutorial.text import CharTokenizer

KNOBS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    add = parser.add_argument
    add_model(parser)
    add(
        "--prompt",
        default="",
        metavar="TEXT",
        help="what to write on from; - reads it from standard input (default: nothing, which "
        "the model sees as end-of-text, or as a new line where tokens are characters)",
    )
    add(
        "--tokens",
        type=whole(1, 1_000_000),
        default=200,
        metavar="N",
        help="how many tokens to write at most, in each sample (default: 200)",
    )
    add(
        "--temperature",
        type=real(0),
        default=1.0,
        metavar="T",
        help="logits are divided by it; below 1 safer, above 1 wilder, 0 takes the best token "
        "every time (default: 1.0)",
    )
    add(
        "--top-k",
        type=whole(1, 10**9),
        metavar="K",
        help="draw among the K best tokens only (default: all)",
    )
    add(
        "--top-p",
        type=real(0, 1, above=True),
        metavar="P",
        help="draw among the fewest best tokens whose probabilities reach P, a share above 0 and "
        "up to 1 (default: all)",
    )
    add(
        "--min-p",
        type=real(0, 1),
        metavar="P",
        help="draw among tokens at least P times as likely as the best, a share from 0 to 1 "
        "(default: all)",
    )
    add(
        "--repetition-penalty",
        type=real(0, above=True),
        default=1.0,
        metavar="X",
        help="above 1 makes tokens that were there rarer, as a factor on their logits "
        "(default: 1.0, none)",
    )
    add(
        "--samples",
        type=whole(1, 100),
        default=1,
        metavar="N",
        help="how many texts to write, all from the same prompt (default: 1)",
    )
    add(
        "--seed",
        type=whole(0, 2**63 - 1),
        metavar="N",
        help="the same whole number draws the same texts (default: a new one each time)",
    )
    add(
        "--stop",
        type=_stop,
        action="append",
        default=[],
        metavar="TEXT",
        help=r"end a sample before this text; \n means a new line; may be given several times "
        "(default: none)",
    )
    add(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="print every token as it comes; several samples then take longer, one after the "
        "other (default: yes for one sample, no for several and for --json)",
    )
    add(
        "--int8",
        action="store_true",
        help="compute with weights of 8 bits: smaller, nearly the same (default: no)",
    )
    add(
        "--no-cache",
        dest="cache",
        action="store_false",
        help="work every token out anew from the whole text: the same words, slower "
        "(default: keep keys and values; the recipe modern has no cache)",
    )
    add_device(parser)
    add_json(parser)


def run(asked: argparse.Namespace) -> None:
    """Write the samples."""
    from gpt2_tutorial.int8 import quantize_int8
    from gpt2_tutorial.runs.models import encoded
    from gpt2_tutorial.runs.tokenizers import start_of

    prompt = _prompt(asked)
    model, tokenizer = opened(asked, asked.device)
    if asked.int8:
        model = quantize_int8(model)
    ids = encoded(tokenizer, prompt, "the prompt") or start_of(tokenizer)
    sampler = Sampler(model, tokenizer, ids, asked)
    one_by_one = asked.samples == 1 if asked.stream is None else asked.stream
    if asked.json:
        print(as_json(sampler.answer(prompt)))
    elif one_by_one:
        sampler.show(prompt)
    else:
        texts = [writer.text for writer in sampler.write(range(asked.samples))]
        print(*(_headed(i, asked.samples) + prompt + t for i, t in enumerate(texts)), sep="\n")


def _prompt(asked: argparse.Namespace) -> str:
    from gpt2_tutorial.runs.models import read_utf8

    if asked.prompt != "-":
        return asked.prompt
    return read_utf8(sys.stdin.buffer.read(), "the prompt from standard input")


def _stop(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it needs at least one character")
    return text.replace("\\n", "\n")


def _headed(i: int, samples: int) -> str:
    return f"--- {i + 1} of {samples} ---\n" if samples > 1 else ""


class Sampler:
    """Everything that the samples have in common."""

    def __init__(
        self,
        model: GPT,
        tokenizer: CharTokenizer | BPETokenizer,
        ids: list[int],
        asked: argparse.Namespace,
    ):
        import torch

        from gpt2_tutorial.bpe_input import end_of_text
        from gpt2_tutorial.sampling import row_generators

        self.model, self.tokenizer, self.asked = model, tokenizer, asked
        self.end = end_of_text(tokenizer)
        self.ids = torch.tensor([ids], device=next(model.parameters()).device)
        self.seed = random.SystemRandom().randrange(2**32) if asked.seed is None else asked.seed
        every = torch.Generator().manual_seed(self.seed)
        self.own = row_generators(every, asked.samples)  # so a sample is the same in any company

    def steps(self, which: range) -> Iterator[torch.Tensor]:
        """Draw tokens for some of the samples."""
        from gpt2_tutorial.generate import stream
        from gpt2_tutorial.generate_input import can_cache

        knobs: dict[str, Any] = {name: getattr(self.asked, name) for name in KNOBS}
        return stream(
            self.model,
            self.ids.expand(len(which), -1),
            self.asked.tokens,
            cache=self.asked.cache and can_cache(self.model),
            generator=[self.own[i] for i in which],
            stop_token=self.end,
            known=self.tokenizer.vocab_size,
            **knobs,
        )

    def write(self, which: range, show: bool = False) -> list[Writer]:
        """Write some of the samples at the same time; show the first as it grows."""
        writers = [Writer(self.tokenizer, self.asked.stop, self.end) for _ in which]
        for new in self.steps(which):
            for writer, i in zip(writers, new.tolist(), strict=True):
                writer.add(i)
            if show:
                print(writers[0].news(), end="", flush=True)
            if all(writer.why for writer in writers):
                break
        for writer in writers:
            writer.finish()
        if show:
            print(writers[0].news())
        return writers

    def show(self, prompt: str) -> None:
        """Print the samples one after the other, token by token."""
        for i in range(self.asked.samples):
            print(_headed(i, self.asked.samples) + prompt, end="", flush=True)
            self.write(range(i, i + 1), show=True)

    def answer(self, prompt: str) -> dict:
        """Say everything for a program to read."""
        samples = [
            {"text": writer.text, "tokens": writer.tokens, "ended": writer.why}
            for writer in self.write(range(self.asked.samples))
        ]
        knobs = {name: getattr(self.asked, name) for name in KNOBS}
        made = {"model": self.asked.model, "seed": self.seed, "prompt": prompt}
        return made | knobs | {"samples": samples}


class Writer:
    """One growing text: ids come in, whole characters go out, and it knows when to end."""

    def __init__(self, tokenizer: CharTokenizer | BPETokenizer, stops: list[str], end: int | None):
        self.tokenizer, self.stops, self.end = tokenizer, stops, end
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text, self.shown, self.tokens, self.why = "", 0, 0, ""

    def add(self, i: int) -> None:
        """Take one more token, unless the text has ended; `why` says what ended it."""
        if self.why:
            return
        self.tokens += 1
        if i == self.end:
            self.why = "end-of-text"
            return
        tokens = getattr(self.tokenizer, "tokens", None)
        data = tokens[i] if tokens else self.tokenizer.decode([i]).encode()
        self._grow(self.decoder.decode(data))

    def _grow(self, more: str) -> None:
        before = max((len(stop) for stop in self.stops), default=1) - 1
        looked = max(len(self.text) - before, 0)  # a stop may have begun there
        self.text += more
        found = [(self.text.find(stop, looked), stop) for stop in self.stops]
        if places := [place for place, _ in found if place >= 0]:
            self.text, self.why = self.text[: min(places)], "stop"

    def finish(self) -> None:
        """Nothing more comes: what is no whole character becomes �."""
        if self.why != "stop":
            self._grow(self.decoder.decode(b"", final=True))
        self.why = self.why or "tokens"

    def news(self) -> str:
        """Return what is new and can no longer become part of a stop."""
        sure = len(self.text)
        if not self.why:
            ends = (n for stop in self.stops for n in range(len(stop) - 1, 0, -1)
                    if self.text.endswith(stop[:n]))  # fmt: skip
            sure -= max(ends, default=0)
        new, self.shown = self.text[self.shown : sure], max(sure, self.shown)
        return new
