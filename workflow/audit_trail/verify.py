"""Whether every artefact of a study is what its job wrote, and how it was made is still known."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath

from audit_trail.errors import BadFileError
from audit_trail.files import read_json, sha256_of
from audit_trail.findings import Findings, Problem, State
from audit_trail.format import HISTORY, KEPT_FOLDERS, LOCK, PROVENANCE
from audit_trail.project import current
from audit_trail.records import Record, is_record, moment
from audit_trail.repository import Repository
from audit_trail.signature import check_signatures
from audit_trail.study import StudyFolder, files_below

_KEPT = tuple(f"{PROVENANCE}/{folder}/" for folder in KEPT_FOLDERS)
# What the clocks of two machines may differ by, and a time before there was this format.
_SECONDS, _FIRST = 3600, 1_577_836_800
# What is wrong with a file, by how it differs from its record.
_WRONG = {
    "missing": (State.MISSING, "output"),
    "unreadable": (State.NOT_CHECKED, "unreadable"),
    "link": (State.MODIFIED, "link"),
    "bytes": (State.MODIFIED, "bytes"),
}


def verify(
    study: StudyFolder,
    repository: Repository | None = None,
    *,
    only: str | None = None,
    signers: Path | None = None,
    least: int = 0,
) -> Findings:
    """Return the state of every artefact of a study, or of one output and what it was made from.

    Code, commits and images are those of ``repository``; None looks at none. The history must have
    ``least`` lines at least, and its newest be signed by one in the file ``signers``, if any. An
    AuditError says that the one output has no record, or that signatures cannot be checked.
    """
    history, chain = study.history, Chain(study, repository)
    findings = Findings(str(study.folder), history=history.hashes)
    claims = defaultdict(list)
    for maker in study.records.values():
        for output in maker.outputs:
            claims[output.name].append(maker.name)
    wanted = {*study.records, *study.bad, *claims}
    if only is not None:
        jobs = [*study.ancestors(study.record_for(only))]
        wanted = {only, *(job.name for job in jobs), *(r.name for job in jobs for r in job.inputs)}
    for name in sorted(wanted & history.latest.keys()):
        findings.add(name, *_record_problems(study, name))
        if (record := study.records.get(name)) is None:
            continue
        shared = [*chain.broken(record), *chain.stale(record)]
        for output in (output for output in record.outputs if output.name in wanted):
            problems = _file_problems(study, output.name, output.sha256)
            if len(claims[output.name]) > 1:
                by = f"is claimed by several records: {', '.join(claims[output.name])}"
                problems.append(Problem(State.RECORD_ALTERED, "claimed", by))
            if problems or shared or output.name in study.hashed:
                findings.add(output.name, *problems, *shared)
    detail: str | None = "neither commits, code nor images looked at: started outside of a clone"
    if repository is not None:
        findings.notes.append(f"commits and code are those of {repository.folder}")
        detail = repository.problem and f"no commit was looked at: {repository.problem}"
    if detail is not None:
        findings.add("code", Problem(State.NOT_CHECKED, "repository", detail))
    _check_history(study, least, findings)
    check_signatures(study, signers, findings)
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


class Chain:
    """The ways from outputs back to what made them; each file is hashed once."""

    def __init__(self, study: StudyFolder, repository: Repository | None) -> None:
        self._study, self._repository = study, repository
        self._hash = cache(sha256_of)

    def broken(self, record: Record) -> list[Problem]:
        """Return where the way from a job's outputs back to what made them is lost or unknown."""
        parts = (self._inputs, self._kept, self._times, self._image, self._commit)
        return [problem for part in parts for problem in part(record)]

    def stale(self, record: Record) -> list[Problem]:
        """Return what has changed since, so that the job would give something else now."""
        repository, found = self._repository, []
        if repository is not None:
            if changed := repository.other_code(self._study.listed(record, "source")):
                detail = f"its code has changed since: {', '.join(changed)}"
                found.append(Problem(State.STALE, "code", detail))
            for r in record.external:
                with suppress(BadFileError):
                    if self._hash(repository.folder / r.name, repository.folder) != r.sha256:
                        found.append(
                            Problem(State.STALE, "external", f"{r.name} has changed since")
                        )
        return found

    def _inputs(self, record: Record) -> Iterator[Problem]:
        made = self._study.made
        for resource in record.inputs:
            now = made.get(resource.name)
            if now is None:
                yield _broken("input", f"made from {resource.name}, which no record explains")
            elif now != resource.sha256:
                yield _broken("input", f"made from another {resource.name} than is there now")
        for resource in record.external:
            # Some ending of the path is an output of this study, with these bytes.
            parts = resource.name.split("/")
            endings = ["/".join(parts[i:]) for i in range(len(parts))]
            if any(made.get(name) == resource.sha256 for name in endings):
                yield _broken("input", f"calls {resource.name} external, but its study made it")

    def _kept(self, record: Record) -> Iterator[Problem]:
        for part, reason in record.unknown.items():
            yield Problem(State.NOT_CHECKED, part, f"its {part} is not known: {reason}")
        for role in ("packages", "source"):
            if not record.kept_as(role) and role not in record.unknown:
                yield _broken(role, f"its record has no list of its {role}")
        if record.image is None and not record.kept_as("lock") and "lock" not in record.unknown:
            yield _broken("lock", "its record has no lock, and no image, of its environment")
        for resource in record.kept:
            kind, reason = self._study.compared(resource.name, resource.sha256)
            reason = {"missing": "is gone", "bytes": "was altered"}.get(kind, reason)
            code = resource.role != "source" or self._study.listed(record, "source")
            reason = reason or ("" if code else "names no code")
            if reason and kind != "withheld":
                what = f"its {resource.role} {resource.annotations.get('file', '')}".strip()
                yield _broken(resource.role, f"{what} {reason} ({resource.name})")

    def _times(self, record: Record) -> Iterator[Problem]:
        started, finished = moment(record.started) or 0.0, moment(record.finished) or 0.0
        if not _FIRST <= started <= finished <= time.time() + _SECONDS:
            yield _broken("time", f"its times cannot be: {record.started} to {record.finished}")

    def _image(self, record: Record) -> Iterator[Problem]:
        image, repository = record.image, self._repository
        if image is not None and repository is not None:
            named = f"its image {image.name} ({image.sha256[:12]})"
            try:
                if self._hash(repository.image(image)) != image.sha256:
                    yield _broken("image", f"{named} is another now")
            except BadFileError as error:
                yield _broken("image", f"{named} is gone: {error}")

    def _commit(self, record: Record) -> Iterator[Problem]:
        commit, repository = record.commit, self._repository
        short = str(commit)[:12]
        if commit is None:
            if "commit" not in record.unknown:
                yield _broken("commit", "made outside of any commit")
        elif record.uncommitted is not None:
            yield _broken("uncommitted", f"made with uncommitted changes on {short}")
        elif repository is not None and repository.problem is None:
            other = repository.other_code(self._study.listed(record, "source"), commit)
            made = repository.time_of(commit)
            if made is None:
                # A shallow one lacks older ones, whatever is true of this one.
                state = State.NOT_CHECKED if repository.shallow else State.BROKEN_CHAIN
                kind = ", a shallow clone" if repository.shallow else ""
                detail = f"its commit {short} is not in {repository.folder}{kind}"
                yield Problem(state, "commit", detail)
            elif other:
                yield _broken("source", f"ran other code than {short} has: {', '.join(other)}")
            elif (moment(record.started) or made) < made - _SECONDS:
                yield _broken("time", f"started at {record.started}, before {short} was made")


