"""A word of the glossary is introduced, in bold, in its chapter and not used before."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drift import plan
from drift.prose import HEADING, SUMMARY, blank, prose
from drift.reading import Notebook, notebooks

EXEMPT_PARTS = ("card", "here", "next")
ENTRY_START = re.compile(r"^[ \t]*(?:[-*+:][ \t]+)?\*\*(?P<term>[^*]+)\*\*(?P<rest>.*)$")
CHAPTER = re.compile(r"\(\[?chapter (\d+)", re.I)
ALSO = re.compile(r"\(also:\s*([^)]+)\)", re.I)
BOLD = re.compile(r"\*\*(?=\S)(?:(?!\n\s*\n)[\s\S])+?(?<=\S)\*\*")


@dataclass(frozen=True)
class Term:
    """An entry of the glossary."""

    name: str
    chapter: str
    forms: tuple[str, ...]


@dataclass(frozen=True)
class Use:
    """One place in a notebook where a term stands."""

    term: str
    where: str
    bold: bool


def forms_of(name: str, rest: str) -> tuple[str, ...]:
    """The words that count as this term.

    >>> forms_of("generator (seed)", " (chapter 01) (also: dice): a source of chance")
    ('generator', 'seed', 'dice')
    """
    also = ALSO.search(rest)
    words = re.split(r"\s*[(),]\s*", name) + (also[1].split(",") if also else [])
    return tuple(word.strip() for word in words if word.strip())


def read(root: Path) -> tuple[list[Term], list[str]]:
    """The terms of book/glossary.md, and complaints about lines that cannot be read."""
    path = root / "book" / "glossary.md"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    terms, complaints = [], []
    for number, line in enumerate(lines, start=1):
        if not (entry := ENTRY_START.match(line)):
            continue
        name, chapter = entry["term"].strip(), CHAPTER.search(entry["rest"])
        if not chapter:
            where = f"book/glossary.md, line {number}"
            complaints.append(f"{where}: write it as **{name}** (chapter NN): definition.")
            continue
        terms.append(Term(name, chapter[1].zfill(2), forms_of(name, entry["rest"])))
    return terms, complaints


def pattern(terms: list[Term]) -> re.Pattern[str]:
    """All forms, longest first, so that "loss" is not found inside "loss curve"."""
    forms = sorted({form for term in terms for form in term.forms}, key=len, reverse=True)
    words = (r"[\s]+".join(re.escape(word) for word in form.split()) for form in forms)
    return re.compile(rf"(?<![\w-])({'|'.join(words)})(?:s|es)?(?![\w-])", re.I)


def plain(text: str) -> str:
    return " ".join(text.split()).lower()


def running_text(notebook: Notebook) -> Iterator[tuple[str, str]]:
    """(where, text) of the prose that counts: no card, map, outlook, heading, summary line."""
    for part, cell in notebook.sections():
        if cell.kind == "markdown" and part not in EXEMPT_PARTS:
            yield cell.where, prose(blank(HEADING, blank(SUMMARY, cell.source)))


def uses(notebook: Notebook, terms: list[Term]) -> list[Use]:
    """Every use of a term, in reading order."""
    names = {plain(form): term.name for term in terms for form in term.forms}
    finder, found = pattern(terms), []
    for where, text in running_text(notebook):
        bold = [match.span() for match in BOLD.finditer(text)]
        for match in finder.finditer(text):
            inside = any(start < match.start() < end for start, end in bold)
            found.append(Use(names[plain(match[1])], where, inside))
    return found


def first_uses(notebook: Notebook, terms: list[Term]) -> dict[str, Use]:
    firsts: dict[str, Use] = {}
    for use in uses(notebook, terms):
        firsts.setdefault(use.term, use)
    return firsts


def term_complaint(notebook: Notebook, term: Term, use: Use | None) -> str | None:
    """What is wrong with the first use of this term in this notebook."""
    if term.chapter == notebook.chapter:
        if use is None:
            return f"{notebook.file}: never uses {term.name!r}, which the glossary places there."
        if not use.bold:
            return f"{use.where}: first use of {term.name!r} in its chapter: set it in bold."
    if use and term.chapter > notebook.chapter:
        if not plan.EARLY_USE.get((notebook.chapter, term.name)):
            return (
                f"{use.where}: uses {term.name!r}, a word of chapter {term.chapter}: say it in "
                "other words, or give a reason in EARLY_USE of tools/drift/plan.py."
            )
    elif (notebook.chapter, term.name) in plan.EARLY_USE:
        return f"plan.EARLY_USE: chapter {notebook.chapter} does not use {term.name!r} early."
    return None


def in_order(root: Path) -> list[str]:
    """Every term appears in bold in its chapter first, and in no chapter before it."""
    terms, complaints = read(root)
    if not terms:
        return complaints
    for notebook in notebooks(root):
        firsts = first_uses(notebook, terms)
        found = (term_complaint(notebook, term, firsts.get(term.name)) for term in terms)
        complaints += [complaint for complaint in found if complaint]
    unknown = {term for _, term in plan.EARLY_USE} - {term.name for term in terms}
    stale = [f"plan.EARLY_USE: the glossary has no {term!r}: take it out." for term in unknown]
    return complaints + stale


def few_new_terms(root: Path) -> list[str]:
    """No chapter asks a reader to learn too many words."""
    terms, _ = read(root)
    complaints = []
    for chapter in sorted({term.chapter for term in terms}):
        count = sum(term.chapter == chapter for term in terms)
        if count > plan.MAX_NEW_TERMS:
            complaints.append(
                f"book/glossary.md: chapter {chapter} brings {count} new terms, more than "
                f"{plan.MAX_NEW_TERMS}: move or drop some."
            )
    return complaints
