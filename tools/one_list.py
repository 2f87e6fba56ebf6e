"""Write where tools want it what tools/drift/plan.py says: which modules there are, in which order.

Three places have to hold it: import-linter's layers and ruff's list of what has 84 columns, both in
pyproject.toml, and the words of `help(gpt2_tutorial)`. `sync` writes them.
"""

import re
import textwrap
from pathlib import Path

from drift import plan

PACKAGE = "gpt2_tutorial"
ABOVE = (  # nothing below imports these; names in one line may import each other
    "commands : launch : grader : figures",
    "checks",
    "runs",
    "exam_files : ledger : scoreboard : ladder : probes",
)
HELP = """\
\"\"\"The code of “GPT-2 from scratch”: one module per idea, in the order of the chapters.

{chapters}

In brackets stand back rooms, which no chapter need show. Around the book:
{around}.
\"\"\"
"""


def replaced(text: str, opening: str, names: list[str]) -> str:
    """The text with another list of strings behind `opening`, which stands in it once."""
    items = "".join(f'  "{name}",\n' for name in names)
    new, count = re.subn(rf"(?m)^{re.escape(opening)}\n(?:  .*\n)*\]", f"{opening}\n{items}]", text)
    if count != 1:
        raise ValueError(f"pyproject.toml has {opening!r} {count} times")
    return new


def layers() -> list[str]:
    lines = [*ABOVE, *reversed((*plan.GROUND, *plan.ORDER))]
    return [" : ".join(f"{PACKAGE}.{name}" for name in line.split(" : ")) for line in lines]


def help_text() -> str:
    rows = []
    for chapter, (_, modules) in plan.ROOMS.items():
        shown = [f"({name})" if name in plan.BACK_ROOMS else name for name in modules]
        rows.append(f"    {chapter:<2}  {', '.join(shown)}")
    around = textwrap.fill(", ".join((*plan.SUPPORT, *plan.BEHIND_THE_SCENES[2:])), 84)
    return HELP.format(chapters="\n".join(rows), around=around)


def written(root: Path) -> dict[Path, str]:
    """What the files that hold the list should say."""
    settings, package = root / "pyproject.toml", root / "src" / PACKAGE / "__init__.py"
    if not settings.exists():  # a miniature book
        return {}
    text = replaced(settings.read_text(encoding="utf-8"), "layers = [", layers())
    notebooks = "".join(p.read_text(encoding="utf-8") for p in (root / "notebooks").glob("*.ipynb"))
    shown = [name for name in (*plan.GROUND, *plan.ORDER) if f'"src:{name}"' in notebooks]
    on_pages = [f"src/{PACKAGE}/{name}.py" for name in (*shown, "launch/train_gpt2")]
    text = replaced(text, "exclude = [", [*on_pages, "notebooks/*"])
    version = re.search(r"(?m)^__version__ = .*\n", package.read_text(encoding="utf-8"))[0]
    return {settings: text, package: f"{help_text()}\n{version}"}
