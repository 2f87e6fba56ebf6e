"""probes: no model of the book sees the future, and the probe finds those that do."""

import importlib
import inspect
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from drift import plan
from gpt2_tutorial.attention import (
    CausalSelfAttention,
    CrossAttention,
    Head,
    MultiHeadAttention,
    causal_attention,
    flash_reference,
    full_attention,
    split_heads,
)
from gpt2_tutorial.bigram import BigramLM
from gpt2_tutorial.block import Block, init_weights
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.int8 import quantize_int8
from gpt2_tutorial.mlp import MLPLM
from gpt2_tutorial.modern import MODERN, GroupedAttention, ModernBlock, ModernConfig, ModernGPT
from gpt2_tutorial.ngram import KneserNey, NGram
from gpt2_tutorial.ngram_embedding import NGramEmbedding
from gpt2_tutorial.probes import Leak, first_leak

CONFIG = SimpleNamespace(n_embd=12, n_head=3, block_size=16, dropout=0.1, bias=True)
V = 11
SIZES = {"block_size": 16, "vocab_size": V, "n_layer": 2, "n_head": 3, "n_embd": 12}
TODAY = ModernConfig(**SIZES, **MODERN, n_kv_head=1, ngram_rows=7)


def ids(*shape):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(1))


def vectors(*shape):
    return torch.randn(*shape, 12, generator=torch.Generator().manual_seed(1))


def counted(table):
    return table.fit(ids(400), V)


