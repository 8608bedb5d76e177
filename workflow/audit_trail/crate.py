"""A study as a Workflow Run RO-Crate: its workflow, the run of it, and each job as an action."""

import hashlib
import json
import shlex
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import AliasToken

from audit_trail.errors import AuditError
from audit_trail.files import digest, read_bytes
from audit_trail.project import current
from audit_trail.publish import copy_study, new_folder
from audit_trail.records import Record, Resource, facts
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder

_RUN = "https://w3id.org/ro/terms/workflow-run"
_PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
_BIOSCHEMAS = "https://bioschemas.org/profiles"
_WORKFLOW = "Snakefile"
_CITATION, _MAX = "CITATION.cff", 1 << 18
# Without what a system has in its own tables: the same study gives the same bytes everywhere.
_FORMATS = MimeTypes()
_FORMATS.add_type("application/octet-stream", ".safetensors")

Entity = dict[str, Any]


class Author(BaseModel):
    """A person with given and family names, or a group with a name."""

    given: str = Field("", alias="given-names")
    particle: str = Field("", alias="name-particle")
    family: str = Field("", alias="family-names")
    group: str = Field("", alias="name")
    orcid: str = ""

    @property
    def name(self) -> str:
        """All of the name; empty for none."""
        return self.group or " ".join(filter(None, (self.given, self.particle, self.family)))


class Citation(BaseModel):
    """What is needed of the file."""

    title: str = Field(min_length=1)
    authors: list[Author] = Field(min_length=1)
    license: str = Field(min_length=1)
    url: str = Field("", alias="repository-code")


def write_crate(study: StudyFolder, repository: Repository, target: Path) -> dict[str, int]:
    """Write a verified study as a crate in a new folder; the same study gives the same bytes.

    Return how many jobs, files and withheld files there are. The repository is a clone with the
    commit of the study; people are those of its CITATION.cff. An AuditError says that it lacks one
    of these, or that no job ran.
    """
    with new_folder(target) as folder:
        described = _Study(study, repository, folder)
        crate = ROCrate(version="1.1")
        crate.metadata.extra_contexts.append(f"{_RUN}/context")
        root = described.properties()
        for name, entity in described.entities.items():
            if name == _WORKFLOW:
                crate.add_workflow(dest_path=name, main=True, lang="snakemake", properties=entity)
            else:
                crate.add(ContextEntity(crate, name, entity))
        for key, value in root.items():
            crate.root_dataset[key] = value
        metadata = json.dumps(crate.metadata.generate(), indent=4, sort_keys=True)
        (folder / "ro-crate-metadata.json").write_text(metadata)
    withheld = sum(name.startswith("#withheld/") for name in described.entities)
    return {"jobs": len(study.records), "files": len(described.files), "withheld": withheld}


