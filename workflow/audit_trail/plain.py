"""What records say as flat pairs of name and value."""

import json
from contextlib import suppress
from typing import Any

from audit_trail.files import canonical_json
from audit_trail.records import Record

Plain = str | int | float | bool
_HOST = ("host", "platform", "slurm")


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, names on the way joined by dots; lists are values."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def facts(record: Record) -> dict[str, dict[str, Plain]]:
    """Return what a record says of its job, by kind and name.

    Values that are no text, number or truth value are their JSON text. The order of kinds is that
    in which differences between jobs are likely to explain other results.
    """
    settings = dict(record.parameters)
    # The device is where it ran, not what was asked of it.
    machine = flat({"device": settings.pop("device", None), **record.machine, **record.interpreter})
    kinds: dict[str, dict[str, Any]] = {
        "configuration": settings,
        "seed": record.seeds,
        "input": {r.name: r.sha256 for r in (*record.inputs, *record.external)},
        "image": {"sha256": record.image.sha256} if record.image else {},
        "machine": {n: v for n, v in machine.items() if n.partition(".")[0] not in _HOST},
        "lock": {str(r.annotations.get("file")): r.sha256 for r in record.kept_as("lock")},
        "commit": {"commit": record.commit, "uncommitted": record.uncommitted},
        "host": {n: v for n, v in machine.items() if n.partition(".")[0] in _HOST},
    }
    return {
        kind: {
            name: value if isinstance(value, str | bool | int | float) else canonical_json(value)
            for name, value in sorted(flat(values).items())
            if value is not None or kind in ("configuration", "seed")
        }
        for kind, values in kinds.items()
    }


def short(value: Plain) -> str:
    """Return a value for people: twelve digits of a hash, no text of more than 48 letters.

    Of a longer list, how many entries it has.
    """
    text = str(value)
    if len(text) in (40, 64) and set(text) <= set("0123456789abcdef"):
        return text[:12]
    if len(text) > 48 and text.startswith("["):
        # A text of somebody else's may only look like one.
        with suppress(ValueError, RecursionError):
            return f"{len(json.loads(text))} entries"
    return text if len(text) <= 48 else f"{text[:47]}…"
