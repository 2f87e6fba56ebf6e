"""Run every notebook as on Colab, two at a time, and hold its CPU-seconds against the limits.

    .venv/bin/python tools/run_notebooks.py                   notebooks/
    .venv/bin/python tools/run_notebooks.py _build/solved     another edition

Each is judged by nbval in a kernel of its own, beside our package as a wheel. What the kernels
answered is in _build/executed afterwards, and what they measured in _build/measured.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import alone

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
NOTEBOOK_LIMIT = 90  # CPU-seconds a notebook may take at the very most
BOOK_LIMIT = 8 * 60  # and all of them together
# The limits were set on an AMD EPYC with AVX-512, where these notebooks took 455 CPU-seconds, 50 of
# them for what their runner imports no longer. On one without it they took 673 while
# tools/yardstick.py took 2.45 (mean of 5): 2.45 × 405 / 673 where the limits were set. A processor
# that takes longer, or shares its core, gets so much more for the notebooks as well.
YARDSTICK = 1.47


def wheel(folder: Path) -> Path:
    """Build our package as Colab would get it, and install it in a folder of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), "."]
    subprocess.run(build, cwd=ROOT, check=True)
    (made,) = folder.glob("*.whl")
    place = [*pip, "install", "--no-deps", "--target", str(folder / "site"), str(made)]
    subprocess.run(place, cwd=ROOT, check=True)
    return folder / "site"


def yardstick() -> float:
    """CPU-seconds of a fixed piece of work, as fast as this processor is at the moment."""
    command = [sys.executable, str(ROOT / "tools" / "yardstick.py")]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def cost(name: str, command: list[str], env: dict[str, str]) -> tuple[float, str]:
    """Run one command beside others: its words come whole; its CPU-seconds, and its fault or ""."""
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, env=os.environ | env, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)  # with what it started and waited for
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        print(f"\n── notebook {name}\n{said.read()}", end="", flush=True)
    fault = f"notebook {name} failed ({child.returncode}): see above" if child.returncode else ""
    return usage.ru_utime + usage.ru_stime, fault


def run(paths: list[Path]) -> tuple[dict[str, float], list[float], list[str]]:
    """Run notebooks: the CPU-seconds of each, the yardstick now and then, and what failed."""
    site, paces, faults = wheel(BUILD / "colab"), [], []
    keep = {"KEEP_OUTPUTS": str(BUILD / "executed")}
    keep |= {"GPT2_TUTORIAL_LEDGER": str(BUILD / "measured")}
    for folder in keep.values():
        shutil.rmtree(folder, ignore_errors=True)

    def one(path: Path) -> float:
        copy = alone.copy_alone(path, BUILD / "colab" / path.stem, site)
        if path in paths[::4]:  # the pace of a shared machine changes within minutes
            paces.append(yardstick())
        command = [sys.executable, *alone.nbval(copy)]
        took, fault = cost(path.stem, command, alone.environment(site) | keep)
        faults.extend([fault] if fault else [])
        return took

    with ThreadPoolExecutor(2) as two:
        spent = dict(zip([path.stem for path in paths], two.map(one, paths), strict=True))
    return spent, paces, faults


def too_long(spent: dict[str, float], paces: list[float]) -> list[str]:
    """Say what took longer than its limit, which grows with the yardstick and never shrinks."""
    slower = max(1.0, sum(paces) / len(paces) / YARDSTICK)
    said = ", ".join(f"{name[:2]} {took:.0f}" for name, took in spent.items())
    print(f"\n   CPU-seconds: {said}, together {sum(spent.values()):.0f}")
    said = ", ".join(f"{pace:.2f}" for pace in paces)
    print(f"   yardstick: {said}, {slower:.2f} times as slow as where the limits were set")
    limits = [(name, took, NOTEBOOK_LIMIT * slower) for name, took in spent.items()]
    limits.append(("all notebooks", sum(spent.values()), BOOK_LIMIT * slower))
    return [
        f"{name} took {took:.0f} CPU-seconds of {limit:.0f}"
        for name, took, limit in limits
        if took > limit
    ]


def main() -> int:
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "notebooks"
    paths = sorted(folder.glob("*.ipynb"))
    if not paths:
        sys.exit(f"✗ {folder} holds no notebooks")
    spent, paces, faults = run(paths)
    faults += too_long(spent, paces)
    for fault in faults:
        print(f"✗ {fault}", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
