"""Chapters 13 to 17, the launch pages, the results and the readme tell one story of a run."""

import itertools
import json
import re
from decimal import Decimal

import pytest
from serving import ROOT

from drift.markers import numbers_in
from gpt2_tutorial.config import PRESETS

CHAPTERS = ("13_generate_and_judge", "14_fast_step", "16_ddp", "17_script")
PAGES = ("book/launch.md", "book/launch-more.md", "book/results.md", "book/index.md", "README.md")
LARGE = [name for name in PRESETS if name not in ("cpu", "t4")]


def words_of(chapter: str) -> str:
    cells = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text("utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


TEXTS = {name: words_of(name) for name in CHAPTERS}
TEXTS |= {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}


def said(texts, wanted):
    """Every number whose marker matches: by source, then the digits, and where they stand."""
    found = {}
    for place, text in texts.items():
        for number in numbers_in(text):
            for source in number.sources:
                if re.fullmatch(wanted, source):
                    digits = number.text.replace(",", "").replace("\u2212", "-")
                    found.setdefault(source, {}).setdefault(digits, place)
    return found


def disagreements(found):
    """Pairs that no rounding makes equal: the finer, cut to the digits of the coarser."""
    for source, digits in found.items():
        for one, other in itertools.combinations(digits, 2):
            coarse, fine = sorted((Decimal(one), Decimal(other)), key=lambda d: -d.as_tuple()[2])
            half = Decimal(5).scaleb(coarse.as_tuple().exponent - 1)
            if abs(fine - coarse) > half:
                yield f"{source}: {one} in {digits[one]}, {other} in {digits[other]}"


QUANTITIES = (
    r"plan:(?:1xh100|8xh100|8xa100)\.(?:hours|dollars|dollars_per_hour|save_every|max_steps)"
)


def test_hours_and_dollars_are_the_same_everywhere():
    found = said(TEXTS, QUANTITIES)
    assert {"plan:1xh100.hours", "plan:1xh100.dollars", "plan:8xh100.dollars"} <= found.keys()
    assert list(disagreements(found)) == []


def test_a_second_price_would_be_noticed():
    other = {"a page": "It costs 17<!-- plan:8xh100.dollars --> dollars."}
    other["another"] = "It costs 18.4<!-- plan:8xh100.dollars --> dollars."
    assert len(list(disagreements(said(other, QUANTITIES)))) == 1
    other["another"] = "It costs 17.2<!-- plan:8xh100.dollars --> dollars."
    assert list(disagreements(said(other, QUANTITIES))) == []


def test_no_hour_or_dollar_of_a_whole_run_stands_without_its_plan():
    """Hours beside an H100 that nothing checks are how three chapters came to say three things."""
    loose = re.compile(
        r"(?:\d[\d.]* (?:hours|dollars) (?:on|of|for) (?:one|eight) H100)"
        r"|(?:H100s? (?:takes?|costs?) (?:about )?\$?\d[\d.]* ?(?:hours|dollars)?)(?!\d*<!--)"
    )
    for place, text in TEXTS.items():
        assert not loose.search(re.sub(r"\d[\d.,]*<!--.*?-->", "N", text)), place


def test_a_run_is_saved_as_often_as_it_is_said():
    every = {PRESETS[name].save_every for name in LARGE}
    assert len(every) == 1 and every == {PRESETS[name].eval_every for name in LARGE}
    saves = re.compile(
        r"(?:checkpoint|(?<!Say a run )saves|evaluates|looks?)[^.\n]*? every (\d+) steps"
    )
    found = [(place, int(n)) for place, text in TEXTS.items() for n in saves.findall(text)]
    # The rehearsal on a laptop saves more often, and a marker of its own holds that.
    large = {count for place, count in found if place != "book/launch.md"}
    assert large == every


@pytest.mark.parametrize("place", ["16_ddp", "17_script", "book/launch.md", "README.md"])
def test_whoever_rents_for_the_first_time_is_sent_to_one_gpu(place):
    named = re.findall(r"--preset[ =]([\w-]+)", TEXTS[place])
    large = [name for name in named if name in LARGE]
    assert not large or large[0] == "1xh100"
    if place in ("17_script", "book/launch.md"):
        assert large


def test_a_machine_that_can_be_taken_away_comes_with_a_bucket():
    seen = 0
    for place, text in TEXTS.items():
        for paragraph in re.split(r"\n\s*\n|\n(?=\d\. )", text):
            if re.search(r"can be taken away|cheaper machines", paragraph):
                seen += 1
                assert "bucket" in paragraph, (place, paragraph)
    assert seen >= 2


def test_nothing_says_that_a_stopped_run_costs_nothing():
    for place, text in TEXTS.items():
        assert not re.search(r"(?i)stop and think for free|think for free", text), place


# --- the finish line


def test_openais_score_is_one_number():
    scores = {}
    for place, text in TEXTS.items():
        for number in numbers_in(text):
            if (
                "ref:buildnanogpt" in number.sources
                and 29 < float(number.text.replace(",", "")) < 30
            ):
                scores.setdefault(number.text, place)
    assert set(scores) == {"29.55"}
    assert {"13_generate_and_judge", "book/launch.md", "book/results.md"} <= {
        place for place, text in TEXTS.items() if "29.55" in text
    }


def test_the_finish_line_is_told_once_and_others_point_there():
    told = [place for place, text in TEXTS.items() if re.search(r"(?m)^## The finish line$", text)]
    assert told == ["book/launch.md"]
    line = TEXTS["book/launch.md"].partition("\n## The finish line\n")[2].partition("\n## ")[0]
    for what in ("held back", "FineWeb-Edu", "OpenAI", "llm.c", "HellaSwag", "3.28", "3.292"):
        assert what in line, what
    for place, text in TEXTS.items():
        if place != "book/launch.md":
            assert "3.397" not in text, f"{place} quotes a run that ends with a bug"
    assert "launch.md#the-finish-line" in TEXTS["book/results.md"]
    assert "launch.md#the-finish-line" in TEXTS["book/launch-more.md"]


def test_the_bug_of_chapter_16_is_the_doctors():
    """The chapter quotes the thread that the reference curve has."""
    reference = json.loads((ROOT / "results/reference/gpt2_124m.json").read_text("utf-8"))
    published = reference["published"]
    thread = {
        f"{dict(map(tuple, published[name]['val']))[1000]:.3f}" for name in ("fixed", "unfixed")
    }
    quoted = {
        number.text
        for number in numbers_in(TEXTS["16_ddp"])
        if "ref:buildnanogpt" in number.sources and number.text.startswith("4.")
    }
    assert quoted == thread


def test_losses_of_others_are_the_same_everywhere():
    found = said(TEXTS, r"log:reference/gpt2_124m\.json#published\.\w+\.final\.\w+")
    assert list(disagreements(found)) == []
    for place, text in TEXTS.items():
        for number in numbers_in(text):
            if "ref:moddednanogpt" in number.sources and number.text.startswith("3."):
                assert number.text == "3.28", place
