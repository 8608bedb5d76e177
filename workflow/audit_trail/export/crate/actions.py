"""What happened, as entities of a crate: jobs, the steps they belong to, the run as a whole."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from urllib.parse import unquote

from audit_trail.export.crate.artefacts import Artefacts
from audit_trail.export.crate.graph import Graph, Reference, identify
from audit_trail.export.crate.software import Software, place
from audit_trail.records import Record
from audit_trail.study import StudyFolder
from logdepth.errors import UserError

COMPLETED = "http://schema.org/CompletedActionStatus"


@dataclass
class Jobs:
    """The jobs of a study in a crate.

    Attributes:
        actions: of every job.
        controls: of the jobs that the workflow ran; those run by hand have none.
        tools: that the workflow ran, by stage.
        results: files that the workflow made.
        given: files that it found: from elsewhere, or made by hand.
    """

    actions: list[Reference] = field(default_factory=list)
    controls: list[Reference] = field(default_factory=list)
    tools: dict[str, list[Reference]] = field(default_factory=dict)
    results: list[Reference] = field(default_factory=list)
    given: list[Reference] = field(default_factory=list)


def add_jobs(
    graph: Graph,
    study: StudyFolder,
    artefacts: Artefacts,
    software: Software,
    agents: list[Reference],
) -> Jobs:
    """Add an action for every job of a study.

    Raises:
        UserError: the workflow ran none of them, or a time cannot be read.
    """
    jobs = Jobs()
    for name in sorted(study.records):
        record = study.records[name]
        external = [artefacts.add(resource) for resource in record.external]
        inputs = [artefacts.add(resource) for resource in record.inputs]
        results = [artefacts.add(resource) for resource in record.outputs]
        tool = software.tool(record)
        parts = PurePosixPath(name).parts[1:]
        title = PurePosixPath(*parts).with_suffix("").as_posix()
        action = graph.add(
            identify("job", title),
            "CreateAction",
            name=title,
            description=shlex.join(record.command),
            identifier=invocation(record),
            instrument=tool,
            object=[*inputs, *external, *software.values(record)],
            result=results,
            startTime=moment(record.started, study, record),
            endTime=moment(record.finished, study, record),
            agent=agents,
            actionStatus=COMPLETED,
            containerImage=software.image(record),
            location=software.machine(record),
            subjectOf=artefacts.add_record(record),
        )
        jobs.actions.append(action)
        # A definition is what a rule passes; a command that was typed by hand has none.
        if record.definition:
            jobs.results += results
            jobs.given += external
            step = {"@id": identify("step", record.stage)}
            jobs.controls.append(
                graph.add(
                    identify("control", title),
                    "ControlAction",
                    name=f"Snakemake starts {title}",
                    instrument=step,
                    object=action,
                )
            )
            tools = jobs.tools.setdefault(record.stage, [])
            tools += [tool] if tool not in tools else []
        else:
            jobs.given += results
    if not jobs.controls:
        raise UserError(
            f"{study.folder}: no job of it was run by the workflow, so that there is no run to "
            "export; expected a study that Snakemake has made"
        )
    return jobs


def add_steps(graph: Graph, study: StudyFolder, jobs: Jobs) -> list[Reference]:
    """Add a step for each stage of the workflow, in the order in which they can run."""
    connections = _add_connections(graph, study)
    return [
        graph.add(
            identify("step", stage),
            "HowToStep",
            name=stage,
            position=str(position),
            workExample=jobs.tools[stage],
            connection=connections.get(stage),
        )
        for position, stage in enumerate(_order(study, jobs.tools))
    ]


def _add_connections(graph: Graph, study: StudyFolder) -> dict[str, list[Reference]]:
    """Add which output of a stage is which input of another, and return them by that other."""
    found = set()
    for record in study.records.values():
        for resource in record.inputs:
            maker = study.makers.get(resource.name)
            if maker is not None and maker.definition and record.definition:
                source = identify("output", maker.stage, place(maker, resource))
                target = identify("input", record.stage, place(record, resource))
                found.add((record.stage, source, target))
    connections: dict[str, list[Reference]] = {}
    for stage, source, target in sorted(found):
        names = source.removeprefix("#"), target.removeprefix("#")
        connection = graph.add(
            "/".join(("#connection", *names)),
            "ParameterConnection",
            name=" to ".join(map(unquote, names)),
            sourceParameter={"@id": source},
            targetParameter={"@id": target},
        )
        connections.setdefault(stage, []).append(connection)
    return connections


def moment(time: str, study: StudyFolder, record: Record) -> str:
    """Return a recorded time with its offset and without parts of a second.

    Raises:
        UserError: it is no time.
    """
    try:
        parsed = datetime.fromisoformat(time).astimezone(UTC)
    except ValueError as error:
        raise UserError(
            f"{study.path(record.name)}: metadata: {time!r} is no time; expected one such as "
            "2026-01-02T03:04:05.678Z"
        ) from error
    return parsed.isoformat(timespec="seconds")


def invocation(record: Record) -> str | None:
    """Return the identifier of a job's run, as a URN; None where it has none."""
    metadata = record.statement["predicate"]["runDetails"]["metadata"]
    found = metadata.get("invocationId")
    return f"urn:uuid:{found}" if isinstance(found, str) else None


def _order(study: StudyFolder, stages: Iterable[str]) -> list[str]:
    """Return stages so that each comes after those whose outputs it reads."""
    before: dict[str, set[str]] = {stage: set() for stage in sorted(stages)}
    for record in study.records.values():
        for resource in record.inputs:
            maker = study.makers.get(resource.name)
            if maker and {maker.stage, record.stage} <= set(before) and maker.stage != record.stage:
                before[record.stage].add(maker.stage)
    try:
        return list(TopologicalSorter({k: sorted(v) for k, v in before.items()}).static_order())
    except CycleError:
        return list(before)
