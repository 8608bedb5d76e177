r"""Which k a model loses when one of its heads is switched off, or its positions are shuffled.

The error at each *k* of one model as it is ("nothing"), with one head switched off (*layer.head*,
both from 1; it writes nothing to the stream), and with the embeddings of positions given to other
positions. A head that only some *k* need has a part in how these are computed: in our construction
of depth floor(log\ :sub:`2` *k*) + 2, the layers after the second take a binary digit of *k* each.
"""

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from logdepth.figures.style import WIDE_INCHES, Shown, head_axis, text_colour

TABLES = ("ablation",)
OPTIONS = ("depth",)


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the errors at k >= 1; hop_0 is no search."""
    table = tables["ablation"]
    return table[table["k"] > 0].reset_index(drop=True)


def draw(data: pd.DataFrame) -> Figure:
    """Draw what is switched off downwards and k to the right; cells carry the error in percent."""
    table = data.pivot_table(
        index=["ablation", "layer", "head"], columns="k", values="error", sort=False
    )
    figure = Figure(figsize=(WIDE_INCHES, 0.8 + 0.16 * len(table)))
    axis = figure.subplots()
    norm = Normalize(0, 1)
    image = axis.imshow(table, norm=norm, cmap="viridis", aspect="auto")
    axis.grid(visible=False)
    axis.set_xticks(range(len(table.columns)), table.columns)
    head_axis(axis, [(layer, head) for _, layer, head in table.index])
    named = {"none": "nothing", "positions": "positions"}
    labels = [named.get(name, f"{layer}.{head}") for name, layer, head in table.index]
    axis.set_yticks(range(len(labels)), labels, fontsize=6)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        shown = f"{100 * value:.0f}"
        colour = text_colour(value, norm)
        axis.text(column, row, shown, ha="center", va="center", fontsize=6, color=colour)
    axis.set_xlabel("$k$ the model is asked for")
    axis.set_ylabel("switched off: layer.head")
    axis.set_title(f"$L={data['depth'].iloc[0]}$: error in %")
    figure.colorbar(image, ax=axis, pad=0.01)
    return figure
