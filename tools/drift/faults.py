"""The faults that the drift checks must catch, one way to go wrong after the other."""

import re
from dataclasses import dataclass
from pathlib import Path

from drift import glossary_order, plan
from drift.breaking import (
    Break,
    add,
    alt,
    caption,
    change_file,
    find,
    grow,
    in_cell,
    in_notebook,
    insert,
    put,
    put_metadata,
    substitute,
)
from drift.definitions import definitions


@dataclass(frozen=True)
class Fault:
    """What is broken, and the words by which a complaint proves that it saw this fault."""

    name: str
    breaks: Break
    words: str
    in_real_book: bool = True  # False: only the miniature holds what this fault needs


def raise_digit(match: re.Match[str]) -> str:
    return str((int(match[0]) + 5) % 10)


def show_twice(notebook: dict) -> None:
    cell = find(notebook, tag="src:")
    again = {**cell, "id": "new", "source": definitions(cell["source"])[0].text}
    notebook["cells"].append(again)


def same_id(notebook: dict) -> None:
    notebook["cells"][1]["id"] = notebook["cells"][0]["id"]


def swap_last_parts(notebook: dict) -> None:
    recap, following = (find(notebook, tag=f"section:{part}") for part in ("recap", "next"))
    recap["metadata"], following["metadata"] = following["metadata"], recap["metadata"]


def wrong_too_early(notebook: dict) -> None:
    metadata = {"tags": ["section:wrong"]}
    cell = {"id": "new", "cell_type": "markdown", "source": "Hi", "metadata": metadata}
    notebook["cells"].insert(1, cell)


def no_bold(notebook: dict) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = cell["source"].replace("**", "")


def early_term(root: Path) -> None:
    terms, _ = glossary_order.read(root)
    late = next(t for t in terms if t.chapter == "01" and ("00", t.name) not in plan.EARLY_USE)
    in_cell(add(f"Look at the {late.forms[0]}s here."), tag="section:problem")(root)


def helper_unseen(root: Path) -> None:
    grow("text", "def _unseen():\n    return 1")(root)
    change_file("src/gpt2_tutorial/text.py", "text[1:]", "text[_unseen():]")(root)
    in_cell(substitute(r"text\[1:\]", "text[_unseen():]"), tag="src:")(root)


def told_in_two(notebook: dict) -> None:
    """The class of the second chapter, its method in a cell of its own; both are as they should."""
    cell = find(notebook, tag="src:")
    above, _, method = cell["source"].partition("    def ")
    cell["source"] = f"{above}    # … total: below"
    below = f"@dataclass\nclass Table:\n    # … what it holds: above\n\n    def {method}"
    place = notebook["cells"].index(cell) + 1
    notebook["cells"].insert(place, {**cell, "id": "new", "source": below})


def in_two(old: str = "", new: str = "") -> Break:
    """Tell the class in two cells, then change the second."""

    def change(notebook: dict) -> None:
        told_in_two(notebook)
        cell = next(cell for cell in notebook["cells"] if cell["id"] == "new")
        assert old in cell["source"]
        cell["source"] = cell["source"].replace(old, new)

    return in_notebook(change, 1)


PROBLEM = {"tag": "section:problem"}
FIGURE = {"text": r"(?m)^figures\.", "kind": "code"}
MARKED_DIGIT = r"\d(?=[ \u202f]?%?[*_]*<!-- m:)"
WORDS = " ".join(["Words"] * 20)
OTHER = {**plan.KERNELSPEC, "display_name": "My kernel"}
OUTPUT = {"output_type": "stream", "name": "stdout", "text": "1"}
FOLD = "<details>\n<summary>S</summary>\n{}\n</details>"
GLOSSARY_MD, TOP = "book/glossary.md", "# Glossary"
MANY_TERMS = f"{TOP}\n\n" + "\n".join(f"**w{i}** (chapter 09): a word." for i in range(15))
LATER = "from gpt2_tutorial.ngram import Table"
LATER_INSIDE = "def _f():\n    from .ngram import Table"
TEXT_PY = "src/gpt2_tutorial/text.py"
NGRAM_PY = "src/gpt2_tutorial/ngram.py"

