"""The settings of a run, and one preset for each machine (chapter 17)."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gpt2_tutorial.gpt import GPTConfig
from gpt2_tutorial.optim import cosine_with_warmup
from gpt2_tutorial.precision import choose_precision


def setting(default: Any, meaning: str) -> Any:
    """A field of `TrainConfig`: its default, and what `--help` says about it.

    >>> setting(6e-4, "highest learning rate").metadata["help"]
    'highest learning rate'
    """
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a run; as given, GPT-2's 124M on 10B tokens.

    >>> config = TrainConfig(micro_batch=32)
    >>> config.pieces(world_size=8), config.lr(715), config.gpt() == GPTConfig()
    (2, 0.0006, True)
    """

    # chapter 18 says what is in the other one; launch and files are the same
    recipe: str = setting("gpt2", "gpt2, or modern: what came after it, with Muon")
    # the model: nanoGPT's names, GPT-2's numbers (Radford et al. 2019, Table 2)
    block_size: int = setting(1024, "tokens that the model sees at once")
    vocab_size: int = setting(50257, "how many tokens there are; the data know it")
    n_layer: int = setting(12, "blocks, one upon the other")
    n_head: int = setting(12, "heads of attention in a block")
    n_embd: int = setting(768, "numbers that stand for one token")
    # ten billion tokens are read once: nothing to overfit
    dropout: float = setting(0.0, "share of numbers left out while it learns")
    # one step: 512 sequences (GPT-2's section 2.3), the rest of GPT-3 (Brown 2020)
    # 512 × 1,024; GPT-3's Table 2.1 says 0.5M as well
    batch_tokens: int = setting(524_288, "tokens of a step, of all processes")
    micro_batch: int = setting(16, "sequences at once: what a device can hold")
    max_norm: float = setting(1.0, "a longer gradient is cut to this")  # Appendix B
    weight_decay: float = setting(0.1, "pull of the weights to 0")  # Appendix B
    beta1: float = setting(0.9, "AdamW's memory of gradients")  # Appendix B
    beta2: float = setting(0.95, "AdamW's memory of their squares")  # Appendix B
    # the road; 375M tokens of warm-up, then a cosine down to a tenth (Appendix B)
    max_steps: int = setting(19_073, "steps of the run")  # ten billion tokens
    warmup_steps: int = setting(715, "steps until max_lr")  # 375 million tokens
    max_lr: float = setting(6e-4, "highest learning rate")  # Table 2.1
    min_lr: float = setting(6e-5, "learning rate at the end")
    # Muon's own; it rises and falls with the other (Jordan et al. 2024)
    muon_lr: float = setting(0.02, "recipe modern: highest rate of matrices")
    seed: int = setting(1337, "of weights, dropout and data")  # nanoGPT's
    # how it is computed: the same numbers but for rounding
    # auto: chapter 12's choice; a run keeps what it began with
    precision: str = setting("auto", "auto, fp32, bf16 or fp16")
    # a minute of waiting, then about twice as fast on a GPU
    compile: bool = setting(False, "let torch.compile make it faster")
    shard: bool = setting(False, "cut it over the processes, for gpt2-xl's 25 GB")
    # how often something else happens, in steps (250 and 20: build-nanogpt's)
    eval_every: int = setting(250, "steps from one evaluation to the next")
    eval_batches: int = setting(20, "batches of an evaluation, of each process")
    save_every: int = setting(250, "steps between saves: what a kill may cost")
    # one that is being replaced, and one that is surely whole
    keep: int = setting(2, "checkpoints that stay, beside the best one")

    def __post_init__(self):
        _refuse_nonsense(self)

    def gpt(self) -> GPTConfig:
        """The model's part of it."""
        names = {field.name for field in fields(GPTConfig)} & vars(self).keys()
        return GPTConfig(**{name: getattr(self, name) for name in names})

    def pieces(self, world_size: int) -> int:
        """How many micro-batches each process works through for one step."""
        at_once = self.micro_batch * self.block_size * world_size
        if self.batch_tokens % at_once:
            raise ValueError(_uneven(self, world_size))
        return self.batch_tokens // at_once

    def lr(self, step: int) -> float:
        """The learning rate of this step."""
        names = ("max_lr", "min_lr", "warmup_steps", "max_steps")
        plan = {name: getattr(self, name) for name in names}
        return cosine_with_warmup(step, **plan)


