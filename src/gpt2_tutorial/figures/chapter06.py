"""The pictures of chapter 06."""

from collections.abc import Mapping, Sequence

from gpt2_tutorial.figures.style import (
    BLACK,
    BLUE,
    LARGE,
    ORANGE,
    SKY,
    SMALL,
    TEXT,
    VERMILLION,
    Picture,
    bare,
    box,
    level,
    tint,
    visible,
)


def seen(text: str) -> str:
    """Write a piece of text so that its spaces and line ends can be seen."""
    return "".join(map(visible, text))


def merge_tree(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> Picture:
    """A word grows together: each row is the row below it after one more merge."""

    def places(row):
        starts = [sum(map(len, row[:i])) for i in range(len(row))]
        return [start + (len(token) - 1) / 2 for start, token in zip(starts, row, strict=True)]

    def draw(ax):
        bare(ax)
        width = sum(map(len, rows[0]))
        ax.set_xlim(-0.7, width + 2.6)
        ax.set_ylim(-0.5, len(rows) - 0.5)
        for y, (row, note) in enumerate(zip(rows, notes, strict=True)):
            old = rows[y - 1] if y else row
            for x, token in zip(places(row), row, strict=True):
                box(ax, x, y, token, face=ORANGE if token not in old else "white", fontsize=LARGE)
            ax.text(width + 0.1, y, note, va="center", fontsize=TEXT)
            if y:
                joined = next(i for i, token in enumerate(row) if token not in old)
                ends = places(row)[: joined + 1] + places(row)[joined:]
                for below, above in zip(places(old), ends, strict=True):
                    ax.plot([below, above], [y - 0.66, y - 0.3], color=BLACK, linewidth=1)

    return Picture(draw, height=0.61 + 0.92 * len(rows))


def byte_map(letters: Mapping[int, str]) -> Picture:
    """All 256 bytes with the letter each is spelled with; those that moved are marked."""

    def draw(ax):
        moved = [byte for byte, letter in sorted(letters.items()) if ord(letter) != byte]
        for row in range(16):
            columns = [byte % 16 for byte in moved if byte // 16 == row]
            look = {"facecolor": tint(ORANGE, 0.35), "edgecolor": ORANGE, "linewidth": 1}
            ax.bar(columns, 1, 1, row - 0.5, **look)
        for byte, letter in letters.items():
            row, column = divmod(byte, 16)
            bold = "bold" if byte in moved else "normal"
            place = {"ha": "center", "va": "center", "fontsize": SMALL}
            ax.text(column, row, letter, fontweight=bold, **place)
        ax.set_xlim(-0.55, 15.55)
        ax.set_ylim(15.55, -0.55)
        ax.set_xticks(range(16), [f"+{i}" for i in range(16)], fontsize=SMALL)
        ax.set_yticks(range(16), [str(16 * i) for i in range(16)], fontsize=SMALL)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_title(f"boxed and bold: the {len(moved)} bytes that got another letter")

    return Picture(draw, height=6.1)


def token_strips(rows: Sequence[Sequence[tuple[str, int]]], mark: int) -> Picture:
    """Texts as strips of tokens, each with its id below; the token with the id `mark` stands out.

    A character takes the same room in every strip, so a long token is a long box.
    """

    def draw(ax):
        bare(ax)
        longest = max(sum(max(len(text), 2) for text, _ in row) for row in rows)
        ax.set_xlim(-0.1, longest + 0.1)
        ax.set_ylim(-len(rows) + 0.25, 0.5)
        for y, row in enumerate(rows):
            x = 0
            for text, id in row:
                width = max(len(text), 2)
                look = {"color": ORANGE} if id == mark else {"color": SKY}
                look |= {"alpha": 0.55, "edgecolor": BLACK, "linewidth": 1}
                look["facecolor"] = look.pop("color")
                ax.barh(-y, width - 0.12, 0.44, x + 0.06, **look)
                bold = "bold" if id == mark else "normal"
                middle = x + width / 2
                ax.text(middle, -y, seen(text), ha="center", va="center", fontweight=bold)
                ax.text(middle, -y - 0.27, str(id), ha="center", va="top", fontsize=SMALL)
                x += width

    return Picture(draw, height=0.24 + 0.95 * len(rows))


def compression(curve: Mapping[int, float], other: float, name: str) -> Picture:
    """Bytes per token against the number of merges, with another tokenizer as a line."""

    def draw(ax):
        merges = sorted(curve)
        ax.plot(merges, [curve[n] for n in merges], "o-", color=BLUE)
        for n in merges:
            ax.annotate(
                f"{curve[n]:.2f}", (n, curve[n]), (6, -12), textcoords="offset points",
                fontsize=SMALL,
            )  # fmt: skip
        level(ax, other, f"{name}: {other:.2f}")
        ax.set_ylim(0.7, other + 0.35)
        ax.margins(x=0.08)
        ax.set_xlabel("merges")
        ax.set_ylabel("bytes per token")

    return Picture(draw, height=3.66)


def two_units(tokens: Mapping[int, float], characters: Mapping[int, float]) -> Picture:
    """One loss in two units against the size of the vocabulary: by the token, by the character."""

    def draw(ax):
        sizes = sorted(tokens)
        for losses, name, color, mark, shift, side in (
            (tokens, "nats per token", VERMILLION, "^--", (4, 9), "right"),  # it rises: to its left
            (characters, "nats per character", BLUE, "o-", (0, -17), "center"),
        ):
            ax.plot(sizes, [losses[size] for size in sizes], mark, color=color)
            for size in sizes:
                ax.annotate(
                    f"{losses[size]:.2f}", (size, losses[size]), shift, ha=side,
                    textcoords="offset points", fontsize=SMALL, color=color,
                )  # fmt: skip
            middle = sizes[len(sizes) // 2]
            up = 26 if shift[1] > 0 else 12
            ax.annotate(
                name, (middle, losses[middle]), (0, up), ha="center",
                textcoords="offset points", color=color,
            )  # fmt: skip
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()
        ax.margins(x=0.1, y=0.22)
        ax.set_xlabel("tokens in the vocabulary")
        ax.set_ylabel("loss (nats)")

    return Picture(draw, height=4.15)
