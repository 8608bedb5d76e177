"""The look of all figures, and writing them so that equal data give equal bytes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from logdepth.files import atomic_path, write_csv

MARKERS = "osD^vPX*<>"
COLUMN_INCHES = 3.4
WIDE_INCHES = 6.8
# Panels of experiments beside each other.
_PANELS = 4
RESOLUTION = 200
# Modes of evaluation, as figures say them.
IN_WORDS = {"train": "dropout on", "eval": "dropout off"}


@dataclass(frozen=True)
class Shown:
    """What figures say of experiments besides what is in tables.

    Attributes:
        titles: of each experiment.
        reach: by experiment and depth, the largest k that the theory says is solved.
    """

    titles: dict[str, str]
    reach: dict[str, dict[int, int]] = field(default_factory=dict)


# A user's matplotlibrc and the fonts of a machine change no figure: those that come with matplotlib
# are the same everywhere.
mpl.rcdefaults()
mpl.use("agg")
fontManager.ttflist = [f for f in fontManager.ttflist if f.fname.startswith(mpl.get_data_path())]
mpl.rcParams.update(
    {
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 9,
        "figure.constrained_layout.use": True,
        "font.size": 8,
        "grid.alpha": 0.25,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "pdf.fonttype": 42,
    }
)


def ordered_colours(values: Sequence[int]) -> dict[Any, tuple[float, float, float, float]]:
    """Return a colour for each value, dark to light in their order, told apart in grey as well."""
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(values)))
    return {value: tuple(shade) for value, shade in zip(values, shades, strict=True)}


def panels(
    data: pd.DataFrame, *, height: float = 2.6, sharey: bool = True
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Return a figure with a column for each experiment and a row for each mode.

    Of one mode, more experiments than fit beside each other go on in the next row.

    Args:
        data: with columns experiment, title and mode.
        height: of a row, in inches.
        sharey: whether all panels have one y axis.

    Returns:
        The figure, and each panel with its part of the data.
    """
    experiments = list(dict.fromkeys(data["experiment"]))
    settings = list(dict.fromkeys(data["mode"]))
    wide = len(experiments) if len(settings) > 1 else min(_PANELS, len(experiments))
    rows = len(settings) * math.ceil(len(experiments) / wide)
    figure = Figure(figsize=(COLUMN_INCHES * wide, height * rows))
    axes = figure.subplots(rows, wide, squeeze=False, sharey=sharey)
    result = []
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (mode, experiment) in zip(axes.flat, product(settings, experiments), strict=False):
        part = data[(data["experiment"] == experiment) & (data["mode"] == mode)]
        if part.empty:
            continue
        axis.set_axis_on()
        title = str(part["title"].iloc[0])
        axis.set_title(title if len(settings) == 1 else f"{title}, {IN_WORDS[mode]}")
        result.append((axis, part))
    return figure, result


def k_axis(axis: Axes, ks: NDArray[np.int64]) -> None:
    """Make x a log2 axis of k with a label at each power of two."""
    axis.set_xscale("log", base=2)
    ticks = [2**i for i in range(int(np.log2(max(ks))) + 1)]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.set_xticks(sorted(set(ks) - set(ticks)), minor=True)
    axis.tick_params(axis="x", which="minor", labelbottom=False)
    axis.set_xlabel("$k$")


