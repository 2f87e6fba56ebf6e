"""An error as one sentence, for a screen and for the file that says how a run ended."""

from __future__ import annotations

LONGEST = 500  # characters


def sentence(problem: BaseException) -> str:
    """Say in one line what went wrong.

    >>> sentence(FileNotFoundError(2, "No such file or directory", "a.txt"))
    'a.txt: No such file or directory'
    """
    if isinstance(problem, OSError) and problem.filename and problem.strerror:
        text = f"{problem.filename}: {problem.strerror}"
    else:
        text = str(problem).strip().split("\n")[0] or type(problem).__name__
    if len(text) > LONGEST:  # a value from a strange file, as a rule; what to do stands at the end
        text = f"{text[: LONGEST - 100]} … {text[-100:]}"
    return text.encode(errors="replace").decode()  # a file's name can be no text
