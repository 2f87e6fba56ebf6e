"""A run of the recipe modern: chapter 18's model, Muon for the matrices of its blocks.

AdamW steps the rest: the two tables and the gains. Both rates rise and fall together.
"""

from dataclasses import asdict

import torch

from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.distributed import ALONE, Ranks
from gpt2_tutorial.modern import MODERN, ModernConfig, ModernGPT
from gpt2_tutorial.muon import Muon, Together, split_params
from gpt2_tutorial.run import Loader, Run

# All of them but the cap: no layout that transformers knows has one beside QK-norm.
SWITCHES = MODERN | {"soft_cap": None, "bias": False}


def gpt(config: TrainConfig) -> ModernGPT:
    """Make the model that such a run begins with, of the sizes that GPT-2's would have.

    >>> sizes = dict(block_size=8, vocab_size=65, n_layer=1, n_head=2, n_embd=24)
    >>> gpt(TrainConfig(recipe="modern", **sizes)).config.mlp
    'swiglu'
    """
    return ModernGPT(ModernConfig(**asdict(config.gpt()) | SWITCHES))


class ModernRun(Run):
    """A `Run` with two optimizers that step as one; all else is as it was."""

    def __init__(self, model: ModernGPT, loader: Loader, config: TrainConfig, ranks: Ranks = ALONE):
        super().__init__(model, loader, config, ranks)
        matrices, _ = split_params(self.model)
        muon = Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay)
        for group in muon.param_groups:
            group["times"] = config.muon_lr / config.max_lr
        self.optimizer = Together(muon, without(matrices, self.optimizer))


def without(taken: list[torch.nn.Parameter], adamw: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Take parameters out of an optimizer that has made no step yet.

    >>> one, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    >>> rest = without([one], torch.optim.AdamW([one, other]))
    >>> len(rest.param_groups[0]["params"])
    1
    """
    ids = {id(p) for p in taken}
    for group in adamw.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in ids]
    return adamw
