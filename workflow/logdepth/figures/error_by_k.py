"""Error against k, a line for each depth (paper: Figures 2 and 6).

Error against *k*, a line for each depth. Each further layer about doubles the *k* that is solved.
Bars are 95 % intervals over sequences, bands 95 % intervals over seeds.
"""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import error_lines, k_axis, searches

TABLES = ("errors",)

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors; bars are 95 % intervals over sequences, bands over seeds."""
    figure, axes = error_lines(data, x="k", line="depth", symbol="L")
    for axis in axes:
        k_axis(axis, data["k"].unique())
        axis.legend(loc="upper left")
    return figure
