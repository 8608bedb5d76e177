r"""How well each head's attention matches each find^j (paper: Figures 11 to 13, 18 and 19).

How well the attention of each head (*layer.head*, both from 1) matches find\ :sup:`j`, as the
cosine of the two matrices in percent, averaged over strings. A head that follows find\ :sup:`j` and
nothing else reaches 100; with dropout active, as in the published heat maps, no more than about 95.
"""

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from logdepth.figures.style import WIDE_INCHES, Shown, head_axis, text_colour

TABLES = ("alignment",)
OPTIONS = ("depth", "k")


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the alignments with j >= 1; every head sees a little of itself, which is find^0."""
    table = tables["alignment"]
    return table[table["j"] > 0].reset_index(drop=True)


def draw(data: pd.DataFrame) -> Figure:
    """Draw heads downwards and j to the right; cells from 0.3 carry their cosine in percent."""
    table = data.pivot_table(index=["layer", "head"], columns="j", values="cosine")
    figure = Figure(figsize=(WIDE_INCHES, 0.8 + 0.16 * len(table)))
    axis = figure.subplots()
    norm = Normalize(0, 1)
    image = axis.imshow(table, norm=norm, cmap="viridis", aspect="auto")
    axis.grid(visible=False)
    axis.set_xticks(range(len(table.columns)), table.columns)
    head_axis(axis, list(table.index))
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        if value >= 0.3:
            axis.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=6,
                color=text_colour(value, norm),
            )
    axis.set_xlabel("$j$ of find$^j$")
    depth, k = data["depth"].iloc[0], data["k"].iloc[0]
    axis.set_title(f"$L={depth}$, asked for $k={k}$: cosine of attention and find$^j$, in %")
    figure.colorbar(image, ax=axis, pad=0.01)
    return figure
