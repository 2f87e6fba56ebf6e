"""What pages and notebooks say about GPUs, from the logs of benchmarks/gpu_day.py and the plan.

A log may be missing, may have stopped early and may lack any value. Then less is said. Only the
list of `missing` says that something has not been measured.
"""

from collections.abc import Callable
from pathlib import Path

from gpt2_tutorial.commands.plan import PRESETS, plan
from gpt2_tutorial.ledger import gpu_log
from gpt2_tutorial.runs.hardware import MACHINES
from logs import Log, chapter, derived, table

SCRIPT, STEP, LADDER = "gpu_script", "gpu_step", "gpu_ladder"
TESTS, SIMPLE, GENERATE = "gpu_tests", "gpu_simple", "gpu_generate"
MODERN = "gpu_modern"
FIRST = "1xh100"  # what the launch page tells a reader to rent first


class GpuLog(Log):
    """One part of a GPU's day; empty where nobody has run it."""

    def __init__(self, root: Path, part: str):
        self.file, self.data = f"runs/{part}.json", gpu_log(part, root / "results" / "runs")

    def where(self) -> str:
        """The card and the day, to begin a sentence with."""
        about = self.data.get("about", self.data)
        day = f", on {about['date']}" if "date" in about else ""
        return f"On one {about.get('device', 'GPU')}{day},"

    def percent(self, key: str) -> str:
        """A share of one, out of a hundred."""
        if key not in self:
            return "–"
        return derived(100 * self[key], f"100 * {self.marker(key)}", "{:.1f} %")

    def end(self) -> list[str]:
        """The lines below a table: where it is from, and why it stops early if it does."""
        failed = self.data.get("failed")
        said = f"`{' '.join(failed.split())}`" if isinstance(failed, str) else ""
        return ["", self.about(), *(["", f"This part ended early: {said}"] if said else [])]


def facts(rows: dict[str, str]) -> list[str]:
    """A table of what there is: words, and values with their markers."""
    found = [[words, value] for words, value in rows.items() if value != "–"]
    return table("what | measured", found) if found else []


def named(side: dict, name: str) -> str:
    """Who, and in which way where the log says it."""
    return f"{name}: {side['way']}" if side.get("way") else name


def against(log: GpuLog, words: str) -> list[str]:
    """How we compare with others, in a sentence."""
    if "ratio.median" not in log:
        return []
    pairs = f" of {log.say('ratio.pairs', '{}')} pairs" if "ratio.pairs" in log else ""
    span = f", from {log.span('ratio.min_max')}" if "ratio.min_max" in log else ""
    times = log.say("ratio.median", "{:.2f}")
    return ["", f"{words} {times} × as fast as theirs (the middle{pairs}{span})."]


# --- the results page


def tests(log: GpuLog, root: Path) -> list[str]:
    rows = {word: log.say(word, "{}") for word in ("passed", "failed", "skipped")}
    if isinstance(log.data.get("failed"), str):  # then it is a sentence, and no number
        del rows["failed"]
    other = [test for test in log.data.get("tests", []) if test.get("outcome") != "passed"]
    named = [f"- {test['outcome']}: `{test['name']}`" for test in other if "name" in test]
    return [*facts(rows), *(["", *named] if named else [])]


def script(log: GpuLog, root: Path) -> list[str]:
    rows = {"tokens/s": log.say("tokens_per_s", "{:,.0f}"), "MFU": log.percent("mfu")}
    rows["GB of the card, at most"] = log.say("memory_gb", "{:.1f}")
    rows["seconds until the first step is done"] = log.say("first_step_s", "{:.0f}")
    last = len(log.data.get("losses", [])) - 1
    for at in sorted({0, last} - {-1}):
        rows[f"training loss, step {at + 1:,}"] = log.say(f"losses.{at}", "{:.3f}")
    for i, look in enumerate(log.data.get("val", [])):
        rows[f"validation loss, step {look['step']:,}"] = log.say(f"val.{i}.val", "{:.3f}")
    rows["killed in step"] = log.say("killed_at", "{}")
    rows["went on from step"] = log.say("resumed_at", "{}")
    words = [f"--preset {log['preset']}", *log.data.get("options", [])] if "preset" in log else []
    read = f", on `{log['text.what']}`" if "text.what" in log else ""
    return [*([f"With `{' '.join(words)}`{read}.", ""] if words else []), *facts(rows)]


