r"""Width of a routing head, and what the random table loses (paper: Lemma 3.2).

Left: the width of the head that delivers one round's messages, one word each, against the messages
*s* that a token sends and receives; bands reach from the fewest to the most tokens. Dashed is the
paper's bound, *O*\ (*s*\ :sup:`4` log *N*), with the constant of its proof; the explicit code gives
the same guarantee for every traffic; the random table grows with *s*\ :sup:`2` and is right for
almost every traffic. Right: the share of messages that the random table loses, measured on random
traffic at full load, and the bound on its expectation (dashed). Open markers: none was lost, drawn
at one message.
"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from logdepth.figures.style import MARKERS, WIDE_INCHES, Shown, ordered_colours, power_axis

TABLES = ("routing_width", "table_losses")

CODES = {
    "paper": r"Lemma 3.2: $24\,s^4\ln N$ columns",
    "explicit": "explicit code (Kautz-Singleton)",
    "table": "random table, 20 groups of $2s^2$",
}
_COLOURS = dict(zip(CODES, ordered_colours(range(len(CODES))).values(), strict=True))
_MARKER = dict(zip(CODES, ("", *MARKERS), strict=False))
_BOUND = r"$(1-(1-\frac{1}{2s^2})^{s^2-1})^g$"


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return a row per code, N and s, and one per s and number of groups of the random table.

    Columns: panel ("width" or "loss"), code, tokens (N), fan (s), width (m, packets as numbers),
    groups, messages, loss and bound (the share that is lost, and the bound on it).
    """
    widths = tables["routing_width"].rename(columns={"numbers_width": "width"})
    losses = tables["table_losses"]
    parts = [
        widths[["code", "tokens", "fan", "width"]].assign(panel="width"),
        # One message to a token meets no other.
        losses[losses["fan"] > 1].assign(panel="loss", code="table"),
    ]
    columns = ["panel", "code", "tokens", "fan", "width", "groups", "messages", "loss", "bound"]
    return pd.concat(parts, ignore_index=True)[columns]


def draw(data: pd.DataFrame) -> Figure:
    """Draw widths from the least to the most tokens as bands, and losses beside their bounds."""
    figure = Figure(figsize=(WIDE_INCHES, 3.1))
    left, right = figure.subplots(1, 2)
    _draw_widths(left, data[data["panel"] == "width"])
    losses = data[data["panel"] == "loss"]
    if losses.empty:
        right.set_axis_off()
    else:
        _draw_losses(right, losses)
    return figure


def _draw_widths(axis: Axes, data: pd.DataFrame) -> None:
    least, most = int(data["tokens"].min()), int(data["tokens"].max())
    axis.set_yscale("log")
    for code, part in data.groupby("code", sort=False):
        curves = part.pivot_table(index="fan", columns="tokens", values="width")
        colour = _COLOURS[str(code)]
        axis.fill_between(curves.index, curves[least], curves[most], color=colour, alpha=0.2, lw=0)
        axis.plot(
            curves.index,
            curves[most],
            color=colour,
            ls="--" if code == "paper" else "-",
            marker=_MARKER[str(code)],
            label=CODES[str(code)],
        )
    power_axis(axis, data["fan"], "messages of a token, $s$")
    axis.set_ylabel("width $m$ of the head")
    axis.set_title(f"one routing head, $N={least}$ to ${most}$")
    axis.legend(loc="upper left")


def _draw_losses(axis: Axes, data: pd.DataFrame) -> None:
    axis.set_yscale("log")
    colours = ordered_colours(sorted(set(data["fan"])))
    for number, (fan, part) in enumerate(data.groupby("fan")):
        colour, marker = colours[fan], MARKERS[number % len(MARKERS)]
        axis.plot(part["groups"], part["bound"], color=colour, ls="--", lw=0.8)
        found, none = part[part["loss"] > 0], part[part["loss"] == 0]
        style: dict[str, Any] = {"ls": "", "color": colour, "marker": marker}
        axis.plot(found["groups"], found["loss"], label=f"$s={fan}$", **style)
        # Less than one message: where there is a point, there was one.
        axis.plot(none["groups"], 1 / none["messages"], mfc="white", **style)
    bound = Line2D([], [], color="0.4", ls="--", lw=0.8, label=_BOUND)
    axis.legend(handles=[*axis.get_legend_handles_labels()[0], bound], loc="lower left")
    axis.set_xlabel("groups $g$ of the random table")
    axis.set_ylabel("share of messages lost")
    axis.set_title(f"random table under full load, $N={data['tokens'].iloc[0]}$")
