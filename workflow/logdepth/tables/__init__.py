"""The tables of a study: reading and writing them with a check of their columns."""

from pathlib import Path

import pandas as pd
from pandera.errors import SchemaError

from logdepth.errors import UserError
from logdepth.files import write_csv
from logdepth.tables import claims, executions, measurements, results
from logdepth.tables.columns import is_text

# What is published was written before all tasks had these names.
_FORMERLY = {
    "dropout": "mode",
    "hops": "k",
    "jumps": "j",
    **{f"log2_hops{end}": f"log2_k{end}" for end in ("", "_low", "_high")},
}

SCHEMAS = results.SCHEMAS | claims.SCHEMAS | measurements.SCHEMAS | executions.SCHEMAS


def write_table(name: str, table: pd.DataFrame, path: Path) -> None:
    """Check a table and write it as CSV, with six significant digits.

    Raises:
        UserError: it is not a table of that name.
    """
    write_csv(path, _checked(name, table, path))


def read_table(name: str, path: Path) -> pd.DataFrame:
    """Read and check a table.

    Raises:
        UserError: missing, or not a table of that name; the message names file and column.
    """
    if name not in SCHEMAS:
        raise UserError(f"{path}: no table has this name; expected {', '.join(SCHEMAS)}")
    # Text stays as written: 1000 and inf are no numbers there, and an empty cell is no NaN.
    texts = {c: "str" for c, column in SCHEMAS[name].columns.items() if is_text(column)}
    try:
        table = pd.read_csv(path, dtype=texts)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such table") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file ({' '.join(str(error).split())})") from error
    table = _renamed(table, set(SCHEMAS[name].columns))
    present = [column for column in texts if column in table]
    table[present] = table[present].fillna("")
    return _checked(name, table, path)


def _renamed(table: pd.DataFrame, columns: set[str]) -> pd.DataFrame:
    """Return a table with the columns that published tables have under a former name."""
    names = {old: new for old, new in _FORMERLY.items() if new in columns and old not in columns}
    renamed = table.rename(columns=names)
    if "dropout" in table and names.get("dropout"):
        renamed["mode"] = renamed["mode"].replace({"on": "train", "off": "eval"})
    return renamed


def _checked(name: str, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    try:
        return SCHEMAS[name].validate(table)
    except SchemaError as error:
        raise UserError(f"{path}: not a table of {name}: {str(error).splitlines()[0]}") from error
