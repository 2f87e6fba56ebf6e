"""HellaSwag's items, and others in the same form, out of files."""

import json
import re
from collections.abc import Callable, Iterable

from gpt2_tutorial import assets
from gpt2_tutorial.evaluate import Item
from gpt2_tutorial.evaluate_input import check_item


def plain_item(row: dict) -> Item:
    """Take a row of HellaSwag as it is.

    >>> plain_item({"ctx": "We", "endings": ["eat.", "onion."], "label": 0})
    Item(context='We', choices=('eat.', 'onion.'), label=0)
    """
    return Item(row["ctx"], tuple(row["endings"]), int(row["label"]))


def harness_item(row: dict) -> Item:
    """Tidy a row as EleutherAI's harness does: the topic first, no [brackets].

    >>> row = {"activity_label": "Lunch", "ctx_a": "Now.", "ctx_b": "we"}
    >>> harness_item(row | {"endings": ["eat [title] soup."], "label": 0})
    Item(context='Lunch: Now. We', choices=('eat. soup.',), label=0)
    """
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    endings = [_tidy(ending) for ending in row["endings"]]
    return Item(_tidy(context).rstrip(), tuple(endings), int(row["label"]))


def _tidy(text):
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def read_items(lines: Iterable[str], item: Callable[[dict], Item] = plain_item) -> list[Item]:
    """Make items of lines of JSON, as HellaSwag is published; skip empty lines.

    >>> read_items(['{"ctx": "We", "endings": ["eat.", "onion."], "label": 0}'])
    [Item(context='We', choices=('eat.', 'onion.'), label=0)]
    """
    items = []
    wrong = ValueError, KeyError, TypeError, AttributeError, RecursionError
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                items.append(item(json.loads(line)))
                check_item(items[-1])
        except wrong as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else repr(error)
            raise ValueError(f"line {number} is no item: {why}") from None
    return items


def load_hellaswag(split: str = "val", *, item: Callable[[dict], Item] = plain_item) -> list[Item]:
    """Return HellaSwag's 10,042 validation items; the first time it downloads them.

    >>> len(load_hellaswag())  # doctest: +SKIP
    10042
    """
    if split != "val":
        raise ValueError(f"split must be 'val', whose answers are known, not {split!r}")
    return read_items(assets.read_text("hellaswag_val.jsonl").split("\n"), item)
