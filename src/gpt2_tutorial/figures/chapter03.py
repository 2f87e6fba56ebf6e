"""The pictures of chapter 03."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    ORANGE,
    PALE,
    SKY,
    SMALL,
    TEXT,
    VERMILLION,
    Picture,
    bare,
    box,
)


def two_nudges(f: Callable[[float], float], at: float, nudge: float) -> Picture:
    """A curve, and the slopes that a nudge to one side and a nudge to both sides measure."""

    def draw(ax):
        left, right = at - 1.4 * nudge, at + 1.4 * nudge
        places = np.linspace(left, right, 80)
        ax.plot(places, [f(x) for x in places], color=BLACK, linewidth=2)
        for start, look, name, shift in (
            (at, {"color": VERMILLION, "linestyle": "--"}, "one side", (24, -16)),
            (at - nudge, {"color": BLUE, "linestyle": "-."}, "both sides", (-8, 6)),
        ):
            end = at + nudge
            slope = (f(end) - f(start)) / (end - start)
            ax.plot([start, end], [f(start), f(end)], marker="o", linewidth=1.6, **look)
            middle = (start + end) / 2
            ax.annotate(
                f"{name}: {slope:g}",
                (middle, f(start) + slope * (middle - start)),
                shift,
                textcoords="offset points",
                ha="right" if shift[0] < 0 else "left",
                va="bottom",
                color=look["color"],
            )
        ax.plot(at, f(at), "s", color=BLACK)
        ax.annotate("here", (at, f(at)), (10, -8), textcoords="offset points")
        ax.set_xlabel("x")
        ax.set_ylabel("f(x)")

    return Picture(draw, height=3.54)


def formula_graph(
    nodes: Mapping[str, object], backward: bool = False, twice: str | None = None
) -> Picture:
    """A formula as a graph, the last node at the right; `nodes` are named and know their parts.

    `backward` turns the arrows round and writes the blame under each number; `twice` marks one
    node whose blame came in two pieces.
    """
    names = {id(node): name for name, node in nodes.items()}
    places = _places(nodes)

    def draw(ax):
        bare(ax)
        boxes = {}
        for name, node in nodes.items():
            text = f"{name}\n{node.data:g}".replace("-", "−")
            if backward:
                text += f"\nblame {node.grad:g}".replace("-", "−")
            face = ORANGE if name == twice else PALE
            boxes[name] = box(ax, *places[name], text, face=face, fontsize=SMALL)
        for name, node in nodes.items():
            uses = [names[id(part)] for part, _ in node.made_from]
            for i, (used, (_, slope)) in enumerate(zip(uses, node.made_from, strict=True)):
                bend = 0.0 if uses.count(used) == 1 else (0.35, -0.35)[i % 2]
                ends = (places[used], boxes[used]), (places[name], boxes[name])
                _edge(ax, *ends, bend, slope if backward else None)
        if twice is not None:
            _pieces(ax, nodes, places, twice)
        ax.set_xlim(-0.45, max(x for x, _ in places.values()) + 0.45)
        tallest = max(y for _, y in places.values())
        above = tallest if twice is None else max(tallest, places[twice][1] + 0.4)
        ax.set_ylim(-0.3, above + 0.3)

    return Picture(draw, height=2.76 if backward else 2.38)


def _places(nodes: Mapping[str, object]) -> dict[str, tuple[float, float]]:
    """Columns by the longest way to the last node; within a column, in the order of `nodes`."""
    names = {id(node): name for name, node in nodes.items()}
    away = dict.fromkeys(nodes, 0)
    for name in reversed(nodes):  # users come after their parts
        for part, _ in nodes[name].made_from:
            away[names[id(part)]] = max(away[names[id(part)]], away[name] + 1)
    columns = [[n for n in nodes if away[n] == d] for d in range(max(away.values()), -1, -1)]
    tallest = max(map(len, columns))
    return {
        name: (float(x), (tallest - 1) / 2 + (len(column) - 1) / 2 - i)
        for x, column in enumerate(columns)
        for i, name in enumerate(column)
    }


def _edge(ax, part: tuple, user: tuple, bend: float, slope: float | None) -> None:
    """An arrow from box to box, to the user; or, with a slope, a dashed one back to the part."""
    back, (start, box_a), (end, box_b) = slope is not None, part, user
    look = {
        "arrowstyle": "<|-" if back else "-|>",
        "color": VERMILLION if back else BLACK,
        "linestyle": "--" if back else "-",
        "connectionstyle": f"arc3,rad={bend}",
        "patchA": box_a,
        "patchB": box_b,
        "shrinkA": 3,
        "shrinkB": 3,
    }
    ax.annotate("", xy=end, xytext=start, arrowprops=look)
    if back:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 0.62 * bend + 0.14
        label = f"×{slope:g}".replace("-", "−")
        ax.text(x, y, label, ha="center", va="center", fontsize=SMALL, color=VERMILLION)


def _pieces(ax, nodes: Mapping[str, object], places: Mapping, twice: str) -> None:
    """Write the sum of the pieces of blame above the node that got them."""
    target = nodes[twice]
    uses = [(slope, user.grad) for user in nodes.values() for part, slope in user.made_from
            if part is target]  # fmt: skip
    pieces = " + ".join(f"{slope * grad:g}" for slope, grad in uses)
    x, y = places[twice]
    text = f"{pieces} = {target.grad:g}".replace("-", "−")
    ax.text(x, y + 0.55, text, ha="center", fontsize=TEXT, fontweight="bold")


def borders(
    points: Sequence[tuple[float, float]],
    signs: Sequence[int],
    scores: Mapping[str, Callable[[float, float], float]],
    reach: float = 3.0,
) -> Picture:
    """Points of two kinds, and for each score the line on which it is 0."""
    ticks = np.linspace(-reach, reach, 41)

    def draw(ax):
        looks = (("--", VERMILLION), ("-", BLUE))
        for (name, score), (dashes, color) in zip(scores.items(), looks, strict=False):
            grid = [[score(float(x), float(y)) for x in ticks] for y in ticks]
            if name == list(scores)[-1]:
                ax.contourf(ticks, ticks, grid, levels=[0, np.inf], colors=[PALE])
            lines = ax.contour(ticks, ticks, grid, levels=[0], colors=[color], linestyles=[dashes])
            end = max(lines.get_paths()[0].vertices.tolist())  # where it leaves to the right
            ax.annotate(name, end, (6, -3), textcoords="offset points", color=color)
        for sign, mark, color in ((1, "o", ORANGE), (-1, "s", SKY)):
            these = [point for point, kind in zip(points, signs, strict=True) if kind == sign]
            ax.plot(*zip(*these, strict=True), mark, color=color, markersize=15, mec=BLACK)
            for x, y in these:
                ax.text(x, y, "+" if sign > 0 else "−", ha="center", va="center")
        ax.set_aspect("equal")
        ax.set_xlabel("first input")
        ax.set_ylabel("second input")

    return Picture(draw, height=4.39)
