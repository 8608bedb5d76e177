"""Error against k, a line for each depth (paper: Figures 2 and 6)."""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import error_lines, hop_axis, searches

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors; bars are 95 % intervals over sequences, bands over seeds."""
    figure, axes = error_lines(data, x="hops", line="depth", symbol="L")
    for axis in axes:
        hop_axis(axis, data["hops"].unique())
        axis.legend(loc="upper left")
    return figure
