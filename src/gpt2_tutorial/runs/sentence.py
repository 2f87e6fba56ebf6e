"""An error as one sentence, for a screen and for the file that says how a run ended."""

from __future__ import annotations


def sentence(problem: BaseException) -> str:
    """Say in one line what went wrong.

    >>> sentence(FileNotFoundError(2, "No such file or directory", "a.txt"))
    'a.txt: No such file or directory'
    """
    if isinstance(problem, OSError) and problem.filename and problem.strerror:
        return f"{problem.filename}: {problem.strerror}"
    return str(problem).strip().split("\n")[0] or type(problem).__name__
