"""The published errors beside ours, and how far apart they are.

The published errors beside ours, for each depth and *k*. The published numbers come from one model
a setting and 100 sequences for each *k*, evaluated with dropout still active; *z* is the difference
over its standard error, that of other trainings included, and a verdict is given at a family-wise
error of 5 % over all cells tested. A cell without colour is not testable: of one training of ours
nobody can tell how far others would be from it.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from logdepth.errors import UserError
from logdepth.figures.style import (
    COLUMN_INCHES,
    IN_WORDS,
    MARKERS,
    Shown,
    error_axis,
    ordered_colours,
    with_titles,
)

TABLES = ("comparison",)

# Beyond any tolerance for 425 cells or fewer, so that what differs has a strong colour.
_FARTHEST = 6.0
_VERDICTS = {"lower": "v", "higher": "^"}
# Published to the left and ours to the right of k, so that neither hides the other's interval.
_APART = 0.13


def prepare(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return the cells with k >= 1 that were compared, with the title of each experiment.

    Raises:
        UserError: nothing was compared, so that there is nothing to draw.
    """
    table = tables["comparison"]
    table = table[(table["verdict"] != "not measured") & (table["k"] > 0)]
    if table.empty:
        raise UserError(
            "table comparison: no run has the task and size of a published model; nothing to draw"
        )
    columns = [
        *("experiment", "mode", "depth", "k"),
        *("published", "published_low", "published_high"),
        *("ours", "ours_low", "ours_high", "z", "verdict"),
    ]
    # As the study orders its experiments; the table goes by published model.
    order = {name: place for place, name in enumerate(shown.titles)}
    table = table.sort_values(
        "experiment", key=lambda names: names.map(order).fillna(len(order)), kind="stable"
    )
    return with_titles(table[columns], shown.titles).reset_index(drop=True)


def draw(data: pd.DataFrame) -> Figure:
    """Draw errors against k above, and below them z for each depth and k.

    Open symbols are published, filled ones with a line ours; bars are 95 % intervals over
    sequences. A triangle marks a cell in which ours is lower or higher than chance explains.
    """
    experiments = list(dict.fromkeys(data["experiment"]))
    settings = sorted(data["mode"].unique(), reverse=True)  # train, as published, comes first
    depths = sorted(data["depth"].unique())
    figure = Figure(figsize=(COLUMN_INCHES * len(settings), 0.9 + 3.6 * len(experiments)))
    axes = figure.subplots(
        2 * len(experiments),
        len(settings),
        squeeze=False,
        height_ratios=[2.6, 0.35 + 0.15 * len(depths)] * len(experiments),
    )
    for row, experiment in enumerate(experiments):
        for column, mode in enumerate(settings):
            upper, lower = axes[2 * row : 2 * row + 2, column]
            chosen = (data["experiment"] == experiment) & (data["mode"] == mode)
            part = data[chosen]
            if part.empty:
                upper.set_axis_off()
                lower.set_axis_off()
                continue
            ks = sorted(part["k"].unique())
            _errors(upper, part, ks, depths)
            _scores(lower, part, ks)
            upper.set_title(f"{part['title'].iloc[0]}, {IN_WORDS[mode]}")
    figure.legend(handles=_handles(depths), loc="outside upper center", ncols=2 * len(settings) + 1)
    figure.colorbar(
        ScalarMappable(Normalize(-_FARTHEST, _FARTHEST), "PuOr_r"),
        ax=axes[-1, :].tolist(),
        location="bottom",
        extend="both",
        aspect=40,
        label="$z$: ours lower (< 0) or higher (> 0) than published",
    )
    return figure


def _errors(axis: Axes, part: pd.DataFrame, ks: list[int], depths: list[int]) -> None:
    colours = ordered_colours(depths)
    for depth, curve in part.groupby("depth"):
        place = np.searchsorted(ks, curve["k"])
        for source, side in (("published", -_APART), ("ours", _APART)):
            # Rounding may put an end of an interval on the wrong side of the error by a digit.
            below = (curve[source] - curve[f"{source}_low"]).clip(lower=0)
            above = (curve[f"{source}_high"] - curve[source]).clip(lower=0)
            axis.errorbar(
                place + side,
                curve[source],
                yerr=(below, above),
                color=colours[depth],
                elinewidth=0.7,
                **_look(source, depths.index(depth)),  # type: ignore[arg-type]
            )
    _k_ticks(axis, ks)
    axis.tick_params(axis="x", labelbottom=False)
    error_axis(axis, part[["published", "ours"]].max(axis=1))


def _look(source: str, place: int) -> dict[str, Any]:
    marker = MARKERS[place % len(MARKERS)]
    if source == "published":
        return {"ls": "none", "marker": marker, "mfc": "white", "ms": 3.8, "mew": 0.7}
    return {"ls": "-", "marker": marker, "ms": 2.5, "lw": 0.9}


def _scores(axis: Axes, part: pd.DataFrame, ks: list[int]) -> None:
    # Cells without z stay, which a pivot table would leave out.
    table = part.set_index(["depth", "k"])["z"].unstack("k")  # noqa: PD010
    norm = Normalize(-_FARTHEST, _FARTHEST)
    axis.imshow(table, norm=norm, cmap="PuOr_r", aspect="auto")
    axis.grid(visible=False)
    for verdict, marker in _VERDICTS.items():
        cells = part[part["verdict"] == verdict]
        axis.plot(
            np.searchsorted(ks, cells["k"]),
            np.searchsorted(table.index, cells["depth"]),
            ls="none",
            color="black",
            mec="white",
            mew=0.5,
            marker=marker,
            ms=4.5,
        )
    axis.set_yticks(range(len(table.index)), table.index)
    axis.set_ylabel("depth $L$")
    _k_ticks(axis, ks)
    axis.set_xlabel("$k$")


def _k_ticks(axis: Axes, ks: list[int]) -> None:
    axis.set_xlim(-0.5, len(ks) - 0.5)
    axis.set_xticks(range(len(ks)), [str(k) for k in ks], fontsize=6.5)


def _handles(depths: list[int]) -> list[Line2D]:
    colours = ordered_colours(depths)
    handles = [
        Line2D([], [], label=f"$L={depth}$", **_look("ours", i)) for i, depth in enumerate(depths)
    ]
    for handle, depth in zip(handles, depths, strict=True):
        handle.set(color=colours[depth])
    handles += [
        Line2D([], [], color="0.3", label="published", **_look("published", 0)),
        Line2D([], [], color="0.3", label="ours", **_look("ours", 0)),
    ]
    handles += [
        Line2D([], [], color="black", ls="none", marker=marker, ms=4.5, label=f"ours {verdict}")
        for verdict, marker in _VERDICTS.items()
    ]
    return handles
