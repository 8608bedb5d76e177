"""A study as a Workflow Run RO-Crate, whose workflow is a table of steps: its stages.

An entity is a mapping that holds the entities it refers to. What several refer to has the same @id
and stands in the crate once, where ``_graph`` puts references in the place of entities.
"""

import hashlib
import json
import shlex
from collections import defaultdict
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from mimetypes import MimeTypes
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from audit_trail.citation import FILE, Entity, read_citation
from audit_trail.errors import AuditError
from audit_trail.files import canonical_json, digest, read_bytes
from audit_trail.plain import parameters, scalars
from audit_trail.project import Project
from audit_trail.publish import copy_study, new_folder
from audit_trail.records import Record, Resource
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder

_RUN = "https://w3id.org/ro/terms/workflow-run"
_PROFILES = (
    *(f"https://w3id.org/ro/wfrun/{kind}/0.5" for kind in ("process", "workflow", "provenance")),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
_BIOSCHEMAS = "https://bioschemas.org/profiles"
_SNAKEMAKE = "https://snakemake.github.io"
_WORKFLOW = "Snakefile"
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
        repository: clone with the commit of the study; people are those of its CITATION.cff.
        project: that the study is of.
        target: folder to write; must not exist.

    Returns:
        How many jobs, files, entities and withheld files there are.

    Raises:
        AuditError: the clone lacks CITATION.cff or the commit, or the workflow ran no job.
    """
    with new_folder(target) as folder:
        graph: dict[str, Entity] = {}
        described = _Study(study, repository, project.name, folder)
        crate = ROCrate(version="1.1")
        crate.metadata.extra_contexts.append(f"{_RUN}/context")
        root = {key: _graph(value, graph) for key, value in described.properties().items()}
        for name, properties in graph.items():
            if name == _WORKFLOW:
                crate.add_workflow(
                    dest_path=name, main=True, lang="snakemake", properties=properties
                )
            else:
                crate.add(ContextEntity(crate, name, properties))
        for key, value in root.items():
            crate.root_dataset[key] = value
        metadata = json.dumps(crate.metadata.generate(), indent=4, sort_keys=True)
        (folder / "ro-crate-metadata.json").write_text(metadata)
    withheld = sum(name.startswith("#withheld/") for name in graph)
    counts = {"jobs": len(study.records), "files": len(described.files)}
    return counts | {"entities": len(graph), "withheld": withheld}


class _Study:
    """What a study is, as entities.

    Attributes:
        files: those that are in the folder of the crate once this is made, by their names.
    """

    def __init__(
        self, study: StudyFolder, repository: Repository, command: str, folder: Path
    ) -> None:
        self._study, self._command = study, command
        self._records = [study.records[name] for name in sorted(study.records)]
        # A definition is what a rule passes; a command that was typed by hand has none.
        self._ruled = [record for record in self._records if record.definition]
        if not self._ruled:
            raise AuditError(f"{study.folder}: has no run; expected a study made by Snakemake")
        self._newest = max(self._records, key=lambda record: (record.finished, record.name))
        self._commit = self._newest.commit or "of any"
        if self._newest.commit is None or repository.time_of(self._commit) is None:
            raise AuditError(
                f"{repository.folder}: does not have the commit {self._commit} of {study.folder}; "
                "expected --repository with a clone that does"
            )
        people = read_bytes(repository.folder / FILE, repository.folder)
        self._citation = read_citation(people)
        self._configuration = f"config/{study.name}.yaml"
        self.files: dict[str, Entity] = {}
        for name, sha256 in copy_study(study, folder / "results" / study.name).items():
            self._add_file(folder, f"results/{study.name}/{name}", sha256)
        own = (FILE, "LICENSE", _WORKFLOW, self._configuration)
        external = {r.name: r.sha256 for record in self._records for r in record.external}
        for name in (*own, *repository.names(self._commit, "workflow/rules"), *external):
            if name in self.files or not {"", ".", ".."}.isdisjoint(name.split("/")):
                continue
            content = people if name == FILE else repository.read(self._commit, name)
            sha256 = hashlib.sha256(content or b"").hexdigest()
            if content is not None and external.get(name, sha256) == sha256:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
                self._add_file(folder, name, sha256)
        if _WORKFLOW not in self.files:
            raise AuditError(f"{repository.folder}: has no {_WORKFLOW} at {self._commit}")
        self._withheld: dict[str, Entity] = {}
        # What the stages take and give, and which places of theirs each file has.
        self._places: defaultdict[tuple[str, str], dict[str, Entity]] = defaultdict(dict)
        for record in self._records:
            for resource in (*record.inputs, *record.external, *record.outputs):
                way = "output" if resource.role == "output" else "input"
                # The name of the job, such as that of a run, is no part of a place.
                name = PurePosixPath(resource.name).name
                name = name.replace(PurePosixPath(record.name).stem, "*")
                place = self._place(record.stage, way, name, "File")
                self._resource(resource).setdefault("exampleOfWork", []).append(place)
            for name, value in parameters(record).items():
                self._place(record.stage, "parameter", name, _KINDS[type(value)])

    def properties(self) -> Entity:
        """Return the properties of the crate as a whole."""
        workflow, jobs = self._workflow(), {r.name: self._job(r) for r in self._records}
        given = [r for record in self._ruled for r in record.external]
        given += [r for record in self._records if not record.definition for r in record.outputs]
        run = self._action(
            *("CreateAction", "run", f"The study {self._study.name}"),
            instrument=workflow,
            object=[self.files.get(self._configuration), *map(self._resource, given)],
            result=[self._resource(r) for record in self._ruled for r in record.outputs],
        )
        version = self._study.listed(self._newest, "packages").get("snakemake")
        engine = self._action(
            *("OrganizeAction", "engine-run", f"Snakemake makes the study {self._study.name}"),
            instrument=_entity(
                *("SoftwareApplication", _SNAKEMAKE, "Snakemake"),
                url=_SNAKEMAKE,
                softwareVersion=version,
            ),
            object=[
                _entity(
                    "ControlAction",
                    *(_identify("control", record.title), f"Snakemake starts {record.title}"),
                    instrument={"@id": _identify("step", record.stage)},
                    object=jobs[record.name],
                )
                for record in self._ruled
            ],
            result=run,
        )
        return {
            "name": self._study.name,
            "description": f"The study '{self._study.name}', made with {self._citation['name']}: "
            "results, the record of each job that made them, and their history.",
            "datePublished": self._newest.finished,
            "conformsTo": [_profile(uri) for uri in _PROFILES],
            "mentions": [run, engine, *jobs.values()],
            **{key: self._citation[key] for key in ("license", "author")},
            # Last, for what is said first of an entity is what the crate has.
            "hasPart": [*self.files.values()],
        }

    def _workflow(self) -> Entity:
        """Return the workflow; its steps are the stages, each after those that it reads from."""
        stages: dict[str, list[Record]] = {}
        before: dict[str, list[str]] = {}
        for record in sorted(self._ruled, key=lambda record: (record.started, record.name)):
            stages.setdefault(record.stage, []).append(record)
            makers = (self._study.makers.get(resource.name) for resource in record.inputs)
            read = {m.stage for m in makers if m and m.definition and m.stage != record.stage}
            before[record.stage] = sorted({*before.get(record.stage, ()), *read})
        order = list(stages)
        # Stages that read one another's outputs go as they began.
        with suppress(CycleError):
            order = list(TopologicalSorter(before).static_order())
        configuration = self._place("workflow", "input", self._configuration, "File")
        if given := self.files.get(self._configuration):
            given["exampleOfWork"] = configuration
        steps = [
            _entity(
                *("HowToStep", _identify("step", stage), stage),
                position=str(position),
                workExample=[self._tool(record) for record in stages[stage]],
            )
            for position, stage in enumerate(order, 1)
        ]
        return self.files[_WORKFLOW] | {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "version": self._commit,
            "conformsTo": _profile(f"{_BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"),
            "license": self._citation["license"],
            "hasPart": [self._tool(record) for record in self._ruled],
            "step": steps,
            "input": configuration,
            "output": [place for s in order for place in self._places[s, "output"].values()],
        }

    def _job(self, record: Record) -> Entity:
        """Return what a job did."""
        image = record.image and _entity(
            *("ContainerImage", _identify("image", record.image.sha256), record.image.name),
            sha256=record.image.sha256,
            additionalType={"@id": f"{_RUN}#SIFImage"},
        )
        facts = scalars(record.machine) | scalars(record.interpreter, "interpreter.")
        machine = _entity(
            *("Place", _identify("machine", digest(facts)[:16])),
            str(record.machine.get("host", "a machine")),
            additionalProperty=[_value(name, value) for name, value in facts.items()],
        )
        values = [
            _value(name, v, self._place(record.stage, "parameter", name, _KINDS[type(v)]))
            for name, v in parameters(record).items()
        ]
        return self._action(
            *("CreateAction", f"job/{record.title}", record.title, record),
            description=shlex.join(record.command),
            instrument=self._tool(record),
            object=[*map(self._resource, (*record.inputs, *record.external)), *values],
            result=[self._resource(resource) for resource in record.outputs],
            containerImage=image,
            location=machine,
            subjectOf=self.files[f"results/{self._study.name}/{record.name}"],
        )

    def _tool(self, record: Record) -> Entity:
        """Return the command of a job, in the code and with the packages that it ran with."""
        about = {key: self._citation[key] for key in ("license", "url")}
        changes = " with uncommitted changes" if record.uncommitted else ""
        code = record.commit and _entity(
            *("SoftwareSourceCode", _identify("code", record.commit, record.uncommitted or "")),
            self._command,
            description=f"The code of git commit {record.commit}{changes}",
            version=record.commit,
            identifier=f"swh:1:rev:{record.commit}",
            programmingLanguage="Python",
            **about,
        )
        kept = [r for role in ("packages", "lock", "source") for r in record.kept_as(role)]
        key = digest([record.commit, record.uncommitted, [r.sha256 for r in kept]])[:16]
        source = [self._resource(r) for r in kept if r.role == "source"]
        given, read, made = (
            [*self._places[record.stage, way].values()] for way in ("parameter", "input", "output")
        )
        return _entity(
            *("SoftwareApplication", _identify("tool", record.stage, key)),
            f"{self._command} {record.stage}",
            softwareVersion=record.commit or "not from a commit",
            softwareRequirements=[self._resource(r) for r in kept if r.role != "source"],
            isBasedOn=[*source, code],
            input=read + given,
            output=made,
            **about,
        )

    def _action(
        self, kind: str, identifier: str, name: str, record: Record | None = None, **more: Any
    ) -> Entity:
        """Return an action of a job, or of all."""
        return _entity(
            *(kind, _identify(identifier), name),
            startTime=record.started if record else min(r.started for r in self._records),
            endTime=(record or self._newest).finished,
            agent=self._citation["author"],
            actionStatus="http://schema.org/CompletedActionStatus",
            **more,
        )

    def _place(self, stage: str, way: str, name: str, kind: str) -> Entity:
        """Return what a stage takes or gives under a name."""
        place = _entity(
            *("FormalParameter", _identify(way, stage, name, "" if kind == "File" else kind), name),
            additionalType=kind,
            conformsTo=_profile(f"{_BIOSCHEMAS}/FormalParameter/1.0-RELEASE"),
        )
        return self._places[stage, way].setdefault(place["@id"], place)

    def _add_file(self, folder: Path, name: str, sha256: str) -> None:
        size = str((folder / name).stat().st_size)
        self.files[name] = _file(quote(name), name, sha256, contentSize=size)

    def _resource(self, resource: Resource) -> Entity:
        """Return a file with exactly the recorded bytes, or the description of one not here."""
        name, sha256 = resource.name, resource.sha256
        inside = name if resource.role == "external" else f"results/{self._study.name}/{name}"
        found = self.files.get(inside)
        if found is not None and found["sha256"] == sha256:
            return found
        about = {"description": "Not in this crate; known by its sha256."}
        withheld = _file(_identify("withheld", sha256), name, sha256, **about)
        return self._withheld.setdefault(sha256, withheld)


def _entity(kind: str, identifier: str, name: str, /, **properties: Any) -> Entity:
    return {"@id": identifier, "@type": kind, "name": name, **properties}


def _graph(value: Any, graph: dict[str, Entity]) -> Any:
    """Add the entities in a value to a graph; return it with references in their place."""
    if isinstance(value, list):
        inner = (_graph(item, graph) for item in value if item)
        unique = list({canonical_json(item): item for item in inner}.values())
        return unique[0] if len(unique) == 1 else unique
    if not isinstance(value, dict) or "@type" not in value:
        return value
    name = value["@id"]
    if name not in graph:
        graph[name] = {}
        given = {k: item for k, item in value.items() if k != "@id" and item not in (None, "", [])}
        graph[name] = {key: _graph(item, graph) for key, item in given.items()}
    return {"@id": name}


def _value(name: str, value: Any, place: Entity | None = None) -> Entity:
    identifier = digest([name, value, place and place["@id"]])[:16]
    about = {"value": value, "exampleOfWork": place}
    return _entity("PropertyValue", f"#value/{identifier}", name, **about)


def _profile(uri: str) -> Entity:
    name, version = uri.split("/")[-2:]
    return _entity("CreativeWork", uri, name, version=version)


def _file(identifier: str, name: str, sha256: str, **more: str) -> Entity:
    kind = _FORMATS.guess_type(name)[0] or "text/plain"
    return _entity("File", identifier, name, sha256=sha256, encodingFormat=kind, **more)


def _identify(*parts: str) -> str:
    return "#" + "/".join(quote(part, safe="/") for part in parts if part)
