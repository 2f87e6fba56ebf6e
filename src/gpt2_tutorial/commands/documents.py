"""Documents out of files and folders of this machine: text, JSON lines, parquet."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gpt2_tutorial.commands.text_files import (
    Notes,
    PrepareError,
    check_size,
    clean,
    first_bytes,
    lines,
    pieces,
)

KINDS = (".txt", ".md", ".jsonl", ".parquet")  # taken from a folder, in letters of any case
PACKED = (".gz", ".bz2", ".xz", ".zst")  # and these behind them
AS_IT_STANDS = (".json", ".csv", ".tsv", ".xml", ".html", ".htm")  # more syntax than text
CUTS = ("file", "paragraph", "line")
FINER = {
    "file": "cut the text with --documents paragraph, or add documents",
    "paragraph": "cut the text with --documents line, or add documents",
    "line": "add documents",
}


@dataclass
class Source:
    """Documents that can be read again from the beginning, and what they are."""

    about: str  # "" when only their content can tell
    documents: Callable[[], Iterator[str]]
    notes: Notes = field(default_factory=Notes)
    finer: str = "add documents"  # what to do where there is only one


def text_source(paths: Iterable[Path], name: str = "text", cut: str = "file") -> Source:
    """Read documents from files, and from folders with everything below them."""
    notes = Notes()
    files = find_files(paths, notes)

    def documents() -> Iterator[str]:
        for file in files:
            yield from _read(file, name, cut, notes)

    rows = all(_kind(file) in (".jsonl", ".parquet") for file in files)
    return Source("", documents, notes, FINER["line" if rows else cut])


def find_files(paths: Iterable[Path], notes: Notes) -> list[Path]:
    """List the files that are meant, those of a folder in the order of their names."""
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            files += _inside(path, notes)
        elif path.is_file():
            files.append(path)
        elif path.exists():
            raise PrepareError(f"{path} is a pipe or a device, which is read once: save it first")
        else:
            raise PrepareError(f"there is no file or folder {path}")
    return files


def _inside(folder: Path, notes: Notes) -> list[Path]:
    seen = [p for p in folder.rglob("*") if not p.is_dir() and not _is_hidden(p, folder)]
    seen.sort(key=lambda path: path.relative_to(folder).parts)
    files = [path for path in seen if _kind(path) in KINDS and path.is_file()]
    if not files:
        there = f" but {', '.join(path.name for path in seen[:3])}" if seen else ""
        raise PrepareError(f"{folder} holds no {', '.join(KINDS)}{there}")
    for path in seen:
        if path not in files:
            notes.add(f"not taken, being no {', '.join(KINDS)}", path)
    return files


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _kind(file: Path) -> str:
    """Say what the name of a file says that it is, packed or not."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes[-1:] and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _read(file: Path, name: str, cut: str, notes: Notes) -> Iterator[str]:
    head, kind = first_bytes(file), _kind(file)
    if kind == ".parquet" or head.startswith(b"PAR1"):
        yield from _parquet(file, name)
        return
    texts, rows = pieces(file, head, notes), _begins_with_a_row(file, head)
    if kind == ".jsonl" or (rows and kind not in KINDS):
        yield from _jsonl(file, lines(texts, file), name)
        return
    if rows or kind in AS_IT_STANDS:
        notes.add("read as it stands, syntax and all; only .jsonl has fields", file)
    for text in _cut(clean(texts, file, notes), cut, file):
        if text := text if cut == "file" else text.strip("\r\n"):
            yield text


def _begins_with_a_row(file: Path, head: bytes) -> bool:
    """Whether the first line is one of JSON lines, whatever the name of the file is."""
    if b"{" not in head[:16]:
        return False
    start = next(pieces(file, head, Notes())).lstrip()
    try:
        return isinstance(json.loads(start.split("\n")[0]), dict)
    except (ValueError, RecursionError):
        return False


def _cut(texts: Iterator[str], cut: str, file: Path) -> Iterator[str]:
    if cut == "line":
        yield from lines(texts, file)
    elif cut == "paragraph":
        yield from _paragraphs(lines(texts, file), file)
    else:
        held: list[str] = []
        for text in texts:
            held.append(text)
            check_size(held, file)
        yield "".join(held)


def _paragraphs(rows: Iterable[str], file: Path) -> Iterator[str]:
    held: list[str] = []
    for row in rows:
        if row.strip():
            held.append(row)
        elif held:
            check_size(held, file)
            yield "".join(held)
            held = []
    yield "".join(held)


def _jsonl(file: Path, rows: Iterable[str], name: str) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        row = row.lstrip("\ufeff")  # of a file that was put behind another one
        if row.strip():
            yield _field(row, name, f"{file}, line {number}")


def _field(line: str, name: str, where: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise PrepareError(f"{where}: this is no JSON: {line[:40]!r}") from None
    text = row.get(name) if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise PrepareError(f"{where}: there is no text in the field {name!r}: choose with --field")
    if "\\u" in line:  # only so can half a character come into a text
        try:
            text.encode()
        except UnicodeEncodeError as error:
            half = text[error.start]
            raise PrepareError(
                f"{where}: {half!a} is half a character, which no file can hold: take it out"
            ) from None
    return text


def _parquet(file: Path, name: str) -> Iterator[str]:
    try:
        import pyarrow.lib
        import pyarrow.parquet
    except ImportError:
        raise PrepareError(f"{file} needs pyarrow: run `pip install pyarrow`") from None
    try:
        table = pyarrow.parquet.ParquetFile(file)
        if name not in table.schema_arrow.names:
            there = ", ".join(table.schema_arrow.names)
            raise PrepareError(f"{file} has no column {name!r}: choose from {there} by --field")
        for batch in table.iter_batches(batch_size=1_000, columns=[name]):
            for row, text in enumerate(batch.column(0).to_pylist()):
                if not isinstance(text, str):
                    raise PrepareError(f"{file}: the column {name!r} holds {text!r} in row {row}")
                yield text
    except OSError as error:
        raise PrepareError(f"{file} cannot be read ({error.strerror or error})") from None
    except (pyarrow.lib.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise PrepareError(f"{file} cannot be read as parquet ({reason})") from None
