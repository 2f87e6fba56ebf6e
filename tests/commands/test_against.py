"""gpt2 doctor --against: a run beside published curves; on course, behind, broken, or refused."""

import json
import math

import pytest

from gpt2_tutorial.commands import reference
from in_process import command
from tiers import tiered

DATA = json.loads(reference.FILE.read_text(encoding="utf-8"))
OURS = reference.load(reference.OURS)
PUBLISHED = {name: dict(map(tuple, run.get("val", []))) for name, run in DATA["published"].items()}
SPAN = (OURS.first, OURS.last)


@pytest.fixture
def gpt2(capsys):
    return command(capsys, "doctor")


def log(tmp_path, val, batch=524_288, start=10.95, more=()):
    """A metrics file whose validation losses are those given, by step."""
    rows = [{"step": 0, "val": start}, {"step": 1, "loss": start, "tokens": batch}]
    rows += [{"step": step, "val": loss} for step, loss in val.items() if step > 0]
    file = tmp_path / "metrics.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *more]), encoding="utf-8")
    return file


def said_of(gpt2, file, against=reference.OURS):
    code, out, err = gpt2(file, "--against", against, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)["against"]


# --- the file that is committed


def test_each_point_of_the_curves_follows_from_what_was_published():
    fixed, llmc = PUBLISHED["fixed"], PUBLISHED["llmc"]
    known = sorted((step, llmc[step] - loss) for step, loss in fixed.items())
    held = (known[-1][1] + known[-2][1]) / 2
    for step, loss in DATA["good"]:
        if step in fixed:
            assert loss == fixed[step]
            continue
        gap = reference.at(known, step) if step < known[-1][0] else held
        theirs = reference.at(sorted((s, v) for s, v in llmc.items() if s), step)
        assert loss == pytest.approx(theirs - gap, abs=1e-4)
    assert DATA["broken"] == [[s, v] for s, v in DATA["published"]["saha"]["val"] if s >= 250]
    assert SPAN == (250, 19_073)


def test_two_people_published_the_same_broken_run():
    """So the curve of one may stand for the bug of the other."""
    saha, unfixed = PUBLISHED["saha"], PUBLISHED["unfixed"]
    assert len(unfixed) == 4
    assert max(abs(saha[step] - loss) for step, loss in unfixed.items()) < 0.003


def test_a_third_of_the_way_is_what_another_text_may_do():
    """Where both are published, the same model on FineWeb stays within it, and the bug does not."""
    for step in PUBLISHED["fixed"]:
        good, broken = reference.at(OURS.good, step), reference.at(OURS.broken, step)
        assert reference.Look(step, PUBLISHED["llmc"][step], good, broken).way < reference.ON_COURSE
    ways = [
        reference.Look(s, v, reference.at(OURS.good, s), reference.at(OURS.broken, s)).way
        for s, v in PUBLISHED["unfixed"].items()
    ]
    assert min(ways) > 0.98 and max(ways) < 1.02


def test_each_run_has_its_source_and_its_text():
    for run in DATA["published"].values():
        assert run["who"] and run["text"].startswith("FineWeb") and run["date"]
        assert run["source"].startswith("https://")
        assert ("val" in run) != ("final" in run)


# --- verdicts


@pytest.mark.parametrize(
    "step", tiered([250, 500, 1000, 1250, 2500, 10_000, 19_073], [250, 19_073])
)
def test_a_good_run_is_on_course_at_every_step(step, tmp_path, gpt2):
    near = {s: v + 0.02 for s, v in OURS.good if s <= step}
    said = said_of(gpt2, log(tmp_path, near))
    assert said["verdict"] == "on course" and said["since"] == 250
    assert [look["step"] for look in said["looks"]] == sorted(near)


def test_the_published_bug_is_broken_and_since_when(tmp_path, gpt2):
    code, out, err = gpt2(log(tmp_path, PUBLISHED["unfixed"]), "--against", reference.OURS)
    assert (code, err) == (0, "")
    assert "Nothing stands out" in out  # metrics alone do not tell it
    assert f"Against {OURS.name}: broken." in out and "broken since step 250" in out
    assert "end the machine" in out and "held back" in out
    turned = {s: v for s, v in OURS.good if s <= 1000} | {
        s: v for s, v in OURS.broken if 1000 < s <= 2500
    }
    assert said_of(gpt2, log(tmp_path, turned))["since"] == 1250


def test_between_the_two_it_is_behind_and_below_both_ahead(tmp_path, gpt2):
    half = {s: (v + reference.at(OURS.broken, s)) / 2 for s, v in OURS.good}
    assert said_of(gpt2, log(tmp_path, half))["verdict"] == "behind"
    below = {s: v - 0.4 for s, v in OURS.good if s >= 1000}
    code, out, _ = gpt2(log(tmp_path, below), "--against", reference.OURS)
    assert code == 0 and ": ahead." in out and "trained on?" in out


def test_a_run_that_is_on_course_again_says_since_when(tmp_path, gpt2):
    val = dict(OURS.broken[:2]) | dict(OURS.good[2:5])
    said = said_of(gpt2, log(tmp_path, val))
    assert (said["verdict"], said["since"]) == ("on course", OURS.good[2][0])


