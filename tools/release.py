"""Look whether a release is ready, and make its files: a wheel, the source, and the notes.

    .venv/bin/python tools/release.py v0.1.0

Wheel and source are in dist/ afterwards, and the notes in _build/notes.md. The workflow of releases
calls this for the tag that it was started by; CONTRIBUTING.md has the steps before it.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import first_cell
from drift.reading import notebooks

ROOT = Path(__file__).resolve().parents[1]


def versions(root: Path) -> dict[str, str]:
    """Say which version each file names."""

    def named(file: str, pattern: str) -> str:
        found = re.search(pattern, (root / file).read_text(encoding="utf-8"))
        return found[1] if found else "no version"

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = "src/gpt2_tutorial/__init__.py"
    return {
        "pyproject.toml": project["version"],
        package: named(package, r'(?m)^__version__ = "(.+)"$'),
        "CITATION.cff": named("CITATION.cff", r'(?m)^version: "(.+)"$'),
        "CHANGELOG.md": named("CHANGELOG.md", r"(?m)^## (\S+ \(.*\))$").removesuffix(")"),
    }


def unready(root: Path, tag: str) -> list[str]:
    """Say in sentences what stands between this tree and the release that the tag names."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        return [f"The tag is {tag!r}, and a release has one like v0.1.0."]
    version, said = tag[1:], []
    for file, found in versions(root).items():
        number, _, date = found.partition(" (")
        if number != version:
            said.append(f"{file} names {number}, and the tag {version}: make them agree.")
        elif file == "CHANGELOG.md" and not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
            said.append(f"{file} says “{date}” of {number}: put the day of the release there.")
    cell = first_cell.source(root)
    for notebook in notebooks(root):
        if notebook.code()[0].source != cell:
            said.append(f"{notebook.file} begins with another first cell: run `make sync`.")
    return said


def notes(root: Path, version: str) -> str:
    """Give what the changelog tells of one version, without its heading."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^## {re.escape(version)} \([^\n]*\)\n(.*?)(?=^## |\Z)", text)
    if not found or not found[1].strip():
        raise ValueError(f"CHANGELOG.md tells nothing of {version}: write what changed.")
    return found[1].strip() + "\n"


def build(root: Path, folder: Path) -> list[Path]:
    """Build wheel and source of a tree into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return sorted(folder.iterdir())


def main() -> int:
    if len(sys.argv) != 2:
        print("✗ Name the tag: .venv/bin/python tools/release.py v0.1.0", file=sys.stderr)
        return 2
    tag = sys.argv[1]
    if faults := unready(ROOT, tag):
        print("\n".join(f"✗ {fault}" for fault in faults), file=sys.stderr)
        return 1
    text, target = notes(ROOT, tag[1:]), ROOT / "_build" / "notes.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8")
    for path in [*build(ROOT, ROOT / "dist"), target]:
        print(f"   {path.relative_to(ROOT)}, {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
