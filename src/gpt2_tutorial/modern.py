"""What changed since GPT-2, one switch for each change (chapter 18)."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt2_tutorial.attention import merge_heads, split_heads
from gpt2_tutorial.block import MLP, init_weights
from gpt2_tutorial.gpt import GPTConfig, check_ids
from gpt2_tutorial.ngram_embedding import NGramEmbedding


@dataclass(frozen=True)
class ModernConfig(GPTConfig):
    """GPT-2's seven numbers and a switch for each change; as given, none is on.

    >>> ModernConfig(n_layer=2, rotary=True).norm
    'layer'
    """

    rotary: bool = False  # turn queries and keys; then there is no wpe
    norm: str = "layer"  # or "rms"
    qk_norm: bool = False
    mlp: str = "gelu"  # or "swiglu", or "relu2"
    n_kv_head: int | None = None  # heads of keys and values; None is n_head
    tied: bool = True  # the head is the table wte
    zero_init: bool = False  # at first, no block adds anything
    soft_cap: float | None = None  # no logit is larger
    ngram_rows: int = 0  # of each table of pairs and triples; 0 is none

    def __post_init__(self):
        super().__post_init__()
        check_switches(self)
        if self.n_kv_head is not None:
            check_groups(self.n_head, self.n_kv_head)
        if self.rotary and self.n_embd // self.n_head % 2:
            raise ValueError(
                "rotary turns pairs of numbers, and a head of "
                f"{self.n_embd // self.n_head} has one left over: make it even"
            )


MODERN = {  # all but n_kv_head and ngram_rows, which depend on other sizes
    "rotary": True,
    "norm": "rms",
    "qk_norm": True,
    "mlp": "swiglu",
    "tied": False,
    "zero_init": True,
    "soft_cap": 30.0,
}


def check_switches(config: ModernConfig) -> None:
    """Refuse a switch that stands where there is nothing.

    >>> check_switches(ModernConfig(**MODERN))
    """
    for name in ("rotary", "qk_norm", "tied", "zero_init"):
        value = getattr(config, name)
        if type(value) is not bool:
            raise ValueError(f"{name} must be True or False, not {value!r}")
    for name, known in (("norm", ("layer", "rms")), ("mlp", tuple(MLPS))):
        value = getattr(config, name)
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, not {value!r}")
    rows = config.ngram_rows
    if type(rows) is not int or rows < 0:
        raise ValueError(f"ngram_rows must be a whole number from 0, not {rows!r}")
    cap = config.soft_cap
    is_number = isinstance(cap, int | float) and not isinstance(cap, bool)
    if cap is not None and not (is_number and 0 < cap < math.inf):
        raise ValueError(f"soft_cap must be a number above 0 or None, not {cap!r}")


def check_groups(n_head: int, n_kv_head: int) -> None:
    """Refuse heads that cannot share their keys and values equally.

    >>> check_groups(n_head=12, n_kv_head=4)
    """
    whole = type(n_kv_head) is int and n_kv_head >= 1
    if not whole or n_head % n_kv_head:
        raise ValueError(
            f"n_kv_head must be a whole number that divides n_head={n_head}, "
            f"or None, not {n_kv_head!r}"
        )


def rotate(x: torch.Tensor, base: float = 10000.0, start: int = 0) -> torch.Tensor:
    """Turn x (B, H, T, D) by its places start, start + 1, …: rotary positions.

    >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # at place 1, by one radian
    >>> rotate(x)
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """
    T, D = x.shape[-2:]
    if D % 2:
        raise ValueError(f"rotate turns pairs, so D must be even, not {D}")
    # Angles grow with T: in bfloat16, neighbours far down the text would be one.
    exact = dict(device=x.device, dtype=torch.promote_types(x.dtype, torch.float32))
    speeds = base ** (-torch.arange(0, D, 2, **exact) / D)  # (D/2,), 1 … 1/base
    angles = torch.arange(start, start + T, **exact)[:, None] * speeds  # (T, D/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    partner = x.roll(D // 2, dims=-1)  # number i is paired with number i + D/2
    return x * torch.cat([cos, cos], -1) + partner * torch.cat([-sin, sin], -1)


class RMSNorm(nn.Module):
    """Divide by the root of the mean square, then scale: no mean, no shift.

    >>> RMSNorm(2)(torch.tensor([3.0, 4.0])).detach()  # root of 25 / 2: 3.5355
    tensor([0.8485, 1.1314])
    """

    def __init__(self, size: int, eps: float = 1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean_square = (wide * wide).mean(-1, keepdim=True)
        return (wide * (mean_square + self.eps).rsqrt() * self.weight).to(x.dtype)


class SwiGLU(nn.Module):
    """A network with a gate: one map says what, another how much of it passes.

    >>> from types import SimpleNamespace as Config
    >>> SwiGLU(Config(n_embd=768, dropout=0.0, bias=False)).c_fc.out_features
    2048
    """

    def __init__(self, config: Any):
        super().__init__()
        # Three maps of 8C/3 cost as much as GELU's two of 4C; a multiple of 8.
        hidden = 8 * max(1, round(config.n_embd / 3))
        self.c_gate = nn.Linear(config.n_embd, hidden, bias=config.bias)
        self.c_fc = nn.Linear(config.n_embd, hidden, bias=config.bias)
        self.c_proj = nn.Linear(hidden, config.n_embd, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.silu(self.c_gate(x)) * self.c_fc(x)  # (B, T, 8C/3)
        return self.dropout(self.c_proj(x))  # (B, T, C)


class ReLUSquared(MLP):
    """GPT-2's small network with another bend: below 0 nothing, above 0 x².

    >>> from types import SimpleNamespace as Config
    >>> mlp = ReLUSquared(Config(n_embd=32, dropout=0.0, bias=True))
    >>> mlp(torch.zeros(2, 8, 32)).shape
    torch.Size([2, 8, 32])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.c_fc(x))  # (B, T, 4C)
        x = x * x  # a CPU takes four times as long for the slope of x.square()
        return self.dropout(self.c_proj(x))  # (B, T, C)


