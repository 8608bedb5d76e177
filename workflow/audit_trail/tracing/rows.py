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
        wanted = ", ".join(f"{name}={value}" for name, value in conditions.items())
        there = "; ".join(f"{name} one of {_values(rows, name)}" for name in conditions)
        raise AuditError(f"{path}: no row with {wanted}; expected {there}, as rows have them")
    return {"conditions": conditions, "total": len(rows), "chosen": chosen}


def same(one: str, other: str) -> bool:
    """Return whether two cells are the same text or the same number."""
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False


def _values(rows: list[dict[str, str]], column: str) -> str:
    values = list(dict.fromkeys(row[column] for row in rows))
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(repr(v) if not v or "," in v else v for v in values[:_SHOWN]) + more
