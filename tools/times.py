"""How long a chapter takes, worked out from what stands in it: for its first cell and the card.

120 words a minute, in a second language and with a pencil beside it; nine seconds a line of code;
an exercise takes what its label says. Folded answers count for nothing, and the machine works while
one reads. With these paces all chapters together take as long as three people said who read them
cold and did every exercise: 44 hours.
"""

import re

from drift.prose import SUMMARY, prose
from drift.reading import Notebook

WORDS_A_MINUTE, LINES_A_MINUTE = 120, 60 / 9
LABEL = re.compile(r"about (\d+) min")
FOLD = re.compile(r"(?s)<details>.*?</details>")
FOLDED = {"hide-input", "hide-cell", "remove-input"}
ABOUT = re.compile(r"\*About [^·*]+ ·")


def minutes(notebook: Notebook) -> tuple[int, int]:
    """How long the whole takes, and how long without what is optional, in tens of minutes."""
    whole = optional = 0.0
    left_out = False
    for cell in notebook.cells:
        if heading := re.match(r"#{2,3} .*", cell.source):
            left_out = "(optional)" in heading[0]
        if cell.kind == "code":
            folded = FOLDED.intersection(cell.tags)
            spent = 0 if folded else len(cell.source.splitlines()) / LINES_A_MINUTE
        else:
            text = SUMMARY.sub("", FOLD.sub("", ABOUT.sub("", cell.source)))
            label = LABEL.search(text)
            spent = len(prose(text).split()) / WORDS_A_MINUTE + (int(label[1]) if label else 0)
        whole += spent
        optional += spent * left_out
    return tuple(10 * round(time / 10) for time in (whole, whole - optional))


def words(time: int) -> str:
    """Write minutes as people say them.

    >>> words(50), words(60), words(130)
    ('50 minutes', '1 hour', '2 h 10')
    """
    hours, rest = divmod(time, 60)
    if hours and rest:
        return f"{hours} h {rest}"
    return f"{hours} hour{'s' * (hours > 1)}" if hours else f"{rest} minutes"


def with_time(first_cell: str, notebook: Notebook) -> str:
    """The first cell of a chapter, with the time that it takes."""
    whole, core = minutes(notebook)
    shorter = f", or {words(core)} without what is optional" if core < whole else ""
    return ABOUT.sub(f"*About {words(whole)}{shorter} ·", first_cell)
