"""What a file of text is: packed or not, in which encoding, with which line ends.

All of it is known by the bytes and not by the name. What is no text is refused in a sentence.
"""

import codecs
import contextlib
import importlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gpt2_tutorial.files import open_regular

HEAD = 65_536  # bytes at the beginning by which a file is known
DOCUMENT = 2**30  # characters; one string of more needs several times its size in memory
_BLOCK = 1_000_000  # bytes that are read at once

PACKED = {  # how a packed file begins, and the module that unpacks it
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"\x28\xb5\x2f\xfd": "compression.zstd",  # from Python 3.14 on
}
NO_TEXT = {  # how what is no text begins
    b"PK\x03\x04": "a zip archive, as .docx, .xlsx and .epub are",
    b"PK\x05\x06": "an empty zip archive",
    b"%PDF-": "a PDF document",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Office document, as .doc and .xls are",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x89PNG\r\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF87a": "a GIF picture",
    b"GIF89a": "a GIF picture",
    b"SQLite format 3\0": "a SQLite database",
    b"\x7fELF": "a program",
    b"\x93NUMPY": "an array of NumPy",
    b"GPT2SHRD": "a shard of tokens, prepared already",
} | {magic: "packed twice" for magic in PACKED}
MARKS = {  # UTF-32's before UTF-16's, with which it begins
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_CONTROLS = re.compile("[\x01-\x06\x0e-\x1a\x1c-\x1f\x7f]")  # of no use in a text
# What two letters of ASCII become when they are read as UTF-16. Kana, 0x30.., look like it too.
_PAIR = "".join(
    f"{chr(first * 256 + low)}-{chr(first * 256 + high)}"
    for first in (*range(0x20, 0x30), *range(0x31, 0x7F))
    for low, high in ((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x7E))
)
_ASCII_PAIR, _ASCII_RUN = re.compile(f"[{_PAIR}]"), re.compile(f"[{_PAIR}]{{16,}}")


class PrepareError(RuntimeError):
    """The text could not be had; the message says what to do."""


class Notes:
    """What a reader did to files that their owner may want to know, file by file.

    >>> notes = Notes()
    >>> notes.add("read as it stands", Path("a.json"))
    >>> notes.sentences()
    ['1 file: read as it stands (a.json)']
    """

    def __init__(self):
        self._files: dict[str, dict[str, None]] = {}  # dictionaries keep the order

    def add(self, what: str, file: Path) -> None:
        """Remember a file; twice is once, since a text may be read twice."""
        self._files.setdefault(what, {})[str(file)] = None

    def sentences(self) -> list[str]:
        """Say of each thing that was done to how many files, and to which first."""
        return [
            f"{len(files):,} {'file' if len(files) == 1 else 'files'}: {what} "
            f"({', '.join([*files][:3])}{', …' if len(files) > 3 else ''})"
            for what, files in self._files.items()
        ]


@contextlib.contextmanager
def open_unpacked(file: Path) -> Iterator[BinaryIO]:
    """Open a file for its bytes, unpacked where it is packed."""
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(open_regular(file))
            start = stream.read(8)
            stream.seek(0)
            for magic, module in PACKED.items():
                if start.startswith(magic):
                    stream = stack.enter_context(_unpacker(file, module).open(stream))
            yield stream
        except EOFError:
            raise PrepareError(f"{file} ends too early: copy it anew") from None
        except OSError as error:
            if error.errno is None:  # not the system's, but an unpacker's word
                raise PrepareError(f"{file} is damaged: copy it anew") from None
            raise PrepareError(f"{file} cannot be read ({error.strerror})") from None
        except Exception as error:
            if isinstance(error, zlib.error) or type(error).__name__ in ("LZMAError", "ZstdError"):
                raise PrepareError(f"{file} is damaged: copy it anew") from None
            raise


def _unpacker(file: Path, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise PrepareError(
            f"{file} is packed in a way that this Python cannot read ({module} is missing): "
            "unpack it first"
        ) from None


def first_bytes(file: Path) -> bytes:
    """Return the beginning of a file, unpacked; refuse what is no text."""
    with open_unpacked(file) as stream:
        head = stream.read(HEAD)
    kinds = [kind for magic, kind in NO_TEXT.items() if head.startswith(magic)]
    if head[257:262] == b"ustar":
        kinds = ["a tar archive"]
    if kinds:
        raise PrepareError(f"{file} is no text but {kinds[0]}: give the text in it as a file")
    return head


def encoding_of(head: bytes) -> tuple[str, bool]:
    """Say in which encoding a text begins, and whether a mark says so.

    >>> encoding_of("né".encode()), encoding_of("né".encode("utf-16-be"))
    (('utf-8', False), ('utf-16-be', False))
    """
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding, True
    if b"\0" not in head:  # two or four bytes for an ASCII letter, a space or a line end have one
        return "utf-8", False
    without = _decoded(head.replace(b"\0", b""), "utf-8")
    if without and not without.isascii():
        return "utf-8", False  # a text of UTF-8 with NULs in it
    texts = {encoding: _decoded(head, encoding) for encoding in WIDE}
    likely = {e: sum(c < "\x7f" for c in t) for e, t in texts.items() if t and _is_readable(t)}
    # The wrong order of bytes makes spaces and line ends another script's letters.
    best = max(likely, key=likely.__getitem__, default="utf-8")
    return (best, False) if likely.get(best) else ("utf-8", False)


def _decoded(data: bytes, encoding: str) -> str | None:
    """Decode the beginning of a text, which may be cut within a letter; None if it is none."""
    try:
        # What is shorter than HEAD is the whole, and must not be cut.
        return codecs.getincrementaldecoder(encoding)().decode(data, final=len(data) % HEAD != 0)
    except UnicodeDecodeError:
        return None


def _is_readable(text: str) -> bool:
    """Whether a text that was decoded as a wide one looks like it, and not like ASCII in pairs."""
    wide, pairs = sum(c > "\x7f" for c in text), len(_ASCII_PAIR.findall(text))
    strange = sum(not c.isprintable() and c not in "\t\n\v\f\r" for c in text)
    return "\0" not in text and strange <= len(text) / 100 and pairs <= wide / 2


def _has_ascii(text: str) -> bool:
    """Whether ASCII was put behind a wide text: its letters, two by two, look like Chinese.

    Sixteen such letters in a row are no accident, unless they draw a line of the same one.
    """
    return any(len(set(run[0])) > 4 for run in _ASCII_RUN.finditer(text))


def pieces(file: Path, head: bytes, notes: Notes) -> Iterator[str]:
    """Decode a text, about a megabyte at a time; refuse what does not belong into one."""
    encoding, marked = encoding_of(head)
    strange = len(_CONTROLS.findall(head.decode("latin-1")))
    if encoding == "utf-8" and strange > max(len(head) / 20, 4):
        raise PrepareError(f"{file} is no text: it is full of control characters")
    if encoding != "utf-8" and not marked:
        notes.add(f"read as {encoding.upper()}, which no mark says", file)
    decoder = codecs.getincrementaldecoder(encoding)()
    line, place, last = 1, 0, False
    with open_unpacked(file) as stream:
        while not last:
            block = stream.read(_BLOCK)
            last, before = not block, len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=last)
            except UnicodeDecodeError as error:
                good = error.object[: error.start]
                line += good.decode(encoding).count("\n")
                at = f"byte {place - before + error.start:,}, in line {line:,}"
                raise PrepareError(_undecodable(file, encoding, at, error)) from None
            if encoding != "utf-8" and _has_ascii(text):
                raise PrepareError(_mixed(file, line, encoding.upper()))
            if "\0" in text or "\ufffe" in text:
                wrong = min(at for at in (text.find("\0"), text.find("\ufffe")) if at >= 0)
                raise PrepareError(_mixed(file, line + text[:wrong].count("\n"), encoding.upper()))
            yield text.removeprefix("\ufeff") if place == 0 else text
            line, place = line + text.count("\n"), place + len(block)


def _undecodable(file: Path, encoding: str, at: str, error: UnicodeDecodeError) -> str:
    name = encoding.upper()
    if encoding != "utf-8":
        return f"{file} is no whole {name}: {at}, begins no letter; save it as UTF-8"
    return (
        f"{file} is no UTF-8: {at}, is 0x{error.object[error.start]:02x}; save it as UTF-8. A "
        "text from Windows may need `iconv -f WINDOWS-1252 -t UTF-8`"
    )


def _mixed(file: Path, line: int, name: str) -> str:
    return (
        f"{file}, line {line:,}: a NUL or another encoding stands in this text of {name}. Take it "
        "out, or save each of its parts as UTF-8 before they are joined"
    )


def clean(texts: Iterator[str], file: Path, notes: Notes) -> Iterator[str]:
    r"""Make every line end a \n, and leave out marks that joining files put in between.

    >>> "".join(clean(iter(["one\r", "\ntwo\ufeff\r"]), Path("a.txt"), Notes()))
    'one\ntwo\r'
    """
    held = ""
    for text in texts:
        text = held + text
        held = "\r" if text.endswith("\r") else ""  # its \n may come with the next piece
        text = text[: len(text) - len(held)]
        if "\r\n" in text:
            notes.add(r"the line ends of Windows, \r\n, read as \n", file)
            text = text.replace("\r\n", "\n")
        if "\ufeff" in text:
            notes.add("byte order marks within the text left out", file)
            text = text.replace("\ufeff", "")
        yield text
    yield held


def lines(texts: Iterator[str], file: Path) -> Iterator[str]:
    r"""Cut pieces of a text where lines end, and nowhere else.

    >>> list(lines(iter(["on", "e\ntwo", "\n", "three"]), Path("a.txt")))
    ['one\n', 'two\n', 'three']
    """
    held: list[str] = []
    for text in texts:
        first, *more = text.split("\n")
        held.append(first)
        if more:
            yield "".join([*held, "\n"])
            yield from (line + "\n" for line in more[:-1])
            held = [more[-1]]
        check_size(held, file)
    if last := "".join(held):
        yield last


def check_size(parts: list[str], file: Path) -> None:
    """Refuse a document that a memory cannot hold several times."""
    if sum(map(len, parts)) > DOCUMENT:
        raise PrepareError(
            f"{file} holds a document of more than {DOCUMENT:,} characters: cut it into smaller "
            "ones, with --documents paragraph or line, or into files"
        )
