"""Read wrong answers that are written as edits of the right one, from one text file a chapter.

    ## 14.2

    - no division: `(loss / len(pieces))` → `loss`
      The sentence that names the mistake.

Behind the colon stands what is wrong:

- `` `old` → `new` ``, or several of these joined by ` and `, one after the other. The old text must
  stand once in the body of the solution; `` every `old` → `new` `` replaces it wherever it stands.
- nothing, and on the next line a block: ` ```diff ` takes lines away (`-`) and adds some (`+`)
  beside lines that stay; ` ```python ` is another body below the same signature. A diff may follow
  edits, too.
- `= expression`, evaluated beside the chapter: another function.
- for an exercise whose answer is a value: the wrong value, as an expression.

`(hint 2)` behind a name sends the reader to that hint. A mistake named `stub` has no sentence: it
is what the notebook ships, where that is more than the signature and the comment below it.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gpt2_tutorial.checks.stubs import bound_name

ITEM = re.compile(r"- ([^:`\s](?:[^:`]*?[^:`\s])?)(?: \(hint (\d)\))?:(?: (.*))?")
EDIT = re.compile(r"(every )?`([^`]+)` → `([^`]+)`")
EDITS = re.compile(f"{EDIT.pattern}(?: and {EDIT.pattern})*")
FENCE = re.compile(r"```(python|diff)")
Lines = list[tuple[int, str]]


@dataclass(frozen=True)
class Mistake:
    """One mistake as it is written: its name, what is wrong, the sentence, and where it stands."""

    name: str
    change: str
    sentence: str
    where: str
    hint: int | None = None
    language: str = ""
    block: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The text of a function: its signature, the comment right below it, and its body.

    >>> toy = Source("def twice(x):", "    # any number", "    return x + x")
    >>> print(toy.stub)
    def twice(x):
        # any number
        ...
    >>> print(toy.text)
    def twice(x):
        return x + x
    """

    signature: str
    comment: str
    body: str

    @property
    def text(self) -> str:
        """The function without the comment, which belongs to the task and not to the answer."""
        return f"{self.signature}\n{self.body}"

    @property
    def opening(self) -> str:
        """The signature and the comment: what every stub begins with."""
        return "\n".join(filter(None, (self.signature, self.comment)))

    @property
    def stub(self) -> str:
        """The function before anybody has written it."""
        return f"{self.opening}\n    ..."


def source_of(function: Callable) -> Source:
    """Read the source of a function, without its decorator.

    >>> source_of(source_of).signature
    'def source_of(function: Callable) -> Source:'
    """
    code = function.__code__
    # inspect.getsource would look through every module of torch first
    lines = linecache.getlines(code.co_filename, function.__globals__)[code.co_firstlineno - 1 :]
    text = textwrap.dedent("".join(inspect.getblock(lines))).rstrip("\n")
    node = ast.parse(text).body[0] if text else None
    # for the code of an `exec`, Python 3.13 finds lines of another program
    if getattr(node, "name", "") != function.__name__:
        raise ValueError(f"{function.__name__} has no source; write it in a file.")
    lines = text.split("\n")
    first = node.body[0].lineno - 1
    above = lines[node.lineno - 1 : first]
    comment = [line for line in above if line.lstrip().startswith("#")]
    signature = above[: len(above) - len(comment)]
    return Source("\n".join(signature), "\n".join(comment), "\n".join(lines[first:]))


@lru_cache(maxsize=2)  # a chapter asks for its table once for every exercise
def parse(text: str, file: str) -> Mapping[str, tuple[Mistake, ...]]:
    """Read a chapter's table: the mistakes of every exercise, by its id.

    >>> table = parse("## 99.1\\n- base 2 (hint 3): 1.0\\n  It is the natural one.", "toy.md")
    >>> table["99.1"][0].name, table["99.1"][0].change, table["99.1"][0].hint
    ('base 2', '1.0', 3)
    """
    found: dict[str, tuple[Mistake, ...]] = {}
    for (number, heading), *section in _groups(enumerate(text.split("\n"), 1), "## ", file):
        where, id = f"{file}, line {number}", heading[3:].strip()
        if id in found:
            raise ValueError(f"{where}: {id!r} has a table already; join the two.")
        found[id] = tuple(_mistake(group, file) for group in _groups(section, "- ", file))
        if not found[id]:
            raise ValueError(f"{where}: no mistake stands below {heading!r}.")
        names = [mistake.name for mistake in found[id]]
        for place, mistake in enumerate(found[id]):
            if mistake.name in names[:place]:
                raise ValueError(f"{mistake.where}: {id} has two mistakes named {mistake.name!r}.")
    return found


def _groups(lines: Iterable[tuple[int, str]], mark: str, file: str) -> list[Lines]:
    groups: list[Lines] = []
    for number, line in lines:
        if line.startswith(mark):
            groups.append([(number, line)])
        elif groups:
            groups[-1].append((number, line))
        elif line.strip():
            raise ValueError(
                f"{file}, line {number}: {line!r} stands above the first line with {mark!r}."
            )
    return groups


