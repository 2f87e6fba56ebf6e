"""The pages say what their own build measured, in prose, alt texts, tables and later chapters."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given
from hypothesis import strategies as st
from measured import alt_texts, as_written, refreshed
from nbformat import v4
from PIL import Image
from serving import ROOT, SITE, toc_pages
from sphinx.application import Sphinx

from drift.markers import IN_HTML, NUMBER, Number, sources_in
from drift.sources import Sources

CHAPTER = """# One

The head pays **2.315**<!-- m:07.one_head --> nats, 12 %<!-- m:07.share -->
of 1,200<!-- m:07.all -->, and 5.0<!-- =:{07.share} - 7 --> more.
Python 3.11 has no marker, 0.5<!-- ref:someone --> comes from a paper.

| what | nats |
|---|---|
| head | −0.0031<!-- m:07.gain --> |
"""
COMMITTED = {"one_head": 2.3151, "share": 12.0, "all": 1200, "gain": -0.0031}
FRESH = {"one_head": 2.3289, "share": 13.4, "all": 1234, "gain": -0.0042}


def measured(folder: Path, values: dict[str, float]) -> None:
    folder.mkdir(parents=True)
    named = {f"07.{name}": {"value": value, "tol": 1, "unit": ""} for name, value in values.items()}
    (folder / "07.json").write_text(json.dumps({"values": named}), encoding="utf-8")


def dot() -> str:
    file = BytesIO()
    Image.new("1", (1, 1)).save(file, "png")
    return b64encode(file.getvalue()).decode()


def notebook(*markdown: str, picture: dict | None = None) -> str:
    cells = [v4.new_markdown_cell(text) for text in markdown]
    if picture:
        shown = v4.new_output("display_data", data={"image/png": dot()})
        cells.append(v4.new_code_cell("draw()", metadata=picture, outputs=[shown]))
    return nbformat.writes(v4.new_notebook(cells=cells))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, BeautifulSoup]:
    """Two chapters, built where a fresh run measured other values than the committed ones."""
    home = tmp_path_factory.mktemp("two pages")
    measured(home / "results" / "measured", COMMITTED)
    measured(home / "_build" / "measured", FRESH)
    alt = "Curve “a” & b at 2.315, 12 % of them, Python 3.11."
    picture = {"mystnb": {"image": {"alt": alt}}, "numbers": ["m:07.one_head", "m:07.share"]}
    (home / "one.ipynb").write_text(notebook(CHAPTER, picture=picture), encoding="utf-8")
    later = (
        "# Two\n\nChapter one paid 2.315<!-- m:07.one_head --> (see *2.3*<!-- m:07.one_head -->)."
    )
    (home / "two.ipynb").write_text(notebook(f"# Two\n\n{later}"), encoding="utf-8")
    (home / "index.md").write_text("# Book\n\n```{toctree}\none\ntwo\n```\n", encoding="utf-8")
    settings = {
        "extensions": ["myst_nb", "measured"],
        "nb_execution_mode": "off",
        "html_theme": "basic",
        "suppress_warnings": ["myst.header"],
    }
    out = home / "_build" / "html"
    Sphinx(home, None, out, home / "_build" / "trees", "html", settings, status=None).build()
    return {
        name: BeautifulSoup((out / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        for name in ("one", "two")
    }


def test_a_fresh_number_stands_in_prose_and_tables(built):
    text = " ".join(built["one"].select_one(".body").get_text().split())
    assert "pays 2.329 nats, 13 % of 1,234, and 6.4 more" in text
    assert "Python 3.11 has no marker, 0.5 comes from a paper" in text
    assert built["one"].select_one("td:last-child").get_text() == "−0.0042"


def test_a_fresh_number_stands_in_an_alt_text(built):
    assert built["one"].img["alt"] == "Curve “a” & b at 2.329, 13 % of them, Python 3.11."


def test_a_fresh_number_stands_in_a_later_chapter(built):
    assert "paid 2.329 (see 2.3)" in built["two"].select_one(".body").get_text()


@given(
    value=st.floats(-1e7, 1e7),
    text=st.sampled_from(
        ["2.31", "0.5", "7", "1,234", "+0.12", "−0.30", ".5", "3.1e-07", "50,257.0"]
    ),
)
@example(value=-0.001, text="0.5")
@example(value=999.9996, text="999.123")
def test_what_is_written_is_the_value_to_its_digits(value, text):
    """Whatever was measured: the number that is written is one in the grammar, and agrees."""
    now = as_written(value, text)
    found = NUMBER.fullmatch(now)
    assert found and found["number"] == now
    assert Number(now, (), 1).agrees_with(value)


def test_what_agrees_stays_as_it_was_written(tmp_path):
    measured(tmp_path / "results" / "measured", {"half": 2.5})
    sources = Sources(tmp_path)
    assert refreshed("<p>2<!-- m:07.half --> or 3<!-- m:07.half --></p>", sources) == (
        "<p>2<!-- m:07.half --> or 3<!-- m:07.half --></p>"
    )


def test_names_and_numbers_of_an_alt_text_must_be_as_many(tmp_path):
    cell = {"metadata": {"mystnb": {"image": {"alt": "0.5 and 0.6"}}, "numbers": ["m:07.a"]}}
    with pytest.raises(ValueError):
        alt_texts({"cells": [cell]}, Sources(tmp_path))


@pytest.mark.browser  # it needs the built site, and no browser
@pytest.mark.parametrize("name", toc_pages())
def test_every_number_of_a_page_is_what_its_build_measured(site, name):
    sources = Sources(ROOT, SITE.parent / "measured")
    html = (site / f"{name}.html").read_text(encoding="utf-8")
    for match in filter(lambda found: found["markers"], IN_HTML.finditer(html)):
        for source in sources_in(match["markers"]):
            if re.match("(m|=):", source):
                assert sources.problem(Number(match["number"], (), 1), source) is None
