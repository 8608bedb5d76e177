"""Error against depth, a line for each k (paper: Figure 7).

The same errors against depth, a line for each *k*. Bars are 95 % intervals over sequences, bands 95
% intervals over seeds.
"""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import depth_axis, error_lines, searches

TABLES = ("errors",)

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors; bars are 95 % intervals over sequences, bands over seeds."""
    figure, axes = error_lines(data, x="depth", line="k", symbol="k")
    for axis in axes:
        depth_axis(axis)
    columns = 1 if data["k"].nunique() <= 10 else 2
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=columns)
    return figure
