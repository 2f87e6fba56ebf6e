"""The exercises of chapter 18: rotary positions, RMSNorm, a gate, shared heads, Muon, a cache."""

import math

import torch
import torch.nn.functional as F

from gpt2_tutorial.checks.judges import attention_by_loops
from gpt2_tutorial.checks.registry import Dice, exercise, value_exercise


def turn_by_loops(x, speeds):
    half, out = len(speeds), torch.empty_like(x)
    for t in range(len(x)):
        for i in range(half):
            angle = t * speeds[i].item()
            a, b = x[t, i].item(), x[t, i + half].item()
            out[t, i] = math.cos(angle) * a - math.sin(angle) * b
            out[t, i + half] = math.sin(angle) * a + math.cos(angle) * b
    return out


def arrows_to_turn(rng: Dice):
    """Tokens (T, D) and a speed for each pair; a quarter turn a place first."""
    quarter = torch.tensor([math.pi / 2])
    yield torch.tensor([[1.0, 0.0]] * 4), quarter
    yield torch.tensor([[1.0, 2.0]] * 3), quarter
    for i in range(22):
        T, pairs = 3 + i % 3, 2 + i // 3 % 2
        yield rng.randn(T, 2 * pairs), 0.2 + rng.rand(pairs)


@exercise("18.1", subgoal="turn", spec=turn_by_loops, inputs=arrows_to_turn, atol=1e-4)
def turn(x, speeds):
    # x (T, D), speeds (D/2,): numbers i and i + D/2 are a pair, and at place t
    # it is turned by t · speeds[i] to the left, in radians → (T, D)
    angles = torch.arange(len(x))[:, None] * speeds  # (T, D/2)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.chunk(2, -1)  # (T, D/2) each
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


def rms_norm_by_loops(x, gain, eps=1e-6):
    rows = []
    for numbers in x.flatten(0, 1).tolist():
        mean_square = sum(number**2 for number in numbers) / len(numbers)
        rows.append([number / math.sqrt(mean_square + eps) for number in numbers])
    return torch.tensor(rows).view(x.shape) * gain


def streams_to_level(rng: Dice):
    """A stream (B, T, C), a gain and an eps; some numbers are so small that eps matters."""
    yield torch.tensor([[[1.0, 7.0], [7.0, -1.0]]]), torch.ones(2), 1e-6
    small = 0.01 * torch.tensor([[[1.0, 2.0, 3.0, 4.0], [4.0, 4.0, 2.0, 2.0]]] * 2)
    yield small, torch.ones(4), 1e-4
    for i in range(22):
        B, T, C = (3, 3, 3) if i == 0 else (rng.randint(2, 3), rng.randint(2, 4), rng.randint(3, 6))
        x = rng.choice([0.01, 1.0, 10.0]) * (rng.randn(B, T, C) + rng.randint(-2, 2))
        yield x, 1 + rng.rand(C), rng.choice([1e-6, 1e-4])


@exercise(
    "18.2", subgoal="level", spec=rms_norm_by_loops, inputs=streams_to_level, atol=1e-4,
    without=("rms_norm", "layer_norm", "loop"),
)  # fmt: skip
def rms_norm(x, gain, eps=1e-6):
    # x (B, T, C), gain (C,) → (B, T, C)
    mean_square = (x * x).mean(-1, keepdim=True)  # (B, T, 1)
    return x / torch.sqrt(mean_square + eps) * gain  # (B, T, C)


def gated_by_loops(x, gate, up, down):
    rows = []
    for token in x.flatten(0, 1):
        asks, says = token @ gate, token @ up
        rows.append((asks / (1 + torch.exp(-asks)) * says) @ down)
    return torch.stack(rows).view(x.shape)


def tokens_and_maps(rng: Dice):
    """Tokens (B, T, C) and the three maps of a gated network with M numbers inside."""
    yield torch.ones(1, 1, 1), torch.tensor([[3.0]]), torch.tensor([[2.0]]), torch.ones(1, 1)
    yield torch.ones(1, 1, 1), torch.tensor([[-3.0]]), torch.tensor([[2.0]]), torch.ones(1, 1)
    for _ in range(20):
        B, T, C, M = rng.randint(1, 2), rng.randint(2, 3), rng.randint(2, 3), rng.randint(4, 5)
        yield rng.randn(B, T, C), *rng.randn(2, C, M), rng.randn(M, C)


@exercise("18.3", subgoal="gate", spec=gated_by_loops, inputs=tokens_and_maps, atol=1e-4)
def gated_mlp(x, gate, up, down):
    # x (B, T, C), gate and up (C, M), down (M, C) → (B, T, C)
    passes = F.silu(x @ gate)  # (B, T, M)
    return (passes * (x @ up)) @ down


def grouped_by_loops(q, k, v):
    H, K = q.shape[1], k.shape[1]
    out = torch.empty_like(q)
    for h in range(H):
        shared = h * K // H  # heads side by side read the same keys
        out[:, h] = attention_by_loops(q[:, h], k[:, shared], v[:, shared])
    return out


def heads_that_share(rng: Dice):
    """Queries of H heads, keys and values of K; K divides H."""
    for i in range(22):
        H, K = ((4, 2), (6, 3), (6, 2), (4, 4), (3, 1), (8, 2))[i % 6]
        B, T, D = 1 + i % 2, 2 + i % 3, 2 + i // 3 % 2
        yield 2 * rng.randn(B, H, T, D), *2 * rng.randn(2, B, K, T, D)


@exercise("18.4", subgoal="share", spec=grouped_by_loops, inputs=heads_that_share, atol=1e-4)
def grouped_attention(q, k, v):
    # q (B, H, T, D), k and v (B, K, T, D), K divides H → (B, H, T, D), causal
    share = q.size(1) // k.size(1)  # so many heads of queries read one head of keys
    k = k.repeat_interleave(share, dim=1)  # (B, H, T, D)
    v = v.repeat_interleave(share, dim=1)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def near_one_by_singular_values(g, steps, a, b, c):
    u, s, vt = torch.linalg.svd(g, full_matrices=False)
    s = s / (s * s).sum().sqrt()
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag(s) @ vt


def matrices_to_level(rng: Dice):
    """Matrices with more columns than rows or as many, a count of steps, three coefficients."""
    quintic = (3.4445, -4.7750, 2.0315)
    yield torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64), 1, *quintic
    yield torch.tensor([[0.3, 0.0], [0.0, 0.1]], dtype=torch.float64), 2, *quintic
    for i in range(20):
        rows = rng.randint(2, 4)
        g = rng.randn(rows, rows + i % 2).double()
        coefficients = quintic if i % 3 else (2.0, -1.5, 0.5)
        yield rng.choice([0.3, 0.7, 1.6]) * g / g.norm(), 2 + i % 2, *coefficients


@exercise(
    "18.5", subgoal="step", spec=near_one_by_singular_values, inputs=matrices_to_level, atol=1e-6,
    without=("svd", "linalg_svd"),
)  # fmt: skip
def near_one(g, steps, a, b, c):
    # g (R, C), R ≤ C → same shape: each singular value s of g, divided by the norm
    # of g, becomes a·s + b·s³ + c·s⁵, so many steps long
    x = g / g.norm()
    for _ in range(steps):
        gram = x @ x.T  # (R, R)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


value_exercise(
    "18.6", __name__, subgoal="share",
    stub="answer = None  # for example [1024, 512, 1000000]",
    solution="answer = [524_288, 131_072, 65_536]",
)  # fmt: skip
