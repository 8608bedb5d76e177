r"""Largest solvable k against depth, the fitted growth, and the theory (paper: section 4).

Largest solved *k* against depth, on a log scale. Open markers are single runs, filled ones the
error pooled over seeds with a 95 % interval from the scatter of seeds and the steps of *k*;
triangles are bounds, where all or none of the *k* tried were solved. Lines are the laws of growth
that the data do not reject (goodness of fit, *p* of at least 5 %; several may be left, or none).
Above them stand the slope of the exponential law with its 95 % interval, whether it fits or not,
and the verdict for each error below which a *k* may count as solved: a law, "none fits", or "cannot
tell"; the points are those of the first. The dashed line is what a theorem promises for the task,
if there is one: for hop_k, that depth floor(log\ :sub:`2` *k*) + 2 is enough, as the paper states.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logdepth.figures.style import Shown, depth_axis, panels, with_titles
from logdepth.fitting.growth import LAWS, REJECTED

TABLES = ("thresholds", "scaling")
USES = ("reach",)

_MARKER = {"exact": "o", "lower bound": "^", "upper bound": "v"}
_MEANING = {
    "exact": "all seeds, 95 % interval",
    "lower bound": "all $k$ solved: at least",
    "upper bound": "no $k$ solved: at most",
}
_LINE = {"exponential": ("-", "C0"), "linear": (":", "C2"), "power": ("-.", "C1")}


def prepare(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return a row a run, depth, verdict, or law at a depth; all but verdicts of one threshold.

    Columns: experiment, title, mode, kind ("run", "depth", "theory", "verdict" or the name of a
    law), threshold, depth, log2_k, low, high, value ("exact" or which bound), and of a verdict also
    slope, slope_low and slope_high of the exponential law.
    """
    thresholds, scaling = tables["thresholds"], tables["scaling"]
    first = scaling["threshold"].iloc[0]
    points = thresholds[thresholds["threshold"] == first].copy()
    points["kind"] = np.where(points["seed"] == "all", "depth", "run")
    points = points.rename(columns={"log2_k_low": "low", "log2_k_high": "high"})
    rows = [points]
    for (experiment, mode), part in points.groupby(["experiment", "mode"], sort=False):
        fine = np.linspace(part["depth"].min() - 0.3, part["depth"].max() + 0.3, 61)
        common = {"experiment": experiment, "mode": mode}
        span = range(part["depth"].min(), part["depth"].max() + 1)
        bound = {d: k for d, k in shown.reach.get(str(experiment), {}).items() if d in span}
        theory = {"depth": list(bound), "log2_k": np.log2(list(bound.values()))}
        rows.append(pd.DataFrame(common | {"kind": "theory"} | theory))
        laws = scaling[(scaling["experiment"] == experiment) & (scaling["mode"] == mode)]
        rows.append(laws[laws["growth"] == "exponential"].assign(kind="verdict"))
        for law in laws[(laws["threshold"] == first) & ~(laws["p"] < REJECTED)].itertuples():
            if law.growth in LAWS and not np.isnan(law.slope):
                curve = LAWS[law.growth](fine, law.intercept, law.slope)
                fitted = {"kind": law.growth, "threshold": first, "depth": fine, "log2_k": curve}
                rows.append(pd.DataFrame(common | fitted))
    columns = ["experiment", "mode", "kind", "threshold", "depth", "seed", "log2_k", "low", "high"]
    columns += ["value", "slope", "slope_low", "slope_high", "verdict"]
    table = pd.concat(rows, ignore_index=True).reindex(columns=columns)
    table.loc[table["kind"] == "verdict", "depth"] = np.nan
    return with_titles(table, shown.titles)


def draw(data: pd.DataFrame) -> Figure:
    """Draw runs as small markers and depths as large ones; triangles mark bounds."""
    figure, parts = panels(data, height=3.4)
    # The panels share their y axis.
    points = data["kind"].isin(["run", "depth"])
    top = int(np.ceil(data.loc[points, "log2_k"].max() + 0.2))
    ticks = range(max(top, 2) + 1)
    for axis, part in parts:
        _say_verdicts(axis, part[part["kind"] == "verdict"])
        _draw_lines(axis, part)
        _draw_runs(axis, part[part["kind"] == "run"])
        _draw_depths(axis, part[part["kind"] == "depth"])
        axis.set_ylim(-0.7, ticks[-1])
        axis.set_yticks(ticks, [str(2**t) for t in ticks])
        axis.set_ylabel("largest solved $k^*$ (log scale)")
        depth_axis(axis)
    handles = {label: handle for axis, _ in parts for handle, label in _legend(axis)}
    columns = 3 if len(set(data["experiment"])) > 1 else 2
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns)
    return figure


def _legend(axis: Axes) -> Iterator[tuple[Any, str]]:
    handles, labels = axis.get_legend_handles_labels()
    return zip(handles, labels, strict=True)


def _say_verdicts(axis: Axes, verdicts: pd.DataFrame) -> None:
    lines = [axis.get_title()]
    first = verdicts.iloc[0]
    if not np.isnan(first["slope"]):
        ends = f"{first['slope']:.2f} [{first['slope_low']:.2f}, {first['slope_high']:.2f}]"
        lines.append(f"$\\log_2 k^*$ grows by {ends} a layer")
    for verdict, rows in verdicts.groupby("verdict", sort=False):
        places = [f"{100 * threshold:.3g}" for threshold in sorted(rows["threshold"])]
        lines.append(f"error below {', '.join(places)} %: {verdict}")
    axis.set_title("\n".join(lines))


def _draw_lines(axis: Axes, part: pd.DataFrame) -> None:
    theory = part[part["kind"] == "theory"]
    axis.plot(
        theory["depth"],
        theory["log2_k"],
        color="0.35",
        ls="--",
        marker="_",
        ms=9,
        label="solved, says the theory",
    )
    for law, (style, colour) in _LINE.items():
        line = part[part["kind"] == law]
        if not line.empty:
            axis.plot(
                line["depth"], line["log2_k"], color=colour, ls=style, label=f"{law}, not rejected"
            )


def _draw_runs(axis: Axes, runs: pd.DataFrame) -> None:
    seeds = sorted(runs["seed"].unique(), key=int)
    reach = 0.09 if len(seeds) > 1 else 0.0
    shifts = dict(zip(seeds, np.linspace(-reach, reach, len(seeds)), strict=True))
    for value, marker in _MARKER.items():
        some = runs[runs["value"] == value]
        axis.plot(
            some["depth"] + some["seed"].map(shifts),
            some["log2_k"],
            ls="",
            marker=marker,
            ms=3.5,
            mfc="white",
            mec="C0",
            label="one run" if value == "exact" else None,
        )


def _draw_depths(axis: Axes, depths: pd.DataFrame) -> None:
    for value, marker in _MARKER.items():
        some = depths[depths["value"] == value]
        if some.empty:
            continue
        below = (some["log2_k"] - some["low"]).clip(lower=0)
        above = (some["high"] - some["log2_k"]).clip(lower=0)
        axis.errorbar(
            some["depth"],
            some["log2_k"],
            yerr=(below, above) if value == "exact" else None,
            ls="",
            marker=marker,
            color="C3",
            ms=6,
            elinewidth=1.2,
            capsize=2,
            zorder=5,
            label=_MEANING[value],
        )
