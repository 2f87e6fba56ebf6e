"""Grading a student's notebook: what is right, what is wrong, and what nobody may break."""

import ast
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import editions
from gpt2_tutorial import checks
from gpt2_tutorial.checks import load
from gpt2_tutorial.checks.compare import same
from gpt2_tutorial.checks.show import describe, short
from gpt2_tutorial.grader import command, magics
from gpt2_tutorial.grader import grade as grading
from gpt2_tutorial.grader.attempt import reply
from gpt2_tutorial.grader.grade import CannotGrade, escaped, grade, judged
from gpt2_tutorial.grader.letter import opened, sealed
from gpt2_tutorial.grader.needed import needed
from tiers import tiered

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FEW = NOTEBOOKS[::6]
NORMALISE = "def normalise_rows(counts):\n    return counts / counts.sum(1, keepdim=True)"
CHECK = 'check("01.1", normalise_rows)'
QUOTE = "'"


def notebook_of(*cells: tuple[str, str | None]) -> dict:
    """A notebook of code cells, each as (source, tag)."""
    made = [
        {"cell_type": "code", "metadata": {"tags": [tag]} if tag else {}, "source": source}
        for source, tag in cells
    ]
    return {"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# hi"}, *made]}


def stored(folder: Path, notebook: dict, name: str = "student.ipynb") -> Path:
    path = folder / name
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def statuses(report: dict) -> dict[str, str]:
    return {found["id"]: found["status"] for found in report["exercises"]}


# --- every notebook of the book; in this process, since each real one imports torch anew


@pytest.fixture
def in_this_process(monkeypatch):
    def here(cells, id, place, seed, seconds):
        return reply(id, cells[place][0], [source for source, _ in cells[:place]], seed)

    monkeypatch.setattr(grading, "_in_own_process", here)
    monkeypatch.setattr(grading, "AT_ONCE", 1)


def exercises_of(path: Path) -> list[str]:
    return [exercise.id for exercise in load(path.name[:2])]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_shipped_notebook_is_not_tried(path):
    assert statuses(grade(path)) == dict.fromkeys(exercises_of(path), "not tried")


@pytest.mark.usefixtures("in_this_process")
# One tool makes them all of what the test above has seen: three chapters now, the others soak.
@pytest.mark.parametrize("path", tiered(NOTEBOOKS, FEW), ids=lambda path: path.stem)
def test_the_edition_without_solutions_is_not_tried(path, tmp_path):
    student = editions.without_solutions(json.loads(path.read_text(encoding="utf-8")))
    found = statuses(grade(stored(tmp_path, student)))
    assert found == dict.fromkeys(exercises_of(path), "not tried")


@pytest.mark.usefixtures("in_this_process")
# Without tags an exercise is known by its `check`, the same way in all: three chapters now.
@pytest.mark.parametrize(
    ("path", "tags"),
    tiered(
        [(path, tags) for path in NOTEBOOKS for tags in (True, False)],
        [(path, tags) for path in NOTEBOOKS for tags in (True, False) if tags or path in FEW],
    ),
    ids=lambda value: getattr(value, "stem", f"tags {value}"),
)
def test_the_solved_notebook_passes_whole(path, tags, tmp_path):
    solved = editions.solved(json.loads(path.read_text(encoding="utf-8")))
    for cell in solved["cells"]:
        cell["metadata"] = cell["metadata"] if tags else {}
    report = grade(stored(tmp_path, solved), seed=7)
    assert statuses(report) == dict.fromkeys(exercises_of(path), "passed")
    count = len(exercises_of(path))
    assert report["totals"] == {"passed": count, "wrong": 0, "not tried": 0, "all": count}


# --- one cell, in this process


def attempt(id, cell, earlier, seed=0):
    """Let a cell tell what its answer does, and judge that."""
    return judged(id, reply(id, cell, earlier, seed), seed)


