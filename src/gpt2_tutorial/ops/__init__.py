"""What the command `gpt2` does: one module for each of its words, none of them taught."""
