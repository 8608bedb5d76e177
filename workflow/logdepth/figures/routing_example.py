"""What a token receives from a routing head, column by column (paper: Figure 3).

What one attention head brings to token 0. Above, the query of token 0 scores 1 with the keys of the
tokens that send to it, 3/4 with the start token's and less with all others, so that it averages its
two senders. Below, both write a packet in several columns for each of their messages, labelled with
its destination; bars are the packets heard in each column of the average, times the number of
senders. From a column with one packet, token 0 reads it and keeps it if it is addressed to token 0;
a blank column says nothing, and where two packets meet, nothing can be read.
"""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from logdepth.figures.drawing import Point, box, groups, label, page, rows
from logdepth.figures.style import WIDE_INCHES, Shown

TABLES = ("routing_example",)

HEIGHT = 4.32
# From the left: right end of the names of rows; first column of the values, their pitch, and the
# gap between groups of columns; scores and attention.
NAMES, FIRST, PITCH, GAP = 1.0, 1.22, 0.206, 0.075
SCORE, UNIT, ATTENTION = 3.25, 2.1, 6.25
# From the bottom: legend, what is kept, numbers of columns, what is read, heard and written.
LEGEND, KEEPS, NUMBERS, READS, HEARS, WRITES = 0.15, 0.46, 0.75, 0.94, 1.14, 2.01
SCORES = 2.8
LINE, PACKET = 0.21, 0.22
CHIP = (0.19, 0.165)
# Dark and light, so that they differ in grey; with the colour of text on each.
COLOURS = {"C0": "white", "C1": "black"}


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the table routing_example as it is."""
    return tables["routing_example"]


def draw(data: pd.DataFrame) -> Figure:
    """Draw whom the receiver listens to; then every column, from the senders to what is kept."""
    kinds = groups(data, "kind")
    columns = kinds["column"]
    figure, axis = page(WIDE_INCHES, HEIGHT)
    (receiver,) = columns["token"].unique()
    colours = dict(zip(sorted(kinds["packet"]["source"].unique()), COLOURS, strict=True))
    x = {c: FIRST + PITCH * c + GAP * (c // math.isqrt(len(columns))) for c in columns["column"]}
    _write_heads(axis, kinds, receiver)
    _draw_scores(axis, kinds, receiver, colours)
    _draw_columns(axis, columns, x, receiver)
    for i, (sender, colour) in enumerate(colours.items()):
        y = WRITES - PACKET * i
        _name(axis, y, f"token {sender:.0f} writes")
        for row in rows(kinds["packet"][kinds["packet"]["source"] == sender]):
            if row.state == "met":
                _draw_met(axis, (x[row.column], y))
            else:
                kept = row.destination == receiver
                _draw_chip(axis, (x[row.column], y), f"→{row.destination:.0f}", colour, kept)
    for row in rows(columns[columns["state"] == "clean"]):
        centre, colour = (x[row.column], READS), colours[row.source]
        _draw_chip(axis, centre, f"→{row.destination:.0f}", colour, row.kept == 1)
    _name(axis, KEEPS, "keeps")
    for i, row in enumerate(rows(kinds["inbox"])):
        centre, words = (FIRST + 0.33 + 0.95 * i, KEEPS), f"{row.word:.0f} from {row.source:.0f}"
        _draw_chip(axis, centre, words, colours[row.source], True, (0.85, 0.18))
    _draw_legend(axis, receiver)
    return figure


def _draw_chip(
    axis: Axes, centre: Point, words: str, colour: str, filled: bool, size: Point = CHIP
) -> None:
    box(axis, centre, size, fc=colour if filled else "white", ec=colour)
    label(
        axis, centre, words, color=COLOURS.get(colour, "white") if filled else "black", fontsize=6
    )


def _draw_met(axis: Axes, centre: Point) -> None:
    box(axis, centre, CHIP, fc="white", ec="0.4", ls=(0, (1.5, 1.5)))


def _name(axis: Axes, y: float, words: str) -> None:
    label(axis, (NAMES, y), words, ha="right", fontsize=7.5)


def _write_heads(axis: Axes, kinds: dict[str, pd.DataFrame], receiver: float) -> None:
    tokens = len(kinds["score"]) - 1
    most = kinds["message"]["source"].value_counts().max()
    for y, words in (
        (
            HEIGHT - 0.17,
            f"Sparse propagation: $N={tokens}$ tokens send and receive $s={most}$ messages",
        ),
        (WRITES + 0.36, f"Multiple hashing: $d={len(kinds['column'])}$ columns for packets"),
    ):
        label(axis, (0.1, y), words, ha="left", fontsize=9)
    y = SCORES + LINE * (tokens + 1)
    _name(axis, y, "token")
    for x, words in (
        (SCORE + UNIT / 2, rf"score $\langle u_{receiver:.0f}, w_S\rangle$ of its key"),
        (FIRST + 0.52, "sends (→ to: word)"),
        (ATTENTION, "attention"),
    ):
        label(axis, (x, y), words, fontsize=7.5)


def _draw_scores(
    axis: Axes, kinds: dict[str, pd.DataFrame], receiver: float, colours: dict[float, str]
) -> None:
    scores, messages = kinds["score"], kinds["message"]
    for value, words in ((0, "0"), (0.5, "1/2"), (0.75, "3/4"), (1, "1")):
        x, low = SCORE + UNIT * value, SCORES - LINE / 2
        axis.plot([x, x], [low, low + LINE * len(scores)], color="0.8", lw=0.6, zorder=0)
        label(axis, (x, low - 0.08), words, color="0.35")
    for i, row in enumerate(rows(scores)):
        y = SCORES + LINE * (len(scores) - 1 - i)
        x, colour = SCORE + UNIT * row.score, colours.get(row.source, "0.5")
        _name(axis, y, f"{row.source:.0f}" if row.source >= 0 else "start")
        axis.plot([SCORE, x], [y, y], color=colour, lw=1.2)
        axis.plot([x], [y], marker="o" if row.source >= 0 else "s", color=colour)
        heard = "black" if row.source in colours else "0.45"
        label(axis, (ATTENTION, y), f"{row.weight:.3f}", color=heard)
        for j, sent in enumerate(rows(messages[messages["source"] == row.source])):
            centre, words = (FIRST + 0.2 + 0.65 * j, y), f"→{sent.destination:.0f}: {sent.word:.0f}"
            kept = sent.destination == receiver
            _draw_chip(axis, centre, words, colour, kept, (0.58, CHIP[1]))


def _draw_columns(
    axis: Axes, columns: pd.DataFrame, x: dict[float, float], receiver: float
) -> None:
    """Draw how many packets are heard in each column, and the groups of columns."""
    unit, left, right = 0.22, min(x.values()) - PITCH / 2, max(x.values()) + PITCH / 2
    _name(axis, HEARS + unit, f"token {receiver:.0f} hears")
    _name(axis, READS, "reads")
    _name(axis, NUMBERS, "column")
    for count in range(3):
        y = HEARS + unit * count
        axis.plot([left, right], [y, y], color="0.85", lw=0.6, zorder=0)
        label(axis, (left - 0.06, y), f"{count}", color="0.35")
    for row in rows(columns):
        corner = (x[row.column] - PITCH / 2, NUMBERS + 0.09)
        axis.add_patch(Rectangle(corner, PITCH, WRITES + 0.13 - corner[1], fc="0.965", zorder=-1))
        label(axis, (x[row.column], NUMBERS), f"{row.column:.0f}", color="0.35", fontsize=6)
        if row.state == "blank":
            continue
        shade, edge = ("0.8", "0.45") if row.state == "clean" else ("0.25", "0.25")
        corner, size = (x[row.column] - 0.07, HEARS), (0.14, unit * row.heard)
        axis.add_patch(Rectangle(corner, *size, fc=shade, ec=edge, lw=0.8, zorder=2))
        if row.state == "corrupted":
            axis.plot(x[row.column], READS, marker="x", color="0.25", ms=5, mew=1.3)


def _draw_legend(axis: Axes, receiver: float) -> None:
    centres = [(x, LEGEND) for x in (0.2, 1.78, 3.5, 5.3)]
    _draw_chip(axis, centres[0], "→", "0.35", True)
    _draw_chip(axis, centres[1], "→", "0.35", False)
    _draw_met(axis, centres[2])
    axis.plot(*centres[3], marker="x", color="0.25", ms=5, mew=1.3)
    texts = (
        f"packet for token {receiver:.0f}: kept",
        "packet for another: dropped",
        "own two meet: none written",
        "two packets: corrupted",
    )
    for (x, y), words in zip(centres, texts, strict=True):
        label(axis, (x + 0.15, y), words, ha="left")
