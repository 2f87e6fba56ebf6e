"""Make .venv, the environment of the book, and fill it; where it is up to date, do nothing.

    python3 tools/setup.py

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

OLDEST, NEWEST = (3, 11), (3, 13)  # what requirements.lock was made for
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")
ASKED = ("requirements.txt", "requirements.lock", "pyproject.toml", "tools/setup.py")
PYTORCH = "https://download.pytorch.org/whl/cpu/torch/"


def refusal(version):
    """Say why this Python will not do; "" where it will."""
    if OLDEST <= version[:2] <= NEWEST:
        return ""
    return (
        "The book needs Python 3.11, 3.12 or 3.13, and this is {}.{}. Install one of them "
        "(https://www.python.org/downloads/), or say where it is: make book PYTHON=/path/to/python3"
    ).format(*version)


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def run(*words):
    """Run one command; when it fails, say which, and end with its code."""
    code = subprocess.run(words, cwd=ROOT).returncode
    if code:
        sys.exit("✗ this ended with {}: {}".format(code, " ".join(words)))


def pip(*words):
    run(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *words)


def answers(address):
    """Tell whether a server answers within ten seconds."""
    try:
        return urllib.request.urlopen(address, timeout=10).status == 200
    except OSError:
        return False


def install_torch():
    """Install the one version of PyTorch that the book is tested with, and say from where."""
    pinned = re.search(r"(?m)^torch==\S+", read("requirements.txt")).group()
    if answers(PYTORCH):
        print(f"   {pinned}: uv takes the build for this machine", flush=True)
        backend = ("--torch-backend=auto", pinned)
        run(PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", PYTHON, *backend)
    else:
        print(f"   {pinned}: PyTorch's own index is silent, so pip takes the usual build")
        pip("--no-warn-conflicts", pinned)


def main():
    wanted = hashlib.sha256("".join(map(read, ASKED)).encode()).hexdigest()
    stamp = os.path.join(VENV, "installed.txt")
    if os.path.exists(stamp) and read(stamp) == wanted:
        return
    problem = refusal(sys.version_info)
    if problem:
        sys.exit("✗ " + problem)
    if not os.path.exists(PYTHON):
        print("── setup: a new environment in .venv; this takes a few minutes", flush=True)
        run(sys.executable, "-m", "venv", VENV)
    pip("--require-hashes", "--no-deps", "--requirement", "requirements.lock")
    install_torch()
    pip("--no-deps", "--editable", ".")
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(wanted)


if __name__ == "__main__":
    main()
