"""A release: what must be so before it, its notes, and what lies in the wheel and in the source."""

import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

import first_cell
import release
from drift import small_book

ROOT = Path(__file__).resolve().parents[2]
LOG = (
    "# Changelog\n\n## 0.2.0 ({})\n\n- book: a new page.\n\n## 0.1.0 (2026-12-24)\n\n- all of it.\n"
)


@pytest.fixture
def tree(tmp_path):
    """A small book that is ready for its release 0.2.0."""
    small_book.build(tmp_path)
    shutil.copy(ROOT / "requirements-data.txt", tmp_path)
    files = {
        "pyproject.toml": '[project]\nversion = "0.2.0"\n',
        "src/gpt2_tutorial/__init__.py": '__version__ = "0.2.0"\n',
        "CITATION.cff": 'cff-version: 1.2.0\nversion: "0.2.0"\n',
        "CHANGELOG.md": LOG.format("2027-01-31"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    cell = first_cell.source(tmp_path).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    for path in (tmp_path / "notebooks").iterdir():
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"import importlib.util"', f'"{cell}"'), encoding="utf-8")
    return tmp_path


def test_a_tree_that_agrees_with_its_tag_is_ready(tree):
    assert release.unready(tree, "v0.2.0") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("pyproject.toml", "0.2.0", "0.3.0", "pyproject.toml names 0.3.0, and the tag 0.2.0"),
        ("src/gpt2_tutorial/__init__.py", "0.2.0", "0.1.0", "__init__.py names 0.1.0"),
        ("CITATION.cff", "version: \"0", "version: \"1", "CITATION.cff names 1.2.0"),
        ("CHANGELOG.md", "## 0.2.0", "## 0.2.1", "CHANGELOG.md names 0.2.1"),
        ("CHANGELOG.md", "2027-01-31", "not released yet", "says “not released yet” of 0.2.0"),
    ],
)  # fmt: skip
def test_each_file_that_disagrees_is_named(file, old, new, complaint, tree):
    text = (tree / file).read_text(encoding="utf-8")
    assert old in text
    (tree / file).write_text(text.replace(old, new), encoding="utf-8")
    assert any(complaint in said for said in release.unready(tree, "v0.2.0"))


def test_a_notebook_that_names_another_release_is_named(tree):
    path = sorted((tree / "notebooks").iterdir())[0]
    path.write_text(path.read_text(encoding="utf-8").replace("==0.2.0", "==0.1.0"), "utf-8")
    (said,) = release.unready(tree, "v0.2.0")
    assert path.name in said and "make sync" in said


@pytest.mark.parametrize("tag", ["0.2.0", "v0.2", "v0.2.0-rc1", "", "v0.2.0; true"])
def test_a_tag_of_another_form_is_refused(tag, tree):
    (said,) = release.unready(tree, tag)
    assert repr(tag) in said


def test_the_notes_are_one_version_of_the_changelog(tree):
    assert release.notes(tree, "0.2.0") == "- book: a new page.\n"
    assert release.notes(tree, "0.1.0") == "- all of it.\n"
    with pytest.raises(ValueError, match="tells nothing of 0"):
        release.notes(tree, "0.1")


def test_the_files_of_this_tree_name_one_version():
    numbers = {found.partition(" (")[0] for found in release.versions(ROOT).values()}
    assert len(numbers) == 1 and re.fullmatch(r"\d+\.\d+\.\d+", numbers.pop())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> list[Path]:
    return release.build(ROOT, tmp_path_factory.mktemp("release") / "dist")


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as files:
        return set(files.namelist())


def test_the_wheel_says_that_it_has_types_and_brings_what_was_measured(built):
    (wheel,) = (path for path in built if path.suffix == ".whl")
    files = names(wheel)
    assert "gpt2_tutorial/py.typed" in files
    assert any(re.match(r"gpt2_tutorial/measured/\d\d\.json", name) for name in files)
    assert any(name.startswith("gpt2_tutorial/models/simple-gpt/") for name in files)
    assert {name.split("/")[0].partition("-")[0] for name in files} == {"gpt2_tutorial"}


def test_from_the_source_alone_the_same_wheel_is_built(built, tmp_path):
    (wheel,) = (path for path in built if path.suffix == ".whl")
    (source,) = (path for path in built if path.name.endswith(".tar.gz"))
    with tarfile.open(source) as files:
        files.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    assert not {"notebooks", "book", "tests"} & {path.name for path in tree.iterdir()}
    (again,) = (path for path in release.build(tree, tmp_path / "dist") if path.suffix == ".whl")
    assert names(again) == names(wheel)


def test_on_pypi_every_link_leads_somewhere(built):
    (wheel,) = (path for path in built if path.suffix == ".whl")
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        text = files.read(name).decode("utf-8")
    links = re.findall(r"\]\s*\(([^)]*)\)", text)
    assert links and all(re.fullmatch(r"https://\S+", link) for link in links)
