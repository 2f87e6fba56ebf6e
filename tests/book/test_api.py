"""The API pages name every public name, and say of each what it raises."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import itertools
import re
import textwrap
from types import ModuleType

import pytest
from serving import ROOT

from drift.plan import SUPPORT, TAUGHT

GROUPS = sorted((ROOT / "book").glob("api-*.md"))
PAGE = "\n".join(page.read_text(encoding="utf-8") for page in GROUPS)
ROOMS = ("files", "shard_format", "shard_writer")  # back rooms that others may use
AROUND = tuple(name for name in SUPPORT if name != "figures")
ENTRY = re.compile(r"\.\. (?:auto(?:function|class|method)|py:data):: (\w+)")


def entries(page: str) -> dict[str, str]:
    """Map `module.name` and `module.Class.method` to what the page says about it."""
    found, module, owner = {}, "", ""
    for part in re.split(r"\n(?= *\.\. )", page):
        if place := re.search(r"currentmodule:: gpt2_tutorial\.(\w+)", part):
            module = place[1]
        if match := ENTRY.search(part):
            name = f"{owner}.{match[1]}" if "automethod" in part else match[1]
            owner = owner if "automethod" in part else match[1]
            found[f"{module}.{name}"] = part.split("```")[0]
    return found


ENTRIES = entries(PAGE)
CALLABLES = [name for name in ENTRIES if not name.split(".")[1].isupper()]


def public_names(module: ModuleType) -> set[str]:
    named = getattr(module, "__all__", None)
    if named:
        return set(named)
    own = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }
    tree = ast.parse(inspect.getsource(module))
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return own | {t.id for t in targets if isinstance(t, ast.Name) and not t.id.startswith("_")}


@pytest.mark.parametrize("file", sorted((ROOT / "src").rglob("*.py")), ids=lambda file: file.stem)
def test_an_empty_line_parts_an_example_from_the_words_above_it(file):
    """Without one, a page shows the example as words of the paragraph."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            parts = doctest.DocTestParser().parse(ast.get_docstring(node, clean=False) or "")
            for words, example in itertools.pairwise(parts):
                if isinstance(example, doctest.Example) and str(words).strip():
                    assert words.rstrip(" ").endswith("\n\n"), example.source


@pytest.mark.parametrize("name", [*TAUGHT, *ROOMS, *AROUND])
def test_every_public_name_stands_on_the_page(name):
    module = importlib.import_module(f"gpt2_tutorial.{name}")
    there = {entry.split(".")[1] for entry in ENTRIES if entry.startswith(f"{name}.")}
    assert there == public_names(module)


@pytest.mark.parametrize("name", TAUGHT)
def test_every_taught_module_has_its_chapter_linked(name):
    assert re.search(rf"in \[chapter \d\d\]\(.*\)\.\n\n```.*\n.*currentmodule.*\.{name}\n", PAGE)


@pytest.mark.parametrize("name", [name for name in CALLABLES if name.count(".") == 1])
def test_every_public_method_of_a_class_stands_there(name):
    thing = resolved(name)
    if not inspect.isclass(thing) or issubclass(thing, (tuple, Exception)):
        return
    methods = {
        method
        for owner in itertools.takewhile(
            lambda base: base is thing or is_private(base), thing.__mro__
        )
        for method, value in vars(owner).items()
        if (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod))
        and (not method.startswith("_") or method == "__call__")
        and not hasattr(value, "hooked")  # torch hangs its own `step` on an optimizer's class
    }
    there = {entry.split(".")[2] for entry in ENTRIES if entry.startswith(f"{name}.")}
    assert there == methods


def is_private(base: type) -> bool:
    """Tell whether a base class is only a part of the public class that stands on it."""
    return base.__name__.startswith("_")


@pytest.mark.parametrize("name", CALLABLES)
def test_an_entry_says_what_it_raises(name):
    text = ENTRIES[name]
    raised = {kind.rsplit(".", 1)[-1] for kind in re.findall(r":raises ([\w.]+):", text)}
    assert raised or "Raises nothing" in text or "Raised by" in text
    assert raised_by(resolved(name)) <= raised | set(
        re.findall(r"\w+Error|KeyboardInterrupt", text)
    )


def resolved(name: str) -> object:
    module, *path = name.split(".")
    thing = importlib.import_module(f"gpt2_tutorial.{module}")
    for part in path:
        thing = getattr(thing, part)
    return thing


def raised_by(thing: object) -> set[str]:
    """Name the exceptions that the source of a function, or of a constructor, raises."""
    if inspect.isclass(thing):
        thing = vars(thing).get("__init__")
    if not inspect.isfunction(thing) or thing.__code__.co_filename.startswith("<"):
        return set()
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    calls = [n.exc for n in ast.walk(tree) if isinstance(n, ast.Raise) and n.exc is not None]
    return {ast.unparse(getattr(call, "func", call)) for call in calls}


def test_what_a_function_raises_is_found_in_its_source():
    assert raised_by(resolved("text.split")) == {"ValueError"}
    assert raised_by(resolved("text.load_shakespeare")) == set()


@pytest.mark.parametrize("name", [name for name in CALLABLES if name.split(".")[0] in TAUGHT])
def test_a_taught_function_names_the_arguments_that_it_explains(name):
    """A `:param x:` of the page must be an argument of the code."""
    thing = resolved(name)
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return  # it takes a message
    known = set(inspect.signature(thing).parameters)
    said = set(re.findall(r":param (\w+):", ENTRIES[name]))
    assert said <= known


@pytest.mark.browser
def test_a_signature_has_short_names(soups):
    pages = [soup for page, soup in soups.items() if "/api-" in page]
    signatures = [one.get_text() for soup in pages for one in soup.select("dt.sig")]
    assert len(signatures) > 200
    assert [one for one in signatures if re.search(r"~|<factory>|\w\.\w+\.\w", one)] == []


@pytest.mark.browser
def test_no_entry_speaks_in_its_parents_words(soups):
    """“Should be overridden by all subclasses” is a word to programmers of torch."""
    said = " ".join(soup.get_text(" ") for page, soup in soups.items() if "/api-" in page)
    said = " ".join(said.split())
    inherited = [name for name in CALLABLES if not resolved(name).__doc__]
    inherited = [name for name in inherited if inspect.getdoc(resolved(name))]
    assert "attention.Head.forward" in inherited
    words = {name: inspect.getdoc(resolved(name)).split("\n\n")[0] for name in inherited}
    assert [name for name, first in words.items() if " ".join(first.split()) in said] == []
