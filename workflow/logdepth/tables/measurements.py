"""Columns of the tables that measure what the constructions need."""

import pandera.pandas as pa

from logdepth.tables.columns import SHARE, count, number, text

_POSITIVE = pa.Check.gt(0)
_ENCODING = text("circle", "quadratic", "bits")

SCHEMAS: dict[str, pa.DataFrameSchema] = {
    "temperatures": pa.DataFrameSchema(
        {
            "encoding": _ENCODING,
            "length": count(1),
            "alphabet": count(1),
            "head": text("look-up", "last occurrence"),
            "margin": number(_POSITIVE),
            "observed_margin": number(_POSITIVE),
            "temperature": number(_POSITIVE),
            "scaled": number(_POSITIVE),
            "bound": number(_POSITIVE),
            "safe_temperature": number(_POSITIVE),
        }
    ),
    "formats": pa.DataFrameSchema(
        {
            "encoding": _ENCODING,
            "precision": text("float64", "float32", "bfloat16", "bfloat16 logits"),
            "length": count(1),
            "alphabet": count(1),
            "wrong": count(),
            "answers": count(1),
        }
    ),
    "construction_sizes": pa.DataFrameSchema(
        {
            "length": count(1),
            "context": count(2),
            "alphabet": count(2),
            "max_hops": count(1),
            "depth": count(2),
            "stated_depth": count(2),
            "heads": count(2),
            "width": count(1),
            "parameters": count(1),
        }
    ),
    "routing_width": pa.DataFrameSchema(
        {
            "tokens": count(1),
            "fan": count(1),
            "code": text("paper", "explicit", "table"),
            "columns": count(1),
            "query_width": count(1),
            "numbers_width": count(1),
            "bits_width": count(1),
        }
    ),
    "table_losses": pa.DataFrameSchema(
        {
            "tokens": count(1),
            "fan": count(1),
            "groups": count(1),
            "columns": count(1),
            "messages": count(1),
            "lost": count(),
            "loss": number(SHARE),
            "bound": number(SHARE),
        }
    ),
    "attention_cost": pa.DataFrameSchema(
        {
            "tokens": count(1),
            "exponent": number(SHARE),
            "tile": count(1),
            "words": count(1),
            "branching": count(2),
            "depth": count(1),
            "rounds": count(5),
            "machines": count(2),
            "executed": count(),
            "machines_used": number(_POSITIVE),
            "rounds_run": number(_POSITIVE),
            "difference": number(pa.Check.ge(0)),
        }
    ),
    "protocol_rounds": pa.DataFrameSchema(
        {
            "protocol": text(),
            "size": count(1),
            "hops": number(pa.Check.ge(0)),
            "machines": count(1),
            "words": count(1),
            "most_words": count(1),
            "bits": count(1),
            "rounds": count(1),
            "formula": count(1),
            "messages": count(),
            "most_messages": count(),
            "words_sent": count(),
            "wrong": count(),
        }
    ),
    "component_rounds": pa.DataFrameSchema(
        {
            "family": text("paths", "cycles", "ladders", "stars"),
            "diameter": count(1),
            "log2_diameter": number(pa.Check.ge(0)),
            "vertices": count(1),
            "edges": count(1),
            "components": count(1),
            "seed": count(),
            "iterations": count(),
            "bound": count(1),
            "exchanges": count(),
        }
    ),
}
