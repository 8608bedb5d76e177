"""Boxes and messages on a page measured in inches, for the figures of executions."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

Point = tuple[float, float]

SMALL = 6.5
"""Size of most text, in points."""


def groups(table: pd.DataFrame, column: str) -> dict[Any, pd.DataFrame]:
    """Return the rows with each value of a column, in order of the values."""
    return dict(iter(table.groupby(column)))


def rows(table: pd.DataFrame) -> Iterable[Any]:
    """Return the rows, with their columns as attributes."""
    return table.itertuples()


def page(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of some size in inches, and axes on all of it whose unit is an inch."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(0, width)
    axis.set_ylim(0, height)
    axis.set_axis_off()
    return figure, axis


def label(axis: Axes, place: Point, words: str, **style: Any) -> None:
    """Write small text, centred unless ``style`` says otherwise."""
    centred: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL, "zorder": 4}
    axis.text(*place, words, **centred | style)


def box(axis: Axes, centre: Point, size: Point, **style: Any) -> None:
    """Draw a box with round corners; ``style`` is that of a patch."""
    (x, y), (width, height) = centre, size
    shape = f"round,pad=0,rounding_size={0.25 * min(size)}"
    corner = (x - width / 2, y - height / 2)
    axis.add_patch(FancyBboxPatch(corner, width, height, shape, **{"zorder": 3, "lw": 0.8} | style))


def message(axis: Axes, start: Point, end: Point, **style: Any) -> None:
    """Draw a message to the right, which leaves and arrives level; ``style`` is that of a patch."""
    (x, y), (to_x, to_y) = start, end
    middle = (x + to_x) / 2
    curve = Path(
        [start, (middle, y), (middle, to_y), end],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    axis.add_patch(PathPatch(curve, **{"fill": False, "capstyle": "round", "zorder": 1} | style))


def write_traffic(axis: Axes, messages: pd.DataFrame, x: Mapping[int, float], y: float) -> None:
    """Write the most words that a machine sends and receives, between the columns of rounds.

    Args:
        axis: from ``page``.
        messages: with columns round, machine (the source), peer (the destination) and words.
        x: place of the column of each round.
        y: height of the text.
    """
    for turn, part in groups(messages, "round").items():
        sent, received = (part.groupby(end)["words"].sum().max() for end in ("machine", "peer"))
        words = f"≤ {sent:.0f} sent,\n≤ {received:.0f} received"
        label(axis, ((x[turn] + x[turn + 1]) / 2, y), words)
