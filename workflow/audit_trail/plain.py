"""What records say as flat pairs of name and value, as formats of others want them."""

import json
from typing import Any

from audit_trail.records import Record
from audit_trail.study import StudyFolder
from logdepth.canonical import canonical_json

Plain = str | int | float | bool


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with the names on the way joined by dots.

    Lists and empty mappings are values.
    """
    result: dict[str, Any] = {}
    waiting = [(prefix + str(key), value) for key, value in reversed(list(values.items()))]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{name}.{key}", inner) for key, inner in reversed(list(value.items()))]
        else:
            result[name] = value
    return result


def scalars(values: dict[str, Any]) -> dict[str, Plain]:
    """Return nested mappings as one; what is no text, number or truth value as its JSON text."""
    return {
        name: value if isinstance(value, str | bool | int | float) else canonical_json(value)
        for name, value in sorted(flat(values).items())
    }


def parameters(record: Record) -> dict[str, Plain]:
    """Return the named parameters of a job, and its seeds as "seed.<what for>"."""
    seeds = {f"seed.{name}": value for name, value in record.seeds.items()}
    return scalars({**record.parameters, **seeds})


def facts(record: Record) -> dict[str, Plain]:
    """Return what is recorded of the machine that a job ran on, and of its Python."""
    known = {**record.machine, **{f"interpreter.{k}": v for k, v in record.interpreter.items()}}
    return scalars(known)


def engine_version(record: Record, study: StudyFolder) -> str | None:
    """Return the version of Snakemake among the packages of a job; None where it is unknown."""
    for resource in record.kept_as("packages"):
        try:
            listed = json.loads(study.path(resource.name).read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(listed, dict) and isinstance(listed.get("snakemake"), str):
            return str(listed["snakemake"])
    return None
