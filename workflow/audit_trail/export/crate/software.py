"""What ran, as entities of a crate: tools with their parameters, code, images, machines."""

from pathlib import PurePosixPath
from typing import Any

from audit_trail.export.crate.artefacts import Artefacts
from audit_trail.export.crate.graph import WORKFLOW_RUN, Graph, Reference, identify
from audit_trail.plain import Plain, engine_version, facts, parameters
from audit_trail.records import Record, Resource
from audit_trail.study import StudyFolder
from logdepth.canonical import digest

_PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"


class Software:
    """Adds the software of a study; what two jobs share is added once.

    Args:
        graph: to add it to.
        artefacts: files that it needs.
        study: whose jobs ran it.
        licences: of the code.
        repository: where the code is published; empty if unknown.
    """

    def __init__(
        self,
        graph: Graph,
        artefacts: Artefacts,
        study: StudyFolder,
        licences: list[Reference],
        repository: str,
    ) -> None:
        self._graph = graph
        self._study = study
        self._artefacts = artefacts
        self._licences = licences
        self._repository = repository
        graph.add(_PARAMETER, "CreativeWork", name="FormalParameter", version="1.0-RELEASE")
        self.inputs: dict[str, list[Reference]] = {}
        self.outputs: dict[str, list[Reference]] = {}
        self._slots: dict[tuple[str, str], Reference] = {}
        records = list(study.records.values())
        for stage in sorted({record.stage for record in records}):
            self._add_slots(stage, [record for record in records if record.stage == stage])

    def _add_slots(self, stage: str, records: list[Record]) -> None:
        """Add what a tool takes and gives: its named parameters and files."""
        kinds: dict[str, set[str]] = {}
        for record in records:
            for name, value in parameters(record).items():
                kinds.setdefault(name, set()).add(_kind(value))
        everywhere = [set(parameters(record)) for record in records]
        named = []
        for name in sorted(kinds):
            slot = self._slot(stage, "parameter", name, sorted(kinds[name]))
            required = all(name in names for names in everywhere)
            self._slots[stage, name] = self._graph.add(
                slot.pop("@id"), "FormalParameter", **slot, valueRequired=required
            )
            named.append(self._slots[stage, name])
        files: dict[str, dict[str, Reference]] = {"input": {}, "output": {}}
        for record in records:
            for resource in (*record.inputs, *record.external, *record.outputs):
                way = "output" if resource.role == "output" else "input"
                name = place(record, resource)
                slot = self._slot(stage, way, name, ["File"])
                files[way][name] = self._graph.add(slot.pop("@id"), "FormalParameter", **slot)
                self._artefacts.expect(resource, files[way][name])
        self.inputs[stage] = [*(files["input"][name] for name in sorted(files["input"])), *named]
        self.outputs[stage] = [files["output"][name] for name in sorted(files["output"])]

    def _slot(self, stage: str, way: str, name: str, kinds: list[str]) -> dict[str, Any]:
        return {
            "@id": identify(way, stage, name),
            "name": name,
            "description": f"{way} of logdepth {stage}",
            "additionalType": kinds,
            "conformsTo": {"@id": _PARAMETER},
        }

    def configuration(self) -> Reference:
        """Add the place of the study's configuration among the inputs of the workflow."""
        return self._graph.add(
            identify("configuration"),
            "FormalParameter",
            name="configuration",
            description="configuration of the study",
            additionalType="File",
            conformsTo={"@id": _PARAMETER},
        )

    def values(self, record: Record) -> list[Reference]:
        """Add the parameters of a job."""
        return [
            self._graph.value(name, value, [self._slots[record.stage, name]])
            for name, value in parameters(record).items()
        ]

    def tool(self, record: Record) -> Reference:
        """Add the command of a job, in the code and with the packages that it ran with."""
        needs = [
            self._artefacts.add(r) for role in ("packages", "lock") for r in record.kept_as(role)
        ]
        based_on = [self._artefacts.add(r) for r in record.kept_as("source")]
        if record.commit is not None:
            based_on.append(self.code(record.commit, record.uncommitted))
        version = record.commit or "not from a commit"
        if record.uncommitted:
            version += f" with uncommitted changes (sha256 {record.uncommitted})"
        return self._graph.add(
            identify("tool", record.stage, digest([needs, based_on, version])[:16]),
            "SoftwareApplication",
            name=f"logdepth {record.stage}",
            softwareVersion=version,
            url=self._repository or None,
            softwareRequirements=needs,
            isBasedOn=based_on,
            input=self.inputs[record.stage],
            output=self.outputs[record.stage],
            license=self._licences,
        )

    def code(self, commit: str, uncommitted: str | None) -> Reference:
        """Add the project's code at a commit."""
        changed = f" with uncommitted changes, whose sha256 is {uncommitted}" if uncommitted else ""
        return self._graph.add(
            identify("code", commit, *([uncommitted] if uncommitted else [])),
            "SoftwareSourceCode",
            name="logdepth",
            description=f"The code of git commit {commit}{changed}",
            version=commit,
            identifier=f"swh:1:rev:{commit}",
            programmingLanguage="Python",
            codeRepository=self._repository or None,
            url=self._repository or None,
            license=self._licences,
        )

    def engine(self, record: Record) -> Reference:
        """Add Snakemake, in the version that the packages of a job name."""
        version = engine_version(record, self._study)
        return self._graph.add(
            "https://snakemake.github.io",
            "SoftwareApplication",
            name="Snakemake",
            url="https://snakemake.github.io",
            softwareVersion=version or "not recorded",
        )

    def image(self, record: Record) -> Reference | None:
        """Add the container image that a job ran in; None if it ran in none."""
        if record.image is None:
            return None
        return self._graph.add(
            identify("image", record.image.sha256),
            "ContainerImage",
            name=record.image.name,
            sha256=record.image.sha256,
            additionalType={"@id": f"{WORKFLOW_RUN}#SIFImage"},
        )

    def machine(self, record: Record) -> Reference:
        """Add the place where a job ran: host, processor, device, interpreter."""
        known = facts(record)
        return self._graph.add(
            identify("machine", digest(known)[:16]),
            "Place",
            name=str(record.machine.get("host", "a machine")),
            additionalProperty=[self._graph.value(name, value) for name, value in known.items()],
        )


def place(record: Record, resource: Resource) -> str:
    """Return the name of a file's place among inputs or outputs of its job.

    It is the file's own name, with an asterisk for that of the job: "*.pdf" of any figure.
    """
    name = PurePosixPath(resource.name).name
    return name.replace(PurePosixPath(record.name).stem, "*")


def _kind(value: Plain) -> str:
    kinds = {bool: "Boolean", int: "Integer", float: "Float"}
    return kinds.get(type(value), "Text")
