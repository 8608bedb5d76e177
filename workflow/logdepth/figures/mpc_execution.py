"""A protocol run on machines: local computations, messages, the answer (paper: Figure 1).

A run of a protocol that tells one cycle from two: a lane for each machine, in the order of the
vertices along their cycles, and a column for each local computation. A number is the least vertex
that the machine knows of its cycle; a box is filled, and a message bold, once that is the least of
the whole cycle. What a machine knows about doubles with each round, so that *R* grows as log *n*.
Below is what the busiest machine keeps, sends and receives, all of it at most *s* words.
"""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logdepth.figures.drawing import (
    Point,
    box,
    groups,
    label,
    message,
    page,
    rows,
    write_traffic,
)
from logdepth.figures.style import WIDE_INCHES, Shown

TABLES = ("mpc_execution",)

# From the top; from the left, with a column for each round.
TOP, LANE, GAP, BOTTOM = 0.66, 0.21, 0.2, 0.78
RINGS, RADIUS, NAMES, FIRST, STEP, OUTPUTS = 0.75, 0.58, 1.66, 2.22, 1.24, 6.42
BOX, VERTEX = (0.3, 0.165), (0.19, 0.165)
COLOURS = ("C0", "C3")
OTHER = {"ec": "0.75", "lw": 0.5}

ByMachine = dict[int, float]


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the table mpc_execution as it is."""
    return tables["mpc_execution"]


def draw(data: pd.DataFrame) -> Figure:
    """Draw a lane a machine and a column a round; what tells of a cycle's least vertex is bold."""
    kinds = groups(data, "kind")
    machines = kinds["machine"]
    cycles = groups(machines, "cycle")
    height = TOP + LANE * len(machines) + GAP * (len(cycles) - 1) + BOTTOM
    figure, axis = page(WIDE_INCHES, height)
    y = _lanes(cycles, height - TOP)
    x = {int(r): FIRST + STEP * (r - 1) for r in kinds["memory"]["round"].unique()}
    goal = {m: part["machine"].min() for part in cycles.values() for m in part["machine"]}
    colour = {
        m: COLOURS[i % len(COLOURS)]
        for i, part in enumerate(cycles.values())
        for m in part["machine"]
    }
    for part in cycles.values():
        _draw_ring(axis, part, y, colour)
    for row in rows(kinds["message"]):
        tells = {"ec": colour[row.machine], "lw": 1.2, "zorder": 2}
        start = (x[row.round] + BOX[0] / 2, y[row.machine])
        end = (x[row.round + 1] - BOX[0] / 2, y[row.peer])
        message(axis, start, end, **tells if row.least == goal[row.machine] else OTHER)
    for row in rows(kinds["memory"]):
        knows = row.least == goal[row.machine]
        _draw_box(axis, (x[row.round], y[row.machine]), row.least, colour[row.machine], knows)
    for row in rows(kinds["answer"]):
        label(axis, (OUTPUTS, y[row.machine]), f"{row.least:.0f}")
        label(axis, (NAMES, y[row.machine]), f"{row.machine:.0f}", color="0.35")
    _write_heads(axis, kinds, x, height)
    for turn, part in groups(kinds["memory"], "round").items():
        label(axis, (x[turn], BOTTOM - 0.16), f"≤ {part['words'].max():.0f} kept")
    write_traffic(axis, kinds["message"], x, BOTTOM - 0.16)
    _draw_legend(axis)
    return figure


def _lanes(cycles: dict[float, pd.DataFrame], top: float) -> ByMachine:
    """Return the height of each machine's lane: along its cycle, the least vertex in the middle."""
    y: ByMachine = {}
    top -= LANE / 2
    for cycle in cycles.values():
        for row in rows(cycle):
            y[row.machine] = top - LANE * ((row.place + len(cycle) // 2) % len(cycle))
        top -= LANE * len(cycle) + GAP
    return y


def _draw_ring(axis: Axes, cycle: pd.DataFrame, y: ByMachine, colour: dict[int, str]) -> None:
    """Draw a cycle beside its lanes, with the least vertex next to its own."""
    size = len(cycle)
    middle = sum(y[machine] for machine in cycle["machine"]) / size
    radius = RADIUS * min(1, 0.2 + 0.1 * size)
    ring = {
        machine: (
            RINGS + radius * math.cos(2 * math.pi * place / size),
            middle - radius * math.sin(2 * math.pi * place / size),
        )
        for machine, place in zip(cycle["machine"], cycle["place"], strict=True)
    }
    x, heights = zip(*ring.values(), strict=True)
    axis.plot([*x, x[0]], [*heights, heights[0]], color="0.5", lw=0.8, zorder=1)
    for machine, centre in ring.items():
        _draw_box(axis, centre, machine, colour[machine], machine == min(ring), VERTEX)


def _draw_box(
    axis: Axes, centre: Point, vertex: float, colour: str, filled: bool, size: Point = BOX
) -> None:
    box(axis, centre, size, fc=colour if filled else "white", ec=colour)
    label(axis, centre, f"{vertex:.0f}", color="white" if filled else "black")


def _write_heads(
    axis: Axes, kinds: dict[str, pd.DataFrame], x: dict[int, float], height: float
) -> None:
    limits, q = kinds["limits"].iloc[0], len(kinds["machine"])
    words = (
        f"$q={q}$ machines of $s={limits.words:.0f}$ words of $p={limits.bits:.0f}$ bits, "
        f"$R={len(x)}$ rounds"
    )
    label(axis, (WIDE_INCHES / 2, height - 0.16), words, fontsize=9)
    y = height - TOP + 0.14
    for place, words in ((RINGS, "input: edges"), (NAMES, "machine"), (OUTPUTS, "output")):
        label(axis, (place, y), words, fontsize=8)
    for turn, place in x.items():
        label(axis, (place, y), f"Local$_{turn}$", fontsize=8)
    for turn, steps in _reach(kinds["machine"], kinds["message"]).items():
        words = f"{steps} step{'s' * (steps > 1)} away"
        label(axis, ((x[turn] + x[turn + 1]) / 2, y), words, color="0.35")


def _reach(machines: pd.DataFrame, messages: pd.DataFrame) -> dict[int, int]:
    """Return how far along a cycle the messages of each round go, at most."""
    length = machines.groupby("cycle")["machine"].transform("size")
    known = machines.assign(length=length).set_index("machine")[["place", "length"]]
    reach = {}
    for turn, part in groups(messages, "round").items():
        place, size = known.loc[part["machine"]].to_numpy().T
        ahead = (known.loc[part["peer"], "place"].to_numpy() - place) % size
        reach[int(turn)] = int(np.minimum(ahead, size - ahead).max())
    return reach


def _draw_legend(axis: Axes) -> None:
    y = 0.17
    for x, filled, words in (
        (0.27, False, "least vertex known so far"),
        (2.02, True, "it is the least of the cycle"),
    ):
        _draw_box(axis, (x, y), 5, "0.3", filled)
        label(axis, (x + 0.22, y), words, ha="left", fontsize=7)
    for x, style, words in (
        (3.75, {"ec": "0.3", "lw": 1.2}, "message that tells of it"),
        (5.37, OTHER, "any other message"),
    ):
        message(axis, (x, y), (x + 0.25, y), **style)
        label(axis, (x + 0.32, y), words, ha="left", fontsize=7)
