"""What one GPU shows in ten minutes: seven parts, seven logs, nothing to install, no network.

    python benchmarks/gpu_day.py                       # one NVIDIA GPU; logs in results/runs
    python benchmarks/gpu_day.py --device cpu --tiny   # the same code, small, in three minutes
    python benchmarks/gpu_day.py --pack                # before: take outside files along

Parts, in the order of their value: the tests that need CUDA, the script that people launch, a
training step against transformers', the ladder of chapter 14, chapter 12's `colab` preset, writing
against transformers, the 124M against the recipe modern. Each is a process of its own, ended at its
limit with all that it started. Its log is whole at every moment, so whoever is cut leaves what was
measured.

Needs torch, transformers and pytest where it runs. Tiny Shakespeare and GPT-2's vocabulary are used
where they are at hand; --pack puts them into data/gpu_day, which git ignores and the day finds.
This process itself imports no torch.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_job import AT_WORK, PACKED, ROOT, about_here, last_lines, write_log

HERE = Path(__file__).resolve().parent
PARTS = {"tests": 75, "script": 120, "step": 75, "ladder": 120, "simple": 60, "generate": 45}
PARTS["modern"] = 160  # last in order: whatever is left of the time
DEADLINE = 9.5 * 60  # seconds, for all parts together
LEAST = 8  # seconds under which no part is begun
ROOM = 12e9  # bytes: checkpoints of the script, and what is compiled
PROBE = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU')"
RUNS, BUILD = ROOT / "results" / "runs", ROOT / "_build" / "gpu_day"
VOCABULARY, SHAKESPEARE, PLAYS = "vocab.bpe", "tinyshakespeare.txt", "plays.txt"


def environment(scratch: Path, device: str) -> dict[str, str]:
    """No network, no question, no buffer, and one folder for what is compiled."""
    path = [str(ROOT / "src"), str(HERE), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HOME": str(scratch / "hugging_face"),
        "TOKENIZERS_PARALLELISM": "false",
        "MPLBACKEND": "Agg",
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "compiled"),
    }
    if device == "cpu":
        env.setdefault("OMP_NUM_THREADS", "1")  # small tensors: more threads wait for each other
    if PACKED.is_dir() and "GPT2_TUTORIAL_CACHE" not in os.environ:
        env["GPT2_TUTORIAL_CACHE"] = str(PACKED)
    return env


class Part:
    """A part in a process group of its own; `end` leaves none of it."""

    def __init__(self, name: str, args: argparse.Namespace, seconds: float, out: Path):
        self.name, self.out, self.seconds = name, out, seconds
        self.began = time.monotonic()
        self.ends = self.began + seconds
        self.said = args.scratch / f"{name}.txt"
        words = [sys.executable, str(HERE / "gpu_part.py"), name]
        words += ["--out", str(out), "--scratch", str(args.scratch), "--device", args.device]
        words += ["--ends", str(self.ends), "--parent", str(os.getpid())]
        with self.said.open("wb") as stream:
            self.process = subprocess.Popen(
                words + ["--tiny"] * args.tiny,
                cwd=ROOT,
                env=environment(args.scratch, args.device),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> str:
        """Wait until it ends or its time is over; say how it ended if that was not well."""
        try:
            code = self.process.wait(max(0.0, self.ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            return f"it was cut at its limit of {self.seconds:.0f} s"
        finally:
            self.end()
        return "" if code == 0 else f"its process ended with code {code}"

    def end(self) -> None:
        """Kill what is left of the group, also after a good end."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        for left in self.out.glob(f".gpu_{self.name}.json.*.part"):
            left.unlink(missing_ok=True)


