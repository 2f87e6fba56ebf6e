"""The models whose training steps are timed: a preset, and how many tokens it knows."""

from __future__ import annotations

from gpt2_tutorial.simple import Preset

SHAPES = {
    "4 layers, 128 wide": (Preset(batch_size=12), 65),
    "6 layers, 384 wide": (
        Preset(block_size=256, n_layer=6, n_head=6, n_embd=384, batch_size=8),
        65,
    ),
    "GPT-2 124M": (
        Preset(block_size=256, n_layer=12, n_head=12, n_embd=768, batch_size=1),
        50257,
    ),
}
