r"""Inverse temperature that each kind of head needs against N (paper: Lemma A.2).

The smallest inverse temperature at which a look-up head and a last-occurrence head make no mistake
on strings chosen to be hard, in float64: measured by bisection, for three encodings of positions.
Dashed is a bound, Lemma A.2 with the constants of its proof, which is enough for every string.
Below, the same times the margin of the scores: the circle pays for its small margin, the others do
not. Dotted are estimates: ln 2\ *N* is where one wrong token moves an average of numbers up to *N*
by 1/2; with positions in binary, all wrong tokens together must only weigh less than the right one.
"""

import math
from collections.abc import Callable, Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from logdepth.figures.style import MARKERS, WIDE_INCHES, Shown, ordered_colours, power_axis

TABLES = ("temperatures",)

HEADS = {"look-up": "look-up head", "last occurrence": "last-occurrence head"}
ENCODINGS = ("circle", "quadratic", "bits")
_COLOURS = dict(zip(ENCODINGS, ordered_colours(range(len(ENCODINGS))).values(), strict=True))
_MARKER = dict(zip(ENCODINGS, MARKERS, strict=False))

_LAWS: dict[str, dict[str, Callable[[int], float]]] = {
    # One wrong token, of weight exp(-product), moves an average of numbers up to N by 1/2.
    "look-up": {
        r"$\ln 2N$": lambda n: math.log(2 * n),
        # All wrong tokens, each exp(-product) for a wrong bit, weigh as much as the right one.
        r"$\ln(\log_2 N\,/\ln 2)$": lambda n: math.log(math.log2(n) / math.log(2)),
    },
    # The older matches, each exp(-product) of the next, weigh as much as the newest.
    "last occurrence": {r"$\ln 2N$": lambda n: math.log(2 * n), r"$\ln 2$": lambda _: math.log(2)},
}
_GROWTH = {
    "look-up": r"$\propto N^2 \ln N$",
    "last occurrence": r"$\propto (N\,|\Sigma|)^2 \ln N$",
}


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return a row per head, encoding, alphabet and length, and one per law and length.

    Columns: head, kind ("measured" or a law's formula), encoding, alphabet, length, temperature
    (smallest that is exact), product (with the margin), and the bounds of Lemma A.2 on both,
    temperature_bound and product_bound.
    """
    table = tables["temperatures"]
    measured = table[["head", "encoding", "alphabet", "length", "temperature"]].copy()
    measured.insert(1, "kind", "measured")
    measured["product"] = table["scaled"]
    measured["temperature_bound"] = table["bound"] / table["margin"]
    measured["product_bound"] = table["bound"]
    laws = [
        {"head": head, "kind": name, "length": length, "product": law(length)}
        for head in dict.fromkeys(table["head"])
        for name, law in _LAWS[head].items()
        for length in sorted(set(table["length"]))
        if length > 1
    ]
    return pd.concat([measured, pd.DataFrame(laws)], ignore_index=True)


def draw(data: pd.DataFrame) -> Figure:
    """Draw what is measured as markers, bounds dashed, laws dotted; a column for each head."""
    figure = Figure(figsize=(WIDE_INCHES, 4.6))
    heads = [head for head in HEADS if head in set(data["head"])]
    axes = figure.subplots(2, len(heads), squeeze=False, sharex=True, sharey="row")
    measured = data[data["kind"] == "measured"]
    for (above, below), head in zip(axes.T, heads, strict=True):
        part = measured[measured["head"] == head]
        above.set_title(HEADS[head])
        above.set_yscale("log")
        _draw_curves(above, part, "temperature")
        _draw_growth(above, part)
        _draw_curves(below, part, "product")
        _draw_laws(below, data[(data["head"] == head) & (data["kind"] != "measured")])
        power_axis(below, part["length"], "length $N$")
    axes[0, 0].set_ylabel(r"inverse temperature $\beta$")
    axes[1, 0].set_ylabel(r"$\beta\,\times$ margin")
    axes[1, 0].set_ylim(0, 1.1 * measured["product_bound"].max())
    figure.legend(handles=list(_legend(measured)), loc="outside lower center", ncols=3)
    return figure


def _draw_curves(axis: Axes, part: pd.DataFrame, column: str) -> None:
    """Draw measured values and their bound; of the product, the bound is that of all encodings."""
    smallest = part["alphabet"].min()
    for (name, alphabet), curve in part.groupby(["encoding", "alphabet"]):
        encoding, is_first = str(name), alphabet == smallest
        colour = _COLOURS[encoding]
        axis.plot(
            curve["length"],
            curve[column],
            color=colour,
            marker=_MARKER[encoding],
            mfc=colour if is_first else "white",
            ms=4 if is_first else 6,
            zorder=3 if is_first else 2,
        )
        axis.plot(
            curve["length"],
            curve[f"{column}_bound"],
            color=colour if column == "temperature" else "0.4",
            ls="--",
            lw=0.8,
        )


def _draw_growth(axis: Axes, part: pd.DataFrame) -> None:
    """Say how the circle's bound grows, above it."""
    circle = part[(part["encoding"] == "circle") & (part["alphabet"] == part["alphabet"].max())]
    if circle.empty:
        return
    middle = circle.iloc[len(circle) // 2]
    axis.annotate(
        _GROWTH[middle["head"]],
        (middle["length"], middle["temperature_bound"]),
        xytext=(-4, 6),
        textcoords="offset points",
        ha="right",
        fontsize=7,
    )


def _draw_laws(axis: Axes, laws: pd.DataFrame) -> None:
    for name, law in laws.groupby("kind"):
        axis.plot(law["length"], law["product"], color="black", ls=":", lw=1.0, zorder=4)
        last = law.iloc[-1]
        axis.annotate(
            str(name),
            (last["length"], last["product"]),
            xytext=(-6, 9),
            textcoords="offset points",
            ha="right",
            fontsize=7,
        )


def _legend(measured: pd.DataFrame) -> Iterator[Line2D]:
    for encoding in ENCODINGS:
        yield Line2D([], [], color=_COLOURS[encoding], marker=_MARKER[encoding], label=encoding)
    for index, alphabet in enumerate(sorted(set(measured["alphabet"]))):
        yield Line2D(
            [],
            [],
            ls="",
            marker="o",
            color="0.4",
            mfc="white" if index else "0.4",
            ms=6 if index else 4,
            label=rf"$|\Sigma|={alphabet:.0f}$",
        )
    label = r"Lemma A.2: $\beta\,\times$ margin $=\ln(8(N+1)^2)$ is enough"
    yield Line2D([], [], color="0.4", ls="--", lw=0.8, label=label)
    yield Line2D([], [], color="black", ls=":", lw=1.0, label="estimate of what these strings need")
