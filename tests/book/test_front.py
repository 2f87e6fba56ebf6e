"""The front door and README: what a visitor sees first, and the pictures that both show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from serving import ROOT, serve
from toys import small_site

import moving_picture
import path_picture
import play_front

PICTURES = path_picture.FOLDER
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOME = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
PHONE = {"width": 390, "height": 844}
MOST_BYTES = 300_000

# Boxes of all texts, the frame's last; two texts that touch cannot be read.
BOXES = """svg => [...svg.querySelectorAll("text"), svg].map((part) => {
  const { x, y, width, height } = part.getBoundingClientRect();
  return [part.textContent, x, y, x + width, y + height]; })"""


def test_the_pictures_of_the_path_are_what_the_tool_draws():
    drawn = path_picture.written(path_picture.losses())
    for name, content in drawn.items():
        assert (PICTURES / name).read_text(encoding="utf-8") == content, name


def test_the_path_shows_what_the_chapters_measured(tmp_path):
    rows = {stop.row: 4 - i / 4 for i, stop in enumerate(path_picture.ROAD)}
    rows[path_picture.WALL.row] = 1.25
    board = [{"name": name, "val": paid} for name, paid in rows.items()]
    (tmp_path / "00.json").write_text(json.dumps({"scoreboard": board}), encoding="utf-8")
    paid = path_picture.losses(tmp_path)
    for name, picture in path_picture.written(paid).items():
        for value in rows.values():
            assert f">{value:.2f}<" in picture or f": {value:.2f}<" in picture, name


def test_the_moving_picture_is_what_the_model_and_the_checker_say():
    for name, content in moving_picture.written().items():
        assert (PICTURES / name).read_text(encoding="utf-8") == content, name
        assert len(content.encode()) <= MOST_BYTES


def test_the_bets_before_the_model_has_come_are_its_own():
    text = play_front.FILE.read_text(encoding="utf-8")
    assert not play_front.far(json.loads(text)["starts"], play_front.computed())


def test_the_words_beside_the_model_say_its_numbers():
    start = json.loads(play_front.FILE.read_text(encoding="utf-8"))["starts"][0]
    words = (ROOT / "book" / "play" / "toys" / "front.html").read_text(encoding="utf-8")
    for letter, share in start["bets"][:3]:
        assert f"{letter} {share:.2f}" in words


def test_readme_has_three_ways_in_and_its_pictures():
    first = README.split("\n## ")[0]
    for way in ("https://x-jesse.github.io/GPT-2/", "colab.research.google.com", "make book"):
        assert way in first
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', first)
    assert len(pictures) == 6 and all((ROOT / file).is_file() for file in pictures)
    assert "| ready |" not in README


def test_the_checkers_know_as_many_wrong_answers_as_the_front_door_says():
    tables = (ROOT / "src" / "gpt2_tutorial" / "checks").glob("chapter*.md")
    mistakes = [re.findall(r"(?m)^- (?!stub\b)", t.read_text(encoding="utf-8")) for t in tables]
    assert "more than a thousand wrong answers" in HOME
    assert sum(map(len, mistakes)) > 1000


@pytest.fixture
def drawing(page: Page):
    """A picture as the code host shows it: an SVG of its own."""

    def opened(file: Path, width: int) -> Page:
        page.set_viewport_size({"width": width, "height": 700})
        page.set_content(file.read_text(encoding="utf-8"))
        return page

    return opened


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "width"), [("path-wide-light", 846), ("path-tall-dark", 390), ("moving-wide", 846)]
)
def test_words_in_a_picture_neither_touch_nor_leave_it(drawing, name, width):
    page = drawing(PICTURES / f"{name}.svg", width)
    apart(page.locator("svg").evaluate(BOXES))


def apart(boxes: list[list]) -> None:
    *texts, (_, left, top, right, bottom) = boxes
    for i, (words, x, y, x2, y2) in enumerate(texts):
        assert left <= x and top <= y and x2 <= right and y2 <= bottom, f"{words} leaves"
        for other, a, b, a2, b2 in texts[:i]:
            clear = x2 <= a or a2 <= x or y2 <= b + 3 or b2 <= y + 3  # line boxes may touch
            assert clear, f"{words!r} touches {other!r}"


@pytest.mark.browser
def test_the_moving_picture_stands_still_for_those_who_want_it(drawing):
    page = drawing(PICTURES / "moving-tall.svg", 420)
    letters = "all => all.map(one => getComputedStyle(one).animationName)"
    assert set(page.locator("tspan").evaluate_all(letters)) == {"come"}
    page.emulate_media(reduced_motion="reduce")
    assert set(page.locator("tspan").evaluate_all(letters)) == {"none"}


@pytest.mark.browser
@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 800}], ids=["phone", "laptop"])
def test_the_first_screen_says_what_one_builds_and_has_both_doors(page, address, size):
    page.set_viewport_size(size)
    page.goto(address)
    doors = page.locator(".doors a")
    expect(doors).to_have_count(2)
    for element in [page.locator(".lead"), *doors.all()]:
        box = element.bounding_box()
        assert box and box["y"] + box["height"] <= size["height"] and box["height"] >= 44
    assert "colab.research.google.com" in doors.nth(1).get_attribute("href")
    doors.first.click()
    page.wait_for_url(f"{address}notebooks/00_*")


@pytest.mark.browser
def test_nothing_heavy_comes_before_somebody_asks(page, address):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    toy = page.locator("#play-front")
    page.wait_for_selector("#play-front[data-ready]")
    assert not [url for url in asked if "model" in url and not url.endswith(".js")]
    passage, said = toy.locator(".passage"), toy.locator(".status")
    before = passage.inner_text()
    toy.get_by_role("button", name="Let it write").click()
    expect(toy.get_by_role("button").first).to_have_text("Stop")
    expect(said).to_have_text("Writing …", timeout=20_000)
    expect(passage).not_to_have_text(before)
    toy.get_by_role("button", name="Stop").click()
    written = passage.inner_text()
    assert any(url.endswith("model.safetensors") for url in asked)
    page.wait_for_timeout(100)
    assert passage.inner_text() == written
    toy.get_by_role("button", name="Begin again").click()
    assert passage.inner_text() == before
    toy.get_by_label("ROMEO:").check()
    assert passage.inner_text() == "ROMEO:\n?"


@pytest.mark.browser
def test_a_model_that_does_not_come_is_told_in_a_sentence(page, tmp_path):
    home = small_site(tmp_path, ["front"])
    (home / "_static" / "play" / "model" / "model.safetensors").unlink()
    with serve(home) as address:
        page.goto(f"{address}toys.html")
        page.get_by_role("button", name="Let it write").click()
        expect(page.locator(".status")).to_contain_text("could not be loaded (404)")
        expect(page.get_by_role("button").first).to_have_text("Let it write (loads 1.6 MB)")


@pytest.mark.browser
@pytest.mark.parametrize(("width", "name"), [(390, "tall"), (1280, "wide")])
def test_one_picture_of_the_path_is_shown_at_each_width_as_it_was_drawn(page, address, width, name):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address)
    seen = page.locator(".picture svg:visible")
    expect(seen).to_have_count(1)
    assert f"path-{name}" in seen.get_attribute("class").split()
    apart(seen.evaluate(BOXES))
    widths = "all => all.map((bar) => bar.getBoundingClientRect().width)"
    assert all(bar > 20 for bar in seen.locator(".paid").evaluate_all(widths))
