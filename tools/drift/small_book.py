"""A book in miniature that keeps every rule, so that a test can break one rule at a time."""

import json
from pathlib import Path
from types import SimpleNamespace

from drift import plan

TEXT = '''"""Letters."""

ALPHABET = "ab"


def _neighbours(text):
    return zip(text, text[1:])  # one shorter than the text


def count_pairs(text: str) -> int:
    """Count pairs of neighbours."""
    return len(list(_neighbours(text)))
'''
NGRAM = '''"""Tables."""

from dataclasses import dataclass

from gpt2_tutorial.letter_files import read
from gpt2_tutorial.text import count_pairs


@dataclass
class Table:
    """A table of pairs."""

    text: str

    def total(self) -> int:
        return count_pairs(self.text)  # every pair once
        # and nothing else


def hidden_reader(path: str) -> str:
    return read(path)
'''
BACK_ROOMS = {"letter_files": "finds files, nothing to learn"}
NOT_SHOWN = {"ngram": {"hidden_reader": "reads a file, nothing to learn"}}
EXERCISES = {
    f"{chapter}.1": SimpleNamespace(
        stub="def double(x):\n    ...", solution_source="def double(x):\n    return 2 * x\n"
    )
    for chapter in ("00", "01")
}
MEASURED = {
    "00": {
        "values": {
            "00.val": {"value": 3.3512, "tol": 0.01, "unit": "nats"},
            "00.seconds": {"value": 2, "tol": None, "unit": "s"},
        },
        "scoreboard": [],
    },
    "01": {
        "values": {"01.share": {"value": 50.64, "tol": 0, "unit": "%"}},
        "scoreboard": [
            {
                "name": "table",
                "context": 1,
                "parameters": 4225,
                "cpu_seconds": 1.5,
                "train": 2.45,
                "val": 2.48,
                "tol": 0.01,
            }
        ],
        "ladder": [
            {
                "name": "matrix",
                "against": "loop",
                "values": 2e-7,
                "gradients": 1e-6,
                "dtype": "float32",
                "tol": 1e-5,
            }
        ],
    },
}
GLOSSARY = """# Glossary

**loss** (chapter 00): how wrong.

- **count table** (chapter 01) (also: tally): a table of counts.
"""
ALT = {
    "00": "Bars of the letters that follow a letter: one bar towers over the others, and the "
    "loss of the best guess is 3.35 nats.",
    "01": "Number grid of a table: each row is a letter, and the darkest square holds 51 % of "
    "everything that was ever counted in its row.",
}
OBJECTIVE = "- double. <!-- step: c{0}-009 · exercise: {0}.1 · question: {0}.1 c{0}-006 -->"
WORDS = "**In your own words:** loss, twice."
QUIZ = """*1. What is twice 2?*

a) 4 · b) 2

<details><summary>Answers to 1</summary>

- **a) Right.**

</details>"""
CONCEPTS = {"doubling": ("twice",)}
ASKED_AS = {"loss": ("price",)}
NO_EXERCISE: dict[str, str] = {}
NOT_ASKED = {"count table": "comes in the last chapter"}
BUGS = """# Bugs

| what you see | what it was | what must hold | here |
|---|---|---|---|
| 4, not 2 | twice ([a](https://github.com/a/b/issues/1)) | twice 1 is 2 | Exercise 1.1 |
"""
CAPTIONS = {
    "00": "One letter follows far more often than all others.",
    "01": "A table of pairs says 51 %<!-- m:01.share --> of what it knows in one cell.",
}
SOURCE_CELLS = {"00": TEXT.partition('"""\n\n')[2], "01": NGRAM[NGRAM.index("@") :]}
SOURCE_CELLS["01"] = SOURCE_CELLS["01"].partition("\n\n\ndef hidden")[0]
IMPORTS = {
    "00": "from gpt2_tutorial import figures\nfrom gpt2_tutorial.text import ALPHABET",
    "01": "from gpt2_tutorial import figures\nfrom gpt2_tutorial.ngram import Table, hidden_reader",
}
PROSE = {
    "00": "The **loss** is 3.35<!-- m:00.val --> nats; a guess costs 4.17 <!-- =:ln(65) -->.\n"
    "On Python 3.11, `0.7` and $1.5$ need no source, and `{x}` is no role.",
    "01": "A **count table** holds **50.6 %**<!-- m:01.share -->, others say 0.5<!-- ref:me -->.",
}


