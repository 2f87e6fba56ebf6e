"""GPT-2's tokenizer in the pages, and the toys of chapter 06, against the package."""

from __future__ import annotations

import random
import unicodedata

import pytest
import regex
from serving import serve
from toys import small_site

from gpt2_tutorial.bpe import BPETokenizer, GPT2Tokenizer, bytes_to_unicode

pytestmark = pytest.mark.browser

ALPHABETS = [
    "".join(map(chr, range(256))),
    "'’ sdmtrevlLSTx2²½_-<|>",
    "\r\n \n\r\t\x0b\x0c\x1c\x1d\x85\u2028\u2029\u00a0\u3000\ufeff\u180e x",
    "שלום עולם مرحبا \u200f\u202e\u0301 ٣٤۵ ـ",
    "नमस्ते ไทย 漢字かな한국 ß Ǆ ﬁ Å Ⅷ ⁵ ೨",
    "👩👨🏽\u200d❤️🏳🌈🇺🇳1️⃣\U000e0067🫠",
    "\ud83d\ude09\ud835\udc9c a'",
]
EXAMPLES = ["", " ", "Hello world", "The sky is ", "3571 + 1999", " strawberry", "<|endoftext|>"]
EXAMPLES += [
    "Ο ουρανός είναι μπλε.",
    "आकाश नीला है।",
    "'s" * 200,
    "a" * 500,
    " " * 300,
    "\ufeff\x00",
]
CLASSES = """() => { const found = [];
  for (let i = 0; i < 0x110000; i++) { if (i >= 0xd800 && i < 0xe000) continue;
    const c = String.fromCodePoint(i);
    const kind = [/\\p{L}/u, /\\p{N}/u, /\\p{White_Space}/u].findIndex((p) => p.test(c)) + 1;
    if (kind) found.push([i, kind]); }
  return found; }"""
LOAD = """async () => { const { readMerges } = await import("./_static/play/bpe.js");
  window.gpt2 = readMerges(await (await fetch("./_static/play/gpt2/merges.txt")).text()); }"""
ENCODE = """(texts) => texts.map((units) => {
  const ids = gpt2.encode(String.fromCharCode(...units)); return [ids, gpt2.decode(ids)]; })"""


def units(text):
    """The text as JavaScript has it, halves of characters and all; JSON cannot carry those."""
    data = text.encode("utf-16-le", "surrogatepass")
    return list(memoryview(data).cast("H"))


def disputed(page):
    """Characters that the browser's table of Unicode, of another year, calls another thing."""
    theirs = dict(page.evaluate(CLASSES))
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    ours = {}
    for kind, pattern in enumerate([r"\p{L}", r"\p{N}", r"\s"], 1):
        ours |= {ord(c): kind for c in regex.findall(pattern, every)}
    return {chr(i) for i in theirs.keys() | ours.keys() if theirs.get(i) != ours.get(i)}


def strings(how_many):
    rng = random.Random(0)
    for _ in range(how_many):
        if rng.random() < 0.2:
            yield "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(12)))
        else:
            yield "".join(rng.choices(rng.choice(ALPHABETS), k=rng.randrange(1, 24)))


@pytest.mark.parametrize("how_many", [300, pytest.param(10_000, marks=pytest.mark.soak)], ids=str)
def test_the_pages_cut_as_gpt2_does(page, bare, how_many):
    page.goto(bare)
    page.evaluate(LOAD)
    odd = disputed(page)
    assert all(unicodedata.category(character) == "Cn" for character in odd)
    gpt2 = GPT2Tokenizer()
    texts = EXAMPLES + ["".join(c for c in text if c not in odd) for text in strings(how_many)]
    assert len(set(texts)) > 0.9 * how_many
    for text, (ids, back) in zip(texts, page.evaluate(ENCODE, [*map(units, texts)]), strict=True):
        assert ids == gpt2.encode(text), text
        assert back == gpt2.decode(ids), text


