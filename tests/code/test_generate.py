"""Writing with a model: the cache against no cache, transformers' texts, rows alone."""

import importlib.util
import math
import random
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gpt2_tutorial.cache import KVCache, forward_cached
from gpt2_tutorial.checks.engine import run
from gpt2_tutorial.generate import evaluating, generate, generate_batch, stream
from gpt2_tutorial.gpt import GPTConfig
from gpt2_tutorial.sampling import row_generators
from writers import prompt, random_knobs, seeded, small

# The cache


def test_with_the_cache_and_without_it_the_tokens_are_the_same():
    """Two hundred settings in float64: rounding there is far smaller than any gap of the bets."""
    slid = 0
    for seed in range(200):
        rng = random.Random(seed)
        heads = rng.choice([1, 2, 4])
        model = small(
            seed,
            block_size=rng.choice([1, 2, 5, 12]),
            vocab_size=rng.choice([2, 17, 90]),
            n_layer=rng.choice([1, 2, 3]),
            n_head=heads,
            n_embd=heads * rng.choice([2, 4]),
            bias=rng.random() < 0.8,
        )
        idx = prompt(model, rng.choice([1, 2, 3]), rng.choice([1, 2, 4, 11, 14]), seed)
        knobs = random_knobs(rng) | {"stop_token": rng.choice([None, None, 1])}
        n = rng.choice([0, 1, 6, 15])
        slid += idx.size(1) + n > model.config.block_size + 1
        plain = generate(model, idx, n, cache=False, generator=seeded(seed), **knobs)
        quick = generate(model, idx, n, cache=True, generator=seeded(seed), **knobs)
        assert torch.equal(plain, quick), (seed, knobs)
    assert 60 < slid < 160


def test_the_cached_logits_are_the_model_s_own_however_the_prompt_is_cut():
    for seed in range(30):
        model, rng = small(seed), random.Random(seed)
        idx, cache, read = prompt(model, 3, 12, seed), None, 0
        cache = KVCache(model.config, 3, dtype=torch.float64)
        while read < 12:
            some = rng.randint(1, 12 - read)
            got = forward_cached(model, idx[:, read : read + some], cache)
            read += some
            want = model(idx[:, :read])[0][:, -1]
            torch.testing.assert_close(got, want, atol=1e-11, rtol=0)
        assert cache.lengths.tolist() == [12] * 3


def test_positions_computed_for_256_tokens(monkeypatch):
    model = small(block_size=256, n_layer=1)
    count = {"tokens": 0}
    hook = model.transformer.h[0].mlp.register_forward_hook
    handle = hook(lambda part, inputs, out: count.update(tokens=count["tokens"] + out.size(1)))
    found = []
    for cache in (False, True):
        count["tokens"] = 0
        generate(model, torch.zeros(1, 1, dtype=torch.long), 255, cache=cache)
        found.append(count["tokens"])
    handle.remove()
    assert found == [32_640, 255]  # 1 + 2 + … + 255, and 255 ones


def test_past_the_context_the_window_is_the_last_block_size_tokens():
    model, idx = small(), prompt(small(), 2, 30)
    out = generate(model, idx, 20, temperature=0)
    for t in range(30, 50):
        want = model(out[:, t - 12 : t])[0][:, -1].argmax(-1)
        assert torch.equal(out[:, t], want)


# Against transformers


