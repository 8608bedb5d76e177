"""Which jobs must run again for an output, from the records alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import PurePosixPath

from logdepth.audit.records import Record, Resource
from logdepth.audit.report import printable
from logdepth.audit.study import StudyFolder, has_link
from logdepth.errors import UserError
from logdepth.files import sha256_of

# Commands that make something; the others only tell.
STAGES = (
    "attention",
    "compare",
    "curves",
    "data",
    "describe",
    "evaluate",
    "figure",
    "fit",
    "tabulate",
    "train",
)


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        jobs: records of the jobs, in an order in which they can run; the one asked for is the last.
        reused: inputs that are there with the recorded bytes, to be taken as they are.
    """

    jobs: tuple[Record, ...]
    reused: tuple[Resource, ...]

    @property
    def seconds(self) -> float:
        """How long the jobs took when they were recorded."""
        return sum(_seconds(record) for record in self.jobs)


def make_plan(study: StudyFolder, name: str, deep: bool) -> Plan:
    """Return what to run to make an output again.

    Args:
        study: with its record.
        name: of the output within the study.
        deep: whether to make every input again, also those that are there.

    Raises:
        UserError: a record is missing, altered, or one that cannot be followed.
    """
    wanted = study.record_for(name)
    needs: dict[str, set[str]] = {}
    reused: dict[str, Resource] = {}
    waiting = [wanted]
    while waiting:
        record = waiting.pop()
        if record.name in needs:
            continue
        _check(study, record)
        needs[record.name] = set()
        for resource in record.inputs:
            if not deep and _there(study, resource):
                reused[resource.name] = resource
                continue
            maker = study.makers.get(resource.name)
            if maker is None or resource.sha256 not in {o.sha256 for o in maker.outputs}:
                raise UserError(
                    f"{study.path(record.name)}: made from {printable(resource.name)} "
                    f"({resource.sha256[:12]}), which is not there and which no record explains"
                )
            needs[record.name].add(maker.name)
            waiting.append(maker)
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UserError(f"{study.folder}: records that need one another in a circle") from error
    return Plan(tuple(study.records[n] for n in order), tuple(reused.values()))


def prefix_of(study: StudyFolder, record: Record) -> str:
    """Return the folder of the study as the recorded command wrote it.

    Raises:
        UserError: the command does not name its record.
    """
    words = list(record.command)
    for option, value in pairwise(words):
        if option == "--record" and value.endswith(f"/{record.name}"):
            return value.removesuffix(f"/{record.name}")
    raise UserError(
        f"{study.path(record.name)}: its command does not name this record, so that it cannot be "
        "followed"
    )


def arguments_of(study: StudyFolder, record: Record) -> list[str]:
    """Return the arguments of a recorded command, with its study at results/<name>.

    A record may come from anybody: a path that leads elsewhere is refused.

    Raises:
        UserError: an argument leads out of the working folder.
    """
    prefix = prefix_of(study, record)
    arguments = []
    for word in record.command[1:]:
        moved = word
        if word == prefix or word.startswith(f"{prefix}/"):
            moved = f"results/{study.name}{word.removeprefix(prefix)}"
        path = PurePosixPath(moved.partition("=")[2] if moved.startswith("--") else moved)
        if path.is_absolute() or ".." in path.parts:
            raise UserError(
                f"{study.path(record.name)}: its command leads to {printable(word)!r}, out of the "
                "folder; right would be paths within it"
            )
        arguments.append(moved)
    return arguments


def _check(study: StudyFolder, record: Record) -> None:
    """Check that a record is what its job wrote, and that its command can be run."""
    path = study.path(record.name)
    entry = study.history.latest().get(record.name)
    if entry is None or entry.record_sha256 != record.sha256:
        raise UserError(
            f"{path}: not what its job wrote, by the history; right would be a study that "
            "logdepth audit verify finds intact"
        )
    if record.command[:2] != ("logdepth", record.stage) or record.stage not in STAGES:
        known = ", ".join(STAGES)
        raise UserError(
            f"{path}: a job of the stage {printable(record.stage)!r} cannot be run again; right "
            f"would be one of {known}"
        )
    if record.commit is None:
        raise UserError(f"{path}: made outside of any commit, so that its code is unknown")
    if record.uncommitted is not None:
        raise UserError(
            f"{path}: made with uncommitted changes on {record.commit[:12]}; nobody has that code"
        )
    arguments_of(study, record)


def _there(study: StudyFolder, resource: Resource) -> bool:
    path = study.path(resource.name)
    linked = has_link(path, study.folder)
    return not linked and path.is_file() and sha256_of(path) == resource.sha256


def _seconds(record: Record) -> float:
    try:
        started, finished = map(datetime.fromisoformat, (record.started, record.finished))
        return max(0.0, (finished - started).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def commits(plan: Plan) -> Iterator[str]:
    """Yield each commit that a plan needs, once."""
    yield from dict.fromkeys(record.commit for record in plan.jobs if record.commit)
