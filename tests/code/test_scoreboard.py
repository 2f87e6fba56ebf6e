"""scoreboard: one rule, held against a loop that scores one character at a time."""

import math

import pytest
import torch
import torch.nn as nn
from hypothesis import given
from hypothesis import strategies as st

from gpt2_tutorial import ledger
from gpt2_tutorial.ngram import NGram
from gpt2_tutorial.scoreboard import Scoreboard, score


def remembers(x):
    """A model of two symbols whose bet depends on everything in its window."""
    belief = x.float().cumsum(-1) / torch.arange(1, x.size(-1) + 1)  # (B, T)
    return torch.stack([belief, 1 - belief], dim=-1)  # (B, T, V)


def score_by_loops(model, inputs, targets, window):
    """Windows half a window apart; a place is scored in the first window that holds it."""
    window, total, scored = min(window, len(inputs)), 0.0, set()
    starts = list(range(0, len(inputs) - window + 1, max(window // 2, 1)))
    if starts[-1] + window < len(inputs):
        starts.append(len(inputs) - window)
    for start in starts:
        bets = model(inputs[None, start : start + window])[0].log_softmax(-1)
        for t in range(window):
            if start + t not in scored:
                scored.add(start + t)
                total -= bets[t, targets[start + t]].item()
    assert len(scored) == len(inputs)
    return total / len(inputs)


@given(st.integers(1, 80), st.integers(1, 20))
def test_score_equals_the_loop(length, window):
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(2, (length + 1,), generator=generator)
    ours = score(remembers, ids[:-1], ids[1:], window)
    assert ours == pytest.approx(score_by_loops(remembers, ids[:-1], ids[1:], window), abs=1e-5)


def test_all_but_the_first_window_have_half_the_context_in_view():
    seen = []

    def spy(x):
        seen.append(x)
        return torch.zeros(*x.shape, 100)

    ids = torch.arange(100)
    assert score(spy, ids, ids, window=10) == pytest.approx(math.log(100))
    windows = torch.cat(seen)
    assert windows[:, 0].tolist() == list(range(0, 91, 5))


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_count_table_scores_the_same_in_any_window_twice_its_order(order):
    ids = torch.randint(5, (400,), generator=torch.Generator().manual_seed(1))
    table = NGram(order, 0.1).fit(ids[:300])
    losses = [score(table, ids[300:-1], ids[301:], window) for window in (2 * order, 16, 64)]
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-6)


@pytest.mark.parametrize(("length", "window"), [(4, 0), (4, -3), (0, 8)])
def test_nothing_to_score_is_refused(length, window):
    ids = torch.zeros(length).long()
    with pytest.raises(ValueError, match=f"window {window} over {length} ids"):
        score(remembers, ids, ids, window)


class Loud(nn.Module):
    """Answers (logits, loss) like the models to come, and bets worse in training mode."""

    def forward(self, idx, targets=None):
        logits = torch.zeros(*idx.shape, 65)
        if self.training:
            logits[..., 0] = 9.0
        return logits, None


def test_a_module_is_scored_in_evaluation_mode_and_left_as_it_was():
    model = Loud()
    assert Scoreboard("00").score(model, context=64) == pytest.approx(math.log(65), abs=1e-4)
    assert model.training


def test_every_one_of_the_111_540_characters_is_scored():
    board, asked = Scoreboard("00"), []

    def spy(x):
        asked.append(x.numel())
        return torch.zeros(*x.shape, 65)

    board.score(spy, context=1)
    assert sum(asked) == 111_540


def test_rows_are_replaced_by_name_and_shown_in_the_table():
    board = Scoreboard("00")
    for parameters in (1, 2):
        board.add("a <b> model", lambda x: torch.zeros(*x.shape, 65), context=64,
                  parameters=parameters)  # fmt: skip
    assert [row["parameters"] for row in board.rows] == [2]
    page = board._repr_html_()
    assert "a &lt;b&gt; model" in page and "4.174" in page and "65.00" in page
    assert '<td class="extra">–</td>' in page  # no training loss was given


def test_later_chapters_begin_with_the_rows_of_earlier_ones():
    names = [row["name"] for row in Scoreboard("01").rows]
    assert names == [row["name"] for row in ledger.committed("00")["scoreboard"]]
    assert Scoreboard("00").rows == []
