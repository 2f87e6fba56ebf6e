"""ngram: held against dictionaries and plain loops, which know nothing of base-V codes."""

import itertools
import math
from collections import Counter, defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial.ngram import (
    BOYS,
    FILLERS,
    GIRLS,
    WORDS,
    KneserNey,
    NGram,
    girl_or_boy_accuracy,
    sample,
    sheila_and_bobby,
)

texts = st.lists(st.integers(0, 3), min_size=8, max_size=60)


def bets_by_dictionary(ids, order, alpha, vocab_size, history):
    """What an n-gram bets after `history`, counted with dictionaries."""
    seen = Counter(
        tuple(ids[i : i + order + 1])
        for i in range(len(ids) - order)
        if tuple(ids[i : i + order]) == tuple(history)
    )
    raised = [seen[(*history, following)] + alpha for following in range(vocab_size)]
    return [count / sum(raised) for count in raised]


@given(texts, st.integers(0, 4), st.sampled_from([0.01, 0.5, 1.0]))
def test_bets_equal_the_dictionary(ids, order, alpha):
    table = NGram(order, alpha).fit(torch.tensor(ids), vocab_size=4)
    new = [0, 1, 2, 3, 3, 2, 1, 0, 0, 1]
    bets = table(torch.tensor([new]))[0].exp()  # (T, V)
    for t in range(len(new)):
        if t + 1 >= order:
            expected = bets_by_dictionary(ids, order, alpha, 4, new[t + 1 - order : t + 1])
        else:
            expected = [1 / 4] * 4  # too little history: no idea
        assert bets[t].tolist() == pytest.approx(expected, abs=1e-6)


@given(texts, st.integers(0, 4))
def test_loss_is_the_mean_price_of_its_own_bets(ids, order):
    table = NGram(order, 0.1).fit(torch.tensor(ids), vocab_size=4)
    first = max(order, 1)
    bets = table(torch.tensor([ids]))[0]  # (T, V)
    paid = [-bets[t - 1, ids[t]].item() for t in range(first, len(ids))]
    assert table.loss(torch.tensor(ids)) == pytest.approx(sum(paid) / len(paid), abs=1e-5)


def kneser_ney_by_dictionary(ids, order, discount, vocab_size, history, following):
    """Interpolated Kneser–Ney as Chen and Goodman (1999) write it down, with dictionaries."""
    runs = [{tuple(ids[i : i + n + 1]) for i in range(len(ids) - n)} for n in range(order + 1)]

    def count(run):
        n = len(run) - 1
        if n == order:
            return sum(tuple(ids[i : i + n + 1]) == run for i in range(len(ids) - n))
        return sum(longer[1:] == run for longer in runs[n + 1])  # kinds of what stands before

    def bet(h, w):
        counts = defaultdict(int, {v: count((*h, v)) for v in range(vocab_size)})
        total, kinds = sum(counts.values()), sum(c > 0 for c in counts.values())
        shorter = bet(h[1:], w) if h else 1 / vocab_size
        if total == 0:
            return shorter
        return (max(counts[w] - discount, 0) + discount * kinds * shorter) / total

    return bet(tuple(history), following)


@given(st.lists(st.integers(0, 2), min_size=6, max_size=20), st.integers(0, 3))
@settings(max_examples=30)
def test_kneser_ney_equals_the_book_formula(ids, order):
    model = KneserNey(order, 0.75).fit(torch.tensor(ids), vocab_size=3)
    history = [0, 1, 2, 1][: max(order, 1)]
    bets = model(torch.tensor([history]))[0, -1].exp().tolist()
    expected = [
        kneser_ney_by_dictionary(ids, order, 0.75, 3, history[len(history) - order :], w)
        for w in range(3)
    ]
    assert bets == pytest.approx(expected, abs=1e-5)
    assert sum(bets) == pytest.approx(1, abs=1e-5)


def test_a_smaller_alpha_always_wins_on_the_counted_text():
    ids = torch.randint(4, (300,), generator=torch.Generator().manual_seed(0))
    losses = [NGram(2, alpha).fit(ids).loss(ids) for alpha in (1, 0.1, 0.01)]
    assert losses == sorted(losses, reverse=True)


