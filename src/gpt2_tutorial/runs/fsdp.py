"""Is a run cut over its processes (FSDP2) or not? What depends on it, and is asked of every run.

`runs.sharded_run` does the cutting, and brings seconds of imports: only a cut run pays for them.
A run of the recipe modern is never cut.
"""

import torch

from gpt2_tutorial.config import TrainConfig
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.run import Run
from gpt2_tutorial.runs.modern_run import ModernRun


def run_class(config: TrainConfig) -> type[Run]:
    """Return what `train.fit` must make: a run with all weights in each process, or a cut one.

    >>> [run_class(TrainConfig(**c)).__name__ for c in ({"shard": True}, {"recipe": "modern"})]
    ['ShardedRun', 'ModernRun']
    """
    if config.recipe == "modern":
        return ModernRun
    if not config.shard:
        return Run
    from gpt2_tutorial.runs.sharded_run import ShardedRun

    return ShardedRun


@torch.no_grad()
def whole(model: GPT) -> GPT:
    """Return a plain GPT with all weights: the model itself, or a copy if it is cut.

    All processes must call it together; what each does with the copy is its own affair.

    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> model = GPT(GPTConfig(block_size=8, vocab_size=65, n_layer=1, n_embd=24))
    >>> whole(model) is model
    True
    """
    if not any(hasattr(p, "full_tensor") for p in model.parameters()):  # a DTensor has it
        return model
    with torch.device("meta"):  # shapes alone: no memory, and no random number drawn
        copy = GPT(model.config)
    weights = {name: p.full_tensor() for name, p in model.named_parameters()}
    weights["lm_head.weight"] = weights["transformer.wte.weight"]
    copy.load_state_dict(weights, assign=True)
    copy.lm_head.weight = copy.transformer.wte.weight  # one table again
    return copy.train(model.training)
