"""Letters that cannot be read: too small, on one another, across a line, over the edge."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

ASIDE = 0.5  # pixels that may touch: rounding
SMALLEST = 12  # points: on a phone, 390 of 704 pixels wide, they are letters of 9 pixels
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True)
class Stroke:
    """A line or an edge that was drawn; `height` tells what lies above what."""

    name: str
    path: Path
    box: Box
    height: tuple[float, int]
    hides: bool  # what lies below it


def collisions(figure: Figure) -> list[str]:
    """List what touches what in a figure that has been drawn; empty is good.

    >>> figure = Figure()
    >>> _ = figure.text(0.5, 0.5, "one", size=13), figure.text(0.51, 0.5, "two", size=13)
    >>> collisions(figure)
    ["'one' touches 'two'"]
    """
    # The layout is done: a second one, with other measures of letters, would move things.
    figure.set_layout_engine("none")
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text, _letters(text, renderer)) for text in _texts(figure)]
    strokes = {axes: list(_strokes(axes)) for axes in figure.findobj(Axes)}
    named = {text for legend in figure.findobj(Legend) for text in legend.get_texts()}
    found = [
        f"{one.get_text()!r} touches {other.get_text()!r}"
        for (one, here), (other, there) in combinations(boxes, 2)
        if _meet(here, there)
    ]
    for text, letters in boxes:
        if text.get_fontsize() < SMALLEST:
            found.append(f"{text.get_text()!r} has letters of {text.get_fontsize():g} points")
        if not _inside(letters, figure.bbox.extents):
            found.append(f"{text.get_text()!r} is cut off")
        if text.get_bbox_patch() is None and text not in named:  # nothing keeps lines away
            ground = _ground(text, letters, strokes.get(text.axes, []))
            found += [
                f"{text.get_text()!r} is crossed by {stroke.name}"
                for drawn in strokes.values()
                for stroke in drawn
                if stroke.height > ground and _crosses(stroke, letters)
            ]
    return found


def _texts(figure: Figure) -> Iterator[Text]:
    """All texts that are drawn, without the labels of ticks that are not."""
    hidden = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not (axis.axes.axison and low <= tick.get_loc() <= high):
                hidden |= {tick.label1, tick.label2}
        if not axis.axes.axison:
            hidden |= {axis.label, axis.offsetText}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in hidden:
            yield text


def _letters(text: Text, renderer) -> Box:
    """Where the letters stand: a line is higher than most of its letters are."""
    if isinstance(text, Annotation):
        text.update_positions(renderer)
    place = Text.get_window_extent(text, renderer)  # an annotation's own has its arrow in it
    slack = 0.14 * min(place.width, place.height)
    upright = text.get_rotation() % 180 == 0
    place = place.padded(-ASIDE if upright else -slack, -slack if upright else -ASIDE)
    return tuple(map(float, place.extents))


def _strokes(axes: Axes) -> Iterator[Stroke]:
    """Every line and edge of some axes, cut where the axes cut them."""
    lines = [("a line", line) for line in axes.lines if line.get_linestyle() != "None"]
    edges = [("an edge", patch) for patch in axes.patches]
    spines = [("an axis", spine) for spine in axes.spines.values() if axes.axison]
    places = {artist: place for place, artist in enumerate(axes.get_children())}
    for name, artist in [*lines, *edges, *spines]:
        if not artist.get_visible():
            continue
        path = artist.get_transform().transform_path(artist.get_path())
        left, bottom = path.vertices.min(axis=0).tolist()
        right, top = path.vertices.max(axis=0).tolist()
        if artist.get_clip_on() and name != "an axis":
            x0, y0, x1, y1 = axes.bbox.extents
            left, bottom, right, top = max(left, x0), max(bottom, y0), min(right, x1), min(top, y1)
        height = (artist.get_zorder(), places.get(artist, 0))
        yield Stroke(name, path, (left, bottom, right, top), height, _hides(artist))


def _hides(artist: Line2D | Patch) -> bool:
    """Whether what lies below cannot be seen through it."""
    shape = isinstance(artist, Patch) and not isinstance(artist, FancyArrowPatch)
    return shape and artist.get_facecolor()[3] > 0.8


def _ground(text: Text, letters: Box, strokes: list[Stroke]) -> tuple[float, int]:
    """The height of the topmost shape under all the letters."""
    under = [
        stroke.height
        for stroke in strokes
        if stroke.hides and stroke.height[0] <= text.get_zorder() and _inside(letters, stroke.box)
    ]
    return max(under, default=(float("-inf"), -1))


def _meet(one: Box, other: Box) -> bool:
    across = one[0] <= other[2] and other[0] <= one[2]
    return across and one[1] <= other[3] and other[1] <= one[3]


def _inside(letters: Box, paper: Box) -> bool:
    across = paper[0] - ASIDE <= letters[0] and letters[2] <= paper[2] + ASIDE
    return across and paper[1] - ASIDE <= letters[1] and letters[3] <= paper[3] + ASIDE


def _crosses(stroke: Stroke, letters: Box) -> bool:
    if not _meet(letters, stroke.box):
        return False
    left, bottom, right, top = letters
    seen = Bbox.from_extents(
        max(left, stroke.box[0]),
        max(bottom, stroke.box[1]),
        min(right, stroke.box[2]),
        min(top, stroke.box[3]),
    ).padded(0.5)  # a level line has no height
    pieces = stroke.path.to_polygons(closed_only=False)  # the pen is lifted between them
    return any(Path(piece).intersects_bbox(seen, filled=False) for piece in pieces)
