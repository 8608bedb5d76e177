"""Kinds of columns."""

import pandera.pandas as pa

SHARE = pa.Check.in_range(0, 1)


def text(*allowed: str) -> pa.Column:
    """Text that is not empty, or one of some words."""
    return pa.Column(str, pa.Check.isin(allowed) if allowed else pa.Check.str_length(min_value=1))


def is_text(column: pa.Column) -> bool:
    """Whether a column holds text."""
    return str(column.dtype).startswith("str")


def number(*checks: pa.Check) -> pa.Column:
    """A number, or nothing."""
    return pa.Column(float, list(checks), nullable=True, coerce=True)


def count(least: int = 0) -> pa.Column:
    """A whole number of at least ``least``."""
    return pa.Column(int, pa.Check.ge(least))