def _refuse_nonsense(config: TrainConfig) -> None:
    at_least_1 = ("micro_batch", "batch_tokens", "max_steps", "keep")
    for name in (*at_least_1, "eval_every", "eval_batches", "save_every"):
        value = getattr(config, name)
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    below = {"beta1": 1, "beta2": 1, "seed": 2**32}  # AdamW's, and NumPy's
    for name, value in asdict(config).items():
        if not isinstance(value, int | float):
            continue
        if not 0 <= value < below.get(name, math.inf):
            end = f" and below {below[name]:,}" if name in below else ""
            raise ValueError(f"{name} must be 0 or more{end}, not {value}")
    for name, above in {"warmup_steps": "max_steps", "min_lr": "max_lr"}.items():
        value, most = getattr(config, name), getattr(config, above)
        if value > most:
            raise ValueError(
                f"{name} is {value:,}, more than the {most:,} of {above}: "
                f"lower {name} as well"
            )
    config.gpt(), config.lr(0)  # each refuses what makes no sense to it
    modern = config.recipe == "modern"
    if not modern and config.recipe != "gpt2":
        raise ValueError(f"recipe must be gpt2 or modern, not {config.recipe!r}")
    if modern and config.shard:
        raise ValueError(
            "recipe modern cannot shard, for Muon needs every matrix whole: "
            "take --no-shard, or the recipe gpt2"
        )
    if modern and config.max_lr == 0:
        raise ValueError("recipe modern needs max_lr above 0, not 0")
    if config.precision != "auto":  # that would race, and needs the machine
        choose_precision("cpu", config.precision)


def _uneven(config: TrainConfig, world_size: int) -> str:
    a_row = config.block_size * world_size  # one sequence for each process
    at_once = config.micro_batch * a_row
    near = max(config.batch_tokens // at_once, 1) * at_once
    many = "1 process" if world_size == 1 else f"{world_size} processes"
    fits = config.batch_tokens % a_row == 0  # then a micro_batch of 1 does
    return (
        f"batch_tokens={config.batch_tokens:,} cannot be cut into pieces of "
        f"{at_once:,} tokens (micro_batch {config.micro_batch} × block_size "
        f"{config.block_size} × {many}): take {near:,}"
        + (", or another micro_batch" if fits else "")
    )


PRESETS = {  # one per machine; commands/plan.py tells what each takes and costs
    "cpu": TrainConfig(  # the shape of nanoGPT's quick start without a GPU
        block_size=64,
        vocab_size=65,
        n_layer=4,
        n_head=4,
        n_embd=128,
        batch_tokens=2048,
        micro_batch=8,
        max_steps=1000,
        warmup_steps=50,
        max_lr=2e-3,
        min_lr=2e-4,
        precision="fp32",  # a rehearsal is compared with others, bit by bit
        eval_every=100,
        save_every=100,
    ),
    "t4": TrainConfig(  # half a billion tokens: a night on a free GPU
        batch_tokens=65_536, micro_batch=8, max_steps=8_000, warmup_steps=400
    ),
    "4090": TrainConfig(micro_batch=16, compile=True),
    "1xh100": TrainConfig(micro_batch=64, compile=True),
    "8xh100": TrainConfig(micro_batch=64, compile=True),
    "8xa100": TrainConfig(micro_batch=32, compile=True),
    "2x8xh100": TrainConfig(micro_batch=32, compile=True),
    "8xh100-xl": TrainConfig(  # gpt2-xl (Radford et al. 2019, Table 2)
        n_layer=48,
        n_head=25,
        n_embd=1600,
        batch_tokens=1_048_576,  # and max_lr: GPT-3 XL's, its Table 2.1
        micro_batch=8,
        max_steps=30_000,  # 31B tokens: 20 a parameter (Hoffmann et al. 2022)
        warmup_steps=358,  # 375M tokens, as above
        max_lr=2e-4,
        min_lr=2e-5,
        compile=True,
        shard=True,
    ),
}
# what may differ when a run goes on: it changes rounding or pictures, not the run
MAY_CHANGE = ("micro_batch", "compile", "keep")
MAY_CHANGE += ("eval_every", "eval_batches", "save_every")


class ConfigChanged(ValueError):
    """A run was to go on with other settings than it began with."""


def check_same_run(began: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with another run's settings; say which, and both values.

    >>> check_same_run({"seed": 1, "keep": 2}, {"seed": 1, "keep": 3})
    """
    # A run that began before a setting was there has its default.
    began = {f.name: f.default for f in fields(TrainConfig)} | began
    if now.get("precision") == "auto":
        now = now | {"precision": began.get("precision")}
    changed = [
        f"{name} was {began.get(name)!r} and is {value!r}"
        for name, value in now.items()
        if name not in MAY_CHANGE and began.get(name) != value
    ]
    if changed:
        raise ConfigChanged(
            f"this folder holds a run with other settings: {'; '.join(changed)}. "
            "Take an empty folder, or the settings it began with."
        )
