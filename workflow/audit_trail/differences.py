"""What differs between jobs, and between the versions of a file that ever stood there."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.format import HISTORY
from audit_trail.numbers import compare_files
from audit_trail.plain import scalars
from audit_trail.records import Record
from audit_trail.study import StudyFolder, is_study, open_study, study_of

# The order is that of likelihood: what is meant to change results before what may.
KINDS = (
    *("configuration", "seed", "input", "code", "image", "package"),
    *("machine", "lock", "commit", "host"),
)
_HOST = ("host", "platform", "slurm")

Side = tuple[StudyFolder, dict[str, Record]]


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same for two jobs."""

    kind: str  # one of KINDS
    name: str  # of what differs: a setting, a file, a module, a package
    before: str  # what the first job had; empty for nothing
    after: str  # what the second job had

    def plain(self) -> dict[str, Any]:
        """Return it as JSON, with a line of "text"."""
        short = (f"{v[:47]}…" if len(v) > 48 else v or "none" for v in (self.before, self.after))
        return asdict(self) | {"text": f"{self.kind} {self.name}: {' → '.join(short)}"}


def differences(
    before: Record, after: Record, first: StudyFolder, second: StudyFolder
) -> list[Difference]:
    """Return what differs between two jobs of two studies, by kind in the order of KINDS."""
    one, other = _tree(before), _tree(after)
    for role, kind, length in (("source", "code", 12), ("packages", "package", 48)):
        lists = first.listed(before, role), second.listed(after, role)
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


def open_side(path: Path) -> Side:
    """Return a study, and its jobs by a name that another study may have as well.

    Of a run in runs/<run>, or of an output, only the jobs about it; an AuditError for other paths.
    """
    study = open_study(path if is_study(path) else study_of(path))
    titles = {r.title: r for r in study.records.values()}
    if is_study(path):
        uses = Counter(map(_label, titles))
        # A run's hash says that it differs, not which it is.
        return study, {t if uses[_label(t)] > 1 else _label(t): r for t, r in titles.items()}
    if not path.is_dir():
        record = study.record_for(study.name_of(path))
        return study, {record.stage: record}
    run = path.resolve().name
    jobs = {r.stage: r for title, r in titles.items() if title.partition("/")[2] == run}
    if not jobs:
        expected = "expected a study, an output, or results/<study>/runs/<run>"
        raise AuditError(f"{path}: no record is about it; {expected}")
    return study, jobs


def compare(before: Side, after: Side, keys: Sequence[str], tolerance: float) -> dict[str, Any]:
    """Compare the jobs of two sides, each with the one of the same name on the other side.

    Returns:
        As JSON: names of the jobs of both ("both"), of those with the same bytes ("equal"), and of
        one side alone ("only_before", "only_after"); what differs between jobs of both ("causes",
        the likeliest first, each with the number of jobs by stage) and how far their tables are
        apart ("tables", for keys and tolerance of ``compare_files``).
    """
    (first, jobs), (second, others) = before, after
    pairs = {name: (jobs[name], others[name]) for name in jobs if name in others}
    made = {o.name for side in (jobs, others) for r in side.values() for o in r.outputs}
    causes: dict[Difference, Counter[str]] = {}
    tables: dict[str, str] = {}
    for name, (one, other) in pairs.items():
        for found in differences(one, other, first, second):
            # What another job of the comparison made is an effect, not a cause.
            if found.kind != "input" or found.name not in made:
                causes.setdefault(found, Counter())[one.stage] += 1
        for old, new in zip(one.outputs, other.outputs, strict=False):
            if old.name.endswith(".csv") and old.sha256 != new.sha256:
                sides = (first.path(old.name), first.folder), (second.path(new.name), second.folder)
                detail = compare_files(sides, keys, tolerance)[1]
                tables[f"{name}: {Path(old.name).name}"] = detail
    order = sorted(causes, key=lambda d: (KINDS.index(d.kind), -causes[d].total(), d.name))
    return {
        "both": list(pairs),
        "equal": [name for name, pair in pairs.items() if same_outputs(*pair)],
        "only_before": sorted(jobs.keys() - pairs.keys()),
        "only_after": sorted(others.keys() - pairs.keys()),
        "causes": [cause.plain() | {"jobs": dict(causes[cause])} for cause in order],
        "tables": tables,
    }


def versions(study: StudyFolder, name: str) -> dict[str, Any]:
    """Return every version of an output, or of a record, oldest first, and what stands there now.

    Returns:
        As JSON: "state", a sentence (the newest version, an older one, or another), and "versions",
        each with its line of the history, its record's definition and commit, whether its bytes are
        the "same_bytes" as those of the version before and "present" now, the "changes" since the
        version before, and these as one line, the "summary".

    Raises:
        AuditError: the history has never seen it.
    """
    rows: list[dict[str, Any]] = []
    before: Record | None = None
    for entry, record in study.history.parsed():
        made = {output.name: output.sha256 for output in record.outputs}
        sha256 = record.sha256 if record.name == name else made.get(name)
        if sha256 is None:
            continue
        changes = [d.plain() for d in differences(before, record, study, study)] if before else []
        same = before is not None and same_outputs(before, record)
        row = {"line": entry.number, "time": entry.time, "sha256": sha256, "same_bytes": same}
        row |= {key: getattr(record, key) for key in ("definition", "commit", "uncommitted")}
        row |= {"present": study.compared(name, sha256)[0] == "", "changes": changes}
        rows.append(row | {"summary": _summary(changes, same) if before else "the first"})
        before = record
    if not rows:
        expected = "expected an output of the workflow, or its record"
        raise AuditError(f"{study.path(name)}: {study.path(HISTORY)} has never seen it; {expected}")
    kind, reason = study.compared(name, rows[-1]["sha256"])
    older = [row["line"] for row in rows if row["present"]]
    state = reason if kind == "withheld" else f"{kind}: {reason}"
    if kind == "":
        state = "the newest version is there"
    elif older:
        state = f"an older version is there, from line {older[-1]} of the history"
    elif kind == "bytes":
        state = "modified: what is there now is none of these versions"
    return {"state": state, "versions": rows}


def _label(text: str) -> str:
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
        (kind, name): _label(str(value)) if kind == "configuration" else str(value)
        for kind, values in parts.items()
        for name, value in scalars(values).items()
    }


def _summary(changes: list[dict[str, Any]], same: bool) -> str:
    telling = [d for d in changes if d["kind"] not in ("commit", "host", "lock")]
    said = "; ".join(d["text"] for d in (telling or changes)[:3])
    more = f" and {len(telling) - 3} more" if len(telling) > 3 else ""
    bytes_ = "the same bytes" if same else "other bytes"
    return f"{bytes_}; {said}{more}" if said else f"{bytes_}, made again; nothing changed"