def read_log(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def closed(part: Part, ending: str, about: dict) -> dict:
    """The part's log; if it did not finish, with a sentence that says why."""
    file = part.out / f"gpu_{part.name}.json"
    log = read_log(file) or {"about": about | {"part": part.name}, "failed": AT_WORK}
    if log.get("failed") == AT_WORK:
        log["failed"] = ending or "it ended without a word"
        log["said"] = last_lines(part.said.read_text(encoding="utf-8", errors="replace"))
        log["about"]["seconds"] = round(time.monotonic() - part.began, 1)
        write_log(file, log)
    return log


def told(name: str, log: dict) -> str:
    """One line for a part."""
    seconds = log["about"]["seconds"]
    failed = log.get("failed")
    if isinstance(failed, str):
        return f"{name}: {failed} ({seconds:.0f} s)"
    facts = {
        "tests": lambda: f"{log['passed']} passed, {failed} failed, {log['skipped']} skipped",
        "script": lambda: (
            f"{log['tokens_per_s']:,} tokens/s, killed at step {log['killed_at']}, "
            f"went on from {log['resumed_at']}, {log['steps']} steps"
        ),
        "step": lambda: f"{log['ratio']['median']} times transformers' speed",
        "ladder": lambda: f"{sum('failed' not in rung for rung in log['rungs'])} rungs",
        "simple": lambda: (
            f"best {log['best']['val']:.3f}, Kneser–Ney {log['kneser_ney']:.3f}, "
            f"below it after {log['seconds_to_kneser_ney']} s"
        ),
        "generate": lambda: (
            f"{log['ratio']['median']} times transformers' speed, the same tokens: "
            f"{log['same_tokens']}"
        ),
        "modern": lambda: (
            f"loss {log['compared']['modern']['loss']:.3f}, GPT-2's "
            f"{log['compared']['gpt2']['loss']:.3f} on the same {log['compared']['tokens']:,} "
            f"tokens; as good as that after {share(log, 'tokens')} of the tokens and "
            f"{share(log, 'seconds')} of the seconds"
        ),
    }
    try:
        return f"{name}: {facts[name]()} ({seconds:.0f} s)"
    except (KeyError, TypeError):
        return f"{name}: its log is not complete ({seconds:.0f} s)"


def share(log: dict, of: str) -> str:
    """What the recipe modern needed of GPT-2's tokens or seconds; more than all is not known."""
    needed = log["compared"][f"share_of_{of}"]
    return "more than all" if needed is None else f"{needed:.2f}"


def by_tokens(log: dict) -> list[str]:
    """The table of the part modern: the loss of each recipe after so many tokens and seconds."""
    lines = []
    for row in log.get("table", []):
        sides = [f"{name} {row[name]['loss']:7.4f} after {row[name]['seconds']:7.2f} s"
                 for name in ("gpt2", "modern") if name in row]  # fmt: skip
        lines.append(f"    {row['tokens']:>11,} tokens   " + "   ".join(sides))
    return lines


def run_part(name: str, args: argparse.Namespace, about: dict, warm: bool) -> None:
    """Give a part its time, which may be less than it would like; tell what came of it."""
    seconds = min(PARTS[name] if args.limit is None else args.limit, args.ends - time.monotonic())
    if seconds < min(LEAST, PARTS[name] if args.limit is None else args.limit):
        log = {"about": about | {"part": name}, "failed": "no time was left for it"}
        write_log(args.out / f"gpu_{name}.json", log)
        print(told(name, log), flush=True)
        return
    part = Part(name, args, seconds, args.out)
    beside = Part("warm", args, seconds, args.scratch) if warm else None
    try:
        log = closed(part, part.wait(), about)
        print("\n".join([told(name, log), *by_tokens(log)]), flush=True)
        if beside:
            beside.wait()
    finally:
        for one in filter(None, (part, beside)):
            one.end()
    wrong = [test for test in log.get("tests", []) if test["outcome"] == "failed"]
    for said in [log.get("said", ""), *(f"{test['name']}: {test['said']}" for test in wrong)]:
        if said:
            print(f"    {said}".replace("\n", "\n    "), flush=True)


def device_here(wish: str | None) -> tuple[str, str]:
    """cuda or cpu, and its name; asked in a process that holds no memory of the GPU after."""
    if wish == "cpu":
        return "cpu", "CPU"
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 90}
    try:
        said = subprocess.run([sys.executable, "-c", PROBE], **how)
    except subprocess.TimeoutExpired:
        raise SystemExit("torch could not be imported within 90 s: start again") from None
    name = said.stdout.strip()
    if said.returncode != 0:
        raise SystemExit(f"torch does not work here: {last_lines(said.stderr, 300)}")
    if wish == "cuda" and name == "CPU":
        raise SystemExit("torch sees no GPU here: take --device cpu --tiny")
    return ("cpu", "CPU") if name == "CPU" else ("cuda", name)


def scratch_folder() -> Path:
    """A folder that goes at the end: in /tmp, or in the repository where /tmp is too small."""
    room = shutil.disk_usage(tempfile.gettempdir()).free
    home = tempfile.gettempdir() if room > ROOM else str(BUILD)
    return Path(tempfile.mkdtemp(prefix="gpu_day_", dir=home))


def pack() -> None:
    """Copy outside files into a folder of this repository that git ignores."""
    sys.path[:0] = [str(ROOT / "src")]
    import gpu_text

    from gpt2_tutorial import assets

    PACKED.mkdir(parents=True, exist_ok=True)
    for name in (SHAKESPEARE, VOCABULARY):
        shutil.copyfile(assets.path(name), PACKED / name)
    if text := gpu_text.plays():
        (PACKED / PLAYS).write_text(text, encoding="utf-8")
    for file in sorted(PACKED.iterdir()):
        print(f"{file.stat().st_size:>10,} bytes  {file.relative_to(ROOT)}")


def parsed(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    add = parser.add_argument
    add("--device", choices=("cuda", "cpu"), help="default: a GPU if there is one")
    add("--tiny", action="store_true", help="small shapes, to see that everything runs")
    add("--only", nargs="+", choices=PARTS, default=list(PARTS), help="default: all parts")
    add("--deadline", type=float, default=DEADLINE, help="seconds in all (default: %(default)s)")
    add("--limit", type=float, help="seconds for each part (default: each its own)")
    add("--out", type=Path, help="folder of the logs (default: results/runs for a GPU at full "
        "size, else _build/gpu_day)")  # fmt: skip
    add("--pack", action="store_true", help="only copy outside files into data/gpu_day")
    return parser.parse_args(words)


def asked_to_end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def main(words: list[str] | None = None) -> int:
    args = parsed(words)
    if args.pack:
        pack()
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` asks for that
            signal.signal(number, asked_to_end)
    args.ends = time.monotonic() + args.deadline
    args.device, name = device_here(args.device)
    full = args.device == "cuda" and not args.tiny
    args.out = (args.out or (RUNS if full else BUILD)).absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    command = "python benchmarks/gpu_day.py" + " --device cpu" * (args.device == "cpu")
    about = about_here(command + " --tiny" * args.tiny, name, args.tiny)
    print(f"{about['machine']}, torch {about['torch']}, {args.deadline:.0f} s in all", flush=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    args.scratch = scratch_folder()
    try:
        write_log(args.scratch / "about.json", about)
        for part in args.only:
            run_part(part, args, about, warm=full and part == "tests")
    finally:
        shutil.rmtree(args.scratch, ignore_errors=True)
    print(f"the logs are in {args.out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
