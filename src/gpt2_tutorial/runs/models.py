"""A model by name, together with the tokenizer that belongs to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from gpt2_tutorial import assets
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.evaluate import Item
from gpt2_tutorial.exam_files import plain_item, read_items
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.modern import ModernGPT
from gpt2_tutorial.precision import default_device
from gpt2_tutorial.pretrained import load_gpt2
from gpt2_tutorial.runs.qwen3 import KIND, load_qwen3
from gpt2_tutorial.runs.tokenizers import spare_rows, tokenizer_beside
from gpt2_tutorial.text import CharTokenizer
from gpt2_tutorial.weight_checks import TOKENS
from gpt2_tutorial.weight_files import CONFIG, kind_of_model, model_folder

OURS = "simple-gpt"  # the model of chapter 12, which comes with the package


def open_model(
    name_or_folder: str, device: str | None = None
) -> tuple[GPT | ModernGPT, CharTokenizer | BPETokenizer]:
    """Load a model and its tokenizer, and see that they fit together.

    >>> import tempfile
    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> from gpt2_tutorial.pretrained import save_gpt2
    >>> folder = tempfile.mkdtemp()
    >>> save_gpt2(GPT(GPTConfig(8, 2, 1, 1, 12)), folder)
    >>> _ = Path(folder, "characters.json").write_text('["a", "b"]')
    >>> open_model(folder, "cpu")[1].decode([1, 0])
    'ba'
    """
    if name_or_folder == OURS and not Path(OURS).exists():
        name_or_folder = str(assets.model_folder(OURS))
    folder = model_folder(name_or_folder)
    load = load_qwen3 if kind_of_model(folder) == KIND else load_gpt2
    model = load(folder, device or default_device())
    tokenizer = tokenizer_beside(folder) or GPT2Tokenizer()
    tokens = json.loads((folder / CONFIG).read_bytes()).get(TOKENS)
    spare_rows(model.config.vocab_size, tokenizer, name_or_folder, tokens)
    return model, tokenizer


def spare_rows_note(model: GPT, tokenizer: CharTokenizer | BPETokenizer) -> str:
    """Say in a sentence that a model has rows which stand for no token; "" if it has none.

    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> spare_rows_note(GPT(GPTConfig(8, 4, 1, 1, 12)), CharTokenizer("abc"))
    '1 row more than its tokenizer has tokens: padded or with added tokens, and never drawn'
    """
    more = model.config.vocab_size - tokenizer.vocab_size
    if not more:
        return ""
    whose = "GPT-2" if isinstance(tokenizer, GPT2Tokenizer) else "its tokenizer"
    return (
        f"{more:,} row{'s' * (more > 1)} more than {whose} has tokens: padded or with added "
        "tokens, and never drawn"
    )


def read_utf8(data: bytes, name: str) -> str:
    """Decode a text, or say where it is none; a mark of byte order before it is no text.

    >>> read_utf8("\\ufeffé".encode(), "a.txt")
    'é'
    """
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{name} is no UTF-8: byte {error.start:,}, in line {line:,}, is "
            f"0x{data[error.start]:02x}; save it as UTF-8"
        ) from None


def items_in(text: str, name: str, item: Callable[[dict], Item] = plain_item) -> list[Item]:
    """Read the items of a file; where a line is none, say of which file it is.

    >>> items_in('{"ctx": "We", "endings": ["eat.", "onion."], "label": 0}', "items.jsonl")
    [Item(context='We', choices=('eat.', 'onion.'), label=0)]
    """
    try:
        return read_items(text.split("\n"), item)
    except ValueError as error:
        raise ValueError(f"{name}, {error}") from None


def encoded(tokenizer: CharTokenizer | BPETokenizer, text: str, name: str) -> list[int]:
    """Turn a text into ids; where it holds a character that the model lacks, say in which line.

    >>> encoded(CharTokenizer("ab\\n"), "ab\\nba", "a.txt")
    [1, 2, 0, 2, 1]
    """
    try:
        return tokenizer.encode(text)
    except ValueError as error:
        unknown = min(set(text).difference(getattr(tokenizer, "characters", "")), default="")
        line = text.count("\n", 0, text.find(unknown)) + 1
        cure = ": save it with line ends of Unix (LF)" if unknown == "\r" else ""
        raise ValueError(f"{name}, line {line:,}: {error}{cure}") from None