def test_any_ids_are_joined_before_they_are_decoded(page, bare):
    page.goto(bare)
    page.evaluate(LOAD)
    gpt2, rng = GPT2Tokenizer(), random.Random(1)
    # Bytes beyond ASCII have the ids 94 to 255, where characters break in every way.
    rows = [rng.choices(range(94, 256), k=8) for _ in range(300)]
    rows += [rng.choices(range(50_257), k=8) for _ in range(300)] + [[50_256], []]
    assert page.evaluate("rows => rows.map(gpt2.decode)", rows) == [*map(gpt2.decode, rows)]
    for wrong in (-1, 50_257, 0.5):
        with pytest.raises(Exception, match="There is no token"):
            page.evaluate("id => gpt2.decode([id])", wrong)


def test_bytes_are_spelled_as_in_the_text(page, bare):
    page.goto(bare)
    load = "async () => [...(await import('./_static/play/bpe.js')).bytesToUnicode()]"
    assert [tuple(pair) for pair in page.evaluate(load)] == [*bytes_to_unicode().items()]


TEXTS = [
    "aaabdaaabac",
    "",
    "a",
    "zz",
    "hug hug pug pun bun hugs",
    "The sky is blue. The sky is grey.",
]
TEXTS += ["|".join(["hug"] * 10 + ["pug"] * 5 + ["pun"] * 12 + ["bun"] * 4 + ["hugs"] * 5)]
TEXTS += ["a" * 40, "abcabcababc bcabca cab", "牛 ناس नमस्ते 😉😉 ßß", "it's 3571 + 1999\n\n\t  x "]


def test_pairs_are_merged_as_the_package_merges(ask):
    rng = random.Random(2)
    more = ["".join(rng.choices("ab ", k=rng.randrange(60))) for _ in range(20)]
    for text in TEXTS + more:
        got = ask("merges", "learn", text, 40)
        trained = BPETokenizer.train(text, 256 + 40)
        assert [tuple(pair) for pair in got["merges"]] == trained.merges, text
        assert [bytes(token) for token in got["tokens"]] == trained.tokens
        assert [i for row in got["rows"] for i in row] == trained.encode(text)


def test_the_rounds_of_the_text(ask):
    rounds = [ask("merges", "learn", TEXTS[6], n)["pairs"][0]["count"] for n in range(6)]
    assert rounds == [20, 16, 15, 12, 5, 5]
    assert [p["count"] for p in ask("merges", "learn", TEXTS[6], 0)["pairs"][:4]] == [
        20,
        17,
        16,
        15,
    ]


def test_typed_text_is_cut_and_the_address_carries_it(page, tmp_path):
    stage, gpt2 = page.locator("#play-live-tokenizer .stage"), GPT2Tokenizer()

    def shows(text):
        ids = list(map(str, gpt2.encode(text)))
        assert stage.locator(".chip small").all_inner_texts() == ids
        counts = f"{len(text)} characters, {len(text.encode())} bytes, {len(ids)} token"
        assert stage.locator(".status").inner_text().startswith(counts)

    with serve(small_site(tmp_path, ["live-tokenizer"])) as address:
        page.goto(f"{address}toys.html")
        stage.get_by_text("Load GPT-2's merges").click()
        stage.get_by_text("Show the pieces alone").wait_for()
        shows("Hello world, it's 2024!   Fine.")
        for button in ("strawberry", "numbers", "Greek", "code", "a space at the end"):
            stage.get_by_role("button", name=button).click()
            shows(stage.locator("textarea").input_value())
        text = "½ 牛😉 #&%\n<|endoftext|> "
        stage.locator("textarea").fill(text)
        shows(text)
        stage.get_by_text("Link to this text").click()
        page.reload()
        page.wait_for_selector("[data-ready] textarea")
        assert stage.locator("textarea").input_value() == text
        page.goto("about:blank")
        page.goto(f"{address}toys.html#text=%E0%A4%A")  # broken: the text of the start stands
        page.wait_for_selector("[data-ready] textarea")
        assert stage.locator("textarea").input_value().startswith("Hello")
