"""A layer of a transformer as rounds of a protocol (paper: Figure 5).

A causal attention head as rounds of a protocol: a column for each local computation, with the
machines that work in it, and lines as wide as the messages have words. Rows lie packed on the first
machines and go to a machine for each token; trees copy queries, keys and values to a machine for
each pair, and the parts of the softmax return over the query trees. Grey is the share of a token's
attention that a part stands for, also written in the boxes that merge two; numbers in brackets are
the outputs. Below is what the busiest machine sends and receives, at most *s* words.
"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from logdepth.figures.drawing import Point, box, groups, label, message, page, rows, write_traffic
from logdepth.figures.style import WIDE_INCHES, Shown

TABLES = ("attention_as_mpc",)

# From the left, a column for each local computation; from the top, a band for each token.
X = (0.4, 1.32, 2.28, 3.42, 4.5, 5.42, 6.4)
TASKS = ("disperse", "project", "copy", r"$\exp\langle q, k\rangle$", "merge", "divide", "output")
COPY = 1 + TASKS.index("copy")
TOP, PITCH, GAP, BOTTOM = 0.74, 0.185, 0.13, 0.88
NODE = (0.43, 0.155)
EDGES = {"tokens": "0.3", "pair": "0.3", "query tree": "C0", "key tree": "C3"}
HIDDEN: dict[str, Any] = {"ls": (0, (1.5, 1.5))}
LINES: dict[str, dict[str, Any]] = {
    "row": {"ec": "0.65"},
    "query": {"ec": "C0"},
    "key and value": {"ec": "C3", "ls": (0, (3, 1.2))},
    "part": {"ec": "0.2"},
    "output": {"ec": "0.65"},
}


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the table attention_as_mpc as it is."""
    return tables["attention_as_mpc"]


def draw(data: pd.DataFrame) -> Figure:
    """Draw a column a round with the machines that work in it, and the messages between them.

    Lines are wide in proportion to words; parts of a softmax are dark in proportion to their share.
    """
    kinds = groups(data, "kind")
    tokens = int(kinds["limits"]["tokens"].iloc[0])
    height = TOP + BOTTOM + (PITCH * tokens + GAP) * tokens - GAP
    figure, axis = page(WIDE_INCHES, height)
    place = _places(kinds, tokens, height - TOP)
    for row in rows(kinds["message"]):
        x, y = place[row.round, row.machine]
        to_x, to_y = place[row.round + 1, row.peer]
        style = {"lw": 0.3 + 0.15 * row.words, "zorder": 1} | LINES[row.content]
        message(axis, (x + NODE[0] / 2, y), (to_x - NODE[0] / 2, to_y), **style)
    _draw_machines(axis, kinds, place)
    for token, part in groups(kinds["output"], "token").items():
        x, y = place[len(X) - 1, token]
        words = ", ".join(f"{number:.2f}".replace("-", "−") for number in part["output"])
        label(axis, (x, y - 0.15), f"({words})", fontsize=6)
    _write_heads(axis, kinds, height)
    write_traffic(axis, kinds["message"], dict(enumerate(X, 1)), BOTTOM - 0.18)
    _draw_legend(axis, kinds["machine"])
    return figure


def _places(kinds: dict[str, pd.DataFrame], tokens: int, top: float) -> dict[Any, Point]:
    """Return where each machine is drawn in each round that it works in: by (round, machine)."""
    machines, messages = kinds["machine"].set_index("machine"), kinds["message"]
    sends = zip(messages["round"], messages["machine"], strict=True)
    receives = zip(messages["round"] + 1, messages["peer"], strict=True)
    place = {}
    for turn, machine in sorted({*sends, *receives}):
        row = machines.loc[machine]
        slot = {
            "tokens": (tokens - 1) / 2,
            "pair": row["key"],
            # Copies of queries come first in a band, then those of keys; parts merge half-way.
            "query tree": row["node"] if turn == COPY else 2 * row["node"] + 0.5,
            "key tree": row["node"] + tokens / 2,
        }[row["role"]]
        y = top - (PITCH * tokens + GAP) * row["token"] - PITCH * (slot + 0.5)
        place[turn, machine] = (X[int(turn) - 1], y)
    return place


