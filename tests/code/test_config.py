"""config: the papers' numbers, a preset for each machine, and refusals in a sentence."""

import re
from dataclasses import fields, replace

import pytest

from gpt2_tutorial import train
from gpt2_tutorial.config import PRESETS, TrainConfig
from gpt2_tutorial.gpt import GPT, GPTConfig
from small_run import CONFIG


def test_the_defaults_are_gpt2_and_its_papers_numbers():
    config = TrainConfig()
    assert config.gpt() == GPTConfig() and config.pieces(1) == 32 and config.pieces(8) == 4
    assert config.max_steps * config.batch_tokens == 9_999_745_024
    assert abs(config.warmup_steps * config.batch_tokens / 375e6 - 1) < 0.001


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fits_its_machine(name):
    many = 8 if name.startswith("8x") else 1
    assert PRESETS[name].pieces({"cpu": 2, "2x8xh100": 16}.get(name, many)) >= 1


def test_the_large_preset_is_gpt2_xl_with_the_numbers_of_gpt3s_row_of_that_size():
    config = PRESETS["8xh100-xl"]
    assert config.gpt() == GPT.SIZES["gpt2-xl"] and config.shard
    assert config.max_lr == 2e-4 and config.batch_tokens == 2**20  # Brown et al., table 2.1
    assert abs(config.warmup_steps * config.batch_tokens / 375e6 - 1) < 0.002
    tokens, parameters = config.max_steps * config.batch_tokens, 1_557_611_200
    assert 20 <= tokens / parameters < 20.5
    assert [name for name in PRESETS if PRESETS[name].shard] == ["8xh100-xl"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (dict(micro_batch=0), "micro_batch must be at least 1, not 0"),
        (dict(max_norm=-1.0), "max_norm must be 0 or more, not -1.0"),
        (dict(max_lr=float("nan")), "nan"),
        (dict(n_head=5), "5 heads cannot share n_embd=16"),
        (dict(warmup_steps=30), "warmup_steps is 30, more than the 20 of max_steps: lower w"),
        (dict(eval_batches=0), "eval_batches must be at least 1, not 0"),
        (dict(keep=0), "keep must be at least 1, not 0"),
        (dict(max_steps=0), "max_steps must be at least 1, not 0"),
        (dict(save_every=0), "save_every must be at least 1"),
        (dict(max_steps=-3), "max_steps must be at least 1, not -3"),
        (dict(beta2=1.0), "beta2 must be 0 or more and below 1, not 1.0"),
        (dict(seed=2**32), "seed must be 0 or more and below 4,294,967,296"),
        (dict(min_lr=0.1), "min_lr is 0.1, more than the 0.01 of max_lr: lower min_lr as well"),
        (dict(precision="fp8"), "precision is auto, fp32, bf16 or fp16, not 'fp8'"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(change, said):
    with pytest.raises(ValueError, match=said):
        replace(CONFIG, **change)


def test_a_batch_that_cannot_be_cut_says_which_could():
    with pytest.raises(ValueError, match=r"batch_tokens=64 .* 48 tokens .* 3 processes.* take 48"):
        replace(CONFIG).pieces(3)


@pytest.mark.parametrize("batch", [100, 120, 10**6 + 7])
def test_what_it_advises_can_be_cut(batch):
    config = replace(CONFIG, batch_tokens=batch)  # 2 rows of 8 tokens at once
    with pytest.raises(ValueError) as problem:
        config.pieces(5)
    said = str(problem.value)
    advised = int(re.search(r"take ([\d,]+)", said)[1].replace(",", ""))
    assert replace(config, batch_tokens=advised).pieces(5) >= 1
    others = [micro for micro in range(1, 10) if batch % (micro * 8 * 5) == 0]
    assert ("or another micro_batch" in said) == bool(others)


def test_a_setting_is_declared_once_with_its_type_its_default_and_its_words():
    for setting in fields(TrainConfig):
        assert setting.type in (int, float, bool, str), setting.name
        assert type(setting.default) is setting.type and setting.metadata["help"], setting.name


def test_readers_find_the_settings_where_they_train():
    assert train.TrainConfig is TrainConfig and train.PRESETS is PRESETS