def twin(model):
    """The same weights in transformers' GPT-2."""
    c = model.config
    config = GPT2Config(
        n_positions=c.block_size,
        vocab_size=c.vocab_size,
        n_embd=c.n_embd,
        n_layer=c.n_layer,
        n_head=c.n_head,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    other = GPT2LMHeadModel(config).eval().to(torch.float64)
    maps = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    state = {k: v.t() if k.endswith(maps) else v for k, v in model.state_dict().items()}
    other.load_state_dict(state)
    return other


@pytest.mark.parametrize("seed", range(4))
def test_greedy_is_transformers_greedy_token_for_token(seed):
    model = small(seed, block_size=64, vocab_size=120)
    other = twin(model)
    for rows, length, penalty in ((1, 1, 1.0), (3, 9, 1.0), (2, 20, 1.4), (2, 5, 0.7)):
        idx = prompt(model, rows, length, seed)
        want = other.generate(
            idx,
            attention_mask=torch.ones_like(idx),
            max_new_tokens=30,
            do_sample=False,
            use_cache=True,
            repetition_penalty=penalty,
        )
        got = generate(model, idx, 30, temperature=0, repetition_penalty=penalty)
        assert torch.equal(got, want)


def test_the_benchmark_times_nothing_before_the_tokens_are_the_same(monkeypatch):
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the script sets it
    spec.loader.exec_module(benchmark)
    tiny, idx = GPTConfig(40, 97, n_layer=2, n_head=2, n_embd=32), torch.tensor([[5, 9, 3]])
    rows = benchmark.writers(tiny, idx, new=20)
    found = benchmark.check(rows)
    assert len(found) == 5
    assert all(row["same_tokens"] for name, row in found.items() if "fp32" in name)
    monkeypatch.setitem(rows, "ours fp32", lambda: idx.new_zeros(1, 23))
    with pytest.raises(RuntimeError, match="ours fp32 writes other tokens"):
        benchmark.check(rows)


# The loop


def test_a_stream_is_what_generate_returns():
    for seed in range(30):
        model, rng = small(seed), random.Random(seed)
        idx, knobs = prompt(model, 2, 3, seed), random_knobs(rng)
        whole = generate(model, idx, 14, generator=seeded(seed), **knobs)
        steps = list(stream(model, idx, 14, generator=seeded(seed), **knobs))
        assert torch.equal(torch.stack(steps, 1), whole[:, 3:])


def test_every_row_of_a_batch_is_the_row_alone():
    for seed in range(40):
        model, rng = small(seed), random.Random(seed)
        lengths = [rng.choice([1, 2, 5, 11, 12, 13, 20]) for _ in range(rng.choice([1, 2, 4]))]
        prompts = [[rng.randrange(31) for _ in range(n)] for n in lengths]
        knobs = random_knobs(rng)
        knobs |= {"stop_token": rng.choice([None, 3]), "cache": rng.random() < 0.7}
        alone = []
        for row, own in zip(prompts, row_generators(seeded(seed), len(prompts)), strict=True):
            idx = torch.tensor([row])
            alone.append(generate(model, idx, 10, generator=[own], **knobs)[0].tolist())
        together = generate_batch(model, prompts, 10, generator=seeded(seed), **knobs)
        assert together == alone, (seed, knobs)


def test_padding_is_no_repetition():
    """With three tokens and a heavy penalty, a penalty on a token of the padding would show."""
    for seed in range(20):
        model, prompts = small(seed, vocab_size=3), [[1], [2, 1, 2, 1, 2, 1]]
        knobs = {"temperature": 0, "repetition_penalty": 50.0}
        alone = [generate(model, torch.tensor([row]), 4, **knobs)[0].tolist() for row in prompts]
        assert generate_batch(model, prompts, 4, **knobs) == alone


def test_a_batch_of_equal_lengths_is_generate():
    model, idx = small(), prompt(small(), 3, 4)
    want = generate(model, idx, 9, generator=seeded(1)).tolist()
    assert generate_batch(model, idx.tolist(), 9, generator=seeded(1)) == want


def test_rows_that_stopped_are_padded_with_the_stop_token():
    model, idx = small(3, vocab_size=6), prompt(small(3, vocab_size=6), 8, 2)
    out = generate(model, idx, 40, stop_token=2, generator=seeded(0))[:, 2:]
    ends = []
    for row in out.tolist():
        end = row.index(2) if 2 in row else len(row)
        assert set(row[end:]) <= {2}
        ends.append(end)
    assert len(set(ends)) > 2  # rows end at different places
    assert out.size(1) == min(40, max(ends) + 1)  # and nobody waits longer than the last one


def test_a_stop_token_of_the_prompt_does_not_stop_anything():
    idx = torch.full((1, 3), 2)
    assert generate(small(), idx, 5, temperature=0, stop_token=2).size(1) > 3
    assert generate_batch(small(), [[2, 2]], 1, temperature=0, stop_token=2)[0][:2] == [2, 2]


def test_the_same_seed_gives_the_same_text_and_another_seed_another():
    model, idx = small(), prompt(small(), 2, 3)
    a, b, c = (generate(model, idx, 12, generator=seeded(s)) for s in (7, 7, 8))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    torch.manual_seed(4)
    d = generate(model, idx, 12)
    torch.manual_seed(4)
    assert torch.equal(d, generate(model, idx, 12))


def test_equal_prompts_of_one_batch_are_continued_differently():
    out = generate(small(), torch.zeros(6, 1, dtype=torch.long), 12, generator=seeded(0))
    assert len({tuple(row) for row in out.tolist()}) == 6


def test_greedy_leaves_chance_untouched():
    torch.manual_seed(0)
    before, g = torch.get_rng_state(), seeded(1)
    generate(small(), torch.zeros(1, 1, dtype=torch.long), 3, temperature=0, generator=g)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(g.get_state(), seeded(1).get_state())


def test_dropout_is_off_while_writing_and_every_part_is_left_as_it_was():
    model = small(dropout=0.5)
    want = generate(model, torch.zeros(1, 3, dtype=torch.long), 15, temperature=0)
    model.train()
    model.transformer.h[0].eval()
    modes = [part.training for part in model.modules()]
    steps = stream(model, torch.zeros(1, 3, dtype=torch.long), 15, temperature=0)
    got = [next(steps).item()]
    assert [part.training for part in model.modules()] == modes  # also between two steps
    got += [new.item() for new in steps]
    assert got == want[0, 3:].tolist()
    assert [part.training for part in model.modules()] == modes


def test_the_mode_is_restored_when_the_model_fails():
    model = small().train()
    with pytest.raises(RuntimeError, match="broken"), evaluating(model.modules()):
        raise RuntimeError("broken")
    assert all(part.training for part in model.modules())


def test_nothing_is_written_on_the_prompt_and_its_dtype_stays():
    model = small()
    for dtype in (torch.long, torch.int32, torch.uint8):
        idx = prompt(model, 2, 4).to(dtype)
        copy = idx.clone()
        out = generate(model, idx, 3)
        assert torch.equal(idx, copy)
        assert out.dtype == dtype
        assert torch.equal(out[:, :4], copy)
    assert torch.equal(generate(model, idx, 0), idx)


def test_no_gradient_is_kept():
    model, idx = small(), prompt(small(), 1, 2)
    for cache in (True, False):
        generate(model, idx, 3, cache=cache)
        assert not any(p.grad is not None for p in model.parameters())
    assert torch.is_grad_enabled()
    next(stream(model, idx, 3))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_write_too(dtype):
    out = generate(small(dtype=dtype), torch.zeros(2, 1, dtype=torch.long), 20, top_p=0.9)
    assert out.shape == (2, 21)


# What is refused, each in one sentence

ONE = torch.zeros(1, 1, dtype=torch.long)
REFUSED = {
    "temperature below 0": ({"temperature": -0.1}, "temperature must be 0 or more, not -0.1"),
    "temperature nan": ({"temperature": math.nan}, "temperature must be 0 or more, not nan"),
    "temperature inf": ({"temperature": math.inf}, "temperature must be 0 or more, not inf"),
    "temperature None": ({"temperature": None}, "temperature must be a number, not None"),
    "top_k 0": ({"top_k": 0}, "top_k must be a whole number of at least 1, not 0"),
    "top_k 2.5": ({"top_k": 2.5}, "top_k must be a whole number, not 2.5"),
    "top_k True": ({"top_k": True}, "top_k must be a whole number, not True"),
    "top_p 0": ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
    "top_p 1.1": ({"top_p": 1.1}, "top_p must be above 0 and at most 1, not 1.1"),
    "top_p nan": ({"top_p": math.nan}, "top_p must be above 0 and at most 1, not nan"),
    "top_p text": ({"top_p": "0.9"}, "top_p must be a number, not '0.9'"),
    "min_p -1": ({"min_p": -1}, "min_p must be from 0 to 1, not -1"),
    "min_p 1.5": ({"min_p": 1.5}, "min_p must be from 0 to 1, not 1.5"),
    "penalty 0": ({"repetition_penalty": 0}, "repetition_penalty must be above 0, not 0"),
    "penalty nan": (
        {"repetition_penalty": math.nan},
        "repetition_penalty must be above 0, not nan",
    ),
    "stop_token 31": ({"stop_token": 31}, "stop_token 31 is unknown: this model has 0 to 30"),
    "stop_token -1": ({"stop_token": -1}, "stop_token -1 is unknown: this model has 0 to 30"),
    "generators": ({"generator": [seeded(0)] * 2}, "2 generators do not fit 1 rows"),
    "-1 tokens": ({"max_new_tokens": -1}, "max_new_tokens must be a whole number from 0, not -1"),
    "1.5 tokens": (
        {"max_new_tokens": 1.5},
        "max_new_tokens must be a whole number from 0, not 1.5",
    ),
    "empty": ({"idx": ONE[:, :0]}, r"the prompt is empty, idx is \(1, 0\): give at least one id"),
    "no rows": ({"idx": ONE[:0]}, r"the prompt is empty, idx is \(0, 1\): give at least one id"),
    "one row flat": ({"idx": ONE[0]}, r"idx must be a tensor of ids \(B, T\), not \(1,\)"),
    "a list": ({"idx": [[1]]}, r"idx must be a tensor of ids \(B, T\), not <class 'list'>"),
    "floats": ({"idx": ONE.float()}, "ids are whole numbers, so idx cannot be torch.float32"),
    "booleans": ({"idx": ONE.bool()}, "ids are whole numbers, so idx cannot be torch.bool"),
    "id 31": ({"idx": ONE + 31}, "id 31 is unknown: this model has 0 to 30"),
    "id -1": ({"idx": ONE - 1}, "id -1 is unknown: this model has 0 to 30"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_at_the_call(name):
    changes, sentence = REFUSED[name]
    arguments = {"idx": ONE, "max_new_tokens": 2} | changes
    for call in (generate, stream):
        with pytest.raises((ValueError, TypeError), match=f"^{sentence}$"):
            call(small(), **arguments)


@pytest.mark.parametrize("known", [0, -1, 32, 10**9])
def test_more_known_tokens_than_rows_are_refused_and_none_at_all(known):
    with pytest.raises(ValueError, match=rf"the last known token {known - 1} is unknown"):
        stream(small(), ONE, 2, known=known)


def test_only_known_tokens_are_drawn_and_stand_in_the_prompt():
    rows = ONE.new_zeros(3, 2)
    for knobs in ({}, {"temperature": 0}, {"top_k": 31}, {"repetition_penalty": 1.5}):
        steps = stream(small(), rows, 30, known=4, generator=seeded(1), **knobs)
        assert max(int(new.max()) for new in steps) < 4
    with pytest.raises(ValueError, match="id 4 is in the prompt, and only 4 tokens are known"):
        stream(small(), rows + 4, 30, known=4)
    every = [list(stream(small(), rows, 9, known=k, generator=seeded(1))) for k in (None, 31)]
    assert torch.equal(torch.stack(every[0]), torch.stack(every[1]))


def test_an_unknown_knob_is_refused_by_name():
    with pytest.raises(TypeError, match="topk"):
        stream(small(), ONE, 2, topk=3)


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []]])
def test_a_batch_with_an_empty_prompt_is_refused(prompts):
    with pytest.raises(ValueError, match="every prompt needs at least one token"):
        generate_batch(small(), prompts, 3)


