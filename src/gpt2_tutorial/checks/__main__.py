"""The way in to the grader: `python -m gpt2_tutorial.checks grade NOTEBOOK`."""

import sys

from gpt2_tutorial.grader.command import main

if __name__ == "__main__":
    sys.exit(main())
