"""The command `gpt2`: what it understands; each of its words has a module beside this one."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any, NoReturn

import gpt2_tutorial
from gpt2_tutorial.runs.output import forgive
from gpt2_tutorial.runs.sentence import sentence

# A word of the command and what it does. Its module has a docstring, which its help
# begins with, `add_arguments(parser)` and `run(asked)`, which may return an exit code.
COMMANDS = {
    "sample": "write on from a prompt",
    "evaluate": "judge a model by a text or by HellaSwag",
    "export": "write a folder that transformers, llama.cpp and vLLM read",
    "prepare": "turn text into shards of tokens",
    "plan": "say what a training run takes: memory, hours, money",
    "train": "train GPT-2, or go on where a run was stopped",
    "doctor": "say what may be wrong with a run, from its metrics",
}
PROBLEMS = (ValueError, TypeError, OSError, RuntimeError, ImportError, MemoryError, OverflowError)
WRONG_USE, FAILED, STOPPED, PIPE_CLOSED = 2, 1, 130, 141


def main(words: list[str] | None = None) -> int:
    """Do what the command line asks for; 0 when it was done, else one sentence on stderr.

    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    words = sys.argv[1:] if words is None else words
    forgive()
    try:
        try:
            asked = make_parser(words).parse_args(words)
            module = importlib.import_module(f"gpt2_tutorial.commands.{asked.command}")
            return module.run(asked) or 0
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:  # `gpt2 … | head`; nothing may be flushed to there at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except PROBLEMS as problem:
        print(f"gpt2 {asked.command}: {sentence(problem)}", file=sys.stderr)
        return FAILED


class Parser(argparse.ArgumentParser):
    """One that says in one line what was wrong, and no usage above it."""

    def parse_known_args(self, *args: Any, **more: Any) -> tuple[argparse.Namespace, list[str]]:
        """Refuse an unknown word by the parser whose help lists the known ones."""
        found, strangers = super().parse_known_args(*args, **more)
        if strangers:
            self.error(f"unrecognized arguments: {' '.join(strangers)}")
        return found, strangers

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message}; see {self.prog} --help\n")


def make_parser(words: list[str]) -> argparse.ArgumentParser:
    """Build the parser; only the word that was asked for is given its options.

    >>> make_parser(["sample"]).parse_args(["sample", "--model", "gpt2"]).temperature
    1.0
    """
    parser = Parser(
        prog="gpt2", description="GPT-2 from scratch, from the command line.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"gpt2 {gpt2_tutorial.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does in COMMANDS.items():
        command = commands.add_parser(name, help=does, description=does, allow_abbrev=False)
        if name in words:
            module = importlib.import_module(f"gpt2_tutorial.commands.{name}")
            command.description = module.__doc__
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            module.add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
