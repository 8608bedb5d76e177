"""Errors of two experiments in one panel, solid and dashed (paper: Figures 9, 16 and 17).

Error against *k* for two experiments, the first in solid lines with filled markers, the second
dashed with open ones; a colour and a marker for each depth. Bars are 95 % intervals over sequences.
"""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from logdepth.figures.style import (
    IN_WORDS,
    MARKERS,
    WIDE_INCHES,
    error_axis,
    k_axis,
    ordered_colours,
    searches,
)

TABLES = ("errors",)
EXPERIMENTS = 2

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the first experiment solid, the second dashed; bars are 95 % intervals."""
    settings = list(dict.fromkeys(data["mode"]))
    figure = Figure(figsize=(WIDE_INCHES, 3.4 * len(settings)))
    axes = figure.subplots(len(settings), squeeze=False)[:, 0]
    depths = sorted(data["depth"].unique())
    colours = ordered_colours(depths)
    titles = dict(zip(data["experiment"], data["title"], strict=True))
    for axis, setting in zip(axes, settings, strict=True):
        for style, experiment in zip(("-", "--"), titles, strict=False):
            for depth in depths:
                curve = data[
                    (data["mode"] == setting)
                    & (data["experiment"] == experiment)
                    & (data["depth"] == depth)
                ]
                below = (curve["error"] - curve["sequences_low"]).clip(lower=0)
                above = (curve["sequences_high"] - curve["error"]).clip(lower=0)
                axis.errorbar(
                    curve["k"],
                    curve["error"],
                    yerr=(below, above),
                    color=colours[depth],
                    ls=style,
                    marker=MARKERS[depths.index(depth) % len(MARKERS)],
                    mfc=None if style == "-" else "white",
                    elinewidth=0.8,
                )
        k_axis(axis, data["k"].unique())
        error_axis(axis, data["error"])
        if len(settings) > 1:
            axis.set_title(IN_WORDS[setting])
        handles = [
            Line2D([], [], color=colours[d], marker=MARKERS[i % len(MARKERS)], label=f"$L={d}$")
            for i, d in enumerate(depths)
        ]
        handles += [
            Line2D([], [], color="0.3", ls=style, label=title)
            for style, title in zip(("-", "--"), titles.values(), strict=False)
        ]
        axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
