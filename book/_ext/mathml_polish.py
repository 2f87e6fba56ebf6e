"""What latex2mathml leaves to be set by hand: names of functions, spaces, aligned columns."""

from __future__ import annotations

from xml.etree.ElementTree import Element

__all__ = ["polish"]

THIN = {"width": "0.167em"}
SCRIPTED = {"msub", "msup", "msubsup", "munder", "munderover"}


def polish(tree: Element) -> None:
    """Tidy a `<math>` tree in place.

    >>> from xml.etree.ElementTree import fromstring, tostring
    >>> tree = fromstring("<math><mrow><mi>ln</mi><mi>p</mi></mrow></math>")
    >>> polish(tree)
    >>> tostring(tree).decode()
    '<math><mrow><mi>ln</mi><mspace width="0.167em" /><mi>p</mi></mrow></math>'
    """
    for element in tree.iter():
        _join_letters(element)
        _join_thousands(element)
        _name_function(element)
        _mark_aligned(element)
    for row in list(tree.iter()):
        if row.tag in {"mrow", "mtd", "mstyle"}:
            _space_functions(row)


def _join_letters(row: Element) -> None:
    r"""Make one identifier of the letters of `\mathrm{count}`."""
    letters = [child for child in row if child.attrib == {"mathvariant": "normal"}]
    if row.tag == "mrow" and len(letters) == len(row) > 1:
        word = "".join(letter.text or "" for letter in letters)
        row.tag, row.text = "mi", word
        row[:] = []


def _join_thousands(row: Element) -> None:
    """Make one number of `50{,}257`, which arrives in three pieces."""
    position = 0
    while position + 2 < len(row):
        left, comma, right = row[position : position + 3]
        inner = [child.text for child in comma]
        if (left.tag, right.tag) == ("mn", "mn") and comma.tag == "mrow" and inner == [","]:
            left.text = f"{left.text},{right.text}"
            row[position + 1 : position + 3] = []
        else:
            position += 1


def _name_function(element: Element) -> None:
    if element.tag != "mo" or not (element.text or "").replace("\u2009", "").isalpha():
        return
    if len(element.text or "") > 1:  # an operator would get wide spaces on both sides
        element.tag = "mi"
        element.attrib.clear()


def _mark_aligned(element: Element) -> None:
    """MathML in browsers ignores column attributes, so a stylesheet needs a class."""
    if element.tag == "mtable" and element.get("columnspacing"):
        element.attrib = {"class": "aligned", "displaystyle": "true"}
    side = element.attrib.pop("columnalign", "") if element.tag == "mtd" else ""
    if side in {"left", "right"}:
        element.set("class", side)


def _is_function(element: Element) -> bool:
    base = element[0] if element.tag in SCRIPTED else element
    name = (base.text or "").replace("\u2009", "")
    return base.tag == "mi" and len(name) > 1 and name.isalpha()


def _space_functions(row: Element) -> None:
    """Put the thin space of print between ln and its p, and before ln as well."""
    for position in range(len(row) - 1, 0, -1):
        left, right = row[position - 1], row[position]
        if left.tag == "mspace" or right.tag in {"mo", "mspace", "mtext"}:
            continue
        if _is_function(left) or (_is_function(right) and _is_closed(left)):
            row.insert(position, Element("mspace", THIN))


def _is_closed(element: Element) -> bool:
    """Tell whether something ends here: not an operator, which brings its own space."""
    base = element[0] if element.tag in SCRIPTED else element
    if base.tag == "mo":
        return base.text in {")", "]"}
    return len(base) > 0 or bool((base.text or "").strip())