def test_sample_draws_as_often_as_the_bets_say():
    table = NGram(1, 1e-9).fit(torch.tensor([0, 1, 0, 1, 0, 1, 0, 2] * 50))
    ids = sample(table, [0], 4000, torch.Generator().manual_seed(0))
    assert ids.count(1) / ids.count(0) == pytest.approx(3 / 4, abs=0.04)
    assert all(b == 0 for a, b in itertools.pairwise(ids) if a in (1, 2))


@pytest.mark.parametrize("order", [0, 3])
def test_sample_starts_from_less_history_than_the_table_remembers(order):
    table = NGram(order).fit(torch.tensor([0, 1, 2, 0, 1, 2]))
    assert len(sample(table, [0], 5)) == 6


def test_sheila_and_bobby_write_the_sentences_of_the_syllabus():
    sentences = " ".join(sheila_and_bobby(2000, seed=3)).split(" . ")
    fillers = Counter(len(sentence.split()) - 4 for sentence in sentences)
    assert set(fillers) == {0, 1, 2, 3, 4}
    assert max(fillers.values()) < 1.3 * min(fillers.values())
    for sentence in sentences:
        name, *between, of, a, last = sentence.removesuffix(" .").split()
        assert (of, a, last) == ("is", "a", "girl" if name in GIRLS else "boy")
        assert set(between) <= set(FILLERS)
    assert len(GIRLS) == len(BOYS) == len(FILLERS) == 8
    assert len(WORDS) == len(set(WORDS)) == 29


def test_longer_sentences_on_request():
    words = sheila_and_bobby(50, seed=0, fillers=(6, 12))
    lengths = [len(s.split()) for s in " ".join(words).removesuffix(" .").split(" . ")]
    assert min(lengths) >= 10 and max(lengths) <= 16


def test_accuracy_counts_only_the_last_word():
    words = sheila_and_bobby(200, seed=5)
    ids = torch.tensor([WORDS.index(word) for word in words])
    always_girl = NGram(0).fit(torch.tensor([WORDS.index("girl")]), vocab_size=len(WORDS))
    girls = words.count("girl") / 200
    assert girl_or_boy_accuracy(always_girl, words) == pytest.approx(girls)
    assert girl_or_boy_accuracy(NGram(7).fit(ids), words) >= 0.99  # the first has no past


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: NGram(-1), "need order ≥ 0 and alpha > 0, not -1"),
        (lambda: NGram(1, 0), "not 1, 0"),
        (lambda: KneserNey(2, 1.5), "discount < 1, not 2, 1.5"),
        (lambda: NGram(11).fit(torch.arange(65)), "overflow 64-bit codes"),
        (lambda: NGram(5).fit(torch.arange(5)), "5 ids hold no run of 6"),
        (lambda: NGram(1).fit(torch.tensor([0, -1, 2])), "in 0…2, not -1…2"),
        (lambda: NGram(1).fit(torch.tensor([0, 1, 9]), vocab_size=4), "in 0…3, not 0…9"),
        (lambda: NGram(1).fit(torch.tensor([0, 1]))(torch.tensor([[5]])), "in 0…1, not 5…5"),
        (lambda: NGram(2).fit(torch.arange(5)).loss(torch.arange(2)), "2 ids leave none to score"),
        (lambda: sample(NGram(0).fit(torch.tensor([0, 1])), [], 3), "start is empty"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_the_number(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_the_tables_on_shakespeare_are_those_of_the_syllabus():
    from gpt2_tutorial.text import CharTokenizer, load_shakespeare, split

    text = load_shakespeare()
    train, val = split(torch.tensor(CharTokenizer(text).encode(text)))
    for order, alpha, expected in [(1, 1.0, 2.482), (2, 0.1, 2.046), (4, 0.03, 1.750)]:
        assert NGram(order, alpha).fit(train).loss(val) == pytest.approx(expected, abs=0.001)
    assert NGram(0).fit(train).loss(val) < math.log(65)
