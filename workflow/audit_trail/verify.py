"""Whether every artefact of a study is what its job wrote, and how it was made is still known."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

from audit_trail.chain import Chain, Checks
from audit_trail.findings import Findings, Problem, State
from audit_trail.records import BadRecordError, Resource
from audit_trail.signature import check_signatures
from audit_trail.study import StudyFolder, has_link
from logdepth.files import sha256_of
from logdepth.provenance.format import HISTORY, PROVENANCE

# What the workflow leaves in the folder of a study and is no result.
_BESIDE = (
    *("benchmarks", "checkpoints", "logs", "report.html", "report.zip", "traces"),
    # What the workflow hands to commands, who keep a copy, and what it counted.
    *("study.json", "costs.json", "captions"),
)
_KEPT = (f"{PROVENANCE}/environments/", f"{PROVENANCE}/sources/", f"{PROVENANCE}/studies/")
_SIGNATURES = f"{PROVENANCE}/signatures/"


def verify(study: StudyFolder, checks: Checks, only: str | None = None) -> Findings:
    """Return the state of every artefact of a study.

    Args:
        study: to look at.
        checks: what to compare it with.
        only: an output, to look at it and at what it was made from alone.

    Raises:
        UserError: ``only`` has no record.
    """
    history = study.history
    findings = Findings(str(study.folder), entries=len(history.hashes), head=history.head)
    wanted = None if only is None else _ancestry(study, only)
    latest = history.latest()
    chain = Chain(study, checks)
    claims: dict[str, list[str]] = {}
    for record in study.records.values():
        for output in record.outputs:
            claims.setdefault(output.name, []).append(record.name)
    hashed = _hashed(sorted(claims if wanted is None else wanted & set(claims)), checks, findings)

    for name in sorted({*study.records, *study.bad, *latest}):
        if wanted is not None and name not in wanted:
            continue
        of_record = _record_problems(study, name)
        findings.add(name, *of_record)
        if of_record:
            _lost_outputs(study, name, claims, findings)
        found = study.records.get(name)
        if found is None:
            continue
        shared = [*chain.broken(found), *chain.stale(found)]
        if of_record:
            shared.append(Problem(State.RECORD_ALTERED, "record", f"its record {name} is altered"))
        for output in found.outputs:
            if wanted is not None and output.name not in wanted:
                continue
            if len(claims[output.name]) > 1:
                detail = "is claimed by several records: " + ", ".join(claims[output.name])
                findings.add(output.name, Problem(State.RECORD_ALTERED, "claimed", detail))
            _check_output(study, output, shared, findings, hashed)
    _check_history(study, checks, findings)
    if wanted is None:
        _check_files(study, findings)
    findings.notes += chain.notes()
    return findings


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
    """Return which outputs to hash."""
    if checks.sample is None or checks.sample >= len(names):
        return set(names)
    findings.notes.append(
        f"{checks.sample} of {len(names)} outputs hashed, chosen with the seed {checks.seed}"
    )
    return set(random.Random(checks.seed).sample(names, checks.sample))


def _record_problems(study: StudyFolder, name: str) -> list[Problem]:
    def altered(reason: str, detail: str) -> list[Problem]:
        return [Problem(State.RECORD_ALTERED, reason, detail)]

    if name in study.bad:
        return altered("malformed", study.bad[name])
    record = study.records.get(name)
    if record is None:
        return [Problem(State.RECORD_MISSING, "record", "is in the history, but not there")]
    entry = study.history.latest().get(name)
    if entry is not None and entry.record_sha256 == record.sha256:
        if entry.content.get("statement") != record.statement:
            return altered("history", f"is another than line {entry.number} of the history holds")
        return []
    for earlier in reversed(study.history.entries):
        if earlier.record_sha256 == record.sha256:
            if earlier.record == name:
                detail = f"is an older version, from line {earlier.number} of the history"
                return altered("rollback", detail)
            return altered("copied", f"is the record {earlier.record}, copied")
    if entry is None:
        return altered("history", "is not in the history")
    return altered("edited", f"is not what its job wrote (line {entry.number} of the history)")


def _lost_outputs(
    study: StudyFolder, name: str, claims: dict[str, list[str]], findings: Findings
) -> None:
    """Add the outputs of a job that its record no longer tells of, as the history has them."""
    entry = study.history.latest().get(name)
    try:
        outputs = entry.parsed().outputs if entry else ()
    except BadRecordError:
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
    hashed: set[str],
) -> None:
    path = study.path(output.name)
    if has_link(path, study.folder):
        detail = "is a symbolic link, or lies behind one, in place of the file"
        findings.add(output.name, Problem(State.MODIFIED, "link", detail))
    elif not path.is_file():
        if study.history.withheld().get(output.name) == output.sha256:
            return
        findings.add(output.name, Problem(State.MISSING, "output", "is not there"))
    elif output.name in hashed:
        sha256 = sha256_of(path)
        if sha256 != output.sha256:
            detail = f"its sha256 is {sha256[:12]}, recorded was {output.sha256[:12]}"
            findings.add(output.name, Problem(State.MODIFIED, "bytes", detail))
    else:
        return
    findings.add(output.name, *shared)


def _check_history(study: StudyFolder, checks: Checks, findings: Findings) -> None:
    history = study.history
    findings.add(HISTORY)
    if not study.path(HISTORY).is_file():
        findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "history", "is not there"))
    for detail in history.breaks:
        findings.add(HISTORY, Problem(State.BROKEN_CHAIN, "history", detail))
    for number in history.torn:
        findings.notes.append(f"line {number} of the history was cut short; the chain goes on")
    problems, notes = check_signatures(study, checks.signers)
    findings.add(HISTORY, *problems)
    findings.notes += notes
    absent = [n for n in history.withheld() if not study.path(n).is_file()]
    if absent:
        findings.notes.append(f"{len(absent)} outputs were withheld when this was published")


def _check_files(study: StudyFolder, findings: Findings) -> None:
    """Add the files that no record claims."""
    for name in _files(study.folder):
        if name in findings.problems or name == f"{PROVENANCE}/history.lock":
            continue
        path = study.path(name)
        if name.startswith(_SIGNATURES):
            findings.add(name)
        elif name.startswith(_KEPT) and not path.is_symlink():
            findings.add(name)
            if not path.is_file() or sha256_of(path) != path.stem:
                detail = "is named after another sha256 than it has"
                findings.add(name, Problem(State.MODIFIED, "bytes", detail))
        elif name not in study.makers:
            findings.add(name, Problem(State.FOREIGN, "foreign", "no rule has made it"))


def _files(folder: Path, below: str = "") -> Iterator[str]:
    """Yield every file below a folder, and every link without following it."""
    with os.scandir(folder / below) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            name = f"{below}{entry.name}"
            if not below and entry.name in _BESIDE:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(folder, f"{name}/")
            else:
                yield name
