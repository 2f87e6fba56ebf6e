"""The toys of chapter 07 against PyTorch."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from serving import serve
from toys import small_site

pytestmark = pytest.mark.browser

WORDS = [
    [[1, 0], [0, 1], [1, 1]],
    [[0, 0], [0, 0], [0, 0]],
    [[2, 2], [-1, -1], [2, 2]],
    [[40, -7.5], [0, 1e-3], [-30, 12]],
]


def test_three_words_attend_as_pytorch_does(ask):
    for words in WORDS:
        check_attend(ask, words)


def check_attend(ask, words):
    x = torch.tensor(words, dtype=torch.float64)
    future = torch.ones(3, 3, dtype=torch.bool).triu(1)
    for divisor in (1, math.sqrt(2), 2):
        late = (x @ x.T / divisor).softmax(-1).masked_fill(future, 0.0)
        for mask, hidden in {"before": ~future, "none": None}.items():
            mixed = F.scaled_dot_product_attention(x, x, x, hidden, scale=1 / divisor)
            for asker in range(3):
                got = ask("arrows", "attend", words, asker, divisor, mask)
                assert got["mixture"] == pytest.approx(mixed[asker].tolist(), abs=1e-12)
                assert sum(got["shares"]) == pytest.approx(1, abs=1e-15)
        for asker in range(3):
            got = ask("arrows", "attend", words, asker, divisor, "after")
            assert got["shares"] == pytest.approx(late[asker].tolist(), abs=1e-15)
            assert got["mixture"] == pytest.approx((late @ x)[asker].tolist(), abs=1e-12)


def test_the_table_of_the_text(ask):
    got = ask("arrows", "attend", WORDS[0], 2, math.sqrt(2), "before")
    assert got["scores"] == [1, 1, 2]
    assert [round(score, 2) for score in got["scaled"]] == [0.71, 0.71, 1.41]
    assert [round(power) for power in got["powers"]] == [2, 2, 4]


def test_without_places_the_past_is_a_bag(ask):
    numbers = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).tolist()
    words = [{"word": w, "vector": v} for w, v in zip("abcde", numbers, strict=True)]
    last = {}
    for placed in (False, True):
        for order in itertools.permutations(range(4)):
            vectors = ask("order-blind", "seen", [*(words[i] for i in order), words[4]], placed)
            x = torch.tensor(vectors, dtype=torch.float64)[None]
            got = ask("order-blind", "lookBack", vectors)
            mixed = F.scaled_dot_product_attention(x, x, x, is_causal=True)[0, -1]
            assert got["mixture"] == pytest.approx(mixed.tolist(), abs=1e-12)
            last.setdefault(placed, []).append(mixed)
    for placed, mixtures in last.items():
        same = [torch.allclose(mixtures[0], other, atol=1e-12) for other in mixtures[1:]]
        assert not any(same) if placed else all(same)


def test_equal_and_single_words_are_averaged(ask):
    for vectors in ([[3.0, -2.0]], [[0.0, 0.0]] * 3, [[30.0, -40.0]] * 5):
        got = ask("order-blind", "lookBack", vectors)
        assert got["shares"] == pytest.approx([1 / len(vectors)] * len(vectors), abs=1e-15)
        assert got["mixture"] == pytest.approx(vectors[0], abs=1e-12)


# In each order of the four words, with places and without: which names lie on one another.
ON_ONE_ANOTHER = """stage => {
  const orders = ([first, ...rest]) => first === undefined ? [[]] : orders(rest).flatMap((order) =>
    [...order, 0].map((_, i) => [...order.slice(0, i), first, ...order.slice(i)]));
  const [all, found] = [orders([0, 1, 2, 3]), []];
  const press = (name) => [...stage.querySelectorAll("button")]
    .find((one) => one.textContent === name).click();
  for (const order of [...all, ...all]) {
    press("In order");
    if (found.length === all.length) stage.querySelector("input").click();
    const now = [0, 1, 2, 3];
    order.forEach((word, i) => {
      for (let j = now.indexOf(word); j > i; j--) {
        press(`${j - 1} ⇄ ${j}`);
        [now[j - 1], now[j]] = [now[j], now[j - 1]];
      }
    });
    const names = [...stage.querySelectorAll("svg g > text")].map((name) =>
      [name.textContent, name.getBoundingClientRect()]);
    found.push(names.flatMap(([name, a], i) => names.slice(0, i).filter(([, b]) =>
      a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom,
    ).map(([other]) => [name, other])));
  }
  return found;
}"""


def test_no_name_lies_on_another_in_any_order(page, tmp_path):
    with serve(small_site(tmp_path, ["order-blind"])) as address:
        page.goto(f"{address}toys.html")
        page.wait_for_selector("#play-order-blind[data-ready]")
        found = page.locator("#play-order-blind .stage").evaluate(ON_ONE_ANOTHER)
    assert found == [[]] * 48
