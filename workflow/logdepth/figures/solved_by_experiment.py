"""Largest solvable k of every experiment, a row each: budgets, widths, heads, other controls.

Largest solved *k* of every experiment, with a colour for each depth: open markers are single runs,
filled ones the error pooled over seeds; triangles are bounds, where all or none of the *k* tried
were solved. On the right, where enough depths have a value, the slope of exponential growth in
octaves a layer, with its 95 % interval.
"""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logdepth.figures.style import WIDE_INCHES, Shown, ordered_colours, with_titles

TABLES = ("thresholds", "scaling")

# As many letters of a label as leave room for what is drawn.
_LETTERS = 31
_MARKER = {"exact": "o", "lower bound": ">", "upper bound": "<"}


def prepare(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return a row a run and depth, at the first threshold, and one for each slope.

    Columns: experiment, title, mode, kind ("run", "depth" or "slope"), threshold, depth, seed,
    value ("exact" or which bound), and log2_k or slope, with low and high.
    """
    thresholds, scaling = tables["thresholds"], tables["scaling"]
    first = scaling["threshold"].iloc[0]
    points = thresholds[thresholds["threshold"] == first].copy()
    points["kind"] = np.where(points["seed"] == "all", "depth", "run")
    points = points.rename(columns={"log2_k_low": "low", "log2_k_high": "high"})
    slopes = scaling[(scaling["threshold"] == first) & (scaling["growth"] == "exponential")]
    slopes = slopes.assign(kind="slope", low=slopes["slope_low"], high=slopes["slope_high"])
    columns = ["experiment", "mode", "kind", "threshold", "depth", "seed", "value"]
    columns += ["log2_k", "slope", "low", "high"]
    table = pd.concat([points, slopes], ignore_index=True).reindex(columns=columns)
    return with_titles(table, shown.titles)


def draw(data: pd.DataFrame) -> Figure:
    """Draw a row for each experiment and mode; slopes in a second panel."""
    rows = list(dict.fromkeys(zip(data["experiment"], data["mode"], data["title"], strict=True)))
    modes = {mode for _, mode, _ in rows}
    figure = Figure(figsize=(WIDE_INCHES, 1.1 + 0.32 * len(rows)))
    solved, slopes = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    depths = [int(depth) for depth in sorted(data["depth"].dropna().unique())]
    colours = ordered_colours(depths)
    for row, (experiment, mode, _) in enumerate(rows):
        part = data[(data["experiment"] == experiment) & (data["mode"] == mode)]
        for kind in ("run", "depth"):
            _draw_solved(solved, part[part["kind"] == kind], row, colours, filled=kind == "depth")
        slope = part[part["kind"] == "slope"].dropna(subset="slope")
        ends = (slope["slope"] - slope["low"], slope["high"] - slope["slope"])
        slopes.errorbar(slope["slope"], [row] * len(slope), xerr=ends, fmt="o", color="C3", ms=4)
    labels = [title if len(modes) == 1 else f"{title}, {mode}" for _, mode, title in rows]
    solved.set_yticks(range(len(rows)), [textwrap.fill(label, _LETTERS) for label in labels])
    solved.set_ylim(len(rows) - 0.5, -0.5)
    top = int(np.ceil(data["log2_k"].max()))
    ticks = range(max(top, 1) + 1)
    solved.set_xticks(ticks, [str(2**tick) for tick in ticks])
    solved.set_xlim(-0.3, ticks[-1] + 0.3)
    percent = f"{100 * data['threshold'].iloc[0]:.3g} %"
    solved.set_xlabel(f"largest $k$ with an error below {percent} (log scale)")
    slopes.set_xlabel("octaves a layer")
    slopes.axvline(1.0, color="0.35", ls="--", lw=0.8)
    handles = [
        solved.plot([], [], ls="", marker="o", color=colours[d], label=f"$L={d}$")[0]
        for d in depths
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(depths))
    return figure


def _draw_solved(
    axis: Axes,
    points: pd.DataFrame,
    row: int,
    colours: dict[int, tuple[float, float, float, float]],
    *,
    filled: bool,
) -> None:
    for depth, value, log2_k in points[["depth", "value", "log2_k"]].itertuples(index=False):
        colour = colours[int(depth)]
        # A depth's own height, so that those that solve the same k do not hide each other.
        shift = 0.5 * (list(colours).index(int(depth)) / len(colours) - 0.4)
        axis.plot(
            log2_k,
            row + shift,
            ls="",
            marker=_MARKER[value],
            ms=5 if filled else 3.5,
            mec=colour,
            mfc=colour if filled else "none",
            zorder=3 if filled else 4,
        )