MLPS = {"gelu": MLP, "swiglu": SwiGLU, "relu2": ReLUSquared}


class GroupedAttention(nn.Module):
    """Attention in which K heads of keys and values serve H heads of queries.

    >>> config = ModernConfig(block_size=8, n_embd=32, n_head=4, n_kv_head=2)
    >>> attn = GroupedAttention(config)
    >>> attn.c_attn.out_features, attn(torch.zeros(2, 8, 32)).shape
    (64, torch.Size([2, 8, 32]))
    """

    def __init__(self, config: ModernConfig):
        super().__init__()
        H, K = config.n_head, config.n_kv_head or config.n_head
        C, D = config.n_embd, config.n_embd // config.n_head
        self.shares, self.block_size = (H, K, K), config.block_size
        self.rotary, self.dropout = config.rotary, config.dropout
        self.c_attn = nn.Linear(C, (H + 2 * K) * D, bias=config.bias)
        self.q_norm = RMSNorm(D) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(D) if config.qk_norm else nn.Identity()
        self.c_proj = nn.Linear(C, C, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.size(-2) > self.block_size:
            raise ValueError(
                f"{x.size(-2)} tokens are more than block_size={self.block_size}"
            )
        heads = split_heads(self.c_attn(x), sum(self.shares))  # (B, H + 2K, T, D)
        q, k, v = heads.split(self.shares, dim=1)
        q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = rotate(q), rotate(k)
        p = self.dropout if self.training else 0.0
        grouped = q.size(1) > k.size(1)  # then head h reads keys h // (H / K)
        y = F.scaled_dot_product_attention(
            q, k, v, dropout_p=p, is_causal=True, enable_gqa=grouped
        )  # (B, H, T, D)
        return self.resid_dropout(self.c_proj(merge_heads(y)))  # (B, T, C)


def norm_for(config: ModernConfig) -> nn.Module:
    """The norm that the config asks for, over the C numbers of a token.

    >>> norm_for(ModernConfig(norm="rms")).weight.shape
    torch.Size([768])
    """
    if config.norm == "rms":
        return RMSNorm(config.n_embd)
    return nn.LayerNorm(config.n_embd, bias=config.bias)


class ModernBlock(nn.Module):
    """GPT-2's block, its four parts chosen by the config.

    >>> config = ModernConfig(block_size=8, n_embd=32, n_head=4, **MODERN)
    >>> ModernBlock(config)(torch.zeros(2, 8, 32)).shape
    torch.Size([2, 8, 32])
    """

    def __init__(self, config: ModernConfig):
        super().__init__()
        self.ln_1 = norm_for(config)
        self.attn = GroupedAttention(config)
        self.ln_2 = norm_for(config)
        self.mlp = MLPS[config.mlp](config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))  # (B, T, C)
        return x + self.mlp(self.ln_2(x))  # (B, T, C)


