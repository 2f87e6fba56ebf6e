"""A site of two pages, for what is made of the built pages: the PDF and the EPUB."""

from pathlib import Path

from serving import ROOT

LONG_LINE = "total = " + " + ".join(f"number_{number:03}" for number in range(40))
TOC = """\
root: one
parts:
  - caption: A · First
    chapters:
      - file: deep/two
"""
PAGE = """\
<html><head><style>
:root {{ --mono: monospace; }}
pre {{ overflow-x: auto; font-family: var(--mono); }}
{style}
</style></head>
<body><nav>the menu</nav>
<main><article class="bd-article">{body}</article></main></body></html>
"""
ONE = f"""\
<section id="one"><h1>One “quoted” title<a class="headerlink" href="#one">¶</a></h1>
<p id="same">See <a href="deep/two.html#same">the same place in two</a>, <a href="#same">here</a>,
<a href="deep/two.html">all of two</a>, <a href="search.html">the search</a> and
<a href="https://example.org/">another host</a>.</p>
<div class="highlight"><pre>{LONG_LINE}</pre></div>
<p>Bytes: <code>a\x01b</code>, and a list: <ol><li>inside a paragraph</li></ol></p>
<details><summary>Solution</summary><p>Forty-two, if you unfold it.</p></details>
<details class="admonition hide above-input"><summary><p>Show code</p></summary>
<pre>hidden = 1</pre></details>
<button>Press me</button></section>
"""
LONG_TITLE = "A heading that goes on below, since no line of the paper can hold so many words of it"
MANY = "<p>A line that fills a page.</p>" * 80
HALF = "<p>A line above.</p>" * 9
CODE_LINES = [f"line_{number:02} = {number}" for number in range(1, 41)]
CODE = '<div class="highlight"><pre>' + "\n".join(CODE_LINES) + "\n</pre></div>"
TWO = f"""\
<section id="two"><h1>Two</h1>
<section id="same"><h2>The same place</h2>
<img src="../dot.svg" loading="lazy" alt="a dot">
<svg viewBox="0 0 9 9" width="9"><circle r="3"/></svg><math><mi>x</mi></math>
<p><a href="../one.html#same">back</a></p>
</section>
{HALF}{CODE}
<section id="far"><h2>{LONG_TITLE}</h2>{MANY}<p>The end of <a href="#far">this</a>.</p></section>
</section>
"""


def page(body: str) -> str:
    """Write a page with what the site's styles say of paper."""
    base = (ROOT / "book" / "_styles" / "1-base.css").read_text(encoding="utf-8")
    return PAGE.format(style=base[base.index("@media print") :], body=body)


def small_site(home: Path) -> Path:
    site = home / "site"
    (site / "deep").mkdir(parents=True)
    (site / "one.html").write_text(page(ONE), encoding="utf-8")
    (site / "deep" / "two.html").write_text(page(TWO), encoding="utf-8")
    dot = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="20"><circle id="a" r="9"/>'
    dot += '<circle id="a" r="8"/></svg>'
    (site / "dot.svg").write_text(dot, encoding="utf-8")
    (home / "_toc.yml").write_text(TOC, encoding="utf-8")
    return site
