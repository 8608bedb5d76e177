"""Which jobs must run again for an output, from the records alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from audit_trail.records import BadRecordError, Record, Resource
from audit_trail.report import printable
from audit_trail.reproduction.command import STAGES, arguments_of
from audit_trail.study import StudyFolder, has_link
from logdepth.errors import UserError
from logdepth.files import sha256_of


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        jobs: records of the jobs, in an order in which they can run; the one asked for is the last.
        reused: inputs that are there with the recorded bytes, to be taken as they are.
        commit: to run instead of the recorded ones; None runs those.
    """

    jobs: tuple[Record, ...]
    reused: tuple[Resource, ...]
    commit: str | None = None

    @property
    def seconds(self) -> float:
        """How long the jobs took when they were recorded."""
        return sum(record.seconds or 0.0 for record in self.jobs)

    def commit_of(self, record: Record) -> str:
        """Return the commit to run a job at."""
        return self.commit or record.commit or ""

    def commits(self) -> Iterator[str]:
        """Yield each commit that is needed, once."""
        yield from dict.fromkeys(self.commit_of(record) for record in self.jobs)


def make_plan(study: StudyFolder, name: str, deep: bool, commit: str | None = None) -> Plan:
    """Return what to run to make an output again.

    An input that was made again since is made as it was then, by the record in the history.

    Args:
        study: with its record.
        name: of the output within the study.
        deep: whether to make every input again, also those that are there.
        commit: to run instead of the recorded ones.

    Raises:
        UserError: a record is missing, altered, or one that cannot be followed.
    """
    wanted = study.record_for(name)
    records: dict[str, Record] = {}
    needs: dict[str, list[str]] = {}
    reused: dict[str, Resource] = {}
    waiting = [wanted]
    while waiting:
        record = waiting.pop()
        if record.sha256 in needs:
            continue
        _check(study, record, commit)
        records[record.sha256], needs[record.sha256] = record, []
        for resource in record.inputs:
            if not deep and _there(study, resource):
                reused[resource.name] = resource
                continue
            maker = _maker(study, resource)
            if maker is None:
                raise UserError(
                    f"{study.path(record.name)}: made from {printable(resource.name)} "
                    f"({resource.sha256[:12]}), which is not there and which no record explains"
                )
            needs[record.sha256].append(maker.sha256)
            waiting.append(maker)
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UserError(f"{study.folder}: records that need one another in a circle") from error
    plan = Plan(tuple(records[sha256] for sha256 in order), tuple(reused.values()), commit)
    _check_versions(study, plan)
    return plan


def _maker(study: StudyFolder, resource: Resource) -> Record | None:
    """Return the record of the job that wrote these bytes: the present one, or an older one."""
    wanted = (resource.name, resource.sha256)
    present = study.makers.get(resource.name)
    if present is not None and wanted in _outputs(present):
        return present
    for entry in reversed(study.history.entries):
        try:
            older = entry.parsed()
        except BadRecordError:
            continue
        if wanted in _outputs(older):
            return older
    return None


def _outputs(record: Record) -> list[tuple[str, str]]:
    return [(output.name, output.sha256) for output in record.outputs]


def _check(study: StudyFolder, record: Record, commit: str | None) -> None:
    """Check that a record is what its job wrote, and that its command can be run."""
    path = study.path(record.name)
    present = study.records.get(record.name)
    entry = study.history.latest().get(record.name)
    if present is record and (entry is None or entry.record_sha256 != record.sha256):
        raise UserError(
            f"{path}: not what its job wrote, by the history; expected a study that "
            "logdepth audit verify finds intact"
        )
    if record.command[:2] != ("logdepth", record.stage) or record.stage not in STAGES:
        known = ", ".join(STAGES)
        raise UserError(
            f"{path}: a job of the stage {printable(record.stage)!r} cannot be run again; "
            f"expected one of {known}"
        )
    if commit is None and record.commit is None:
        raise UserError(
            f"{path}: made outside of any commit, so that its code is unknown; expected "
            "--commit with one that may have it"
        )
    if commit is None and record.commit is not None and record.uncommitted is not None:
        raise UserError(
            f"{path}: made with uncommitted changes on {record.commit[:12]}; nobody has that "
            "code; expected --commit with one that may have it"
        )
    arguments_of(study, record)


def _check_versions(study: StudyFolder, plan: Plan) -> None:
    """Check that no two versions of a file are needed in the same place."""
    versions: dict[str, str] = {}
    wanted = [*plan.reused, *(output for record in plan.jobs for output in record.outputs)]
    for resource in wanted:
        if versions.setdefault(resource.name, resource.sha256) != resource.sha256:
            raise UserError(
                f"{study.path(resource.name)}: needed in two versions, which cannot lie in one "
                "folder; expected an output that was made from one version"
            )


def _there(study: StudyFolder, resource: Resource) -> bool:
    path = study.path(resource.name)
    linked = has_link(path, study.folder)
    return not linked and path.is_file() and sha256_of(path) == resource.sha256
