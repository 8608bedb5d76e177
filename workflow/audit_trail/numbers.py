"""How close two versions of a table are, cell by cell.

Two numbers are close within a tolerance, as a share of the larger one. Whole numbers, text, empty
cells and what is no finite number are close to nothing but themselves. Of any other kind of file,
figures and weights included, other bytes are a difference: a table of what a figure draws lies
beside it, and what weights amount to is in the tables made with them.
"""

import csv
import io
import math
import re
from pathlib import Path

from audit_trail.errors import BadFileError
from audit_trail.files import read_bytes

_LARGEST, _ABOUT = 1 << 30, 4
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

Files = tuple[tuple[Path, Path], tuple[Path, Path]]


def compare_files(files: Files, tolerance: float) -> tuple[bool, str]:
    """Return whether two files with other bytes are close, and how far apart they are.

    Args:
        files: two versions of a file, each with the folder that it lies within.
        tolerance: of numbers in tables, whose rows go by their order.
    """
    if files[0][0].suffix != ".csv":
        return False, "other bytes"
    try:
        (columns, one), (others, other) = (read_table(*file) for file in files)
    except BadFileError as error:
        return False, f"other bytes, which cannot be compared ({error})"
    if columns != others:
        return False, "other columns"
    if len(one) != len(other):
        return False, f"{len(one)} and {len(other)} rows"
    cells = [
        (gap(a, b), row, column, a, b)
        for row, pair in enumerate(zip(one, other, strict=True))
        for column, a, b in zip(columns, *pair, strict=True)
        if a != b
    ]
    if not cells:
        return True, "the same cells, written otherwise"
    far = sum(found[0] > tolerance for found in cells)
    share, row, column, a, b = max(cells, key=lambda found: found[0])
    # Tables begin with what a row is about.
    about = ", ".join(map("=".join, zip(columns[:_ABOUT], one[row], strict=False)))
    cell = f"most {column} in row {row + 1} ({about}): {a or 'nothing'} → {b or 'nothing'}"
    worst = f"{cell}, {share:.3g} of the larger" if math.isfinite(share) else cell
    all_ = len(one) * len(columns)
    return not far, f"{far} of {all_} cells differ by more than {tolerance:g}; {worst}"


def read_table(path: Path, within: Path) -> tuple[list[str], list[list[str]]]:
    """Return the columns of a CSV in UTF-8, and its rows as text.

    Raises:
        BadFileError: it cannot be read, or is no table with columns of different names.
    """
    try:
        text = read_bytes(path, within, _LARGEST).decode("utf-8")
        columns, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (ValueError, csv.Error) as error:
        raise BadFileError(path, f"is no table ({error})") from error
    if len(set(columns)) != len(columns) or any(len(row) != len(columns) for row in rows):
        raise BadFileError(path, "is no table: expected columns of different names, in every row")
    return columns, rows


def gap(before: str, after: str) -> float:
    """Return how far two cells are apart, as a share of the larger; infinity for other things."""
    if before == after:
        return 0.0
    whole = _INTEGER.fullmatch(before) and _INTEGER.fullmatch(after)
    if whole or not (_NUMBER.fullmatch(before) and _NUMBER.fullmatch(after)):
        return math.inf
    one, other = float(before), float(after)
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other), 5e-324)