@pytest.mark.parametrize(
    ("cell", "earlier"),
    [
        (f"{NORMALISE}\n{CHECK}", []),
        (NORMALISE, []),
        (f"{NORMALISE}\nnormalise_rows(1)\n{CHECK}", []),
        ('check("01.1", lambda counts: counts / counts.sum(1, keepdim=True))', []),
        (f"def mine(c):\n    return c / c.sum(1, keepdim=True)\n{CHECK[:14]} mine)", []),
        (f"%%time\n{NORMALISE}\n{CHECK}", []),
        (f"\n%%timeit -n1 -r1\n{NORMALISE}\n{CHECK}", []),
        (f"%%capture out\n%%prun\n{NORMALISE}\n{CHECK}", []),
        (CHECK, [f"%%time\n{NORMALISE}"]),
        (f"torch.normal?\n?torch\n{NORMALISE}\n{CHECK}", []),
        (f"x = (7\n% 4)\n{NORMALISE.replace('1,', 'x - 2,')}\n!ls\n{CHECK}", []),
        (
            f"text = {3 * QUOTE}\n%d of\n!x\n{3 * QUOTE}\n%time x = 1\n{NORMALISE}\n{CHECK}",
            [],
        ),
        (f"%time normalise_rows = lambda c: c / c.sum(1, keepdim=True)\n{CHECK}", []),
        (f"{NORMALISE}\nfiles = !ls\nfiles\n{CHECK}", []),
        (f"%matplotlib inline\n{NORMALISE}\n!ls\n{CHECK}", []),
        (f"from gpt2_tutorial.checks import check\n{NORMALISE}\n{CHECK}", []),
        (f"from gpt2_tutorial import checks\n{NORMALISE}\nchecks.{CHECK}", []),
        (CHECK, ["import torch", NORMALISE]),
        (CHECK, ["axis = 0", NORMALISE.replace("1,", "axis,"), "axis = 1", "1 / 0", "broken("]),
        (CHECK, ["options = {}", NORMALISE.replace("1", "options[1]"), "options[1] = 1"]),
        (CHECK, ["from gpt2_tutorial.checks import check", NORMALISE]),
    ],
)
def test_a_right_answer_is_found_wherever_it_stands(cell, earlier):
    assert attempt("01.1", cell, earlier).message == "✓ 01.1 passed (24 cases)"


@pytest.mark.parametrize(
    ("cell", "earlier", "words"),
    [
        (
            "def normalise_rows(counts)\n    return 1",
            [],
            "The cell raised SyntaxError: expected ':'",
        ),
        ("1 / 0", [], "The cell raised ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", [], "The cell raised SystemExit: 3"),
        (CHECK, [], "NameError: name 'normalise_rows' is not defined"),
        (CHECK, ["normalise_rows = undefined"], "a cell above it raised NameError: name 'undefin"),
        ("x = 1", [], "neither defines 'normalise_rows' nor hands anything to check"),
        ("%%bash\nls", [], "neither defines"),
        (f"{NORMALISE}\ncheck('01.2', normalise_rows)", ["normalise_rows = 3"], "✓"),
    ],
)
def test_a_cell_that_gives_nothing_is_told_so(cell, earlier, words):
    assert words in attempt("01.1", cell, earlier).message