def _mistake(group: Lines, file: str) -> Mistake:
    (number, first), *below = group
    where, head = f"{file}, line {number}", ITEM.fullmatch(first)
    if not head:
        raise ValueError(f"{where}: {first!r} is no mistake; write “- name: `old` → `new`”.")
    for other, line in below:
        if line.strip() and not line.startswith("  "):
            raise ValueError(f"{file}, line {other}: {line!r} needs two spaces in front of it.")
    words, language, block = [line[2:].rstrip() for _, line in below], "", ()
    if words and (fence := FENCE.fullmatch(words[0])):
        if "```" not in words:
            raise ValueError(
                f"{file}, line {number + 1}: the block is not closed; end it with ```."
            )
        end = words.index("```")
        language, block, words = fence[1], tuple(words[1:end]), words[end + 1 :]
    sentence = " ".join(" ".join(words).split())
    if "```" in sentence:
        raise ValueError(
            f"{where}: a block stands right below the name and begins with ```python or ```diff."
        )
    if head[1] == "stub" and sentence:
        raise ValueError(f"{where}: the stub is no mistake and has no sentence: drop {sentence!r}.")
    if head[1] != "stub" and not sentence:
        raise ValueError(f"{where}: {head[1]!r} has no sentence; write it below, indented.")
    hint = None if head[2] is None else int(head[2])
    return Mistake(head[1], (head[3] or "").strip(), sentence, where, hint, language, block)


def edited(body: str, mistake: Mistake) -> str:
    """Give the body of a function with the mistake in it; ValueError where it does not fit.

    >>> wrong = Mistake("a sum", "`a * b` → `a + b`", "You add.", "toy.md, line 3")
    >>> edited("    return a * b", wrong)
    '    return a + b'
    """
    text = body
    if mistake.change or not mistake.block:
        for every, old, new in _edits(mistake):
            count = text.count(old)
            if not count or (count > 1 and not every):
                raise ValueError(
                    f"{mistake.where}: {old!r} stands {_times(count)} in the solution."
                )
            text = text.replace(old, new)
    if mistake.block:
        text = _patched(text, mistake.block, mistake.where)
    if text == body:
        raise ValueError(f"{mistake.where}: {mistake.name!r} changes nothing.")
    return text


def _times(count: int) -> str:
    more = "write more of what stands around it, or “every” in front" if count else "copy it"
    return f"{count} times ({more})"


def _edits(mistake: Mistake) -> list[tuple[str, str, str]]:
    if not EDITS.fullmatch(mistake.change):
        raise ValueError(
            f"{mistake.where}: write `old` → `new`, or several of these joined by “ and ”, or = "
            f"and an expression, or a block below; not {mistake.change!r}."
        )
    return EDIT.findall(mistake.change)


def _patched(text: str, diff: tuple[str, ...], where: str) -> str:
    """Put a diff's new lines in the place of its old ones, which must stand once in the text."""
    for line in diff:
        if line[:1] not in {"", " ", "+", "-"}:
            raise ValueError(f"{where}: {line!r} begins with neither a space nor + nor -.")
    old = "".join(f"\n{line[1:]}" for line in diff if line[:1] != "+")
    new = "".join(f"\n{line[1:]}" for line in diff if line[:1] != "-")
    whole = f"\n{text}\n"
    count = whole.count(f"{old}\n") if old else 0
    if count != 1:
        raise ValueError(f"{where}: the old lines of the diff stand {_times(count)}.")
    return whole.replace(f"{old}\n", f"{new}\n")[1:-1]


def text_of(mistake: Mistake, source: Source | None = None) -> str:
    """Give the Python of a wrong answer, or of the stub; `source` is the right function's.

    >>> text_of(Mistake("base 2", "1.0", "It is the natural one.", "toy.md, line 3"))
    'answer = 1.0'
    """
    change, is_stub = mistake.change, mistake.name == "stub"
    if not source or change.startswith("= "):
        if not change or mistake.block or is_stub:
            raise ValueError(f"{mistake.where}: write the wrong answer behind the colon.")
        return f"answer = {change[2:] if source else change}"
    opening = source.opening if is_stub else source.signature
    if mistake.language != "python":
        return f"{opening}\n{edited(source.body, mistake)}"
    if change:
        raise ValueError(f"{mistake.where}: a python block is the whole body; edit nothing.")
    return "\n".join((opening, *(f"    {line}".rstrip() for line in mistake.block)))


def compiled(text: str, where: str, names: Mapping[str, object]) -> object:
    """Run a piece of text beside other names, and give what it defines; `where` names it in errors.

    >>> compiled("def twice(x): return n * x", "toy.md, line 3", {"n": 2})(4)
    8
    """
    file, beside = f"<{where}>", dict(names)  # a copy: the solution stays what it is
    # where tracebacks and `inspect` look for the lines of a file that is none
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    try:
        exec(compile(text, file, "exec", dont_inherit=True), beside)
        return beside[bound_name(text)]
    except Exception as error:
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
