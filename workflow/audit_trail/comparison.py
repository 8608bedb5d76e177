"""Comparing two studies, two runs or two outputs: which jobs, what differs, in which numbers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audit_trail.differences import KINDS, Difference, differences, label, same_outputs
from audit_trail.errors import AuditError
from audit_trail.format import PROVENANCE
from audit_trail.numbers import compare_files
from audit_trail.records import Record
from audit_trail.study import StudyFolder, is_study, open_study, study_of

Side = tuple[StudyFolder, dict[str, Record]]


def open_side(path: Path) -> Side:
    """Return a study, and its jobs by a name that another study may have as well.

    Args:
        path: of a study, of a run in runs/<run>, or of an output: then only jobs about it.

    Raises:
        AuditError: nothing of that kind.
    """
    if is_study(path):
        study = open_study(path)
        titles = {_title(record): record for record in study.records.values()}
        uses = Counter(map(label, titles))
        # A run's hash says that it differs, not which it is.
        return study, {t if uses[label(t)] > 1 else label(t): r for t, r in titles.items()}
    study = open_study(study_of(path))
    if not path.is_dir():
        record = study.record_for(study.name_of(path))
        return study, {record.stage: record}
    run = path.resolve().name
    jobs = {r.stage: r for r in study.records.values() if _title(r).partition("/")[2] == run}
    if not jobs:
        raise AuditError(
            f"{path}: no record is about it; expected a study, an output, or "
            "results/<study>/runs/<run>"
        )
    return study, jobs


def compare(before: Side, after: Side, keys: Sequence[str], tolerance: float) -> dict[str, Any]:
    """Compare the jobs of two sides, each with the one of the same name on the other side.

    Args:
        before: the one.
        after: the other.
        keys: columns that say what a row of a table is about.
        tolerance: of numbers, as in ``compare_files``.

    Returns:
        As JSON: names of the jobs of both ("both"), of those with the same bytes ("equal"), and of
        one side alone ("only_before", "only_after"); what differs between jobs of both ("causes",
        the likeliest first, each with the number of jobs by stage) and how far their tables are
        apart ("tables").
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
                _, detail = compare_files(sides, keys, tolerance)
                tables[f"{name}: {Path(old.name).name}"] = detail
    order = sorted(causes, key=lambda d: (KINDS.index(d.kind), -causes[d].total(), d.name))
    return {
        "both": list(pairs),
        "equal": [name for name, pair in pairs.items() if same_outputs(*pair)],
        "only_before": sorted(jobs.keys() - pairs.keys()),
        "only_after": sorted(others.keys() - pairs.keys()),
        "causes": [asdict(d) | {"text": str(d), "jobs": dict(causes[d])} for d in order],
        "tables": tables,
    }


def _title(record: Record) -> str:
    return record.name.removeprefix(f"{PROVENANCE}/").removesuffix(".json")
