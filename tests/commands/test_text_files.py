"""Text as it lies on disks: what it is, is known by its bytes, and what is no text is refused."""

import bz2
import codecs
import gzip
import json
import lzma
import os
import sys
import tarfile
import zipfile

import pytest

from gpt2_tutorial.commands import text_files
from gpt2_tutorial.commands.documents import find_files, text_source
from gpt2_tutorial.commands.text_files import Notes, PrepareError, encoding_of
from in_process import command


def documents(*paths, **more) -> list[str]:
    return list(text_source(paths, **more).documents())


def read(file, data: bytes, **more) -> tuple[list[str], list[str]]:
    """The documents of a file of these bytes, and what is said about it."""
    file.write_bytes(data)
    source = text_source([file], **more)
    return list(source.documents()), source.notes.sentences()


def test_files_come_in_the_order_of_their_names_and_hidden_ones_do_not(tmp_path):
    for name in ("b.txt", "a/z.md", "a/c.txt", ".git/x.txt", ".y.txt", "d.py", "e.txt/in.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    names = [str(path.relative_to(tmp_path)) for path in find_files([tmp_path], Notes())]
    assert names == ["a/c.txt", "a/z.md", "b.txt", "e.txt/in.txt"]
    assert find_files([tmp_path / "d.py"], Notes()) == [tmp_path / "d.py"]  # asked for by name
    assert documents(tmp_path / "b.txt", tmp_path / "a") == ["b.txt", "a/c.txt", "a/z.md"]


def test_a_document_is_a_file_a_paragraph_or_a_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\ntwo\r\n\r\n \t\r\n\r\nthree\r\n")
    assert documents(path) == ["one\ntwo\n\n \t\n\nthree\n"]
    assert documents(path, cut="paragraph") == ["one\ntwo", "three"]
    assert [d.strip() for d in documents(path, cut="line") if d.strip()] == ["one", "two", "three"]


TEXTS = {
    "English": "Plain ASCII text only, a line.\n",
    "two letters": "a\n",
    "German": "Größe und Maß: 12 €.\n",
    "Russian": "Привет, мир. Это строка.\n",
    "Greek": "Ο ήλιος ανατέλλει.\n",
    "Hindi": "यह एक पंक्ति है, और यह दूसरी।\n",
    "Chinese": "这是一个句子。\n这是第二个句子, 12 年。\n",
    "Japanese": "これは文です。 Python 3\n",
    "emoji": "a ✨ 😀 b\r\n",
    "long": "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich.\n" * 30_000,
}
ENCODINGS = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_every_unicode_encoding_is_read_with_and_without_a_mark(tmp_path, name, encoding, mark):
    text = TEXTS[name]
    found, notes = read(tmp_path / "a.txt", (mark + text).encode(encoding))
    assert found == [text.replace("\r\n", "\n")]
    guessed = [note for note in notes if "which no mark says" in note]
    assert len(guessed) == (encoding != "utf-8" and not mark)
    assert all(encoding.upper() in note for note in guessed)


CAF = "café au lait\n".encode("latin-1")
REFUSED = {
    "latin-1": (b"one\n" + CAF, r"no UTF-8: byte 7, in line 2, is 0xe9; save it as UTF-8.*iconv"),
    "latin-1 far behind": (b"one\n" * 600_000 + CAF, "byte 2,400,003, in line 600,001, is 0xe9"),
    "cut in a letter": ("é✨".encode()[:-1], "byte 2, in line 1, is 0xe2"),
    "a NUL": (b"a\0b", "line 1: a NUL or another encoding"),
    "a NUL after two letters": (b"ab\0\n", "line 1: a NUL or another encoding"),
    "a NUL that looks like UTF-16": (b"a\0bc", "line 1: a NUL or another encoding"),
    "NULs at the end": ("é one\ntwo\n".encode() + bytes(512), "line 3: a NUL or another encoding"),
    "a NUL far behind": (b"one\n" * 600_000 + b"\0", "line 600,001: a NUL or another"),
    "UTF-16 behind UTF-8": (b"one two\n" * 9 + "three\n".encode("utf-16-le"), "line 10: a NUL"),
    "UTF-16 with a mark behind": (b"one\n" + "two\n".encode("utf-16"), "line 2, is 0xff"),
    "UTF-16 far behind": (b"one\n" * 90_000 + "two\n".encode("utf-16-be"), "line 90,001: a NUL"),
    "UTF-8 behind UTF-16": (
        "one two three\n".encode("utf-16") * 9 + b"Now some other words, to be read.\n" * 2,
        "line .*: a NUL or another encoding stands in this text of UTF-16-LE",
    ),
    "UTF-16 of two kinds": (
        codecs.BOM_UTF16_LE + "é\n".encode("utf-16-le") + "\ufeffé\n".encode("utf-16-be"),
        "line 2: a NUL or another encoding stands in this text of UTF-16-LE",
    ),
    "UTF-16 cut": ("one\n".encode("utf-16")[:-1], "no whole UTF-16-LE: byte 8, in line 1"),
    "half a character": (
        codecs.BOM_UTF16_LE + b"a\0\n\0\x3d\xd8b\0",
        "no whole UTF-16-LE: byte 6, in line 2",
    ),
    "control characters": (bytes(range(1, 32)) * 9, "is full of control characters"),
    "a zip": (b"PK\x03\x04 and so on", "no text but a zip archive, as .docx, .xlsx and .epub are"),
    "a PDF": (b"%PDF-1.7\nand so on", "no text but a PDF document"),
    "an RTF": (b"{\\rtf1\\ansi so}", "no text but an RTF document"),
    "a PNG": (b"\x89PNG\r\n\x1a\n", "no text but a PNG picture"),
    "a JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF", "no text but a JPEG picture"),
    "a program": (b"\x7fELF\2\1\1", "no text but a program"),
    "a shard": (b"GPT2SHRD\2\0\0\0", "no text but a shard of tokens, prepared already"),
    "random bytes": (bytes(i * i * 7 % 251 for i in range(5_000)), r"no UTF-8|no text|a NUL"),
    "zeros": (bytes(5_000), "a NUL or another encoding"),
}
PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("fault", REFUSED)
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_what_is_no_text_is_a_sentence_and_nothing_is_written(tmp_path, capsys, fault, packed):
    data, sentence = REFUSED[fault]
    (tmp_path / f"a.txt{packed}").write_bytes(PACKERS[packed](data))
    with pytest.raises(PrepareError, match=rf"a.txt{packed}.*{sentence}"):
        documents(tmp_path)
    prepare = command(
        capsys, "prepare", "text", str(tmp_path), "--out", str(tmp_path / "out"), "--quiet"
    )
    for tokenizer in ("gpt2", "characters") if len(data) < 10_000 else ():
        said = prepare("--tokenizer", tokenizer, "--processes", 1)
        assert said.code == 1 and said.err.count("\n") == 1 and said.out == ""
    assert not (tmp_path / "out").exists()


