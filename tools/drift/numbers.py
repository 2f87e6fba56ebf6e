"""Every decimal and percentage in prose says where it comes from, and agrees with it."""

from pathlib import Path

from drift.markers import Number, numbers_in, stray_markers
from drift.reading import Text, markdown_cells, notebooks, pages
from drift.sources import Sources


def number_complaints(place: str, number: Number, sources: Sources) -> list[str]:
    where = f"{place}, line {number.line}"
    if number.in_heading:
        return [f"{where}: {number.text} stands in a heading: move it into the text."]
    if not number.sources:
        return [
            f"{where}: {number.text} has no source: put <!-- m:NAME -->, "
            "<!-- log:FILE#KEY -->, <!-- plan:PRESET.KEY -->, <!-- ref:CITEKEY --> or "
            "<!-- =:EXPRESSION --> right behind it."
        ]
    problems = (sources.problem(number, source) for source in number.sources)
    return [f"{where}: {problem}" for problem in problems if problem]


def text_complaints(text: Text, sources: Sources) -> list[str]:
    complaints = []
    for number in numbers_in(text.text):
        complaints += number_complaints(text.where, number, sources)
    for marker, line in stray_markers(text.text):
        complaints.append(
            f"{text.where}, line {line}: the marker {marker!r} stands behind no number: "
            "put it right behind one or take it out."
        )
    return complaints


def in_prose(root: Path) -> list[str]:
    """Numbers in the notebooks' Markdown, in book/*.md and in README.md."""
    sources, texts = Sources(root), markdown_cells(root) + pages(root)
    return [complaint for text in texts for complaint in text_complaints(text, sources)]


def in_alt_texts(root: Path) -> list[str]:
    """Numbers in alt texts, whose sources stand in the cell's metadata, in order."""
    sources, complaints = Sources(root), []
    for cell in (cell for notebook in notebooks(root) for cell in notebook.code()):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        found, named = numbers_in(alt), cell.metadata.get("numbers", [])
        if len(found) != len(named):
            texts = ", ".join(number.text for number in found) or "none"
            complaints.append(
                f"{cell.where}: the alt text has {len(found)} decimals or percentages ({texts}), "
                f"the metadata 'numbers' {len(named)} sources: name one for each, in order."
            )
            continue
        for number, source in zip(found, named, strict=True):
            if problem := sources.problem(number, source):
                complaints.append(f"{cell.where}, alt text: {problem}")
    return complaints


def measured_names(root: Path) -> list[str]:
    """A measured value is called after the chapter in whose file it stands."""
    complaints = []
    for path in sorted((root / "results" / "measured").glob("*.json")):
        for name in Sources.entries(path):
            if not name.startswith(f"{path.stem}."):
                complaints.append(
                    f"results/measured/{path.name}: {name!r} belongs to another chapter: "
                    f"let its name begin with '{path.stem}.'."
                )
    return complaints