def step(log: GpuLog, root: Path) -> list[str]:
    rows = []
    for key, name in (("theirs", "transformers"), ("ours", "ours")):
        if key in log:
            speed, size = log.say(f"{key}.tokens_per_s", "{:,.0f}"), f"{key}.memory_gb"
            last = f"{key}.losses.{len(log[key].get('losses', [])) - 1}"
            row = [named(log[key], name), speed, log.percent(f"{key}.mfu"), log.say(size, "{:.1f}")]
            rows.append([*row, log.say(last, "{:.4f}") if log[key].get("losses") else "–"])
    shown = table("who | tokens/s | MFU | GB | loss", rows) if rows else []
    return [*shown, *against(log, "Ours is")]


def ladder(log: GpuLog, root: Path) -> list[str]:
    rows, first = [], "rungs.0.tokens_per_s"
    for i, rung in enumerate(log.data.get("rungs", [])):
        here = f"rungs.{i}"
        if "failed" in rung:
            rows.append([rung["name"], rung["failed"], *["–"] * 5])
            continue
        times = "–"
        if first in log and f"{here}.tokens_per_s" in log:
            ratio = f"{log.marker(f'{here}.tokens_per_s')} / {log.marker(first)}"
            times = derived(rung["tokens_per_s"] / log[first], ratio, "{:.2f}")
        speed = [log.say(f"{here}.tokens_per_s"), times, log.say(f"{here}.step_ms", "{:,.1f}")]
        rest = [log.percent(f"{here}.mfu"), log.say(f"{here}.memory_gb", "{:.1f}")]
        last = f"{here}.losses.{len(rung.get('losses', [])) - 1}"
        loss = log.say(last, "{:.4f}") if rung.get("losses") else "–"
        rows.append([rung["name"], *speed, *rest, loss])
    head = "each with all above it | tokens/s | times the first | ms a step | MFU | GB | loss"
    said = f"Chapter {chapter('14', root)} says what the changes are. The last column is the loss"
    said += " of the same early step in every row: the same training."
    return [*table(head, rows), "", said] if rows else []


def simple(log: GpuLog, root: Path) -> list[str]:
    passed = "seconds_to_kneser_ney"
    rows = {"Kneser–Ney, to be passed": log.say("kneser_ney", "{:.3f}")}
    rows["seconds until it is passed"] = log.say(passed, "{:.0f}")
    if passed in log.data and passed not in log:
        rows["seconds until it is passed"] = "not in this run"
    rows["best validation loss"] = log.say("best.val", "{:.3f}")
    rows["training loss there"] = log.say("best.train", "{:.3f}")
    rows["seconds until there"] = log.say("best.seconds", "{:.0f}")
    rows["parameters"] = log.say("parameters")
    return facts(rows)


def generate(log: GpuLog, root: Path) -> list[str]:
    rows = []
    for key, name in (("theirs", "transformers"), ("ours", "ours")):
        if key in log:
            speed = log.say(f"{key}.tokens_per_s", "{:,.0f}")
            rows.append([named(log[key], name), speed])
    same = {True: "The tokens are the same.", False: "The tokens are not the same."}
    words = [same[log["same_tokens"]]] if "same_tokens" in log else []
    shown = table("who | tokens/s", rows) if rows else []
    return [*shown, *against(log, "Ours is"), *(["", *words] if words else [])]


def modern(log: GpuLog, root: Path) -> list[str]:
    rows = []
    for i, row in enumerate(log.data.get("table", [])):
        sides = [
            log.say(f"table.{i}.{name}.{key}", form)
            for name in ("gpt2", "modern")
            for key, form in (("loss", "{:.3f}"), ("seconds", "{:.1f}"))
        ]
        rows.append([f"{row['tokens']:,}<!-- log:{log.file}#table.{i}.tokens -->", *sides])
    head = "tokens | `gpt2`: loss | seconds | `modern`: loss | seconds"
    words = [f"to the loss that GPT-2 ends with, in a share of its {key}" for key in SHARES]
    shares = {said: log.percent(SHARES[key]) for said, key in zip(words, SHARES, strict=True)}
    shown = table(head, rows) if rows else []
    return [*shown, *([""] if shown else []), *facts(shares)]


