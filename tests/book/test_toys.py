"""Every toy alone: its still, its words, keyboard, axe, phone, hostile text; nothing jumps."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect
from serving import ROOT, serve
from toys import TOYS, small_site

pytestmark = pytest.mark.browser

PLAY = ROOT / "book" / "play"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "\u202egnirts\u202c",
    "a\u200bb\u200d\ufeff",
    "𝔘𝔫𝔦 👩‍👩‍👧 é\u0301",
    "\x00\x1b[31m\r\n\t",
    "${alert(1)} {{7*7}} %s &lt;b&gt;",
    "",
    " " * 50,
    "x" * 1_000_000,
]
# Everything that a reader could have changed: what is drawn, and where the controls stand.
SEEN = """stage => stage.innerHTML + [...stage.querySelectorAll("input, textarea")].map(
  (control) => `${control.value} ${control.checked}`).join()"""
FILLED = "document.activeElement.value !== ''"
SHIFTS = """() => { window.shifted = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true }); }"""


def opened(page: Page, address: str, name: str) -> list[str]:
    """Open the page of one toy, and give the list in which its complaints will stand."""
    complaints: list[str] = []

    def foreign(url: str) -> bool:
        return not url.removeprefix("blob:").startswith((address, "data:"))

    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda r: foreign(r.url) and complaints.append(f"foreign: {r.url}"))
    page.goto(f"{address}{name}/toys.html")
    page.wait_for_selector(f"#play-{name}:is([data-ready], [data-failed])")
    return complaints


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Each toy on a page of its own."""
    home = tmp_path_factory.mktemp("alone")
    for name in TOYS:
        (home / name).mkdir()
        small_site(home / name, [name])
    with serve(home) as address:
        yield address


def test_there_are_toys_and_each_has_its_words():
    assert TOYS
    for name in TOYS:
        text = (PLAY / "toys" / f"{name}.html").read_text(encoding="utf-8")
        assert text.startswith("<figcaption><strong>"), f"{name}: first a title and what to do"
        assert len(re.sub(r"<[^>]+>", "", text).split()) > 30, f"{name}: say what it shows in words"
        script = (PLAY / "toys" / f"{name}.js").read_text(encoding="utf-8")
        assert len(script.encode()) <= 15_000, f"{name} has {len(script)} characters; 15,000 may be"
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|https?:", script), name


def test_each_toy_stands_on_a_page():
    pages = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "book").glob("*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert sorted(set(re.findall(r"<!-- play: ([\w-]+) -->", text))) == TOYS


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_by_eye_by_keyboard_and_with_hostile_text(page, alone, axe, name):
    """One page load for all looks at a toy: most of the time goes into opening it."""
    page.add_init_script(f"({SHIFTS})()")
    complaints = opened(page, alone, name)
    stage = page.locator(f"#play-{name} .stage")
    still = (PLAY / "stills" / f"{name}.html").read_text(encoding="utf-8")
    assert stage.inner_html() + "\n" == still, "the still is old: run python tools/stills.py"
    assert page.evaluate("window.shifted") == 0, "something jumped when it opened"
    answers_to_the_keyboard(page, stage)
    keeps_text_text(page, stage)
    assert axe(page) == []
    by_night_and_on_a_phone(page, axe)
    assert complaints == []


def by_night_and_on_a_phone(page: Page, axe: Callable[..., list[dict]]) -> None:
    """Look at a page in the dark, then at the width of a phone."""
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(":root[data-theme=dark]")
    assert axe(page, "color-contrast") == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def answers_to_the_keyboard(page: Page, stage: Locator) -> None:
    """Go through a toy with Tab: every control is reached, and moves something that is seen."""
    wanted = stage.locator("input, textarea, select, button, [tabindex='0']").count()
    groups, radios = stage.locator("form.choice").count(), stage.locator("[type=radio]").count()
    stops = wanted - radios + groups  # a group of radio buttons is one stop
    assert stops, "there is nothing to play with"
    answered, reached = 0, 0
    for _ in range(stops):
        page.keyboard.press("Tab")
        at = page.evaluate("""() => { const here = document.activeElement;
          return here.closest(".stage") && { tag: here.localName, type: here.type,
            top: here.type === "range" && here.value === here.max }; }""")
        if not at:
            break
        reached += 1
        before = stage.evaluate(SEEN)
        if at["tag"] == "button":
            page.keyboard.press("Enter")
        elif at["type"] == "checkbox":
            page.keyboard.press("Space")
        elif at["type"] in ("text", "textarea"):
            page.keyboard.press("End")
            page.keyboard.press("Backspace" if page.evaluate(FILLED) else "a")
        else:
            page.keyboard.press("ArrowLeft" if at["top"] else "ArrowRight")
        page.wait_for_timeout(20)
        changed = stage.evaluate(SEEN) != before
        answered += changed
        assert changed or at["tag"] == "button", f"{at} does nothing"
    assert answered, "no control changes anything"
    assert reached == stops, f"{reached} of {stops} controls are reached by Tab"


def keeps_text_text(page: Page, stage: Locator) -> None:
    """Put hostile text into every field: it is shown as text, and tears nothing apart."""
    fields = stage.locator("input[type=text], textarea")
    for text in HOSTILE if fields.count() else []:
        for i in range(fields.count()):
            fields.nth(i).evaluate(
                "(field, text) => { field.value = text; field.dispatchEvent(new Event('input')); }",
                text,
            )
        page.wait_for_timeout(20)
        expect(stage.locator("img, script, iframe, b")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
