"""Keep pages light: the book's own styles inside the page, and only the scripts that it uses."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

__all__ = ["fitting", "is_needed", "mended", "minified", "setup", "sha256", "unbroken", "unmarked"]
__all__ += ["whole", "without_hosts"]

BOOK = Path(__file__).resolve().parents[1]

# What a file's name mentions, and the markup that needs it. Anything else stays away.
NEEDED_FOR = {"design-tabs": "sd-tab-set", "sphinx-design": 'class="sd-'}

# sphinx-thebe also writes two scripts at the end of every page's text.
THEBE_BODY = re.compile(
    r'<script type="text/x-thebe.*?</script>\s*<script>kernelName.*?</script>', re.S
)
COMMENT = re.compile(r"<!--.*?-->", re.S)  # what tools read: a number's source, a toy's place
# “2 · 10⁻¹⁶” is one number. Code is left as it is.
POWER = re.compile(r"<pre.*?</pre>|(?<=\d) · (?=10(?:[⁰¹²³⁴-⁹⁻]|<sup>))", re.S)
PART = re.compile(r"#play-[\w-]+|\.citation\b|\.ladder\b")  # what only some pages have
RANGE = re.compile(r"(<td[^>]*><p>[\d.,]+) to (?=[\d.,]+</p></td>)")  # a cell: “0.42 to 0.70”
CELL = re.compile(r"<td.*?</td>", re.S)
FILE = re.compile(r'(?<="pre">)(?:\w+/)+\w+\.\w+(?=<)')  # in a table its name may go on below
# A browser may end a line behind the hyphen of GPT-2 and between the two of an option.
OPTION = re.compile(r'<span class="pre">(--?[a-z][^<]*|[^<]*GPT-\d[^<]*)</span>')
PAIR = r"(?<!\w)\(−?\w, −?\w\)"  # (1, 0) or (B, T): one thing, in the text and in code
NAME = r"<(pre|code|math|svg|script|style|textarea)\b.*?</\1>|<[^>]*>|GPT-\d|"
# “91 %”, “= 10” and “T = 10”: the spaces at which a line would end with half of it.
SPACE = r"|(?<=\d) (?=%)|(?<= =) (?=[−\d])|(?<=\W\w) (?== [−\d])"
NAME = re.compile(NAME + PAIR + SPACE, re.S)
CODE_PAIR = PAIR.replace(", ", ',</span> <span class="pre">')  # Sphinx marks words in code
CODE_PAIR = re.compile(f'(<code class="[^"]*)("><span class="pre">{CODE_PAIR}</span></code>)')
# Scripts may name the address where SVG got its name: nobody goes there.
COMMENT_WITH_HOST = re.compile(r"^\s*(?://|\*|/\*).*https?://.*\n", re.MULTILINE)


def is_needed(asset: str, body: str) -> bool:
    """Tell whether a page with this body needs a script or stylesheet of an extension.

    >>> is_needed("_static/design-tabs.js", "<p>text</p>")
    False
    >>> is_needed("_static/design-tabs.js", '<div class="sd-tab-set">')
    True
    """
    return any(name in asset and markup in body for name, markup in NEEDED_FOR.items())


def minified(css: str) -> str:
    """Take comments and needless space out of a stylesheet.

    >>> minified("a  b { color: red; } /* why */")
    'a b{color: red}'
    """
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    css = re.sub(r"\s+", " ", css)
    return re.sub(r";?\s*([{};,])\s*", r"\1", css).strip()


def fitting(styles: str, body: str) -> str:
    """Take away the rules of the toys, ladders and references that a page does not have.

    >>> fitting("p{margin: 0}#play-ring .dot,#play-ring p{fill: red}", '<figure id="play-road">')
    'p{margin: 0}'
    >>> fitting(".citation{display: grid}", "<p>"), fitting(".citation{a: b}", '"citation"')
    ('', '.citation{a: b}')
    """

    def here(rule: re.Match[str]) -> str:
        parts = [PART.findall(selector) for selector in rule[1].split(",")]
        known = any(f'"{part[1:]}"' in body for found in parts for part in found)
        return rule[0] if known or not all(parts) else ""

    styles = re.sub(r"([^{}]+)\{[^{}]*\}", here, styles)
    return re.sub(r"@media[^{}]*\{\}", "", styles)  # what held nothing else


def without_hosts(script: str) -> str:
    """Take out the comment lines that name a host.

    >>> without_hosts("// see https://example.org/\\nrun();\\n")
    'run();\\n'
    """
    return COMMENT_WITH_HOST.sub("", script)


def mended(body: str) -> str:
    """Say right what docutils says wrong to people who listen to a page.

    An entry of the bibliography has a role that ARIA has withdrawn, and the empty corner of a
    table is no heading.

    >>> mended('<th class="head"><p></p></th>')
    '<td></td>'
    """
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")  # it has words
    return re.sub(r'<th class="head">(<p>\s*</p>)?</th>', "<td></td>", body)


def unbroken(body: str) -> str:
    """Say where a file's name may break in a table, and keep other things on one line.

    Those are a power of ten, a range in a table, an option, a pair, a share, and GPT-2.

    >>> unbroken("off by 2 · 10⁻¹⁶, 3 · 4")
    'off by 2&nbsp;·&nbsp;10⁻¹⁶, 3 · 4'
    >>> unbroken("<td><p>0.42 to 0.70</p></td>")
    '<td><p>0.42&nbsp;to&nbsp;0.70</p></td>'
    >>> unbroken('<b title="GPT-2">GPT-2</b>, <span class="pre">--price</span>')
    '<b title="GPT-2"><span class="whole">GPT-2</span></b>, <span class="whole">--price</span>'
    >>> unbroken("<td>(½, −½)</td>")
    '<td><span class="whole">(½, −½)</span></td>'
    >>> unbroken("<p>91 % at T = 10</p>"), unbroken("<code>7 % 2 = 1</code>")
    ('<p>91&nbsp;% at T&nbsp;=&nbsp;10</p>', '<code>7 % 2 = 1</code>')
    >>> unbroken('<td><code><span class="pre">runs/a_b.py</span></code></td>')
    '<td><code><span class="pre">runs/<wbr>a_<wbr>b.py</span></code></td>'
    >>> one, other = '<span class="pre">(1,</span>', '<span class="pre">0)</span>'
    >>> unbroken(f'<code class="x">{one} {other}</code>')[:20]
    '<code class="x whole'
    """
    body = POWER.sub(lambda found: found[0] if found[0][0] == "<" else "&nbsp;·&nbsp;", body)
    body = RANGE.sub(r"\1&nbsp;to&nbsp;", body)
    body = OPTION.sub(lambda found: whole(found[1]), body)
    body = CODE_PAIR.sub(r"\1 whole\2", body)
    body = CELL.sub(lambda cell: FILE.sub(lambda at: breaking(at[0]), cell[0]), body)

    def kept(found: re.Match[str]) -> str:
        if found[0] == " ":
            return "&nbsp;"
        return found[0] if found[0][0] == "<" else whole(found[0])

    return NAME.sub(kept, body)


def breaking(path: str) -> str:
    """Let a line end behind a slash or an underscore.

    >>> breaking("runs/a_b.py")
    'runs/<wbr>a_<wbr>b.py'
    """
    return re.sub(r"(?<=[/_])", "<wbr>", path)


def whole(words: str) -> str:
    """Mark words that stand on one line.

    >>> whole("GPT-2")
    '<span class="whole">GPT-2</span>'
    """
    return f'<span class="whole">{words}</span>'


def unmarked(body: str, styles: str) -> str:
    """Take away the spans that no style names, and make one of two alike that meet.

    Three of four in a page's code colour nothing, and a docstring has one a line.

    >>> unmarked('<span class="n">x</span> <span class="mi">1</span>', ".mi{color: red}")
    'x <span class="mi">1</span>'
    >>> unmarked('<span class="c">a</span> <span class="c">b</span>', ".c{color: red}")
    '<span class="c">a b</span>'
    """
    named = set(re.findall(r"\.(-?[A-Za-z][\w-]*)", styles))

    def bare(match: re.Match[str]) -> str:
        return match[0] if named & set(match[1].split()) else match[2]

    body = body.replace("<span></span>", "")  # Pygments begins every block of code with one
    for _ in range(2):  # the signatures of the API page have one inside the other
        body = re.sub(r'<span class="([^"]*)">([^<]*)</span>', bare, body)
    met = re.compile(r'<span class="(\w+)">([^<]*)</span>(\s*)(?:<span class="\1">([^<]*)</span>)')
    while met.search(body):
        body = met.sub(r'<span class="\1">\2\3\4</span>', body)
    return body


def sha256(script: str) -> str:
    """Name a script as a content-security policy does: no other inline script may run.

    >>> sha256("")
    '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def with_sizes(body: str, files: dict[str, str]) -> str:
    """Say how large every picture is, so that nothing jumps when it arrives, late if it is low."""

    def sized(match: re.Match[str]) -> str:
        late = ' loading="lazy"' if match.start() > first else ""
        return f"<img{_size(files.get(match[2].rsplit('/', 1)[-1]))}{late}{match[1]}"

    first = body.find("<img")
    return re.sub(r'<img(?=([^>]*? src="([^"]+)"))[^>]*? src="[^"]+"', sized, body)