def soft_cap(logits: torch.Tensor, cap: float) -> torch.Tensor:
    """Bend logits so that none passes ±cap; near 0 nearly nothing changes.

    >>> soft_cap(torch.tensor([1.0, 30.0, 1000.0]), cap=30.0)
    tensor([ 0.9996, 22.8478, 30.0000])
    """
    return cap * torch.tanh(logits / cap)


class ModernGPT(nn.Module):
    """A GPT whose config says what is modern in it; with no switch on, GPT-2.

    >>> sizes = dict(block_size=8, vocab_size=65, n_layer=2, n_head=4, n_embd=32)
    >>> model = ModernGPT(ModernConfig(**sizes, **MODERN))
    >>> logits, loss = model(torch.zeros(4, 8, dtype=torch.long))
    >>> logits.shape, loss
    (torch.Size([4, 8, 65]), None)
    """

    def __init__(self, config: ModernConfig):
        super().__init__()
        self.config = config
        parts = {"wte": nn.Embedding(config.vocab_size, config.n_embd)}
        if not config.rotary:
            parts["wpe"] = nn.Embedding(config.block_size, config.n_embd)
        parts["drop"] = nn.Dropout(config.dropout)
        blocks = (ModernBlock(config) for _ in range(config.n_layer))
        parts["h"] = nn.ModuleList(blocks)
        parts["ln_f"] = norm_for(config)
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        init_weights(self, config.n_layer)
        if config.ngram_rows:  # behind the first weights, for its own are 0
            sizes = (config.vocab_size, config.ngram_rows, config.n_embd)
            self.transformer["ngrams"] = NGramEmbedding(*sizes)
        if config.tied:
            self.lm_head.weight = self.transformer.wte.weight
        if config.zero_init:
            for block in self.transformer.h:
                nn.init.zeros_(block.attn.c_proj.weight)
                nn.init.zeros_(block.mlp.c_proj.weight)

    def hidden_states(
        self, idx: torch.Tensor, last_only: bool = False
    ) -> torch.Tensor:
        """Return what the last norm hands to the head: (B, T, C), or (B, 1, C)."""
        check_ids(idx, None, self.config.block_size, last_only)
        x = self.transformer.wte(idx)  # (B, T, C)
        if not self.config.rotary:
            x = x + self.transformer.wpe.weight[: idx.size(1)]
        if self.config.ngram_rows:
            x = x + self.transformer.ngrams(idx)
        x = self.transformer.drop(x)
        for block in self.transformer.h:
            x = block(x)  # (B, T, C)
        return self.transformer.ln_f(x[:, -1:] if last_only else x)

    def forward(
        self,
        idx: torch.Tensor,
        targets: torch.Tensor | None = None,
        *,
        last_only: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        check_ids(idx, targets, self.config.block_size, last_only)
        # (B, T, V), or (B, 1, V)
        logits = self.lm_head(self.hidden_states(idx, last_only))
        if self.config.soft_cap is not None:
            logits = soft_cap(logits, self.config.soft_cap)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