def with_titles(table: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """Return the table with a column ``title`` after ``experiment``."""
    result = table.copy()
    result.insert(1, "title", result["experiment"].map(lambda name: titles.get(name, name)))
    return result


def searches(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return the errors at k >= 1, with titles; hop_0 repeats the string and is no search."""
    errors = tables["errors"]
    return with_titles(errors[errors["k"] > 0], shown.titles)


def error_lines(data: pd.DataFrame, *, x: str, line: str, symbol: str) -> tuple[Figure, list[Axes]]:
    """Draw errors against a column, a line for each value of another, a panel an experiment.

    Bars are 95 % intervals over sequences, bands over seeds.

    Args:
        data: from ``searches``.
        x: column on the x axis.
        line: column whose values have a line each.
        symbol: of that column in the legend.

    Returns:
        The figure and the axes of its panels.
    """
    figure, parts = panels(data)
    values = sorted(data[line].unique())
    colours = ordered_colours(values)
    for axis, part in parts:
        for value, curve in part.groupby(line):
            axis.fill_between(
                curve[x],
                curve["seeds_low"],
                curve["seeds_high"],
                color=colours[value],
                alpha=0.13,
                lw=0,
            )
            # Rounding may put an end of an interval on the wrong side of the error by a digit.
            below = (curve["error"] - curve["sequences_low"]).clip(lower=0)
            above = (curve["sequences_high"] - curve["error"]).clip(lower=0)
            axis.errorbar(
                curve[x],
                curve["error"],
                yerr=(below, above),
                color=colours[value],
                marker=MARKERS[values.index(value) % len(MARKERS)],
                elinewidth=0.8,
                label=f"${symbol}={value}$",
            )
        error_axis(axis, data["error"])
    return figure, [axis for axis, _ in parts]


def error_lines_by_k(data: pd.DataFrame, *, line: str, symbol: str) -> Figure:
    """Draw errors against k with the best guess, a line for each value of another column.

    Args:
        data: from ``searches``.
        line: column whose values have a line each.
        symbol: of that column in the legend.
    """
    figure, axes = error_lines(data, x="k", line=line, symbol=symbol)
    for axis, (_, part) in zip(axes, data.groupby(["mode", "experiment"], sort=False), strict=True):
        guess = part.drop_duplicates("k")
        axis.plot(guess["k"], guess["guess"], color="0.5", ls="--", zorder=1, label="best guess")
        k_axis(axis, data["k"].unique())
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4)
    return figure


def head_axis(axis: Axes, heads: list[tuple[int, int]]) -> None:
    """Make y an axis of heads as layer.head, with a line between layers."""
    axis.set_yticks(range(len(heads)), [f"{layer}.{head}" for layer, head in heads], fontsize=6)
    for row in range(1, len(heads)):
        if heads[row][0] != heads[row - 1][0]:
            axis.axhline(row - 0.5, color="white", lw=2)
    axis.set_ylabel("layer.head")


def depth_axis(axis: Axes) -> None:
    """Make x an axis of depths, with a label at each."""
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("depth $L$")


def save(figure: Figure, data: pd.DataFrame, pdf: Path, png: Path, csv: Path, *, mark: str) -> None:
    """Write a figure as PDF and PNG, and the data it shows as CSV; no clock enters any of them.

    Args:
        figure: what to write.
        data: what it shows.
        pdf: file to write.
        png: file to write.
        csv: file to write.
        mark: goes into the metadata of PDF and PNG, as keywords.
    """
    for path, file_format, metadata in (
        (pdf, "pdf", {"CreationDate": None, "Keywords": mark}),
        (png, "png", {"Software": None, "Keywords": mark}),
    ):
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=file_format, dpi=RESOLUTION, metadata=metadata)
    write_csv(csv, data)


def error_axis(axis: Axes, errors: pd.Series) -> None:
    """Make y an axis of errors in percent, from 0 to just above the largest."""
    axis.set_ylim(-0.02, max(0.8, float(errors.max())) + 0.05)
    axis.set_ylabel("error")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def text_colour(background: float, norm: colors.Normalize) -> str:
    """Return white on dark and black on light cells of the viridis map."""
    return "white" if norm(background) < 0.6 else "black"


def power_axis(axis: Axes, values: Iterable[int], label: str) -> None:
    """Make x a log2 axis with a tick at each value that is there, not all of many labelled."""
    axis.set_xscale("log", base=2)
    ticks = sorted(set(values))
    labelled = ticks[:: 1 + len(ticks) // 8]
    axis.set_xticks(labelled, [str(tick) for tick in labelled])
    axis.set_xticks(sorted(set(ticks) - set(labelled)), minor=True)
    axis.tick_params(axis="x", which="minor", labelbottom=False)
    axis.set_xlabel(label)
