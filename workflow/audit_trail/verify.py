"""Whether every artefact of a study is what its job wrote, and how it was made is still known."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from audit_trail.chain import SECONDS, Chain, Checks
from audit_trail.errors import BadFileError
from audit_trail.files import read_json
from audit_trail.findings import Findings, Problem, State
from audit_trail.format import HISTORY, KEPT_FOLDERS, LOCK, PROVENANCE
from audit_trail.project import current
from audit_trail.records import Record, is_record, moment
from audit_trail.signature import check_signatures
from audit_trail.study import StudyFolder, files_below

_KEPT = tuple(f"{PROVENANCE}/{folder}/" for folder in KEPT_FOLDERS)
# What is wrong with a file, by how it differs from its record.
_WRONG = {
    "missing": (State.MISSING, "output"),
    "unreadable": (State.NOT_CHECKED, "unreadable"),
    "link": (State.MODIFIED, "link"),
    "bytes": (State.MODIFIED, "bytes"),
}


def verify(study: StudyFolder, checks: Checks, only: str | None = None) -> Findings:
    """Return the state of every artefact of a study, or of one output and what it was made from.

    Raises:
        AuditError: the one output has no record, or signatures cannot be checked.
    """
    history, chain = study.history, Chain(study, checks)
    findings = Findings(str(study.folder), history=history.hashes)
    claims = defaultdict(list)
    for record in study.records.values():
        for output in record.outputs:
            claims[output.name].append(record.name)
    wanted = {*study.records, *study.bad, *claims} if only is None else _ancestry(study, only)
    for name in sorted(wanted & history.latest.keys()):
        findings.add(name, *_record_problems(study, name))
        if name not in study.records:
            continue
        record = study.records[name]
        shared = [*chain.broken(record), *chain.stale(record)]
        for output in (output for output in record.outputs if output.name in wanted):
            problems = _file_problems(study, output.name, output.sha256)
            if len(claims[output.name]) > 1:
                detail = "is claimed by several records: " + ", ".join(claims[output.name])
                problems.append(Problem(State.RECORD_ALTERED, "claimed", detail))
            if problems or shared or output.name in study.hashed:
                findings.add(output.name, *problems, *shared)
    _check_repository(checks, findings)
    _check_history(study, checks, findings)
    if only is None:
        _check_others(study, findings)
    return findings


def belonging(study: StudyFolder) -> dict[str, str | None]:
    """Return what belongs to a study: the sha256 of each file by name, None for the history.

    Outputs and records that are there, what these records share, and what earlier versions in the
    history share; nothing for lying in the right folder.
    """
    found: dict[str, str | None] = {HISTORY: None}
    for record in study.records.values():
        found[record.name] = record.sha256
        found |= {resource.name: resource.sha256 for resource in (*record.outputs, *record.kept)}
    # Lines of the history are read again only where something is left.
    left = {n for folder in _KEPT for n, _ in files_below(study.folder, folder[:-1])} - set(found)
    for _, record in study.history.parsed() if left else ():
        found |= {r.name: r.sha256 for r in record.kept if r.name in left}
    return found


def _ancestry(study: StudyFolder, name: str) -> set[str]:
    """Return an output, what it was made from, and the records of all."""
    waiting = [study.record_for(name)]
    found = {name, waiting[0].name}
    while waiting:
        for resource in waiting.pop().inputs:
            maker = study.makers.get(resource.name)
            if resource.name not in found and maker is not None:
                found |= {resource.name, maker.name}
                waiting.append(maker)
    return found


def _record_problems(study: StudyFolder, name: str) -> Iterator[Problem]:
    """Yield what is wrong with the newest line about a record, and with the record's file."""
    entry = study.history.latest[name]
    line = f"line {entry.number} of the history"
    if name in study.bad:
        yield Problem(State.RECORD_ALTERED, "malformed", study.bad[name])
        return
    record = study.records[name]
    kind, _ = study.compared(name, record.sha256)
    if kind in ("missing", "withheld"):
        yield Problem(State.RECORD_MISSING, "record", "is in the history, but not there")
    elif kind or not _holds(study, record):
        yield Problem(State.RECORD_ALTERED, "edited", f"is not what its job wrote ({line})")
    written, finished = moment(entry.time), moment(record.finished)
    if written is None or (finished is not None and finished > written + SECONDS):
        detail = f"is in the history before its job ended ({line}, {entry.time})"
        yield Problem(State.BROKEN_CHAIN, "time", detail)


def _holds(study: StudyFolder, record: Record) -> bool:
    """Return whether the file of a record holds what the history has of it."""
    try:
        return bool(read_json(study.path(record.name), study.folder) == record.statement)
    except BadFileError:
        return False


def _file_problems(study: StudyFolder, name: str, sha256: str) -> list[Problem]:
    kind, reason = study.compared(name, sha256)
    return [Problem(*_WRONG[kind], reason)] if kind in _WRONG else []


def _check_repository(checks: Checks, findings: Findings) -> None:
    detail = "neither commits, code nor images looked at: started outside of a clone"
    if checks.repository is not None:
        detail = f"no commit was looked at: {checks.repository.problem}"
        findings.notes.append(f"commits and code are those of {checks.repository.folder}")
    if checks.repository is None or checks.repository.problem is not None:
        findings.add("code", Problem(State.NOT_CHECKED, "repository", detail))


def _check_history(study: StudyFolder, checks: Checks, findings: Findings) -> None:
    history = study.history
    faults = [("history", detail) for detail in history.breaks]
    if not os.path.lexists(study.path(HISTORY)):
        faults.append(("history", "is not there"))
    elif not history.hashes and not history.breaks:
        faults.append(("history", "has no line"))
    latest = 0.0
    for entry in history.entries:
        time = moment(entry.time)
        if time is None or time < latest - SECONDS:
            said = f"line {entry.number} was written at {entry.time}, before the line above it"
            faults.append(("time", said))
            break
        latest = max(latest, time)
    if (total := len(history.hashes)) < checks.least:
        expected = f"where {checks.least} were expected: later ones were taken away"
        faults.append(("history", f"has {total} lines, {expected}"))
    findings.add(HISTORY, *(Problem(State.BROKEN_CHAIN, *fault) for fault in faults))
    for number in history.torn:
        findings.notes.append(f"line {number} of the history was cut short; the chain goes on")
    check_signatures(study, checks.signers, findings)
    absent = [n for n in history.withheld if not os.path.lexists(study.path(n))]
    if absent:
        findings.notes.append(f"{len(absent)} files were withheld when this was published")


def _check_others(study: StudyFolder, findings: Findings) -> None:
    """Add what is there and was not looked at: shared files, and what does not belong."""
    known = belonging(study)
    left = 0
    for name, kind in files_below(study.folder):
        aside = name == LOCK or name.partition("/")[0] in current().unrecorded
        if aside or name in findings.problems:
            continue
        sha256 = known.get(name) if name.startswith(_KEPT) else None
        if kind == "file" and sha256:
            findings.add(name, *_file_problems(study, name, sha256))
        elif name.startswith(_KEPT) and not study.compared(name, PurePosixPath(name).stem)[0]:
            # Kept under its own sha256 by a job that was killed before its record was written.
            left += 1
        elif is_record(name):
            detail = "is not in the history"
            findings.add(name, Problem(State.RECORD_ALTERED, "history", detail))
        else:
            reason = "link" if "link" in kind else "foreign"
            detail = "no record names it" if kind == "file" else f"is {kind}"
            findings.add(name, Problem(State.FOREIGN, reason, detail))
    if left:
        findings.notes.append(f"{left} files in provenance/ are of jobs that did not finish")
