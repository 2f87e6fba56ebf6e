"""The first cell on Colab: one pip call where the package is absent, nothing where it is there."""

import importlib.util
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.inputtransformer2 import TransformerManager
from IPython.utils.text import DollarFormatter

from drift.reading import notebooks
from gpt2_tutorial import assets

ROOT = Path(__file__).resolve().parents[2]
BOOKS = notebooks(ROOT)
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


def pins() -> list[str]:
    lines = (ROOT / "requirements-data.txt").read_text(encoding="utf-8").splitlines()
    bare = (line.partition("#")[0].strip() for line in lines)
    return [line for line in bare if line]


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


@pytest.mark.usefixtures("package_absent")
def test_one_pip_call_brings_the_package_and_its_data_alone(first_cell):
    ((magic, words),) = magics_of(first_cell)
    options = {word for word in words if word.startswith("-")}
    wanted = [word for word in words[1:] if word not in options]
    assert (magic, words[0]) == ("pip", "install")
    assert options == {"--quiet", "--no-deps"}
    # so nothing else is named, least of all torch and numpy
    assert wanted == [f"git+{REPOSITORY}", *pins()]


def test_the_address_is_the_projects_own():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Source"] == REPOSITORY


def test_the_pins_are_those_that_the_error_message_names():
    assert pins() == list(assets.REQUIREMENTS.values())


def test_the_recorder_notices_a_second_call():
    cell = 'packages = "torch"\n%pip install a\nif packages:\n    %pip install {packages}'
    assert magics_of(cell) == [("pip", ["install", "a"]), ("pip", ["install", "torch"])]
