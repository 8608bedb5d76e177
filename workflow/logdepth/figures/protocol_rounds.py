r"""Rounds of the protocols against n, k and the diameter (paper: section 2, Corollary 3.3).

Rounds (local computations) of protocols executed under enforced limits on words sent, received and
stored, every answer compared with an independent one, against the size of the input, and those of
hop\ :sub:`k` against *k*: two more for each doubling, as the transformer needs one more layer.
Dashed lines are the formulas. Right: iterations (five exchanges each) of hooking and shortcutting
until the components of a graph are found: the most over three namings of the vertices, bars down to
the fewest. Proved is at most *D*; what is measured is log\ :sub:`2` *D* + 1 or less. It is not the
*O*\ (log *D*) algorithm that Corollary 3.3 uses.
"""

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from logdepth.figures.style import MARKERS, WIDE_INCHES, Shown, ordered_colours, power_axis

TABLES = ("protocol_rounds", "component_rounds")

LABELS = {
    "cycle components": "components of cycles",
    "pointer doubling": "$f^n$ by pointer doubling",
    "prefix sums, fan-in 4": "prefix sums, fan-in 4",
    "prefix sums, fan-in n^(1/2)": r"prefix sums, fan-in $\sqrt{n}$",
    "sample sort": "sample sort",
    "hop_k": "hop$_k$",
}


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return a row per point of each panel.

    Columns: panel ("size", "hops" or "diameter"), curve (protocol, or family of graphs), size (n),
    hops (k), diameter (D), rounds and formula for them; for the diameter instead iterations, fewest
    and most over the namings of the vertices, and bound on them.
    """
    rounds = tables["protocol_rounds"].rename(columns={"protocol": "curve"})
    columns = ["curve", "size", "hops", "rounds", "formula"]
    is_hop = rounds["hops"].notna()
    by_size = rounds.loc[~is_hop | (rounds["hops"] == rounds["hops"].max()), columns]
    by_hops = rounds.loc[is_hop & (rounds["size"] == rounds["size"].max()), columns]
    found = tables["component_rounds"].groupby(["family", "diameter", "bound"], sort=False)
    by_diameter = found["iterations"].agg(fewest="min", most="max").reset_index()
    parts: dict[str, pd.DataFrame] = {
        "size": by_size,
        "hops": by_hops,
        "diameter": by_diameter.rename(columns={"family": "curve"}),
    }
    named = [part.assign(panel=panel) for panel, part in parts.items()]
    order = ["panel", *columns, "diameter", "fewest", "most", "bound"]
    result: pd.DataFrame = pd.concat(named, ignore_index=True)
    return result[order]


def draw(data: pd.DataFrame) -> Figure:
    """Draw executions as markers, formulas as dashed lines."""
    figure = Figure(figsize=(WIDE_INCHES, 3.5))
    left, middle, right = figure.subplots(1, 3)
    by_size, by_hops, by_diameter = (
        data[data["panel"] == panel] for panel in ("size", "hops", "diameter")
    )
    _draw_rounds(left, by_size, "size", "input words $n$")
    _draw_rounds(middle, by_hops, "hops", "hops $k$")
    top = 1.08 * data["rounds"].max()
    for axis in (left, middle):
        axis.set_ylim(0, top)
        axis.set_ylabel("rounds $R$")
    left.set_title(f"all protocols ($k={by_size['hops'].max():.0f}$)")
    middle.set_title(f"hop$_k$ of $n={by_hops['size'].max():.0f}$ words")
    _draw_components(right, by_diameter)
    for axis in (left, middle, right):
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    formula = Line2D([], [], color="0.4", ls="--", lw=0.9, label="formula for $R$")
    handles = [*left.get_legend_handles_labels()[0], formula]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _draw_rounds(axis: Axes, part: pd.DataFrame, x: str, label: str) -> None:
    colours = ordered_colours(range(len(LABELS)))
    for number, (name, words) in enumerate(LABELS.items()):
        curve = part[part["curve"] == name]
        if curve.empty:
            continue
        style: dict[str, Any] = {"color": colours[number]}
        axis.plot(curve[x], curve["formula"], ls="--", lw=0.9, **style)
        axis.plot(curve[x], curve["rounds"], ls="", marker=MARKERS[number], label=words, **style)
    power_axis(axis, part[x].astype(int), label)


def _draw_components(axis: Axes, part: pd.DataFrame) -> None:
    """Draw the most iterations, bars down to the fewest; the families are moved apart a little."""
    families = list(dict.fromkeys(part["curve"]))
    colours = ordered_colours(range(len(families)))
    for number, name in enumerate(families):
        curve = part[part["curve"] == name]
        below = curve["most"] - curve["fewest"]
        axis.errorbar(
            curve["diameter"] * 1.12 ** (number - 1),
            curve["most"],
            yerr=(below, 0 * below),
            color=colours[number],
            ls="",
            marker=MARKERS[number],
            ms=3.5,
            label=name,
        )
    diameters = sorted(set(part["diameter"].astype(int)))
    logs = [math.log2(diameter) + 1 for diameter in diameters]
    axis.plot(diameters, logs, color="0.4", ls=":", lw=1.0, label=r"$\log_2 D+1$")
    axis.plot(diameters, diameters, color="0.4", ls="--", lw=0.9, label="bound: $D$")
    power_axis(axis, diameters, "diameter $D$")
    axis.set_ylim(0, 1.15 * max(logs))
    axis.set_ylabel("iterations")
    axis.set_title("components of graphs")
    axis.legend(loc="lower right")
