"""The command `gpt2` in this process: what it returns, and what it says."""

from typing import NamedTuple

from gpt2_tutorial.commands import cli


class Said(NamedTuple):
    code: int
    out: str
    err: str


def command(capsys, *always):
    """Give a function that runs `gpt2 ALWAYS WORDS`; a traceback is never an answer."""

    def run(*words):
        capsys.readouterr()
        try:
            code = cli.main([*always, *map(str, words)])
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run
