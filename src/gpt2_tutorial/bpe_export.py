"""A tokenizer as other programs want it: as JSON, or for tiktoken (chapter 06)."""

import json
from itertools import pairwise
from typing import Any

from gpt2_tutorial.bpe import BPETokenizer, bytes_to_unicode


def spelled_vocabulary(tokenizer: BPETokenizer) -> dict[str, int]:
    """Spell every token in the letters of `bytes_to_unicode`, as encoder.json does.

    >>> spelled_vocabulary(BPETokenizer([(32, 116)]))["Ġt"]
    256
    """
    letter = bytes_to_unicode()
    tokens = tokenizer.tokens[: 256 + len(tokenizer.merges)]
    spelled = ["".join(map(letter.__getitem__, token)) for token in tokens]
    clash = sorted(set(spelled) & set(tokenizer.special_tokens))
    if clash:
        raise ValueError(f"{clash[0]!r} is a special and an ordinary token")
    return {word: i for i, word in enumerate([*spelled, *tokenizer.special_tokens])}


def to_hugging_face(tokenizer: BPETokenizer) -> str:
    """Write a tokenizer.json, which `tokenizers.Tokenizer.from_str` reads.

    >>> json.loads(to_hugging_face(BPETokenizer([(32, 116)])))["model"]["merges"]
    ['Ġ t']
    """
    vocabulary = spelled_vocabulary(tokenizer)
    word = list(vocabulary)
    merges = [f"{word[left]} {word[right]}" for left, right in tokenizer.merges]
    split = {"type": "Split", "pattern": {"Regex": tokenizer.pattern}}
    split |= {"behavior": "Isolated", "invert": False}
    spell = {"type": "ByteLevel", "use_regex": False}
    spell |= {"add_prefix_space": False, "trim_offsets": False}
    as_it_is = dict.fromkeys(
        ["single_word", "lstrip", "rstrip", "normalized"], False
    )
    special = [
        {"id": i, "content": name, "special": True} | as_it_is
        for name, i in tokenizer.special_tokens.items()
    ]
    content = {"version": "1.0", "added_tokens": special, "decoder": spell}
    cut = [split, spell]
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": cut}
    content["model"] = {"type": "BPE", "vocab": vocabulary, "merges": merges}
    return json.dumps(content)


def to_tiktoken(tokenizer: BPETokenizer, name: str = "bpe") -> Any:
    """Build a `tiktoken.Encoding` that gives the same ids."""
    try:
        import tiktoken
    except ImportError:
        raise ImportError(
            "this needs tiktoken: run `pip install tiktoken`"
        ) from None
    special = tokenizer.special_tokens
    for short, long in pairwise(sorted(special)):
        if long.startswith(short):
            raise ValueError(
                f"tiktoken could take {long!r} for {short!r} and a rest"
            )
    tokens = tokenizer.tokens[: 256 + len(tokenizer.merges)]
    for i, token in enumerate(tokens):  # tiktoken looks for tokens, not for pairs
        if tokenizer._pieces.merged(token) != (i,):
            raise ValueError(f"its own merges never lead to the token {token!r}")
    ranks = {token: i for i, token in enumerate(tokens)}
    return tiktoken.Encoding(
        name,
        pat_str=tokenizer.pattern,
        mergeable_ranks=ranks,
        special_tokens=special,
    )
