"""Write requirements.lock and its like: every package, pinned, with its checksums.

    .venv/bin/python tools/lock.py

uv reads requirements.txt and solves it once for Linux, macOS and Windows and Python 3.11 to 3.13.
Left out is what comes with PyTorch's own builds, and what pyproject.toml wants nowhere.
requirements-data.txt is locked as it stands: of its packages only the files are wanted, not what
they require.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==|.* ; sys_platform == 'nowhere'")
HEADER = """\
# Every package with its checksums, for Linux, macOS and Windows and Python 3.11 to 3.13.
# `make lock` makes it from {}; PyTorch is not in here.
"""


def solved(*words: str) -> list[str]:
    """Ask uv; one piece of text for each package."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    command += ["--no-annotate", *options, *words]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.split(r"\n(?=\w)", said.strip())


def write(lock: Path, packages: list[str], *sources: str) -> None:
    kept = sorted(package for package in packages if not LEFT_OUT.match(package))
    header = HEADER.format(" and ".join(sources))
    lock.write_text(header + "\n".join(kept) + "\n", encoding="utf-8")
    print(f"{lock.name}: {len(kept)} packages")


def main() -> None:
    whole, data = "requirements.txt", "requirements-data.txt"
    write(ROOT / "requirements.lock", solved(whole) + solved("--no-deps", data), whole, data)
    parser = "launch/requirements-check.txt"
    write(ROOT / "launch/requirements-check.lock", solved("--no-deps", parser), parser)


if __name__ == "__main__":
    main()
