"""Error for each depth and k as a heat table (paper: Figure 8).

The same errors as a table, in percent: depth downwards, *k* to the right.
"""

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from logdepth.figures.style import Shown, panels, text_colour, with_titles

TABLES = ("errors",)


def prepare(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return the errors at k >= 1, with the title of each experiment."""
    errors = tables["errors"]
    columns = ["experiment", "depth", "mode", "k", "error"]
    return with_titles(errors.loc[errors["k"] > 0, columns], shown.titles)


def draw(data: pd.DataFrame) -> Figure:
    """Draw depth downwards and k to the right, each cell with its error in percent."""
    figure, parts = panels(data, height=2.1, sharey=False)
    norm = Normalize(0, 0.8)
    for axis, part in parts:
        table = part.set_index(["depth", "k"])["error"].unstack("k")  # noqa: PD010
        axis.imshow(table, norm=norm, cmap="viridis", aspect="auto")
        axis.grid(visible=False)
        axis.set_xticks(range(len(table.columns)), table.columns)
        axis.set_yticks(range(len(table.index)), table.index)
        for (row, column), error in np.ndenumerate(table.to_numpy()):
            axis.text(
                column,
                row,
                f"{100 * error:.1f}" if error < 0.0995 else f"{100 * error:.0f}",
                ha="center",
                va="center",
                fontsize=6.5 if len(table.columns) <= 10 else 5,
                color=text_colour(error, norm),
            )
        axis.set_xlabel("$k$")
        axis.set_ylabel("depth $L$")
    figure.supxlabel("error in %", fontsize=7)
    return figure
