"""Write a model into a folder that other programs read.

The folder holds config.json, model.safetensors and the tokenizer's files, as transformers,
llama.cpp's converter and vLLM want to find them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2_tutorial.commands.options import add_model, opened

if TYPE_CHECKING:
    from gpt2_tutorial.bpe import BPETokenizer
    from gpt2_tutorial.gpt import GPT
    from gpt2_tutorial.modern import ModernGPT
    from gpt2_tutorial.text import CharTokenizer

DTYPES = ("float16", "bfloat16", "float32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    add_model(parser)
    add = parser.add_argument
    add(
        "--to",
        required=True,
        metavar="FOLDER",
        help="where to write; the folder is made, or must be empty (required)",
    )
    add(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="the numbers in the file: 2 bytes each with float16 and bfloat16, which round, or 4 "
        "(default: float32)",
    )


def run(asked: argparse.Namespace) -> None:
    """Write the folder and say what is in it."""
    import torch

    folder = Path(asked.to)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already and not empty: name a new folder")
    model, tokenizer = opened(asked, "cpu")
    write_model(model, tokenizer, folder, dtype=getattr(torch, asked.dtype))
    for file in sorted(folder.iterdir()):
        print(f"{file.stat().st_size:>13,} bytes  {file}")


def write_model(
    model: GPT | ModernGPT, tokenizer: CharTokenizer | BPETokenizer, folder: str | Path, **how: Any
) -> None:
    """Write a model and the tokenizer that belongs to it; `how` goes to `save_gpt2`.

    A GPT goes into GPT-2's layout, a model of the recipe modern into that of Qwen3.

    >>> import tempfile
    >>> from gpt2_tutorial.gpt import GPT, GPTConfig
    >>> from gpt2_tutorial.text import CharTokenizer
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_model(GPT(GPTConfig(8, 2, 1, 1, 12)), CharTokenizer("ab"), folder)
    >>> sorted(file.name for file in folder.iterdir())
    ['characters.json', 'config.json', 'model.safetensors']
    """
    from gpt2_tutorial.modern import ModernGPT
    from gpt2_tutorial.pretrained import save_gpt2
    from gpt2_tutorial.runs.qwen3 import save_qwen3

    files = tokenizer_files(tokenizer, model.config.block_size)
    save = save_qwen3 if isinstance(model, ModernGPT) else save_gpt2
    save(model, folder, tokenizer=tokenizer, **how)
    for name, text in files.items():
        (Path(folder) / name).write_text(text, encoding="utf-8", newline="\n")


def tokenizer_files(tokenizer: CharTokenizer | BPETokenizer, block_size: int) -> dict[str, str]:
    """Return the content of every file that makes up a tokenizer.

    >>> from gpt2_tutorial.text import CharTokenizer
    >>> tokenizer_files(CharTokenizer("abba"), 8)
    {'characters.json': '["a", "b"]'}
    """
    from gpt2_tutorial.bpe import GPT2_PATTERN
    from gpt2_tutorial.bpe_export import spelled_vocabulary, to_hugging_face
    from gpt2_tutorial.bpe_input import end_of_text
    from gpt2_tutorial.text import CharTokenizer

    if isinstance(tokenizer, CharTokenizer):
        return {"characters.json": json.dumps(tokenizer.characters, ensure_ascii=False)}
    is_gpt2s = tokenizer.pattern == GPT2_PATTERN
    ids = {i: name for name, i in tokenizer.special_tokens.items()}
    end = ids.pop(end_of_text(tokenizer), None)
    # GPT2Tokenizer of transformers cuts by GPT-2's pattern, whatever tokenizer.json says.
    kind = "GPT2Tokenizer" if is_gpt2s else "PreTrainedTokenizerFast"
    known = {"tokenizer_class": kind, "model_max_length": block_size}
    known |= {"add_prefix_space": False, "bos_token": end, "eos_token": end, "unk_token": end}
    if ids:
        known["additional_special_tokens"] = list(ids.values())
    files = {
        "tokenizer.json": to_hugging_face(tokenizer),
        "tokenizer_config.json": json.dumps(known, indent=2),
    }
    if not is_gpt2s:
        return files  # the older two have no place for a pattern
    vocabulary = spelled_vocabulary(tokenizer)
    word = list(vocabulary)
    merges = [f"{word[left]} {word[right]}" for left, right in tokenizer.merges]
    return files | {
        "vocab.json": json.dumps(vocabulary, ensure_ascii=False),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
    }
