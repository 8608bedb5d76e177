"""Error on the training batches against step, by depth, for k = 1, 2, 4 and so on.

Error on the training batches, measured before each batch was learnt from, against the step. Every
batch is fresh, so that this is an error on unseen data. Lines are means over seeds, bands span the
seeds.
"""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import Shown, error_axis, ordered_colours, with_titles

TABLES = ("training",)
# Letters of a title along the height of a row.
_LONGEST = 27


def prepare(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return the rows of the table whose k is a power of two."""
    training = tables["training"]
    chosen = training["k"].map(lambda k: k > 0 and k & (k - 1) == 0)
    return with_titles(training[chosen], shown.titles)


def draw(data: pd.DataFrame) -> Figure:
    """Draw a row for each experiment and a column for each k; bands span the seeds."""
    experiments = list(dict.fromkeys(data["experiment"]))
    ks = sorted(data["k"].unique())
    colours = ordered_colours(sorted(data["depth"].unique()))
    figure = Figure(figsize=(1.75 * len(ks) + 0.6, 1.9 * len(experiments)))
    axes = figure.subplots(len(experiments), len(ks), squeeze=False, sharex="row", sharey=True)
    for (row, column), axis in np.ndenumerate(axes):
        here = (data["experiment"] == experiments[row]) & (data["k"] == ks[column])
        part = data[here]
        for depth, curve in part.groupby("depth"):
            colour = colours[int(depth)]
            axis.fill_between(
                curve["step"], curve["lowest"], curve["highest"], color=colour, alpha=0.2, lw=0
            )
            axis.plot(curve["step"], curve["error"], color=colour, label=f"$L={depth}$")
        axis.set_title(f"$k={ks[column]}$")
        axis.set_xlabel("step")
        error_axis(axis, data["error"])
        title = str(data.loc[data["experiment"] == experiments[row], "title"].iloc[0])
        axis.set_ylabel(f"{textwrap.fill(title, _LONGEST)}\nerror" if column == 0 else "")
    for row in range(len(experiments)):
        axes[row, -1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
