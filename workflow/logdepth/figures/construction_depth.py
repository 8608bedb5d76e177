r"""Depth of the transformers written by hand against k, beside what trained ones solve.

Largest *k* that a depth solves. Squares are transformers whose weights were written down by the
construction: *k* = 2\ :sup:`L-2`, exactly as proved (dashed). The others were trained; they find
more between powers of two than the construction, up to what the paper prints (dotted), for which
neither we nor, as far as we see, the printed proof have a construction. Solved means an error below
10 %; small triangles say that every *k* tried was solved.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logdepth.figures.style import COLUMN_INCHES, MARKERS, Shown, depth_axis, ordered_colours

TABLES = ("solved_depths",)

# Constructions of one depth solve the same; a little apart, both are seen.
_APART = 0.05


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return what each depth solves, and what the theory says that it can.

    Columns: title, kind ("compiled", "trained", "proved" or "printed"), mode, depth,
    largest_solved, value ("exact" or "lower bound") and threshold.
    """
    solved = tables["solved_depths"]
    depths = np.arange(max(2, solved["depth"].min()), solved["depth"].max() + 1)
    laws = [
        pd.DataFrame({"title": title, "kind": kind, "depth": depths, "largest_solved": reach})
        for title, kind, reach in (
            (r"proved: $\lceil\log_2 k\rceil + 2$ layers", "proved", 2 ** (depths - 2)),
            (r"printed: $\lfloor\log_2 k\rfloor + 2$ layers", "printed", 2 ** (depths - 1) - 1),
        )
    ]
    # Where only one mode was evaluated, or without any, the first stands for the model.
    usual = solved[(solved["mode"] == "eval") | (solved["title"] == "as published")]
    return pd.concat([usual, *laws], ignore_index=True)


def draw(data: pd.DataFrame) -> Figure:
    """Draw depth to the right and the largest solved k upwards, on a log scale."""
    figure = Figure(figsize=(1.3 * COLUMN_INCHES, 4.2))
    axis = figure.subplots()
    for kind, style in (("proved", "--"), ("printed", ":")):
        law = data[data["kind"] == kind]
        title = str(law["title"].iloc[0])
        axis.plot(law["depth"], law["largest_solved"], color="0.35", ls=style, label=title)
    for kind in ("compiled", "trained"):
        _draw_models(axis, data[data["kind"] == kind], is_compiled=kind == "compiled")
    top = int(data.loc[data["kind"] != "printed", "largest_solved"].max())
    axis.set_yscale("log", base=2)
    ticks = [2**i for i in range(top.bit_length())]
    axis.set_yticks(ticks, [str(tick) for tick in ticks])
    axis.set_ylim(0.8, 1.5 * top)
    axis.set_ylabel("largest solved $k$ (log scale)")
    depth_axis(axis)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _draw_models(axis: Axes, models: pd.DataFrame, *, is_compiled: bool) -> None:
    titles = list(dict.fromkeys(models["title"]))
    colours = ordered_colours(range(len(titles)))
    for number, title in enumerate(titles):
        part = models[(models["title"] == title) & (models["largest_solved"] > 0)]
        if part.empty:
            continue
        # No line across a depth that was not tried.
        whole = range(int(part["depth"].min()), int(part["depth"].max()) + 1)
        part = part.set_index("depth").reindex(whole).reset_index()
        shift = _APART * (number - (len(titles) - 1) / 2)
        axis.plot(
            part["depth"] + shift,
            part["largest_solved"],
            ls="" if is_compiled else "-",
            lw=0.8,
            marker="s" if is_compiled else MARKERS[number % len(MARKERS)],
            ms=8 if is_compiled else 5,
            mfc="none" if is_compiled else colours[number],
            color="C3" if is_compiled and not number else colours[number],
            label=title,
        )
        beyond = part[part["value"] == "lower bound"]
        axis.plot(beyond["depth"] + shift, 1.2 * beyond["largest_solved"], "^", color="0.3", ms=3)
