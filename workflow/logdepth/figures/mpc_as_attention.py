"""A round of a protocol as a layer of a transformer (paper: Figure 4).

A round of a protocol as a layer of a transformer, as a product of matrices: row *i* of the
attention *A* averages rows of the values *V* above and gives row *i* of *AV* below. Each token
computes the messages of its machine within its query, key and value. Filled markers are the scores
that attention follows: 1 with the tokens that send to *i*, else the 3/4 of the start token (s, a
square). The packets that are alone in a column and addressed to *i* are the messages that machine
*i* gets, listed on the right as source and word; red lines follow one token.
"""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from logdepth.figures.drawing import groups, label, page, rows
from logdepth.figures.style import WIDE_INCHES, Shown

TABLES = ("mpc_as_attention",)

START = -1
ROW, COLUMN, CELL = 0.155, 0.0573, 0.135
# From the left: names of tokens, messages, scores, attention, values and their average, inboxes.
NAMES, SENT, SCORES, UNIT, ATTENTION, VALUES = 0.2, 0.42, 0.62, 0.7, 1.55, 3.02
# From the bottom: legend, average; above it the values.
LEGEND, AVERAGE, BETWEEN, TOP = 0.14, 0.68, 0.36, 0.6
MARGIN = 0.09
# Weights that are rounding, and what the softmax leaves to tokens that do not send.
NOTHING = 0.01
KEPT, OTHER, CORRUPTED, EXAMPLE = "C0", "0.8", "0.15", "C3"

Heights = dict[float, float]


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the table mpc_as_attention as it is."""
    return tables["mpc_as_attention"]


def draw(data: pd.DataFrame) -> Figure:
    """Draw a product of matrices: attention times the values above gives what tokens hear.

    Scores are on the left of attention; messages before and after the layer are at both ends. One
    receiver is marked as an example.
    """
    kinds = groups(data, "kind")
    tokens = sorted(kinds["score"]["token"].unique())
    height = AVERAGE + BETWEEN + TOP + ROW * (2 * len(tokens) + 1)
    figure, axis = page(WIDE_INCHES, height)
    listed = [START, *tokens]
    sender = {t: height - TOP - ROW * (i + 0.5) for i, t in enumerate(listed)}
    reader = {t: AVERAGE + ROW * (len(tokens) - i - 0.5) for i, t in enumerate(tokens)}
    example = kinds["inbox"]["token"].min()
    _draw_scores(axis, kinds["score"], reader)
    _draw_attention(axis, kinds["score"], sender, reader)
    columns = kinds["column"]["column"].nunique()
    right = VALUES + COLUMN * columns
    for heights in (sender, reader):
        _draw_grid(axis, columns, heights)
    for row in rows(kinds["packet"]):
        if row.state == "met":
            _draw_met(axis, VALUES + COLUMN * (row.column + 0.5), sender[row.source])
        else:
            colour = KEPT if row.destination == example else OTHER
            _draw_packet(axis, row.column, sender[row.source], colour)
    for row in rows(kinds["column"]):
        if row.state != "blank":
            colour = {0: OTHER, 1: KEPT}.get(row.kept, CORRUPTED)
            _draw_packet(axis, row.column, reader[row.token], colour)
    scores = kinds["score"]
    heard = scores[(scores["token"] == example) & (scores["weight"] > NOTHING)]
    _draw_example(axis, sorted(heard["source"]), sender, reader[example], right)
    _write_messages(axis, kinds, sender, reader, right + MARGIN)
    _write_heads(axis, kinds, height, right)
    _draw_legend(axis, example)
    return figure


def _draw_scores(axis: Axes, scores: pd.DataFrame, reader: Heights) -> None:
    low, high = min(reader.values()) - ROW / 2, max(reader.values()) + ROW / 2
    for value, words in ((0, "0"), (0.75, "3/4"), (1, "1")):
        x = SCORES + UNIT * value
        axis.plot([x, x], [low, high], color="0.85", lw=0.6, zorder=0)
        label(axis, (x, low - 0.08), words, color="0.35", fontsize=6)
    for row in rows(scores):
        heard = row.weight > NOTHING
        axis.plot(
            SCORES + UNIT * row.score,
            reader[row.token],
            marker="s" if row.source == START else "o",
            ms=3,
            mew=0.7,
            mfc="black" if heard else "white",
            mec="black" if heard else "0.6",
        )


def _draw_attention(axis: Axes, scores: pd.DataFrame, sender: Heights, reader: Heights) -> None:
    x = {token: ATTENTION + CELL * (i + 0.5) for i, token in enumerate(sender)}
    for row in rows(scores):
        corner = (x[row.source] - CELL / 2, reader[row.token] - ROW / 2)
        shade = f"{1 - row.weight:.3f}"
        axis.add_patch(Rectangle(corner, CELL, ROW, fc=shade, ec="0.85", lw=0.4))
        if row.weight > NOTHING:
            share = f"{row.weight:.2g}".removeprefix("0")
            label(axis, (x[row.source], reader[row.token]), share, color="white", fontsize=6)
    for token in sender:
        below = (x[token], min(reader.values()) - ROW / 2 - 0.08)
        label(axis, below, "s" if token == START else f"{token:.0f}", color="0.35", fontsize=6)


def _draw_grid(axis: Axes, columns: int, heights: Heights) -> None:
    """Draw a frame, with a line between groups of columns."""
    low, high = min(heights.values()) - ROW / 2, max(heights.values()) + ROW / 2
    right, side = VALUES + COLUMN * columns, math.isqrt(columns)
    size = (right - VALUES, high - low)
    axis.add_patch(Rectangle((VALUES, low), *size, fill=False, ec="0.6", lw=0.6, zorder=3))
    for group in range(1, side):
        x = VALUES + COLUMN * side * group
        axis.plot([x, x], [low, high], color="0.85", lw=0.5, zorder=0)
    for y in heights.values():
        axis.plot([VALUES, right], [y - ROW / 2] * 2, color="0.93", lw=0.5, zorder=0)


def _draw_packet(axis: Axes, column: float, y: float, colour: str) -> None:
    corner = (VALUES + COLUMN * column + 0.006, y - ROW / 2 + 0.015)
    axis.add_patch(Rectangle(corner, COLUMN - 0.012, ROW - 0.03, fc=colour, lw=0, zorder=2))


def _draw_met(axis: Axes, x: float, y: float) -> None:
    axis.plot(x, y, marker="o", ms=2, mfc="0.3", mew=0)


def _draw_example(
    axis: Axes, heard: Sequence[float], sender: Heights, y: float, right: float
) -> None:
    """Lead from the receiver's row of the attention to the values that it averages."""
    corner, width = (ATTENTION, y - ROW / 2), right + MARGIN / 2 - ATTENTION
    axis.add_patch(Rectangle(corner, width, ROW, fill=False, ec=EXAMPLE, lw=0.9, zorder=5))
    for source in heard:
        x = ATTENTION + CELL * (list(sender).index(source) + 0.5)
        path = [(x, y + ROW / 2), (x, sender[source]), (VALUES - 0.04, sender[source])]
        axis.plot(*zip(*path, strict=True), color=EXAMPLE, lw=0.9, zorder=5)
        axis.plot(*path[-1], marker=">", color=EXAMPLE, ms=3.5, zorder=5)


