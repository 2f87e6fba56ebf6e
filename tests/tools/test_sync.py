"""tools/sync.py: what is changed in the package alone stands in the notebook after one command."""

import json
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

import one_list
import sync
from drift import exercises, plan, same_code
from drift.reading import load_notebook

ROOT = Path(__file__).resolve().parents[2]
BLOCK = "10_gpt2_block.ipynb"


@pytest.fixture
def other(tmp_path):
    """One chapter and the modules, to be changed."""
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / BLOCK, tmp_path / "notebooks")
    package = tmp_path / "src" / "gpt2_tutorial"
    package.mkdir(parents=True)
    for file in (ROOT / "src" / "gpt2_tutorial").glob("*.py"):
        shutil.copy(file, package)
    return tmp_path


def edited(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def chapter(root: Path):
    return load_notebook(root, root / "notebooks" / BLOCK)


def differences(root: Path) -> list[str]:
    """What the drift tests say of this chapter's cells."""
    source = same_code.source_of(root, "block")
    found = [
        said
        for module, cell in same_code.shown_cells(chapter(root))
        for said in same_code.cell_complaints("10", module, cell, source)
    ]
    known = exercises.known_exercises()
    for place, cell in enumerate(chapter(root).cells):
        if cell.tagged("exercise:"):
            found += exercises.exercise_complaints(chapter(root), place, known)
    return found


def test_the_committed_notebooks_are_in_sync():
    assert sync.sync(ROOT, write=False) == []


def test_a_line_that_changes_in_a_module_changes_in_its_cell(other):
    block = other / "src" / "gpt2_tutorial" / "block.py"
    edited(block, "return x + self.mlp(self.ln_2(x))", "return x + 1 * self.mlp(self.ln_2(x))")
    before = (other / "notebooks" / BLOCK).read_text(encoding="utf-8")
    assert len(differences(other)) == 1
    (said,) = sync.sync(other, write=False)
    assert BLOCK in said and "src:block" in said
    assert (other / "notebooks" / BLOCK).read_text(encoding="utf-8") == before
    assert sync.sync(other, write=True) == [said]
    assert differences(other) == [] == sync.sync(other, write=True)
    after = (other / "notebooks" / BLOCK).read_text(encoding="utf-8")
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    assert len([a for a, b in pairs if a != b]) == 1  # nothing else in the file moved


def test_a_card_without_its_links_gets_them(other):
    file = other / "notebooks" / BLOCK
    whole = file.read_text(encoding="utf-8")
    edited(file, f" · [read it with its pictures]({plan.PAGE_LINK}10_gpt2_block.html)", "")
    (said,) = sync.sync(other, write=True)
    assert "section:card" in said and file.read_text(encoding="utf-8") == whole


def test_a_class_told_in_two_cells_is_written_method_by_method(other):
    """The class in the first cell loses `forward` to a cell of its own."""
    file, package = other / "notebooks" / BLOCK, other / "src" / "gpt2_tutorial" / "block.py"
    raw = json.loads(file.read_text(encoding="utf-8"))
    (place,) = [
        i for i, cell in enumerate(raw["cells"]) if "class Block(" in "".join(cell["source"])
    ]
    first = raw["cells"][place]
    above, _, forward = "".join(first["source"]).partition("    def forward")
    first["source"] = above + "    # … forward: below"
    below = f"class Block(nn.Module):\n    # … how it is built: above\n\n    def forward{forward}"
    raw["cells"].insert(place + 1, {**first, "id": "c10-forward", "source": below})
    file.write_text(json.dumps(raw), encoding="utf-8")
    assert sync.sync(other, write=False) == differences(other) == same_code.shown_once(other) == []

    edited(package, "return x + self.mlp(self.ln_2(x))", "return x + 1 * self.mlp(self.ln_2(x))")
    edited(package, "class Block(nn.Module):", "class Block(torch.nn.Module):")
    assert len(sync.sync(other, write=True)) == 2  # the head stands in both
    told = [cell.source for cell in chapter(other).cells if "class Block(" in cell.source]
    assert ["1 * self.mlp" in text for text in told] == [False, True]
    assert ["# … forward: below" in text for text in told] == [True, False]
    assert all("class Block(torch.nn.Module):" in text for text in told)
    assert differences(other) == same_code.shown_once(other) == []


def test_a_new_function_gets_a_cell_behind_its_neighbour(other):
    block = other / "src" / "gpt2_tutorial" / "block.py"
    edited(block, "def init_weights(", "def twice(x):\n    return 2 * x\n\n\ndef init_weights(")
    (said,) = sync.sync(other, write=True)
    assert said == f"notebooks/{BLOCK}: a new cell shows block.twice"
    cells = chapter(other).cells
    (place,) = [i for i, cell in enumerate(cells) if cell.source.startswith("def twice")]
    assert cells[place].tags == ("src:block",)
    assert "class Block(" in cells[place - 1].source
    assert same_code.shown_once(other) == [] == sync.sync(other, write=True)
    raw = json.loads((other / "notebooks" / BLOCK).read_text(encoding="utf-8"))
    assert len({cell["id"] for cell in raw["cells"]}) == len(cells)


def test_stubs_and_solutions_come_from_the_checkers(other):
    file = other / "notebooks" / BLOCK
    raw = json.loads(file.read_text(encoding="utf-8"))
    stale = {"exercise:10.1": ("for example", "such as"), "solution:10.1": ("1.342]", "1.34]")}
    for cell in raw["cells"]:
        for tag in stale.keys() & set(cell["metadata"].get("tags", [])):
            text = "".join(cell["source"]).replace(*stale[tag])
            cell["source"] = text.splitlines(keepends=True)
    file.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert len(differences(other)) == 2
    assert len(sync.sync(other, write=True)) == 2
    assert differences(other) == []
    assert file.read_bytes() == (ROOT / "notebooks" / BLOCK).read_bytes()


@pytest.mark.parametrize(("found", "code"), [([], 0), (["a cell"], 1)])
def test_check_ends_with_1_if_something_would_change(monkeypatch, capsys, found, code):
    monkeypatch.setattr(sync, "sync", lambda root, write: found if not write else pytest.fail())
    monkeypatch.setattr(sys, "argv", ["sync.py", "--check"])
    assert sync.main() == code
    assert ("make sync" in capsys.readouterr().err) is bool(found)


# --- the list of modules


SETTINGS = """\
exclude = [
  "src/gpt2_tutorial/old.py",
]
layers = [
  "gpt2_tutorial.old",
]
"""


@pytest.fixture
def house(tmp_path):
    """A house whose lists are old, and one notebook that shows a back room."""
    for name, text in {
        "pyproject.toml": SETTINGS,
        "src/gpt2_tutorial/__init__.py": '"""Old words."""\n\n__version__ = "0.1.0"\n',
        "notebooks/15_never_lost.ipynb": '{"tags": ["src:files"]}',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_list_of_modules_is_written_where_tools_want_it(house):
    settings, package = one_list.written(house).values()
    layers = tomllib.loads(settings)["layers"]
    assert layers[-3:] == [f"gpt2_tutorial.{name}" for name in ("text", "assets", "files")]
    assert layers.index("gpt2_tutorial.train") < layers.index("gpt2_tutorial.gpt")
    wide = tomllib.loads(settings)["exclude"]
    assert wide[0] == "src/gpt2_tutorial/files.py" and "src/gpt2_tutorial/old.py" not in wide
    assert "    06  (bpe_input), (bpe_stream), bpe, bpe_export\n" in package
    assert package.endswith('__version__ = "0.1.0"\n') and "Old" not in package


def test_a_list_that_is_not_where_it_belongs_is_an_error(house):
    (house / "pyproject.toml").write_text("layers = []")
    with pytest.raises(ValueError, match=r"has 'layers = \[' 0 times"):
        one_list.written(house)
