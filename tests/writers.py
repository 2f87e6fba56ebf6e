"""Small random models that write, and what the tests of writing ask of them."""

import torch
import torch.nn as nn

from gpt2_tutorial.gpt import GPT, GPTConfig


def small(seed=0, dtype=torch.float64, **changes):
    """A random model whose bets are far from even; in float64, so that rounding makes no ties."""
    shape = {"block_size": 12, "vocab_size": 31, "n_layer": 2, "n_head": 2, "n_embd": 16}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT(GPTConfig(**(shape | changes)))
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.35)
    return model.to(dtype).eval()


def prompt(model, rows, length, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.vocab_size, (rows, length), generator=g)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def random_knobs(rng):
    """A random choice of knobs; about one in six is greedy."""
    return {
        "temperature": rng.choice([0, 0.3, 0.8, 1.0, 1.0, 2.5]),
        "top_k": rng.choice([None, None, 1, 3, 500]),
        "top_p": rng.choice([None, None, 0.2, 0.9, 1.0]),
        "min_p": rng.choice([None, None, 0.0, 0.1, 1.0]),
        "repetition_penalty": rng.choice([1.0, 1.0, 1.3, 0.8]),
    }