def test_archives_of_texts_are_refused_whatever_they_are_called(tmp_path):
    (tmp_path / "a").write_text("text")
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.write(tmp_path / "a")
    for name, mode in {"b.txt": "w", "c.txt.gz": "w:gz", "d.txt": "w:xz"}.items():
        with tarfile.open(tmp_path / name, mode) as archive:
            archive.add(tmp_path / "a", "a")
    (tmp_path / "e.txt.gz").write_bytes(gzip.compress(gzip.compress(b"text")))
    kinds = {
        "a.docx": "zip",
        "b.txt": "tar",
        "c.txt.gz": "tar",
        "d.txt": "tar",
        "e.txt.gz": "twice",
    }
    for name, kind in kinds.items():
        with pytest.raises(PrepareError, match=rf"{name} is no text but .*{kind}"):
            documents(tmp_path / name)


ROWS = b'{"text": "one"}\n\n{"text": "two"}\n'


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["a.txt", "A.TXT", "b.jsonl", "B.Jsonl", "c.MD"])
def test_packed_files_are_read_and_letters_of_any_case(tmp_path, name, suffix):
    is_rows = "jsonl" in name.lower()
    file = tmp_path / (name + suffix.upper())
    found, notes = read(file, PACKERS[suffix](ROWS if is_rows else b"some text\n"))
    assert found == (["one", "two"] if is_rows else ["some text\n"]) and notes == []
    assert find_files([tmp_path], Notes()) == [file]


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["a", "a.dat", "a.json", "a.jsonl", "a.jsonl.gz", "a.data.xz"])
def test_packing_and_rows_are_known_by_content(tmp_path, name, suffix):
    assert read(tmp_path / name, PACKERS[suffix](ROWS)) == (["one", "two"], [])
    wide = PACKERS[suffix](ROWS.decode().replace("\n", "\r\n").encode("utf-16"))
    assert read(tmp_path / name, wide) == (["one", "two"], [])


def test_zstandard_is_read_or_a_sentence(tmp_path):
    file = tmp_path / "a.txt.zst"
    file.write_bytes(bytes.fromhex("28b52ffd2005290000736f6d650a"))  # "some\n"
    if sys.version_info < (3, 14):
        with pytest.raises(PrepareError, match=r"a.txt.zst .* cannot read .*: unpack it first"):
            documents(file)
    else:
        assert documents(file) == ["some\n"]


