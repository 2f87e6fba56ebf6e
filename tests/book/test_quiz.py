"""Quizzes that can be clicked, and what a browser remembers of a reader."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect
from serving import ROOT, new_page

pytestmark = pytest.mark.browser

CHAPTERS = sorted(file.stem for file in (ROOT / "notebooks").glob("*.ipynb"))
MADE = """() => [...document.querySelectorAll("ul.options")].map((list) => ({
  options: [...list.querySelectorAll("button")].map((b) => b.textContent.trim()),
  links: list.querySelectorAll("a").length,
  reasons: [...list.nextElementSibling.nextElementSibling.querySelectorAll("li")].map(
    (item) => item.textContent.trim()) }))"""


def folded(chapter: str) -> int:
    """Count the folded answers of a notebook."""
    text = (ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8")
    return len(re.findall(r"<summary>Answers to \d+</summary>", text))


def test_there_are_quizzes():
    assert sum(map(folded, CHAPTERS)) >= 51


def test_every_question_can_be_clicked_and_has_one_right_answer(first_visit, address):
    for chapter in CHAPTERS:
        first_visit.goto(f"{address}notebooks/{chapter}.html")
        made = first_visit.evaluate(MADE)
        assert len(made) == folded(chapter), chapter
        for quiz in made:
            letters = [option[0] for option in quiz["options"]]
            assert letters == list("abcd") and quiz["links"] == 0, (chapter, quiz)
            assert [reason[0] for reason in quiz["reasons"]] == letters, (chapter, quiz)
            assert sum(") Right." in reason for reason in quiz["reasons"]) == 1, (chapter, quiz)
            assert all(len(option) > 3 for option in quiz["options"]), (chapter, quiz)


def test_the_right_answer_stands_at_each_letter_about_equally_often():
    """Else a reader learns the letter: a fair draw of 51 strays by three from a quarter of them."""
    text = "".join((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8") for name in CHAPTERS)
    counts = [len(re.findall(rf"\*\*{letter}\) Right", text)) for letter in "abcd"]
    assert sum(counts) == sum(map(folded, CHAPTERS))
    assert max(counts) - min(counts) <= 6, counts


def test_an_answer_is_judged_and_the_first_one_counts(first_visit, address):
    first_visit.goto(f"{address}notebooks/00_guessing_game.html")
    options = first_visit.locator("ul.options").first
    said = first_visit.locator("ul.options + [role=status]").first
    options.locator("button").nth(2).focus()
    first_visit.keyboard.press("Enter")
    expect(said).to_contain_text("✗ No.")
    expect(said).to_contain_text("0 of 3 right at the first try")
    expect(said).to_contain_text("the loss averages their logarithms")
    options.locator("button").nth(0).click()
    expect(said).to_contain_text("✓ Right. Two coins each time")
    assert options.locator("[aria-pressed=true]").count() == 1
    first_visit.reload()
    expect(said).to_contain_text("✗ No.")
    first_visit.locator("ul.options").nth(1).locator("button").nth(1).click()
    second = first_visit.locator("ul.options + [role=status]").nth(1)
    expect(second).to_contain_text("1 of 3 right at the first try")


def test_the_folded_answers_are_out_of_sight_and_on_paper(first_visit, address):
    first_visit.goto(f"{address}notebooks/00_guessing_game.html")
    expect(first_visit.locator("details.answers").first).to_be_hidden()
    first_visit.emulate_media(media="print")
    expect(first_visit.locator("details.answers").first).to_be_visible()


def test_a_chapter_that_was_read_is_marked(first_visit, address):
    first_visit.goto(f"{address}notebooks/01_bigram.html")
    expect(first_visit.locator(".where .place")).to_have_text(f"2 of {len(CHAPTERS)}")
    first_visit.locator("#recap h2").scroll_into_view_if_needed()
    expect(first_visit.locator("#menu a.read")).to_have_count(1)
    expect(first_visit.locator(".where .place")).to_have_text(f"2 of {len(CHAPTERS)} · 1 read")
    first_visit.goto(f"{address}notebooks/12_simple_gpt.html")
    expect(first_visit.locator("#menu a.read")).to_contain_text("01 ·")
    kept = first_visit.evaluate("({ ...localStorage })")
    assert json.loads(kept["read"]) == ["01_bigram.html"]


def test_the_menu_shows_the_chapter_and_keys_turn_the_page(first_visit, address):
    first_visit.goto(f"{address}notebooks/12_simple_gpt.html")
    shown = """() => { const link = document.querySelector("#menu .current > a");
      const a = link.getBoundingClientRect();
      return a.top > 0 && a.bottom < innerHeight && scrollY === 0; }"""
    assert first_visit.evaluate(shown)
    expect(first_visit.locator(".neighbours .right small")).to_have_text(re.compile(r"\?$"))
    first_visit.keyboard.press("n")
    first_visit.wait_for_url("**/13_*")
    first_visit.keyboard.press("p")
    first_visit.wait_for_url("**/12_*")
    first_visit.keyboard.press("/")
    first_visit.keyboard.type("pnp")  # whoever types is not sent to another page
    expect(first_visit.locator("#menu input[type=search]")).to_have_value("pnp")
    assert "12_simple_gpt" in first_visit.url


def test_a_browser_that_keeps_nothing_still_works(browser, address):
    context = browser.new_context()
    context.add_init_script("""Object.defineProperty(window, "localStorage",
      { get() { throw new Error("switched off"); } });""")
    page, complaints = new_page(context), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}notebooks/00_guessing_game.html")
    page.locator("form.guess .show").first.click()
    page.locator("ul.options button").nth(1).click()
    expect(page.locator("ul.options + [role=status]").first).to_contain_text("0 of 3")
    assert complaints == []
    context.close()


def test_no_inline_script_runs_but_the_first_one(first_visit, address):
    heard = []
    first_visit.on("console", lambda message: heard.append(message.text))
    first_visit.goto(f"{address}notebooks/00_guessing_game.html")
    first_visit.evaluate("""() => { const script = document.createElement("script");
      script.textContent = "window.intruder = 1"; document.body.append(script);
      const image = document.createElement("img"); image.src = "https://example.org/x.png";
      document.body.append(image); }""")
    first_visit.wait_for_timeout(200)
    assert first_visit.evaluate("window.intruder ?? null") is None
    blocked = [text for text in heard if "Content Security Policy" in text]
    assert len(blocked) >= 2, heard
