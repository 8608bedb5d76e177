"""Largest solvable k against depth, a small panel an experiment: architectures, or tasks.

Largest solved *k* of every experiment against depth, on a log scale: small markers are single runs,
large ones the error pooled over seeds with a 95 % interval; triangles are bounds, where all or none
of the *k* tried were solved. In grey, in every panel, the first experiment. The dotted line is
*k* = *L*, what the theory leaves to narrow models without full attention; the dashed one what a
theorem promises to transformers, if there is one.
"""

import math
import re
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logdepth.figures.style import WIDE_INCHES, Shown, depth_axis, with_titles

TABLES = ("thresholds",)
USES = ("reach",)

_COLUMNS = 4
# As many letters as a panel is wide.
_LETTERS = 28
_MARKER = {"exact": "o", "lower bound": "^", "upper bound": "v"}


def prepare(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return a row a run, a depth, and a depth of the theory, at the first threshold.

    Columns: experiment, title, mode, kind ("run", "depth" or "theory"), threshold, depth, seed,
    value ("exact" or which bound), log2_k, low, high.
    """
    thresholds = tables["thresholds"]
    points = thresholds[thresholds["threshold"] == thresholds["threshold"].iloc[0]].copy()
    points["kind"] = np.where(points["seed"] == "all", "depth", "run")
    points = points.rename(columns={"log2_k_low": "low", "log2_k_high": "high"})
    rows = [points]
    for (experiment, mode), part in points.groupby(["experiment", "mode"], sort=False):
        depths = range(part["depth"].min(), part["depth"].max() + 1)
        bound = {d: k for d, k in shown.reach.get(str(experiment), {}).items() if d in depths}
        theory = {"depth": list(bound), "log2_k": np.log2(list(bound.values()))}
        common = {"experiment": experiment, "mode": mode, "kind": "theory"}
        rows.append(pd.DataFrame(common | theory))
    columns = ["experiment", "mode", "kind", "threshold", "depth", "seed", "value"]
    columns += ["log2_k", "low", "high"]
    table = pd.concat(rows, ignore_index=True).reindex(columns=columns)
    return with_titles(table, shown.titles)


def draw(data: pd.DataFrame) -> Figure:
    """Draw a panel for each experiment and mode, four in a row."""
    names = list(dict.fromkeys(zip(data["experiment"], data["mode"], strict=True)))
    modes = {mode for _, mode in names}
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    titles = [_title(data, name, modes) for name in names]
    lines = max(title.count("\n") for title in titles)
    figure = Figure(figsize=(WIDE_INCHES, 0.5 + (1.5 + 0.13 * lines) * rows))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    points = data[data["kind"].isin(["run", "depth"])]
    top = max(1, int(np.ceil(points["log2_k"].max())))
    depths = np.array(sorted(points["depth"].unique()))
    first = _of(data, names[0])
    for axis, name, title in zip(axes.flat, names, titles, strict=False):
        part = _of(data, name)
        theory = part[part["kind"] == "theory"]
        axis.plot(theory["depth"], theory["log2_k"], color="0.35", ls="--", lw=0.8)
        axis.plot(depths, np.log2(depths), color="0.35", ls=":", lw=0.8)
        if name != names[0]:
            whole = first[first["kind"] == "depth"]
            axis.plot(whole["depth"], whole["log2_k"], color="0.7", lw=1.0)
        _draw(axis, part)
        axis.set_title(title, size=7)
        axis.set_yticks(range(top + 1), [str(2**t) for t in range(top + 1)])
        axis.set_ylim(-0.5, top + 0.4)
        depth_axis(axis)
        axis.set_xlabel("")
    for empty in range(len(names), axes.size):
        axes.flat[empty].set_visible(False)
        axes.flat[empty - columns].tick_params(labelbottom=True)
    figure.supxlabel("depth $L$", size=8)
    percent = f"{100 * data['threshold'].iloc[0]:.3g} %"
    figure.supylabel(f"largest $k$ with an error below {percent}", size=8)
    return figure


def _of(data: pd.DataFrame, name: tuple[str, str]) -> pd.DataFrame:
    return data[(data["experiment"] == name[0]) & (data["mode"] == name[1])]


def _title(data: pd.DataFrame, name: tuple[str, str], modes: set[str]) -> str:
    title = _of(data, name)["title"].iloc[0]
    title = title if len(modes) == 1 else f"{title}, {name[1]}"
    # What stands in brackets stays on one line.
    whole = re.sub(r"\(.*?\)", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), title)
    return textwrap.fill(whole, _LETTERS)


def _draw(axis: Axes, part: pd.DataFrame) -> None:
    runs, whole = (part[part["kind"] == kind] for kind in ("run", "depth"))
    axis.plot(whole["depth"], whole["log2_k"], color="C0", lw=1.2)
    for value, marker in _MARKER.items():
        some = runs[runs["value"] == value]
        axis.plot(some["depth"], some["log2_k"], marker, ms=2.5, mfc="white", mec="C0", mew=0.6)
        some = whole[whole["value"] == value]
        below = (some["log2_k"] - some["low"]).clip(lower=0)
        above = (some["high"] - some["log2_k"]).clip(lower=0)
        axis.errorbar(
            some["depth"],
            some["log2_k"],
            yerr=(below, above) if value == "exact" else None,
            fmt=marker,
            color="C0",
            ms=4,
            capsize=2,
            zorder=4,
        )