SHARES = {key: f"compared.share_of_{key}" for key in ("tokens", "seconds")}
PARTS: dict[str, tuple[str, Callable[[GpuLog, Path], list[str]]]] = {
    TESTS: ("The tests that want a GPU", tests),
    SCRIPT: ("The script", script),
    STEP: ("One step, against transformers", step),
    LADDER: ("One step, one change at a time", ladder),
    SIMPLE: ("The preset `colab` of chapter 12", simple),
    GENERATE: ("Writing, against transformers", generate),
    MODERN: ("GPT-2's 124M against the recipe modern", modern),
}


def one_gpu(root: Path) -> list[str]:
    """The section of the results page, as far as there are logs."""
    lines = []
    for part, (title, show) in PARTS.items():
        log = GpuLog(root, part)
        if log.data:
            lines += ["", f"### {title}", "", *show(log, root), *log.end()]
    return ["## One GPU", *lines] if lines else []


# What a part's log must hold, and what is missing without it.
OPEN = {
    TESTS: ("passed", "the tests that want a GPU"),
    SCRIPT: ("tokens_per_s", "the script: its speed, its memory, how long it compiles, a kill"),
    STEP: ("ratio.median", "a step of GPT-2 124M, against transformers"),
    LADDER: ("rungs.0.tokens_per_s", "the same step, one change at a time, as in chapter 14"),
    SIMPLE: ("curve.0", "the preset `colab` of chapter 12, and when it passes Kneser–Ney"),
    GENERATE: ("ours.tokens_per_s", "writing, against transformers"),
    MODERN: ("compared.modern.loss", "GPT-2's 124M against the recipe `modern`, same tokens"),
}
# What no command of ours measures: it wants a night, money, a network or other machines.
NEVER = [
    "**Apple's MPS.** Its code is tested on CPUs.",
    "**A free T4 in Colab.** How long the preset `t4` takes, and whether Colab lets you finish.",
    "**OpenAI's weights.** They were never fetched where these logs were made. The model equals "
    "that of transformers with random weights, and the test for the real ones waits for a network.",
    "**HellaSwag's real questions,** and how long they take during a run. The scoring is tested on "
    "made-up items.",
    "**A whole GPT-2.** Nobody has trained the 124M to the end with this script. What it takes and "
    "costs is worked out, from an estimate or from minutes on one card: `gpt2 plan` says which.",
    "**Ten billion tokens** in one go, with their download. A hundredth was prepared here, from "
    "other English, and multiplied.",
    "**Many GPUs, and two machines.** Several processes were measured on one machine, on its CPU.",
]


def missing(root: Path) -> list[str]:
    """The one list of what has no log."""
    wanted = [said for part, (key, said) in OPEN.items() if key not in GpuLog(root, part)]
    lines = [f"- {said}" for said in NEVER]
    if not wanted:
        return lines
    command = ["```sh", "python benchmarks/gpu_day.py", "make results", "```"]
    head = ["On a GPU:", "", *(f"- {said}" for said in wanted), ""]
    head += ["With one NVIDIA GPU, two commands measure that and write it down:", "", *command, ""]
    return [*head, "And what takes more than that:", "", *lines]


# --- sentences elsewhere


def speed(log: GpuLog) -> str:
    """What the script reached, to go on with a sentence."""
    share = f", {log.percent('mfu')} of what the card can do at best" if "mfu" in log else ""
    return f"{log.say('tokens_per_s', '{:,.0f}')} tokens/s{share}"


def killed(log: GpuLog) -> str:
    if "killed_at" not in log or "resumed_at" not in log:
        return ""
    places = log.say("killed_at", "{}"), log.say("resumed_at", "{}")
    return f" It was killed in step {places[0]}, and went on from step {places[1]}."


def readme_gpu(root: Path) -> str:
    log = GpuLog(root, SCRIPT)
    if "tokens_per_s" not in log:
        return ""
    hours = 1e10 / log["tokens_per_s"] / 3600
    said = derived(hours, f"1e10 / {log.marker('tokens_per_s')} / 3600", "{:.1f}")
    return f"{log.where()} ours reached {speed(log)}: {said} hours for ten billion tokens."


def launch_gpu(root: Path) -> list[str]:
    log = GpuLog(root, SCRIPT)
    if "tokens_per_s" not in log:
        return []
    preset = f" with the preset `{log['preset']}`" if "preset" in log else ""
    return [f"{log.where()} the script{preset} reached {speed(log)}.{killed(log)}"]


