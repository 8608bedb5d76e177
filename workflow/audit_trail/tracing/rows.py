"""Choosing rows of a table by conditions such as k=8,depth=4."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.numbers import read_table

_SHOWN = 20


def choose(path: Path, within: Path, asked: str, letters: Mapping[str, str]) -> dict[str, Any]:
    """Return the rows of a table that meet all conditions, as text or as equal numbers.

    Args:
        path: of the table, a CSV in a study.
        within: folder of the study.
        asked: the conditions.
        letters: columns by the letters that are used for them in print.

    Returns:
        The "conditions" by column, how many rows there are in "total", and those "chosen", by
        column.

    Raises:
        AuditError: no table; a condition that is not COLUMN=VALUE, or on a column that is not
            there or is named twice; no such row.
    """
    columns, listed = read_table(path, within)
    conditions: dict[str, str] = {}
    for part in asked.split(","):
        name, equals, value = (text.strip() for text in part.partition("="))
        column = name if name in columns else letters.get(name, name)
        if not equals:
            raise AuditError(f"--row '{part}': expected COLUMN=VALUE, such as k=8,depth=4")
        if column not in columns:
            known = ", ".join(columns)
            raise AuditError(f"{path}: no column '{name}' for --row; expected one of {known}")
        if column in conditions:
            raise AuditError(f"--row '{asked}': names {column} twice; expected once")
        conditions[column] = value
    rows = [dict(zip(columns, row, strict=True)) for row in listed]
    chosen = [row for row in rows if all(same(row[c], v) for c, v in conditions.items())]
    if not chosen:
        values = {c: list(dict.fromkeys(row[c] for row in rows)) for c in conditions}
        there = "; ".join(f"{c} one of {', '.join(v[:_SHOWN])}" for c, v in values.items())
        raise AuditError(f"{path}: no row with {asked}; expected {there}, as rows have them")
    return {"conditions": conditions, "total": len(rows), "chosen": chosen}


def same(one: str, other: str) -> bool:
    """Return whether two cells are the same text or the same number."""
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False
