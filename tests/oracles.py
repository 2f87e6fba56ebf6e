"""What the tests of attention and of the block hold our code against."""

import math

import pytest
import torch

DTYPES = [torch.float32, torch.float64]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])


def randn(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def run(function, inputs, parameters=()):
    """The output, then the gradients of a random mixture of it."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    out = function(*inputs)
    mixture = randn(*out.shape, dtype=out.dtype, seed=99)
    return out, torch.autograd.grad(out, [*inputs, *parameters], mixture)


def rounding(expected, terms=128):
    """How far rounding may take two sums of that many terms apart, in any order of adding.

    Each addition rounds by half an eps of the sum so far, on both sides. The sum so far is about
    as large as the largest number of the result, or as 1 where numbers near 1 cancel. No sum
    in these tests has more than 128 terms, but where a test says so.
    """
    size = max(1.0, expected.detach().abs().max().item())
    return terms * torch.finfo(expected.dtype).eps * size


def assert_same(ours, theirs, terms=128):
    (a, a_grads), (b, b_grads) = ours, theirs
    for one, other in zip([a, *a_grads], [b, *b_grads], strict=True):
        torch.testing.assert_close(one, other, atol=rounding(other, terms), rtol=0)


def by_loops(q, k, v):
    """The formula for one sequence and one head, in Python's own numbers: lists in, list out."""
    out = []
    for i in range(len(q)):
        scores = []
        for j in range(i + 1):
            products = [a * b for a, b in zip(q[i], k[j], strict=True)]
            scores.append(math.exp(math.fsum(products) / math.sqrt(len(q[i]))))
        total = math.fsum(scores)
        mixed = [0.0] * len(v[0])
        for j in range(i + 1):
            mixed = [m + scores[j] / total * x for m, x in zip(mixed, v[j], strict=True)]
        out.append(mixed)
    return out


def their_config():
    from transformers import GPT2Config

    quiet = dict(resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.0, attn_implementation="eager")
    return GPT2Config(n_embd=30, n_head=5, n_positions=16, n_layer=2, **quiet)


def turned(weight):
    """OpenAI stores a linear map as (in, out), nn.Linear as (out, in)."""
    return weight.T if weight.dim() == 2 else weight


def copy_transposed(theirs, ours):
    """Give both the same random weights, under the same names."""
    mine = dict(ours.named_parameters())
    assert mine.keys() == dict(theirs.named_parameters()).keys()
    for seed, (name, parameter) in enumerate(theirs.named_parameters()):
        parameter.data = randn(*parameter.shape, dtype=parameter.dtype, seed=seed) / 10
        mine[name].data = turned(parameter.data).clone()


def their_model(dtype=torch.float32, seed=0, spread=0.2, **sizes):
    """A GPT2LMHeadModel of transformers with random numbers everywhere, biases and norms too."""
    from transformers import GPT2Config, GPT2LMHeadModel

    drops = dict.fromkeys(("resid_pdrop", "attn_pdrop", "embd_pdrop"), 0.0)
    ends = dict.fromkeys(("bos_token_id", "eos_token_id"))
    model = GPT2LMHeadModel(GPT2Config(**sizes, **drops, **ends)).to(dtype)
    randomise(model, seed, spread)
    return model.eval()


def randomise(model, seed=0, spread=0.2):
    for offset, parameter in enumerate(model.parameters()):
        noise = randn(*parameter.shape, dtype=parameter.dtype, seed=1000 * seed + offset)
        parameter.data.copy_(spread * noise)  # in place, so what is tied stays tied


def cross_entropy(logits, targets):
    """−log softmax at the right answers, by the formula and in float64; logits (…, V)."""
    logits = logits.double().flatten(0, -2)  # (N, V)
    logits = logits - logits.detach().amax(-1, keepdim=True)
    right = logits.gather(-1, targets.flatten()[:, None])
    return (logits.exp().sum(-1, keepdim=True).log() - right).mean()
