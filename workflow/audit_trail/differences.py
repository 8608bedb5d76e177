"""What differs between jobs, between tables, and between the versions of a file.

Two numbers are close within the project's tolerance, as a share of the larger one. Whole numbers,
text, empty cells and what is no finite number are close to nothing but themselves. Of any other
kind of file, figures and weights included, other bytes are a difference: a table of what a figure
draws lies beside it, and what weights amount to is in the tables made with them.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import read_bytes
from audit_trail.format import HISTORY
from audit_trail.project import current
from audit_trail.records import Record, facts, short
from audit_trail.study import StudyFolder, is_study, open_study, study_of

# The order is that of likelihood: what is meant to change results before what may.
KINDS = (
    *("configuration", "seed", "input", "code", "image", "package"),
    *("machine", "lock", "commit", "host"),
)
CIRCUMSTANCES = ("commit", "host", "lock")
"""Kinds that change no result by themselves."""
_LISTS = {"source": "code", "packages": "package"}
_LARGEST, _ABOUT = 1 << 30, 4
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

# A study, and its jobs by a name that another study may have as well.
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
    one: dict[str, dict[str, Any]] = {**facts(before)}
    other: dict[str, dict[str, Any]] = {**facts(after)}
    for role, kind in _LISTS.items():
        one[kind], other[kind] = first.listed(before, role), second.listed(after, role)
        if not (one[kind] and other[kind]):
            for tree in (one, other):
                tree[kind] = {f"(list of {role})": "kept" if tree[kind] else "lost"}
    # Runs go by their label: what their hash stands for is told by the runs themselves.
    one["configuration"], other["configuration"] = (
        {name: _label(str(value)) for name, value in tree["configuration"].items()}
        for tree in (one, other)
    )
    return [
        Difference(kind, name, *(str(tree[kind].get(name, "")) for tree in (one, other)))
        for kind in KINDS
        for name in sorted({*one[kind], *other[kind]})
        if one[kind].get(name) != other[kind].get(name)
    ]


def same_outputs(before: Record, after: Record) -> bool:
    """Return whether two jobs wrote the same bytes."""
    return [o.sha256 for o in before.outputs] == [o.sha256 for o in after.outputs]


def open_side(path: Path) -> Side:
    """Return the jobs of a study; of a run in runs/<run>, or of an output, those about it alone.

    An AuditError says that no record is about it.
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
    raise AuditError(f"{path}: no record is about it; expected a study, a run or an output")


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
                detail = compare_files((first, old.name), (second, new.name))[1]
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

    An AuditError says that the history has never seen it.
    """
    lines: list[str] = []
    before: Record | None = None
    older, sha256 = 0, ""
    for entry, record in study.history.parsed():
        made = {record.name: record.sha256} | {o.name: o.sha256 for o in record.outputs}
        if name not in made:
            continue
        sha256 = made[name]
        if study.compared(name, sha256)[0] == "":
            older = entry.number
        commit = f"{(record.commit or 'none')[:12]}{' + changes' if record.uncommitted else ''}"
        at = f"line {entry.number}  {entry.time[:19]}  {sha256[:12]}  commit {commit}"
        changed = _changes(before, record, study) if before else "the first"
        lines += [f"  {at}", f"      {changed}"]
        before = record
    if not lines:
        seen = f"{study.path(HISTORY)} has never seen it; expected an output, or its record"
        raise AuditError(f"{study.path(name)}: {seen}")
    kind, reason = study.compared(name, sha256)
    state = f"{kind}: {reason}" if kind else "the newest version is there"
    if kind == "bytes":
        state = f"an older version is there, from line {older} of the history"
        state = state if older else "modified: what is there now is none of these versions"
    count = f"{len(lines) // 2} version{'s' if len(lines) > 2 else ''}"
    return [f"{study.path(name)}: {count}; {state}", *lines]


def compare_files(one: tuple[StudyFolder, str], other: tuple[StudyFolder, str]) -> tuple[bool, str]:
    """Return whether files of two studies with other bytes are close, and how far apart they are.

    Tables alone can be; their rows go by their order.
    """
    if not one[1].endswith(".csv"):
        return False, "other bytes"
    try:
        (columns, before), (others, after) = (
            read_table(study.path(name), study.folder) for study, name in (one, other)
        )
    except BadFileError as error:
        return False, f"other bytes, which cannot be compared ({error})"
    if columns != others:
        return False, "other columns"
    if len(before) != len(after):
        return False, f"{len(before)} and {len(after)} rows"
    cells = [
        (gap(a, b), row, column, a, b)
        for row, pair in enumerate(zip(before, after, strict=True))
        for column, a, b in zip(columns, *pair, strict=True)
        if a != b
    ]
    tolerance = current().tolerance
    far = sum(found[0] > tolerance for found in cells)
    detail = f"{far} of {len(before) * len(columns)} cells differ by more than {tolerance:g}"
    if cells:
        share, row, column, a, b = max(cells, key=lambda found: found[0])
        # Tables begin with what a row is about.
        about = ", ".join(map("=".join, zip(columns[:_ABOUT], before[row], strict=False)))
        detail += f"; most {column} in row {row + 1} ({about}): {a or 'nothing'} → {b or 'nothing'}"
        detail += f", {share:.3g} of the larger" if math.isfinite(share) else ""
    return not far, detail


def read_table(path: Path, within: Path) -> tuple[list[str], list[list[str]]]:
    """Return the columns of a CSV in UTF-8, and its rows as text.

    A BadFileError says that it cannot be read, or is no table with columns of different names.
    """
    try:
        text = read_bytes(path, within, _LARGEST).decode("utf-8")
        columns, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (ValueError, csv.Error) as error:
        raise BadFileError(path, f"is no table ({error})") from error
    if len(set(columns)) != len(columns) or any(len(row) != len(columns) for row in rows):
        raise BadFileError(path, "is no table: expected columns of different names, in every row")
    return columns, rows


def gap(before: str, after: str) -> float:
    """Return how far two cells are apart, as a share of the larger; infinity for other things."""
    if before == after:
        return 0.0
    one, other = (float(v) if _NUMBER.fullmatch(v) else math.nan for v in (before, after))
    whole = _INTEGER.fullmatch(before) and _INTEGER.fullmatch(after)
    if whole or not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other), 5e-324)


def _changes(before: Record, after: Record, study: StudyFolder) -> str:
    """Return what had changed between two versions, in one line."""
    found = differences(before, after, study, study)
    telling = [d for d in found if d.kind not in CIRCUMSTANCES]
    said = "; ".join(f"{d.kind} {d.text}" for d in (telling or found)[:3])
    more = f" and {len(telling) - 3} more" if len(telling) > 3 else ""
    bytes_ = "the same bytes" if same_outputs(before, after) else "other bytes"
    return f"{bytes_}; {said}{more}" if said else f"{bytes_}, made again; nothing changed"


def _label(text: str) -> str:
    """Return a text without the hashes at the ends of the names of runs in it."""
    return re.sub(r"-[0-9a-f]{8}\b", "", text)
