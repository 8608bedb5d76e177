"""Which jobs must run again for an output, from the records alone."""

from graphlib import CycleError, TopologicalSorter

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import sha256_of
from audit_trail.project import Project
from audit_trail.records import BadRecordError, Record, Resource
from audit_trail.reproduction.command import Command, command_of
from audit_trail.study import StudyFolder


def make_plan(
    project: Project, study: StudyFolder, name: str, deep: bool, commit: str | None = None
) -> tuple[list[tuple[Record, Command]], set[str]]:
    """Return what to run to make an output again.

    An input that was made again since is made as it was then, by the record in the history.

    Args:
        project: says how its commands are run again.
        study: with the record of the output.
        name: of the output within the study.
        deep: whether to make every input again, also those that are there.
        commit: to run instead of the recorded ones.

    Returns:
        Records of jobs with the commands that make their outputs, in an order in which they can
        run, the one asked for last; and the names of inputs that are there with the recorded bytes,
        to be taken as they are.

    Raises:
        AuditError: a record is missing, altered, or one that cannot be followed.
    """
    jobs: dict[str, tuple[Record, Command]] = {}
    needs: dict[str, list[str]] = {}
    reused: set[str] = set()
    waiting = [study.record_for(name)]
    while waiting:
        record = waiting.pop()
        if record.sha256 in needs:
            continue
        _check(study, record, commit)
        jobs[record.sha256] = record, command_of(project, study, record)
        needs[record.sha256] = []
        for resource in record.inputs:
            maker = _maker(study, resource)
            if maker is None:
                raise AuditError(
                    f"{study.path(record.name)}: made from {resource.name} "
                    f"({resource.sha256[:12]}), which no record explains"
                )
            if not deep and _is_there(study, resource):
                reused.add(resource.name)
            else:
                needs[record.sha256].append(maker.sha256)
                waiting.append(maker)
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise AuditError(f"{study.folder}: records that need one another in a circle") from error
    return [jobs[sha256] for sha256 in order], reused


def _maker(study: StudyFolder, resource: Resource) -> Record | None:
    """Return the record of the job that wrote these bytes: the present one, or an older one."""
    present = study.makers.get(resource.name)
    if present is not None and _made(present, resource):
        return present
    for entry in reversed(study.history.entries):
        try:
            older = entry.parsed()
        except BadRecordError:
            continue
        if _made(older, resource):
            return older
    return None


def _made(record: Record, resource: Resource) -> bool:
    wanted = (resource.name, resource.sha256)
    return any((output.name, output.sha256) == wanted for output in record.outputs)


def _check(study: StudyFolder, record: Record, commit: str | None) -> None:
    """Check that a record is what its job wrote, and that its code can be had."""
    present = study.records.get(record.name)
    entry = study.history.latest().get(record.name)
    reason = None
    if present is record and (entry is None or entry.record_sha256 != record.sha256):
        reason = "not what its job wrote, by the history; expected a study that verifies"
    elif commit is None and record.commit is None:
        reason = "at no known commit; expected --commit with one that may have its code"
    elif commit is None and record.uncommitted is not None:
        reason = (
            f"made with uncommitted changes on {str(record.commit)[:12]}; nobody has that code; "
            "expected --commit with one that may have it"
        )
    if reason:
        raise AuditError(f"{study.path(record.name)}: {reason}")


def _is_there(study: StudyFolder, resource: Resource) -> bool:
    try:
        return sha256_of(study.path(resource.name), study.folder) == resource.sha256
    except BadFileError:
        return False
