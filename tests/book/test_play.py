"""The model in the page against the model in PyTorch: same logits, same text, same bets."""

from __future__ import annotations

import math
import shutil

import pytest
import torch
from playwright.sync_api import Browser
from serving import ROOT, serve

from gpt2_tutorial import sampling
from gpt2_tutorial.generate import generate
from gpt2_tutorial.pretrained import load_gpt2

pytestmark = pytest.mark.browser

MODEL = ROOT / "results" / "models" / "simple-gpt"
LOAD = """async () => {
  const [{ readWeights }, { GPT, logitsAfter }, { bets, draw }] = await Promise.all(
    ["weights", "gpt", "sampling"].map((name) => import(`./${name}.js`)));
  const file = await (await fetch("model.safetensors")).arrayBuffer();
  const config = await (await fetch("config.json")).json();
  Object.assign(window, { readWeights, GPT, logitsAfter, bets, draw, file });
  window.model = new GPT(config, readWeights(file));
}"""


@pytest.fixture(scope="module")
def model():
    return load_gpt2(MODEL).float()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The modules and the model side by side, with a page that loads nothing."""
    home = tmp_path_factory.mktemp("play")
    for file in [*(ROOT / "book" / "play").glob("*.js"), *MODEL.iterdir()]:
        shutil.copy(file, home)
    (home / "empty.html").write_text("<!DOCTYPE html><title>play</title>")
    return home


@pytest.fixture(scope="module")
def player(browser: Browser, folder):
    """One page for all: each question begins a new text."""
    page = browser.new_page()
    with serve(folder) as address:
        page.goto(f"{address}empty.html")
        page.evaluate(LOAD)
        yield page
    page.close()


def texts(count: int, longest: int) -> list[list[int]]:
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, longest + 1, (count,), generator=rng).tolist()
    return [torch.randint(65, (length,), generator=rng).tolist() for length in lengths]


def test_logits_are_pytorchs(player, model):
    """1e-4 of logits up to 15: sums of 512 float32 products, in another order."""
    rows = texts(50, model.config.block_size)
    read = "rows => rows.map((ids) => (model.forget(), [...logitsAfter(model, ids)]))"
    with torch.no_grad():
        for ids, got in zip(rows, player.evaluate(read, rows), strict=True):
            expected = model(torch.tensor([ids]))[0][0, -1]
            assert (torch.tensor(got) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("rows", [1, 3, 4, 9])
@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_a_map_of_any_shape_is_pytorchs(player, rows, outputs):
    """Rows and columns that do not fill a tile too; sums of seven products of numbers below 5."""
    rng = torch.Generator().manual_seed(0)
    shapes = [(rows, 7), (7, outputs), (outputs,)]
    x, weight, bias = (torch.randn(shape, generator=rng) for shape in shapes)
    ask = """async ([x, weight, bias, shape]) => {
      const { linear, mapped } = await import("./linear.js");
      const [W, b] = [weight, bias].map((numbers) => ({ shape, data: new Float32Array(numbers) }));
      const one = linear(W, b);
      return [...mapped(new Float64Array(x), one)];
    }"""
    asked = [x.flatten().tolist(), weight.flatten().tolist(), bias.tolist(), [7, outputs]]
    expected = x.double() @ weight.double() + bias.double()
    assert player.evaluate(ask, asked) == pytest.approx(expected.flatten().tolist(), abs=1e-12)


@pytest.mark.parametrize("edited", [[1, 2, 9, 4, 5], [1, 2], [1, 2, 3], [1, 2, 3, 4], [2, 3, 4]])
def test_an_edited_text_is_read_anew(player, edited):
    """The cache holds 1, 2, 3: it may be used only where the text went on from there."""
    fresh = player.evaluate("ids => (model.forget(), [...logitsAfter(model, ids)])", edited)
    read = "ids => (logitsAfter(model, [1, 2, 3]), [...logitsAfter(model, ids)])"
    assert player.evaluate(f"ids => (model.forget(), ({read})(ids))", edited) == fresh


def test_the_greedy_text_is_the_same_beyond_the_context(player, model):
    start, more = [18, 13, 30, 17, 27, 10], model.config.block_size + 16
    write = """([ids, more]) => {
      const best = () => bets(logitsAfter(model, ids), { temperature: 0 }).indexOf(1);
      for (let i = 0; i < more; i++) ids.push(best());
      return ids;
    }"""
    expected = generate(model, torch.tensor([start]), more, temperature=0)
    assert player.evaluate(write, [start, more]) == expected[0].tolist()


KNOBS = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.6},
    {"temperature": 1e-40},
    {"top_k": 5},
    {"top_k": 1000},
    {"top_p": 0.8},
    {"top_p": 1.0},
    {"min_p": 0.1},
    {"repetition_penalty": 1.7},
    {"temperature": 1.4, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.3},
]


def bets_by_torch(logits, ids, *, repetition_penalty=1.0, temperature=1.0, **cuts):
    """What `draw_next` draws from, without the draw."""
    logits = sampling.penalise(logits[None], torch.tensor([ids]), repetition_penalty)
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.size(-1))[0].double()
    logits = (logits - logits.amax()) / max(temperature, 1e-30)
    for name, cut in cuts.items():
        logits = getattr(sampling, f"keep_{name}")(logits, cut)
    return logits.softmax(-1)[0]


@pytest.mark.parametrize("knobs", KNOBS, ids=str)
def test_every_knob_gives_the_same_bets(player, knobs):
    names = {"top_k": "topK", "top_p": "topP", "min_p": "minP"}
    names |= {"repetition_penalty": "repetitionPenalty", "temperature": "temperature"}
    asked = {names[name]: value for name, value in knobs.items()}
    rng = torch.Generator().manual_seed(1)
    for spread in (0.5, 2.0, 8.0):
        logits = (spread * torch.randn(65, generator=rng)).double()
        logits[7] = logits[8]  # a tie
        ids = torch.randint(65, (9,), generator=rng).tolist()
        got = player.evaluate(
            "([z, knobs, ids]) => [...bets(Float64Array.from(z), knobs, ids)]",
            [logits.tolist(), asked, ids],
        )
        expected = bets_by_torch(logits, ids, **knobs).float()
        assert torch.tensor(got, dtype=torch.float32).allclose(expected, atol=1e-6)


def test_a_draw_takes_each_token_as_often_as_its_bet_says(player):
    """A thousand chances, evenly spread: the counts are the bets, to the last one."""
    counts = player.evaluate("""() => {
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 1000; i++) counts[draw([0.5, 0, 0.3, 0.2], (i + 0.5) / 1000)]++;
      return [...counts, draw([0.5, 0.5, 0, 0], 1)];
    }""")
    assert counts == [500, 0, 300, 200, 1]


@pytest.mark.parametrize("bits", [0, 1, 0x3C00, 0xC000, 0x7BFF, 0x7C00, 0xFC00, 0x7E00, 0x0400])
def test_half_precision_is_read_to_the_bit(player, bits):
    got = player.evaluate("async (bits) => (await import('./weights.js')).half(bits)", bits)
    expected = torch.tensor([bits], dtype=torch.uint16).view(torch.float16).item()
    assert got == expected or (math.isnan(got) and math.isnan(expected))


@pytest.mark.parametrize("cut", [0, 4, 8, 100, 1_000_000])
def test_a_file_that_was_cut_off_is_a_sentence(player, cut):
    read = (
        "cut => { try { readWeights(file.slice(0, cut)) } catch (error) { return error.message } }"
    )
    words = player.evaluate(read, cut)
    assert "cut off" in words or "cannot be read" in words
