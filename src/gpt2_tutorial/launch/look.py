"""What launch/run.sh asks before it starts anything: can this be, and is it done already?

    python -m gpt2_tutorial.launch.look --preset cpu --out runs/rehearsal

Ends with START, and the run's folder on its output, where there is something to do; with 0 where
the run that is asked for is done; else with the code and the sentence of the script itself.
"""

import os
import sys

from gpt2_tutorial.commands.cli import Parser
from gpt2_tutorial.config import PRESETS
from gpt2_tutorial.distributed import ALONE
from gpt2_tutorial.launch.train_gpt2 import add_arguments, configured, prepared
from gpt2_tutorial.runs import ending
from gpt2_tutorial.runs.output import say
from gpt2_tutorial.runs.run_folder import BAD_CONFIG, RunFolder
from gpt2_tutorial.runs.same_run import Asked
from gpt2_tutorial.runs.tokenizers import tokenizer_of_shards, with_rows_for
from gpt2_tutorial.shard_format import open_split

START = 3


def is_done(args) -> bool:
    """Say whether the run that is asked for was finished; refuse where it was another one.

    >>> import tempfile
    >>> parser = Parser(allow_abbrev=False)
    >>> add_arguments(parser)
    >>> is_done(parser.parse_args(["--out", tempfile.mkdtemp()]))
    False
    """
    began = RunFolder(args.out).finished()
    if not began:
        return False
    data = prepared(args, ALONE)
    tokenizer = tokenizer_of_shards(data)
    _, _, sum_of_data = open_split(data, "train", tokenizer)
    config = with_rows_for(tokenizer, configured(args, tokenizer.vocab_size))
    Asked(config, data, sum_of_data).check(began)
    return True


def main(words: list[str] | None = None) -> int:
    """What run.sh calls.

    >>> main(["--nonsense", "1"])
    78
    """
    parser = Parser("run.sh", allow_abbrev=False)
    add_arguments(parser)
    try:
        args = parser.parse_args(words)
    except SystemExit as end:  # --help, or words that are none
        return BAD_CONFIG if end.code else 0
    try:
        processes = int(os.environ.get("WORLD_SIZE", "1"))  # that run.sh is going to start
        configured(args, PRESETS[args.preset].vocab_size).pieces(processes)
        done = is_done(args)
    except Exception as error:
        end = ending.of_error(error)
        ending.say(end, ALONE, None)
        return end.code
    if done:
        say(f"run.sh: {args.out} is done", sys.stderr)
        return 0
    sys.stdout.buffer.write(os.fsencode(args.out))
    return START


if __name__ == "__main__":
    sys.exit(main())
