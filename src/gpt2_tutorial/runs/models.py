"""A model by name, together with the tokenizer that belongs to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gpt2_tutorial import assets
from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer
from gpt2_tutorial.gpt import GPT
from gpt2_tutorial.precision import default_device
from gpt2_tutorial.pretrained import load_gpt2
from gpt2_tutorial.shard_format import ShardError, read_index, vocabulary_hash
from gpt2_tutorial.text import CharTokenizer

CHARACTERS, BPE = "characters.json", "bpe.json"  # what write_shards leaves beside its shards
OURS = "simple-gpt"  # the model of chapter 12, which comes with the package


def open_model(
    name_or_folder: str, device: str | None = None
) -> tuple[GPT, CharTokenizer | BPETokenizer]:
    """Load a model and its tokenizer, and see that they fit together.

    >>> import tempfile
    >>> from gpt2_tutorial.gpt import GPTConfig
    >>> from gpt2_tutorial.pretrained import save_gpt2
    >>> folder = tempfile.mkdtemp()
    >>> save_gpt2(GPT(GPTConfig(8, 2, 1, 1, 12)), folder)
    >>> _ = Path(folder, CHARACTERS).write_text('["a", "b"]')
    >>> open_model(folder, "cpu")[1].decode([1, 0])
    'ba'
    """
    if name_or_folder == OURS and not Path(OURS).exists():
        name_or_folder = str(assets.model_folder(OURS))
    model = load_gpt2(name_or_folder, device or default_device())
    tokenizer = tokenizer_of(name_or_folder)
    known, size = tokenizer.vocab_size, model.config.vocab_size
    if known != size:
        kind = "characters" if isinstance(tokenizer, CharTokenizer) else "tokens of GPT-2"
        raise ValueError(
            f"{name_or_folder} has {size:,} tokens, and there are {known:,} {kind}: put the "
            f"{CHARACTERS} that belongs to it beside its weights"
        )
    return model, tokenizer


def tokenizer_of(name_or_folder: str) -> CharTokenizer | BPETokenizer:
    """Characters where a folder lists them, else GPT-2's tokens.

    >>> tokenizer_of("gpt2").vocab_size
    50257
    """
    file = Path(name_or_folder, CHARACTERS)
    return _characters(file) if file.exists() else GPT2Tokenizer()


def tokenizer_of_shards(folder: str | os.PathLike[str]) -> CharTokenizer | BPETokenizer:
    """Find the tokenizer that wrote a folder of shards: beside them, or else GPT-2's.

    >>> import tempfile
    >>> from gpt2_tutorial.shards import write_shards
    >>> folder = tempfile.mkdtemp()
    >>> _ = write_shards(["ab", "ba"], CharTokenizer("ab."), folder, end_of_text=0)
    >>> tokenizer_of_shards(folder).characters
    ['.', 'a', 'b']
    """
    wanted = read_index(folder)["job"]["vocabulary"]
    readers = {CHARACTERS: _characters, BPE: BPETokenizer.load}
    beside = [Path(folder, name) for name in readers if Path(folder, name).exists()]
    problems = []
    for file in beside:
        try:
            tokenizer = readers[file.name](file)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        if vocabulary_hash(tokenizer).hex() == wanted:
            return tokenizer
        problems.append(f"{file.name} holds another one")
    gpt2 = GPT2Tokenizer()
    if vocabulary_hash(gpt2).hex() == wanted:
        return gpt2
    there = "; ".join(problems) or f"neither {CHARACTERS} nor {BPE} is there"
    raise ShardError(
        f"which tokenizer wrote the shards in {folder}? It is not GPT-2's, and {there}: "
        "put the file of that tokenizer beside them, or prepare the data again"
    )


def _characters(file: Path) -> CharTokenizer:
    try:
        characters = json.loads(file.read_text(encoding="utf-8"))
        if not (isinstance(characters, list) and characters):
            raise ValueError("it is no list")
        tokenizer = CharTokenizer("".join(characters))
        if tokenizer.characters != characters:
            raise ValueError("its characters do not stand there once each, in sorted order")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is no list of characters: {error}") from None
    return tokenizer


def start_of(tokenizer: CharTokenizer | BPETokenizer) -> list[int]:
    """Give a model something to begin after: end-of-text, or for characters a new line.

    >>> start_of(CharTokenizer("a\\n"))
    [0]
    """
    if isinstance(tokenizer, CharTokenizer):
        known = tokenizer.characters  # a text without lines begins after its first character
        return tokenizer.encode("\n" if "\n" in known else known[0])
    return list(tokenizer.special_tokens.values())[:1]


def read_utf8(data: bytes, name: str) -> str:
    """Decode a text, or say where it is none.

    >>> read_utf8("é".encode(), "a.txt")
    'é'
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{name} is no UTF-8: byte {error.start:,}, in line {line:,}, is "
            f"0x{data[error.start]:02x}; save it as UTF-8"
        ) from None
