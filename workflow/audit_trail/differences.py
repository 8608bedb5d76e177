"""What differs between two jobs, the likeliest cause of other results first."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audit_trail.plain import scalars
from audit_trail.records import Record
from audit_trail.study import StudyFolder
from logdepth.files import sha256_of

# The order is that of likelihood: what is meant to change results before what may.
KINDS = (
    "configuration",
    "seed",
    "input",
    "code",
    "numerics",
    "image",
    "machine",
    "package",
    "lock",
    "commit",
    "host",
)
_NUMERICS = ("matplotlib", "numpy", "pandas", "safetensors", "scipy", "statsmodels", "torch")
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
    sides = ((first, before), (second, after))
    code = _lists(sides, "source")
    packages = _lists(sides, "packages")
    machines = [_machine(record) for record in (before, after)]
    seeds = list(_compare("seed", _flat(before.seeds), _flat(after.seeds)))
    found = [
        # A seed is told once, although it is a setting as well.
        *(
            d
            for d in _compare("configuration", _settings(before), _settings(after))
            if d.name.rpartition(".")[2] != "seed"
            or (d.before, d.after) not in {(s.before, s.after) for s in seeds}
        ),
        *seeds,
        *_compare("input", _inputs(before), _inputs(after)),
        *_compare("code", *({k: v[:12] for k, v in listed.items()} for listed in code)),
        *_compare("image", _image(before), _image(after)),
        *_compare("lock", _locks(before), _locks(after)),
        *_compare("commit", _commit(before), _commit(after)),
    ]
    for difference in _compare("package", *packages):
        numeric = difference.name in _NUMERICS
        found.append(_as(difference, "numerics") if numeric else difference)
    for difference in _compare("machine", *machines):
        name = difference.name
        if name in ("python", "implementation"):
            found.append(_as(difference, "numerics"))
        else:
            found.append(_as(difference, "host") if name.split(".")[0] in _HOST else difference)
    return sorted(found, key=lambda d: KINDS.index(d.kind))


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
        path = study.path(resource.name)
        if not path.is_file() or sha256_of(path) != resource.sha256:
            continue
        try:
            listed = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            continue
        if isinstance(listed, dict):
            return {str(name): str(value) for name, value in listed.items()}
    return {}


def labels(names: Any) -> list[str]:
    """Return names of runs, or of their records, without the hash at the end of each."""
    listed = names if isinstance(names, list) else [names]
    return [re.sub(r"-[0-9a-f]{8}(?=$|-)", "", str(name)) for name in listed]


def _compare(kind: str, before: dict[str, str], after: dict[str, str]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Difference(kind, name, before.get(name, ""), after.get(name, ""))


def _lists(sides: Sequence[tuple[StudyFolder, Record]], role: str) -> list[dict[str, str]]:
    """Return the kept lists of both sides; where one is lost, that instead of all its entries."""
    listed = [kept_list(study, record, role) for study, record in sides]
    if all(listed) or not any(listed):
        return listed
    return [{f"(list of {role})": "kept" if known else "lost"} for known in listed]


def _as(difference: Difference, kind: str) -> Difference:
    return Difference(kind, difference.name, difference.before, difference.after)


def _short(value: str) -> str:
    return f"{value[:47]}…" if len(value) > 48 else value or "none"


def _flat(settings: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in scalars(settings).items()}


def _settings(record: Record) -> dict[str, str]:
    # The device is where it ran, not what was asked of it.
    settings = {key: value for key, value in record.parameters.items() if key != "device"}
    experiments = settings.get("experiments")
    if isinstance(experiments, dict):
        # Runs by their label: what their hash stands for is told by the runs themselves.
        settings["experiments"] = {k: ", ".join(labels(v)) for k, v in experiments.items()}
    return {"stage": record.stage, **_flat(settings)}


def _inputs(record: Record) -> dict[str, str]:
    return {r.name: r.sha256[:12] for r in (*record.inputs, *record.external)}


def _image(record: Record) -> dict[str, str]:
    return {"sha256": record.image.sha256[:12]} if record.image else {}


def _locks(record: Record) -> dict[str, str]:
    return {str(r.annotations.get("file", r.name)): r.sha256[:12] for r in record.kept_as("lock")}


def _commit(record: Record) -> dict[str, str]:
    found = {"gitCommit": record.commit[:12]} if record.commit else {}
    return found | ({"uncommitted": record.uncommitted[:12]} if record.uncommitted else {})


def _machine(record: Record) -> dict[str, str]:
    device = record.parameters.get("device")
    return {
        **_flat(record.machine),
        **_flat(record.interpreter),
        **({"device": str(device)} if device else {}),
    }
