"""Files that are whole or not there, and on the disk itself (chapter 15)."""

import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO


def fingerprint(file: Path) -> str:
    """Return the sha256 of a file: change one bit of it, and this changes.

    >>> import tempfile
    >>> fingerprint(Path(tempfile.mkstemp()[1]))[:16]  # of nothing at all
    'e3b0c44298fc1c14'
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes; refuse what may never end: a pipe or a device.

    >>> import tempfile
    >>> with open_regular(tempfile.mkstemp()[1]) as stream:
    ...     stream.read()
    b''
    """
    mode = os.stat(path).st_mode  # of a pipe already `open` waits for the other end
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # `open` refuses a folder
        raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))
    return open(path, "rb")


def read_small(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a whole file; refuse more than `most` bytes, a pipe or a device.

    >>> import tempfile
    >>> read_small(tempfile.mkstemp()[1], most=10)
    b''
    """
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            told = f"it has {size:,} bytes, and a file of its kind at most {most:,}"
            raise OSError(errno.EFBIG, told, str(path))
        return stream.read(most)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk itself.

    >>> sync(Path("."))
    """
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder; its rename is on the disk already
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, *parts: Any) -> None:
    """Write aside, wait for the disk, rename: `path` is whole or not there.

    A part is bytes, an array, or a text, which is written as UTF-8.

    >>> import tempfile
    >>> write_whole(path := Path(tempfile.mkdtemp(), "a"), b"one ", "two")
    >>> path.read_bytes()
    b'one two'
    """
    with whole_files(path) as (aside,), aside.open("wb") as file:
        for part in parts:
            file.write(part.encode() if isinstance(part, str) else part)


@contextmanager
def whole_files(*paths: Path) -> Iterator[list[Path]]:
    """Lend passing names beside `paths`; after the block, all get their own.

    >>> import tempfile
    >>> with whole_files(path := Path(tempfile.mkdtemp(), "a")) as (aside,):
    ...     _ = aside.write_text("one")
    >>> path.read_text()
    'one'
    """
    asides = [_passing(path) for path in paths]
    try:
        yield asides
        for aside in asides:
            sync(aside)
        for aside, path in zip(asides, paths, strict=True):
            aside.replace(path)
    finally:
        for aside in asides:
            with suppress(OSError):  # renamed, as a rule
                aside.unlink()
    for folder in {path.parent for path in paths}:
        sync(folder)  # the names: a rename is lost with the power as well


@contextmanager
def write_folder(final: Path) -> Iterator[Path]:
    """Lend a passing name for a folder; filled by the block, it becomes `final`.

    >>> import tempfile
    >>> with write_folder(final := Path(tempfile.mkdtemp(), "run")) as aside:
    ...     aside.mkdir()
    ...     _ = (aside / "a").write_text("one")
    >>> (final / "a").read_text()
    'one'
    """
    aside = _passing(final)
    try:
        yield aside
        for file in sorted(aside.iterdir()):
            sync(file)
        sync(aside)
        if final.exists():  # a rename cannot replace a folder with files in it
            shutil.rmtree(final)
        aside.rename(final)  # now it counts, and not a moment before
        sync(final.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _passing(path: Path) -> Path:
    """A name that nobody else takes, so that two who write at once do no harm."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