def test_without_ipython_the_commands_are_found_by_their_first_sign(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.core.inputtransformer2", None)
    assert magics.plain_python("a = 1\n!ls\na.b??\nif a:\n  %time a") == (
        "a = 1\npass\npass\nif a:\n    pass"
    )
    text = f"a = {3 * QUOTE}\n%d{3 * QUOTE}"
    assert magics.plain_python(f"%%time\n{text}") == text


@pytest.mark.parametrize("tags", [None, 7, [1], "exercise:01.1", ["exercise:1.1", "exercise:a"]])
@pytest.mark.usefixtures("in_this_process")
def test_an_odd_tag_is_no_tag(tags, tmp_path):
    cell = {"cell_type": "code", "metadata": {"tags": tags}, "source": NORMALISE}
    order = "order = 'EBCDAF'; check('01.4', order)"
    other = {"cell_type": "code", "metadata": None, "source": order}
    found = statuses(grade(stored(tmp_path, {"cells": [cell, other]})))
    assert (found["01.1"], found["01.4"]) == ("not tried", "passed")


def test_a_known_mistake_keeps_its_name_under_another_seed():
    cell = f"{NORMALISE.replace('sum(1', 'sum(0')}\n{CHECK}"
    results = [attempt("01.1", cell, [], seed) for seed in (0, 12345)]
    assert [(result.status, result.mutant) for result in results] == [("wrong", "columns")] * 2


def test_another_seed_gives_other_cases(monkeypatch):
    cell = "def normalise_rows(counts):\n    torch.seen.append(counts.tolist())"
    seen = {}
    for name, seed in {"first": 0, "again": 0, "other": 1}.items():
        monkeypatch.setattr(torch, "seen", [], raising=False)
        assert attempt("01.1", cell, [], seed).status == "wrong"
        seen[name] = torch.seen
    assert len(seen["first"]) == len(seen["other"]) == 24
    assert seen["first"] == seen["again"] != seen["other"]


def test_the_books_own_check_is_back_in_place():
    before = checks.check
    attempt("01.1", "raise KeyboardInterrupt", [])
    assert checks.check is before


# --- which earlier statements are run


def names_of(code: str, *earlier: str) -> list[str]:
    return [ast.unparse(node) for node in needed(code, list(earlier))]


@pytest.mark.parametrize(
    ("code", "earlier", "chosen"),
    [
        ("a", ["a = b", "b = 1", "c = 2"], ["a = b", "b = 1"]),
        ("f()", ["x = 1", "def f():\n    return x"], ["x = 1", "def f():\n    return x"]),
        ("def g():\n    return y", ["y = 1"], ["y = 1"]),
        ("def g():\n    y = 2\n    return y", ["y = 1"], []),
        ("a", ["a = []", "a.append(1)", "b.append(1)"], ["a = []", "a.append(1)"]),
        ("a", ["a = {}", "a['k'] = 1", "a.k = 1"], ["a = {}", "a['k'] = 1", "a.k = 1"]),
        ("a", ["a = 1\nb = 2; a += 1"], ["a = 1", "a += 1"]),
        ("a += 1", ["a = 1"], ["a = 1"]),
        ("a = 1\na", ["a = 2"], []),
        ("import a\ndef f(): return b\nf(a)", ["a = f = 1", "b = 2"], ["b = 2"]),
        ("for a in b: a", ["a = 1", "b = 2"], ["a = 1", "b = 2"]),
        ("a", ["for a in range(3): pass"], ["for a in range(3):\n    pass"]),
        ("t.x", ["import torch as t", "import math"], ["import torch as t"]),
        ("a", ["a = 1", "a = ("], ["a = 1"]),
        ("t.ones(1)", ["import t", "t.seed(0)", "for a in b:\n    t.rand(a)"], ["import t"]),
        ("t", ["import t", "t = f(t)", "t.seed(0)"], ["import t", "t = f(t)"]),
        ("a", ["%load_ext x\na = 1", "%%time\na = 2", "%%bash\na=3"], ["a = 1", "a = 2"]),
        ("[a for _ in b]", ["a = 1", "b = 2"], ["a = 1", "b = 2"]),
        ("broken(", ["a = 1"], []),
    ],
)
def test_what_is_needed(code, earlier, chosen):
    assert names_of(code, *earlier) == chosen


# --- the real thing, in processes of their own


@pytest.mark.slow
def test_nothing_that_a_cell_does_ends_the_grading(tmp_path):
    pid = tmp_path / "pid"
    leaves = (
        "import subprocess, pathlib, threading, time\n"
        "left = subprocess.Popen(['sleep', '1000'])\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(left.pid))\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "print('x' * 10**6)\n"
        f"input()\n{NORMALISE}\n"
    )
    interrupts = "def sample_next(counts, last, u):\n    raise KeyboardInterrupt"
    notebook = notebook_of(
        (leaves, "exercise:01.1"),
        (NORMALISE, "exercise:01.1"),
        (interrupts, "exercise:01.2"),
        ("import os\nos._exit(0)", "exercise:01.3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "exercise:01.4"),
    )
    report = grade(stored(tmp_path, notebook))
    said = {found["id"]: found["message"] for found in report["exercises"]}
    assert said["01.1"] == "✓ 01.1 passed (24 cases)"
    assert said["01.2"] == "✗ 01.2 The answer ended with KeyboardInterrupt."
    assert "It ended Python itself (exit code 0)" in said["01.3"]
    assert "It ended Python itself (exit code -11)" in said["01.4"]
    assert said["01.5"] == "○ 01.5 is not in this notebook"
    assert report["totals"] == {"passed": 1, "wrong": 3, "not tried": 1, "all": 5}
    assert not is_running(int(pid.read_text()))


def is_running(pid: int) -> bool:
    """Whether a process is alive; one that was killed may wait a moment to be cleared away."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.1)
    return True


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its limit")
def test_a_cell_cannot_fill_the_memory(tmp_path):
    greedy = "answer = bytearray(2**33)"
    first = grade(stored(tmp_path, notebook_of((greedy, "exercise:01.1"))))["exercises"][0]
    assert "The cell raised MemoryError: it asked for more than 4 GiB" in first["message"]


@pytest.mark.slow
def test_an_endless_loop_is_stopped(tmp_path):
    notebook = notebook_of(("import time\nwhile True:\n    time.sleep(1)", "exercise:01.1"))
    first = grade(stored(tmp_path, notebook), seconds=8)["exercises"][0]
    assert (first["id"], first["status"], first["mutant"]) == ("01.1", "wrong", None)
    assert "still running after 8 seconds" in first["message"]


@pytest.mark.usefixtures("in_this_process")
def test_a_table_for_people_and_json_for_machines(tmp_path, capsys):
    mistake = NORMALISE.replace("sum(1", "sum(0")
    notebook = notebook_of((f"{mistake}\n{CHECK}", None), ("order = 'EBCDAF'", "exercise:01.4"))
    path = stored(tmp_path, notebook)
    assert command.main(["grade", str(path), "--seed", "5"]) == 0
    shown = capsys.readouterr().out
    assert "student.ipynb, seed 5: 1 of 5 passed, 1 wrong, 3 not tried" in shown
    assert "✗ 01.1 wrong  [columns]\n    Your columns sum to 1, not your rows" in shown
    assert command.main(["grade", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["exercises"][0]["mutant"] == "columns"
    assert report["totals"] == {"passed": 1, "wrong": 1, "not tried": 3, "all": 5}


HOSTILE = {
    "replaced check": """from gpt2_tutorial.checks import engine
engine.judge = engine.run = engine.examine = lambda *_: engine.Result("passed", "x")
normalise_rows = lambda counts: counts""",
    "the book's own": """from gpt2_tutorial.checks import EXERCISES
normalise_rows = EXERCISES["01.1"].spec""",
    "nonsense": """import os
for number in range(3, 30):
    try: os.write(number, b"[1, {")
    except OSError: pass
os._exit(0)""",
    "a forged result": """import os
for number in range(3, 30):
    try: os.write(number, b'{"status": "passed", "message": "x"}')
    except OSError: pass
os._exit(0)""",
    "a pipe": """import os
os.mkfifo("result.json")
os.mkfifo("job.json")
normalise_rows = 3""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_no_answer_says_itself_that_it_is_right(name, tmp_path):
    cells, beside = [(HOSTILE[name], "exercise:01.1")], name in ("nonsense", "a pipe")
    if beside:  # these two could reach beyond their own process
        cells.append(("order = 'EBCDAF'", "exercise:01.4"))
    found = statuses(grade(stored(tmp_path, notebook_of(*cells)), seconds=30))
    assert (found["01.1"], found["01.4"]) == ("wrong", "passed" if beside else "not tried")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process began with")
def test_a_process_in_a_session_of_its_own_ends_too(tmp_path):
    pid = tmp_path / "pid"
    cell = (
        "import subprocess, pathlib\n"
        "left = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(left.pid))"
    )
    grade(stored(tmp_path, notebook_of((cell, "exercise:01.1"))))
    assert not is_running(int(pid.read_text()))


@pytest.mark.usefixtures("in_this_process")
def test_what_a_terminal_would_obey_is_shown_instead(tmp_path, capsys):
    cell = "def normalise_rows(counts):\n    raise ValueError('\\x1b[31m\\x9b2J\\u202e × −')"
    notebook = notebook_of((cell, "exercise:01.1"))
    assert command.main(["grade", str(stored(tmp_path, notebook, "a\x1b[2J.ipynb"))]) == 0
    shown = capsys.readouterr().out
    assert r"ValueError: \x1b[31m\x9b2J\u202e × −" in shown and r"a\x1b[2J.ipynb" in shown
    assert escaped(shown) == shown


NO_LETTERS = [
    "", "[]", "7", "null", '["value"]', "[" * 9999, '["nothing"]', '["value", ["x", 1, 2]]',
    '["value", ["tensor", "load", [2], [1]]]', '["value", ["array", "S9999", [1], ["a"]]]',
    '["account", "a", true, false, [], []]', '["account", "a", true, false, [[["is", 1]]], 3]',
]  # fmt: skip


@pytest.mark.parametrize("told", NO_LETTERS)
@pytest.mark.parametrize("id", ["01.1", "01.4"])
def test_a_reply_that_no_attempt_writes_is_wrong(id, told):
    load("01")
    assert judged(id, told).status == "wrong"


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 2**70, 0.5, float("inf"), "a\ud800", b"\x00a", (1, [2, {3}], {"a": (None,)}),
        torch.ones(2, 0, 3), torch.tensor(7), torch.tensor([True]), torch.ones(3).bfloat16(),
        np.float32(3), np.array([[1, 2]]), 1j, frozenset({2}),
    ],
)  # fmt: skip
def test_a_letter_brings_a_value_over_as_it_is(value):
    back = opened(sealed(value))
    assert type(back) is type(value) or isinstance(value, np.generic)
    assert same(value, back, 0.0, strict=True)