def _broken(reason: str, detail: str) -> Problem:
    return Problem(State.BROKEN_CHAIN, reason, detail)


def _record_problems(study: StudyFolder, name: str) -> Iterator[Problem]:
    """Yield what is wrong with the newest line about a record, and with the record's file."""
    entry, _ = study.history.latest[name]
    if name in study.bad:
        yield Problem(State.RECORD_ALTERED, "malformed", study.bad[name])
        return
    record = study.records[name]
    kind, _ = study.compared(name, record.sha256)
    held = None
    with suppress(BadFileError):
        held = read_json(study.path(name), study.folder)
    if kind in ("missing", "withheld"):
        yield Problem(State.RECORD_MISSING, "record", "is in the history, but not there")
    elif kind or held != record.statement:
        yield Problem(State.RECORD_ALTERED, "edited", "is not what its job wrote")
    written, finished = moment(entry.time), moment(record.finished)
    if written is None or (finished is not None and finished > written + _SECONDS):
        yield _broken("time", f"is in line {entry.number} of the history before its job ended")


def _file_problems(study: StudyFolder, name: str, sha256: str) -> list[Problem]:
    kind, reason = study.compared(name, sha256)
    return [Problem(*_WRONG[kind], reason)] if kind in _WRONG else []


def _check_history(study: StudyFolder, least: int, findings: Findings) -> None:
    history = study.history
    faults = [("history", detail) for detail in history.breaks]
    if not history.hashes and not history.breaks:
        faults.append(("history", "has no line"))
    latest = 0.0
    for number, written in enumerate(history.times, 1):
        time = latest if written is None else moment(written)
        if time is None or time < latest - _SECONDS:
            faults.append(("time", f"line {number} is of {written}, before the line above it"))
            break
        latest = max(latest, time)
    if (total := len(history.hashes)) < least:
        faults.append(("history", f"has {total} lines, not {least}: later ones were taken away"))
    findings.add(HISTORY, *(Problem(State.BROKEN_CHAIN, *fault) for fault in faults))
    for number in history.torn:
        findings.notes.append(f"line {number} of the history was cut short; the chain goes on")
    absent = [n for n in history.withheld if not os.path.lexists(study.path(n))]
    if absent:
        findings.notes.append(f"{len(absent)} files are withheld or removed, as the history says")


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
            findings.add(name, Problem(State.RECORD_ALTERED, "history", "is not in the history"))
        else:
            reason = "link" if "link" in kind else "foreign"
            detail = "no record names it" if kind == "file" else f"is {kind}"
            findings.add(name, Problem(State.FOREIGN, reason, detail))
    if left:
        findings.notes.append(f"{left} files in provenance/ are of jobs that did not finish")