def learned(model):
    """As if it had learned: weights that make it look at everything it can."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def blocks():
    model = nn.Sequential(Block(CONFIG), Block(CONFIG))
    init_weights(model, n_layer=2)  # as small as the first weights of GPT-2 are
    return model


ON_IDS = {
    "NGram of nothing": lambda: counted(NGram(0)),
    "NGram": lambda: counted(NGram(3, 0.1)),
    "KneserNey": lambda: counted(KneserNey(3)),
    "BigramLM": lambda: learned(BigramLM(V)),
    "MLPLM": lambda: learned(MLPLM(V, context=4)),
    "GPT": lambda: learned(GPT(GPTConfig(**SIZES))),
    "GPT in int8": lambda: quantize_int8(ON_IDS["GPT"]().eval()),
    "GPT with first weights": lambda: GPT(GPTConfig(**SIZES)),
    "ModernGPT": lambda: learned(ModernGPT(TODAY)),
    "NGramEmbedding": lambda: learned(NGramEmbedding(V, 7, 12)),
}
ON_VECTORS = {
    "causal_attention": lambda: lambda x: causal_attention(x, x, x),
    "flash_reference": lambda: lambda x: flash_reference(x, x, x, 3),
    "Head": lambda: learned(Head(12, 5)),
    "MultiHeadAttention": lambda: learned(MultiHeadAttention(12, 3)),
    "CausalSelfAttention": lambda: learned(CausalSelfAttention(CONFIG)),
    "Block": lambda: learned(Block(CONFIG)),
    "two Blocks": blocks,
    "GroupedAttention": lambda: learned(GroupedAttention(TODAY)),
    "ModernBlock": lambda: learned(ModernBlock(TODAY)),
}
NO_MODELS = {  # class: why the probe does not ask it
    "CrossAttention": "looks at all of another text on purpose",
    "MLP": "sees one token at a time, and is part of Block",
    "SwiGLU": "sees one token at a time, and is part of ModernBlock",
    "ReLUSquared": "an MLP with another bend",
    "RMSNorm": "sees one token at a time, and is part of ModernBlock",
    "Int8Embedding": "a table: each token alone",
    "Int8Linear": "each token alone; the model that it is part of is asked",
    "LossModel": "answers with one loss; the GPT inside is asked",
    "HandmadeDDP": "hands on what the model inside answers",
}


@pytest.mark.parametrize("make", ON_IDS.values(), ids=ON_IDS)
@pytest.mark.parametrize("shape", [(3, 12), (1, 16), (2, 1)])
def test_no_language_model_sees_the_future(make, shape):
    assert first_leak(make(), ids(*shape)) is None


@pytest.mark.parametrize("make", ON_VECTORS.values(), ids=ON_VECTORS)
@pytest.mark.parametrize("shape", [(3, 12), (1, 16), (2, 1)])
def test_no_attention_sees_the_future(make, shape):
    assert first_leak(make(), vectors(*shape)) is None


def test_every_model_of_the_book_is_asked():
    known, missing = {*ON_IDS, *ON_VECTORS, *NO_MODELS}, []
    for name in plan.TAUGHT:
        try:
            module = importlib.import_module(f"gpt2_tutorial.{name}")
        except ModuleNotFoundError:
            continue  # not written yet
        own = inspect.getmembers(module, inspect.isclass)
        own = [c for _, c in own if c.__module__ == module.__name__ and issubclass(c, nn.Module)]
        missing += [c.__name__ for c in own if c.__name__ not in known]
    assert missing == [], "add them to ON_IDS or ON_VECTORS, or give a reason in NO_MODELS"


# --- the probe finds what sees the future


def without_a_mask(x):
    """A finished attention in which is_causal=True was forgotten."""
    return F.scaled_dot_product_attention(x, x, x)


def masked_after_softmax(x):
    weights = (x @ x.transpose(1, 2)).softmax(-1).tril()
    return weights @ x


def heads_by_a_direct_view(x):
    """view(B, H, T, D) without the transpose: positions are mixed up, mask or not."""
    B, T, C = x.shape
    pieces = x.view(B, 3, T, C // 3)
    return causal_attention(pieces, pieces, pieces).transpose(1, 2).reshape(B, T, C)


def too_weak_a_mask(x):
    x = 40 * x
    scores = x @ x.transpose(1, 2)
    return (scores - 1e3 * torch.ones_like(scores).triu(1)).softmax(-1) @ x


def whole_text_norm(x):
    return F.layer_norm(x, x.shape[1:])


LEAKS = {
    "without a mask": without_a_mask,
    "full_attention": lambda x: full_attention(x, x, x),
    "CrossAttention": lambda x: learned(CrossAttention(12, 3))(x, x),
    "mask after softmax": masked_after_softmax,
    "direct view": heads_by_a_direct_view,
    "a mask of −1000": too_weak_a_mask,
    "a norm over the text": whole_text_norm,
    "a mask with the next token": lambda x: split_heads(x, 1)[:, 0].roll(-1, 1),
}


@pytest.mark.parametrize("blind", LEAKS.values(), ids=LEAKS)
def test_a_model_that_sees_the_future_is_found(blind):
    leak = first_leak(blind, vectors(2, 9))
    assert leak is not None and leak.moved < leak.changed and leak.size > 1e-3


class Bidirectional(nn.Module):
    """A language model whose attention was built without a mask."""

    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(V, 12), nn.Linear(12, V)

    def forward(self, idx, targets=None):
        return self.out(without_a_mask(self.embed(idx))), None


def test_a_language_model_without_a_mask_is_found_even_with_first_weights():
    model = Bidirectional()
    init_weights(model, n_layer=1)
    assert first_leak(model, ids(2, 8)).changed == 1


@given(st.integers(2, 9), st.data())
@settings(max_examples=30)
def test_the_first_leak_is_named(T, data):
    late = data.draw(st.integers(1, T - 1))
    early = data.draw(st.integers(0, late - 1))

    def peeks(x):
        out = x.clone()
        out[:, early:late] += x[:, late, None]
        return out

    leak = first_leak(peeks, vectors(2, T))
    assert (leak.changed, leak.moved) == (late, early)


def test_a_leak_in_one_sequence_of_many_is_enough():
    def peeks(x):
        out = x.clone()
        out[3, 1] += x[3, 5]
        return out

    leak = first_leak(peeks, vectors(4, 6))
    assert leak[:2] == (5, 1) and leak.size > 1.5  # the largest, not watered down by the others


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_no_leak_and_the_mode_stays(training):
    model = learned(Block(CONFIG)).train(training)
    assert first_leak(model, vectors(2, 6)) is None
    assert model.training is training and model.attn.training is training


def test_the_mode_stays_when_the_model_fails():
    model = Block(CONFIG)
    with pytest.raises(ValueError, match="block_size"):
        first_leak(model, vectors(1, 17))
    assert model.training


def test_asking_changes_neither_the_tokens_nor_the_chance():
    x, y = ids(2, 5), vectors(2, 5)
    before = x.clone(), y.clone(), torch.get_rng_state()
    first_leak(learned_once, x)
    first_leak(lambda y: y, y)
    assert all(
        torch.equal(a, b) for a, b in zip(before, (x, y, torch.get_rng_state()), strict=True)
    )


def learned_once(x):
    return F.one_hot(x, V).float()


def test_minus_infinity_that_stays_is_no_movement():
    def picky(x):
        return learned_once(x).log()

    assert first_leak(picky, ids(2, 6)) is None


def test_minus_infinity_hides_no_leak():
    def peeks(x):
        impossible = torch.full_like(x[..., :1], -torch.inf)
        return torch.cat([impossible, x.roll(-1, 1)], -1)

    assert first_leak(peeks, vectors(2, 6))[:2] == (1, 0)


def test_no_gradients_are_kept():
    enabled = []

    def spy(x):
        enabled.append(torch.is_grad_enabled())
        return learned_once(x)

    first_leak(spy, ids(1, 3))
    assert enabled == [False] * 3


def test_every_id_is_replaced_by_another_one_below_v():
    seen = []

    def spy(x):
        seen.append(x.clone())
        return learned_once(x)

    x = ids(50, 4)
    first_leak(spy, x)
    for t, changed in enumerate(seen[1:], start=1):
        assert (changed[:, t] != x[:, t]).all() and changed.max() < V and changed.min() >= 0
        assert torch.equal(changed[:, :t], x[:, :t]) and torch.equal(
            changed[:, t + 1 :], x[:, t + 1 :]
        )


BAD = {
    "one sequence": (lambda: first_leak(lambda x: x, torch.zeros(4).long()), "must be ids"),
    "vectors alone": (lambda: first_leak(lambda x: x, torch.zeros(4, 2)), "must be ids"),
    "nothing": (lambda: first_leak(lambda x: x, torch.zeros(0, 4).long()), r"not \(0, 4\)"),
    "last token only": (lambda: first_leak(lambda x: x[:, -1:], vectors(1, 4)), "every token"),
    "one number each": (lambda: first_leak(lambda x: x.float(), ids(1, 4)), "every token"),
    "nan": (lambda: first_leak(lambda x: x * float("nan"), vectors(1, 4)), "answers nan"),
    "one symbol": (
        lambda: first_leak(lambda x: F.one_hot(x, 1), torch.zeros(1, 4).long()),
        "1 symbol leaves no other id",
    ),
}


@pytest.mark.parametrize(("ask", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_probed_is_refused(ask, words):
    with pytest.raises(ValueError, match=words):
        ask()


def test_a_leak_reads_well():
    assert str(Leak(3, 1, 0.5)) == "Leak(changed=3, moved=1, size=0.5)"
