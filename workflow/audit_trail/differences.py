"""What differs between jobs, and between the versions of a file that ever stood there."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from audit_trail.errors import AuditError
from audit_trail.format import HISTORY
from audit_trail.numbers import compare_files
from audit_trail.project import current
from audit_trail.records import Record, facts, short
from audit_trail.study import StudyFolder, is_study, open_study, study_of

# The order is that of likelihood: what is meant to change results before what may.
KINDS = (
    *("configuration", "seed", "input", "code", "image", "package"),
    *("machine", "lock", "commit", "host"),
)

Side = tuple[StudyFolder, dict[str, Record]]


class Difference(NamedTuple):
    """One thing that is not the same for two jobs."""

    kind: str  # one of KINDS
    name: str  # of what differs: a setting, a file, a module, a package
    before: str  # what the first job had; empty for nothing
    after: str  # what the second job had

    @property
    def text(self) -> str:
        """It as a line, without its kind."""
        before, after = (short(value) or "none" for value in (self.before, self.after))
        return f"{self.name}: {before} → {after}"


def differences(
    before: Record, after: Record, first: StudyFolder, second: StudyFolder
) -> list[Difference]:
    """Return what differs between two jobs of two studies, by kind in the order of KINDS."""
    one, other = (
        # Runs go by their label: what their hash stands for is told by the runs themselves.
        {
            (kind, name): _label(str(value)) if kind == "configuration" else str(value)
            for kind, values in facts(record).items()
            for name, value in values.items()
        }
        for record in (before, after)
    )
    for role, kind in (("source", "code"), ("packages", "package")):
        lists = first.listed(before, role), second.listed(after, role)
        for tree, listed in zip((one, other), lists, strict=True):
            if all(lists):
                tree |= {(kind, name): value for name, value in listed.items()}
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
    study = open_study(study_of(path))
    titles = {r.title: r for r in study.records.values()}
    if is_study(path):
        uses = Counter(map(_label, titles))
        # A run's hash says that it differs, not which it is.
        return study, {t if uses[_label(t)] > 1 else _label(t): r for t, r in titles.items()}
    if not path.is_dir():
        record = study.record_for(study.name_of(path))
        return study, {record.stage: record}
    run = path.resolve().name
    if jobs := {r.stage: r for title, r in titles.items() if title.partition("/")[2] == run}:
        return study, jobs
    expected = "expected a study, an output, or results/<study>/runs/<run>"
    raise AuditError(f"{path}: no record is about it; {expected}")


def compare(
    before: Side, after: Side, counts: Callable[[Difference], bool] = lambda _: True
) -> dict[str, list[str]]:
    """Compare the jobs of two sides, each with the one of the same name on the other side.

    Returns:
        Lines by their title: jobs of one side alone, what differs between jobs of both (the
        likeliest cause first, of what ``counts``), and how far their tables are apart.
    """
    (first, jobs), (second, others) = before, after
    pairs = {name: (jobs[name], others[name]) for name in jobs if name in others}
    made = {o.name for side in (jobs, others) for r in side.values() for o in r.outputs}
    causes: dict[Difference, Counter[str]] = {}
    tables = []
    for name, (one, other) in pairs.items():
        for found in differences(one, other, first, second):
            # What another job of the comparison made is an effect, not a cause.
            if counts(found) and (found.kind != "input" or found.name not in made):
                causes.setdefault(found, Counter())[one.stage] += 1
        for old, new in zip(one.outputs, other.outputs, strict=False):
            if old.name.endswith(".csv") and old.sha256 != new.sha256:
                sides = (first.path(old.name), first.folder), (second.path(new.name), second.folder)
                detail = compare_files(sides, current().tolerance)[1]
                tables.append(f"{name}: {Path(old.name).name}: {detail}")
    equal = sum(same_outputs(*pair) for pair in pairs.values())
    counted = "1 job" if len(pairs) == 1 else f"{len(pairs)} jobs"
    sections: dict[str, list[str]] = {
        "only in the first:": sorted(jobs.keys() - pairs.keys()),
        "only in the second:": sorted(others.keys() - pairs.keys()),
    }
    for cause in sorted(causes, key=lambda d: (KINDS.index(d.kind), -causes[d].total(), d.name)):
        of = ", ".join(f"{number} {stage}" for stage, number in sorted(causes[cause].items()))
        sections.setdefault(f"different {cause.kind}:", []).append(f"{cause.text}  ({of})")
    listed = {title: of for title, of in (sections | {"different numbers:": tables}).items() if of}
    if not causes:
        listed["no difference in what their records say"] = []
    return {f"{counted} on both sides; {equal} of them wrote the same bytes": []} | listed


def versions(study: StudyFolder, name: str) -> list[str]:
    """Return lines about what stands at an output or a record, and each version that ever did.

    Raises:
        AuditError: the history has never seen it.
    """
    lines: list[str] = []
    before: Record | None = None
    older, sha256 = 0, ""
    for entry, record in study.history.parsed():
        made = {output.name: output.sha256 for output in record.outputs}
        if name not in made and name != record.name:
            continue
        sha256 = made.get(name, record.sha256)
        if study.compared(name, sha256)[0] == "":
            older = entry.number
        commit = f"{(record.commit or 'none')[:12]}{' + changes' if record.uncommitted else ''}"
        at = f"line {entry.number}  {entry.time[:19]}  {sha256[:12]}  commit {commit}"
        changed = _changes(before, record, study) if before else "the first"
        lines += [f"  {at}", f"      {changed}"]
        before = record
    if not lines:
        expected = "expected an output of the workflow, or its record"
        raise AuditError(f"{study.path(name)}: {study.path(HISTORY)} has never seen it; {expected}")
    kind, reason = study.compared(name, sha256)
    states = {
        "": "the newest version is there",
        "bytes": f"an older version is there, from line {older} of the history"
        if older
        else "modified: what is there now is none of these versions",
    }
    count = f"{len(lines) // 2} version{'s' if before and len(lines) > 2 else ''}"
    return [f"{study.path(name)}: {count}; {states.get(kind, f'{kind}: {reason}')}", *lines]


def _changes(before: Record, after: Record, study: StudyFolder) -> str:
    """Return what had changed between two versions, in one line."""
    found = differences(before, after, study, study)
    telling = [d for d in found if d.kind not in ("commit", "host", "lock")]
    said = "; ".join(f"{d.kind} {d.text}" for d in (telling or found)[:3])
    more = f" and {len(telling) - 3} more" if len(telling) > 3 else ""
    bytes_ = "the same bytes" if same_outputs(before, after) else "other bytes"
    return f"{bytes_}; {said}{more}" if said else f"{bytes_}, made again; nothing changed"


def _label(text: str) -> str:
    """Return a text without the hashes at the ends of the names of runs in it."""
    return re.sub(r"-[0-9a-f]{8}\b", "", text)
