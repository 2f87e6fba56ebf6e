"""What a run says: a screen that cannot show a letter, or is gone, ends no run."""

import contextlib
import os
import sys
from typing import TextIO


def forgive() -> None:
    """Let what a console cannot show become a ?, whatever PYTHONIOENCODING says.

    >>> forgive()
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's has no need of it
            stream.reconfigure(errors="replace")


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once; if nobody can hear it any more, go on.

    >>> say("step 1")
    step 1
    """
    forgive()
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:  # `… | head`; nothing may be flushed to there at the end either
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # a full disk, a closed file
        pass
