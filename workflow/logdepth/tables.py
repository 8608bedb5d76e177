"""The tables of a study: their columns, and reading and writing them with a check."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError

from logdepth.errors import UserError
from logdepth.files import write_text

_SHARE = pa.Check.in_range(0, 1)
_VALUES = ["exact", "lower bound", "upper bound"]


def _text(*allowed: str) -> pa.Column:
    return pa.Column(str, pa.Check.isin(allowed) if allowed else pa.Check.str_length(min_value=1))


def _is_text(column: pa.Column) -> bool:
    return str(column.dtype).startswith("str")


def _number(*checks: pa.Check) -> pa.Column:
    return pa.Column(float, list(checks), nullable=True, coerce=True)


def _count(least: int = 0) -> pa.Column:
    return pa.Column(int, pa.Check.ge(least))


# Which model a published error belongs to; training samples are a number or "inf".
_PUBLISHED = {
    "depth": _count(1),
    "heads": _count(1),
    "width": _count(1),
    "train_samples": pa.Column(str, pa.Check.str_matches(r"^(inf|[1-9][0-9]*)$")),
}

SCHEMAS = {
    "errors": pa.DataFrameSchema(
        {
            "experiment": _text(),
            "depth": _count(1),
            "dropout": _text("on", "off"),
            "hops": _count(),
            "error": _number(_SHARE),
            "sequences_low": _number(_SHARE),
            "sequences_high": _number(_SHARE),
            "seeds_low": _number(_SHARE),
            "seeds_high": _number(_SHARE),
            "seeds": _count(1),
            "sequences": _count(1),
            "symbols": _count(),
        }
    ),
    "errors_by_run": pa.DataFrameSchema(
        {
            "experiment": _text(),
            "run": _text(),
            "depth": _count(1),
            "seed": _count(),
            "dropout": _text("on", "off"),
            "hops": _count(),
            "error": _number(_SHARE),
            "sequences_low": _number(_SHARE),
            "sequences_high": _number(_SHARE),
            "sequences": _count(1),
            "symbols": _count(),
        }
    ),
    "training": pa.DataFrameSchema(
        {
            "experiment": _text(),
            "depth": _count(1),
            "step": _count(1),
            "hops": _count(),
            "loss": _number(),
            "error": _number(_SHARE),
            "lowest": _number(_SHARE),
            "highest": _number(_SHARE),
        }
    ),
    "alignment": pa.DataFrameSchema(
        {
            "layer": _count(1),
            "head": _count(1),
            "hops": _count(),
            "jumps": _count(),
            "cosine": _number(pa.Check.in_range(0, 1 + 1e-6)),
            "printed": _number(pa.Check.ge(0)),
            "depth": _count(1),
        }
    ),
    "attention": pa.DataFrameSchema(
        {
            "layer": _count(1),
            "head": _count(1),
            "query": _count(),
            "key": _count(),
            "weight": _number(pa.Check.ge(0)),
            "jumps": _count(-1),
            "depth": _count(1),
            "hops": _count(),
        }
    ),
    "thresholds": pa.DataFrameSchema(
        {
            "experiment": _text(),
            "depth": _count(1),
            "dropout": _text("on", "off"),
            "seed": _text(),
            "threshold": _number(_SHARE),
            "largest_solved": _count(),
            "log2_hops": _number(),
            "log2_hops_low": _number(),
            "log2_hops_high": _number(),
            "value": _text(*_VALUES),
            "logistic_midpoint": _number(),
            "logistic_width": _number(),
        }
    ),
    "scaling": pa.DataFrameSchema(
        {
            "experiment": _text(),
            "dropout": _text("on", "off"),
            "growth": _text("exponential", "linear", "power"),
            "slope": _number(),
            "slope_low": _number(),
            "slope_high": _number(),
            "intercept": _number(),
            "aic": _number(),
            "loo_error": _number(),
            "threshold": _number(_SHARE),
            "depths": _count(1),
            "depths_below": _count(),
            "depths_beyond": _count(),
            "verdict": _text(),
        }
    ),
    "published_errors": pa.DataFrameSchema(
        {
            **_PUBLISHED,
            "hops": _count(),
            "error": pa.Column(float, _SHARE, coerce=True),
        },
        unique=[*_PUBLISHED, "hops"],
    ),
    "comparison": pa.DataFrameSchema(
        {
            **_PUBLISHED,
            "hops": _count(),
            "dropout": _text("on", "off"),
            "experiment": pa.Column(str),
            "origin": _text("trained", "released", ""),
            "recipe": _text("fast", "paper", ""),
            "conditions": pa.Column(str),
            "published": _number(_SHARE),
            "published_low": _number(_SHARE),
            "published_high": _number(_SHARE),
            "ours": _number(_SHARE),
            "ours_low": _number(_SHARE),
            "ours_high": _number(_SHARE),
            "seeds": _count(),
            "sequences": _count(),
            "z": _number(),
            "verdict": _text("agrees", "lower", "higher", "not measured"),
        }
    ),
    "comparison_summary": pa.DataFrameSchema(
        {
            "experiment": _text(),
            "dropout": _text("on", "off"),
            "cells": _count(1),
            "agrees": _count(),
            "lower": _count(),
            "higher": _count(),
            "largest_z": _number(pa.Check.ge(0)),
            "rms_z": _number(pa.Check.ge(0)),
            "tolerance": _number(pa.Check.ge(0)),
        },
        coerce=True,  # without a row, nothing has a type
    ),
}


def write_table(name: str, table: pd.DataFrame, path: Path) -> None:
    """Check a table and write it as CSV, with six significant digits.

    Raises:
        UserError: it is not a table of that name.
    """
    text = _checked(name, table, path).to_csv(index=False, float_format="%.6g")
    write_text(path, text)


def read_table(name: str, path: Path) -> pd.DataFrame:
    """Read and check a table.

    Raises:
        UserError: missing, or not a table of that name; the message names file and column.
    """
    if name not in SCHEMAS:
        raise UserError(f"{path}: no table has this name; right would be {', '.join(SCHEMAS)}")
    # Text stays as written: 1000 and inf are no numbers there, and an empty cell is no NaN.
    texts = {c: "str" for c, column in SCHEMAS[name].columns.items() if _is_text(column)}
    try:
        table = pd.read_csv(path, dtype=texts)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such table") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file ({' '.join(str(error).split())})") from error
    present = [column for column in texts if column in table]
    table[present] = table[present].fillna("")
    return _checked(name, table, path)


def _checked(name: str, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    try:
        return SCHEMAS[name].validate(table)
    except SchemaError as error:
        raise UserError(f"{path}: not a table of {name}: {str(error).splitlines()[0]}") from error
