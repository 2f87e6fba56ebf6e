"""Each kind of passage has its look: the notebook's own marks have become classes on the page."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from dimmed import kept_lines
from serving import ROOT, toc_pages

pytestmark = pytest.mark.browser

CHAPTERS = [name for name in toc_pages() if name.startswith("notebooks/")]
LETTERS = "ABCDEFG"


@cache
def cells(chapter: str) -> list[dict]:
    found = json.loads(Path(ROOT, f"{chapter}.ipynb").read_text(encoding="utf-8"))["cells"]
    return [one | {"source": "".join(one["source"])} for one in found]


def tagged(chapter: str, mark: str) -> list[dict]:
    return [c for c in cells(chapter) if mark in c["metadata"].get("tags", [])]


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_mark_of_a_notebook_has_its_look(soups, name):
    page: BeautifulSoup = soups[name]
    for kind in ("problem", "by-hand", "finished", "recap"):
        look = {"problem": "story"}.get(kind, kind)
        assert len(page.select(f"section.{look}")) == len(tagged(name, f"section:{kind}")) == 1
    words = "\n".join(c["source"] for c in cells(name) if c["cell_type"] == "markdown")
    tried = len(re.findall(r"\*\*Wrong on purpose\.\*\* \*\*Many people think", words))
    assert len(page.select("div.think")) == words.count("**Many people think**") - tried
    wrong = len(re.findall(r"\*\*Wrong on purpose|^##+ Wrong on purpose", words, re.MULTILINE))
    assert len(page.select("div.wrong")) == wrong
    assert len(page.select("p.ask")) == len(tagged(name, "section:predict"))
    assert len(page.select("section.exercise")) == len(re.findall("^### Exercise ", words, re.M))
    assert len(page.select("div.quiz")) == 1
    assert len(page.select("div.quiz details")) == 3
    assert len(page.select("p.question")) == 1


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_box_holds_what_belongs_to_it(soups, name):
    page = soups[name]
    for box in page.select("div.think, div.wrong, div.quiz"):
        assert not box.select("section, form.guess, h2"), "a box that runs on"
    for wrong in page.select("div.wrong"):
        before = wrong.find_previous_sibling()
        assert wrong.select(".cell") or "cell" in before["class"], "nothing wrong is run"
    for ask in page.select("p.ask"):
        assert ask.find_next_sibling() is not None
        assert ask.select_one("strong").get_text().startswith("Before you")


@pytest.mark.parametrize("name", CHAPTERS)
def test_an_exercise_says_its_facts_as_chips(soups, name):
    for exercise in soups[name].select("section.exercise"):
        chips = [chip.get_text() for chip in exercise.select(":scope > p.facts > span")]
        assert len(chips) == 5, chips
        assert chips[1].startswith("difficulty ") and chips[4].startswith("checks: ")
        assert not any("·" in chip for chip in chips)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_box_of_an_exercise_ends_with_its_solution(soups, name):
    for exercise in soups[name].select("section.exercise"):
        last = exercise.find_all(recursive=False)[-1]
        assert last.name == "details" and last.summary.get_text().startswith("Solution"), last


@pytest.mark.parametrize("name", CHAPTERS)
def test_finished_code_says_which_file_it_is(soups, name):
    wanted = {
        tag.removeprefix("src:").split(".")[0]
        for cell in cells(name)
        for tag in cell["metadata"].get("tags", [])
        if tag.startswith("src:")
    }
    said = {label.get_text() for label in soups[name].select(".cell_input > p.from")}
    assert said == {f"gpt2_tutorial/{module}.py" for module in wanted}
    assert all((ROOT / "src" / file).is_file() for file in said)


@pytest.mark.parametrize("name", CHAPTERS)
def test_bookkeeping_stands_back_and_is_whole(soups, name):
    page = soups[name]
    wanted = 0
    for block in page.select(".cell_input pre"):
        runs, text = kept_lines(block.get_text()), block.get_text().splitlines()
        marked = [span.get_text().rstrip("\n") for span in block.select("span.kept")]
        assert marked == ["\n".join(text[first - 1 : last]).rstrip("\n") for first, last in runs]
        wanted += len(runs)
    assert wanted > 0
    folds = [fold for fold in page.select("details.hide") if "imports" in fold.summary.get_text()]
    small = [span for span in page.select("span.kept") if "import " in span.get_text()]
    assert folds or small, "the imports stand in front"
    assert "Show code cell" not in page.get_text()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_fold_bears_the_title_that_its_cell_gives_it(soups, name):
    given = [cell["metadata"].get("mystnb", {}).get("code_prompt_show") for cell in cells(name)]
    shown = [text.get_text() for text in soups[name].select("details.hide summary .collapsed")]
    assert [title for title in given if title] == [t for t in shown if t in given]


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_two_folds_in_a_row_bear_one_title(soups, name):
    silent = "div.cell:has(details.hide):not(:has(.cell_output))"
    for fold in soups[name].select(f"{silent} + div.cell:has(details.hide)"):
        before = fold.find_previous_sibling("div")
        titles = [one.select_one("summary .collapsed").get_text() for one in (before, fold)]
        assert titles[0] != titles[1]
    shown = [text.get_text() for text in soups[name].select("details.hide summary .collapsed")]
    assert shown.count("What this chapter imports") <= 1


@pytest.mark.parametrize(
    ("source", "runs"),
    [
        ("measure('a', 1)\nmeasure(\n  'b',\n  2)\n\nassert x\n", [(1, 6)]),
        ("for x in y:\n    measure(x, 1)\n    assert x\nprint(x)", [(1, 3)]),
        ("for x in y:\n    print(x)\n    measure(x, 1)\nreveal('a', x)", [(3, 4)]),
        ("row = measure('a', 1)\nprint(row)", []),
        ("import a\nimport b\nimport c\n\nx = 1", []),
        ("import a\nimport b\nimport c\nimport d\n\nx = 1", [(1, 4)]),
        ("%pip install x\nassert y", []),
        ("def f():\n    assert x\n", []),
    ],
)
def test_only_bookkeeping_is_bookkeeping(source, runs):
    assert kept_lines(source) == runs


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_of_the_parts_can_be_read_and_told_apart(page, address, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}{CHAPTERS[0]}.html")
    shown = page.locator("#menu .part").evaluate_all("""all => all.map((one) => {
      const seen = getComputedStyle(one);
      return [one.textContent, seen.color, seen.backgroundColor];
    })""")
    assert "".join(letter for letter, _, _ in shown) == LETTERS
    assert len({ground for _, _, ground in shown}) == len(LETTERS)
    for letter, ink, ground in shown:
        assert contrast(ink, ground) >= 4.5, letter


def contrast(one: str, other: str) -> float:
    """Give the ratio of two colours' brightness, as WCAG 2 defines it."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(share * p for share, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted([light(one), light(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", [*toc_pages()])
def test_a_page_bears_the_letter_of_its_part(soups, name):
    place = soups[name].select_one(".where")
    if place is not None:
        assert soups[name].html["data-part"] == place.get_text().strip()[0]


@pytest.mark.parametrize("width", [1012, 1280, 1440, 1920])
def test_the_page_has_one_left_edge(page, address, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{address}{CHAPTERS[0]}.html")
    edge = """selector => {
      const range = document.createRange();
      range.selectNodeContents(document.querySelector(selector));
      return range.getBoundingClientRect().left;
    }"""
    assert abs(page.evaluate(edge, ".brand") - page.evaluate(edge, "#menu li a")) < 2
    lefts = page.locator("main p, main pre").evaluate_all("""all => all.filter((one) =>
      one.checkVisibility() && one.closest("section") && !one.closest("figure, li, details, table")
      && one.matches("section > p, .think > p, .wrong > p")).map((one) => {
        const inside = getComputedStyle(one);
        return Math.round(one.getBoundingClientRect().left + parseFloat(inside.paddingLeft));
      })""")
    assert max(lefts) - min(lefts) <= 5, "text begins at several edges"
