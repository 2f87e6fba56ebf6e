"""How a model writes: knobs, the loop, the cache, 8-bit weights (chapter 13)."""

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.attention import merge_heads, split_heads
from gpt2_tutorial.gpt import GPT, GPTConfig


def keep_top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Leave the k best tokens, and those that tie with the last; forbid the rest.

    >>> keep_top_k(torch.tensor([2.0, 1.0, 0.0]), 2)
    tensor([2., 1., -inf])
    """
    if k < 1:
        raise ValueError(f"top_k must be a whole number of at least 1, not {k}")
    last = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits < last, -math.inf)


def keep_top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Leave the fewest best tokens whose probabilities reach p together.

    >>> keep_top_p(torch.tensor([2.0, 1.0, 0.0]), 0.7)  # of 0.67, 0.24, 0.09
    tensor([2., 1., -inf])
    """
    if not 0 < p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {p}")
    if p == 1:
        return logits
    ranked, order = logits.sort(descending=True, stable=True)
    bets = ranked.softmax(-1)
    drop = bets.cumsum(-1) - bets >= p  # the better ones have p without this one
    drop[..., 0] = False  # whatever rounding does, the best one stays
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


def keep_min_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Leave the tokens that are at least p times as likely as the best one.

    >>> keep_min_p(torch.tensor([2.0, 1.0, 0.0]), 0.3)  # 1, 0.37, 0.14 of the best
    tensor([2., 1., -inf])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"min_p must be from 0 to 1, not {p}")
    bets = logits.softmax(-1)
    best = bets.amax(-1, keepdim=True)
    return logits.masked_fill(bets < p * best, -math.inf)


def penalise(
    logits: torch.Tensor, idx: torch.Tensor, penalty: float
) -> torch.Tensor:
    """Make every token of idx (B, T) less likely to come again (if penalty > 1).

    >>> penalise(torch.tensor([[3.0, -3.0, 3.0]]), torch.tensor([[0, 1, 1]]), 1.5)
    tensor([[ 2.0000, -4.5000,  3.0000]])
    """
    if not 0 < penalty < math.inf:
        raise ValueError(f"repetition_penalty must be above 0, not {penalty}")
    seen = logits.gather(-1, idx)  # (B, T)
    # Dividing would pull a negative logit up, so that one is multiplied.
    lower = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, idx, lower)  # (B, V)


def row_generators(
    generator: torch.Generator | Sequence[torch.Generator] | None, rows: int
) -> list[torch.Generator]:
    """Give every row chance of its own, so that no row disturbs another.

    >>> a = row_generators(torch.Generator().manual_seed(1), 2)
    >>> b = row_generators(torch.Generator().manual_seed(1), 3)
    >>> [one.initial_seed() == other.initial_seed() for one, other in zip(a, b)]
    [True, True]
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        if len(generator) != rows:
            raise ValueError(f"{len(generator)} generators do not fit {rows} rows")
        return list(generator)
    device = "cpu" if generator is None else generator.device
    seeds = torch.randint(2**62, (rows,), generator=generator, device=device)
    return [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]


def pick(
    logits: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
) -> torch.Tensor:
    """Choose one token for every row: logits (B, V) → ids (B,).

    >>> pick(torch.tensor([[0.0, 5.0, 1.0]]), temperature=0)  # greedy
    tensor([1])
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 or more, not {temperature}")
    best = _best_logits(logits)  # (B, 1)
    if temperature == 0:
        return logits.argmax(-1)
    logits = (logits - best) / max(temperature, 1e-30)  # the best is 0: no overflow
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    bets = logits.softmax(-1)  # (B, V)
    drawn = [
        torch.multinomial(row.to(own.device), 1, generator=own).item()
        for row, own in zip(bets, row_generators(generator, len(bets)), strict=True)
    ]
    return torch.tensor(drawn, device=logits.device)  # (B,)


class KVCache:
    """The keys and values of all tokens so far, with room for those to come.

    >>> KVCache(GPTConfig(block_size=8, n_layer=2, n_embd=24), batch=3).keys.shape
    torch.Size([2, 3, 12, 8, 2])
    """

    def __init__(
        self,
        config: GPTConfig,
        batch: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        room: int | None = None,
    ):
        room, D = room or config.block_size, config.n_embd // config.n_head
        shape = config.n_layer, batch, config.n_head, room, D
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths = torch.zeros(batch, device=device, dtype=torch.long)