PAGES = "".join(f'{{"text": "page {i} {i * i}"}}\n' for i in range(3_000)).encode()
DAMAGED = {
    "small": bytes.fromhex(
        "1f8b0800000000000203aa562a49ad2851b252ca48cdc9c95728cf2fca4951aae5aa26491800e6093a3945000000"
    ),
    "wrong checksum": gzip.compress(PAGES)[:-8] + b"wrongsum",
    "garbage behind it": gzip.compress(PAGES) + b"garbage",
    "a header alone": gzip.compress(PAGES)[:10],
    "cut": gzip.compress(PAGES)[:-50],
    "bz2 cut": bz2.compress(PAGES)[:-50],
    "xz cut": lzma.compress(PAGES)[:-50],
} | {
    f"{name}, byte {place} flipped": data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]
    for name, data in (
        ("gz", gzip.compress(PAGES)), ("bz2", bz2.compress(PAGES)), ("xz", lzma.compress(PAGES)))
    for place in (20, 100, 900, len(data) - 5)
}  # fmt: skip


@pytest.mark.parametrize("fault", DAMAGED)
@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.txt"])
def test_a_damaged_packed_file_is_a_sentence(tmp_path, capsys, fault, name):
    (tmp_path / name).write_bytes(DAMAGED[fault])
    with pytest.raises(PrepareError, match=rf"{name} (is damaged|ends too early): copy it anew$"):
        documents(tmp_path)
    said = command(capsys, "prepare", "text")(tmp_path, "--out", tmp_path / "o", "--quiet")
    assert said.code == 1 and not (tmp_path / "o").exists()