def test_steps_between_two_points_are_read_off_the_logarithm():
    curve = [(100, 6.0), (10_000, 4.0)]
    assert reference.at(curve, 1_000) == 5.0 and reference.at(curve, 100) == 6.0
    assert reference.at(curve, 12_000) == 4.0
    for step in (251, 700, 1_100, 18_000):
        assert reference.at(OURS.good, step) < reference.at(OURS.broken, step)


# --- what cannot be compared


@pytest.mark.parametrize("val", [{}, {100: 7.0}, {249: 6.2}, {250: math.nan}, {30_000: 3.0}])
def test_too_few_points_are_no_verdict(val, tmp_path, gpt2):
    file = log(tmp_path, val)
    said = said_of(gpt2, file)
    assert (said["verdict"], said["since"], said["looks"]) == ("too early", None, [])
    out = gpt2(file, "--against", reference.OURS).out
    assert "too early" in out and "at step 250" in out and "step 19,073" in out


REFUSED = {
    "characters": ({"batch": 2048, "start": 4.19}, "on another vocabulary cannot be compared"),
    "characters, large batch": ({"start": 4.19}, "the first loss is 4.19"),
    "another batch": ({"batch": 65_536}, "a step of this run has 65,536 tokens"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_settings_are_refused_in_a_sentence(name, tmp_path, gpt2):
    how, part = REFUSED[name]
    code, out, err = gpt2(log(tmp_path, dict(OURS.good), **how), "--against", reference.OURS)
    assert (code, out) == (1, "") and part in err and err.count("\n") == 1


def test_a_log_without_tokens_is_refused(tmp_path, gpt2):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "loss": 10.9}\n{"step": 250, "val": 6.2}\n')
    code, _, err = gpt2(file, "--against", reference.OURS)
    assert code == 1 and "how many tokens a step has" in err


def test_a_first_loss_that_is_too_high_is_no_other_vocabulary(tmp_path, gpt2):
    file = log(tmp_path, dict(OURS.broken[:4]), start=35.0)
    assert said_of(gpt2, file)["verdict"] == "broken"
    assert "first weights are too large" in gpt2(file).out


def test_without_the_option_nothing_is_compared(tmp_path, gpt2):
    file = log(tmp_path, dict(OURS.good))
    assert "Against" not in gpt2(file).out and "against" not in json.loads(gpt2(file, "--json").out)


# --- a reference of one's own, and one that is none

GOOD = {
    "batch_tokens": 2048,
    "vocab_size": 65,
    "good": [[100, 2.5], [1000, 1.7]],
    "broken": [[100, 2.9], [1000, 2.1]],
}


def given(tmp_path, found):
    file = tmp_path / "curves.json"
    file.write_text(found if isinstance(found, str) else json.dumps(found), encoding="utf-8")
    return file


def test_another_file_may_be_given(tmp_path, gpt2):
    file = log(tmp_path, {100: 2.49, 500: 1.96, 1000: 1.72}, batch=2048, start=4.2)
    said = said_of(gpt2, file, given(tmp_path, GOOD))
    assert said["verdict"] == "on course" and said["reference"] == "curves"
    file = log(tmp_path, {100: 2.49, 500: 2.4}, batch=2048, start=4.2)
    assert said_of(gpt2, file, given(tmp_path, GOOD))["verdict"] == "broken"


DAMAGED = {
    "no JSON": ('{"good": [', "it is no JSON"),
    "deep": ("[" * 100_000, "it is no JSON"),
    "a list": ([1], 'begins with no "{"'),
    "no batch": (GOOD | {"batch_tokens": None}, "batch_tokens must be"),
    "batch of text": (GOOD | {"batch_tokens": "2048"}, "batch_tokens must be"),
    "batch true": (GOOD | {"batch_tokens": True}, "batch_tokens must be"),
    "vocabulary 0": (GOOD | {"vocab_size": 0}, "vocab_size must be"),
    "no good": ({k: v for k, v in GOOD.items() if k != "good"}, "good must be"),
    "one point": (GOOD | {"good": [[100, 2.5]]}, "good must be"),
    "step 0": (GOOD | {"good": [[0, 4.2], [100, 2.5]]}, "out of place"),
    "not by step": (GOOD | {"broken": [[1000, 2.1], [100, 2.9]]}, "broken must be"),
    "loss of text": (GOOD | {"good": [[100, "2.5"], [1000, 1.7]]}, "out of place"),
    "no loss": (GOOD | {"good": [[100], [1000, 1.7]]}, "out of place"),
    "loss NaN": (GOOD | {"good": [[100, math.nan], [1000, 1.7]]}, "out of place"),
    "crossed": (GOOD | {"broken": GOOD["good"]}, "is not above the good"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_reference_is_a_sentence(name, tmp_path, gpt2):
    found, part = DAMAGED[name]
    file = log(tmp_path, {100: 2.5}, batch=2048, start=4.2)
    code, out, err = gpt2(file, "--against", given(tmp_path, found))
    assert (code, out) == (1, "") and part in err and "is no reference" in err
    assert err.count("\n") == 1


def test_a_reference_that_is_not_there_or_too_large(tmp_path, gpt2, monkeypatch):
    file = log(tmp_path, {100: 2.5})
    code, _, err = gpt2(file, "--against", tmp_path / "none.json")
    assert code == 1 and "No such file" in err
    monkeypatch.setattr(reference, "TOO_BIG", 10)
    code, _, err = gpt2(file, "--against", given(tmp_path, GOOD))
    assert code == 1 and "bytes" in err