def _draw_machines(axis: Axes, kinds: dict[str, pd.DataFrame], place: dict[Any, Point]) -> None:
    machines, messages = kinds["machine"].set_index("machine"), kinds["message"]
    parts = kinds["part"].set_index(["round", "machine"])
    names = {
        "tokens": "{0.token:.0f}",
        "query tree": "$q_{0.token:.0f}$",
        "key tree": "$k_{0.token:.0f}, v_{0.token:.0f}$",
        "pair": "$q_{0.token:.0f} k_{0.key:.0f}$",
    }
    packed = {
        1: messages[messages["round"] == 1].groupby("machine")["words"].sum(),
        len(X): messages[messages["round"] == len(X) - 1].groupby("peer")["words"].sum(),
    }
    for (turn, machine), centre in place.items():
        row = machines.loc[machine]
        style: dict[str, Any] = {"fc": "white", "ec": EDGES[row["role"]]}
        colour, words = "black", names[row["role"]].format(row)
        if turn in packed:
            words = f"{packed[turn][machine]:.0f} words"
        if (turn, machine) in parts.index:
            part = parts.loc[(turn, machine)]
            style |= HIDDEN if pd.isna(part["largest"]) else {}
            style["fc"] = f"{1 - 0.8 * part['share']:.3f}"
            colour = "white" if part["share"] > 0.45 else "black"
            words = words if row["role"] == "pair" else f"{part['share']:.2f}"
        box(axis, centre, NODE, **style)
        label(axis, centre, words, color=colour, fontsize=6)


def _write_heads(axis: Axes, kinds: dict[str, pd.DataFrame], height: float) -> None:
    limits, q = kinds["limits"].iloc[0], len(kinds["machine"])
    words = (
        f"$M={limits.tokens:.0f}$ tokens on $q=M+M^2+2Mb={q}$ machines of $s={limits.words:.0f}$ "
        f"words, trees of depth $D={limits.depth:.0f}$ with $b={limits.branching:.0f}$ branches"
    )
    label(axis, (WIDE_INCHES / 2, height - 0.16), words, fontsize=8.5)
    for turn, (x, task) in enumerate(zip(X, TASKS, strict=True), 1):
        label(axis, (x, height - TOP + 0.26), f"Local$_{turn}$", fontsize=8)
        label(axis, (x, height - TOP + 0.12), task, color="0.35")


def _draw_legend(axis: Axes, machines: pd.DataFrame) -> None:
    upper, lower = 0.41, 0.15
    counts = machines["role"].value_counts()
    for x, role, words in (
        (0.15, "tokens", "token machines"),
        (1.65, "query tree", "in query trees"),
        (3.15, "key tree", "in key trees"),
        (4.65, "pair", "of pairs, darker with attention"),
    ):
        shade = "0.7" if role == "pair" else "white"
        box(axis, (x + 0.1, upper), (0.2, 0.12), fc=shade, ec=EDGES[role])
        label(axis, (x + 0.28, upper), f"{counts[role]} {words}", ha="left")
    for x, content, words in (
        (0.15, "row", "rows"),
        (1.65, "query", "query"),
        (3.15, "key and value", "key and value"),
        (4.65, "part", "part of softmax"),
    ):
        message(axis, (x, lower), (x + 0.2, lower), lw=1.0, **LINES[content])
        label(axis, (x + 0.28, lower), words, ha="left")
    box(axis, (5.9, lower), (0.2, 0.12), fc="white", ec=EDGES["pair"], **HIDDEN)
    label(axis, (6.08, lower), "masked", ha="left")
