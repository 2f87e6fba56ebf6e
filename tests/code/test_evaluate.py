"""evaluate: every number held against plain loops, the scoreboard and `transformers`."""

import math
import random
import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2_tutorial.bpe import GPT2Tokenizer
from gpt2_tutorial.evaluate import (
    ChoiceResult,
    Item,
    bits_per_byte,
    choice_losses,
    hellaswag,
    multiple_choice,
    perplexity,
    text_losses,
    token_losses,
)
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.scoreboard import score
from gpt2_tutorial.text import CharTokenizer

LETTERS = CharTokenizer(" abcdefghijklmnopqrstuvwxyz.,'")

# Written for this project.
ITEMS = [
    Item("the cat sees a mouse and", ("jumps.", "sings an old song.", "rains.", "is blue."), 0),
    Item("she fills the kettle, then", ("turns it on.", "eats it", "reads it.", "asks it."), 0),
    Item("a", ("b", "bc", "bcd"), 2),
    Item("rain falls on the roof all night, and in the morning", ("it is wet.", "no."), 1),
    Item("he", ("is", "is"), 1),
]


class Table(nn.Module):
    """A model whose logits are known: they depend on the last token alone."""

    def __init__(self, logits, block_size):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(logits))
        self.config = SimpleNamespace(block_size=block_size)

    def forward(self, idx):
        assert idx.size(1) <= self.config.block_size
        return self.table[idx], None


