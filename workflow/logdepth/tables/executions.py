"""Columns of the tables that hold single executions, for drawing.

Each table has rows of several kinds; a column that has no meaning in a row is empty there.
"""

import pandera.pandas as pa

from logdepth.tables.columns import SHARE, number, text

_FROM_0 = number(pa.Check.ge(0))
_FROM_1 = number(pa.Check.ge(1))
_OR_START = number(pa.Check.ge(-1))

_PACKETS = {
    "token": _FROM_0,
    "source": _OR_START,
    "destination": _FROM_0,
    "word": _FROM_0,
    "score": number(),
    "weight": number(SHARE),
    "column": _FROM_0,
    "state": text("packet", "met", "blank", "clean", "corrupted", ""),
    "heard": number(),
    "kept": number(pa.Check.isin([0, 1])),
}

SCHEMAS: dict[str, pa.DataFrameSchema] = {
    "mpc_execution": pa.DataFrameSchema(
        {
            "kind": text("limits", "machine", "memory", "message", "answer"),
            "words": _FROM_1,
            "bits": _FROM_1,
            "machine": _FROM_0,
            "cycle": _FROM_1,
            "place": _FROM_0,
            "round": _FROM_1,
            "peer": _FROM_0,
            "vertex": _FROM_0,
            "least": _FROM_0,
        }
    ),
    "routing_example": pa.DataFrameSchema(
        {"kind": text("message", "score", "packet", "column", "inbox"), **_PACKETS}
    ),
    "mpc_as_attention": pa.DataFrameSchema(
        {
            "kind": text("layer", "message", "score", "packet", "column", "inbox"),
            "layer": _FROM_1,
            "layers": _FROM_1,
            "round": _FROM_1,
            **_PACKETS,
        }
    ),
    "attention_as_mpc": pa.DataFrameSchema(
        {
            "kind": text("limits", "machine", "message", "part", "output"),
            "words": _FROM_1,
            "tokens": _FROM_1,
            "branching": number(pa.Check.ge(2)),
            "depth": _FROM_1,
            "machine": _FROM_0,
            "role": text("tokens", "pair", "query tree", "key tree", ""),
            "token": _FROM_0,
            "key": _FROM_0,
            "level": _FROM_0,
            "node": _FROM_0,
            "round": _FROM_1,
            "peer": _FROM_0,
            "content": text("row", "query", "key and value", "part", "output", ""),
            "largest": number(),
            "normaliser": number(pa.Check.ge(0)),
            "share": number(SHARE),
            "slot": _FROM_0,
            "output": number(),
            "direct": number(),
        }
    ),
}
