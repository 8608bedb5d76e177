"""A study as a Workflow Run RO-Crate, whose workflow is a table of steps: its stages.

An entity is written down together with those within it; what several have in common is the same
entity, and stands in the crate once.
"""

import hashlib
import json
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from mimetypes import MimeTypes
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from rocrate.model.computationalworkflow import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from audit_trail.errors import AuditError, BadFileError, MissingFileError
from audit_trail.export.citation import FILE, Entity, read_citation
from audit_trail.files import canonical_json, copy, digest, read_bytes, read_json
from audit_trail.plain import facts, parameters
from audit_trail.project import Project
from audit_trail.records import Record, Resource
from audit_trail.repository import Repository
from audit_trail.signature import signatures
from audit_trail.study import StudyFolder
from audit_trail.verify import belonging

METADATA = "ro-crate-metadata.json"
_RUN = "https://w3id.org/ro/terms/workflow-run"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_KINDS = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}
# Without what a system has in its own tables: the same study gives the same bytes everywhere.
_FORMATS = MimeTypes()
_FORMATS.add_type("application/octet-stream", ".safetensors")


def write_crate(
    study: StudyFolder, repository: Repository, project: Project, target: Path
) -> dict[str, int]:
    """Write a study as a crate; the same study gives the same bytes.

    Args:
        study: that was verified.
        repository: with the code, the people and the licence.
        project: that the study is of.
        target: folder to write; must not exist.

    Returns:
        How many jobs, files, entities and withheld files there are.

    Raises:
        AuditError: the checkout lacks CITATION.cff or the workflow, or the workflow ran no job.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
        folder = Path(temporary) / "crate"
        newest = max(study.records.values(), key=lambda record: (record.finished, record.name))
        code = _Code(repository, newest.commit)
        crate = _Crate(study, newest, code, project.name, folder)
        crate.describe()
        metadata = crate.crate.metadata.generate()
        (folder / METADATA).write_text(json.dumps(metadata, indent=4, sort_keys=True))
        folder.rename(target)
    identifiers = [entity.id for entity in crate.crate.get_entities()]
    return {
        "jobs": len(study.records),
        "files": len(crate.files),
        "entities": len(identifiers),
        "withheld": sum(identifier.startswith("#withheld/") for identifier in identifiers),
    }


class _Code:
    """Files of a clone as they were at the commit of a study, or as they are now without it."""

    def __init__(self, repository: Repository, commit: str | None) -> None:
        self._repository = repository
        self._commit = commit if commit and repository.has(commit) else None
        now = f"as the clone has it now, without the recorded commit {commit or 'of any'}"
        self.origin = f"as of commit {commit}" if self._commit else now

    def read(self, name: str, needed: bool = False) -> bytes:
        """Return the content of a file by its path from the root; empty if there is none.

        Args:
            name: its path.
            needed: whether it is to be as it is now if the commit does not have it.

        Raises:
            AuditError: it is needed, and is not there.
        """
        content = self._repository.read(self._commit, name) if self._commit else None
        if content is None and (needed or not self._commit):
            try:
                content = read_bytes(self._repository.folder / name, self._repository.folder)
            except BadFileError as error:
                if needed:
                    raise AuditError(f"{error}; expected a clone of the project") from error
        return content or b""

    def rules(self) -> list[str]:
        """Return the files with the rules of the workflow."""
        return self._repository.names(self._commit, "workflow/rules") if self._commit else []


class _HowTo(ComputationalWorkflow):  # type: ignore[misc]
    """A workflow whose steps are described."""

    TYPES = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]  # noqa: RUF012


class _Crate:
    """A crate that is being filled.

    Attributes:
        crate: of the library, with all entities.
        files: references to those that lie in the folder, by their path in it.
    """

    def __init__(
        self, study: StudyFolder, newest: Record, code: _Code, command: str, folder: Path
    ) -> None:
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_contexts.append(f"{_RUN}/context")
        self.files: dict[str, Entity] = {}
        self._code = code
        self._study = study
        self._newest = newest
        self._command = command
        self._folder = folder
        self._citation = self._linked(read_citation(code.read(FILE, needed=True)))
        # Each file that jobs name is added once, with all its places among inputs and outputs.
        self._resources: dict[tuple[str, str], Entity] = {}
        self._places: dict[tuple[str, str], list[Entity]] = {}

    def describe(self) -> None:
        """Add all of a study."""
        records = [self._study.records[name] for name in sorted(self._study.records)]
        # A definition is what a rule passes; a command that was typed by hand has none.
        ruled = [record for record in records if record.definition]
        if not ruled:
            raise AuditError(
                f"{self._study.folder}: no job of it was run by the workflow, so that there is no "
                "run to export; expected a study that Snakemake has made"
            )
        stages = {stage: _Stage(stage, records) for stage in _order(self._study, records)}
        for record in records:
            for resource in (*record.inputs, *record.external, *record.outputs):
                places = self._places.setdefault((resource.name, resource.sha256), [])
                places.append(stages[record.stage].place(record, resource))
        tools = {record.name: self._tool(record, stages[record.stage]) for record in records}
        jobs = {r.name: self._job(r, stages[r.stage], tools[r.name]) for r in records}
        for name, sha256 in belonging(self._study).items():
            self._copied(name, sha256 or "")
        good, wrong = signatures(self._study)
        for name in (signed for file in good for signed in (file, f"{file}.sig")):
            if name not in wrong:
                self._copied(name)
        for name in (FILE, "LICENSE", *self._code.rules()):
            if content := self._code.read(name, needed=name == FILE):
                self._text(name, content, description=f"Of the code, {self._code.origin}")
        workflow, given = self._workflow(ruled, stages, tools)
        whole = self._run(workflow, given, records, jobs)
        name = self._study.name
        properties = self._linked(
            {
                "name": name,
                "description": f"The study '{name}', made with {self._citation['name']}: results, "
                "the record of each job that made them, and their history.",
                "datePublished": _moment(self._newest.finished),
                "conformsTo": [_work(uri, name) for uri, name in _PROFILES.items()],
                "mentions": [*whole, *({"@id": _identify("job", _title(r))} for r in records)],
                **{key: self._citation[key] for key in ("license", "author", "citation")},
            }
        )
        for key, value in properties.items():
            self.crate.root_dataset[key] = value

    def _workflow(
        self, records: list[Record], stages: "Mapping[str, _Stage]", tools: Mapping[str, Entity]
    ) -> tuple[Entity, list[Entity]]:
        """Add the workflow with its steps; return it, and the file that configured this study."""
        name = f"config/{self._study.name}.yaml"
        configuration = _parameter("#configuration", "configuration", ["File"])
        content = self._code.read(name)
        given = [self._text(name, content, exampleOfWork=configuration)] if content else []
        used: dict[str, list[Entity]] = {}
        for record in records:
            used.setdefault(record.stage, []).append(tools[record.name])
        ordered = [stage for stage in stages if stage in used]
        workflow = self._text(
            "Snakefile",
            self._code.read("Snakefile", needed=True),
            _HowTo,
            description=f"The workflow, {self._code.origin}",
            version=self._newest.commit,
            conformsTo=_bioschemas("ComputationalWorkflow"),
            license=self._citation["license"],
            hasPart=list(tools.values()),
            step=[
                {
                    "@id": _identify("step", stage),
                    "@type": "HowToStep",
                    "name": stage,
                    "position": str(position),
                    "workExample": used[stage],
                }
                for position, stage in enumerate(ordered, 1)
            ],
            input=configuration,
            output=[place for stage in stages.values() for place in stage.outputs.values()],
        )
        return workflow, given

    def _run(
        self,
        workflow: Entity,
        given: list[Entity],
        records: list[Record],
        jobs: Mapping[str, Entity],
    ) -> list[Entity]:
        """Add the run of the workflow as a whole, and what its engine did for it."""
        ruled = [record for record in records if record.definition]
        by_hand = [record for record in records if not record.definition]
        given += [self._resource(r) for record in ruled for r in record.external]
        given += [self._resource(r) for record in by_hand for r in record.outputs]
        started = _moment(min(record.started for record in records))
        finished = _moment(self._newest.finished)
        whole = self._action(
            "#run",
            f"The study {self._study.name}",
            started,
            finished,
            instrument=workflow,
            object=given,
            result=[self._resource(r) for record in ruled for r in record.outputs],
        )
        engine = {
            "@id": "https://snakemake.github.io",
            "@type": "SoftwareApplication",
            "name": "Snakemake",
            "url": "https://snakemake.github.io",
            "softwareVersion": self._engine_version(),
        }
        controls = [
            {
                "@id": _identify("control", _title(record)),
                "@type": "ControlAction",
                "name": f"Snakemake starts {_title(record)}",
                "instrument": {"@id": _identify("step", record.stage)},
                "object": jobs[record.name],
            }
            for record in ruled
        ]
        organised = self._action(
            "#engine-run",
            f"Snakemake makes the study {self._study.name}",
            started,
            finished,
            kind="OrganizeAction",
            instrument=engine,
            object=controls,
            result=whole,
        )
        return [whole, organised]

    def _job(self, record: Record, stage: "_Stage", tool: Entity) -> Entity:
        """Add what a job did."""
        known = facts(record)
        machine = {
            "@id": _identify("machine", digest(known)[:16]),
            "@type": "Place",
            "name": str(record.machine.get("host", "a machine")),
            "additionalProperty": [_value(name, value) for name, value in known.items()],
        }
        image = record.image and {
            "@id": _identify("image", record.image.sha256),
            "@type": "ContainerImage",
            "name": record.image.name,
            "sha256": record.image.sha256,
            "additionalType": {"@id": f"{_RUN}#SIFImage"},
        }
        values = [_value(n, v, stage.parameters[n]) for n, v in parameters(record).items()]
        invocation = record.statement["predicate"]["runDetails"]["metadata"].get("invocationId")
        return self._action(
            _identify("job", _title(record)),
            _title(record),
            _moment(record.started),
            _moment(record.finished),
            description=shlex.join(record.command) or None,
            identifier=f"urn:uuid:{invocation}" if isinstance(invocation, str) else None,
            instrument=tool,
            object=[*map(self._resource, (*record.inputs, *record.external)), *values],
            result=[self._resource(resource) for resource in record.outputs],
            containerImage=image,
            location=machine,
            subjectOf=self._copied(record.name, record.sha256, description="Record of a job"),
        )

    def _action(
        self, identifier: str, name: str, started: str, finished: str, /, **properties: Any
    ) -> Entity:
        common = {
            "@id": identifier,
            "@type": properties.pop("kind", "CreateAction"),
            "name": name,
            "startTime": started,
            "endTime": finished,
            "agent": self._citation["author"],
            "actionStatus": "http://schema.org/CompletedActionStatus",
        }
        return self._add(common | properties)

    def _tool(self, record: Record, stage: "_Stage") -> Entity:
        """Add the command of a job, in the code and with the packages that it ran with."""
        needs = [self._resource(r) for role in ("packages", "lock") for r in record.kept_as(role)]
        based_on = [self._resource(resource) for resource in record.kept_as("source")]
        version = record.commit or "not from a commit"
        if record.uncommitted:
            version += f" with uncommitted changes (sha256 {record.uncommitted})"
        about = {key: self._citation.get(key) for key in ("license", "url")}
        if record.commit is not None:
            code = {
                "@id": _identify("code", record.commit, record.uncommitted or ""),
                "@type": "SoftwareSourceCode",
                "name": self._command,
                "description": f"The code of git commit {version}",
                "version": record.commit,
                "identifier": f"swh:1:rev:{record.commit}",
                "programmingLanguage": "Python",
                **about,
            }
            based_on.append(self._add(code))
        return self._add(
            {
                "@id": _identify("tool", stage.name, digest([needs, based_on, version])[:16]),
                "@type": "SoftwareApplication",
                "name": f"{self._command} {stage.name}",
                "softwareVersion": version,
                "softwareRequirements": needs,
                "isBasedOn": based_on,
                "input": [*stage.inputs.values(), *stage.parameters.values()],
                "output": list(stage.outputs.values()),
                **about,
            }
        )

    def _resource(self, resource: Resource) -> Entity:
        """Add a file with exactly the recorded bytes, or the description of one that is absent."""
        key = (resource.name, resource.sha256)
        if key not in self._resources:
            places = self._places.get(key, [])
            found: Entity | None = None
            if resource.role != "external":
                found = self._copied(*key, exampleOfWork=places)
            elif not {"", ".", ".."}.intersection(resource.name.split("/")):
                content = self._code.read(resource.name)
                if hashlib.sha256(content).hexdigest() == resource.sha256:
                    found = self._text(resource.name, content, exampleOfWork=places)
            absent = {
                "@id": _identify("withheld", resource.sha256),
                "@type": "File",
                "description": "Not in this crate; known by its sha256.",
                "exampleOfWork": places,
                **_described(*key),
            }
            self._resources[key] = found or self._add(absent)
        return self._resources[key]

    def _copied(self, name: str, sha256: str = "", **properties: Any) -> Entity | None:
        """Copy a file of the study to its place; None if it is absent, or has other bytes."""
        inside = f"results/{self._study.name}/{name}"
        if inside not in self.files:
            target = self._folder / inside
            try:
                found = copy(self._study.path(name), target, self._study.folder)
            except MissingFileError:
                return None
            if sha256 and found != sha256:
                target.unlink()
                return None
            self._file(inside, found, target.stat().st_size, **properties)
        return self.files[inside]

    def _text(
        self, name: str, content: bytes, kind: type | None = None, **properties: Any
    ) -> Entity:
        """Write a file with this content; ``kind`` is that of the workflow."""
        if name not in self.files:
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / name).write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            self._file(name, sha256, len(content), kind, **properties)
        return self.files[name]

    def _file(
        self, name: str, sha256: str, size: int, kind: type | None = None, **properties: Any
    ) -> None:
        given = {**_described(name, sha256), "contentSize": str(size), **properties}
        known = self._linked({key: value for key, value in given.items() if value})
        if kind is None:
            entity = self.crate.add_file(None, name, properties=known)
        else:
            entity = self.crate.add_workflow(
                None, name, main=True, lang="snakemake", cls=kind, properties=known
            )
        self.files[name] = {"@id": entity.id}

    def _add(self, entity: Entity) -> Entity:
        """Add an entity and those within it, unless it is there; return the reference to it."""
        if self.crate.get(entity["@id"]) is None:
            given = {k: v for k, v in entity.items() if k != "@id" and v not in (None, [], "")}
            linked = self._linked(given)
            self.crate.add(ContextEntity(self.crate, entity["@id"], properties=linked))
        return {"@id": entity["@id"]}

    def _linked(self, value: Any) -> Any:
        """Return properties with references in place of entities, and of a list of one that one."""
        if isinstance(value, list):
            unique = list({canonical_json(v): v for v in map(self._reference, value)}.values())
            return unique[0] if len(unique) == 1 else unique
        if isinstance(value, dict):
            return {key: self._linked(self._reference(item)) for key, item in value.items()}
        return value

    def _reference(self, value: Any) -> Any:
        return self._add(value) if isinstance(value, dict) and "@type" in value else value

    def _engine_version(self) -> str:
        """Return the version of Snakemake among the packages of the newest job."""
        for resource in self._newest.kept_as("packages"):
            try:
                listed = read_json(self._study.path(resource.name), self._study.folder)
                return str(listed["snakemake"])
            except (BadFileError, KeyError, TypeError):
                break
        return "not recorded"


class _Stage:
    """A step of the workflow: what its command takes and gives, as entities by their names."""

    def __init__(self, name: str, records: Iterable[Record]) -> None:
        self.name = name
        self.inputs: dict[str, Entity] = {}
        self.outputs: dict[str, Entity] = {}
        own = [record for record in records if record.stage == name]
        for record in own:
            for resource in (*record.inputs, *record.external, *record.outputs):
                self.place(record, resource)
        given = [parameters(record) for record in own]
        kinds: dict[str, set[str]] = {}
        for parameter, value in (item for values in given for item in values.items()):
            kinds.setdefault(parameter, set()).add(_KINDS[type(value)])
        self.parameters = {
            parameter: _parameter(
                _identify("parameter", name, parameter), parameter, sorted(kinds[parameter])
            )
            | {"valueRequired": all(parameter in values for values in given)}
            for parameter in sorted(kinds)
        }

    def place(self, record: Record, resource: Resource) -> Entity:
        """Return a file's place among inputs or outputs: its name, "*" for that of the job."""
        way = "output" if resource.role == "output" else "input"
        name = PurePosixPath(resource.name).name.replace(PurePosixPath(record.name).stem, "*")
        places = self.outputs if way == "output" else self.inputs
        identifier = _identify(way, self.name, name)
        return places.setdefault(name, _parameter(identifier, name, ["File"]))