def first_step(root: Path) -> list[str]:
    log = GpuLog(root, SCRIPT)
    if "first_step_s" not in log:
        return []
    seconds = log.say("first_step_s", "{:.0f}")
    return [f"{log.where()} the first step was done after {seconds} seconds."]


def script_gpu(root: Path) -> list[str]:
    log = GpuLog(root, SCRIPT)
    if "tokens_per_s" not in log:
        return []
    curve = " Here are its first losses:" if log.data.get("losses") else ""
    return [f"{log.where()} our own script reached {speed(log)}.{killed(log)}{curve}"]


def step_gpu(root: Path) -> list[str]:
    log = GpuLog(root, STEP)
    if "ratio.median" not in log:
        return []
    return [f"{log.where()} {against(log, 'our step is')[-1]}"]


def ladder_gpu(root: Path) -> list[str]:
    log = GpuLog(root, LADDER)
    fast = [i for i in range(len(log.data.get("rungs", []))) if f"rungs.{i}.tokens_per_s" in log]
    if len(fast) < 2:
        return []
    one, all_of_it = (f"rungs.{i}.tokens_per_s" for i in (fast[0], fast[-1]))
    ratio = f"{log.marker(all_of_it)} / {log.marker(one)}"
    times = derived(log[all_of_it] / log[one], ratio, "{:.1f}")
    return [f"{log.where()} the last rung was {times} times as fast as the first:"]


def colab_gpu(root: Path) -> list[str]:
    log, passed = GpuLog(root, SIMPLE), "seconds_to_kneser_ney"
    if "best.val" not in log:
        return []
    whole = str(log.data.get("stopped", "")).startswith("after all")
    said = "did not pass Kneser–Ney" if whole else "was stopped before it passed Kneser–Ney"
    if passed not in log.data:
        said = "ran"
    if passed in log:
        said = f"passed Kneser–Ney after {log.say(passed, '{:.0f}')} seconds"
    best = f"{log.say('best.val', '{:.3f}')} nats, judged as in the curves above"
    after = f", after {log.say('best.seconds', '{:.0f}')} seconds," if "best.seconds" in log else ""
    return [f"{log.where()} `colab` {said}. Its best weights{after} pay {best}."]


# --- numbers of the plan, which change when a log arrives


def planned(sheet: dict, key: str, form: str) -> str:
    return f"{form.format(sheet[key])}<!-- plan:{sheet['preset']}.{key} -->"


def costs(root: Path) -> list[str]:
    """The table of machines, and how the speed of each is known."""
    rows, known = [], {}
    for preset in (name for name in MACHINES if name != "cpu"):
        sheet, free = plan(preset, PRESETS[preset]), ", or free" if preset == "t4" else ""
        known.setdefault(sheet["speed_is"], []).append(f"`{preset}`")
        hours = planned(sheet, "hours", "{:.1f}" if sheet["hours"] > 1 else "{:.2f}")
        an_hour = planned(sheet, "dollars_per_hour", "{:.2f}")
        total = planned(sheet, "dollars", "{:,.0f}" if sheet["dollars"] > 10 else "{:.1f}")
        rows.append([f"`{preset}`", sheet["machine"], hours, an_hour + free, total + free])
    head, rule, *body = table("preset | machine | hours | dollars an hour | dollars in all", rows)
    known.pop("estimated")
    said = [f"The speed of {' and '.join(names)} is {how}." for how, names in known.items()]
    said.append(f"All {'other ' if known else ''}hours and dollars are estimates: the share of its")
    said.append("peak that a card reaches is assumed.")
    return [head, rule.replace(":", ""), *body, "", " ".join(said)]


def twice(root: Path) -> str:
    """What to pay in: twice the plan."""
    dollars = plan(FIRST, PRESETS[FIRST])["dollars"]
    return derived(2 * dollars, f"2 * {{plan:{FIRST}.dollars}}", "{:.0f}")


def prepaid(root: Path) -> str:
    return f"{twice(root)} dollars, twice the plan"


