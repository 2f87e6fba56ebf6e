"""Other editions of the notebooks: without solutions, for a class, and solved, for a test.

python tools/editions.py student     writes _build/student/*.ipynb, hints kept
python tools/editions.py solved      writes _build/solved/*.ipynb (needs the installed package)
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAST_FOLD = re.compile(r"<details(?:(?!<details)[\s\S])*</details>\s*\Z")
SOLVED = """\
{solution}


check("{id}", {name})
from gpt2_tutorial.checks import run

assert run("{id}", {name}).status == "passed"
"""


def tagged(cell: dict, prefix: str) -> str | None:
    """Give the rest of a cell's first tag that starts so: "01.2" for "solution:"."""
    tags = cell["metadata"].get("tags", [])
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), None)


def without_solutions(notebook: dict) -> dict:
    """Take the last fold out of every cell tagged `solution:`, and leave the hints.

    >>> hint, answer = ("<details>\\n" + word + "\\n</details>\\n" for word in ("hint", "42"))
    >>> cell = {"metadata": {"tags": ["solution:01.1"]}, "source": hint + answer}
    >>> without_solutions({"cells": [cell]})["cells"][0]["source"]
    '<details>\\nhint\\n</details>'
    """
    cells = []
    for cell in notebook["cells"]:
        if id := tagged(cell, "solution:"):
            source, cuts = LAST_FOLD.subn("", "".join(cell["source"]))
            if not cuts:
                raise ValueError(f"the solution of {id} does not end with a <details> fold")
            tags = ["hints:" + tag[9:] if tag[:9] == "solution:" else tag
                    for tag in cell["metadata"]["tags"]]  # fmt: skip
            cell = cell | {"metadata": cell["metadata"] | {"tags": tags}, "source": source.rstrip()}
            if not cell["source"]:
                continue
        cells.append(cell)
    return notebook | {"cells": cells}


def solved(notebook: dict) -> dict:
    """Put the solution into every exercise cell, and ask there whether it really passes."""
    from gpt2_tutorial.checks import EXERCISES, load_all

    load_all()
    cells = []
    for cell in notebook["cells"]:
        if id := tagged(cell, "exercise:"):
            exercise = EXERCISES[id]
            text = exercise.solution_source
            cell = cell | {"source": SOLVED.format(solution=text, id=id, name=exercise.name)}
        cells.append(cell)
    return notebook | {"cells": cells}


def write(edition: Callable[[dict], dict], source: Path, target: Path) -> list[Path]:
    """Write an edition of every notebook of a folder into another folder, which is emptied."""
    made = {}
    for path in sorted(source.glob("*.ipynb")):
        notebook = edition(json.loads(path.read_text(encoding="utf-8")))
        made[target / path.name] = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return list(made)


EDITIONS = {"student": without_solutions, "solved": solved}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in EDITIONS:
        print(__doc__)
        return 2
    name = sys.argv[1]
    for path in write(EDITIONS[name], ROOT / "notebooks", ROOT / "_build" / name):
        print(f"   {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
