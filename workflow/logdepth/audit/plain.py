"""What records say as flat pairs of name and value, as formats of others want them."""

import json
from collections.abc import Iterator
from typing import Any

from logdepth.audit.records import Record
from logdepth.audit.study import StudyFolder
from logdepth.canonical import canonical_json

Plain = str | int | float | bool


def flat(settings: Any, name: str = "") -> Iterator[tuple[str, Plain]]:
    """Yield each value within mappings, by the names on the way to it, joined by dots.

    Lists, null and empty mappings are given as their JSON text.
    """
    if isinstance(settings, dict) and settings:
        for key, value in sorted(settings.items()):
            yield from flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(settings, str | bool | int | float):
        yield name, settings
    else:
        yield name, canonical_json(settings)


def parameters(record: Record) -> dict[str, Plain]:
    """Return the named parameters of a job, and its seeds as "seed.<what for>"."""
    seeds = {f"seed.{name}": value for name, value in record.seeds.items()}
    return dict(flat({**record.parameters, **seeds}) if record.parameters or seeds else ())


def facts(record: Record) -> dict[str, Plain]:
    """Return what is recorded of the machine that a job ran on, and of its Python."""
    known = {**record.machine, **{f"interpreter.{k}": v for k, v in record.interpreter.items()}}
    return dict(flat(known) if known else ())


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