SAME_CODE = {
    "shown_is_source": [
        Fault(
            "one character",
            in_cell(substitute("return", "return "), tag="src:", text="return"),
            "differs: ",
        ),
        Fault(
            "a comment inside",
            in_cell(substitute("# one", "# two"), tag="src:"),
            "_neighbours differs: ",
            in_real_book=False,
        ),
        Fault(
            "a comment at the end of a body",
            in_cell(substitute("nothing else", "more"), 1, tag="src:"),
            "Table differs: ",
            in_real_book=False,
        ),
        Fault(
            "a decorator",
            in_cell(substitute("@dataclass", "@dataclass()"), 1, tag="src:"),
            "Table differs: ",
            in_real_book=False,
        ),
        Fault(
            "a constant",
            in_cell(substitute('"ab"', '"ba"'), tag="src:"),
            "ALPHABET differs: ",
            in_real_book=False,
        ),
        Fault(
            "a method told apart",
            in_two("every pair once", "every pair"),
            "Table.total differs: ",
            in_real_book=False,
        ),
        Fault(
            "the head of a class told apart",
            in_two("@dataclass\n"),
            "ngram.Table differs: ",
            in_real_book=False,
        ),
        Fault(
            "a method of its own",
            in_two("    def total", "    def more(self): ...\n\n    def total"),
            "ngram.py has no 'Table.more'",
            in_real_book=False,
        ),
        Fault("a name of its own", in_cell(add("NEW = 1"), tag="src:"), "text.py has no 'NEW'"),
        Fault("a later module", insert("code", "A = 1", "src:train"), "does not finish 'train'"),
        Fault("nothing defined", insert("code", "a = 1", "src:text"), "defines nothing"),
    ],
    "shown_once": [
        Fault("shown twice", in_notebook(show_twice), "is shown twice"),
        Fault("shown nowhere", grow("text", "def forgotten(): ..."), "shows 'forgotten'"),
        Fault(
            "a method shown twice",
            in_two("    # … what it holds: above", "    # … more: above\n\n    text: str"),
            "ngram.Table.text is shown twice",
            in_real_book=False,
        ),
        Fault(
            "a method shown nowhere",
            in_cell(substitute(r"    def total[\s\S]*", "    # … total: below"), 1, tag="src:"),
            "no notebook shows 'Table.total'",
            in_real_book=False,
        ),
    ],
    "helpers_shown": [Fault("helper unseen", helper_unseen, "uses _unseen", in_real_book=False)],
    "not_shown_is_current": [
        Fault(
            "listed name gone",
            change_file(NGRAM_PY, "hidden_reader", "_hidden"),
            "ngram.hidden_reader, which does not exist",
            in_real_book=False,
        )
    ],
    "modules_have_a_place": [
        Fault("no notebook", grow("train", "x = 1"), "its notebook does not exist", False),
        Fault("no place", grow("scratch", "x = 1"), "scratch: stands in no list"),
    ],
}
READING_ORDER = {
    "in_notebooks": [
        Fault("later module", insert("code", "from gpt2_tutorial.train import fit"), "chapter 17"),
        Fault("not on Colab", insert("code", "import scipy.linalg"), "scipy is not installed"),
        Fault(
            "not shown yet",
            insert("code", "from gpt2_tutorial.text import count_pairs"),
            "no src:text cell above shows count_pairs",
            in_real_book=False,
        ),
        Fault("whole module", insert("code", "from gpt2_tutorial import text"), "one by one"),
        Fault(
            "the rest",
            insert("code", "import gpt2_tutorial.commands.cli"),
            "commands is no module that",
        ),
    ],
    "in_modules": [
        Fault("upwards", grow("text", LATER), "text.py imports ngram"),
        Fault("in a function", grow("text", LATER_INSIDE), "imports ngram"),
        Fault("support", grow("ngram", "from gpt2_tutorial import ledger"), "imports ledger"),
    ],
    "back_rooms_are_current": [
        Fault(
            "nobody needs it",
            change_file(NGRAM_PY, "from gpt2_tutorial.letter_files import read\n", ""),
            "the back room 'letter_files', which no taught module imports",
            in_real_book=False,
        )
    ],
}


def prose_fault(name: str, text: str, words: str) -> Fault:
    return Fault(name, in_cell(add(text), **PROBLEM), words)


