"""runs.watch and runs.together: what is seen beside the loss, by one process and by three."""

import json

import pytest
import torch

from gpt2_tutorial.distributed import ALONE, setup
from gpt2_tutorial.evaluate import Item, hellaswag
from gpt2_tutorial.generate import generate
from gpt2_tutorial.gpt import GPT, GPTConfig
from gpt2_tutorial.precision import choose_precision
from gpt2_tutorial.runs.together import FailedElsewhere, on_every_rank, on_rank_0
from gpt2_tutorial.runs.watch import WRITTEN, Watch, items_of
from gpt2_tutorial.text import CharTokenizer
from gpt2_tutorial.train import StopRequested
from team import team

LETTERS = CharTokenizer("abcdefg\n .")


def items(count):
    torch.manual_seed(3)
    draws = torch.randint(7, (count, 3, 6)).tolist()
    words = [["".join("abcdefg"[i] for i in word) for word in row] for row in draws]
    return [Item(a, (b, c + "."), i % 2) for i, (a, b, c) in enumerate(words)]


class SomeRun:
    """As much of a Run as Watch looks at."""

    def __init__(self, step=5):
        torch.manual_seed(1)
        config = GPTConfig(16, LETTERS.vocab_size, n_layer=1, n_head=2, n_embd=16, dropout=0.5)
        self.model, self.step = GPT(config).train(), step
        self.precision = choose_precision("cpu", "fp32")


def quiet():
    """Nobody asks for an end."""


def test_the_sample_is_what_generate_writes_and_the_run_trains_on():
    run = SomeRun()
    seen = Watch(LETTERS, ALONE)(run, quiet)
    dice = torch.Generator().manual_seed(run.step)
    start = torch.tensor([LETTERS.encode("\n")])
    expected = generate(run.model, start, WRITTEN, temperature=0.8, generator=dice)[0, 1:]
    assert seen == {"sample": LETTERS.decode(expected.tolist())}
    assert run.model.training, "dropout must be on again"


def test_the_share_solved_is_that_of_chapter_13():
    run, some = SomeRun(), items(9)
    seen = Watch(LETTERS, ALONE, some)(run, quiet)
    assert seen["hellaswag"] == hellaswag(run.model, LETTERS, some)["acc_norm"]
    assert seen["hellaswag_items"] == 9 and run.model.training


def test_looking_can_be_broken_off_at_every_token_and_every_item():
    polls = iter(range(10**6))
    Watch(LETTERS, ALONE, items(5))(SomeRun(), lambda: next(polls))
    count = next(polls)
    assert count == WRITTEN + 5
    for end in (0, 1, WRITTEN - 1, WRITTEN, count - 1):
        run, polls = SomeRun(), iter(range(10**6))

        def poll(polls=polls, end=end):
            if next(polls) == end:
                raise StopRequested

        with pytest.raises(StopRequested):
            Watch(LETTERS, ALONE, items(5))(run, poll)
        assert run.model.training


def test_items_come_from_a_file_or_not_at_all(tmp_path):
    file = tmp_path / "items.jsonl"
    row = {"ctx": "We", "endings": ["eat.", "onion."], "label": 0}
    file.write_text(json.dumps(row) + "\n\n", encoding="utf-8")
    assert items_of(str(file)) == [Item("We", ("eat.", "onion."), 0)] and items_of(None) == []
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"items.jsonl is no UTF-8"):
        items_of(str(file))


def test_alone_a_failure_is_ones_own():
    with pytest.raises(KeyError, match="here"):
        on_rank_0(ALONE, lambda: {}["here"])
    assert on_rank_0(ALONE._replace(rank=1), lambda: 1 / 0) is None
    assert issubclass(FailedElsewhere, RuntimeError) and on_every_rank(ALONE, lambda: 3) == 3


def work(out):
    """What each of three processes does: look at 8 items together, and fail in turn."""
    ranks = setup("cpu", timeout_s=60)
    seen = Watch(LETTERS, ranks, items(8))(SomeRun(), quiet)
    seen["first"] = on_rank_0(ranks, lambda: "mine")
    for who in range(3):
        try:
            on_every_rank(ranks, lambda who=who: 1 / int(ranks.rank != who))
        except ZeroDivisionError:
            seen[f"fails {who}"] = "here"
        except FailedElsewhere:
            seen[f"fails {who}"] = "elsewhere"
    (out / f"{ranks.rank}.json").write_text(json.dumps(seen))


@pytest.mark.slow
def test_three_processes_see_what_one_sees_and_fail_together(tmp_path):
    assert team(3, work, tmp_path) == [0, 0, 0]
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    alone = Watch(LETTERS, ALONE, items(8))(SomeRun(), quiet)
    for rank, one in enumerate(seen):
        assert {name: one[name] for name in alone} == alone
        assert one["first"] == ("mine" if rank == 0 else None)
        for who in range(3):
            assert one[f"fails {who}"] == ("here" if rank == who else "elsewhere")
