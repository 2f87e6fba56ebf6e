"""The first cell on Colab: one pip call where the package is absent, nothing where it is there."""

import importlib.util
import re
import shlex
import shutil
import tempfile
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.utils.text import DollarFormatter

import first_cell as cells
from drift.reading import notebooks
from gpt2_tutorial import assets

ROOT = Path(__file__).resolve().parents[2]
BOOKS = notebooks(ROOT)
PINS = list(assets.REQUIREMENTS.values())
REPOSITORY = "https://github.com/x-jesse/GPT-2"


def magics_of(source: str) -> list[tuple[str, list[str]]]:
    """Run a cell with a notebook shell that only writes down the magics it is asked for."""
    asked, names = [], {}

    def run_line_magic(name: str, line: str) -> None:
        filled = DollarFormatter().vformat(line, [], names)  # IPython's own {name}
        asked.append((name, shlex.split(filled)))

    names["get_ipython"] = lambda: SimpleNamespace(run_line_magic=run_line_magic)
    exec(TransformerManager().transform_cell(source), names)
    return asked


@pytest.fixture(params=BOOKS, ids=lambda book: book.chapter)
def first_cell(request) -> str:
    (cell,) = (cell for cell in request.param.code() if "setup" in cell.tags)
    return cell.source


@pytest.fixture
def package_absent(monkeypatch):
    found = importlib.util.find_spec
    gone = ("gpt2_tutorial", *assets.REQUIREMENTS)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in gone else found(name)
    )


def test_nothing_happens_where_the_package_is(first_cell):
    assert magics_of(first_cell) == []


def asked_of_pip(cell: str) -> list[str]:
    """What the cell's one call of pip installs, without its options."""
    ((magic, words),) = magics_of(cell)
    options = {word for word in words if word.startswith("-")}
    assert (magic, words[0]) == ("pip", "install")
    assert options == {"--quiet", "--no-deps"}
    return [word for word in words[1:] if word not in options]


@pytest.mark.usefixtures("package_absent")
def test_one_pip_call_brings_the_package_and_its_data_alone(first_cell):
    # so nothing else is named, least of all torch and numpy
    assert asked_of_pip(first_cell) == [cells.book(ROOT), *PINS]


def changelog(folder: Path, *headings: str) -> Path:
    """A tree of nothing but the two files that the cell is made from."""
    sections = "".join(f"## {heading}\n\n- a line\n\n" for heading in headings)
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n{sections}", encoding="utf-8")
    shutil.copy(ROOT / "requirements-data.txt", folder)
    return folder


@pytest.mark.parametrize(
    ("headings", "package", "how"),
    [
        (["0.1.0 (not released yet)"], f"git+{REPOSITORY}", "fetches the book's code and"),
        (["0.1.0 (2026-12-24)"], "gpt2-tutorial==0.1.0", f"the newest code, put git+{REPOSITORY}"),
        (["0.3.0 (not released yet)", "0.2.1 (2027-05-01)", "0.2.0 (2027-04-30)"],
         "gpt2-tutorial==0.2.1", "fetches the book, 0.2.1, and"),
    ],
    ids=["never", "once", "twice, and more to come"],
)  # fmt: skip
@pytest.mark.usefixtures("package_absent")
def test_it_names_the_last_release_once_there_is_one(headings, package, how, tmp_path):
    cell = cells.source(changelog(tmp_path, *headings))
    assert asked_of_pip(cell) == [package, *PINS]
    assert how in cell
    assert max(map(len, cell.splitlines())) <= 84  # as many columns as a page holds


def test_the_name_is_the_packages_own():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == cells.NAME


def opening(book) -> list[str]:
    """A notebook's first cells, as far as the one that imports the package."""
    sources = [cell.source for cell in book.code()]
    last = next(n for n, text in enumerate(sources) if re.search(r"(?m)^from gpt2_tutorial", text))
    return sources[: last + 1]


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.chapter)
def test_what_a_reader_runs_first_runs_on_this_system(book):
    names = {"get_ipython": lambda: None}  # so a magic that is called would fail
    for source in opening(book):
        exec(TransformerManager().transform_cell(source), names)
    for value in names.values():
        if isinstance(value, tempfile.TemporaryDirectory):  # its kernel's end would remove it
            value.cleanup()
    assert len(opening(book)) >= 2 and "figures" in names


def test_the_address_is_the_projects_own():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Source"] == REPOSITORY


def test_the_pins_are_those_that_the_error_message_names():
    assert cells.packages(ROOT) == PINS and len(PINS) == 2


def test_the_recorder_notices_a_second_call():
    cell = 'packages = "torch"\n%pip install a\nif packages:\n    %pip install {packages}'
    assert magics_of(cell) == [("pip", ["install", "a"]), ("pip", ["install", "torch"])]
