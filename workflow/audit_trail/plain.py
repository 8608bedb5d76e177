"""What records say as flat pairs of name and value."""

from typing import Any

from audit_trail.files import canonical_json
from audit_trail.records import Record

Plain = str | int | float | bool


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, names on the way joined by dots; lists are values."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def scalars(values: dict[str, Any], prefix: str = "") -> dict[str, Plain]:
    """Return nested mappings as one; what is no text, number or truth value as its JSON text."""
    return {
        name: value if isinstance(value, str | bool | int | float) else canonical_json(value)
        for name, value in sorted(flat(values, prefix).items())
    }


def parameters(record: Record) -> dict[str, Plain]:
    """Return the named parameters of a job, and its seeds as "seed.<what for>"."""
    return scalars(record.parameters) | scalars(record.seeds, "seed.")