def cached_attention(
    attn: nn.Module,
    x: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    places: torch.Tensor,
    past: torch.Tensor | None,
) -> torch.Tensor:
    """Attend from the new tokens x (B, T, C); their keys and values join the old.

    >>> model = GPT(tiny := GPTConfig(8, 65, n_layer=1, n_embd=24))
    >>> attn, cache = model.transformer.h[0].attn, KVCache(tiny, batch=1)
    >>> x = torch.randn(1, 3, 24)
    >>> places, past = torch.arange(3)[None], torch.ones(3, 3).tril().bool()
    >>> store = cache.keys[0, :, :, :3], cache.values[0, :, :, :3]
    >>> y = cached_attention(attn, x, *store, places, past)
    >>> torch.allclose(y, attn(x), atol=1e-6)
    True
    """
    q, k, v = attn.c_attn(x).chunk(3, dim=-1)  # three times (B, T, C)
    q, k, v = (split_heads(part, attn.n_head) for part in (q, k, v))
    where = places[:, None, :, None].expand_as(k)  # (B, H, T, D)
    keys.scatter_(2, where, k)  # (B, H, S, D)
    values.scatter_(2, where, v)
    y = F.scaled_dot_product_attention(q, keys, values, attn_mask=past)
    return attn.c_proj(merge_heads(y))  # (B, T, C)


@torch.inference_mode()
def forward_cached(
    model: GPT,
    idx: torch.Tensor,
    cache: KVCache,
    counts: torch.Tensor | None = None,
) -> torch.Tensor:
    """Read the new tokens idx (B, T) alone; return the last logits (B, V).

    >>> model = GPT(tiny := GPTConfig(8, 65, n_layer=2, n_embd=24)).eval()
    >>> cache, idx = KVCache(tiny, batch=1), torch.tensor([[5, 6, 7]])
    >>> _ = forward_cached(model, idx[:, :2], cache)
    >>> logits = forward_cached(model, idx[:, 2:], cache)  # one token, at place 2
    >>> torch.allclose(logits, model(idx)[0][:, -1], atol=1e-5)
    True
    """
    _check_cached(model, idx, cache)
    if counts is None:  # all T tokens of every row are true, none is padding
        counts = torch.full_like(cache.lengths, idx.size(1))
    gpt, steps = model.transformer, torch.arange(idx.size(1), device=idx.device)
    places = cache.lengths[:, None] + steps  # (B, T)
    S = int(places.max()) + 1
    past = torch.arange(S, device=idx.device) <= places[:, None, :, None]
    past = None if past.all() else past  # (B, 1, T, S), where something is hidden
    x = gpt.wte(idx) + gpt.wpe(places)  # (B, T, C)
    for block, k, v in zip(gpt.h, cache.keys, cache.values, strict=True):
        x = x + cached_attention(
            block.attn, block.ln_1(x), k[:, :, :S], v[:, :, :S], places, past
        )
        x = x + block.mlp(block.ln_2(x))  # (B, T, C)
    cache.lengths += counts
    last = x[torch.arange(len(x), device=x.device), counts - 1]  # (B, C)
    return model.lm_head(gpt.ln_f(last))  # (B, V)


def next_logits(
    model: GPT, ids: torch.Tensor, lengths: torch.Tensor, cache: KVCache | None
) -> torch.Tensor:
    """Logits (B, V) after the first `lengths` (B,) tokens of every row of ids.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> ids, lengths = torch.zeros(2, 9).long(), torch.tensor([9, 3])
    >>> next_logits(model, ids, lengths, cache=None).shape
    torch.Size([2, 65])
    """
    rows, size = torch.arange(len(ids), device=ids.device), model.config.block_size
    if cache is not None and lengths.max() <= size:
        if not cache.lengths.any():  # nothing read yet: the whole prompts
            return forward_cached(model, ids, cache, lengths)
        return forward_cached(model, ids[rows, lengths - 1][:, None], cache)
    # Past the context every token moves one place on: no old key fits any more.
    starts = (lengths - size).clamp(min=0)
    counts = lengths - starts  # (B,)
    places = starts[:, None] + torch.arange(int(counts.max()), device=ids.device)
    window = ids.gather(1, places.clamp(max=ids.size(1) - 1))  # (B, ≤ block_size)
    if counts.min() == counts.max():
        return model(window, last_only=True)[0][:, -1]
    return model(window)[0][rows, counts - 1]