NUMBERS = {
    "in_prose": [
        Fault(
            "a measured number",
            in_cell(substitute(MARKED_DIGIT, raise_digit), text=MARKED_DIGIT),
            "correct the text",
        ),
        Fault(
            "an undefined marker",
            in_cell(substitute("<!-- m:", "<!-- m:no."), text=MARKED_DIGIT),
            "has no value called 'no.",
        ),
        Fault(
            "a page",
            change_file("README.md", "3.4<!--", "3.6<!--"),
            "README.md, line 3: the text says 3.6",
            in_real_book=False,
        ),
        Fault(
            "inside a note of a page",
            change_file("book/index.md", "=:100/2", "=:100/3"),
            "book/index.md, line 4: the text says 50",
            in_real_book=False,
        ),
        prose_fault("unmarked decimal", "It is _0.123_ nats.", "0.123 has no source"),
        prose_fault("unmarked percentage", "It is 51 % of it.", "51 has no source"),
        prose_fault("unknown citekey", "It is 0.5<!-- ref:nobody -->.", "no entry 'nobody'"),
        prose_fault("unknown log", "It is 0.5<!-- log:none.json#a -->.", "no file results/none"),
        prose_fault("unknown plan", "It is 0.5<!-- plan:8xh100.luck -->.", "says nothing called"),
        prose_fault("wrong plan", "It is 0.5<!-- plan:t4.dollars_per_hour -->.", "gives 0.35"),
        prose_fault("no such log in it", "It is 0.5<!-- =:{log:none.json#a} / 2 -->.", "no file"),
        prose_fault("bad expression", "0.5<!-- =:open('x') -->", "is not allowed"),
        prose_fault("number in a heading", "## It is 0.5", "stands in a heading"),
        prose_fault("stray marker", "It is half<!-- =:1/2 -->.", "stands behind no number"),
    ],
    "in_alt_texts": [
        Fault("wrong", in_cell(alt(f"{WORDS} 0.25", "=:1/2"), **FIGURE), "says 0.25"),
        Fault("no source", in_cell(alt(f"{WORDS} 0.25"), **FIGURE), "(0.25), the metadata"),
        Fault("no prefix", in_cell(alt(f"{WORDS} 0.5", "00.val"), **FIGURE), "is no source"),
    ],
    "measured_names": [
        Fault(
            "another chapter",
            change_file("results/measured/00.json", "00.seconds", "01.seconds"),
            "'01.seconds' belongs to another chapter",
            in_real_book=False,
        )
    ],
}
FORM = {
    "stored_clean": [
        Fault("output", in_cell(put(outputs=[OUTPUT]), kind="code"), "an output is stored"),
        Fault("count", in_cell(put(execution_count=1), kind="code"), "execution_count is set"),
        Fault("left over", in_notebook(put_metadata(jupytext={})), "metadata 'jupytext' must be"),
        Fault("other kernel", in_notebook(put_metadata(kernelspec=OTHER)), "metadata 'kernelspec'"),
        Fault("in a cell", in_cell(put_metadata(collapsed=True)), "'collapsed' is left over"),
        Fault("no id", in_cell(lambda cell: cell.pop("id")), "has no id"),
        Fault("same id", in_notebook(same_id), "is used twice"),
        Fault("other format", in_notebook(put(nbformat_minor=4)), "notebooks/00_"),
        Fault("broken Python", insert("code", "a = = 1"), "not valid Python"),
    ],
    "same_first_cell": [
        Fault("other setup", in_cell(add("# more"), 1, tag="setup"), "differs from the setup"),
        Fault("tag gone", in_cell(put_metadata(tags=[]), tag="setup"), "and only it, `setup`"),
    ],
    "short_cells": [Fault("long", insert("code", "1 + 1\n" * 26), "26 lines, more than 25")],
    "portable": [
        Fault("directive", in_cell(add("```{note}\nHi\n```"), **PROBLEM), "a MyST directive:"),
        Fault("colons", in_cell(add(":::{note}\nHi\n:::"), **PROBLEM), "a MyST directive (:::)"),
        Fault("role", in_cell(add("See {ref}`there`."), **PROBLEM), "a MyST role"),
        Fault("target", in_cell(add("(there)=\nHere."), **PROBLEM), "a MyST target"),
    ],
    "heading_levels": [
        Fault("skipped", in_cell(add("##### Deep"), **PROBLEM), "heading 'Deep' has level 5"),
        Fault("two titles", in_cell(add("# Again\n\n## B"), **PROBLEM), "2 level-1 headings"),
    ],
    "folds": [
        Fault("no blank line", in_cell(add(FOLD.format("Hi")), **PROBLEM), "behind </summary>"),
        Fault("heading", in_cell(add(FOLD.format("\n### Hi")), **PROBLEM), "heading inside"),
        Fault("not closed", in_cell(add("<details>"), **PROBLEM), "is not closed"),
    ],
}
PARTS = {
    "in_order": [
        Fault("unknown", insert("markdown", "Hi", "section:intro"), "no part called 'intro'"),
        Fault(
            "on code", in_cell(put_metadata(tags=["section:predict"]), **FIGURE), "tag a Markdown"
        ),
        Fault(
            "missing", in_cell(put_metadata(tags=[]), tag="section:recap"), "tagged section:recap"
        ),
        Fault("swapped", in_notebook(swap_last_parts), "'recap' comes after 'next'"),
        Fault("too early", in_notebook(wrong_too_early), "between problem and recap"),
    ],
    "card_links": [
        Fault(
            "other notebook",
            in_cell(substitute(r"\.ipynb\)", "x.ipynb)"), tag="section:card"),
            "the card needs a text link",
        ),
        Fault(
            "other page",
            in_cell(substitute(r"\.html\)", "x.html)"), tag="section:card"),
            "the card needs a text link",
        ),
        Fault("badge", in_cell(add("colab-badge.svg"), tag="section:card"), "foreign badge"),
    ],
}
ALT = {
    "texts": [
        Fault("emptied", in_cell(alt(""), **FIGURE), "no alt text"),
        Fault("short", in_cell(alt("A few words."), **FIGURE), "has 3 words"),
        Fault("image of", in_cell(alt(f"Image of {WORDS}"), **FIGURE), "with 'Image of'"),
        Fault("two figures", in_cell(add("figures.more()"), **FIGURE), "2 figures"),
        Fault("not last", in_cell(add("1 + 1"), **FIGURE), "be the last line"),
        Fault("matplotlib", insert("code", "plt.plot([1])"), "draws with plt"),
        Fault("no figure", in_cell(alt(WORDS), tag="src:"), "without a figure"),
    ]
}
CAPTIONS = {
    "texts": [
        Fault("none", in_cell(caption(""), **FIGURE), "no caption"),
        Fault("short", in_cell(caption("A few words."), **FIGURE), "has 3 words"),
        Fault("no stop", in_cell(caption("These are words without an end"), **FIGURE), "full stop"),
        Fault("no figure", in_cell(caption(f"{WORDS}."), tag="src:"), "without a figure"),
    ],
    "numbers": [
        Fault(
            "wrong",
            in_cell(caption("It says 0.25<!-- =:1/2 --> to all of us."), **FIGURE),
            "says 0.25",
        ),
        Fault(
            "no source", in_cell(caption("It says 0.25 to all of us."), **FIGURE), "has no source"
        ),
    ],
}
LAST_BLOCK = r"```python\n(?![\s\S]*```python)"
CALL = r'check\("00\.1", \w+\)'
EXERCISES = {
    "agree": [
        Fault("stub", in_cell(substitute("^", "_ = 0\n"), tag="exercise:"), "not the stub of 00.1"),
        Fault(
            "solution",
            in_cell(substitute(LAST_BLOCK, "```python\n_ = 0\n"), tag="solution:"),
            "not the solution of 00.1",
        ),
        Fault("no check", in_cell(substitute(CALL, "1"), tag="exercise:"), "end with a blank line"),
        Fault("gone", in_cell(put_metadata(tags=[]), tag="exercise:"), "0 cells are tagged ex"),
        Fault(
            "unknown",
            insert("code", 'check("00.99", x)', "exercise:00.99"),
            "has no exercise '00.99'",
        ),
        Fault(
            "no task",
            in_cell(substitute("Exercise 0.1", "Exercise 0.9"), text="Exercise 0.1"),
            "should be the task",
            in_real_book=False,
        ),
    ]
}


