"""Make .venv, the environment of the book, and fill it; where it is up to date, do nothing.

Needs a Python that the lock was made for, and nothing else. Every package comes in the version and
with the checksum that requirements.lock has. PyTorch alone is outside the lock, since its builds
differ from machine to machine: uv picks the one for this machine's GPU, or for none.
"""

import hashlib
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)  # what requirements.lock was made for
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = str(VENV / ("Scripts" if os.name == "nt" else "bin") / "python")
FILES = ("requirements.txt", "requirements.lock", "pyproject.toml", "tools/setup.py")
PYTORCH = "https://download.pytorch.org/whl/cpu/torch/"
REFUSAL = (
    "✗ The book needs Python 3.11, 3.12 or 3.13, and this is {}.{}. Install one of them "
    "(https://www.python.org/downloads/), or say where it is: make book PYTHON=/path/to/python3"
)


def run(*words):
    """Run one command; when it fails, say which, and end."""
    if subprocess.run(words, cwd=str(ROOT)).returncode:
        sys.exit("✗ this failed: " + " ".join(words))


def pip(*words):
    run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *words)


def install_torch():
    """Install the one version of PyTorch that the book is tested with, and say from where."""
    pinned = re.search(r"torch==\S+", (ROOT / "requirements.txt").read_text("utf-8")).group()
    try:
        urllib.request.urlopen(PYTORCH, timeout=10).close()
    except OSError:
        print(f"   {pinned}: PyTorch's own index is silent, so pip takes the usual build")
        return pip("--no-warn-conflicts", pinned)
    print(f"   {pinned}: uv takes the build for this machine", flush=True)
    run(PYTHON, "-m", "uv", "pip", "install", "-q", "-p", PYTHON, "--torch-backend=auto", pinned)


def main():
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(REFUSAL.format(*sys.version_info))
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in FILES)).hexdigest()
    stamp = VENV / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not Path(PYTHON).exists():
        print("── setup: a new environment in .venv; this takes a few minutes", flush=True)
        run(sys.executable, "-m", "venv", str(VENV))
    pip("--require-hashes", "--no-deps", "--requirement", "requirements.lock")
    install_torch()
    pip("--no-deps", "--editable", ".")
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