def road(root: Path) -> list[str]:
    """The steps of the launch page; each is a heading there."""
    sheet, data = plan(FIRST, PRESETS[FIRST]), Log(root, "runs/prepare_share.json")
    hours, dollars = planned(sheet, "hours", "{:.1f}"), planned(sheet, "dollars", "{:.0f}")
    an_hour = planned(sheet, "dollars_per_hour", "{:.2f}")
    both = f"{{plan:{FIRST}.dollars}} + {{plan:{FIRST}.dollars_per_hour}}"
    total = derived(sheet["dollars"] + sheet["dollars_per_hour"], both, "{:.0f}")
    bill = "with eight GPUs about an hour in a "
    bill += "[published bill](https://debtirthasaha.github.io/blog/2026/gpt2-124m/)"
    cores = f"60 * {data.marker('whole.hours_on_cores.8')}"
    cores = derived(60 * data["whole.hours_on_cores.8"], cores, "{:.0f}")
    rows = [
        ("the rehearsal", "the-dress-rehearsal-on-your-laptop", "your laptop", "minutes", "0"),
        ("an account, with a limit", "an-account-with-a-limit", "a browser", "minutes",
         f"you pay in {twice(root)}, nothing is spent"),
        ("a key", "a-key", "your laptop", "minutes", "0"),
        ("a bucket", "a-bucket", "a browser", "minutes", "less than 1 a month"),
        ("the data", "the-data", "a cheap machine, or your laptop",
         f"{cores} minutes of eight cores, and the download", "the form says"),
        ("the button, and the first login", "the-button-and-the-first-login",
         "a browser, your laptop", "minutes", "the meter begins"),
        ("set-up", "set-up", "the rented GPU", bill, f"{an_hour} an hour"),
        ("the walk", "the-walk-across-the-stage", "the rented GPU",
         "20 steps, and the time to compile", "in the hour above"),
        ("the show", "the-show", "the rented GPU", f"{hours} hours", dollars),
        ("the way home", "the-way-home", "your laptop", "minutes", "0"),
        ("the end, and the bill", "stop-the-meter", "a browser", "minutes", "0"),
    ]  # fmt: skip
    lines = ["| step | where | how long | dollars |", "|---|---|---|---|"]
    for number, (title, place, *rest) in enumerate(rows, start=1):
        lines.append(f"| {number}. [{title}](#{place}) | {' | '.join(rest)} |")
    return [*lines, f"| in all | | a day, most of it asleep | about {total} |"]


def walk_speed(root: Path) -> str:
    return planned(plan(FIRST, PRESETS[FIRST]), "tokens_per_s", "{:,.0f}")


def hour_step(root: Path) -> str:
    seconds = plan(FIRST, PRESETS[FIRST])["step_seconds"]
    return derived(3600 / seconds, f"3600 / {{plan:{FIRST}.step_seconds}}", "{:,.0f}")


def ten_minutes(root: Path) -> str:
    steps = {}
    for preset in ("1xh100", "8xh100"):
        seconds = plan(preset, PRESETS[preset])["step_seconds"]
        steps[preset] = derived(600 / seconds, f"600 / {{plan:{preset}.step_seconds}}", "{:,.0f}")
    return f"one H100 at step {steps['1xh100']} by then, and eight at step {steps['8xh100']}"


def lost_minutes(root: Path) -> str:
    config = PRESETS["1xh100"]
    minutes = config.save_every * plan("1xh100", config)["step_seconds"] / 60
    marker = "{plan:1xh100.save_every} * {plan:1xh100.step_seconds} / 60"
    return derived(minutes, marker, "{:.0f}")


def t4_hours(root: Path) -> str:
    sheet = plan("t4", PRESETS["t4"])
    hours = planned(sheet, "hours", "{:.1f}")
    return f"{hours} hours by the plan, at a speed that is {sheet['speed_is']}"


BLOCKS: dict[str, Callable[[Path], str | list[str]]] = {
    "one_gpu": one_gpu,
    "missing": missing,
    "readme_gpu": readme_gpu,
    "launch_gpu": launch_gpu,
    "first_step": first_step,
    "costs": costs,
    "road": road,
    "prepaid": prepaid,
    "walk_speed": walk_speed,
    "hour_step": hour_step,
    "ten_minutes": ten_minutes,
    "lost_minutes": lost_minutes,
    "t4_hours": t4_hours,
    "colab_gpu": colab_gpu,
    "step_gpu": step_gpu,
    "ladder_gpu": ladder_gpu,
    "script_gpu": script_gpu,
}
