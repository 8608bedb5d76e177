r"""The find^j that each head matches best, for each k (paper: Figures 14 and 15).

For each head and each *k* the model can be asked for, the *j* whose find\ :sup:`j` its attention
matches best. The colour and the number say *j*, the opacity how well it matches (the cosine).
Deeper layers reach larger *j*, about twice as large with each layer.
"""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import WIDE_INCHES, Shown, head_axis

TABLES = ("alignment",)
OPTIONS = ("depth",)


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return, for each head and k >= 1, the j >= 1 of the largest cosine, and that cosine."""
    table = tables["alignment"]
    table = table[(table["j"] > 0) & (table["k"] > 0)]
    best = table.loc[table.groupby(["layer", "head", "k"])["cosine"].idxmax()]
    columns = ["depth", "layer", "head", "k", "j", "cosine"]
    return best[columns].reset_index(drop=True)


def draw(data: pd.DataFrame) -> Figure:
    """Draw heads downwards and k to the right; hue and number say j, opacity the cosine."""
    j = data.pivot_table(index=["layer", "head"], columns="k", values="j")
    strength = data.pivot_table(index=["layer", "head"], columns="k", values="cosine")
    figure = Figure(figsize=(WIDE_INCHES, 0.8 + 0.16 * len(j)))
    axis = figure.subplots()
    # Equal steps in j would leave 1, 2 and 3 alike, where most heads are.
    shades = mpl.colormaps["turbo"](0.05 + 0.9 * np.log2(j) / np.log2(max(2, data["k"].max())))
    shades[..., 3] = strength.clip(0, 1)
    axis.set_facecolor("white")
    axis.imshow(shades, aspect="auto")
    axis.grid(visible=False)
    axis.set_xticks(range(len(j.columns)), j.columns)
    head_axis(axis, list(j.index))
    for (row, column), value in np.ndenumerate(j.to_numpy()):
        strong = strength.to_numpy()[row, column]
        if strong >= 0.2:
            axis.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=6,
                color=_readable(shades[row, column]),
            )
    axis.set_xlabel("$k$ the model is asked for")
    axis.set_title(f"$L={data['depth'].iloc[0]}$: best $j$ of find$^j$ (opacity: its cosine)")
    return figure


def _readable(shade: np.ndarray) -> str:
    """Return black or white, whichever stands out from a shade on white paper."""
    red, green, blue = shade[:3] * shade[3] + 1 - shade[3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
