"""How far two versions of the same numbers are apart, in standard errors where these are known."""

from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Half the width of a 95 % interval, in standard errors.
_HALF_WIDTH = 1.959964
_COUNTS = ("sequence", "wrong", "symbols")
_INTERVALS = {"error": ("sequences_low", "sequences_high")}


@dataclass(frozen=True)
class Deviation:
    """The largest deviation in one column of a table.

    Attributes:
        column: of the table.
        where: the row, by its key columns.
        before: value in the one.
        after: value in the other.
        errors: the deviation in standard errors; None where the table has none.
        relative: the largest deviation, as a share of the largest value in the column.
        beyond: how many rows deviate by more than two standard errors, or at all without them.
        rows: that both have.
    """

    column: str
    where: str
    before: float
    after: float
    errors: float | None
    relative: float
    beyond: int
    rows: int


def deviations(before: Path, after: Path) -> list[Deviation]:
    """Return the largest deviation of each column of two CSV tables, the worst first.

    Rows are matched by the columns that are no floating-point numbers; counts of single sequences
    are pooled to a rate first.

    Args:
        before: the one table.
        after: the other, with the same columns.

    Raises:
        ValueError: other columns, or no row that both have.
    """
    tables, measured, keys = _read(before, after)
    # Ends of intervals are judged in the standard errors of what they are intervals of.
    judged = {end: column for column in measured for end in _interval(column)}
    both = tables[0].merge(tables[1], on=[*keys, "#"], suffixes=("", "'"))
    if both.empty:
        raise ValueError("no row is in both")
    found = [
        d
        for column in measured
        if (d := _largest(both, keys, column, judged.get(column, column))) is not None
    ]
    return sorted(found, key=lambda d: -(d.errors if d.errors is not None else 0.0))


def plain(deviation: Deviation) -> dict[str, Any]:
    """Return a deviation as JSON values; what is no finite number as text, such as "nan"."""
    return {
        name: str(value) if isinstance(value, float) and not isfinite(value) else value
        for name, value in asdict(deviation).items()
    }


def lone_rows(before: Path, after: Path) -> tuple[int, int]:
    """Return how many rows only the one table has, and how many only the other.

    Raises:
        ValueError: the tables have other columns.
    """
    tables, _, keys = _read(before, after)
    both = len(tables[0].merge(tables[1], on=[*keys, "#"], suffixes=("", "'")))
    return len(tables[0]) - both, len(tables[1]) - both


def _read(before: Path, after: Path) -> tuple[list[pd.DataFrame], list[str], list[str]]:
    """Return both tables, their columns with numbers, and those that tell one row from another."""
    tables = [_pooled(pd.read_csv(path)) for path in (before, after)]
    if list(tables[0].columns) != list(tables[1].columns):
        raise ValueError("the columns are others")
    columns = [str(c) for c in tables[0]]
    measured = [c for c in columns if any(pd.api.types.is_float_dtype(t[c]) for t in tables)]
    keys = [c for c in columns if c not in measured]
    for table in tables:
        if keys:
            table["#"] = table.groupby(keys, dropna=False).cumcount()
        else:
            table["#"] = np.arange(len(table))
    return tables, measured, keys


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Return rates with intervals in place of the counts of single sequences.

    Answers within a sequence hang together, so that the standard error is that of a ratio of sums
    over sequences.
    """
    if not set(_COUNTS) <= set(table.columns):
        return table
    keys = [c for c in table if c not in _COUNTS]
    sums = table.groupby(keys, dropna=False)[["wrong", "symbols"]].transform("sum")
    total = sums["symbols"].clip(lower=1)
    rate = sums["wrong"] / total
    squares = ((table["wrong"] - rate * table["symbols"]) / total) ** 2
    pooled = table[keys].assign(error=rate, squares=squares).groupby(keys, dropna=False)
    result = pooled.agg(error=("error", "first"), squares=("squares", "sum")).reset_index()
    half = _HALF_WIDTH * np.sqrt(result.pop("squares"))
    return result.assign(
        sequences_low=result["error"] - half, sequences_high=result["error"] + half
    )


def _largest(both: pd.DataFrame, keys: list[str], column: str, judged_as: str) -> Deviation | None:
    one, other = (both[name].to_numpy(float) for name in (column, f"{column}'"))
    gap = np.abs(one - other)
    gap[np.isnan(one) != np.isnan(other)] = np.inf
    gap[np.isnan(gap)] = 0.0
    if not gap.any():
        return None
    errors = _standard_errors(both, judged_as)
    scaled = None
    if errors is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.where(gap > 0, gap / errors, 0.0)
    worst = int(np.argmax(gap if scaled is None else scaled))
    where = ", ".join(f"{key}={both[key].iloc[worst]}" for key in keys)
    return Deviation(
        column,
        where or f"row {worst + 1}",
        float(one[worst]),
        float(other[worst]),
        None if scaled is None else float(scaled[worst]),
        float(gap.max() / max(np.nanmax(np.abs([one, other]), initial=0.0), 1e-300)),
        int((gap > 0).sum() if scaled is None else (scaled > 2).sum()),
        len(both),
    )


def _interval(column: str) -> tuple[str, str]:
    return _INTERVALS.get(column, (f"{column}_low", f"{column}_high"))


def _standard_errors(both: pd.DataFrame, column: str) -> NDArray[np.float64] | None:
    """Return the standard error of each difference, from the intervals of both tables."""
    low, high = _interval(column)
    if not {low, high} <= set(both.columns):
        return None
    halves = [
        (both[f"{high}{side}"] - both[f"{low}{side}"]).to_numpy(float) / 2 / _HALF_WIDTH
        for side in ("", "'")
    ]
    return np.asarray(np.hypot(*halves))