def never_used(root: Path) -> None:
    """A new term that two chapters ask for, where it is no use: in their outlook."""
    change_file(GLOSSARY_MD, TOP, f"{TOP}\n\n**zebra** (chapter 00): x")(root)
    for number in (0, 1):
        in_cell(add("**In your own words:** zebra."), number, tag="section:next")(root)


GLOSSARY = {
    "in_order": [
        Fault("early", early_term, "a word of chapter 01: say it in other words"),
        Fault("plain", in_notebook(no_bold), "in its chapter: set it in bold"),
        Fault(
            "never used",
            never_used,
            "never uses 'zebra'",
        ),
        Fault(
            "unreadable",
            change_file(GLOSSARY_MD, TOP, f"{TOP}\n\n**zebra**: x"),
            "write it as **zebra** (chapter NN)",
        ),
        Fault(
            "another form",
            in_cell(add("Two tallys."), **PROBLEM),
            "uses 'count table', a word of chapter 01",
            in_real_book=False,
        ),
    ],
    "few_new_terms": [
        Fault("many", change_file(GLOSSARY_MD, TOP, MANY_TERMS), "new terms, more than 14")
    ],
}


def never_asked(root: Path) -> None:
    change_file(GLOSSARY_MD, TOP, f"{TOP}\n\n**zebra** (chapter 00): x")(root)
    in_cell(add("A **zebra** is here."), **PROBLEM)(root)


