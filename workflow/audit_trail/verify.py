"""Whether every artefact of a study is what its job wrote, and how it was made is still known."""

import os
import random

from audit_trail.chain import Chain, Checks
from audit_trail.errors import BadFileError, MissingFileError
from audit_trail.files import MAX_BYTES, open_file, sha256_of
from audit_trail.findings import Findings, Problem, State
from audit_trail.format import HISTORY, KEPT_FOLDERS, LOCK, PROVENANCE
from audit_trail.history import Entry
from audit_trail.project import current
from audit_trail.records import BadRecordError, Record, Resource, moment
from audit_trail.signature import check_signatures
from audit_trail.study import StudyFolder, files_below

_KEPT = tuple(f"{PROVENANCE}/{folder}/" for folder in KEPT_FOLDERS)
CODE = "code"
"""What a finding about the clone is listed under."""
# What the clocks of two machines may differ by.
_SECONDS = 3600


def verify(study: StudyFolder, checks: Checks, only: str | None = None) -> Findings:
    """Return the state of every artefact of a study.

    Args:
        study: to look at.
        checks: what to compare it with.
        only: an output, to look at it and at what it was made from alone.

    Raises:
        AuditError: ``only`` has no record, or signatures cannot be checked.
    """
    history = study.history
    findings = Findings(str(study.folder), entries=len(history.hashes), head=history.head)
    wanted = None if only is None else _ancestry(study, only)
    chain = Chain(study, checks)
    claims: dict[str, list[str]] = {}
    for record in study.records.values():
        for output in record.outputs:
            claims.setdefault(output.name, []).append(record.name)
    versions = {entry.record_sha256: entry for entry in history.entries}
    hashed = _hashed(sorted(claims if wanted is None else wanted & set(claims)), checks, findings)

    for name in sorted({*study.records, *study.bad, *history.latest()}):
        if wanted is not None and name not in wanted:
            continue
        of_record = _record_problems(study, name, versions)
        findings.add(name, *of_record)
        if of_record:
            _add_lost_outputs(study, name, claims, findings)
        found = study.records.get(name)
        if found is None:
            continue
        shared = [*chain.broken(found), *chain.stale(found)]
        if any(problem.state is State.RECORD_ALTERED for problem in of_record):
            shared.append(Problem(State.RECORD_ALTERED, "record", f"its record {name} is altered"))
        for output in found.outputs:
            if wanted is not None and output.name not in wanted:
                continue
            problems = list(shared)
            if len(claims[output.name]) > 1:
                detail = "is claimed by several records: " + ", ".join(claims[output.name])
                problems.append(Problem(State.RECORD_ALTERED, "claimed", detail))
            _check_output(study, output, problems, findings, output.name in hashed)
    if checks.repository is not None and checks.repository.problem is not None:
        detail = f"no commit was looked at: {checks.repository.problem}"
        findings.add(CODE, Problem(State.NOT_CHECKED, "repository", detail))
    _check_history(study, checks, findings)
    if wanted is None:
        _check_files(study, findings)
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
    return found | _kept_before(study, set(found))


def _kept_before(study: StudyFolder, known: set[str]) -> dict[str, str | None]:
    """Return what earlier versions of records share, looked for only where something is left."""
    there = [name for folder in _KEPT for name, _ in files_below(study.folder, folder[:-1])]
    found: dict[str, str | None] = {}
    if not set(there) - known:
        return found
    for entry in study.history.entries:
        try:
            found |= {r.name: r.sha256 for r in entry.parsed().kept} if entry.record else {}
        except (BadRecordError, BadFileError):
            continue
    return {name: sha256 for name, sha256 in found.items() if name in there and name not in known}


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


def _hashed(names: list[str], checks: Checks, findings: Findings) -> set[str]:
    """Return which outputs to hash; nothing but this depends on the sample."""
    if checks.sample is None or checks.sample >= len(names):
        return set(names)
    findings.notes.append(
        f"{checks.sample} of {len(names)} outputs hashed, chosen with the seed {checks.seed}"
    )
    return set(random.Random(checks.seed).sample(names, checks.sample))


def _record_problems(study: StudyFolder, name: str, versions: dict[str, Entry]) -> list[Problem]:
    def altered(reason: str, detail: str) -> list[Problem]:
        return [Problem(State.RECORD_ALTERED, reason, detail)]

    if name in study.bad:
        return altered("malformed", study.bad[name])
    record = study.records.get(name)
    if record is None:
        return [Problem(State.RECORD_MISSING, "record", "is in the history, but not there")]
    entry = study.history.latest().get(name)
    if entry is not None and entry.record_sha256 == record.sha256:
        try:
            return _entry_problems(entry.content, record, entry.number)
        except BadRecordError as error:
            return altered("history", str(error))
    earlier = versions.get(record.sha256)
    if earlier is not None and earlier.record == name:
        detail = f"is an older version, from line {earlier.number} of the history"
        return altered("rollback", detail)
    if earlier is not None:
        return altered("copied", f"is the record {earlier.record}, copied")
    if entry is None:
        return altered("history", "is not in the history")
    return altered("edited", f"is not what its job wrote (line {entry.number} of the history)")


