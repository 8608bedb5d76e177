"""How close two versions of a file are: tables cell by cell, weights tensor by tensor.

Two numbers are close within a tolerance, as a share of the larger one. Whole numbers, text, empty
cells and what is no finite number are close to nothing but themselves. Of any other kind of file,
figures included, other bytes are a difference: the table of what a figure draws lies beside it.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from audit_trail.errors import BadFileError
from audit_trail.files import read_bytes

_LARGEST = 1 << 30
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
# As a share of the largest weight in a tensor.
_WEIGHTS = 1e-4

Files = tuple[tuple[Path, Path], tuple[Path, Path]]


def compare_files(files: Files, keys: Sequence[str], tolerance: float) -> tuple[bool, str]:
    """Return whether two files with other bytes are close, and how far apart they are.

    Args:
        files: two versions of a file, each with the folder that it lies within.
        keys: columns of tables that say what a row is about; rows of a table that has none of them
            go by their order.
        tolerance: of numbers in tables.
    """
    try:
        if files[0][0].suffix == ".csv":
            return _tables(files, keys, tolerance)
        if files[0][0].suffix == ".safetensors":
            return _weights(files)
    except BadFileError as error:
        return False, f"other bytes, which cannot be compared ({error})"
    return False, "other bytes"


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


def _tables(files: Files, keys: Sequence[str], tolerance: float) -> tuple[bool, str]:
    (columns, one), (others, other) = (_rows(*file, keys) for file in files)
    if columns != others:
        return False, "other columns"
    both = one.keys() & other.keys()
    lone = len(one) + len(other) - 2 * len(both)
    cells = [
        (gap(a, b), column, a, b, key)
        for key in one
        if key in both
        for column, a, b in zip(columns, one[key], other[key], strict=True)
        if a != b
    ]
    far = sum(found[0] > tolerance for found in cells)
    said = [f"{lone} rows are in one of them only"] if lone else []
    if cells:
        share, column, a, b, key = max(cells, key=lambda found: found[0])
        about = [name for name in columns if name in keys] or ["row"]
        where = ", ".join(f"{name}={value}" for name, value in zip(about, key, strict=False))
        worst = f", {share:.3g} of the larger" if math.isfinite(share) else ""
        said += [
            f"{far} of {len(both) * len(columns)} cells differ by more than {tolerance:g}",
            f"most {column} at {where}: {a or 'nothing'} → {b or 'nothing'}{worst}",
        ]
    return not lone and not far, "; ".join(said) or "the same cells, written otherwise"


def _rows(
    path: Path, folder: Path, keys: Sequence[str]
) -> tuple[list[str], dict[tuple[str, ...], list[str]]]:
    """Return columns, and rows by the cells of their keys and a count of their like."""
    columns, rows = read_table(path, folder)
    places = [place for place, name in enumerate(columns) if name in keys]
    seen: Counter[tuple[str, ...]] = Counter()
    found = {}
    for row in rows:
        about = tuple(row[place] for place in places)
        seen[about] += 1
        found[(*about, str(seen[about]))] = row
    return columns, found


def _weights(files: Files) -> tuple[bool, str]:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        one, other = (load(read_bytes(*file, 4 * _LARGEST)) for file in files)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadFileError(files[0][0], f"no weights that can be read: {error}") from error
    shapes = [{name: (t.shape, t.dtype) for name, t in side.items()} for side in (one, other)]
    if shapes[0] != shapes[1]:
        return False, "other tensors"
    shares = {}
    for name in one:
        a, b = one[name].astype(float), other[name].astype(float)
        unlike = ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if unlike.any():
            with np.errstate(invalid="ignore", divide="ignore"):
                share = np.abs(a - b)[unlike].max() / np.abs(a[np.isfinite(a)]).max(initial=0)
            shares[name] = float(share) if np.isfinite(share) else math.inf
    worst = max(shares, key=shares.__getitem__, default="none")
    far = shares.get(worst, 0.0)
    return far <= _WEIGHTS, f"{worst} differs by {far:.3g} of its largest weight"
