"""benchmarks/gpu_day.py on a CPU with tiny shapes: every part, every way in which it may end."""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from gpt2_tutorial.launch import train_gpt2

if os.name == "nt":
    pytest.skip("process groups of Unix", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
DAY = BENCHMARKS / "gpu_day.py"
PARTS = ("tests", "script", "step", "ladder", "simple", "generate", "modern")
MODULES = ("day", "job", "part", "text", "warm", *PARTS)
SPEEDS = {"way": str, "tokens_per_s": (int, float)}
SCHEMA = {  # part: its keys, and what stands there in a complete log
    "tests": {"passed": int, "failed": int, "skipped": int, "tests": list},
    "script": {"preset": str, "options": list, "text": dict, "tokens_per_s": int, "losses": list,
               "first_step_s": float, "val": list, "killed_at": int, "resumed_at": int,
               "steps": int},
    "step": {"sequences": int, "ours": dict, "theirs": dict, "ratio": dict},
    "ladder": {"rungs": list, "shape": dict, "command": str, "device": str, "torch": str},
    "simple": {"preset": str, "text": dict, "kneser_ney": float, "best": dict, "curve": list,
               "precision": str, "parameters": int, "stopped": str},
    "generate": {"prompt": int, "new_tokens": int, "ours": dict, "theirs": dict, "ratio": dict,
                 "same_tokens": bool},
    "modern": {"text": dict, "options": list, "recipes": dict, "compared": dict, "table": list},
}  # fmt: skip
ABOUT = {"command": str, "part": str, "device": str, "machine": str, "date": str, "python": str}
ABOUT |= {"torch": str, "transformers": str, "seconds": float, "tiny": bool}


@pytest.fixture
def modules(monkeypatch):
    """The scripts as modules that know each other, and no trace of them afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield lambda name: importlib.import_module(f"gpu_{name}")
    for name in MODULES:
        sys.modules.pop(f"gpu_{name}", None)


def of_kind(log, kinds):
    assert kinds.keys() <= log.keys()
    for key, kind in kinds.items():
        assert isinstance(log[key], kind), key


def logs_in(folder):
    """Every log there; one that is not whole JSON fails here."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8"))
            for file in folder.glob("gpu_*.json")}  # fmt: skip


def day(out, *words, before="", **env):
    """The script as a person starts it; `before` is what somebody planted in its parts."""
    words = [sys.executable, str(DAY), "--device", "cpu", "--tiny", "--out", str(out), *words]
    if before:
        home = out.parent / "planted"
        home.mkdir(exist_ok=True)
        (home / "sitecustomize.py").write_text(textwrap.dedent(before), encoding="utf-8")
        env["PYTHONPATH"] = str(home)
    return words, os.environ | {"OMP_NUM_THREADS": "1"} | env


def run_day(out, *words, before="", timeout=240, **env):
    words, env = day(out, *words, before=before, **env)
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def planted(**parts):
    """Replace the `measure` of some parts, in every process of the day, before it is called."""
    lines = ["import importlib.abc, sys, types", ""]
    for name, body in parts.items():
        lines += [f"module = types.ModuleType('gpu_{name}')", f"exec({body!r}, module.__dict__)"]
        lines += [f"sys.modules['gpu_{name}'] = module"]
    return "\n".join(lines)


QUICK = "def measure(job):\n    job.keep(found=7)\n"
HANGS = """
import subprocess, sys, time
def measure(job):
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
    job.keep(found=7, pids=[child.pid])
    time.sleep(600)
"""
RAISES = "def measure(job):\n    job.keep(found=7)\n    raise ValueError('no luck today')\n"
DIES = "import os\ndef measure(job):\n    job.keep(found=7)\n    os.kill(os.getpid(), 11)\n"


