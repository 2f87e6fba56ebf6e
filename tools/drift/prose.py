"""What a reader reads: Markdown without code, maths and markup, every line in its place."""

import re

FENCE = re.compile(r"^[ >\t]*(?P<mark>`{3,}|~{3,}|:{3,})(?P<info>[^`]*)$")
DIRECTIVE = re.compile(r"\s*\{([\w:-]+)\}")
# directives whose body is no prose; the body of all others (note, card, ...) is
BODY_IS_CODE = {"code", "code-block", "code-cell", "literalinclude", "math", "mermaid", "raw"}
BODY_IS_CODE |= {"toctree", "bibliography", "figure", "image", "eval-rst"}
BODY_IS_CODE |= {"autofunction", "autoclass", "automodule"}

CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:(?!\n[ \t]*\n)[\s\S])+?(?<!`)\1(?!`)")
COMMENT = re.compile(r"<!--[\s\S]*?-->")
MATHS = re.compile(
    r"(?<!\\)\$\$[\s\S]+?(?<!\\)\$\$|(?<![\\$])\$(?![\s$])(?:[^$\n]|\n(?!\s*\n))*?(?<![\s\\])\$"
)
RAW_HTML = re.compile(r"(?is)<(pre|code|style|script|svg)\b.*?</\1\s*>")
TAG = re.compile(r"</?[A-Za-z][^<>]*>")
LINK_TARGET = re.compile(r"(?<=\])\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)")
LINK_DEFINITION = re.compile(r"(?m)^[ ]{0,3}\[[^\]]+\]:\s.*$")
URL = re.compile(r"\bhttps?://[^\s<>)\]]+")
FRONT_MATTER = re.compile(r"\A---\n[\s\S]*?\n---\n")
OPTION_LINE = re.compile(r"^\s*:[\w-]+:.*$")

HEADING = re.compile(r"(?m)^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
SUMMARY = re.compile(r"(?is)<summary\b.*?</summary>")


def blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace every match by spaces, so that lines and positions stay.

    >>> blank(COMMENT, "a <!-- b --> c")
    'a            c'
    """
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def closes(fence: re.Match[str] | None, opened: str) -> bool:
    """Whether this line ends the block that `opened` began."""
    return bool(fence) and not fence["info"].strip() and fence["mark"].startswith(opened)


def without_fences(text: str) -> str:
    """Blank fenced code; the body of a prose directive such as {note} stays."""
    kept, prose_blocks, code_block = [], [], None
    for line in text.split("\n"):
        fence = FENCE.match(line)
        if code_block:
            code_block = None if closes(fence, code_block) else code_block
        elif prose_blocks and closes(fence, prose_blocks[-1]):
            prose_blocks.pop()
        elif fence:
            directive = DIRECTIVE.match(fence["info"])
            is_prose = directive[1] not in BODY_IS_CODE if directive else fence["mark"][0] == ":"
            if is_prose:
                prose_blocks.append(fence["mark"])
            else:
                code_block = fence["mark"]
        elif not (prose_blocks and OPTION_LINE.match(line)):
            kept.append(line)
            continue
        kept.append(" " * len(line))
    return "\n".join(kept)


def with_comments(text: str) -> str:
    """Prose in which HTML comments, the carriers of number markers, still stand."""
    text = without_fences(blank(FRONT_MATTER, text))
    for pattern in (CODE_SPAN, MATHS, RAW_HTML, TAG, LINK_TARGET, LINK_DEFINITION, URL):
        text = blank(pattern, text)
    return text


def prose(text: str) -> str:
    """Prose alone.

    >>> prose("see `1.5`<!-- m:a --> or $x$!").split()
    ['see', 'or', '!']
    """
    return blank(COMMENT, with_comments(text))


def headings(text: str) -> list[tuple[int, str]]:
    """Level and title of every heading outside code.

    >>> headings("# One\\n\\n## Two")
    [(1, 'One'), (2, 'Two')]
    """
    return [(len(m[1]), m[2]) for m in HEADING.finditer(without_fences(text))]


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
