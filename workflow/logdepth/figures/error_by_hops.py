"""Error against k, a line for each depth (paper: Figures 2 and 6)."""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import (
    MARKERS,
    error_axis,
    error_curve,
    hop_axis,
    ordered_colours,
    panels,
    searches,
)

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors; bars are 95 % intervals over sequences, bands over seeds."""
    figure, parts = panels(data)
    colours = ordered_colours(sorted(data["depth"].unique()))
    for axis, part in parts:
        for i, (depth, curve) in enumerate(part.groupby("depth")):
            error_curve(
                axis,
                "hops",
                curve,
                colour=colours[depth],
                marker=MARKERS[i % len(MARKERS)],
                label=f"$L={depth}$",
            )
        hop_axis(axis, part["hops"].unique())
        error_axis(axis, data["error"])
        axis.legend(loc="upper left")
    return figure
