r"""Attention matrices of a head of each layer, with find^j laid over (paper: Figure 10).

The attention matrix of one head of each layer on one string: grey is attention, rings mark the
positions that find\ :sup:`j` names. Where the rings are filled, the head looks exactly there.
"""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import WIDE_INCHES, Shown

TABLES = ("attention", "alignment")
OPTIONS = ("depth", "k", "heads")

COLUMNS = 3
DECISIVE = 0.5


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the matrices of the chosen heads; by default the farthest-reaching of each layer.

    That is the head of the largest j whose cosine is above a half, or of the largest cosine.

    Columns: those of the table attention, with matched, the j whose find^j is laid over, and its
    cosine. Weights below 0.0005 cannot be seen and are left out unless they lie on find^j.
    """
    alignment = tables["alignment"]
    if "heads" in tables:
        heads = tables["heads"].merge(alignment, on=["layer", "head", "j"])
    else:
        searched = alignment[alignment["j"] > 0].reset_index(drop=True)
        searched["reach"] = searched["j"].where(searched["cosine"] > DECISIVE, 0)
        searched = searched.sort_values(["layer", "reach", "cosine"])
        heads = searched.drop_duplicates("layer", keep="last")
    heads = heads.rename(columns={"j": "matched"})[["layer", "head", "matched", "cosine"]]
    table = tables["attention"].merge(heads, on=["layer", "head"])
    kept = (table["weight"] >= 5e-4) | (table["j"] == table["matched"])
    return table[kept].reset_index(drop=True)


def draw(data: pd.DataFrame) -> Figure:
    """Draw queries downwards and keys to the right; rings mark find^j."""
    groups = list(data.groupby(["layer", "head", "matched"]))
    rows = -(-len(groups) // COLUMNS)
    side = WIDE_INCHES / COLUMNS
    figure = Figure(figsize=(WIDE_INCHES, rows * (side + 0.15)))
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    size = int(data["query"].max()) + 1
    image = None
    for axis, ((layer, head, matched), part) in zip(axes, groups, strict=False):
        matrix = part.pivot_table(index="query", columns="key", values="weight")
        matrix = matrix.reindex(index=range(size), columns=range(size)).fillna(0)
        image = axis.imshow(matrix, cmap="Greys", vmin=0, vmax=1, interpolation="none")
        found = part[part["j"] == matched]
        axis.plot(found["key"], found["query"], "o", ms=2.6, mew=0.5, mfc="none", mec="C3")
        axis.grid(visible=False)
        cosine = part["cosine"].iloc[0]
        axis.set_title(f"{layer}.{head}, find$^{{{matched}}}$ ({cosine:.2f})")
        axis.set_xticks(range(0, size, 25))
        axis.set_yticks(range(0, size, 25))
    for axis in axes[len(groups) :]:
        axis.set_axis_off()
    depth, k = data["depth"].iloc[0], data["k"].iloc[0]
    figure.suptitle(
        f"$L={depth}$, asked for $k={k}$: layer.head, ringed find$^j$ (its cosine)", fontsize=9
    )
    figure.supxlabel("key position", fontsize=8)
    figure.supylabel("query position", fontsize=8)
    if image is not None:
        figure.colorbar(image, ax=list(axes), shrink=0.6, label="attention", pad=0.01)
    return figure