def _write_messages(
    axis: Axes, kinds: dict[str, pd.DataFrame], sender: Heights, reader: Heights, right: float
) -> None:
    for token, y in sender.items():
        label(axis, (NAMES, y), "start" if token == START else f"{token:.0f}", color="0.35")
    for token, y in reader.items():
        label(axis, (NAMES, y), f"{token:.0f}", color="0.35")
    for token, part in groups(kinds["message"], "source").items():
        for i, row in enumerate(rows(part)):
            place = (SENT + 0.55 * i, sender[token])
            label(axis, place, f"→{row.destination:.0f}: {row.word:.0f}", ha="left")
    for token, part in groups(kinds["inbox"], "token").items():
        for i, row in enumerate(rows(part)):
            place = (right + 0.48 * i, reader[token])
            label(axis, place, f"{row.source:.0f}: {row.word:.0f}", ha="left")


def _write_heads(axis: Axes, kinds: dict[str, pd.DataFrame], height: float, right: float) -> None:
    about, columns = kinds["layer"].iloc[0], kinds["column"]["column"].nunique()
    tokens = kinds["score"]["token"].nunique()
    turn = about["round"]
    words = (
        f"Layer {about.layer:.0f} of $R+1={about.layers:.0f}$ carries the messages of "
        f"round {turn:.0f} between $q={tokens}$ machines"
    )
    label(axis, (WIDE_INCHES / 2, height - 0.15), words, fontsize=9)
    above, between, below = height - TOP + 0.11, AVERAGE + ROW * tokens + 0.11, AVERAGE - 0.22
    middle, inbox = (VALUES + right) / 2, right + MARGIN
    for x, y, words in (
        (SENT, above, f"Local$_{turn:.0f}$ sends (→ to: word)"),
        (middle, above, f"values $V$: multiple hashing, $d={columns}$ columns"),
        (SCORES + UNIT / 2, between, "sparse propagation"),
        (SCORES + UNIT / 2, below, r"scores $\langle u_i, w_S\rangle$"),
        (ATTENTION + CELL * (tokens + 1) / 2, below, "attention $A$"),
        (middle, between, "average $AV$: what each token hears"),
        (inbox, between, f"Local$_{turn + 1:.0f}$ gets"),
    ):
        side = "left" if x in (SENT, inbox) else "center"
        label(axis, (x, y), words, ha=side, fontsize=7.5)


def _draw_legend(axis: Axes, example: float) -> None:
    for x, colour, words in (
        (0.15, KEPT, f"packet for this token (in $V$: for {example:.0f})"),
        (2.27, OTHER, "packet for another"),
        (3.5, CORRUPTED, "two packets: corrupted"),
    ):
        axis.add_patch(Rectangle((x, LEGEND - 0.06), COLUMN, 0.12, fc=colour, lw=0))
        label(axis, (x + 0.12, LEGEND), words, ha="left")
    _draw_met(axis, 4.95, LEGEND)
    label(axis, (5.02, LEGEND), "own two meet: none written", ha="left")
