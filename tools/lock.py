"""Write requirements.lock: every package of the environment, pinned, with its checksums.

    .venv/bin/python tools/lock.py

uv reads requirements.txt and solves it once for Linux, macOS and Windows and Python 3.11 to 3.13.
Left out is what comes with PyTorch's own builds. requirements-data.txt is locked as it stands: of
its packages only the files are wanted, not what they require.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
OF_TORCH = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
HEADER = """\
# Every package with its checksums, for Linux, macOS and Windows and Python 3.11 to 3.13. Made from
# requirements.txt and requirements-data.txt by `make lock`; PyTorch is pinned in requirements.txt.
"""


def solved(*words: str) -> list[str]:
    """Ask uv; one piece of text for each package."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"]
    command += ["--no-annotate", *options, *words]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.split(r"\n(?=\w)", said.strip())


def main() -> None:
    packages = solved("requirements.txt") + solved("--no-deps", "requirements-data.txt")
    kept = [package for package in packages if not OF_TORCH.match(package)]
    LOCK.write_text(HEADER + "\n".join(sorted(kept)) + "\n", encoding="utf-8")
    print(f"{LOCK.name}: {len(kept)} packages")


if __name__ == "__main__":
    main()
