"""Error against k, a line for each depth (paper: Figures 2 and 6).

Error against *k*, a line for each depth. Bars are 95 % intervals over sequences, bands 95 %
intervals over seeds. The grey line is the best guess that does without solving the task: for hop_k
from the symbol at the position alone, which comes back after two hops in half of all cases and is
never met after one, so that odd and even *k* differ where nothing is solved.
"""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import error_lines, k_axis, searches

TABLES = ("errors",)

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors and the best guess; bars are intervals over sequences, bands over seeds."""
    figure, axes = error_lines(data, x="k", line="depth", symbol="L")
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
