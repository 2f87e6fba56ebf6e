"""The command `gpt2`: `cli` understands what was typed, and each word has its own module."""