def test_windows_line_ends_are_read_as_line_ends_and_said(tmp_path):
    found, notes = read(tmp_path / "a.txt", b"one\r\ntwo\rthree\r\n\r\nfour\r\n", cut="paragraph")
    assert found == ["one\ntwo\rthree", "four"]
    assert notes == [rf"1 file: the line ends of Windows, \r\n, read as \n ({tmp_path}/a.txt)"]
    text = b"x" * 999_999 + b"\r\n" + b"y\r"  # a line end where a block ends
    assert read(tmp_path / "a.txt", text)[0] == ["x" * 999_999 + "\ny\r"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("end", ["\n", ""])
def test_marks_that_joining_files_left_in_the_middle_are_no_text(tmp_path, encoding, end):
    joined = f"\ufeffone{end}\ufefftwo{end}\ufeffthree"
    found, notes = read(tmp_path / "a.txt", joined.encode(encoding))
    assert found == [f"one{end}two{end}three"] and "byte order marks" in notes[0]
    rows = "\ufeff" + '{"text": "one"}\n\ufeff{"text": "t\ufeffwo"}\n'
    assert read(tmp_path / "a.jsonl", rows.encode(encoding)) == (["one", "t\ufeffwo"], [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[\n {"instruction": "x"}\n]'),
        ("a.csv", "id,text\n1,one\n"),
        ("A.CSV.gz", "id,text\n1,one\n"),
        ("a.txt", '{"text": "one"}\n{"text": "two"}\n'),
        ("a.html", "<p>one</p>"),
    ],
)
def test_files_with_more_syntax_than_text_are_told(tmp_path, name, text):
    found, notes = read(tmp_path / name, text.encode())
    assert found == [text] and len(notes) == 1
    assert notes[0].startswith("1 file: read as it stands, syntax and all; only .jsonl has fields")


def test_files_of_a_folder_that_are_not_taken_are_named(tmp_path, capsys):
    for name in ("a.txt", "PG100.TXT", "x.Jsonl", "y.txt.gz", "b.docx", "c.json", ".hidden", "d"):
        (tmp_path / name).write_bytes(ROWS if "son" in name else b"kept\n")
    notes = Notes()
    taken = [path.name for path in find_files([tmp_path], notes)]
    assert taken == ["PG100.TXT", "a.txt", "x.Jsonl", "y.txt.gz"]
    words = ("--out", tmp_path / "o", "--tokenizer", "characters", "--quiet", "--processes", 1)
    said = command(capsys, "prepare", "text")(tmp_path, *words)
    kinds = ".txt, .md, .jsonl, .parquet"
    names = ", ".join(f"{tmp_path}/{name}" for name in ("b.docx", "c.json", "d"))
    assert said.code == 0
    assert f"note: 3 files: not taken, being no {kinds} ({names})\n" in said.out
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.docx").write_bytes(b"PK")
    with pytest.raises(PrepareError, match=r"only holds no .txt, .* but a.docx"):
        find_files([tmp_path / "only"], Notes())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe with a name")
def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    for path in (tmp_path / "a.txt", "/dev/zero", "/dev/null"):
        with pytest.raises(PrepareError, match=r"is a pipe or a device, which is read once: save"):
            documents(path)
    (tmp_path / "b.txt").write_text("b")
    assert documents(tmp_path) == ["b"]


@pytest.mark.parametrize("cut", ["file", "paragraph", "line"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.txt.gz"])
def test_a_document_that_no_memory_holds_is_refused(tmp_path, monkeypatch, cut, name):
    monkeypatch.setattr(text_files, "DOCUMENT", 2_000_000)
    data = b"word " * 1_000_000
    (tmp_path / name).write_bytes(gzip.compress(data, 1) if name.endswith("gz") else data)
    with pytest.raises(PrepareError, match=r"a document of more than 2,000,000 characters: cut it"):
        documents(tmp_path, cut=cut)


@pytest.mark.parametrize("half", [r"\ud83d", r"\uDE00", r"\ud83d\ud83d", r"\ude00\ud83d"])
@pytest.mark.parametrize("tokenizer", ["gpt2", "characters"])
def test_half_a_character_names_its_file_and_line(tmp_path, capsys, half, tokenizer):
    file = tmp_path / "a.jsonl"
    whole = r'{"text": "\ud83d\ude00 is whole"}'
    file.write_text(f'{whole}\n{{"text": "half {half} pair"}}\n')
    words = ("--tokenizer", tokenizer, "--out", tmp_path / "o", "--quiet")
    said = command(capsys, "prepare", "text")(file, *words)
    assert said.code == 1 and f"{file}, line 2: '\\ud" in said.err
    assert "is half a character, which no file can hold" in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_the_beginning_of_a_text_may_be_cut_within_a_letter():
    for encoding in ENCODINGS:
        for text in ("é✨😀\n" * 9_000, "x" + "é✨😀\n" * 9_000):
            head = text.encode(encoding)[: text_files.HEAD]
            assert len(head) == text_files.HEAD
            assert encoding_of(head) == (encoding, False)


def test_json_lines_are_read_also_compressed(tmp_path):
    lines = "".join(json.dumps({"text": f"{i}\n", "id": i, "more": "x"}) + "\n\n" for i in range(3))
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert documents(tmp_path) == ["0\n", "1\n", "2\n"] * 2
    assert documents(tmp_path / "a.jsonl", name="more") == ["x"] * 3


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"', "a.jsonl, line 2: this is no JSON"),
        ("a.jsonl", b'{"text": "\xff"}', "a.jsonl is no UTF-8: byte 10, in line 1, is 0xff"),
        ("a.jsonl", b"[" * 100_000, "line 1: this is no JSON"),
        ("a.jsonl", b'{"body": "a"}', "line 1: there is no text in the field 'text'"),
        ("a.jsonl", b'{"text": null}', "line 1: there is no text in the field 'text'"),
        ("a.jsonl", b'["text"]', "line 1: there is no text in the field 'text'"),
        ("a.jsonl.gz", b"no gzip", "a.jsonl.gz, line 1: this is no JSON"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"text": "a"}\n' * 9, mtime=0)[:-12],
            "a.jsonl.gz ends too early",
        ),
    ],
)
def test_lines_that_cannot_be_read_are_named(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PrepareError, match=sentence):
        documents(tmp_path)


def test_parquet_without_pyarrow_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PrepareError, match=r"a.parquet needs pyarrow: run `pip install pyarrow`"):
        documents(tmp_path)


def test_parquet_is_read_row_by_row(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"text": [f"row {i}" for i in range(2500)], "id": list(range(2500))})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    assert documents(tmp_path) == [f"row {i}" for i in range(2500)]
    with pytest.raises(PrepareError, match="no column 'body': choose from text, id"):
        documents(tmp_path, name="body")
    with pytest.raises(PrepareError, match="the column 'id' holds 0 in row 0"):
        documents(tmp_path, name="id")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing of the kind PAR1")
    with pytest.raises(PrepareError, match="cannot be read as parquet"):
        documents(tmp_path)


def test_what_is_not_there_is_named(tmp_path, capsys):
    said = command(capsys, "prepare", "text")(tmp_path / "nowhere")
    assert said.code == 1
    assert f"gpt2 prepare: there is no file or folder {tmp_path}/nowhere" in said.err
    with pytest.raises(PrepareError, match=r"holds no .txt, .md, .jsonl"):
        find_files([tmp_path], Notes())
