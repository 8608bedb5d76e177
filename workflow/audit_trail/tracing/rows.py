"""Rows of tables: reading them, choosing some by conditions, and finding what they rest on."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from logdepth.errors import UserError

# The paper's letters for columns.
LETTERS = {"k": "hops", "j": "jumps", "L": "depth", "H": "heads", "m": "width"}
# Columns that say what a row is about; all others hold what was measured.
KEYS = (
    *("experiment", "run", "depth", "heads", "width", "train_samples", "seed", "mode"),
    *("k", "sequence", "step", "threshold", "growth", "layer", "head", "j", "query", "key"),
    # As they were called in results that are published.
    *("dropout", "hops", "jumps"),
)
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

    def row(self, index: int) -> dict[str, str]:
        """Return a row by column."""
        return dict(zip(self.columns, self.rows[index], strict=False))


def read_rows(path: Path) -> Table:
    """Return the table that a CSV holds.

    Raises:
        UserError: too large, or not a CSV in UTF-8.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path}: more than {_MAX_BYTES} bytes; expected a table of a study")
    try:
        text = path.read_bytes().decode("utf-8")
        rows = [tuple(row) for row in csv.reader(io.StringIO(text)) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a table in CSV ({error})") from error
    return Table(rows[0] if rows else (), tuple(rows[1:]))


def parse_conditions(text: str, path: Path, table: Table) -> dict[str, str]:
    """Return the conditions of ``--row`` by column.

    Args:
        text: such as "k=8,depth=4".
        path: of the table, for messages.
        table: whose rows to choose.

    Raises:
        UserError: not COLUMN=VALUE, no such column, or a column that is named twice.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = name.strip()
        column = name if name in table.columns else LETTERS.get(name, name)
        if not equals:
            raise UserError(f"--row '{part}': expected COLUMN=VALUE, such as k=8,depth=4")
        if column not in table.columns:
            columns = ", ".join(table.columns)
            raise UserError(f"{path}: no column '{name}' for --row; expected one of {columns}")
        if column in found:
            raise UserError(f"--row '{text}': names {column} twice; expected once")
        found[column] = value.strip()
    return found


def choose(table: Table, conditions: dict[str, str], path: Path) -> list[int]:
    """Return the places of the rows that meet all conditions, as text or as equal numbers.

    Raises:
        UserError: there is none.
    """
    wanted = [(table.columns.index(name), value) for name, value in conditions.items()]
    chosen = [
        i
        for i, row in enumerate(table.rows)
        if all(place < len(row) and same(row[place], value) for place, value in wanted)
    ]
    if chosen:
        return chosen
    asked = ", ".join(f"{name}={value}" for name, value in conditions.items())
    there = "; ".join(f"{name} one of {_values(table, name)}" for name in conditions)
    raise UserError(f"{path}: no row with {asked}; expected {there}, as rows have them")


def same(one: str, other: str) -> bool:
    """Return whether two cells are the same text or the same number."""
    return plain(one) == plain(other)


def plain(cell: str) -> str | float:
    """Return the number that a cell holds, or its text."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return number if number == number else cell


def open_value(column: str, value: str) -> bool:
    """Return whether a cell leaves its column open: pooled over seeds, or without a value.

    A row without an experiment is one that no experiment has measured.
    """
    return value == "all" or (not value and column != "experiment")


def matching(
    chosen: Iterable[dict[str, str]], table: Table, apart: Iterable[str] = ()
) -> set[int] | None:
    """Return the places of the rows that some chosen rows of another table rest on.

    Rows belong together if they agree in all columns that both have and that say what a row is
    about; a seed "all" agrees with every seed, except where the other table has an "all" itself.

    Args:
        chosen: rows by column.
        table: to look in.
        apart: columns that do not count.

    Returns:
        The places; None if the tables share no such column, so that every row counts.
    """
    keys = [c for c in table.columns if c in KEYS and c not in apart]
    cells = {key: [row[i] for row in table.rows if i < len(row)] for key, i in _places(table, keys)}
    pooled = {key for key, values in cells.items() if "all" in values}
    wanted: dict[tuple[str, ...], set[tuple[str | float, ...]]] = {}
    shared = False
    for row in chosen:
        common = [key for key in keys if key in row]
        shared = shared or bool(common)
        fixed = tuple(
            key
            for key in common
            if not open_value(key, row[key]) or (row[key] == "all" and key in pooled)
        )
        wanted.setdefault(fixed, set()).add(tuple(plain(row[key]) for key in fixed))
    if not shared:
        return None
    found: set[int] = set()
    for fixed, values in wanted.items():
        places = [table.columns.index(key) for key in fixed]
        found |= {
            i
            for i, row in enumerate(table.rows)
            if len(row) == len(table.columns) and tuple(plain(row[p]) for p in places) in values
        }
    return found


def _places(table: Table, keys: list[str]) -> list[tuple[str, int]]:
    return [(key, table.columns.index(key)) for key in keys]


def _values(table: Table, column: str) -> str:
    place = table.columns.index(column)
    values = list(dict.fromkeys(row[place] for row in table.rows if place < len(row)))
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(repr(v) if not v or "," in v else v for v in values[:_SHOWN]) + more
