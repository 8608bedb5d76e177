"""Error against depth, a line for each k (paper: Figure 7)."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from logdepth.figures.style import (
    MARKERS,
    error_axis,
    error_curve,
    ordered_colours,
    panels,
    searches,
)

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors; bars are 95 % intervals over sequences, bands over seeds."""
    figure, parts = panels(data)
    colours = ordered_colours(sorted(data["hops"].unique()))
    for axis, part in parts:
        for i, (hops, curve) in enumerate(part.groupby("hops")):
            error_curve(
                axis,
                "depth",
                curve,
                colour=colours[hops],
                marker=MARKERS[i % len(MARKERS)],
                label=f"$k={hops}$",
            )
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("depth $L$")
        error_axis(axis, data["error"])
    parts[-1][0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
