"""A training run of a second: its settings, its data, and one process that trains."""

import random

import torch

from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.shards import ShardLoader, write_shards
from gpt2_tutorial.text import CharTokenizer
from gpt2_tutorial.train import fit

CONFIG = TrainConfig(
    block_size=8,
    vocab_size=11,
    n_layer=2,
    n_head=2,
    n_embd=16,
    batch_tokens=64,
    micro_batch=2,
    max_steps=20,
    warmup_steps=3,
    max_lr=0.01,
    save_every=4,
    eval_every=7,
    eval_batches=2,
    precision="fp32",  # runs are compared here: on some processors two formats race
)


def write_letters(folder):
    """Sixty documents of chance, in shards; return their folder."""
    rng = random.Random(0)
    documents = ["".join(rng.choices("abcdefghij", k=40)) for _ in range(60)]
    write_shards(documents, CharTokenizer("abcdefghij\n"), folder, 500, end_of_text=0, val_every=5)
    return folder


def trained(data, folder, config=CONFIG, stop_at=None, dtype=torch.float32, **more):
    """Train from the start or go on; `stop_at` counts how often training asks."""
    asked, rows = iter(range(10**9)), []
    torch.manual_seed(config.seed)
    model = GPT(config.gpt()).to(dtype)
    sizes = config.micro_batch, config.block_size, 0, 1, config.seed
    result = fit(
        model,
        ShardLoader(data, "train", *sizes),
        config,
        folder=folder,
        val_loader=ShardLoader(data, "val", *sizes),
        log=rows.append,
        asked_to_stop=lambda: next(asked) == stop_at,
        **more,
    )
    return model, result, rows


def vector(model):
    """All weights in one row."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])
