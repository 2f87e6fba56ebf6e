"""Show how the chapters read: a table against the targets, and the places behind it.

Nothing here fails a build and nothing is stored. The writer reads it and decides; chasing the
numbers to the letter makes choppy prose. Needs nothing but Python 3.11.

    python3 tools/style_report.py            every chapter
    python3 tools/style_report.py 01         one chapter
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import readability as counters
from drift import glossary_order
from drift.prose import FENCE, HEADING, SUMMARY, blank, closes, prose
from drift.reading import Cell, Notebook, notebooks, pages

ROOT = Path(__file__).resolve().parents[1]
TABLE_ROW = re.compile(r"(?m)^[ >\t]*\|.*$")
LIST_ITEM = re.compile(r"(?m)^[ >\t]*(?:[-*+]|\d+[.)])[ \t]+")
MARKUP = re.compile(r"[*\[\]#>|]|(?<!\w)_|_(?!\w)")
SHOWN = 3  # runs and sentences in the lists below the table


@dataclass(frozen=True)
class Row:
    """A line of the table: what it counts, the target, and the mark it should not pass."""

    name: str
    low: float | None
    high: float | None
    mark: float | None
    form: str = "{:,.0f}"

    def verdict(self, value: float) -> str:
        """Say "" on target, "·" beside it, "▲" above the mark."""
        if self.mark is not None and value > self.mark:
            return "▲"
        low, high = self.low or 0, float("inf") if self.high is None else self.high
        return "" if low <= value <= high else "·"

    def target(self) -> str:
        low, high = (self.form.format(x) if x is not None else "" for x in (self.low, self.high))
        return f"{low}–{high}" if low else f"≤ {high}" if high else ""


ROWS = {
    "words": Row("words, without the exercises", 1800, 2600, 3200),
    "code_cells": Row("code cells", 25, 40, 50),
    "mean_lines": Row("lines in a code cell, mean", None, 15, 25, "{:.1f}"),
    "most_lines": Row("lines in the longest (not src)", None, 15, 25),
    "run": Row("longest run of prose, words", None, 200, None),
    "sentence": Row("words in a sentence, mean", None, 17, 20, "{:.1f}"),
    "grade": Row("Flesch–Kincaid grade", None, 8.5, 9.5, "{:.1f}"),
    "terms": Row("new terms", None, 10, 14),
    "predictions": Row("predictions", 1, 3, None),
    "figures": Row("figures", 4, 8, None),
    "avoid": Row("words to avoid", None, 0, 0),
}


def paragraphs(markdown: str) -> list[str]:
    """Split Markdown into paragraphs and list items: no headings, tables, summaries, code.

    >>> paragraphs("# Title\\n\\nOne `x` line.\\nGoes on.\\n\\n- a\\n- b\\n\\n| t |")
    ['One line. Goes on.', 'a', 'b']
    """
    for pattern in (SUMMARY, HEADING):
        markdown = blank(pattern, markdown)
    text = MARKUP.sub("", LIST_ITEM.sub("\n\n", blank(TABLE_ROW, prose(markdown))))
    parts = (" ".join(part.split()) for part in re.split(r"\n[ \t]*\n", text))
    return [part for part in parts if counters.words(part)]


def is_exercise(part: str, cell: Cell) -> bool:
    """Say whether a cell belongs to an exercise: some stand in the text, where they are needed."""
    task = cell.kind == "markdown" and cell.source.startswith("### Exercise ")
    return part == "exercises" or task or bool(cell.tagged("exercise:") or cell.tagged("solution:"))


def told(notebook: Notebook) -> list[Cell]:
    """List the Markdown cells outside the exercises."""
    sections = notebook.sections()
    return [c for part, c in sections if c.kind == "markdown" and not is_exercise(part, c)]


def pieces(markdown: str) -> Iterator[str]:
    """Cut Markdown where the eye rests: at code, pictures, displayed maths, tables and folds."""
    kept, fence = [], None
    for line in markdown.split("\n"):
        mark = FENCE.match(line)
        rests = bool(mark) or fence or re.match(r"\s*(\||!\[|\$\$|<img|</?details)", line)
        if fence:
            fence = None if closes(mark, fence) else fence
        elif mark:
            fence = mark["mark"]
        if rests:
            yield "\n".join(kept)
            kept = []
        else:
            kept.append(line)
    yield "\n".join(kept)


def runs(notebook: Notebook) -> list[tuple[int, str]]:
    """Return the (words, first cell) of every run of prose with nothing to look at or do."""
    found, count, start = [], 0, ""
    for part, cell in notebook.sections():
        if is_exercise(part, cell):
            continue
        rests = pieces(cell.source) if cell.kind == "markdown" else ["", ""]
        for number, piece in enumerate(rests):
            if number:  # something to look at stood before this piece
                found.append((count, start))
                count = 0
            start = start if count else cell.id
            count += len(counters.words(prose(piece)))
    return sorted([*found, (count, start)], reverse=True)


def lines(cell: Cell) -> int:
    return sum(bool(line.strip()) for line in cell.source.splitlines())


def avoided(where: str, text: str) -> list[tuple[str, str, str]]:
    """Return (where, word, surroundings) of every word to avoid in some Markdown."""
    return [(where, *found) for found in counters.to_avoid(prose(text))]


def measure(notebook: Notebook, terms: list[glossary_order.Term]) -> dict:
    """Count everything that the table and the lists below it show."""
    cells, code = told(notebook), notebook.code()
    placed = [(c.id, s) for c in cells for p in paragraphs(c.source) for s in counters.sentences(p)]
    spoken = [sentence for _, sentence in placed]
    markdown = (cell for cell in notebook.cells if cell.kind == "markdown")
    places = [place for cell in markdown for place in avoided(cell.id, cell.source)]
    longest = runs(notebook)[:SHOWN]
    return {
        "words": sum(len(counters.words(prose(cell.source))) for cell in cells),
        "code_cells": len(code),
        "mean_lines": sum(map(lines, code)) / max(len(code), 1),
        "most_lines": max((lines(c) for c in code if c.tagged("src:") is None), default=0),
        "run": longest[0][0],
        "sentence": counters.mean_length(spoken),
        "grade": counters.grade(spoken),
        "terms": sum(term.chapter == notebook.chapter for term in terms),
        "predictions": sum(bool(re.search(r"\breveal\(", cell.source)) for cell in code),
        "figures": sum("image" in cell.metadata.get("mystnb", {}) for cell in code),
        "avoid": len(places),
        "runs": longest,
        "places": places,
        "sentences": sorted(placed, key=lambda s: -len(counters.words(s[1])))[:SHOWN],
    }


def table(measured: dict[str, dict]) -> str:
    """Lay the counts out, one column for each chapter."""
    head = ["".ljust(32), *(f"{chapter:>9} " for chapter in measured), "  target", "marked above"]
    shown = [" ".join([*head[:-2], f"{head[-2]:<15}", head[-1]])]
    for key, row in ROWS.items():
        cells = [
            f"{row.form.format(found[key]):>9}{row.verdict(found[key]) or ' '}"
            for found in measured.values()
        ]
        mark = "" if row.mark is None else row.form.format(row.mark)
        shown.append(" ".join([row.name.ljust(32), *cells, f"  {row.target():<13}", mark]).rstrip())
    return "\n".join([*shown, "", "· beside the target   ▲ above the mark"])


def places(chapter: str, found: dict) -> str:
    """List what a writer would look at first in one chapter."""
    shown = [f"Chapter {chapter}"]
    shown += [f"  {count} words without a rest, from cell {id}" for count, id in found["runs"]]
    for id, sentence in found["sentences"]:
        start = " ".join(sentence.split()[:9])
        shown.append(f"  {len(counters.words(sentence))} words in a sentence of {id}: {start} …")
    shown += [f"  {id}: “{word}” in: {around}" for id, word, around in found["places"]]
    return "\n".join(shown)


def main() -> int:
    terms, _ = glossary_order.read(ROOT)
    books = [book for book in notebooks(ROOT) if not sys.argv[1:] or book.chapter in sys.argv[1:]]
    measured = {book.chapter: measure(book, terms) for book in books}
    print(table(measured))
    for chapter, found in measured.items():
        print(f"\n{places(chapter, found)}")
    on_pages = [place for page in pages(ROOT) for place in avoided(page.where, page.text)]
    if on_pages and not sys.argv[1:]:
        print("\nPages\n" + "\n".join(f"  {at}: “{word}” in: {a}" for at, word, a in on_pages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