@pytest.mark.parametrize(
    "value", [len, range(3), torch.ones(1).to_sparse(), 1 + 2j * torch.ones(2)]
)
def test_a_value_of_another_kind_is_brought_over_by_its_description(value):
    back = opened(sealed(value))
    assert describe(back) == describe(value) and short(back) == short(value)


# --- nothing to grade


BAD_FILES = {
    "text": ("# hello", "does not hold JSON"),
    "binary": (b"\xff\xfe\x00", "does not hold JSON"),
    "a list": ("[1]", "not the cells of a notebook"),
    "no cells": ('{"worksheets": []}', "not the cells of a notebook"),
    "odd cells": ('{"cells": [{"cell_type": "code", "source": [1]}]}', "not the cells"),
    "no exercise": (json.dumps(notebook_of(("x = 1", None))), "has no exercise"),
    "unknown": (json.dumps(notebook_of(("f", "exercise:99.1"))), "has no exercise"),
}


@pytest.mark.parametrize(("content", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_what_is_no_notebook_of_ours_is_told_so(content, words, tmp_path, capsys):
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert command.main(["grade", str(path)]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "bad.ipynb" in said.err
    assert (said.out, "Traceback" in said.err) == ("", False)


def test_a_missing_file_is_told_so(tmp_path):
    with pytest.raises(CannotGrade, match=r"none\.ipynb cannot be read \(No such file"):
        grade(tmp_path / "none.ipynb")
    with pytest.raises(CannotGrade, match=r"cannot be read \(Is a directory"):
        grade(tmp_path)


@pytest.mark.parametrize(
    "words", [[], ["mark", "x"], ["grade"], ["grade", "x", "--seed", "a"]], ids=str
)
def test_bad_usage_is_2(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(words)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_is_more_than_nothing(seconds, capsys):
    with pytest.raises(SystemExit):
        command.main(["grade", "x", "--seconds", seconds])
    assert "seconds" in capsys.readouterr().err