def is_alive(pid):
    """A process that has ended and waits to be collected is not alive."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid, within=20):
    ends = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < ends:
        time.sleep(0.05)
    return not is_alive(pid)


# --- how a part may end


@pytest.mark.slow
def test_whatever_becomes_of_a_part_its_log_says_it_and_the_next_part_runs(tmp_path):
    before = planted(tests=RAISES, script=HANGS, step=DIES, ladder=QUICK)
    only = ["--only", "tests", "script", "step", "ladder", "--limit", "20"]
    said = run_day(tmp_path / "out", *only, before=before)
    logs = logs_in(tmp_path / "out")
    assert list(logs) and all(log["found"] == 7 for log in logs.values())
    for log in logs.values():
        of_kind(log["about"], ABOUT)
    assert logs["gpu_tests"]["failed"] == "ValueError: no luck today"
    assert "line 3, in measure" in logs["gpu_tests"]["said"]
    assert logs["gpu_script"]["failed"] == "it was cut at its limit of 20 s"
    assert gone(logs["gpu_script"]["pids"][0]), "its process group was to go with it"
    assert logs["gpu_step"]["failed"].startswith("its process ended with code -11")
    assert "failed" not in logs["gpu_ladder"]
    lines = [line for line in said.splitlines() if line.startswith(PARTS)]
    assert [line.split(":")[0] for line in lines] == only[1:5]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(f"{name}.json" for name in logs)


@pytest.mark.soak
def test_the_deadline_shortens_the_last_parts(tmp_path):
    before = planted(tests=HANGS, script=QUICK, step=QUICK)
    only = ["--only", "tests", "script", "step", "--deadline", "12"]
    began = time.monotonic()
    run_day(tmp_path / "out", *only, before=before)
    assert time.monotonic() - began < 60
    logs = logs_in(tmp_path / "out")
    assert logs["gpu_tests"]["failed"] == "it was cut at its limit of 12 s"
    assert logs["gpu_script"]["failed"] == logs["gpu_step"]["failed"] == "no time was left for it"
    assert logs["gpu_step"]["about"]["part"] == "step"


@pytest.mark.slow
def test_a_kill_of_the_day_leaves_whole_logs_and_no_process(tmp_path):
    out = tmp_path / "out"
    before = planted(tests=QUICK, script=HANGS)
    words, env = day(out, "--only", "tests", "script", "step", before=before)
    process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL)
    ends = time.monotonic() + 90
    while "pids" not in logs_in(out).get("gpu_script", {}) and time.monotonic() < ends:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    logs = logs_in(out)
    assert "failed" not in logs["gpu_tests"] and logs["gpu_tests"]["found"] == 7
    assert logs["gpu_script"]["failed"].startswith("it had not come to its end")
    assert "gpu_step" not in logs
    assert gone(logs["gpu_script"]["pids"][0]), "nobody is left who would go on without the day"


@pytest.mark.slow
def test_a_day_that_is_asked_to_end_takes_its_part_with_it(tmp_path):
    out = tmp_path / "out"
    words, env = day(out, "--only", "script", before=planted(script=HANGS))
    process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL)
    ends = time.monotonic() + 90
    while "pids" not in logs_in(out).get("gpu_script", {}) and time.monotonic() < ends:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert gone(logs_in(out)["gpu_script"]["pids"][0])


def test_a_log_is_whole_at_every_moment(modules, tmp_path):
    """Killed between any two operations on files, the old log stands there or the new one."""
    job = modules("job")
    file = tmp_path / "gpu_step.json"
    job.write_log(file, {"a": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job.os, "fsync", lambda handle: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            job.write_log(file, {"a": 2})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": 1}


# --- each part, tiny


def carried_out(modules, name, tmp_path, seconds=300.0):
    """A part in this very process: its log when it is complete."""
    job, part = modules("job"), modules("part")
    about = job.about_here("python benchmarks/gpu_day.py", "CPU", True)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    ends = time.monotonic() + seconds
    one = job.Job(name, tmp_path / "out", scratch, "cpu", True, ends, about)
    code = part.carry_out(one)
    log = json.loads(one.file.read_text(encoding="utf-8"))
    assert code == 0, log
    of_kind(log["about"], ABOUT)
    of_kind(log, SCHEMA[name])
    return log


@pytest.fixture(autouse=True)
def nothing_changed(monkeypatch):
    """Parts set what holds for the whole process; a test leaves it as it was."""
    import torch

    from gpt2_tutorial import assets

    before, addresses = torch.get_float32_matmul_precision(), dict(assets.ASSETS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_float32_matmul_precision(before)
    assets.ASSETS.update(addresses)


@pytest.mark.slow
def test_the_step_part_compares_the_same_training(modules, tmp_path):
    log = carried_out(modules, "step", tmp_path)
    ours, theirs = log["ours"], log["theirs"]
    assert len(ours["losses"]) == len(theirs["losses"]) == 5
    # Half precision rounds each logit by 2⁻⁸ of it, and these models are as good as untrained.
    assert ours["losses"] == pytest.approx(theirs["losses"], abs=0.02)
    low, high = log["ratio"]["min_max"]
    assert low <= log["ratio"]["median"] <= high and log["ratio"]["pairs"] == 6
    assert ours["tokens_per_s"] > 0 and ours["mfu"] is None and ours["memory_gb"] is None


def test_a_step_that_does_not_fit_is_compared_with_fewer_sequences(modules, tmp_path, monkeypatch):
    import torch

    step, sizes = modules("step"), []

    def compare(job, preset, compiles):
        sizes.append(preset.batch_size)
        if preset.batch_size > 1:
            raise torch.OutOfMemoryError("out of memory")
        job.keep(sequences=preset.batch_size)

    monkeypatch.setattr(step, "compare", compare)
    job = modules("job").Job("step", tmp_path, tmp_path, "cpu", True, time.monotonic() + 60)
    step.measure(job)
    log = json.loads(job.file.read_text(encoding="utf-8"))
    assert sizes == [4, 2, 1] and log["sequences"] == 1
    assert log["notes"][0] == "4 sequences do not fit into this GPU's memory"


@pytest.mark.slow
def test_where_nothing_can_be_compiled_the_step_is_taken_without_and_says_so(
    modules, tmp_path, monkeypatch
):
    step, asked = modules("step"), []

    def no_compiler(model, **how):
        asked.append(model)

        def fails(*batch, **named):
            raise RuntimeError("Failed to find C compiler\nplease set CC")

        return fails

    monkeypatch.setattr(step.torch, "compile", no_compiler)
    monkeypatch.setattr(step, "FULL", step.TINY)
    monkeypatch.setattr(step, "VOCABULARY", step.TINY_VOCABULARY)
    scratch = tmp_path / "scratch"
    job = modules("job").Job("step", tmp_path, scratch, "cpu", True, time.monotonic() + 99)
    modules("text").shards(job)  # small ones
    job.tiny = False
    step.measure(job)
    log = json.loads(job.file.read_text(encoding="utf-8"))
    assert len(asked) == 2 + step.TINY.n_layer, "ours, theirs as a whole, and each of its blocks"
    assert log["ours"]["way"] == log["theirs"]["way"] == "not compiled" and len(log["notes"]) == 3
    assert log["notes"][0].endswith("RuntimeError: Failed to find C compiler")


@pytest.mark.soak
def test_the_ladder_part_keeps_the_order_and_says_what_it_had_no_time_for(modules, tmp_path):
    ladder = modules("ladder")
    log = carried_out(modules, "ladder", tmp_path)
    assert [rung["name"] for rung in log["rungs"]] == [rung.name for rung in ladder.ladder(32)]
    assert all(rung["tokens_per_s"] > 0 for rung in log["rungs"])
    with pytest.MonkeyPatch.context() as patch:
        real, done = ladder.measured, []

        def slow(rung, *rest):
            done.append(rung.name)
            if len(done) > 2:
                patch.setattr(modules("job").Job, "left", lambda self: 0.0)
            return real(rung, *rest)

        patch.setattr(ladder, "measured", slow)
        log = carried_out(modules, "ladder", tmp_path)
    names = [rung.name for rung in ladder.ladder(32)]
    assert done == names[::-1][:3], "the last rungs first"
    missing = [rung["name"] for rung in log["rungs"] if rung.get("failed") == ladder.NOT_RUN]
    assert missing == names[:-3] and [rung["name"] for rung in log["rungs"]] == names


def test_a_rung_without_memory_or_compiler_is_measured_with_less(modules):
    import torch

    ladder, seen = modules("ladder"), []

    def run(rung):
        seen.append((rung.micro_batch, rung.compile))
        if rung.micro_batch > 16:
            raise torch.OutOfMemoryError("out of memory")
        if rung.compile:
            raise RuntimeError("no compiler\nin the path")
        return {"name": rung.name}

    row = ladder.tried(ladder.ladder(64)[-1], 16, run)
    assert seen == [(64, True), (32, True), (16, True), (16, False)]
    assert row["name"] == "16 sequences at a time" and len(row["notes"]) == 3
    assert "no compiler" in row["notes"][-1]


def test_the_simple_part_knows_when_counting_was_beaten(modules, tmp_path):
    simple = modules("simple")
    log = carried_out(modules, "simple", tmp_path)
    assert [row["step"] for row in log["curve"]] == [0, 4, 8, 12]
    assert log["stopped"] == "after all 12 steps" and log["precision"]
    assert log["text"]["what"] == "tiny Shakespeare"
    assert log["best"]["val"] == min(row["val"] for row in log["curve"])
    curve = [
        {"val": 3.0, "seconds": 1.0},
        {"val": 1.5, "seconds": 2.04},
        {"val": 1.4, "seconds": 3},
    ]
    assert simple.seconds_to(1.54, curve) == 2.0 and simple.seconds_to(1.0, curve) is None


def test_the_simple_part_ends_in_time_and_says_where(modules, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modules("job").Job, "left", lambda self: 1.0)
        log = carried_out(modules, "simple", tmp_path)
    assert log["stopped"] == "at step 0 of 12, for want of time" and len(log["curve"]) == 1


@pytest.mark.slow
def test_kneser_ney_on_tiny_shakespeare_is_the_books(modules):
    import torch

    from gpt2_tutorial import ledger
    from gpt2_tutorial.text import CharTokenizer, load_shakespeare

    text = load_shakespeare()
    ids = torch.tensor(CharTokenizer(text).encode(text))
    book = ledger.committed("01")["values"]["01.kneser_ney"]
    assert modules("simple").kneser_ney(ids, 65) == pytest.approx(book["value"], abs=book["tol"])


def test_the_generate_part_writes_the_same_tokens_with_both(modules, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    log = carried_out(modules, "generate", tmp_path)
    assert log["same_tokens"] and log["ratio"]["pairs"] == 5
    of_kind(log["ours"], SPEEDS), of_kind(log["theirs"], SPEEDS)
    assert log["theirs"]["way"] == "static cache"


def test_where_the_static_cache_fails_the_usual_one_is_taken(modules):
    generate, notes = modules("generate"), []
    import torch

    class Theirs:
        def generate(self, prompt, **how):
            if "cache_implementation" in how:
                raise RuntimeError("no such cache")
            return prompt

    way, write = generate.warmed(Theirs(), torch.zeros(1, 2), 3, notes)
    assert way == "its usual cache, not compiled" and write().shape == (1, 2)
    assert notes == ["static cache: RuntimeError: no such cache"]


@pytest.mark.soak
def test_the_script_part_kills_and_resumes_what_people_launch(modules, tmp_path):
    log = carried_out(modules, "script", tmp_path)
    assert log["steps"] == 16 and len(log["losses"]) == 16 and log["model"]
    assert log["resumed_at"] % 4 == 0 and log["resumed_at"] <= log["killed_at"] < 16
    assert log["gap_of_repeated_steps"] in (None, 0.0)  # on a CPU the same bits
    assert [row["step"] for row in log["val"]] == [0, 16]
    assert log["text"]["tokens"] > 10_000


@pytest.mark.soak
def test_the_modern_part_trains_both_recipes_on_the_same_tokens(modules, tmp_path, capsys):
    log = carried_out(modules, "modern", tmp_path)
    gpt2, modern = (log["recipes"][name] for name in ("gpt2", "modern"))
    assert gpt2["stopped"] == modern["stopped"] == "all steps are done"
    for one in (gpt2, modern):
        assert [point["step"] for point in one["curve"]] == list(range(1, 21))
        assert [point["tokens"] for point in one["curve"]] == list(range(256, 21 * 256, 256))
        seconds = [point["seconds"] for point in one["curve"]]
        assert seconds == sorted(seconds) and seconds[0] > 0
        assert [row["step"] for row in one["val"]] == [0, 20]
    assert 0.9 * log["text"]["tokens"] >= 20 * 256, "no token is read for the second time"
    assert gpt2["curve"][0]["loss"] != modern["curve"][0]["loss"], "two models"
    last = log["compared"]
    assert (last["step"], last["tokens"]) == (20, 20 * 256)
    assert last["gpt2"]["loss"] == log["table"][-1]["gpt2"]["loss"]
    lines = modules("day").by_tokens(log)
    assert len(lines) == len(log["table"]) == 11 and "5,120 tokens" in lines[-1]
    assert modules("day").told("modern", log).startswith("modern: loss ")


def test_the_modern_part_says_how_much_sooner_or_that_it_never_was(modules):
    modern = modules("modern")

    def found(losses, pace):
        points = [{"step": i, "tokens": 10 * i, "seconds": pace * i, "loss": loss}
                  for i, loss in enumerate(losses, start=1)]  # fmt: skip
        return {"curve": points}

    both = {"gpt2": found([5.0, 4.0, 3.0, 2.0], 1.0), "modern": found([5.0, 2.0, 1.0], 1.5)}
    told = modern.compared(both)  # at the last step that both took
    assert told == {"step": 3, "tokens": 30, "gpt2": {"loss": 3.0, "seconds": 3.0},
                    "modern": {"loss": 1.0, "seconds": 4.5}, "share_of_tokens": 0.667,
                    "share_of_seconds": 1.0}  # fmt: skip
    both["modern"] = found([5.0, 4.5, 4.0], 1.5)
    assert modern.compared(both)["share_of_tokens"] is None
    assert modern.compared({"gpt2": both["gpt2"]}) == {}
    assert [row.keys() - {"tokens"} for row in modern.table(both)][-1] == {"gpt2"}
    words = {"compared": told | {"share_of_seconds": None}, "about": {"seconds": 9.0}}
    said = modules("day").told("modern", words)
    assert "after 0.67 of the tokens and more than all of the seconds (9 s)" in said


def test_the_first_steps_which_compile_count_as_much_as_the_others(modules):
    rows = [{"step": i, "tokens": i, "loss": 1.0, "norm": 1.0, "lr": 1.0,
             "seconds": 40.0 if i == 1 else 0.5} for i in range(1, 9)]  # fmt: skip
    assert modules("modern").curve(rows)[-1]["seconds"] == 4.0


def test_the_modern_part_ends_in_time_and_keeps_what_there_was(modules, tmp_path, monkeypatch):
    modern, job = modules("modern"), modules("job")
    rows = [{"step": 0, "precision": "fp32"}, {"step": 1, "tokens": 9, "loss": 4.0, "norm": 1.0,
             "lr": 0.1, "seconds": 0.5, "tokens_per_s": 18.0}]  # fmt: skip
    killed = []

    class Endless:
        def __init__(self, data, folder, options):
            self.folder, self.process = folder, argparse.Namespace(poll=lambda: None)

        def rows(self):
            return rows

        def kill(self):
            killed.append(self.folder.name)

    monkeypatch.setattr(modern, "Script", Endless)
    monkeypatch.setattr(modern, "shards", lambda job: (tmp_path, {"tokens": 50_000}))
    one = job.Job("modern", tmp_path, tmp_path, "cpu", True, time.monotonic() + 5)
    modern.measure(one)
    log = json.loads(one.file.read_text(encoding="utf-8"))
    assert killed == ["modern_gpt2", "modern_modern"] and time.monotonic() < one.ends
    assert {found["stopped"] for found in log["recipes"].values()} == {"its time was over"}
    assert log["compared"]["step"] == 1


def test_the_modern_part_takes_options_that_the_script_has(modules):
    modern = modules("modern")
    parser = argparse.ArgumentParser()
    train_gpt2.add_arguments(parser)
    for recipe in modern.RECIPES:
        words = ["--preset", modules("script").PRESET, *modern.FULL.split(), "--recipe", recipe]
        words += ["--max-steps", "109", "--warmup-steps", "10", "--eval-every", "109"]
        config = train_gpt2.configured(parser.parse_args(words), 50257)
        assert config.pieces(world_size=1) == 1 and config.recipe == recipe


def test_the_script_takes_the_options_of_the_full_day(modules):
    """A slip in them would show on the GPU only."""
    script = modules("script")
    parser = argparse.ArgumentParser()
    train_gpt2.add_arguments(parser)
    steps, every = script.STEPS, script.SAVE_EVERY
    last = f"--max-steps {steps} --eval-every {steps} --save-every {every}".split()
    for more in ([], ["--micro-batch", "32"], ["--no-compile"]):
        words = ["--preset", script.PRESET, *script.FULL.split(), *last, *more]
        config = train_gpt2.configured(parser.parse_args(words), 50257)
        assert config.pieces(world_size=1) == (2 if "--micro-batch" in more else 1)
        assert config.compile is ("--no-compile" not in more)
        assert every + script.KILL_AFTER < 2 * every < config.max_steps


def test_what_the_script_needs_less_of_is_taken_back_step_by_step(modules):
    script = modules("script")
    options = script.less_memory(["--keep", "1"])
    assert options == ["--keep", "1", "--micro-batch", "32"]
    assert script.less_memory(options)[-1] == "16"
    assert script.less_memory(["--micro-batch", "1"]) is None
    assert script.without_compiler("torch.compile fails here (no cc): it needs a C++ compiler")
    assert not script.without_compiler("the 3 tokens of val are 0 sequences")


def test_the_script_is_tried_again_with_less_memory_then_without_compiler(
    modules, tmp_path, monkeypatch
):
    script, seen = modules("script"), []
    said = iter(["CUDA out of memory: lower --micro-batch, which …", "torch.compile fails here"])

    def lived(job, data, options, name):
        seen.append(options[16:])
        for reason in said:
            raise RuntimeError(reason)
        job.keep(steps=16)

    monkeypatch.setattr(script, "lived", lived)
    monkeypatch.setattr(script, "TINY", script.TINY.replace("--no-compile", "--seed 1"))
    job = modules("job").Job("script", tmp_path, tmp_path, "cpu", True, time.monotonic() + 99)
    script.measure(job)
    log = json.loads(job.file.read_text(encoding="utf-8"))
    assert len(seen) == 3 and len(log["notes"]) == 2 and log["steps"] == 16
    assert "--no-compile" in log["options"] and log["options"][-3:-1] != log["options"][-1:]


@pytest.mark.soak
def test_the_tests_for_cuda_run_on_a_cpu_as_far_as_it_can_follow(tmp_path):
    env = os.environ | {"GPT2_CUDA_TESTS_ON": "cpu", "OMP_NUM_THREADS": "1"}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plain = ["-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-q"]
    words = [sys.executable, "-m", "pytest", *plain, "tests/benchmarks/test_cuda.py"]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "26 passed, 2 skipped" in done.stdout


# --- a bare machine

LISTED = ["torch", "transformers", "tiktoken", "tokenizers", "safetensors", "regex", "tqdm"]
LISTED += ["numpy", "matplotlib", "pytest"]
BLOCKER = """
import re, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def closure(names):
    known, more = set(), [plain(name) for name in names]
    while more:
        name = more.pop()
        if name in known:
            continue
        known.add(name)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue
        more += [plain(re.match(r"[\\w.-]+", one)[0]) for one in needed if "extra ==" not in one]
    return known

