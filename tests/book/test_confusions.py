"""What confuses learners has its place in a chapter, and is found in their own words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from serving import ROOT
from sphinx.search.en import SearchEnglish

from drift.reading import notebooks

# what confuses: (cell, a piece of its text, what people type)
CONFUSIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "what y is": ("c02-057", "ahead", ("targets off by one", "y = x loss near 0")),
    "the first loss": ("c11-028", "ln 50,257", ("first loss too high", "loss at the start 10.8")),
    "3.0 or 2.9": ("c13-020", "hardly a difference", ("loss difference perplexity",)),
    "a Bigram that is a GPT": ("c02-045", "Bigram", ("BigramLanguageModel GPT",)),
    "zero_grad": ("c02-036", "zero", ("zero_grad forgotten", "why zero the gradients")),
    "+= in backward": ("c03-025", "+=", ("gradients add up backward", "exp backward")),
    "keepdim": ("c01-018", "keepdim", ("keepdim", "rows do not sum to 1")),
    "embedding or one-hot": ("c05-011", "one-hot", ("Embedding one-hot",)),
    "bytes and characters": (
        "c06-013",
        "UnicodeDecodeError",
        ("UnicodeDecodeError: 'utf-8' codec can't decode", "replacement character"),
    ),
    "which merge first": ("c06-040", "first", ("lowest merge first",)),
    "ties": ("c06-015", "tie", ("tie merge most frequent",)),
    "Ġ": ("c06-047", "Ġ", ("what is Ġ", "Ġ")),
    r"bad escape \p": ("c06-030", "bad escape", (r"bad escape \p", "Hindi marks letters")),
    "50,257 or 50,304": ("c14-068", "50,304", ("vocab_size 50304", "tensor cores 50,257")),
    "the root of d": ("c07-025", "root", ("why divide by sqrt", "scores root attention")),
    "mask before or after": ("c07-038", "−∞", ("mask after softmax", "masked_fill -inf")),
    "no mask in sight": ("c09-047", "is_causal", ("is_causal", "no mask in this code")),
    "view, transpose, contiguous": (
        "c08-031",
        "contiguous",
        (
            "view size is not compatible with input tensor's size and stride",
            "contiguous transpose view",
        ),
    ),
    "one map or H": ("c08-016", "One map", ("separate linear layers heads",)),
    "why three vectors": ("c07-021b", "Three jobs", ("why query key value",)),
    "1/p or 1/(1 − p)": ("c10-073", "rescale", ("dropout rescale 1/p",)),
    "dropout in evaluation": ("c09-049", "eval()", ("eval dropout same batch different loss",)),
    "buffers": ("c09-047", "register_buffer", ("register_buffer persistent",)),
    "pre-norm or post-norm": ("c10-032", "post-norm", ("pre-norm post-norm",)),
    "n or n − 1": ("c10-012", "n − 1", ("variance n - 1", "std correction")),
    "where the sines are": ("c11-026", "sines", ("sines cosines positions",)),
    "1/√(2L)": ("c10-049", "2L", ("c_proj init scaled", "n_layer init_weights std")),
    "the missing lm_head": ("c11-024", "lm_head", ("lm_head.weight tied wte",)),
    "Conv1D": ("c11-043", "Conv1D", ("Conv1D transposed weights",)),
    "exact GELU or tanh": ("c10-025", "tanh", ("GELU approximate tanh",)),
    "loaded, and rubbish": ("c11-046", "hook", ("loaded weights rubbish",)),
    "divide the loss": ("c14-019", "divide", ("gradient accumulation divide loss",)),
    "rank and local rank": ("c16-014", "local rank", ("LOCAL_RANK", "rank world_size")),
    "bf16 on a T4": ("c14-040", "T4", ("bf16 T4", "GradScaler nan")),
    "torch.compile": ("c14-068", "_orig_mod", ("_orig_mod.", "torch.compile slow first step")),
    "top-k and temperature 0": ("c13-100", "1e-10", ("top-k 1e-10", "temperature 0")),
    "the cache changes the text": ("c13-050", "cache", ("KV cache different output",)),
    "what decays": ("c04-063", "gains", ("weight decay bias gain", "no decay parameters")),
    "other numbers than ours": ("c02-059", "seed", ("my numbers differ", "different loss seed")),
}
ENGLISH = SearchEnglish({})


def words_of(query: str) -> set[str]:
    """What the search page looks for: stems, without the commonest words and without numbers."""
    words = (word.lower() for word in re.findall(r"\w+", query))
    return {ENGLISH.stem(w) for w in words if w not in ENGLISH.stopwords and not w.isdigit()}


def pages_with(word: str, terms: dict[str, int | list[int]]) -> set[int]:
    """The pages that hold a word; one of three letters may be a part of a longer one."""
    parts = [word] if word in terms or len(word) < 3 else [term for term in terms if word in term]
    found = [terms.get(part, []) for part in parts]
    return {page for pages in found for page in ([pages] if isinstance(pages, int) else pages)}


def search(index: dict, query: str) -> set[str]:
    """The pages that the site's own search finds, as Sphinx does: words of one or two letters may
    be missing from a page.
    """
    words = words_of(query)
    found = Counter()
    for word in words:
        found.update(pages_with(word, index["terms"]) | pages_with(word, index["titleterms"]))
    enough = {len(words), sum(len(word) > 2 for word in words)}
    pages = [page for page, count in found.items() if count in enough]
    return {index["docnames"][page].removeprefix("notebooks/") for page in pages}


def read_index(file: Path) -> dict:
    """The index that the search page loads: JSON in a call."""
    return json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", file.read_text("utf-8"))[1])


def not_found(index: dict, confusions: dict) -> Iterable[str]:
    for name, (cell, _, queries) in confusions.items():
        for query in queries:
            if not any(page.startswith(f"{cell[1:3]}_") for page in search(index, query)):
                yield f"{name}: the search does not lead from {query!r} to chapter {cell[1:3]}"


def test_each_confusion_has_its_place():
    cells = {cell.id: cell.source for notebook in notebooks(ROOT) for cell in notebook.cells}
    assert len(CONFUSIONS) == 39
    lost = [name for name, (cell, text, _) in CONFUSIONS.items() if text not in cells[cell]]
    assert lost == []


@pytest.mark.browser  # it needs the built site, as the browser does
def test_each_confusion_is_found_in_the_words_of_learners(site):
    assert list(not_found(read_index(site / "searchindex.js"), CONFUSIONS)) == []


SMALL = """Search.setIndex({"docnames": ["book/index", "notebooks/02_learned_bigram"],
"terms": {"loss": [0, 1], "zero_grad": 1, "unicodedecodeerror": 0}, "titleterms": {"learn": 1}})"""


@pytest.mark.parametrize(
    ("query", "pages"),
    [
        ("losses", {"book/index", "02_learned_bigram"}),
        ("the loss, zero_grad", {"02_learned_bigram"}),
        ("learned loss 10.8", {"02_learned_bigram"}),
        ("decodeerror", {"book/index"}),
        ("zero_grad decodeerror", set()),
        ("my zero_grad", {"02_learned_bigram"}),
        ("zebra", set()),
        ("50,257", set()),
    ],
)
def test_the_search_asks_for_every_word(tmp_path, query, pages):
    (tmp_path / "searchindex.js").write_text(SMALL.replace("\n", ""), "utf-8")
    assert search(read_index(tmp_path / "searchindex.js"), query) == pages


def test_words_that_lead_nowhere_are_noticed(tmp_path):
    (tmp_path / "searchindex.js").write_text(SMALL.replace("\n", ""), "utf-8")
    index = read_index(tmp_path / "searchindex.js")
    asked = {"zero": ("c02-036", "zero", ("zero_grad", "UnicodeDecodeError"))}
    (complaint,) = not_found(index, asked)
    assert "from 'UnicodeDecodeError' to chapter 02" in complaint
