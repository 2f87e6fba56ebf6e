"""Files that a tool writes and git keeps: write them, or say which ones are old."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def keep(folder: Path, files: dict[str, str], tool: str, *, check: bool) -> int:
    """Write what has changed; with `check` only name it, and return 1 if there is any."""
    old = 0
    for name, content in files.items():
        file = folder / name
        if file.is_file() and file.read_text(encoding="utf-8") == content:
            continue
        old += 1
        place = file.relative_to(ROOT)
        if check:
            print(f"✗ {place} is old: run python tools/{tool}.py")
        else:
            folder.mkdir(exist_ok=True)
            file.write_text(content, encoding="utf-8")
            print(f"{place}: written, {len(content.encode()):,} bytes")
    return int(check and old > 0)