THERE = closure(LISTED) | {"gpt2-tutorial", "setuptools"}
ABSENT = {module for module, names in packages_distributions().items()
          if not {plain(name) for name in names} & THERE}

class Present:
    # Of the rest there is no trace, as if it had never been installed.

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ABSENT:
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Present(finder) for finder in sys.meta_path]
"""


def bare_machine():
    return f"LISTED = {LISTED!r}\n{BLOCKER}"


@pytest.mark.soak
def test_on_a_bare_machine_all_seven_parts_run_and_say_which_text_they_took(tmp_path):
    """No package but the listed ones, no outside file, no network; the day as it will be there."""
    (tmp_path / "empty").mkdir()
    out, empty = tmp_path / "out", str(tmp_path / "empty")
    slow = ["--limit", "600", "--deadline", "1800"]  # a machine that does other things as well
    said = run_day(out, *slow, before=bare_machine(), timeout=1800, GPT2_TUTORIAL_CACHE=empty)
    logs = logs_in(out)
    assert sorted(logs) == sorted(f"gpu_{part}" for part in PARTS), said
    for part in PARTS:
        log = logs[f"gpu_{part}"]
        of_kind(log, SCHEMA[part])
        of_kind(log["about"], ABOUT)
        assert log["about"]["part"] == part and log["about"]["tiny"], said
        assert log["about"]["device"] == "CPU" and isinstance(log.get("failed", 0), int)
    assert logs["gpu_tests"]["passed"] > 20 and logs["gpu_tests"]["failed"] == 0
    assert logs["gpu_script"]["text"]["what"].startswith("Python's standard library: 0.1 million")
    assert "Python's standard library" in logs["gpu_simple"]["text"]["what"]
    assert [line.split(":")[0] for line in said.splitlines()[1 : 1 + len(PARTS)]] == list(PARTS)


def test_the_blocker_blocks_what_is_not_there_and_lets_the_rest_through(tmp_path):
    code = bare_machine() + "import torch, regex, pytest, safetensors\ntry:\n import hypothesis\n"
    code += "except ModuleNotFoundError:\n print('blocked', sorted(ABSENT & {'pooch', 'xdist'}))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "blocked ['pooch', 'xdist']\n", done.stderr


def test_without_outside_files_there_are_text_and_a_vocabulary_of_the_same_size(
    modules, tmp_path, monkeypatch
):
    text, part = modules("text"), modules("part")
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", str(tmp_path))
    from gpt2_tutorial import assets

    monkeypatch.setattr(assets, "_from_package", assets._from_cache)
    monkeypatch.setattr(text, "PACKED", tmp_path)
    part.without_network()
    assert text.shakespeare() == ""
    said, documents = text.at_hand(50_000)
    assert said == "Python's standard library: 0.1 million characters"
    assert sum(map(len, documents)) == 50_000
    name, words = text.tokenizer(documents, tiny=True)
    assert (name, words.vocab_size) == ("a vocabulary of 512, learned from this text", 512)
    assert list(words.special_tokens.values()) == [511]
    with pytest.raises(RuntimeError, match="50,257 tokens were wanted"):
        text.tokenizer(["a few words"], tiny=False)
    what, letters = text.one_text(5_000)
    assert "standard library" in what and len(letters) == 5_000 and letters.isascii()


def test_with_its_file_the_vocabulary_is_gpt2s(modules):
    name, words = modules("text").tokenizer([], tiny=False)
    assert name == "GPT-2's" and words.vocab_size == 50_257


def test_what_was_packed_is_what_the_day_finds(modules, tmp_path, monkeypatch, capsys):
    day, text = modules("day"), modules("text")
    monkeypatch.setattr(day, "ROOT", tmp_path)
    for module in (day, text):
        monkeypatch.setattr(module, "PACKED", tmp_path / "data" / "gpu_day")
    monkeypatch.delenv("GPT2_TUTORIAL_CACHE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert "GPT2_TUTORIAL_CACHE" not in day.environment(tmp_path, "cpu")
    assert day.main(["--pack"]) == 0
    assert "1,115,394 bytes  data/gpu_day/tinyshakespeare.txt" in capsys.readouterr().out
    assert day.environment(tmp_path, "cpu")["GPT2_TUTORIAL_CACHE"] == str(day.PACKED)
    monkeypatch.setenv("GPT2_TUTORIAL_CACHE", "elsewhere")
    assert day.environment(tmp_path, "cpu")["GPT2_TUTORIAL_CACHE"] == "elsewhere"


def test_git_does_not_see_what_was_packed():
    words = ["git", "check-ignore", "data/gpu_day/vocab.bpe"]
    assert subprocess.run(words, cwd=ROOT, capture_output=True).returncode == 0


def test_only_a_real_gpu_at_full_size_writes_to_the_results(modules, tmp_path, monkeypatch):
    day, seen = modules("day"), {}

    def part(name, args, about, warm):
        seen[name] = args.out, about, warm

    monkeypatch.setattr(day, "run_part", part)
    monkeypatch.setattr(day, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(day, "BUILD", tmp_path / "build")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for device, words, folder, warms in (
            (("cuda", "NVIDIA H200"), [], "runs", True),
            (("cuda", "NVIDIA H200"), ["--tiny"], "build", False),
            (("cpu", "CPU"), [], "build", False),
        ):
            monkeypatch.setattr(day, "device_here", lambda wish, device=device: device)
            assert day.main(words) == 0
            assert seen["tests"][0] == tmp_path / folder and seen["tests"][2] is warms
            assert not seen["step"][2] and seen["step"][1]["device"] == device[1]
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert seen["tests"][1]["command"] == "python benchmarks/gpu_day.py --device cpu"


def test_the_day_itself_imports_no_torch():
    code = "import sys, gpu_day, gpu_job, gpu_part; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True,
                          text=True)  # fmt: skip
    assert done.stdout == "False\n", done.stderr


def test_what_is_compiled_ahead_is_what_the_parts_compile(modules):
    """Each task names a way of gpu_step or a rung that compiles; the script's is not among them."""
    warm, ladder = modules("warm"), modules("ladder")
    rungs = ladder.ladder(64)
    assert all(rungs[place].compile for place in warm.LADDER)
    left_out = [rung.name for place, rung in enumerate(rungs)
                if rung.compile and place not in warm.LADDER]  # fmt: skip
    assert left_out == ["AdamW in one kernel"]  # the optimizer is not compiled: the same graph
    known = {"step:ours", "step:whole", "generate:theirs"}
    assert set(warm.TASKS) == known | {f"ladder:{place}" for place in warm.LADDER}


def test_what_is_compiled_ahead_shares_the_memory(modules, monkeypatch, tmp_path):
    import torch

    warm, running, most = modules("warm"), {}, []

    class Process:
        returncode = 0

        def __init__(self, words, **how):
            running[words[2]], self.task, self.asked = self, words[2], 0
            most.append(sum(warm.TASKS[task] for task in running))

        def poll(self):
            self.asked += 1
            if self.asked < 3:
                return None
            return running.pop(self.task, None) and 0

    sized = type("Properties", (), {"total_memory": 80e9})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: sized)
    monkeypatch.setattr(warm.subprocess, "Popen", Process)
    monkeypatch.setattr(warm.time, "sleep", lambda seconds: None)
    job = modules("job").Job("warm", tmp_path, tmp_path, "cuda", False, time.monotonic() + 60)
    warm.measure(job)
    assert len(most) == len(warm.TASKS) and 30 < max(most) <= 64 and not running