def tiny(block_size=8, vocab_size=30, seed=0, **more):
    """A GPT whose random weights are large enough for its bets to differ."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(block_size, vocab_size, n_layer=2, n_head=2, n_embd=16, **more))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.3)
    return model.eval()


@torch.no_grad()
def cost(model, ids, place):
    """The specification: the nats of the token at `place`, after the ids before it."""
    before = ids[max(0, place - model.config.block_size) : place]
    logits = model(torch.tensor([before]))[0][0, -1].tolist()
    return math.log(sum(math.exp(x) for x in logits)) - logits[ids[place]]


# --- losses of tokens and of texts


def test_token_losses_against_a_loop():
    model, ids = tiny(), [3, 1, 4, 1, 5, 9, 2, 6, 5]
    found = token_losses(model, torch.tensor([ids, ids[::-1]]))
    assert found.shape == (2, 8) and found.dtype == torch.float32
    for row, text in zip(found, (ids, ids[::-1]), strict=True):
        expected = [cost(model, text, t) for t in range(1, len(text))]
        torch.testing.assert_close(row, torch.tensor(expected), atol=1e-5, rtol=0)


def test_a_known_table_costs_what_the_hand_says():
    model = Table([[0.0, math.log(3.0)], [0.0, 0.0]], block_size=4)  # after 0: ¼ and ¾
    found = token_losses(model, torch.tensor([[0, 0, 1, 0]]))[0]
    expected = torch.tensor([math.log(4), math.log(4 / 3), math.log(2)])
    torch.testing.assert_close(found, expected)
    whole = perplexity(model, [0, 0, 1, 0])
    assert whole == pytest.approx((4 * 4 / 3 * 2) ** (1 / 3))
    assert perplexity(Table([[1.0] * 7] * 7, 3), range(7)) == pytest.approx(7)


@settings(max_examples=40)
@given(st.integers(2, 30), st.integers(1, 9), st.data())
def test_every_token_is_scored_once_from_its_window(length, block_size, data):
    stride = data.draw(st.integers(1, block_size))
    model = tiny(block_size, seed=length)
    ids = torch.randint(20, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    scored, start, size = {}, 0, min(block_size, length - 1)
    while len(scored) < length - 1:  # windows one by one; the last ends where the text ends
        start = min(start, length - 1 - size)
        for place in range(start + 1, start + size + 1):
            scored.setdefault(place, cost(model, ids[start:], place - start))
        start += stride
    expected = torch.tensor([scored[place] for place in range(1, length)])
    found = text_losses(model, ids, stride=stride)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("length", [2, 5, 8, 9, 10, 13, 64, 101])
@pytest.mark.parametrize("block_size", [1, 2, 7, 8])
def test_half_the_context_is_the_rule_of_the_scoreboard(length, block_size):
    model = tiny(block_size)
    ids = torch.randint(20, (length,), generator=torch.Generator().manual_seed(length))
    board = math.exp(score(model, ids[:-1], ids[1:], block_size))
    assert perplexity(model, ids) == pytest.approx(board, rel=1e-5)
    half = perplexity(model, ids, stride=max(block_size // 2, 1))
    assert half == perplexity(model, ids)


def test_a_smaller_stride_shows_more_context_and_costs_less():
    letters = torch.tensor([0, 1, 2, 3] * 12)
    model = tiny(8, vocab_size=4)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(60):
        x = torch.stack([letters[i : i + 9] for i in range(16)])
        optimizer.zero_grad()
        model(x[:, :-1], x[:, 1:])[1].backward()
        optimizer.step()
    losses = text_losses(model, letters, stride=8)
    starts = losses[8::8].mean()  # the first token of every later window: one token of context
    assert losses.mean() < 0.3 and starts > losses.mean()
    assert perplexity(model, letters, stride=1) < perplexity(model, letters, stride=8)


def test_perplexity_equals_that_of_transformers():
    transformers = pytest.importorskip("transformers")
    names = dict(n_positions=16, vocab_size=50, n_layer=2, n_head=2, n_embd=24)
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**names)).eval()
    ours = GPT(GPTConfig(16, 50, 2, 2, 24))
    turned = ("attn.c_attn.weight", "c_proj.weight", "mlp.c_fc.weight")
    with torch.no_grad():
        for name, weight in ours.named_parameters():
            other = theirs.get_parameter(name)
            other.add_(torch.randn_like(other) * 0.2)
            weight.copy_(other.T if name.endswith(turned) else other)
    ids = torch.randint(50, (41,), generator=torch.Generator().manual_seed(1))
    nats, done, stride = 0.0, 0, 8
    for start in (0, 8, 16, 24):  # 40 places, windows of 16
        with torch.no_grad():
            logits = theirs(ids[None, start : start + 16]).logits[0].double()
        bets = logits.log_softmax(-1)
        for t in range(start, start + 16):
            if t >= done:
                nats -= bets[t - start, ids[t + 1]].item()
        done = start + 16
    assert perplexity(ours, ids, stride=stride) == pytest.approx(math.exp(nats / 40), rel=1e-4)


def test_dropout_is_off_while_judging_and_as_it_was_afterwards():
    model = tiny(dropout=0.5)
    ids = torch.arange(20)
    quiet = perplexity(model, ids)
    model.train()
    model.transformer.h[0].eval()
    assert perplexity(model, ids) == quiet
    assert model.training and not model.transformer.h[0].training
    with pytest.raises(ValueError, match="stride"):
        perplexity(model, ids, stride=0)
    with pytest.raises(IndexError):
        perplexity(model, [0, 99])
    assert model.training


def test_no_gradients_are_kept_and_half_precision_is_judged_in_full():
    model = tiny()
    assert not token_losses(model, torch.arange(5)[None]).requires_grad
    found = perplexity(tiny().bfloat16(), torch.arange(20))
    assert found == pytest.approx(perplexity(model, torch.arange(20)), rel=0.2)
    assert text_losses(tiny().bfloat16(), torch.arange(20)).dtype == torch.float32


@pytest.mark.parametrize(
    ("ids", "stride", "words"),
    [
        ([], None, "ids must be two or more, (N,), not (0,)"),
        ([5], None, "not (1,)"),
        ([[1, 2], [3, 4]], None, "not (2, 2)"),
        ([0.5, 1.5], None, "of torch.float32"),
        ([1, 2, 3], 0, "stride must be from 1 to 8, not 0"),
        ([1, 2, 3], -1, "not -1"),
        ([1, 2, 3], 9, "not 9"),
    ],
)
def test_a_text_that_is_none(ids, stride, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        perplexity(tiny(), ids, stride=stride)


# --- bits per byte


class Pairs:
    """A tokenizer with two characters in every token, as far as they go."""

    known = CharTokenizer("\nabcé")

    def encode(self, text):
        pairs = [text[i : i + 2] for i in range(0, len(text), 2)]
        ids = [self.known.encode(pair) for pair in pairs]
        return [5 + 5 * pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in ids]


def test_the_same_bets_in_other_tokens_are_the_same_bits_per_byte():
    """Who bets 1/5 on every character bets 1/25 on every pair of them."""
    one = Table([[0.0] * 5] * 5, block_size=8)
    pair = [-math.inf] * 5 + [0.0] * 25
    two = Table([pair] * 30, block_size=4)
    text = "abcé" * 10
    singles = bits_per_byte(one, Pairs.known, text)
    assert singles == pytest.approx(math.log2(5) * 40 / 50)  # é is two bytes
    assert bits_per_byte(two, Pairs(), text, before="\n\n") == pytest.approx(singles)


def test_bits_per_byte_against_a_loop_with_gpt2s_tokens():
    tokenizer = GPT2Tokenizer()
    model = tiny(6, vocab_size=tokenizer.vocab_size)
    text = "Zürich, 牛 and 🙂: two words"
    ids = tokenizer.encode("\n") + tokenizer.encode(text)
    losses = text_losses(model, ids, stride=2)
    assert len(losses) == len(tokenizer.encode(text))
    expected = sum(losses.tolist()) / len(text.encode("utf-8")) / math.log(2)
    assert bits_per_byte(model, tokenizer, text, stride=2) == pytest.approx(expected, rel=1e-6)


def test_what_stands_before_is_read_and_not_scored():
    model = Table([[0.0, 9.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]], 8)
    letters = CharTokenizer("abc")  # after a comes b, after c comes c, after b anything
    sure, unsure = bits_per_byte(model, letters, "b", before="aca"), math.log2(3)
    assert sure < 0.01
    assert bits_per_byte(model, letters, "b", before="b") == pytest.approx(unsure)
    assert bits_per_byte(model, letters, "cc", before="b") == pytest.approx(unsure / 2, abs=0.01)


@pytest.mark.parametrize(("text", "before"), [("", "a"), ("a", ""), ("", "")])
def test_bits_of_nothing(text, before):
    with pytest.raises(ValueError, match="need at least one character each"):
        bits_per_byte(tiny(), LETTERS, text, before=before)


def test_a_character_that_the_tokenizer_does_not_know():
    with pytest.raises(ValueError, match="'Q' is not among this tokenizer's characters"):
        bits_per_byte(tiny(), LETTERS, "Quiet", before="a")


# --- multiple choice


def verdict_by_loops(model, tokenizer, item, per):
    """One choice after another, one token after another; nothing is padded."""
    nats, means, room = [], [], model.config.block_size + 1
    for choice in item.choices:
        tail = tokenizer.encode(" " + choice)
        ids = (tokenizer.encode(item.context) + tail)[-room:]
        paid = sum(cost(model, ids, place) for place in range(len(ids) - len(tail), len(ids)))
        units = {"byte": len(choice.encode()), "character": len(choice), "token": len(tail)}
        nats.append(paid)
        means.append(paid / units[per])
    picks = [min(range(len(x)), key=lambda i: (round(x[i], 4), i)) for x in (nats, means)]
    return nats, picks


@pytest.mark.parametrize("per", ["byte", "character", "token"])
@pytest.mark.parametrize("seed", range(6))
def test_items_of_our_own_against_loops(per, seed):
    model = tiny(block_size=20 + 10 * seed, seed=seed)
    for item in ITEMS:
        nats, picks = verdict_by_loops(model, LETTERS, item, per)
        found = multiple_choice(model, LETTERS, item, per=per)
        assert found.nats == pytest.approx(nats, abs=1e-3)
        assert [found.pick, found.pick_norm] == picks
        assert found[:2] == tuple(int(pick == item.label) for pick in picks)


def test_a_sweep_of_random_items_against_loops():
    rng = random.Random(4)
    model = tiny(block_size=12)
    for _ in range(60):
        word = lambda n: "".join(rng.choices("abcde z", k=rng.randint(1, n)))  # noqa: E731
        choices = tuple(word(9) for _ in range(rng.randint(1, 5)))
        item = Item(word(20), choices, rng.randrange(len(choices)))
        nats, picks = verdict_by_loops(model, LETTERS, item, "byte")
        found = multiple_choice(model, LETTERS, item)
        assert found.nats == pytest.approx(nats, abs=1e-3)
        assert [found.pick, found.pick_norm] == picks


def test_the_first_token_of_a_choice_is_bet_on_by_the_last_of_the_context():
    """After a the model is sure of b; a mask one place off would score something else."""
    sure = [[9.0 * (j == (i + 1) % 4) for j in range(4)] for i in range(4)]  # a b c d a …
    model = Table(sure, block_size=8)
    right, wrong = choice_losses(model, [3, 0], [[1], [2]])
    assert right == pytest.approx(math.log(1 + 3 * math.exp(-9)), abs=1e-6)
    assert wrong == pytest.approx(9 + right, abs=1e-5)
    # Nothing of the context is scored, whatever nonsense stands in there,
    assert choice_losses(model, [0, 0, 2, 0], [[1]]) == pytest.approx([right])
    # and nothing of the padding: the short one costs the same beside a long one.
    beside = choice_losses(model, [0], [[1], [1, 2, 3, 0]])
    assert beside == pytest.approx([right, 4 * right], abs=1e-6)


def test_length_changes_the_answer_and_by_which_length_too():
    """Every letter costs ln 2, so the short choice is cheapest, and the mean says otherwise."""

    class Doubles(CharTokenizer):
        def encode(self, text):  # an x is one byte and two tokens
            return super().encode(text.replace("x", "xx"))

    model = Table([[0.0] * 4] * 4, block_size=30)
    tokenizer = Doubles(" axé")
    item = Item("a", ("aaaa", "x", "éé"), 2)
    found = multiple_choice(model, tokenizer, item)
    assert found.lengths == (4, 1, 4)
    assert found.nats == pytest.approx([5 * math.log(4), 3 * math.log(4), 3 * math.log(4)])
    assert (found.pick, found.pick_norm) == (1, 2)
    assert found[:2] == (0, 1)
    found = multiple_choice(model, tokenizer, item, per="character")
    assert (found.lengths, found.pick_norm) == ((4, 1, 2), 0)
    found = multiple_choice(model, tokenizer, item, per="token")
    assert (found.lengths, found.pick_norm) == ((5, 3, 3), 0)  # all equal: the first


def test_of_equals_the_first_is_picked():
    model = Table([[0.0] * 30] * 30, block_size=30)
    for label in range(3):
        found = multiple_choice(model, LETTERS, Item("a", ("bb", "cc", "dd"), label))
        assert (found.pick, found.pick_norm) == (0, 0)
        assert found[:2] == (int(label == 0),) * 2


def test_a_long_context_is_cut_on_the_left_and_a_choice_never():
    model = tiny(block_size=6)
    words, choice = LETTERS.encode("abcdefgh"), LETTERS.encode(" xyz")
    found = choice_losses(model, words, [choice])
    assert found == pytest.approx(choice_losses(model, words[-3:], [choice]), abs=1e-5)
    assert found != pytest.approx(choice_losses(model, words[-2:], [choice]), abs=1e-3)
    whole = multiple_choice(model, LETTERS, Item("abc", ("vwxyz",), 0))  # with the space: 6
    assert len(whole.nats) == 1
    with pytest.raises(ValueError, match="a choice of 7 tokens is longer than block_size=6"):
        multiple_choice(model, LETTERS, Item("abc", ("a", "uvwxyz"), 0))


@pytest.mark.parametrize(
    ("item", "per", "words"),
    [
        (Item("", ("a",), 0), "byte", "a context and every choice need text"),
        (Item("a", (), 0), "byte", "a context and every choice need text"),
        (Item("a", ("a", ""), 0), "byte", "a context and every choice need text"),
        (Item("a", ("a", "b"), 2), "byte", "there is no choice number 2"),
        (Item("a", ("a", "b"), -1), "byte", "there is no choice number -1"),
        (Item("a", ("a", "b"), "0"), "byte", "there is no choice number '0'"),
        (Item("a", ("a", "b"), 0), "word", "per must be one of byte, character, token, not"),
        (Item("a", ("é",), 0), "byte", "'é' is not among"),
    ],
)
def test_an_item_that_is_none(item, per, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        multiple_choice(tiny(), LETTERS, item, per=per)


def test_a_broken_model_is_no_wrong_answer():
    with pytest.raises(ValueError, match="the model answers with nan"):
        multiple_choice(Table([[math.nan] * 30] * 30, 9), LETTERS, ITEMS[2])


def test_a_choice_that_is_impossible_loses():
    never = Table([[0.0, -math.inf, 0.0]] * 3, 9)
    found = multiple_choice(never, CharTokenizer(" ab"), Item("b", ("a", "bbb"), 1))
    assert found[:2] == (1, 1) and found.nats[0] == math.inf


# --- a whole exam


def test_the_shares_are_means_with_their_errors():
    model = tiny(block_size=60, seed=3)
    verdicts = [multiple_choice(model, LETTERS, item, per="token") for item in ITEMS]
    found = hellaswag(model, LETTERS, iter(ITEMS), per="token")
    assert list(found) == ["n", "acc", "acc_stderr", "acc_norm", "acc_norm_stderr"]
    assert found["n"] == 5
    for name in ("acc", "acc_norm"):
        right = [getattr(verdict, name) for verdict in verdicts]
        mean = sum(right) / 5
        spread = sum((x - mean) ** 2 for x in right) / 5
        assert found[name] == pytest.approx(mean)
        assert found[f"{name}_stderr"] == pytest.approx(math.sqrt(spread / 5))
    with pytest.raises(ValueError, match="there must be at least one item"):
        hellaswag(model, LETTERS, [])


def test_guessing_solves_about_a_quarter():
    rng = random.Random(2)
    word = lambda: "".join(rng.choices("abcdefgh", k=6))  # noqa: E731
    items = [Item(word(), tuple(word() for _ in range(4)), rng.randrange(4)) for _ in range(200)]
    found = hellaswag(tiny(block_size=20, seed=5), LETTERS, items)
    assert abs(found["acc"] - 0.25) < 4 * found["acc_stderr"]
    assert found["acc"] == found["acc_norm"]  # all of one length


def test_a_result_starts_with_what_the_design_promises():
    assert ChoiceResult._fields[:2] == ("acc", "acc_norm")
