"""The model live: the worker against PyTorch, the game, and the reader on the board."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from playwright.sync_api import expect
from serving import ROOT, new_page, serve
from toys import small_site

from gpt2_tutorial.ngram import NGram
from gpt2_tutorial.pretrained import load_gpt2
from gpt2_tutorial.text import CharTokenizer, load_shakespeare, split

pytestmark = pytest.mark.browser

MODEL = ROOT / "results" / "models" / "simple-gpt"
DATA = ROOT / "book" / "play" / "data" / "guesser.json"
ASK = """async ([ask, asked]) => {
  const { openModel } = await import("./_static/play/model.js");
  const value = await openModel()(ask, asked);
  return value.looks ? { ...value, looks: value.looks.map((layers) => layers.map(
    (heads) => heads.map((shares) => [...shares]))) } : [...value];
}"""
TEXTS = [
    "What is the city but the people?",
    "ab",
    "\n\n\n",
    "Q" * 64,
    "the $3 & ROMEO:\nO, she doth te",
]


@pytest.fixture(scope="module")
def model():
    return load_gpt2(MODEL).float()


@pytest.fixture(scope="module")
def tokenizer():
    return CharTokenizer(load_shakespeare())


@pytest.fixture
def worker(page, bare):
    page.goto(bare)
    return lambda ask, **asked: page.evaluate(ASK, [ask, asked])


def test_the_characters_are_those_of_the_book(worker, tokenizer):
    assert worker("characters") == [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]


def test_prices_and_looks_are_pytorchs(worker, model, tokenizer):
    for text in TEXTS:
        ids = torch.tensor([tokenizer.encode(text)])
        with torch.no_grad():
            logits = model(ids)[0]
        expected = -logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
        answer = worker("read", text=text)
        # the logits agree to 1e-4 (test_play.py), and a price moves by twice that at most
        assert answer["nats"] == pytest.approx(expected.tolist(), abs=2e-4)
        assert len(answer["looks"]) == len(text)
        for place, layers in enumerate(answer["looks"]):
            assert [len(heads) for heads in layers] == [4] * 4
            for shares in (row for heads in layers for row in heads):
                assert len(shares) == place + 1
                assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_the_count_table_is_chapter_01s(worker, tokenizer):
    train = split(torch.tensor(tokenizer.encode(load_shakespeare())))[0]
    table = NGram(4, alpha=0.03).fit(train, vocab_size=tokenizer.vocab_size)
    measured = json.loads((ROOT / "results" / "measured" / "01.json").read_text(encoding="utf-8"))
    chosen = measured["values"]["01.train_order_4"]["value"]  # another α has another loss
    assert table.loss(train) == pytest.approx(chosen, abs=0.002)
    for text in [*TEXTS, "a"]:
        ids = torch.tensor([[0, *tokenizer.encode(text)]])  # 0: a place before the text
        bets = table(ids)[0, :-1]
        bets[:4] = -math.log(tokenizer.vocab_size)  # no whole history of the text's own letters
        expected = -bets.gather(1, ids[0, 1:, None])[:, 0]
        assert worker("table", text=text) == pytest.approx(expected.tolist(), abs=1e-5)


def test_bets_after_the_knobs_come_from_the_worker(worker, model, tokenizer):
    ids = torch.tensor([tokenizer.encode("ROMEO:\n")])
    with torch.no_grad():
        expected = (model(ids)[0][0, -1] / 0.7).softmax(-1)
    got = worker("bets", text="ROMEO:\n", knobs={"temperature": 0.7})
    assert got == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_question_that_fails_is_told(page, bare):
    page.goto(bare)
    said = page.evaluate("""async () => {
      const { openModel } = await import("./_static/play/model.js");
      return openModel()("no such thing").then(String, (problem) => problem.message); }""")
    assert "is not a function" in said


@pytest.fixture
def toy(page, tmp_path, request):
    with serve(small_site(tmp_path, [request.param])) as address:
        page.goto(f"{address}toys.html")
        page.wait_for_selector("figure[data-ready]")
        yield page


@pytest.mark.parametrize("toy", ["writer"], indirect=True)
def test_the_model_writes_steps_back_and_begins_again(toy, axe, model, tokenizer):
    toy.get_by_role("button", name="Load the model").press("Enter")
    text, said = toy.locator("textarea"), toy.locator(".status")
    expect(text).to_have_value("ROMEO:\n", timeout=20_000)
    toy.get_by_label("temperature").fill("0")
    expect(said).to_contain_text("1 of 65 characters may come next")
    toy.get_by_role("button", name="Forty letters").click()
    expect(text).to_have_value(greedy(model, tokenizer, "ROMEO:\n", 40), timeout=20_000)
    toy.get_by_role("button", name="Step back").click()
    assert len(text.input_value()) == 46
    text.fill("<b>é 1 €")
    expect(said).to_contain_text("are left out")
    assert axe(toy) == []
    toy.emulate_media(color_scheme="dark")
    assert axe(toy, "color-contrast") == []


def greedy(model, tokenizer, start: str, letters: int) -> str:
    """What PyTorch writes when it always takes the best."""
    ids = tokenizer.encode(start)
    for _ in range(letters):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids[-64:]]))[0][0, -1].argmax()))
    return tokenizer.decode(ids)


@pytest.mark.parametrize("toy", ["reading"], indirect=True)
def test_a_text_is_read_letter_by_letter(toy, axe):
    toy.get_by_role("button", name="Load model and table").press("Enter")
    text, said = toy.locator("input[type=text]"), toy.locator(".status")
    expect(said).to_contain_text("Mean: the model", timeout=30_000)
    assert toy.locator(".grid thead th").count() == len(text.input_value())
    text.fill("€")
    expect(said).to_contain_text("Write at least two letters")
    text.fill("To be, or")
    expect(toy.locator(".grid thead th")).to_have_count(9)
    toy.get_by_label("layer").fill("3")
    expect(toy.locator(".grid tbody th").last).to_have_text("layer 3, head 0")
    assert axe(toy) == []
    toy.set_viewport_size({"width": 390, "height": 844})
    assert toy.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_model_runs_under_the_pages_policy(page, address):
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}notebooks/13_generate_and_judge.html")
    toy = page.locator("#play-writer")
    toy.scroll_into_view_if_needed()
    toy.get_by_role("button", name="Load the model").click()
    expect(toy.locator(".status")).to_contain_text("may come next", timeout=20_000)
    assert complaints == []


def test_a_broken_address_complains_to_nobody(page, address):
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}notebooks/06_bpe.html#text=%E0%A4%A")
    page.wait_for_selector("#play-live-tokenizer[data-ready]")
    assert complaints == []


def test_a_model_that_cannot_be_loaded_is_told_in_a_sentence(page, tmp_path):
    home = small_site(tmp_path, ["writer"])
    shutil.rmtree(home / "_static" / "play" / "model")
    with serve(home) as address:
        page.goto(f"{address}toys.html")
        page.get_by_role("button", name="Load the model").click()
        expect(page.locator(".status")).to_contain_text("could not be loaded (404)")
        assert page.get_by_role("button", name="Load the model").is_enabled()


@pytest.mark.parametrize("toy", ["guesser"], indirect=True)
def test_twenty_bets_make_a_card_and_a_row_on_the_board(toy, browser, site):
    passage = json.loads(DATA.read_text(encoding="utf-8"))["passages"][0]
    letter, paid = toy.locator(".field input"), []
    for i, truth in enumerate(passage["letters"]):
        letter.fill(truth if i % 2 else "z")
        letter.press("Enter")
        paid.append(-math.log(0.5 if i % 2 else 0.5 / 64))
    expect(toy.locator(".card")).to_contain_text("Your row now stands on every board")
    kept = toy.evaluate("localStorage.getItem('player')")
    assert float(kept) == pytest.approx(sum(paid) / 20, abs=1e-12)
    rows = toy.locator(".bars td:last-child").all_inner_texts()
    expected = [sum(nats) / 20 for nats in (paid, *list(passage.values())[2:])]
    assert [float(row) for row in rows] == pytest.approx(expected, abs=0.005)

    context = browser.new_context()
    context.add_init_script(f"localStorage.setItem('player', '{kept}')")
    with serve(site) as address:
        page = new_page(context)
        page.goto(f"{address}notebooks/12_simple_gpt.html")
        mine = page.locator("table.scoreboard").first.locator("tr.mine td").all_inner_texts()
    assert mine[0] == "you, 20 letters" and f"{float(kept):.3f}" in mine
    context.close()


def test_the_passages_are_text_that_no_guesser_saw(tokenizer):
    train, val = split(torch.tensor(tokenizer.encode(load_shakespeare())))
    unseen, seen = tokenizer.decode(val.tolist()), tokenizer.decode(train.tolist())
    for passage in json.loads(DATA.read_text(encoding="utf-8"))["passages"]:
        whole = passage["before"] + passage["letters"]
        assert whole in unseen and whole not in seen
        assert len(passage["letters"]) == 20 == len(passage["gpt"]) == len(passage["bigram"])