def markdown(part: str | None, source: str) -> dict:
    return {"cell_type": "markdown", "source": source, "tags": [f"section:{part}"] if part else []}


def code(source: str, *tags: str, **metadata: object) -> dict:
    return {"cell_type": "code", "source": source, "tags": list(tags), "metadata": metadata}


def task_cells(chapter: str) -> list[dict]:
    number, exercise = f"{chapter}.1", EXERCISES[f"{chapter}.1"]
    solution = markdown(
        None,
        "<details>\n<summary>Hint</summary>\n\nTwo.\n</details>\n\n<details>\n<summary>Solution"
        f"</summary>\n\n```python\n{exercise.solution_source}```\n</details>",
    )
    solution["tags"] = [f"solution:{number}"]
    return [
        markdown("exercises", "## Exercises"),
        markdown(None, f"### Double\n\nExercise {int(chapter)}.1 · Fill in · difficulty 1/5"),
        code(f'{exercise.stub}\n\ncheck("{number}", double)', f"exercise:{number}"),
        solution,
    ]


def cells(chapter: str) -> list[dict]:
    slug, (module, *_) = plan.CHAPTERS[chapter]
    links = f"[Colab]({plan.COLAB_LINK}{chapter}_{slug}.ipynb) · "
    links += f"[page]({plan.PAGE_LINK}{chapter}_{slug}.html)"
    numbers = ["m:00.val"] if chapter == "00" else ["m:01.share"]
    shown = {"image": {"alt": ALT[chapter]}, "figure": {"caption": CAPTIONS[chapter]}}
    figure = code("figures.bars(1)", mystnb=shown, numbers=numbers)
    return [
        markdown("card", f"# {slug}\n\n{links}"),
        code("import importlib.util", "setup"),
        markdown("problem", f"## The problem\n\n{PROSE[chapter]}"),
        markdown("here", f"The map.\n\n{OBJECTIVE.format(chapter)}"),
        markdown("by-hand", "## By hand"),
        markdown("build", "## Build"),
        markdown("predict", "What do you expect?"),
        markdown("wrong", "A wrong way."),
        markdown("finished", "## The finished code"),
        code(SOURCE_CELLS[chapter], f"src:{module}"),
        code(IMPORTS[chapter]),
        markdown("measure", "## Measure"),
        figure,
        *task_cells(chapter),
        markdown("recap", f"## Recap\n\n{WORDS}\n\n{QUIZ}"),
        markdown("next", "## Next"),
    ]


def notebook(chapter: str) -> dict:
    stored = []
    for number, cell in enumerate(cells(chapter)):
        metadata = {"tags": cell.pop("tags"), **cell.pop("metadata", {})}
        run = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
        stored.append({"id": f"c{chapter}-{number:03d}", "metadata": metadata, **cell, **run})
    metadata = {"kernelspec": plan.KERNELSPEC, "language_info": {"name": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": stored}


def files() -> dict[str, str]:
    """Every file of the miniature, by its path."""
    made = {
        "README.md": "# Small\n\nThe loss is 3.4<!-- m:00.val -->.\n",
        "book/index.md": "# Index\n\n:::{note}\nHalf is 50 %<!-- =:100/2 -->.\n:::\n",
        "book/bugs.md": BUGS,
        "book/glossary.md": GLOSSARY,
        "book/references.bib": "@article{me,\n  title = {Mine}\n}\n",
        "src/gpt2_tutorial/__init__.py": "",
        "src/gpt2_tutorial/figures/__init__.py": "",
        "src/gpt2_tutorial/text.py": TEXT,
        "src/gpt2_tutorial/ngram.py": NGRAM,
        "src/gpt2_tutorial/letter_files.py": "def read(path):\n    return path\n",
    }
    for chapter, measured in MEASURED.items():
        made[f"results/measured/{chapter}.json"] = json.dumps(measured)
        path = f"notebooks/{chapter}_{plan.CHAPTERS[chapter][0]}.ipynb"
        made[path] = json.dumps(notebook(chapter), indent=1, ensure_ascii=False)
    return made


def build(root: Path) -> Path:
    """Write the miniature into an empty folder."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root