class _Study:
    """What a study is, as entities.

    Attributes:
        files: references to those in the folder of the crate, by name, with their sha256.
        entities: all that is described, by identifier.
    """

    def __init__(self, study: StudyFolder, repository: Repository, folder: Path) -> None:
        self.entities: dict[str, Entity] = {}
        self.files: dict[str, tuple[str, Entity]] = {}
        self._study = study
        self._records = [study.records[name] for name in sorted(study.records)]
        # A definition is what a rule passes; a command that was typed by hand has none.
        self._ruled = [record for record in self._records if record.definition]
        if not self._ruled:
            raise AuditError(f"{study.folder}: has no run; expected a study made by Snakemake")
        self._newest = max(self._records, key=lambda record: (record.finished, record.name))
        commit = self._newest.commit
        if commit is None or repository.time_of(commit) is None:
            expected = "expected --repository with the commit of its newest record"
            raise AuditError(f"{repository.folder}: no commit {commit}; {expected}")
        # Of the clone as it is now, for a commit may be older than the file.
        people = read_bytes(repository.folder / _CITATION, repository.folder)
        self._citation = cited = read_citation(people)
        self._authors = [
            self._add(
                "Organization" if author.group else "Person",
                author.orcid or _identify("author", author.name),
                author.name,
            )
            for author in cited.authors
        ]
        licence = f"https://spdx.org/licenses/{cited.license}"
        self._licence = self._add("CreativeWork", licence, cited.license)
        for name, sha256 in copy_study(study, folder / "results" / study.name).items():
            self._add_file(folder, f"results/{study.name}/{name}", sha256)
        self._configuration = f"config/{study.name}.yaml"
        own = (_CITATION, "LICENSE", _WORKFLOW, self._configuration)
        external = {r.name: r.sha256 for record in self._records for r in record.external}
        for name in (*own, *repository.names(commit, "workflow/rules"), *external):
            if name in self.files or not {"", ".", ".."}.isdisjoint(name.split("/")):
                continue
            content = people if name == _CITATION else repository.read(commit, name)
            sha256 = hashlib.sha256(content or b"").hexdigest()
            if content is not None and external.get(name, sha256) == sha256:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
                self._add_file(folder, name, sha256)
        if _WORKFLOW not in self.files:
            raise AuditError(f"{repository.folder}: has no {_WORKFLOW} at {commit}")

    def properties(self) -> Entity:
        """Describe all; return the properties of the crate as a whole."""
        jobs = [self._job(record) for record in self._records]
        given = [self._resource(r) for record in self._ruled for r in record.external]
        if self._configuration in self.files:
            place = self._add(
                *("FormalParameter", "#input/configuration", "configuration"),
                additionalType="File",
                conformsTo=self._profile(f"{_BIOSCHEMAS}/FormalParameter/1.0-RELEASE"),
            )
            given.insert(0, self.files[self._configuration][1])
            self.entities[given[0]["@id"]]["exampleOfWork"] = place
            self.entities[_WORKFLOW]["input"] = place
        self.entities[_WORKFLOW] |= {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "version": self._newest.commit,
            "conformsTo": self._profile(f"{_BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"),
            "license": self._licence,
        }
        made = [self._resource(r) for record in self._ruled for r in record.outputs]
        run = self._action(
            *("#run", f"The study {self._study.name}"),
            *(min(record.started for record in self._records), self._newest.finished),
            instrument={"@id": _WORKFLOW},
            # Each once.
            object=[*{reference["@id"]: reference for reference in given}.values()],
            result=[*{reference["@id"]: reference for reference in made}.values()],
        )
        return {
            "name": self._study.name,
            "description": f"The study '{self._study.name}', made with {self._citation.title}: "
            "results, the record of each job that made them, and their history.",
            "datePublished": self._newest.finished,
            "conformsTo": [self._profile(uri) for uri in _PROFILES],
            "mentions": [run, *jobs],
            "license": self._licence,
            "author": self._authors,
            "hasPart": [reference for _, reference in self.files.values()],
        }

    def _job(self, record: Record) -> Entity:
        """Describe what a job did; its machine is in the record that it is the subject of."""
        image = record.image and self._add(
            *("ContainerImage", _identify("image", record.image.sha256), record.image.name),
            sha256=record.image.sha256,
            additionalType={"@id": f"{_RUN}#SIFImage"},
        )
        said = facts(record)
        values = said["configuration"] | {f"seed.{name}": v for name, v in said["seed"].items()}
        given = [
            self._add("PropertyValue", f"#value/{digest([name, v])[:16]}", name, value=v)
            for name, v in values.items()
        ]
        # The command, in the code and with the packages that it ran with.
        source, kept = record.kept_as("source"), record.kept_as("packages", "lock")
        shas = [resource.sha256 for resource in (*kept, *source)]
        key = digest([record.commit, record.uncommitted, shas])[:16]
        changed = " with uncommitted changes" if record.uncommitted else ""
        tool = self._add(
            *("SoftwareApplication", _identify("tool", record.stage, key)),
            f"{current().name} {record.stage}",
            softwareVersion=(record.commit or "not from a commit") + changed,
            softwareRequirements=[*map(self._resource, kept)],
            isBasedOn=[*map(self._resource, source)],
            license=self._licence,
            url=self._citation.url,
        )
        return self._action(
            *(_identify("job", record.title), record.title, record.started, record.finished),
            description=shlex.join(record.command),
            instrument=tool,
            object=[*map(self._resource, (*record.inputs, *record.external)), *given],
            result=[*map(self._resource, record.outputs)],
            containerImage=image,
            subjectOf=self.files[f"results/{self._study.name}/{record.name}"][1],
        )

    def _add(self, kind: str, identifier: str, name: str, /, **properties: Any) -> Entity:
        """Add an entity, unless it is known; return a reference to it."""
        given = {key: v for key, v in properties.items() if v not in (None, "", [])}
        self.entities.setdefault(identifier, {"@type": kind, "name": name, **given})
        return {"@id": identifier}

    def _action(
        self, identifier: str, name: str, started: str, finished: str, **properties: Any
    ) -> Entity:
        status = {"actionStatus": "http://schema.org/CompletedActionStatus"}
        when = {"startTime": started, "endTime": finished, "agent": self._authors}
        return self._add("CreateAction", identifier, name, **properties, **when, **status)

    def _profile(self, uri: str) -> Entity:
        name, version = uri.split("/")[-2:]
        return self._add("CreativeWork", uri, name, version=version)

    def _add_file(self, folder: Path, name: str, sha256: str) -> None:
        size = str((folder / name).stat().st_size)
        self.files[name] = sha256, self._file(quote(name), name, sha256, contentSize=size)

    def _file(self, identifier: str, name: str, sha256: str, **more: str) -> Entity:
        kind = _FORMATS.guess_type(name)[0] or "text/plain"
        return self._add("File", identifier, name, sha256=sha256, encodingFormat=kind, **more)

    def _resource(self, resource: Resource) -> Entity:
        """Return a file with exactly the recorded bytes, or the description of one not here."""
        name, sha256 = resource.name, resource.sha256
        inside = name if resource.role == "external" else f"results/{self._study.name}/{name}"
        if inside in self.files and self.files[inside][0] == sha256:
            return self.files[inside][1]
        about = {"description": "Not in this crate; known by its sha256."}
        return self._file(_identify("withheld", sha256), name, sha256, **about)


def _identify(*parts: str) -> str:
    return "#" + "/".join(quote(part, safe="/") for part in parts)


def read_citation(content: bytes) -> Citation:
    """Return what CITATION.cff says: who made the code and under which licence.

    An AuditError says that it is no YAML, or has aliases, by which a few lines become millions of
    values; or no title, licence, or authors with names.
    """
    try:
        text = content[:_MAX].decode("utf-8")
        tokens = YAML(pure=True).scan(text)
        if len(content) > _MAX or any(isinstance(token, AliasToken) for token in tokens):
            reason = f"has an alias, or more than {_MAX} bytes"
        else:
            citation = Citation.model_validate(YAML(typ="safe", pure=True).load(text))
            if all(author.name for author in citation.authors):
                return citation
            reason = "authors: one has no name"
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg'].lower()}"
    except (YAMLError, ValueError, RecursionError):
        reason = "is no YAML"
    raise AuditError(
        f"{_CITATION}: {reason}; expected a file of cff-version 1.2, every value written"
    )