@pytest.mark.parametrize("lengths", [[0, 1], [1, 4], [1]])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(ValueError, match="lengths must be 2 numbers from 1 to 3"):
        stream(small(), torch.zeros(2, 3).long(), 3, lengths=torch.tensor(lengths))


def test_a_model_gone_wrong_is_reported():
    model = small()
    with torch.no_grad():
        model.transformer.ln_f.bias[0] = math.nan
    with pytest.raises(ValueError, match="check the model's weights"):
        generate(model, ONE, 3)


def test_forward_cached_refuses_what_it_cannot_do():
    model = small()
    cache = KVCache(model.config, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="the cache has room for 12 tokens, not 13"):
        forward_cached(model, torch.zeros(1, 13).long(), cache)
    with pytest.raises(ValueError, match="the cache holds 1 rows, but idx has 2"):
        forward_cached(model, torch.zeros(2, 1).long(), cache)
    with pytest.raises(ValueError, match=r"idx must be ids \(B, T\), not \(1, 0\)"):
        forward_cached(model, ONE[:, :0], cache)
    with pytest.raises(ValueError, match="call model"):
        forward_cached(model.train(), ONE, cache)


def test_top_k_above_the_vocabulary_is_clamped():
    model, idx = small(), prompt(small(), 1, 3)
    want = generate(model, idx, 8, generator=seeded(0))
    assert torch.equal(generate(model, idx, 8, top_k=10**9, generator=seeded(0)), want)


