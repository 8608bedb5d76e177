"""What differs between two jobs: their records as flat trees, compared name by name."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from audit_trail.errors import BadFileError
from audit_trail.files import parse_json, read_bytes
from audit_trail.plain import scalars
from audit_trail.records import Record
from audit_trail.study import StudyFolder

# The order is that of likelihood: what is meant to change results before what may.
KINDS = (
    *("configuration", "seed", "input", "code", "image", "package"),
    *("machine", "lock", "commit", "host"),
)
_HOST = ("host", "platform", "slurm")


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same for two jobs.

    Attributes:
        kind: one of KINDS.
        name: of what differs: a setting, a file, a module, a package.
        before: what the first job had; empty for nothing.
        after: what the second job had.
    """

    kind: str
    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {_short(self.before)} → {_short(self.after)}"


def differences(
    before: Record, after: Record, first: StudyFolder, second: StudyFolder
) -> list[Difference]:
    """Return what differs between two jobs, by kind in the order of KINDS.

    Args:
        before: record of the one.
        after: record of the other.
        first: study of the one, which keeps its lists of packages and modules.
        second: study of the other.
    """
    one, other = _tree(before), _tree(after)
    for role, kind, length in (("source", "code", 12), ("packages", "package", 48)):
        lists = kept_list(first, before, role), kept_list(second, after, role)
        for tree, listed in zip((one, other), lists, strict=True):
            if all(lists):
                tree |= {(kind, name): value[:length] for name, value in listed.items()}
            elif any(lists):
                tree[kind, f"(list of {role})"] = "kept" if listed else "lost"
    return [
        Difference(*name, one.get(name, ""), other.get(name, ""))
        for name in sorted({*one, *other}, key=lambda name: (KINDS.index(name[0]), name))
        if one.get(name) != other.get(name)
    ]


def same_outputs(before: Record, after: Record) -> bool:
    """Return whether two jobs wrote the same bytes."""
    return [o.sha256 for o in before.outputs] == [o.sha256 for o in after.outputs]


def kept_list(study: StudyFolder, record: Record, role: str) -> dict[str, str]:
    """Return a list that is kept below provenance/; empty if it is lost or was altered.

    Args:
        study: that keeps it.
        record: that names it.
        role: "packages" or "source".
    """
    for resource in record.kept_as(role):
        try:
            content = read_bytes(study.path(resource.name), study.folder)
            listed = parse_json(content)
        except (BadFileError, ValueError):
            continue
        if hashlib.sha256(content).hexdigest() == resource.sha256 and isinstance(listed, dict):
            return {str(name): str(value) for name, value in listed.items()}
    return {}


def label(text: str) -> str:
    """Return a text without the hashes at the ends of the names of runs in it."""
    return re.sub(r"-[0-9a-f]{8}\b", "", text)


def _tree(record: Record) -> dict[tuple[str, str], str]:
    """Return what a record says of its job, by kind and name."""
    settings = dict(record.parameters)
    # The device is where it ran, not what was asked of it.
    machine = {"device": settings.pop("device", None), **record.machine, **record.interpreter}
    parts: dict[str, dict[str, Any]] = {
        "configuration": {"stage": record.stage, **settings},
        "seed": record.seeds,
        "input": {r.name: r.sha256[:12] for r in (*record.inputs, *record.external)},
        "image": {"sha256": record.image.sha256[:12]} if record.image else {},
        "machine": {k: v for k, v in machine.items() if k not in _HOST and v is not None},
        "lock": {str(r.annotations.get("file")): r.sha256[:12] for r in record.kept_as("lock")},
        "commit": {"commit": str(record.commit)[:12], "uncommitted": str(record.uncommitted)[:12]},
        "host": {k: v for k, v in machine.items() if k in _HOST},
    }
    # Runs go by their label: what their hash stands for is told by the runs themselves.
    return {
        (kind, name): label(str(value)) if kind == "configuration" else str(value)
        for kind, values in parts.items()
        for name, value in scalars(values).items()
    }


def _short(value: str) -> str:
    return f"{value[:47]}…" if len(value) > 48 else value or "none"
