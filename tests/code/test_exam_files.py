"""exam_files: rows of HellaSwag as items, tidied as the harness does; other lines are refused."""

import json
import random
import re

import pytest

from gpt2_tutorial import assets, exam_files
from gpt2_tutorial.evaluate import Item
from gpt2_tutorial.exam_files import harness_item, load_hellaswag, plain_item, read_items


def row(**changes):
    own = {"activity_label": "Baking", "ctx_a": "She opens the oven.", "ctx_b": "she"}
    own |= {"ctx": "She opens the oven. she", "label": 1}
    return own | {"endings": ["reads it.", "[substeps] takes the bread out."]} | changes


def test_the_two_ways_to_read_a_row():
    assert plain_item(row()) == Item(
        "She opens the oven. she", ("reads it.", "[substeps] takes the bread out."), 1
    )
    assert harness_item(row()) == Item(
        "Baking: She opens the oven. She", ("reads it.", " takes the bread out."), 1
    )
    how = row(ctx_a="How to bake [header] Begin [title] Mix. [step] Stir  it [x]", ctx_b="")
    assert harness_item(how).context == "Baking: How to bake Begin. Mix. Stir it"
    assert harness_item(row(label="0")).label == plain_item(row(label="0")).label == 0


def test_tidied_as_the_harness_does():
    """Its own steps, written again, on random text full of brackets and spaces."""
    rng = random.Random(0)
    for _ in range(500):
        text = "".join(rng.choices([" ", "a", "[", "]", "[title]", "[step] ", "B."], k=12))
        expected = text.strip()
        expected = ". ".join(expected.split(" [title]"))
        expected = re.compile("\\[.*?\\]").sub("", expected)
        expected = " ".join(expected.split("  "))
        assert exam_files._tidy(text) == expected


def test_lines_become_items():
    lines = [json.dumps(row()), "", json.dumps(row(label=0)), "  \n"]
    assert [item.label for item in read_items(lines)] == [1, 0]
    assert read_items(lines, harness_item)[0].context.startswith("Baking: ")
    assert read_items([]) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 3 is no item: JSONDecodeError"),
        (json.dumps(row())[:-9], "line 3 is no item: JSONDecodeError"),
        ("[1, 2]", "line 3 is no item: TypeError"),
        ("7", "line 3 is no item: TypeError"),
        ("null", "line 3 is no item: TypeError"),
        ('{"ctx": "a"}', "line 3 is no item: 'endings' is missing"),
        (json.dumps(row(label="")), "line 3 is no item: ValueError"),
        (json.dumps(row(label=None)), "line 3 is no item: TypeError"),
        (json.dumps(row(label=2)), "there is no choice number 2"),
        (json.dumps(row(endings=[])), "every choice need text"),
        (json.dumps(row(endings=["a", 5])), "every choice need text"),
        (json.dumps(row(endings="ab", ctx=3)), "every choice need text"),
        (json.dumps(row(endings=None)), "line 3 is no item: TypeError"),
        (json.dumps(row(ctx="")), "every choice need text"),
        ("[" * 100_000, "line 3 is no item: RecursionError"),
    ],
)
def test_a_line_that_is_no_item_is_named(line, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        read_items([json.dumps(row()), json.dumps(row()), line])
    assert "line 3" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert caught.value.__suppress_context__


def test_load_hellaswag_reads_the_checked_file(monkeypatch):
    text = "".join(json.dumps(row(ctx=f"a\u2028{i}")) + "\n" for i in range(5))
    monkeypatch.setattr(assets, "read_text", lambda name: {"hellaswag_val.jsonl": text}[name])
    assert len(load_hellaswag()) == 5
    assert load_hellaswag("val", item=harness_item)[0].context.startswith("Baking")
    with pytest.raises(ValueError, match="split must be 'val', whose answers are known, not"):
        load_hellaswag("test")


def test_without_a_network_hellaswag_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", str(tmp_path))
    monkeypatch.setattr(assets, "_from_url", lambda asset, url: (_ for _ in ()).throw(
        assets.AssetError(f"{url} did not arrive (ConnectionError)")))  # fmt: skip
    with pytest.raises(assets.AssetError, match=r"hellaswag_val\.jsonl could not be had"):
        load_hellaswag()