def _order(study: StudyFolder, records: Iterable[Record]) -> list[str]:
    """Return stages so that each comes after those whose outputs it reads."""
    before: dict[str, set[str]] = {stage: set() for stage in sorted({r.stage for r in records})}
    for record in study.records.values():
        makers = (study.makers.get(resource.name) for resource in record.inputs)
        before[record.stage] |= {m.stage for m in makers if m and m.stage != record.stage}
    try:
        return list(TopologicalSorter({k: sorted(v) for k, v in before.items()}).static_order())
    except CycleError:
        return list(before)


def _parameter(identifier: str, name: str, kinds: list[str]) -> Entity:
    return {
        "@id": identifier,
        "@type": "FormalParameter",
        "name": name,
        "additionalType": kinds,
        "conformsTo": _bioschemas("FormalParameter"),
    }


def _value(name: str, value: Any, place: Entity | None = None) -> Entity:
    identifier = digest([name, value, place and place["@id"]])[:16]
    known = {"@type": "PropertyValue", "name": name, "value": value, "exampleOfWork": place}
    return {"@id": f"#value/{identifier}", **known}


def _bioschemas(name: str) -> Entity:
    return _work(f"https://bioschemas.org/profiles/{name}/1.0-RELEASE", name)


def _work(uri: str, name: str) -> Entity:
    version = uri.rpartition("/")[2]
    return {"@id": uri, "@type": "CreativeWork", "name": name, "version": version}


def _described(name: str, sha256: str) -> Entity:
    kind = _FORMATS.guess_type(name)[0] or "text/plain"
    return {"name": name, "sha256": sha256, "encodingFormat": kind}


def _identify(*parts: str) -> str:
    return "#" + "/".join(quote(part, safe="/") for part in parts if part)


def _title(record: Record) -> str:
    return record.name.partition("/")[2].removesuffix(".json")


def _moment(time: str) -> str:
    """Return a recorded time in UTC without parts of a second."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError) as error:
        raise AuditError(f"{time!r} is no time of a job; expected 2026-01-02T03:04:05Z") from error
