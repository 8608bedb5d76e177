"""The look of all figures, and writing them so that equal data give equal bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from logdepth.files import atomic_path, write_text

MARKERS = "osD^vPX*<>"
COLUMN_INCHES = 3.4
RESOLUTION = 200

mpl.use("agg")
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


def ordered_colours(values: Sequence[int]) -> dict[Any, tuple[float, ...]]:
    """Return a colour for each value, dark to light in their order, told apart in grey as well."""
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(values)))
    return {value: tuple(shade) for value, shade in zip(values, shades, strict=True)}


def panels(
    data: pd.DataFrame, *, height: float = 2.6, sharey: bool = True
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Return a figure with a column for each experiment and a row for each dropout setting.

    Args:
        data: with columns experiment, title and dropout.
        height: of a row, in inches.
        sharey: whether all panels have one y axis.

    Returns:
        The figure, and each panel with its part of the data.
    """
    experiments = list(dict.fromkeys(data["experiment"]))
    settings = list(dict.fromkeys(data["dropout"]))
    figure = Figure(figsize=(COLUMN_INCHES * len(experiments), height * len(settings)))
    axes = figure.subplots(len(settings), len(experiments), squeeze=False, sharey=sharey)
    result = []
    for row, dropout in enumerate(settings):
        for column, experiment in enumerate(experiments):
            chosen = (data["experiment"] == experiment) & (data["dropout"] == dropout)
            part = data[chosen]
            axis = axes[row, column]
            if part.empty:
                axis.set_axis_off()
                continue
            title = str(part["title"].iloc[0])
            axis.set_title(title if len(settings) == 1 else f"{title}, dropout {dropout}")
            result.append((axis, part))
    return figure, result


def hop_axis(axis: Axes, hops: NDArray[np.int64]) -> None:
    """Make x a log2 axis of k with a label at each power of two."""
    axis.set_xscale("log", base=2)
    ticks = [2**i for i in range(int(np.log2(max(hops))) + 1)]
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.set_xticks(sorted(set(hops) - set(ticks)), minor=True)
    axis.tick_params(axis="x", which="minor", labelbottom=False)
    axis.set_xlabel("hops $k$")


def with_titles(table: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """Return the table with a column ``title`` after ``experiment``."""
    result = table.copy()
    result.insert(1, "title", result["experiment"].map(lambda name: titles.get(name, name)))
    return result


def searches(tables: dict[str, pd.DataFrame], titles: dict[str, str]) -> pd.DataFrame:
    """Return the errors at k >= 1, with titles; hop_0 repeats the string and is no search."""
    errors = tables["errors"]
    return with_titles(errors[errors["hops"] > 0], titles)


def error_curve(
    axis: Axes, x: str, curve: pd.DataFrame, *, colour: Any, marker: str, label: str
) -> None:
    """Draw errors against a column: bars are intervals over sequences, the band over seeds."""
    axis.fill_between(
        curve[x], curve["seeds_low"], curve["seeds_high"], color=colour, alpha=0.13, lw=0
    )
    # Rounding may put an end of an interval on the wrong side of the error by a digit.
    reach = (curve["error"] - curve["sequences_low"], curve["sequences_high"] - curve["error"])
    axis.errorbar(
        curve[x],
        curve["error"],
        yerr=[part.clip(lower=0) for part in reach],
        color=colour,
        marker=marker,
        elinewidth=0.8,
        label=label,
    )


def save(figure: Figure, data: pd.DataFrame, pdf: Path, png: Path, csv: Path) -> None:
    """Write a figure as PDF and PNG, and the data it shows as CSV; no clock enters any of them."""
    for path, file_format, metadata in (
        (pdf, "pdf", {"CreationDate": None}),
        (png, "png", {"Software": None}),
    ):
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=file_format, dpi=RESOLUTION, metadata=metadata)
    write_text(csv, data.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def error_axis(axis: Axes, errors: pd.Series) -> None:
    """Make y an axis of errors in percent, from 0 to just above the largest."""
    axis.set_ylim(-0.02, max(0.8, float(errors.max())) + 0.05)
    axis.set_ylabel("error")
    axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))


def text_colour(background: float, norm: colors.Normalize) -> str:
    """Return white on dark and black on light cells of the viridis map."""
    return "white" if norm(background) < 0.6 else "black"