@contextmanager
def evaluating(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Switch dropout off for a while, then leave every part as it was.

    >>> model = nn.Dropout()
    >>> with evaluating(model.modules()):
    ...     print(model.training)
    False
    >>> model.training
    True
    """
    trained = [part for part in parts if part.training]
    for part in trained:
        part.training = False
    try:
        yield
    finally:
        for part in trained:
            part.training = True


def stream(
    model: GPT,
    idx: torch.Tensor,
    max_new_tokens: int,
    *,
    repetition_penalty: float = 1.0,
    cache: bool = True,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    stop_token: int | None = None,
    lengths: torch.Tensor | None = None,
    **knobs: Any,
) -> Iterator[torch.Tensor]:
    """Write on from the prompts idx (B, T): at every step one tensor (B,).

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> [tuple(new.shape) for new in stream(model, torch.tensor([[1], [2]]), 2)]
    [(2,), (2,)]
    """
    lengths = _check_prompts(model, idx, lengths)
    _check_ends(model, max_new_tokens, stop_token)
    _check_knobs(repetition_penalty=repetition_penalty, **knobs)
    if knobs.get("temperature") != 0:
        knobs["generator"] = row_generators(generator, len(idx))
    store = None
    if cache:
        room = min(model.config.block_size, idx.size(1) + max_new_tokens)
        like = model.transformer.wpe.weight
        store = KVCache(model.config, len(idx), like.device, like.dtype, room)
    return _steps(
        model,
        idx.long(),
        lengths,
        max_new_tokens,
        store,
        repetition_penalty,
        stop_token,
        knobs,
    )


@torch.no_grad()
def _steps(model, idx, lengths, max_new_tokens, cache, penalty, stop_token, knobs):
    rows, parts = torch.arange(len(idx), device=idx.device), list(model.modules())
    stopped = torch.zeros_like(lengths, dtype=torch.bool)
    for _ in range(max_new_tokens):
        with evaluating(parts):
            logits = next_logits(model, idx, lengths, cache)  # (B, V)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if penalty != 1:
            logits = penalise(logits, idx, penalty)
        new = pick(logits, **knobs)  # (B,)
        if stop_token is not None:
            new = new.masked_fill(stopped, stop_token)
            stopped = stopped | (new == stop_token)
        yield new
        if stopped.all():
            return
        idx = torch.cat([idx, idx[:, :1]], dim=1)  # (B, T + 1)
        idx[rows, lengths] = new
        lengths = lengths + 1


def generate(
    model: GPT,
    idx: torch.Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    cache: bool = True,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    stop_token: int | None = None,
) -> torch.Tensor:
    """Write on from the prompts idx (B, T): the same rows, n tokens longer.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> generate(model, torch.tensor([[1, 2], [3, 4]]), max_new_tokens=5).shape
    torch.Size([2, 7])
    """
    steps = stream(
        model,
        idx,
        max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        cache=cache,
        generator=generator,
        stop_token=stop_token,
    )
    return torch.cat([idx, *(new[:, None].to(idx.dtype) for new in steps)], dim=1)


def generate_batch(
    model: GPT, prompts: Sequence[Sequence[int]], max_new_tokens: int, **knobs: Any
) -> list[list[int]]:
    """Write on from prompts of different lengths, each as if it were alone.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> [len(row) for row in generate_batch(model, [[1], [2, 3, 4, 5, 6]], 3)]
    [4, 8]
    """
    if len(prompts) == 0 or not all(len(prompt) for prompt in prompts):
        raise ValueError(f"every prompt needs at least one token: {prompts!r:.60}")
    lengths = [len(prompt) for prompt in prompts]
    # Padding on the right stands in the future, and the mask hides the future.
    # It repeats a token of its row, so a repetition penalty falls on no other.
    idx = [[*row, *[row[0]] * (max(lengths) - len(row))] for row in prompts]
    device = model.transformer.wpe.weight.device
    idx, counts = (torch.tensor(part, device=device) for part in (idx, lengths))
    steps = list(stream(model, idx, max_new_tokens, lengths=counts, **knobs))
    rows, stop = [], knobs.get("stop_token")
    for i, prompt in enumerate(prompts):
        new = [int(step[i]) for step in steps]
        if stop in new:
            new = new[: new.index(stop) + 1]
        rows.append([*prompt, *new])
    return rows


def by_columns(model: GPT) -> GPT:
    """A copy whose tall matrices lie in memory column by column: the same numbers.

    >>> model = GPT(GPTConfig(block_size=4, vocab_size=65, n_layer=1, n_embd=24))
    >>> torch.equal(by_columns(model).lm_head.weight, model.lm_head.weight)
    True
    """
    model = copy.deepcopy(model)
    for part in model.modules():
        if isinstance(part, nn.Linear) and part.out_features > part.in_features:
            part.weight.data = part.weight.data.t().contiguous().t()  # (out, in)
    return model


def to_int8(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round every row to whole numbers from −127 to 127 times a step of its own.

    >>> to_int8(torch.tensor([[0.5, -0.26], [0.0, 0.0]]))[0]
    tensor([[127, -66],
            [  0,   0]], dtype=torch.int8)
    """
    step = x.abs().amax(-1, keepdim=True).clamp_(min=1e-30).div_(127)  # (N, 1)
    return (x / step).round_().to(torch.int8), step


def int8_row(
    x: torch.Tensor, weight: torch.Tensor, step: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """One token x (in,) through 8-bit weights: only compiled is it fast.

    >>> one = torch.ones(2)
    >>> int8_row(one, torch.tensor([[3, 4], [5, 6]]).char(), step=one / 2, bias=one)
    tensor([4.5000, 6.5000])
    """
    return (weight.to(x.dtype) * x).sum(-1) * step + bias  # (out,)


class Int8Linear(nn.Module):
    """A linear map of 8-bit weights, by `torch._int_mm`; it rounds inputs as well.

    Anywhere but on a CPU the weights are multiplied out first: slow, but right.

    >>> layer, x = nn.Linear(64, 8), torch.ones(5, 64)
    >>> torch.allclose(Int8Linear(layer)(x), layer(x), atol=0.1)
    True
    """

    def __init__(self, layer: nn.Linear):
        super().__init__()
        weight, step = to_int8(layer.weight.detach())
        self.register_buffer("weight", weight)  # (out, in)
        self.register_buffer("step", step[:, 0])  # (out,)
        bias = torch.zeros_like(step[:, 0]) if layer.bias is None else layer.bias
        self.register_buffer("bias", bias.detach().clone())  # (out,)
        self.row = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.row is not None and x.numel() == x.size(-1):
            y = self.row(x.flatten(), self.weight, self.step, self.bias)
            return y.view(*x.shape[:-1], -1)
        if x.device.type != "cpu" or not hasattr(torch, "_int_mm"):
            weight = self.weight.to(x.dtype) * self.step[:, None]
            return F.linear(x, weight, self.bias)
        whole, step = to_int8(x.flatten(0, -2))  # (N, in), (N, 1)
        y = torch._int_mm(whole, self.weight.t()).to(
            x.dtype
        )  # (N, out), whole sums
        y = torch.addcmul(self.bias, y, step * self.step)
        return y.view(*x.shape[:-1], -1)


class Int8Embedding(nn.Module):
    """The table of an `Int8Linear`, read by token: a row times its step.

    >>> head = Int8Linear(nn.Linear(24, 65, bias=False))
    >>> Int8Embedding(head)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 24])
    """

    def __init__(self, head: Int8Linear):
        super().__init__()
        self.register_buffer("weight", head.weight)  # (V, C), the same memory
        self.register_buffer("step", head.step)  # (V,)

    def forward(self, idx: torch.Tensor) -> torch.Tensor:
        return self.weight[idx] * self.step[idx][..., None]


def quantize_int8(model: GPT, *, compiled: bool = False) -> GPT:
    """A copy, for writing only, whose large matrices hold one byte a number.

    `compiled` is faster for one token at a time, but needs a C++ compiler.
    >>> small = quantize_int8(GPT(GPTConfig(8, 65, n_layer=2, n_embd=24)))
    >>> small.lm_head.weight.dtype
    torch.int8
    """
    if not isinstance(model.lm_head, nn.Linear):
        raise ValueError("the model's weights are int8 already: use it as it is")
    model = copy.deepcopy(model).eval()
    if model.lm_head.weight.dtype in (torch.float16, torch.bfloat16):
        model.float()  # sums of whole numbers are too large for half precision
    for part in list(model.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(part, name, Int8Linear(layer))
    model.transformer.wte = Int8Embedding(model.lm_head)  # still one table
    return _compile_rows(model) if compiled else model


def _compile_rows(model):
    row = torch.compile(int8_row, dynamic=False)
    for part in model.modules():
        if isinstance(part, Int8Linear):
            part.row = row
    try:
        with torch.inference_mode():
            model.lm_head(model.transformer.wpe.weight[:1])
    except Exception as error:  # torch has a class of its own for every way to fail
        raise RuntimeError(
            "torch.compile fails here: install a C++ compiler, "
            "or leave compiled=False"
        ) from error
    return model


def _best_logits(logits):
    if logits.dim() != 2 or 0 in logits.shape or not logits.is_floating_point():
        shape, kind = tuple(logits.shape), logits.dtype
        raise ValueError(f"logits must be (B, V), not {shape} of {kind}")
    best = logits.amax(-1, keepdim=True)
    if not best.isfinite().all():
        odd = best[~best.isfinite()][0].item()
        raise ValueError(
            f"a row's best logit is {odd}, so no token can be drawn: "
            "check the model's weights"
        )
    return best


def _check_knobs(
    temperature=1.0, top_k=None, top_p=None, min_p=None, repetition_penalty=1.0
):
    for name, value in list(locals().items()):
        kind = Integral if name == "top_k" else Real
        if value is None and name in ("top_k", "top_p", "min_p"):
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            whole = "whole " if kind is Integral else ""
            raise TypeError(f"{name} must be a {whole}number, not {value!r}")
    one = torch.zeros(1, 1)
    pick(one, temperature=temperature, generator=[torch.Generator()])
    keep_top_k(one, 1 if top_k is None else top_k)
    keep_top_p(one, 1 if top_p is None else top_p)
    keep_min_p(one, 0 if min_p is None else min_p)
    penalise(one, one.long(), repetition_penalty)


def _check_cached(model, idx, cache):
    if model.training:
        raise ValueError("the model is in training mode: call model.eval() first")
    if idx.dim() != 2 or idx.numel() == 0 or idx.is_floating_point():
        raise ValueError(
            f"idx must be ids (B, T), not {tuple(idx.shape)} of {idx.dtype}"
        )
    if len(idx) != len(cache.lengths):
        raise ValueError(
            f"the cache holds {len(cache.lengths)} rows, but idx has {len(idx)}"
        )
    room, longest = cache.keys.size(3), int(cache.lengths.max()) + idx.size(1)
    if longest > room:
        raise ValueError(f"the cache has room for {room} tokens, not {longest}")


def _check_prompts(model, idx, lengths):
    if not isinstance(idx, torch.Tensor) or idx.dim() != 2:
        what = tuple(idx.shape) if isinstance(idx, torch.Tensor) else type(idx)
        raise ValueError(f"idx must be a tensor of ids (B, T), not {what}")
    if idx.is_floating_point() or idx.is_complex() or idx.dtype == torch.bool:
        raise TypeError(f"ids are whole numbers, so idx cannot be {idx.dtype}")
    if idx.numel() == 0:
        raise ValueError(
            f"the prompt is empty, idx is {tuple(idx.shape)}: give at least one id"
        )
    _check_id(model, "id", int(idx.min()))
    _check_id(model, "id", int(idx.max()))
    B, T = idx.shape
    if lengths is None:
        return torch.full((B,), T, device=idx.device)
    if lengths.shape != (B,) or lengths.min() < 1 or lengths.max() > T:
        raise ValueError(
            f"lengths must be {B} numbers from 1 to {T}, not {lengths.tolist()}"
        )
    return lengths


def _check_ends(model, max_new_tokens, stop_token):
    if not isinstance(max_new_tokens, Integral) or max_new_tokens < 0:
        raise ValueError(
            f"max_new_tokens must be a whole number from 0, not {max_new_tokens!r}"
        )
    if stop_token is not None:
        _check_id(model, "stop_token", stop_token)


def _check_id(model, name, value):
    V = model.config.vocab_size
    if not isinstance(value, Integral) or not 0 <= value < V:
        raise ValueError(
            f"{name} {value!r} is unknown: this model has 0 to {V - 1}"
        )