def driven_with(token=int, place=list, mask=lambda square: square):
    """Exercise 13.3 in another style: one token of the prompt after the other."""

    def write_all(prompts, n, read):
        texts = []
        for given in prompts:
            cache, text = [], list(given)
            for i in range(len(given) + n - 1):
                new = read([text[i]], place([i]), mask(torch.ones(1, i + 1)), cache)
                if i + 1 >= len(given):
                    text.append(token(new))
            texts.append(text)
        return texts

    return write_all


@pytest.mark.parametrize("mask", [torch.Tensor.bool, torch.Tensor.tolist, torch.Tensor.clone])
def test_the_cache_may_be_driven_with_lists_and_with_a_mask_of_ones(mask):
    assert run("13.3", driven_with(mask=mask)).status == "passed"


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (lambda square: None, "mask must be a tensor of True and False, not None"),
        (torch.zeros_like, "row 0 of mask is all False"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_named_as_such(mask, says):
    result = run("13.3", driven_with(mask=mask))
    assert result.mutant is None and says in result.message


def test_a_text_that_is_right_but_read_again_does_not_pass():
    """Once more at the end: the texts are right, and the work is double."""

    def write_all(prompts, n, read):
        texts = driven_with()(prompts, n, read)
        for text in texts:
            read(text, range(len(text)), torch.ones(len(text), len(text)).tril(), [])
        return texts

    assert run("13.3", write_all).mutant == "no cache"
