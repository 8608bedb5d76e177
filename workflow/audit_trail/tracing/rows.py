"""Rows of a table: reading them, and choosing some by conditions."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audit_trail.errors import AuditError
from audit_trail.files import read_bytes

_SHOWN = 20
_MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        columns: their names.
        rows: cells of each row.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_table(path: Path, within: Path) -> Table:
    """Return the table that a CSV of a study holds.

    Args:
        path: of the file.
        within: folder of the study.

    Raises:
        AuditError: it cannot be read, or is not a CSV in UTF-8.
    """
    try:
        text = read_bytes(path, within, _MAX_BYTES).decode("utf-8")
        rows = [tuple(row) for row in csv.reader(io.StringIO(text)) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise AuditError(f"{path}: not a table in CSV ({error})") from error
    return Table(rows[0] if rows else (), tuple(rows[1:]))


def parse_conditions(
    text: str, path: Path, table: Table, letters: Mapping[str, str]
) -> dict[str, str]:
    """Return the conditions of ``--row`` by column.

    Args:
        text: such as "k=8,depth=4".
        path: of the table, for messages.
        table: whose rows to choose.
        letters: columns by the letters that are used for them in print.

    Raises:
        AuditError: not COLUMN=VALUE, no such column, or a column that is named twice.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = name.strip()
        column = name if name in table.columns else letters.get(name, name)
        if not equals:
            raise AuditError(f"--row '{part}': expected COLUMN=VALUE, such as k=8,depth=4")
        if column not in table.columns:
            columns = ", ".join(table.columns)
            raise AuditError(f"{path}: no column '{name}' for --row; expected one of {columns}")
        if column in found:
            raise AuditError(f"--row '{text}': names {column} twice; expected once")
        found[column] = value.strip()
    return found


def choose(table: Table, conditions: Mapping[str, str], path: Path) -> list[dict[str, str]]:
    """Return the rows, by column, that meet all conditions, as text or as equal numbers.

    Raises:
        AuditError: there is none.
    """
    rows = [dict(zip(table.columns, row, strict=False)) for row in table.rows]
    chosen = [
        row
        for row in rows
        if all(column in row and same(row[column], value) for column, value in conditions.items())
    ]
    if chosen:
        return chosen
    asked = ", ".join(f"{name}={value}" for name, value in conditions.items())
    there = "; ".join(f"{name} one of {_values(rows, name)}" for name in conditions)
    raise AuditError(f"{path}: no row with {asked}; expected {there}, as rows have them")


def same(one: str, other: str) -> bool:
    """Return whether two cells are the same text or the same number."""
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False


def _values(rows: list[dict[str, str]], column: str) -> str:
    values = list(dict.fromkeys(row[column] for row in rows if column in row))
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(repr(v) if not v or "," in v else v for v in values[:_SHOWN]) + more