def _entry_problems(content: dict[str, object], record: Record, number: int) -> list[Problem]:
    """Return what is wrong with a record in view of its line in the history."""
    if content.get("statement") != record.statement:
        detail = f"is another than line {number} of the history holds"
        return [Problem(State.RECORD_ALTERED, "history", detail)]
    written, finished = moment(str(content["time"])), moment(record.finished)
    if written is None or (finished is not None and finished > written + _SECONDS):
        detail = f"is in the history before its job ended (line {number}, {content['time']})"
        return [Problem(State.BROKEN_CHAIN, "time", detail)]
    return []


def _add_lost_outputs(
    study: StudyFolder, name: str, claims: dict[str, list[str]], findings: Findings
) -> None:
    """Add the outputs of a job that its record no longer names, as the history has them."""
    entry = study.history.latest().get(name)
    try:
        outputs = entry.parsed().outputs if entry else ()
    except (BadRecordError, BadFileError):
        return
    for output in outputs:
        if output.name in claims:
            continue
        if os.path.lexists(study.path(output.name)):
            detail = f"its record {name} is gone, or no longer about it"
            findings.add(output.name, Problem(State.RECORD_MISSING, "record", detail))
        elif study.history.withheld().get(output.name) != output.sha256:
            findings.add(output.name, Problem(State.MISSING, "output", "is not there"))


def _check_output(
    study: StudyFolder,
    output: Resource,
    shared: list[Problem],
    findings: Findings,
    hashed: bool,
) -> None:
    folder = str(study.folder)
    path = f"{folder}/{output.name}"
    try:
        if hashed:
            sha256 = sha256_of(path, folder)
            if sha256 != output.sha256:
                detail = f"its sha256 is {sha256[:12]}, recorded was {output.sha256[:12]}"
                findings.add(output.name, Problem(State.MODIFIED, "bytes", detail))
        else:
            with open_file(path, folder, MAX_BYTES):
                pass
    except MissingFileError:
        if study.history.withheld().get(output.name) != output.sha256:
            findings.add(output.name, Problem(State.MISSING, "output", "is not there"))
        elif not shared:
            return
    except BadFileError as error:
        state = State.NOT_CHECKED if error.kind == "unreadable" else State.MODIFIED
        findings.add(output.name, Problem(state, error.kind, error.reason))
    if hashed or shared or output.name in findings.problems:
        findings.add(output.name, *shared)


def _check_history(study: StudyFolder, checks: Checks, findings: Findings) -> None:
    history = study.history
    findings.add(HISTORY)
    if not os.path.lexists(study.path(HISTORY)):
        findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "history", "is not there"))
    elif not history.hashes and not history.breaks:
        findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "history", "has no line"))
    for detail in history.breaks:
        findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "history", detail))
    latest = 0.0
    for entry in history.entries:
        time = moment(entry.time)
        if time is None or time < latest - _SECONDS:
            detail = f"line {entry.number} was written at {entry.time}, before the line above it"
            findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "time", detail))
            break
        latest = max(latest, time)
    for number in history.torn:
        findings.notes.append(f"line {number} of the history was cut short; the chain goes on")
    problems, notes = check_signatures(study, checks.signers, checks.least)
    for name, listed in problems.items():
        findings.add(name or HISTORY, *listed)
    findings.notes += notes
    absent = [n for n in history.withheld() if not os.path.lexists(study.path(n))]
    if absent:
        findings.notes.append(f"{len(absent)} files were withheld when this was published")


def _check_files(study: StudyFolder, findings: Findings) -> None:
    """Add what is there and was not looked at: shared files, and what does not belong."""
    known: dict[str, str | None] | None = None
    for name, kind in files_below(study.folder):
        if name in findings.problems or name == LOCK:
            continue
        if name.partition("/")[0] in current().unrecorded:
            continue
        if kind != "file":
            problem = Problem(State.FOREIGN, "link" if "link" in kind else "foreign", f"is {kind}")
            findings.add(name, problem)
        elif name.startswith(_KEPT):
            known = belonging(study) if known is None else known
            _check_kept(study, name, known, findings)
        elif name not in study.makers:
            findings.add(name, Problem(State.FOREIGN, "foreign", "no rule has made it"))


def _check_kept(
    study: StudyFolder, name: str, known: dict[str, str | None], findings: Findings
) -> None:
    findings.add(name)
    try:
        if name not in known:
            findings.add(name, Problem(State.FOREIGN, "foreign", "no record names it"))
        elif sha256_of(study.path(name), study.folder) != known[name]:
            detail = "is named after another sha256 than it has"
            findings.add(name, Problem(State.MODIFIED, "bytes", detail))
    except BadFileError as error:
        findings.add(name, Problem(State.MODIFIED, error.kind, error.reason))