BUGS_MD, BUG = "book/bugs.md", "| 1 | 2 ([a](https://github.com/a/b/issues/1)) | 3 | Exercise 1.1 |"
ROW = "|---|---|---|---|\n"


def worse_bug(old: str, new: str) -> Break:
    """One more row in the first table, with something else in it."""
    assert old in BUG
    return change_file(BUGS_MD, ROW, f"{ROW}{BUG.replace(old, new)}\n")


HERE = {"text": "<!-- step: "}
TRACEABILITY = {
    "objectives": [
        Fault("no comment", in_cell(substitute("<!-- step:.*?-->", ""), **HERE), "has no `<!--"),
        Fault("no step", in_cell(substitute("step: c00", "step: c99"), **HERE), "leads to step"),
        Fault(
            "no exercise",
            in_cell(substitute(r"exercise: \d\d\.\d+", "exercise: 00.99"), **HERE),
            "leads to exercise 00.99",
        ),
        Fault(
            "no question",
            in_cell(substitute(r"question: \d\d\.\d+", "question: 00.99"), **HERE),
            "leads to question 00.99",
        ),
        Fault(
            "question gone",
            in_cell(substitute(r"(?m)^\*1\. ", "1. "), tag="section:recap"),
            "leads to question 00.1",
        ),
        Fault(
            "none at all", in_cell(substitute(r"(?m)^- .*\n?", ""), **HERE), "no objective", False
        ),
    ],
    "asked_twice": [
        Fault(
            "one chapter forgets",
            in_cell(substitute("own words:.*", "own words."), 1, tag="section:recap"),
            "'loss' is asked in chapter 00 alone",
            in_real_book=False,
        ),
        Fault(
            "a new term",
            never_asked,
            "'zebra' is asked nowhere",
        ),
    ],
    "bugs_are_whole": [
        Fault("no symptom", worse_bug("| 1 |", "| much |"), "no measured symptom"),
        Fault("no thread", worse_bug("issues/1", ""), "links to no thread"),
        Fault("no invariant", worse_bug("| 3 |", "| |"), "not four cells"),
        Fault("no exercise", worse_bug("Exercise 1.1", "chapter 1"), "names no exercise"),
        Fault("no such exercise", worse_bug("1.1 |", "1.99 |"), "names 01.99, which"),
    ],
}

# by the name of the check that must see them: "form.folds" and so on
FAULTS: dict[str, list[Fault]] = {
    f"{module}.{check}": faults
    for module, checks in {
        "same_code": SAME_CODE,
        "reading_order": READING_ORDER,
        "numbers": NUMBERS,
        "form": FORM,
        "parts": PARTS,
        "alt": ALT,
        "captions": CAPTIONS,
        "exercises": EXERCISES,
        "glossary_order": GLOSSARY,
        "traceability": TRACEABILITY,
    }.items()
    for check, faults in checks.items()
}
