r"""Rounds and machines of attention as a protocol against M (paper: Theorems 3.4 and C.1).

One layer of attention as a protocol: rounds, and machines, against the tokens *M*. Lines are
formulas, 2\ *D* + 3 rounds for trees of depth *D*, and the machines of Theorem C.1 with a tree for
queries and one for keys and values; markers are executions under enforced limits (machines that
took part), which agreed with softmax to rounding. With words *s* a power of *M*, the rounds do not
grow. Blocks of *B* tokens on a machine save its square in machines.
"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from logdepth.figures.style import MARKERS, WIDE_INCHES, Shown, ordered_colours, power_axis

TABLES = ("attention_cost",)


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return a row per M, exponent of the branching, and tokens of a block.

    Columns: tokens (M), exponent, tile (B), rounds and machines of the formulas, rounds_run and
    machines_used where the protocol was run, and squares, the square of the number of blocks.
    """
    table = tables["attention_cost"]
    blocks = -(-table["tokens"] // table["tile"])
    columns = ["tokens", "exponent", "tile", "rounds", "machines", "rounds_run", "machines_used"]
    return table[columns].assign(squares=blocks**2)


def draw(data: pd.DataFrame) -> Figure:
    """Draw formulas as dashed lines and executions as markers; a colour for each branching."""
    figure = Figure(figsize=(WIDE_INCHES, 3.4))
    left, right = figure.subplots(1, 2)
    tiles = sorted(set(data["tile"]))
    _draw_curves(left, data[data["tile"] == tiles[0]], "rounds", "rounds_run")
    left.set_ylim(bottom=0)
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylabel("rounds of a layer")
    left.set_title("rounds: $2D+3$")
    _draw_curves(right, data, "machines", "machines_used")
    right.set_yscale("log")
    right.set_ylabel("machines $q$")
    right.set_title("machines: $O((M/B)^2)$")
    for tile in tiles:
        _draw_squares(right, data[data["tile"] == tile], tile)
    for axis in (left, right):
        power_axis(axis, data["tokens"], "tokens $M$")
    figure.legend(handles=list(_legend(data)), loc="outside lower center", ncols=3)
    return figure


def _draw_curves(axis: Axes, data: pd.DataFrame, formula: str, executed: str) -> None:
    exponents = sorted(set(data["exponent"]))
    colours = ordered_colours(exponents)
    for (exponent, _), part in data.groupby(["exponent", "tile"]):
        colour, marker = colours[exponent], MARKERS[exponents.index(exponent)]
        axis.plot(part["tokens"], part[formula], color=colour, ls="--", lw=0.9)
        axis.plot(part["tokens"], part[executed], color=colour, ls="", marker=marker)


def _draw_squares(axis: Axes, part: pd.DataFrame, tile: int) -> None:
    """Draw the square that the number of machines grows with."""
    squares = part.drop_duplicates("tokens")
    axis.plot(squares["tokens"], squares["squares"], color="0.4", ls=":", lw=1.0)
    axis.annotate(
        f"$B={tile}$",
        (squares["tokens"].iloc[-1], squares["squares"].iloc[-1]),
        xytext=(2, -19),
        textcoords="offset points",
        ha="right",
        fontsize=7,
    )


def _legend(data: pd.DataFrame) -> Iterator[Line2D]:
    exponents = sorted(set(data["exponent"]))
    colours = ordered_colours(exponents)
    for marker, exponent in zip(MARKERS, exponents, strict=False):
        grows = "constant" if exponent == 0 else f"$\\propto M^{{{exponent:g}}}$"
        label = f"executed, $s$ {grows}"
        yield Line2D([], [], color=colours[exponent], ls="", marker=marker, label=label)
    yield Line2D([], [], color="0.4", ls="--", lw=0.9, label="formula (Theorem C.1)")
    yield Line2D([], [], color="0.4", ls=":", lw=1.0, label="$(M/B)^2$")