def _size(file: str | None) -> str:
    if not file or not file.endswith(".svg"):
        return ""
    head = Path(file).read_text(encoding="utf-8")[:2000]
    found = re.search(r"<svg[^>]*\bviewBox=\"[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)\"", head, re.S)
    units = re.search(r"<svg[^>]*\bwidth=\"[\d.]+(pt)?\"", head, re.S)
    if not found or not units:
        return ""
    per_unit = 4 / 3 if units[1] else 1  # a point is 4/3 of a pixel
    width, height = (round(float(side) * per_unit) for side in found.groups())
    return f' width="{width}" height="{height}"'


def _slim(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    pictures = {name: str(Path(app.srcdir, file)) for file, name in app.builder.images.items()}
    body = COMMENT.sub("", THEBE_BODY.sub("", context.get("body", "")))
    body = with_sizes(unbroken(mended(body)), pictures)
    for kind in ("script_files", "css_files"):
        assets = context.get(kind, [])
        context[kind] = [a for a in assets if is_needed(str(getattr(a, "filename", a)), body)]
    sheets = sorted((BOOK / "_styles").glob("*.css"))
    styles = minified("".join(sheet.read_text(encoding="utf-8") for sheet in sheets))
    body, context["styles"] = unmarked(body, styles), fitting(styles, body)
    first = (BOOK / "_scripts" / "head.js").read_text(encoding="utf-8")
    context["first_script"], context["first_script_hash"] = first, sha256(first)
    context["has_code"] = 'class="highlight' in body
    context["has_board"] = 'class="scoreboard"' in body
    context["body"] = body


def _prune(app: Sphinx, error: Exception | None) -> None:
    """Leave nothing in the site that no page loads: the theme brings 4 MB of it."""
    if error or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    pages = [page for page in Path(app.outdir).rglob("*.html") if static not in page.parents]
    pages = "".join(page.read_text(encoding="utf-8") for page in pages)
    loaded = set(re.findall(r"_static/([\w./-]+)", pages))
    for entry in static.iterdir():
        if entry.is_dir():
            if not any(name.startswith(f"{entry.name}/") for name in loaded):
                shutil.rmtree(entry)
        elif entry.name not in loaded:
            entry.unlink()
        elif entry.suffix == ".js":
            entry.write_text(without_hosts(entry.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, after every other extension has added its scripts."""
    app.connect("html-page-context", _slim, priority=950)
    app.connect("build-finished", _prune, priority=950)
    return {"version": "2.0", "parallel_read_safe": True, "parallel_write_safe": True}
