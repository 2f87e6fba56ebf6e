"""The tokenizer that belongs to a model or to shards: found by the files that lie beside them.

Every command looks here, so what one of them trains, another one reads with the same ids.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2_tutorial.bpe import GPT2_PATTERN, BPETokenizer, GPT2Tokenizer, bytes_to_unicode
from gpt2_tutorial.bpe_export import spelled_vocabulary
from gpt2_tutorial.bpe_input import end_of_text, spelled_parts
from gpt2_tutorial.shard_format import ShardError, read_index, vocabulary_hash

if TYPE_CHECKING:  # they need torch, and the processes of `gpt2 prepare` do without
    from gpt2_tutorial.config import TrainConfig
    from gpt2_tutorial.text import CharTokenizer

CHARACTERS, BPE = "characters.json", "bpe.json"  # what write_shards leaves beside its shards
HUGGING_FACE, WORDS, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
SETTINGS, ADDED = "tokenizer_config.json", "added_tokens.json"
READ_HERE = f"{CHARACTERS}, {BPE}, {HUGGING_FACE}, or {WORDS} with {MERGES}"
# Files that say how a text is cut, in ways that are not read here.
UNREAD = ("*.tiktoken", "*.model", "vocab.txt", "vocab.bpe", "encoder.json", MERGES)
WIDEST = 1024  # tables are padded to a multiple of it at most (Megatron's 128 × 8)
_LONGEST = 1 << 27  # bytes of a file; GPT-2's tokenizer.json has 1.4 million


def tokenizer_beside(folder: str | os.PathLike[str]) -> CharTokenizer | BPETokenizer | None:
    """Read the tokenizer whose files lie in a folder; None where there are none.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> BPETokenizer([(104, 105)], ["<|endoftext|>"]).save(Path(folder, BPE))
    >>> tokenizer_beside(folder).encode("hi")
    [256]
    """
    folder = Path(folder)
    found = _readings(folder)
    for tokenizer in found.values():
        if isinstance(tokenizer, Exception):
            raise tokenizer
    strange = [file.name for file in _files(folder) if _is_strange(file.name, found)]
    if strange:
        raise ValueError(
            f"{folder} holds {strange[0]!r:.80}, a tokenizer that is not read here: put "
            f"{READ_HERE} there instead"
        )
    if not found:
        return None
    first, tokenizer = next(iter(found.items()))
    for name, other in found.items():
        if not _are_one(tokenizer, other, cut=WORDS not in (first, name)):
            raise ValueError(
                f"{first} and {name} in {folder} are two tokenizers: keep the one that belongs "
                "to the weights"
            )
    _check_added(folder, tokenizer)
    return _gpt2s_own(tokenizer)


def tokenizer_file(path: str | os.PathLike[str]) -> BPETokenizer:
    """Read one file of a tokenizer, or the one that lies in a folder.

    >>> import tempfile
    >>> BPETokenizer([(104, 105)], ["<|endoftext|>"]).save(file := tempfile.mkstemp()[1])
    >>> tokenizer_file(file).vocab_size
    258
    """
    path = Path(path)
    if path.name in (WORDS, MERGES):  # neither tells anything without the other
        return _words(path.with_name(WORDS))
    if not path.is_dir():
        _check_file(path)
        return _gpt2s_own(BPETokenizer.load(path))
    tokenizer = tokenizer_beside(path)
    if not isinstance(tokenizer, BPETokenizer):
        raise ValueError(f"{path} holds no tokenizer of tokens: name a file, or gpt2")
    return tokenizer


def tokenizer_of_shards(folder: str | os.PathLike[str]) -> CharTokenizer | BPETokenizer:
    """Find the tokenizer that wrote a folder of shards: beside them, or else GPT-2's.

    >>> import tempfile
    >>> from gpt2_tutorial.shards import write_shards
    >>> from gpt2_tutorial.text import CharTokenizer
    >>> folder = tempfile.mkdtemp()
    >>> _ = write_shards(["ab", "ba"], CharTokenizer("ab."), folder, end_of_text=0)
    >>> tokenizer_of_shards(folder).characters
    ['.', 'a', 'b']
    """
    wanted = read_index(folder)["job"]["vocabulary"]
    problems = []
    for name, tokenizer in _readings(Path(folder)).items():
        if isinstance(tokenizer, Exception):
            problems.append(str(tokenizer))
        elif vocabulary_hash(tokenizer).hex() == wanted:
            return _gpt2s_own(tokenizer)
        else:
            problems.append(f"{name} holds another one")
    gpt2 = GPT2Tokenizer()
    if vocabulary_hash(gpt2).hex() == wanted:
        return gpt2
    there = "; ".join(problems) or f"neither {CHARACTERS} nor {BPE} is there"
    raise ShardError(
        f"which tokenizer wrote the shards in {folder}? It is not GPT-2's, and {there}: "
        "put the file of that tokenizer beside them, or prepare the data again"
    )


def start_of(tokenizer: CharTokenizer | BPETokenizer) -> list[int]:
    """Give a model something to begin after: end-of-text, or else a new line.

    >>> start_of(BPETokenizer([], ["<|user|>", "<|endoftext|>"]))
    [257]
    """
    end = end_of_text(tokenizer)
    if end is not None:
        return [end]
    known = getattr(tokenizer, "characters", "\n")
    # a text without lines begins after its first character
    return tokenizer.encode("\n" if "\n" in known else known[0])


def spare_rows(
    rows: int, tokenizer: CharTokenizer | BPETokenizer, name: str, tokens: int | None = None
) -> int:
    """Count the rows of a model that stand for no token; refuse a tokenizer of another model.

    `tokens` is how many the model's own files say it was trained with, if they do.

    >>> spare_rows(50304, GPT2Tokenizer(), "padded")
    47
    """
    known, is_gpt2 = tokenizer.vocab_size, isinstance(tokenizer, GPT2Tokenizer)
    # Characters are never padded but by our own training, which says so.
    most = known if hasattr(tokenizer, "characters") else -(-known // WIDEST) * WIDEST
    if known <= rows <= most or tokens == known < rows:
        return rows - known
    kind = "characters" if hasattr(tokenizer, "characters") else "tokens beside it"
    kind = "tokens of GPT-2" if is_gpt2 else kind
    raise ValueError(
        f"{name} has {rows:,} tokens, and there are {known:,} {kind}: put the {CHARACTERS}, "
        f"{BPE} or {HUGGING_FACE} that belongs to it beside its weights"
    )


def with_rows_for(tokenizer: CharTokenizer | BPETokenizer, config: TrainConfig) -> TrainConfig:
    """Refuse settings with fewer rows than the data have tokens, and tokens that no file keeps.

    >>> from gpt2_tutorial.config import TrainConfig
    >>> with_rows_for(GPT2Tokenizer(), TrainConfig(vocab_size=50304)).vocab_size
    50304
    """
    if config.vocab_size < tokenizer.vocab_size:
        raise ValueError(
            f"--vocab-size {config.vocab_size:,} is less than the {tokenizer.vocab_size:,} tokens "
            "of the data: leave it out, or take as many or more"
        )
    if isinstance(tokenizer, BPETokenizer):
        spelled_vocabulary(tokenizer)  # as it is written beside the model, after the last step
    return config


def _readings(folder: Path) -> dict[str, CharTokenizer | BPETokenizer | Exception]:
    """What each file of a tokenizer in a folder is: a tokenizer, or why it is none."""
    readers: dict[str, Callable[[Path], Any]] = {
        CHARACTERS: _characters,
        BPE: BPETokenizer.load,
        HUGGING_FACE: BPETokenizer.load,
        WORDS: partial(_words, known=folder / HUGGING_FACE),
    }
    found: dict[str, CharTokenizer | BPETokenizer | Exception] = {}
    for name, read in readers.items():
        if os.path.lexists(file := folder / name):
            try:
                _check_file(file)
                found[name] = read(file)
            except (ValueError, OSError) as error:
                found[name] = error
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_strange(name: str, found: dict[str, Any]) -> bool:
    if name == MERGES and WORDS in found:
        return False
    return any(fnmatch(name.lower(), pattern) for pattern in UNREAD)


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise ValueError(f"{file} is no file that can be read: a tokenizer should be there")
    if (size := file.stat().st_size) > _LONGEST:
        raise ValueError(f"{file} has {size:,} bytes, and no tokenizer is so large")


def _object(file: Path) -> dict[str, Any]:
    """What a file of JSON says; {} where there is no such file."""
    if not file.exists():
        return {}
    _check_file(file)
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            raise ValueError("it is no {…}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    return content


def _characters(file: Path) -> CharTokenizer:
    from gpt2_tutorial.text import CharTokenizer

    try:
        characters = json.loads(file.read_text(encoding="utf-8-sig"))
        if not (isinstance(characters, list) and characters):
            raise ValueError("it is no list")
        "".join(characters).encode()  # refuses half a character
        tokenizer = CharTokenizer("".join(characters))
        if tokenizer.characters != characters:
            raise ValueError("its characters do not stand there once each, in sorted order")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is no list of characters: {error}") from None
    return tokenizer


def _words(file: Path, known: Path | None = None) -> BPETokenizer:
    """Read vocab.json and merges.txt; how they cut, a tokenizer.json beside them knows better."""
    merges = file.with_name(MERGES)
    if not file.is_file() or not merges.is_file():
        lacking = merges if file.is_file() else file
        raise ValueError(f"{lacking} is missing: {WORDS} and {MERGES} are read together")
    _check_file(file), _check_file(merges)
    try:
        lines = merges.read_text(encoding="utf-8-sig").split("\n")
        lines = [line.rstrip("\r") for line in lines]
        lines = lines[1:] if lines[0].startswith("#version") else lines
        vocabulary = json.loads(file.read_text(encoding="utf-8-sig"))
        letters, added = bytes_to_unicode(), _added(file.parent)
        parts = spelled_parts(vocabulary, [line for line in lines if line], added, letters)
        tokenizer = BPETokenizer(**parts)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} and {MERGES} are no tokenizer to load: {error}") from None
    settings = _settings(file.parent)
    kind = settings.get("tokenizer_class", "GPT2Tokenizer")
    if not (known and known.exists()) and kind not in ("GPT2Tokenizer", "GPT2TokenizerFast"):
        raise ValueError(f"{file} belongs to a {kind!r:.40}, and only GPT2Tokenizer is read here")
    return tokenizer


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / SETTINGS
    content = _object(file)
    if content.get("add_prefix_space"):
        raise ValueError(
            f"{file} puts a space before every text (add_prefix_space), which is not done here"
        )
    return content


def _added(folder: Path) -> dict[Any, Any]:
    """The tokens that two more files of Hugging Face add to a vocabulary, with their ids."""
    listed = _settings(folder).get("added_tokens_decoder")
    listed = listed if isinstance(listed, dict) else {}
    added = {
        token.get("content"): int(i)
        for i, token in listed.items()
        if isinstance(token, dict) and i.isdecimal()
    }
    return added | _object(folder / ADDED)


def _check_added(folder: Path, tokenizer: CharTokenizer | BPETokenizer) -> None:
    """Refuse added tokens that the tokenizer does not have, or has under another id."""
    special = getattr(tokenizer, "special_tokens", {})
    for name, i in _added(folder).items():
        if special.get(name) != i:
            raise ValueError(
                f"{SETTINGS} or {ADDED} in {folder} adds the token {name!r:.40} with the id "
                f"{i!r:.20}, and the tokenizer beside it has it as {special.get(name)}"
            )


def _are_one(one: Any, other: Any, cut: bool) -> bool:
    """Whether two mean the same text by every id and, where both say how they cut, cut alike."""
    if one is other:
        return True
    parts = [(getattr(t, "pattern", None), getattr(t, "merges", None)) for t in (one, other)]
    same = not cut or parts[0] == parts[1]
    return same and vocabulary_hash(one) == vocabulary_hash(other)


def _gpt2s_own(tokenizer: Any) -> Any:
    """GPT-2's in its own class, which looks whole pieces up, if it is that."""
    if not isinstance(tokenizer, BPETokenizer) or tokenizer.vocab_size != 50_257:
        return tokenizer
    parts = [tokenizer.merges, tokenizer.tokens, tokenizer.special_tokens]
    if tokenizer.pattern != GPT2_PATTERN:
        return tokenizer
    gpt2 = GPT2Tokenizer()
    return gpt2 if parts == [gpt2.merges, gpt2.tokens, gpt2.special_tokens] else tokenizer
