"""The part of the tables that a figure is about."""

from typing import Any

import pandas as pd

from logdepth.config.figures import FigureSpec
from logdepth.errors import UserError


def select(tables: dict[str, pd.DataFrame], spec: FigureSpec) -> dict[str, pd.DataFrame]:
    """Return the rows of each table that a figure shows; ``heads`` becomes a table of that name.

    Raises:
        UserError: a table has no such row.
    """
    wanted: dict[str, list[Any]] = {
        "experiment": list(spec.experiments),
        "mode": [spec.mode] if spec.mode else [],
        "depth": [spec.depth] if spec.depth is not None else [],
        "k": [spec.k] if spec.k is not None else [],
    }
    result = {}
    for name, table in tables.items():
        chosen = table
        for column, values in wanted.items():
            if values and column in table:
                chosen = chosen[chosen[column].isin(values)]
        if chosen.empty:
            asked = ", ".join(f"{key} {values[0]}" for key, values in wanted.items() if values)
            raise UserError(f"table {name}: no row with {asked or 'anything'}; nothing to draw")
        result[name] = chosen.reset_index(drop=True)
    if spec.heads is not None:
        result["heads"] = pd.DataFrame(spec.heads, columns=["layer", "head", "j"])
    return result
